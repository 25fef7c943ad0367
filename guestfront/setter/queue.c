/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "queue.h"

#include <linux/virtio_net.h>
#include <sched.h>
#include <unistd.h>

/* How the VM and the switch tell offloads is the same. */
DOMS_STATIC_ASSERT(DOMSFRONT_CSUM_NEEDED == VIRTIO_NET_HDR_F_NEEDS_CSUM);
DOMS_STATIC_ASSERT(DOMSFRONT_CSUM_VALID == VIRTIO_NET_HDR_F_DATA_VALID);
DOMS_STATIC_ASSERT(DOMSFRONT_GSO_TCPV4 == VIRTIO_NET_HDR_GSO_TCPV4);
DOMS_STATIC_ASSERT(DOMSFRONT_GSO_TCPV6 == VIRTIO_NET_HDR_GSO_TCPV6);

/* Holds 'q', once its worker has finished its burst. */
void
queue_lock(struct queue *q)
{
    while (!queue_try_lock(q)) {
        sched_yield();
    }
}

/* Tells the driver of 'qv' that buffers have been put, if it wants to know. */
void
queue_notify__(struct queue *q, struct queue_virtq *qv)
{
    if (qv->call_fd >= 0 && virtq_wants_call(&qv->ring)) {
        if (caller_call(q->caller, qv->call_fd)) {
            queue_count__(&q->counters.calls, 1);
        }
    }
}

/* Ends the use of virtqueue 'i' of 'q' if the driver broke a rule. */
void
queue_look_for_fault__(struct queue *q, unsigned int i)
{
    struct queue_virtq *qv = &q->virtqs[i];

    if (DOMS_UNLIKELY(qv->ring.fault)) {
        uint64_t one = 1;

        qv->live = false;
        __atomic_store_n(&q->fault, qv->ring.fault | i << 8, __ATOMIC_RELAXED);
        if (write(q->alarm_fd, &one, sizeof one) < 0) {
            /* It is full, so who reads it wakes up. */
        }
    }
}

/* Moves frames both ways, a burst at most.  Returns how many, or 1 if somebody
 * else holds 'q'.  For the queue's worker, which need not hold it. */
unsigned int
queue_poll(struct queue *q)
{
    unsigned int n = 0;

    if (!queue_try_lock(q)) {
        return 1;
    }
    q->has_sent = false;
    for (int i = 0; i < QUEUE_N_VIRTQS; i++) {
        if (q->virtqs[i].live) {
            virtq_disarm(&q->virtqs[i].ring);
        }
    }
    if (!domsfront_queue_is_up(q->front, q->index)) {
        /* What is held keeps a channel that has ended. */
        if (q->n_held) {
            queue_release_held__(q);
            q->full = false;
        }
    } else {
        n = queue_run_to_vm__(q);
        if (q->virtqs[QUEUE_FROM_VM].live) {
            unsigned int n_sent = queue_run_from_vm__(q);

            q->has_sent = n_sent > 0;
            n += n_sent;
        }
    }
    queue_unlock(q);
    return n;
}

/* Asks the VM's driver for a notification of the next buffer.  Returns false
 * if there is something to do already; while the front is not up, there is
 * not. */
bool
queue_arm(struct queue *q)
{
    bool quiet = true;

    if (!queue_try_lock(q)) {
        return false;
    }
    for (int i = 0; i < QUEUE_N_VIRTQS && quiet
                    && domsfront_queue_is_up(q->front, q->index);
         i++) {
        struct queue_virtq *qv = &q->virtqs[i];

        /* Buffers to write to matter only to a frame that waits for them. */
        if (qv->live && (i == QUEUE_FROM_VM || q->n_held)) {
            quiet = virtq_arm(&qv->ring);
        }
    }
    queue_unlock(q);
    return quiet;
}

/* Takes the virtqueues out of 'q', which the caller holds. */
void
queue_reset(struct queue *q)
{
    for (int i = 0; i < QUEUE_N_VIRTQS; i++) {
        q->virtqs[i].live = false;
        q->virtqs[i].call_fd = q->virtqs[i].kick_fd = -1;
    }
    q->stand_in = NULL;
    q->cut_ofs = 0;
    q->full = false;
}
