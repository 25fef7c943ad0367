/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/generator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/placement.h"

#define N_TRIPS_MAX 1000000
#define MS UINT64_C(1000000) /* Nanoseconds. */

/* Before the measurement: each way for so long. */
#define WARM_UP_NS (100 * MS)
/* New flows can take so long, at most. */
#define FLOWS_NS (30000 * MS)
/* When nothing has come for so long, nothing is under way any more. */
#define QUIET_NS (200 * MS)

/* One measurement. */
struct generator {
    const struct generator_options *o;
    const struct generator_ends *ends;
    struct traffic ab, ba;

    uint64_t n_sent, n_received; /* From A to B. */
    double seconds;              /* That sending took. */
    double mpps;                 /* Received in these. */
    uint32_t p50_ns, p99_ns, p999_ns;
    double busy_ms;                         /* Rate and round trip. */
    double guest_delay_ms, switch_delay_ms; /* ... waited for a CPU. */
    uint64_t sum; /* Keeps the loads of received frames alive. */
};

/* Sets the defaults of all options. */
void
generator_defaults(struct generator_options *o)
{
    *o = (struct generator_options){
        .name = "switch",
        .size = 64,
        .n_flows = 1,
        .n_trips = 20000,
        .window = GENERATOR_WINDOW_MAX,
        .seconds = 1,
        .switch_cpu = 1,
    };
}

/* Takes option 'opt' of GENERATOR_OPTIONS.  Returns false if it is none. */
bool
generator_option(struct generator_options *o, int opt, const char *value)
{
    switch (opt) {
    case 's':
        o->size = atoi(value);
        break;
    case 't':
        o->seconds = atof(value);
        break;
    case 'c':
        o->cpu = atoi(value);
        break;
    case 'C':
        o->switch_cpu = atoi(value);
        break;
    case 'W':
        o->switch_tid = atoi(value);
        break;
    case 'V':
        o->sharing_tid = atoi(value);
        break;
    case 'p':
        o->copied = true;
        break;
    case 'k':
        o->name = value;
        break;
    case 'f':
        o->n_flows = atoi(value);
        break;
    case 'n':
        o->n_trips = atoi(value);
        break;
    case 'w':
        o->window = atoi(value);
        break;
    case 'T':
        o->tunnel = true;
        break;
    default:
        return false;
    }
    return true;
}

/* Returns NULL if the options are in range, else what is wrong. */
const char *
generator_check(const struct generator_options *o)
{
    return o->size < TRAFFIC_MIN || o->size > 9000 ? "-s must be 64 to 9000"
           : o->n_flows < 1 || o->n_flows > TRAFFIC_FLOWS_MAX
               ? "-f must be 1 to 1000000"
           : o->n_trips < 1000 || o->n_trips > N_TRIPS_MAX
               ? "-n must be 1000 to 1000000"
           : o->window < GENERATOR_BURST ? "-w must be at least 32"
                                         : NULL;
}

/* Sends one burst from A if the window allows for it, and receives. */
static inline unsigned int
step(struct generator *g)
{
    unsigned int n;

    if (g->n_sent - g->n_received <= g->o->window - GENERATOR_BURST) {
        g->n_sent += g->ends->send(0, &g->ab, GENERATOR_BURST);
    }
    n = g->ends->receive(1, g->o->copied, &g->sum);
    g->n_received += n;
    return n;
}

/* Receives until all have come or nothing comes any more. */
static void
drain(struct generator *g)
{
    uint64_t now = bench_now_ns();
    uint64_t last_received = now;

    while (g->n_received < g->n_sent && now - last_received < QUIET_NS) {
        unsigned int n = g->ends->receive(1, g->o->copied, &g->sum);

        g->n_received += n;
        now = bench_now_ns();
        last_received = n ? now : last_received;
    }
}

/* Sends one frame from end 'from' and waits for it at the other end.  Returns
 * whether it came within 'patience_ns'. */
static bool
hop(struct generator *g, int from, struct traffic *traffic,
    uint64_t patience_ns)
{
    uint64_t start = bench_now_ns();

    while (!g->ends->send(from, traffic, 1)) {
        if (bench_now_ns() - start > patience_ns) {
            return false;
        }
    }
    for (unsigned int i = 0; !g->ends->receive(!from, g->o->copied, &g->sum);
         i++) {
        if (!(i & 0xfff) && bench_now_ns() - start > patience_ns) {
            return false;
        }
    }
    return true;
}

/* How long a thread has run and waited for a CPU, in milliseconds. */
struct cpu_time {
    double ran, waited;
};

/* Returns the times of thread 'tid', or of this one if that is 0. */
static struct cpu_time
cpu_time(int tid)
{
    char path[64] = "/proc/thread-self/schedstat";
    unsigned long long int run_ns = 0, delay_ns = 0;
    FILE *file;

    if (tid) {
        snprintf(path, sizeof path, "/proc/%d/schedstat", tid);
    }
    file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%llu %llu", &run_ns, &delay_ns) != 2) {
            run_ns = delay_ns = 0;
        }
        fclose(file);
    }
    return (struct cpu_time){ run_ns / 1e6, delay_ns / 1e6 };
}

/* Returns the milliseconds, at 'now_ms', that the switch has waited for its CPU
 * since some time. */
static double
switch_delay_ms(const struct generator_options *o, double now_ms)
{
    if (o->sharing_tid) {
        return now_ms - cpu_time(o->switch_tid).ran
               - cpu_time(o->sharing_tid).ran;
    }
    return o->switch_tid ? cpu_time(o->switch_tid).waited : 0;
}

/* Sends single frames both ways until the switch has learned where A and B
 * are.  Returns NULL, or what went wrong. */
static const char *
warm_up_trips(struct generator *g)
{
    uint64_t start = bench_now_ns();
    bool works = false;

    while (bench_now_ns() - start < GENERATOR_SET_UP_NS && !works) {
        works = hop(g, 1, &g->ba, QUIET_NS) && hop(g, 0, &g->ab, QUIET_NS);
    }
    if (!works) {
        return "no frame passes the switch";
    }
    for (start = bench_now_ns(); bench_now_ns() - start < WARM_UP_NS;) {
        if (!hop(g, 1, &g->ba, GENERATOR_SET_UP_NS)
            || !hop(g, 0, &g->ab, GENERATOR_SET_UP_NS)) {
            return "frames are lost before any load";
        }
    }
    return NULL;
}

/* Sends at full rate, each flow at least twice: the first of its frames may
 * make the switch's flow, the second finds it.  Returns NULL, or what went
 * wrong. */
static const char *
warm_up_flows(struct generator *g)
{
    uint64_t now = bench_now_ns();
    uint64_t end = now + WARM_UP_NS;
    uint64_t last_received = now;

    while (now < end || g->n_sent < 2 * (uint64_t) g->o->n_flows) {
        unsigned int n = 0;

        for (int i = 0; i < 64; i++) {
            n += step(g);
        }
        now = bench_now_ns();
        if (n) {
            last_received = now;
        } else if (now - last_received > QUIET_NS) {
            /* Those that waited for their flow to be made were lost. */
            g->n_received = g->n_sent;
            last_received = now;
        }
        if (now > end + FLOWS_NS) {
            return "the switch's flows do not get made";
        }
    }
    drain(g);
    g->n_sent = g->n_received = 0;
    return NULL;
}

static void
bench_rate(struct generator *g)
{
    uint64_t start = bench_now_ns();
    uint64_t end = start + g->o->seconds * 1e9;
    uint64_t now = start;

    while (now < end) {
        for (int i = 0; i < 64; i++) {
            step(g);
        }
        now = bench_now_ns();
    }
    g->seconds = (now - start) / 1e9;
}

/* Returns NULL, or what went wrong. */
static const char *
bench_round_trip(struct generator *g)
{
    static uint32_t trips[N_TRIPS_MAX];
    unsigned int n = 0;
    /* Slow switches need not make all of them. */
    uint64_t end = bench_now_ns() + 2 * g->o->seconds * 1e9;

    while (n < g->o->n_trips) {
        uint64_t start = bench_now_ns();

        if (!hop(g, 0, &g->ab, GENERATOR_SET_UP_NS)
            || !hop(g, 1, &g->ba, GENERATOR_SET_UP_NS)) {
            return "a frame of the round trip was lost";
        }
        trips[n++] = bench_now_ns() - start;
        if (n >= 1000 && start > end) {
            break;
        }
    }
    bench_sort(trips, n);
    g->p50_ns = trips[n / 2];
    g->p99_ns = trips[(uint64_t) n * 99 / 100];
    g->p999_ns = trips[(uint64_t) n * 999 / 1000];
    return NULL;
}

/* Measures both.  Returns NULL, or what went wrong. */
static const char *
measure(struct generator *g)
{
    uint64_t start = bench_now_ns();
    const char *why;

    g->guest_delay_ms = -cpu_time(0).waited;
    g->switch_delay_ms = -switch_delay_ms(g->o, start / 1e6);
    bench_rate(g);
    /* Now, so that what drains is not counted. */
    g->mpps = g->n_received / g->seconds / 1e6;
    drain(g);
    why = bench_round_trip(g);
    g->guest_delay_ms += cpu_time(0).waited;
    g->switch_delay_ms += switch_delay_ms(g->o, bench_now_ns() / 1e6);
    g->busy_ms = (bench_now_ns() - start) / 1e6;
    return why;
}

static void
print_line(const struct generator *g, double before, double after)
{
    const struct generator_options *o = g->o;

    printf("bench case=%s size=%u mpps=%.3f gbps=%.2f rtt_p50_ns=%" PRIu32
           " rtt_p99_ns=%" PRIu32 " rtt_p999_ns=%" PRIu32 " lost=%" PRId64
           " guest=%s flows=%u line_ns=%.0f line_after_ns=%.0f placement=%s"
           " busy_ms=%.0f guest_delay_ms=%.1f switch_delay_ms=%.1f\n",
           o->name, o->size, g->mpps, g->mpps * 8e-3 * o->size, g->p50_ns,
           g->p99_ns, g->p999_ns, (int64_t) (g->n_sent - g->n_received),
           o->copied ? "copied" : "built", o->n_flows, before, after,
           bench_placement_pair(before, after), g->busy_ms, g->guest_delay_ms,
           g->switch_delay_ms);
    fflush(stdout);
}

/* Measures, and prints the line.  Returns NULL, or why it could not; then
 * nothing was printed. */
const char *
generator_run(const struct generator_options *o,
              const struct generator_ends *ends)
{
    static struct generator g;
    static volatile uint64_t sink;
    double before, after;
    const char *why;

    memset(&g, 0, sizeof g);
    g.o = o;
    g.ends = ends;
    traffic_init(&g.ab, TRAFFIC_AB, o->size, o->n_flows, o->copied);
    traffic_init(&g.ba, TRAFFIC_BA, o->size, 1, o->copied);
    if (o->tunnel) {
        traffic_encapsulate(&g.ba);
    }

    why = warm_up_trips(&g);
    if (!why) {
        why = warm_up_flows(&g);
    }
    if (why) {
        return why;
    }
    before = bench_line_round_trip_ns(o->cpu, o->switch_cpu);
    why = measure(&g);
    if (why) {
        return why;
    }
    after = bench_line_round_trip_ns(o->cpu, o->switch_cpu);
    print_line(&g, before, after);
    sink = g.sum;
    (void) sink;
    return NULL;
}
