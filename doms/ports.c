/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/ports.h"

#include <errno.h>

#include "doms/door.h"
#include "doms/netdev-doms.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "seq.h"
#include "timeval.h"

VLOG_DEFINE_THIS_MODULE(doms_ports);

/* How often the switch's heartbeat goes on. */
#define HEARTBEAT_MS 500

static const struct doms_door *const doors[] = { &door_socket, &door_xenbus,
                                                 &door_netif };

/* A guest can come and go without end: the log must not grow with it. */
static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 1024);

/* Channels whose ports have gone, of which their doors have yet to be told:
 * whichever thread drops the last reference destroys a port. */
static struct ovs_list
    orphans OVS_GUARDED_BY(netdev_doms_mutex) = OVS_LIST_INITIALIZER(&orphans);

/* Returns the sequence that doms_ports_wake() changes. */
static struct seq *
ports_seq(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;
    static struct seq *seq;

    if (ovsthread_once_start(&once)) {
        seq = seq_create();
        ovsthread_once_done(&once);
    }
    return seq;
}

uint64_t
doms_ports_seq(void)
{
    return seq_read(ports_seq());
}

void
doms_ports_seq_wait(uint64_t seq)
{
    seq_wait(ports_seq(), seq);
}

void
doms_ports_wake(void)
{
    seq_change(ports_seq());
}

/* Stores into 'config' what the port of the guest named 'peer' is like.
 * Returns false if there is no such port. */
bool
doms_ports_lookup(const char *peer, struct doms_port_config *config)
{
    struct netdev_doms *dev;

    ovs_mutex_lock(&netdev_doms_mutex);
    dev = netdev_doms_find(peer);
    if (dev) {
        ovs_mutex_lock(&dev->mutex);
        config->n_queues = dev->requested_n_rxq;
        config->arena_size = dev->arena_size;
        config->arena_is_set = dev->arena_is_set;
        config->numa_node = dev->numa_node;
        config->features = netdev_doms_offered_features(dev);
        config->mac_is_set = dev->mac_is_set;
        config->mac = dev->guest_mac;
        atomic_read_relaxed(&dev->mtu, &config->mtu);
        config->link_up = (dev->flags & NETDEV_UP) != 0;
        ovs_mutex_unlock(&dev->mutex);
    }
    ovs_mutex_unlock(&netdev_doms_mutex);
    return dev != NULL;
}

/* Returns true if 'ch', which was made for 'dev' as it was some time ago,
 * suits it now. */
static bool
channel_suits(const struct doms_channel *ch, const struct netdev_doms *dev)
    OVS_REQUIRES(dev->mutex)
{
    return ch->geometry.n_queues <= dev->requested_n_rxq
           && (!dev->arena_is_set || !ch->geometry.arena_size
               || ch->geometry.arena_size == dev->arena_size)
           && !(ch->features & ~netdev_doms_offered_features(dev))
           && (!dev->mac_is_set || eth_addr_equals(ch->mac, dev->guest_mac));
}

/* Returns true if the guest of 'ch' says that its interface is set down. */
static bool
guest_is_down(const struct doms_channel *ch)
{
    return ch->peer_group
           && DOMS_READ_ONCE(ch->peer_group->state) == DOMS_STATE_DOWN;
}

/* Makes 'ch' the channel of 'dev', which has none. */
static void
take_channel(struct netdev_doms *dev, struct doms_channel *ch)
    OVS_REQUIRES(dev->mutex)
{
    if (!dev->mac_is_set) {
        dev->guest_mac = ch->mac;
    }
    free(dev->down_reason);
    dev->down_reason = NULL;
    dev->n_connects++;
    dev->carrier_resets++;
    atomic_store_relaxed(&dev->guest_is_down, guest_is_down(ch));
    netdev_doms_publish_state(dev, ch);
    ovsrcu_set(&dev->channel, ch);
    doms_pmd_kick();
    netdev_change_seq_changed(&dev->up);
    VLOG_INFO_RL(&rl,
                 "%s: guest %s is attached by door %s (%" PRIu32 " queues)",
                 netdev_get_name(&dev->up), ch->peer, ch->door->name,
                 ch->geometry.n_queues);
}

/* Attaches 'ch' to the port of its peer, which owns it from then on.  Returns
 * 0, ENODEV if there is no such port any more, EBUSY if another channel is
 * attached, or ESTALE if the port has changed so that 'ch' does not suit it
 * any more; the caller keeps 'ch' then. */
int
doms_ports_attach(struct doms_channel *ch)
{
    struct netdev_doms *dev;
    int error = 0;

    ovs_mutex_lock(&netdev_doms_mutex);
    dev = netdev_doms_find(ch->peer);
    if (!dev) {
        error = ENODEV;
    } else if (netdev_doms_channel(dev)) {
        error = EBUSY;
    } else {
        ovs_mutex_lock(&dev->mutex);
        if (channel_suits(ch, dev)) {
            take_channel(dev, ch);
        } else {
            error = ESTALE;
        }
        ovs_mutex_unlock(&dev->mutex);
    }
    ovs_mutex_unlock(&netdev_doms_mutex);
    return error;
}

/* Returns the port that 'ch' is attached to, or NULL. */
static struct netdev_doms *
find_by_channel(const struct doms_channel *ch) OVS_REQUIRES(netdev_doms_mutex)
{
    struct netdev_doms *dev;

    LIST_FOR_EACH (dev, list_node, &netdev_doms_list) {
        if (netdev_doms_channel(dev) == ch) {
            return dev;
        }
    }
    return NULL;
}

/* Takes 'ch' from its port, if it is attached to one, and has it unmapped and
 * freed as soon as no thread uses it.  'why' is the rule that the guest broke,
 * or NULL.  The door is told, and forgets 'ch'. */
void
doms_ports_detach(struct doms_channel *ch, const char *why)
{
    struct netdev_doms *dev;

    ovs_mutex_lock(&netdev_doms_mutex);
    dev = find_by_channel(ch);
    if (dev) {
        ovs_mutex_lock(&dev->mutex);
        dev->carrier_resets++;
        free(dev->down_reason);
        dev->down_reason = why ? xstrdup(why) : NULL;
        ovs_mutex_unlock(&dev->mutex);
        ovsrcu_set(&dev->channel, NULL);
        doms_pmd_kick();
        netdev_change_seq_changed(&dev->up);
        VLOG_INFO_RL(&rl, "%s: guest %s is detached%s%s",
                     netdev_get_name(&dev->up), ch->peer, why ? ": " : "",
                     why ? why : "");
    }
    ovs_mutex_unlock(&netdev_doms_mutex);

    if (dev) {
        doms_channel_set_state(ch,
                               why ? DOMS_STATE_BROKEN : DOMS_STATE_CLOSED);
        ch->door->detached(ch);
        doms_channel_destroy_postponed(ch);
        doms_ports_wake();
    }
}

/* Takes 'ch' from its port, which is about to be freed.  The main thread tells
 * the door later. */
void
doms_ports_orphan(struct doms_channel *ch)
{
    VLOG_INFO_RL(&rl, "guest %s is detached: its port has gone", ch->peer);
    doms_channel_set_state(ch, DOMS_STATE_CLOSED);
    ovs_list_push_back(&orphans, &ch->orphan_node);
}

/* Tells the doors of the channels that have no port any more. */
static void
release_orphans(void)
{
    struct ovs_list list = OVS_LIST_INITIALIZER(&list);
    struct doms_channel *ch;

    ovs_mutex_lock(&netdev_doms_mutex);
    ovs_list_push_back_all(&list, &orphans);
    ovs_mutex_unlock(&netdev_doms_mutex);
    LIST_FOR_EACH_POP (ch, orphan_node, &list) {
        ch->door->detached(ch);
        doms_channel_destroy_postponed(ch);
    }
}

/* Has the carrier of 'dev' follow what the guest of its channel, 'ch', says of
 * its interface. */
static void
follow_guest(struct netdev_doms *dev, const struct doms_channel *ch)
{
    bool is_down = guest_is_down(ch);
    bool was_down;

    atomic_read_relaxed(&dev->guest_is_down, &was_down);
    if (is_down != was_down) {
        atomic_store_relaxed(&dev->guest_is_down, is_down);
        ovs_mutex_lock(&dev->mutex);
        dev->carrier_resets++;
        ovs_mutex_unlock(&dev->mutex);
        netdev_change_seq_changed(&dev->up);
    }
}

/* Shows all guests that the switch lives, and looks how they are. */
static long long int
beat_hearts(void)
{
    static long long int next;
    long long int now = time_msec();
    struct netdev_doms *dev;

    if (now >= next) {
        next = now + HEARTBEAT_MS;
        ovs_mutex_lock(&netdev_doms_mutex);
        LIST_FOR_EACH (dev, list_node, &netdev_doms_list) {
            struct doms_channel *ch = netdev_doms_channel(dev);

            if (ch) {
                doms_channel_beat(ch, now);
                follow_guest(dev, ch);
            }
        }
        ovs_mutex_unlock(&netdev_doms_mutex);
    }
    return next;
}

/* Returns true once there has been a doms port.  Until then, domsd does not
 * differ from ovs-vswitchd. */
static bool
is_in_use(void)
{
    static bool in_use;

    if (!in_use) {
        ovs_mutex_lock(&netdev_doms_mutex);
        in_use = !ovs_list_is_empty(&netdev_doms_list);
        ovs_mutex_unlock(&netdev_doms_mutex);
    }
    return in_use;
}

/* Runs the doors. */
void
doms_ports_run(const struct netdev_class *class OVS_UNUSED)
{
    bool in_use = is_in_use();

    if (in_use) {
        release_orphans();
    }
    for (size_t i = 0; i < ARRAY_SIZE(doors); i++) {
        if (in_use || doors[i]->from_start) {
            doors[i]->run();
        }
    }
}

/* Arranges for doms_ports_run() to be called when a door has work. */
void
doms_ports_wait(const struct netdev_class *class OVS_UNUSED)
{
    bool in_use = is_in_use();

    if (in_use) {
        poll_timer_wait_until(beat_hearts());
    }
    for (size_t i = 0; i < ARRAY_SIZE(doors); i++) {
        if (in_use || doors[i]->from_start) {
            doors[i]->wait();
        }
    }
}
