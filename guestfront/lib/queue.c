/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "front.h"

DOMS_STATIC_ASSERT(DOMSFRONT_MAX_QUEUES == DOMS_MAX_QUEUES);
DOMS_STATIC_ASSERT(DOMSFRONT_FRAME_MIN == DOMS_FRAME_MIN);
DOMS_STATIC_ASSERT(DOMSFRONT_FRAME_MAX == DOMS_FRAME_MAX);
DOMS_STATIC_ASSERT(DOMSFRONT_F_CSUM == DOMS_F_CSUM);
DOMS_STATIC_ASSERT(DOMSFRONT_F_TSO == DOMS_F_TSO);
DOMS_STATIC_ASSERT(DOMSFRONT_F_DOORBELL == DOMS_F_DOORBELL);
DOMS_STATIC_ASSERT(DOMSFRONT_CSUM_NEEDED == DOMS_OFFLOAD_NEEDS_CSUM);
DOMS_STATIC_ASSERT(DOMSFRONT_CSUM_VALID == DOMS_OFFLOAD_DATA_VALID);
DOMS_STATIC_ASSERT(DOMSFRONT_GSO_TCPV4 == DOMS_GSO_TCPV4);
DOMS_STATIC_ASSERT(DOMSFRONT_GSO_TCPV6 == DOMS_GSO_TCPV6);
DOMS_STATIC_ASSERT(DOMSFRONT_GSO_ECN == DOMS_GSO_ECN);

/* The gate. */

/* Takes over the gate of 'df' into 'q->seen', for df_enter().  While frames
 * are taken and not released, the old mapping stays in use. */
struct df_queue *
df_follow_gate(struct domsfront *df, struct df_queue *q)
{
    uint32_t gate, again;

    if (q->peeked) {
        return NULL;
    }
    q->reserved = 0;
    again = __atomic_load_n(&df->gate, __ATOMIC_SEQ_CST);
    do {
        gate = again;
        __atomic_store_n(&q->seen, gate, __ATOMIC_SEQ_CST);
        again = __atomic_load_n(&df->gate, __ATOMIC_SEQ_CST);
    } while (again != gate);
    return gate & 1 && q->usable ? q : NULL;
}

/* Returns true if frames can pass through 'queue' of 'df'. */
bool
domsfront_queue_is_up(struct domsfront *df, unsigned int queue)
{
    return df_enter(df, queue) != NULL;
}

/* Returns the DOMSFRONT_F_* in force on 'queue' of 'df', 0 if it is not up. */
uint64_t
domsfront_queue_features(struct domsfront *df, unsigned int queue)
{
    struct df_queue *q = df_enter(df, queue);

    return q ? q->features : 0;
}

/* Says that the caller does not use 'queue' of 'df' any more, until its next
 * call for it.  Releases all frames that it has taken. */
void
domsfront_queue_leave(struct domsfront *df, unsigned int queue)
{
    if (queue < df->n_queues) {
        struct df_queue *q = &df->queues[queue];

        domsfront_rx_release(df, queue);
        q->reserved = 0;
        /* The gate is 0 only before the first channel. */
        __atomic_store_n(&q->seen, 0, __ATOMIC_SEQ_CST);
    }
}

/* Notes for the control thread that the switch broke a rule. */
static void
note_broken(struct df_queue *q, enum doms_ring_broken broken)
{
    if (DOMS_UNLIKELY(broken)) {
        __atomic_store_n(&q->broken, broken, __ATOMIC_RELAXED);
    }
}

/* Offload fields. */

/* Returns true if 'o' makes sense for a frame of 'length' bytes when
 * 'features' are in force. */
bool
df_offload_is_valid(const struct domsfront_offload *o, uint32_t length,
                    uint64_t features)
{
    uint8_t type = o->gso_type & ~DOMSFRONT_GSO_ECN;

    if (o->flags & ~(DOMSFRONT_CSUM_NEEDED | DOMSFRONT_CSUM_VALID)) {
        return false;
    }
    if (o->flags & DOMSFRONT_CSUM_NEEDED
        && (uint64_t) o->csum_start + o->csum_offset + 2 > length) {
        return false;
    }
    if (o->gso_type == DOMSFRONT_GSO_NONE) {
        return true;
    }
    return (type == DOMSFRONT_GSO_TCPV4 || type == DOMSFRONT_GSO_TCPV6)
           && features & DOMSFRONT_F_TSO && o->gso_size
           && o->flags & DOMSFRONT_CSUM_NEEDED && o->hdr_len <= length;
}

/* Copies the offload fields of 'rec' into '*o'. */
static void
read_offload(const struct doms_record *rec, struct domsfront_offload *o)
{
    struct doms_offload copy;

    doms_record_read_offload(rec, &copy);
    *o = (struct domsfront_offload){
        .flags = copy.flags,
        .gso_type = copy.gso_type,
        .hdr_len = copy.hdr_len,
        .gso_size = copy.gso_size,
        .csum_start = copy.csum_start,
        .csum_offset = copy.csum_offset,
    };
}

static void
write_offload(uint8_t *data, const struct domsfront_offload *o)
{
    struct doms_offload *shared = (struct doms_offload *) data;

    *shared = (struct doms_offload){
        .flags = o->flags,
        .gso_type = o->gso_type,
        .hdr_len = o->hdr_len,
        .gso_size = o->gso_size,
        .csum_start = o->csum_start,
        .csum_offset = o->csum_offset,
    };
}

/* Receiving. */

/* Takes the next frame of 'q', whose reader is '*r', into '*frame'.  Returns
 * false if there is none, as far as the last doms_ring_poll() could tell. */
static inline bool
take_frame(struct df_queue *q, struct doms_ring_reader *r,
           struct domsfront_frame *frame)
{
    struct doms_record rec;

    while (doms_ring_peek(r, &rec)) {
        q->peeked++;
        frame->data = rec.data;
        frame->length = rec.length;
        memset(&frame->offload, 0, sizeof frame->offload);
        if (rec.flags & DOMS_RECORD_OFFLOAD) {
            read_offload(&rec, &frame->offload);
            frame->data = rec.data + sizeof(struct doms_offload);
            frame->length -= sizeof(struct doms_offload);
            if (!df_offload_is_valid(&frame->offload, frame->length,
                                     q->features)) {
                df_count(&q->counters.rx_bad_offload, 1);
                continue;
            }
        }
        return true;
    }
    return false;
}

/* Takes up to 'max' frames that 'queue' of 'df' has received into 'frames',
 * without copying them.  Returns their number, 0 if there are none or the
 * channel is not up.
 *
 * The frames' bytes stay mapped until domsfront_rx_release(), which also gives
 * their room back to the switch.  A caller that takes again without releasing
 * gets further frames. */
unsigned int
domsfront_rx_burst(struct domsfront *df, unsigned int queue,
                   struct domsfront_frame *frames, unsigned int max)
{
    struct df_queue *q = df_enter(df, queue);
    struct doms_ring_reader r;
    uint64_t bytes = 0;
    unsigned int n = 0;

    if (!q || !doms_ring_poll(&q->dq.rx, max)) {
        if (q) {
            note_broken(q, q->dq.rx.broken);
        }
        return 0;
    }
    /* A copy, which the compiler knows that nothing else points to. */
    r = q->dq.rx;
    while (n < max && take_frame(q, &r, &frames[n])) {
        bytes += frames[n++].length;
    }
    q->dq.rx = r;
    note_broken(q, q->dq.rx.broken);
    if (!n) {
        /* All were dropped, so the caller has nothing to release. */
        domsfront_rx_release(df, queue);
    }
    df_count(&q->counters.rx_frames, n);
    df_count(&q->counters.rx_bytes, bytes);
    return n;
}

/* Gives back all frames taken with domsfront_rx_burst() from 'queue' of
 * 'df'. */
void
domsfront_rx_release(struct domsfront *df, unsigned int queue)
{
    if (queue < df->n_queues) {
        struct df_queue *q = &df->queues[queue];

        /* Whatever the gate says, 'peeked' frames keep the mapping, and so
         * does this call: a reservation may still be in use. */
        if (q->peeked) {
            doms_ring_release(&q->dq.rx);
            q->peeked = 0;
        }
    }
}

/* Copies up to 'max' frames that 'queue' of 'df' has received into 'bufs' and
 * releases them.  'data' and 'size' of each are the caller's; 'length' and
 * 'offload' are filled in.  Returns the number of frames.  A frame longer than
 * the buffer that it would go to is dropped and counted. */
unsigned int
domsfront_recv(struct domsfront *df, unsigned int queue,
               struct domsfront_buf *bufs, unsigned int max)
{
    struct domsfront_frame frames[32];
    unsigned int n = 0;

    while (n < max) {
        unsigned int want = max - n < 32 ? max - n : 32;
        unsigned int got = domsfront_rx_burst(df, queue, frames, want);

        for (unsigned int i = 0; i < got; i++) {
            struct domsfront_buf *b = &bufs[n];

            if (frames[i].length > b->size) {
                df_count(&df->queues[queue].counters.rx_too_long, 1);
                continue;
            }
            memcpy(b->data, frames[i].data, frames[i].length);
            b->length = frames[i].length;
            b->offload = frames[i].offload;
            n++;
        }
        domsfront_rx_release(df, queue);
        if (got < want) {
            break;
        }
    }
    return n;
}

/* Sending. */

/* Finds room for a frame of up to 'max_length' bytes in 'queue' of 'df', and
 * points '*data' to it.  With 'offload', domsfront_tx_commit() may be given
 * offload fields, which takes 16 bytes more; DOMSFRONT_F_CSUM must be in
 * force.
 *
 * Returns 0, EAGAIN if the ring is full, ENOTCONN if the channel is not up,
 * EINVAL if 'max_length' is under DOMSFRONT_FRAME_MIN or 'offload' is not in
 * force, EMSGSIZE if it is over DOMSFRONT_FRAME_MAX.
 *
 * '*data' is valid until the next call for 'queue' other than
 * domsfront_rx_release(); one reservation at a time.  A reservation that is
 * not committed needs nothing done about it. */
int
domsfront_tx_reserve(struct domsfront *df, unsigned int queue,
                     uint32_t max_length, bool offload, void **data)
{
    uint32_t extra = offload ? sizeof(struct doms_offload) : 0;
    struct df_queue *q = df_enter(df, queue);
    uint8_t *place;

    if (max_length < DOMS_FRAME_MIN) {
        return EINVAL;
    }
    if (max_length > DOMS_FRAME_MAX) {
        return EMSGSIZE;
    }
    if (!q) {
        return ENOTCONN;
    }
    if (offload && !(q->features & DOMS_F_CSUM)) {
        return EINVAL;
    }
    place = doms_ring_reserve(&q->dq.tx, max_length + extra);
    if (!place) {
        q->reserved = 0;
        note_broken(q, q->dq.tx.broken);
        df_count(&q->counters.tx_full, 1);
        return EAGAIN;
    }
    q->reserved = max_length;
    q->reserved_offload = offload;
    *data = place + extra;
    return 0;
}

/* Turns the last reservation of 'queue' of 'df' into a frame of 'length'
 * bytes, which the switch sees after domsfront_tx_flush().  'o' are the
 * frame's offload fields, or NULL if it has none.
 *
 * Returns 0, ENOTCONN if the channel ended since, EINVAL if there is no
 * reservation, if 'length' is under DOMSFRONT_FRAME_MIN, or if 'o' was not
 * reserved for or makes no sense; EMSGSIZE if 'length' is more than
 * reserved. */
int
domsfront_tx_commit(struct domsfront *df, unsigned int queue, uint32_t length,
                    const struct domsfront_offload *o)
{
    static const struct domsfront_offload none;
    struct df_queue *q = df_enter(df, queue);
    uint32_t flags = 0;

    if (!q) {
        return ENOTCONN;
    }
    if (!q->reserved || length < DOMS_FRAME_MIN) {
        return EINVAL;
    }
    if (length > q->reserved) {
        return EMSGSIZE;
    }
    if (o
        && (!q->reserved_offload
            || !df_offload_is_valid(o, length, q->features))) {
        return EINVAL;
    }
    q->reserved = 0;
    df_count(&q->counters.tx_frames, 1);
    df_count(&q->counters.tx_bytes, length);
    if (q->reserved_offload) {
        struct doms_ring_writer *w = &q->dq.tx;

        write_offload(w->arena + (w->reserved & (w->arena_size - 1)),
                      o ? o : &none);
        flags = DOMS_RECORD_OFFLOAD;
        length += sizeof(struct doms_offload);
    }
    doms_ring_commit(&q->dq.tx, length, flags);
    return 0;
}

/* Makes up to 'n' frames in 'queue' of 'df' at once, of which number i has
 * 'lengths[i]' bytes, and points 'places[i]' to each.  The caller fills them
 * in, and then has the switch see them by domsfront_tx_flush(), which must be
 * its next call for 'queue' other than this one or domsfront_rx_release().
 *
 * Returns how many frames there are: fewer than 'n' if the ring became full,
 * the channel is not up, or a length is not from DOMSFRONT_FRAME_MIN to
 * DOMSFRONT_FRAME_MAX. */
unsigned int
domsfront_tx_place(struct domsfront *df, unsigned int queue,
                   const uint32_t *lengths, void **places, unsigned int n)
{
    struct df_queue *q = df_enter(df, queue);
    struct doms_ring_writer w;
    uint64_t bytes = 0;
    unsigned int i;

    if (!q) {
        return 0;
    }
    q->reserved = 0;
    /* A copy, which the compiler knows that nothing else points to. */
    w = q->dq.tx;
    for (i = 0; i < n; i++) {
        uint32_t length = lengths[i];

        if (DOMS_UNLIKELY(length < DOMS_FRAME_MIN
                          || length > DOMS_FRAME_MAX)) {
            break;
        }
        places[i] = doms_ring_reserve(&w, length);
        if (!places[i]) {
            df_count(&q->counters.tx_full, 1);
            break;
        }
        doms_ring_commit(&w, length, 0);
        bytes += length;
    }
    q->dq.tx = w;
    note_broken(q, w.broken);
    df_count(&q->counters.tx_frames, i);
    df_count(&q->counters.tx_bytes, bytes);
    return i;
}

/* Lets the switch see all frames committed to 'queue' of 'df', and wakes it if
 * it sleeps and a doorbell is in force.  Returns 0 or ENOTCONN. */
int
domsfront_tx_flush(struct domsfront *df, unsigned int queue)
{
    struct df_queue *q = df_enter(df, queue);

    if (!q) {
        return ENOTCONN;
    }
    if (doms_ring_publish(&q->dq.tx) && q->bell_ring >= 0
        && doms_queue_peer_wants_bell(&q->dq)) {
        df_bell_ring(q->bell_ring);
        df_count(&q->counters.bells_rung, 1);
    }
    return 0;
}

/* Copies one frame into 'queue' of 'df', without flushing. */
static int
send_one(struct domsfront *df, unsigned int queue,
         const struct domsfront_buf *b)
{
    static const struct domsfront_offload none;
    bool offload = memcmp(&b->offload, &none, sizeof none) != 0;
    void *place;
    int error;

    error = domsfront_tx_reserve(df, queue, b->length, offload, &place);
    if (error) {
        return error;
    }
    memcpy(place, b->data, b->length);
    return domsfront_tx_commit(df, queue, b->length,
                               offload ? &b->offload : NULL);
}

/* Copies the 'n' frames in 'bufs' ('data', 'length' and 'offload' of each)
 * into 'queue' of 'df' and flushes.  '*n_sent' gets the number of frames that
 * were taken: fewer than 'n' if the ring became full.
 *
 * Returns 0, also if the ring is full; ENOTCONN if the channel is not up; or,
 * if frame '*n_sent' is not one that could ever be sent, EINVAL or
 * EMSGSIZE as domsfront_tx_reserve() and domsfront_tx_commit() do. */
int
domsfront_send(struct domsfront *df, unsigned int queue,
               const struct domsfront_buf *bufs, unsigned int n,
               unsigned int *n_sent)
{
    unsigned int i;
    int error = 0;

    for (i = 0; i < n && !error; i++) {
        error = send_one(df, queue, &bufs[i]);
    }
    *n_sent = error ? i - 1 : i;
    if (error == ENOTCONN) {
        return error;
    }
    domsfront_tx_flush(df, queue);
    return error == EAGAIN ? 0 : error;
}
