/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What domsd adds to Open vSwitch's polling (PMD) threads: parked queues, and
 * sleep until a doorbell rings.
 *
 * Open vSwitch's thread polls each of its queues in each turn, and sleeps for
 * up to 'pmd-maxsleep' microseconds in each turn that finds little to do.  With
 * a thousand guests, the turn of a thread that is busy for two of them would
 * be spent on the others; and a thread that has nothing to do wakes ten
 * thousand times a second.  So, once all queues of a thread have been quiet
 * for some time, it
 *
 *     announces itself asleep in all queues that have a doorbell, looks at all
 *     once more, and blocks until a bell rings, looking at queues without a
 *     bell every 'pmd-maxsleep', and returns to Open vSwitch at the latest
 *     after PMD_BLOCK_MS;
 *
 * and while a thread with many queues is busy, it
 *
 *     parks those that have been quiet for long, so that Open vSwitch skips
 *     them, and looks at them itself, every 1024 turns, when Open vSwitch looks
 *     which of its queues are enabled.
 *
 * How it hooks in
 * ---------------
 *
 * The linker redirects three calls of Open vSwitch's lib/dpif-netdev.c to this
 * module (--wrap), which passes on those of other threads:
 *
 *     xnanosleep_no_quiesce()   a thread wants to sleep
 *     coverage_try_clear()      1024 turns have passed
 *     netdev_get_change_seq()   ... and it asks whether to ask again which
 *                               queues are enabled
 *
 * A thread gets to know its queues by asking whether they are enabled, which
 * it does when it is given them.
 *
 * Thread-safety: see each function.  A thread's queues are changed by other
 * threads too, and 'doms_pmd.mutex' keeps them apart; nothing of this is on a
 * packet's way but one store into a variable of the thread's own.
 */

#ifndef DOMS_PMD_H
#define DOMS_PMD_H 1

#include "netdev-provider.h"
#include "ovs-thread.h"

struct doms_channel;
struct doms_pmd;
struct json;

/* The longest sleep: so long a lost bell can delay a packet, and so long a
 * reconfiguration of Open vSwitch may wait for a thread. */
#define PMD_BLOCK_MS 50

/* A receive queue of a port. */
struct doms_rxq {
    struct netdev_rxq up;

    struct doms_pmd *pmd; /* Who polls it, or NULL.  'pmds_mutex'. */
    size_t slot;          /* In 'pmd->rxqs'.  'pmd->mutex'. */
    bool is_parked;       /* Atomic; the polling thread changes it. */

    /* The polling thread's. */
    uint64_t bell;      /* 'serial' of the channel whose bell is heard. */
    bool has_bell;      /* ... if it has one. */
    bool is_announced;  /* The channel's 'asleep' may be set. */
    uint32_t tail;      /* When last looked at for parking. */
    uint64_t active_ns; /* When it was found to have moved last. */
    uint32_t stuck;     /* Its tail when there was something to poll ... */
    bool is_stuck;      /* ... and the thread has not taken it since. */
};

/* Set whenever the thread has received a burst. */
extern __thread bool doms_pmd_has_worked
    __attribute__((tls_model("initial-exec")));

void doms_pmd_init(void);
void doms_pmd_register(struct doms_rxq *);
void doms_pmd_forget(struct doms_rxq *);
void doms_pmd_kick(void);
void doms_pmd_expect_reload(void);
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
