/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of doms/netif-request.h: frames as Linux's netfront makes them, and
 * each rule broken once.
 */
#define _GNU_SOURCE

#include "doms/netif-request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MORE NETTXF_more_data
#define EXTRA NETTXF_extra_info

static struct netif_frame frame;

/* Returns a slot with a request. */
static union netif_slot
request(uint32_t offset, uint32_t size, uint16_t flags)
{
    static uint16_t id;

    return (union netif_slot){ .request = { .gref = 1000 + ++id,
                                            .offset = offset,
                                            .flags = flags,
                                            .id = id,
                                            .size = size } };
}

/* Returns a slot with extra info about segmentation. */
static union netif_slot
gso(uint8_t type, uint16_t size, uint8_t flags)
{
    union netif_slot slot = { .words = { 0 } };

    slot.extra.type = XEN_NETIF_EXTRA_TYPE_GSO;
    slot.extra.flags = flags;
    slot.extra.u.gso.type = type;
    slot.extra.u.gso.size = size;
    return slot;
}

/* Returns a slot with extra info of 'type'. */
static union netif_slot
extra(uint8_t type, uint8_t flags)
{
    union netif_slot slot = { .words = { 0 } };

    slot.extra.type = type;
    slot.extra.flags = flags;
    return slot;
}

/* Adds the 'n' 'slots' to a new frame.  All but the last must leave it
 * unfinished.  Returns what becomes of it with the last. */
static enum netif_verdict
add(const union netif_slot *slots, size_t n)
{
    netif_frame_begin(&frame);
    for (size_t i = 0; i + 1 < n; i++) {
        assert_int_equal(netif_frame_add(&frame, &slots[i]), NETIF_MORE);
    }
    return netif_frame_add(&frame, &slots[n - 1]);
}
#define ADD(...)                                                              \
    add((union netif_slot[]){ __VA_ARGS__ },                                  \
        sizeof((union netif_slot[]){ __VA_ARGS__ })                           \
            / sizeof(union netif_slot))

/* Checks that the last frame was not taken, for a reason that says 'why'. */
static void
check_why(const char *why)
{
    assert_non_null(frame.why);
    assert_non_null(strstr(frame.why, why));
}

static void
one_request_is_a_frame(void **state)
{
    (void) state;
    assert_int_equal(ADD(request(100, 60, 0)), NETIF_COMPLETE);
    assert_int_equal(frame.length, 60);
    assert_int_equal(frame.n_pieces, 1);
    assert_int_equal(frame.pieces[0].offset, 100);
    assert_int_equal(frame.pieces[0].length, 60);
    assert_int_equal(frame.pieces[0].reference, 1000 + frame.pieces[0].id);
    assert_int_equal(frame.gso_type, XEN_NETIF_GSO_TYPE_NONE);
    assert_false(frame.csum_blank);
    assert_null(frame.why);
}

static void
the_first_request_has_what_the_others_leave(void **state)
{
    (void) state;
    assert_int_equal(ADD(request(4000, 1514, MORE | NETTXF_csum_blank),
                         request(0, 1000, MORE), request(96, 460, 0)),
                     NETIF_COMPLETE);
    assert_int_equal(frame.length, 1514);
    assert_int_equal(frame.n_pieces, 3);
    assert_int_equal(frame.pieces[0].length, 54);
    assert_int_equal(frame.pieces[1].length, 1000);
    assert_int_equal(frame.pieces[2].length, 460);
    assert_true(frame.csum_blank);
}

static void
extra_info_stands_after_the_first_request(void **state)
{
    (void) state;
    assert_int_equal(ADD(request(0, 6000, MORE | EXTRA | NETTXF_csum_blank),
                         gso(XEN_NETIF_GSO_TYPE_TCPV6, 1440, 0),
                         request(0, 4096, 0)),
                     NETIF_COMPLETE);
    assert_int_equal(frame.gso_type, XEN_NETIF_GSO_TYPE_TCPV6);
    assert_int_equal(frame.pieces[0].length, 6000 - 4096);
    assert_int_equal(
        ADD(request(0, 60, EXTRA),
            extra(XEN_NETIF_EXTRA_TYPE_HASH, XEN_NETIF_EXTRA_FLAG_MORE),
            gso(XEN_NETIF_GSO_TYPE_TCPV4, 1460, 0)),
        NETIF_COMPLETE);
    assert_int_equal(frame.gso_type, XEN_NETIF_GSO_TYPE_TCPV4);
}

static void
each_slot_is_answered(void **state)
{
    struct netif_tx_response responses[NETIF_MAX_SLOTS];

    (void) state;
    ADD(request(0, 6000, MORE | EXTRA), gso(XEN_NETIF_GSO_TYPE_TCPV4, 9, 0),
        request(0, 4096, MORE), request(0, 0, 0));
    assert_int_equal(netif_frame_respond(&frame, NETIF_RSP_ERROR, responses),
                     4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(responses[i].status,
                         i == 1 ? NETIF_RSP_NULL : NETIF_RSP_ERROR);
        if (i != 1) {
            assert_int_equal(responses[i].id, frame.pieces[i ? i - 1 : 0].id);
        }
    }
}

static void
a_frame_has_at_most_18_requests(void **state)
{
    union netif_slot slots[NETIF_MAX_PIECES + 1];

    (void) state;
    slots[0] = request(0, 65535, MORE);
    for (int i = 1; i <= NETIF_MAX_PIECES; i++) {
        slots[i] = request(0, i < 16 ? 4096 : 0, MORE);
    }
    slots[NETIF_MAX_PIECES - 1].request.flags = 0;
    assert_int_equal(add(slots, NETIF_MAX_PIECES), NETIF_COMPLETE);
    assert_int_equal(frame.pieces[0].length, 4095);

    slots[NETIF_MAX_PIECES - 1].request.flags = MORE;
    slots[NETIF_MAX_PIECES].request.flags = 0;
    assert_int_equal(add(slots, NETIF_MAX_PIECES + 1), NETIF_BROKEN);
    check_why("too many");
}

static void
no_piece_goes_beyond_its_page(void **state)
{
    (void) state;
    assert_int_equal(ADD(request(4096 - 60, 60, 0)), NETIF_COMPLETE);
    assert_int_equal(ADD(request(4096 - 59, 60, 0)), NETIF_BROKEN);
    check_why("beyond its page");
    assert_int_equal(ADD(request(65535, 65535, 0)), NETIF_BROKEN);
    assert_int_equal(ADD(request(0, 8000, 0)), NETIF_BROKEN);
    assert_int_equal(ADD(request(0, 100, MORE), request(4095, 1, 0)),
                     NETIF_COMPLETE);
    assert_int_equal(ADD(request(0, 100, MORE), request(4095, 2, 0)),
                     NETIF_BROKEN);
    assert_int_equal(ADD(request(0, 100, MORE), request(65535, 65535, 0)),
                     NETIF_BROKEN);
    check_why("beyond its page");
}

static void
pieces_longer_than_their_frame_are_refused(void **state)
{
    (void) state;
    assert_int_equal(ADD(request(0, 100, MORE), request(0, 100, 0)),
                     NETIF_COMPLETE);
    assert_int_equal(frame.pieces[0].length, 0);
    assert_int_equal(ADD(request(0, 100, MORE), request(0, 101, 0)),
                     NETIF_REFUSED);
    check_why("longer than their frame");
    assert_int_equal(ADD(request(0, 100, MORE), request(0, 60, MORE),
                         request(0, 60, MORE), request(0, 40, 0)),
                     NETIF_REFUSED);
}

static void
runts_are_refused(void **state)
{
    (void) state;
    assert_int_equal(ADD(request(0, 14, 0)), NETIF_COMPLETE);
    assert_int_equal(ADD(request(0, 13, 0)), NETIF_REFUSED);
    check_why("shorter");
    assert_int_equal(ADD(request(0, 0, MORE), request(0, 0, 0)),
                     NETIF_REFUSED);
}

static void
extra_info_is_of_a_known_type_once(void **state)
{
    (void) state;
    for (int type = 0; type <= UINT8_MAX; type++) {
        enum netif_verdict v = ADD(request(0, 60, EXTRA), extra(type, 0));

        switch (type) {
        case XEN_NETIF_EXTRA_TYPE_GSO:
            assert_int_equal(v, NETIF_BROKEN);
            check_why("segmentation");
            break;
        case XEN_NETIF_EXTRA_TYPE_MCAST_ADD:
        case XEN_NETIF_EXTRA_TYPE_MCAST_DEL:
            assert_int_equal(v, NETIF_REFUSED);
            check_why("multicast");
            break;
        case XEN_NETIF_EXTRA_TYPE_HASH:
            assert_int_equal(v, NETIF_COMPLETE);
            break;
        default:
            assert_int_equal(v, NETIF_BROKEN);
            check_why("type that there is not");
            break;
        }
    }
    assert_int_equal(
        ADD(request(0, 60, EXTRA),
            extra(XEN_NETIF_EXTRA_TYPE_HASH, XEN_NETIF_EXTRA_FLAG_MORE),
            extra(XEN_NETIF_EXTRA_TYPE_HASH, 0)),
        NETIF_BROKEN);
    check_why("twice");
}

static void
segmentation_has_a_type_and_a_size(void **state)
{
    (void) state;
    for (int type = 0; type <= UINT8_MAX; type++) {
        bool ok = type == XEN_NETIF_GSO_TYPE_TCPV4
                  || type == XEN_NETIF_GSO_TYPE_TCPV6;

        assert_int_equal(ADD(request(0, 60, EXTRA), gso(type, 1, 0)),
                         ok ? NETIF_COMPLETE : NETIF_BROKEN);
    }
    assert_int_equal(
        ADD(request(0, 60, EXTRA), gso(XEN_NETIF_GSO_TYPE_TCPV4, 0, 0)),
        NETIF_BROKEN);
    check_why("no bytes");
}

static void
a_frame_leaves_nothing_to_the_next(void **state)
{
    (void) state;
    ADD(request(0, 13, MORE | EXTRA | NETTXF_csum_blank),
        gso(XEN_NETIF_GSO_TYPE_TCPV4, 1, XEN_NETIF_EXTRA_FLAG_MORE),
        extra(XEN_NETIF_EXTRA_TYPE_HASH, 0), request(5000, 1, 0));
    one_request_is_a_frame(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_is_a_frame),
        cmocka_unit_test(the_first_request_has_what_the_others_leave),
        cmocka_unit_test(extra_info_stands_after_the_first_request),
        cmocka_unit_test(each_slot_is_answered),
        cmocka_unit_test(a_frame_has_at_most_18_requests),
        cmocka_unit_test(no_piece_goes_beyond_its_page),
        cmocka_unit_test(pieces_longer_than_their_frame_are_refused),
        cmocka_unit_test(runts_are_refused),
        cmocka_unit_test(extra_info_is_of_a_known_type_once),
        cmocka_unit_test(segmentation_has_a_type_and_a_size),
        cmocka_unit_test(a_frame_leaves_nothing_to_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
