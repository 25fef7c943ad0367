/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting TCP frames: each piece is a frame that a stack takes, and together
 * they are the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "guestfront/setter/cut.h"

#define FIN_PSH_CWR_ACK 0x99

/* A frame with 'tags' VLAN tags, and what it is. */
static uint8_t frame[70000];
static uint32_t l3, l4, headers_size;
static struct domsfront_offload offload;

static void
put16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static uint32_t
get(const uint8_t *p, int n)
{
    uint32_t value = 0;

    while (n--) {
        value = value << 8 | *p++;
    }
    return value;
}

static uint16_t
sum_of(uint64_t sum, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : p[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Makes 'frame', with 'n' bytes of payload. */
static void
make(bool is_ipv6, unsigned int tags, unsigned int tcp_options, uint32_t n)
{
    uint8_t *tcp;

    memset(frame, 0, sizeof frame);
    l3 = 14 + tags * 4;
    l4 = l3 + (is_ipv6 ? 40 : 20);
    headers_size = l4 + 20 + tcp_options;
    for (unsigned int i = 0; i < tags; i++) {
        put16(frame + 12 + i * 4, i + 1 < tags ? 0x88a8 : 0x8100);
    }
    put16(frame + l3 - 2, is_ipv6 ? 0x86dd : 0x0800);
    frame[l3] = is_ipv6 ? 0x60 : 0x45;
    if (is_ipv6) {
        frame[l3 + 6] = 6;
    } else {
        put16(frame + l3 + 4, 0xfffe); /* The identification wraps. */
        frame[l3 + 9] = 6;
    }
    for (int i = is_ipv6 ? 8 : 12; i < (is_ipv6 ? 40 : 20); i++) {
        frame[l3 + i] = 7 * i;
    }
    tcp = frame + l4;
    put16(tcp + 4, 0xffff); /* The sequence number wraps. */
    put16(tcp + 6, 0xff00);
    tcp[12] = (20 + tcp_options) / 4 << 4;
    tcp[13] = FIN_PSH_CWR_ACK;
    for (uint32_t i = 0; i < n; i++) {
        frame[headers_size + i] = i * 31 + (i >> 8);
    }
    offload = (struct domsfront_offload){ .flags = DOMSFRONT_CSUM_NEEDED,
                                          .gso_type = is_ipv6 ? 4 : 1,
                                          .gso_size = 1000,
                                          .csum_start = l4,
                                          .csum_offset = 16 };
}

/* Checks 'piece', with 'n' bytes of payload from 'ofs' on of 'size', whose
 * checksum is filled in. */
static void
check_piece(const uint8_t *piece, uint32_t ofs, uint32_t n, uint32_t size,
            bool is_ipv6)
{
    uint32_t tcp_size = headers_size - l4 + n;
    uint32_t addresses = is_ipv6 ? 8 : 12;
    uint8_t flags = FIN_PSH_CWR_ACK;
    uint16_t sum;

    if (is_ipv6) {
        assert_int_equal(get(piece + l3 + 4, 2), tcp_size);
    } else {
        assert_int_equal(get(piece + l3 + 2, 2), 20 + tcp_size);
        assert_int_equal(get(piece + l3 + 4, 2),
                         (uint16_t) (0xfffe + ofs / 1000));
        assert_int_equal(sum_of(0, piece + l3, 20), 0xffff);
    }
    assert_int_equal(get(piece + l4 + 4, 4), (uint32_t) (0xffffff00 + ofs));
    if (ofs) {
        flags &= ~0x80;
    }
    if (ofs + n < size) {
        flags &= ~0x09;
    }
    assert_int_equal(piece[l4 + 13], flags);
    sum = sum_of(6 + tcp_size, piece + l3 + addresses, l4 - l3 - addresses);
    assert_int_equal(sum_of(sum, piece + l4, tcp_size), 0xffff);
    assert_memory_equal(piece + headers_size, frame + headers_size + ofs, n);
}

/* Cuts a frame into pieces of 'step' bytes and checks each. */
static void
cut_and_check(bool is_ipv6, unsigned int tags, unsigned int options,
              uint32_t size, uint32_t step)
{
    static uint8_t piece[sizeof frame];
    struct cut c;

    make(is_ipv6, tags, options, size);
    assert_true(
        cut_init(&c, frame, CUT_HEADERS_MAX, headers_size + size, &offload));
    assert_int_equal(c.headers_size, headers_size);
    assert_int_equal(c.payload_size, size);
    for (uint32_t ofs = 0; ofs < size; ofs += step) {
        uint32_t n = size - ofs < step ? size - ofs : step;

        cut_make_headers(&c, ofs, n, piece);
        memcpy(piece + headers_size, frame + headers_size + ofs, n);
        cut_fill_checksum(piece, headers_size + n, l4, 16);
        check_piece(piece, ofs, n, size, is_ipv6);
    }
}

static void
test_pieces_are_right(void **state)
{
    (void) state;
    for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
        for (unsigned int tags = 0; tags < 3; tags++) {
            cut_and_check(is_ipv6, tags, 0, 1, 1000);
            cut_and_check(is_ipv6, tags, 12, 1001, 1000);
            cut_and_check(is_ipv6, tags, 40, 64999, 1000);
            cut_and_check(is_ipv6, tags, 12, 65160, 61000);
        }
    }
}

static bool
can_be_cut(uint32_t n_start, uint32_t length)
{
    struct cut c;

    return cut_init(&c, frame, n_start, length, &offload);
}

static void
test_what_cannot_be_cut_is_refused(void **state)
{
    uint32_t length;

    (void) state;
    make(false, 0, 0, 5000);
    length = headers_size + 5000;
    assert_true(can_be_cut(CUT_HEADERS_MAX, length));
    assert_true(can_be_cut(headers_size, length));
    assert_false(can_be_cut(headers_size - 1, length));
    assert_false(can_be_cut(0, length));
    assert_false(can_be_cut(headers_size, headers_size));
    frame[l3 + 9] = 17; /* UDP. */
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(false, 0, 0, 5000);
    frame[l3] = 0x46; /* The TCP header is elsewhere. */
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(false, 0, 0, 5000);
    frame[l4 + 12] = 0x40; /* It is too short. */
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(false, 0, 0, 5000);
    put16(frame + 12, 0x0806); /* ARP. */
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(false, 0, 0, 5000);
    offload.gso_size = 0;
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(false, 0, 0, 5000);
    offload.flags = 0;
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(false, 0, 0, 5000);
    offload.csum_offset = 6;
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(false, 0, 0, 5000);
    offload.csum_start = UINT16_MAX;
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
    make(true, 0, 0, 5000);
    offload.csum_start = l4 - 1; /* Within the IPv6 header. */
    assert_false(can_be_cut(CUT_HEADERS_MAX, length));
}

static void
test_a_sum_of_zero_is_written_as_all_ones(void **state)
{
    /* What UDP must do, and TCP may. */
    uint8_t data[4] = { 0xff, 0xff, 0, 0 };

    (void) state;
    cut_fill_checksum(data, 4, 0, 2);
    assert_int_equal(get(data + 2, 2), 0xffff);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_right),
        cmocka_unit_test(test_what_cannot_be_cut_is_refused),
        cmocka_unit_test(test_a_sum_of_zero_is_written_as_all_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
