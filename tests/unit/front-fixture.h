/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch's end of the socket door, for tests of libdomsfront.
 *
 * The socket, the messages, the memory files, their seals and the rings are
 * real; only the decisions are the test's.  What a test does not say is done
 * by the rules.
 *
 * Thread-safety: one thread an object.
 */

#ifndef TESTS_UNIT_FRONT_FIXTURE_H
#define TESTS_UNIT_FRONT_FIXTURE_H 1

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants those above first. */
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/socket-msg.h"
#include "guestfront/lib/domsfront.h"
#include "guestfront/lib/front.h"

/* How long a test waits for what must come. */
#define DEADLINE_US 10000000

/* A switch that listens. */
struct sw {
    char dir[32];
    char path[64];
    int listen_fd;
};

/* A guest's connection to it. */
struct sw_conn {
    int sock; /* Or -1. */
    struct doms_msg_hello hello;
    struct doms_geometry g;
    uint64_t features;
    int group_fds[2]; /* The front's group, the switch's; -1 once sent. */
    void *front;      /* The front's group, writable, to look at. */
    void *own;        /* The switch's group. */
    struct doms_queue q[DOMS_MAX_QUEUES];
    uint32_t *ends[DOMS_MAX_QUEUES];
    int bell_ring[DOMS_MAX_QUEUES]; /* Rung for the guest, or -1. */
    int bell_wait[DOMS_MAX_QUEUES]; /* Rung by the guest, or -1. */
    int fds[DOMS_MSG_MAX_FDS];      /* For WELCOME; closed once sent. */
    unsigned int n_fds;
    struct doms_msg welcome;
};

static inline uint64_t
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
}

/* Evaluates 'COND' again and again, with 'STEP' in between, until it is true
 * or the deadline has passed. */
#define AWAIT(COND, STEP)                                                     \
    do {                                                                      \
        uint64_t deadline__ = now_us() + DEADLINE_US;                         \
                                                                              \
        while (!(COND)) {                                                     \
            if (now_us() > deadline__) {                                      \
                fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #COND);      \
            }                                                                 \
            STEP;                                                             \
        }                                                                     \
    } while (0)

static inline void
listen_at(struct sw *sw)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", sw->path);
    sw->listen_fd = socket(AF_UNIX,
                           SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(sw->listen_fd >= 0);
    assert_int_equal(
        bind(sw->listen_fd, (struct sockaddr *) &addr, sizeof addr), 0);
    assert_int_equal(listen(sw->listen_fd, 64), 0);
}

static inline void
sw_open(struct sw *sw)
{
    strcpy(sw->dir, "/tmp/test-front.XXXXXX");
    assert_non_null(mkdtemp(sw->dir));
    snprintf(sw->path, sizeof sw->path, "%s/doms.sock", sw->dir);
    listen_at(sw);
}

/* Stops to listen, as if the switch had died. */
static inline void
sw_stop(struct sw *sw)
{
    close(sw->listen_fd);
    unlink(sw->path);
}

static inline void
sw_close(struct sw *sw)
{
    sw_stop(sw);
    rmdir(sw->dir);
}

/* A group of pages. */
static inline int
make_group(size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    if (seals) {
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    }
    return fd;
}

static inline void *
map_rw(int fd, size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_true(p != MAP_FAILED);
    return p;
}

/* Makes the channel of 'c->g' and 'c->features', and the WELCOME for it. */
static inline void
sw_make_channel(struct sw_conn *c)
{
    size_t size = doms_group_size(&c->g);
    struct doms_msg_welcome *w = &c->welcome.u.welcome;
    uint32_t flags = c->features & DOMS_F_CSUM ? DOMS_RECORD_OFFLOAD : 0;

    c->n_fds = 0;
    c->fds[c->n_fds++] = make_group(size, F_SEAL_SHRINK | F_SEAL_GROW);
    c->front = map_rw(c->fds[0], size);
    c->fds[c->n_fds++] = make_group(size, F_SEAL_SHRINK | F_SEAL_GROW);
    c->own = map_rw(c->fds[1], size);
    assert_int_equal(fcntl(c->fds[1], F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    doms_health_init(c->own, &c->g, 7);
    for (uint32_t i = 0; i < c->g.n_queues; i++) {
        c->ends[i] = calloc(doms_ring_n_lengths(c->g.arena_size),
                            sizeof *c->ends[i]);
        doms_queue_init(&c->q[i], &c->g, i, c->own, c->front, flags,
                        c->ends[i]);
        if (c->features & DOMS_F_DOORBELL) {
            int a[2], b[2];

            const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;

            assert_int_equal(socketpair(AF_UNIX, type, 0, a), 0);
            assert_int_equal(socketpair(AF_UNIX, type, 0, b), 0);
            c->fds[c->n_fds++] = a[0];
            c->bell_ring[i] = a[1];
            c->fds[c->n_fds++] = b[1];
            c->bell_wait[i] = b[0];
        }
    }
    doms_health_set_state(c->own, DOMS_STATE_UP);

    doms_msg_init(&c->welcome, DOMS_MSG_WELCOME);
    w->features = c->features;
    w->arena_size = c->g.arena_size;
    w->n_queues = c->g.n_queues;
    w->n_fds = c->n_fds;
    w->epoch = 7;
    w->config.mac[0] = 2;
    w->config.mac[5] = 1;
    w->config.mtu = 1500;
    w->config.link_up = 1;
}

/* Sends the WELCOME that sw_make_channel() made. */
static inline int
sw_send_welcome(struct sw_conn *c)
{
    int error = doms_msg_send(c->sock, &c->welcome, c->fds, c->n_fds);

    while (c->n_fds) {
        close(c->fds[--c->n_fds]);
    }
    return error;
}

static inline void
sw_init_conn(struct sw_conn *c)
{
    memset(c, 0, sizeof *c);
    c->sock = -1;
    c->g.n_queues = 1;
    c->g.arena_size = DOMS_ARENA_MIN;
    for (int i = 0; i < (int) DOMS_MAX_QUEUES; i++) {
        c->bell_ring[i] = c->bell_wait[i] = -1;
    }
}

/* Ends 'c' and frees what it holds. */
static inline void
sw_hang_up(struct sw_conn *c)
{
    size_t size = doms_group_size(&c->g);

    while (c->n_fds) {
        close(c->fds[--c->n_fds]);
    }
    if (c->sock >= 0) {
        close(c->sock);
    }
    if (c->front) {
        munmap(c->front, size);
        munmap(c->own, size);
    }
    for (int i = 0; i < (int) DOMS_MAX_QUEUES; i++) {
        free(c->ends[i]);
        if (c->bell_ring[i] >= 0) {
            close(c->bell_ring[i]);
            close(c->bell_wait[i]);
        }
    }
    sw_init_conn(c);
}

/* Takes one message from the guest.  Returns 0 or an errno value. */
static inline int
sw_recv(struct sw_conn *c, struct doms_msg *msg)
{
    char why[160];
    unsigned int n_fds;
    size_t n;
    int error = doms_msg_recv(c->sock, msg, &n, NULL, 0, &n_fds);

    return error ? error : doms_msg_check(msg, n, why, sizeof why);
}

/* Runs 'front' for a moment, and returns what it returns. */
static inline unsigned int
run_front(struct domsfront *front)
{
    struct pollfd pfd;
    struct timespec ts = { .tv_nsec = 300000 };
    unsigned int events = domsfront_run(front);

    domsfront_get_pollfd(front, &pfd);
    if (!events) {
        ppoll(&pfd, 1, &ts, NULL);
    }
    return events;
}

static inline enum domsfront_state
state_of(struct domsfront *front)
{
    struct domsfront_status s;

    domsfront_get_status(front, &s);
    return s.state;
}

/* Runs 'front' until it has connected to 'sw', and takes its HELLO. */
static inline void
sw_accept(struct sw *sw, struct sw_conn *c, struct domsfront *front)
{
    struct doms_msg msg;
    int error;

    AWAIT((c->sock = accept4(sw->listen_fd, NULL, NULL,
                             SOCK_CLOEXEC | SOCK_NONBLOCK))
              >= 0,
          run_front(front));
    AWAIT((error = sw_recv(c, &msg)) != EAGAIN, run_front(front));
    assert_int_equal(error, 0);
    assert_int_equal(msg.h.type, DOMS_MSG_HELLO);
    c->hello = msg.u.hello;
}

/* Attaches 'front' to 'sw' with 'c->g' and 'c->features'.  Returns the
 * DOMSFRONT_EV_* that came of it. */
static inline unsigned int
sw_attach(struct sw *sw, struct sw_conn *c, struct domsfront *front)
{
    unsigned int events = 0;
    struct doms_msg msg;

    sw_accept(sw, c, front);
    sw_make_channel(c);
    assert_int_equal(sw_send_welcome(c), 0);
    AWAIT(state_of(front) == DOMSFRONT_UP, events |= run_front(front));
    assert_int_equal(sw_recv(c, &msg), 0);
    assert_int_equal(msg.h.type, DOMS_MSG_READY);
    return events;
}

/* Returns the number of open file descriptors. */
static inline int
count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Returns the number of mappings of a memory file of the fixture's with
 * permissions 'perms', as in "r--s". */
static inline int
count_maps(const char *perms)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[512];
    int n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        n += strstr(line, "memfd:test") && strstr(line, perms);
    }
    fclose(f);
    return n;
}

static inline struct domsfront *
open_front(const struct sw *sw, unsigned int n_queues, uint64_t features)
{
    struct domsfront_config config = {
        .socket_path = sw->path,
        .name = "guest-1",
        .n_queues = n_queues,
        .features = features,
    };
    struct domsfront *front;

    assert_int_equal(domsfront_open(&config, &front), 0);
    return front;
}

/* Runs 'front' until it is no more connected, and returns what happened. */
static inline unsigned int
run_until_down(struct domsfront *front)
{
    unsigned int events = 0;

    AWAIT(state_of(front) == DOMSFRONT_CONNECTING, events |= run_front(front));
    return events;
}

/* Spares the test the back-off. */
static inline void
hurry(struct domsfront *front)
{
    front->retry_at = 0;
    front->backoff = DF_BACKOFF_MIN_US;
}

#endif /* tests/unit/front-fixture.h */
