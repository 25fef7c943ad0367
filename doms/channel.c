/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/channel.h"

#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "random.h"

/* Returns a new channel of 'door' for the guest named 'peer', with 'geometry',
 * which must be valid, and 'features'.  The door fills in the rest. */
struct doms_channel *
doms_channel_create(const struct doms_door *door, const char *peer,
                    const struct doms_geometry *geometry, uint64_t features)
{
    static atomic_uint64_t last_serial = ATOMIC_VAR_INIT(0);
    struct doms_channel *ch = xzalloc(sizeof *ch);
    uint32_t n_ends = doms_ring_n_lengths(geometry->arena_size);

    ch->door = door;
    ch->serial = atomic_count_inc64(&last_serial) + 1;
    ch->peer = xstrdup(peer);
    ch->geometry = *geometry;
    ch->features = features;
    ch->epoch = doms_switch_epoch();
    atomic_init(&ch->broken, DOMS_RING_OK);
    ch->queues = xzalloc_cacheline(geometry->n_queues * sizeof *ch->queues);
    for (uint32_t i = 0; i < geometry->n_queues; i++) {
        ch->queues[i].bell_fd = -1;
        ch->queues[i].peer_bell_fd = -1;
        ch->queues[i].ends = xzalloc(n_ends * sizeof *ch->queues[i].ends);
    }
    return ch;
}

/* Gives 'ch' its groups: 'own', the switch's, and 'peer', the front's, both
 * mapped and zero, and initializes its queues. */
void
doms_channel_init_queues(struct doms_channel *ch, void *own, void *peer)
{
    uint32_t flags_allowed = ch->features & (DOMS_F_CSUM | DOMS_F_TSO)
                                 ? DOMS_RECORD_OFFLOAD
                                 : 0;

    ch->own = own;
    ch->peer_group = peer;
    doms_health_init(ch->own, &ch->geometry, ch->epoch);
    for (uint32_t i = 0; i < ch->geometry.n_queues; i++) {
        doms_queue_init(&ch->queues[i].q, &ch->geometry, i, own, peer,
                        flags_allowed, ch->queues[i].ends);
    }
}

/* Unmaps and frees 'ch', which nobody may be using.  Accepts NULL. */
void
doms_channel_destroy(struct doms_channel *ch)
{
    if (!ch) {
        return;
    }
    if (ch->unmap) {
        ch->unmap(ch);
    }
    for (uint32_t i = 0; i < ch->geometry.n_queues; i++) {
        free(ch->queues[i].ends);
    }
    free_cacheline(ch->queues);
    free(ch->peer);
    free(ch);
}

/* Destroys 'ch' once no thread can be using it any more. */
void
doms_channel_destroy_postponed(struct doms_channel *ch)
{
    if (ch) {
        ovsrcu_postpone(doms_channel_destroy, ch);
    }
}

/* Notes that the guest broke the rule 'why'.  Returns true for the first
 * caller that does. */
bool
doms_channel_set_broken(struct doms_channel *ch, enum doms_ring_broken why)
{
    uint32_t ok = DOMS_RING_OK;

    return atomic_compare_exchange_strong(&ch->broken, &ok, why);
}

/* Returns which rule the guest broke, or DOMS_RING_OK. */
enum doms_ring_broken
doms_channel_get_broken(const struct doms_channel *ch)
{
    uint32_t why;

    atomic_read_relaxed(&CONST_CAST(struct doms_channel *, ch)->broken, &why);
    return why;
}

/* Returns a number that differs between two lives of the switch, but for an
 * unlucky draw in 2^32. */
uint32_t
doms_switch_epoch(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;
    static uint32_t epoch;

    if (ovsthread_once_start(&once)) {
        epoch = random_uint32() | 1;
        ovsthread_once_done(&once);
    }
    return epoch;
}
