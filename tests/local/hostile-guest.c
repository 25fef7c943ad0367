/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that misbehaves, in one way at a time.
 *
 * usage: hostile-guest SOCKET NAME HOW [ARGUMENT]
 *
 * Connects to the socket door at SOCKET as guest NAME, which must have a port,
 * and does what HOW says ('hostile-guest' alone lists them).  Exits with 0 if
 * the switch answered as it should, as far as a guest can see; what it cost
 * the switch and others is for cases/hostile-guest.sh to find out.
 */
#define _GNU_SOURCE

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/local/hostile-front.h"

static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };

/* How long the long ones go on. */
static int64_t duration_ms = 2000;

/* What a guest should be like. */

static void
good(const char *arg)
{
    struct guest g;

    (void) arg;
    guest_attach(&g, guest_name);
    for (int i = 0; i < 100; i++) {
        MUST(guest_put(&g, broadcast, 60));
    }
    doms_ring_publish(&g.q.tx);
    guest_wait_taken(&g);
    guest_leave(&g);
}

/* Sends as much as it can to the address 'arg' for as long as its parent lives
 * and the switch lets it. */
static void
blast(const char *arg)
{
    struct guest g;
    uint8_t to[6];

    MUST(arg && doms_mac_from_string(arg, to));
    guest_attach(&g, guest_name);
    printf("blasting\n");
    fflush(stdout);
    for (;;) {
        for (int i = 0; i < 32 && guest_put(&g, to, 60 + 50 * (i % 25)); i++) {
            continue;
        }
        doms_ring_publish(&g.q.tx);
        guest_take(&g);
        usleep(50);
    }
}

/* Messages. */

/* Sends 'n' bytes of 'msg'; the switch must answer with REFUSE of 'error' and
 * hang up. */
static void
refused(const struct doms_msg *msg, size_t n, int error)
{
    int sock = door_connect();

    MUST(send(sock, msg, n, 0) == (ssize_t) n);
    MUST(wait_closed(sock) == error);
}

static void
bad_hellos(void)
{
    static const uint16_t queues[] = { 0, 17, 255, 65535 };
    static const uint32_t arenas[] = { 1,      4096,    65536,    131071,
                                       131073, 8388608, 1u << 31, 0xffffffff };
    static const char *names[] = { "",    "-x",  ".",       "a/b",
                                   "a b", "a\n", "../doms", "\xff" };
    const size_t size = doms_msg_size(DOMS_MSG_HELLO);
    struct doms_msg msg;

    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        msg = make_hello(guest_name);
        msg.u.hello.n_queues = queues[i];
        refused(&msg, size, EPROTO);
    }
    for (size_t i = 0; i < sizeof arenas / sizeof arenas[0]; i++) {
        msg = make_hello(guest_name);
        msg.u.hello.arena_size = arenas[i];
        refused(&msg, size, EPROTO);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        msg = make_hello(names[i]);
        refused(&msg, size, EPROTO);
    }
    msg = make_hello(guest_name);
    memset(msg.u.hello.name, 'a', sizeof msg.u.hello.name);
    refused(&msg, size, EPROTO);
    msg = make_hello(guest_name);
    msg.u.hello.mac[0] = 1;
    refused(&msg, size, EPROTO);
    msg = make_hello(guest_name);
    msg.u.hello.reserved = 1;
    refused(&msg, size, EPROTO);
}

static void
bad_messages(const char *arg)
{
    char large[4096] = { 0 };
    struct doms_msg msg;

    (void) arg;
    bad_hellos();
    for (size_t n = 1; n <= sizeof msg; n++) {
        msg = make_hello(guest_name);
        if (n != doms_msg_size(DOMS_MSG_HELLO)) {
            refused(&msg, n, EPROTO);
        }
    }
    msg = make_hello(guest_name);
    memcpy(large, &msg, sizeof msg);
    refused((struct doms_msg *) large, sizeof large, EPROTO);
    msg.h.magic++;
    refused(&msg, doms_msg_size(DOMS_MSG_HELLO), EPROTO);
    msg = make_hello(guest_name);
    msg.h.version++;
    refused(&msg, doms_msg_size(DOMS_MSG_HELLO), EPROTONOSUPPORT);
    for (uint32_t type = 0; type <= 65535;
         type = type < 8 ? type + 1 : type * 2 + 1) {
        if (type != DOMS_MSG_HELLO) {
            doms_msg_init(&msg, type);
            refused(&msg, doms_msg_size(type) ? doms_msg_size(type) : 8,
                    EPROTO);
        }
    }
    /* An empty message is the end. */
    int sock = door_connect();
    MUST(!send(sock, "", 0, 0));
    MUST(!wait_closed(sock));
}

static void
out_of_order(const char *arg)
{
    struct doms_msg ready;
    struct guest g;
    int sock;

    (void) arg;
    doms_msg_init(&ready, DOMS_MSG_READY);
    refused(&ready, doms_msg_size(DOMS_MSG_READY), EPROTO);

    /* Twice HELLO, or READY, of a guest that waits for a port, ... */
    for (int i = 0; i < 2; i++) {
        sock = door_connect();
        say_hello(sock, "no-such-port");
        if (i) {
            say_hello(sock, "no-such-port");
        } else {
            say_ready(sock);
        }
        MUST(wait_closed(sock) == EPROTO);
    }
    /* ... of one that has been welcomed, and of one that is up. */
    guest_join(&g, guest_name);
    say_hello(g.sock, guest_name);
    guest_wait_closed(&g);
    guest_attach(&g, guest_name);
    say_ready(g.sock);
    guest_wait_closed(&g);
    guest_attach(&g, guest_name);
    say_hello(g.sock, guest_name);
    guest_wait_closed(&g);
}

/* Sends 'msg' with as many file descriptors as the kernel allows.  Returns 0 or
 * a positive errno value. */
static int
send_with_fds(int sock, const struct doms_msg *msg, size_t n)
{
    int fds[253];
    char control[CMSG_SPACE(sizeof fds)] = { 0 };
    struct iovec iov = { .iov_base = (void *) msg, .iov_len = n };
    struct msghdr mh = { .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof control };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = STDIN_FILENO;
    }
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(cmsg), fds, sizeof fds);
    return sendmsg(sock, &mh, 0) < 0 ? errno : 0;
}

/* Returns true if the kernel can have a socket refuse file descriptors. */
static bool
kernel_refuses_fds(void)
{
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    bool can = !doms_msg_refuse_fds(sock);

    close(sock);
    return can;
}

static void
fds_with_messages(const char *arg)
{
    struct doms_msg msg = make_hello(guest_name);
    int expected = kernel_refuses_fds() ? EPERM : 0;
    struct guest g;

    (void) arg;
    for (int i = 0; i < 50; i++) {
        g = (struct guest){ .sock = door_connect() };
        MUST(send_with_fds(g.sock, &msg, doms_msg_size(DOMS_MSG_HELLO))
             == expected);
        if (expected) {
            close(g.sock);
            continue;
        }
        take_welcome(&g);
        MUST(!send_with_fds(g.sock, &msg, i % 2 ? 0 : 5));
        guest_wait_closed(&g);
    }
    /* The bell that the guest rings. */
    guest_attach(&g, guest_name);
    MUST(send_with_fds(g.fds[3], &msg, 1) == expected);
    guest_leave(&g);
}

/* Connections. */

static void
silence(const char *arg)
{
    int64_t began = now_ms();
    struct guest g;

    (void) arg;
    guest_join(&g, guest_name);
    MUST(wait_closed(g.sock) == ETIMEDOUT);
    guest_unmap(&g);
    MUST(now_ms() - began >= 9000);
}

static void
flood(const char *arg)
{
    int64_t deadline = now_ms() + PATIENCE_MS;
    int socks[300];
    int n_open;

    (void) arg;
    for (int i = 0; i < 300; i++) {
        socks[i] = door_connect();
        if (i % 100 == 50) {
            int64_t began = now_ms();

            /* The flood keeps nobody out, nor waiting. */
            good(NULL);
            MUST(now_ms() - began < PATIENCE_MS / 4);
        }
    }
    /* It keeps no more than so many silent ones. */
    do {
        n_open = 0;
        for (int i = 0; i < 300; i++) {
            struct pollfd pfd = { .fd = socks[i], .events = POLLIN };

            n_open += !poll(&pfd, 1, 0);
        }
        MUST(n_open <= 128 || now_ms() < deadline);
    } while (n_open > 128);
    for (int i = 0; i < 300; i++) {
        close(socks[i]);
    }
}

static void
connect_storm(const char *arg)
{
    (void) arg;
    for (int i = 0; i < 1000; i++) {
        close(door_connect());
    }
}

static void
hang_up_after_welcome(const char *arg)
{
    struct guest g;

    (void) arg;
    for (int i = 0; i < 500; i++) {
        guest_join(&g, guest_name);
        guest_leave(&g);
    }
}

static void
hang_up_after_hello(const char *arg)
{
    (void) arg;
    for (int i = 0; i < 500; i++) {
        int sock = door_connect();

        say_hello(sock, guest_name);
        close(sock);
    }
}

static void
attach_storm(const char *arg)
{
    int64_t end = now_ms() + duration_ms;
    struct guest g;
    int n = 0;

    (void) arg;
    while (now_ms() < end) {
        guest_attach(&g, guest_name);
        guest_leave(&g);
        n++;
    }
    printf("attached %d times\n", n);
}

/* Dies in the state that 'arg' names. */
static void
killed(const char *arg)
{
    struct guest g = { .sock = -1 };
    pid_t pid = fork();
    int status;

    MUST(arg && pid >= 0);
    if (!pid) {
        if (!strcmp(arg, "connected")) {
            g.sock = door_connect();
        } else if (!strcmp(arg, "waiting")) {
            g.sock = door_connect();
            say_hello(g.sock, "no-such-port");
        } else if (!strcmp(arg, "welcomed")) {
            guest_join(&g, guest_name);
        } else if (!strcmp(arg, "ready")) {
            guest_join(&g, guest_name);
            guest_map(&g);
            say_ready(g.sock);
        } else if (!strcmp(arg, "sending")) {
            guest_attach(&g, guest_name);
            while (guest_put(&g, broadcast, 1500)) {
                continue;
            }
            doms_ring_publish(&g.q.tx);
        } else {
            exit(1);
        }
        raise(SIGKILL);
    }
    MUST(waitpid(pid, &status, 0) == pid);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Attaches and never reads what the switch has to say; ends when that has hung
 * up. */
static void
deaf(const char *arg)
{
    struct pollfd pfd = { 0 };
    struct guest g;

    (void) arg;
    guest_attach(&g, guest_name);
    printf("attached\n");
    fflush(stdout);
    pfd.fd = g.sock;
    pfd.events = POLLRDHUP;
    MUST(poll(&pfd, 1, 4 * PATIENCE_MS) == 1);
    guest_leave(&g);
}

/* Waits with READY until a line comes from the standard input; by then the
 * channel does not suit the port any more, and the switch must hang up. */
static void
late_ready(const char *arg)
{
    struct guest g;

    (void) arg;
    guest_join(&g, guest_name);
    guest_map(&g);
    printf("welcomed\n");
    fflush(stdout);
    MUST(getchar() != EOF);
    say_ready(g.sock);
    guest_wait_closed(&g);
}

/* Rings. */

/* Attaches, sends some good frames, then lets 'arg' happen; the switch must
 * hang up and say why. */
static void
break_ring(const char *arg)
{
    const struct doms_health *health;
    struct doms_queue_ctl *ctl;
    int64_t deadline = now_ms() + PATIENCE_MS;
    uint32_t *lengths, entry, head;
    struct guest g;

    MUST(arg);
    guest_attach(&g, guest_name);
    for (int i = 0; i < 10; i++) {
        guest_put(&g, broadcast, 60);
    }
    doms_ring_publish(&g.q.tx);
    guest_wait_taken(&g);

    ctl = guest_ctl(&g);
    lengths = g.q.tx.lengths;
    head = g.q.tx.head;
    if (!strcmp(arg, "head-far")) {
        DOMS_STORE_RELEASE(&ctl->head, head + g.q.tx.length_mask + 2);
    } else if (!strcmp(arg, "head-back")) {
        DOMS_STORE_RELEASE(&ctl->head, head - 1);
    } else if (!strcmp(arg, "tail")) {
        DOMS_STORE_RELEASE(&ctl->tail, 1u << 31);
    } else {
        entry = strtoul(arg, NULL, 0);
        DOMS_WRITE_ONCE(lengths[head & g.q.tx.length_mask], entry);
        DOMS_STORE_RELEASE(&ctl->head, head + 1);
    }

    health = (const struct doms_health *) g.peer;
    while (DOMS_LOAD_ACQUIRE(&health->state) != DOMS_STATE_BROKEN) {
        MUST(now_ms() < deadline);
        usleep(1000);
    }
    guest_wait_closed(&g);
}

/* Writes random words all over its group, and attaches again whenever the
 * switch has had enough. */
static void
scribble(const char *arg)
{
    int64_t end = now_ms() + duration_ms;
    uint64_t x = 88172645463325252u;
    unsigned int n = 0;
    struct guest g;

    (void) arg;
    while (now_ms() < end) {
        struct pollfd pfd = { .events = POLLRDHUP };

        guest_attach(&g, guest_name);
        pfd.fd = g.sock;
        while (now_ms() < end && !poll(&pfd, 1, 0)) {
            struct doms_queue_ctl *ctl = guest_ctl(&g);

            for (int i = 0; i < 10000; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                DOMS_WRITE_ONCE(((uint32_t *) g.own)[x % (g.size / 4)],
                                x >> 32);
                /* Counts that are nearly right go further. */
                DOMS_WRITE_ONCE(ctl->head, n + (x >> 60));
                DOMS_WRITE_ONCE(ctl->tail, DOMS_READ_ONCE(*g.q.rx.head_page));
            }
        }
        guest_leave(&g);
        n++;
    }
    printf("attached %u times\n", n);
}

/* Seals and bells. */

static void
write_what_is_the_switchs(const char *arg)
{
    uint32_t word = 0xffffffff;
    char path[64];
    struct guest g;
    int fd;

    (void) arg;
    guest_attach(&g, guest_name);
    MUST(mmap(NULL, g.size, PROT_READ | PROT_WRITE, MAP_SHARED, g.fds[1], 0)
         == MAP_FAILED);
    MUST(mprotect(g.peer, g.size, PROT_READ | PROT_WRITE));
    MUST(pwrite(g.fds[1], &word, sizeof word, 0) < 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", g.fds[1]);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        MUST(mmap(NULL, g.size, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
        MUST(pwrite(fd, &word, sizeof word, 0) < 0);
        close(fd);
    }
    MUST(fallocate(g.fds[1], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                   g.size));
    for (int i = 0; i < 2; i++) {
        MUST(ftruncate(g.fds[i], 0));
        MUST(ftruncate(g.fds[i], g.size - DOMS_PAGE_SIZE));
        MUST(ftruncate(g.fds[i], g.size + DOMS_PAGE_SIZE));
        MUST(fallocate(g.fds[i], 0, g.size, DOMS_PAGE_SIZE));
        MUST(fcntl(g.fds[i], F_ADD_SEALS, F_SEAL_WRITE));
    }
    MUST(!memcmp(g.peer, "DOMS", 4));
    guest_leave(&g);
}

/* Takes its pages away, again and again, while the switch reads them. */
static void
punch_holes(const char *arg)
{
    int64_t end = now_ms() + duration_ms;
    struct guest g;
    int n = 0;

    (void) arg;
    guest_attach(&g, guest_name);
    while (now_ms() < end) {
        n += !fallocate(g.fds[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        0, g.size);
        n += !madvise(g.own, g.size, MADV_REMOVE);
    }
    printf("punched %d times\n", n);
    MUST(!n);
    guest_leave(&g);
}

/* Waits until the switch has put more into the ring of 'g' than before. */
static void
wait_for_traffic(struct guest *g)
{
    int64_t deadline = now_ms() + PATIENCE_MS;

    guest_take(g);
    while (!guest_take(g)) {
        MUST(now_ms() < deadline);
        usleep(1000);
    }
}

/* Pretends to sleep, so that it is rung for each burst, takes no bell out, and
 * makes its ends of the bells blocking. */
static void
never_wake(const char *arg)
{
    int64_t end = now_ms() + duration_ms;
    struct guest g;

    (void) arg;
    guest_attach(&g, guest_name);
    MUST(g.n_fds == 4);
    for (int i = 2; i < 4; i++) {
        MUST(!fcntl(g.fds[i], F_SETFL, 0));
    }
    while (now_ms() < end) {
        /* Each value is another sleep. */
        doms_queue_announce_sleep(&g.q);
        guest_take(&g);
        usleep(20);
    }
    wait_for_traffic(&g);
    guest_leave(&g);
}

static int bell_fd;
static char *faulting_page;

static void *
read_bell(void *aux)
{
    ssize_t n = read(bell_fd, faulting_page, 1);

    return n < 0 ? NULL : aux;
}

/* Reads a bell into a page that is not there yet and that nobody brings, so
 * that the kernel holds whatever it locks for reading a bell; the switch,
 * which rings it, must not wait for that. */
static void
hold_bell(const char *arg)
{
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
    struct pollfd pfd = { .events = POLLIN };
    struct guest g;
    pthread_t thread;

    (void) arg;
    faulting_page = mmap(NULL, DOMS_PAGE_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(faulting_page != MAP_FAILED);
    pfd.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    MUST(pfd.fd >= 0 && !ioctl(pfd.fd, UFFDIO_API, &api));
    reg.range.start = (uintptr_t) faulting_page;
    reg.range.len = DOMS_PAGE_SIZE;
    MUST(!ioctl(pfd.fd, UFFDIO_REGISTER, &reg));

    guest_attach(&g, guest_name);
    DOMS_WRITE_ONCE(*g.q.asleep, 1);
    wait_for_traffic(&g);
    bell_fd = g.fds[2];
    MUST(!pthread_create(&thread, NULL, read_bell, NULL));
    MUST(poll(&pfd, 1, PATIENCE_MS) == 1);
    /* It hangs there now. */
    for (int i = 0; i < 5; i++) {
        wait_for_traffic(&g);
    }
    /* A thread that hangs in the kernel cannot be stopped for anything but
     * its end. */
    _exit(0);
}

/* Sends without ever ringing the switch's bell, each time after it must have
 * fallen asleep.  Says how long the switch took at most. */
static void
never_ring(const char *arg)
{
    int64_t longest = 0;
    struct guest g;

    (void) arg;
    guest_attach(&g, guest_name);
    for (int i = 0; i < 20; i++) {
        int64_t deadline = now_ms() + PATIENCE_MS;
        int64_t began;

        while (!DOMS_READ_ONCE(*g.q.peer_asleep)) {
            MUST(now_ms() < deadline);
            usleep(1000);
        }
        MUST(guest_put(&g, broadcast, 60));
        began = now_ms();
        doms_ring_publish(&g.q.tx);
        guest_wait_taken(&g);
        if (now_ms() - began > longest) {
            longest = now_ms() - began;
        }
    }
    printf("waited %d ms\n", (int) longest);
    guest_leave(&g);
}

/* Rings the switch's bell without end, and sends nothing. */
static void
ring_for_nothing(const char *arg)
{
    int64_t end = now_ms() + duration_ms;
    struct guest g;

    (void) arg;
    guest_attach(&g, guest_name);
    MUST(g.n_fds == 4);
    while (now_ms() < end) {
        ssize_t n = send(g.fds[3], "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);

        MUST(n == 1 || errno == EAGAIN);
        guest_take(&g);
    }
    wait_for_traffic(&g);
    guest_leave(&g);
}

static const struct {
    const char *how;
    void (*run)(const char *arg);
} hows[] = {
    { "good", good },
    { "blast", blast },
    { "bad-messages", bad_messages },
    { "out-of-order", out_of_order },
    { "fds-with-messages", fds_with_messages },
    { "silence", silence },
    { "flood", flood },
    { "connect-storm", connect_storm },
    { "hang-up-after-hello", hang_up_after_hello },
    { "hang-up-after-welcome", hang_up_after_welcome },
    { "attach-storm", attach_storm },
    { "killed", killed },
    { "deaf", deaf },
    { "late-ready", late_ready },
    { "break-ring", break_ring },
    { "scribble", scribble },
    { "write-what-is-the-switchs", write_what_is_the_switchs },
    { "punch-holes", punch_holes },
    { "never-wake", never_wake },
    { "hold-bell", hold_bell },
    { "never-ring", never_ring },
    { "ring-for-nothing", ring_for_nothing },
};

int
main(int argc, char *argv[])
{
    if (argc >= 4) {
        door_path = argv[1];
        guest_name = argv[2];
        for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
            if (!strcmp(argv[3], hows[i].how)) {
                hows[i].run(argc > 4 ? argv[4] : NULL);
                return 0;
            }
        }
    }
    fprintf(stderr, "usage: hostile-guest SOCKET NAME HOW [ARGUMENT]\nHOW:");
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        fprintf(stderr, " %s", hows[i].how);
    }
    fprintf(stderr, "\n");
    return 2;
}
