/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a port tells of itself: statistics and status.
 */
#include <config.h>

#include "doms/netdev-doms.h"

#include "doms/door.h"
#include "doms/status.h"
#include "smap.h"
#include "util.h"

/* Adds up what all receive queues of 'dev' have counted. */
void
netdev_doms_sum_rx(const struct netdev_doms *dev, struct port_rx_stats *sum)
{
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < DOMS_MAX_QUEUES; i++) {
        const struct port_rx_stats *stats = &dev->rx_stats[i];

#define PORT_COUNTER(NAME) sum->NAME += port_io_read(&stats->NAME);
        PORT_RX_COUNTERS
#undef PORT_COUNTER
    }
}

/* Adds up what all transmit queues of 'dev' have counted. */
void
netdev_doms_sum_tx(const struct netdev_doms *dev, struct port_tx_stats *sum)
{
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < DOMS_MAX_QUEUES; i++) {
        const struct port_tx_stats *stats = &dev->txqs[i].stats;

#define PORT_COUNTER(NAME) sum->NAME += port_io_read(&stats->NAME);
        PORT_TX_COUNTERS
#undef PORT_COUNTER
    }
}

int
netdev_doms_get_stats(const struct netdev *netdev_, struct netdev_stats *stats)
{
    const struct netdev_doms *dev = netdev_doms_cast(netdev_);
    struct port_rx_stats rx;
    struct port_tx_stats tx;

    netdev_doms_sum_rx(dev, &rx);
    netdev_doms_sum_tx(dev, &tx);
    stats->rx_packets = rx.packets;
    stats->rx_bytes = rx.bytes;
    stats->rx_dropped = rx.policed + rx.down;
    stats->rx_errors = rx.oversize + rx.bad_offload;
    stats->rx_length_errors = rx.oversize;
    stats->tx_packets = tx.packets;
    stats->tx_bytes = tx.bytes;
    stats->tx_dropped = tx.ring_full + tx.too_long + tx.no_offload + tx.policed
                        + tx.no_guest;
    return 0;
}

static void
add_counter(struct netdev_custom_stats *custom, const char *name,
            uint64_t value)
{
    struct netdev_custom_counter *counter = &custom->counters[custom->size++];

    ovs_strlcpy(counter->name, name, sizeof counter->name);
    counter->value = value;
}

int
netdev_doms_get_custom_stats(const struct netdev *netdev_,
                             struct netdev_custom_stats *custom)
{
    const struct netdev_doms *dev = netdev_doms_cast(netdev_);
    struct port_rx_stats rx;
    struct port_tx_stats tx;

    netdev_doms_sum_rx(dev, &rx);
    netdev_doms_sum_tx(dev, &tx);

#define PORT_COUNTER(NAME) +1
    custom->counters = xcalloc((0 PORT_RX_COUNTERS) + (0 PORT_TX_COUNTERS),
                               sizeof *custom->counters);
#undef PORT_COUNTER
    custom->size = 0;
#define PORT_COUNTER(NAME) add_counter(custom, "doms_rx_" #NAME, rx.NAME);
    PORT_RX_COUNTERS
#undef PORT_COUNTER
#define PORT_COUNTER(NAME) add_counter(custom, "doms_tx_" #NAME, tx.NAME);
    PORT_TX_COUNTERS
#undef PORT_COUNTER
    return 0;
}

/* Returns a word for the state of 'dev': see docs/man/domsd.8. */
const char *
netdev_doms_state(const struct netdev_doms *dev)
{
    if (!netdev_doms_channel(dev)) {
        return dev->down_reason ? "broken" : "waiting";
    }
    return dev->flags & NETDEV_UP ? "up" : "down";
}

int
netdev_doms_get_status(const struct netdev *netdev_, struct smap *smap)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    struct doms_channel *ch = netdev_doms_channel(dev);

    ovs_mutex_lock(&dev->mutex);
    smap_add(smap, "driver_name", "doms");
    smap_add(smap, "driver_version", DOMS_PACKAGE_VERSION);
    smap_add(smap, "copies", port_io_variant());
    smap_add(smap, "peer", dev->peer ? dev->peer : "");
    smap_add(smap, "state", netdev_doms_state(dev));
    smap_add_format(smap, "mac", ETH_ADDR_FMT, ETH_ADDR_ARGS(dev->guest_mac));
    if (dev->down_reason) {
        smap_add(smap, "reason", dev->down_reason);
    }
    if (ch) {
        char *features = doms_features_to_string(ch->features);

        smap_add(smap, "door", ch->door->name);
        smap_add_format(smap, "queues", "%" PRIu32, ch->geometry.n_queues);
        smap_add_format(smap, "arena", "%" PRIu32, ch->geometry.arena_size);
        smap_add_nocopy(smap, xstrdup("features"), features);
        smap_add_format(smap, "epoch", "%" PRIu32, ch->epoch);
        smap_add_format(smap, "pid", "%ld", (long int) ch->pid);
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}
