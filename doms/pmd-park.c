/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked queues.  A queue is parked while its thread is busy for others only:
 * a thread that is quiet hears the bells of all its queues, and finds what
 * rang sooner if all are enabled.
 */
#include <config.h>

#include "doms/pmd-private.h"

/* A thread with no more queues than this parks none: there is little to
 * gain. */
#define PARK_MIN_QUEUES 16

/* A queue without traffic for so long is parked. */
#define PARK_AFTER_NS NS_PER_S

static void
set_parked(struct doms_pmd *pmd, struct doms_rxq *rxq, bool is_parked)
    OVS_REQUIRES(pmd->mutex)
{
    if (rxq->is_parked != is_parked) {
        __atomic_store_n(&rxq->is_parked, is_parked, __ATOMIC_RELAXED);
        pmd_count(&pmd->n_parked, is_parked ? 1 : -1);
        pmd_count(is_parked ? &pmd->n_parks : &pmd->n_unparks, 1);
        pmd->change_seq++;
    }
}

/* Parks 'rxq' or not, as is right at 'now'. */
static void
judge(struct doms_pmd *pmd, struct doms_rxq *rxq, uint64_t now, bool may_park)
    OVS_REQUIRES(pmd->mutex)
{
    struct doms_channel *ch;
    struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

    if (queue
        && (doms_ring_has_more(&queue->q.rx)
            || queue->q.rx.tail != rxq->tail)) {
        rxq->tail = queue->q.rx.tail;
        rxq->active_ns = now;
        set_parked(pmd, rxq, false);
    } else if (!may_park) {
        set_parked(pmd, rxq, false);
    } else if (now - rxq->active_ns >= PARK_AFTER_NS) {
        set_parked(pmd, rxq, true);
    }
}

/* Parks and unparks the queues of the calling thread, 'pmd'. */
void
pmd_run_parking(struct doms_pmd *pmd, uint64_t now)
{
    ovs_mutex_lock(&pmd->mutex);
    if (pmd->n_rxqs > PARK_MIN_QUEUES || pmd->n_parked) {
        bool may_park = pmd->n_rxqs > PARK_MIN_QUEUES
                        && now - pmd->busy_ns < PMD_QUIET_NS;

        for (size_t i = 0; i < pmd->n_rxqs; i++) {
            judge(pmd, pmd->rxqs[i], now, may_park);
        }
    }
    ovs_mutex_unlock(&pmd->mutex);
}

/* Unparks those queues of 'pmd', the calling thread, that have something to
 * poll, or 'all'.  Returns true if there were any; they are polled after the
 * next 1024 turns. */
bool
pmd_unpark(struct doms_pmd *pmd, uint64_t now, bool all)
{
    uint64_t change_seq = pmd->change_seq;

    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_rxqs; i++) {
        struct doms_rxq *rxq = pmd->rxqs[i];
        struct doms_channel *ch;

        if (rxq->is_parked) {
            struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

            if (queue && doms_ring_has_more(&queue->q.rx)) {
                rxq->active_ns = now;
                set_parked(pmd, rxq, false);
            } else if (all) {
                set_parked(pmd, rxq, false);
            }
        }
    }
    ovs_mutex_unlock(&pmd->mutex);
    return pmd->change_seq != change_seq;
}
