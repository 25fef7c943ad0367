/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/port-io.h"

#include <sys/socket.h>

static const char *variant;

/* Takes up to 'max' records out of the ring and forgets them.  The count is
 * taken once, so that a guest that goes on sending cannot keep this going. */
static uint32_t
discard(struct doms_channel_queue *queue, uint32_t max)
{
    struct doms_ring_reader *r = &queue->q.rx;
    uint32_t n = doms_ring_poll(r, max);
    struct doms_record rec;
    uint32_t i = 0;

    while (i < n && doms_ring_peek(r, &rec)) {
        i++;
    }
    doms_ring_release(r);
    return i;
}

static uint32_t
backlog(struct doms_channel_queue *queue)
{
    return doms_ring_poll(&queue->q.rx, UINT32_MAX);
}

static void
announce_sleep(struct doms_channel_queue *queue)
{
    doms_queue_announce_sleep(&queue->q);
}

static void
wake_up(struct doms_channel_queue *queue)
{
    doms_queue_wake_up(&queue->q);
}

/* At most one buffer full. */
static void
drain_bell(const struct doms_channel_queue *queue)
{
    uint8_t buf[64];

    ignore(recv(queue->peer_bell_fd, buf, sizeof buf, MSG_DONTWAIT));
}

struct doms_channel_io port_io_ring = {
    .recv = port_io_rx_generic,
    .send = port_io_tx_generic,
    .discard = discard,
    .backlog = backlog,
    .announce_sleep = announce_sleep,
    .wake_up = wake_up,
    .drain_bell = drain_bell,
};

/* Picks the variants.  Must be called before the first packet, by one
 * thread. */
void
port_io_init(void)
{
    variant = "generic";
#if __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("bmi2")) {
        port_io_ring.recv = port_io_rx_avx512;
        port_io_ring.send = port_io_tx_avx512;
        variant = "avx512";
    }
#endif
}

/* Returns the name of the variant in use, for status. */
const char *
port_io_variant(void)
{
    return variant;
}
