/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recycled packets.
 *
 * A malloc() and a free() for each packet cost more than all the rest of a
 * simple switch.  Each thread that receives from doms ports therefore keeps
 * the packets that it has sent, and receives into them again.
 *
 * Packets of the pool are ordinary DPBUF_MALLOC packets, so the datapath may
 * keep, steal or free them as it likes; those that it frees are made up for by
 * new ones ("pool misses").  Packets that came from elsewhere, a TAP device
 * say, are taken in if they are large enough.
 *
 * The pool of a thread is bounded, grows only when that thread receives, and
 * goes when the thread ends.
 *
 * Thread-safety: a pool belongs to its thread; no call touches another's.
 */

#ifndef DOMS_PACKET_POOL_H
#define DOMS_PACKET_POOL_H 1

#include "common/abi.h"
#include "dp-packet.h"

/* Sizes of the packets kept: an ordinary frame, a jumbo frame, and a frame
 * that is still to be segmented.  Multiples of 64 bytes, so that a copy may
 * round up. */
enum packet_class { PACKET_SMALL, PACKET_JUMBO, PACKET_GSO, PACKET_N_CLASSES };
#define PACKET_SMALL_ROOM 2048
#define PACKET_JUMBO_ROOM 9728
/* A netfront's are a little longer than a record's may be. */
#define PACKET_GSO_ROOM 65344

/* Room before the frame, for headers that the datapath pushes: as much as
 * ports of other types leave. */
#define PACKET_HEADROOM 128

/* How many packets of each class a thread keeps. */
#define PACKET_SMALL_KEEP 256
#define PACKET_JUMBO_KEEP 96
#define PACKET_GSO_KEEP 48

struct packet_stack {
    struct dp_packet **packets; /* The last sent is on top: its lines are
                                 * most likely still in the cache. */
    uint32_t n;                 /* Packets in 'packets'. */
    uint32_t max;               /* Capacity of 'packets'. */
};

struct packet_pool {
    struct packet_stack stacks[PACKET_N_CLASSES];
    uint64_t misses; /* Packets that had to be allocated since
                      * packet_pool_take_misses(). */
};

struct packet_pool *packet_pool_create__(void);
struct dp_packet *packet_pool_miss__(struct packet_pool *, enum packet_class);
void packet_pool_put_batch(struct dp_packet_batch *);

extern __thread struct packet_pool *packet_pool__;

/* Returns the calling thread's pool, made on first use. */
static inline struct packet_pool *
packet_pool_get(void)
{
    return OVS_LIKELY(packet_pool__) ? packet_pool__ : packet_pool_create__();
}

/* Returns a packet with room for 'length' bytes (at most PACKET_GSO_ROOM) after
 * PACKET_HEADROOM, reset, of size 'length', with undefined contents. */
static inline struct dp_packet *
packet_pool_take(struct packet_pool *pool, uint32_t length)
{
    enum packet_class class = OVS_LIKELY(length <= PACKET_SMALL_ROOM)
                                  ? PACKET_SMALL
                              : length <= PACKET_JUMBO_ROOM ? PACKET_JUMBO
                                                            : PACKET_GSO;
    struct packet_stack *stack = &pool->stacks[class];
    struct dp_packet *packet;

    if (OVS_LIKELY(stack->n)) {
        packet = stack->packets[--stack->n];
    } else {
        packet = packet_pool_miss__(pool, class);
    }

    /* What the datapath may have changed; it initializes the metadata. */
    packet->data_ofs = PACKET_HEADROOM;
    dp_packet_set_size(packet, length);
    *dp_packet_ol_flags_ptr(packet) = 0;
    dp_packet_reset_offsets(packet);
    dp_packet_reset_cutlen(packet);
    packet->packet_type = htonl(PT_ETH);
    return packet;
}

/* Returns the number of packets that had to be allocated since the last
 * call. */
static inline uint64_t
packet_pool_take_misses(struct packet_pool *pool)
{
    uint64_t misses = pool->misses;

    pool->misses = 0;
    return misses;
}

#endif /* doms/packet-pool.h */
