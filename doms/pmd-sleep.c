/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a polling thread sleeps: see pmd.h.
 */
#include <config.h>

#include "doms/pmd-private.h"

#include <errno.h>
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

/* A thread that is about to block looks whether it could park more queues this
 * often. */
#define PARK_TRY_NS (10 * NS_PER_S)

/* A thread that sleeps looks at parked queues this often. */
#define PARKED_SCAN_NS (500 * NS_PER_US)

/* A thread that sleeps for long quiesces this often. */
#define QUIESCE_NS (10 * NS_PER_MS)

/* Events taken from the kernel at once.  What they say does not matter. */
#define MAX_EVENTS 64

/* Has the thread hear the bell of 'queue', if it has one. */
static void
hear_bell(struct doms_pmd *pmd, struct doms_rxq *rxq,
          const struct doms_channel *ch, const struct doms_channel_queue *queue)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };

    if (rxq->bell != ch->serial) {
        rxq->bell = ch->serial;
        rxq->has_bell = queue->peer_bell_fd >= 0
                        && (!epoll_ctl(pmd->epoll_fd, EPOLL_CTL_ADD,
                                       queue->peer_bell_fd, &event)
                            || errno == EEXIST);
    }
}

/* Returns true if 'rxq' has something to poll that the thread has not been
 * told of without taking it, which happens with a queue that is broken or that
 * Open vSwitch lets nobody poll. */
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

/* Returns true if a queue of 'pmd' has something to poll. */
static bool
find_work(struct doms_pmd *pmd)
{
    struct doms_channel *ch;
    bool found = false;

    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_entries; i++) {
        struct doms_channel_queue *queue = pmd_rxq_queue(pmd->entries[i].rxq, &ch);

        found |= queue && has_work(pmd->entries[i].rxq, queue);
    }
    ovs_mutex_unlock(&pmd->mutex);
    return found;
}

/* Announces that 'pmd' sleeps, in all its queues.  '*all_have_bells' tells
 * whether bells alone will wake it. */
static void
announce(struct doms_pmd *pmd, bool *all_have_bells)
{
    struct doms_channel *ch;

    *all_have_bells = true;
    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_entries; i++) {
        struct doms_rxq *rxq = pmd->entries[i].rxq;
        struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

        if (queue) {
            hear_bell(pmd, rxq, ch, queue);
            if (rxq->has_bell) {
                doms_queue_announce_sleep(&queue->q);
                rxq->is_announced = true;
            } else {
                *all_have_bells = false;
            }
        }
    }
    ovs_mutex_unlock(&pmd->mutex);
    DOMS_FULL_FENCE();
}

/* Takes the rings out of a bell, at most one buffer full. */
static void
drain_bell(const struct doms_channel_queue *queue)
{
    uint8_t buf[64];

    ignore(recv(queue->peer_bell_fd, buf, sizeof buf, MSG_DONTWAIT));
}

/* Takes announce() back.  Returns true if a queue has something to poll. */
static bool
wake_up(struct doms_pmd *pmd, bool was_rung)
{
    struct doms_channel *ch;
    bool found = false;

    ovs_mutex_lock(&pmd->mutex);
    for (size_t i = 0; i < pmd->n_entries; i++) {
        struct doms_rxq *rxq = pmd->entries[i].rxq;
        struct doms_channel_queue *queue = pmd_rxq_queue(rxq, &ch);

        if (!queue) {
            rxq->is_announced = false;
            continue;
        }
        if (rxq->is_announced) {
            rxq->is_announced = false;
            doms_queue_wake_up(&queue->q);
        }
        if (has_work(rxq, queue)) {
            found = true;
            if (was_rung && rxq->has_bell && rxq->bell == ch->serial) {
                drain_bell(queue);
            }
        }
    }
    ovs_mutex_unlock(&pmd->mutex);
    return found;
}

/* Waits for a bell or a kick, at most 'ns'.  Returns true if there was one. */
static bool
wait_for_bells(struct doms_pmd *pmd, uint64_t ns)
{
    struct pollfd pfd = { .fd = pmd->epoll_fd, .events = POLLIN };
    struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
    struct epoll_event events[MAX_EVENTS];

    if (ppoll(&pfd, 1, &ts, NULL) <= 0) {
        return false;
    }
    /* Bells that are left make the next wait short, and no more. */
    epoll_wait(pmd->epoll_fd, events, MAX_EVENTS, 0);
    return true;
}

/* Returns true if a port's channel has changed since 'pmd' went to block, or
 * it is to reload its queues. */
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
sleep_until_rung(struct doms_pmd *pmd, uint64_t ns)
{
    bool was_rung;

    ovsrcu_quiesce_start();
    was_rung = wait_for_bells(pmd, ns);
    ovsrcu_quiesce_end();
    if (was_rung) {
        pmd_count(&pmd->n_bells, 1);
    }
    return was_rung;
}

/* Blocks until a bell rings, or a queue without one has something to poll,
 * which it looks for every 'step' ns.  Returns true if a bell rang. */
static bool
sleep_and_scan(struct doms_pmd *pmd, uint64_t now, uint64_t step)
{
    uint64_t end = now + PMD_BLOCK_MS * NS_PER_MS;
    uint64_t quiesce = now + QUIESCE_NS;

    do {
        if (wait_for_bells(pmd, step)) {
            pmd_count(&pmd->n_bells, 1);
            return true;
        }
        if (find_work(pmd)) {
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
    bool all_have_bells, was_rung = false;

    pmd->generation = __atomic_load_n(&pmd_generation, __ATOMIC_SEQ_CST);
    announce(pmd, &all_have_bells);
    pmd_set_blocked(pmd, true);
    if (!is_outdated(pmd) && !find_work(pmd)) {
        pmd_count(&pmd->n_blocks, 1);
        was_rung = all_have_bells
                       ? sleep_until_rung(pmd, PMD_BLOCK_MS * NS_PER_MS)
                       : sleep_and_scan(pmd, now, step);
    }
    pmd_set_blocked(pmd, false);
    if (wake_up(pmd, was_rung)) {
        pmd_poll_parked(pmd);
    } else if (was_rung && !is_outdated(pmd)) {
        /* Who rings for nothing does not have the thread spin. */
        pmd_count(&pmd->n_forged, 1);
        wait_for_bells(pmd, 0);
        nanosleep(&(struct timespec){ .tv_nsec = step }, NULL);
    }
}

void __real_xnanosleep_no_quiesce(uint64_t ns);
void __wrap_xnanosleep_no_quiesce(uint64_t ns);

/* The calling thread has found nothing to do, or not much, and is to sleep for
 * 'ns'.  Returns sooner or later than that, as pmd.h says. */
void
__wrap_xnanosleep_no_quiesce(uint64_t ns)
{
    struct doms_pmd *pmd = pmd_self;
    uint64_t now, quiet;

    if (!pmd || pmd->n_foreign || pmd->n_foreign_new) {
        __real_xnanosleep_no_quiesce(ns);
        return;
    }
    now = pmd_now();
    pmd_begin(pmd, now);
    pmd->has_slept = true;
    quiet = now - pmd->busy_ns;
    if (now - pmd->parked_ns >= PARKED_SCAN_NS) {
        pmd->parked_ns = now;
        pmd_poll_parked(pmd);
    } else if (pmd->n_hot) {
        pmd_poll_hot(pmd);
    }
    if (pmd->in_hurry || pmd->has_worked || quiet < SPIN_NS) {
        return;
    }
    if (quiet < QUIET_NS
        || now < __atomic_load_n(&pmd->awake_ns, __ATOMIC_RELAXED)) {
        __real_xnanosleep_no_quiesce(MIN(ns, quiet / 2));
    } else if (now - pmd->pass_ns >= PARK_TRY_NS
               && pmd_has_more_to_park(pmd)) {
        pmd->in_hurry = true;
    } else {
        block(pmd, now, ns);
    }
}
