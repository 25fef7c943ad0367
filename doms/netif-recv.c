/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a netfront: its transmit ring.
 */
#include <config.h>

#include "doms/netif-queue.h"

#include "doms/offload.h"
#include "doms/packet-pool.h"
#include "openvswitch/vlog.h"
#include "packets.h"

VLOG_DEFINE_THIS_MODULE(doms_netif_recv);

/* A frame may be longer than the MTU by its header and two VLAN tags. */
#define FRAME_OVERHEAD (ETH_HEADER_LEN + 2 * VLAN_HEADER_LEN)

BUILD_ASSERT_DECL(NETIF_PAGE_SIZE *NETIF_MAX_PIECES > PACKET_GSO_ROOM);

/* Returns how many requests there are; 0 if a rule is broken. */
static inline uint32_t
available(struct doms_channel_queue *queue)
{
    uint32_t n = DOMS_LOAD_ACQUIRE(queue->q.rx.head_page) - queue->q.rx.tail;

    if (OVS_UNLIKELY(queue->q.rx.broken)) {
        return 0;
    }
    if (OVS_UNLIKELY(n > NETIF_RING_SIZE)) {
        queue->q.rx.broken = DOMS_RING_BAD_HEAD;
        return 0;
    }
    return n;
}

/* Copies the slot that is number 'count' of all that were ever used. */
static inline void
read_slot(const struct netif_queue *nq, uint32_t count, union netif_slot *slot)
{
    const union netif_slot *shared = (const void *) &nq->tx
                                         ->ring[count & (NETIF_RING_SIZE - 1)];

    for (size_t i = 0; i < ARRAY_SIZE(slot->words); i++) {
        slot->words[i] = DOMS_READ_ONCE(shared->words[i]);
    }
}

static void
report(const struct netif_queue *nq, const char *why)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(6, 6);

    VLOG_WARN_RL(&rl, "domain %" PRIu32 ": its netfront sent %s", nq->domid,
                 why);
}

/* Reads the next frame, of up to 'n' slots, into 'f'.  Returns how many they
 * are, or 0 if they break a rule. */
static uint32_t
read_frame(struct doms_channel_queue *queue, uint32_t n, struct netif_frame *f)
{
    const struct netif_queue *nq = queue->netif;
    enum netif_verdict verdict = NETIF_MORE;
    union netif_slot slot;
    uint32_t i;

    netif_frame_begin(f);
    for (i = 0; i < n && verdict == NETIF_MORE; i++) {
        read_slot(nq, queue->q.rx.tail + i, &slot);
        verdict = netif_frame_add(f, &slot);
    }
    if (OVS_UNLIKELY(verdict == NETIF_MORE)) {
        f->why = "a frame that is not whole";
        verdict = NETIF_BROKEN;
    }
    if (OVS_UNLIKELY(f->why)) {
        report(nq, f->why);
    }
    if (OVS_UNLIKELY(verdict == NETIF_BROKEN)) {
        queue->q.rx.broken = DOMS_RING_BAD_REQUEST;
        return 0;
    }
    return i;
}

/* Has the pieces of 'f' copied to the packet of 'a'. */
static void
plan_copies(struct netif_queue *nq, const struct netif_frame *f,
            struct netif_arrival *a)
{
    struct netif_receiver *r = &nq->receiver;
    uint8_t *place = dp_packet_data(a->packet);

    for (uint32_t i = 0; i < f->n_pieces; i++) {
        const struct netif_piece *piece = &f->pieces[i];
        xengnttab_grant_copy_segment_t *copy;

        if (!piece->length) {
            continue;
        }
        copy = &r->copies[r->n_copies++];
        copy->source.foreign.ref = piece->reference;
        copy->source.foreign.offset = piece->offset;
        copy->source.foreign.domid = nq->domid;
        copy->dest.virt = place;
        copy->len = piece->length;
        copy->flags = GNTCOPY_source_gref;
        place += piece->length;
    }
    a->n_copies = r->n_copies - a->first_copy;
}

/* Returns true if 'limits' allow 'f'. */
static bool
fits(const struct netif_frame *f, const struct port_limits *limits)
{
    return f->gso_type == XEN_NETIF_GSO_TYPE_NONE
               ? f->length <= limits->mtu + FRAME_OVERHEAD
               : f->length <= PACKET_GSO_ROOM;
}

/* Takes up to NETDEV_MAX_BURST frames from the ring, and plans what is to be
 * copied. */
static void
take_frames(struct doms_channel_queue *queue, uint32_t n,
            const struct port_limits *limits, struct port_rx_stats *stats)
{
    struct packet_pool *pool = packet_pool_get();
    struct netif_queue *nq = queue->netif;
    struct netif_receiver *r = &nq->receiver;
    struct netif_frame f;

    r->n_arrivals = r->n_copies = r->n_responses = 0;
    while (n && r->n_arrivals < NETDEV_MAX_BURST) {
        struct netif_arrival *a = &r->arrivals[r->n_arrivals];
        uint32_t n_slots = read_frame(queue, n, &f);

        if (!n_slots) {
            break;
        }
        n -= n_slots;
        queue->q.rx.tail += n_slots;
        r->n_arrivals++;
        a->packet = NULL;
        a->first_copy = r->n_copies;
        a->n_copies = 0;
        a->first_response = r->n_responses;
        a->n_responses = netif_frame_respond(
            &f, f.why ? NETIF_RSP_ERROR : NETIF_RSP_OKAY,
            &r->responses[r->n_responses]);
        r->n_responses += a->n_responses;
        if (f.why) {
            port_io_add(&stats->bad_offload, 1);
        } else if (!fits(&f, limits)) {
            port_io_add(&stats->oversize, 1);
        } else {
            a->packet = packet_pool_take(pool, f.length);
            a->csum_blank = f.csum_blank;
            a->gso_type = f.gso_type == XEN_NETIF_GSO_TYPE_TCPV4
                              ? DOMS_GSO_TCPV4
                          : f.gso_type == XEN_NETIF_GSO_TYPE_TCPV6
                              ? DOMS_GSO_TCPV6
                              : DOMS_GSO_NONE;
            plan_copies(nq, &f, a);
        }
    }
    if (OVS_UNLIKELY(pool->misses)) {
        port_io_add(&stats->pool_misses, packet_pool_take_misses(pool));
    }
}

/* Returns true if all copies of 'a' have worked; if not, tells the guest. */
static bool
is_copied(struct netif_receiver *r, const struct netif_arrival *a)
{
    for (uint32_t i = 0; i < a->n_copies; i++) {
        if (OVS_UNLIKELY(r->copies[a->first_copy + i].status != GNTST_okay)) {
            for (uint32_t j = 0; j < a->n_responses; j++) {
                struct netif_tx_response
                    *response = &r->responses[a->first_response + j];

                if (response->status == NETIF_RSP_OKAY) {
                    response->status = NETIF_RSP_ERROR;
                }
            }
            return false;
        }
    }
    return true;
}

/* Puts what has been copied into 'batch', and drops what makes no sense.
 * Returns the bytes that are left. */
static uint64_t
finish_frames(struct netif_receiver *r, struct dp_packet_batch *batch,
              const struct port_limits *limits, struct port_rx_stats *stats)
{
    uint64_t n_bytes = 0;

    for (uint32_t i = 0; i < r->n_arrivals; i++) {
        const struct netif_arrival *a = &r->arrivals[i];

        if (!a->packet) {
            continue;
        }
        if (!is_copied(r, a)) {
            port_io_add(&stats->bad_grants, 1);
            dp_packet_delete(a->packet);
        } else if ((a->csum_blank || a->gso_type != DOMS_GSO_NONE)
                   && !offload_from_netfront(a->gso_type, limits->features,
                                             a->packet)) {
            port_io_add(&stats->bad_offload, 1);
            dp_packet_delete(a->packet);
        } else {
            n_bytes += dp_packet_size(a->packet);
            batch->packets[batch->count++] = a->packet;
        }
    }
    return n_bytes;
}

/* Puts all responses into the ring. */
static void
respond(struct doms_channel_queue *queue)
{
    struct netif_queue *nq = queue->netif;
    struct netif_receiver *r = &nq->receiver;
    uint32_t new = queue->q.rx.tail;
    uint32_t old = new - r->n_responses;

    if (!r->n_responses) {
        return;
    }
    for (uint32_t i = 0; i < r->n_responses; i++) {
        nq->tx->ring[(old + i) & (NETIF_RING_SIZE - 1)].rsp = r->responses[i];
    }
    DOMS_STORE_RELEASE(&nq->tx->rsp_prod, new);
    netif_keep_quiet(&nq->tx->req_event, &r->req_event, new);
    netif_notify(nq, nq->tx_port, &nq->tx->rsp_event, old, new);
}

uint32_t
netif_recv(struct doms_channel_queue *queue, struct dp_packet_batch *batch,
           const struct port_limits *limits, struct port_rx_stats *stats)
{
    struct netif_receiver *r = &queue->netif->receiver;
    uint32_t n = available(queue);
    uint64_t n_bytes;
    uint32_t n_policed;

    if (!n) {
        return 0;
    }
    take_frames(queue, n, limits, stats);
    netif_copy(queue->netif, r->copies, r->n_copies);
    batch->count = 0;
    n_bytes = finish_frames(r, batch, limits, stats);
    respond(queue);

    n_policed = policer_run(limits->policer, batch, &n_bytes);
    if (OVS_UNLIKELY(n_policed)) {
        port_io_add(&stats->policed, n_policed);
    }
    port_io_add(&stats->packets, batch->count);
    port_io_add(&stats->bytes, n_bytes);
    port_io_add(&stats->batches, batch->count != 0);
    return batch->count;
}

/* Forgets up to 'max' frames that the guest has sent. */
uint32_t
netif_discard(struct doms_channel_queue *queue, uint32_t max)
{
    struct netif_receiver *r = &queue->netif->receiver;
    uint32_t n = available(queue);
    uint32_t n_frames = 0;
    struct netif_frame f;

    r->n_responses = 0;
    while (n && n_frames < max) {
        uint32_t n_slots = read_frame(queue, n, &f);

        if (!n_slots) {
            break;
        }
        n -= n_slots;
        queue->q.rx.tail += n_slots;
        r->n_responses += netif_frame_respond(&f, NETIF_RSP_DROPPED,
                                              &r->responses[r->n_responses]);
        n_frames++;
    }
    respond(queue);
    return n_frames;
}

uint32_t
netif_backlog(struct doms_channel_queue *queue)
{
    return available(queue);
}
