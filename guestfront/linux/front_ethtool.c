// SPDX-License-Identifier: GPL-2.0
/*
 * ethtool: -i, -S, -l, -L, -C, private flags, and the link.  (-k needs nothing
 * here.)
 *
 * "rx-usecs" is the longest sleep of an idle thread, "rx-usecs-low" how long
 * it spins before it sleeps at all.  rx-usecs 0 spins always.  The private
 * flag "yield" has it let other vCPUs run while it spins.
 */
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>

#include "front.h"
#include "front_compat.h"

#ifndef DOMS_VERSION
#define DOMS_VERSION "0"
#endif

#define USECS_MAX 1000000u

static const char front_names[][ETH_GSTRING_LEN] = {
	"connects", "broken", "refused", "quarantined",
};

static const char rx_names[][ETH_GSTRING_LEN] = {
	"packets", "bytes", "no_memory", "too_long", "bad_offload", "sleeps",
};

static const char tx_names[][ETH_GSTRING_LEN] = {
	"packets", "bytes", "dropped", "ring_full", "resent",
};

static const char flag_names[][ETH_GSTRING_LEN] = { "yield" };

#define FLAG_YIELD BIT(0)

static void doms_front_get_drvinfo(struct net_device *netdev,
				   struct ethtool_drvinfo *info)
{
	struct doms_front *front = doms_front_of(netdev);

	strscpy(info->driver, DOMS_FRONT_NAME, sizeof(info->driver));
	strscpy(info->version, DOMS_VERSION, sizeof(info->version));
	snprintf(info->bus_info, sizeof(info->bus_info), "doms-%u",
		 front->handle);
}

static int doms_front_get_sset_count(struct net_device *netdev, int sset)
{
	if (sset == ETH_SS_PRIV_FLAGS)
		return ARRAY_SIZE(flag_names);
	if (sset != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return ARRAY_SIZE(front_names) + netdev->real_num_rx_queues *
	       (ARRAY_SIZE(rx_names) + ARRAY_SIZE(tx_names));
}

static void doms_front_get_strings(struct net_device *netdev, u32 sset,
				   u8 *data)
{
	unsigned int i, j;

	if (sset == ETH_SS_PRIV_FLAGS)
		memcpy(data, flag_names, sizeof(flag_names));
	if (sset != ETH_SS_STATS)
		return;
	for (j = 0; j < ARRAY_SIZE(front_names); j++, data += ETH_GSTRING_LEN)
		strscpy(data, front_names[j], ETH_GSTRING_LEN);
	for (i = 0; i < netdev->real_num_rx_queues; i++) {
		for (j = 0; j < ARRAY_SIZE(rx_names);
		     j++, data += ETH_GSTRING_LEN)
			snprintf(data, ETH_GSTRING_LEN, "rx_queue_%u_%s", i,
				 rx_names[j]);
		for (j = 0; j < ARRAY_SIZE(tx_names);
		     j++, data += ETH_GSTRING_LEN)
			snprintf(data, ETH_GSTRING_LEN, "tx_queue_%u_%s", i,
				 tx_names[j]);
	}
}

static void doms_front_get_queue_stats(const struct doms_front_queue *q,
				       u64 *data)
{
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&q->rx.sync);
		data[0] = q->rx.packets;
		data[1] = q->rx.bytes;
		data[2] = q->rx.no_memory;
		data[3] = q->rx.too_long;
		data[4] = q->rx.bad_offload;
	} while (u64_stats_fetch_retry(&q->rx.sync, start));
	data[5] = READ_ONCE(q->sleeps);
	data += ARRAY_SIZE(rx_names);
	do {
		start = u64_stats_fetch_begin(&q->tx.sync);
		data[0] = q->tx.packets;
		data[1] = q->tx.bytes;
		data[2] = q->tx.dropped;
		data[3] = q->tx.ring_full;
		data[4] = q->tx.resent;
	} while (u64_stats_fetch_retry(&q->tx.sync, start));
}

static void doms_front_get_ethtool_stats(struct net_device *netdev,
					 struct ethtool_stats *stats,
					 u64 *data)
{
	struct doms_front *front = doms_front_of(netdev);
	unsigned int i;

	*data++ = READ_ONCE(front->connects);
	*data++ = READ_ONCE(front->broken);
	*data++ = READ_ONCE(front->refused);
	*data++ = atomic_read(&front->quarantined);
	for (i = 0; i < netdev->real_num_rx_queues; i++) {
		doms_front_get_queue_stats(&front->queues[i], data);
		data += ARRAY_SIZE(rx_names) + ARRAY_SIZE(tx_names);
	}
}

static void doms_front_get_channels(struct net_device *netdev,
				    struct ethtool_channels *channels)
{
	struct doms_front *front = doms_front_of(netdev);

	channels->max_combined = front->max_queues;
	channels->combined_count = netdev->real_num_rx_queues;
}

/* Leaves the switch, and comes back with that many queues. */
static int doms_front_set_channels(struct net_device *netdev,
				   struct ethtool_channels *channels)
{
	struct doms_front *front = doms_front_of(netdev);

	if (!channels->combined_count || channels->rx_count ||
	    channels->tx_count || channels->other_count ||
	    channels->combined_count > front->max_queues)
		return -EINVAL;
	WRITE_ONCE(front->queues_wanted, channels->combined_count);
	if (channels->combined_count != netdev->real_num_rx_queues) {
		set_bit(DOMS_FRONT_REJOIN, &front->flags);
		doms_front_kick(front);
	}
	return 0;
}

static int doms_front_get_usecs(struct net_device *netdev,
				struct ethtool_coalesce *c)
{
	struct doms_front *front = doms_front_of(netdev);

	c->rx_coalesce_usecs = front->sleep_max_us;
	c->rx_coalesce_usecs_low = front->spin_us;
	return 0;
}

static int doms_front_set_usecs(struct net_device *netdev,
				struct ethtool_coalesce *c)
{
	struct doms_front *front = doms_front_of(netdev);

	if (c->rx_coalesce_usecs > USECS_MAX ||
	    c->rx_coalesce_usecs_low > USECS_MAX)
		return -EINVAL;
	WRITE_ONCE(front->sleep_max_us, c->rx_coalesce_usecs);
	WRITE_ONCE(front->spin_us, c->rx_coalesce_usecs_low);
	return 0;
}

static u32 doms_front_get_priv_flags(struct net_device *netdev)
{
	return doms_front_of(netdev)->yield ? FLAG_YIELD : 0;
}

static int doms_front_set_priv_flags(struct net_device *netdev, u32 flags)
{
	if (flags & ~FLAG_YIELD)
		return -EINVAL;
	WRITE_ONCE(doms_front_of(netdev)->yield, flags & FLAG_YIELD);
	return 0;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 15, 0)
#define doms_front_get_coalesce doms_front_get_usecs
#define doms_front_set_coalesce doms_front_set_usecs
#else
static int doms_front_get_coalesce(struct net_device *netdev,
				   struct ethtool_coalesce *c,
				   struct kernel_ethtool_coalesce *kernel_c,
				   struct netlink_ext_ack *extack)
{
	return doms_front_get_usecs(netdev, c);
}

static int doms_front_set_coalesce(struct net_device *netdev,
				   struct ethtool_coalesce *c,
				   struct kernel_ethtool_coalesce *kernel_c,
				   struct netlink_ext_ack *extack)
{
	return doms_front_set_usecs(netdev, c);
}
#endif

const struct ethtool_ops doms_front_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS |
				     ETHTOOL_COALESCE_RX_USECS_LOW,
	.get_drvinfo = doms_front_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_ts_info = ethtool_op_get_ts_info,
	.get_sset_count = doms_front_get_sset_count,
	.get_strings = doms_front_get_strings,
	.get_ethtool_stats = doms_front_get_ethtool_stats,
	.get_priv_flags = doms_front_get_priv_flags,
	.set_priv_flags = doms_front_set_priv_flags,
	.get_channels = doms_front_get_channels,
	.set_channels = doms_front_set_channels,
	.get_coalesce = doms_front_get_coalesce,
	.set_coalesce = doms_front_set_coalesce,
};
