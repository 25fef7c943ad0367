/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of bench/traffic.c: that the benchmark's frames are what they claim to
 * be, since a switch that dropped or misread them would only look fast.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/traffic.h"

static uint16_t
get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

/* Returns the sum that a right IP header has: 0xffff. */
static uint16_t
ip_sum(const uint8_t *ip)
{
    uint32_t sum = 0;

    for (int i = 0; i < 20; i += 2) {
        sum += get16(ip + i);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static void
assert_udp_frame(const uint8_t *frame, unsigned int size)
{
    assert_int_equal(get16(frame + 12), 0x0800);
    assert_int_equal(frame[14], 0x45);
    assert_int_equal(get16(frame + 16), size - 14);
    assert_int_equal(ip_sum(frame + 14), 0xffff);
    assert_int_equal(frame[23], 17);
    assert_int_equal(get16(frame + 38), size - 34);
}

static void
test_headers(void **state)
{
    static const unsigned int sizes[] = { 64, 65, 512, 1500, 9000 };
    static struct traffic ab, ba;

    (void) state;
    for (unsigned int i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        traffic_init(&ab, TRAFFIC_AB, sizes[i], 1, false);
        traffic_init(&ba, TRAFFIC_BA, sizes[i], 1, false);
        assert_udp_frame(ab.frame, sizes[i]);
        assert_udp_frame(ba.frame, sizes[i]);
        assert_memory_equal(ab.frame, ba.frame + 6, 6);
        assert_memory_equal(ab.frame + 6, ba.frame, 6);
        assert_memory_equal(ab.frame + 26, ba.frame + 30, 4);
    }
}

/* Copied frames are whole, built ones are their first bytes and no more. */
static void
test_put(void **state)
{
    static const unsigned int sizes[] = { 64, 65, 127, 128, 1500, 1537, 9000 };
    static uint8_t place[TRAFFIC_MAX + 64];
    static struct traffic t;
    void *places[] = { place };

    (void) state;
    for (unsigned int i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int copied = 0; copied < 2; copied++) {
            unsigned int written = copied ? sizes[i] : TRAFFIC_HEAD;

            traffic_init(&t, TRAFFIC_AB, sizes[i], 1, copied);
            memset(place, 0xee, sizeof place);
            traffic_put(&t, places, 1);
            assert_memory_equal(place, t.frame, written);
            for (unsigned int k = written; k < sizeof place; k++) {
                assert_int_equal(place[k], 0xee);
            }
        }
    }
}

/* Each flow has ports of its own, and they come in turn. */
static void
test_flows(void **state)
{
    enum { N = 2500 };
    static uint8_t frames[N + 1][TRAFFIC_MIN];
    static struct traffic t;

    (void) state;
    traffic_init(&t, TRAFFIC_AB, TRAFFIC_MIN, N, false);
    for (int i = 0; i <= N; i++) {
        void *place = frames[i];

        traffic_put(&t, &place, 1);
        assert_udp_frame(frames[i], TRAFFIC_MIN);
        assert_int_equal(get16(frames[i] + TRAFFIC_PORTS_OFS),
                         TRAFFIC_SRC_PORT + i % N % TRAFFIC_SRC_PORTS);
        assert_int_equal(get16(frames[i] + TRAFFIC_PORTS_OFS + 2),
                         TRAFFIC_DST_PORT + i % N / TRAFFIC_SRC_PORTS);
    }
}

static void
test_encapsulate(void **state)
{
    static struct traffic plain, t;

    (void) state;
    traffic_init(&plain, TRAFFIC_BA, 512, 1, true);
    traffic_init(&t, TRAFFIC_BA, 512, 1, true);
    traffic_encapsulate(&t);
    assert_int_equal(t.size, 512 + TRAFFIC_TUNNEL_BYTES);
    assert_udp_frame(t.frame, t.size);
    assert_int_equal(get16(t.frame + 36), 4789);
    assert_int_equal(t.frame[42], 0x08);
    assert_memory_equal(t.frame + TRAFFIC_TUNNEL_BYTES, plain.frame, 512);
}

/* Every byte counts. */
static void
test_sum(void **state)
{
    static uint8_t bytes[1501];
    uint64_t zero = traffic_sum(bytes, sizeof bytes);

    (void) state;
    for (unsigned int i = 0; i < sizeof bytes; i++) {
        bytes[i] = 1;
        assert_true(traffic_sum(bytes, sizeof bytes) != zero);
        bytes[i] = 0;
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers), cmocka_unit_test(test_put),
        cmocka_unit_test(test_flows),   cmocka_unit_test(test_encapsulate),
        cmocka_unit_test(test_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
