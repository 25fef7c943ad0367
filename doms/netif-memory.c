/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/netif-memory.h"

#include <stdlib.h>

#include "doms/channel.h"
#include "doms/netif-queue.h"
#include "doms/netif-terms.h"
#include "doms/ports.h"
#include "ovs-atomic.h"
#include "util.h"

struct netif_memory {
    struct ovs_refcount refs; /* The channel's and the device's. */
    atomic_bool is_unmapped;  /* No thread can reach the pages any more. */
};

static void
close_queues(struct doms_channel *ch)
{
    for (uint32_t i = 0; i < ch->geometry.n_queues; i++) {
        netif_queue_close(ch->queues[i].netif);
        ch->queues[i].netif = NULL;
        ch->queues[i].peer_bell_fd = -1;
    }
}

static void
unmap_channel(struct doms_channel *ch)
{
    struct netif_memory *m = ch->memory;

    close_queues(ch);
    atomic_store(&m->is_unmapped, true);
    netif_memory_unref(m);
    doms_ports_wake(); /* The door waits for this. */
}

/* Maps the rings of 'wish', as guest 'domid' has granted them, and binds its
 * event channels, for the queues of 'ch', which are as many.
 * doms_channel_destroy() undoes it.
 *
 * Returns 0, with '*memory' for the caller to unref; or a positive errno
 * value, with nothing mapped and in '*why' a reason for the guest's
 * operator. */
int
netif_memory_map(struct doms_channel *ch, uint32_t domid,
                 const struct netif_wish *wish, struct netif_memory **memory,
                 const char **why)
{
    struct netif_memory *m;

    for (uint32_t i = 0; i < ch->geometry.n_queues; i++) {
        int error = netif_queue_open(&ch->queues[i], domid, &wish->queues[i],
                                     &wish->can, why);

        if (error) {
            close_queues(ch);
            return error;
        }
    }
    m = xmalloc(sizeof *m);
    ovs_refcount_init(&m->refs);
    ovs_refcount_ref(&m->refs);
    atomic_init(&m->is_unmapped, false);
    ch->memory = m;
    ch->unmap = unmap_channel;
    *memory = m;
    return 0;
}

/* Returns true once no thread can reach the pages any more. */
bool
netif_memory_is_unmapped(const struct netif_memory *m_)
{
    struct netif_memory *m = CONST_CAST(struct netif_memory *, m_);
    bool is_unmapped;

    atomic_read(&m->is_unmapped, &is_unmapped);
    return is_unmapped;
}

/* Gives up a reference to 'm'.  Accepts NULL. */
void
netif_memory_unref(struct netif_memory *m)
{
    if (m && ovs_refcount_unref(&m->refs) == 1) {
        free(m);
    }
}
