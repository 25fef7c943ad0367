/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings for tests, in memory like that of a real channel.
 *
 * Each part of a ring that has one writer is a memfd of its own, mapped twice:
 * writable for the side that owns it and read-only for the other, with
 * inaccessible pages before and after each mapping.  A side that writes where
 * it may only read, or that leaves its pages, dies on the spot, whether or not
 * a sanitizer watches.
 *
 * Thread-safety: none of these may be called by two threads on one object.
 */

#ifndef TESTS_UNIT_RING_FIXTURE_H
#define TESTS_UNIT_RING_FIXTURE_H 1

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include"
#endif

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/channel.h"

/* Pages with one writer. */
struct pages {
    uint8_t *rw;       /* The owner's view. */
    const uint8_t *ro; /* The other side's view of the same pages. */
    size_t size;       /* Bytes, whole pages. */
};

/* Both ends of one ring. */
struct ring {
    struct pages wctl;    /* The writer's struct doms_queue_ctl. */
    struct pages rctl;    /* The reader's. */
    struct pages lengths; /* The writer's. */
    struct pages arena;   /* The writer's. */
    struct pages ends;    /* The writer's private table. */
    uint32_t *head;       /* The shared head, writable by the test. */
    uint32_t *tail;       /* The shared tail, writable by the test. */
    uint32_t *entries;    /* The length array, writable by the test. */
    uint32_t n_lengths;   /* Entries of it. */
    struct doms_ring_writer w;
    struct doms_ring_reader r;
};

/* All arena sizes that a ring may have. */
static const uint32_t arena_sizes[] __attribute__((unused)) = {
    128 * 1024,  256 * 1024,      512 * 1024,
    1024 * 1024, 2 * 1024 * 1024, 4 * 1024 * 1024,
};
#define N_ARENA_SIZES (sizeof arena_sizes / sizeof arena_sizes[0])

/* A source of numbers; not for cryptography.  'state' must not be zero. */
struct prng {
    uint64_t state;
};

/* Returns the next 32 bits of 'p'. */
static inline uint32_t
prng_next(struct prng *p)
{
    p->state ^= p->state >> 12;
    p->state ^= p->state << 25;
    p->state ^= p->state >> 27;
    return (p->state * UINT64_C(0x2545f4914f6cdd1d)) >> 32;
}

/* Returns a number from 'min' to 'max'. */
static inline uint32_t
prng_range(struct prng *p, uint32_t min, uint32_t max)
{
    return min + prng_next(p) % (max - min + 1);
}

/* Makes 'p' start from 'seed', any number. */
static inline void
prng_seed(struct prng *p, uint64_t seed)
{
    p->state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    if (!p->state) {
        p->state = 1;
    }
    for (int i = 0; i < 8; i++) {
        prng_next(p);
    }
}

/* Returns a length of a frame as traffic has them: most short, some full
 * sized, few jumbo, seldom as long as a segmentation offload makes them. */
static inline uint32_t
prng_frame_length(struct prng *p)
{
    uint32_t kind = prng_next(p) % 100;

    return kind < 70   ? prng_range(p, DOMS_FRAME_MIN, 200)
           : kind < 90 ? prng_range(p, DOMS_FRAME_MIN, 1518)
           : kind < 98 ? prng_range(p, 1500, 9018)
           : kind < 99 ? DOMS_FRAME_MAX
                       : prng_range(p, 9018, DOMS_FRAME_MAX);
}

static inline void *
map_guarded__(int fd, size_t size, int prot)
{
    uint8_t *p = mmap(NULL, size + 2 * DOMS_PAGE_SIZE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED
        || mmap(p + DOMS_PAGE_SIZE, size, prot, MAP_SHARED | MAP_FIXED, fd, 0)
               == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return p + DOMS_PAGE_SIZE;
}

/* Makes 'p' zeroed pages of 'size' bytes, which must be whole pages. */
static inline void
pages_init(struct pages *p, size_t size)
{
    int fd = memfd_create("doms-test", MFD_CLOEXEC);

    if (size % DOMS_PAGE_SIZE || fd < 0 || ftruncate(fd, size)) {
        perror("memfd");
        exit(2);
    }
    p->size = size;
    p->rw = map_guarded__(fd, size, PROT_READ | PROT_WRITE);
    p->ro = map_guarded__(fd, size, PROT_READ);
    close(fd);
}

/* Frees 'p'. */
static inline void
pages_destroy(struct pages *p)
{
    munmap(p->rw - DOMS_PAGE_SIZE, p->size + 2 * DOMS_PAGE_SIZE);
    munmap((uint8_t *) p->ro - DOMS_PAGE_SIZE, p->size + 2 * DOMS_PAGE_SIZE);
}

/* Makes both ends of 'ring' as fresh as after ring_init(), with 'flags' agreed
 * to.  The arena's bytes and the lengths stay. */
static inline void
ring_reset(struct ring *ring, uint32_t flags)
{
    const struct doms_queue_ctl *wctl = (const void *) ring->wctl.ro;
    const struct doms_queue_ctl *rctl = (const void *) ring->rctl.ro;
    uint32_t arena_size = ring->arena.size;

    *ring->head = *ring->tail = 0;
    doms_ring_writer_init(&ring->w, ring->head, &rctl->tail, ring->entries,
                          ring->arena.rw, arena_size,
                          (uint32_t *) ring->ends.rw);
    doms_ring_reader_init(&ring->r, &wctl->head, ring->tail,
                          (const uint32_t *) ring->lengths.ro, ring->arena.ro,
                          arena_size, flags);
}

/* Makes 'ring' a fresh ring with 'flags' agreed to. */
static inline void
ring_init(struct ring *ring, uint32_t arena_size, uint32_t flags)
{
    ring->n_lengths = doms_ring_n_lengths(arena_size);
    pages_init(&ring->wctl, sizeof(struct doms_queue_ctl));
    pages_init(&ring->rctl, sizeof(struct doms_queue_ctl));
    pages_init(&ring->lengths, ring->n_lengths * sizeof(uint32_t));
    pages_init(&ring->arena, arena_size);
    pages_init(&ring->ends, ring->n_lengths * sizeof(uint32_t));
    ring->head = &((struct doms_queue_ctl *) ring->wctl.rw)->head;
    ring->tail = &((struct doms_queue_ctl *) ring->rctl.rw)->tail;
    ring->entries = (uint32_t *) ring->lengths.rw;
    ring_reset(ring, flags);
}

/* Frees 'ring'. */
static inline void
ring_destroy(struct ring *ring)
{
    pages_destroy(&ring->wctl);
    pages_destroy(&ring->rctl);
    pages_destroy(&ring->lengths);
    pages_destroy(&ring->arena);
    pages_destroy(&ring->ends);
}

/* Makes an empty 'ring' look as if 'count' records had passed through it and
 * the last had ended at 'pos', which must be aligned. */
static inline void
ring_age(struct ring *ring, uint32_t count, uint32_t pos)
{
    *ring->head = *ring->tail = count;
    ring->w.head = ring->w.published = ring->w.tail = count;
    ring->r.head = ring->r.published = ring->r.tail = count;
    ring->w.pos = ring->w.freed = ring->r.pos = pos;
}

#endif /* tests/unit/ring-fixture.h */
