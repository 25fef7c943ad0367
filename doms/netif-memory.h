/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a channel of the netif door has of a guest's: the rings of its queues,
 * and its event channels; all of them or none.
 *
 * The guest may be told that its pages are free only once no thread of the
 * switch can reach them, so a struct netif_memory outlives the channel that
 * unmaps it, and says when that has happened.
 *
 * Thread-safety: main thread, but for the unmapping, which is RCU's.
 */

#ifndef DOMS_NETIF_MEMORY_H
#define DOMS_NETIF_MEMORY_H 1

#include <stdbool.h>
#include <stdint.h>

struct doms_channel;
struct netif_memory;
struct netif_wish;

int netif_memory_map(struct doms_channel *, uint32_t domid,
                     const struct netif_wish *, struct netif_memory **,
                     const char **why);
bool netif_memory_is_unmapped(const struct netif_memory *);
void netif_memory_unref(struct netif_memory *);

#endif /* doms/netif-memory.h */
