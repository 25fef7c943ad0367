/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of offload_segment(): the segments are taken out of a ring as
 * a guest takes them, checked one by one, and put together again.
 */
#define _GNU_SOURCE
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "doms/offload.h"

#include "tests/unit/frame-make.h"
#include "tests/unit/ring-fixture.h"

#include <cmocka.h>

static struct ring ring;
static struct frame frame;   /* What is segmented. */
static struct frame segment; /* What came out. */

static int
setup(void **state)
{
    (void) state;
    ring_init(&ring, DOMS_ARENA_MIN, 0);
    return 0;
}

static int
teardown(void **state)
{
    (void) state;
    ring_destroy(&ring);
    return 0;
}

/* Puts a segment into the ring 'w'. */
static bool
emit(void *w, const void *bytes, uint32_t length)
{
    return doms_ring_write(w, bytes, length, 0);
}

static struct dp_packet *
make_packet(const struct frame_spec *s)
{
    struct dp_packet *packet;

    frame_make(&frame, s);
    packet = dp_packet_new(frame.length);
    dp_packet_put(packet, frame.bytes, frame.length);
    dp_packet_hwol_set_tcp_seg(packet);
    dp_packet_hwol_set_csum_tcp(packet);
    return packet;
}

/* Takes the next segment out of the ring into 'segment'. */
static bool
take_segment(const struct frame_spec *s)
{
    struct doms_record rec;
    int error = doms_ring_read(&ring.r, segment.bytes, sizeof segment.bytes,
                               &rec);

    if (error == EAGAIN) {
        return false;
    }
    assert_int_equal(error, 0);
    assert_int_equal(rec.flags, 0);
    doms_ring_release(&ring.r);
    segment.length = segment.end = rec.length;
    segment.l3 = frame.l3;
    segment.l4 = frame.l4;
    segment.data = frame.data;
    assert_true(segment.length > segment.data);
    assert_true(frame_csum_is_right(&segment, s->v6, FRAME_TCP));
    return true;
}

/* Checks the headers of 'segment', number 'i', which starts 'ofs' bytes into
 * the payload, against those of 'frame'. */
static void
check_headers(const struct frame_spec *s, uint32_t i, uint32_t ofs, int mtu)
{
    const uint8_t *ip = segment.bytes + segment.l3;
    const uint8_t *tcp = segment.bytes + segment.l4;
    uint32_t ip_length = segment.length - segment.l3;
    bool is_last = ofs + segment.length - segment.data == s->payload;
    uint32_t flags = s->tcp_flags;
    uint8_t expected[256];

    if (is_last) {
        assert_true(ip_length <= (uint32_t) mtu);
    } else {
        assert_int_equal(ip_length, mtu);
    }

    /* All but the fields that segmentation changes is as it was. */
    memcpy(expected, frame.bytes, frame.data);
    if (s->v6) {
        frame_put16(expected + frame.l3 + 4, ip_length - 40);
    } else {
        frame_put16(expected + frame.l3 + 2, ip_length);
        frame_put16(expected + frame.l3 + 4, (s->ip_id + i) & 0xffff);
        memcpy(expected + frame.l3 + 10, ip + 10, 2);
        assert_int_equal(frame_sum(0, ip, frame.l4 - frame.l3), 0xffff);
    }
    frame_put16(expected + frame.l4 + 4, (s->seq + ofs) >> 16);
    frame_put16(expected + frame.l4 + 6, (s->seq + ofs) & 0xffff);
    if (!is_last) {
        flags &= ~(FRAME_FIN | FRAME_PSH);
    }
    if (i) {
        flags &= ~FRAME_CWR;
    }
    frame_put16(expected + frame.l4 + 12, (5 + s->tcp_options) << 12 | flags);
    memcpy(expected + frame.l4 + 16, tcp + 16, 2);
    assert_memory_equal(segment.bytes, expected, frame.data);
}

/* Takes all segments out of the ring and checks them.  Returns how many bytes
 * of payload they have, from the first on; their number goes to '*n' and their
 * bytes to '*n_bytes'. */
static uint32_t
take_all(const struct frame_spec *s, int mtu, uint32_t *n, uint64_t *n_bytes)
{
    uint32_t ofs = 0;

    *n = 0;
    *n_bytes = 0;
    doms_ring_publish(&ring.w);
    while (take_segment(s)) {
        uint32_t payload = segment.length - segment.data;

        check_headers(s, *n, ofs, mtu);
        assert_memory_equal(segment.bytes + segment.data,
                            frame.bytes + frame.data + ofs, payload);
        ofs += payload;
        *n_bytes += segment.length;
        *n += 1;
    }
    return ofs;
}

static void
check_segments(const struct frame_spec *s, int mtu)
{
    struct dp_packet *packet = make_packet(s);
    uint32_t mss = mtu - (frame.data - frame.l3);
    uint32_t n_segments = 7, n;
    uint64_t n_bytes = 11, bytes;

    assert_true(
        offload_segment(packet, mtu, emit, &ring.w, &n_segments, &n_bytes));
    assert_int_equal(take_all(s, mtu, &n, &bytes), s->payload);
    assert_int_equal(n, (s->payload + mss - 1) / mss);
    /* The counts are added to. */
    assert_int_equal(n_segments, 7 + n);
    assert_int_equal(n_bytes, 11 + bytes);
    /* The packet itself is as it was. */
    assert_memory_equal(dp_packet_data(packet), frame.bytes, frame.length);
    dp_packet_delete(packet);
}

static void
segments_put_together_are_the_frame(void **state)
{
    static const int mtus[] = { 576, 1280, 1500, 9000, 9216 };

    (void) state;
    for (int i = 0; i < 5 * 3 * 2 * 3; i++) {
        int mtu = mtus[i % 5];
        struct frame_spec s = { .n_vlans = i / 5 % 3,
                                .v6 = i / 15 % 2,
                                .ip_options = i / 30 * 5,
                                .tcp_options = i / 30 * 5,
                                .proto = FRAME_TCP,
                                .seq = 1000,
                                .tcp_flags = FRAME_ACK };
        uint32_t mss = mtu - (s.v6 ? 60 : 40 + 4 * s.ip_options)
                       - 4 * s.tcp_options;
        uint32_t payloads[] = { 1,           mss - 1, mss,   mss + 1,
                                2 * mss - 1, 2 * mss, 30001, 61000 };

        for (size_t k = 0; k < sizeof payloads / sizeof payloads[0]; k++) {
            s.payload = payloads[k];
            check_segments(&s, mtu);
        }
    }
}

static void
frames_longer_than_any_record_are_cut(void **state)
{
    struct frame_spec s = { .proto = FRAME_TCP,
                            .tcp_flags = FRAME_ACK,
                            .payload = 65535 - 40 };

    (void) state;
    check_segments(&s, 1500);
    s.v6 = true;
    s.payload = 65535 - 20;
    check_segments(&s, 1500);
}

static void
sequence_number_and_ip_id_wrap(void **state)
{
    struct frame_spec s = { .proto = FRAME_TCP,
                            .payload = 20000,
                            .tcp_flags = FRAME_ACK };

    (void) state;
    for (uint32_t i = 0; i < 16; i++) {
        s.seq = UINT32_MAX - 1460 * i;
        s.ip_id = UINT16_MAX - i;
        check_segments(&s, 1500);
    }
}

static void
fin_and_psh_are_last_and_cwr_is_first(void **state)
{
    struct frame_spec s = { .proto = FRAME_TCP, .payload = 4000 };
    uint32_t flags[3];

    (void) state;
    /* check_headers() knows the rule; all flags are tried ... */
    for (s.tcp_flags = 0; s.tcp_flags < 0x1000; s.tcp_flags += 1) {
        check_segments(&s, 1500);
    }

    /* ... and this says it once in plain words. */
    s.tcp_flags = FRAME_FIN | FRAME_PSH | FRAME_ACK | FRAME_ECE | FRAME_CWR;
    struct dp_packet *packet = make_packet(&s);
    uint32_t n = 0;
    uint64_t n_bytes = 0;
    assert_true(offload_segment(packet, 1500, emit, &ring.w, &n, &n_bytes));
    doms_ring_publish(&ring.w);
    for (int i = 0; i < 3; i++) {
        assert_true(take_segment(&s));
        flags[i] = frame_get16(segment.bytes + segment.l4 + 12) & 0xfff;
    }
    assert_false(take_segment(&s));
    assert_int_equal(flags[0], FRAME_ACK | FRAME_ECE | FRAME_CWR);
    assert_int_equal(flags[1], FRAME_ACK | FRAME_ECE);
    assert_int_equal(flags[2], FRAME_FIN | FRAME_PSH | FRAME_ACK | FRAME_ECE);
    dp_packet_delete(packet);
}

static void
full_ring_ends_it_and_keeps_what_was_put(void **state)
{
    struct frame_spec s = { .proto = FRAME_TCP,
                            .payload = 61000,
                            .tcp_flags = FRAME_ACK | FRAME_PSH };
    struct dp_packet *packet = make_packet(&s);
    uint32_t n_segments = 0, n;
    uint64_t n_bytes = 0, bytes;
    uint32_t n_frames = 0;

    (void) state;
    while (
        offload_segment(packet, 1500, emit, &ring.w, &n_segments, &n_bytes)) {
        n_frames++;
        assert_int_equal(n_segments, n_frames * 42);
    }
    assert_int_equal(n_frames, 2);
    assert_true(n_segments > 84 && n_segments < 126);
    assert_int_equal(ring.w.broken, DOMS_RING_OK);

    /* The two whole frames, and the start of the third. */
    doms_ring_publish(&ring.w);
    for (uint32_t i = 0; i < 84; i++) {
        assert_true(take_segment(&s));
        n_bytes -= segment.length;
    }
    assert_true(take_all(&s, 1500, &n, &bytes) < s.payload);
    assert_int_equal(n, n_segments - 84);
    assert_int_equal(bytes, n_bytes);

    /* Now there is room again. */
    check_segments(&s, 1500);
    dp_packet_delete(packet);
}

static void
what_is_not_tcp_puts_nothing(void **state)
{
    struct frame_spec s = { .proto = FRAME_TCP, .payload = 3000 };
    uint32_t n_segments = 0;
    uint64_t n_bytes = 0;

    (void) state;
    for (uint32_t length = 0; length < 54; length++) {
        struct dp_packet *packet = make_packet(&s);

        dp_packet_set_size(packet, length);
        assert_true(offload_segment(packet, 1500, emit, &ring.w, &n_segments,
                                    &n_bytes));
        dp_packet_delete(packet);
    }
    assert_int_equal(n_segments, 0);
    assert_int_equal(n_bytes, 0);
    assert_false(doms_ring_publish(&ring.w));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(segments_put_together_are_the_frame,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(frames_longer_than_any_record_are_cut,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(sequence_number_and_ip_id_wrap, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(fin_and_psh_are_last_and_cwr_is_first,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            full_ring_ends_it_and_keeps_what_was_put, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_tcp_puts_nothing, setup,
                                        teardown),
    };

    return cmocka_run_group_tests_name("offload-segment", tests, NULL, NULL);
}
