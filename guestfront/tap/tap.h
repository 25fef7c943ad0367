/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TAP device with virtio-net headers.
 *
 * The device lives as long as the process that opened it, so that nothing is
 * left of a guest that died.
 *
 * Thread-safety: one thread sets the device up and changes it.  Each of 'fds'
 * may be read and written by a thread of its own.
 */

#ifndef DOMS_TAP_TAP_H
#define DOMS_TAP_TAP_H 1

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "guestfront/lib/domsfront.h"

struct tap {
    char name[IFNAMSIZ];
    int ifindex;
    unsigned int n_queues; /* Entries of 'fds'. */
    unsigned int n_active; /* The first so many of them get frames. */
    int fds[DOMSFRONT_MAX_QUEUES];
    int netlink; /* For changes. */

    /* As last set. */
    uint8_t mac[6];
    uint32_t mtu;
    int carrier;           /* 0 or 1; -1: not known. */
    unsigned int offloads; /* TUN_F_*. */
    bool can_tso;          /* The kernel keeps to the longest frame. */
};

int enter_netns(const char *netns);
int tap_open(struct tap *, const char *name, unsigned int n_queues);
void tap_close(struct tap *);

int tap_set_mac(struct tap *, const uint8_t mac[6]);
int tap_set_mtu(struct tap *, uint32_t mtu);
int tap_set_carrier(struct tap *, bool on);
int tap_set_offloads(struct tap *, bool csum, bool tso);
int tap_set_active(struct tap *, unsigned int n);
int tap_set_up(struct tap *);

#endif /* tap.h */
