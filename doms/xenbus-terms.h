/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terms of a channel of the xenbus door: what the switch offers a front,
 * and what the front then asks for, both of them keys in xenstore.
 *
 * An offer is what a port is like; it is written anew key by key, whenever the
 * port changes.  A wish is read once, whole, when the front says that it has
 * granted its pages, and is checked against the offer.  Once the pages are
 * mapped, the front's health page must say the same.
 *
 * The front's directory and its pages are another domain's: every key is read
 * once into private memory, and what it says counts only if it is in range.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_XENBUS_TERMS_H
#define DOMS_XENBUS_TERMS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "common/channel.h"
#include "openvswitch/types.h"

/* What a backend has told its front. */
struct xenbus_offer {
    uint32_t n_queues;   /* Queue pairs at most. */
    uint32_t arena_size; /* Bytes that each arena must have. */
    uint64_t features;   /* Of DOMS_F_CSUM and DOMS_F_TSO. */
    struct eth_addr mac; /* The guest's address. */
    int mtu;             /* The port's. */
    bool link_up;        /* Has its operator set the port up? */
};

bool xenbus_offer_from_port(struct xenbus_offer *offer, const char *peer);
void xenbus_offer_write(const char *back, const struct xenbus_offer *old,
                        const struct xenbus_offer *now);

/* What a front has asked for, checked. */
struct xenbus_wish {
    struct doms_geometry geometry; /* Within the offer. */
    uint64_t features;             /* Of those offered. */
    uint32_t epoch;                /* The front's. */
    uint32_t reference;            /* Grant of the first directory page. */
};

const char *xenbus_wish_read(struct xenbus_wish *wish, const char *front,
                             const struct xenbus_offer *offer);
bool xenbus_wish_agrees(const struct xenbus_wish *,
                        const struct doms_health *);
bool xenbus_epoch_stands(const char *front, uint32_t epoch);

#endif /* doms/xenbus-terms.h */
