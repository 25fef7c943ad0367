/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations of a writer and a reader, compared with a simple model.
 *
 * The model is a plain queue of records with 64-bit counts and positions and
 * none of the ring's code.  It foretells the result of each operation: whether
 * there is room, at which place a record lies, how many records a poll finds,
 * what a peek returns.
 *
 * Half of the runs have fixed seeds and half have new ones.  A failure prints
 * its seed; DOMS_TEST_SEED=N runs that one alone.
 */
#define _GNU_SOURCE

#include "ring-fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/random.h>

#include <cmocka.h>

#define N_SEEDS 12
#define N_STEPS 500000
#define MAX_RECORDS 8192

/* A record in the model. */
struct model_record {
    uint64_t start; /* Position of its first byte. */
    uint32_t length;
    uint32_t flags;
    uint8_t mark; /* Its first, middle and last byte. */
};

/* The model of a ring.  Records and positions are counted from 0 and never
 * wrap; record 'i' is 'records[i % MAX_RECORDS]'. */
struct model {
    uint64_t committed, published;  /* By the writer. */
    uint64_t seen, taken, released; /* By the reader. */
    uint64_t end;                   /* Position after the last record. */
    uint64_t released_end;          /* ... the last one released. */
    struct model_record records[MAX_RECORDS];

    uint64_t arena_size;
    uint64_t n_lengths;
    uint64_t seed;
    uint64_t step;
    uint64_t n_full; /* Reservations that found no room. */
};

static struct model m;
static struct ring ring;

#define CHECK(COND)                                                           \
    do {                                                                      \
        if (!(COND)) {                                                        \
            fail_msg("DOMS_TEST_SEED=%" PRIu64 " step %" PRIu64 ": "          \
                     "%s",                                                    \
                     m.seed, m.step, #COND);                                  \
        }                                                                     \
    } while (0)

static uint64_t
model_align(uint64_t x)
{
    return x % 16 ? x + 16 - x % 16 : x;
}

/* Returns where a record of 'length' bytes would start. */
static uint64_t
model_place(uint32_t length)
{
    uint64_t in_this_lap = m.end % m.arena_size;

    if (in_this_lap + length <= m.arena_size) {
        return m.end;
    }
    return m.end - in_this_lap + m.arena_size;
}

static bool
model_has_room(uint32_t length)
{
    uint64_t oldest_byte = m.released_end;

    return m.committed - m.released < m.n_lengths
           && model_align(model_place(length) + length) - oldest_byte
                  <= m.arena_size;
}

static void
mark_record(uint8_t *data, uint32_t length, uint8_t mark)
{
    data[0] = data[length / 2] = data[length - 1] = mark;
}

/* Makes a record, perhaps with more reserved than used. */
static void
step_write(struct prng *p)
{
    uint32_t flags = prng_next(p) % 4 ? 0 : DOMS_RECORD_OFFLOAD;
    uint32_t length = prng_frame_length(p) + 16 * flags;
    uint32_t reserved = prng_next(p) % 2
                            ? length
                            : prng_range(p, length, DOMS_LENGTH_MASK);
    bool room = model_has_room(reserved);
    uint64_t start = model_place(reserved);
    struct model_record *rec = &m.records[m.committed % MAX_RECORDS];
    uint8_t *place = doms_ring_reserve(&ring.w, reserved);

    CHECK(!place == !room);
    if (!place) {
        m.n_full++;
        return;
    }
    CHECK(place == ring.arena.rw + start % m.arena_size);
    if (prng_next(p) % 16 == 0) {
        /* Never committed. */
        return;
    }

    *rec = (struct model_record){ .start = model_place(length),
                                  .length = length,
                                  .flags = flags,
                                  .mark = prng_next(p) };
    mark_record(place, length, rec->mark);
    doms_ring_commit(&ring.w, length, flags);
    m.end = model_align(rec->start + length);
    m.committed++;
}

static void
step_publish(void)
{
    CHECK(doms_ring_publish(&ring.w) == (m.published != m.committed));
    m.published = m.committed;
}

static void
step_poll(struct prng *p)
{
    uint32_t max = prng_range(p, 0, prng_next(p) % 8 ? 40 : 10000);
    uint32_t n = doms_ring_poll(&ring.r, max);

    if (m.seen - m.taken < max) {
        m.seen = m.published;
    }
    CHECK(n == (m.seen - m.taken < max ? m.seen - m.taken : max));
}

static void
check_record(const uint8_t *data, const struct doms_record *rec)
{
    const struct model_record *want = &m.records[m.taken % MAX_RECORDS];

    CHECK(rec->length == want->length);
    CHECK(rec->flags == want->flags);
    CHECK(data[0] == want->mark && data[want->length - 1] == want->mark
          && data[want->length / 2] == want->mark);
    m.taken++;
}

static void
step_peek(void)
{
    struct doms_record rec = { 0 };

    CHECK(doms_ring_peek(&ring.r, &rec) == (m.seen != m.taken));
    if (m.seen != m.taken) {
        CHECK(rec.data
              == ring.arena.ro
                     + m.records[m.taken % MAX_RECORDS].start % m.arena_size);
        check_record(rec.data, &rec);
    }
}

static void
step_read(void)
{
    static uint8_t buf[DOMS_LENGTH_MASK];
    struct doms_record rec = { 0 };
    int error = doms_ring_read(&ring.r, buf, sizeof buf, &rec);

    if (m.seen == m.taken) {
        m.seen = m.published;
    }
    CHECK(error == (m.seen == m.taken ? EAGAIN : 0));
    if (!error) {
        CHECK(rec.data == buf);
        check_record(buf, &rec);
    }
}

static void
step_release(void)
{
    CHECK(doms_ring_release(&ring.r) == (m.released != m.taken));
    if (m.released != m.taken) {
        const struct model_record
            *last = &m.records[(m.taken - 1) % MAX_RECORDS];

        m.released_end = model_align(last->start + last->length);
        m.released = m.taken;
    }
}

static void
step(struct prng *p, uint32_t writes)
{
    uint32_t what = prng_next(p) % 64;

    if (what < writes) {
        step_write(p);
    } else if (what < 36) {
        what % 2 ? step_read() : step_peek();
    } else if (what < 46) {
        step_publish();
    } else if (what < 56) {
        step_poll(p);
    } else if (what < 63) {
        step_release();
    } else {
        CHECK(doms_ring_writer_is_drained(&ring.w)
              == (m.released == m.published));
    }
}

static void
run_seed(uint64_t seed)
{
    struct prng p;
    uint32_t size, pos, writes = 20;

    prng_seed(&p, seed);
    size = arena_sizes[prng_next(&p) % N_ARENA_SIZES];
    ring_init(&ring, size, DOMS_RECORD_OFFLOAD);
    /* Not far before the overflow of counts and of positions. */
    pos = -16 * prng_range(&p, 0, 1 << 20);
    ring_age(&ring, -prng_range(&p, 0, 20000), pos);

    memset(&m, 0, sizeof m);
    m.end = m.released_end = pos;
    m.arena_size = size;
    m.n_lengths = ring.n_lengths;
    m.seed = seed;
    for (m.step = 0; m.step < N_STEPS; m.step++) {
        if (m.step % 4096 == 0) {
            /* Now the writer is ahead, now the reader. */
            writes = prng_range(&p, 10, 32);
        }
        step(&p, writes);
        CHECK(ring.w.broken == DOMS_RING_OK);
        CHECK(ring.r.broken == DOMS_RING_OK);
    }
    CHECK(m.taken > N_STEPS / 100);
    CHECK(*ring.head == ring.w.published);
    ring_destroy(&ring);
}

static void
random_operations_do_what_a_simple_queue_would(void **state)
{
    const char *only = getenv("DOMS_TEST_SEED");
    uint64_t n_full = 0;

    (void) state;
    if (only) {
        run_seed(strtoull(only, NULL, 0));
        return;
    }
    for (uint64_t i = 0; i < N_SEEDS; i++) {
        uint64_t seed = i;

        if (i % 2) {
            assert_int_equal(getrandom(&seed, sizeof seed, 0), sizeof seed);
        }
        run_seed(seed);
        n_full += m.n_full;
    }
    assert_true(n_full > 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_do_what_a_simple_queue_would),
    };

    return cmocka_run_group_tests_name("ring-model", tests, NULL, NULL);
}
