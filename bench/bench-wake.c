/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How late the first frame is after silence.
 *
 *     bench-wake -S SOCKET [-n PAIRS] [-p PREFIX] [-w SAMPLES] [-g SILENCE_MS]
 *                [-i bell|sleep|spin|control] [-m MAX_SLEEP_US] [-k CASE]
 *
 * Guest PREFIXs0 sends to guest PREFIXr0, PREFIXs1 to PREFIXr1 and so on, each
 * one frame after SILENCE_MS (1000) in which neither it nor its receiver had
 * any.  The pairs take turns, so that the switch itself is silent for
 * SILENCE_MS / PAIRS.  Receivers wait as a program of a user does: on the
 * doorbell, sleeping up to MAX_SLEEP_US without it, or spinning.  The control
 * has no switch: a byte goes through a socket to a thread on CPU 1, which
 * blocks, and through another to the receiver, which blocks too.  What that
 * takes is the machine's.
 *
 * Prints one line, with the time from before the frame was built until the
 * receiver's thread had it.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/placement.h"
#include "guestfront/lib/domsfront.h"

#define MAX_PAIRS 64
#define MAX_SAMPLES 100000
#define FRAME_SIZE 64
#define SET_UP_NS (UINT64_C(20) * 1000 * 1000 * 1000)
#define LOST_NS (UINT64_C(1) * 1000 * 1000 * 1000)

struct options {
    const char *socket_path;
    const char *prefix;
    const char *name; /* Of the case, for the line printed. */
    const char *idle; /* How receivers wait. */
    uint32_t max_sleep_us;
    unsigned int n_pairs;
    unsigned int n_samples;
    unsigned int silence_ms;
};

static struct options o = {
    .prefix = "",
    .name = "wake",
    .idle = "bell",
    .max_sleep_us = DOMSFRONT_MAX_SLEEP_US,
    .n_pairs = 10,
    .n_samples = 100,
    .silence_ms = 1000,
};

static struct domsfront *senders[MAX_PAIRS], *receivers[MAX_PAIRS];
static uint64_t received_ns; /* Atomic: when the last frame was. */
static bool stop;            /* Atomic. */
static uint32_t samples[MAX_SAMPLES];

static void
fail(const char *what)
{
    fprintf(stderr, "bench-wake: %s\n", what);
    exit(EXIT_FAILURE);
}

static void
parse_options(int argc, char *argv[])
{
    int opt;

    while ((opt = getopt(argc, argv, "S:n:p:w:g:i:m:k:")) != -1) {
        switch (opt) {
        case 'S':
            o.socket_path = optarg;
            break;
        case 'n':
            o.n_pairs = atoi(optarg);
            break;
        case 'p':
            o.prefix = optarg;
            break;
        case 'w':
            o.n_samples = atoi(optarg);
            break;
        case 'g':
            o.silence_ms = atoi(optarg);
            break;
        case 'i':
            o.idle = optarg;
            break;
        case 'm':
            o.max_sleep_us = atoi(optarg);
            break;
        case 'k':
            o.name = optarg;
            break;
        default:
            fail("see bench/README.md for the options");
        }
    }
    if ((!o.socket_path && strcmp(o.idle, "control")) || !o.n_pairs
        || o.n_pairs > MAX_PAIRS || !o.n_samples
        || o.n_samples > MAX_SAMPLES) {
        fail("-S is needed, and PAIRS and SAMPLES within the limits");
    }
}

static struct domsfront *
open_front(const char *role, unsigned int i)
{
    char name[64];
    struct domsfront_config config = {
        .socket_path = o.socket_path,
        .name = name,
        .features = strcmp(o.idle, "bell") ? 0 : DOMSFRONT_F_DOORBELL,
    };
    struct domsfront *front;

    snprintf(name, sizeof name, "%s%s%u", o.prefix, role, i);
    if (domsfront_open(&config, &front)) {
        fail(domsfront_last_error());
    }
    return front;
}

static void
attach(void)
{
    uint64_t deadline = bench_now_ns() + SET_UP_NS;
    bool all_up;

    for (unsigned int i = 0; i < o.n_pairs; i++) {
        senders[i] = open_front("s", i);
        receivers[i] = open_front("r", i);
    }
    do {
        all_up = true;
        for (unsigned int i = 0; i < o.n_pairs; i++) {
            domsfront_run(senders[i]);
            domsfront_run(receivers[i]);
            all_up = all_up && domsfront_queue_is_up(senders[i], 0)
                     && domsfront_queue_is_up(receivers[i], 0);
        }
        if (bench_now_ns() > deadline) {
            fail("no ports for the guests");
        }
    } while (!all_up);
}

/* Receives.  Looks after all receivers. */
static void *
receiver_main(void *arg)
{
    struct domsfront_idle_config config = {
        .spin_us = strcmp(o.idle, "spin") ? DOMSFRONT_SPIN_US : UINT32_MAX,
        .max_sleep_us = o.max_sleep_us,
        .block_after_us = DOMSFRONT_BLOCK_AFTER_US,
    };
    struct domsfront_ref refs[2 * MAX_PAIRS];
    struct domsfront_frame frames[32];
    struct domsfront_idle *idle;

    (void) arg;
    prctl(PR_SET_TIMERSLACK, 1000);
    if (domsfront_idle_open(&config, &idle)) {
        fail(domsfront_last_error());
    }
    for (unsigned int i = 0; i < o.n_pairs; i++) {
        refs[2 * i] = (struct domsfront_ref){ receivers[i], 0 };
        refs[2 * i + 1] = (struct domsfront_ref){ receivers[i],
                                                  DOMSFRONT_CONTROL };
    }
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        bool worked = false;

        for (unsigned int i = 0; i < o.n_pairs; i++) {
            if (domsfront_rx_burst(receivers[i], 0, frames, 32)) {
                __atomic_store_n(&received_ns, bench_now_ns(),
                                 __ATOMIC_RELEASE);
                domsfront_rx_release(receivers[i], 0);
                worked = true;
            }
            domsfront_run(receivers[i]);
        }
        domsfront_idle_wait(idle, refs, 2 * o.n_pairs, NULL, 0, worked,
                            100000);
    }
    domsfront_idle_close(idle);
    return NULL;
}

/* The control. */

static int to_relay[2], to_receiver[2];

static void *
relay_main(void *arg)
{
    char c;

    (void) arg;
    while (read(to_relay[1], &c, 1) == 1
           && write(to_receiver[0], &c, 1) == 1) {
        continue;
    }
    return NULL;
}

static void *
control_receiver_main(void *arg)
{
    char c;

    (void) arg;
    while (read(to_receiver[1], &c, 1) == 1 && c) {
        __atomic_store_n(&received_ns, bench_now_ns(), __ATOMIC_RELEASE);
    }
    return NULL;
}

static void
start_control(pthread_t *receiver)
{
    pthread_t relay;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, to_relay)
        || socketpair(AF_UNIX, SOCK_STREAM, 0, to_receiver)
        || bench_thread_on(1, &relay, relay_main, NULL)
        || pthread_create(receiver, NULL, control_receiver_main, NULL)) {
        fail("no sockets or threads, or no CPU 1");
    }
    pthread_detach(relay);
}

static void
sleep_until(uint64_t ns)
{
    struct timespec ts = { .tv_sec = ns / 1000000000,
                           .tv_nsec = ns % 1000000000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)) {
        continue;
    }
}

static void
send_frame(struct domsfront *front)
{
    static uint8_t frame[FRAME_SIZE] = { 0xff, 0xff, 0xff, 0xff, 0xff,
                                         0xff, 0x02, 0,    0,    0,
                                         0,    1,    0x88, 0xb5 };
    void *place;

    if (domsfront_tx_reserve(front, 0, sizeof frame, false, &place)) {
        fail("the switch has gone");
    }
    memcpy(place, frame, sizeof frame);
    domsfront_tx_commit(front, 0, sizeof frame, NULL);
    domsfront_tx_flush(front, 0);
}

/* Sends one frame from 'front', or a byte if it is NULL, and waits for it at
 * the other end.  Returns how long it took, or 0 if it was lost. */
static uint64_t
send_one(struct domsfront *front)
{
    uint64_t sent = bench_now_ns();
    uint64_t received;

    if (front) {
        send_frame(front);
    } else if (write(to_relay[0], "x", 1) != 1) {
        fail("the control has ended");
    }
    do {
        usleep(200);
        received = __atomic_load_n(&received_ns, __ATOMIC_ACQUIRE);
    } while (received < sent && bench_now_ns() - sent < LOST_NS);
    return received >= sent ? received - sent : 0;
}

/* Takes the samples.  Returns how many were lost, and their number in '*n'. */
static unsigned int
take_samples(unsigned int *n)
{
    unsigned int n_lost = 0;
    uint64_t next;

    *n = 0;
    next = bench_now_ns() + UINT64_C(1000000) * o.silence_ms;
    /* Each pair's first frame makes the switch learn a flow: it does not
     * count. */
    for (unsigned int i = 0; i < o.n_samples + o.n_pairs; i++) {
        uint64_t ns;

        sleep_until(next);
        next += UINT64_C(1000000) * o.silence_ms / o.n_pairs;
        for (unsigned int j = 0; j < o.n_pairs && senders[j]; j++) {
            domsfront_run(senders[j]);
        }
        ns = send_one(senders[i % o.n_pairs]);
        if (i >= o.n_pairs && ns) {
            samples[(*n)++] = ns < UINT32_MAX ? ns : UINT32_MAX;
        }
        n_lost += !ns;
    }
    return n_lost;
}

static void
run_control(pthread_t *receiver, unsigned int *n, unsigned int *n_lost)
{
    start_control(receiver);
    *n_lost = take_samples(n);
    close(to_relay[0]);
    if (write(to_receiver[0], "", 1) == 1) {
        pthread_join(*receiver, NULL);
    }
}

static void
run_switch(pthread_t *receiver, unsigned int *n, unsigned int *n_lost)
{
    attach();
    if (pthread_create(receiver, NULL, receiver_main, NULL)) {
        fail("no thread");
    }
    *n_lost = take_samples(n);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(*receiver, NULL);
    for (unsigned int i = 0; i < o.n_pairs; i++) {
        domsfront_close(senders[i]);
        domsfront_close(receivers[i]);
    }
}

int
main(int argc, char *argv[])
{
    unsigned int n, n_lost;
    pthread_t receiver;

    parse_options(argc, argv);
    if (!strcmp(o.idle, "control")) {
        run_control(&receiver, &n, &n_lost);
    } else {
        run_switch(&receiver, &n, &n_lost);
    }
    if (!n) {
        fail("all frames were lost");
    }
    bench_sort(samples, n);
    printf("bench case=%s idle=%s silence_ms=%u samples=%u p50_us=%.1f "
           "p99_us=%.1f max_us=%.1f lost=%u\n",
           o.name, o.idle, o.silence_ms, n, samples[n / 2] / 1e3,
           samples[n - 1 - n / 100] / 1e3, samples[n - 1] / 1e3, n_lost);
    return EXIT_SUCCESS;
}
