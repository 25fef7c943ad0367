/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of libdomsfront: a switch that breaks its rules.
 */
#define _GNU_SOURCE

#include "front-fixture.h"

static struct sw sw;
static struct sw_conn conn;

static int
set_up(void **state)
{
    (void) state;
    sw_open(&sw);
    sw_init_conn(&conn);
    return 0;
}

static int
tear_down(void **state)
{
    (void) state;
    sw_hang_up(&conn);
    sw_close(&sw);
    return 0;
}

/* Ways to get WELCOME wrong.  Each changes what sw_make_channel() made. */

static void
too_few_fds(struct sw_conn *c)
{
    close(c->fds[--c->n_fds]);
}

static void
no_fds(struct sw_conn *c)
{
    while (c->n_fds) {
        close(c->fds[--c->n_fds]);
    }
}

static void
too_many_fds(struct sw_conn *c)
{
    c->fds[c->n_fds] = dup(c->fds[0]);
    c->n_fds++;
}

static void
wrong_count(struct sw_conn *c)
{
    c->welcome.u.welcome.n_fds++;
}

static void
replace_fd(struct sw_conn *c, int i, int fd)
{
    assert_true(fd >= 0);
    close(c->fds[i]);
    c->fds[i] = fd;
}

static void
front_group_short(struct sw_conn *c)
{
    replace_fd(c, 0, make_group(doms_group_size(&c->g) - 4096, F_SEAL_SHRINK));
}

static void
switch_group_short(struct sw_conn *c)
{
    replace_fd(c, 1, make_group(4096, F_SEAL_SHRINK));
}

static void
group_empty(struct sw_conn *c)
{
    replace_fd(c, 1, make_group(0, F_SEAL_SHRINK));
}

static void
group_long(struct sw_conn *c)
{
    replace_fd(c, 0, make_group(doms_group_size(&c->g) + 1, F_SEAL_SHRINK));
}

static void
front_group_unsealed(struct sw_conn *c)
{
    replace_fd(c, 0, make_group(doms_group_size(&c->g), 0));
}

static void
switch_group_unsealed(struct sw_conn *c)
{
    replace_fd(c, 1, make_group(doms_group_size(&c->g), F_SEAL_GROW));
}

static void
front_group_read_only(struct sw_conn *c)
{
    replace_fd(
        c, 0,
        make_group(doms_group_size(&c->g), F_SEAL_SHRINK | F_SEAL_WRITE));
}

static void
group_is_no_memory(struct sw_conn *c)
{
    replace_fd(c, 1, open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static void
group_is_of_huge_pages(struct sw_conn *c)
{
    int fd = memfd_create("test",
                          MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

    if (fd >= 0) {
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        replace_fd(c, 1, fd);
    } else {
        /* This kernel has none. */
        group_is_no_memory(c);
    }
}

static void
group_is_a_socket(struct sw_conn *c)
{
    replace_fd(c, 0, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static void
bell_is_a_pipe(struct sw_conn *c)
{
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[1]);
    replace_fd(c, 2, fds[0]);
}

static void
bell_is_a_file(struct sw_conn *c)
{
    replace_fd(c, 3, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static void
more_queues_than_asked(struct sw_conn *c)
{
    c->welcome.u.welcome.n_queues = 2;
    c->welcome.u.welcome.features = 0;
    c->welcome.u.welcome.n_fds = 2;
    while (c->n_fds > 2) {
        close(c->fds[--c->n_fds]);
    }
}

static void
feature_not_offered(struct sw_conn *c)
{
    c->welcome.u.welcome.features |= DOMS_F_CSUM;
}

static void
feature_unknown(struct sw_conn *c)
{
    c->welcome.u.welcome.features |= UINT64_C(1) << 63;
}

static void
arena_odd(struct sw_conn *c)
{
    c->welcome.u.welcome.arena_size++;
}

static void
arena_other(struct sw_conn *c)
{
    c->welcome.u.welcome.arena_size *= 2;
}

static void
mac_of_a_group(struct sw_conn *c)
{
    c->welcome.u.welcome.config.mac[0] = 1;
}

static void
mtu_too_large(struct sw_conn *c)
{
    c->welcome.u.welcome.config.mtu = 65535;
}

static void
other_magic(struct sw_conn *c)
{
    c->welcome.h.magic++;
}

static void
other_version(struct sw_conn *c)
{
    c->welcome.h.version++;
}

static void
ready_instead(struct sw_conn *c)
{
    c->welcome.h.type = DOMS_MSG_READY;
}

static void
config_instead(struct sw_conn *c)
{
    struct doms_msg_config config = c->welcome.u.welcome.config;

    doms_msg_init(&c->welcome, DOMS_MSG_CONFIG);
    c->welcome.u.config = config;
}

static void
health_differs(struct sw_conn *c)
{
    struct doms_health *h = c->own;

    h->n_lengths++;
}

static const struct {
    void (*spoil)(struct sw_conn *);
    const char *reason;
} faults[] = {
    { too_few_fds, "file descriptors" },
    { no_fds, "file descriptors" },
    { too_many_fds, "file descriptors" },
    { wrong_count, "file descriptors" },
    { front_group_short, "the front's group: must have" },
    { switch_group_short, "the switch's group: must have" },
    { group_empty, "must have" },
    { group_long, "must have" },
    { front_group_unsealed, "the front's group: not sealed" },
    { switch_group_unsealed, "the switch's group: not sealed" },
    { front_group_read_only, "cannot be mapped" },
    { group_is_no_memory, "not sealed" },
    { group_is_of_huge_pages, "the switch's group: not" },
    { group_is_a_socket, "not sealed" },
    { bell_is_a_pipe, "doorbell 0" },
    { bell_is_a_file, "doorbell 0" },
    { more_queues_than_asked, "more than asked for" },
    { feature_not_offered, "not offered" },
    { feature_unknown, "features" },
    { arena_odd, "geometry" },
    { arena_other, "must have" },
    { mac_of_a_group, "mac" },
    { mtu_too_large, "mtu" },
    { other_magic, "not a message" },
    { other_version, "another version" },
    { ready_instead, "out of order" },
    { config_instead, "uncalled for" },
    { health_differs, "health page" },
};

static void
wrong_welcome_leaves_nothing_behind(void **state)
{
    struct domsfront *front = open_front(&sw, 1, DOMSFRONT_F_DOORBELL);
    int fds = count_fds();
    int maps = count_maps("");

    (void) state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct domsfront_status s;

        conn.features = DOMS_F_DOORBELL;
        hurry(front);
        sw_accept(&sw, &conn, front);
        sw_make_channel(&conn);
        faults[i].spoil(&conn);
        if (conn.welcome.h.type == DOMS_MSG_READY) {
            no_fds(&conn);
        }
        assert_int_equal(sw_send_welcome(&conn), 0);
        run_until_down(front);
        domsfront_get_status(front, &s);
        if (!strstr(s.reason, faults[i].reason)) {
            fail_msg("'%s' instead of '%s'", s.reason, faults[i].reason);
        }
        assert_true(s.error > 0);
        assert_int_equal(s.counters.faults, i + 1);
        AWAIT(front->phase == DF_IDLE, domsfront_run(front));
        sw_hang_up(&conn);
        assert_int_equal(count_fds(), fds);
        assert_int_equal(count_maps(""), maps);
    }

    conn.features = DOMS_F_DOORBELL;
    hurry(front);
    sw_attach(&sw, &conn, front);
    domsfront_close(front);
}

static void
switch_that_says_segmentation_without_checksums(void **state)
{
    struct domsfront *front = open_front(&sw, 1, DOMS_F_ALL);

    (void) state;
    conn.features = DOMS_F_TSO;
    sw_accept(&sw, &conn, front);
    sw_make_channel(&conn);
    assert_int_equal(sw_send_welcome(&conn), 0);
    run_until_down(front);
    assert_non_null(strstr(front->reason, "without checksums"));
    domsfront_close(front);
}

static void
fds_with_other_messages_are_not_kept(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);
    struct doms_msg msg;
    int fds;

    (void) state;
    sw_attach(&sw, &conn, front);
    fds = count_fds();
    doms_msg_init(&msg, DOMS_MSG_CONFIG);
    msg.u.config = conn.welcome.u.welcome.config;
    msg.u.config.mtu = 1400;
    for (int i = 0; i < 20; i++) {
        int fd = STDERR_FILENO;

        msg.u.config.mtu++;
        assert_int_equal(doms_msg_send(conn.sock, &msg, &fd, 1), 0);
        AWAIT(front->config.mtu == msg.u.config.mtu, run_front(front));
    }
    assert_int_equal(count_fds(), fds);
    domsfront_close(front);
}

static void
flood_of_messages_keeps_nobody(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);
    struct doms_msg msg;
    int sent = 0;

    (void) state;
    sw_attach(&sw, &conn, front);
    doms_msg_init(&msg, DOMS_MSG_CONFIG);
    msg.u.config = conn.welcome.u.welcome.config;
    while (!doms_msg_send(conn.sock, &msg, NULL, 0)) {
        sent++;
    }
    assert_true(sent > 8);
    front->next_recv = 0;
    domsfront_run(front);
    /* Some are still there. */
    assert_int_equal(recv(front->sock, &msg, sizeof msg, MSG_DONTWAIT), 20);
    assert_int_equal(state_of(front), DOMSFRONT_UP);
    domsfront_close(front);
}

/* Ways to break a rule of the ring. */

static void
head_too_far(struct sw_conn *c)
{
    DOMS_STORE_RELEASE(c->q[0].tx.head_page, 5000);
}

static void
tail_too_far(struct sw_conn *c)
{
    DOMS_STORE_RELEASE(c->q[0].rx.tail_page, 1);
}

static void
length_too_short(struct sw_conn *c)
{
    c->q[0].tx.lengths[0] = DOMS_FRAME_MIN - 1;
    DOMS_STORE_RELEASE(c->q[0].tx.head_page, 1);
}

static void
flag_not_agreed(struct sw_conn *c)
{
    c->q[0].tx.lengths[0] = 100 | DOMS_RECORD_OFFLOAD << 16;
    DOMS_STORE_RELEASE(c->q[0].tx.head_page, 1);
}

/* Fills the ring of 'front', so that it looks at the switch's tail. */
static void
use_queue(struct domsfront *front)
{
    struct domsfront_frame frame;
    void *place;

    if (domsfront_rx_burst(front, 0, &frame, 1)) {
        domsfront_rx_release(front, 0);
    }
    for (int i = 0; i < 10; i++) {
        if (!domsfront_tx_reserve(front, 0, DOMSFRONT_FRAME_MAX, false,
                                  &place)) {
            domsfront_tx_commit(front, 0, DOMSFRONT_FRAME_MAX, NULL);
        }
    }
}

static void
broken_ring_ends_the_channel(void **state)
{
    static const struct {
        void (*spoil)(struct sw_conn *);
        const char *reason;
    } breaks[] = {
        { head_too_far, "bad head count" },
        { tail_too_far, "bad tail count" },
        { length_too_short, "bad record length" },
        { flag_not_agreed, "bad record flags" },
    };
    struct domsfront *front = open_front(&sw, 1, 0);

    (void) state;
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        struct doms_health *h;
        unsigned int events;

        hurry(front);
        sw_attach(&sw, &conn, front);
        h = conn.front;
        breaks[i].spoil(&conn);
        use_queue(front);
        events = run_until_down(front);
        assert_true(events & DOMSFRONT_EV_DOWN);
        assert_int_equal(front->error, EPROTO);
        assert_non_null(strstr(front->reason, breaks[i].reason));
        assert_int_equal(DOMS_READ_ONCE(h->state), DOMS_STATE_BROKEN);
        assert_false(domsfront_queue_is_up(front, 0));
        sw_hang_up(&conn);
    }
    domsfront_close(front);
}

static void
guest_that_is_called_broken_starts_anew(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);

    (void) state;
    sw_attach(&sw, &conn, front);
    doms_health_set_state(conn.own, DOMS_STATE_BROKEN);
    run_until_down(front);
    assert_non_null(strstr(front->reason, "this guest broke a rule"));
    domsfront_close(front);
}

int
main(void)
{
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(wrong_welcome_leaves_nothing_behind),
        TEST(switch_that_says_segmentation_without_checksums),
        TEST(fds_with_other_messages_are_not_kept),
        TEST(flood_of_messages_keeps_nobody),
        TEST(broken_ring_ends_the_channel),
        TEST(guest_that_is_called_broken_starts_anew),
    };

    return cmocka_run_group_tests_name("domsfront-faults", tests, NULL, NULL);
}
