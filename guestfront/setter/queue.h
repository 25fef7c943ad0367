/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One queue pair of a VM: frames between its two virtqueues and one queue of
 * the front.
 *
 * A frame is copied once, from the VM's buffer into the record that the switch
 * will read, or from the switch's record into the VM's buffer.  Frames that
 * the VM has no buffer for stay in the ring, and those that the ring has no
 * room for stay in the virtqueue; nothing is queued in between.
 *
 * Who owns what
 * -------------
 *
 * A worker polls the queue; the thread that talks with the VM's front end puts
 * virtqueues in and takes them out again.  Both hold the queue by queue_lock()
 * while they touch anything but 'counters' and 'fault', and no longer than for
 * a burst.
 */

#ifndef DOMS_SETTER_QUEUE_H
#define DOMS_SETTER_QUEUE_H 1

#include "common/abi.h"
#include "guestfront/lib/domsfront.h"
#include "guestfront/setter/caller.h"
#include "guestfront/setter/virtq.h"

/* Frames a burst. */
#define QUEUE_BURST 64

/* While so many long frames are copied, the beginnings of the next so many are
 * fetched: the VM's CPU has written those last, so that they take the longest to
 * come.  Those of short ones are all fetched before. */
#define QUEUE_AHEAD 16

/* The virtqueues of a pair, numbered as virtio-net does. */
enum { QUEUE_TO_VM, QUEUE_FROM_VM, QUEUE_N_VIRTQS };

/* Counters, written by the queue's worker; atomic. */
struct queue_counters {
    uint64_t to_frames;    /* Frames given to the VM. */
    uint64_t to_bytes;     /* ... their bytes. */
    uint64_t to_no_driver; /* Dropped: no driver that could take them. */
    uint64_t to_no_room;   /* Dropped: longer than the VM's buffers. */
    uint64_t to_offload;   /* Dropped: needs an offload the VM has not. */
    uint64_t from_frames;  /* Frames given to the switch. */
    uint64_t from_bytes;   /* ... their bytes. */
    uint64_t from_length;  /* Dropped: too short, or longer than the MTU. */
    uint64_t from_offload; /* Dropped: offload fields that cannot be. */
    uint64_t calls;        /* Notifications of the driver. */
    uint64_t kicks;        /* Waits that the driver's notification ended. */
};

/* One virtqueue of a pair. */
struct queue_virtq {
    bool live;   /* 'ring' is there and in order. */
    int call_fd; /* An eventfd, or -1; the vhost library's. */
    int kick_fd; /* The same, of the other way. */
    struct virtq ring;
};

struct worker;

struct queue {
    uint32_t lock; /* For queue_lock(); atomic. */

    /* Fixed. */
    struct domsfront *front;
    unsigned int index; /* Of the front's queue. */
    struct worker *worker;
    const struct caller *caller; /* The worker's. */
    int alarm_fd;                /* An eventfd to write to upon a fault. */
    const uint32_t *room; /* Bytes of the longest frame from the VM that is
                           * not to be segmented; atomic. */

    /* Set with the virtqueues. */
    uint32_t header_size; /* Bytes of a virtio-net header. */
    uint64_t features;    /* VIRTIO_NET_F_* that are in force, as bits. */
    struct queue_virtq virtqs[QUEUE_N_VIRTQS];
    struct queue *stand_in; /* Whose virtqueue to the VM is used if the driver
                             * does not use this one's, or NULL. */

    uint32_t cut_ofs; /* Payload bytes of a frame from the VM that are with
                       * the switch, while the rest of it waits. */

    /* Frames taken from the front and not yet given to the VM. */
    unsigned int held_first;
    unsigned int n_held; /* Entries of 'held', given ones included. */
    struct domsfront_frame held[QUEUE_BURST];

    uint32_t fault; /* enum virtq_fault once the VM broke a rule, with the
                     * virtqueue's number from bit 8 on; atomic. */
    bool full;      /* The front's ring, or that of 'stand_in', had no room. */
    bool has_sent;  /* The last queue_poll() gave the switch something. */
    struct queue_counters counters;
} __attribute__((aligned(DOMS_LINE_PAIR)));

unsigned int queue_poll(struct queue *);
bool queue_arm(struct queue *);
void queue_reset(struct queue *);

/* Holds 'q' if nobody does.  Returns true if so. */
static inline bool
queue_try_lock(struct queue *q)
{
    return !__atomic_exchange_n(&q->lock, 1, __ATOMIC_ACQUIRE);
}

void queue_lock(struct queue *);

static inline void
queue_unlock(struct queue *q)
{
    __atomic_store_n(&q->lock, 0, __ATOMIC_RELEASE);
}

/* The parts below are shared by the queue's own files. */

/* What became of a frame. */
enum queue_outcome__ { QUEUE_GIVEN, QUEUE_DROPPED, QUEUE_WAITS };

/* Adds 'n' to '*counter', whose only writer the caller is. */
static inline void
queue_count__(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* Returns true if VIRTIO_NET_F_ 'feature' is in force. */
static inline bool
queue_has__(const struct queue *q, unsigned int feature)
{
    return q->features >> feature & 1;
}

void queue_notify__(struct queue *, struct queue_virtq *);
void queue_look_for_fault__(struct queue *, unsigned int i);

/* queue-from-vm.c */
unsigned int queue_run_from_vm__(struct queue *);

/* queue-to-vm.c */
unsigned int queue_run_to_vm__(struct queue *);
void queue_release_held__(struct queue *);

#endif /* queue.h */
