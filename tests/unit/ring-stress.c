/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads and a ring: the writer sends records of random lengths in random
 * bursts, by either interface, and the reader checks every byte of each.
 *
 * usage: ring-stress [RECORDS [SEED]]
 *
 * Runs once with every arena size, in turn without and with the doorbell, and
 * with counts and positions that overflow on the way.  Prints one line,
 *
 *     ring-stress: N records, N bytes, ok
 *
 * and exits with 0; or says what went wrong, with the seed, and exits with 1.
 * So it does if a bell is not rung, and if two minutes do not suffice.
 *
 * The ring is mapped once, so that ThreadSanitizer sees both threads at the
 * same addresses: built with it, this shows that the arena and the lengths are
 * ordered by nothing but the two counts.
 */
#define _GNU_SOURCE

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "ring-fixture.h"

#define DEADLINE_SECONDS 120

/* What starts each frame.  The rest are bytes that 'number' and the seed
 * determine. */
struct stamp {
    uint32_t number; /* Which record this is. */
    uint32_t sum;    /* Over length, flags and all bytes after this struct. */
};

/* One run. */
struct run {
    struct doms_queue writer; /* For its 'tx'. */
    struct doms_queue reader; /* For its 'rx'. */
    uint32_t n_records;
    uint64_t seed;
    bool doorbell;
    sem_t bell;
    uint64_t n_bytes;   /* Written; the writer's. */
    uint64_t n_blocked; /* Times the reader blocked; the reader's. */
};

static uint64_t seed = 1;
static atomic_int failed;

static void
fail(const struct run *run, const char *what, uint32_t number)
{
    if (!atomic_exchange(&failed, 1)) {
        fprintf(stderr,
                "ring-stress: %s, record %" PRIu32 ", arena %" PRIu32
                ", doorbell %d, seed %" PRIu64 "\n",
                what, number, run->writer.tx.arena_size, run->doorbell, seed);
        exit(1);
    }
}

/* Returns a sum of 'length' bytes at 'data' and of 'length' and 'flags', in
 * which the place of each byte counts. */
static uint32_t
checksum(const uint8_t *data, uint32_t length, uint32_t flags)
{
    uint64_t sum = (uint64_t) length << 16 | flags;

    for (; length >= 8; data += 8, length -= 8) {
        uint64_t x;

        memcpy(&x, data, sizeof x);
        sum = (sum ^ x) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
    }
    for (; length; data++, length--) {
        sum = (sum ^ *data) * UINT64_C(0x100000001b3);
    }
    return sum ^ sum >> 32;
}

static void
fill_record(uint8_t *data, uint32_t length, uint32_t flags, uint32_t number,
            struct prng *p)
{
    struct stamp stamp = { .number = number };
    uint64_t x = (uint64_t) prng_next(p) << 32 | number;
    uint32_t i = sizeof stamp;

    for (; i + 8 <= length; i += 8) {
        memcpy(data + i, &x, 8);
        x = x * 5 + 1;
    }
    memcpy(data + i, &x, length - i);
    stamp.sum = checksum(data + sizeof stamp, length - sizeof stamp, flags);
    memcpy(data, &stamp, sizeof stamp);
}

static void
check_record(const struct run *run, const struct doms_record *rec,
             uint32_t number)
{
    struct stamp stamp;

    memcpy(&stamp, rec->data, sizeof stamp);
    if (stamp.number != number) {
        fail(run, "records out of order", number);
    }
    if (stamp.sum
        != checksum(rec->data + sizeof stamp, rec->length - sizeof stamp,
                    rec->flags)) {
        fail(run, "wrong checksum", number);
    }
}

/* Puts record 'number' into 'w', by an interface chosen at random.  Returns
 * its length, or 0 if the ring is full.  '*p' changes only if it is not. */
static uint32_t
put(struct doms_ring_writer *w, uint32_t number, struct prng *p)
{
    static uint8_t buf[DOMS_LENGTH_MASK];
    struct prng try = *p;
    uint32_t flags = prng_next(&try) % 8 ? 0 : DOMS_RECORD_OFFLOAD;
    uint32_t length = prng_frame_length(&try)
                      + flags * sizeof(struct doms_offload);

    if (prng_next(&try) % 2) {
        fill_record(buf, length, flags, number, &try);
        if (!doms_ring_write(w, buf, length, flags)) {
            return 0;
        }
    } else {
        uint32_t more = prng_next(&try) % 4 ? 0 : prng_next(&try) % 3000;
        uint8_t *place = doms_ring_reserve(w, length + more);

        if (!place) {
            return 0;
        }
        fill_record(place, length, flags, number, &try);
        doms_ring_commit(w, length, flags);
    }
    *p = try;
    return length;
}

/* Lets the other thread run if there is one processor for both.  Not
 * sched_yield(), which on a busy machine can cost far more than the sleep. */
static void
nap(void)
{
    static const struct timespec moment = { .tv_nsec = 20000 };

    nanosleep(&moment, NULL);
}

/* Lets up to about half a microsecond pass. */
static void
linger(struct prng *p)
{
    for (uint32_t n = prng_next(p) % 1500; n; n--) {
        __asm__ volatile("");
    }
}

/* Waits until the reader has taken everything, and a moment more, so that the
 * next record meets the reader as it falls asleep.  A bell missed then is not
 * made up for by a later one. */
static void
wait_until_drained(struct run *run, uint32_t number, struct prng *p)
{
    for (int i = 1; !doms_ring_writer_is_drained(&run->writer.tx); i++) {
        if (run->writer.tx.broken) {
            fail(run, "the writer found the ring broken", number);
        }
        if (i % 4096 == 0) {
            nap();
        }
    }
    linger(p);
}

static void *
writer_main(void *run_)
{
    struct run *run = run_;
    struct prng p;
    uint32_t number = 0;

    prng_seed(&p, run->seed);
    while (number < run->n_records) {
        uint32_t burst = prng_range(&p, 1, 64);
        bool ping_pong = prng_next(&p) % 16;
        bool full = false;

        if (run->doorbell && ping_pong) {
            burst = 1;
        }
        while (burst-- && number < run->n_records && !full) {
            uint32_t length = put(&run->writer.tx, number, &p);

            full = !length;
            run->n_bytes += length;
            number += !full;
        }
        if (doms_ring_publish(&run->writer.tx) && run->doorbell
            && doms_queue_peer_wants_bell(&run->writer)) {
            sem_post(&run->bell);
        }
        if (run->doorbell && ping_pong) {
            wait_until_drained(run, number, &p);
        }
        if (full) {
            nap();
        }
        if (run->writer.tx.broken) {
            fail(run, "the writer found the ring broken", number);
        }
    }
    return NULL;
}

/* Blocks until the writer rings.  The failure is a bell that does not come
 * although there is a record, and not a writer that is kept from running: ten
 * looks a second apart must find one. */
static void
wait_for_bell(struct run *run, uint32_t number)
{
    struct timespec deadline;
    int n_found = 0;

    run->n_blocked++;
    clock_gettime(CLOCK_REALTIME, &deadline);
    for (deadline.tv_sec++; sem_timedwait(&run->bell, &deadline);) {
        if (errno != ETIMEDOUT) {
            continue;
        }
        n_found += doms_ring_poll(&run->reader.rx, 1);
        if (n_found >= 10) {
            fail(run, "the bell was not rung", number);
        }
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec++;
    }
}

/* Takes up to 'burst' records, checks them where they lie or in a copy, and
 * gives their room back.  Returns how many. */
static uint32_t
take(struct run *run, uint32_t number, uint32_t burst, bool copy)
{
    static uint8_t buf[DOMS_LENGTH_MASK];
    struct doms_ring_reader *r = &run->reader.rx;
    struct doms_record rec = { 0 };
    uint32_t n = 0;

    if (!copy) {
        burst = doms_ring_poll(r, burst);
    }
    while (n < burst
           && (copy ? !doms_ring_read(r, buf, sizeof buf, &rec)
                    : doms_ring_peek(r, &rec))) {
        check_record(run, &rec, number + n++);
    }
    doms_ring_release(r);
    return n;
}

static void *
reader_main(void *run_)
{
    struct run *run = run_;
    struct prng p;
    uint32_t number = 0, n_empty = 0;

    prng_seed(&p, ~run->seed);
    while (number < run->n_records) {
        uint32_t n = take(run, number, prng_range(&p, 1, 64),
                          prng_next(&p) % 2);

        number += n;
        if (run->reader.rx.broken) {
            fail(run, doms_ring_broken_to_string(run->reader.rx.broken),
                 number);
        } else if (n) {
            continue;
        } else if (!run->doorbell) {
            if (++n_empty % 4096 == 0) {
                nap();
            }
        } else {
            linger(&p);
            if (doms_queue_fall_asleep(&run->reader)) {
                wait_for_bell(run, number);
                doms_queue_wake_up(&run->reader);
            }
        }
    }
    return NULL;
}

static void *
alloc_pages(size_t size)
{
    void *p = aligned_alloc(DOMS_PAGE_SIZE, size);

    if (!p) {
        perror("aligned_alloc");
        exit(1);
    }
    return memset(p, 0, size);
}

/* Makes the queue's ring from writer to reader look as if 'count' records had
 * passed and the last had ended at 'pos'. */
static void
age(struct run *run, uint32_t count, uint32_t pos)
{
    struct doms_ring_writer *w = &run->writer.tx;
    struct doms_ring_reader *r = &run->reader.rx;

    *w->head_page = *r->tail_page = count;
    w->head = w->published = w->tail = count;
    r->head = r->published = r->tail = count;
    w->pos = w->freed = r->pos = pos;
}

/* Sends 'n_records' through one ring.  Returns the bytes. */
static uint64_t
run_one(uint32_t arena_size, uint32_t n_records, bool doorbell)
{
    struct doms_geometry g = { .n_queues = 1, .arena_size = arena_size };
    struct run run = { .n_records = n_records,
                       .seed = seed + arena_size + doorbell,
                       .doorbell = doorbell };
    void *writer_group = alloc_pages(doms_group_size(&g));
    void *reader_group = alloc_pages(doms_group_size(&g));
    uint32_t *ends = alloc_pages(2 * doms_lengths_size(arena_size));
    pthread_t writer, reader;

    doms_queue_init(&run.writer, &g, 0, writer_group, reader_group, 0, ends);
    doms_queue_init(&run.reader, &g, 0, reader_group, writer_group,
                    DOMS_RECORD_OFFLOAD,
                    ends + doms_ring_n_lengths(arena_size));
    age(&run, -(n_records / 2), -arena_size * 2);
    sem_init(&run.bell, 0, 0);
    if (pthread_create(&writer, NULL, writer_main, &run)
        || pthread_create(&reader, NULL, reader_main, &run)) {
        perror("pthread_create");
        exit(1);
    }
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    if (!doms_ring_writer_is_drained(&run.writer.tx)
        || run.writer.tx.pos != run.reader.rx.pos) {
        fail(&run, "the ends do not agree at the end", n_records);
    }
    if (doorbell && n_records >= 10000 && !run.n_blocked) {
        fail(&run, "the reader never slept", n_records);
    }
    sem_destroy(&run.bell);
    free(ends);
    free(reader_group);
    free(writer_group);
    return run.n_bytes;
}

int
main(int argc, char *argv[])
{
    uint32_t n_records = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000;
    uint32_t per_run = n_records / (2 * N_ARENA_SIZES) + 1;
    uint64_t n_bytes = 0;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t) now.tv_nsec;
    alarm(DEADLINE_SECONDS);
    for (size_t i = 0; i < N_ARENA_SIZES; i++) {
        n_bytes += run_one(arena_sizes[i], per_run, false);
        n_bytes += run_one(arena_sizes[i], per_run, true);
    }
    printf("ring-stress: %zu records, %" PRIu64 " bytes, ok\n",
           2 * N_ARENA_SIZES * per_run, n_bytes);
    return 0;
}
