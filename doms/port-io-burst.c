/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bursts of port-io.h.  The build compiles this file once for each
 * instruction set, with PORT_IO_RX and PORT_IO_TX as the names of its two
 * functions.
 */
#include <config.h>

#if __AVX512F__ && __AVX512BW__ && __BMI2__
#include <immintrin.h>
#endif
#include <sys/socket.h>

#include "doms/offload.h"
#include "doms/packet-pool.h"
#include "doms/port-io.h"
#include "netdev.h"
#include "packets.h"
#include "util.h"

/* Frames longer than this go through memcpy(), which is better at them. */
#define INLINE_COPY_MAX 1536

/* For frames as long as this it pays that no store crosses two lines. */
#define ALIGNED_COPY_MIN 512

/* A frame may be longer than the MTU by its header and two VLAN tags. */
#define FRAME_OVERHEAD (ETH_HEADER_LEN + 2 * VLAN_HEADER_LEN)

/* The bursts work on a copy of the ring's private state: whatever else they
 * write could be that state, as far as the compiler knows, so that it would
 * have to be read and written for each frame. */

/* Copies 'length' bytes, at least DOMS_FRAME_MIN, and touches no others: what
 * lies behind them is private in one direction and may not be mapped in the
 * other. */
static inline void
copy_frame(void *dst_, const void *src_, uint32_t length)
{
    uint8_t *dst = dst_;
    const uint8_t *src = src_;

    if (length > INLINE_COPY_MAX) {
        memcpy(dst, src, length);
        return;
    }

#if __AVX512F__ && __AVX512BW__ && __BMI2__
    if (length >= ALIGNED_COPY_MIN) {
        uint32_t head = -(uintptr_t) dst & 63;
        __mmask64 mask = _bzhi_u64(UINT64_MAX, head);

        _mm512_mask_storeu_epi8(dst, mask, _mm512_maskz_loadu_epi8(mask, src));
        dst += head;
        src += head;
        length -= head;
    }
    for (; length >= 64; length -= 64, dst += 64, src += 64) {
        _mm512_storeu_si512(dst, _mm512_loadu_si512(src));
    }
    if (length) {
        __mmask64 mask = _bzhi_u64(UINT64_MAX, length);

        _mm512_mask_storeu_epi8(dst, mask, _mm512_maskz_loadu_epi8(mask, src));
    }
#else
    if (length < 16) {
        memcpy(dst, src, length);
        return;
    }
    for (uint32_t ofs = 0; ofs + 16 <= length; ofs += 16) {
        memcpy(dst + ofs, src + ofs, 16);
    }
    if (length & 15) {
        memcpy(dst + length - 16, src + length - 16, 16);
    }
#endif
}

/* From the guest. */

/* Receives the record 'rec', which starts with offload fields, into a packet.
 * Returns NULL if the fields make no sense. */
static __attribute__((noinline)) struct dp_packet *
rx_offloaded(struct packet_pool *pool, const struct doms_record *rec,
             const struct port_limits *limits, struct port_rx_stats *stats)
{
    uint32_t length = rec->length - sizeof(struct doms_offload);
    struct doms_offload offload;
    struct dp_packet *packet;

    doms_record_read_offload(rec, &offload);
    if (offload.gso_type == DOMS_GSO_NONE
        && length > limits->mtu + FRAME_OVERHEAD) {
        port_io_add(&stats->oversize, 1);
        return NULL;
    }

    packet = packet_pool_take(pool, length);
    memcpy(dp_packet_data(packet), rec->data + sizeof offload, length);
    if (!offload_from_guest(&offload, limits->features, packet)) {
        port_io_add(&stats->bad_offload, 1);
        dp_packet_delete(packet);
        return NULL;
    }
    return packet;
}

uint32_t
PORT_IO_RX(struct doms_channel_queue *queue, struct dp_packet_batch *batch,
           const struct port_limits *limits, struct port_rx_stats *stats)
{
    uint32_t max_frame = limits->mtu + FRAME_OVERHEAD;
    uint32_t n = doms_ring_poll(&queue->q.rx, NETDEV_MAX_BURST);
    struct doms_ring_reader r;
    struct packet_pool *pool;
    struct doms_record rec;
    uint64_t n_bytes = 0;
    uint32_t n_policed;
    uint32_t k = 0;

    if (!n) {
        return 0;
    }

    pool = packet_pool_get();
    r = queue->q.rx;
    for (uint32_t i = 0; i < n && doms_ring_peek(&r, &rec); i++) {
        struct dp_packet *packet;

        if (OVS_UNLIKELY(rec.flags)) {
            packet = rx_offloaded(pool, &rec, limits, stats);
            if (!packet) {
                continue;
            }
        } else if (OVS_UNLIKELY(rec.length > max_frame)) {
            port_io_add(&stats->oversize, 1);
            continue;
        } else {
            packet = packet_pool_take(pool, rec.length);
            copy_frame(dp_packet_data(packet), rec.data, rec.length);
        }
        n_bytes += dp_packet_size(packet);
        batch->packets[k++] = packet;
    }
    doms_ring_release(&r);
    queue->q.rx = r;

    batch->count = k;
    n_policed = policer_run(limits->policer, batch, &n_bytes);
    if (OVS_UNLIKELY(n_policed)) {
        port_io_add(&stats->policed, n_policed);
        k -= n_policed;
    }
    port_io_add(&stats->packets, k);
    port_io_add(&stats->bytes, n_bytes);
    port_io_add(&stats->batches, k != 0);
    if (OVS_UNLIKELY(pool->misses)) {
        port_io_add(&stats->pool_misses, packet_pool_take_misses(pool));
    }
    return k;
}

/* To the guest. */

/* Puts a segment into the ring 'w_'. */
static bool
emit_to_ring(void *w_, const void *frame, uint32_t length)
{
    struct doms_ring_writer *w = w_;

    return doms_ring_write(w, frame, length, 0);
}

/* Sends 'packet', whose checksum or segmentation is still to be done, as one
 * record with offload fields if the guest can do it, otherwise as finished
 * frames.  Returns false if the ring is full. */
static __attribute__((noinline)) bool
tx_offloaded(struct doms_ring_writer *w, struct dp_packet *packet,
             const struct port_limits *limits, struct port_tx_stats *stats)
{
    struct doms_offload offload;
    uint32_t length = dp_packet_size(packet);
    uint8_t *place;

    switch (offload_to_guest(packet, limits->features, limits->mtu,
                             DOMS_FRAME_MAX, &offload)) {
    case OFFLOAD_PASS:
        place = doms_ring_reserve(w, sizeof offload + length);
        if (!place) {
            return false;
        }
        memcpy(place, &offload, sizeof offload);
        memcpy(place + sizeof offload, dp_packet_data(packet), length);
        doms_ring_commit(w, sizeof offload + length, DOMS_RECORD_OFFLOAD);
        port_io_add(&stats->packets, 1);
        port_io_add(&stats->bytes, length);
        return true;

    case OFFLOAD_DONE:
        if (!doms_ring_write(w, dp_packet_data(packet), length, 0)) {
            return false;
        }
        port_io_add(&stats->packets, 1);
        port_io_add(&stats->bytes, length);
        return true;

    case OFFLOAD_SEGMENT: {
        uint32_t n_segments = 0;
        uint64_t n_bytes = 0;
        bool ok = offload_segment(packet, limits->mtu, emit_to_ring, w,
                                  &n_segments, &n_bytes);

        port_io_add(&stats->packets, n_segments);
        port_io_add(&stats->bytes, n_bytes);
        return ok;
    }

    case OFFLOAD_IMPOSSIBLE:
        port_io_add(&stats->no_offload, 1);
        return true;
    }
    OVS_NOT_REACHED();
}

void
PORT_IO_TX(struct doms_channel_queue *queue,
           const struct dp_packet_batch *batch,
           const struct port_limits *limits, struct port_tx_stats *stats)
{
    uint32_t max_frame = limits->mtu + FRAME_OVERHEAD;
    struct doms_ring_writer w = queue->q.tx;
    uint64_t n_bytes = 0;
    uint32_t n_sent = 0;
    size_t i;

    for (i = 0; i < batch->count; i++) {
        struct dp_packet *packet = batch->packets[i];
        uint32_t length = dp_packet_size(packet);
        void *place;

        if (OVS_UNLIKELY(offload_is_needed(packet))) {
            bool ok;

            queue->q.tx = w;
            ok = tx_offloaded(&queue->q.tx, packet, limits, stats);
            w = queue->q.tx;
            if (!ok) {
                break;
            }
            continue;
        }
        if (OVS_UNLIKELY(length > max_frame || length < DOMS_FRAME_MIN)) {
            port_io_add(&stats->too_long, 1);
            continue;
        }
        place = doms_ring_reserve(&w, length);
        if (OVS_UNLIKELY(!place)) {
            break;
        }
        copy_frame(place, dp_packet_data(packet), length);
        doms_ring_commit(&w, length, 0);
        n_sent++;
        n_bytes += length;
    }

    port_io_add(&stats->packets, n_sent);
    port_io_add(&stats->bytes, n_bytes);
    if (OVS_UNLIKELY(i < batch->count)) {
        port_io_add(&stats->ring_full, batch->count - i);
    }
    queue->q.tx = w;
    if (OVS_LIKELY(doms_ring_publish(&queue->q.tx))) {
        port_io_add(&stats->batches, 1);
        if (queue->bell_fd >= 0
            && OVS_UNLIKELY(doms_queue_peer_wants_bell(&queue->q))) {
            /* EAGAIN: the guest has bells enough. */
            ignore(send(queue->bell_fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
            port_io_add(&stats->bells, 1);
        }
    }
}
