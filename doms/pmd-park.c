/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked queues.  Whether a queue is parked changes only at the end of 1024
 * turns, when Open vSwitch looks: so each queue is always polled by Open
 * vSwitch or by this module, and never by both.
 *
 * A parked queue that has something becomes hot: it is polled in each turn,
 * until Open vSwitch polls it again.
 */
#include <config.h>

#include "doms/pmd-private.h"

#include "dpif-netdev-private-thread.h"
#include "netdev-offload.h"
#include "odp-util.h"
#include "timeval.h"

/* A queue without traffic for so long is parked. */
#define PARK_AFTER_NS NS_PER_S

/* A thread that always polls and has been without traffic for so long parks
 * nothing. */
#define QUIET_NS (10 * NS_PER_MS)

/* Bursts that are taken at once from a hot queue. */
#define HOT_BURSTS 4

static odp_port_t
get_port_no(const struct doms_rxq *rxq)
{
    struct netdev_doms *dev = netdev_doms_cast(rxq->up.netdev);

    return u32_to_odp(DOMS_READ_ONCE(dev->port_no));
}

static bool
note_port_no(struct netdev *netdev, odp_port_t port_no, void *aux OVS_UNUSED)
{
    if (netdev_doms_is_ours(netdev)) {
        DOMS_WRITE_ONCE(netdev_doms_cast(netdev)->port_no,
                        odp_to_u32(port_no));
    }
    return false;
}

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

/* Parks 'rxq' or not, as is right at 'now'.  Returns true if only its port's
 * number is missing. */
static bool
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
        may_park = false;
    }
    if (!may_park) {
        set_parked(pmd, rxq, false);
    } else if (now - rxq->active_ns >= PARK_AFTER_NS) {
        if (get_port_no(rxq) == ODPP_NONE) {
            return true;
        }
        set_parked(pmd, rxq, true);
    }
    return false;
}

/* Parks and unparks the queues of the calling thread, 'pmd'; Open vSwitch looks
 * right after that. */
void
pmd_run_parking(struct doms_pmd *pmd, uint64_t now)
{
    struct netdev *unknown = NULL;

    ovs_mutex_lock(&pmd->mutex);
    if (pmd->n_entries > PMD_PARK_MIN_QUEUES || pmd->n_parked) {
        /* A thread that sleeps looks at parked queues when it wakes.  One that
         * always polls finds what comes sooner if all are enabled. */
        bool may_park = pmd->n_entries > PMD_PARK_MIN_QUEUES
                        && (pmd->has_slept || now - pmd->busy_ns < QUIET_NS);

        for (size_t i = 0; i < pmd->n_entries; i++) {
            struct doms_rxq *rxq = pmd->entries[i].rxq;

            if (judge(pmd, rxq, now, may_park)) {
                unknown = rxq->up.netdev;
            }
        }
    }
    ovs_mutex_unlock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_hot; i++) {
        pmd->hot[i]->is_hot = false;
    }
    pmd->n_hot = 0;
    if (unknown && netdev_get_dpif_type(unknown)) {
        netdev_ports_traverse(netdev_get_dpif_type(unknown), note_port_no,
                              NULL);
    }
}

/* Returns true if it is worth while to let 1024 turns pass in a hurry, so that
 * queues are parked. */
bool
pmd_has_more_to_park(struct doms_pmd *pmd)
{
    return pmd->n_entries > pmd->n_parked + PMD_PARK_MIN_QUEUES;
}

/* Hands what the parked queue 'rxq' has to Open vSwitch. */
static void
poll_queue(struct doms_pmd *pmd, struct doms_rxq *rxq)
{
    odp_port_t port_no = get_port_no(rxq);

    for (int i = 0; i < HOT_BURSTS; i++) {
        struct dp_packet_batch batch;

        dp_packet_batch_init(&batch);
        if (netdev_rxq_recv(&rxq->up, &batch, NULL)) {
            break;
        }
        doms_pmd_received = NULL;
        pmd->has_worked = true;
        pmd->ovs->ctx.now = time_usec();
        dp_netdev_input(pmd->ovs, &batch, port_no);
    }
}

/* Polls the hot queues of the calling thread, 'pmd'. */
void
pmd_poll_hot(struct doms_pmd *pmd)
{
    for (size_t i = 0; i < pmd->n_hot; i++) {
        poll_queue(pmd, pmd->hot[i]);
    }
}

/* Looks which parked queues of 'pmd', the calling thread, have something, and
 * polls them and those that are hot already. */
void
pmd_poll_parked(struct doms_pmd *pmd)
{
    struct doms_channel *ch;

    pmd->n_bursts = 0;
    if (!pmd->n_parked) {
        return;
    }
    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_entries && pmd->n_hot < PMD_MAX_HOT; i++) {
        struct doms_rxq *rxq = pmd->entries[i].rxq;

        if (rxq->is_parked && !rxq->is_hot) {
            struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

            if (queue && doms_ring_has_more(&queue->q.rx)) {
                rxq->is_hot = true;
                pmd->hot[pmd->n_hot++] = rxq;
                pmd_count(&pmd->n_heated, 1);
            }
        }
    }
    ovs_mutex_unlock(&pmd->mutex);
    pmd_poll_hot(pmd);
}
