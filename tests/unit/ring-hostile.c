/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that rewrites everything it shares, all the time.
 *
 * usage: ring-hostile [ATTACKS [SEED]]
 *
 * One thread, the victim, reads one ring and writes another by every function
 * of common/ring.h.  The other is the peer: it owns the head, lengths and
 * arena of the first ring and the tail of the second, and rewrites them at
 * random, now with sense and now without, while the victim looks at them.
 *
 * The victim must stay within the rings, which have inaccessible pages before
 * and after, must get no record that breaks a rule, must copy no more than it
 * asked for, and must come to an end with each burst.  When it finds a ring
 * broken, it checks that the ring stays so, and starts afresh, as after a
 * reconnection.
 *
 * Goes on until the peer has rewritten everything ATTACKS times, each rule has
 * been broken and found, and a good many records have come through in spite of
 * all.  Then prints
 *
 *     ring-hostile: N attacks, N records, N rings broken, ok
 *
 * and exits with 0; otherwise with 1, and with the seed.  ThreadSanitizer has
 * no business here: these races are the point.
 */
#define _GNU_SOURCE

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ring-fixture.h"

#define DEADLINE_SECONDS 60
#define MIN_RECORDS 100000

static struct ring in;  /* The victim is its reader. */
static struct ring out; /* The victim is its writer. */
static uint64_t seed;
static atomic_bool stop;
static atomic_ullong n_attacks;

/* Where the victim copies to: the bytes before 'copy_end' can be written, the
 * one there cannot. */
static struct pages copy;
static uint8_t *copy_end;

static uint64_t n_records, n_broken[DOMS_RING_BAD_FLAGS + 1];

#define CHECK(COND)                                                           \
    do {                                                                      \
        if (!(COND)) {                                                        \
            fprintf(stderr, "ring-hostile: line %d: %s, seed %" PRIu64 "\n",  \
                    __LINE__, #COND, seed);                                   \
            _exit(1);                                                         \
        }                                                                     \
    } while (0)

/* The peer. */

/* Returns an entry for the length array that makes some sense, seldom. */
static uint32_t
hostile_entry(struct prng *p, uint32_t sense)
{
    static const uint32_t lengths[] = { 0,     1,     13,    14,    30,   29,
                                        61440, 61441, 61456, 61457, 65535 };

    if (prng_next(p) % 256 < sense) {
        return prng_range(p, DOMS_FRAME_MIN + 16, 2000)
               | (prng_next(p) % 2) << DOMS_LENGTH_FLAGS_SHIFT;
    } else if (prng_next(p) % 2) {
        return lengths[prng_next(p) % (sizeof lengths / sizeof *lengths)]
               | (prng_next(p) % 3) << DOMS_LENGTH_FLAGS_SHIFT;
    }
    return prng_next(p);
}

/* Rewrites everything once.  Of 256 values, 'sense' are plausible. */
static void
attack(struct prng *p, uint32_t sense)
{
    uint32_t tail = DOMS_READ_ONCE(*in.tail);
    uint32_t head = DOMS_READ_ONCE(*out.head);

    /* The entries that the victim looks at next, most of all. */
    for (int i = 0; i < 16; i++) {
        uint32_t near = tail + prng_next(p) % 64;

        DOMS_WRITE_ONCE(in.entries[near % in.n_lengths],
                        hostile_entry(p, sense));
    }
    DOMS_WRITE_ONCE(in.entries[prng_next(p) % in.n_lengths],
                    hostile_entry(p, sense));
    DOMS_WRITE_ONCE(*in.head, prng_next(p) % 256 < sense
                                  ? tail + prng_next(p) % in.n_lengths
                                  : prng_next(p));
    DOMS_WRITE_ONCE(*out.tail, prng_next(p) % 256 < sense
                                   ? head - prng_next(p) % 4
                                   : prng_next(p));
    in.arena.rw[prng_next(p) % in.arena.size] = prng_next(p);
}

/* Rewrites the entry that the victim looks at next, as fast as it can, so that
 * a victim that looked twice would see two different ones. */
static void
flip(struct prng *p)
{
    uint32_t tail = DOMS_READ_ONCE(*in.tail);
    uint32_t *entry = &in.entries[tail % in.n_lengths];
    uint32_t bad = hostile_entry(p, 0);

    DOMS_WRITE_ONCE(*entry, 64);
    DOMS_WRITE_ONCE(*in.head, tail + 1);
    for (int i = 0; i < 32; i++) {
        DOMS_WRITE_ONCE(*entry, bad);
        DOMS_WRITE_ONCE(*entry, 64);
    }
}

static void *
peer_main(void *arg)
{
    struct prng p;

    (void) arg;
    prng_seed(&p, ~seed);
    while (!stop) {
        uint32_t mode = prng_next(&p) % 6;
        uint32_t sense = !mode ? 0 : mode == 1 ? 200 : 256;

        for (uint32_t n = prng_next(&p) % 2000; n && !stop; n--) {
            if (mode >= 4) {
                flip(&p);
            } else {
                attack(&p, mode == 3 && n % 64 == 0 ? 128 : sense);
            }
            n_attacks++;
        }
    }
    return NULL;
}

/* The victim. */

/* Uses 'rec' as who got it would. */
static void
use_record(const struct doms_record *rec)
{
    uint32_t extra = rec->flags ? sizeof(struct doms_offload) : 0;

    CHECK(!(rec->flags & ~DOMS_RECORD_OFFLOAD));
    CHECK(rec->length >= DOMS_FRAME_MIN + extra);
    CHECK(rec->length <= DOMS_FRAME_MAX + extra);
    CHECK(rec->data >= in.arena.ro);
    CHECK(rec->data + rec->length <= in.arena.ro + in.arena.size);
    memcpy(copy_end - rec->length, rec->data, rec->length);
    n_records++;
}

/* Starts 'ring' afresh if 'broken' says so. */
static void
reconnect(struct ring *ring, enum doms_ring_broken broken, struct prng *p)
{
    if (broken) {
        CHECK(broken <= DOMS_RING_BAD_FLAGS);
        n_broken[broken]++;
        ring_reset(ring, prng_next(p) % 4 ? DOMS_RECORD_OFFLOAD : 0);
        ring_age(ring, prng_next(p), prng_next(p) & ~15u);
    }
}

static void
read_burst(struct prng *p)
{
    uint32_t max = prng_range(p, 0, prng_next(p) % 4 ? 64 : 3000);
    uint32_t n = doms_ring_poll(&in.r, max);
    struct doms_record rec = { 0 };
    uint32_t i = 0;

    CHECK(n <= max && n <= in.n_lengths);
    while (doms_ring_peek(&in.r, &rec)) {
        CHECK(++i <= in.n_lengths);
        use_record(&rec);
    }
    CHECK(i >= n || in.r.broken);
}

static void
read_copies(struct prng *p)
{
    uint32_t size = prng_range(p, 14, 2000);
    uint8_t *before = copy_end - size - 1;

    for (uint32_t i = prng_next(p) % 64; i; i--) {
        struct doms_record rec = { 0 };
        int error;

        *before = 0x5a;
        error = doms_ring_read(&in.r, copy_end - size, size, &rec);
        CHECK(*before == 0x5a);
        CHECK(error == 0 || error == EAGAIN || error == EMSGSIZE
              || error == EPROTO);
        CHECK((error == EPROTO) == (in.r.broken != DOMS_RING_OK));
        CHECK(error || rec.length <= size);
        CHECK(error != EMSGSIZE || rec.length > size);
        n_records += !error;
    }
}

/* Fills the ring as far as the peer's tail allows. */
static void
write_burst(struct prng *p)
{
    static const uint8_t frame[DOMS_FRAME_MAX];
    uint32_t max_length = prng_next(p) % 4 ? 100 : 9018;
    uint32_t n = 0;

    for (;;) {
        uint32_t length = prng_range(p, DOMS_FRAME_MIN, max_length);
        uint8_t *place = doms_ring_reserve(&out.w, length);

        if (!place) {
            break;
        }
        CHECK(place >= out.arena.rw);
        CHECK(place + length <= out.arena.rw + out.arena.size);
        memcpy(place, frame, length);
        doms_ring_commit(&out.w, prng_range(p, DOMS_FRAME_MIN, length), 0);
        /* However the tail moves, what is not published cannot be taken. */
        CHECK(++n <= out.n_lengths);
        if (prng_next(p) % 32 == 0
            && !doms_ring_write(&out.w, frame, length, 0)) {
            break;
        }
    }
    CHECK(n <= out.n_lengths);
    doms_ring_publish(&out.w);
}

/* Checks that broken ends do nothing any more. */
static void
check_broken(void)
{
    struct doms_record rec;

    if (in.r.broken) {
        CHECK(!doms_ring_poll(&in.r, 64));
        CHECK(!doms_ring_peek(&in.r, &rec));
        CHECK(doms_ring_read(&in.r, copy_end - 64, 64, &rec) == EPROTO);
    }
    if (out.w.broken) {
        CHECK(!doms_ring_reserve(&out.w, 64));
        CHECK(!doms_ring_write(&out.w, copy_end - 64, 64, 0));
        CHECK(!doms_ring_writer_is_drained(&out.w));
    }
}

static void
step(struct prng *p)
{
    switch (prng_next(p) % 8) {
    case 0:
    case 1:
    case 2:
        read_burst(p);
        break;
    case 3:
        read_copies(p);
        break;
    case 4:
    case 5:
        write_burst(p);
        break;
    case 6:
        doms_ring_writer_is_drained(&out.w);
        break;
    case 7:
        doms_ring_release(&in.r);
        break;
    }
    check_broken();
    reconnect(&in, in.r.broken, p);
    reconnect(&out, out.w.broken, p);
}

static bool
seen_everything(void)
{
    return n_broken[DOMS_RING_BAD_HEAD] && n_broken[DOMS_RING_BAD_TAIL]
           && n_broken[DOMS_RING_BAD_LENGTH] && n_broken[DOMS_RING_BAD_FLAGS]
           && n_records >= MIN_RECORDS;
}

int
main(int argc, char *argv[])
{
    uint64_t min_attacks = argc > 1 ? strtoull(argv[1], NULL, 0) : 5000000;
    uint64_t total = 0;
    pthread_t peer;
    struct prng p;

    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t) getpid();
    prng_seed(&p, seed);
    alarm(DEADLINE_SECONDS);
    ring_init(&in, DOMS_ARENA_MIN, DOMS_RECORD_OFFLOAD);
    ring_init(&out, DOMS_ARENA_MIN, 0);
    pages_init(&copy, 2 * DOMS_LENGTH_MASK + 2);
    copy_end = copy.rw + copy.size;

    if (pthread_create(&peer, NULL, peer_main, NULL)) {
        perror("pthread_create");
        return 1;
    }
    while (n_attacks < min_attacks || !seen_everything()) {
        step(&p);
    }
    stop = true;
    pthread_join(peer, NULL);
    for (int j = DOMS_RING_BAD_HEAD; j <= DOMS_RING_BAD_FLAGS; j++) {
        total += n_broken[j];
    }
    printf("ring-hostile: %llu attacks, %" PRIu64 " records, %" PRIu64
           " rings broken, ok\n",
           n_attacks, n_records, total);
    return 0;
}
