/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends UDP datagrams at a steady or at the highest rate, or counts what
 * comes in.
 *
 * usage: udp-blast send ADDRESS PORT BYTES SECONDS PPS
 *        udp-blast sink PORT BYTES SECONDS spin|wait
 *
 * 'send' sends datagrams of BYTES of payload for SECONDS, PPS a second, and
 * as many as it can if PPS is 0.  If BYTES is 0 as well it sends nothing, and
 * spins as it would between two datagrams at a steady rate: the control for
 * what pacing costs.  It prints
 *     sent=N seconds=S blocked=N
 * where 'blocked' counts the times at which the socket took nothing.
 *
 * 'sink' counts datagrams of BYTES for SECONDS after the first, or for 90 s
 * if there is none.  It says 'ready' before it starts; it spins for them, or
 * sleeps in the kernel.  It prints
 *     received=N seconds=S
 * where S is the time from the first to the last.
 *
 * SIGTERM ends either early; it prints what it counted until then.
 *
 * It is one thread, never sleeps while it spins, and takes the time without a
 * system call, so that a guest which runs it enters the hypervisor for its
 * network alone.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Datagrams a system call takes at most. */
#define BATCH 32
/* The longest payload that fits a frame of 9000 bytes. */
#define MAX_BYTES 8972
/* How long a sink waits for the first datagram. */
#define PATIENCE 90

static char buffers[BATCH][MAX_BYTES];
static struct iovec iovecs[BATCH];
static struct mmsghdr messages[BATCH];
/* Whether SIGTERM has come. */
static volatile sig_atomic_t ended;

static void
end_early(int signal_number)
{
    (void) signal_number;
    ended = 1;
}

static void
fail(const char *what)
{
    fprintf(stderr, "udp-blast: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Readies 'messages' for datagrams of 'bytes'. */
static void
set_up(size_t bytes)
{
    for (int i = 0; i < BATCH; i++) {
        iovecs[i].iov_base = buffers[i];
        iovecs[i].iov_len = bytes;
        messages[i].msg_hdr.msg_iov = &iovecs[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
}

/* Sends at most 'n' of 'messages', and returns how many the socket took. */
static int
send_some(int fd, int n)
{
    int sent = sendmmsg(fd, messages, n, MSG_DONTWAIT);

    if (sent >= 0) {
        return sent;
    }
    /* Nobody listens yet, or the way is congested: a datagram lost. */
    if (errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED) {
        fail("cannot send");
    }
    return 0;
}

static void
blast(int fd, size_t bytes, double seconds, double pps)
{
    uint64_t n_sent = 0, n_blocked = 0;
    double start = now(), t;

    set_up(bytes);
    while (!ended && (t = now() - start) < seconds) {
        int due = BATCH;

        if (pps > 0) {
            double behind = t * pps - n_sent;

            /* What is late is made up for, a batch at a time. */
            due = behind < 0 ? 0 : behind > BATCH ? BATCH : (int) behind;
        }
        if (!due || !bytes) {
            continue;
        }
        int sent = send_some(fd, due);
        n_sent += sent;
        n_blocked += !sent;
    }
    printf("sent=%llu seconds=%.3f blocked=%llu\n",
           (unsigned long long) n_sent, now() - start,
           (unsigned long long) n_blocked);
}

static void
sink(int fd, size_t bytes, double seconds, int spin)
{
    uint64_t n_received = 0;
    double start = now(), first = 0, last = 0;

    while (!ended
           && now() - (first ? first : start) < (first ? seconds : PATIENCE)) {
        set_up(MAX_BYTES);
        int n = recvmmsg(fd, messages, BATCH,
                         spin ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            fail("cannot receive");
        }
        for (int i = 0; i < n; i++) {
            n_received += messages[i].msg_len == bytes;
        }
        if (n > 0) {
            last = now();
            first = first ? first : last;
        }
    }
    printf("received=%llu seconds=%.3f\n", (unsigned long long) n_received,
           last - first);
}

static int
open_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int size = 4 * 1024 * 1024;

    if (fd < 0) {
        fail("cannot make a socket");
    }
    /* Beyond what the system allows others, since the sink may have to share
     * its CPU with the driver.  Without the right to it, as much as it can. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size)) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    return fd;
}

static struct sockaddr_in
address_of(const char *host, const char *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(atoi(port)) };

    if (host && !inet_aton(host, &a.sin_addr)) {
        fprintf(stderr, "udp-blast: %s is no IPv4 address\n", host);
        exit(2);
    }
    return a;
}

/* Returns the payload length that 'text' tells. */
static size_t
bytes_of(const char *text)
{
    long bytes = atol(text);

    if (bytes < 0 || bytes > MAX_BYTES) {
        fprintf(stderr, "udp-blast: %s bytes: must be 0 to %d\n", text,
                MAX_BYTES);
        exit(2);
    }
    return bytes;
}

int
main(int argc, char **argv)
{
    signal(SIGTERM, end_early);
    if (argc == 7 && !strcmp(argv[1], "send")) {
        struct sockaddr_in to = address_of(argv[2], argv[3]);
        int fd = open_socket();

        if (connect(fd, (struct sockaddr *) &to, sizeof to)) {
            fail("cannot connect");
        }
        blast(fd, bytes_of(argv[4]), atof(argv[5]), atof(argv[6]));
        return 0;
    }
    if (argc == 6 && !strcmp(argv[1], "sink")) {
        struct sockaddr_in at = address_of(NULL, argv[2]);
        /* So that a sink which waits sees its end. */
        struct timeval pause = { .tv_usec = 100000 };
        int fd = open_socket();

        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof pause);
        if (bind(fd, (struct sockaddr *) &at, sizeof at)) {
            fail("cannot listen");
        }
        printf("ready\n");
        fflush(stdout);
        sink(fd, bytes_of(argv[3]), atof(argv[4]), !strcmp(argv[5], "spin"));
        return 0;
    }
    fprintf(stderr, "usage: udp-blast send ADDRESS PORT BYTES SECONDS PPS\n"
                    "       udp-blast sink PORT BYTES SECONDS spin|wait\n");
    return 2;
}
