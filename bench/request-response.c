/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and responses of one byte over TCP, one at a time, between two
 * network namespaces: transactions a second, and how long one takes.
 *
 *     request-response -a NETNS -b NETNS -i ADDRESS [-t SECONDS] [-c CPU]
 *                      [-C SWITCH_CPU] [-k CASE]
 *
 * The client is in namespace A and the server, a child, in namespace B, at
 * ADDRESS (IPv4); both are on CPU.
 */
#define _GNU_SOURCE 1

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/placement.h"

#define N_MAX 4000000
#define PORT 7777

struct options {
    const char *netns[2];
    const char *address;
    const char *name;
    double seconds;
    int cpu;
    int switch_cpu;
};

static void
fail(const char *what)
{
    fprintf(stderr, "request-response: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void
enter(const char *netns)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof path, "/run/netns/%s", netns);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET)) {
        fail(netns);
    }
    close(fd);
}

static struct sockaddr_in
address_of(const struct options *o)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(PORT) };

    if (inet_pton(AF_INET, o->address, &address.sin_addr) != 1) {
        errno = EINVAL;
        fail(o->address);
    }
    return address;
}

static void
set_no_delay(int fd)
{
    int on = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) {
        fail("TCP_NODELAY");
    }
}

/* Listens in namespace B.  Returns the socket. */
static int
listen_there(const struct options *o)
{
    struct sockaddr_in address = address_of(o);
    int on = 1;
    int fd;

    enter(o->netns[1]);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on)
        || bind(fd, (struct sockaddr *) &address, sizeof address)
        || listen(fd, 1)) {
        fail("cannot listen");
    }
    return fd;
}

/* Answers one client. */
static void
serve(int listener)
{
    char byte;
    int fd;

    fd = accept(listener, NULL, NULL);
    if (fd < 0) {
        fail("cannot accept");
    }
    set_no_delay(fd);
    while (read(fd, &byte, 1) == 1) {
        if (write(fd, &byte, 1) != 1) {
            break;
        }
    }
}

static int
connect_from(const struct options *o)
{
    struct sockaddr_in address = address_of(o);
    int fd;

    enter(o->netns[0]);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address)) {
        fail("cannot connect");
    }
    set_no_delay(fd);
    return fd;
}

/* Asks for 'seconds'.  Returns how often, and sorts the times. */
static size_t
request(int fd, double seconds, uint32_t *times)
{
    uint64_t end = bench_now_ns() + seconds * 1e9;
    uint64_t now = bench_now_ns();
    char byte = 'r';
    size_t n = 0;

    while (now < end && n < N_MAX) {
        uint64_t start = now;

        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) {
            fail("the connection broke");
        }
        now = bench_now_ns();
        times[n++] = now - start;
    }
    bench_sort(times, n);
    return n;
}

static void
parse_options(int argc, char *argv[], struct options *o)
{
    int opt;

    *o = (struct options){ .name = "rr", .seconds = 1, .switch_cpu = 1 };
    while ((opt = getopt(argc, argv, "a:b:i:t:c:C:k:")) != -1) {
        switch (opt) {
        case 'a':
        case 'b':
            o->netns[opt - 'a'] = optarg;
            break;
        case 'i':
            o->address = optarg;
            break;
        case 't':
            o->seconds = atof(optarg);
            break;
        case 'c':
            o->cpu = atoi(optarg);
            break;
        case 'C':
            o->switch_cpu = atoi(optarg);
            break;
        case 'k':
            o->name = optarg;
            break;
        default:
            exit(EXIT_FAILURE);
        }
    }
    if (!o->netns[0] || !o->netns[1] || !o->address) {
        errno = EINVAL;
        fail("-a, -b and -i are needed");
    }
}

int
main(int argc, char *argv[])
{
    static uint32_t times[N_MAX];
    double before, after;
    pid_t parent = getpid();
    struct options o;
    int listener, fd;
    size_t n;

    parse_options(argc, argv, &o);
    before = bench_line_round_trip_ns(o.cpu, o.switch_cpu);
    if (bench_pin(o.cpu)) {
        fail("its CPU");
    }
    listener = listen_there(&o);
    switch (fork()) {
    case -1:
        fail("fork");
        break;
    case 0:
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) {
            serve(listener);
        }
        exit(EXIT_SUCCESS);
    }
    close(listener);
    fd = connect_from(&o);
    request(fd, 0.1, times);
    n = request(fd, o.seconds, times);
    close(fd);
    after = bench_line_round_trip_ns(o.cpu, o.switch_cpu);
    if (n < 100) {
        errno = ETIMEDOUT;
        fail("fewer than 100 responses");
    }
    printf("bench case=%s transactions=%.0f rtt_p50_ns=%u rtt_p99_ns=%u "
           "rtt_p999_ns=%u line_ns=%.0f line_after_ns=%.0f placement=%s\n",
           o.name, n / o.seconds, times[n / 2], times[n * 99 / 100],
           times[n * 999 / 1000], before, after,
           bench_placement_pair(before, after));
    return EXIT_SUCCESS;
}
