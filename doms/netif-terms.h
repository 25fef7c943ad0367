/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terms between the netif door and a netfront: what the switch offers, and
 * what the front then has and takes, both of them keys in xenstore (Xen's
 * public io/netif.h).
 *
 * And what Dom0 wants of the port, in the keys that xl writes: 'bridge', 'mac',
 * 'mtu' and 'rate'.
 *
 * The front's directory is another domain's: every key is read once into
 * private memory, and what it says counts only if it is in range.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_NETIF_TERMS_H
#define DOMS_NETIF_TERMS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/channel.h"
#include "doms/netif-queue.h"

struct doms_port_config;
struct port_request;

/* What the front says. */
struct netif_wish {
    uint32_t n_queues; /* 1 to DOMS_MAX_QUEUES. */
    struct netif_can can;
    struct netif_queue_wish queues[DOMS_MAX_QUEUES];
};

bool netif_port_read(struct port_request *, char **serial, const char *back,
                     const char *name, char *why, size_t why_size);
void netif_offer_write(const char *back, const struct doms_port_config *);
const char *netif_wish_read(struct netif_wish *, const char *front,
                            uint32_t max_queues);

#endif /* doms/netif-terms.h */
