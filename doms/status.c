/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/status.h"

#include "common/abi.h"
#include "doms/door.h"
#include "doms/netdev-doms.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "packets.h"
#include "unixctl.h"
#include "util.h"

static const struct {
    uint64_t bit;
    const char *name;
} feature_names[] = {
    { DOMS_F_CSUM, "csum" },
    { DOMS_F_TSO, "tso" },
    { DOMS_F_DOORBELL, "doorbell" },
};

/* Returns the names of 'features' (DOMS_F_*), separated by commas.  The caller
 * frees the string. */
char *
doms_features_to_string(uint64_t features)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; i < ARRAY_SIZE(feature_names); i++) {
        if (features & feature_names[i].bit) {
            ds_put_format(&s, "%s%s", s.length ? "," : "",
                          feature_names[i].name);
        }
    }
    return ds_steal_cstr(&s);
}

static struct json *
features_to_json(uint64_t features)
{
    struct json *array = json_array_create_empty();

    for (size_t i = 0; i < ARRAY_SIZE(feature_names); i++) {
        if (features & feature_names[i].bit) {
            json_array_add(array, json_string_create(feature_names[i].name));
        }
    }
    return array;
}

/* Returns the counters of 'dev': rx is from the guest, tx to it. */
static struct json *
counters_to_json(const struct netdev_doms *dev)
{
    struct json *counters = json_object_create();
    struct port_rx_stats rx;
    struct port_tx_stats tx;

    netdev_doms_sum_rx(dev, &rx);
    netdev_doms_sum_tx(dev, &tx);
#define PORT_COUNTER(NAME)                                                    \
    json_object_put(counters, "rx_" #NAME, json_integer_create(rx.NAME));
    PORT_RX_COUNTERS
#undef PORT_COUNTER
#define PORT_COUNTER(NAME)                                                    \
    json_object_put(counters, "tx_" #NAME, json_integer_create(tx.NAME));
    PORT_TX_COUNTERS
#undef PORT_COUNTER
    json_object_put(counters, "rx_dropped",
                    json_integer_create(rx.policed + rx.oversize + rx.down
                                        + rx.bad_offload));
    json_object_put(counters, "tx_dropped",
                    json_integer_create(tx.ring_full + tx.too_long
                                        + tx.no_offload + tx.policed
                                        + tx.no_guest));
    return counters;
}

/* Returns the status of 'dev' as docs/man/domsd.8 describes it. */
static struct json *
status_to_json(struct netdev_doms *dev)
{
    struct doms_channel *ch = netdev_doms_channel(dev);
    struct json *status = json_object_create();
    struct json *queues = json_object_create();
    int mtu;

    ovs_mutex_lock(&dev->mutex);
    atomic_read_relaxed(&dev->mtu, &mtu);
    json_object_put_string(status, "name", dev->peer);
    json_object_put_string(status, "port", netdev_get_name(&dev->up));
    json_object_put_string(status, "door", ch ? ch->door->name : "");
    json_object_put_string(status, "state", netdev_doms_state(dev));
    json_object_put_string(status, "reason",
                           dev->down_reason ? dev->down_reason : "");
    json_object_put_format(status, "mac", ETH_ADDR_FMT,
                           ETH_ADDR_ARGS(dev->guest_mac));
    json_object_put(status, "mtu", json_integer_create(mtu));
    json_object_put(queues, "port", json_integer_create(dev->up.n_rxq));
    json_object_put(queues, "channel",
                    json_integer_create(ch ? ch->geometry.n_queues : 0));
    json_object_put(queues, "parked",
                    json_integer_create(DOMS_READ_ONCE(dev->n_parked)));
    json_object_put(status, "queues", queues);
    json_object_put(
        status, "arena",
        json_integer_create(ch ? ch->geometry.arena_size : dev->arena_size));
    json_object_put(status, "features",
                    features_to_json(ch ? ch->features : 0));
    json_object_put(status, "epoch", json_integer_create(ch ? ch->epoch : 0));
    json_object_put(status, "pid", json_integer_create(ch ? ch->pid : 0));
    json_object_put(status, "connects", json_integer_create(dev->n_connects));
    json_object_put(status, "counters", counters_to_json(dev));
    ovs_mutex_unlock(&dev->mutex);
    return status;
}

/* Returns the status of the port of guest 'peer', for the caller to destroy,
 * or NULL if there is no such port. */
struct json *
doms_status_get(const char *peer)
{
    struct json *status = NULL;
    struct netdev_doms *dev;

    ovs_mutex_lock(&netdev_doms_mutex);
    dev = netdev_doms_find(peer);
    if (dev) {
        status = status_to_json(dev);
    }
    ovs_mutex_unlock(&netdev_doms_mutex);
    return status;
}

static int
compare_peers(const void *a_, const void *b_)
{
    const struct netdev_doms *const *a = a_;
    const struct netdev_doms *const *b = b_;

    return strcmp((*a)->peer, (*b)->peer);
}

/* Stores the ports that have a peer, only that of 'peer' if it is not NULL,
 * ordered by peer.  The caller frees '*devs'. */
static size_t
collect_ports(const char *peer, struct netdev_doms ***devs)
    OVS_REQUIRES(netdev_doms_mutex)
{
    struct netdev_doms *dev;
    size_t n = 0;

    *devs = xcalloc(ovs_list_size(&netdev_doms_list) + 1, sizeof **devs);
    LIST_FOR_EACH (dev, list_node, &netdev_doms_list) {
        if (dev->peer && (!peer || !strcmp(dev->peer, peer))) {
            (*devs)[n++] = dev;
        }
    }
    qsort(*devs, n, sizeof **devs, compare_peers);
    return n;
}

static void
doms_unixctl_status(struct unixctl_conn *conn, int argc, const char *argv[],
                    void *aux OVS_UNUSED)
{
    const char *peer = argc > 1 ? argv[1] : NULL;
    struct json *array = json_array_create_empty();
    struct netdev_doms **devs;
    char *text;
    size_t n;

    ovs_mutex_lock(&netdev_doms_mutex);
    n = collect_ports(peer, &devs);
    for (size_t i = 0; i < n; i++) {
        json_array_add(array, status_to_json(devs[i]));
    }
    ovs_mutex_unlock(&netdev_doms_mutex);
    free(devs);

    text = json_to_string(array, JSSF_SORT);
    json_destroy(array);
    if (peer && !n) {
        char *error = xasprintf("no doms port has guest %s; 'doms/show' lists "
                                "those that there are",
                                peer);

        unixctl_command_reply_error(conn, error);
        free(error);
    } else {
        unixctl_command_reply(conn, text);
    }
    free(text);
}

/* Appends the counter 'name' to 's', unless it is 0. */
static void
format_counter(struct ds *s, const char *name, uint64_t value)
{
    if (value) {
        ds_put_format(s, " %s %" PRIu64, name, value);
    }
}

static void
format_port(struct ds *s, struct netdev_doms *dev)
{
    struct doms_channel *ch = netdev_doms_channel(dev);
    struct port_rx_stats rx;
    struct port_tx_stats tx;
    int mtu;

    ovs_mutex_lock(&dev->mutex);
    atomic_read_relaxed(&dev->mtu, &mtu);
    ds_put_format(s, "guest %s (port %s): %s", dev->peer,
                  netdev_get_name(&dev->up), netdev_doms_state(dev));
    if (dev->down_reason) {
        ds_put_format(s, " (%s)", dev->down_reason);
    }
    ds_put_format(s, "\n    mac " ETH_ADDR_FMT ", mtu %d, queues %d\n",
                  ETH_ADDR_ARGS(dev->guest_mac), mtu, dev->up.n_rxq);
    if (ch) {
        char *features = doms_features_to_string(ch->features);

        ds_put_format(s,
                      "    channel: door %s, pid %ld, queues %" PRIu32 ", "
                      "arena %" PRIu32 ", features %s, epoch %" PRIu32 "\n",
                      ch->door->name, (long int) ch->pid,
                      ch->geometry.n_queues, ch->geometry.arena_size,
                      features[0] ? features : "none", ch->epoch);
        free(features);
    }
    ovs_mutex_unlock(&dev->mutex);

    netdev_doms_sum_rx(dev, &rx);
    netdev_doms_sum_tx(dev, &tx);
    ds_put_cstr(s, "    from guest:");
#define PORT_COUNTER(NAME) format_counter(s, #NAME, rx.NAME);
    PORT_RX_COUNTERS
#undef PORT_COUNTER
    ds_put_cstr(s, "\n    to guest:");
#define PORT_COUNTER(NAME) format_counter(s, #NAME, tx.NAME);
    PORT_TX_COUNTERS
#undef PORT_COUNTER
    ds_put_char(s, '\n');
}

static void
doms_unixctl_show(struct unixctl_conn *conn, int argc, const char *argv[],
                  void *aux OVS_UNUSED)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    struct netdev_doms **devs;
    size_t n;

    ovs_mutex_lock(&netdev_doms_mutex);
    n = collect_ports(argc > 1 ? argv[1] : NULL, &devs);
    for (size_t i = 0; i < n; i++) {
        format_port(&s, devs[i]);
    }
    ovs_mutex_unlock(&netdev_doms_mutex);
    free(devs);

    if (!n) {
        ds_put_format(&s,
                      argc > 1 ? "no doms port has guest %s\n"
                               : "there is no doms port\n",
                      argc > 1 ? argv[1] : "");
    }
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

static void
doms_unixctl_pmd(struct unixctl_conn *conn, int argc OVS_UNUSED,
                 const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    struct json *array = doms_pmd_to_json();
    char *text = json_to_string(array, JSSF_SORT);

    unixctl_command_reply(conn, text);
    json_destroy(array);
    free(text);
}

/* Registers the unixctl commands. */
void
doms_status_init(void)
{
    unixctl_command_register("doms/show", "[guest]", 0, 1, doms_unixctl_show,
                             NULL);
    unixctl_command_register("doms/status", "[guest]", 0, 1,
                             doms_unixctl_status, NULL);
    unixctl_command_register("doms/pmd", "", 0, 0, doms_unixctl_pmd, NULL);
}
