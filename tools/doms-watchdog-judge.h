/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What doms-watchdog makes of what it sees: when DomS is to be destroyed and
 * when it is to be created.
 *
 * A state machine without hands, eyes or a clock.  Whoever drives it tells it
 * what there is to see and what time it is, and does what it says.
 *
 *     absent ----- create -----> creating -----> booting ---beats---> up
 *       ^  ^                        |               |  ^               | |
 *       |  '--- (a pause) ----------'               |  '-- new page ---' |
 *       |                                           v                    |
 *       '------------ destroying <-- no beat in time, crashed, hung -----'
 *
 * - A domain that has gone is created anew at once; one that has crashed, shut
 *   down, or does not beat, is destroyed first.
 * - The first restart after a stable life has no pause before it.  Each
 *   further one without a stable life in between waits twice as long as the
 *   one before it.
 * - After too many restarts within the window the judge gives up, until
 *   watch_retry() or until somebody else has created the domain.
 * - A new page of heartbeats is a switch that was started anew inside DomS,
 *   which has the time of a boot to beat.  More new pages without a beat win
 *   no more time.
 * - Time in which the watchdog itself did not run is not held against DomS.
 *
 * Thread-safety: none; no globals.
 */

#ifndef TOOLS_DOMS_WATCHDOG_JUDGE_H
#define TOOLS_DOMS_WATCHDOG_JUDGE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "xen-conf.h"
#include "xen-dom.h"

struct svec;

enum watch_state {
    WATCH_ABSENT,     /* There is no DomS. */
    WATCH_CREATING,   /* It is being created. */
    WATCH_BOOTING,    /* It is there, and its switch has not beaten yet. */
    WATCH_UP,         /* Its switch beats. */
    WATCH_DESTROYING, /* It is being destroyed. */
    WATCH_PAUSE,      /* There is none, and it is too early for another. */
    WATCH_GAVE_UP,    /* There is none, and there was too much of this. */
};

const char *watch_state_name(enum watch_state);

/* What to do. */
enum watch_action {
    WATCH_NOTHING, /* Nothing. */
    WATCH_CREATE,  /* Create the domain. */
    WATCH_DESTROY, /* Destroy it. */
};

/* What there is to see at one moment. */
struct watch_sight {
    bool can_create;        /* Is there a configuration to create it from? */
    bool busy;              /* Is what was to be done last still going on? */
    bool failed;            /* Has it failed?  Only looked at once it ended. */
    unsigned int domid;     /* The domain, or 0 if there is none. */
    enum xen_dom_life life; /* How it is. */
    uint64_t page;          /* The page of heartbeats: another number for each
                             * that was ever mapped; 0 if there is none. */
    uint64_t beat;          /* The heartbeat in it. */
};

/* Restarts remembered for the limit. */
#define WATCH_HISTORY 64

struct watch {
    const struct xen_conf *conf; /* The limits; may change at any time. */
    enum watch_state state;      /* What it knows. */
    char reason[160];            /* Why the last life ended, or "". */
    long long int last_run;      /* When it last ran, or 0. */

    /* The life of the domain. */
    unsigned int domid;     /* The domain, or 0. */
    long long int since;    /* When it was seen first, or its page changed. */
    long long int up_since; /* When its switch beat first, or 0. */
    long long int last_dying; /* When it was first seen dying, or 0. */
    uint64_t page;            /* The page of heartbeats, or 0. */
    uint64_t beat;            /* The last heartbeat. */
    long long int beat_at;    /* When that was seen first. */

    /* Restarts. */
    bool failing;             /* Has a life ended, and no new one beaten? */
    long long int failed_at;  /* If so, since when. */
    unsigned int n_failures;  /* Ends without a stable life between. */
    long long int next_start; /* Not to be created before. */
    uint64_t n_restarts;      /* Restarts in all. */
    long long int history[WATCH_HISTORY]; /* When the last ones were. */
    long long int last_outage; /* Milliseconds from the end of a life to the
                                  * next one's first beat; -1 if none. */
};

void watch_init(struct watch *, const struct xen_conf *);

/* Judges 'sight' at the time 'now', in milliseconds.  Adds to 'log' a line for
 * each thing that it notices or decides.  Returns what to do. */
enum watch_action watch_run(struct watch *, const struct watch_sight *sight,
                            long long int now, struct svec *log);

/* Returns when watch_run() has to be called again at the latest if nothing
 * changes but heartbeats; LLONG_MAX if never. */
long long int watch_next(const struct watch *);

/* Forgets the restarts there were, so that it goes on. */
void watch_retry(struct watch *);

/* Returns the restarts within the window before 'now'. */
unsigned int watch_recent(const struct watch *, long long int now);

#endif /* tools/doms-watchdog-judge.h */
