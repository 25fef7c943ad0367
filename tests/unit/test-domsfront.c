/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of libdomsfront: connecting, the handshake, and what is left behind.
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

/* Opening. */

static void
assert_open_fails(const struct domsfront_config *config, int error,
                  const char *text)
{
    struct domsfront *front = (struct domsfront *) &front;

    assert_int_equal(domsfront_open(config, &front), error);
    assert_null(front);
    assert_non_null(strstr(domsfront_last_error(), text));
}

static void
open_rejects_what_cannot_be(void **state)
{
    struct domsfront_config good = { .name = "g1", .socket_path = "/x" };
    struct domsfront_config c;
    char path[200];

    (void) state;
#define TRY(FIELD, VALUE, ERROR, TEXT)                                        \
    c = good;                                                                 \
    c.FIELD = VALUE;                                                          \
    assert_open_fails(&c, ERROR, TEXT);
    TRY(name, NULL, EINVAL, "name");
    TRY(name, "", EINVAL, "name");
    TRY(name, "-g", EINVAL, "name '-g'");
    TRY(name, "a b", EINVAL, "name");
    TRY(name, "a/b", EINVAL, "name");
    TRY(n_queues, 17, EINVAL, "17 queues");
    TRY(arena_size, 1000, EINVAL, "arena of 1000");
    TRY(arena_size, 8 * 1024 * 1024, EINVAL, "arena");
    TRY(mac[0], 1, EINVAL, "MAC");
    TRY(features, UINT64_C(1) << 40, EINVAL, "features");
    TRY(socket_path, "", EINVAL, "empty");
    memset(path, 'a', sizeof path);
    path[108] = '\0';
    TRY(socket_path, path, ENAMETOOLONG, "108 bytes is too long");
#undef TRY
}

static void
longest_socket_path_is_taken(void **state)
{
    struct domsfront_config config = { .name = "g1" };
    struct domsfront *front;
    char path[108];

    (void) state;
    memset(path, 'a', sizeof path);
    path[107] = '\0';
    config.socket_path = path;
    assert_int_equal(domsfront_open(&config, &front), 0);
    domsfront_run(front);
    domsfront_close(front);
}

static void
default_socket_is_in_the_run_directory(void **state)
{
    struct domsfront_config config = { .name = "g1" };
    struct domsfront_status s;
    struct domsfront *front;

    (void) state;
    setenv("OVS_RUNDIR", "/nowhere/at/all", 1);
    assert_int_equal(domsfront_open(&config, &front), 0);
    unsetenv("OVS_RUNDIR");
    domsfront_get_status(front, &s);
    assert_string_equal(s.socket_path, "/nowhere/at/all/doms.sock");
    domsfront_close(front);
    domsfront_close(NULL);
}

/* Connecting. */

static void
no_switch_is_told_once_and_tried_again_later_each_time(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);
    struct domsfront_status s;
    uint64_t start, waits = 0;
    int64_t us;

    (void) state;
    sw_stop(&sw);
    start = now_us();
    assert_int_equal(domsfront_run(front), DOMSFRONT_EV_REASON);
    domsfront_get_status(front, &s);
    assert_int_equal(s.state, DOMSFRONT_CONNECTING);
    assert_int_equal(s.error, ENOENT);
    assert_non_null(strstr(s.reason, sw.path));

    for (uint64_t wait = 10000; wait <= 500000; wait *= 2) {
        struct pollfd pfd;

        us = domsfront_get_pollfd(front, &pfd);
        assert_int_equal(pfd.fd, -1);
        assert_in_range(us, 0, wait);
        waits += front->backoff;
        front->retry_at = 0;
        assert_int_equal(domsfront_run(front), 0);
    }
    assert_int_equal(front->backoff, 500000);
    assert_true(now_us() - start < waits);

    listen_at(&sw);
    sw_attach(&sw, &conn, front);
    domsfront_close(front);
}

static void
hello_says_what_the_guest_wants(void **state)
{
    struct domsfront_config config = {
        .socket_path = sw.path,
        .name = "guest-2",
        .n_queues = 3,
        .arena_size = 256 * 1024,
        .mac = { 2, 3, 4, 5, 6, 7 },
        .features = DOMSFRONT_F_CSUM | DOMSFRONT_F_DOORBELL,
    };
    struct domsfront *front;

    (void) state;
    assert_int_equal(domsfront_open(&config, &front), 0);
    sw_accept(&sw, &conn, front);
    assert_string_equal(conn.hello.name, "guest-2");
    assert_int_equal(conn.hello.n_queues, 3);
    assert_int_equal(conn.hello.arena_size, 256 * 1024);
    assert_memory_equal(conn.hello.mac, config.mac, 6);
    assert_int_equal(conn.hello.features, config.features);
    domsfront_close(front);
}

static void
waiting_for_a_port_costs_next_to_nothing(void **state)
{
    struct domsfront *front = open_front(&sw, 1, DOMSFRONT_F_DOORBELL);
    struct domsfront_ref refs[] = { { front, 0 },
                                    { front, DOMSFRONT_CONTROL } };
    struct domsfront_idle *idle;
    struct domsfront_status s;
    int turns = 0;
    uint64_t start;

    (void) state;
    sw_accept(&sw, &conn, front);
    assert_int_equal(domsfront_idle_open(NULL, &idle), 0);
    for (start = now_us(); now_us() - start < 1200000; turns++) {
        domsfront_run(front);
        domsfront_idle_wait(idle, refs, 2, NULL, 0, false, -1);
    }
    assert_in_range(turns, 1, 600);
    domsfront_get_status(front, &s);
    assert_int_equal(s.state, DOMSFRONT_WAITING);
    assert_int_equal(s.error, 0);
    assert_non_null(strstr(s.reason, "no port for 'guest-1'"));

    /* It is there at once when the port is. */
    sw_make_channel(&conn);
    start = now_us();
    assert_int_equal(sw_send_welcome(&conn), 0);
    domsfront_idle_wait(idle, refs, 2, NULL, 0, false, -1);
    domsfront_run(front);
    assert_int_equal(state_of(front), DOMSFRONT_UP);
    domsfront_idle_close(idle);
    domsfront_close(front);
}

/* Attaching. */

static void
attached_front_tells_what_the_switch_said(void **state)
{
    uint64_t features = DOMSFRONT_F_CSUM | DOMSFRONT_F_TSO;
    struct domsfront *front = open_front(&sw, 4, features);
    struct domsfront_status s;
    struct doms_health *h;
    int fds, ro, rw;

    (void) state;
    conn.g.n_queues = 2;
    conn.g.arena_size = DOMS_ARENA_DEFAULT;
    conn.features = features;
    sw_accept(&sw, &conn, front);
    fds = count_fds();
    ro = count_maps("r--s");
    rw = count_maps("rw-s");
    sw_make_channel(&conn);
    assert_int_equal(sw_send_welcome(&conn), 0);
    AWAIT(state_of(front) == DOMSFRONT_UP, run_front(front));

    /* The group files are closed, and the switch's can only be read. */
    assert_int_equal(count_fds(), fds);
    assert_int_equal(count_maps("r--s"), ro + 1);
    assert_int_equal(count_maps("rw-s"), rw + 3);

    domsfront_get_status(front, &s);
    assert_int_equal(s.error, 0);
    assert_string_equal(s.reason, "");
    assert_int_equal(s.n_queues, 2);
    assert_int_equal(s.arena_size, DOMS_ARENA_DEFAULT);
    assert_int_equal(s.features, features);
    assert_int_equal(s.mtu, 1500);
    assert_true(s.link_up);
    assert_int_equal(s.epoch, 7);
    assert_int_equal(s.counters.connects, 1);
    assert_memory_equal(s.mac, conn.welcome.u.welcome.config.mac, 6);

    h = conn.front;
    assert_int_equal(h->magic, DOMS_ABI_MAGIC);
    assert_int_equal(h->version, DOMS_ABI_VERSION);
    assert_int_equal(h->n_queues, 2);
    assert_int_equal(h->arena_size, DOMS_ARENA_DEFAULT);
    assert_int_equal(h->state, DOMS_STATE_UP);

    assert_true(domsfront_queue_is_up(front, 1));
    assert_false(domsfront_queue_is_up(front, 2));
    assert_false(domsfront_queue_is_up(front, 99));
    domsfront_close(front);
    assert_int_equal(h->state, DOMS_STATE_CLOSED);
}

static void
heart_beats_and_config_changes(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);
    struct doms_health *h;
    struct domsfront_status s;
    struct doms_msg msg;
    unsigned int events = 0;
    uint64_t start, beat;

    (void) state;
    assert_int_equal(sw_attach(&sw, &conn, front) & DOMSFRONT_EV_UP,
                     DOMSFRONT_EV_UP);
    h = conn.front;
    AWAIT((beat = DOMS_READ_ONCE(h->heartbeat)), run_front(front));
    start = now_us();
    AWAIT(DOMS_READ_ONCE(h->heartbeat) > beat, run_front(front));
    assert_true(now_us() - start < 1000000);

    /* The same again is no event. */
    doms_msg_init(&msg, DOMS_MSG_CONFIG);
    msg.u.config = conn.welcome.u.welcome.config;
    assert_int_equal(doms_msg_send(conn.sock, &msg, NULL, 0), 0);
    msg.u.config.mtu = 9000;
    msg.u.config.link_up = 0;
    msg.u.config.mac[5] = 9;
    assert_int_equal(doms_msg_send(conn.sock, &msg, NULL, 0), 0);
    AWAIT(events, events |= run_front(front));
    assert_int_equal(events, DOMSFRONT_EV_CONFIG);
    domsfront_get_status(front, &s);
    assert_int_equal(s.mtu, 9000);
    assert_false(s.link_up);
    assert_int_equal(s.mac[5], 9);
    domsfront_close(front);
}

static void
refusal_is_told_once(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);
    unsigned int events = 0;
    struct domsfront_status s;
    struct doms_msg msg;

    (void) state;
    for (int i = 0; i < 3; i++) {
        sw_accept(&sw, &conn, front);
        doms_msg_init(&msg, DOMS_MSG_REFUSE);
        msg.u.refuse.error = EBUSY;
        strcpy(msg.u.refuse.reason, "name is taken");
        assert_int_equal(doms_msg_send(conn.sock, &msg, NULL, 0), 0);
        events = run_until_down(front);
        assert_int_equal(events, i ? 0 : DOMSFRONT_EV_REASON);
        domsfront_get_status(front, &s);
        assert_int_equal(s.error, EBUSY);
        assert_non_null(strstr(s.reason, "refuses 'guest-1': name is taken"));
        sw_hang_up(&conn);
        hurry(front);
    }
    domsfront_close(front);
}

/* Coming and going. */

static void
thousands_of_reconnects_leave_nothing_behind(void **state)
{
    struct domsfront *front = open_front(&sw, 2, DOMS_F_ALL);
    int fds = count_fds();
    int maps = count_maps("");

    (void) state;
    for (int i = 0; i < 2000; i++) {
        conn.g.n_queues = 1 + i % 2;
        conn.features = i % 3 ? DOMS_F_ALL : 0;
        hurry(front);
        if (i % 5 == 4) {
            sw_accept(&sw, &conn, front);
            sw_make_channel(&conn);
            sw_send_welcome(&conn);
        } else {
            sw_attach(&sw, &conn, front);
            assert_true(domsfront_queue_is_up(front, 0));
        }
        sw_hang_up(&conn);
        AWAIT(front->phase == DF_IDLE && front->sock < 0, {
            domsfront_run(front);
            front->next_recv = 0;
            domsfront_queue_is_up(front, 0);
        });
        if (i % 500 == 499) {
            assert_int_equal(count_fds(), fds);
            assert_int_equal(count_maps(""), maps);
        }
    }
    assert_true(front->connects >= 1600);
    domsfront_close(front);
}

static void
frames_in_use_keep_the_old_channel(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);
    struct domsfront_frame frame;
    uint8_t data[100];

    (void) state;
    sw_attach(&sw, &conn, front);
    memset(data, 0x5a, sizeof data);
    assert_true(doms_ring_write(&conn.q[0].tx, data, sizeof data, 0));
    doms_ring_publish(&conn.q[0].tx);
    assert_int_equal(domsfront_rx_burst(front, 0, &frame, 1), 1);
    sw_hang_up(&conn);

    assert_true(run_until_down(front) & DOMSFRONT_EV_DOWN);
    for (int i = 0; i < 10; i++) {
        hurry(front);
        domsfront_run(front);
        assert_false(domsfront_queue_is_up(front, 0));
        assert_int_equal(front->phase, DF_LEAVING);
    }
    assert_memory_equal(frame.data, data, sizeof data);

    /* A release is enough for a thread that goes on, and leaving is for one
     * that does not. */
    domsfront_rx_release(front, 0);
    domsfront_run(front);
    assert_int_equal(front->phase, DF_LEAVING);
    domsfront_queue_leave(front, 0);
    domsfront_run(front);
    assert_int_not_equal(front->phase, DF_LEAVING);

    hurry(front);
    sw_attach(&sw, &conn, front);
    assert_true(domsfront_queue_is_up(front, 0));
    domsfront_close(front);
}

static void
queue_that_nobody_uses_delays_nothing(void **state)
{
    struct domsfront *front = open_front(&sw, 2, 0);

    (void) state;
    conn.g.n_queues = 2;
    for (int i = 0; i < 3; i++) {
        hurry(front);
        conn.g.n_queues = 2;
        sw_attach(&sw, &conn, front);
        sw_hang_up(&conn);
        run_until_down(front);
        domsfront_run(front);
        assert_int_equal(front->phase, DF_IDLE);
    }
    domsfront_close(front);
}

/* Returns the state that the switch reads in the front's health. */
static uint32_t
health_state(void)
{
    return DOMS_LOAD_ACQUIRE(&((struct doms_health *) conn.front)->state);
}

static void
carrier_is_told_in_the_health(void **state)
{
    struct domsfront *front = open_front(&sw, 1, 0);

    (void) state;
    sw_attach(&sw, &conn, front);
    assert_int_equal(health_state(), DOMS_STATE_UP);
    domsfront_set_carrier(front, false);
    AWAIT(health_state() == DOMS_STATE_DOWN, run_front(front));
    assert_true(domsfront_queue_is_up(front, 0));
    /* The next switch is told at once. */
    domsfront_queue_leave(front, 0);
    sw_hang_up(&conn);
    run_until_down(front);
    sw_attach(&sw, &conn, front);
    assert_int_equal(health_state(), DOMS_STATE_DOWN);
    domsfront_set_carrier(front, true);
    AWAIT(health_state() == DOMS_STATE_UP, run_front(front));
    domsfront_close(front);
}

static void
features_change_by_connecting_anew(void **state)
{
    const uint64_t all = DOMSFRONT_F_CSUM | DOMSFRONT_F_TSO;
    struct domsfront *front = open_front(&sw, 1, all);

    (void) state;
    conn.features = DOMS_F_CSUM;
    sw_attach(&sw, &conn, front);
    assert_int_equal(domsfront_set_features(front, UINT64_C(1) << 40), EINVAL);
    /* Nothing that is in force goes. */
    assert_int_equal(domsfront_set_features(front, DOMSFRONT_F_CSUM), 0);
    run_front(front);
    assert_int_equal(state_of(front), DOMSFRONT_UP);
    assert_int_equal(domsfront_set_features(front, 0), 0);
    assert_int_not_equal(state_of(front), DOMSFRONT_UP);
    sw_hang_up(&conn);
    sw_attach(&sw, &conn, front);
    assert_int_equal(conn.hello.features, 0);
    /* More may be had now. */
    assert_int_equal(domsfront_set_features(front, all), 0);
    assert_int_not_equal(state_of(front), DOMSFRONT_UP);
    sw_hang_up(&conn);
    conn.features = all;
    sw_attach(&sw, &conn, front);
    assert_int_equal(conn.hello.features, all);
    assert_int_equal(domsfront_queue_features(front, 0), all);
    domsfront_close(front);
}

int
main(void)
{
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(open_rejects_what_cannot_be),
        TEST(longest_socket_path_is_taken),
        TEST(default_socket_is_in_the_run_directory),
        TEST(no_switch_is_told_once_and_tried_again_later_each_time),
        TEST(hello_says_what_the_guest_wants),
        TEST(waiting_for_a_port_costs_next_to_nothing),
        TEST(attached_front_tells_what_the_switch_said),
        TEST(heart_beats_and_config_changes),
        TEST(refusal_is_told_once),
        TEST(thousands_of_reconnects_leave_nothing_behind),
        TEST(frames_in_use_keep_the_old_channel),
        TEST(queue_that_nobody_uses_delays_nothing),
        TEST(carrier_is_told_in_the_health),
        TEST(features_change_by_connecting_anew),
    };

    return cmocka_run_group_tests_name("domsfront", tests, NULL, NULL);
}
