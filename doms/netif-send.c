/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To a netfront: its receive ring.
 *
 * Frames are planned one after the other: which of the guest's pages take
 * them, and what the responses will say.  Then all of them are copied,
 * answered and told at once.
 */
#include <config.h>

#include "doms/netif-queue.h"

#include "doms/offload.h"
#include "packets.h"

/* A frame may be longer than the MTU by its header and two VLAN tags. */
#define FRAME_OVERHEAD (ETH_HEADER_LEN + 2 * VLAN_HEADER_LEN)

/* What the burst is about. */
struct sending {
    struct doms_channel_queue *queue;
    struct netif_queue *nq;
    const struct port_limits *limits;
    struct port_tx_stats *stats;
};

/* Looks how many requests there are.  Returns false if there are no more than
 * before. */
static bool
look_for_requests(const struct sending *x)
{
    struct netif_sender *s = &x->nq->sender;
    uint32_t n = DOMS_LOAD_ACQUIRE(&x->nq->rx->req_prod) - s->cons;

    if (OVS_UNLIKELY(n > NETIF_RING_SIZE || n < s->n_free)) {
        x->queue->q.tx.broken = DOMS_RING_BAD_TAIL;
        return false;
    }
    if (n == s->n_free) {
        return false;
    }
    s->n_free = n;
    return true;
}

/* Copies, answers and tells what has been planned. */
static void
flush(const struct sending *x)
{
    struct netif_queue *nq = x->nq;
    struct netif_sender *s = &nq->sender;
    uint32_t old = s->cons;
    uint32_t n_failed = 0;

    if (!s->n_filled) {
        return;
    }
    netif_copy(nq, s->copies, s->n_copies);
    for (uint32_t i = 0; i < s->n_copies; i++) {
        if (OVS_UNLIKELY(s->copies[i].status != GNTST_okay)) {
            s->filled[s->copied_to[i]].response.status = NETIF_RSP_ERROR;
            n_failed++;
        }
    }
    if (OVS_UNLIKELY(n_failed)) {
        port_io_add(&x->stats->bad_grants, n_failed);
    }
    for (uint32_t i = 0; i < s->n_filled; i++) {
        uint64_t *slot = (uint64_t *) &nq->rx
                             ->ring[(old + i) & (NETIF_RING_SIZE - 1)];

        DOMS_WRITE_ONCE(*slot, s->filled[i].word);
    }
    s->cons += s->n_filled;
    s->n_free -= s->n_filled;
    s->n_filled = s->n_copies = s->n_segments = 0;
    DOMS_STORE_RELEASE(&nq->rx->rsp_prod, s->cons);
    netif_keep_quiet(&nq->rx->req_event, &s->req_event, s->cons);
    port_io_add(&x->stats->batches, 1);
    if (netif_notify(nq, nq->rx_port, &nq->rx->rsp_event, old, s->cons)) {
        port_io_add(&x->stats->bells, 1);
    }
}

/* Plans that the 'length' bytes at 'data', at most a page of them, go into the
 * page of the next request, with 'flags' (NETRXF_*) in its response. */
static void
plan_piece(struct netif_queue *nq, const uint8_t *data, uint32_t length,
           uint16_t flags)
{
    struct netif_sender *s = &nq->sender;
    uint32_t slot = (s->cons + s->n_filled) & (NETIF_RING_SIZE - 1);
    const struct netif_rx_request *request = &nq->rx->ring[slot].req;
    xengnttab_grant_copy_segment_t *copy = &s->copies[s->n_copies];

    copy->source.virt = CONST_CAST(uint8_t *, data);
    copy->dest.foreign.ref = DOMS_READ_ONCE(request->gref);
    copy->dest.foreign.offset = 0;
    copy->dest.foreign.domid = nq->domid;
    copy->len = length;
    copy->flags = GNTCOPY_dest_gref;
    s->copied_to[s->n_copies++] = s->n_filled;
    s->filled[s->n_filled++].response = (struct netif_rx_response){
        .id = DOMS_READ_ONCE(request->id),
        .offset = 0,
        .flags = flags,
        .status = length,
    };
}

/* Plans that the 'length' bytes at 'frame', which must stay there until
 * flush(), go to the guest, with what 'o' asks for, or nothing if it is NULL.
 * Returns false if there are not enough requests. */
static bool
plan_frame(const struct sending *x, const uint8_t *frame, uint32_t length,
           const struct doms_offload *o)
{
    struct netif_sender *s = &x->nq->sender;
    bool has_extra = o && o->gso_type != DOMS_GSO_NONE;
    uint16_t flags = o ? NETRXF_csum_blank | NETRXF_data_validated : 0;
    uint32_t n_slots = DIV_ROUND_UP(length, NETIF_PAGE_SIZE) + has_extra;

    if (OVS_UNLIKELY(s->n_filled + n_slots > s->n_free)
        && (!look_for_requests(x) || s->n_filled + n_slots > s->n_free)) {
        return false;
    }
    flags |= has_extra ? NETRXF_extra_info : 0;
    for (uint32_t ofs = 0; ofs < length; ofs += NETIF_PAGE_SIZE) {
        uint32_t n = MIN(length - ofs, NETIF_PAGE_SIZE);

        plan_piece(x->nq, frame + ofs, n,
                   flags | (ofs + n < length ? NETRXF_more_data : 0));
        if (has_extra && !ofs) {
            union netif_filled *filled = &s->filled[s->n_filled++];

            filled->word = 0;
            filled->extra.type = XEN_NETIF_EXTRA_TYPE_GSO;
            filled->extra.u.gso.size = o->gso_size;
            filled->extra.u.gso.type = o->gso_type == DOMS_GSO_TCPV4
                                           ? XEN_NETIF_GSO_TYPE_TCPV4
                                           : XEN_NETIF_GSO_TYPE_TCPV6;
        }
        flags = 0;
    }
    return true;
}

/* Plans that the segment 'frame' goes to the guest, from a copy of it. */
static bool
plan_segment(void *x_, const void *frame, uint32_t length)
{
    const struct sending *x = x_;
    struct netif_sender *s = &x->nq->sender;
    uint8_t *copy;

    if (s->n_segments + length > NETIF_SEGMENTS_SIZE) {
        flush(x);
    }
    copy = s->segments + s->n_segments;
    memcpy(copy, frame, length);
    if (!plan_frame(x, copy, length, NULL)) {
        return false;
    }
    s->n_segments += length;
    return true;
}

/* Plans 'packet', whose checksum or segmentation is still to be done.  Returns
 * false if there are not enough requests. */
static bool
plan_offloaded(struct sending *x, struct dp_packet *packet)
{
    const struct netif_can *can = &x->nq->can;
    bool is_v6 = (*dp_packet_ol_flags_ptr(packet) & DP_PACKET_OL_TX_IPV6) != 0;
    uint64_t features = is_v6 ? can->features_v6 : can->features_v4;
    uint32_t length = dp_packet_size(packet);
    int mtu = x->limits->mtu;
    struct doms_offload o;
    uint32_t n = 0;
    uint64_t n_bytes = 0;
    bool ok;

    switch (offload_to_guest(packet, features, mtu, can->max_length, &o)) {
    case OFFLOAD_PASS:
    case OFFLOAD_DONE:
        if (length > can->max_length) {
            port_io_add(&x->stats->too_long, 1);
            return true;
        }
        ok = plan_frame(x, dp_packet_data(packet), length,
                        features & DOMS_F_CSUM ? &o : NULL);
        n = ok;
        n_bytes = ok ? length : 0;
        break;
    case OFFLOAD_SEGMENT:
        ok = offload_segment(packet, mtu, plan_segment, x, &n, &n_bytes);
        break;
    case OFFLOAD_IMPOSSIBLE:
    default:
        port_io_add(&x->stats->no_offload, 1);
        ok = true;
        break;
    }
    port_io_add(&x->stats->packets, n);
    port_io_add(&x->stats->bytes, n_bytes);
    return ok;
}

/* Plans 'packet'.  Returns false if there are not enough requests. */
static bool
plan_packet(struct sending *x, struct dp_packet *packet)
{
    uint32_t length = dp_packet_size(packet);

    if (offload_is_needed(packet)) {
        return plan_offloaded(x, packet);
    }
    if (OVS_UNLIKELY(length > x->limits->mtu + FRAME_OVERHEAD
                     || length > x->nq->can.max_length
                     || length < DOMS_FRAME_MIN)) {
        port_io_add(&x->stats->too_long, 1);
        return true;
    }
    if (!plan_frame(x, dp_packet_data(packet), length, NULL)) {
        return false;
    }
    port_io_add(&x->stats->packets, 1);
    port_io_add(&x->stats->bytes, length);
    return true;
}

void
netif_send(struct doms_channel_queue *queue,
           const struct dp_packet_batch *batch,
           const struct port_limits *limits, struct port_tx_stats *stats)
{
    struct sending x = { queue, queue->netif, limits, stats };
    size_t i = 0;

    if (OVS_LIKELY(!queue->q.tx.broken)) {
        while (i < batch->count && plan_packet(&x, batch->packets[i])) {
            i++;
        }
        flush(&x);
    }
    if (OVS_UNLIKELY(i < batch->count)) {
        port_io_add(&stats->ring_full, batch->count - i);
    }
}
