/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A polling thread as pmd.c, pmd-park.c and pmd-sleep.c see it.
 *
 * Locks: 'pmds_mutex' is taken before 'doms_pmd.mutex'.  Neither is held while
 * a thread sleeps.
 */

#ifndef DOMS_PMD_PRIVATE_H
#define DOMS_PMD_PRIVATE_H 1

#include "doms/netdev-doms.h"
#include "doms/pmd.h"
#include "openvswitch/list.h"
#include "ovs-atomic.h"

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* A thread without traffic for so long blocks rather than sleeps, and parks
 * nothing. */
#define PMD_QUIET_NS (2 * NS_PER_MS)

struct doms_pmd {
    struct ovs_list node; /* In 'pmds'. */
    char *name;           /* The thread's. */
    int epoll_fd;         /* Its queues' bells, edge-triggered, and ... */
    int kick_fd;          /* ... an eventfd. */
    bool is_blocked;      /* Atomic: it blocks, or is about to. */

    struct ovs_mutex mutex;              /* Protects the next three. */
    struct doms_rxq **rxqs OVS_GUARDED;  /* Its queues. */
    size_t n_rxqs OVS_GUARDED;
    size_t allocated_rxqs OVS_GUARDED;

    /* The thread's own. */
    uint64_t generation;    /* 'pmd_generation' when it went to block. */
    uint64_t change_seq;    /* Added to those of its queues' ports. */
    size_t n_foreign;       /* Polled queues of other classes than ours ... */
    size_t n_foreign_new;   /* ... since the last 1024 turns. */
    bool in_hurry;          /* Not to sleep before 1024 turns are over. */
    uint64_t busy_ns;       /* When it last had traffic. */
    uint64_t parked_ns;     /* When it last looked at parked queues. */

    /* Counters and states for the user: written by the thread, atomic. */
    uint64_t n_parked;   /* Queues that are parked. */
    uint64_t n_parks;    /* Times that a queue was parked. */
    uint64_t n_unparks;  /* ... and had to be polled again. */
    uint64_t n_blocks;   /* Times that it blocked. */
    uint64_t n_bells;    /* ... and a bell or a kick ended it, */
    uint64_t n_scans;    /* ... or what a queue without a bell had. */
    uint64_t n_forged;   /* Bells that were rung for nothing. */
};

/* Changes when a port's channel does.  Atomic. */
extern uint64_t pmd_generation;

/* No thread is to block before that time.  Atomic. */
extern uint64_t pmd_awake_ns;

/* The calling thread, or NULL if it does not poll ports of ours. */
extern __thread struct doms_pmd *pmd_self;

uint64_t pmd_now(void);
struct doms_channel_queue *pmd_rxq_queue(const struct doms_rxq *,
                                         struct doms_channel **);
void pmd_note_traffic(struct doms_pmd *, uint64_t now);

/* pmd-park.c */
void pmd_run_parking(struct doms_pmd *, uint64_t now);
bool pmd_unpark(struct doms_pmd *, uint64_t now, bool all);

/* Adds 'n' to a counter that only the calling thread writes. */
static inline void
pmd_count(uint64_t *counter, uint64_t n)
{
    DOMS_WRITE_ONCE(*counter, *counter + n);
}

#endif /* doms/pmd-private.h */
