/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "queue.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <unistd.h>

#include "guestfront/setter/copy.h"
#include "guestfront/setter/cut.h"

/* How the VM and the switch tell offloads is the same. */
DOMS_STATIC_ASSERT(DOMSFRONT_CSUM_NEEDED == VIRTIO_NET_HDR_F_NEEDS_CSUM);
DOMS_STATIC_ASSERT(DOMSFRONT_CSUM_VALID == VIRTIO_NET_HDR_F_DATA_VALID);
DOMS_STATIC_ASSERT(DOMSFRONT_GSO_TCPV4 == VIRTIO_NET_HDR_GSO_TCPV4);
DOMS_STATIC_ASSERT(DOMSFRONT_GSO_TCPV6 == VIRTIO_NET_HDR_GSO_TCPV6);

/* The longest frame that is still to be segmented. */
#define GSO_ROOM 65550u

typedef uint16_t __attribute__((aligned(1), may_alias)) unaligned16;

/* Adds 'n' to '*counter', whose only writer the caller is. */
static inline void
count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline bool
has(const struct queue *q, unsigned int feature)
{
    return q->features >> feature & 1;
}

/* Holds 'q', once its worker has finished its burst. */
void
queue_lock(struct queue *q)
{
    while (!queue_try_lock(q)) {
        sched_yield();
    }
}

/* Tells the driver of 'qv' that buffers have been put, if it wants to know. */
static void
notify(struct queue *q, struct queue_virtq *qv)
{
    if (qv->call_fd >= 0 && virtq_wants_call(&qv->ring)) {
        uint64_t one = 1;

        if (write(qv->call_fd, &one, sizeof one) == sizeof one) {
            count(&q->counters.calls, 1);
        }
    }
}

/* Ends the use of vring 'i' of 'q' if the driver broke a rule. */
static void
look_for_fault(struct queue *q, unsigned int i)
{
    struct queue_virtq *qv = &q->virtqs[i];

    if (DOMS_UNLIKELY(qv->ring.fault)) {
        uint64_t one = 1;

        qv->live = false;
        __atomic_store_n(&q->fault, qv->ring.fault | i << 8,
                         __ATOMIC_RELAXED);
        if (write(q->alarm_fd, &one, sizeof one) < 0) {
            /* It is full, so who reads it wakes up. */
        }
    }
}

/* From the VM to the switch. */

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
    return b->total >= q->header_size + DOMSFRONT_FRAME_MIN
           && *length <= room && b->length >= 2
           && !*(const volatile unaligned16 *) b->data;
}

/* What became of a frame. */
enum outcome { GIVEN, DROPPED, WAITS };

/* Counts a frame of 'length' bytes that the switch got. */
static void
count_sent(struct queue *q, uint32_t length)
{
    count(&q->counters.from_frames, 1);
    count(&q->counters.from_bytes, length);
}

/* Reserves a record for a frame of 'length' bytes. */
static enum outcome
reserve(struct queue *q, uint32_t length, bool offload, uint8_t **place)
{
    void *p = NULL;
    int error = domsfront_tx_reserve(q->front, q->index, length, offload, &p);

    *place = p;
    if (error == EAGAIN || error == ENOTCONN) {
        q->full = true;
        return WAITS;
    }
    return error ? DROPPED : GIVEN;
}

/* Gives the frame with offload fields 'o', 'length' bytes of 'b', to the
 * switch, as it is, or with its checksum filled in if the switch takes no
 * other. */
static enum outcome
send_whole(struct queue *q, const struct virtq_buf *b, uint32_t length,
           const struct domsfront_offload *o, bool switch_sums)
{
    enum outcome outcome;
    uint8_t *place;

    if (o->flags & DOMSFRONT_CSUM_NEEDED
        && (uint32_t) o->csum_start + o->csum_offset + 2 > length) {
        return DROPPED;
    }
    outcome = reserve(q, length, switch_sums, &place);
    if (outcome != GIVEN) {
        return outcome;
    }
    copy_out(&q->virtqs[QUEUE_FROM_VM].ring, b, q->header_size, place, length);
    if (!switch_sums && o->flags & DOMSFRONT_CSUM_NEEDED) {
        cut_fill_checksum(place, length, o->csum_start, o->csum_offset);
    }
    if (domsfront_tx_commit(q->front, q->index, length,
                            switch_sums ? o : NULL)) {
        return DROPPED;
    }
    count_sent(q, length);
    return GIVEN;
}

/* Gives the frame with offload fields 'o', 'length' bytes of 'b', to the
 * switch in pieces that it can take: with 'features' of segmentation, such as
 * are still to be segmented.  Goes on at 'q->cut_ofs'. */
static enum outcome
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
        return DROPPED;
    }
    while (q->cut_ofs < c.payload_size) {
        uint32_t most = features & DOMSFRONT_F_TSO
                            ? (DOMSFRONT_FRAME_MAX - c.headers_size)
                                  / c.gso_size * c.gso_size
                            : c.gso_size;
        uint32_t rest = c.payload_size - q->cut_ofs;
        uint32_t n = rest < most ? rest : most;
        struct domsfront_offload part = *o;
        enum outcome outcome;
        uint8_t *place;

        outcome = reserve(q, c.headers_size + n, switch_sums, &place);
        if (outcome != GIVEN) {
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
            return DROPPED;
        }
        count_sent(q, c.headers_size + n);
        q->cut_ofs += n;
    }
    return GIVEN;
}

/* Takes care of 'b', which is_plain() did not find to be so. */
static enum outcome
send_special(struct queue *q, const struct virtq_buf *b, uint32_t room)
{
    struct virtq *v = &q->virtqs[QUEUE_FROM_VM].ring;
    uint64_t features = domsfront_queue_features(q->front, q->index);
    struct domsfront_offload o;
    struct virtio_net_hdr h;
    enum outcome outcome;
    uint32_t length;

    if (b->total < q->header_size) {
        v->fault = VIRTQ_BAD_LENGTH;
        return WAITS;
    }
    copy_pieces_out(v, b, 0, (uint8_t *) &h, sizeof h);
    length = b->total - q->header_size;
    if (length < DOMSFRONT_FRAME_MIN
        || length > (h.gso_type ? GSO_ROOM : room)) {
        count(&q->counters.from_length, 1);
        return DROPPED;
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
        && (!(features & DOMSFRONT_F_TSO) || length > DOMSFRONT_FRAME_MAX)) {
        outcome = send_cut(q, b, length, &o, features);
    } else {
        outcome = send_whole(q, b, length, &o, features & DOMSFRONT_F_CSUM);
    }
    if (outcome != WAITS) {
        q->cut_ofs = 0;
    }
    if (outcome == DROPPED) {
        count(&q->counters.from_offload, 1);
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
        copy_out(v, virtq_buf(v, done + i), q->header_size, places[i],
                 lengths[i]);
        bytes += lengths[i];
    }
    q->full = placed < wanted;
    count(&q->counters.from_frames, placed);
    count(&q->counters.from_bytes, bytes);
    return placed;
}

/* Moves frames from the VM to the switch.  Returns true if there were any. */
static bool
run_from_vm(struct queue *q)
{
    uint32_t room = __atomic_load_n(q->room, __ATOMIC_RELAXED);
    struct queue_virtq *qv = &q->virtqs[QUEUE_FROM_VM];
    struct virtq *v = &qv->ring;
    unsigned int n = virtq_take(v, QUEUE_BURST);
    unsigned int done = 0;

    for (unsigned int i = 0; i < n; i++) {
        __builtin_prefetch(virtq_buf(v, i)->data);
        __builtin_prefetch(virtq_buf(v, i)->data + 64);
    }
    q->full = false;
    while (done < n && !q->full) {
        unsigned int plain = send_plain(q, done, n - done, room);

        done += plain;
        if (!q->full && done < n) {
            if (send_special(q, virtq_buf(v, done), room) == WAITS) {
                break;
            }
            done++;
        }
    }
    if (done) {
        domsfront_tx_flush(q->front, q->index);
        virtq_put(v, done, NULL);
        notify(q, qv);
    }
    look_for_fault(q, QUEUE_FROM_VM);
    return done > 0;
}

/* From the switch to the VM. */

/* Makes the virtio-net header of 'frame'. */
static struct virtio_net_hdr_v1
make_header(const struct domsfront_frame *frame, unsigned int n_bufs)
{
    const struct domsfront_offload *o = &frame->offload;

    return (struct virtio_net_hdr_v1){
        .flags = o->flags,
        .gso_type = o->gso_type & ~DOMSFRONT_GSO_ECN,
        .hdr_len = o->hdr_len,
        .gso_size = o->gso_size,
        .csum_start = o->csum_start,
        .csum_offset = o->csum_offset,
        .num_buffers = n_bufs,
    };
}

/* Returns true if the VM's driver can take a frame with offloads 'o'. */
static bool
driver_can(const struct queue *q, const struct domsfront_offload *o)
{
    switch (o->gso_type & ~DOMSFRONT_GSO_ECN) {
    case DOMSFRONT_GSO_TCPV4:
        return has(q, VIRTIO_NET_F_GUEST_TSO4);
    case DOMSFRONT_GSO_TCPV6:
        return has(q, VIRTIO_NET_F_GUEST_TSO6);
    default:
        return !(o->flags & DOMSFRONT_CSUM_NEEDED)
               || has(q, VIRTIO_NET_F_GUEST_CSUM);
    }
}

/* Where a frame is being written to: a place in some buffers. */
struct sink {
    const struct virtq *v;
    unsigned int buf;   /* Number of the buffer. */
    unsigned int piece; /* ... of its piece. */
    uint32_t ofs;       /* Bytes of that piece that are written. */
    uint32_t *written;  /* Bytes of each buffer that are. */
};

/* Writes the 'n' bytes at 'src' to 's', which must have room for them. */
static void
sink_write(struct sink *s, const uint8_t *src, uint32_t n)
{
    while (n) {
        const struct virtq_buf *b = &s->v->bufs[s->v->first + s->buf];
        struct virtq_piece p = virtq_buf_piece(s->v, b, s->piece);
        uint32_t length = p.length - s->ofs < n ? p.length - s->ofs : n;

        copy_bytes(p.data + s->ofs, src, length);
        s->written[s->buf] += length;
        src += length;
        n -= length;
        s->ofs += length;
        if (s->ofs == p.length) {
            s->ofs = 0;
            if (++s->piece == b->n_pieces) {
                s->piece = 0;
                s->buf++;
            }
        }
    }
}

/* Finds buffers for 'size' bytes, from number 'first' on, and how many they
 * are. */
static enum outcome
find_room(struct queue *q, uint32_t size, unsigned int first, unsigned int *n)
{
    struct virtq *v = &q->virtqs[QUEUE_TO_VM].ring;
    uint64_t sum = 0;

    for (*n = 0; sum < size; ++*n) {
        unsigned int i = first + *n;

        if (i >= v->n && virtq_take(v, i + 1) <= i) {
            /* More than can be taken at all is too much for any try. */
            return !first && v->n == VIRTQ_BATCH ? DROPPED : WAITS;
        }
        if (*n && !has(q, VIRTIO_NET_F_MRG_RXBUF)) {
            return DROPPED;
        }
        sum += virtq_buf(v, i)->total;
    }
    return GIVEN;
}

/* Gives 'frame' to the VM, in the buffers from number '*n' on, to which it
 * adds those used. */
static enum outcome
give_anyhow(struct queue *q, const struct domsfront_frame *frame,
            unsigned int *n, uint32_t *written)
{
    struct virtio_net_hdr_v1 h;
    unsigned int n_bufs;
    struct sink s = { .v = &q->virtqs[QUEUE_TO_VM].ring,
                      .buf = *n,
                      .written = written };
    enum outcome outcome = find_room(q, q->header_size + frame->length, *n,
                                     &n_bufs);

    if (outcome != GIVEN) {
        if (outcome == DROPPED) {
            count(&q->counters.to_no_room, 1);
        }
        return outcome;
    }
    memset(&written[*n], 0, n_bufs * sizeof *written);
    h = make_header(frame, n_bufs);
    sink_write(&s, (const uint8_t *) &h, q->header_size);
    sink_write(&s, frame->data, frame->length);
    *n += n_bufs;
    return GIVEN;
}

/* Gives 'frame' to the VM, as give_anyhow() does. */
static inline enum outcome
give(struct queue *q, const struct domsfront_frame *frame, unsigned int *n,
     uint32_t *written)
{
    struct virtq *v = &q->virtqs[QUEUE_TO_VM].ring;
    uint32_t size = q->header_size + frame->length;

    if (DOMS_UNLIKELY((frame->offload.flags | frame->offload.gso_type)
                      && !driver_can(q, &frame->offload))) {
        count(&q->counters.to_offload, 1);
        return DROPPED;
    }
    if (DOMS_LIKELY(*n < v->n)) {
        const struct virtq_buf *b = virtq_buf(v, *n);

        if (DOMS_LIKELY(b->length >= size && b->length >= 12)) {
            struct virtio_net_hdr_v1 h = make_header(frame, 1);

            memcpy(b->data, &h, sizeof h);
            copy_bytes(b->data + q->header_size, frame->data, frame->length);
            written[(*n)++] = size;
            return GIVEN;
        }
    }
    return give_anyhow(q, frame, n, written);
}

/* Gives the held frames to the VM, as far as it has buffers for them.  Returns
 * true if there were any. */
static bool
give_held(struct queue *q)
{
    struct queue_virtq *qv = &q->virtqs[QUEUE_TO_VM];
    uint32_t written[VIRTQ_BATCH];
    unsigned int frames = 0, n = 0;
    uint64_t bytes = 0;
    unsigned int want = q->n_held - q->held_first;

    virtq_take(&qv->ring, want);
    for (unsigned int i = 0; i < qv->ring.n && i < want; i++) {
        __builtin_prefetch(virtq_buf(&qv->ring, i)->data, 1);
        __builtin_prefetch(q->held[q->held_first + i].data);
    }
    while (q->held_first < q->n_held) {
        const struct domsfront_frame *frame = &q->held[q->held_first];
        enum outcome outcome = give(q, frame, &n, written);

        if (outcome == WAITS) {
            break;
        }
        q->held_first++;
        if (outcome == GIVEN) {
            frames++;
            bytes += frame->length;
        }
    }
    if (n) {
        virtq_put(&qv->ring, n, written);
        notify(q, qv);
        count(&q->counters.to_frames, frames);
        count(&q->counters.to_bytes, bytes);
    }
    look_for_fault(q, QUEUE_TO_VM);
    return n > 0;
}

/* Gives back what is held. */
static void
release_held(struct queue *q)
{
    q->held_first = q->n_held = 0;
    domsfront_rx_release(q->front, q->index);
}

/* Moves frames from the switch to the VM.  Returns true if there were any. */
static bool
run_to_vm(struct queue *q)
{
    bool live = q->virtqs[QUEUE_TO_VM].live;
    bool worked;

    if (!q->n_held) {
        q->n_held = domsfront_rx_burst(q->front, q->index, q->held,
                                       QUEUE_BURST);
        if (!q->n_held) {
            return false;
        }
    }
    if (live) {
        worked = give_held(q);
    } else {
        count(&q->counters.to_no_driver, q->n_held - q->held_first);
        q->held_first = q->n_held;
        worked = true;
    }
    if (q->held_first == q->n_held) {
        release_held(q);
    }
    return worked;
}

/* Moves frames both ways, a burst at most.  Returns true if there were any.
 * For the queue's worker, which need not hold 'q'. */
bool
queue_poll(struct queue *q)
{
    bool worked = false;

    if (!queue_try_lock(q)) {
        return true;
    }
    for (int i = 0; i < QUEUE_N_VIRTQS; i++) {
        if (q->virtqs[i].live) {
            virtq_disarm(&q->virtqs[i].ring);
        }
    }
    if (!domsfront_queue_is_up(q->front, q->index)) {
        /* What is held keeps a channel that has ended. */
        if (q->n_held) {
            release_held(q);
        }
    } else {
        worked = run_to_vm(q);
        if (q->virtqs[QUEUE_FROM_VM].live) {
            worked |= run_from_vm(q);
        }
    }
    queue_unlock(q);
    return worked;
}

/* Asks the VM's driver for a notification of the next buffer.  Returns false
 * if there is something to do already. */
bool
queue_arm(struct queue *q)
{
    bool quiet = true;

    if (!queue_try_lock(q)) {
        return false;
    }
    for (int i = 0; i < QUEUE_N_VIRTQS && quiet; i++) {
        struct queue_virtq *qv = &q->virtqs[i];

        /* Buffers to write to matter only to a frame that waits for them. */
        if (qv->live && (i == QUEUE_FROM_VM || q->n_held)) {
            quiet = virtq_arm(&qv->ring);
        }
    }
    queue_unlock(q);
    return quiet;
}

/* Takes the vrings out of 'q', which the caller holds. */
void
queue_reset(struct queue *q)
{
    for (int i = 0; i < QUEUE_N_VIRTQS; i++) {
        q->virtqs[i].live = false;
        q->virtqs[i].call_fd = q->virtqs[i].kick_fd = -1;
    }
    q->cut_ofs = 0;
}
