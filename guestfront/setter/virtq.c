/* SPDX-License-Identifier: Apache-2.0 */
#include "virtq.h"

#include <stdio.h>

/* A descriptor of either kind of ring is two words of the host's order. */
DOMS_STATIC_ASSERT(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
DOMS_STATIC_ASSERT(sizeof(struct vring_desc) == 16);
DOMS_STATIC_ASSERT(sizeof(struct vring_packed_desc) == 16);
DOMS_STATIC_ASSERT(VIRTQ_PIECES <= UINT16_MAX);

/* Returns a text for 'fault'. */
const char *
virtq_fault_to_string(enum virtq_fault fault)
{
    switch (fault) {
    case VIRTQ_OK:
        return "ok";
    case VIRTQ_BAD_COUNT:
        return "more buffers than the ring has entries";
    case VIRTQ_BAD_INDEX:
        return "descriptor index out of range";
    case VIRTQ_BAD_ADDRESS:
        return "address outside of the VM's memory";
    case VIRTQ_BAD_DIRECTION:
        return "buffer of the wrong direction";
    case VIRTQ_BAD_INDIRECT:
        return "bad table of indirect descriptors";
    case VIRTQ_BAD_CHAIN:
        return "endless or too long chain of descriptors";
    case VIRTQ_BAD_LENGTH:
        return "buffer too short for a virtio-net header";
    }
    return "unknown";
}

/* Makes '*v' the virtqueue that 'c' describes, whose parts need not be
 * trusted.  Returns 0, or EINVAL with the reason in 'why' of 'why_size'
 * bytes. */
int
virtq_init(struct virtq *v, const struct virtq_config *c, char *why,
           size_t why_size)
{
    uint16_t base = c->base;

    if (!c->size || c->size > VIRTQ_SIZE_MAX
        || (!c->packed && c->size & (c->size - 1))) {
        snprintf(why, why_size, "a ring of %u entries cannot be", c->size);
        return EINVAL;
    }
    if (c->packed && (c->base & 0x7fff) >= c->size) {
        snprintf(why, why_size, "ring starts at %d of %u entries",
                 c->base & 0x7fff, c->size);
        return EINVAL;
    }
    if (!c->memory->n
        || !(c->packed ? virtq_packed_check(c) : virtq_split_check(c))) {
        snprintf(why, why_size, "ring is not in the VM's memory");
        return EINVAL;
    }
    /* In order, not all that is used is marked so. */
    if (c->packed && !c->in_order) {
        base = virtq_packed_find_base(c);
    }
    memset(v, 0, offsetof(struct virtq, bufs));
    v->c = *c;
    v->hint = &c->memory->regions[0];
    v->avail = v->used = c->packed ? base & 0x7fff : base;
    v->avail_known = v->avail;
    v->avail_wrap = v->used_wrap = base >> 15;
    v->armed = true;
    if (!c->packed) {
        virtq_split_init(v);
    }
    return 0;
}

/* Moves the pieces of the buffers that are taken to the start of 'pieces', so
 * that those of others have room. */
static void
compact_pieces(struct virtq *v)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < v->n; i++) {
        struct virtq_buf *b = virtq_buf(v, i);

        if (b->n_pieces > 1) {
            memmove(&v->pieces[n], &v->pieces[b->piece],
                    b->n_pieces * sizeof *v->pieces);
            b->piece = n;
            n += b->n_pieces;
        }
    }
    v->n_pieces = n;
}

/* Sees to it that up to 'want' buffers are taken.  Returns how many are,
 * including those taken before. */
unsigned int
virtq_take(struct virtq *v, unsigned int want)
{
    struct virtq_buf *to;

    if (want > VIRTQ_BATCH) {
        want = VIRTQ_BATCH;
    }
    if (v->n >= want || DOMS_UNLIKELY(v->fault)) {
        return v->fault ? 0 : v->n;
    }
    if (!v->n) {
        v->first = v->n_pieces = 0;
    } else if (v->first + want > VIRTQ_BATCH) {
        memmove(v->bufs, &v->bufs[v->first], v->n * sizeof *v->bufs);
        v->first = 0;
    }
    if (DOMS_UNLIKELY(v->n_pieces + VIRTQ_CHAIN_MAX > VIRTQ_PIECES)) {
        compact_pieces(v);
    }
    to = &v->bufs[v->first + v->n];
    want -= v->n;
    v->n += v->c.packed ? virtq_packed_take(v, to, want)
                        : virtq_split_take(v, to, want);
    return v->fault ? 0 : v->n;
}

/* Gives the first 'n' of the buffers taken back to the driver.  'written[i]'
 * are the bytes written to number i; NULL if none were to any. */
void
virtq_put(struct virtq *v, unsigned int n, const uint32_t *written)
{
    const struct virtq_buf *bufs = &v->bufs[v->first];

    if (n) {
        if (v->c.packed) {
            virtq_packed_put(v, bufs, n, written);
        } else {
            virtq_split_put(v, bufs, n, written);
        }
        v->first += n;
        v->n -= n;
    }
}

/* Returns true if the driver wants to be notified of what has been put since
 * the last call. */
bool
virtq_wants_call(struct virtq *v)
{
    uint16_t old = v->signalled;
    bool valid = v->signalled_valid;
    bool wants;

    v->signalled = v->used;
    v->signalled_valid = true;
    DOMS_FULL_FENCE();
    wants = v->c.packed ? virtq_packed_wants_call(v, old)
                        : virtq_split_wants_call(v, old);
    return wants || (v->c.event_idx && !valid);
}

/* Asks the driver to notify the device of the next buffer.  Returns false if
 * there is one already. */
bool
virtq_arm(struct virtq *v)
{
    v->armed = true;
    return v->c.packed ? virtq_packed_arm(v) : virtq_split_arm(v);
}

/* Tells the driver that the device polls. */
void
virtq_disarm(struct virtq *v)
{
    if (v->armed) {
        v->armed = false;
        if (v->c.packed) {
            virtq_packed_disarm(v);
        } else {
            virtq_split_disarm(v);
        }
    }
}

/* Returns where another device would go on: buffers that were taken and not
 * put have not been taken. */
uint16_t
virtq_base(const struct virtq *v)
{
    return v->c.packed ? v->used | v->used_wrap << 15 : v->used;
}

/* Chains. */

/* Starts buffer 'b', of no piece yet. */
void
virtq_begin__(struct virtq *v, struct virtq_buf *b)
{
    b->n_pieces = 0;
    b->total = 0;
    b->piece = v->n_pieces;
}

/* Adds the 'length' bytes at 'addr' of the VM to 'b'.  'writes' says which
 * direction the driver means them for. */
bool
virtq_add__(struct virtq *v, struct virtq_buf *b, uint64_t addr,
            uint32_t length, bool writes)
{
    if (writes != v->c.writes) {
        return virtq_fail__(v, VIRTQ_BAD_DIRECTION);
    }
    if (length > UINT32_MAX - b->total) {
        return virtq_fail__(v, VIRTQ_BAD_CHAIN);
    }
    b->total += length;
    /* What lies together for the VM may be two regions here. */
    while (length) {
        const struct memory_region *r = memory_find(v->c.memory, addr);
        uint64_t rest = r ? r->size - (addr - r->guest) : 0;
        uint32_t n = length < rest ? length : rest;

        if (!r) {
            return virtq_fail__(v, VIRTQ_BAD_ADDRESS);
        }
        if (b->n_pieces >= VIRTQ_CHAIN_MAX) {
            return virtq_fail__(v, VIRTQ_BAD_CHAIN);
        }
        v->pieces[b->piece + b->n_pieces++] = (struct virtq_piece){
            .data = r->host + (addr - r->guest),
            .length = n,
        };
        addr += n;
        length -= n;
    }
    return true;
}

/* Ends buffer 'b'. */
bool
virtq_end__(struct virtq *v, struct virtq_buf *b)
{
    if (!b->n_pieces) {
        return virtq_fail__(v, VIRTQ_BAD_LENGTH);
    }
    b->data = v->pieces[b->piece].data;
    b->length = v->pieces[b->piece].length;
    if (b->n_pieces > 1) {
        v->n_pieces += b->n_pieces;
    }
    return true;
}

/* Returns the table of indirect descriptors of 'length' bytes at 'addr' of the
 * VM, with their number in '*n', or NULL. */
const uint8_t *
virtq_indirect__(struct virtq *v, uint64_t addr, uint32_t length,
                 unsigned int *n)
{
    const uint8_t *table;

    if (!length || length % 16 || length / 16 > VIRTQ_CHAIN_MAX) {
        virtq_fail__(v, VIRTQ_BAD_INDIRECT);
        return NULL;
    }
    table = memory_at(v->c.memory, &v->hint, addr, length);
    if (!table) {
        virtq_fail__(v, VIRTQ_BAD_ADDRESS);
        return NULL;
    }
    if ((uintptr_t) table % 8) {
        virtq_fail__(v, VIRTQ_BAD_INDIRECT);
        return NULL;
    }
    *n = length / 16;
    return table;
}
