// SPDX-License-Identifier: GPL-2.0
/*
 * The interface: what the network stack calls, and how a channel is put under
 * it and taken away again.
 *
 * The threads run while the interface is up and there is a channel.  The
 * transmit queues are stopped while there is none.
 */
#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/kthread.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>

#include "front.h"
#include "front_compat.h"

/* How often the heartbeat grows. */
#define BEAT_INTERVAL (HZ / 4)
/* A switch whose heartbeat stands still for so long is looked after. */
#define PEER_PATIENCE (2 * HZ)

/* What is offered to the stack if the switch takes it. */
#define FEATURES_CSUM NETIF_F_HW_CSUM
#define FEATURES_TSO (NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN)
#define FEATURES_RX NETIF_F_RXCSUM
#define FEATURES_ALWAYS (NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HIGHDMA)

/* A segment and its headers stay below DOMS_FRAME_MAX. */
#define TSO_MAX (DOMS_FRAME_MAX - VLAN_ETH_HLEN - VLAN_HLEN)

static u32 doms_front_live_queues(const struct doms_front *front)
{
	return front->live ? front->live->geometry.n_queues : 0;
}

/* Ends all threads.  RTNL. */
static void doms_front_stop_threads(struct doms_front *front)
{
	unsigned int i;

	for (i = 0; i < DOMS_MAX_QUEUES; i++) {
		struct doms_front_queue *q = &front->queues[i];

		if (q->thread) {
			kthread_stop(q->thread);
			q->thread = NULL;
		}
	}
}

/* Starts the threads of the live channel.  RTNL.  Returns 0 or a negative
 * errno, and then none runs.
 */
static int doms_front_start_threads(struct doms_front *front)
{
	u32 i, n = doms_front_live_queues(front);

	for (i = 0; i < n; i++) {
		struct doms_front_queue *q = &front->queues[i];
		struct task_struct *thread;

		thread = kthread_create(doms_front_queue_thread, q, "doms/%s-%u",
					front->netdev->name, i);
		if (IS_ERR(thread)) {
			doms_front_stop_threads(front);
			return PTR_ERR(thread);
		}
		q->thread = thread;
	}
	for (i = 0; i < n; i++)
		wake_up_process(front->queues[i].thread);
	return 0;
}

static void doms_front_napi(struct doms_front *front, bool enable)
{
	unsigned int i;

	for (i = 0; i < DOMS_MAX_QUEUES; i++) {
		if (enable)
			napi_enable(&front->queues[i].napi);
		else
			napi_disable(&front->queues[i].napi);
	}
}

static int doms_front_open(struct net_device *netdev)
{
	struct doms_front *front = doms_front_of(netdev);
	u32 i, n = doms_front_live_queues(front);
	int err;

	for (i = 0; i < n; i++)
		doms_front_queue_drain(&front->queues[i]);
	err = doms_front_start_threads(front);
	if (err)
		return err;
	doms_front_napi(front, true);
	if (front->live) {
		doms_health_set_state(front->live->own, DOMS_STATE_UP);
		netif_tx_start_all_queues(netdev);
	} else {
		netif_tx_stop_all_queues(netdev);
	}
	return 0;
}

static int doms_front_stop(struct net_device *netdev)
{
	struct doms_front *front = doms_front_of(netdev);

	netif_tx_disable(netdev);
	doms_front_stop_threads(front);
	doms_front_napi(front, false);
	if (front->live)
		doms_health_set_state(front->live->own, DOMS_STATE_DOWN);
	return 0;
}

static void doms_front_set_port_mtu(struct doms_front *front, u32 mtu)
{
	front->netdev->max_mtu = mtu;
	front->config.mtu = mtu;
	WRITE_ONCE(front->rx_max, mtu + ETH_HLEN + DOMS_FRONT_VLAN_ROOM);
}

static netdev_features_t doms_front_fix_features(struct net_device *netdev,
						 netdev_features_t features)
{
	u64 in_force = doms_front_of(netdev)->features;

	if (!(in_force & (DOMS_F_CSUM | DOMS_F_TSO)))
		features &= ~FEATURES_CSUM;
	if (!(in_force & DOMS_F_TSO) || !(features & FEATURES_CSUM))
		features &= ~FEATURES_TSO;
	return features;
}

static void doms_front_get_stats64(struct net_device *netdev,
				   struct rtnl_link_stats64 *stats)
{
	struct doms_front *front = doms_front_of(netdev);
	unsigned int i;

	for (i = 0; i < DOMS_MAX_QUEUES; i++) {
		struct doms_front_rx_stats *rx = &front->queues[i].rx;
		struct doms_front_tx_stats *tx = &front->queues[i].tx;
		struct rtnl_link_stats64 s = { 0 };
		unsigned int start;

		do {
			start = u64_stats_fetch_begin(&rx->sync);
			s.rx_packets = rx->packets;
			s.rx_bytes = rx->bytes;
			s.rx_dropped = rx->no_memory;
			s.rx_length_errors = rx->too_long;
			s.rx_frame_errors = rx->bad_offload;
		} while (u64_stats_fetch_retry(&rx->sync, start));
		do {
			start = u64_stats_fetch_begin(&tx->sync);
			s.tx_packets = tx->packets;
			s.tx_bytes = tx->bytes;
			s.tx_dropped = tx->dropped;
		} while (u64_stats_fetch_retry(&tx->sync, start));

		stats->rx_packets += s.rx_packets;
		stats->rx_bytes += s.rx_bytes;
		stats->rx_dropped += s.rx_dropped;
		stats->rx_length_errors += s.rx_length_errors;
		stats->rx_frame_errors += s.rx_frame_errors;
		stats->rx_errors += s.rx_length_errors + s.rx_frame_errors;
		stats->tx_packets += s.tx_packets;
		stats->tx_bytes += s.tx_bytes;
		stats->tx_dropped += s.tx_dropped;
	}
}

static const struct net_device_ops doms_front_netdev_ops = {
	.ndo_open = doms_front_open,
	.ndo_stop = doms_front_stop,
	.ndo_start_xmit = doms_front_xmit,
	.ndo_fix_features = doms_front_fix_features,
	.ndo_get_stats64 = doms_front_get_stats64,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

static void doms_front_netdev_setup(struct doms_front *front,
				    struct net_device *netdev)
{
	unsigned int i;

	netdev->netdev_ops = &doms_front_netdev_ops;
	netdev->ethtool_ops = &doms_front_ethtool_ops;
	netdev->hw_features = FEATURES_CSUM | FEATURES_TSO | FEATURES_RX |
			      NETIF_F_SG;
	netdev->features = netdev->hw_features | FEATURES_ALWAYS;
	netdev->vlan_features = netdev->features;
	netdev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	netdev->min_mtu = ETH_MIN_MTU;
	netdev->dev_port = front->handle;
	doms_compat_tso_max(netdev, TSO_MAX);
	SET_NETDEV_DEV(netdev, doms_front_parent());

	for (i = 0; i < DOMS_MAX_QUEUES; i++) {
		struct doms_front_queue *q = &front->queues[i];

		memset(q, 0, sizeof(*q));
		q->front = front;
		q->index = i;
		u64_stats_init(&q->rx.sync);
		u64_stats_init(&q->tx.sync);
		doms_compat_napi_add(netdev, &q->napi, doms_front_poll);
	}
}

/**
 * doms_front_netdev_create() - make the interface, without carrier
 * @front: whose 'config.mac' it gets, or else a random address
 *
 * Return: 0 or a negative errno.
 */
int doms_front_netdev_create(struct doms_front *front)
{
	struct net_device *netdev;
	int err;

	netdev = alloc_etherdev_mqs(sizeof(struct doms_front_netdev),
				    DOMS_MAX_QUEUES, DOMS_MAX_QUEUES);
	if (!netdev)
		return -ENOMEM;
	((struct doms_front_netdev *)netdev_priv(netdev))->front = front;
	doms_front_netdev_setup(front, netdev);
	if (is_valid_ether_addr(front->config.mac))
		doms_compat_set_mac(netdev, front->config.mac);
	else
		eth_hw_addr_random(netdev);
	front->netdev = netdev;
	doms_front_set_port_mtu(front, ETH_DATA_LEN);
	netif_carrier_off(netdev);
	rtnl_lock();
	netif_set_real_num_tx_queues(netdev, 1);
	netif_set_real_num_rx_queues(netdev, 1);
	err = register_netdevice(netdev);
	rtnl_unlock();
	if (err) {
		front->netdev = NULL;
		free_netdev(netdev);
	}
	return err;
}

/* Removes the interface, if there is one.  There is no channel under it, or
 * it is not to be used any more.
 */
void doms_front_netdev_destroy(struct doms_front *front)
{
	struct net_device *netdev = front->netdev;
	unsigned int i;

	if (!netdev)
		return;
	unregister_netdev(netdev);
	for (i = 0; i < DOMS_MAX_QUEUES; i++)
		front->queues[i].up = false;
	doms_front_forget(front);
	front->netdev = NULL;
	/* This removes the NAPIs too, which are not in its memory. */
	free_netdev(netdev);
}

/* Lets the data path use the queues of 'channel', or none of NULL.  RTNL; no
 * thread runs, no NAPI is enabled.
 */
static void doms_front_set_queues(struct doms_front *front,
				  struct doms_front_channel *channel)
{
	u32 n = channel ? channel->geometry.n_queues : 0;
	u32 n_ends = channel ?
		     doms_ring_n_lengths(channel->geometry.arena_size) : 0;
	u32 flags = channel && channel->features ? DOMS_RECORD_OFFLOAD : 0;
	u32 i;

	netif_tx_lock_bh(front->netdev);
	for (i = 0; i < DOMS_MAX_QUEUES; i++) {
		struct doms_front_queue *q = &front->queues[i];

		q->up = i < n;
		if (q->up)
			doms_queue_init(&q->ring, &channel->geometry, i,
					channel->own, channel->peer, flags,
					channel->ends + i * n_ends);
	}
	front->live = channel;
	WRITE_ONCE(front->features, channel ? channel->features : 0);
	WRITE_ONCE(front->rx_tso,
		   channel && (channel->features & DOMS_F_TSO));
	netif_tx_unlock_bh(front->netdev);
}

/**
 * doms_front_go_up() - put a channel under the interface
 * @front: has an interface, and no live channel
 * @channel: the channel
 *
 * Does not change the carrier.
 *
 * Return: 0 or a negative errno.
 */
int doms_front_go_up(struct doms_front *front,
		     struct doms_front_channel *channel)
{
	struct net_device *netdev = front->netdev;
	u32 n = channel->geometry.n_queues;
	bool running;
	int err;

	rtnl_lock();
	running = netif_running(netdev);
	err = netif_set_real_num_tx_queues(netdev, n);
	if (!err)
		err = netif_set_real_num_rx_queues(netdev, n);
	if (err)
		goto out;
	if (running)
		doms_front_napi(front, false);
	doms_front_set_queues(front, channel);
	doms_front_resend(front);
	if (running)
		doms_front_napi(front, true);
	netdev_update_features(netdev);
	if (running)
		err = doms_front_start_threads(front);
	if (err) {
		rtnl_unlock();
		doms_front_go_down(front, DOMS_STATE_CLOSED);
		return err;
	}
	front->heartbeat = 0;
	front->peer_heartbeat = 0;
	front->peer_seen = jiffies;
	doms_health_set_state(channel->own,
			      running ? DOMS_STATE_UP : DOMS_STATE_DOWN);
	if (running)
		netif_tx_wake_all_queues(netdev);
out:
	rtnl_unlock();
	if (!err)
		mod_delayed_work(doms_front_wq, &front->beat, 0);
	return err;
}

/**
 * doms_front_go_down() - take the live channel from under the interface
 * @front: may have none
 * @health: DOMS_STATE_* to leave behind
 *
 * When this returns, nothing uses the channel's pages.
 */
void doms_front_go_down(struct doms_front *front, u32 health)
{
	struct net_device *netdev = front->netdev;
	struct doms_front_channel *channel = front->live;
	bool running;

	if (!channel)
		return;
	cancel_delayed_work_sync(&front->beat);
	if (netdev) {
		rtnl_lock();
		running = netif_running(netdev);
		netif_tx_disable(netdev);
		doms_front_stop_threads(front);
		if (running)
			doms_front_napi(front, false);
		if (front->holding)
			doms_front_keep(front);
		doms_front_set_queues(front, NULL);
		if (running)
			doms_front_napi(front, true);
		rtnl_unlock();
	}
	front->live = NULL;
	doms_health_set_state(channel->own, health);
}

static void doms_front_apply_mtu(struct doms_front *front, u32 mtu)
{
	struct net_device *netdev = front->netdev;
	u32 old = front->config.mtu;

	doms_front_set_port_mtu(front, mtu);
	/* Who has lowered it keeps it. */
	if (netdev->mtu == old || netdev->mtu > mtu) {
		if (dev_set_mtu(netdev, mtu))
			netdev_warn(netdev, "cannot change the MTU to %u\n",
				    mtu);
	}
}

static void doms_front_apply_mac(struct doms_front *front, const u8 *mac)
{
	struct net_device *netdev = front->netdev;
	struct sockaddr sa = { .sa_family = ARPHRD_ETHER };

	ether_addr_copy(front->config.mac, mac);
	if (ether_addr_equal(netdev->dev_addr, mac))
		return;
	ether_addr_copy(sa.sa_data, mac);
	if (dev_set_mac_address(netdev, &sa, NULL))
		netdev_warn(netdev, "cannot change the address to %pM\n", mac);
}

/* Makes of the interface what the switch wants, as far as that is news. */
void doms_front_apply(struct doms_front *front,
		      const struct doms_front_config *config)
{
	rtnl_lock();
	if (config->mtu != front->config.mtu)
		doms_front_apply_mtu(front, config->mtu);
	if (is_valid_ether_addr(config->mac) &&
	    !ether_addr_equal(config->mac, front->config.mac))
		doms_front_apply_mac(front, config->mac);
	front->config.link = config->link;
	rtnl_unlock();
}

/* Turns the carrier on or off. */
void doms_front_carrier(struct doms_front *front, bool on)
{
	if (!front->netdev || netif_carrier_ok(front->netdev) == on)
		return;
	if (on)
		netif_carrier_on(front->netdev);
	else
		netif_carrier_off(front->netdev);
}

/* Writes the heartbeat, and has reconcile look when the switch's stands
 * still: its death may have been missed.
 */
void doms_front_beat(struct work_struct *work)
{
	struct doms_front *front =
		container_of(work, struct doms_front, beat.work);
	struct doms_front_channel *channel = READ_ONCE(front->live);
	u64 peer;

	if (!channel)
		return;
	WRITE_ONCE(channel->own->heartbeat, ++front->heartbeat);
	peer = READ_ONCE(channel->peer->heartbeat);
	if (peer != front->peer_heartbeat) {
		front->peer_heartbeat = peer;
		front->peer_seen = jiffies;
	} else if (time_after(jiffies, front->peer_seen + PEER_PATIENCE)) {
		front->peer_seen = jiffies;
		doms_front_kick(front);
	}
	queue_delayed_work(doms_front_wq, &front->beat, BEAT_INTERVAL);
}
