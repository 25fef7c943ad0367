/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch's end of a channel.
 *
 * A door makes a channel once a guest has asked for one and a port for it is
 * there, hands it to the port (doms/ports.h), and takes it back when the guest
 * has gone or has broken a rule.  The port and its datapath know the channel
 * only by this header, whichever door made it.
 *
 * Who writes what: the door fills in everything before it hands the channel to
 * a port.  From then on the threads that poll the port own the queues' 'rx',
 * those that send own 'tx' under the port's lock for it, any of them may set
 * 'broken', and the main thread does the rest.
 *
 * A channel is freed by RCU: a thread that has got the pointer from the port
 * may use it until it quiesces.
 */

#ifndef DOMS_CHANNEL_H
#define DOMS_CHANNEL_H 1

#include <sys/types.h>

#include "common/channel.h"
#include "openvswitch/list.h"
#include "openvswitch/types.h"
#include "ovs-atomic.h"
#include "util.h"

struct doms_door;

/* A queue pair, on cache lines of its own. */
struct doms_channel_queue {
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) struct doms_queue q;

    int bell_fd;      /* A socket, rung to wake the guest, or -1. */
    int peer_bell_fd; /* A socket that the guest rings, or -1. */
    uint32_t *ends;   /* Private memory of 'q.tx'. */
};

struct doms_channel {
    const struct doms_door *door;  /* Who made it. */
    uint64_t serial;               /* No other channel has it; not 0. */
    char *peer;                    /* The guest's name. */
    struct doms_geometry geometry; /* Agreed with the guest. */
    uint64_t features;             /* DOMS_F_* in force. */
    uint32_t epoch;                /* Of this life of the switch. */
    pid_t pid;                     /* A local guest's process, or 0. */
    struct eth_addr mac;           /* The guest's address. */

    struct doms_health *own;              /* The switch's group. */
    const struct doms_health *peer_group; /* The front's, read-only. */

    void *door_aux;              /* The door's own. */
    void *memory;                /* For 'unmap'; the door's own. */
    struct ovs_list orphan_node; /* In ports.c's 'orphans', without a port. */

    /* Unmaps the groups and closes what the door opened for the channel.
     * Called once, from any thread, when nobody uses the channel any more. */
    void (*unmap)(struct doms_channel *);

    /* Set by whoever finds that the guest broke a rule: the first reason,
     * enum doms_ring_broken.  The door closes the channel. */
    atomic_uint32_t broken;

    struct doms_channel_queue *queues; /* 'geometry.n_queues' of them. */
};

struct doms_channel *doms_channel_create(const struct doms_door *,
                                         const char *peer,
                                         const struct doms_geometry *,
                                         uint64_t features);
void doms_channel_init_queues(struct doms_channel *, void *own, void *peer);
void doms_channel_destroy(struct doms_channel *);
void doms_channel_destroy_postponed(struct doms_channel *);

bool doms_channel_set_broken(struct doms_channel *, enum doms_ring_broken);
enum doms_ring_broken doms_channel_get_broken(const struct doms_channel *);

uint32_t doms_switch_epoch(void);

#endif /* doms/channel.h */
