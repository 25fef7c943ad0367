/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of libdomsfront with a thread for each queue while the switch comes
 * and goes, and with many fronts in one thread.
 */
#define _GNU_SOURCE

#include "front-fixture.h"

#include <pthread.h>

#define N_QUEUES 3
#define N_FRONTS 20

static struct sw sw;
static struct domsfront *front;
static bool stop;                   /* Atomic. */
static uint64_t n_echoed[N_QUEUES]; /* By the queues' threads; atomic. */

static int
set_up(void **state)
{
    (void) state;
    stop = false;
    sw_open(&sw);
    return 0;
}

static int
tear_down(void **state)
{
    (void) state;
    sw_close(&sw);
    return 0;
}

static bool
stopped(void)
{
    return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* A frame is its own check: all of its bytes are its length's lowest. */

static bool
frame_is_right(const uint8_t *data, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        if (data[i] != (uint8_t) length) {
            return false;
        }
    }
    return true;
}

/* Sends all that came on 'queue' back, in place. */
static unsigned int
echo(unsigned int queue)
{
    struct domsfront_frame frames[8];
    unsigned int n = domsfront_rx_burst(front, queue, frames, 8);

    for (unsigned int i = 0; i < n; i++) {
        void *place;

        if (!frame_is_right(frames[i].data, frames[i].length)) {
            fprintf(stderr, "queue %u: wrong frame\n", queue);
            abort();
        }
        if (!domsfront_tx_reserve(front, queue, frames[i].length, false,
                                  &place)) {
            memcpy(place, frames[i].data, frames[i].length);
            domsfront_tx_commit(front, queue, frames[i].length, NULL);
        }
    }
    domsfront_rx_release(front, queue);
    domsfront_tx_flush(front, queue);
    return n;
}

static void *
serve_queue(void *queue_)
{
    unsigned int queue = (uintptr_t) queue_;
    struct domsfront_ref ref = { front, queue };
    struct domsfront_idle *idle;

    assert_int_equal(domsfront_idle_open(NULL, &idle), 0);
    while (!stopped()) {
        unsigned int n = echo(queue);

        __atomic_fetch_add(&n_echoed[queue], n, __ATOMIC_RELAXED);
        domsfront_idle_wait(idle, &ref, 1, NULL, 0, n > 0, 2000);
    }
    domsfront_queue_leave(front, queue);
    domsfront_idle_close(idle);
    return NULL;
}

static void *
serve_control(void *unused)
{
    struct domsfront_ref ref = { front, DOMSFRONT_CONTROL };
    struct domsfront_idle_config config = { .max_sleep_us = 1000 };
    struct domsfront_idle *idle;

    (void) unused;
    assert_int_equal(domsfront_idle_open(&config, &idle), 0);
    while (!stopped()) {
        struct domsfront_status s;

        front->backoff = DF_BACKOFF_MIN_US; /* Spares the test the wait. */
        domsfront_run(front);
        domsfront_get_status(front, &s);
        domsfront_idle_wait(idle, &ref, 1, NULL, 0, false, 2000);
    }
    domsfront_idle_close(idle);
    return NULL;
}

/* Takes one connection, as sw_accept() does, but lets others run the
 * front. */
static void
accept_guest(struct sw_conn *c)
{
    struct doms_msg msg;
    int error;

    AWAIT((c->sock = accept4(sw.listen_fd, NULL, NULL,
                             SOCK_CLOEXEC | SOCK_NONBLOCK))
              >= 0,
          usleep(100));
    AWAIT((error = sw_recv(c, &msg)) != EAGAIN, usleep(100));
    assert_int_equal(error, 0);
    assert_int_equal(msg.h.type, DOMS_MSG_HELLO);
}

/* Sends and takes frames on all queues of 'c' until 'n' have come back on
 * each. */
static void
exchange(struct sw_conn *c, uint32_t n)
{
    static uint8_t data[2000];
    uint32_t back[N_QUEUES] = { 0 };
    uint32_t length = 60;

    AWAIT(back[0] >= n && back[1] >= n && back[2] >= n, {
        for (int i = 0; i < N_QUEUES; i++) {
            struct doms_queue *q = &c->q[i];
            struct doms_record rec = { 0 };

            length = length < sizeof data ? length + 1 : 60;
            memset(data, length, length);
            doms_ring_write(&q->tx, data, length, 0);
            if (doms_ring_publish(&q->tx) && doms_queue_peer_wants_bell(q)) {
                /* A bell that is full of rings rings. */
                assert_true(write(c->bell_ring[i], "", 1) == 1
                            || errno == EAGAIN);
            }
            while (doms_ring_poll(&q->rx, 1) && doms_ring_peek(&q->rx, &rec)) {
                assert_true(frame_is_right(rec.data, rec.length));
                back[i]++;
            }
            assert_int_equal(q->rx.broken, DOMS_RING_OK);
            doms_ring_release(&q->rx);
        }
    });
}

/* The switch comes and goes, at the worst moments, while each queue has a
 * thread that is busy, asleep or in between. */
static void
switch_comes_and_goes_under_traffic(void **state)
{
    pthread_t queues[N_QUEUES], control;
    struct domsfront_status s;
    struct sw_conn c;
    int rounds = 200;

    (void) state;
    front = open_front(&sw, N_QUEUES, DOMS_F_DOORBELL);
    for (uintptr_t i = 0; i < N_QUEUES; i++) {
        assert_int_equal(
            pthread_create(&queues[i], NULL, serve_queue, (void *) i), 0);
    }
    assert_int_equal(pthread_create(&control, NULL, serve_control, NULL), 0);

    for (int i = 0; i < rounds; i++) {
        sw_init_conn(&c);
        c.g.n_queues = N_QUEUES;
        c.features = DOMS_F_DOORBELL;
        accept_guest(&c);
        sw_make_channel(&c);
        assert_int_equal(sw_send_welcome(&c), 0);
        if (i % 3) {
            exchange(&c, 1 + i % 7 * 5);
        }
        sw_hang_up(&c);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < N_QUEUES; i++) {
        assert_int_equal(pthread_join(queues[i], NULL), 0);
        assert_true(n_echoed[i] > 0);
    }
    assert_int_equal(pthread_join(control, NULL), 0);
    domsfront_get_status(front, &s);
    assert_in_range(s.counters.connects, rounds * 2 / 3, rounds);
    assert_int_equal(s.counters.faults, 0);
    domsfront_close(front);
}

/* One thread, many fronts, some of which hang up and come back. */
static void
one_thread_serves_many_fronts(void **state)
{
    struct domsfront *fronts[N_FRONTS];
    struct domsfront_ref refs[2 * N_FRONTS];
    struct sw_conn conns[N_FRONTS];
    struct domsfront_idle *idle;
    int fds;

    (void) state;
    assert_int_equal(domsfront_idle_open(NULL, &idle), 0);
    fds = count_fds();
    for (int i = 0; i < N_FRONTS; i++) {
        fronts[i] = open_front(&sw, 1, DOMS_F_DOORBELL);
        sw_init_conn(&conns[i]);
        conns[i].features = DOMS_F_DOORBELL;
        sw_attach(&sw, &conns[i], fronts[i]);
        refs[2 * i] = (struct domsfront_ref){ fronts[i], 0 };
        refs[2 * i + 1] = (struct domsfront_ref){ fronts[i],
                                                  DOMSFRONT_CONTROL };
    }
    for (int round = 0; round < 3 * N_FRONTS; round++) {
        int i = round % N_FRONTS;
        struct domsfront_frame frame;
        uint8_t data[60] = { 0 };

        if (round % 7 == 6) {
            sw_hang_up(&conns[i]);
            conns[i].features = DOMS_F_DOORBELL;
            domsfront_queue_leave(fronts[i], 0);
            sw_attach(&sw, &conns[i], fronts[i]);
        }
        assert_true(doms_ring_write(&conns[i].q[0].tx, data, 60, 0));
        doms_ring_publish(&conns[i].q[0].tx);
        AWAIT(domsfront_rx_burst(fronts[i], 0, &frame, 1), {
            for (int j = 0; j < N_FRONTS; j++) {
                domsfront_run(fronts[j]);
            }
            domsfront_idle_wait(idle, refs, 2 * N_FRONTS, NULL, 0, false, -1);
        });
        domsfront_rx_release(fronts[i], 0);
    }
    for (int i = 0; i < N_FRONTS; i++) {
        assert_int_equal(state_of(fronts[i]), DOMSFRONT_UP);
        domsfront_close(fronts[i]);
        sw_hang_up(&conns[i]);
    }
    assert_int_equal(count_fds(), fds);
    domsfront_idle_close(idle);
}

int
main(void)
{
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(switch_comes_and_goes_under_traffic),
        TEST(one_thread_serves_many_fronts),
    };

    return cmocka_run_group_tests_name("domsfront-threads", tests, NULL, NULL);
}
