/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user front end for tests: the messages, the memory of a VM, and two
 * split rings in it, for a program that has one VM.
 *
 * Whatever fails ends the program, having said why.
 *
 * Thread-safety: for programs of one thread.
 */

#ifndef TESTS_LOCAL_VHOST_FRONT_H
#define TESTS_LOCAL_VHOST_FRONT_H 1

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Messages. */
enum {
    GET_FEATURES = 1,
    SET_FEATURES = 2,
    SET_OWNER = 3,
    SET_MEM_TABLE = 5,
    SET_LOG_BASE = 6,
    SET_VRING_NUM = 8,
    SET_VRING_ADDR = 9,
    SET_VRING_BASE = 10,
    GET_VRING_BASE = 11,
    SET_VRING_KICK = 12,
    SET_VRING_CALL = 13,
    GET_PROTOCOL_FEATURES = 15,
    SET_PROTOCOL_FEATURES = 16,
    GET_QUEUE_NUM = 17,
    SET_VRING_ENABLE = 18,
    POSTCOPY_ADVISE = 28,
    GET_INFLIGHT_FD = 31,
};

#define BIT(N) (UINT64_C(1) << (N))
#define PROTOCOL_BIT BIT(30)
#define FEATURES (BIT(VIRTIO_F_VERSION_1) | PROTOCOL_BIT)

/* The memory: guest addresses are offsets in it. */
#define SIZE (1u << 20)
#define RING_SIZE 64
#define RING(I) ((I) *0x4000u) /* Of ring I: descriptors, */
#define AVAIL 0x1000u          /* and from there the other two. */
#define USED 0x2000u
#define TABLE 0x9000u
#define DATA 0x10000u

struct region {
    uint64_t guest, size, user, offset;
};

struct message {
    uint32_t request, flags, size;
    union {
        uint64_t u64;
        struct {
            uint32_t index, num;
        } state;
        struct {
            uint32_t index, flags;
            uint64_t desc, used, avail, log;
        } addr;
        struct {
            uint32_t n, padding;
            struct region regions[16];
        } memory;
        uint8_t bytes[1024];
    } u;
} __attribute__((packed));

static int sock, memory_fd, kicks[2], calls[2];
static uint8_t *memory;

static inline void __attribute__((format(printf, 1, 2), noreturn))
die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    exit(EXIT_FAILURE);
}

/* Sends the first 'size' bytes of the payload of 'm', and 'fds'.  That the
 * other end has hung up is for later to find. */
static inline void
send_message(struct message *m, uint32_t request, uint32_t size,
             const int *fds, unsigned int n_fds)
{
    char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
    struct iovec iov = { m, 12 + size };
    struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

    m->request = request;
    m->flags = m->flags ? m->flags : 1;
    m->size = size;
    if (n_fds) {
        struct cmsghdr *c;

        h.msg_control = control;
        h.msg_controllen = CMSG_SPACE(n_fds * sizeof *fds);
        c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof *fds);
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof *fds);
    }
    if (sendmsg(sock, &h, MSG_NOSIGNAL) < 0 && errno != EPIPE
        && errno != ECONNRESET) {
        die("sendmsg: %s", strerror(errno));
    }
}

static inline void
send_u64(uint32_t request, uint64_t value, int fd)
{
    struct message m = { .u.u64 = value };

    send_message(&m, request, 8, &fd, fd >= 0);
}

static inline void
send_state(uint32_t request, uint32_t index, uint32_t num)
{
    struct message m = { .u.state = { index, num } };

    send_message(&m, request, 8, NULL, 0);
}

static inline void
send_addr(uint32_t index, uint64_t desc, uint64_t avail, uint64_t used)
{
    struct message m = { .u.addr = { .index = index,
                                     .desc = desc,
                                     .avail = avail,
                                     .used = used } };

    send_message(&m, SET_VRING_ADDR, 40, NULL, 0);
}

/* Sends a table of 'n' regions, of which 'listed' are there, with 'n_fds'. */
static inline void
send_memory(uint32_t n, const struct region *regions, unsigned int listed,
            unsigned int n_fds)
{
    struct message m = { .u.memory.n = n };
    int fds[16];

    memcpy(m.u.memory.regions, regions, listed * sizeof *regions);
    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i] = memory_fd;
    }
    send_message(&m, SET_MEM_TABLE, 8 + listed * sizeof *regions, fds, n_fds);
}

/* Receives a reply's number. */
static inline uint64_t
receive_u64(void)
{
    struct message m;

    if (recv(sock, &m, 20, MSG_WAITALL) != 20) {
        die("no reply: the back end has hung up");
    }
    return m.u.u64;
}

/* Does what comes before the memory. */
static inline void
negotiate(uint64_t more)
{
    uint64_t features;

    send_u64(SET_OWNER, 0, -1);
    send_message(&(struct message){ 0 }, GET_FEATURES, 0, NULL, 0);
    features = receive_u64();
    if (~features & (FEATURES | more)) {
        die("features 0x%llx are missing",
            (unsigned long long) (~features & (FEATURES | more)));
    }
    send_message(&(struct message){ 0 }, GET_PROTOCOL_FEATURES, 0, NULL, 0);
    receive_u64();
    send_u64(SET_PROTOCOL_FEATURES, 1, -1);
    send_u64(SET_FEATURES, FEATURES | more, -1);
}

static inline void
send_ring(uint32_t i)
{
    send_state(SET_VRING_NUM, i, RING_SIZE);
    send_state(SET_VRING_BASE, i, 0);
    send_addr(i, RING(i), RING(i) + AVAIL, RING(i) + USED);
    send_u64(SET_VRING_CALL, i, calls[i]);
    send_u64(SET_VRING_KICK, i, kicks[i]);
    send_state(SET_VRING_ENABLE, i, 1);
}

static inline void
send_good_memory(void)
{
    struct region r = { .size = SIZE };

    send_memory(1, &r, 1, 1);
}

/* Becomes a VM with a driver. */
static inline void
set_up(void)
{
    negotiate(0);
    send_good_memory();
    send_ring(0);
    send_ring(1);
}

/* Makes the VM's memory and joins the back end at 'path'. */
static inline void
join(const char *path)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    memory_fd = memfd_create("hostile", 0);
    if (memory_fd < 0 || ftruncate(memory_fd, SIZE)) {
        die("memory: %s", strerror(errno));
    }
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd,
                  0);
    for (int i = 0; i < 2; i++) {
        kicks[i] = eventfd(0, EFD_NONBLOCK);
        calls[i] = eventfd(0, EFD_NONBLOCK);
    }
    sock = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    if (connect(sock, (struct sockaddr *) &sun, sizeof sun)) {
        die("%s: %s", path, strerror(errno));
    }
}

#endif /* tests/local/vhost-front.h */
