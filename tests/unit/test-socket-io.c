/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of common/socket-msg.c over a real socket: sending and receiving, the
 * connection's end, and file descriptors, of which none may ever leak.
 */
#define _GNU_SOURCE

#include "socket-msg-make.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Both ends of a connection, and the descriptors that were open before. */
struct fixture {
    int a, b;
    int n_open;
};

/* Returns how many file descriptors this process has open. */
static int
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

static int
setup(void **state)
{
    static struct fixture f;
    int socks[2];

    f.n_open = count_fds();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks)) {
        return -1;
    }
    f.a = socks[0];
    f.b = socks[1];
    *state = &f;
    return 0;
}

/* Every test must leave the descriptors that it found. */
static int
teardown(void **state)
{
    struct fixture *f = *state;

    close(f->a);
    if (f->b >= 0) {
        close(f->b);
    }
    return count_fds() == f->n_open ? 0 : -1;
}

static void
every_message_arrives_as_it_was_sent(void **state)
{
    struct fixture *f = *state;

    for (int type = DOMS_MSG_HELLO; type <= DOMS_MSG_REFUSE; type++) {
        struct doms_msg sent, received;
        unsigned int n_fds = 77;
        size_t n = 77;

        make(&sent, type);
        assert_int_equal(doms_msg_send(f->a, &sent, NULL, 0), 0);
        memset(&received, 0xff, sizeof received);
        assert_int_equal(doms_msg_recv(f->b, &received, &n, NULL, 0, &n_fds),
                         0);
        assert_int_equal(n, doms_msg_size(type));
        assert_int_equal(n_fds, 0);
        assert_memory_equal(&sent, &received, n);
    }
}

static void
nothing_to_receive_is_eagain(void **state)
{
    struct fixture *f = *state;
    struct doms_msg msg;
    unsigned int n_fds = 77;
    size_t n = 77;

    assert_int_equal(doms_msg_recv(f->b, &msg, &n, NULL, 0, &n_fds), EAGAIN);
    assert_int_equal(n, 0);
    assert_int_equal(n_fds, 0);
}

static void
sending_to_a_peer_that_does_not_read_ends_with_eagain(void **state)
{
    struct fixture *f = *state;
    struct doms_msg msg;
    int error = 0, n = 0;

    make(&msg, DOMS_MSG_CONFIG);
    while (!error && n++ < 100000) {
        error = doms_msg_send(f->a, &msg, NULL, 0);
    }
    assert_int_equal(error, EAGAIN);
}

static void
end_of_the_connection_is_told_to_both_sides(void **state)
{
    struct fixture *f = *state;
    struct doms_msg msg;
    unsigned int n_fds;
    size_t n;

    make(&msg, DOMS_MSG_READY);
    assert_int_equal(doms_msg_send(f->b, &msg, NULL, 0), 0);
    close(f->b);
    f->b = -1;
    /* What was sent before it is not lost. */
    assert_int_equal(doms_msg_recv(f->a, &msg, &n, NULL, 0, &n_fds), 0);
    assert_int_equal(n, 8);
    assert_int_equal(doms_msg_recv(f->a, &msg, &n, NULL, 0, &n_fds),
                     ECONNRESET);
    assert_int_equal(n, 0);
    /* Neither does SIGPIPE end this process, which may have been started with
     * it ignored. */
    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(doms_msg_send(f->a, &msg, NULL, 0), EPIPE);
}

static void
message_of_any_wrong_size_is_received_and_found_wrong(void **state)
{
    struct fixture *f = *state;
    uint8_t raw[4096] = { 0 };

    for (int type = DOMS_MSG_HELLO; type <= DOMS_MSG_REFUSE; type++) {
        make((struct doms_msg *) raw, type);
        for (size_t size = 1; size <= sizeof raw; size += 1 + size / 256) {
            struct {
                struct doms_msg msg;
                uint8_t guard[64];
            } in;
            unsigned int n_fds;
            char why[100];
            size_t n;

            memset(&in, 0xaa, sizeof in);
            assert_int_equal(send(f->a, raw, size, 0), size);
            assert_int_equal(doms_msg_recv(f->b, &in.msg, &n, NULL, 0, &n_fds),
                             0);
            assert_int_equal(n,
                             size <= sizeof in.msg ? size : sizeof in.msg + 1);
            assert_int_equal(doms_msg_check(&in.msg, n, why, sizeof why),
                             size == doms_msg_size(type) ? 0 : EPROTO);
            for (size_t i = 0; i < sizeof in.guard; i++) {
                assert_int_equal(in.guard[i], 0xaa);
            }
        }
    }
}

/* File descriptors. */

/* Sends a WELCOME with 'n' descriptors of one file over 'sock'. */
static void
send_fds(int sock, unsigned int n)
{
    int fds[DOMS_MSG_MAX_FDS];
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct doms_msg msg;

    assert_true(fd >= 0);
    for (unsigned int i = 0; i < n; i++) {
        fds[i] = fd;
    }
    make(&msg, DOMS_MSG_WELCOME);
    assert_int_equal(doms_msg_send(sock, &msg, fds, n), 0);
    close(fd);
}

static void
descriptors_arrive_counted_and_close_on_exec(void **state)
{
    struct fixture *f = *state;

    for (unsigned int sent = 0; sent <= DOMS_MSG_MAX_FDS; sent++) {
        int fds[DOMS_MSG_MAX_FDS];
        struct doms_msg msg;
        unsigned int n_fds = 77;
        struct stat a, b;
        size_t n;

        send_fds(f->a, sent);
        assert_int_equal(
            doms_msg_recv(f->b, &msg, &n, fds, DOMS_MSG_MAX_FDS, &n_fds), 0);
        assert_int_equal(n_fds, sent);
        assert_int_equal(stat("/dev/null", &a), 0);
        for (unsigned int i = 0; i < n_fds; i++) {
            assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
            assert_int_equal(fstat(fds[i], &b), 0);
            assert_int_equal(a.st_rdev, b.st_rdev);
            close(fds[i]);
        }
    }
}

static void
descriptors_keep_their_order(void **state)
{
    struct fixture *f = *state;
    int sent[4], received[DOMS_MSG_MAX_FDS];
    struct doms_msg msg;
    unsigned int n_fds;
    size_t n;

    for (int i = 0; i < 4; i++) {
        char name[20];
        FILE *file = tmpfile();

        assert_non_null(file);
        sent[i] = dup(fileno(file));
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(write(sent[i], name, 1), 1);
        fclose(file);
    }
    make(&msg, DOMS_MSG_WELCOME);
    assert_int_equal(doms_msg_send(f->a, &msg, sent, 4), 0);
    assert_int_equal(
        doms_msg_recv(f->b, &msg, &n, received, DOMS_MSG_MAX_FDS, &n_fds), 0);
    assert_int_equal(n_fds, 4);
    for (int i = 0; i < 4; i++) {
        char c;

        assert_int_equal(pread(received[i], &c, 1, 0), 1);
        assert_int_equal(c, '0' + i);
        close(sent[i]);
        close(received[i]);
    }
}

static void
descriptors_beyond_those_expected_are_closed(void **state)
{
    struct fixture *f = *state;
    int n_open = count_fds();

    for (unsigned int max = 0; max <= 5; max++) {
        for (unsigned int sent = 0; sent <= DOMS_MSG_MAX_FDS; sent += 3) {
            int fds[6];
            struct doms_msg msg;
            unsigned int n_fds = 77;
            size_t n;

            send_fds(f->a, sent);
            fds[max] = -4711;
            assert_int_equal(doms_msg_recv(f->b, &msg, &n, fds, max, &n_fds),
                             0);
            assert_int_equal(n_fds, sent < max ? sent : max);
            assert_int_equal(fds[max], -4711);
            assert_int_equal(count_fds(), n_open + (int) n_fds);
            for (unsigned int i = 0; i < n_fds; i++) {
                close(fds[i]);
            }
        }
    }
}

static void
descriptors_with_an_empty_message_are_closed(void **state)
{
    struct fixture *f = *state;
    union {
        struct cmsghdr h;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = { .h = { .cmsg_len = CMSG_LEN(sizeof(int)),
                         .cmsg_level = SOL_SOCKET,
                         .cmsg_type = SCM_RIGHTS } };
    struct iovec iov = { .iov_base = &control, .iov_len = 0 };
    struct msghdr mh = { .msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof control.buf };
    int n_open = count_fds();
    int fds[DOMS_MSG_MAX_FDS];
    struct doms_msg msg;
    unsigned int n_fds = 77;
    size_t n;

    memcpy(CMSG_DATA(&control.h), &f->a, sizeof f->a);
    assert_int_equal(sendmsg(f->a, &mh, 0), 0);
    /* Nothing tells an empty message from the end. */
    assert_int_equal(
        doms_msg_recv(f->b, &msg, &n, fds, DOMS_MSG_MAX_FDS, &n_fds),
        ECONNRESET);
    assert_int_equal(n_fds, 0);
    assert_int_equal(count_fds(), n_open);
}

static void
more_descriptors_than_a_message_carries_are_not_sent(void **state)
{
    struct fixture *f = *state;
    int fds[DOMS_MSG_MAX_FDS + 1] = { 0 };
    struct doms_msg msg;
    unsigned int n_fds;
    size_t n;

    make(&msg, DOMS_MSG_WELCOME);
    assert_int_equal(doms_msg_send(f->a, &msg, fds, DOMS_MSG_MAX_FDS + 1),
                     EINVAL);
    assert_int_equal(doms_msg_recv(f->b, &msg, &n, NULL, 0, &n_fds), EAGAIN);
    fds[0] = -1;
    assert_int_equal(doms_msg_send(f->a, &msg, fds, 1), EBADF);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_message_arrives_as_it_was_sent),
        TEST(nothing_to_receive_is_eagain),
        TEST(sending_to_a_peer_that_does_not_read_ends_with_eagain),
        TEST(end_of_the_connection_is_told_to_both_sides),
        TEST(message_of_any_wrong_size_is_received_and_found_wrong),
        TEST(descriptors_arrive_counted_and_close_on_exec),
        TEST(descriptors_keep_their_order),
        TEST(descriptors_beyond_those_expected_are_closed),
        TEST(descriptors_with_an_empty_message_are_closed),
        TEST(more_descriptors_than_a_message_carries_are_not_sent),
    };

    return cmocka_run_group_tests_name("socket-io", tests, NULL, NULL);
}
