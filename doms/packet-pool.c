/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/packet-pool.h"

#include <pthread.h>

#include "ovs-thread.h"
#include "util.h"

/* Only its own thread reads or writes it. */
__thread struct packet_pool *packet_pool__;

static const struct {
    uint32_t room; /* Bytes after the headroom. */
    uint32_t keep; /* Packets to keep. */
} classes[PACKET_N_CLASSES] = {
    [PACKET_SMALL] = { PACKET_SMALL_ROOM, PACKET_SMALL_KEEP },
    [PACKET_JUMBO] = { PACKET_JUMBO_ROOM, PACKET_JUMBO_KEEP },
    [PACKET_GSO] = { PACKET_GSO_ROOM, PACKET_GSO_KEEP },
};
BUILD_ASSERT_DECL(PACKET_GSO_ROOM + PACKET_HEADROOM <= UINT16_MAX);
BUILD_ASSERT_DECL(PACKET_SMALL_ROOM % 64 == 0);
BUILD_ASSERT_DECL(PACKET_JUMBO_ROOM % 64 == 0);
BUILD_ASSERT_DECL(PACKET_GSO_ROOM % 64 == 0);

static pthread_key_t destroy_key;

static void
packet_pool_destroy(void *pool_)
{
    struct packet_pool *pool = pool_;

    packet_pool__ = NULL;
    for (int i = 0; i < PACKET_N_CLASSES; i++) {
        struct packet_stack *stack = &pool->stacks[i];

        while (stack->n) {
            dp_packet_delete(stack->packets[--stack->n]);
        }
        free(stack->packets);
    }
    free_cacheline(pool);
}

struct packet_pool *
packet_pool_create__(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;
    struct packet_pool *pool = xzalloc_cacheline(sizeof *pool);

    if (ovsthread_once_start(&once)) {
        xpthread_key_create(&destroy_key, packet_pool_destroy);
        ovsthread_once_done(&once);
    }
    for (int i = 0; i < PACKET_N_CLASSES; i++) {
        pool->stacks[i].max = classes[i].keep;
        pool->stacks[i].packets = xmalloc(classes[i].keep
                                          * sizeof(struct dp_packet *));
    }
    xpthread_setspecific(destroy_key, pool);
    packet_pool__ = pool;
    return pool;
}

/* Allocates a packet of 'class'.  The buffer starts on a cache line, and so
 * does the frame after the headroom. */
struct dp_packet *
packet_pool_miss__(struct packet_pool *pool, enum packet_class class)
{
    size_t allocated = PACKET_HEADROOM + classes[class].room;
    struct dp_packet *packet = xmalloc_cacheline(sizeof *packet);

    dp_packet_use(packet, xmalloc_cacheline(allocated), allocated);
    pool->misses++;
    return packet;
}

/* Returns the class whose frames fit into 'packet', or PACKET_N_CLASSES if it
 * cannot be kept. */
static inline enum packet_class
packet_classify(const struct dp_packet *packet)
{
    size_t allocated = dp_packet_get_allocated(packet);

    if (OVS_UNLIKELY(packet->source != DPBUF_MALLOC)) {
        return PACKET_N_CLASSES;
    }
    if (OVS_LIKELY(allocated == PACKET_HEADROOM + PACKET_SMALL_ROOM)) {
        return PACKET_SMALL;
    }
    for (int i = PACKET_N_CLASSES - 1; i >= 0; i--) {
        if (allocated >= PACKET_HEADROOM + classes[i].room) {
            return i;
        }
    }
    return PACKET_N_CLASSES;
}

/* Takes all packets of 'batch', which the caller owns, into the calling
 * thread's pool, or frees those that it has no use for.  A thread that never
 * receives has no pool and frees all. */
void
packet_pool_put_batch(struct dp_packet_batch *batch)
{
    struct packet_pool *pool = packet_pool__;
    struct dp_packet *packet;

    DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
        enum packet_class class = packet_classify(packet);

        if (OVS_LIKELY(pool && class < PACKET_N_CLASSES)
            && pool->stacks[class].n < pool->stacks[class].max) {
            struct packet_stack *stack = &pool->stacks[class];

            stack->packets[stack->n++] = packet;
        } else {
            dp_packet_delete(packet);
        }
    }
    dp_packet_batch_init(batch);
}
