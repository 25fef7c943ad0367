/* SPDX-License-Identifier: Apache-2.0 */
#include "virtq.h"

/* Where the parts of a split ring are. */

static struct vring_avail *
avail_of(const struct virtq *v)
{
    return v->c.driver;
}

static struct vring_used *
used_of(const struct virtq *v)
{
    return v->c.device;
}

/* The driver's and the device's event indices are behind the other's ring. */
static uint16_t *
used_event(const struct virtq *v)
{
    return &avail_of(v)->ring[v->c.size];
}

static uint16_t *
avail_event(const struct virtq *v)
{
    return (uint16_t *) &used_of(v)->ring[v->c.size];
}

/* Returns true if the parts that 'c' names are in the VM's memory. */
bool
virtq_split_check(const struct virtq_config *c)
{
    uint64_t n = c->size;

    return memory_has_host_range(c->memory, c->desc, n * 16)
           && memory_has_host_range(c->memory, c->driver, 6 + n * 2)
           && memory_has_host_range(c->memory, c->device, 6 + n * 8)
           && !((uintptr_t) c->desc % 16) && !((uintptr_t) c->driver % 2)
           && !((uintptr_t) c->device % 4);
}

/* Takes over what the ring's last user has told the driver. */
void
virtq_split_init(struct virtq *v)
{
    v->signalled = v->used;
}

/* Returns how many buffers are available, at most 'want', or 0. */
static unsigned int
count_available(struct virtq *v, unsigned int want)
{
    uint16_t n = v->avail_known - v->avail;

    if (n < want) {
        uint16_t idx = DOMS_LOAD_ACQUIRE(&avail_of(v)->idx);

        n = idx - v->avail;
        if (DOMS_UNLIKELY(n > v->c.size)) {
            virtq_fail__(v, VIRTQ_BAD_COUNT);
            return 0;
        }
        v->avail_known = idx;
    }
    return n < want ? n : want;
}

/* Adds the chain that starts with 'd', of a table of 'size' descriptors, to
 * 'b', up to its end or to a descriptor that refers to a table of its own,
 * which is then '*d'. */
static bool
add_chain(struct virtq *v, struct virtq_buf *b, const uint8_t *table,
          unsigned int size, struct virtq_desc__ *d)
{
    for (unsigned int n = 1; !(d->a & VRING_DESC_F_INDIRECT); n++) {
        if (!virtq_add__(v, b, d->addr, d->length,
                         d->a & VRING_DESC_F_WRITE)) {
            return false;
        }
        if (!(d->a & VRING_DESC_F_NEXT)) {
            return true;
        }
        if (d->b >= size) {
            return virtq_fail__(v, VIRTQ_BAD_INDEX);
        }
        if (n >= size || n >= VIRTQ_CHAIN_MAX) {
            return virtq_fail__(v, VIRTQ_BAD_CHAIN);
        }
        *d = virtq_read_desc__(table + d->b * 16);
    }
    return true;
}

/* Finds the buffer whose chain starts with 'd', whatever its form. */
static bool
walk(struct virtq *v, struct virtq_buf *b, struct virtq_desc__ d)
{
    virtq_begin__(v, b);
    if (!add_chain(v, b, v->c.desc, v->c.size, &d)) {
        return false;
    }
    if (d.a & VRING_DESC_F_INDIRECT) {
        const uint8_t *table;
        unsigned int n;

        if (d.a & VRING_DESC_F_NEXT) {
            return virtq_fail__(v, VIRTQ_BAD_INDIRECT);
        }
        table = virtq_indirect__(v, d.addr, d.length, &n);
        if (!table) {
            return false;
        }
        d = virtq_read_desc__(table);
        if (!add_chain(v, b, table, n, &d)) {
            return false;
        }
        if (d.a & VRING_DESC_F_INDIRECT) {
            return virtq_fail__(v, VIRTQ_BAD_INDIRECT);
        }
    }
    return virtq_end__(v, b);
}

/* Takes up to 'want' buffers to 'bufs'.  Returns their number. */
unsigned int
virtq_split_take(struct virtq *v, struct virtq_buf *bufs, unsigned int want)
{
    const uint16_t *ring = avail_of(v)->ring;
    const uint8_t *table = v->c.desc;
    uint16_t wanted_flags = v->c.writes ? VRING_DESC_F_WRITE : 0;
    const struct memory *memory = v->c.memory;
    /* Copies, which the compiler knows that nothing else points to. */
    const struct memory_region *hint = v->hint;
    uint16_t avail = v->avail;
    unsigned int mask = v->c.size - 1;
    unsigned int n = count_available(v, want);
    unsigned int i;

    for (i = 0; i < n; i++) {
        uint16_t head = DOMS_READ_ONCE(ring[avail & mask]);
        struct virtq_buf *b = &bufs[i];
        struct virtq_desc__ d;

        if (DOMS_UNLIKELY(head > mask)) {
            virtq_fail__(v, VIRTQ_BAD_INDEX);
            break;
        }
        b->id = head;
        b->n_descs = 1;
        d = virtq_read_desc__(table + head * 16);
        if (d.a != wanted_flags
            || !virtq_simple__(memory, &hint, b, d.addr, d.length)) {
            if (v->n_pieces + VIRTQ_CHAIN_MAX > VIRTQ_PIECES
                || !walk(v, b, d)) {
                break;
            }
        }
        avail++;
    }
    v->avail = avail;
    v->hint = hint;
    return i;
}

/* Gives the 'n' buffers at 'bufs' back. */
void
virtq_split_put(struct virtq *v, const struct virtq_buf *bufs, unsigned int n,
                const uint32_t *written)
{
    struct vring_used *used = used_of(v);
    unsigned int mask = v->c.size - 1;

    for (unsigned int i = 0; i < n; i++) {
        uint64_t *elem = (uint64_t *) &used->ring[(v->used + i) & mask];
        uint64_t length = written ? written[i] : 0;

        __builtin_memcpy(elem, &(uint64_t){ bufs[i].id | length << 32 }, 8);
    }
    v->used += n;
    DOMS_STORE_RELEASE(&used->idx, v->used);
}

/* Returns true if the driver wants to be notified now that 'used' has become
 * what it is, from 'old'. */
bool
virtq_split_wants_call(struct virtq *v, uint16_t old)
{
    if (v->c.event_idx) {
        uint16_t event = DOMS_READ_ONCE(*used_event(v));

        return (uint16_t) (v->used - event - 1) < (uint16_t) (v->used - old);
    }
    return !(DOMS_READ_ONCE(avail_of(v)->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}

/* Asks for a notification.  Returns false if there is a buffer already. */
bool
virtq_split_arm(struct virtq *v)
{
    if (v->c.event_idx) {
        DOMS_WRITE_ONCE(*avail_event(v), v->avail);
    } else {
        DOMS_WRITE_ONCE(used_of(v)->flags, 0);
    }
    DOMS_FULL_FENCE();
    return DOMS_READ_ONCE(avail_of(v)->idx) == v->avail;
}

/* Asks for none.  With event indices, the last one asked for is past. */
void
virtq_split_disarm(struct virtq *v)
{
    if (!v->c.event_idx) {
        DOMS_WRITE_ONCE(used_of(v)->flags, VRING_USED_F_NO_NOTIFY);
    }
}
