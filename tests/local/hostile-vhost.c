/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user front end, with the driver in it, that does as it likes.
 *
 *     hostile-vhost SOCKET WHAT [NUMBER]
 *
 * connects to SOCKET and does WHAT.  Prints what went wrong and exits with 1
 * if the back end did not do what it should: serve who is good, and hang up on
 * who is not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>

#include "tests/local/vhost-front.h"

#define PATIENCE_MS 8000

/* The command line's number, for who wants an address. */
static uint64_t address;

static uint64_t
now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

/* Waits until the back end has hung up. */
static void
await_end(void)
{
    uint64_t end = now_ms() + PATIENCE_MS;
    uint8_t buf[256];

    while (now_ms() < end) {
        struct pollfd pfd = { .fd = sock, .events = POLLIN };
        ssize_t n;

        poll(&pfd, 1, 100);
        n = recv(sock, buf, sizeof buf, MSG_DONTWAIT);
        if (!n || (n < 0 && errno != EAGAIN)) {
            return;
        }
    }
    die("the back end does not hang up");
}

static struct vring_desc *
desc(unsigned int ring, unsigned int i)
{
    return (struct vring_desc *) (memory + RING(ring)) + i;
}

/* Makes the chain that starts with descriptor 0 of the ring for sending
 * available. */
static void
offer(void)
{
    struct vring_avail *avail = (void *) (memory + RING(1) + AVAIL);
    uint64_t one = 1;

    avail->ring[avail->idx % RING_SIZE] = 0;
    __atomic_store_n(&avail->idx, avail->idx + 1, __ATOMIC_RELEASE);
    if (write(kicks[1], &one, sizeof one) < 0) {
        die("kick: %s", strerror(errno));
    }
}

/* Sends a frame and waits until the device has it. */
static void
send_frame(void)
{
    struct vring_used *used = (void *) (memory + RING(1) + USED);
    uint16_t before = used->idx;
    uint64_t end = now_ms() + PATIENCE_MS;

    memset(memory + DATA, 0, 76);
    memset(memory + DATA + 12, 0xff, 6);
    memory[DATA + 18] = 2;
    *desc(1, 0) = (struct vring_desc){ .addr = DATA, .len = 76 };
    offer();
    while (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == before) {
        if (now_ms() > end) {
            die("a good frame is not taken");
        }
        usleep(1000);
    }
}

static void
good(unsigned int number)
{
    (void) number;
    set_up();
    for (int i = 0; i < 100; i++) {
        send_frame();
    }
    send_state(GET_VRING_BASE, 1, 0);
    if (receive_u64() >> 32 != 100) {
        die("the ring does not stop where it was");
    }
}

/* Whoever writes to the eventfds that are to be called has to wait. */
static void
full_call(unsigned int number)
{
    uint64_t most = UINT64_MAX - 1;

    (void) number;
    set_up();
    for (int i = 0; i < 2; i++) {
        if (fcntl(calls[i], F_SETFL, 0)
            || write(calls[i], &most, sizeof most) != sizeof most) {
            die("call: %s", strerror(errno));
        }
    }
    for (int i = 0; i < 100; i++) {
        send_frame();
    }
}

static void
bad_features(unsigned int number)
{
    if (number) {
        negotiate(0);
    }
    send_u64(number == 1 ? SET_PROTOCOL_FEATURES : SET_FEATURES, UINT64_MAX,
             -1);
    await_end();
}

/* Tables that cannot be; the number says which. */
static void
bad_memory(unsigned int number)
{
    static const struct {
        unsigned int n, listed, n_fds;
        struct region r[2];
    } tables[] = {
        { 2, 2, 2, { { 0, SIZE, 0, 0 }, { SIZE - 4096, SIZE, SIZE, 0 } } },
        { 2, 2, 2, { { 0, SIZE, 0, 0 }, { SIZE, SIZE, SIZE - 4096, 0 } } },
        { 2, 2, 2, { { 0, SIZE, 0, 0 }, { 0, SIZE, 0, 0 } } },
        { 2, 2, 1, { { 0, SIZE, 0, 0 }, { SIZE, SIZE, SIZE, 0 } } },
        { 2, 2, 0, { { 0, SIZE, 0, 0 }, { SIZE, SIZE, SIZE, 0 } } },
        { 1, 1, 3, { { 0, SIZE, 0, 0 } } },
        { 9, 9, 9, { { 0, SIZE, 0, 0 } } },
        { UINT32_MAX, 1, 1, { { 0, SIZE, 0, 0 } } },
        { 1, 1, 1, { { 0, 0, 0, 0 } } },
        { 1, 1, 1, { { 0, UINT64_MAX, 0, 0 } } },
        { 1, 1, 1, { { 0, SIZE, 0, UINT64_MAX - 4095 } } },
        { 1, 1, 1, { { UINT64_MAX - 4095, SIZE, 0, 0 } } },
        { 1, 1, 1, { { 0, SIZE, 0, 0 } } },
    };
    struct region regions[16] = { { 0 } };

    if (number >= sizeof tables / sizeof *tables) {
        exit(2);
    }
    for (unsigned int i = 0; i < 16; i++) {
        regions[i] = tables[number].r[i % 2];
    }
    negotiate(0);
    if (number == 12) {
        /* A file whose pages come from elsewhere. */
        memory_fd = open("/proc/self/maps", O_RDONLY);
    }
    send_memory(tables[number].n, regions, tables[number].listed,
                tables[number].n_fds);
    send_ring(0);
    send_ring(1);
    await_end();
}

/* Returns a TCP socket whose last user has to wait when it closes it, as long as
 * another process lives, which is for LINGER_S seconds. */
#define LINGER_S 10
static int
lingering_socket(void)
{
    struct sockaddr_in sin = { .sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct linger linger = { .l_onoff = 1, .l_linger = 60 };
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    socklen_t length = sizeof sin;
    static char some[65536];
    int listener, fd;

    /* A network of its own, in which there is surely nothing else. */
    if (unshare(CLONE_NEWNET)) {
        die("unshare: %s", strerror(errno));
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (ioctl(fd, SIOCSIFFLAGS, &lo)
        || bind(listener, (struct sockaddr *) &sin, sizeof sin)
        || listen(listener, 1)
        || getsockname(listener, (struct sockaddr *) &sin, &length)
        || connect(fd, (struct sockaddr *) &sin, sizeof sin)
        || setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger)) {
        die("a socket that lingers: %s", strerror(errno));
    }
    /* Nobody reads that. */
    while (send(fd, some, sizeof some, MSG_DONTWAIT) > 0) {
        continue;
    }
    if (!fork()) {
        close(fd);
        close(sock);
        sleep(LINGER_S);
        _exit(0);
    }
    return fd;
}

/* Rings that cannot be. */
static void
bad_ring(unsigned int number)
{
    int pipe_fds[2], fd;

    negotiate(0);
    send_good_memory();
    if (number != 11) {
        send_ring(0);
        send_ring(1);
    } else {
        send_state(SET_VRING_NUM, 1, RING_SIZE);
        send_addr(1, RING(1), RING(1) + AVAIL, RING(1) + USED);
    }
    switch (number) {
    case 0:
        send_state(SET_VRING_NUM, 1, 0);
        send_state(SET_VRING_ENABLE, 1, 1);
        break;
    case 1:
        send_state(SET_VRING_NUM, 1, 3);
        break;
    case 2:
        send_state(SET_VRING_NUM, 1, 65535);
        break;
    case 3:
        send_state(SET_VRING_NUM, 100000, 64);
        break;
    case 4: /* Longer than its place. */
        send_addr(1, SIZE - 4096, RING(1) + AVAIL, RING(1) + USED);
        send_state(SET_VRING_NUM, 1, 4096);
        break;
    case 5:
        if (pipe(pipe_fds)) {
            die("pipe: %s", strerror(errno));
        }
        send_u64(SET_VRING_CALL, 1, pipe_fds[1]);
        break;
    case 6:
        send_u64(SET_VRING_KICK, 1, memory_fd);
        break;
    case 7:
        send_state(SET_VRING_ENABLE, 200000, 1);
        break;
    case 8: /* More entries than the library should allocate for. */
        send_state(SET_VRING_NUM, 1, 8192);
        break;
    case 9: /* Of queues that the back end has not. */
        send_state(SET_VRING_NUM, 2, RING_SIZE);
        break;
    case 10:
        send_u64(SET_VRING_KICK, 200, kicks[1]);
        break;
    case 11: /* Its memory vanishes before there is a driver. */
        send_message(&(struct message){ 0 }, GET_FEATURES, 0, NULL, 0);
        receive_u64();
        if (ftruncate(memory_fd, 0)) {
            die("ftruncate: %s", strerror(errno));
        }
        send_u64(SET_VRING_KICK, 1, kicks[1]);
        break;
    case 12: /* A file that is slow to close, and the last who has it. */
        fd = lingering_socket();
        send_u64(SET_VRING_CALL, 1, fd);
        close(fd);
        break;
    default:
        exit(2);
    }
    await_end();
}

/* Messages that are none. */
static void
bad_message(unsigned int number)
{
    struct message m = { 0 };
    int fds[16];

    for (int i = 0; i < 16; i++) {
        fds[i] = memory_fd;
    }
    switch (number) {
    case 0: /* Unknown. */
        send_message(&m, 77, 8, NULL, 0);
        break;
    case 1: /* Of another version. */
        m.flags = 2;
        send_message(&m, SET_OWNER, 0, NULL, 0);
        break;
    case 2: /* Too long. */
        m.request = SET_FEATURES;
        m.flags = 1;
        m.size = UINT32_MAX;
        send(sock, &m, 12, MSG_NOSIGNAL);
        break;
    case 3: /* Half of one. */
        m.request = SET_FEATURES;
        m.flags = 1;
        m.size = 8;
        send(sock, &m, 15, MSG_NOSIGNAL);
        break;
    case 4:
        send(sock, &m, 5, MSG_NOSIGNAL);
        break;
    case 5: /* With file descriptors that it has no use for. */
        send_message(&m, SET_OWNER, 0, fds, 8);
        break;
    case 6:
        negotiate(0);
        send_message(&m, SET_FEATURES, 8, fds, 1);
        break;
    case 7: /* Nothing behind the header. */
        m.request = SET_MEM_TABLE;
        m.flags = 1;
        m.size = 200;
        send(sock, &m, 12, MSG_NOSIGNAL);
        break;
    case 8: /* What is not offered: memory of the back end's, ... */
        send_message(&m, GET_INFLIGHT_FD, 24, NULL, 0);
        break;
    case 9: /* ... a userfaultfd, ... */
        send_message(&m, POSTCOPY_ADVISE, 0, NULL, 0);
        break;
    case 10: /* ... and a log of what it writes. */
        m.u.u64 = SIZE;
        send_message(&m, SET_LOG_BASE, 16, fds, 1);
        break;
    case 11: /* Questions with file descriptors. */
        for (int i = 0; i < 5; i++) {
            m = (struct message){ 0 };
            send_message(&m, GET_QUEUE_NUM, 0, fds, 8);
        }
        break;
    case 12: /* More of them, for a ring that nobody has. */
        m.u.state.index = 300;
        m.u.state.num = RING_SIZE;
        send_message(&m, SET_VRING_NUM, 8, fds, 8);
        break;
    default:
        exit(2);
    }
    await_end();
}

/* Messages that come again, or too early; the back end may hang up or not. */
static void
odd_order(unsigned int number)
{
    switch (number) {
    case 0:
        for (int i = 0; i < 500; i++) {
            send_u64(SET_OWNER, 0, -1);
            send_u64(SET_FEATURES, FEATURES, -1);
        }
        set_up();
        for (int i = 0; i < 500; i++) {
            send_good_memory();
            send_ring(i % 2);
        }
        send_frame();
        break;
    case 1:
        send_ring(0);
        send_ring(1);
        break;
    case 2:
        send_state(GET_VRING_BASE, 1, 0);
        send_state(GET_VRING_BASE, 0, 0);
        break;
    case 3: /* The memory goes while the rings are in use. */
        set_up();
        for (int i = 0; i < 200; i++) {
            struct region r = { .size = SIZE - 4096 * (1 + i % 2) };

            send_memory(1, &r, 1, 1);
        }
        send_frame();
        break;
    case 4:
        set_up();
        for (int i = 0; i < 200; i++) {
            send_state(SET_VRING_ENABLE, 1, i % 2);
            send_state(SET_VRING_ENABLE, 0, i % 2);
        }
        send_frame();
        break;
    case 5: /* A table that fails, with an answer wanted, and on with it. */
        set_up();
        for (int i = 0; i < 3; i++) {
            struct message m = { .flags = 9, .u.memory.n = 2 };

            send_message(&m, SET_MEM_TABLE, 8 + 64, &memory_fd, 1);
        }
        send_ring(0);
        send_ring(1);
        await_end();
        break;
    default:
        exit(2);
    }
}

/* A driver that breaks a rule. */
static void
bad_driver(unsigned int number)
{
    struct vring_avail *avail = (void *) (memory + RING(1) + AVAIL);
    struct vring_desc *table = (void *) (memory + TABLE);

    set_up();
    send_frame();
    switch (number) {
    case 0:
        desc(1, 0)->addr = SIZE - 10;
        break;
    case 1:
        desc(1, 0)->flags = VRING_DESC_F_NEXT;
        desc(1, 0)->next = RING_SIZE;
        break;
    case 2:
        desc(1, 0)->flags = VRING_DESC_F_NEXT;
        desc(1, 0)->next = 0;
        break;
    case 3:
        desc(1, 0)->flags = VRING_DESC_F_INDIRECT;
        desc(1, 0)->addr = TABLE;
        desc(1, 0)->len = 16;
        table[0] = *desc(1, 0);
        break;
    case 4:
        desc(1, 0)->len = 0;
        break;
    case 5:
        desc(1, 0)->flags = VRING_DESC_F_WRITE;
        break;
    case 6:
        avail->idx += RING_SIZE + 1;
        break;
    case 7:
        desc(1, 0)->len = 11;
        break;
    case 8: /* The memory is taken away. */
        if (ftruncate(memory_fd, 0)) {
            die("ftruncate: %s", strerror(errno));
        }
        send_u64(SET_VRING_CALL, 1, calls[1]);
        await_end();
        return;
    default:
        exit(2);
    }
    offer();
    await_end();
}

/* A driver that wants what is at 'address', which is not its own: to send it,
 * and to have frames written there.  The case has frames come. */

static void
read_at(unsigned int number)
{
    (void) number;
    set_up();
    send_frame();
    *desc(1, 0) = (struct vring_desc){ .addr = address, .len = 76 };
    offer();
    await_end();
}

static void
write_at(unsigned int number)
{
    struct vring_avail *avail = (void *) (memory + RING(0) + AVAIL);
    struct vring_used *used = (void *) (memory + RING(0) + USED);

    (void) number;
    *desc(0, 0) = (struct vring_desc){ .addr = DATA + 4096,
                                       .len = 4096,
                                       .flags = VRING_DESC_F_WRITE };
    *desc(0, 1) = (struct vring_desc){ .addr = address,
                                       .len = 4096,
                                       .flags = VRING_DESC_F_WRITE };
    avail->ring[1] = 1;
    avail->idx = 2;
    set_up();
    send_frame();
    printf("ready\n");
    fflush(stdout);
    await_end();
    if (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) > 1) {
        die("a frame was written to where it must not");
    }
}

static const struct {
    const char *name;
    void (*function)(unsigned int number);
} all[] = {
    { "good", good },
    { "full-call", full_call },
    { "bad-features", bad_features },
    { "bad-memory", bad_memory },
    { "bad-ring", bad_ring },
    { "bad-message", bad_message },
    { "odd-order", odd_order },
    { "bad-driver", bad_driver },
    { "read-at", read_at },
    { "write-at", write_at },
};

int
main(int argc, char *argv[])
{
    unsigned int number = argc > 3 ? atoi(argv[3]) : 0;

    address = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
    if (argc < 3) {
        die("usage: hostile-vhost SOCKET WHAT [NUMBER]");
    }
    join(argv[1]);
    for (unsigned int i = 0; i < sizeof all / sizeof *all; i++) {
        if (!strcmp(argv[2], all[i].name)) {
            all[i].function(number);
            return EXIT_SUCCESS;
        }
    }
    die("'%s' is nothing that it does", argv[2]);
}
