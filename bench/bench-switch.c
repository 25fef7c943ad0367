/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the switch is: a frame generator that is two guests of domsd.
 *
 *     bench-switch -S SOCKET -a NAME -b NAME [OPTION]...
 *
 * Guest A sends and guest B receives, by libdomsfront, as a program of a user
 * would; see generator.h for what is measured and README.md for the options.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/generator.h"
#include "bench/placement.h"
#include "guestfront/lib/domsfront.h"

struct options {
    const char *socket_path;
    const char *names[2];
    struct generator_options generator;
};

static struct domsfront *fronts[2];

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
    uint64_t deadline = bench_now_ns() + GENERATOR_SET_UP_NS;
    struct generator_options *g = &o->generator;
    struct domsfront_status status[2];
    unsigned int fits;

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
    if (g->size > status[0].mtu + 14u) {
        fail("SIZE is above the port's MTU");
    }

    /* As many as one ring surely holds, so that none is lost. */
    fits = status[1].arena_size / 8 * 7
           / (g->size + (g->tunnel ? TRAFFIC_TUNNEL_BYTES : 0) + 16);
    if (g->window > fits) {
        g->window = fits;
    }
}

/* Writes frames into the ring of end 'end'. */
static unsigned int
send_burst(int end, struct traffic *traffic, unsigned int max)
{
    uint32_t lengths[GENERATOR_BURST];
    void *places[GENERATOR_BURST];
    unsigned int n;

    for (unsigned int i = 0; i < max; i++) {
        lengths[i] = traffic->size;
    }
    n = domsfront_tx_place(fronts[end], 0, lengths, places, max);
    traffic_put(traffic, places, n);
    domsfront_tx_flush(fronts[end], 0);
    return n;
}

static unsigned int
receive_burst(int end, bool copied, uint64_t *sum)
{
    struct domsfront_frame frames[GENERATOR_RX_BURST];
    unsigned int n = domsfront_rx_burst(fronts[end], 0, frames,
                                        GENERATOR_RX_BURST);

    for (unsigned int i = 0; i < n; i++) {
        *sum += traffic_take(frames[i].data, frames[i].length, copied);
    }
    if (n) {
        domsfront_rx_release(fronts[end], 0);
    }
    return n;
}

static void
parse_options(int argc, char *argv[], struct options *o)
{
    const char *wrong;
    int opt;

    memset(o, 0, sizeof *o);
    generator_defaults(&o->generator);
    while ((opt = getopt(argc, argv, "S:a:b:" GENERATOR_OPTIONS)) != -1) {
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
        default:
            if (!generator_option(&o->generator, opt, optarg)) {
                fail("see bench/README.md for the options");
            }
        }
    }
    if (!o->socket_path || !o->names[0] || !o->names[1]) {
        fail("-S, -a and -b are needed");
    }
    wrong = generator_check(&o->generator);
    if (wrong) {
        fail(wrong);
    }
}

int
main(int argc, char *argv[])
{
    static const struct generator_ends ends = {
        .send = send_burst,
        .receive = receive_burst,
    };
    struct options o;
    const char *why;

    parse_options(argc, argv, &o);
    if (bench_pin(o.generator.cpu)) {
        fail("its CPU does not exist");
    }
    attach(&o);
    why = generator_run(&o.generator, &ends);
    if (why) {
        fail(why);
    }
    for (int i = 0; i < 2; i++) {
        domsfront_close(fronts[i]);
    }
    return EXIT_SUCCESS;
}
