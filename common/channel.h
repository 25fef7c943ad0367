/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Where things lie in a channel's two groups, and its queues' rings.
 *
 * common/abi.h says what a group holds; this header computes places from a
 * geometry that the door has agreed on and both sides have checked.  Nothing
 * here reads shared memory.
 *
 * Thread-safety: none of these keeps state.
 */

#ifndef DOMS_COMMON_CHANNEL_H
#define DOMS_COMMON_CHANNEL_H 1

#include "ring.h"

/* The size of a channel. */
struct doms_geometry {
    uint32_t n_queues;   /* Queue pairs, 1 to DOMS_MAX_QUEUES. */
    uint32_t arena_size; /* Bytes of each ring's arena. */
};

/* One queue pair as one side sees it. */
struct doms_queue {
    struct doms_ring_writer tx; /* The ring that this side writes. */
    struct doms_ring_reader rx; /* The ring that the peer writes. */

    uint32_t *asleep;            /* This side's doms_queue_ctl.asleep. */
    const uint32_t *peer_asleep; /* The peer's; shared. */
    uint32_t n_sleeps;           /* What 'asleep' was last, if not 0. */
    uint32_t rung_for;           /* The last 'peer_asleep' rung for. */
};

/* Returns true if a channel may have geometry 'g'. */
static inline bool
doms_geometry_is_valid(const struct doms_geometry *g)
{
    return g->n_queues >= 1 && g->n_queues <= DOMS_MAX_QUEUES
           && doms_ring_arena_size_is_valid(g->arena_size);
}

/* Returns the bytes of a ring's length array, in whole pages. */
static inline size_t
doms_lengths_size(uint32_t arena_size)
{
    size_t size = doms_ring_n_lengths(arena_size) * sizeof(uint32_t);

    return (size + DOMS_PAGE_SIZE - 1) & ~(size_t) (DOMS_PAGE_SIZE - 1);
}

/* Returns the bytes that one queue pair takes in one group. */
static inline size_t
doms_group_queue_size(const struct doms_geometry *g)
{
    return sizeof(struct doms_queue_ctl) + doms_lengths_size(g->arena_size)
           + g->arena_size;
}

/* Returns the bytes of a group.  A channel has two. */
static inline size_t
doms_group_size(const struct doms_geometry *g)
{
    return sizeof(struct doms_health) + g->n_queues * doms_group_queue_size(g);
}

/* Returns the place of queue pair 'i' in 'group'. */
static inline uint8_t *
doms_group_queue(void *group, const struct doms_geometry *g, uint32_t i)
{
    return (uint8_t *) group + sizeof(struct doms_health)
           + i * doms_group_queue_size(g);
}

/* Initializes 'q' as this side's end of queue pair 'i' of a channel with
 * geometry 'g', whose groups are zero but for doms_health.
 *
 * 'own' is this side's group and 'peer' the other's, which may be mapped
 * read-only.  'flags_allowed' are the DOMS_RECORD_* that the peer may use.
 * 'ends' is private memory of doms_ring_n_lengths('g->arena_size') words,
 * which must live as long as 'q'. */
static inline void
doms_queue_init(struct doms_queue *q, const struct doms_geometry *g,
                uint32_t i, void *own, void *peer, uint32_t flags_allowed,
                uint32_t *ends)
{
    uint8_t *own_queue = doms_group_queue(own, g, i);
    uint8_t *peer_queue = doms_group_queue(peer, g, i);
    struct doms_queue_ctl *own_ctl = (struct doms_queue_ctl *) own_queue;
    struct doms_queue_ctl *peer_ctl = (struct doms_queue_ctl *) peer_queue;
    size_t lengths_ofs = sizeof *own_ctl;
    size_t arena_ofs = lengths_ofs + doms_lengths_size(g->arena_size);

    doms_ring_writer_init(&q->tx, &own_ctl->head, &peer_ctl->tail,
                          (uint32_t *) (own_queue + lengths_ofs),
                          own_queue + arena_ofs, g->arena_size, ends);
    doms_ring_reader_init(&q->rx, &peer_ctl->head, &own_ctl->tail,
                          (uint32_t *) (peer_queue + lengths_ofs),
                          peer_queue + arena_ofs, g->arena_size,
                          flags_allowed);
    q->asleep = &own_ctl->asleep;
    q->peer_asleep = &peer_ctl->asleep;
    q->n_sleeps = 0;
    q->rung_for = 0;
}

/* Fills in the unchanging part of this side's 'health' for a channel of
 * geometry 'g', with state DOMS_STATE_INIT. */
static inline void
doms_health_init(struct doms_health *health, const struct doms_geometry *g,
                 uint32_t epoch)
{
    health->version = DOMS_ABI_VERSION;
    health->n_queues = g->n_queues;
    health->arena_size = g->arena_size;
    health->n_lengths = doms_ring_n_lengths(g->arena_size);
    health->epoch = epoch;
    DOMS_WRITE_ONCE(health->state, DOMS_STATE_INIT);
    DOMS_STORE_RELEASE(&health->magic, DOMS_ABI_MAGIC);
}

/* Publishes 'state' (DOMS_STATE_*) in this side's 'health'. */
static inline void
doms_health_set_state(struct doms_health *health, uint32_t state)
{
    DOMS_STORE_RELEASE(&health->state, state);
}

/* Doorbell, with DOMS_F_DOORBELL only.
 *
 * A reader that goes to sleep calls doms_queue_fall_asleep(), and blocks only
 * if it returns true; it calls doms_queue_wake_up() afterwards.  A writer that
 * has published calls doms_queue_peer_wants_bell() and rings if that returns
 * true.  One of the two sees the other's word, because each has a full fence
 * between its own store and its look at the other's.
 *
 * The word differs from one sleep to the next, and a writer rings once for
 * each: a peer that does not wake, because it is stopped for example, costs
 * one bell and not one a burst. */

/* The first half of doms_queue_fall_asleep(), for a reader of many queues: it
 * announces that it sleeps in all of them, executes one DOMS_FULL_FENCE(), and
 * looks at each with doms_ring_has_more(). */
static inline void
doms_queue_announce_sleep(struct doms_queue *q)
{
    if (!++q->n_sleeps) {
        q->n_sleeps = 1;
    }
    DOMS_WRITE_ONCE(*q->asleep, q->n_sleeps);
}

/* Takes doms_queue_fall_asleep()'s announcement back. */
static inline void
doms_queue_wake_up(struct doms_queue *q)
{
    DOMS_WRITE_ONCE(*q->asleep, 0);
}

/* Announces that the reader of 'q->rx' sleeps.  Returns false, and takes the
 * announcement back, if there is something to read after all. */
static inline bool
doms_queue_fall_asleep(struct doms_queue *q)
{
    doms_queue_announce_sleep(q);
    DOMS_FULL_FENCE();
    if (doms_ring_poll(&q->rx, 1) || q->rx.broken) {
        doms_queue_wake_up(q);
        return false;
    }
    return true;
}

/* Returns true if the peer sleeps, wants a doorbell for what has been
 * published in 'q->tx', and has not been rung for in this sleep.  A peer that
 * lies costs its own side the bells. */
static inline bool
doms_queue_peer_wants_bell(struct doms_queue *q)
{
    uint32_t asleep;

    DOMS_FULL_FENCE();
    asleep = DOMS_READ_ONCE(*q->peer_asleep);
    if (DOMS_LIKELY(!asleep) || asleep == q->rung_for) {
        return false;
    }
    q->rung_for = asleep;
    return true;
}

#endif /* common/channel.h */
