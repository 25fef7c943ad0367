/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket in bytes.
 *
 * Limits what a guest sends (ingress_policing_rate, doms-ctl's rate=) and,
 * as QoS type 'egress-policer', what is sent to it.  Packets above the rate
 * are dropped.  A packet longer than the bucket, one that is still to be
 * segmented say, passes when the bucket is full, and leaves a debt.
 *
 * Thread-safety: policer_set() may be called by the main thread while others
 * are in policer_run(); several threads may be in policer_run().  A policer
 * that is off costs one load a burst.
 */

#ifndef DOMS_POLICER_H
#define DOMS_POLICER_H 1

#include <stdbool.h>
#include <stdint.h>

#include "dp-packet.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"

struct policer {
    atomic_bool on; /* Read without the mutex. */

    struct ovs_mutex mutex;     /* Held for a burst while the policer is on. */
    uint64_t rate OVS_GUARDED;  /* Bytes a second. */
    uint64_t burst OVS_GUARDED; /* Bytes. */
    int64_t tokens OVS_GUARDED; /* Bytes that may pass now, or, if
                                   * negative, the debt. */
    uint64_t last_ns OVS_GUARDED; /* When 'tokens' was brought up to date. */
};

void policer_init(struct policer *);
void policer_destroy(struct policer *);
void policer_set(struct policer *, uint64_t rate, uint64_t burst);
void policer_get(struct policer *, uint64_t *rate, uint64_t *burst);
uint32_t policer_run__(struct policer *, struct dp_packet_batch *,
                       uint64_t *n_bytes);

/* Drops the packets of 'batch' that are above the rate, and takes their bytes
 * off '*n_bytes'.  Returns how many they are. */
static inline uint32_t
policer_run(struct policer *policer, struct dp_packet_batch *batch,
            uint64_t *n_bytes)
{
    bool on;

    atomic_read_relaxed(&policer->on, &on);
    return OVS_UNLIKELY(on) ? policer_run__(policer, batch, n_bytes) : 0;
}

#endif /* doms/policer.h */
