/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The ring: one direction of one queue, from one writer to one reader.
 *
 * A ring is an array of lengths and an arena of bytes, both written by the
 * writer only, and two counts: 'head', the records that the writer has put in,
 * and 'tail', the records that the reader has taken out, each in a page of the
 * side that writes it.  Records lie back to back in the arena:
 *
 *     A record starts where the one before it ended, rounded up to
 *     DOMS_RECORD_ALIGN, or at 0 if it would not end within the arena.
 *
 * Both sides apply this rule to the lengths, so nothing shared is an offset or
 * a pointer.  A length is all that a hostile writer can get wrong, and a count
 * is all that a hostile reader can.
 *
 * Guarantees
 * ----------
 *
 * Neither side trusts the other.  Each word of the peer's is read once, into
 * private memory, and checked there against what this side knows before it is
 * used.  Each side keeps its own counts in private memory and never reads them
 * back from where it publishes them.  When the peer breaks a rule, 'broken'
 * says which, and from then on a writer is full and a reader empty for good;
 * no memory outside of the ring is read or written, whatever the peer does.
 *
 * The bytes of a record may change while the reader looks at them: who parses
 * a record copies it out first (doms_ring_read()).
 *
 * No call blocks, allocates or makes a system call.
 *
 * Thread-safety
 * -------------
 *
 * A doms_ring_writer or doms_ring_reader belongs to one thread at a time.  The
 * two ends of a ring need no lock between them.
 *
 * Use
 * ---
 *
 * Writer:  doms_ring_reserve(), fill the record, doms_ring_commit(), ...,
 *          doms_ring_publish() once a burst.
 * Reader:  doms_ring_poll(), doms_ring_peek() for each record, look at or copy
 *          the bytes, ..., doms_ring_release() once a burst.
 */

#ifndef DOMS_COMMON_RING_H
#define DOMS_COMMON_RING_H 1

#include "abi.h"

/* Why a ring is broken: the rule that the peer broke. */
enum doms_ring_broken {
    DOMS_RING_OK,
    DOMS_RING_BAD_HEAD,   /* More records than the ring has entries. */
    DOMS_RING_BAD_TAIL,   /* More taken than put in, or counted back. */
    DOMS_RING_BAD_LENGTH, /* Shorter than a header or longer than allowed. */
    DOMS_RING_BAD_FLAGS,  /* A flag that this side did not agree to. */
};

/* The writer's private state. */
struct doms_ring_writer {
    /* Fixed by doms_ring_writer_init(). */
    uint32_t *head_page;       /* Where 'head' is published; shared, ours. */
    const uint32_t *tail_page; /* The reader's count; shared, the peer's. */
    uint32_t *lengths;         /* Shared, ours. */
    uint8_t *arena;            /* Shared, ours. */
    uint32_t *ends;            /* Where each record ended; private, as long
                                * as 'lengths'. */
    uint32_t length_mask;      /* Entries of 'lengths', minus 1. */
    uint32_t arena_size;       /* Bytes, a power of 2. */

    /* Changed by each record.  Positions count bytes modulo 2^32, including
     * those skipped at the arena's end. */
    uint32_t head;     /* Records put in. */
    uint32_t pos;      /* End of the last record. */
    uint32_t reserved; /* Start of the record being made. */

    /* Changed by each burst. */
    uint32_t published; /* The 'head' that the reader can see. */
    uint32_t tail;      /* Records known to be taken out. */
    uint32_t freed;     /* End of the last record known to be taken out. */
    enum doms_ring_broken broken;
};

/* The reader's private state. */
struct doms_ring_reader {
    /* Fixed by doms_ring_reader_init(). */
    const uint32_t *head_page; /* The writer's count; shared, the peer's. */
    uint32_t *tail_page;       /* Where 'tail' is published; shared, ours. */
    const uint32_t *lengths;   /* Shared, the peer's. */
    const uint8_t *arena;      /* Shared, the peer's. */
    uint32_t length_mask;
    uint32_t arena_size;
    uint32_t flags_allowed; /* DOMS_RECORD_* that were agreed to. */

    /* Changed by each record. */
    uint32_t tail; /* Records taken out. */
    uint32_t pos;  /* End of the last record, as in the writer. */

    /* Changed by each burst. */
    uint32_t head;      /* Records known to be put in. */
    uint32_t published; /* The 'tail' that the writer can see. */
    enum doms_ring_broken broken;
};

/* A record, as doms_ring_peek() found it.  'data' points into shared memory,
 * which the peer may change at any time. */
struct doms_record {
    const uint8_t *data; /* struct doms_offload if 'flags' says so, frame. */
    uint32_t length;     /* Bytes at 'data', checked. */
    uint32_t flags;      /* DOMS_RECORD_*, checked. */
};

/* Returns the number of length entries that a ring with an arena of
 * 'arena_size' bytes has: one for each 512 bytes, and never so few that short
 * frames could not make use of the arena. */
static inline uint32_t
doms_ring_n_lengths(uint32_t arena_size)
{
    uint32_t n = arena_size / 512;

    return n < DOMS_LENGTHS_MIN ? DOMS_LENGTHS_MIN : n;
}

/* Returns true if 'arena_size' is a size that a ring may have. */
static inline bool
doms_ring_arena_size_is_valid(uint32_t arena_size)
{
    return arena_size >= DOMS_ARENA_MIN && arena_size <= DOMS_ARENA_MAX
           && !(arena_size & (arena_size - 1));
}

/* Returns a text for 'broken', for logs and status. */
static inline const char *
doms_ring_broken_to_string(enum doms_ring_broken broken)
{
    switch (broken) {
    case DOMS_RING_OK:
        return "ok";
    case DOMS_RING_BAD_HEAD:
        return "bad head count";
    case DOMS_RING_BAD_TAIL:
        return "bad tail count";
    case DOMS_RING_BAD_LENGTH:
        return "bad record length";
    case DOMS_RING_BAD_FLAGS:
        return "bad record flags";
    }
    return "unknown";
}

/* The place rule.  Returns the position at which a record of 'length' bytes
 * starts when the one before it ended at 'pos'. */
static inline uint32_t
doms_ring_place__(uint32_t pos, uint32_t length, uint32_t arena_size)
{
    uint32_t ofs = pos & (arena_size - 1);

    return DOMS_UNLIKELY(ofs + length > arena_size) ? pos + (arena_size - ofs)
                                                    : pos;
}

static inline uint32_t
doms_ring_align__(uint32_t length)
{
    return (length + (DOMS_RECORD_ALIGN - 1)) & ~(DOMS_RECORD_ALIGN - 1);
}

/* Writer. */

/* Initializes 'w' for a fresh ring, whose shared pages must be zero.
 *
 * 'head_page', 'lengths' and 'arena' are in this side's group, 'tail_page' in
 * the peer's.  'arena_size' must satisfy doms_ring_arena_size_is_valid().
 * 'ends' is private memory of doms_ring_n_lengths('arena_size') words. */
static inline void
doms_ring_writer_init(struct doms_ring_writer *w, uint32_t *head_page,
                      const uint32_t *tail_page, uint32_t *lengths,
                      uint8_t *arena, uint32_t arena_size, uint32_t *ends)
{
    memset(w, 0, sizeof *w);
    w->head_page = head_page;
    w->tail_page = tail_page;
    w->lengths = lengths;
    w->arena = arena;
    w->arena_size = arena_size;
    w->length_mask = doms_ring_n_lengths(arena_size) - 1;
    w->ends = ends;
}

/* Learns how far the reader has come.  Returns false if it broke a rule. */
static inline bool
doms_ring_refresh_tail__(struct doms_ring_writer *w)
{
    uint32_t tail = DOMS_LOAD_ACQUIRE(w->tail_page);

    if (DOMS_UNLIKELY(tail - w->tail > w->published - w->tail)) {
        w->broken = DOMS_RING_BAD_TAIL;
        return false;
    }
    if (tail != w->tail) {
        w->tail = tail;
        w->freed = w->ends[(tail - 1) & w->length_mask];
    }
    return true;
}

static inline bool
doms_ring_has_room__(const struct doms_ring_writer *w, uint32_t end)
{
    return w->head - w->tail <= w->length_mask
           && end - w->freed <= w->arena_size;
}

/* Returns the place of a record of up to 'length' bytes, which must be what a
 * reader accepts (doms_ring_peek()) and is the caller's to check, or NULL if
 * the ring is full or broken.
 *
 * The record does not exist for the reader before doms_ring_commit() and
 * doms_ring_publish().  A second reservation replaces the first. */
static inline void *
doms_ring_reserve(struct doms_ring_writer *w, uint32_t length)
{
    uint32_t start = doms_ring_place__(w->pos, length, w->arena_size);
    uint32_t end = start + doms_ring_align__(length);

    if (DOMS_UNLIKELY(w->broken)) {
        return NULL;
    }
    if (DOMS_UNLIKELY(!doms_ring_has_room__(w, end))
        && (!doms_ring_refresh_tail__(w) || !doms_ring_has_room__(w, end))) {
        return NULL;
    }
    w->reserved = start;
    return w->arena + (start & (w->arena_size - 1));
}

/* Turns the last reservation into a record of 'length' bytes with 'flags'
 * (DOMS_RECORD_*).  'length' must be at least 1 and at most what was reserved.
 *
 * A reservation that was too long for the rest of the arena lies at 0.  If the
 * record became so short that the place rule puts it before the arena's end
 * after all, its bytes are moved there. */
static inline void
doms_ring_commit(struct doms_ring_writer *w, uint32_t length, uint32_t flags)
{
    uint32_t start = doms_ring_place__(w->pos, length, w->arena_size);
    uint32_t i = w->head & w->length_mask;

    if (DOMS_UNLIKELY(start != w->reserved)) {
        memcpy(w->arena + (start & (w->arena_size - 1)), w->arena, length);
    }
    DOMS_WRITE_ONCE(w->lengths[i],
                    length | (flags << DOMS_LENGTH_FLAGS_SHIFT));
    w->pos = start + doms_ring_align__(length);
    w->ends[i] = w->pos;
    w->head++;
}

/* Lets the reader see all committed records.  Returns true if there were any
 * that it could not see before. */
static inline bool
doms_ring_publish(struct doms_ring_writer *w)
{
    if (w->published == w->head) {
        return false;
    }
    w->published = w->head;
    DOMS_STORE_RELEASE(w->head_page, w->head);
    return true;
}

/* Copies the 'length' bytes at 'data' into a record of its own and commits it,
 * without publishing.  Returns false if the ring is full or broken. */
static inline bool
doms_ring_write(struct doms_ring_writer *w, const void *data, uint32_t length,
                uint32_t flags)
{
    void *place = doms_ring_reserve(w, length);

    if (!place) {
        return false;
    }
    memcpy(place, data, length);
    doms_ring_commit(w, length, flags);
    return true;
}

/* Returns true if the reader has taken all published records, as far as its
 * count tells. */
static inline bool
doms_ring_writer_is_drained(struct doms_ring_writer *w)
{
    return !w->broken && doms_ring_refresh_tail__(w)
           && w->tail == w->published;
}

/* Reader. */

/* Initializes 'r' for a fresh ring.  'tail_page' is in this side's group, the
 * others in the peer's.  'flags_allowed' are the DOMS_RECORD_* that the peer
 * may use. */
static inline void
doms_ring_reader_init(struct doms_ring_reader *r, const uint32_t *head_page,
                      uint32_t *tail_page, const uint32_t *lengths,
                      const uint8_t *arena, uint32_t arena_size,
                      uint32_t flags_allowed)
{
    memset(r, 0, sizeof *r);
    r->head_page = head_page;
    r->tail_page = tail_page;
    r->lengths = lengths;
    r->arena = arena;
    r->arena_size = arena_size;
    r->length_mask = doms_ring_n_lengths(arena_size) - 1;
    r->flags_allowed = flags_allowed;
}

/* Returns how many records can be taken with doms_ring_peek(), at most 'max'.
 * Looks into shared memory only if fewer than 'max' are known of. */
static inline uint32_t
doms_ring_poll(struct doms_ring_reader *r, uint32_t max)
{
    uint32_t n = r->head - r->tail;

    if (n < max && DOMS_LIKELY(!r->broken)) {
        uint32_t head = DOMS_LOAD_ACQUIRE(r->head_page);

        n = head - r->tail;
        if (DOMS_UNLIKELY(n > r->length_mask + 1 || n < r->head - r->tail)) {
            r->broken = DOMS_RING_BAD_HEAD;
            r->head = r->tail;
            return 0;
        }
        r->head = head;
    }
    return n < max ? n : max;
}

/* Returns true if the writer has published more than has been taken.  Changes
 * nothing in 'r'. */
static inline bool
doms_ring_has_more(const struct doms_ring_reader *r)
{
    return DOMS_LOAD_ACQUIRE(r->head_page) != r->tail;
}

/* Takes the next record into '*rec'.  Returns false if there is none, as far
 * as the last doms_ring_poll() could tell, or if the record breaks a rule.
 *
 * The record's bytes stay in place until doms_ring_release(). */
static inline bool
doms_ring_peek(struct doms_ring_reader *r, struct doms_record *rec)
{
    uint32_t entry, length, flags, min, max, start;

    if (DOMS_UNLIKELY(r->head == r->tail)) {
        return false;
    }

    entry = DOMS_READ_ONCE(r->lengths[r->tail & r->length_mask]);
    length = entry & DOMS_LENGTH_MASK;
    flags = entry >> DOMS_LENGTH_FLAGS_SHIFT;
    min = DOMS_FRAME_MIN;
    max = DOMS_FRAME_MAX;
    if (DOMS_UNLIKELY(flags)) {
        if (flags & ~r->flags_allowed) {
            r->broken = DOMS_RING_BAD_FLAGS;
            r->head = r->tail;
            return false;
        }
        if (flags & DOMS_RECORD_OFFLOAD) {
            min += sizeof(struct doms_offload);
            max += sizeof(struct doms_offload);
        }
    }
    if (DOMS_UNLIKELY(length < min || length > max)) {
        r->broken = DOMS_RING_BAD_LENGTH;
        r->head = r->tail;
        return false;
    }

    start = doms_ring_place__(r->pos, length, r->arena_size);
    r->pos = start + doms_ring_align__(length);
    r->tail++;
    rec->data = r->arena + (start & (r->arena_size - 1));
    rec->length = length;
    rec->flags = flags;
    return true;
}

/* Copies the offload fields of 'rec', whose flags must have
 * DOMS_RECORD_OFFLOAD, into '*o', reading each word once.  They are still to
 * be checked against the frame. */
static inline void
doms_record_read_offload(const struct doms_record *rec, struct doms_offload *o)
{
    const uint64_t *shared = (const uint64_t *) rec->data;
    uint64_t words[2];

    words[0] = DOMS_READ_ONCE(shared[0]);
    words[1] = DOMS_READ_ONCE(shared[1]);
    memcpy(o, words, sizeof *o);
}

/* Gives all taken records' room back to the writer.  Returns true if there
 * were any. */
static inline bool
doms_ring_release(struct doms_ring_reader *r)
{
    if (r->published == r->tail) {
        return false;
    }
    r->published = r->tail;
    DOMS_STORE_RELEASE(r->tail_page, r->tail);
    return true;
}

/* Copies the next record, of at most 'size' bytes, to 'buf' and takes it out,
 * without releasing.  '*rec' tells its length and flags, and 'rec->data' is
 * 'buf'.  Returns 0, EAGAIN if there is no record, EMSGSIZE if it is longer
 * than 'size' (it is taken all the same, and 'rec->data' is NULL), or EPROTO
 * if the ring is broken. */
static inline int
doms_ring_read(struct doms_ring_reader *r, void *buf, uint32_t size,
               struct doms_record *rec)
{
    if (!doms_ring_poll(r, 1) || !doms_ring_peek(r, rec)) {
        return r->broken ? EPROTO : EAGAIN;
    }
    if (rec->length > size) {
        rec->data = NULL;
        return EMSGSIZE;
    }
    memcpy(buf, rec->data, rec->length);
    rec->data = buf;
    return 0;
}

#endif /* common/ring.h */
