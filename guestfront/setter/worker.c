/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "guestfront/program/log.h"

/* While there are frames, how often the worker looks at anything else. */
#define ROUNDS_A_LOOK 16

/* A worker that yields does so after a round that moved fewer frames than that,
 * since there will hardly be more, ... */
#define FRAMES_A_ROUND 16

/* ... and at the latest after so many rounds: whoever shares its CPU finds what
 * was moved while it is still in the cache, and rings do not become full. */
#define ROUNDS_A_YIELD 8

/* If it has nothing for the switch, the next frame of a VM's is waited for
 * during so many rounds, a microsecond or two.  Else most frames would come
 * while the CPU is on its way from one to the other and back. */
#define VAIN_ROUNDS_A_YIELD 16

/* How long a worker sleeps at most while a ring to the switch is full. */
#define FULL_SLEEP_US 50

static uint64_t
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
}

/* Makes '*w', which is to run on 'cpu', or anywhere if that is negative.
 * Returns 0, or an errno value having said why. */
int
worker_init(struct worker *w, const struct worker_config *config, int cpu)
{
    memset(w, 0, sizeof *w);
    w->config = config;
    w->cpu = cpu;
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    sem_init(&w->begun, 0, 0);
    if (w->epoll_fd < 0 || w->wake_fd < 0) {
        log_error("epoll or eventfd: %s", strerror(errno));
        return errno;
    }
    return caller_init(&w->caller);
}

/* Gives 'q' to 'w', which must not have been started.  Returns 0, or ENOMEM
 * having said so. */
int
worker_add(struct worker *w, struct queue *q)
{
    size_t n = w->n + 1;
    struct queue **queues = realloc(w->queues, n * sizeof *queues);
    struct domsfront_ref *refs;

    if (queues) {
        w->queues = queues;
    }
    refs = realloc(w->refs, n * sizeof *refs);
    if (refs) {
        w->refs = refs;
    }
    if (!queues || !refs) {
        log_error("out of memory");
        return ENOMEM;
    }
    q->worker = w;
    q->caller = &w->caller;
    w->queues[w->n] = q;
    w->n = n;
    return 0;
}

/* Has the worker of 'q' wait for 'fd' too, or no longer. */
void
worker_watch(struct queue *q, int fd, bool on)
{
    /* Edges only, so that nobody need read the eventfd, which a hostile front
     * end could make a wait. */
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };

    epoll_ctl(q->worker->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd,
              &event);
}

/* Ends the waiting of the worker of 'q'. */
void
worker_wake(struct queue *q)
{
    uint64_t one = 1;

    if (write(q->worker->wake_fd, &one, sizeof one) < 0) {
        /* It is full, so the worker wakes up. */
    }
}

/* Polls all queues of 'w' once.  Returns how many frames that moved, and sets
 * '*has_sent' if some of them went to the switch. */
static unsigned int
poll_queues(struct worker *w, bool *has_sent)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < w->n; i++) {
        n += queue_poll(w->queues[i]);
        *has_sent |= w->queues[i]->has_sent;
    }
    return n;
}

/* Returns true if a queue of 'w' waits for room in the switch's ring. */
static bool
is_stuck(const struct worker *w)
{
    for (unsigned int i = 0; i < w->n; i++) {
        if (w->queues[i]->full) {
            return true;
        }
    }
    return false;
}

/* Puts the queues of 'w' that wait for the switch into 'refs', and returns
 * their number.  One that has frames which its VM has no buffers for waits for
 * the VM alone. */
static unsigned int
list_refs(struct worker *w)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < w->n; i++) {
        struct queue *q = w->queues[i];

        if (!q->n_held) {
            w->refs[n++] = (struct domsfront_ref){ q->front, q->index };
        }
    }
    return n;
}

/* Asks all VMs of 'w' for notifications.  Returns false if there is something
 * to do already. */
static bool
arm_queues(struct worker *w)
{
    for (unsigned int i = 0; i < w->n; i++) {
        if (!queue_arm(w->queues[i])) {
            return false;
        }
    }
    return true;
}

/* Waits, after a round that 'worked' or not; '*idle_since' is when the last
 * one was that did, or 0. */
static void
wait(struct worker *w, struct domsfront_idle *idle, bool worked,
     uint64_t *idle_since)
{
    const struct domsfront_idle_config *c = &w->config->idle;
    int64_t max_us = c->max_sleep_us;
    struct pollfd fds[2] = { { .fd = w->epoll_fd, .events = POLLIN },
                             { .fd = w->wake_fd, .events = POLLIN } };
    uint64_t now = now_us();

    if (worked) {
        *idle_since = 0;
    } else if (!*idle_since) {
        *idle_since = now;
    } else if (is_stuck(w)) {
        max_us = FULL_SLEEP_US;
    } else if (now - *idle_since >= c->block_after_us) {
        if (!arm_queues(w)) {
            return;
        }
        max_us = -1;
    }
    if (w->config->yield && now - *idle_since < c->spin_us) {
        return;
    }
    domsfront_idle_wait(idle, w->refs, list_refs(w), fds, 2, worked, max_us);
    if (fds[0].revents) {
        struct epoll_event events[16];

        epoll_wait(w->epoll_fd, events, 16, 0);
    }
    if (fds[1].revents) {
        uint64_t value;

        if (read(w->wake_fd, &value, sizeof value) < 0) {
            /* Somebody's write has come and gone. */
        }
    }
}

/* Returns true if a worker that yields is to do so now: the last of 'n_rounds'
 * since it did last has moved 'n' frames, and any of them have sent something
 * to the switch or not. */
static bool
is_turn_over(unsigned int n, bool has_sent, unsigned int n_rounds)
{
    return n >= FRAMES_A_ROUND ? n_rounds >= ROUNDS_A_YIELD
                               : has_sent || n_rounds >= VAIN_ROUNDS_A_YIELD;
}

static void *
run(void *worker_)
{
    struct worker *w = worker_;
    struct domsfront_idle *idle;
    uint64_t idle_since = 0;
    unsigned int rounds = 0, unyielded = 0; /* The latter since a yield. */
    bool has_sent = false;                  /* Since a yield. */

    /* Short sleeps are to be short. */
    prctl(PR_SET_TIMERSLACK, 1000);
    if (domsfront_idle_open(&w->config->idle, &idle)) {
        log_error("%s", domsfront_last_error());
        idle = NULL;
    }
    sem_post(&w->begun);
    if (!idle) {
        return NULL;
    }
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        unsigned int n = poll_queues(w, &has_sent);

        if (!n || ++rounds % ROUNDS_A_LOOK == 0) {
            wait(w, idle, n > 0, &idle_since);
        }
        if (w->config->yield && is_turn_over(n, has_sent, ++unyielded)) {
            unyielded = 0;
            has_sent = false;
            sched_yield();
        }
    }
    for (unsigned int i = 0; i < w->n; i++) {
        domsfront_queue_leave(w->queues[i]->front, w->queues[i]->index);
    }
    domsfront_idle_close(idle);
    return NULL;
}

/* Starts the thread of 'w'.  Returns 0, or an errno value having said why. */
int
worker_start(struct worker *w)
{
    cpu_set_t cpus;
    int error = pthread_create(&w->id, NULL, run, w);

    if (error) {
        log_error("no thread: %s", strerror(error));
        return error;
    }
    w->started = true;
    while (sem_wait(&w->begun)) {
    }
    if (w->cpu >= 0) {
        CPU_ZERO(&cpus);
        CPU_SET(w->cpu, &cpus);
        error = pthread_setaffinity_np(w->id, sizeof cpus, &cpus);
        if (error) {
            log_error("CPU %d: %s; see 'lscpu' for those there are", w->cpu,
                      strerror(error));
        }
    }
    pthread_setname_np(w->id, "setter");
    return error;
}

/* Ends the thread of 'w', and frees what it has. */
void
worker_stop(struct worker *w)
{
    uint64_t one = 1;

    if (w->started) {
        __atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
        if (write(w->wake_fd, &one, sizeof one) < 0) {
            /* It is full, so the worker wakes up. */
        }
        pthread_join(w->id, NULL);
    }
    sem_destroy(&w->begun);
    close(w->epoll_fd);
    close(w->wake_fd);
    caller_destroy(&w->caller);
    free(w->queues);
    free(w->refs);
}
