/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What common/ needs of its surroundings, in user space and in the kernel.
 *
 * The headers of common/ are compiled into domsd, into libdomsfront and into
 * the kernel module.  This one gives them the same few names in each: fixed
 * width types, single accesses to shared memory and the two barriers that the
 * ring is made of.
 *
 * DOMS_READ_ONCE and DOMS_WRITE_ONCE are for 32-bit words or smaller, and for
 * 64-bit words on 64-bit machines.  They keep the compiler from fetching or
 * storing a shared word twice (XSA-155), which plain C would allow it.
 */

#ifndef DOMS_COMMON_OS_H
#define DOMS_COMMON_OS_H 1

#ifdef __KERNEL__

#include <asm/barrier.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/prefetch.h>
#include <linux/string.h>
#include <linux/types.h>

#define DOMS_READ_ONCE(X) READ_ONCE(X)
#define DOMS_WRITE_ONCE(X, VALUE) WRITE_ONCE(X, VALUE)
/* virt_, since the peer runs on other processors even if this kernel was built
 * for one. */
#define DOMS_LOAD_ACQUIRE(P) virt_load_acquire(P)
#define DOMS_STORE_RELEASE(P, VALUE) virt_store_release(P, VALUE)
#define DOMS_FULL_FENCE() virt_mb()
#define DOMS_PREFETCH_WRITE(P) prefetchw(P)
#define DOMS_LIKELY(X) likely(X)
#define DOMS_UNLIKELY(X) unlikely(X)
#define DOMS_STATIC_ASSERT(X) static_assert(X)

#else /* !__KERNEL__ */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DOMS_READ_ONCE(X) __atomic_load_n(&(X), __ATOMIC_RELAXED)
#define DOMS_WRITE_ONCE(X, VALUE)                                             \
    __atomic_store_n(&(X), VALUE, __ATOMIC_RELAXED)
#define DOMS_LOAD_ACQUIRE(P) __atomic_load_n(P, __ATOMIC_ACQUIRE)
#define DOMS_STORE_RELEASE(P, VALUE)                                          \
    __atomic_store_n(P, VALUE, __ATOMIC_RELEASE)
#define DOMS_FULL_FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define DOMS_PREFETCH_WRITE(P) __builtin_prefetch(P, 1)
#define DOMS_LIKELY(X) __builtin_expect(!!(X), 1)
#define DOMS_UNLIKELY(X) __builtin_expect(!!(X), 0)
#define DOMS_STATIC_ASSERT(X) _Static_assert(X, #X)

#endif /* !__KERNEL__ */

#endif /* common/os.h */
