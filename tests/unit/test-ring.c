/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of common/ring.h with both ends by the rules, played by one thread.
 *
 * test-ring-rules.c has peers that break the rules, test-ring-model.c random
 * operations, ring-stress.c two threads, and ring-hostile.c a peer that
 * rewrites everything at any time.
 */
#define _GNU_SOURCE

#include "ring-check.h"

/* The place rule. */

static void
records_lie_back_to_back_on_16_byte_boundaries(void **state)
{
    struct ring *ring = *state;
    size_t ofs = 0;

    for (uint32_t length = 14; length < 300; length++) {
        put(ring, length, length);
        assert_int_equal(take(ring, length, length), ofs);
        ofs += (length + 15) / 16 * 16;
    }
    assert_drained(ring);
}

static void
record_that_ends_at_the_arena_end_stays_before_it(void **state)
{
    struct ring *ring = *state;

    for (uint32_t room = 16; room <= DOMS_FRAME_MAX; room += 16) {
        uint32_t length = room - room % 3;

        if (length < DOMS_FRAME_MIN) {
            continue;
        }
        ring_reset(ring, 0);
        ring_age(ring, 7, MIN_ARENA - room);
        put(ring, length, room);
        assert_int_equal(take(ring, length, room), MIN_ARENA - room);
    }
}

static void
record_that_would_cross_the_arena_end_starts_at_zero(void **state)
{
    struct ring *ring = *state;

    for (uint32_t room = 16; room < DOMS_FRAME_MAX; room += 16) {
        ring_reset(ring, 0);
        ring_age(ring, 7, MIN_ARENA - room);
        put(ring, room + 1, room);
        assert_int_equal(take(ring, room + 1, room), 0);
        /* The one after it follows it. */
        put(ring, 14, 1);
        assert_int_equal(take(ring, 14, 1), room + 16);
    }
}

static void
many_laps_of_odd_lengths_keep_both_ends_together(void **state)
{
    struct ring *ring = *state;

    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t length = 14 + i * 7919 % 3000;

        put(ring, length, i);
        take(ring, length, i);
    }
    assert_drained(ring);
}

static void
jumbo_and_longest_frames_pass(void **state)
{
    struct ring *ring = *state;
    static const uint32_t lengths[] = { 9018, 9216 + 18, DOMS_FRAME_MAX };

    for (int lap = 0; lap < 100; lap++) {
        put(ring, lengths[lap % 3], lap);
        take(ring, lengths[lap % 3], lap);
    }
    assert_drained(ring);
}

static void
longest_record_with_offload_fields_passes(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    for (int lap = 0; lap < 10; lap++) {
        memset(buf, lap, sizeof buf);
        assert_true(
            doms_ring_write(&ring->w, buf, 61440 + 16, DOMS_RECORD_OFFLOAD));
        assert_true(doms_ring_publish(&ring->w));
        assert_int_equal(doms_ring_poll(&ring->r, 2), 1);
        assert_true(doms_ring_peek(&ring->r, &rec));
        assert_int_equal(rec.length, 61456);
        assert_int_equal(rec.flags, DOMS_RECORD_OFFLOAD);
        assert_memory_equal(rec.data, buf, 61456);
        assert_true(doms_ring_release(&ring->r));
    }
}

static void
empty_ring_has_room_for_the_longest_record_wherever_it_stands(void **state)
{
    struct ring *ring = *state;

    for (uint32_t pos = 0; pos < MIN_ARENA; pos += 16) {
        uint8_t *place;

        ring_reset(ring, 0);
        ring_age(ring, 0, pos);
        place = doms_ring_reserve(&ring->w, DOMS_LENGTH_MASK);
        assert_non_null(place);
        assert_true(place >= ring->arena.rw);
        assert_true(place + DOMS_LENGTH_MASK <= ring->arena.rw + MIN_ARENA);
    }
}

static void
an_entry_holds_length_below_and_flags_above(void **state)
{
    struct ring *ring = *state;

    put(ring, 0x1234, 1);
    assert_true(doms_ring_write(&ring->w, buf, 30, DOMS_RECORD_OFFLOAD));
    assert_int_equal(ring->entries[0], 0x1234);
    assert_int_equal(ring->entries[1], 30 | 1 << 16);
}

/* Full. */

static void
ring_is_full_when_every_length_entry_is_used(void **state)
{
    struct ring *ring = *state;

    for (uint32_t i = 0; i < ring->n_lengths; i++) {
        put(ring, 14, i);
    }
    assert_null(doms_ring_reserve(&ring->w, 14));
    assert_false(doms_ring_write(&ring->w, buf, 14, 0));
    assert_int_equal(doms_ring_poll(&ring->r, UINT32_MAX), ring->n_lengths);

    /* One taken makes room for one, and no more. */
    take(ring, 14, 0);
    put(ring, 14, 77);
    assert_null(doms_ring_reserve(&ring->w, 14));
    for (uint32_t i = 1; i < ring->n_lengths; i++) {
        take(ring, 14, i);
    }
    take(ring, 14, 77);
    assert_drained(ring);
}

static void
ring_is_full_when_every_byte_is_used(void **state)
{
    struct ring *ring = *state;

    for (int i = 0; i < 128; i++) {
        put(ring, 1024, i);
    }
    assert_null(doms_ring_reserve(&ring->w, 14));
    take(ring, 1024, 0);
    assert_null(doms_ring_reserve(&ring->w, 1025));
    put(ring, 1024, 200);
    assert_null(doms_ring_reserve(&ring->w, 14));
    for (int i = 1; i < 128; i++) {
        take(ring, 1024, i);
    }
    take(ring, 1024, 200);
    assert_drained(ring);
}

static void
bytes_skipped_at_the_arena_end_count_as_used(void **state)
{
    struct ring *ring = *state;

    put(ring, 61440, 1);
    put(ring, 61440, 2);
    /* 8 KiB are left at the end.  More does not fit there, and at 0 lies what
     * is not taken yet. */
    assert_null(doms_ring_reserve(&ring->w, 8193));
    take(ring, 61440, 1);
    /* At 0 are 60 KiB now, and not a byte more. */
    assert_null(doms_ring_reserve(&ring->w, 61441));
    put(ring, 61440, 3);
    assert_null(doms_ring_reserve(&ring->w, 14));
    take(ring, 61440, 2);
    assert_int_equal(take(ring, 61440, 3), 0);
    assert_drained(ring);
}

static void
room_comes_back_with_the_release_and_not_before(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    for (int i = 0; i < 128; i++) {
        put(ring, 1024, i);
    }
    assert_int_equal(doms_ring_poll(&ring->r, 64), 64);
    for (int i = 0; i < 64; i++) {
        assert_true(doms_ring_peek(&ring->r, &rec));
    }
    assert_null(doms_ring_reserve(&ring->w, 14));
    assert_int_equal(*ring->tail, 0);
    assert_true(doms_ring_release(&ring->r));
    assert_false(doms_ring_release(&ring->r));
    assert_int_equal(*ring->tail, 64);
    for (int i = 0; i < 64; i++) {
        put(ring, 1024, i);
    }
    assert_null(doms_ring_reserve(&ring->w, 14));
}

static void
drained_means_all_that_was_published_is_released(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    assert_true(doms_ring_writer_is_drained(&ring->w));
    put(ring, 14, 1);
    assert_false(doms_ring_writer_is_drained(&ring->w));
    assert_int_equal(doms_ring_poll(&ring->r, 1), 1);
    assert_true(doms_ring_peek(&ring->r, &rec));
    assert_false(doms_ring_writer_is_drained(&ring->w));
    assert_true(doms_ring_release(&ring->r));
    assert_true(doms_ring_writer_is_drained(&ring->w));
    *ring->tail = 2;
    assert_false(doms_ring_writer_is_drained(&ring->w));
    assert_int_equal(ring->w.broken, DOMS_RING_BAD_TAIL);
}

/* Reserve, commit, publish. */

static void
nothing_is_visible_before_publish(void **state)
{
    struct ring *ring = *state;

    assert_false(doms_ring_publish(&ring->w));
    assert_non_null(doms_ring_reserve(&ring->w, 100));
    assert_int_equal(*ring->head, 0);
    doms_ring_commit(&ring->w, 100, 0);
    assert_true(doms_ring_write(&ring->w, buf, 14, 0));
    assert_int_equal(*ring->head, 0);
    assert_int_equal(doms_ring_poll(&ring->r, 1), 0);
    assert_true(doms_ring_publish(&ring->w));
    assert_false(doms_ring_publish(&ring->w));
    assert_int_equal(*ring->head, 2);
    assert_int_equal(doms_ring_poll(&ring->r, 32), 2);
}

static void
a_reservation_alone_is_no_record(void **state)
{
    struct ring *ring = *state;

    assert_non_null(doms_ring_reserve(&ring->w, 100));
    assert_false(doms_ring_publish(&ring->w));
    assert_int_equal(doms_ring_poll(&ring->r, 1), 0);
}

static void
record_may_become_shorter_than_reserved(void **state)
{
    struct ring *ring = *state;
    uint8_t *place = doms_ring_reserve(&ring->w, DOMS_FRAME_MAX);

    memset(place, 5, 100);
    doms_ring_commit(&ring->w, 100, 0);
    assert_true(doms_ring_publish(&ring->w));
    put(ring, 50, 6);
    assert_int_equal(take(ring, 100, 5), 0);
    /* What was not used is not lost. */
    assert_int_equal(take(ring, 50, 6), 112);
    assert_drained(ring);
}

static void
record_that_shrinks_at_the_arena_end_moves_before_it(void **state)
{
    struct ring *ring = *state;

    for (uint32_t room = 16; room < DOMS_FRAME_MAX; room += 48) {
        uint32_t length = room - room % 2 < 14 ? 14 : room - room % 2;
        uint8_t *place;

        ring_reset(ring, 0);
        ring_age(ring, 1, MIN_ARENA - room);
        place = doms_ring_reserve(&ring->w, DOMS_FRAME_MAX);
        assert_ptr_equal(place, ring->arena.rw);
        memset(place, room / 16, length);
        doms_ring_commit(&ring->w, length, 0);
        assert_true(doms_ring_publish(&ring->w));
        memset(ring->arena.rw, 0xee, MIN_ARENA - room);
        assert_int_equal(take(ring, length, room / 16), MIN_ARENA - room);
        assert_drained(ring);
    }
}

static void
record_that_shrinks_but_still_crosses_the_end_stays_at_zero(void **state)
{
    struct ring *ring = *state;
    uint8_t *place;

    ring_age(ring, 1, MIN_ARENA - 1024);
    place = doms_ring_reserve(&ring->w, DOMS_FRAME_MAX);
    memset(place, 9, 1025);
    doms_ring_commit(&ring->w, 1025, 0);
    assert_true(doms_ring_publish(&ring->w));
    assert_int_equal(take(ring, 1025, 9), 0);
    assert_drained(ring);
}

static void
second_reservation_replaces_the_first(void **state)
{
    struct ring *ring = *state;
    uint8_t *place;

    ring_age(ring, 1, MIN_ARENA - 1024);
    assert_ptr_equal(doms_ring_reserve(&ring->w, 2000), ring->arena.rw);
    place = doms_ring_reserve(&ring->w, 1000);
    assert_ptr_equal(place, ring->arena.rw + MIN_ARENA - 1024);
    memset(place, 3, 1000);
    doms_ring_commit(&ring->w, 1000, 0);
    assert_true(doms_ring_publish(&ring->w));
    assert_int_equal(take(ring, 1000, 3), MIN_ARENA - 1024);
    assert_drained(ring);
}

/* Reading. */

static void
poll_returns_at_most_what_was_asked_for(void **state)
{
    struct ring *ring = *state;

    for (int i = 0; i < 5; i++) {
        put(ring, 14, i);
    }
    assert_int_equal(doms_ring_poll(&ring->r, 0), 0);
    assert_int_equal(doms_ring_poll(&ring->r, 3), 3);
    assert_int_equal(doms_ring_poll(&ring->r, 5), 5);
    assert_int_equal(doms_ring_poll(&ring->r, 32), 5);
}

static void
peek_ends_where_poll_saw_the_end(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    put(ring, 14, 0);
    assert_false(doms_ring_peek(&ring->r, &rec));
    assert_int_equal(doms_ring_poll(&ring->r, 32), 1);
    put(ring, 14, 1);
    assert_true(doms_ring_peek(&ring->r, &rec));
    assert_false(doms_ring_peek(&ring->r, &rec));
    assert_int_equal(doms_ring_poll(&ring->r, 32), 1);
    assert_true(doms_ring_peek(&ring->r, &rec));
}

static void
read_copies_a_record_or_says_why_not(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;
    uint8_t small[64];

    assert_int_equal(doms_ring_read(&ring->r, small, 64, &rec), EAGAIN);
    put(ring, 64, 7);
    assert_int_equal(doms_ring_read(&ring->r, small, 64, &rec), 0);
    assert_ptr_equal(rec.data, small);
    assert_int_equal(rec.length, 64);
    assert_int_equal(rec.flags, 0);
    assert_memory_equal(small, buf, 64);
    assert_int_equal(doms_ring_read(&ring->r, small, 64, &rec), EAGAIN);
    assert_true(doms_ring_release(&ring->r));

    *ring->head = 0;
    assert_int_equal(doms_ring_read(&ring->r, small, 64, &rec), EPROTO);
}

static void
too_long_a_record_is_taken_and_spares_the_buffer(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;
    uint8_t small[64];

    memset(small, 0xaa, sizeof small);
    put(ring, 64, 1);
    put(ring, 63, 2);
    assert_int_equal(doms_ring_read(&ring->r, small, 63, &rec), EMSGSIZE);
    assert_int_equal(rec.length, 64);
    for (size_t i = 0; i < sizeof small; i++) {
        assert_int_equal(small[i], 0xaa);
    }
    assert_int_equal(doms_ring_read(&ring->r, small, 63, &rec), 0);
    assert_int_equal(rec.length, 63);
    assert_int_equal(small[62], 2);
    assert_int_equal(small[63], 0xaa);
}

/* Numbers that wrap around, sizes, names. */

static void
counts_and_positions_overflow_without_notice(void **state)
{
    struct ring *ring = *state;
    struct prng prng;

    for (uint32_t lap = 0; lap < 64; lap++) {
        uint32_t lengths[32];

        prng_seed(&prng, lap);
        ring_reset(ring, 0);
        ring_age(ring, -prng_range(&prng, 0, 2000),
                 -16 * prng_range(&prng, 0, 16384));
        for (int burst = 0; burst < 100; burst++) {
            for (int i = 0; i < 32; i++) {
                lengths[i] = prng_range(&prng, 14, 3000);
                put(ring, lengths[i], i);
            }
            for (int i = 0; i < 32; i++) {
                take(ring, lengths[i], i);
            }
        }
        assert_drained(ring);
        assert_true(ring->w.head < 100 * 32);
        assert_true(ring->w.pos < 1u << 31);
    }
}

static void
full_by_lengths_holds_across_the_overflow_of_counts(void **state)
{
    struct ring *ring = *state;

    ring_age(ring, UINT32_MAX - 500, 0);
    ring_is_full_when_every_length_entry_is_used(state);
}

static void
full_by_bytes_holds_across_the_overflow_of_positions(void **state)
{
    struct ring *ring = *state;

    ring_age(ring, 0, -(MIN_ARENA / 2));
    ring_is_full_when_every_byte_is_used(state);
    ring_reset(ring, 0);
    ring_age(ring, 0, -MIN_ARENA);
    bytes_skipped_at_the_arena_end_count_as_used(state);
}

static void
every_arena_size_wraps_and_fills(void **state)
{
    (void) state;
    for (size_t i = 0; i < N_ARENA_SIZES; i++) {
        struct ring ring;
        uint32_t n = 0;

        ring_init(&ring, arena_sizes[i], 0);
        assert_true(ring.n_lengths >= 1024);
        assert_int_equal(ring.n_lengths & (ring.n_lengths - 1), 0);
        assert_true((uint64_t) ring.n_lengths * 512 >= arena_sizes[i]);
        /* The last record starts at 0 again. */
        ring_age(&ring, 0, 16 * 1024);
        for (; doms_ring_reserve(&ring.w, 16384); n++) {
            put(&ring, 16384, n);
        }
        assert_int_equal(n, arena_sizes[i] / 16384);
        for (uint32_t j = 0; j < n; j++) {
            take(&ring, 16384, j);
        }
        assert_drained(&ring);
        for (n = 0; doms_ring_reserve(&ring.w, 14); n++) {
            put(&ring, 14, n);
        }
        assert_int_equal(n, ring.n_lengths);
        ring_destroy(&ring);
    }
}

static void
arena_size_is_a_power_of_2_from_128_kib_to_4_mib(void **state)
{
    (void) state;
    assert_false(doms_ring_arena_size_is_valid(0));
    assert_false(doms_ring_arena_size_is_valid(UINT32_MAX));
    for (uint32_t size = 16; size; size <<= 1) {
        bool ok = size >= 131072 && size <= 4194304;

        assert_int_equal(doms_ring_arena_size_is_valid(size), ok);
        assert_false(doms_ring_arena_size_is_valid(size - 1));
        assert_false(doms_ring_arena_size_is_valid(size + 1));
        assert_false(doms_ring_arena_size_is_valid(size + size / 2));
    }
    assert_int_equal(doms_ring_n_lengths(128 * 1024), 1024);
    assert_int_equal(doms_ring_n_lengths(512 * 1024), 1024);
    assert_int_equal(doms_ring_n_lengths(4096 * 1024), 8192);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(records_lie_back_to_back_on_16_byte_boundaries),
        RING_TEST(record_that_ends_at_the_arena_end_stays_before_it),
        RING_TEST(record_that_would_cross_the_arena_end_starts_at_zero),
        RING_TEST(many_laps_of_odd_lengths_keep_both_ends_together),
        RING_TEST(jumbo_and_longest_frames_pass),
        RING_TEST(longest_record_with_offload_fields_passes),
        RING_TEST(
            empty_ring_has_room_for_the_longest_record_wherever_it_stands),
        RING_TEST(an_entry_holds_length_below_and_flags_above),
        RING_TEST(ring_is_full_when_every_length_entry_is_used),
        RING_TEST(ring_is_full_when_every_byte_is_used),
        RING_TEST(bytes_skipped_at_the_arena_end_count_as_used),
        RING_TEST(room_comes_back_with_the_release_and_not_before),
        RING_TEST(drained_means_all_that_was_published_is_released),
        RING_TEST(nothing_is_visible_before_publish),
        RING_TEST(a_reservation_alone_is_no_record),
        RING_TEST(record_may_become_shorter_than_reserved),
        RING_TEST(record_that_shrinks_at_the_arena_end_moves_before_it),
        RING_TEST(record_that_shrinks_but_still_crosses_the_end_stays_at_zero),
        RING_TEST(second_reservation_replaces_the_first),
        RING_TEST(poll_returns_at_most_what_was_asked_for),
        RING_TEST(peek_ends_where_poll_saw_the_end),
        RING_TEST(read_copies_a_record_or_says_why_not),
        RING_TEST(too_long_a_record_is_taken_and_spares_the_buffer),
        RING_TEST(counts_and_positions_overflow_without_notice),
        RING_TEST(full_by_lengths_holds_across_the_overflow_of_counts),
        RING_TEST(full_by_bytes_holds_across_the_overflow_of_positions),
        cmocka_unit_test(every_arena_size_wraps_and_fills),
        cmocka_unit_test(arena_size_is_a_power_of_2_from_128_kib_to_4_mib),
    };

    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
