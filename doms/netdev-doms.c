/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/netdev-doms.h"

#include "common/socket-msg.h"
#include "doms/door.h"
#include "doms/packet-pool.h"
#include "doms/ports.h"
#include "doms/status.h"
#include "hash.h"
#include "odp-util.h"
#include "openvswitch/vlog.h"
#include "smap.h"
#include "sset.h"
#include "userspace-tso.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(netdev_doms);

struct ovs_mutex netdev_doms_mutex = OVS_MUTEX_INITIALIZER;
struct ovs_list netdev_doms_list OVS_GUARDED_BY(netdev_doms_mutex) =
    OVS_LIST_INITIALIZER(&netdev_doms_list);

/* The ports that have a peer, by its name. */
static struct hmap ports_by_peer OVS_GUARDED_BY(netdev_doms_mutex) =
    HMAP_INITIALIZER(&ports_by_peer);

static const struct netdev_class netdev_doms_class;

/* Returns the port of the guest named 'peer', or NULL. */
struct netdev_doms *
netdev_doms_find(const char *peer)
{
    struct netdev_doms *dev;

    HMAP_FOR_EACH_WITH_HASH (dev, peer_node, hash_string(peer, 0),
                             &ports_by_peer) {
        if (!strcmp(dev->peer, peer)) {
            return dev;
        }
    }
    return NULL;
}

/* Makes 'peer', which no other port has, the peer of 'dev'.  NULL takes the
 * one that it has away. */
void
netdev_doms_set_peer(struct netdev_doms *dev, const char *peer)
{
    if (dev->peer) {
        hmap_remove(&ports_by_peer, &dev->peer_node);
        free(dev->peer);
        dev->peer = NULL;
    }
    if (peer) {
        dev->peer = xstrdup(peer);
        hmap_insert(&ports_by_peer, &dev->peer_node, hash_string(peer, 0));
    }
}

/* Returns the DOMS_F_* that 'dev' offers a guest. */
uint64_t
netdev_doms_offered_features(const struct netdev_doms *dev)
{
    uint64_t features = dev->doorbell ? DOMS_F_DOORBELL : 0;

    if (userspace_tso_enabled()) {
        features |= DOMS_F_CSUM | DOMS_F_TSO;
    }
    return features;
}

/* Shows the guest of 'ch' whether 'dev' is set up or down. */
void
netdev_doms_publish_state(const struct netdev_doms *dev,
                          struct doms_channel *ch)
{
    bool is_up;

    atomic_read_relaxed(&CONST_CAST(struct netdev_doms *, dev)->is_up, &is_up);
    doms_channel_set_state(ch, is_up ? DOMS_STATE_UP : DOMS_STATE_DOWN);
}

/* The port has changed in a way that its guest and its users care about. */
void
netdev_doms_changed(struct netdev_doms *dev)
{
    struct doms_channel *ch = netdev_doms_channel(dev);

    netdev_change_seq_changed(&dev->up);
    if (ch) {
        netdev_doms_publish_state(dev, ch);
        ch->door->port_changed(ch);
    }
    doms_ports_wake();
}

/* Life cycle. */

static struct netdev *
netdev_doms_alloc(void)
{
    struct netdev_doms *dev = xzalloc_cacheline(sizeof *dev);

    return &dev->up;
}

static int
netdev_doms_construct(struct netdev *netdev_)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);

    ovs_mutex_init(&dev->mutex);
    ovsrcu_init(&dev->channel, NULL);
    atomic_init(&dev->is_up, true);
    atomic_init(&dev->guest_is_down, false);
    atomic_init(&dev->mtu, DOMS_MTU_DEFAULT);
    for (int i = 0; i < DOMS_MAX_QUEUES; i++) {
        ovs_mutex_init_adaptive(&dev->txqs[i].mutex);
    }
    policer_init(&dev->ingress);
    policer_init(&dev->egress);
    dev->flags = NETDEV_UP | NETDEV_PROMISC;
    dev->hwaddr = netdev_doms_make_hwaddr(netdev_get_name(netdev_));
    dev->requested_n_rxq = 1;
    dev->requested_n_txq = 1;
    dev->arena_size = DOMS_ARENA_DEFAULT;
    dev->doorbell = true;
    if (userspace_tso_enabled()) {
        netdev_->ol_flags = NETDEV_TX_OFFLOAD_TCP_TSO
                            | NETDEV_TX_OFFLOAD_TCP_CKSUM
                            | NETDEV_TX_OFFLOAD_UDP_CKSUM
                            | NETDEV_TX_OFFLOAD_IPV4_CKSUM;
    }
    netdev_request_reconfigure(netdev_);

    ovs_mutex_lock(&netdev_doms_mutex);
    ovs_list_push_back(&netdev_doms_list, &dev->list_node);
    ovs_mutex_unlock(&netdev_doms_mutex);
    return 0;
}

static void
netdev_doms_destruct(struct netdev *netdev_)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    struct doms_channel *ch;

    ovs_mutex_lock(&netdev_doms_mutex);
    ovs_list_remove(&dev->list_node);
    netdev_doms_set_peer(dev, NULL);
    ch = netdev_doms_channel(dev);
    if (ch) {
        doms_ports_orphan(ch);
    }
    ovs_mutex_unlock(&netdev_doms_mutex);
    doms_ports_wake();

    policer_destroy(&dev->ingress);
    policer_destroy(&dev->egress);
    for (int i = 0; i < DOMS_MAX_QUEUES; i++) {
        ovs_mutex_destroy(&dev->txqs[i].mutex);
    }
    free(dev->down_reason);
    ovs_mutex_destroy(&dev->mutex);
}

static void
netdev_doms_dealloc(struct netdev *netdev_)
{
    free_cacheline(netdev_doms_cast(netdev_));
}

/* Queues. */

static int
netdev_doms_get_numa_id(const struct netdev *netdev)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev);
    int node;

    ovs_mutex_lock(&dev->mutex);
    node = dev->numa_node;
    ovs_mutex_unlock(&dev->mutex);
    return node;
}

/* Asks for a transmit queue of its own for each thread that sends.  They are
 * spread over the queues that the guest has. */
static int
netdev_doms_set_tx_multiq(struct netdev *netdev_, unsigned int n_txq)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);

    ovs_mutex_lock(&dev->mutex);
    if (dev->requested_n_txq != n_txq) {
        dev->requested_n_txq = n_txq;
        netdev_request_reconfigure(netdev_);
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_doms_reconfigure(struct netdev *netdev_)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);

    ovs_mutex_lock(&dev->mutex);
    netdev_->n_rxq = dev->requested_n_rxq;
    netdev_->n_txq = dev->requested_n_txq;
    ovs_mutex_unlock(&dev->mutex);
    netdev_change_seq_changed(netdev_);
    return 0;
}

/* Properties. */

static int
netdev_doms_set_etheraddr(struct netdev *netdev_, const struct eth_addr mac)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);

    ovs_mutex_lock(&dev->mutex);
    dev->hwaddr = mac;
    ovs_mutex_unlock(&dev->mutex);
    netdev_change_seq_changed(netdev_);
    return 0;
}

static int
netdev_doms_get_etheraddr(const struct netdev *netdev_, struct eth_addr *mac)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);

    ovs_mutex_lock(&dev->mutex);
    *mac = dev->hwaddr;
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

static int
netdev_doms_get_mtu(const struct netdev *netdev_, int *mtu)
{
    atomic_read_relaxed(&netdev_doms_cast(netdev_)->mtu, mtu);
    return 0;
}

static int
netdev_doms_set_mtu(struct netdev *netdev_, int mtu)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    int old;

    if (mtu < DOMS_MTU_MIN || mtu > DOMS_MTU_MAX) {
        VLOG_WARN("%s: MTU %d is out of range; use %d to %d",
                  netdev_get_name(netdev_), mtu, DOMS_MTU_MIN, DOMS_MTU_MAX);
        return EINVAL;
    }
    atomic_read_relaxed(&dev->mtu, &old);
    if (mtu != old) {
        atomic_store_relaxed(&dev->mtu, mtu);
        netdev_doms_changed(dev);
    }
    return 0;
}

static int
netdev_doms_get_carrier(const struct netdev *netdev_, bool *carrier)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    bool guest_is_down;

    atomic_read_relaxed(&dev->guest_is_down, &guest_is_down);
    *carrier = netdev_doms_channel(dev) != NULL && !guest_is_down;
    return 0;
}

static long long int
netdev_doms_get_carrier_resets(const struct netdev *netdev_)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    long long int resets;

    ovs_mutex_lock(&dev->mutex);
    resets = dev->carrier_resets;
    ovs_mutex_unlock(&dev->mutex);
    return resets;
}

static int
netdev_doms_update_flags(struct netdev *netdev_, enum netdev_flags off,
                         enum netdev_flags on, enum netdev_flags *old_flags)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    enum netdev_flags new_flags;

    if ((off | on) & ~(NETDEV_UP | NETDEV_PROMISC)) {
        return EINVAL;
    }
    ovs_mutex_lock(&dev->mutex);
    *old_flags = dev->flags;
    new_flags = (dev->flags | on) & ~off;
    dev->flags = new_flags;
    ovs_mutex_unlock(&dev->mutex);
    if (new_flags != *old_flags) {
        atomic_store_relaxed(&dev->is_up, (new_flags & NETDEV_UP) != 0);
        netdev_doms_changed(dev);
    }
    return 0;
}

/* Receiving. */

static struct netdev_rxq *
netdev_doms_rxq_alloc(void)
{
    struct doms_rxq *rxq = xzalloc(sizeof *rxq);

    return &rxq->up;
}

static int
netdev_doms_rxq_construct(struct netdev_rxq *rxq)
{
    DOMS_WRITE_ONCE(netdev_doms_cast(rxq->netdev)->port_no,
                    odp_to_u32(ODPP_NONE));
    return 0;
}

static void
netdev_doms_rxq_destruct(struct netdev_rxq *rxq)
{
    doms_pmd_forget(doms_rxq_cast(rxq));
}

static void
netdev_doms_rxq_dealloc(struct netdev_rxq *rxq)
{
    free(doms_rxq_cast(rxq));
}

/* Asked by the thread that polls 'rxq' when it gets it, and again when the
 * netdev has changed.  A queue without a guest is enabled too, so that a guest
 * that comes is served at once; it is parked if that pays. */
static bool
netdev_doms_rxq_enabled(struct netdev_rxq *rxq_)
{
    struct doms_rxq *rxq = doms_rxq_cast(rxq_);

    doms_pmd_register(rxq);
    return !doms_rxq_is_parked(rxq);
}

static __attribute__((noinline)) void
report_broken(struct netdev_doms *dev, struct doms_channel *ch,
              enum doms_ring_broken why, uint64_t *counter)
{
    if (doms_channel_set_broken(ch, why)) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

        port_io_add(counter, 1);
        VLOG_WARN_RL(&rl,
                     "%s: guest %s broke the ring (%s); its port is "
                     "closed until it attaches again",
                     netdev_get_name(&dev->up), ch->peer,
                     doms_ring_broken_to_string(why));
        doms_ports_wake();
    }
}

static int
netdev_doms_rxq_recv(struct netdev_rxq *rxq, struct dp_packet_batch *batch,
                     int *qfill)
{
    struct netdev_doms *dev = netdev_doms_cast(rxq->netdev);
    struct doms_channel *ch = netdev_doms_channel(dev);
    struct port_rx_stats *stats = &dev->rx_stats[rxq->queue_id];
    struct doms_channel_queue *queue;
    struct port_limits limits;
    bool is_up;

    if (OVS_UNLIKELY(!ch || rxq->queue_id >= ch->geometry.n_queues)) {
        return EAGAIN;
    }
    queue = &ch->queues[rxq->queue_id];
    atomic_read_relaxed(&dev->is_up, &is_up);
    if (OVS_UNLIKELY(!is_up)) {
        port_io_add(&stats->down, queue->io->discard(queue, NETDEV_MAX_BURST));
        if (queue->q.rx.broken) {
            report_broken(dev, ch, queue->q.rx.broken, &stats->bad_records);
        }
        return EAGAIN;
    }
    atomic_read_relaxed(&dev->mtu, &limits.mtu);
    limits.features = ch->features;
    limits.policer = &dev->ingress;
    if (!queue->io->recv(queue, batch, &limits, stats)) {
        if (OVS_UNLIKELY(queue->q.rx.broken)) {
            report_broken(dev, ch, queue->q.rx.broken, &stats->bad_records);
        }
        return EAGAIN;
    }
    doms_pmd_received = rxq;
    if (qfill) {
        *qfill = queue->io->backlog(queue);
    }
    return 0;
}

/* Discards what the guest has sent so far. */
static int
netdev_doms_rxq_drain(struct netdev_rxq *rxq)
{
    struct netdev_doms *dev = netdev_doms_cast(rxq->netdev);
    struct doms_channel *ch = netdev_doms_channel(dev);

    if (ch && rxq->queue_id < ch->geometry.n_queues) {
        struct doms_channel_queue *queue = &ch->queues[rxq->queue_id];

        queue->io->discard(queue, UINT32_MAX);
    }
    return 0;
}

/* Sending. */

static int
netdev_doms_send(struct netdev *netdev_, int qid,
                 struct dp_packet_batch *batch, bool concurrent_txq OVS_UNUSED)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    struct doms_channel *ch = netdev_doms_channel(dev);
    struct doms_channel_queue *queue;
    struct port_limits limits;
    struct doms_txq *txq;
    uint64_t n_bytes = 0;
    uint32_t n_policed;
    bool is_up;

    dp_packet_batch_apply_cutlen(batch);
    atomic_read_relaxed(&dev->is_up, &is_up);
    if (OVS_UNLIKELY(!ch || !is_up)) {
        txq = &dev->txqs[0];
        ovs_mutex_lock(&txq->mutex);
        port_io_add(&txq->stats.no_guest, dp_packet_batch_size(batch));
        ovs_mutex_unlock(&txq->mutex);
        packet_pool_put_batch(batch);
        return 0;
    }

    n_policed = policer_run(&dev->egress, batch, &n_bytes);
    qid %= ch->geometry.n_queues;
    txq = &dev->txqs[qid];
    queue = &ch->queues[qid];
    atomic_read_relaxed(&dev->mtu, &limits.mtu);
    limits.features = ch->features;

    ovs_mutex_lock(&txq->mutex);
    queue->io->send(queue, batch, &limits, &txq->stats);
    if (OVS_UNLIKELY(n_policed)) {
        port_io_add(&txq->stats.policed, n_policed);
    }
    if (OVS_UNLIKELY(queue->q.tx.broken)) {
        report_broken(dev, ch, queue->q.tx.broken, &txq->stats.bad_counts);
    }
    ovs_mutex_unlock(&txq->mutex);

    packet_pool_put_batch(batch);
    return 0;
}

static const struct netdev_class netdev_doms_class = {
    .type = "doms",
    .is_pmd = true,
    .run = doms_ports_run,
    .wait = doms_ports_wait,
    .alloc = netdev_doms_alloc,
    .construct = netdev_doms_construct,
    .destruct = netdev_doms_destruct,
    .dealloc = netdev_doms_dealloc,
    .get_config = netdev_doms_get_config,
    .set_config = netdev_doms_set_config,
    .get_numa_id = netdev_doms_get_numa_id,
    .set_tx_multiq = netdev_doms_set_tx_multiq,
    .send = netdev_doms_send,
    .set_etheraddr = netdev_doms_set_etheraddr,
    .get_etheraddr = netdev_doms_get_etheraddr,
    .get_mtu = netdev_doms_get_mtu,
    .set_mtu = netdev_doms_set_mtu,
    .get_carrier = netdev_doms_get_carrier,
    .get_carrier_resets = netdev_doms_get_carrier_resets,
    .get_stats = netdev_doms_get_stats,
    .get_custom_stats = netdev_doms_get_custom_stats,
    .set_policing = netdev_doms_set_policing,
    .get_qos_types = netdev_doms_get_qos_types,
    .get_qos = netdev_doms_get_qos,
    .set_qos = netdev_doms_set_qos,
    .get_status = netdev_doms_get_status,
    .update_flags = netdev_doms_update_flags,
    .reconfigure = netdev_doms_reconfigure,
    .rxq_alloc = netdev_doms_rxq_alloc,
    .rxq_construct = netdev_doms_rxq_construct,
    .rxq_destruct = netdev_doms_rxq_destruct,
    .rxq_dealloc = netdev_doms_rxq_dealloc,
    .rxq_enabled = netdev_doms_rxq_enabled,
    .rxq_recv = netdev_doms_rxq_recv,
    .rxq_drain = netdev_doms_rxq_drain,
};

/* Returns true if 'netdev' is of this class. */
bool
netdev_doms_is_ours(const struct netdev *netdev)
{
    return netdev->netdev_class == &netdev_doms_class;
}

/* Makes interfaces of type "doms" available.  Must be called before
 * bridge_init(). */
void
netdev_doms_register(void)
{
    port_io_init();
    doms_pmd_init();
    netdev_register_provider(&netdev_doms_class);
    doms_status_init();
}
