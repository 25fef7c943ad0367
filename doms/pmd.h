/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What domsd adds to Open vSwitch's polling (PMD) threads: sleep until a
 * doorbell rings, and many idle guests at little cost.
 *
 * Open vSwitch's thread polls each of its queues in each turn, goes through
 * all ports after each burst to send what it has for them, and sleeps for up
 * to 'pmd-maxsleep' microseconds in each turn that finds little to do.  So a
 * thousand idle guests take most of the time of a thread that is busy for two
 * others, and an idle thread wakes ten thousand times a second.  Here,
 *
 *   - a thread that has been quiet for some time announces itself asleep in
 *     all queues that have a doorbell, looks at all queues once more, and
 *     blocks until a bell rings.  Queues without a bell it looks at every
 *     'pmd-maxsleep'.  It goes around at the latest after PMD_BLOCK_MS;
 *
 *   - a thread with many queues parks those that have been quiet for long:
 *     Open vSwitch skips them, and this module polls them, in turns that are
 *     far apart while they stay quiet;
 *
 *   - a thread with many ports takes several bursts from a queue, if it has
 *     them, before Open vSwitch goes through the ports.
 *
 * How it hooks in
 * ---------------
 *
 * Open vSwitch is not changed.  Where its lib/dpif-netdev.c makes these calls,
 * the build has it call this module, which passes on those that are not of a
 * polling thread:
 *
 *     ovsthread_setspecific()   a thread starts: the first call that it makes
 *     xrealloc()                it loads its queues, which is the only time
 *                               that it calls this
 *     xnanosleep_no_quiesce()   it wants to sleep
 *     coverage_try_clear()      1024 turns have passed, and ...
 *     netdev_get_change_seq()   ... it looks whether to ask again which of its
 *                               queues are enabled
 *     dp_netdev_input(),        it has received a burst
 *     dp_netdev_input_outer_avx512()
 *     seq_change()              another thread wants it to reload its queues
 *
 * A thread gets to know its queues by asking whether they are enabled, which
 * it does for each of them whenever it reloads them.
 *
 * Thread-safety: see each function.  A thread's queues are changed by other
 * threads too, and a lock keeps them apart, which is not on a packet's way.
 */

#ifndef DOMS_PMD_H
#define DOMS_PMD_H 1

#include "netdev-provider.h"
#include "ovs-thread.h"

struct doms_pmd;
struct json;

/* The longest sleep: so late a lost bell can make a packet. */
#define PMD_BLOCK_MS 50

/* A receive queue of a port. */
struct doms_rxq {
    struct netdev_rxq up;

    struct doms_pmd *pmd; /* Who polls it, or NULL.  'pmds_mutex'. */
    size_t slot;          /* In 'pmd->entries'.  'pmd->mutex'. */
    bool is_parked;       /* Atomic; the polling thread changes it. */

    /* The polling thread's. */
    uint64_t bell;       /* 'serial' of the channel whose bell is heard. */
    bool has_bell;       /* ... if it has one. */
    bool is_announced;   /* The channel's 'asleep' may be set. */
    bool is_hot;         /* Parked, but not quiet any more. */
    bool is_stuck;       /* Had something to take at 'stuck_tail', which the */
    uint32_t stuck_tail; /* ... thread has not taken since. */
    uint32_t tail;       /* When last looked at for parking. */
    uint64_t active_ns;  /* When it was found to have moved last. */
};

/* The queue from which the thread has received last, if what was received is
 * still to be handed on. */
extern __thread struct netdev_rxq *doms_pmd_received
    __attribute__((tls_model("initial-exec")));

void doms_pmd_init(void);
void doms_pmd_register(struct doms_rxq *);
void doms_pmd_forget(struct doms_rxq *);
void doms_pmd_kick(void);
struct json *doms_pmd_to_json(void);

/* Returns true if its thread has parked 'rxq'.  Any thread may ask. */
static inline bool
doms_rxq_is_parked(const struct doms_rxq *rxq)
{
    return __atomic_load_n(&rxq->is_parked, __ATOMIC_RELAXED);
}

static inline struct doms_rxq *
doms_rxq_cast(const struct netdev_rxq *rxq)
{
    return CONTAINER_OF(rxq, struct doms_rxq, up);
}

#endif /* doms/pmd.h */
