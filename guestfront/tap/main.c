/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-tap: makes a TAP device in a network namespace a guest of DomS.
 *
 * The main thread keeps the front connected, serves the first queue, and
 * applies to the device what the switch says.  Each further queue has a thread
 * of its own, started once and for all.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "guestfront/program/detach.h"
#include "guestfront/program/log.h"
#include "options.h"
#include "tap.h"
#include "worker.h"

/* How long a worker sleeps at most while the ring is full. */
#define FULL_SLEEP_US 50

struct doms_tap;

/* The thread of a queue. */
struct queue_thread {
    struct doms_tap *dt;
    struct worker *worker;
    pthread_t id;
};

struct doms_tap {
    const struct options *options;
    struct domsfront *front;
    struct tap tap;
    uint32_t mtu; /* In force; atomic. */
    int stop_fd;  /* An eventfd; readable: the threads are to end. */
    int signal_fd;
    bool stop; /* Atomic. */
    struct worker workers[DOMSFRONT_MAX_QUEUES];
    struct queue_thread threads[DOMSFRONT_MAX_QUEUES]; /* From 1 on. */
};

/* Logs the counters. */
static void
log_counters(const struct doms_tap *dt)
{
    struct worker_drops sum = { 0 };
    struct domsfront_status s;

    for (unsigned int i = 0; i < dt->tap.n_queues; i++) {
        const struct worker_drops *d = &dt->workers[i].drops;

        sum.offload += __atomic_load_n(&d->offload, __ATOMIC_RELAXED);
        sum.too_long += __atomic_load_n(&d->too_long, __ATOMIC_RELAXED);
        sum.down += __atomic_load_n(&d->down, __ATOMIC_RELAXED);
        sum.refused += __atomic_load_n(&d->refused, __ATOMIC_RELAXED);
    }
    domsfront_get_status(dt->front, &s);
#define U(X) ((unsigned long long) (X))
    log_line("%s: to the guest: %llu frames, %llu bytes, dropped: %llu "
             "interface down, %llu not taken by the kernel, %llu bad offload "
             "fields",
             dt->options->name, U(s.counters.rx_frames),
             U(s.counters.rx_bytes), U(sum.down), U(sum.refused),
             U(s.counters.rx_bad_offload));
    log_line("%s: from the guest: %llu frames, %llu bytes, ring full %llu "
             "times, dropped: %llu too long, %llu offload not in force",
             dt->options->name, U(s.counters.tx_frames),
             U(s.counters.tx_bytes), U(s.counters.tx_full), U(sum.too_long),
             U(sum.offload));
    log_line("%s: connected %llu times, rules broken by the switch: %llu, "
             "doorbells: %llu rung, %llu heard",
             dt->options->name, U(s.counters.connects), U(s.counters.faults),
             U(s.counters.bells_rung), U(s.counters.bells_heard));
#undef U
}

/* Applies what the switch says to the device. */
static void
apply_status(struct doms_tap *dt, const struct domsfront_status *s)
{
    bool csum = s->features & DOMSFRONT_F_CSUM;
    bool tso = s->features & DOMSFRONT_F_TSO;

    tap_set_mac(&dt->tap, s->mac);
    if (!tap_set_mtu(&dt->tap, s->mtu)) {
        __atomic_store_n(&dt->mtu, s->mtu, __ATOMIC_RELAXED);
    }
    tap_set_offloads(&dt->tap, csum, tso);
    tap_set_active(&dt->tap, s->n_queues);
    tap_set_carrier(&dt->tap, s->link_up);
}

/* Acts on the DOMSFRONT_EV_* in 'events'. */
static void
handle_events(struct doms_tap *dt, unsigned int events)
{
    const char *name = dt->options->name;
    struct domsfront_status s;

    domsfront_get_status(dt->front, &s);
    if (events & DOMSFRONT_EV_DOWN) {
        tap_set_carrier(&dt->tap, false);
    }
    if (s.state != DOMSFRONT_UP) {
        if (events & (DOMSFRONT_EV_REASON | DOMSFRONT_EV_DOWN)) {
            log_line("%s: not attached: %s", name, s.reason);
        }
        return;
    }
    if (events & (DOMSFRONT_EV_UP | DOMSFRONT_EV_CONFIG)) {
        apply_status(dt, &s);
        log_line("%s: %s: %s, MAC %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, "
                 "queues %u,%s%s%s link %s",
                 name, events & DOMSFRONT_EV_UP ? "attached" : "changed",
                 dt->tap.name, s.mac[0], s.mac[1], s.mac[2], s.mac[3],
                 s.mac[4], s.mac[5], s.mtu, s.n_queues,
                 s.features & DOMSFRONT_F_CSUM ? " checksums," : "",
                 s.features & DOMSFRONT_F_TSO ? " segmentation," : "",
                 s.features & DOMSFRONT_F_DOORBELL ? " doorbell," : "",
                 s.link_up ? "up" : "down");
    }
}

/* Takes a signal.  Returns true if the process is to end. */
static bool
handle_signal(struct doms_tap *dt)
{
    struct signalfd_siginfo info;

    if (read(dt->signal_fd, &info, sizeof info) != sizeof info) {
        return false;
    }
    if (info.ssi_signo == SIGUSR1) {
        log_counters(dt);
        return false;
    }
    return true;
}

static struct domsfront_idle *
make_idle(const struct doms_tap *dt)
{
    struct domsfront_idle *idle;

    /* Short sleeps are to be short. */
    prctl(PR_SET_TIMERSLACK, 1000);
    if (domsfront_idle_open(&dt->options->idle, &idle)) {
        log_error("%s", domsfront_last_error());
        return NULL;
    }
    return idle;
}

/* A thread of a queue other than the first. */
static void *
serve_queue(void *thread_)
{
    struct queue_thread *thread = thread_;
    struct doms_tap *dt = thread->dt;
    struct worker *w = thread->worker;
    struct domsfront_ref ref = { dt->front, w->queue };
    struct domsfront_idle *idle = make_idle(dt);

    if (!idle) {
        return NULL;
    }
    while (!__atomic_load_n(&dt->stop, __ATOMIC_RELAXED)) {
        bool worked = worker_run(w);
        struct pollfd pfds[2];

        worker_poll(w, &pfds[0]);
        pfds[1].fd = dt->stop_fd;
        pfds[1].events = POLLIN;
        domsfront_idle_wait(idle, &ref, 1, pfds, 2, worked,
                            w->full ? FULL_SLEEP_US : -1);
    }
    domsfront_queue_leave(dt->front, w->queue);
    domsfront_idle_close(idle);
    return NULL;
}

/* The main thread.  Returns the process's exit status. */
static int
serve(struct doms_tap *dt)
{
    struct worker *w = &dt->workers[0];
    struct domsfront_ref refs[2] = { { dt->front, 0 },
                                     { dt->front, DOMSFRONT_CONTROL } };
    struct domsfront_idle *idle = make_idle(dt);
    int status = EXIT_SUCCESS;

    while (idle) {
        unsigned int events = domsfront_run(dt->front);
        struct pollfd pfds[2];
        bool worked;

        if (events) {
            handle_events(dt, events);
        }
        worked = worker_run(w);
        worker_poll(w, &pfds[0]);
        pfds[1].fd = dt->signal_fd;
        pfds[1].events = POLLIN;
        domsfront_idle_wait(idle, refs, 2, pfds, 2, worked,
                            w->full ? FULL_SLEEP_US : -1);
        if (w->gone || pfds[0].revents & (POLLERR | POLLNVAL)) {
            log_error("interface '%s' is gone, somebody has removed it or "
                      "its namespace",
                      dt->tap.name);
            status = EXIT_FAILURE;
            break;
        }
        if (pfds[1].revents & POLLIN && handle_signal(dt)) {
            break;
        }
    }
    domsfront_idle_close(idle);
    return idle ? status : EXIT_FAILURE;
}

/* Starts the threads of all queues but the first.  Returns how many run, the
 * first included. */
static unsigned int
start_threads(struct doms_tap *dt)
{
    unsigned int i;

    for (i = 1; i < dt->tap.n_queues; i++) {
        struct queue_thread *thread = &dt->threads[i];
        int error;

        thread->dt = dt;
        thread->worker = &dt->workers[i];
        error = pthread_create(&thread->id, NULL, serve_queue, thread);
        if (error) {
            log_error("queue %u: no thread: %s", i, strerror(error));
            break;
        }
    }
    return i;
}

static void
stop_threads(struct doms_tap *dt, unsigned int n)
{
    uint64_t one = 1;

    __atomic_store_n(&dt->stop, true, __ATOMIC_RELAXED);
    if (write(dt->stop_fd, &one, sizeof one) < 0) {
        log_error("eventfd: %s", strerror(errno));
    }
    for (unsigned int i = 1; i < n; i++) {
        pthread_join(dt->threads[i].id, NULL);
    }
}

/* Makes the file descriptors that end the process's threads.  Returns 0, or -1
 * having said why not. */
static int
make_stops(struct doms_tap *dt)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    dt->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    dt->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (dt->signal_fd < 0 || dt->stop_fd < 0) {
        return log_error("signalfd or eventfd: %s", strerror(errno));
    }
    return 0;
}

/* Makes the device and the front, as 'options' say.  Returns 0, or -1 having
 * said why not. */
static int
set_up(struct doms_tap *dt, const struct options *options)
{
    dt->options = options;
    dt->mtu = 1500;
    if (domsfront_open(&options->config, &dt->front)) {
        return log_error("%s", domsfront_last_error());
    }
    if ((options->netns && enter_netns(options->netns))
        || tap_open(&dt->tap, options->tap, options->config.n_queues)) {
        return -1;
    }
    if (options->up && tap_set_up(&dt->tap)) {
        return -1;
    }
    for (unsigned int i = 0; i < dt->tap.n_queues; i++) {
        struct worker *w = &dt->workers[i];

        w->front = dt->front;
        w->queue = i;
        w->tap_fd = dt->tap.fds[i];
        w->mtu = &dt->mtu;
    }
    return make_stops(dt);
}

int
main(int argc, char *argv[])
{
    static struct doms_tap dt;
    struct options options;
    int status = EXIT_FAILURE;

    log_open("doms-tap");
    parse_options(argc, argv, &options);
    if (set_up(&dt, &options)) {
        return EXIT_FAILURE;
    }
    if (options.detach && detach_start()) {
        return EXIT_FAILURE;
    }
    if (options.pidfile && pidfile_make(options.pidfile)) {
        return EXIT_FAILURE;
    }
    if (options.detach) {
        detach_finish();
    }

    unsigned int n = start_threads(&dt);

    if (n == dt.tap.n_queues) {
        status = serve(&dt);
    }
    stop_threads(&dt, n);
    domsfront_close(dt.front);
    tap_close(&dt.tap);
    if (options.pidfile) {
        pidfile_remove(options.pidfile);
    }
    return status;
}
