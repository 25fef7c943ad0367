/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of libdomsfront: frames, offload fields, doorbells and waiting.
 */
#define _GNU_SOURCE

#include "front-fixture.h"

#include <pthread.h>
#include <sys/eventfd.h>

static struct sw sw;
static struct sw_conn conn;
static struct domsfront *front;

/* Attaches 'front' with 'features'. */
static void
attach(uint64_t features)
{
    sw_open(&sw);
    sw_init_conn(&conn);
    conn.features = features;
    front = open_front(&sw, 1, features);
    sw_attach(&sw, &conn, front);
}

static int
set_up_plain(void **state)
{
    (void) state;
    attach(0);
    return 0;
}

static int
set_up_offloads(void **state)
{
    (void) state;
    attach(DOMS_F_CSUM | DOMS_F_TSO);
    return 0;
}

static int
set_up_csum(void **state)
{
    (void) state;
    attach(DOMS_F_CSUM);
    return 0;
}

static int
set_up_doorbell(void **state)
{
    (void) state;
    attach(DOMS_F_DOORBELL);
    return 0;
}

static int
tear_down(void **state)
{
    (void) state;
    domsfront_close(front);
    sw_hang_up(&conn);
    sw_close(&sw);
    return 0;
}

static uint64_t
counter(size_t ofs)
{
    struct domsfront_status s;
    uint64_t value;

    domsfront_get_status(front, &s);
    memcpy(&value, (char *) &s.counters + ofs, sizeof value);
    return value;
}
#define COUNTER(NAME) counter(offsetof(struct domsfront_counters, NAME))

static uint8_t
pattern(uint32_t seed, uint32_t i)
{
    return seed * 31 + i * 7;
}

static void
fill(uint8_t *p, uint32_t length, uint32_t seed)
{
    for (uint32_t i = 0; i < length; i++) {
        p[i] = pattern(seed, i);
    }
}

static void
check(const uint8_t *p, uint32_t length, uint32_t seed)
{
    for (uint32_t i = 0; i < length; i++) {
        if (p[i] != pattern(seed, i)) {
            fail_msg("byte %u of frame %u differs", i, seed);
        }
    }
}

/* Sends a record from the switch. */
static void
switch_sends(const void *data, uint32_t length, uint32_t flags)
{
    assert_true(doms_ring_write(&conn.q[0].tx, data, length, flags));
    doms_ring_publish(&conn.q[0].tx);
}

static const uint32_t lengths[] = {
    14, 15, 16, 60, 64, 1514, 9014, 61439, 61440,
};
#define N_LENGTHS (sizeof lengths / sizeof lengths[0])

static uint8_t big[DOMSFRONT_FRAME_MAX + 100];

static void
frames_arrive_in_place(void **state)
{
    struct domsfront_frame frames[2];

    (void) state;
    for (uint32_t i = 0; i < 100 * N_LENGTHS; i++) {
        uint32_t length = lengths[i % N_LENGTHS];

        fill(big, length, i);
        switch_sends(big, length, 0);
        assert_int_equal(domsfront_rx_burst(front, 0, frames, 2), 1);
        assert_int_equal(frames[0].length, length);
        assert_int_equal(frames[0].offload.flags, 0);
        check(frames[0].data, length, i);
        assert_false(doms_ring_writer_is_drained(&conn.q[0].tx));
        domsfront_rx_release(front, 0);
        assert_true(doms_ring_writer_is_drained(&conn.q[0].tx));
    }
    assert_int_equal(COUNTER(rx_frames), 100 * N_LENGTHS);
}

static void
frames_are_copied_out(void **state)
{
    static uint8_t memory[40][2000];
    struct domsfront_buf bufs[40];

    (void) state;
    for (int i = 0; i < 40; i++) {
        bufs[i].data = memory[i];
        bufs[i].size = sizeof memory[i];
        fill(big, 100 + i, i);
        assert_true(doms_ring_write(&conn.q[0].tx, big, 100 + i, 0));
    }
    assert_true(doms_ring_write(&conn.q[0].tx, big, 2001, 0));
    fill(big, 2000, 40);
    assert_true(doms_ring_write(&conn.q[0].tx, big, 2000, 0));
    doms_ring_publish(&conn.q[0].tx);

    assert_int_equal(domsfront_recv(front, 0, bufs, 40), 40);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(bufs[i].length, 100 + i);
        check(bufs[i].data, bufs[i].length, i);
    }
    /* One is too long for the buffer. */
    assert_int_equal(domsfront_recv(front, 0, bufs, 40), 1);
    assert_int_equal(bufs[0].length, 2000);
    check(bufs[0].data, 2000, 40);
    assert_int_equal(COUNTER(rx_too_long), 1);
    assert_int_equal(domsfront_recv(front, 0, bufs, 40), 0);
    assert_true(doms_ring_writer_is_drained(&conn.q[0].tx));
}

static void
frames_are_sent(void **state)
{
    struct doms_record rec = { 0 };

    (void) state;
    for (uint32_t i = 0; i < 100 * N_LENGTHS; i++) {
        uint32_t length = lengths[i % N_LENGTHS];
        void *place;

        assert_int_equal(domsfront_tx_reserve(front, 0, 61440, false, &place),
                         0);
        fill(place, length, i);
        assert_int_equal(domsfront_tx_commit(front, 0, length, NULL), 0);
        assert_int_equal(doms_ring_poll(&conn.q[0].rx, 1), 0);
        assert_int_equal(domsfront_tx_flush(front, 0), 0);
        assert_int_equal(doms_ring_poll(&conn.q[0].rx, 1), 1);
        assert_true(doms_ring_peek(&conn.q[0].rx, &rec));
        assert_int_equal(rec.length, length);
        assert_int_equal(rec.flags, 0);
        check(rec.data, length, i);
        doms_ring_release(&conn.q[0].rx);
    }
    assert_int_equal(COUNTER(tx_frames), 100 * N_LENGTHS);
}

static void
placed_frames_are_seen_after_the_flush(void **state)
{
    static const uint32_t sizes[] = { 14, 60, 61, 64, 1514, 9014 };
    enum { N_SIZES = sizeof sizes / sizeof sizes[0] };
    struct doms_record rec = { 0 };
    void *places[N_SIZES];

    (void) state;
    for (uint32_t turn = 0; turn < 100; turn++) {
        assert_int_equal(domsfront_tx_place(front, 0, sizes, places, N_SIZES),
                         N_SIZES);
        for (uint32_t i = 0; i < N_SIZES; i++) {
            fill(places[i], sizes[i], turn + i);
        }
        assert_int_equal(doms_ring_poll(&conn.q[0].rx, 1), 0);
        assert_int_equal(domsfront_tx_flush(front, 0), 0);
        assert_int_equal(doms_ring_poll(&conn.q[0].rx, 100), N_SIZES);
        for (uint32_t i = 0; i < N_SIZES; i++) {
            assert_true(doms_ring_peek(&conn.q[0].rx, &rec));
            assert_int_equal(rec.length, sizes[i]);
            assert_int_equal(rec.flags, 0);
            check(rec.data, sizes[i], turn + i);
        }
        doms_ring_release(&conn.q[0].rx);
    }
    assert_int_equal(COUNTER(tx_frames), 100 * N_SIZES);
}

static void
placing_ends_at_a_full_ring_and_at_an_impossible_length(void **state)
{
    uint32_t too_short[] = { 60, 13, 60 }, too_long[] = { 60, 60, 61441 };
    uint32_t long_ones[100];
    void *places[100];

    (void) state;
    assert_int_equal(domsfront_tx_place(front, 0, too_short, places, 3), 1);
    assert_int_equal(domsfront_tx_place(front, 0, too_long, places, 3), 2);
    assert_int_equal(domsfront_tx_place(front, 1, too_long, places, 3), 0);
    assert_int_equal(COUNTER(tx_full), 0);
    for (int i = 0; i < 100; i++) {
        long_ones[i] = 1514;
    }
    /* Three records of 64 bytes are there, and one of 1514 takes 1520. */
    assert_int_equal(domsfront_tx_place(front, 0, long_ones, places, 100),
                     (DOMS_ARENA_MIN - 3 * 64) / 1520);
    assert_int_equal(domsfront_tx_place(front, 0, long_ones, places, 1), 0);
    assert_int_equal(COUNTER(tx_full), 2);
    assert_int_equal(domsfront_tx_flush(front, 0), 0);
    assert_int_equal(doms_ring_poll(&conn.q[0].rx, 1000), COUNTER(tx_frames));
}

static void
full_ring_takes_fewer(void **state)
{
    struct domsfront_buf bufs[200];
    unsigned int n, total = 0;
    struct doms_record rec = { 0 };

    (void) state;
    for (int i = 0; i < 200; i++) {
        bufs[i] = (struct domsfront_buf){ .data = big, .length = 1514 };
    }
    do {
        assert_int_equal(domsfront_send(front, 0, bufs, 200, &n), 0);
        total += n;
    } while (n == 200);
    /* A record of 1514 bytes takes 1520. */
    assert_int_equal(total, DOMS_ARENA_MIN / 1520);
    assert_int_equal(domsfront_send(front, 0, bufs, 1, &n), 0);
    assert_int_equal(n, 0);
    assert_true(COUNTER(tx_full) >= 2);

    while (doms_ring_poll(&conn.q[0].rx, 1)) {
        assert_true(doms_ring_peek(&conn.q[0].rx, &rec));
        total--;
    }
    assert_int_equal(total, 0);
    doms_ring_release(&conn.q[0].rx);
    assert_int_equal(domsfront_send(front, 0, bufs, 1, &n), 0);
    assert_int_equal(n, 1);
}

static void
impossible_frames_are_turned_away(void **state)
{
    struct domsfront_buf bufs[2] = { { .data = big, .length = 60 },
                                     { .data = big, .length = 13 } };
    struct domsfront_offload none = { 0 };
    unsigned int n;
    void *place;

    (void) state;
    assert_int_equal(domsfront_tx_reserve(front, 0, 13, false, &place),
                     EINVAL);
    assert_int_equal(domsfront_tx_reserve(front, 0, 0, false, &place), EINVAL);
    assert_int_equal(domsfront_tx_reserve(front, 0, 61441, false, &place),
                     EMSGSIZE);
    assert_int_equal(domsfront_tx_reserve(front, 0, UINT32_MAX, false, &place),
                     EMSGSIZE);
    assert_int_equal(domsfront_tx_reserve(front, 0, 100, true, &place),
                     EINVAL);
    assert_int_equal(domsfront_tx_reserve(front, 1, 100, false, &place),
                     ENOTCONN);
    assert_int_equal(domsfront_tx_commit(front, 0, 60, NULL), EINVAL);
    assert_int_equal(domsfront_tx_reserve(front, 0, 100, false, &place), 0);
    assert_int_equal(domsfront_tx_commit(front, 0, 13, NULL), EINVAL);
    assert_int_equal(domsfront_tx_commit(front, 0, 101, NULL), EMSGSIZE);
    assert_int_equal(domsfront_tx_commit(front, 0, 60, &none), EINVAL);
    assert_int_equal(domsfront_tx_commit(front, 0, 100, NULL), 0);
    assert_int_equal(domsfront_tx_commit(front, 0, 100, NULL), EINVAL);

    assert_int_equal(domsfront_send(front, 0, bufs, 2, &n), EINVAL);
    assert_int_equal(n, 1);
    bufs[1].length = 70000;
    assert_int_equal(domsfront_send(front, 0, bufs, 2, &n), EMSGSIZE);
    assert_int_equal(n, 1);
    assert_int_equal(doms_ring_poll(&conn.q[0].rx, 9), 3);
}

static void
no_channel_no_frames(void **state)
{
    struct domsfront_buf buf = { .data = big, .length = 60, .size = 60 };
    struct domsfront_frame frame;
    unsigned int n;
    void *place;

    (void) state;
    switch_sends(big, 60, 0);
    sw_hang_up(&conn);
    AWAIT(state_of(front) != DOMSFRONT_UP, run_front(front));
    assert_int_equal(domsfront_rx_burst(front, 0, &frame, 1), 0);
    assert_int_equal(domsfront_recv(front, 0, &buf, 1), 0);
    assert_int_equal(domsfront_tx_reserve(front, 0, 60, false, &place),
                     ENOTCONN);
    assert_int_equal(domsfront_tx_commit(front, 0, 60, NULL), ENOTCONN);
    assert_int_equal(domsfront_tx_flush(front, 0), ENOTCONN);
    assert_int_equal(domsfront_send(front, 0, &buf, 1, &n), ENOTCONN);
    assert_int_equal(n, 0);
    domsfront_rx_release(front, 0);
}

/* Offload fields. */

struct offloaded {
    struct doms_offload o;
    uint8_t frame[100];
};

static void
offload_fields_pass_both_ways(void **state)
{
    struct offloaded r = {
        .o = { .flags = DOMS_OFFLOAD_NEEDS_CSUM,
               .gso_type = DOMS_GSO_TCPV6 | DOMS_GSO_ECN,
               .hdr_len = 74,
               .gso_size = 1000,
               .csum_start = 54,
               .csum_offset = 16 },
    };
    struct domsfront_frame frame;
    struct doms_record rec = { 0 };
    void *place;

    (void) state;
    switch_sends(&r, sizeof r, DOMS_RECORD_OFFLOAD);
    assert_int_equal(domsfront_rx_burst(front, 0, &frame, 1), 1);
    assert_int_equal(frame.length, sizeof r.frame);
    assert_int_equal(frame.offload.flags, DOMSFRONT_CSUM_NEEDED);
    assert_int_equal(frame.offload.gso_type,
                     DOMSFRONT_GSO_TCPV6 | DOMSFRONT_GSO_ECN);
    assert_int_equal(frame.offload.hdr_len, 74);
    assert_int_equal(frame.offload.gso_size, 1000);
    assert_int_equal(frame.offload.csum_start, 54);
    assert_int_equal(frame.offload.csum_offset, 16);
    domsfront_rx_release(front, 0);

    assert_int_equal(domsfront_tx_reserve(front, 0, 61440, true, &place), 0);
    fill(place, 100, 1);
    assert_int_equal(domsfront_tx_commit(front, 0, 100, &frame.offload), 0);
    assert_int_equal(domsfront_tx_reserve(front, 0, 61440, true, &place), 0);
    assert_int_equal(domsfront_tx_commit(front, 0, 100, NULL), 0);
    domsfront_tx_flush(front, 0);
    assert_int_equal(doms_ring_poll(&conn.q[0].rx, 2), 2);
    assert_true(doms_ring_peek(&conn.q[0].rx, &rec));
    assert_int_equal(rec.length, 116);
    assert_int_equal(rec.flags, DOMS_RECORD_OFFLOAD);
    assert_memory_equal(rec.data, &r.o, sizeof r.o);
    check(rec.data + 16, 100, 1);
    assert_true(doms_ring_peek(&conn.q[0].rx, &rec));
    memset(&r.o, 0, sizeof r.o);
    assert_memory_equal(rec.data, &r.o, sizeof r.o);
}

/* Offload fields that make no sense for a frame of 100 bytes. */
static const struct doms_offload bad_offloads[] = {
    { .flags = 4 },
    { .flags = 1, .csum_start = 99, .csum_offset = 0 },
    { .flags = 1, .csum_start = 50, .csum_offset = 49 },
    { .flags = 1, .csum_start = 65535, .csum_offset = 65535 },
    { .flags = 1, .csum_start = 65534, .csum_offset = 2 },
    { .flags = 1, .csum_offset = 16, .gso_type = 1, .gso_size = 0 },
    { .flags = 1, .csum_offset = 16, .gso_type = 2, .gso_size = 9 },
    { .flags = 1, .csum_offset = 16, .gso_type = 3, .gso_size = 9 },
    { .flags = 1, .csum_offset = 16, .gso_type = 0x80, .gso_size = 9 },
    { .flags = 0, .csum_offset = 16, .gso_type = 1, .gso_size = 9 },
    { .flags = 1,
      .csum_offset = 16,
      .gso_type = 1,
      .gso_size = 9,
      .hdr_len = 101 },
};
#define N_BAD (sizeof bad_offloads / sizeof bad_offloads[0])

static void
senseless_offload_fields_are_dropped(void **state)
{
    struct domsfront_frame frame;
    struct offloaded r;
    void *place;

    (void) state;
    for (size_t i = 0; i < N_BAD; i++) {
        const struct doms_offload *b = &bad_offloads[i];
        struct domsfront_offload o = {
            .flags = b->flags,
            .gso_type = b->gso_type,
            .hdr_len = b->hdr_len,
            .gso_size = b->gso_size,
            .csum_start = b->csum_start,
            .csum_offset = b->csum_offset,
        };

        r.o = *b;
        switch_sends(&r, sizeof r, DOMS_RECORD_OFFLOAD);
        assert_int_equal(domsfront_rx_burst(front, 0, &frame, 1), 0);
        assert_int_equal(COUNTER(rx_bad_offload), i + 1);
        assert_int_equal(domsfront_tx_reserve(front, 0, 100, true, &place), 0);
        assert_int_equal(domsfront_tx_commit(front, 0, 100, &o), EINVAL);
    }
    /* They take no room, and the next good frame arrives. */
    assert_true(doms_ring_writer_is_drained(&conn.q[0].tx));
    switch_sends(big, 60, 0);
    assert_int_equal(domsfront_rx_burst(front, 0, &frame, 1), 1);
    assert_int_equal(state_of(front), DOMSFRONT_UP);
}

static void
segmentation_not_in_force_is_dropped(void **state)
{
    struct offloaded r = {
        .o = { .flags = 1, .gso_type = 1, .gso_size = 9, .csum_offset = 16 },
    };
    struct domsfront_frame frame;

    (void) state;
    assert_int_equal(domsfront_queue_features(front, 0), DOMSFRONT_F_CSUM);
    switch_sends(&r, sizeof r, DOMS_RECORD_OFFLOAD);
    assert_int_equal(domsfront_rx_burst(front, 0, &frame, 1), 0);
    assert_int_equal(COUNTER(rx_bad_offload), 1);
}

/* Doorbells. */

/* Returns the number of rings in the bell 'fd'. */
static int
rings(int fd)
{
    uint8_t buf[64];
    ssize_t n = read(fd, buf, sizeof buf);

    return n < 0 ? 0 : n;
}

static void
send_one(void)
{
    struct domsfront_buf buf = { .data = big, .length = 60 };
    unsigned int n;

    assert_int_equal(domsfront_send(front, 0, &buf, 1, &n), 0);
    assert_int_equal(n, 1);
}

static void
bell_rings_for_a_sleeper_only(void **state)
{
    struct doms_record rec = { 0 };

    (void) state;
    send_one();
    assert_int_equal(rings(conn.bell_wait[0]), 0);
    assert_false(doms_queue_fall_asleep(&conn.q[0]));
    assert_true(doms_ring_peek(&conn.q[0].rx, &rec));
    assert_true(doms_queue_fall_asleep(&conn.q[0]));
    send_one();
    assert_int_equal(rings(conn.bell_wait[0]), 1);
    /* Nothing new, no ring. */
    domsfront_tx_flush(front, 0);
    assert_int_equal(rings(conn.bell_wait[0]), 0);
    doms_queue_wake_up(&conn.q[0]);
    send_one();
    assert_int_equal(rings(conn.bell_wait[0]), 0);
    assert_int_equal(COUNTER(bells_rung), 1);
}

static void
bell_without_a_listener_or_full_does_no_harm(void **state)
{
    uint64_t start;

    (void) state;
    DOMS_WRITE_ONCE(*conn.q[0].asleep, 1);
    /* The bell is full, and stays so. */
    for (int i = 0; i < 70000; i++) {
        struct doms_record rec = { 0 };

        if (doms_ring_poll(&conn.q[0].rx, 1)) {
            doms_ring_peek(&conn.q[0].rx, &rec);
            doms_ring_release(&conn.q[0].rx);
        }
        send_one();
    }
    start = now_us();
    close(conn.bell_wait[0]);
    conn.bell_wait[0] = dup(STDERR_FILENO);
    send_one();
    /* No SIGPIPE came, and none is pending. */
    sigset_t pending;
    sigpending(&pending);
    assert_false(sigismember(&pending, SIGPIPE));
    assert_true(now_us() - start < 1000000);
}

static void *
ring_later(void *unused)
{
    (void) unused;
    AWAIT(DOMS_READ_ONCE(*conn.q[0].peer_asleep), sched_yield());
    assert_true(doms_ring_write(&conn.q[0].tx, big, 60, 0));
    doms_ring_publish(&conn.q[0].tx);
    assert_true(doms_queue_peer_wants_bell(&conn.q[0]));
    assert_int_equal(write(conn.bell_ring[0], "", 1), 1);
    return NULL;
}

/* Waits until a frame has come or 'fds' are ready, and returns after how many
 * calls. */
static int
wait_for_frame(struct domsfront_idle *idle, struct pollfd *fds,
               unsigned int n_fds)
{
    struct domsfront_ref ref = { front, 0 };
    struct domsfront_frame frame;
    int calls = 0;

    AWAIT(domsfront_rx_burst(front, 0, &frame, 1) || (n_fds && fds[0].revents),
          {
              domsfront_idle_wait(idle, &ref, 1, fds, n_fds, false, -1);
              calls++;
          });
    domsfront_rx_release(front, 0);
    return calls;
}

static void
sleeper_is_woken_by_the_bell(void **state)
{
    struct domsfront_idle_config config = { .max_sleep_us = 10 };
    struct domsfront_idle *idle;

    (void) state;
    assert_int_equal(domsfront_idle_open(&config, &idle), 0);
    for (int i = 0; i < 20; i++) {
        uint64_t start = now_us();
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, ring_later, NULL), 0);
        /* It blocks at once, and a lost ring would cost a second. */
        assert_in_range(wait_for_frame(idle, NULL, 0), 1, 3);
        assert_true(now_us() - start < 900000);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_false(doms_queue_peer_wants_bell(&conn.q[0]));
    }
    assert_int_equal(COUNTER(bells_heard), 20);
    domsfront_idle_close(idle);
}

static void
sleeper_is_woken_by_other_files(void **state)
{
    struct domsfront_idle_config config = { .max_sleep_us = 10 };
    struct domsfront_idle *idle;
    struct pollfd pfd = { .fd = eventfd(1, EFD_CLOEXEC), .events = POLLIN };
    uint64_t start = now_us();

    (void) state;
    assert_int_equal(domsfront_idle_open(&config, &idle), 0);
    assert_int_equal(wait_for_frame(idle, &pfd, 1), 1);
    assert_int_equal(pfd.revents, POLLIN);
    assert_true(now_us() - start < 900000);
    close(pfd.fd);
    domsfront_idle_close(idle);
}

static void
dead_bell_makes_no_busy_loop(void **state)
{
    struct domsfront_idle_config config = { .max_sleep_us = 1000 };
    struct domsfront_ref ref = { front, 0 };
    struct domsfront_idle *idle;
    uint64_t start = now_us();

    (void) state;
    assert_int_equal(domsfront_idle_open(&config, &idle), 0);
    close(conn.bell_ring[0]);
    conn.bell_ring[0] = dup(STDERR_FILENO);
    for (int i = 0; i < 50; i++) {
        domsfront_idle_wait(idle, &ref, 1, NULL, 0, false, -1);
    }
    assert_true(now_us() - start >= 45 * 1000);
    domsfront_idle_close(idle);
}

static void
strict_mode_sleeps_longer_and_longer(void **state)
{
    struct domsfront_idle_config config = { .spin_us = 1000,
                                            .max_sleep_us = 2000,
                                            .block_after_us = 10000 };
    struct domsfront_ref ref = { front, 0 };
    struct domsfront_idle *idle;
    int turns = 0, spins = 0;
    uint64_t start;

    (void) state;
    assert_int_equal(domsfront_idle_open(&config, &idle), 0);
    for (start = now_us(); now_us() - start < 1500; spins++) {
        domsfront_idle_wait(idle, &ref, 1, NULL, 0, false, -1);
    }
    assert_true(spins > 2);
    for (start = now_us(); now_us() - start < 200000; turns++) {
        domsfront_idle_wait(idle, &ref, 1, NULL, 0, false, -1);
    }
    assert_in_range(turns, 2, 200);

    /* The caller's own limit holds. */
    start = now_us();
    domsfront_idle_wait(idle, &ref, 1, NULL, 0, false, 1);
    assert_false(DOMS_READ_ONCE(*conn.q[0].peer_asleep));

    /* Work makes it spin again, where files are looked at now and then. */
    struct pollfd pfd = { .fd = eventfd(1, EFD_CLOEXEC), .events = POLLIN };
    turns = 0;
    do {
        domsfront_idle_wait(idle, &ref, 1, &pfd, 1, true, -1);
    } while (!pfd.revents && ++turns < 100);
    assert_in_range(turns, 1, 99);
    close(pfd.fd);
    domsfront_idle_close(idle);
    config.max_sleep_us = 0;
    assert_int_equal(domsfront_idle_open(&config, &idle), EINVAL);
}

int
main(void)
{
#define TEST(NAME, SET_UP)                                                    \
    cmocka_unit_test_setup_teardown(NAME, SET_UP, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(frames_arrive_in_place, set_up_plain),
        TEST(frames_are_copied_out, set_up_plain),
        TEST(frames_are_sent, set_up_plain),
        TEST(placed_frames_are_seen_after_the_flush, set_up_plain),
        TEST(placing_ends_at_a_full_ring_and_at_an_impossible_length,
             set_up_plain),
        TEST(full_ring_takes_fewer, set_up_plain),
        TEST(impossible_frames_are_turned_away, set_up_plain),
        TEST(no_channel_no_frames, set_up_plain),
        TEST(offload_fields_pass_both_ways, set_up_offloads),
        TEST(senseless_offload_fields_are_dropped, set_up_offloads),
        TEST(segmentation_not_in_force_is_dropped, set_up_csum),
        TEST(bell_rings_for_a_sleeper_only, set_up_doorbell),
        TEST(bell_without_a_listener_or_full_does_no_harm, set_up_doorbell),
        TEST(sleeper_is_woken_by_the_bell, set_up_doorbell),
        TEST(sleeper_is_woken_by_other_files, set_up_doorbell),
        TEST(dead_bell_makes_no_busy_loop, set_up_doorbell),
        TEST(strict_mode_sleeps_longer_and_longer, set_up_plain),
    };

    return cmocka_run_group_tests_name("domsfront-data", tests, NULL, NULL);
}
