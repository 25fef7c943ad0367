/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of the socket door that is made of the bare messages and the bare
 * ring, so that it can break any rule of either.
 *
 * It does without libdomsfront, which would keep it from that.  Whatever does
 * not go as a test of hostile-guest.c expects ends the program with exit
 * status 1 and a line that says so.
 *
 * Thread-safety: a struct guest belongs to one thread.
 */

#ifndef TESTS_LOCAL_HOSTILE_FRONT_H
#define TESTS_LOCAL_HOSTILE_FRONT_H 1

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include"
#endif

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/channel.h"
#include "common/socket-msg.h"

/* How long the switch may take for anything.  It may be slow: sanitizers. */
#define PATIENCE_MS 20000

#define MUST(CONDITION) must__(CONDITION, #CONDITION, __func__, __LINE__)

struct guest {
    int sock;
    struct doms_msg_welcome welcome;
    int fds[DOMS_MSG_MAX_FDS]; /* As they came with WELCOME. */
    unsigned int n_fds;        /* Their number. */
    struct doms_geometry g;
    size_t size;         /* Bytes of a group. */
    uint8_t *own;        /* The front's group. */
    uint8_t *peer;       /* The switch's group. */
    uint32_t *ends;      /* Of 'q'. */
    struct doms_queue q; /* Queue pair 0. */
};

/* Given by the command line. */
static const char *door_path;
static const char *guest_name;

static inline void
must__(bool condition, const char *text, const char *function, int line)
{
    if (!condition) {
        printf("hostile-guest: %s:%d: not true: %s (errno %d, %s)\n", function,
               line, text, errno, strerror(errno));
        exit(1);
    }
}

static inline int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* Returns a new connection to the door. */
static inline int
door_connect(void)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    MUST(sock >= 0);
    MUST(strlen(door_path) < sizeof sun.sun_path);
    strcpy(sun.sun_path, door_path);
    MUST(!connect(sock, (struct sockaddr *) &sun, sizeof sun));
    return sock;
}

/* Waits until 'sock' can be read. */
static inline void
wait_readable(int sock)
{
    struct pollfd pfd = { .fd = sock, .events = POLLIN };

    MUST(poll(&pfd, 1, PATIENCE_MS) == 1);
}

/* Waits until the switch closes 'sock', ignoring what it says before, and
 * closes it.  Returns the error of a REFUSE, or 0 if there was none. */
static inline int
wait_closed(int sock)
{
    struct doms_msg msg;
    int refused = 0;
    ssize_t n;

    for (;;) {
        wait_readable(sock);
        n = recv(sock, &msg, sizeof msg, 0);
        if (n <= 0) {
            break;
        }
        if (n == (ssize_t) doms_msg_size(DOMS_MSG_REFUSE)
            && msg.h.type == DOMS_MSG_REFUSE) {
            refused = msg.u.refuse.error;
        }
    }
    MUST(!n || errno == ECONNRESET);
    close(sock);
    return refused;
}

static inline struct doms_msg
make_hello(const char *name)
{
    struct doms_msg msg;

    doms_msg_init(&msg, DOMS_MSG_HELLO);
    msg.u.hello.features = DOMS_F_ALL;
    msg.u.hello.n_queues = 1;
    strcpy(msg.u.hello.name, name);
    return msg;
}

/* Says HELLO as 'name'. */
static inline void
say_hello(int sock, const char *name)
{
    struct doms_msg msg = make_hello(name);

    MUST(!doms_msg_send(sock, &msg, NULL, 0));
}

static inline void
say_ready(int sock)
{
    struct doms_msg msg;

    doms_msg_init(&msg, DOMS_MSG_READY);
    MUST(!doms_msg_send(sock, &msg, NULL, 0));
}

/* Receives WELCOME and its file descriptors into 'g'. */
static inline void
take_welcome(struct guest *g)
{
    struct doms_msg msg;
    char why[128];
    size_t n;

    wait_readable(g->sock);
    MUST(!doms_msg_recv(g->sock, &msg, &n, g->fds, DOMS_MSG_MAX_FDS,
                        &g->n_fds));
    MUST(!doms_msg_check(&msg, n, why, sizeof why));
    MUST(msg.h.type == DOMS_MSG_WELCOME);
    MUST(g->n_fds == msg.u.welcome.n_fds);
    g->welcome = msg.u.welcome;
    g->g.n_queues = msg.u.welcome.n_queues;
    g->g.arena_size = msg.u.welcome.arena_size;
    g->size = doms_group_size(&g->g);
}

/* Connects as 'name' and waits for WELCOME. */
static inline void
guest_join(struct guest *g, const char *name)
{
    memset(g, 0, sizeof *g);
    g->sock = door_connect();
    say_hello(g->sock, name);
    take_welcome(g);
}

/* Maps the groups and makes queue pair 0 ready. */
static inline void
guest_map(struct guest *g)
{
    g->own = mmap(NULL, g->size, PROT_READ | PROT_WRITE, MAP_SHARED, g->fds[0],
                  0);
    g->peer = mmap(NULL, g->size, PROT_READ, MAP_SHARED, g->fds[1], 0);
    MUST(g->own != MAP_FAILED && g->peer != MAP_FAILED);
    g->ends = calloc(doms_ring_n_lengths(g->g.arena_size), sizeof *g->ends);
    MUST(g->ends);
    doms_health_init((struct doms_health *) g->own, &g->g, 1);
    doms_queue_init(&g->q, &g->g, 0, g->own, g->peer, DOMS_RECORD_OFFLOAD,
                    g->ends);
    doms_health_set_state((struct doms_health *) g->own, DOMS_STATE_UP);
}

/* Attaches as 'name', and waits until the switch says that the port is up. */
static inline void
guest_attach(struct guest *g, const char *name)
{
    guest_join(g, name);
    guest_map(g);
    say_ready(g->sock);
    wait_readable(g->sock); /* CONFIG. */
}

/* Frees what 'g' has, but for the socket. */
static inline void
guest_unmap(struct guest *g)
{
    for (unsigned int i = 0; i < g->n_fds; i++) {
        close(g->fds[i]);
    }
    if (g->own) {
        munmap(g->own, g->size);
        munmap(g->peer, g->size);
        free(g->ends);
    }
}

static inline void
guest_leave(struct guest *g)
{
    close(g->sock);
    guest_unmap(g);
}

/* Waits until the switch hangs up on 'g', and frees all. */
static inline void
guest_wait_closed(struct guest *g)
{
    wait_closed(g->sock);
    guest_unmap(g);
}

static inline struct doms_queue_ctl *
guest_ctl(struct guest *g)
{
    return (struct doms_queue_ctl *) doms_group_queue(g->own, &g->g, 0);
}

/* Puts a frame of 'length' bytes for 'to' into the ring, without publishing.
 * Returns false if the ring is full. */
static inline bool
guest_put(struct guest *g, const uint8_t to[6], uint32_t length)
{
    uint8_t *frame = doms_ring_reserve(&g->q.tx, length);

    if (!frame) {
        return false;
    }
    memset(frame, 0, length);
    memcpy(frame, to, 6);
    memcpy(frame + 6, g->welcome.config.mac, 6);
    frame[12] = 0x88;
    frame[13] = 0xb5; /* For experiments (IEEE 802). */
    doms_ring_commit(&g->q.tx, length, 0);
    return true;
}

/* Waits until the switch has taken all that was sent. */
static inline void
guest_wait_taken(struct guest *g)
{
    int64_t deadline = now_ms() + PATIENCE_MS;

    while (!doms_ring_writer_is_drained(&g->q.tx)) {
        MUST(!g->q.tx.broken && now_ms() < deadline);
        usleep(100);
    }
}

/* Takes all that has come, without looking at it.  Returns its number. */
static inline uint32_t
guest_take(struct guest *g)
{
    struct doms_record rec;
    uint32_t n = 0;

    doms_ring_poll(&g->q.rx, UINT32_MAX);
    while (doms_ring_peek(&g->q.rx, &rec)) {
        n++;
    }
    MUST(!g->q.rx.broken);
    doms_ring_release(&g->q.rx);
    return n;
}

#endif /* tests/local/hostile-front.h */
