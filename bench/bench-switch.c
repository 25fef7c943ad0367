/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the switch is: a frame generator that is two guests of domsd.
 *
 *     bench-switch -S SOCKET -a NAME -b NAME [-s SIZE] [-t SECONDS] [-c CPU]
 *                  [-C SWITCH_CPU] [-p] [-k CASE]
 *
 * Guest A sends and guest B receives, both on one CPU, by libdomsfront, as a
 * program of a user would: frames are built in the ring (reserve, commit), or
 * with -p copied from a private buffer, in bursts of 32; of each received
 * frame the first cache line is read.  No more frames are under way than the
 * rings hold, so none is lost; one that is lost all the same is reported.
 * Then frames go one at a time, for the round trip A to B and back.
 *
 * Prints one line; see bench/README.md.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/placement.h"
#include "guestfront/lib/domsfront.h"

#define BURST 32       /* Frames sent at once. */
#define RX_BURST 128   /* Frames received at once, at most. */
#define MAX_WINDOW 768 /* Frames under way at most. */
#define N_TRIPS 20000  /* Round trips. */
#define SET_UP_NS (UINT64_C(10) * 1000 * 1000 * 1000)

struct options {
    const char *socket_path;
    const char *names[2];
    const char *name;     /* Of the case, for the line printed. */
    unsigned int size;    /* Bytes of a frame. */
    double seconds;       /* Of sending. */
    int cpu;              /* Of both guests. */
    int switch_cpu;       /* Of the PMD thread. */
    bool private_buffers; /* Copy frames in. */
    unsigned int window;  /* Frames under way: as many as one ring surely
                           * holds, so that none is lost. */
};

struct result {
    uint64_t n_sent;
    uint64_t n_received;
    double seconds;
    uint32_t p50_ns, p99_ns, p999_ns;
    uint32_t checksum; /* Keeps the loads of received frames alive. */
};

static struct domsfront *fronts[2];
static uint8_t frame_ab[2048], frame_ba[2048];

static void
fail(const char *what)
{
    fprintf(stderr, "bench-switch: %s\n", what);
    exit(EXIT_FAILURE);
}

/* Attaches both guests. */
static void
attach(struct options *o)
{
    uint64_t deadline = bench_now_ns() + SET_UP_NS;
    struct domsfront_status status[2];

    for (int i = 0; i < 2; i++) {
        struct domsfront_config config = {
            .socket_path = o->socket_path,
            .name = o->names[i],
            .features = DOMSFRONT_F_DOORBELL,
        };

        if (domsfront_open(&config, &fronts[i])) {
            fail(domsfront_last_error());
        }
    }
    do {
        for (int i = 0; i < 2; i++) {
            domsfront_run(fronts[i]);
            domsfront_get_status(fronts[i], &status[i]);
        }
        if (bench_now_ns() > deadline) {
            fail(status[0].reason[0] ? status[0].reason
                                     : "no port for the guests");
        }
    } while (status[0].state != DOMSFRONT_UP
             || status[1].state != DOMSFRONT_UP);
    if (o->size > status[0].mtu + 14u) {
        fail("SIZE is above the port's MTU");
    }

    o->window = status[1].arena_size / 8 * 7 / (o->size + 16);
    if (o->window > MAX_WINDOW) {
        o->window = MAX_WINDOW;
    }

    /* Ethernet with a local experimental type: no stack takes part. */
    memcpy(frame_ab, status[1].mac, 6);
    memcpy(frame_ab + 6, status[0].mac, 6);
    memcpy(frame_ba, status[0].mac, 6);
    memcpy(frame_ba + 6, status[1].mac, 6);
    frame_ab[12] = frame_ba[12] = 0x88;
    frame_ab[13] = frame_ba[13] = 0xb5;
}

/* Puts one frame into the ring of 'front'.  Returns false if it is full. */
static inline bool
put_frame(struct domsfront *front, const uint8_t *frame,
          const struct options *o)
{
    void *place;

    if (domsfront_tx_reserve(front, 0, o->size, false, &place)) {
        return false;
    }
    /* A program that makes frames writes them here at once; one that has them
     * elsewhere copies every byte. */
    memcpy(place, frame, o->private_buffers ? o->size : 64);
    domsfront_tx_commit(front, 0, o->size, NULL);
    return true;
}

/* Receives what is there.  Returns the number of frames. */
static inline unsigned int
take_frames(struct domsfront *front, uint32_t *checksum)
{
    struct domsfront_frame frames[RX_BURST];
    unsigned int n = domsfront_rx_burst(front, 0, frames, RX_BURST);

    for (unsigned int i = 0; i < n; i++) {
        *checksum += *(const volatile uint32_t *) frames[i].data;
    }
    if (n) {
        domsfront_rx_release(front, 0);
    }
    return n;
}

static void
bench_rate(const struct options *o, struct result *r)
{
    uint64_t start = bench_now_ns();
    uint64_t end = start + o->seconds * 1e9;
    uint64_t now = start, last_received;

    while (now < end) {
        for (int i = 0; i < 256; i++) {
            unsigned int n;

            if (r->n_sent - r->n_received <= o->window - BURST) {
                for (n = 0; n < BURST && put_frame(fronts[0], frame_ab, o);
                     n++) {
                    continue;
                }
                domsfront_tx_flush(fronts[0], 0);
                r->n_sent += n;
            }
            n = take_frames(fronts[1], &r->checksum);
            r->n_received += n;
        }
        now = bench_now_ns();
    }
    r->seconds = (now - start) / 1e9;

    last_received = now;
    while (r->n_received < r->n_sent && now - last_received < 200000000) {
        unsigned int n = take_frames(fronts[1], &r->checksum);

        r->n_received += n;
        now = bench_now_ns();
        last_received = n ? now : last_received;
    }
}

/* Sends one frame and waits for it. */
static void
hop(struct domsfront *from, struct domsfront *to, const uint8_t *frame,
    const struct options *o, struct result *r)
{
    uint64_t start = bench_now_ns();

    put_frame(from, frame, o);
    domsfront_tx_flush(from, 0);
    for (unsigned int i = 0; !take_frames(to, &r->checksum); i++) {
        if (!(i & 0xffff) && bench_now_ns() - start > SET_UP_NS) {
            fail("a frame of the round trip was lost");
        }
    }
}

static void
bench_round_trip(const struct options *o, struct result *r)
{
    static uint32_t trips[N_TRIPS];

    for (int i = 0; i < N_TRIPS; i++) {
        uint64_t start = bench_now_ns();

        hop(fronts[0], fronts[1], frame_ab, o, r);
        hop(fronts[1], fronts[0], frame_ba, o, r);
        trips[i] = bench_now_ns() - start;
    }
    bench_sort(trips, N_TRIPS);
    r->p50_ns = trips[N_TRIPS / 2];
    r->p99_ns = trips[N_TRIPS / 100 * 99];
    r->p999_ns = trips[N_TRIPS / 1000 * 999];
}

static void
parse_options(int argc, char *argv[], struct options *o)
{
    int opt;

    *o = (struct options){
        .name = "switch",
        .size = 64,
        .seconds = 1,
        .switch_cpu = 1,
    };
    while ((opt = getopt(argc, argv, "S:a:b:s:t:c:C:pk:")) != -1) {
        switch (opt) {
        case 'S':
            o->socket_path = optarg;
            break;
        case 'a':
            o->names[0] = optarg;
            break;
        case 'b':
            o->names[1] = optarg;
            break;
        case 's':
            o->size = atoi(optarg);
            break;
        case 't':
            o->seconds = atof(optarg);
            break;
        case 'c':
            o->cpu = atoi(optarg);
            break;
        case 'C':
            o->switch_cpu = atoi(optarg);
            break;
        case 'p':
            o->private_buffers = true;
            break;
        case 'k':
            o->name = optarg;
            break;
        default:
            fail("see bench/README.md for the options");
        }
    }
    if (!o->socket_path || !o->names[0] || !o->names[1]) {
        fail("-S, -a and -b are needed");
    }
    if (o->size < 64 || o->size > sizeof frame_ab) {
        fail("SIZE must be 64 to 2048");
    }
}

int
main(int argc, char *argv[])
{
    struct result r = { .n_sent = 0 };
    double before, after;
    struct options o;

    parse_options(argc, argv, &o);
    if (bench_pin(o.cpu)) {
        fail("its CPU does not exist");
    }
    attach(&o);
    before = bench_line_round_trip_ns(o.cpu, o.switch_cpu);
    bench_rate(&o, &r);
    bench_round_trip(&o, &r);
    after = bench_line_round_trip_ns(o.cpu, o.switch_cpu);

    printf("bench case=%s size=%u mpps=%.2f gbps=%.2f rtt_p50_ns=%" PRIu32
           " rtt_p99_ns=%" PRIu32 " rtt_p999_ns=%" PRIu32 " lost=%" PRIu64
           " guest=%s line_ns=%.0f placement=%s\n",
           o.name, o.size, r.n_received / r.seconds / 1e6,
           r.n_received * 8.0 * o.size / r.seconds / 1e9, r.p50_ns, r.p99_ns,
           r.p999_ns, r.n_sent - r.n_received,
           o.private_buffers ? "copied" : "built", before,
           bench_placement_pair(before, after));
    for (int i = 0; i < 2; i++) {
        domsfront_close(fronts[i]);
    }
    return r.checksum == 1 ? 2 : EXIT_SUCCESS;
}
