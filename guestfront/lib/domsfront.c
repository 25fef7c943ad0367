/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "front.h"

static __thread char last_error[256];

uint64_t
df_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
}

/* Returns a text for the last error that domsfront_open() or
 * domsfront_idle_open() returned to this thread. */
const char *
domsfront_last_error(void)
{
    return last_error;
}

/* Notes a text for domsfront_last_error().  Returns 'error'. */
int __attribute__((format(printf, 2, 3)))
df_fail(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return error;
}

/* Puts the path of the switch's socket into 'df->path'. */
static int
choose_path(struct domsfront *df, const char *path)
{
    const char *dir = getenv("OVS_RUNDIR");
    char whole[DF_PATH_MAX + 2];
    int n;

    if (path) {
        n = snprintf(whole, sizeof whole, "%s", path);
    } else {
        n = snprintf(whole, sizeof whole, "%s/doms.sock",
                     dir && *dir ? dir : "/var/run/openvswitch");
    }
    if (n < 1) {
        return df_fail(EINVAL, "socket path is empty");
    }
    if (n > DF_PATH_MAX) {
        return df_fail(ENAMETOOLONG,
                       "socket path of %d bytes is too long, "
                       "at most %d are possible; use a shorter directory",
                       n, DF_PATH_MAX);
    }
    memcpy(df->path, whole, n + 1);
    return 0;
}

/* Fills in 'df->hello' and 'df->n_queues'. */
static int
make_hello(struct domsfront *df, const struct domsfront_config *config)
{
    static const uint8_t zero[6];
    struct doms_msg_hello *hello = &df->hello;

    if (!config->name || !doms_name_is_valid(config->name)) {
        return df_fail(EINVAL,
                       "name '%.80s' is not a guest's name; use 1 to "
                       "63 letters, digits, '_', '-' or '.', the first of "
                       "them a letter or a digit",
                       config->name ? config->name : "");
    }
    memcpy(hello->name, config->name, strlen(config->name));

    df->n_queues = config->n_queues ? config->n_queues : 1;
    if (df->n_queues > DOMS_MAX_QUEUES) {
        return df_fail(EINVAL, "%u queues are too many; use 1 to %u",
                       config->n_queues, DOMS_MAX_QUEUES);
    }
    hello->n_queues = df->n_queues;

    if (config->arena_size
        && !doms_ring_arena_size_is_valid(config->arena_size)) {
        return df_fail(EINVAL,
                       "arena of %u bytes is not possible; use a "
                       "power of 2 from %u to %u",
                       config->arena_size, DOMS_ARENA_MIN, DOMS_ARENA_MAX);
    }
    hello->arena_size = config->arena_size;

    if (memcmp(config->mac, zero, sizeof zero)
        && !doms_mac_is_valid(config->mac)) {
        return df_fail(EINVAL, "MAC is a group address; clear the lowest bit "
                               "of its first byte");
    }
    memcpy(hello->mac, config->mac, sizeof hello->mac);

    if (config->features & ~DOMS_F_ALL) {
        return df_fail(EINVAL, "features 0x%llx are unknown",
                       (unsigned long long) (config->features & ~DOMS_F_ALL));
    }
    hello->features = config->features;
    return 0;
}

static int
make_queues(struct domsfront *df)
{
    size_t size = df->n_queues * sizeof *df->queues;

    df->queues = aligned_alloc(__alignof__(struct df_queue), size);
    if (!df->queues) {
        return df_fail(ENOMEM, "out of memory");
    }
    memset(df->queues, 0, size);
    for (unsigned int i = 0; i < df->n_queues; i++) {
        df->queues[i].bell_wait = -1;
        df->queues[i].bell_ring = -1;
    }
    return 0;
}

/* Makes a front as 'config' says, which need not live on, and points '*dfp' to
 * it.  It starts to connect at the first domsfront_run().
 *
 * Returns 0, EINVAL or ENAMETOOLONG if 'config' cannot be, or ENOMEM; then
 * domsfront_last_error() tells more and '*dfp' is NULL.  That there is no
 * switch is not an error. */
int
domsfront_open(const struct domsfront_config *config, struct domsfront **dfp)
{
    struct domsfront *df = calloc(1, sizeof *df);
    int error;

    *dfp = NULL;
    if (!df) {
        return df_fail(ENOMEM, "out of memory");
    }
    df->sock = -1;
    df->backoff = DF_BACKOFF_MIN_US;
    error = choose_path(df, config->socket_path);
    if (!error) {
        error = make_hello(df, config);
    }
    if (!error) {
        error = make_queues(df);
    }
    if (error) {
        free(df);
        return error;
    }
    df->epoch = df_now() ^ ((uint32_t) getpid() << 12);
    *dfp = df;
    return 0;
}

/* Leaves the switch in good order and frees 'df', which may be NULL.  No
 * thread may be using one of its queues. */
void
domsfront_close(struct domsfront *df)
{
    if (df) {
        df_hang_up(df, DOMS_STATE_CLOSED);
        df_channel_unmap(df);
        free(df->queues);
        free(df);
    }
}

/* Adds up the counters of all queues of 'df' into 'sum'. */
static void
sum_counters(const struct domsfront *df, struct domsfront_counters *sum)
{
    memset(sum, 0, sizeof *sum);
    for (unsigned int i = 0; i < df->n_queues; i++) {
        const struct df_counters *c = &df->queues[i].counters;

#define ADD(NAME) sum->NAME += __atomic_load_n(&c->NAME, __ATOMIC_RELAXED)
        ADD(rx_frames);
        ADD(rx_bytes);
        ADD(rx_bad_offload);
        ADD(rx_too_long);
        ADD(tx_frames);
        ADD(tx_bytes);
        ADD(tx_full);
        ADD(bells_rung);
        ADD(bells_heard);
#undef ADD
    }
    sum->connects = df->connects;
    sum->faults = df->faults;
}

/* Fills in '*status' with what is known of 'df'. */
void
domsfront_get_status(const struct domsfront *df,
                     struct domsfront_status *status)
{
    memset(status, 0, sizeof *status);
    status->state = df->phase == DF_UP      ? DOMSFRONT_UP
                    : df->phase == DF_HELLO ? DOMSFRONT_WAITING
                                            : DOMSFRONT_CONNECTING;
    status->error = df->error;
    status->reason = df->reason;
    status->socket_path = df->path;
    memcpy(status->mac, df->config.mac, sizeof status->mac);
    status->mtu = df->config.mtu;
    status->link_up = df->config.link_up;
    if (df->phase == DF_UP) {
        status->n_queues = df->welcome.n_queues;
        status->arena_size = df->welcome.arena_size;
        status->features = df->welcome.features;
        status->epoch = df->welcome.epoch;
    }
    sum_counters(df, &status->counters);
}
