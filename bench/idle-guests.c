/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many guests of domsd that do nothing, in one process.
 *
 *     idle-guests -S SOCKET -n GUESTS [-p PREFIX] [-f FRAMES]
 *
 * Attaches guests PREFIX0, PREFIX1, ..., prints "attached=N seconds=S" once all
 * have their ports, and then sees to their heartbeats and takes what comes,
 * some times a second, until its standard input ends.  With -f each sends
 * FRAMES at each turn, every 400 ms, so that there is something for others.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/placement.h"
#include "guestfront/lib/domsfront.h"

#define BURST 32

/* All guests have their turn in so many ms, in so many parts, so that they are
 * not all awake at the same time. */
#define TURN_MS 400
#define N_PARTS 20

static struct domsfront **fronts;
static unsigned int n_fronts;
static unsigned int n_frames; /* That each sends at each turn. */

static void
fail(const char *what)
{
    fprintf(stderr, "idle-guests: %s\n", what);
    exit(EXIT_FAILURE);
}

static void
parse_options(int argc, char *argv[], const char **socket_path,
              const char **prefix)
{
    int opt;

    *prefix = "idle";
    while ((opt = getopt(argc, argv, "S:n:p:f:")) != -1) {
        switch (opt) {
        case 'S':
            *socket_path = optarg;
            break;
        case 'n':
            n_fronts = atoi(optarg);
            break;
        case 'p':
            *prefix = optarg;
            break;
        case 'f':
            n_frames = atoi(optarg);
            break;
        default:
            fail("see bench/README.md for the options");
        }
    }
    if (!*socket_path || !n_fronts) {
        fail("-S and -n are needed");
    }
}

/* Each guest takes a few file descriptors. */
static void
raise_file_limit(void)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void
open_fronts(const char *socket_path, const char *prefix)
{
    fronts = calloc(n_fronts, sizeof *fronts);
    if (!fronts) {
        fail("out of memory");
    }
    for (unsigned int i = 0; i < n_fronts; i++) {
        char name[64];
        struct domsfront_config config = {
            .socket_path = socket_path,
            .name = name,
            .features = DOMSFRONT_F_DOORBELL,
        };

        snprintf(name, sizeof name, "%s%u", prefix, i);
        if (domsfront_open(&config, &fronts[i])) {
            fail(domsfront_last_error());
        }
    }
}

/* Looks after 'front'.  Returns true if it is attached. */
static bool
run_front(struct domsfront *front)
{
    static const uint8_t frame[64] = { 0xff, 0xff, 0xff, 0xff, 0xff,
                                       0xff, 0x02, 0,    0,    0,
                                       0,    1,    0x88, 0xb5 };
    struct domsfront_frame frames[BURST];
    void *place;

    domsfront_run(front);
    while (domsfront_rx_burst(front, 0, frames, BURST)) {
        domsfront_rx_release(front, 0);
    }
    for (unsigned int i = 0; i < n_frames; i++) {
        if (domsfront_tx_reserve(front, 0, sizeof frame, false, &place)) {
            break;
        }
        memcpy(place, frame, sizeof frame);
        domsfront_tx_commit(front, 0, sizeof frame, NULL);
    }
    if (n_frames) {
        domsfront_tx_flush(front, 0);
    }
    return domsfront_queue_is_up(front, 0);
}

int
main(int argc, char *argv[])
{
    struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
    const char *socket_path = NULL, *prefix;
    uint64_t start = bench_now_ns();
    unsigned int part = 0, n_parts = 1;

    parse_options(argc, argv, &socket_path, &prefix);
    raise_file_limit();
    open_fronts(socket_path, prefix);
    do {
        unsigned int n_up = 0;

        for (unsigned int i = part; i < n_fronts; i += n_parts) {
            n_up += run_front(fronts[i]);
        }
        part = (part + 1) % n_parts;
        if (n_up == n_fronts && n_parts == 1) {
            n_parts = N_PARTS;
            printf("attached=%u seconds=%.2f\n", n_up,
                   (bench_now_ns() - start) / 1e9);
            fflush(stdout);
        }
    } while (poll(&pfd, 1, TURN_MS / N_PARTS) <= 0);
    for (unsigned int i = 0; i < n_fronts; i++) {
        domsfront_close(fronts[i]);
    }
    free(fronts);
    return EXIT_SUCCESS;
}
