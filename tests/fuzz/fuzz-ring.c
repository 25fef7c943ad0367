/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes both ends of a ring against a peer made of the input.
 *
 * The input is a list of steps.  A step is either the peer's, which rewrites a
 * shared word, or the victim's, which calls one function of common/ring.h.
 * Whatever the peer does, no record may break a rule or leave the arena, no
 * burst may be endless, and a broken end must stay broken.
 *
 * Step: a byte that says what, and four of a number, little endian.
 * make-seeds.py knows this format too.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined, or with
 * -DDOMS_FUZZ_MAIN for a program that runs the files that it is given.
 */
#define _GNU_SOURCE

#include "tests/unit/ring-fixture.h"

#define STEP_SIZE 5
#define MAX_STEPS 4096

#define CHECK(COND) ((COND) ? (void) 0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ring in;  /* The victim is its reader. */
static struct ring out; /* The victim is its writer. */

/* Has no room after the longest record. */
static uint8_t copy[DOMS_FRAME_MAX + sizeof(struct doms_offload)];

static void
check_record(const struct doms_record *rec, const uint8_t *start, size_t size)
{
    uint32_t extra = rec->flags ? sizeof(struct doms_offload) : 0;

    CHECK(!(rec->flags & ~in.r.flags_allowed));
    CHECK(rec->length >= DOMS_FRAME_MIN + extra);
    CHECK(rec->length <= DOMS_FRAME_MAX + extra);
    CHECK(rec->data >= start && rec->data + rec->length <= start + size);
}

static void
read_some(uint32_t x)
{
    uint32_t n = doms_ring_poll(&in.r, x);
    struct doms_record rec;

    CHECK(n <= x && n <= in.n_lengths);
    for (n = 0; n <= x && doms_ring_peek(&in.r, &rec); n++) {
        CHECK(n < in.n_lengths);
        check_record(&rec, in.arena.ro, in.arena.size);
        memcpy(copy, rec.data, rec.length);
    }
}

static void
read_copy(uint32_t x)
{
    uint32_t size = x % (sizeof copy + 1);
    uint8_t *start = copy + sizeof copy - size;
    struct doms_record rec;
    int error = doms_ring_read(&in.r, start, size, &rec);

    if (!error) {
        CHECK(rec.data == start);
        check_record(&rec, start, size);
    } else {
        CHECK(error == EMSGSIZE || error == EAGAIN || error == EPROTO);
        CHECK((error == EPROTO) == (in.r.broken != DOMS_RING_OK));
    }
}

/* Reserves up to 'x >> 16' bytes and commits up to 'x & 0xffff'. */
static void
write_one(uint32_t x)
{
    uint32_t reserve = 1 + (x >> 16) % DOMS_LENGTH_MASK;
    uint32_t length = 1 + (x & 0xffff) % reserve;
    uint8_t *place = doms_ring_reserve(&out.w, reserve);

    if (place) {
        CHECK(!out.w.broken);
        CHECK(place >= out.arena.rw);
        CHECK(place + reserve <= out.arena.rw + out.arena.size);
        memset(place, x, length);
        doms_ring_commit(&out.w, length, x & 1);
        CHECK(out.w.head - out.w.tail <= out.n_lengths);
        CHECK(out.w.head - out.w.published <= out.n_lengths);
    }
}

static void
step(uint8_t what, uint32_t x)
{
    switch (what % 12) {
    case 0:
        *in.head = x;
        break;
    case 1:
        *in.head += (int8_t) x;
        break;
    case 2:
        in.entries[(in.r.tail + (x >> 24)) % in.n_lengths] = x & 0x3ffff;
        break;
    case 3:
        in.entries[in.r.tail % in.n_lengths] = x;
        break;
    case 4:
        *out.tail = x;
        break;
    case 5:
        *out.tail += (int8_t) x;
        break;
    case 6:
        read_some(x % 128);
        break;
    case 7:
        read_copy(x);
        break;
    case 8:
        doms_ring_release(&in.r);
        break;
    case 9:
        write_one(x);
        break;
    case 10:
        doms_ring_publish(&out.w);
        break;
    case 11:
        doms_ring_writer_is_drained(&out.w);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + 2 * 4 || size > MAX_STEPS * STEP_SIZE) {
        return 0;
    }

    uint32_t count, pos;

    memcpy(&count, data + 1, sizeof count);
    memcpy(&pos, data + 5, sizeof pos);
    if (!in.n_lengths) {
        ring_init(&in, DOMS_ARENA_MIN, 0);
        ring_init(&out, DOMS_ARENA_MIN, 0);
    }
    ring_reset(&in, data[0] & DOMS_RECORD_FLAGS);
    ring_reset(&out, 0);
    ring_age(&in, count, pos & ~15u);
    ring_age(&out, count, pos & ~15u);

    for (size_t i = 9; i + STEP_SIZE <= size; i += STEP_SIZE) {
        enum doms_ring_broken r = in.r.broken, w = out.w.broken;
        uint32_t x;

        memcpy(&x, data + i + 1, sizeof x);
        step(data[i], x);
        CHECK(!r || in.r.broken == r);
        CHECK(!w || out.w.broken == w);
    }
    return 0;
}

#ifdef DOMS_FUZZ_MAIN
#include "fuzz-main.h"
#endif
