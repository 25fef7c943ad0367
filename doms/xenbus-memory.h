/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared memory of a channel of the xenbus door.
 *
 * A Xen guest grants all pages of both groups; domsd maps the front's group
 * read-only and the switch's group writable, all of them or none.  The grants
 * are found in directory pages (common/xenbus.h), each of which is mapped only
 * for as long as it takes to copy it; only the copy is looked at.
 *
 * The guest may be told that its pages are free only once no thread of the
 * switch can reach them, so a struct xenbus_memory outlives the channel that
 * unmaps it, and says when that has happened.
 *
 * Thread-safety: main thread, but for the unmapping, which is RCU's.
 */

#ifndef DOMS_XENBUS_MEMORY_H
#define DOMS_XENBUS_MEMORY_H 1

#include <stdbool.h>
#include <stdint.h>

struct doms_channel;
struct xenbus_memory;

int xenbus_memory_map(struct doms_channel *, uint32_t domid,
                      uint32_t reference, uint32_t epoch,
                      struct xenbus_memory **, const char **why);
bool xenbus_memory_is_unmapped(const struct xenbus_memory *);
void xenbus_memory_unref(struct xenbus_memory *);

#endif /* doms/xenbus-memory.h */
