/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked queues.  Whether a queue is parked changes only at the end of 1024
 * turns, when Open vSwitch looks: so each queue is always polled by Open
 * vSwitch or by this module, and never by both.
 *
 * A parked queue with a bell is announced asleep as long as it is parked, so
 * that nobody need look at it.  One that has something becomes hot: it is
 * polled in each turn, until Open vSwitch polls it again.
 */
#include <config.h>

#include "doms/pmd-private.h"

#include <sys/epoll.h>

#include "dpif-netdev-private-thread.h"
#include "netdev-offload.h"
#include "odp-util.h"
#include "timeval.h"

/* A queue without traffic for so long is parked. */
#define PARK_AFTER_NS NS_PER_S

/* A thread that always polls and has been without traffic for so long parks
 * nothing. */
#define QUIET_NS (10 * NS_PER_MS)

/* Rings taken from the kernel at once. */
#define MAX_EVENTS 64

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
set_parked(struct doms_pmd *pmd, struct doms_rxq *rxq,
           struct doms_channel_queue *queue, bool is_parked)
    OVS_REQUIRES(pmd->mutex)
{
    if (rxq->is_parked != is_parked) {
        pmd_unannounce(rxq, queue);
        pmd_mark_parked(pmd, rxq, is_parked);
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
        set_parked(pmd, rxq, queue, false);
    } else if (now - rxq->active_ns >= PARK_AFTER_NS) {
        if (get_port_no(rxq) == ODPP_NONE) {
            return true;
        }
        set_parked(pmd, rxq, queue, true);
    }
    return false;
}

/* Lists which queues of 'pmd' are not parked. */
void
pmd_list_open(struct doms_pmd *pmd) OVS_REQUIRES(pmd->mutex)
{
    pmd->n_open = 0;
    for (size_t i = 0; i < pmd->n_entries; i++) {
        if (!pmd->entries[i].rxq->is_parked) {
            pmd->open[pmd->n_open++] = pmd->entries[i].rxq;
        }
    }
}

/* Parks and unparks the queues of the calling thread, 'pmd'; Open vSwitch looks
 * right after that. */
void
pmd_run_parking(struct doms_pmd *pmd, uint64_t now)
{
    struct netdev *unknown = NULL;

    if (pmd->n_entries <= PMD_PARK_MIN_QUEUES && !pmd->n_parked) {
        return;
    }
    /* A thread that sleeps finds soon which parked queues have something.  One
     * that always polls finds it sooner if all are open. */
    bool may_park = pmd->n_entries > PMD_PARK_MIN_QUEUES
                    && (pmd->has_slept || now - pmd->busy_ns < QUIET_NS);

    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_entries; i++) {
        struct doms_rxq *rxq = pmd->entries[i].rxq;

        rxq->is_hot = false;
        if (judge(pmd, rxq, now, may_park)) {
            unknown = rxq->up.netdev;
        }
    }
    pmd->n_hot = 0;
    pmd_list_open(pmd);
    ovs_mutex_unlock(&pmd->mutex);
    pmd_look_at_parked(pmd);
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
    return pmd->n_open > PMD_PARK_MIN_QUEUES;
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
        ovs_dp_netdev_input(pmd->ovs, &batch, port_no);
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

/* Makes the parked queue 'rxq', whose ring is in 'queue', hot if it has
 * something.  Returns true if it has. */
static bool
heat(struct doms_pmd *pmd, struct doms_rxq *rxq,
     struct doms_channel_queue *queue) OVS_REQUIRES(pmd->mutex)
{
    if (!doms_ring_has_more(&queue->q.rx) || queue->q.rx.broken) {
        return false;
    }
    if (!rxq->is_hot && pmd->n_hot < PMD_MAX_HOT) {
        pmd_unannounce(rxq, queue);
        rxq->is_hot = true;
        pmd->hot[pmd->n_hot++] = rxq;
        pmd_count(&pmd->n_heated, 1);
    } else if (!rxq->is_hot) {
        pmd->n_mute++; /* Has rung, and has to be looked for. */
    }
    return true;
}

/* Looks at all parked queues of 'pmd', the calling thread: announces that it
 * sleeps in those where it has not, and polls those that have something.
 * Returns true if there are any. */
bool
pmd_look_at_parked(struct doms_pmd *pmd)
{
    struct doms_channel *ch;
    bool found = false;

    pmd->n_mute = 0;
    if (!pmd->n_parked) {
        return false;
    }
    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_entries; i++) {
        struct doms_rxq *rxq = pmd->entries[i].rxq;

        if (rxq->is_parked && !rxq->is_hot) {
            struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

            if (queue) {
                pmd_hear_bell(pmd, rxq, ch, queue);
                pmd_announce(rxq, queue);
                pmd->n_mute += !rxq->has_bell;
            }
        }
    }
    DOMS_FULL_FENCE();
    for (size_t i = 0; i < pmd->n_entries; i++) {
        struct doms_rxq *rxq = pmd->entries[i].rxq;

        if (rxq->is_parked) {
            struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

            found |= queue && heat(pmd, rxq, queue);
        }
    }
    ovs_mutex_unlock(&pmd->mutex);
    pmd_poll_hot(pmd);
    return found;
}

/* Lets the hot queues of 'pmd', the calling thread, be as other parked ones: it
 * is about to block.  Returns true if one has something. */
bool
pmd_cool(struct doms_pmd *pmd)
{
    if (!pmd->n_hot) {
        return false;
    }
    while (pmd->n_hot) {
        pmd->hot[--pmd->n_hot]->is_hot = false;
    }
    return pmd_look_at_parked(pmd);
}

/* The bell 'id' has rung.  Returns true if there was a reason. */
static bool
take_ring(struct doms_pmd *pmd, uint64_t id) OVS_REQUIRES(pmd->mutex)
{
    struct doms_channel_queue *queue;
    struct doms_channel *ch;
    struct doms_rxq *rxq;
    size_t slot = id >> 32;

    if (slot >= pmd->n_entries) {
        return true; /* It has gone. */
    }
    rxq = pmd->entries[slot].rxq;
    queue = pmd_rxq_queue(rxq, &ch);
    if (!queue || pmd_bell_id(rxq) != id || rxq->bell != ch->serial) {
        return true;
    }
    pmd_drain_bell(queue);
    return rxq->is_parked ? heat(pmd, rxq, queue)
                          : doms_ring_has_more(&queue->q.rx);
}

/* Takes from the kernel which bells of 'pmd', the calling thread, have rung,
 * and polls the parked queues among theirs.  Returns true if one rang, or was
 * kicked, with a reason. */
bool
pmd_take_rings(struct doms_pmd *pmd)
{
    struct epoll_event events[MAX_EVENTS];
    int n = epoll_wait(pmd->epoll_fd, events, MAX_EVENTS, 0);
    bool reason = false;

    ovs_mutex_lock(&pmd->mutex);
    for (int i = 0; i < n; i++) {
        reason |= events[i].data.u64 == PMD_KICK
                  || take_ring(pmd, events[i].data.u64);
    }
    ovs_mutex_unlock(&pmd->mutex);
    pmd_poll_hot(pmd);
    return reason;
}

/* Looks which parked queues of 'pmd', the calling thread, have something, and
 * polls them. */
void
pmd_look_for_rings(struct doms_pmd *pmd)
{
    pmd->n_bursts = 0;
    if (pmd->n_mute) {
        pmd_look_at_parked(pmd);
    }
    pmd_take_rings(pmd);
}
