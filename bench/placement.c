/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1

#include "bench/placement.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Two words, each on a line of its own, handed back and forth.  Where in the
 * host's caches a line lives depends on its address, and so does its time: a
 * few of them are measured. */
static struct pair {
    _Alignas(128) uint32_t ping;
    _Alignas(128) uint32_t pong;
} pairs[16];

#define N_PAIRS (sizeof pairs / sizeof pairs[0])
#define PAIR_DONE UINT32_MAX

/* The switch's thread polls on one of the CPUs meanwhile: a block is shorter
 * than the time that the scheduler lets the measuring thread run at a
 * stretch, and there are enough of them that one is not interrupted. */
#define N_ROUNDS 400
#define N_BLOCKS 16

/* Returns the time of the monotonic clock in nanoseconds. */
uint64_t
bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

/* Binds the calling thread to 'cpu'.  Returns 0 or a positive errno value. */
int
bench_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/* Starts a thread that is bound to 'cpu' from its first instruction: inherited
 * from a caller that spins, the caller's CPU would keep it from ever moving.
 * Returns 0 or a positive errno value. */
int
bench_thread_on(int cpu, pthread_t *thread, void *(*start)(void *), void *arg)
{
    pthread_attr_t attr;
    cpu_set_t set;
    int error;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_attr_init(&attr);
    error = pthread_attr_setaffinity_np(&attr, sizeof set, &set);
    if (!error) {
        error = pthread_create(thread, &attr, start, arg);
    }
    pthread_attr_destroy(&attr);
    return error;
}

static void *
echo_main(void *arg)
{
    (void) arg;
    for (struct pair *pair = pairs; pair < &pairs[N_PAIRS]; pair++) {
        uint32_t seen = 0;

        while (seen != PAIR_DONE) {
            uint32_t ping = __atomic_load_n(&pair->ping, __ATOMIC_ACQUIRE);

            if (ping != seen) {
                seen = ping;
                __atomic_store_n(&pair->pong, ping, __ATOMIC_RELEASE);
            }
        }
    }
    return NULL;
}

/* Returns the time, in nanoseconds, that N_ROUNDS of a word and its answer
 * take, the best of a few tries. */
static uint64_t
ping_pair(struct pair *pair)
{
    uint64_t best = UINT64_MAX;
    uint32_t i = 0;

    for (int block = 0; block < N_BLOCKS; block++) {
        uint64_t start = bench_now_ns();
        uint64_t elapsed;

        for (uint32_t end = i + N_ROUNDS; i < end;) {
            __atomic_store_n(&pair->ping, ++i, __ATOMIC_RELEASE);
            while (__atomic_load_n(&pair->pong, __ATOMIC_ACQUIRE) != i) {
                continue;
            }
        }
        elapsed = bench_now_ns() - start;
        best = elapsed < best ? elapsed : best;
    }
    __atomic_store_n(&pair->ping, PAIR_DONE, __ATOMIC_RELEASE);
    return best;
}

/* Returns the time, in nanoseconds, that a word takes from 'cpu_a' to 'cpu_b'
 * and back, the mean of a few cache lines, or 0 if it cannot be measured.
 * Leaves the calling thread on 'cpu_a'. */
double
bench_line_round_trip_ns(int cpu_a, int cpu_b)
{
    uint64_t sum = 0;
    pthread_t echo;

    memset(pairs, 0, sizeof pairs);
    if (cpu_a == cpu_b || bench_pin(cpu_a)
        || bench_thread_on(cpu_b, &echo, echo_main, NULL)) {
        return 0;
    }
    for (unsigned int i = 0; i < N_PAIRS; i++) {
        sum += ping_pair(&pairs[i]);
    }
    pthread_join(echo, NULL);
    return (double) sum / N_PAIRS / N_ROUNDS;
}

/* Returns the name of the placement that 'round_trip_ns' shows: two hardware
 * threads of a core, two cores that share a cache, or far apart. */
const char *
bench_placement(double round_trip_ns)
{
    return round_trip_ns <= 0    ? "unknown"
           : round_trip_ns < 85  ? "smt"
           : round_trip_ns < 400 ? "near"
                                 : "far";
}

/* Returns the placement of a run, "moved" if it was another one after it. */
const char *
bench_placement_pair(double before_ns, double after_ns)
{
    const char *before = bench_placement(before_ns);

    return strcmp(before, bench_placement(after_ns)) ? "moved" : before;
}

static int
compare_u32(const void *a_, const void *b_)
{
    uint32_t a = *(const uint32_t *) a_;
    uint32_t b = *(const uint32_t *) b_;

    return a < b ? -1 : a > b;
}

/* Sorts 'n' values, for percentiles. */
void
bench_sort(uint32_t *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_u32);
}
