/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/policer.h"

#include <time.h>

#include "timeval.h"

#define NS_PER_S UINT64_C(1000000000)

/* Initializes 'policer', off. */
void
policer_init(struct policer *policer)
{
    memset(policer, 0, sizeof *policer);
    atomic_init(&policer->on, false);
    ovs_mutex_init(&policer->mutex);
}

void
policer_destroy(struct policer *policer)
{
    ovs_mutex_destroy(&policer->mutex);
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    xclock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Lets 'rate' bytes a second pass, in bursts of up to 'burst' bytes.  A 'rate'
 * of 0 turns the policer off.  OVS sets all policers again whenever anything
 * is configured: what is the same does not fill the bucket. */
void
policer_set(struct policer *policer, uint64_t rate, uint64_t burst)
{
    ovs_mutex_lock(&policer->mutex);
    if (rate != policer->rate || burst != policer->burst) {
        policer->rate = rate;
        policer->burst = MIN(burst, INT64_MAX);
        policer->tokens = policer->burst;
        policer->last_ns = now_ns();
    }
    ovs_mutex_unlock(&policer->mutex);
    atomic_store_relaxed(&policer->on, rate != 0);
}

/* Stores what was set last. */
void
policer_get(struct policer *policer, uint64_t *rate, uint64_t *burst)
{
    ovs_mutex_lock(&policer->mutex);
    *rate = policer->rate;
    *burst = policer->burst;
    ovs_mutex_unlock(&policer->mutex);
}

/* Adds the tokens of the time since the last call. */
static void
policer_refill(struct policer *policer) OVS_REQUIRES(policer->mutex)
{
    uint64_t now = now_ns();
    uint64_t elapsed = MIN(now - policer->last_ns, NS_PER_S);
    uint64_t tokens = (unsigned __int128) policer->rate * elapsed / NS_PER_S;
    uint64_t room = policer->burst - policer->tokens;

    /* Time too short for a token is kept for the next call. */
    if (tokens) {
        policer->last_ns = now;
        policer->tokens += MIN(tokens, room);
    }
}

uint32_t
policer_run__(struct policer *policer, struct dp_packet_batch *batch,
              uint64_t *n_bytes)
{
    const size_t n = dp_packet_batch_size(batch);
    struct dp_packet *packet;
    uint32_t n_dropped = 0;
    size_t i;

    ovs_mutex_lock(&policer->mutex);
    policer_refill(policer);
    DP_PACKET_BATCH_REFILL_FOR_EACH (i, n, packet, batch) {
        int64_t length = dp_packet_size(packet);

        if (policer->tokens >= MIN(length, (int64_t) policer->burst)) {
            policer->tokens -= length;
            dp_packet_batch_refill(batch, packet, i);
        } else {
            *n_bytes -= length;
            dp_packet_delete(packet);
            n_dropped++;
        }
    }
    ovs_mutex_unlock(&policer->mutex);
    return n_dropped;
}
