/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A polling thread as pmd.c, pmd-park.c and pmd-sleep.c see it.
 *
 * The thread may use the queues that it was given when it last loaded them
 * without a lock, until it loads them again: Open vSwitch waits for that before
 * it frees a queue, or gives it to another thread.  'open' and 'hot' hold
 * nothing else.  'entries' may hold former ones until pmd_begin(), and is used
 * under the lock.
 *
 * Locks: 'pmds_mutex' is taken before 'doms_pmd.mutex'.  Neither is held while
 * a thread sleeps or handles packets.
 */

#ifndef DOMS_PMD_PRIVATE_H
#define DOMS_PMD_PRIVATE_H 1

#include "doms/netdev-doms.h"
#include "doms/pmd.h"
#include "openvswitch/list.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* A thread with no more queues than this parks none: there is little to
 * gain. */
#define PMD_PARK_MIN_QUEUES 16

/* What the eventfd's events carry; a bell's carry pmd_bell_id(). */
#define PMD_KICK UINT64_MAX

/* Parked queues that can be hot at once.  Further ones wait. */
#define PMD_MAX_HOT 32

struct dp_netdev_pmd_thread;
struct seq;

/* A queue that a thread polls. */
struct pmd_entry {
    struct doms_rxq *rxq;
    uint64_t n_loads; /* 'n_loads' when the thread was given it. */
};

struct doms_pmd {
    struct ovs_list node;             /* In 'pmds'. */
    char *name;                       /* The thread's. */
    struct dp_netdev_pmd_thread *ovs; /* The thread as Open vSwitch sees it. */
    int epoll_fd;      /* Its queues' bells, edge-triggered, and ... */
    int kick_fd;       /* ... an eventfd. */
    bool is_blocked;   /* Atomic: it blocks, or is about to. */
    uint64_t awake_ns; /* Atomic: not to block before that time. */

    struct ovs_mutex mutex;                /* Protects the next three. */
    struct pmd_entry *entries OVS_GUARDED; /* Its queues. */
    size_t n_entries OVS_GUARDED;
    size_t allocated_entries OVS_GUARDED;

    /* Those of its queues that are not parked: as many as 'entries' have
     * room. */
    struct doms_rxq **open;
    size_t n_open;

    /* The thread's own. */
    uint64_t n_loads;     /* Times that it has loaded its queues ... */
    uint64_t begun_loads; /* ... until pmd_begin(). */
    uint64_t generation;  /* 'pmd_generation' when it looked last. */
    uint64_t change_seq;  /* Added to those of its queues' ports. */
    size_t n_foreign;     /* Polled queues of other classes than ours ... */
    size_t n_foreign_new; /* ... since the last 1024 turns. */
    unsigned int more_bursts; /* To take from a queue that has them. */
    unsigned int n_bursts;    /* Since it last looked at parked queues. */
    bool has_worked;          /* It has received something. */
    bool has_slept;           /* It has wanted to, in these 1024 turns. */
    bool in_hurry;            /* Not to sleep before 1024 turns are over. */
    uint64_t busy_ns;         /* When it last received something. */
    uint64_t pass_ns;         /* When 1024 turns were last over. */
    uint64_t look_ns;         /* When it last looked at parked queues. */
    struct doms_rxq *hot[PMD_MAX_HOT]; /* Parked queues to poll each turn. */
    size_t n_hot;
    size_t n_mute; /* Parked queues that no bell tells of. */

    /* Counters and states for the user: written by the thread, atomic. */
    uint64_t n_parked;  /* Queues that are parked. */
    uint64_t n_parks;   /* Times that a queue was parked. */
    uint64_t n_unparks; /* ... and given back to Open vSwitch. */
    uint64_t n_heated;  /* ... and found to have something. */
    uint64_t n_blocks;  /* Times that the thread blocked. */
    uint64_t n_bells;   /* ... and a bell or a kick ended it, */
    uint64_t n_scans;   /* ... or what a queue without a bell had. */
    uint64_t n_forged;  /* Bells that were rung for nothing. */
};

/* Changes when a port's channel does.  Atomic. */
extern uint64_t pmd_generation;

/* The calling thread, or NULL if it is not a polling thread. */
extern __thread struct doms_pmd *pmd_self;

uint64_t pmd_now(void);
void pmd_begin(struct doms_pmd *, uint64_t now);
void pmd_set_blocked(struct doms_pmd *, bool blocked);

/* What Open vSwitch calls in place of its own functions. */
void doms_pmd_setspecific(ovsthread_key_t, const void *value);
void *doms_pmd_xrealloc(void *, size_t);
void doms_pmd_sleep(uint64_t ns);
void doms_pmd_coverage_try_clear(void);
uint64_t doms_pmd_get_change_seq(const struct netdev *);
void doms_pmd_seq_change(struct seq *);

/* Its own. */
int32_t ovs_dp_netdev_input(struct dp_netdev_pmd_thread *,
                            struct dp_packet_batch *, odp_port_t);

/* pmd-park.c */
void pmd_run_parking(struct doms_pmd *, uint64_t now);
bool pmd_has_more_to_park(struct doms_pmd *);
void pmd_list_open(struct doms_pmd *);
bool pmd_look_at_parked(struct doms_pmd *);
bool pmd_take_rings(struct doms_pmd *);
void pmd_look_for_rings(struct doms_pmd *);
void pmd_poll_hot(struct doms_pmd *);
bool pmd_cool(struct doms_pmd *);

/* pmd-sleep.c */
void pmd_hear_bell(struct doms_pmd *, struct doms_rxq *,
                   const struct doms_channel *,
                   const struct doms_channel_queue *);
void pmd_move_bell(struct doms_pmd *, struct doms_rxq *, size_t slot);
void pmd_drain_bell(const struct doms_channel_queue *);
void pmd_announce(struct doms_rxq *, struct doms_channel_queue *);
void pmd_unannounce(struct doms_rxq *, struct doms_channel_queue *);

/* Adds 'n' to a counter that only the calling thread writes. */
static inline void
pmd_count(uint64_t *counter, uint64_t n)
{
    DOMS_WRITE_ONCE(*counter, *counter + n);
}

/* Notes that 'rxq', of 'pmd', is parked or not. */
static inline void
pmd_mark_parked(struct doms_pmd *pmd, struct doms_rxq *rxq, bool is_parked)
    OVS_REQUIRES(pmd->mutex)
{
    struct netdev_doms *dev = netdev_doms_cast(rxq->up.netdev);
    int change = is_parked ? 1 : -1;

    __atomic_store_n(&rxq->is_parked, is_parked, __ATOMIC_RELAXED);
    __atomic_add_fetch(&dev->n_parked, change, __ATOMIC_RELAXED);
    pmd_count(&pmd->n_parked, change);
}

/* Returns what the events of the bell of 'rxq' carry: where it was when the
 * thread began to hear it, and for which channel. */
static inline uint64_t
pmd_bell_id(const struct doms_rxq *rxq)
{
    return (uint64_t) rxq->slot << 32 | (uint32_t) rxq->bell;
}

/* Returns the queue that 'rxq' receives from, with its channel in '*chp', or
 * NULL if there is none.  They may be used until the thread quiesces. */
static inline struct doms_channel_queue *
pmd_rxq_queue(const struct doms_rxq *rxq, struct doms_channel **chp)
{
    struct doms_channel *ch = netdev_doms_channel(
        netdev_doms_cast(rxq->up.netdev));

    *chp = ch;
    return ch && rxq->up.queue_id < ch->geometry.n_queues
               ? &ch->queues[rxq->up.queue_id]
               : NULL;
}

#endif /* doms/pmd-private.h */
