/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/virtio_net.h>

#include "guestfront/setter/copy.h"
#include "guestfront/setter/queue.h"

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
        return queue_has__(q, VIRTIO_NET_F_GUEST_TSO4);
    case DOMSFRONT_GSO_TCPV6:
        return queue_has__(q, VIRTIO_NET_F_GUEST_TSO6);
    default:
        return !(o->flags & DOMSFRONT_CSUM_NEEDED)
               || queue_has__(q, VIRTIO_NET_F_GUEST_CSUM);
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
static enum queue_outcome__
find_room(struct queue *q, uint32_t size, unsigned int first, unsigned int *n)
{
    struct virtq *v = &q->virtqs[QUEUE_TO_VM].ring;
    uint64_t sum = 0;

    for (*n = 0; sum < size; ++*n) {
        unsigned int i = first + *n;

        if (i >= v->n && virtq_take(v, i + 1) <= i) {
            /* More than can be taken at all is too much for any try. */
            return !first && virtq_is_full(v) ? QUEUE_DROPPED : QUEUE_WAITS;
        }
        if (*n && !queue_has__(q, VIRTIO_NET_F_MRG_RXBUF)) {
            return QUEUE_DROPPED;
        }
        sum += virtq_buf(v, i)->total;
    }
    return QUEUE_GIVEN;
}

/* Gives 'frame' to the VM, in the buffers from number '*n' on, to which it
 * adds those used. */
static enum queue_outcome__
give_anyhow(struct queue *q, const struct domsfront_frame *frame,
            unsigned int *n, uint32_t *written)
{
    struct virtio_net_hdr_v1 h;
    unsigned int n_bufs;
    struct sink s = { .v = &q->virtqs[QUEUE_TO_VM].ring,
                      .buf = *n,
                      .written = written };
    enum queue_outcome__ outcome = find_room(q, q->header_size + frame->length,
                                             *n, &n_bufs);

    if (outcome != QUEUE_GIVEN) {
        if (outcome == QUEUE_DROPPED) {
            queue_count__(&q->counters.to_no_room, 1);
        }
        return outcome;
    }
    memset(&written[*n], 0, n_bufs * sizeof *written);
    h = make_header(frame, n_bufs);
    sink_write(&s, (const uint8_t *) &h, q->header_size);
    sink_write(&s, frame->data, frame->length);
    *n += n_bufs;
    return QUEUE_GIVEN;
}

/* Gives 'frame' to the VM, as give_anyhow() does.  The next one is of
 * 'next_length' bytes. */
static inline enum queue_outcome__
give(struct queue *q, const struct domsfront_frame *frame,
     uint32_t next_length, unsigned int *n, uint32_t *written)
{
    struct virtq *v = &q->virtqs[QUEUE_TO_VM].ring;
    uint32_t size = q->header_size + frame->length;

    if (DOMS_UNLIKELY((frame->offload.flags | frame->offload.gso_type)
                      && !driver_can(q, &frame->offload))) {
        queue_count__(&q->counters.to_offload, 1);
        return QUEUE_DROPPED;
    }
    if (DOMS_LIKELY(*n < v->n)) {
        const struct virtq_buf *b = virtq_buf(v, *n);

        if (DOMS_LIKELY(b->length >= size && b->length >= 12)) {
            struct virtio_net_hdr_v1 h = make_header(frame, 1);

            memcpy(b->data, &h, sizeof h);
            if (frame->length > COPY_SHORT && *n + 1 < v->n) {
                next_length = next_length < b[1].length ? next_length
                                                        : b[1].length;
                copy_and_fetch(b->data + q->header_size, frame->data,
                               frame->length, b[1].data, next_length, true);
            } else {
                copy_bytes(b->data + q->header_size, frame->data,
                           frame->length);
            }
            written[(*n)++] = size;
            return QUEUE_GIVEN;
        }
    }
    return give_anyhow(q, frame, n, written);
}

/* Fetches where the held frame number 'frame' begins, and buffer number 'buf'
 * of 'v', if there are such. */
static inline void
fetch_starts(const struct queue *q, struct virtq *v, unsigned int frame,
             unsigned int buf)
{
    if (frame < q->n_held) {
        __builtin_prefetch(q->held[frame].data);
    }
    if (buf < v->n) {
        uint8_t *data = virtq_buf(v, buf)->data;

        /* The header's line, and the frame's first. */
        __builtin_prefetch(data, 1);
        __builtin_prefetch(data + 64, 1);
    }
}

/* Gives the frames that 'q' holds to the VM by the virtqueue of 'to', as far
 * as that has buffers for them.  Returns how many buffers that took.  The
 * caller holds both. */
static inline unsigned int
give_held(struct queue *q, struct queue *to)
{
    struct queue_virtq *qv = &to->virtqs[QUEUE_TO_VM];
    uint32_t written[VIRTQ_BATCH];
    unsigned int frames = 0, n = 0;
    uint64_t bytes = 0;
    unsigned int want = q->n_held - q->held_first;
    unsigned int step = q->held[q->held_first].length > COPY_SHORT
                            ? QUEUE_AHEAD
                            : QUEUE_BURST;

    virtq_take(&qv->ring, want);
    for (unsigned int i = 0; i < step; i++) {
        fetch_starts(q, &qv->ring, q->held_first + i, i);
    }
    while (q->held_first < q->n_held) {
        const struct domsfront_frame *frame = &q->held[q->held_first];
        bool is_last = q->held_first + 1 >= q->n_held;
        enum queue_outcome__ outcome = give(
            to, frame, is_last ? 0 : frame[1].length, &n, written);

        fetch_starts(q, &qv->ring, q->held_first + step, n + step);
        if (outcome == QUEUE_WAITS) {
            break;
        }
        q->held_first++;
        if (outcome == QUEUE_GIVEN) {
            frames++;
            bytes += frame->length;
        }
    }
    if (n) {
        virtq_put(&qv->ring, n, written);
        queue_notify__(to, qv);
        queue_count__(&to->counters.to_frames, frames);
        queue_count__(&to->counters.to_bytes, bytes);
    }
    queue_look_for_fault__(to, QUEUE_TO_VM);
    return n;
}

/* Drops the held frames, since there is no driver for them.  Returns how many
 * they were. */
static unsigned int
drop_held(struct queue *q)
{
    unsigned int n = q->n_held - q->held_first;

    queue_count__(&q->counters.to_no_driver, n);
    q->held_first = q->n_held;
    return n;
}

/* Gives the frames that 'q' holds, whose virtqueue the driver does not use, to
 * the VM by the one of another queue.  Returns how many buffers that took, or
 * 1 if it is worth another try at once. */
static unsigned int
give_held_elsewhere(struct queue *q)
{
    struct queue *to = q->stand_in;
    unsigned int n;

    if (to && !queue_try_lock(to)) {
        return 1;
    }
    n = to && to->virtqs[QUEUE_TO_VM].live ? give_held(q, to) : drop_held(q);
    if (to) {
        queue_unlock(to);
    }
    /* The driver's notification would go to the other one. */
    q->full = q->held_first < q->n_held;
    return n;
}

/* Gives back what is held. */
void
queue_release_held__(struct queue *q)
{
    q->held_first = q->n_held = 0;
    domsfront_rx_release(q->front, q->index);
}

/* Moves frames from the switch to the VM.  Returns how many of the VM's buffers
 * that took, or of frames that nobody could take. */
unsigned int
queue_run_to_vm__(struct queue *q)
{
    unsigned int n;

    if (!q->n_held) {
        q->n_held = domsfront_rx_burst(q->front, q->index, q->held,
                                       QUEUE_BURST);
        if (!q->n_held) {
            return 0;
        }
    }
    n = q->virtqs[QUEUE_TO_VM].live ? give_held(q, q) : give_held_elsewhere(q);
    if (q->held_first == q->n_held) {
        queue_release_held__(q);
    }
    return n;
}
