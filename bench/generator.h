/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is measured of a switch, whatever carries the frames to it: guest A
 * sends, guest B receives, both by one thread on one CPU.
 *
 * A program opens its two ends (of rings, of DPDK's ports, of packet sockets),
 * says in a struct generator_ends how a burst is sent and received, and calls
 * generator_run(), which prints one line:
 *
 *  - the rate: bursts of GENERATOR_BURST, as fast as they go, but never more
 *    frames under way than options->window, so that none is lost; one that is
 *    lost all the same is reported;
 *  - the round trip: one frame A to B and one back, one at a time.
 *
 * Before that, frames go both ways until the switch has learned addresses and
 * has its flows.  The line also tells how long the generator's thread, and the
 * switch's, waited for their CPUs meanwhile: on an idle machine, hardly ever.
 * Of a switch of two threads that share a CPU it tells how long neither ran.
 *
 * See bench/README.md for the options.
 */

#ifndef BENCH_GENERATOR_H
#define BENCH_GENERATOR_H 1

#include <stdbool.h>
#include <stdint.h>

#include "bench/traffic.h"

#define GENERATOR_BURST 32       /* Frames sent at once. */
#define GENERATOR_RX_BURST 128   /* Frames received at once, at most. */
#define GENERATOR_WINDOW_MAX 768 /* Frames under way, at most. */
#define GENERATOR_SET_UP_NS (UINT64_C(10) * 1000 * 1000 * 1000)

struct generator_options {
    const char *name;     /* Of the case, for the line printed. */
    unsigned int size;    /* Bytes of a frame. */
    unsigned int n_flows; /* Sent in turn. */
    unsigned int n_trips; /* Round trips. */
    unsigned int window;  /* Frames under way, at most. */
    double seconds;       /* Of sending. */
    int cpu;              /* Of both guests. */
    int switch_cpu;       /* Of the switch. */
    int switch_tid;       /* Its thread, whose waiting is told; 0: none. */
    int sharing_tid;      /* Another that shares its CPU; 0: none. */
    bool copied;          /* Frames are copied in and read, every byte. */
    bool tunnel;          /* B is the other end of a tunnel. */
};

#define GENERATOR_OPTIONS "s:t:c:C:W:V:pk:f:n:w:T"

/* How frames are sent and received at end 0, guest A, and 1, guest B. */
struct generator_ends {
    /* Sends up to 'n' frames; returns how many. */
    unsigned int (*send)(int end, struct traffic *, unsigned int n);
    /* Receives what is there, reads it as traffic_take() does, and adds that
     * to '*sum'.  Returns the number of frames. */
    unsigned int (*receive)(int end, bool copied, uint64_t *sum);
};

void generator_defaults(struct generator_options *);
bool generator_option(struct generator_options *, int opt, const char *value);
const char *generator_check(const struct generator_options *);
const char *generator_run(const struct generator_options *,
                          const struct generator_ends *);

#endif /* bench/generator.h */
