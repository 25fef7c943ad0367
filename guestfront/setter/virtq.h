/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's end of a virtqueue, split or packed (virtio 1.2, chapter 2).
 *
 * A virtqueue hands out buffers: what the driver made available, found in the
 * VM's memory, as pointers with lengths.  They are handed out and given back
 * in the ring's order.
 *
 * Guarantees
 * ----------
 *
 * The driver is not trusted.  Each of its words is read once, into private
 * memory, and checked there.  A chain has at most as many descriptors as its
 * table, and at most VIRTQ_CHAIN_MAX pieces; every piece lies in the VM's own
 * memory.  When the driver breaks a rule, 'fault' says which, and from then on
 * the virtqueue is empty for good.  The bytes of a buffer may change at any
 * time: who looks at them copies them first.
 *
 * No call blocks, allocates or makes a system call.
 *
 * Thread-safety: a virtqueue belongs to one thread at a time.
 *
 * Use
 * ---
 *
 *     virtq_take() as many as are wanted; look at or fill those that
 *     virtq_buf() returns; virtq_put() the first so many of them, which also
 *     publishes them; then notify the driver if virtq_wants_call().
 */

#ifndef DOMS_SETTER_VIRTQ_H
#define DOMS_SETTER_VIRTQ_H 1

#include <linux/virtio_ring.h>

#include "common/os.h"
#include "guestfront/setter/memory.h"

/* Buffers that can be taken and not yet put. */
#define VIRTQ_BATCH 128
/* Pieces of one buffer, and descriptors, of which empty ones are no piece. */
#define VIRTQ_CHAIN_MAX 1024
/* Pieces of all buffers that have several. */
#define VIRTQ_PIECES (2 * VIRTQ_CHAIN_MAX)
/* Entries of a ring. */
#define VIRTQ_SIZE_MAX 32768

/* The rule that the driver broke. */
enum virtq_fault {
    VIRTQ_OK,
    VIRTQ_BAD_COUNT,     /* More available than the ring has entries. */
    VIRTQ_BAD_INDEX,     /* No such descriptor. */
    VIRTQ_BAD_ADDRESS,   /* Not in the VM's memory. */
    VIRTQ_BAD_DIRECTION, /* To be read where one writes, or reversed. */
    VIRTQ_BAD_INDIRECT,  /* A table that cannot be. */
    VIRTQ_BAD_CHAIN,     /* A loop, or too long. */
    VIRTQ_BAD_LENGTH,    /* Too short for a virtio-net header. */
};

/* Bytes of a buffer that lie together. */
struct virtq_piece {
    uint8_t *data; /* In the VM's memory. */
    uint32_t length;
};

/* A buffer. */
struct virtq_buf {
    uint8_t *data;     /* Its first piece, in the VM's memory. */
    uint32_t length;   /* Bytes of that. */
    uint32_t total;    /* Bytes of all pieces. */
    uint32_t n_pieces; /* At least 1. */
    uint16_t piece;    /* The first in 'pieces'; if there are several. */
    uint16_t id;       /* What the driver calls it. */
    uint16_t n_descs;  /* Descriptors that it takes in the ring. */
};

/* What a virtqueue is made from. */
struct virtq_config {
    bool packed;    /* VIRTIO_F_RING_PACKED. */
    bool event_idx; /* VIRTIO_RING_F_EVENT_IDX. */
    bool in_order;  /* VIRTIO_F_IN_ORDER. */
    bool writes;    /* The device writes the buffers. */
    uint16_t size;  /* Entries. */
    uint16_t base;  /* Where to go on: an index, for a packed ring with the
                     * wrap counter as its highest bit, and only if the ring
                     * itself does not tell. */
    void *desc;     /* Where the ring's three parts are mapped. */
    void *driver;
    void *device;
    const struct memory *memory; /* Must live as long. */
};

struct virtq {
    /* Fixed by virtq_init(). */
    struct virtq_config c;
    const struct memory_region *hint; /* For memory_at(). */

    /* Where the device is: the next buffer to take and to put.  Free-running
     * for a split ring. */
    uint16_t avail;
    uint16_t used;
    uint16_t avail_known; /* Split: the driver's index as last read. */
    bool avail_wrap;      /* Packed: wrap counters. */
    bool used_wrap;
    bool armed; /* The driver is to notify. */

    /* For virtq_wants_call(). */
    uint16_t signalled; /* 'used' at the last look. */
    bool signalled_valid;

    enum virtq_fault fault;

    /* Buffers taken: 'n' from entry 'first' on. */
    unsigned int first;
    unsigned int n;
    unsigned int n_pieces; /* Entries of 'pieces' in use. */
    struct virtq_buf bufs[VIRTQ_BATCH];
    struct virtq_piece pieces[VIRTQ_PIECES];
};

int virtq_init(struct virtq *, const struct virtq_config *, char *why,
               size_t why_size);
const char *virtq_fault_to_string(enum virtq_fault);

unsigned int virtq_take(struct virtq *, unsigned int want);
void virtq_put(struct virtq *, unsigned int n, const uint32_t *written);
bool virtq_wants_call(struct virtq *);
bool virtq_arm(struct virtq *);
void virtq_disarm(struct virtq *);
uint16_t virtq_base(const struct virtq *);

/* Returns the buffer number 'i' of those taken. */
static inline struct virtq_buf *
virtq_buf(struct virtq *v, unsigned int i)
{
    return &v->bufs[v->first + i];
}

/* Returns true if no more buffers can be taken before some are put, or there
 * is no room for the pieces of another one. */
static inline bool
virtq_is_full(const struct virtq *v)
{
    return v->n == VIRTQ_BATCH || v->n == v->c.size
           || v->n_pieces + VIRTQ_CHAIN_MAX > VIRTQ_PIECES;
}

/* Returns piece number 'i' of 'b', a buffer of 'v'. */
static inline struct virtq_piece
virtq_buf_piece(const struct virtq *v, const struct virtq_buf *b,
                unsigned int i)
{
    if (b->n_pieces == 1) {
        return (struct virtq_piece){ b->data, b->length };
    }
    return v->pieces[b->piece + i];
}

/* The parts below are shared by the virtqueue's own files. */

/* A descriptor, copied. */
struct virtq_desc__ {
    uint64_t addr;
    uint32_t length;
    uint16_t a; /* Flags of a split ring's, id of a packed ring's. */
    uint16_t b; /* Next of a split ring's, flags of a packed ring's. */
};

/* Copies the descriptor at 'p', reading each word once. */
static inline struct virtq_desc__
virtq_read_desc__(const void *p)
{
    const uint64_t *words = p;
    uint64_t addr = DOMS_READ_ONCE(words[0]);
    uint64_t rest = DOMS_READ_ONCE(words[1]);

    return (struct virtq_desc__){
        .addr = addr, .length = rest, .a = rest >> 32, .b = rest >> 48
    };
}

/* Notes that the driver broke rule 'fault'.  Returns false. */
static inline bool
virtq_fail__(struct virtq *v, enum virtq_fault fault)
{
    v->fault = fault;
    return false;
}

/* Makes 'b' a buffer of one piece, the 'length' bytes at 'addr' of the VM,
 * whose memory is 'm'.  Returns false if they are not that: virtq_add__() can
 * say why. */
static inline bool
virtq_simple__(const struct memory *m, const struct memory_region **hint,
               struct virtq_buf *b, uint64_t addr, uint32_t length)
{
    uint8_t *data = length ? memory_at(m, hint, addr, length) : NULL;

    b->data = data;
    b->length = b->total = length;
    b->n_pieces = 1;
    return data != NULL;
}

void virtq_begin__(struct virtq *, struct virtq_buf *);
bool virtq_add__(struct virtq *, struct virtq_buf *, uint64_t addr,
                 uint32_t length, bool writes);
bool virtq_end__(struct virtq *, struct virtq_buf *);
const uint8_t *virtq_indirect__(struct virtq *, uint64_t addr, uint32_t length,
                                unsigned int *n);

/* virtq-split.c */
bool virtq_split_check(const struct virtq_config *);
void virtq_split_init(struct virtq *);
unsigned int virtq_split_take(struct virtq *, struct virtq_buf *,
                              unsigned int want);
void virtq_split_put(struct virtq *, const struct virtq_buf *, unsigned int n,
                     const uint32_t *written);
bool virtq_split_wants_call(struct virtq *, uint16_t old);
bool virtq_split_arm(struct virtq *);
void virtq_split_disarm(struct virtq *);

/* virtq-packed.c */
bool virtq_packed_check(const struct virtq_config *);
uint16_t virtq_packed_find_base(const struct virtq_config *);
unsigned int virtq_packed_take(struct virtq *, struct virtq_buf *,
                               unsigned int want);
void virtq_packed_put(struct virtq *, const struct virtq_buf *, unsigned int n,
                      const uint32_t *written);
bool virtq_packed_wants_call(struct virtq *, uint16_t old);
bool virtq_packed_arm(struct virtq *);
void virtq_packed_disarm(struct virtq *);

#endif /* virtq.h */
