/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "peer.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* The sizes of what a file of memory may consist of. */
static const size_t page_sizes[] = { 4096, 2u << 20, 1u << 30 };

/* Time limits. */

/* A front end answers in microseconds, unless it is stopped. */
#define PATIENCE_S 2

static void
limit(int fd)
{
    struct timeval tv = { .tv_sec = PATIENCE_S };

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
}

/* The library calls these two in place of libc's, since the dynamic linker
 * looks for names in the program first.  They are no different but for the
 * time limit. */

int
accept(int fd, __SOCKADDR_ARG addr, socklen_t *restrict length)
{
    int new_fd = syscall(SYS_accept4, fd, addr.__sockaddr__, length,
                         SOCK_CLOEXEC);

    if (new_fd >= 0) {
        limit(new_fd);
    }
    return new_fd;
}

int
connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t length)
{
    int retval = syscall(SYS_connect, fd, addr.__sockaddr__, length);

    if (!retval) {
        limit(fd);
    }
    return retval;
}

/* File descriptors. */

/* The most that come with one message. */
#define MAX_FDS 16

/* Bytes of a message's header, by which the library asks for one. */
#define HEADER_SIZE 12

/* Of the last message that this thread has received. */
static __thread int received[MAX_FDS];
static __thread unsigned int n_received;
static __thread bool had_useless_fds;
static __thread bool has_left = true;

/* Notes the file descriptors that came with 'm'. */
static void
note_fds(struct msghdr *m)
{
    n_received = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

            n_received = n < MAX_FDS ? n : MAX_FDS;
            memcpy(received, CMSG_DATA(c), n_received * sizeof(int));
        }
    }
}

/* Returns true if file descriptors belong to message 'request'. */
static bool
takes_fds(uint32_t request)
{
    switch (request) {
    case PEER_SET_MEM_TABLE:
    case PEER_SET_VRING_KICK:
    case PEER_SET_VRING_CALL:
    case PEER_SET_VRING_ERR:
        return true;
    default:
        return false;
    }
}

void
peer_close_fds(void)
{
    struct linger no = { 0 };

    while (n_received) {
        int fd = received[--n_received];

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &no, sizeof no);
        close(fd);
    }
}

/* Returns true if 'fd' is an eventfd. */
static bool
is_eventfd(int fd)
{
    char path[32], target[32];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof target - 1);
    if (n < 0) {
        return false;
    }
    target[n] = '\0';
    return !strcmp(target, "anon_inode:[eventfd]");
}

bool
peer_sent_eventfds(void)
{
    for (unsigned int i = 0; i < n_received; i++) {
        if (!is_eventfd(received[i])) {
            return false;
        }
    }
    return true;
}

/* Closes the file descriptors that came with 'm', the first 'n' bytes of a
 * message's header, if they are of no use, and hides them. */
static void
close_useless_fds(struct msghdr *m, ssize_t n)
{
    uint32_t request = 0;

    if (n == HEADER_SIZE) {
        memcpy(&request, m->msg_iov[0].iov_base, sizeof request);
    }
    had_useless_fds = n_received && !takes_fds(request);
    if (had_useless_fds) {
        peer_close_fds();
        m->msg_controllen = 0;
    }
}

/* The library calls this one in place of libc's, too.  So does the front. */
ssize_t
recvmsg(int fd, struct msghdr *m, int flags)
{
    ssize_t n = syscall(SYS_recvmsg, fd, m, flags | MSG_CMSG_CLOEXEC);

    if (m->msg_iovlen == 1 && m->msg_iov[0].iov_len == HEADER_SIZE) {
        has_left = n == 0 || (n < 0 && errno == ECONNRESET);
        n_received = 0;
        if (n >= 0) {
            note_fds(m);
            close_useless_fds(m, n);
        }
    }
    return n;
}

bool
peer_sent_useless_fds(void)
{
    return had_useless_fds;
}

bool
peer_has_left(void)
{
    return has_left;
}

/* A table of memory, as it comes. */
struct table {
    uint32_t n;
    uint32_t padding;
    struct {
        uint64_t guest, size, user, offset;
    } regions[MEMORY_MAX_REGIONS];
};

/* Checks region 'i' of 't', whose file is 'fd', and adds it to 'm'. */
static int
check_region(const struct table *t, unsigned int i, int fd, struct memory *m,
             char *why, size_t why_size)
{
    struct memory_region r = {
        .guest = t->regions[i].guest,
        .size = t->regions[i].size,
        .user = t->regions[i].user,
        .host = (uint8_t *) (uintptr_t) page_sizes[0], /* Not yet known. */
    };
    uint64_t offset = t->regions[i].offset;
    struct statfs fs;
    struct stat st;

    if (fstat(fd, &st) || fstatfs(fd, &fs)) {
        snprintf(why, why_size, "memory region %u: %s", i, strerror(errno));
        return errno;
    }
    if (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC) {
        snprintf(why, why_size,
                 "memory region %u is a file of something else than memory: "
                 "let it be a memfd, or in /dev/shm or /dev/hugepages",
                 i);
        return EINVAL;
    }
    if (offset > UINT64_MAX - r.size
        || (S_ISREG(st.st_mode) && offset + r.size > (uint64_t) st.st_size)) {
        snprintf(why, why_size, "memory region %u is beyond its file", i);
        return EINVAL;
    }
    return memory_add(m, &r, why, why_size);
}

int
peer_check_table(const void *payload, uint32_t size, char *why,
                 size_t why_size)
{
    struct memory m = { 0 };
    struct table t = { 0 };
    int error = EINVAL;

    memcpy(&t, payload, size < sizeof t ? size : sizeof t);
    if (!t.n || t.n > MEMORY_MAX_REGIONS || t.n != n_received
        || size < offsetof(struct table, regions) + t.n * sizeof *t.regions) {
        snprintf(why, why_size, "%u memory regions with %u file descriptors",
                 t.n, n_received);
    } else {
        error = 0;
    }
    for (unsigned int i = 0; i < t.n && !error; i++) {
        error = check_region(&t, i, received[i], &m, why, why_size);
    }
    return error;
}

/* Memory that vanishes. */

/* Where memory has vanished lately: more than there are is as good as all. */
#define MAX_VANISHED 16
static uintptr_t vanished[MAX_VANISHED];
static unsigned int n_vanished;

static int alarm_fd;

/* Notes that memory at 'addr' has vanished. */
static void
note(uintptr_t addr)
{
    unsigned int i = __atomic_fetch_add(&n_vanished, 1, __ATOMIC_RELAXED);
    uint64_t one = 1;

    __atomic_store_n(&vanished[i % MAX_VANISHED], addr, __ATOMIC_RELAXED);
    if (write(alarm_fd, &one, sizeof one) < 0) {
        /* It is full, so who reads it wakes up. */
    }
}

static void
handle_sigbus(int signal_number, siginfo_t *info, void *context)
{
    uintptr_t addr = (uintptr_t) info->si_addr;
    int saved_errno = errno;

    (void) context;
    if (info->si_code == BUS_ADRERR) {
        for (unsigned int i = 0; i < 3; i++) {
            void *page = (void *) (addr & ~(page_sizes[i] - 1));

            if (mmap(page, page_sizes[i], PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
                != MAP_FAILED) {
                note(addr);
                errno = saved_errno;
                return;
            }
            /* Only that the page is larger. */
            if (errno != EINVAL) {
                break;
            }
        }
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

int
peer_guard(int alarm_fd_)
{
    struct sigaction action = { .sa_sigaction = handle_sigbus,
                                .sa_flags = SA_SIGINFO | SA_NODEFER };

    alarm_fd = alarm_fd_;
    return sigaction(SIGBUS, &action, NULL) ? errno : 0;
}

bool
peer_memory_vanished(const struct memory *m)
{
    bool found = false;

    if (!__atomic_load_n(&n_vanished, __ATOMIC_RELAXED)) {
        return false;
    }
    for (int i = 0; i < MAX_VANISHED; i++) {
        uintptr_t addr = __atomic_load_n(&vanished[i], __ATOMIC_RELAXED);

        if (addr && memory_has_host_range(m, (const void *) addr, 1)) {
            __atomic_store_n(&vanished[i], 0, __ATOMIC_RELAXED);
            found = true;
        }
    }
    return found;
}
