/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/virtio_net.h>

#include "guestfront/setter/copy.h"
#include "guestfront/setter/cut.h"
#include "guestfront/setter/queue.h"

/* The longest frame that is still to be segmented. */
#define GSO_ROOM 65550u

typedef uint16_t __attribute__((aligned(1), may_alias)) unaligned16;

/* Copies 'n' bytes of 'b', a buffer of 'v', from byte 'ofs' on, to 'dst'. */
static void
copy_pieces_out(const struct virtq *v, const struct virtq_buf *b, uint32_t ofs,
                uint8_t *dst, uint32_t n)
{
    for (unsigned int i = 0; i < b->n_pieces && n; i++) {
        struct virtq_piece p = virtq_buf_piece(v, b, i);
        uint32_t length;

        if (ofs >= p.length) {
            ofs -= p.length;
            continue;
        }
        length = p.length - ofs < n ? p.length - ofs : n;
        copy_bytes(dst, p.data + ofs, length);
        dst += length;
        n -= length;
        ofs = 0;
    }
}

static inline void
copy_out(const struct virtq *v, const struct virtq_buf *b, uint32_t ofs,
         uint8_t *dst, uint32_t n)
{
    if (DOMS_LIKELY(b->n_pieces == 1)) {
        copy_bytes(dst, b->data + ofs, n);
    } else {
        copy_pieces_out(v, b, ofs, dst, n);
    }
}

/* Returns true if 'b' is a frame of at most 'room' bytes without any offload,
 * whose length is then in '*length'. */
static inline bool
is_plain(const struct queue *q, const struct virtq_buf *b, uint32_t room,
         uint32_t *length)
{
    *length = b->total - q->header_size;
    /* The first two bytes are 'flags' and 'gso_type'. */
    return b->total >= q->header_size + DOMSFRONT_FRAME_MIN && *length <= room
           && b->length >= 2 && !*(const volatile unaligned16 *) b->data;
}

/* Counts a frame of 'length' bytes that the switch got. */
static void
count_sent(struct queue *q, uint32_t length)
{
    queue_count__(&q->counters.from_frames, 1);
    queue_count__(&q->counters.from_bytes, length);
}

/* Reserves a record for a frame of 'length' bytes. */
static enum queue_outcome__
reserve(struct queue *q, uint32_t length, bool offload, uint8_t **place)
{
    void *p = NULL;
    int error = domsfront_tx_reserve(q->front, q->index, length, offload, &p);

    *place = p;
    if (error == EAGAIN || error == ENOTCONN) {
        q->full = true;
        return QUEUE_WAITS;
    }
    return error ? QUEUE_DROPPED : QUEUE_GIVEN;
}

/* Gives the frame with offload fields 'o', 'length' bytes of 'b', to the
 * switch, as it is, or with its checksum filled in if the switch takes no
 * other. */
static enum queue_outcome__
send_whole(struct queue *q, const struct virtq_buf *b, uint32_t length,
           const struct domsfront_offload *o, bool switch_sums)
{
    enum queue_outcome__ outcome;
    uint8_t *place;

    if (o->flags & DOMSFRONT_CSUM_NEEDED
        && (uint32_t) o->csum_start + o->csum_offset + 2 > length) {
        return QUEUE_DROPPED;
    }
    outcome = reserve(q, length, switch_sums, &place);
    if (outcome != QUEUE_GIVEN) {
        return outcome;
    }
    copy_out(&q->virtqs[QUEUE_FROM_VM].ring, b, q->header_size, place, length);
    if (!switch_sums && o->flags & DOMSFRONT_CSUM_NEEDED) {
        cut_fill_checksum(place, length, o->csum_start, o->csum_offset);
    }
    if (domsfront_tx_commit(q->front, q->index, length,
                            switch_sums ? o : NULL)) {
        return QUEUE_DROPPED;
    }
    count_sent(q, length);
    return QUEUE_GIVEN;
}

/* Gives the frame with offload fields 'o', 'length' bytes of 'b', to the
 * switch in pieces that it can take: with 'features' of segmentation, such as
 * are still to be segmented.  Goes on at 'q->cut_ofs'. */
static enum queue_outcome__
send_cut(struct queue *q, const struct virtq_buf *b, uint32_t length,
         const struct domsfront_offload *o, uint64_t features)
{
    const struct virtq *v = &q->virtqs[QUEUE_FROM_VM].ring;
    bool switch_sums = features & DOMSFRONT_F_CSUM;
    uint8_t start[CUT_HEADERS_MAX];
    uint32_t n_start = length < sizeof start ? length : sizeof start;
    struct cut c;

    copy_pieces_out(v, b, q->header_size, start, n_start);
    if (!cut_init(&c, start, n_start, length, o)
        || c.gso_size + c.headers_size > DOMSFRONT_FRAME_MAX) {
        return QUEUE_DROPPED;
    }
    while (q->cut_ofs < c.payload_size) {
        uint32_t most = features & DOMSFRONT_F_TSO
                            ? (DOMSFRONT_FRAME_MAX - c.headers_size)
                                  / c.gso_size * c.gso_size
                            : c.gso_size;
        uint32_t rest = c.payload_size - q->cut_ofs;
        uint32_t n = rest < most ? rest : most;
        struct domsfront_offload part = *o;
        enum queue_outcome__ outcome;
        uint8_t *place;

        outcome = reserve(q, c.headers_size + n, switch_sums, &place);
        if (outcome != QUEUE_GIVEN) {
            return outcome;
        }
        cut_make_headers(&c, q->cut_ofs, n, place);
        copy_pieces_out(v, b, q->header_size + c.headers_size + q->cut_ofs,
                        place + c.headers_size, n);
        if (n <= c.gso_size) {
            part.gso_type = part.gso_size = 0;
        }
        if (!switch_sums) {
            cut_fill_checksum(place, c.headers_size + n, c.l4, 16);
        }
        if (domsfront_tx_commit(q->front, q->index, c.headers_size + n,
                                switch_sums ? &part : NULL)) {
            return QUEUE_DROPPED;
        }
        count_sent(q, c.headers_size + n);
        q->cut_ofs += n;
    }
    return QUEUE_GIVEN;
}

/* Takes care of 'b', which is_plain() did not find to be so. */
static enum queue_outcome__
send_special(struct queue *q, const struct virtq_buf *b, uint32_t room)
{
    struct virtq *v = &q->virtqs[QUEUE_FROM_VM].ring;
    uint64_t features = domsfront_queue_features(q->front, q->index);
    struct domsfront_offload o;
    struct virtio_net_hdr h;
    enum queue_outcome__ outcome;
    uint32_t length;

    if (b->total < q->header_size) {
        v->fault = VIRTQ_BAD_LENGTH;
        return QUEUE_WAITS;
    }
    copy_pieces_out(v, b, 0, (uint8_t *) &h, sizeof h);
    length = b->total - q->header_size;
    if (length < DOMSFRONT_FRAME_MIN
        || length > (h.gso_type ? GSO_ROOM : room)) {
        queue_count__(&q->counters.from_length, 1);
        return QUEUE_DROPPED;
    }
    o = (struct domsfront_offload){
        .flags = h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = h.gso_type & ~VIRTIO_NET_HDR_GSO_ECN,
        .hdr_len = h.hdr_len,
        .gso_size = h.gso_size,
        .csum_start = h.csum_start,
        .csum_offset = h.csum_offset,
    };
    if (!o.flags && !o.gso_type) {
        memset(&o, 0, sizeof o);
        outcome = send_whole(q, b, length, &o, false);
    } else if (o.gso_type
               && (!(features & DOMSFRONT_F_TSO)
                   || length > DOMSFRONT_FRAME_MAX)) {
        outcome = send_cut(q, b, length, &o, features);
    } else {
        outcome = send_whole(q, b, length, &o, features & DOMSFRONT_F_CSUM);
    }
    if (outcome != QUEUE_WAITS) {
        q->cut_ofs = 0;
    }
    if (outcome == QUEUE_DROPPED) {
        queue_count__(&q->counters.from_offload, 1);
    }
    return outcome;
}

/* Gives up to 'n' plain frames, from buffer number 'done' on, to the switch.
 * Returns how many it took; fewer than there are if the ring is full. */
static unsigned int
send_plain(struct queue *q, unsigned int done, unsigned int n, uint32_t room)
{
    struct virtq *v = &q->virtqs[QUEUE_FROM_VM].ring;
    uint32_t lengths[QUEUE_BURST];
    void *places[QUEUE_BURST];
    unsigned int placed, wanted;
    uint64_t bytes = 0;

    for (wanted = 0; wanted < n; wanted++) {
        if (!is_plain(q, virtq_buf(v, done + wanted), room,
                      &lengths[wanted])) {
            break;
        }
    }
    if (!wanted) {
        return 0;
    }
    placed = domsfront_tx_place(q->front, q->index, lengths, places, wanted);
    for (unsigned int i = 0; i < placed; i++) {
        const struct virtq_buf *b = virtq_buf(v, done + i);

        if (b->n_pieces == 1 && lengths[i] > COPY_SHORT
            && done + i + 1 < v->n) {
            copy_and_fetch(places[i], b->data + q->header_size, lengths[i],
                           b[1].data, b[1].length, false);
        } else {
            copy_out(v, b, q->header_size, places[i], lengths[i]);
        }
        bytes += lengths[i];
    }
    q->full = placed < wanted;
    queue_count__(&q->counters.from_frames, placed);
    queue_count__(&q->counters.from_bytes, bytes);
    return placed;
}

/* Fetches where frames begin, of the buffers of 'v' from number '*fetched' up
 * to, not including, 'end', and moves '*fetched' there. */
static void
fetch_starts(struct virtq *v, unsigned int *fetched, unsigned int end)
{
    for (; *fetched < end; ++*fetched) {
        const uint8_t *data = virtq_buf(v, *fetched)->data;

        __builtin_prefetch(data);
        __builtin_prefetch(data + 64);
    }
}

/* Moves frames from the VM to the switch.  Returns how many of the VM's buffers
 * that took. */
unsigned int
queue_run_from_vm__(struct queue *q)
{
    uint32_t room = __atomic_load_n(q->room, __ATOMIC_RELAXED);
    struct queue_virtq *qv = &q->virtqs[QUEUE_FROM_VM];
    struct virtq *v = &qv->ring;
    unsigned int n = virtq_take(v, QUEUE_BURST);
    unsigned int step = n && virtq_buf(v, 0)->total > COPY_SHORT ? QUEUE_AHEAD
                                                                 : QUEUE_BURST;
    unsigned int done = 0, fetched = 0;

    q->full = false;
    fetch_starts(v, &fetched, n < step ? n : step);
    while (done < n && !q->full) {
        unsigned int part = n - done < step ? n - done : step;
        unsigned int ahead = done + 2 * step;
        unsigned int sent;

        fetch_starts(v, &fetched, n < ahead ? n : ahead);
        sent = send_plain(q, done, part, room);
        done += sent;
        if (!q->full && sent < part) {
            if (send_special(q, virtq_buf(v, done), room) == QUEUE_WAITS) {
                break;
            }
            done++;
        }
    }
    if (done) {
        domsfront_tx_flush(q->front, q->index);
        virtq_put(v, done, NULL);
        queue_notify__(q, qv);
    }
    queue_look_for_fault__(q, QUEUE_FROM_VM);
    return done;
}
