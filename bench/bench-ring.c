/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the ring alone is: a writer on one CPU, a reader on another.
 *
 *     bench-ring [-s SIZE]... [-t SECONDS] [-n RUNS]
 *
 * The writer copies each frame from a private buffer, bursts of 32; the reader
 * checks each record and looks at its first cache line.  One line a run.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/placement.h"
#include "common/channel.h"

#define BURST 32
#define WRITER_CPU 0
#define READER_CPU 1

struct run {
    struct doms_queue writer;
    struct doms_queue reader;
    uint32_t size;       /* Bytes of a frame. */
    uint64_t n_received; /* Written by the reader at the end. */
    uint64_t checksum;   /* Keeps the reader's loads alive. */
    bool stop;           /* Set by the writer's thread. */
};

static void *
reader_main(void *run_)
{
    struct run *run = run_;
    struct doms_ring_reader *r = &run->reader.rx;
    uint64_t n_received = 0, checksum = 0;

    while (!__atomic_load_n(&run->stop, __ATOMIC_RELAXED)) {
        uint32_t n = doms_ring_poll(r, BURST);
        struct doms_record rec;

        for (uint32_t i = 0; i < n && doms_ring_peek(r, &rec); i++) {
            checksum += *(const volatile uint64_t *) rec.data;
            n_received++;
        }
        doms_ring_release(r);
    }
    run->n_received = n_received;
    run->checksum = checksum;
    return NULL;
}

#if __x86_64__
/* The writer is compiled for CPUs with and without 64-byte registers, and the
 * right one picked when it is first called, as domsd picks its copies. */
#define FOR_EACH_ISA __attribute__((target_clones("avx512f", "default")))
#else
#define FOR_EACH_ISA
#endif

typedef uint8_t line __attribute__((vector_size(64), aligned(1)));

/* Copies a frame of 64 bytes or more, the end of which may overlap. */
static inline __attribute__((always_inline)) void
copy_frame(uint8_t *dst, const uint8_t *src, uint32_t size)
{
    if (size > 1536) {
        memcpy(dst, src, size);
        return;
    }
    for (uint32_t ofs = 0; ofs + 64 <= size; ofs += 64) {
        *(line *) (dst + ofs) = *(const line *) (src + ofs);
    }
    if (size % 64) {
        *(line *) (dst + size - 64) = *(const line *) (src + size - 64);
    }
}

static FOR_EACH_ISA void
write_until(struct run *run, uint64_t end_ns)
{
    struct doms_ring_writer *w = &run->writer.tx;
    static uint8_t frames[BURST][2048];

    while (bench_now_ns() < end_ns) {
        for (int burst = 0; burst < 256; burst++) {
            for (int i = 0; i < BURST; i++) {
                uint8_t *place = doms_ring_reserve(w, run->size);

                if (!place) {
                    cpu_relax();
                    break;
                }
                copy_frame(place, frames[i], run->size);
                doms_ring_commit(w, run->size, 0);
            }
            doms_ring_publish(w);
        }
    }
    __atomic_store_n(&run->stop, true, __ATOMIC_RELAXED);
}

static void *
make_group(const struct doms_geometry *g)
{
    void *group = mmap(NULL, doms_group_size(g), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (group == MAP_FAILED) {
        perror("bench-ring: mmap");
        exit(EXIT_FAILURE);
    }
    return group;
}

static void
bench(uint32_t size, double seconds)
{
    struct doms_geometry g = { .n_queues = 1,
                               .arena_size = DOMS_ARENA_DEFAULT };
    size_t ends_size = doms_ring_n_lengths(g.arena_size) * sizeof(uint32_t);
    uint32_t *ends[2] = { calloc(1, ends_size), calloc(1, ends_size) };
    void *groups[2] = { make_group(&g), make_group(&g) };
    static struct run run;
    double before, after, elapsed;
    pthread_t reader;
    uint64_t start;

    memset(&run, 0, sizeof run);
    run.size = size;
    doms_queue_init(&run.writer, &g, 0, groups[0], groups[1], 0, ends[0]);
    doms_queue_init(&run.reader, &g, 0, groups[1], groups[0], 0, ends[1]);

    before = bench_line_round_trip_ns(WRITER_CPU, READER_CPU);
    start = bench_now_ns();
    if (bench_thread_on(READER_CPU, &reader, reader_main, &run)) {
        fprintf(stderr, "bench-ring: it needs CPUs %d and %d\n", WRITER_CPU,
                READER_CPU);
        exit(EXIT_FAILURE);
    }
    write_until(&run, start + seconds * 1e9);
    elapsed = (bench_now_ns() - start) / 1e9;
    pthread_join(reader, NULL);
    after = bench_line_round_trip_ns(WRITER_CPU, READER_CPU);

    if (run.reader.rx.broken || run.writer.tx.broken) {
        fprintf(stderr, "bench-ring: the ring broke\n");
        exit(EXIT_FAILURE);
    }
    printf("bench case=ring size=%u mpps=%.2f gbps=%.2f line_ns=%.0f "
           "placement=%s\n",
           size, run.n_received / elapsed / 1e6,
           run.n_received * 8.0 * size / elapsed / 1e9, before,
           bench_placement_pair(before, after));
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        munmap(groups[i], doms_group_size(&g));
        free(ends[i]);
    }
}

int
main(int argc, char *argv[])
{
    uint32_t sizes[8] = { 64, 1500 };
    int n_sizes = 0, n_runs = 3;
    double seconds = 1;
    int opt;

    while ((opt = getopt(argc, argv, "s:t:n:")) != -1) {
        switch (opt) {
        case 's':
            if (n_sizes < 8) {
                sizes[n_sizes++] = atoi(optarg);
            }
            break;
        case 't':
            seconds = atof(optarg);
            break;
        case 'n':
            n_runs = atoi(optarg);
            break;
        default:
            fprintf(stderr, "usage: bench-ring [-s SIZE]... [-t SECONDS] "
                            "[-n RUNS]\n");
            return EXIT_FAILURE;
        }
    }
    if (!n_sizes) {
        n_sizes = 2;
    }
    for (int i = 0; i < n_sizes; i++) {
        if (sizes[i] < 64 || sizes[i] > 2048) {
            fprintf(stderr, "bench-ring: SIZE must be 64 to 2048\n");
            return EXIT_FAILURE;
        }
    }
    for (int run = 0; run < n_runs; run++) {
        for (int i = 0; i < n_sizes; i++) {
            bench(sizes[i], seconds);
        }
    }
    return EXIT_SUCCESS;
}
