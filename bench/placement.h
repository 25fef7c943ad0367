/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the host has put this machine's CPUs, and other small tools of the
 * benchmarks.
 *
 * On a virtual machine, the host moves the virtual CPUs between hardware
 * threads, cores and sockets within seconds, which changes every result by a
 * factor of 1.4 to 5.  A benchmark therefore measures the time that a cache
 * line takes between its two CPUs, before and after each run, and only runs of
 * the same placement compare.
 *
 * Thread-safety: each function may be called by one thread at a time.
 */

#ifndef BENCH_PLACEMENT_H
#define BENCH_PLACEMENT_H 1

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Keeps the compiler from touching memory earlier or later, and a hardware
 * thread from starving its sibling. */
static inline void
cpu_relax(void)
{
#if __x86_64__
    __builtin_ia32_pause();
#else
    __asm__ volatile("" : : : "memory");
#endif
}

uint64_t bench_now_ns(void);
int bench_pin(int cpu);
int bench_thread_on(int cpu, pthread_t *, void *(*start)(void *), void *arg);
double bench_line_round_trip_ns(int cpu_a, int cpu_b);
const char *bench_placement(double round_trip_ns);
const char *bench_placement_pair(double before_ns, double after_ns);
void bench_sort(uint32_t *values, size_t n);

#endif /* bench/placement.h */
