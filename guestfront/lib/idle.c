/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "control.h"
#include "front.h"

/* The first sleep. */
#define FIRST_SLEEP_US 5

/* The longest sleep while a queue has no channel: so late a thread that is not
 * the control thread may learn that the channel is up. */
#define DOWN_SLEEP_US 100000

/* The longest block.  Only a lost ring of the doorbell ever lasts so long. */
#define BLOCK_US 1000000

/* While there are frames or the thread spins, the caller's file descriptors
 * are looked at this often. */
#define CALLS_A_POLL 64

struct domsfront_idle {
    struct domsfront_idle_config config;
    uint64_t since;         /* When the last frame was. */
    uint32_t sleep_us;      /* The last sleep, 0 if none since. */
    unsigned int calls;     /* Since the last ppoll(). */
    struct pollfd *polls;   /* What ppoll() gets. */
    unsigned int allocated; /* Entries of 'polls'. */
};

/* Makes the waiting of one thread, as 'config' says, or as is usual if it is
 * NULL, and points '*idlep' to it.  Returns 0, EINVAL or ENOMEM. */
int
domsfront_idle_open(const struct domsfront_idle_config *config,
                    struct domsfront_idle **idlep)
{
    struct domsfront_idle *idle;

    *idlep = NULL;
    if (config && !config->max_sleep_us) {
        return df_fail(EINVAL, "longest sleep is 0; use at least 1 us");
    }
    idle = calloc(1, sizeof *idle);
    if (!idle) {
        return df_fail(ENOMEM, "out of memory");
    }
    idle->config = config ? *config
                          : (struct domsfront_idle_config){
                                .spin_us = DOMSFRONT_SPIN_US,
                                .max_sleep_us = DOMSFRONT_MAX_SLEEP_US,
                                .block_after_us = DOMSFRONT_BLOCK_AFTER_US,
                            };
    idle->since = df_now();
    *idlep = idle;
    return 0;
}

/* Frees 'idle', which may be NULL. */
void
domsfront_idle_close(struct domsfront_idle *idle)
{
    if (idle) {
        free(idle->polls);
        free(idle);
    }
}

static void
cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void
at_most(int64_t *us, int64_t limit)
{
    if (limit >= 0 && (*us < 0 || limit < *us)) {
        *us = limit;
    }
}

static bool
is_broken(const struct df_queue *q)
{
    return q->dq.rx.broken || q->dq.tx.broken;
}

/* Prepares to wait for queue 'ref', with its file descriptor in '*pfd'.
 * Returns false if there is something to read. */
static bool
prepare_queue(const struct domsfront_idle *idle,
              const struct domsfront_ref *ref, bool block, struct pollfd *pfd,
              int64_t *us)
{
    struct df_queue *q = df_enter(ref->front, ref->queue);

    if (!q || is_broken(q)) {
        at_most(us, DOWN_SLEEP_US);
    } else if (doms_ring_poll(&q->dq.rx, 1)) {
        return false;
    } else if (q->bell_wait < 0 || q->bell_dead) {
        at_most(us, idle->config.max_sleep_us);
    } else if (block) {
        if (!doms_queue_fall_asleep(&q->dq)) {
            return false;
        }
        pfd->fd = q->bell_wait;
        pfd->events = POLLIN;
    }
    return true;
}

/* Ends what prepare_queue() did.  The thread made no other call in between, so
 * the mapping is the same. */
static void
finish_queue(const struct domsfront_ref *ref, const struct pollfd *pfd)
{
    if (pfd->fd >= 0) {
        struct df_queue *q = &ref->front->queues[ref->queue];

        doms_queue_wake_up(&q->dq);
        if (pfd->revents & POLLIN && df_bell_drain(pfd->fd)) {
            df_count(&q->counters.bells_heard, 1);
        } else if (pfd->revents) {
            /* The switch is gone, or it closed its end, which must not make
             * this a busy loop. */
            q->bell_dead = true;
        }
    }
}

/* Waits up to 'us' microseconds, no limit if negative. */
static void
poll_for(struct pollfd *polls, unsigned int n, int64_t us)
{
    struct timespec ts = { .tv_sec = us / 1000000,
                           .tv_nsec = us % 1000000 * 1000 };

    if (ppoll(polls, n, us < 0 ? NULL : &ts, NULL) < 0) {
        for (unsigned int i = 0; i < n; i++) {
            polls[i].revents = 0;
        }
    }
}

/* Waits up to 'us' microseconds for any of 'refs' and 'fds'.  With 'block',
 * waits for doorbells rather than for 'us', where there are any. */
static void
wait_for_all(struct domsfront_idle *idle, const struct domsfront_ref *refs,
             unsigned int n_refs, struct pollfd *fds, unsigned int n_fds,
             bool block, int64_t us)
{
    struct pollfd *polls = idle->polls;
    unsigned int n = 0;
    bool quiet = true;

    for (; n < n_refs && quiet; n++) {
        struct pollfd *pfd = &polls[n];

        pfd->fd = -1;
        pfd->events = pfd->revents = 0;
        if (refs[n].queue == DOMSFRONT_CONTROL) {
            at_most(&us, domsfront_get_pollfd(refs[n].front, pfd));
        } else {
            quiet = prepare_queue(idle, &refs[n], block, pfd, &us);
        }
    }
    for (unsigned int i = 0; i < n_fds; i++) {
        polls[n + i] = fds[i];
    }
    poll_for(polls, n + n_fds, quiet ? us : 0);
    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i].revents = polls[n + i].revents;
    }
    for (unsigned int i = 0; i < n; i++) {
        if (refs[i].queue != DOMSFRONT_CONTROL) {
            finish_queue(&refs[i], &polls[i]);
        } else if (polls[i].revents) {
            refs[i].front->next_recv = 0;
        }
    }
    idle->calls = 0;
}

/* Makes room for 'n' entries in 'idle->polls'.  Returns false if there is no
 * memory. */
static bool
make_room(struct domsfront_idle *idle, unsigned int n)
{
    if (n > idle->allocated) {
        struct pollfd *polls = realloc(idle->polls, n * sizeof *polls);

        if (!polls) {
            return false;
        }
        idle->polls = polls;
        idle->allocated = n;
    }
    return true;
}

/* Waits, as long as is right, for something to happen on any of the 'n_refs'
 * queues and controls in 'refs', or on any of the 'n_fds' file descriptors in
 * 'fds', whose 'revents' it sets.  'fds' may be NULL if 'n_fds' is 0.
 *
 * The caller says with 'worked' whether it had anything to do since the last
 * call.  If so, the call returns at once; else it waits longer and longer, but
 * never for more than 'max_us' microseconds, unless that is negative.
 *
 * 'revents' are looked at in each call that sleeps, and now and then in the
 * others, where they are zero otherwise.  A return means nothing by itself:
 * the caller looks at its queues and calls again. */
void
domsfront_idle_wait(struct domsfront_idle *idle,
                    const struct domsfront_ref *refs, unsigned int n_refs,
                    struct pollfd *fds, unsigned int n_fds, bool worked,
                    int64_t max_us)
{
    const struct domsfront_idle_config *config = &idle->config;
    uint64_t now = df_now();
    bool block = false;
    int64_t us = 0;

    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i].revents = 0;
    }
    if (!make_room(idle, n_refs + n_fds)) {
        return;
    }
    if (worked) {
        idle->since = now;
        idle->sleep_us = 0;
    }
    if (worked || now - idle->since < config->spin_us) {
        if (++idle->calls < CALLS_A_POLL) {
            if (config->yield && !worked) {
                sched_yield();
            } else {
                cpu_pause();
            }
            return;
        }
    } else {
        block = now - idle->since >= config->block_after_us;
        idle->sleep_us = idle->sleep_us ? idle->sleep_us * 2 : FIRST_SLEEP_US;
        if (idle->sleep_us > config->max_sleep_us) {
            idle->sleep_us = config->max_sleep_us;
        }
        us = block ? BLOCK_US : idle->sleep_us;
    }
    at_most(&us, max_us);
    wait_for_all(idle, refs, n_refs, fds, n_fds, block, us);
}
