/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a polling thread sleeps: see pmd.h.
 */
#include <config.h>

#include "doms/pmd-private.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "dpif-netdev-private-thread.h"
#include "ovs-rcu.h"
#include "util.h"

/* After traffic, a thread polls for so long before it sleeps at all, ... */
#define SPIN_NS (20 * NS_PER_US)

/* ... and for so long sleeps rather than blocks. */
#define QUIET_NS (2 * NS_PER_MS)

/* A thread that sleeps looks at parked queues this often. */
#define LOOK_NS (500 * NS_PER_US)

/* A thread that is about to block looks whether it could park more queues this
 * often. */
#define PARK_TRY_NS (10 * NS_PER_S)

/* A thread that sleeps for long quiesces this often. */
#define QUIESCE_NS (10 * NS_PER_MS)

/* Bells. */

/* Has 'pmd' hear the bell of 'rxq', which receives from 'queue' of 'ch', if it
 * has one. */
void
pmd_hear_bell(struct doms_pmd *pmd, struct doms_rxq *rxq,
              const struct doms_channel *ch,
              const struct doms_channel_queue *queue)
{
    if (rxq->bell != ch->serial) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLET };

        rxq->bell = ch->serial;
        rxq->is_announced = false;
        event.data.u64 = pmd_bell_id(rxq);
        rxq->has_bell = queue->peer_bell_fd >= 0
                        && !epoll_ctl(pmd->epoll_fd, EPOLL_CTL_ADD,
                                      queue->peer_bell_fd, &event);
    }
}

/* Makes 'slot' the place of 'rxq' among the queues of 'pmd', and has its bell
 * say so. */
void
pmd_move_bell(struct doms_pmd *pmd, struct doms_rxq *rxq, size_t slot)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    struct doms_channel *ch;
    struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

    rxq->slot = slot;
    if (queue && rxq->has_bell && rxq->bell == ch->serial) {
        event.data.u64 = pmd_bell_id(rxq);
        epoll_ctl(pmd->epoll_fd, EPOLL_CTL_MOD, queue->peer_bell_fd, &event);
    }
}

/* Takes the rings out of the bell of 'queue', at most one buffer full. */
void
pmd_drain_bell(const struct doms_channel_queue *queue)
{
    uint8_t buf[64];

    ignore(recv(queue->peer_bell_fd, buf, sizeof buf, MSG_DONTWAIT));
}

/* Announces that the thread sleeps in 'rxq', which receives from 'queue', if it
 * hears its bell.  A fence and a look at the ring have to follow. */
void
pmd_announce(struct doms_rxq *rxq, struct doms_channel_queue *queue)
{
    if (rxq->has_bell && !rxq->is_announced) {
        rxq->is_announced = true;
        doms_queue_announce_sleep(&queue->q);
    }
}

/* Takes pmd_announce() back.  'queue' is what 'rxq' receives from now, or
 * NULL. */
void
pmd_unannounce(struct doms_rxq *rxq, struct doms_channel_queue *queue)
{
    if (rxq->is_announced) {
        rxq->is_announced = false;
        if (queue) {
            doms_queue_wake_up(&queue->q);
        }
    }
}

/* Open queues. */

/* Returns true if 'rxq' has something to take.  What the thread does not take
 * before the next call does not count: the guest has broken the ring. */
static bool
has_work(struct doms_rxq *rxq, const struct doms_channel_queue *queue)
{
    const struct doms_ring_reader *r = &queue->q.rx;

    if (!doms_ring_has_more(r)) {
        rxq->is_stuck = false;
        return false;
    }
    if (rxq->is_stuck && rxq->stuck_tail == r->tail) {
        return false;
    }
    rxq->is_stuck = true;
    rxq->stuck_tail = r->tail;
    return true;
}

/* Returns true if an open queue of 'pmd' has something to take. */
static bool
find_work(const struct doms_pmd *pmd)
{
    struct doms_channel *ch;
    bool found = false;

    for (size_t i = 0; i < pmd->n_open; i++) {
        struct doms_channel_queue *queue = pmd_rxq_queue(pmd->open[i], &ch);

        found |= queue && has_work(pmd->open[i], queue);
    }
    return found;
}

/* Announces that 'pmd' sleeps in all its open queues.  Returns true if bells
 * alone will wake it. */
static bool
fall_asleep(struct doms_pmd *pmd)
{
    bool all_have_bells = !pmd->n_mute;
    struct doms_channel *ch;

    for (size_t i = 0; i < pmd->n_open; i++) {
        struct doms_rxq *rxq = pmd->open[i];
        struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

        if (queue) {
            pmd_hear_bell(pmd, rxq, ch, queue);
            pmd_announce(rxq, queue);
            all_have_bells &= rxq->has_bell;
        }
    }
    DOMS_FULL_FENCE();
    return all_have_bells;
}

/* Takes fall_asleep() back. */
static void
wake_up(struct doms_pmd *pmd)
{
    struct doms_channel *ch;

    for (size_t i = 0; i < pmd->n_open; i++) {
        pmd_unannounce(pmd->open[i], pmd_rxq_queue(pmd->open[i], &ch));
    }
}

/* Sleep. */

/* Waits for a bell or a kick, at most 'ns'.  Returns true if there was one. */
static bool
wait_for_bells(struct doms_pmd *pmd, uint64_t ns)
{
    struct pollfd pfd = { .fd = pmd->epoll_fd, .events = POLLIN };
    struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };

    return ppoll(&pfd, 1, &ts, NULL) > 0;
}

/* Returns true if a port's channel has changed since 'pmd' looked last, or it
 * is to reload its queues. */
static bool
is_outdated(const struct doms_pmd *pmd)
{
    bool reload;

    atomic_read_explicit(&pmd->ovs->reload, &reload, memory_order_acquire);
    return reload
           || __atomic_load_n(&pmd_generation, __ATOMIC_SEQ_CST)
                  != pmd->generation;
}

/* Blocks until a bell rings.  Returns true if one did. */
static bool
sleep_until_rung(struct doms_pmd *pmd)
{
    bool was_rung;

    ovsrcu_quiesce_start();
    was_rung = wait_for_bells(pmd, PMD_BLOCK_MS * NS_PER_MS);
    ovsrcu_quiesce_end();
    return was_rung;
}

/* Blocks until a bell rings, or a queue without one has something to take,
 * which it looks for every 'step' ns.  Returns true if a bell rang. */
static bool
sleep_and_look(struct doms_pmd *pmd, uint64_t now, uint64_t step)
{
    uint64_t end = now + PMD_BLOCK_MS * NS_PER_MS;
    uint64_t quiesce = now + QUIESCE_NS;

    do {
        if (wait_for_bells(pmd, step)) {
            return true;
        }
        if (find_work(pmd) || (pmd->n_mute && pmd_look_at_parked(pmd))) {
            pmd_count(&pmd->n_scans, 1);
            return false;
        }
        now = pmd_now();
        if (now >= quiesce) {
            ovsrcu_quiesce();
            quiesce = now + QUIESCE_NS;
        }
    } while (now < end);
    return false;
}

/* Sleeps until there is something to do, looking every 'step' ns at queues
 * without a bell. */
static void
block(struct doms_pmd *pmd, uint64_t now, uint64_t step)
{
    bool all_have_bells = fall_asleep(pmd);
    bool was_rung = false;
    bool slept = false;

    pmd_set_blocked(pmd, true);
    if (!is_outdated(pmd) && !find_work(pmd)) {
        slept = true;
        pmd_count(&pmd->n_blocks, 1);
        was_rung = all_have_bells ? sleep_until_rung(pmd)
                                  : sleep_and_look(pmd, now, step);
    }
    pmd_set_blocked(pmd, false);
    if (was_rung) {
        pmd_count(&pmd->n_bells, 1);
        if (!pmd_take_rings(pmd)) {
            /* Who rings for nothing does not have the thread spin. */
            pmd_count(&pmd->n_forged, 1);
            nanosleep(&(struct timespec){ .tv_nsec = step }, NULL);
        }
    } else if (slept) {
        /* A bell may have been lost. */
        pmd_look_at_parked(pmd);
    }
    wake_up(pmd);
}

/* The calling thread has found nothing to do, or not much, and is to sleep for
 * 'ns'.  Returns sooner or later than that, as pmd.h says. */
void
doms_pmd_sleep(uint64_t ns)
{
    struct doms_pmd *pmd = pmd_self;
    uint64_t now, quiet;

    if (!pmd || pmd->n_foreign || pmd->n_foreign_new) {
        xnanosleep_no_quiesce(ns);
        return;
    }
    now = pmd_now();
    pmd_begin(pmd, now);
    pmd->has_slept = true;
    quiet = now - pmd->busy_ns;
    if (pmd->n_parked && now - pmd->look_ns >= LOOK_NS) {
        pmd->look_ns = now;
        pmd_look_for_rings(pmd);
    } else if (pmd->n_hot) {
        pmd_poll_hot(pmd);
    }
    if (pmd->in_hurry || pmd->has_worked || quiet < SPIN_NS) {
        return;
    }
    if (quiet < QUIET_NS
        || now < __atomic_load_n(&pmd->awake_ns, __ATOMIC_RELAXED)) {
        xnanosleep_no_quiesce(MIN(ns, quiet / 2));
    } else if (now - pmd->pass_ns >= PARK_TRY_NS
               && pmd_has_more_to_park(pmd)) {
        pmd->in_hurry = true;
    } else if (!pmd_cool(pmd)) {
        block(pmd, now, ns);
    }
}
