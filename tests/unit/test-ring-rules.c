/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of common/ring.h with a peer that breaks the rules: each wrong length,
 * flag and count is found, and nothing heals a ring that it broke.
 */
#define _GNU_SOURCE

#include "ring-check.h"

/* Offers 'entry' as the only record of a fresh ring with 'allowed' flags.
 * Returns what the reader calls it. */
static enum doms_ring_broken
offer(struct ring *ring, uint32_t entry, uint32_t allowed)
{
    struct doms_record rec = { .length = 4711 };
    bool taken;

    ring_reset(ring, allowed);
    ring->entries[0] = entry;
    *ring->head = 1;
    assert_int_equal(doms_ring_poll(&ring->r, 1), 1);
    taken = doms_ring_peek(&ring->r, &rec);
    assert_int_equal(taken, !ring->r.broken);
    if (taken) {
        assert_int_equal(rec.length, entry & 0xffff);
        assert_int_equal(rec.flags, entry >> 16);
    } else {
        assert_int_equal(rec.length, 4711);
        assert_int_equal(doms_ring_poll(&ring->r, 1), 0);
    }
    return ring->r.broken;
}

static void
every_length_is_taken_only_if_a_frame_can_have_it(void **state)
{
    struct ring *ring = *state;

    for (uint32_t length = 0; length <= 0xffff; length++) {
        bool ok = length >= 14 && length <= 61440;

        if (offer(ring, length, DOMS_RECORD_OFFLOAD)
            != (ok ? DOMS_RING_OK : DOMS_RING_BAD_LENGTH)) {
            fail_msg("length %u", length);
        }
    }
}

static void
every_length_with_offload_fields_likewise(void **state)
{
    struct ring *ring = *state;

    for (uint32_t length = 0; length <= 0xffff; length++) {
        bool ok = length >= 14 + 16 && length <= 61440 + 16;

        if (offer(ring, length | DOMS_RECORD_OFFLOAD << 16,
                  DOMS_RECORD_OFFLOAD)
            != (ok ? DOMS_RING_OK : DOMS_RING_BAD_LENGTH)) {
            fail_msg("length %u", length);
        }
    }
}

static void
every_flag_is_taken_only_if_it_was_agreed_to(void **state)
{
    struct ring *ring = *state;

    for (uint32_t flags = 1; flags <= 0xffff; flags++) {
        if (offer(ring, 100 | flags << 16, 0) != DOMS_RING_BAD_FLAGS
            || offer(ring, 100 | flags << 16, DOMS_RECORD_OFFLOAD)
                   != (flags == DOMS_RECORD_OFFLOAD ? DOMS_RING_OK
                                                    : DOMS_RING_BAD_FLAGS)) {
            fail_msg("flags %#x", flags);
        }
    }
}

static void
what_changes_after_the_peek_changes_nothing_that_was_found(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    put(ring, 100, 1);
    assert_int_equal(doms_ring_poll(&ring->r, 1), 1);
    assert_true(doms_ring_peek(&ring->r, &rec));
    ring->entries[0] = 60000;
    assert_int_equal(rec.length, 100);
    put(ring, 100, 2);
    assert_int_equal(take(ring, 100, 2), 112);
}

static void
head_may_lead_by_the_whole_ring_and_no_further(void **state)
{
    struct ring *ring = *state;

    for (int around = -2000; around <= 2000; around += 500) {
        uint32_t start = around;

        ring_reset(ring, 0);
        ring_age(ring, start, 0);
        *ring->head = start + ring->n_lengths;
        assert_int_equal(doms_ring_poll(&ring->r, UINT32_MAX),
                         ring->n_lengths);
        assert_int_equal(ring->r.broken, DOMS_RING_OK);

        ring_reset(ring, 0);
        ring_age(ring, start, 0);
        *ring->head = start + ring->n_lengths + 1;
        assert_int_equal(doms_ring_poll(&ring->r, UINT32_MAX), 0);
        assert_int_equal(ring->r.broken, DOMS_RING_BAD_HEAD);
    }
}

static void
head_must_not_go_back(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    /* To before what the reader has seen but not taken. */
    for (int i = 0; i < 5; i++) {
        put(ring, 14, i);
    }
    assert_int_equal(doms_ring_poll(&ring->r, 32), 5);
    assert_true(doms_ring_peek(&ring->r, &rec));
    *ring->head = 4;
    assert_int_equal(doms_ring_poll(&ring->r, 32), 0);
    assert_int_equal(ring->r.broken, DOMS_RING_BAD_HEAD);
    assert_false(doms_ring_peek(&ring->r, &rec));

    /* To before what the reader has taken. */
    ring_reset(ring, 0);
    put(ring, 14, 0);
    take(ring, 14, 0);
    *ring->head = 0;
    assert_int_equal(doms_ring_poll(&ring->r, 32), 0);
    assert_int_equal(ring->r.broken, DOMS_RING_BAD_HEAD);
}

static void
tail_must_not_pass_what_is_published(void **state)
{
    struct ring *ring = *state;

    for (int around = -2000; around <= 2000; around += 500) {
        uint32_t start = around;

        ring_reset(ring, 0);
        ring_age(ring, start, 0);
        put(ring, 14, 0);
        /* Committed, but the reader cannot know of it. */
        assert_true(doms_ring_write(&ring->w, buf, 14, 0));
        *ring->tail = start + 1;
        assert_true(doms_ring_writer_is_drained(&ring->w));
        *ring->tail = start + 2;
        assert_false(doms_ring_writer_is_drained(&ring->w));
        assert_int_equal(ring->w.broken, DOMS_RING_BAD_TAIL);
    }
}

static void
tail_must_not_go_back(void **state)
{
    struct ring *ring = *state;

    for (int i = 0; i < 128; i++) {
        put(ring, 1024, i);
    }
    take(ring, 1024, 0);
    take(ring, 1024, 1);
    put(ring, 1024, 0);
    put(ring, 1024, 1);
    *ring->tail = 1;
    assert_null(doms_ring_reserve(&ring->w, 14));
    assert_int_equal(ring->w.broken, DOMS_RING_BAD_TAIL);
}

/* Makes both ends of 'ring' stumble over 'head', 'tail' and 'entry', mends the
 * shared words, and checks that neither end does anything from then on. */
static void
check_stays_broken(struct ring *ring, uint32_t head, uint32_t tail,
                   uint32_t entry)
{
    static uint8_t before[MIN_ARENA];
    struct doms_record rec;
    uint32_t w_ends[2];

    for (int i = 0; i < 128; i++) {
        put(ring, 1024, i);
    }
    ring->entries[0] = entry;
    *ring->head = head;
    *ring->tail = tail;
    assert_null(doms_ring_reserve(&ring->w, 14));
    doms_ring_poll(&ring->r, 32);
    assert_false(doms_ring_peek(&ring->r, &rec));

    ring->entries[0] = 1024;
    w_ends[0] = *ring->head = 128;
    w_ends[1] = *ring->tail = 0;
    memcpy(before, ring->arena.ro, sizeof before);
    for (int i = 0; i < 3; i++) {
        if (ring->w.broken) {
            /* Even with room, were the peer believed again. */
            *ring->tail = w_ends[1] = 128;
            assert_null(doms_ring_reserve(&ring->w, 14));
            assert_false(doms_ring_write(&ring->w, buf, 14, 0));
            assert_false(doms_ring_publish(&ring->w));
            assert_false(doms_ring_writer_is_drained(&ring->w));
        }
        if (ring->r.broken) {
            assert_int_equal(doms_ring_poll(&ring->r, 32), 0);
            assert_false(doms_ring_peek(&ring->r, &rec));
            assert_int_equal(doms_ring_read(&ring->r, buf, sizeof buf, &rec),
                             EPROTO);
            assert_false(doms_ring_release(&ring->r));
        }
    }
    assert_int_equal(*ring->head, w_ends[0]);
    assert_int_equal(*ring->tail, w_ends[1]);
    assert_int_equal(ring->entries[0], 1024);
    assert_memory_equal(before, ring->arena.ro, sizeof before);
}

static void
broken_ring_stays_broken_and_touches_nothing(void **state)
{
    struct ring *ring = *state;

    check_stays_broken(ring, 128, 129, 13);
    assert_int_equal(ring->w.broken, DOMS_RING_BAD_TAIL);
    assert_int_equal(ring->r.broken, DOMS_RING_BAD_LENGTH);
    ring_reset(ring, 0);
    check_stays_broken(ring, 5000, -1, 1024);
    assert_int_equal(ring->w.broken, DOMS_RING_BAD_TAIL);
    assert_int_equal(ring->r.broken, DOMS_RING_BAD_HEAD);
    ring_reset(ring, 0);
    check_stays_broken(ring, 128, -1, 1024 | 2 << 16);
    assert_int_equal(ring->r.broken, DOMS_RING_BAD_FLAGS);
}

static void
every_way_to_break_a_ring_has_a_name_of_its_own(void **state)
{
    (void) state;
    for (int i = DOMS_RING_OK; i <= DOMS_RING_BAD_REQUEST; i++) {
        for (int j = i + 1; j <= DOMS_RING_BAD_REQUEST + 1; j++) {
            assert_string_not_equal(doms_ring_broken_to_string(i),
                                    doms_ring_broken_to_string(j));
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(every_length_is_taken_only_if_a_frame_can_have_it),
        RING_TEST(every_length_with_offload_fields_likewise),
        RING_TEST(every_flag_is_taken_only_if_it_was_agreed_to),
        RING_TEST(what_changes_after_the_peek_changes_nothing_that_was_found),
        RING_TEST(head_may_lead_by_the_whole_ring_and_no_further),
        RING_TEST(head_must_not_go_back),
        RING_TEST(tail_must_not_pass_what_is_published),
        RING_TEST(tail_must_not_go_back),
        RING_TEST(broken_ring_stays_broken_and_touches_nothing),
        cmocka_unit_test(every_way_to_break_a_ring_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests_name("ring-rules", tests, NULL, NULL);
}
