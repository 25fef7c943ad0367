/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where doors and ports meet.
 *
 * A port is an OVS interface of type "doms"; it belongs to the guest whose
 * name is its 'peer'.  Doors look ports up by that name, attach a channel to
 * them, and detach it again.  At most one port has a given peer, and at most
 * one channel is attached to a port.
 *
 * Thread-safety: all functions may be called by the main thread only, except
 * doms_ports_wake() and doms_ports_orphan().
 */

#ifndef DOMS_PORTS_H
#define DOMS_PORTS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/types.h"

struct doms_channel;
struct netdev_class;

/* What a door needs to know of a port. */
struct doms_port_config {
    uint32_t n_queues;   /* Queue pairs that the port serves at most. */
    uint32_t arena_size; /* Bytes of each ring's arena. */
    bool arena_is_set;   /* The operator chose it, not the default. */
    uint64_t features;   /* DOMS_F_* that the port can do. */
    bool mac_is_set;     /* 'mac' is what the operator chose; otherwise the
                          * guest may choose another. */
    struct eth_addr mac; /* The guest's address. */
    int mtu;             /* Bytes of payload of a frame. */
    bool link_up;        /* The port is not set down. */
    int numa_node;       /* Whose CPUs poll the port. */
};

bool doms_ports_lookup(const char *peer, struct doms_port_config *);
int doms_ports_attach(struct doms_channel *);
void doms_ports_detach(struct doms_channel *, const char *why);
void doms_ports_orphan(struct doms_channel *);

/* Changes whenever a port comes, goes or changes, or a channel is found
 * broken: a door then looks again.  Any thread may call doms_ports_wake(). */
uint64_t doms_ports_seq(void);
void doms_ports_seq_wait(uint64_t seq);
void doms_ports_wake(void);

void doms_ports_run(const struct netdev_class *);
void doms_ports_wait(const struct netdev_class *);

#endif /* doms/ports.h */
