/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cmocka tests of common/ring.h have in common: a ring, and checked
 * writes and reads of one record.
 *
 * The helpers fail the running test when a check does not hold.
 *
 * Thread-safety: one thread only.
 */

#ifndef TESTS_UNIT_RING_CHECK_H
#define TESTS_UNIT_RING_CHECK_H 1

#include "ring-fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIN_ARENA DOMS_ARENA_MIN

/* A test that gets a ring. */
#define RING_TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

/* What put() sends, and room for the longest record. */
static uint8_t buf[DOMS_LENGTH_MASK + 1];

/* cmocka's setup and teardown: '*state' is a fresh ring with the smallest
 * arena, whose ends agreed to offload fields. */
static inline int
setup(void **state)
{
    static struct ring ring;

    ring_init(&ring, MIN_ARENA, DOMS_RECORD_OFFLOAD);
    *state = &ring;
    return 0;
}

static inline int
teardown(void **state)
{
    ring_destroy(*state);
    return 0;
}

/* Writes and publishes a record of 'length' bytes, each 'fill'. */
static inline void
put(struct ring *ring, uint32_t length, uint8_t fill)
{
    memset(buf, fill, length);
    assert_true(doms_ring_write(&ring->w, buf, length, 0));
    assert_true(doms_ring_publish(&ring->w));
}

/* Takes a record, which must have 'length' bytes, each 'fill', out and gives
 * its room back.  Returns its offset in the arena. */
static inline size_t
take(struct ring *ring, uint32_t length, uint8_t fill)
{
    struct doms_record rec = { 0 };

    assert_int_equal(doms_ring_poll(&ring->r, 1), 1);
    assert_true(doms_ring_peek(&ring->r, &rec));
    assert_int_equal(rec.length, length);
    for (uint32_t i = 0; i < length; i++) {
        if (rec.data[i] != fill) {
            fail_msg("byte %u of %u is %u, not %u", i, length, rec.data[i],
                     fill);
        }
    }
    assert_true(doms_ring_release(&ring->r));
    return rec.data - ring->arena.ro;
}

/* Fails unless 'ring' is as empty as a fresh one and its reader and writer
 * agree on where they are. */
static inline void
assert_drained(struct ring *ring)
{
    assert_int_equal(doms_ring_poll(&ring->r, 1), 0);
    assert_true(doms_ring_writer_is_drained(&ring->w));
    assert_int_equal(ring->w.pos, ring->r.pos);
    assert_int_equal(ring->r.broken, DOMS_RING_OK);
}

#endif /* tests/unit/ring-check.h */
