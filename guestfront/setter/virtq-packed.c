/* SPDX-License-Identifier: Apache-2.0 */
#include "virtq.h"

#define F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED (1u << VRING_PACKED_DESC_F_USED)

static uint8_t *
desc_of(const struct virtq *v, unsigned int i)
{
    return (uint8_t *) v->c.desc + i * 16;
}

/* Returns true if the parts that 'c' names are in the VM's memory. */
bool
virtq_packed_check(const struct virtq_config *c)
{
    return memory_has_host_range(c->memory, c->desc, (uint64_t) c->size * 16)
           && memory_has_host_range(c->memory, c->driver, 4)
           && memory_has_host_range(c->memory, c->device, 4)
           && !((uintptr_t) c->desc % 16) && !((uintptr_t) c->driver % 4)
           && !((uintptr_t) c->device % 4);
}

/* Returns where a device that served the ring of 'c' got to, which QEMU does
 * not know if that one died.  Only devices ever change a descriptor's
 * VRING_PACKED_DESC_F_USED, one after the other, each once a round: what it is
 * at the start of the ring it is up to where they got to.  Returns 'c->base'
 * if it is not so, because a device left out the rest of its chains. */
uint16_t
virtq_packed_find_base(const struct virtq_config *c)
{
    const struct vring_packed_desc *d = c->desc;
    bool wrap = DOMS_READ_ONCE(d[0].flags) & F_USED;
    unsigned int n = 1;

    while (n < c->size && !(DOMS_READ_ONCE(d[n].flags) & F_USED) == !wrap) {
        n++;
    }
    for (unsigned int i = n; i < c->size; i++) {
        if (!(DOMS_READ_ONCE(d[i].flags) & F_USED) == !wrap) {
            return c->base;
        }
    }
    if (n == c->size) {
        n = 0;
        wrap = !wrap;
    }
    return n | wrap << 15;
}

static bool
is_available(uint16_t flags, bool wrap)
{
    return !(flags & F_AVAIL) == !wrap && !(flags & F_USED) == wrap;
}

/* Reads the descriptor at 'avail' to '*d'.  Returns false if it is not
 * available. */
static inline bool
read_head(const struct virtq *v, struct virtq_desc__ *d)
{
    const uint64_t *words = (const uint64_t *) desc_of(v, v->avail);
    uint64_t rest = DOMS_LOAD_ACQUIRE(&words[1]);

    d->b = rest >> 48;
    if (!is_available(d->b, v->avail_wrap)) {
        return false;
    }
    d->addr = DOMS_READ_ONCE(words[0]);
    d->length = rest;
    d->a = rest >> 32;
    return true;
}

/* Adds the table of indirect descriptors that 'd' names to 'b'. */
static bool
add_indirect(struct virtq *v, struct virtq_buf *b,
             const struct virtq_desc__ *d)
{
    const uint8_t *table;
    unsigned int n;

    if (d->b & VRING_DESC_F_NEXT) {
        return virtq_fail__(v, VIRTQ_BAD_INDIRECT);
    }
    table = virtq_indirect__(v, d->addr, d->length, &n);
    if (!table) {
        return false;
    }
    for (unsigned int i = 0; i < n; i++) {
        struct virtq_desc__ e = virtq_read_desc__(table + i * 16);

        if (e.b & VRING_DESC_F_INDIRECT) {
            return virtq_fail__(v, VIRTQ_BAD_INDIRECT);
        }
        /* DPDK's driver says of the headers that it sends that they are to be
         * written, which does no harm to who reads them. */
        if (!virtq_add__(v, b, e.addr, e.length,
                         v->c.writes && e.b & VRING_DESC_F_WRITE)) {
            return false;
        }
    }
    return true;
}

/* Finds the buffer whose chain starts with 'd', the descriptor at 'avail',
 * whatever its form. */
static bool
walk(struct virtq *v, struct virtq_buf *b, struct virtq_desc__ d)
{
    unsigned int i = v->avail;
    unsigned int n = 0;

    virtq_begin__(v, b);
    for (;;) {
        n++;
        if (d.b & VRING_DESC_F_INDIRECT
                ? !add_indirect(v, b, &d)
                : !virtq_add__(v, b, d.addr, d.length,
                               d.b & VRING_DESC_F_WRITE)) {
            return false;
        }
        if (!(d.b & VRING_DESC_F_NEXT)) {
            break;
        }
        if (n >= v->c.size || n >= VIRTQ_CHAIN_MAX) {
            return virtq_fail__(v, VIRTQ_BAD_CHAIN);
        }
        i = i + 1 < v->c.size ? i + 1 : 0;
        d = virtq_read_desc__(desc_of(v, i));
    }
    b->id = d.a;
    b->n_descs = n;
    return virtq_end__(v, b);
}

static void
advance(const struct virtq *v, uint16_t *index, bool *wrap, unsigned int n)
{
    unsigned int i = *index + n;

    if (i >= v->c.size) {
        i -= v->c.size;
        *wrap = !*wrap;
    }
    *index = i;
}

/* Takes up to 'want' buffers to 'bufs'.  Returns their number. */
unsigned int
virtq_packed_take(struct virtq *v, struct virtq_buf *bufs, unsigned int want)
{
    uint16_t wanted_flags = v->c.writes ? VRING_DESC_F_WRITE : 0;
    /* A copy, which the compiler knows that nothing else points to. */
    const struct memory_region *hint = v->hint;
    unsigned int i;

    for (i = 0; i < want; i++) {
        struct virtq_buf *b = &bufs[i];
        struct virtq_desc__ d;

        if (!read_head(v, &d)) {
            break;
        }
        b->id = d.a;
        b->n_descs = 1;
        if ((d.b & ~(F_AVAIL | F_USED)) != wanted_flags
            || !virtq_simple__(v->c.memory, &hint, b, d.addr, d.length)) {
            if (v->n_pieces + VIRTQ_CHAIN_MAX > VIRTQ_PIECES
                || !walk(v, b, d)) {
                break;
            }
        }
        advance(v, &v->avail, &v->avail_wrap, b->n_descs);
    }
    v->hint = hint;
    return i;
}

/* Returns what the second word of a used descriptor is. */
static uint64_t
used_word(const struct virtq *v, uint16_t id, uint32_t written)
{
    uint64_t flags = (v->used_wrap ? F_AVAIL | F_USED : 0)
                     | (written ? VRING_DESC_F_WRITE : 0);

    return written | (uint64_t) id << 32 | flags << 48;
}

/* Marks all descriptors of 'b' but the first, which is at 'used', as used too:
 * the driver does not look at them, but virtq_packed_find_base() does. */
static void
mark_chain(const struct virtq *v, const struct virtq_buf *b)
{
    uint16_t index = v->used;
    bool wrap = v->used_wrap;

    for (unsigned int i = 1; i < b->n_descs; i++) {
        struct vring_packed_desc *d;

        advance(v, &index, &wrap, 1);
        d = (struct vring_packed_desc *) desc_of(v, index);
        DOMS_WRITE_ONCE(d->flags, wrap ? F_AVAIL | F_USED : 0);
    }
}

/* Gives the 'n' buffers at 'bufs' back, of which the driver sees the first one
 * last.  In order, it needs no more than the name of the last one, if nothing
 * was written. */
void
virtq_packed_put(struct virtq *v, const struct virtq_buf *bufs, unsigned int n,
                 const uint32_t *written)
{
    uint64_t *first = (uint64_t *) desc_of(v, v->used) + 1;
    bool last_only = v->c.in_order && !written;
    uint64_t word = used_word(v, bufs[last_only ? n - 1 : 0].id,
                              written ? written[0] : 0);

    mark_chain(v, &bufs[0]);
    advance(v, &v->used, &v->used_wrap, bufs[0].n_descs);
    for (unsigned int i = 1; i < n; i++) {
        mark_chain(v, &bufs[i]);
        if (!last_only) {
            uint64_t *words = (uint64_t *) desc_of(v, v->used);

            DOMS_WRITE_ONCE(
                words[1], used_word(v, bufs[i].id, written ? written[i] : 0));
        }
        advance(v, &v->used, &v->used_wrap, bufs[i].n_descs);
    }
    DOMS_STORE_RELEASE(first, word);
}

/* Returns true if the driver wants to be notified now that 'used' has become
 * what it is, from 'old'. */
bool
virtq_packed_wants_call(struct virtq *v, uint16_t old)
{
    const uint32_t *shared = v->c.driver;
    uint32_t word = DOMS_READ_ONCE(*shared);
    uint16_t flags = word >> 16;
    uint16_t event = word & 0x7fff;
    uint16_t from = old;

    if (flags != VRING_PACKED_EVENT_FLAG_DESC || !v->c.event_idx) {
        return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
    }
    /* As if the ring were endless, with 'used' in its present round. */
    if (v->used <= old) {
        from -= v->c.size;
    }
    if ((word >> 15 & 1) != v->used_wrap) {
        event -= v->c.size;
    }
    return (uint16_t) (v->used - event - 1) < (uint16_t) (v->used - from);
}

/* Asks for a notification.  Returns false if there is a buffer already. */
bool
virtq_packed_arm(struct virtq *v)
{
    struct vring_packed_desc_event *event = v->c.device;
    struct virtq_desc__ d;

    DOMS_WRITE_ONCE(event->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
    DOMS_FULL_FENCE();
    return !read_head(v, &d);
}

/* Asks for none. */
void
virtq_packed_disarm(struct virtq *v)
{
    struct vring_packed_desc_event *event = v->c.device;

    DOMS_WRITE_ONCE(event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
}
