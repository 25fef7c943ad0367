/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of doms/offload.h: what a hostile guest's offload fields can do
 * (nothing), and whether what leaves the switch is what the sender meant.
 * Checksums are verified by frame-make.h's own arithmetic.
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

#define CSUM DOMS_F_CSUM
#define BOTH (DOMS_F_CSUM | DOMS_F_TSO)

#define TX_FLAGS                                                              \
    (DP_PACKET_OL_TX_L4_MASK | DP_PACKET_OL_TX_TCP_SEG | DP_PACKET_OL_TX_IPV4 \
     | DP_PACKET_OL_TX_IPV6)

static const struct frame_spec tcp4 = { .proto = FRAME_TCP, .payload = 100 };
static const struct frame_spec tcp6 = { .v6 = true,
                                        .proto = FRAME_TCP,
                                        .payload = 100 };
static const struct frame_spec udp4 = { .proto = FRAME_UDP, .payload = 100 };
static const struct frame_spec udp6 = { .v6 = true,
                                        .proto = FRAME_UDP,
                                        .payload = 100 };

static struct frame frame;

/* Returns a packet that holds the first 'length' bytes of 'frame', in memory
 * of just that size, so that a sanitizer sees every step beyond. */
static struct dp_packet *
packet_make(uint32_t length)
{
    struct dp_packet *packet = dp_packet_new(length ? length : 1);

    dp_packet_put(packet, frame.bytes, length);
    return packet;
}

static uint32_t
packet_flags(const struct dp_packet *packet)
{
    return *dp_packet_ol_flags_ptr(packet) & TX_FLAGS;
}

/* Copies 'packet' back into 'frame' and frees it. */
static void
packet_unmake(struct dp_packet *packet)
{
    assert_int_equal(dp_packet_size(packet), frame.length);
    memcpy(frame.bytes, dp_packet_data(packet), frame.length);
    dp_packet_delete(packet);
}

/* Offload fields that fit 'frame'. */
static struct doms_offload
fields(uint8_t gso_type)
{
    return (struct doms_offload){ .flags = DOMS_OFFLOAD_NEEDS_CSUM,
                                  .gso_type = gso_type,
                                  .gso_size = gso_type ? 1000 : 0,
                                  .csum_start = frame.l4,
                                  .csum_offset = frame.csum - frame.l4 };
}

static bool
accepts(struct doms_offload o, uint64_t features)
{
    struct dp_packet *packet = packet_make(frame.length);
    bool ok = offload_from_guest(&o, features, packet);

    dp_packet_delete(packet);
    return ok;
}

/* From the guest. */

static void
nothing_to_do_leaves_the_packet_as_it_is(void **state)
{
    (void) state;
    frame_make(&frame, &tcp4);
    for (int flags = 0; flags <= DOMS_OFFLOAD_DATA_VALID;
         flags += DOMS_OFFLOAD_DATA_VALID) {
        struct doms_offload o = { .flags = flags };
        struct dp_packet *packet = packet_make(frame.length);

        assert_true(offload_from_guest(&o, 0, packet));
        assert_int_equal(packet_flags(packet), 0);
        assert_memory_equal(dp_packet_data(packet), frame.bytes, frame.length);
        dp_packet_delete(packet);
    }
}

static void
unknown_flags_are_refused(void **state)
{
    (void) state;
    frame_make(&frame, &tcp4);
    for (int flags = 4; flags <= 0xff; flags++) {
        struct doms_offload o = fields(0);

        o.flags = flags;
        assert_false(accepts(o, BOTH));
    }
}

static void
checksum_beyond_the_end_is_refused(void **state)
{
    static const uint16_t edges[] = { 0,      1,      2,      0x7fff,
                                      0x8000, 0xfffd, 0xfffe, 0xffff };

    (void) state;
    frame_make(&frame, &udp4);
    for (uint32_t start = 0; start <= frame.length + 2; start++) {
        for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
            /* Just within, just beyond, and around each edge, modulo 2^16. */
            for (int d = -2; d <= 2; d++) {
                struct doms_offload o = fields(0);
                bool fits;

                o.csum_start = start + edges[i];
                o.csum_offset = frame.length - start + d;
                fits = o.csum_start + (uint32_t) o.csum_offset + 2
                       <= frame.length;
                assert_int_equal(accepts(o, CSUM), fits);
            }
        }
    }
}

static void
what_was_not_negotiated_is_refused(void **state)
{
    (void) state;
    frame_make(&frame, &tcp4);
    assert_false(accepts(fields(0), 0));
    assert_false(accepts(fields(0), DOMS_F_TSO | DOMS_F_DOORBELL));
    assert_true(accepts(fields(0), CSUM));
    assert_false(accepts(fields(DOMS_GSO_TCPV4), CSUM));
    assert_false(accepts(fields(DOMS_GSO_TCPV4), DOMS_F_TSO));
    assert_true(accepts(fields(DOMS_GSO_TCPV4), BOTH));
}

static void
only_the_right_gso_type_is_accepted(void **state)
{
    (void) state;
    for (int v6 = 0; v6 < 2; v6++) {
        int right = v6 ? DOMS_GSO_TCPV6 : DOMS_GSO_TCPV4;

        frame_make(&frame, v6 ? &tcp6 : &tcp4);
        for (int type = 1; type <= 0xff; type++) {
            assert_int_equal(accepts(fields(type), BOTH),
                             (type & ~DOMS_GSO_ECN) == right);
        }
    }
}

static void
gso_without_checksum_is_refused(void **state)
{
    (void) state;
    frame_make(&frame, &tcp4);
    for (int type = 1; type <= 0xff; type++) {
        struct doms_offload o = fields(type);

        o.flags = 0;
        assert_false(accepts(o, BOTH));
        o.flags = DOMS_OFFLOAD_DATA_VALID;
        assert_false(accepts(o, BOTH));
    }
}

static void
gso_that_does_not_fit_the_headers_is_refused(void **state)
{
    struct doms_offload o;
    struct frame_spec s;

    (void) state;
    frame_make(&frame, &tcp4);
    o = fields(DOMS_GSO_TCPV4);
    o.gso_size = 0;
    assert_false(accepts(o, BOTH));
    o = fields(DOMS_GSO_TCPV4);
    o.csum_start++;
    assert_false(accepts(o, BOTH));
    o = fields(DOMS_GSO_TCPV4);
    o.csum_offset = 6;
    assert_false(accepts(o, BOTH));

    frame_make(&frame, &udp4);
    assert_false(accepts(fields(DOMS_GSO_TCPV4), BOTH));
    frame_make(&frame, &udp6);
    assert_false(accepts(fields(DOMS_GSO_TCPV6), BOTH));
    for (uint32_t i = 0; i < 2; i++) {
        s = tcp4;
        s.fragment = i ? 0x2000 : 0x0001; /* The first, a later one. */
        frame_make(&frame, &s);
        assert_false(accepts(fields(DOMS_GSO_TCPV4), BOTH));
    }
    s = tcp6;
    s.ip6_ext = 1;
    frame_make(&frame, &s);
    assert_false(accepts(fields(DOMS_GSO_TCPV6), BOTH));
    s = tcp4;
    s.n_vlans = 3;
    frame_make(&frame, &s);
    assert_false(accepts(fields(DOMS_GSO_TCPV4), BOTH));
    s = tcp4;
    s.padding = 4;
    frame_make(&frame, &s);
    assert_false(accepts(fields(DOMS_GSO_TCPV4), BOTH));
}

static void
gso_with_broken_headers_is_refused(void **state)
{
    (void) state;
    for (int v6 = 0; v6 < 2; v6++) {
        uint8_t type = v6 ? DOMS_GSO_TCPV6 : DOMS_GSO_TCPV4;

        for (uint32_t length = 0; length < 14 + 40 + 20; length++) {
            frame_make(&frame, v6 ? &tcp6 : &tcp4);
            if (length < frame.data) {
                frame.length = length;
                assert_false(accepts(fields(type), BOTH));
            }
        }
        for (unsigned int offset = 0; offset < 16; offset++) {
            frame_make(&frame, v6 ? &tcp6 : &tcp4);
            frame.bytes[frame.l4 + 12] = offset << 4;
            assert_int_equal(accepts(fields(type), BOTH), offset >= 5);
        }
        /* The IP packet is longer than the frame. */
        frame_make(&frame, v6 ? &tcp6 : &tcp4);
        frame.bytes[frame.l3 + (v6 ? 5 : 3)]++;
        assert_false(accepts(fields(type), BOTH));
    }
    for (unsigned int ihl = 0; ihl < 16; ihl++) {
        frame_make(&frame, &tcp4);
        frame.bytes[frame.l3] = 0x40 | ihl;
        assert_int_equal(accepts(fields(DOMS_GSO_TCPV4), BOTH), ihl == 5);
    }
    frame_make(&frame, &tcp4);
    frame.bytes[frame.l3] = 0x65;
    assert_false(accepts(fields(DOMS_GSO_TCPV4), BOTH));
}

static void
flags_of_the_packet_say_what_the_guest_meant(void **state)
{
    (void) state;
    for (int i = 0; i < 3 * 2 * 2 * 2 * 3; i++) {
        struct frame_spec s = { .payload = 3000 };
        struct dp_packet *packet;
        struct doms_offload o;
        uint32_t want;
        bool gso;

        s.n_vlans = i % 3;
        s.v6 = i / 3 % 2;
        s.proto = i / 6 % 2 ? FRAME_TCP : FRAME_UDP;
        gso = i / 12 % 2 && s.proto == FRAME_TCP;
        s.ip_options = i / 24 * 5;
        s.tcp_options = i / 24 * 5;
        frame_make(&frame, &s);
        o = fields(!gso ? 0 : s.v6 ? DOMS_GSO_TCPV6 : DOMS_GSO_TCPV4);
        want = s.v6 ? DP_PACKET_OL_TX_IPV6 : DP_PACKET_OL_TX_IPV4;
        want |= s.proto == FRAME_TCP ? DP_PACKET_OL_TX_TCP_CKSUM
                                     : DP_PACKET_OL_TX_UDP_CKSUM;
        want |= gso ? DP_PACKET_OL_TX_TCP_SEG : 0;

        packet = packet_make(frame.length);
        assert_true(offload_from_guest(&o, BOTH, packet));
        assert_int_equal(packet_flags(packet), want);
        assert_true(offload_is_needed(packet));
        assert_memory_equal(dp_packet_data(packet), frame.bytes, frame.length);
        dp_packet_delete(packet);
    }
}

/* Hands over a frame like 's', with the sum that a guest's kernel leaves in
 * the checksum field; it must come out without flags and with a right
 * checksum. */
static void
check_is_finished(const struct frame_spec *s)
{
    struct doms_offload o;
    struct dp_packet *packet;

    frame_make(&frame, s);
    frame_put16(frame.bytes + frame.csum,
                frame_pseudo_sum(&frame, s->v6, s->proto));
    o = fields(0);
    packet = packet_make(frame.length);
    assert_true(offload_from_guest(&o, CSUM, packet));
    assert_int_equal(packet_flags(packet), 0);
    packet_unmake(packet);
    assert_true(frame_csum_is_right(&frame, s->v6, s->proto));
}

static void
checksums_without_a_flag_are_made_at_once(void **state)
{
    struct frame_spec s = udp6;

    (void) state;
    for (s.payload = 0; s.payload < 70; s.payload++) {
        s.proto = FRAME_UDP;
        s.ip6_ext = 1 + s.payload % 3;
        check_is_finished(&s);
        s.proto = FRAME_ICMP6;
        s.ip6_ext = 0;
        check_is_finished(&s);
    }
    s = udp4;
    s.n_vlans = 3;
    check_is_finished(&s);
    s.n_vlans = 0;
    s.fragment = 0x2000;
    check_is_finished(&s);
}

static void
checksum_0_of_udp_becomes_ffff(void **state)
{
    struct frame_spec s = udp6;

    (void) state;
    s.ip6_ext = 1;
    for (int ext = 1; ext >= 0; ext--) {
        struct doms_offload o, unused;
        struct dp_packet *packet;
        uint32_t sum;

        s.ip6_ext = ext;
        frame_make(&frame, &s);
        frame_put16(frame.bytes + frame.csum, 0);
        frame_put16(frame.bytes + frame.data, 0);
        sum = frame_sum(frame_pseudo_sum(&frame, true, FRAME_UDP),
                        frame.bytes + frame.l4, frame.end - frame.l4);
        frame_put16(frame.bytes + frame.data, ~sum & 0xffff);
        frame_put16(frame.bytes + frame.csum,
                    frame_pseudo_sum(&frame, true, FRAME_UDP));
        o = fields(0);
        packet = packet_make(frame.length);
        assert_true(offload_from_guest(&o, CSUM, packet));
        if (!ext) {
            assert_int_equal(
                offload_to_guest(packet, 0, 1500, DOMS_FRAME_MAX, &unused),
                OFFLOAD_DONE);
        }
        packet_unmake(packet);
        assert_int_equal(frame_get16(frame.bytes + frame.csum), 0xffff);
    }
}

static void
no_fields_and_no_frame_make_it_leave_the_packet(void **state)
{
    struct prng p;

    (void) state;
    prng_seed(&p, 1);
    for (int i = 0; i < 200000; i++) {
        struct frame_spec s = { .n_vlans = prng_range(&p, 0, 3),
                                .v6 = prng_range(&p, 0, 1),
                                .ip_options = prng_range(&p, 0, 10),
                                .ip6_ext = prng_range(&p, 0, 1),
                                .proto = prng_range(&p, 0, 1) ? 6 : 17,
                                .tcp_options = prng_range(&p, 0, 10),
                                .payload = prng_range(&p, 0, 40),
                                .padding = prng_range(&p, 0, 5) };
        struct doms_offload o, out;
        struct dp_packet *packet;
        uint32_t flags;

        frame_make(&frame, &s);
        o = fields(prng_range(&p, 0, 1) ? DOMS_GSO_TCPV4 : 0);
        for (int n = prng_range(&p, 0, 4); n; n--) {
            frame.bytes[12 + prng_next(&p) % (frame.data - 12)] = prng_next(
                &p);
        }
        for (int n = prng_range(&p, 0, 2); n; n--) {
            ((uint8_t *) &o)[prng_next(&p) % sizeof o] = prng_next(&p);
        }
        packet = packet_make(prng_range(&p, 0, 1)
                                 ? frame.length
                                 : prng_range(&p, 14, frame.length));
        offload_from_guest(&o, BOTH, packet);
        /* However the datapath may have changed it. */
        flags = prng_next(&p) & TX_FLAGS;
        *dp_packet_ol_flags_ptr(packet) |= flags;
        offload_to_guest(packet, prng_next(&p) & BOTH, 50, DOMS_FRAME_MAX,
                         &out);
        dp_packet_delete(packet);
    }
}

/* From a netfront. */

static void
a_netfronts_blank_checksum_becomes_a_flag(void **state)
{
    static const struct frame_spec *const specs[] = { &tcp4, &tcp6, &udp4,
                                                      &udp6 };

    (void) state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct doms_offload o;
        struct dp_packet *a, *b;

        frame_make(&frame, specs[i]);
        o = fields(0);
        a = packet_make(frame.length);
        b = packet_make(frame.length);
        assert_true(offload_from_guest(&o, BOTH, a));
        assert_true(offload_from_netfront(DOMS_GSO_NONE, BOTH, b));
        assert_int_equal(packet_flags(a), packet_flags(b));
        assert_int_not_equal(packet_flags(b), 0);
        dp_packet_delete(a);
        dp_packet_delete(b);
    }
}

static void
a_netfronts_segmentation_fits_the_headers(void **state)
{
    struct dp_packet *packet;

    (void) state;
    for (int v6 = 0; v6 < 2; v6++) {
        uint8_t right = v6 ? DOMS_GSO_TCPV6 : DOMS_GSO_TCPV4;
        uint8_t wrong = v6 ? DOMS_GSO_TCPV4 : DOMS_GSO_TCPV6;

        frame_make(&frame, v6 ? &tcp6 : &tcp4);
        packet = packet_make(frame.length);
        assert_false(offload_from_netfront(wrong, BOTH, packet));
        assert_false(offload_from_netfront(right, CSUM, packet));
        assert_false(offload_from_netfront(right, 0, packet));
        assert_true(offload_from_netfront(right, BOTH, packet));
        assert_true(packet_flags(packet) & DP_PACKET_OL_TX_TCP_SEG);
        dp_packet_delete(packet);
        frame_make(&frame, v6 ? &udp6 : &udp4);
        packet = packet_make(frame.length);
        assert_false(offload_from_netfront(right, BOTH, packet));
        dp_packet_delete(packet);
    }
}

static void
a_netfronts_blank_checksum_is_made_where_there_is_no_flag(void **state)
{
    (void) state;
    for (uint32_t i = 0; i < 4 * 4; i++) {
        struct frame_spec s = { .v6 = i & 1,
                                .proto = i & 2 ? FRAME_TCP : FRAME_UDP,
                                .ip6_ext = i & 1 ? i / 4 : 0,
                                .payload = 101 };
        struct dp_packet *packet;

        frame_make(&frame, &s);
        /* The pseudo header's sum, as Linux leaves it there. */
        frame_put16(frame.bytes + frame.csum,
                    frame_pseudo_sum(&frame, s.v6, s.proto));
        packet = packet_make(frame.length);
        /* With extension headers, even a switch with the feature makes it. */
        assert_true(offload_from_netfront(DOMS_GSO_NONE, s.ip6_ext ? BOTH : 0,
                                          packet));
        assert_int_equal(packet_flags(packet), 0);
        packet_unmake(packet);
        assert_true(frame_csum_is_right(&frame, s.v6, s.proto));
    }
}

static void
a_netfronts_blank_checksum_needs_a_whole_packet(void **state)
{
    static const struct frame_spec specs[] = {
        { .proto = FRAME_TCP, .payload = 50, .fragment = 0x2000 },
        { .proto = 1, .payload = 50 },
        { .v6 = true, .ip6_ext = 1, .proto = 58, .payload = 50 },
    };

    (void) state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct dp_packet *packet;

        frame_make(&frame, &specs[i]);
        packet = packet_make(frame.length);
        assert_false(offload_from_netfront(DOMS_GSO_NONE, BOTH, packet));
        dp_packet_delete(packet);
    }
    /* Cut anywhere, it is never read beyond its end. */
    for (unsigned int ext = 0; ext < 3; ext++) {
        struct frame_spec s = { .v6 = true,
                                .ip6_ext = ext,
                                .proto = FRAME_TCP };

        frame_make(&frame, &s);
        for (uint32_t length = 0; length < frame.csum + 2; length++) {
            struct dp_packet *packet = packet_make(length);

            assert_false(offload_from_netfront(DOMS_GSO_NONE, BOTH, packet));
            dp_packet_delete(packet);
        }
    }
}

/* To the guest. */

/* Returns 'frame' as a packet with the TX flags of 's', to be segmented if
 * 'tso'. */
static struct dp_packet *
tx_packet(const struct frame_spec *s, bool tso)
{
    struct dp_packet *packet = packet_make(frame.length);

    if (s->v6) {
        dp_packet_hwol_set_tx_ipv6(packet);
    } else {
        dp_packet_hwol_set_tx_ipv4(packet);
    }
    if (s->proto == FRAME_TCP) {
        dp_packet_hwol_set_csum_tcp(packet);
    } else {
        dp_packet_hwol_set_csum_udp(packet);
    }
    if (tso) {
        dp_packet_hwol_set_tcp_seg(packet);
    }
    return packet;
}

static enum offload_verdict
verdict(const struct frame_spec *s, bool tso, uint64_t features, int mtu)
{
    struct doms_offload o;
    struct dp_packet *packet;
    enum offload_verdict v;

    frame_make(&frame, s);
    packet = tx_packet(s, tso);
    v = offload_to_guest(packet, features, mtu, DOMS_FRAME_MAX, &o);
    dp_packet_delete(packet);
    return v;
}

static void
verdict_depends_on_guest_and_length(void **state)
{
    struct frame_spec s = tcp4;
    uint64_t features[] = { 0, CSUM, BOTH };

    (void) state;
    for (int i = 0; i < 3; i++) {
        enum offload_verdict whole = i ? OFFLOAD_PASS : OFFLOAD_DONE;
        enum offload_verdict cut = i == 2 ? OFFLOAD_PASS : OFFLOAD_SEGMENT;

        s.payload = 1500 - 40;
        assert_int_equal(verdict(&s, true, features[i], 1500), whole);
        assert_int_equal(verdict(&s, false, features[i], 1500), whole);
        s.payload++;
        assert_int_equal(verdict(&s, true, features[i], 1500), cut);
        assert_int_equal(verdict(&s, false, features[i], 1500),
                         OFFLOAD_IMPOSSIBLE);
        /* What no record holds is cut for everybody. */
        s.payload = DOMS_FRAME_MAX - 54;
        assert_int_equal(verdict(&s, true, features[i], 1500), cut);
        s.payload++;
        assert_int_equal(verdict(&s, true, features[i], 1500),
                         OFFLOAD_SEGMENT);
    }
}

static void
what_does_not_fit_its_flags_is_impossible(void **state)
{
    struct frame_spec s = udp4;

    (void) state;
    s.payload = 2000;
    assert_int_equal(verdict(&s, true, BOTH, 1500), OFFLOAD_IMPOSSIBLE);
    s.payload = 100;
    s.fragment = 0x2000;
    assert_int_equal(verdict(&s, false, BOTH, 1500), OFFLOAD_IMPOSSIBLE);
    s = tcp6;
    s.ip6_ext = 1;
    assert_int_equal(verdict(&s, true, BOTH, 1500), OFFLOAD_IMPOSSIBLE);
    s = tcp4;
    s.n_vlans = 3;
    assert_int_equal(verdict(&s, false, BOTH, 1500), OFFLOAD_IMPOSSIBLE);
    s = tcp4;
    s.payload = 3000;
    assert_int_equal(verdict(&s, true, 0, 40), OFFLOAD_IMPOSSIBLE);
    assert_int_equal(verdict(&s, true, 0, 41), OFFLOAD_SEGMENT);
}

static void
checksum_is_right_for_a_guest_without_offloads(void **state)
{
    (void) state;
    for (uint32_t i = 0; i < 4 * 3 * 70; i++) {
        struct frame_spec s = { .v6 = i & 1,
                                .proto = i & 2 ? FRAME_TCP : FRAME_UDP,
                                .n_vlans = i / 4 % 3,
                                .payload = i / 12,
                                .padding = i % 7 };
        struct dp_packet *packet;
        struct doms_offload o;

        frame_make(&frame, &s);
        packet = tx_packet(&s, false);
        assert_int_equal(offload_to_guest(packet, 0, 1500, DOMS_FRAME_MAX, &o),
                         OFFLOAD_DONE);
        packet_unmake(packet);
        assert_true(frame_csum_is_right(&frame, s.v6, s.proto));
    }
}

static void
fields_let_the_guest_finish_the_checksum(void **state)
{
    (void) state;
    for (uint32_t i = 0; i < 4 * 3 * 70; i++) {
        struct frame_spec s = { .v6 = i & 1,
                                .proto = i & 2 ? FRAME_TCP : FRAME_UDP,
                                .n_vlans = i / 4 % 3,
                                .payload = i / 12,
                                .padding = i % 7 };
        struct dp_packet *packet;
        struct doms_offload o;

        frame_make(&frame, &s);
        packet = tx_packet(&s, false);
        memset(&o, 0xff, sizeof o);
        assert_int_equal(
            offload_to_guest(packet, CSUM, 1500, DOMS_FRAME_MAX, &o),
            OFFLOAD_PASS);
        packet_unmake(packet);
        assert_int_equal(o.flags, DOMS_OFFLOAD_NEEDS_CSUM);
        assert_int_equal(o.gso_type, DOMS_GSO_NONE);
        assert_int_equal(o.gso_size, 0);
        assert_int_equal(o.hdr_len,
                         s.proto == FRAME_TCP ? frame.data : frame.l4);
        assert_int_equal(o.csum_start, frame.l4);
        assert_int_equal(o.csum_start + o.csum_offset, frame.csum);
        assert_int_equal(o.reserved[0] | o.reserved[1] | o.reserved[2], 0);

        /* As virtio has it: the sum from 'csum_start' to the frame's end. */
        frame_put16(frame.bytes + frame.csum,
                    ~frame_sum(0, frame.bytes + o.csum_start,
                               frame.length - o.csum_start)
                        & 0xffff);
        assert_true(frame_csum_is_right(&frame, s.v6, s.proto));
    }
}

static void
fields_let_the_guest_segment(void **state)
{
    (void) state;
    for (int v6 = 0; v6 < 2; v6++) {
        struct frame_spec s = v6 ? tcp6 : tcp4;
        struct dp_packet *packet;
        struct doms_offload o;

        s.payload = 20000;
        s.tcp_options = 3;
        frame_make(&frame, &s);
        packet = tx_packet(&s, true);
        assert_int_equal(
            offload_to_guest(packet, BOTH, 1500, DOMS_FRAME_MAX, &o),
            OFFLOAD_PASS);
        assert_int_equal(o.gso_type, v6 ? DOMS_GSO_TCPV6 : DOMS_GSO_TCPV4);
        assert_int_equal(o.gso_size, 1500 - (frame.data - frame.l3));
        /* What this side says, the other accepts. */
        assert_true(offload_from_guest(&o, BOTH, packet));
        dp_packet_delete(packet);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_do_leaves_the_packet_as_it_is),
        cmocka_unit_test(unknown_flags_are_refused),
        cmocka_unit_test(checksum_beyond_the_end_is_refused),
        cmocka_unit_test(what_was_not_negotiated_is_refused),
        cmocka_unit_test(only_the_right_gso_type_is_accepted),
        cmocka_unit_test(gso_without_checksum_is_refused),
        cmocka_unit_test(gso_that_does_not_fit_the_headers_is_refused),
        cmocka_unit_test(gso_with_broken_headers_is_refused),
        cmocka_unit_test(flags_of_the_packet_say_what_the_guest_meant),
        cmocka_unit_test(checksums_without_a_flag_are_made_at_once),
        cmocka_unit_test(checksum_0_of_udp_becomes_ffff),
        cmocka_unit_test(a_netfronts_blank_checksum_becomes_a_flag),
        cmocka_unit_test(a_netfronts_segmentation_fits_the_headers),
        cmocka_unit_test(
            a_netfronts_blank_checksum_is_made_where_there_is_no_flag),
        cmocka_unit_test(a_netfronts_blank_checksum_needs_a_whole_packet),
        cmocka_unit_test(no_fields_and_no_frame_make_it_leave_the_packet),
        cmocka_unit_test(verdict_depends_on_guest_and_length),
        cmocka_unit_test(what_does_not_fit_its_flags_is_impossible),
        cmocka_unit_test(checksum_is_right_for_a_guest_without_offloads),
        cmocka_unit_test(fields_let_the_guest_finish_the_checksum),
        cmocka_unit_test(fields_let_the_guest_segment),
    };

    return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}
