/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the database says of a port: options, policing and QoS.
 */
#include <config.h>

#include "doms/netdev-doms.h"

#include "common/socket-msg.h"
#include "doms/ports.h"
#include "hash.h"
#include "ovs-numa.h"
#include "openvswitch/vlog.h"
#include "smap.h"
#include "sset.h"

VLOG_DEFINE_THIS_MODULE(netdev_doms_config);

#define EGRESS_POLICER "egress-policer"

/* The address of the switch's end.  It must differ between ports, since a
 * bridge takes its own from them, must stay the same when the switch restarts,
 * and must be none that a guest has. */
struct eth_addr
netdev_doms_make_hwaddr(const char *name)
{
    uint32_t hash = hash_string(name, 0);
    struct eth_addr mac = { { { 0xfe, hash_string(name, hash), hash >> 24,
                                hash >> 16, hash >> 8, hash } } };

    return mac;
}

/* The address of a guest for which neither the operator nor the guest has
 * chosen one. */
static struct eth_addr
make_guest_mac(const char *peer)
{
    struct eth_addr mac = netdev_doms_make_hwaddr(peer);

    mac.ea[0] = 0x02;
    return mac;
}

/* What options mean, checked. */
struct doms_options {
    const char *peer;
    bool mac_is_set;
    struct eth_addr mac;
    int n_rxq;
    uint32_t arena_size;
    bool arena_is_set;
    bool doorbell;
    int numa_node;
};

/* Parses 'args' of interface 'name' into 'o', whose strings point into
 * 'args'.  Returns a malloc'd text that says what is wrong, or NULL. */
static char *
parse_options(const char *name, const struct smap *args,
              struct doms_options *o)
{
    const char *mac = smap_get(args, "mac");
    const char *arena = smap_get(args, "arena");

    o->peer = smap_get_def(args, "peer", name);
    if (!doms_name_is_valid(o->peer)) {
        return xasprintf("%s: options:peer=%s is no guest's name; use 1 to 63 "
                         "letters, digits, '_', '-' or '.'",
                         name, o->peer);
    }

    o->mac_is_set = mac != NULL;
    if (mac && !doms_mac_from_string(mac, o->mac.ea)) {
        return xasprintf("%s: options:mac=%s is not the address of one "
                         "interface; use xx:xx:xx:xx:xx:xx with an even first "
                         "byte",
                         name, mac);
    }

    o->n_rxq = smap_get_int(args, "n_rxq", 1);
    if (o->n_rxq < 1 || o->n_rxq > DOMS_MAX_QUEUES) {
        return xasprintf("%s: options:n_rxq=%s is out of range; use 1 to %u",
                         name, smap_get(args, "n_rxq"), DOMS_MAX_QUEUES);
    }

    o->arena_is_set = arena != NULL;
    o->arena_size = smap_get_uint(args, "arena", DOMS_ARENA_DEFAULT);
    if (!doms_ring_arena_size_is_valid(o->arena_size)) {
        return xasprintf("%s: options:arena=%s is no arena size; use a power "
                         "of 2 from %u to %u",
                         name, arena, DOMS_ARENA_MIN, DOMS_ARENA_MAX);
    }
    o->doorbell = smap_get_bool(args, "doorbell", true);

    o->numa_node = smap_get_int(args, "numa_node", 0);
    if (smap_get(args, "numa_node")
        && !ovs_numa_numa_id_is_valid(o->numa_node)) {
        return xasprintf("%s: options:numa_node=%s is no NUMA node of this "
                         "machine; 'lscpu' lists them",
                         name, smap_get(args, "numa_node"));
    }
    return NULL;
}

/* What a change of options means for a guest that is attached. */
enum options_effect {
    OPTIONS_SAME,   /* Nothing. */
    OPTIONS_TELL,   /* It is told. */
    OPTIONS_REJOIN, /* Its channel does not fit any more: it has to come
                     * again. */
};

/* Takes 'o' over into 'dev'. */
static enum options_effect
apply_options(struct netdev_doms *dev, const struct doms_options *o)
    OVS_REQUIRES(netdev_doms_mutex, dev->mutex)
{
    bool same_peer = dev->peer && !strcmp(dev->peer, o->peer);
    bool rejoin = !same_peer || dev->arena_size != o->arena_size
                  || dev->doorbell != o->doorbell
                  || dev->numa_node != o->numa_node
                  || dev->requested_n_rxq != o->n_rxq;
    struct eth_addr old_mac = dev->guest_mac;

    if (!same_peer) {
        netdev_doms_set_peer(dev, o->peer);
    }
    dev->arena_size = o->arena_size;
    dev->arena_is_set = o->arena_is_set;
    dev->doorbell = o->doorbell;
    if (o->mac_is_set) {
        dev->guest_mac = o->mac;
    } else if (dev->mac_is_set || !same_peer) {
        dev->guest_mac = make_guest_mac(o->peer);
    }
    dev->mac_is_set = o->mac_is_set;
    if (dev->requested_n_rxq != o->n_rxq || dev->numa_node != o->numa_node) {
        dev->requested_n_rxq = o->n_rxq;
        dev->numa_node = o->numa_node;
        netdev_request_reconfigure(&dev->up);
    }
    return rejoin                                     ? OPTIONS_REJOIN
           : eth_addr_equals(old_mac, dev->guest_mac) ? OPTIONS_SAME
                                                      : OPTIONS_TELL;
}

int
netdev_doms_set_config(struct netdev *netdev_, const struct smap *args,
                       char **errp)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    struct netdev_doms *other;
    struct doms_options o;
    enum options_effect effect;
    struct doms_channel *ch;

    char *problem = parse_options(netdev_get_name(netdev_), args, &o);
    if (problem) {
        VLOG_WARN_BUF(errp, "%s", problem);
        free(problem);
        return EINVAL;
    }
    ovs_mutex_lock(&netdev_doms_mutex);
    other = netdev_doms_find(o.peer);
    if (other && other != dev) {
        VLOG_WARN_BUF(errp,
                      "%s: guest %s already has port %s; choose another "
                      "options:peer or remove that port",
                      netdev_get_name(netdev_), o.peer,
                      netdev_get_name(&other->up));
        ovs_mutex_unlock(&netdev_doms_mutex);
        return EEXIST;
    }
    ovs_mutex_lock(&dev->mutex);
    effect = apply_options(dev, &o);
    ovs_mutex_unlock(&dev->mutex);
    ovs_mutex_unlock(&netdev_doms_mutex);

    ch = netdev_doms_channel(dev);
    if (effect == OPTIONS_REJOIN && ch) {
        doms_ports_detach(ch, NULL);
    }
    if (effect != OPTIONS_SAME) {
        netdev_doms_changed(dev);
    }
    return 0;
}

int
netdev_doms_get_config(const struct netdev *netdev_, struct smap *args)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);

    ovs_mutex_lock(&dev->mutex);
    if (dev->peer) {
        smap_add(args, "peer", dev->peer);
    }
    smap_add_format(args, "mac", ETH_ADDR_FMT, ETH_ADDR_ARGS(dev->guest_mac));
    smap_add_format(args, "n_rxq", "%d", dev->requested_n_rxq);
    smap_add_format(args, "arena", "%" PRIu32, dev->arena_size);
    smap_add(args, "doorbell", dev->doorbell ? "true" : "false");
    smap_add_format(args, "numa_node", "%d", dev->numa_node);
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

/* Policing and QoS. */

/* Bytes in 'kbits' kilobits, as OVS counts them. */
static uint64_t
kbits_to_bytes(unsigned int kbits)
{
    return (uint64_t) kbits * 1000 / 8;
}

int
netdev_doms_set_policing(struct netdev *netdev_, unsigned int kbits_rate,
                         unsigned int kbits_burst,
                         unsigned int kpkts_rate OVS_UNUSED,
                         unsigned int kpkts_burst OVS_UNUSED)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    /* What ovs-vswitchd.conf.db(5) says of a burst of 0. */
    uint64_t burst = kbits_to_bytes(kbits_burst ? kbits_burst : 8000);

    policer_set(&dev->ingress, kbits_to_bytes(kbits_rate),
                MAX(burst, DOMS_MTU_MAX));
    return 0;
}

int
netdev_doms_get_qos_types(const struct netdev *netdev OVS_UNUSED,
                          struct sset *types)
{
    sset_add(types, EGRESS_POLICER);
    return 0;
}

int
netdev_doms_get_qos(const struct netdev *netdev_, const char **typep,
                    struct smap *details)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    uint64_t rate, burst;

    ovs_mutex_lock(&dev->mutex);
    *typep = dev->has_egress_qos ? EGRESS_POLICER : "";
    if (dev->has_egress_qos) {
        policer_get(&dev->egress, &rate, &burst);
        smap_add_format(details, "cir", "%" PRIu64, rate);
        smap_add_format(details, "cbs", "%" PRIu64, burst);
    }
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}

/* 'cir' is in bytes a second and 'cbs' in bytes, as for a dpdk port. */
int
netdev_doms_set_qos(struct netdev *netdev_, const char *type,
                    const struct smap *details)
{
    struct netdev_doms *dev = netdev_doms_cast(netdev_);
    bool on = type[0] != '\0';
    uint64_t rate = 0, burst = 0;

    if (on) {
        if (strcmp(type, EGRESS_POLICER)) {
            return EOPNOTSUPP;
        }
        rate = smap_get_ullong(details, "cir", 0);
        burst = smap_get_ullong(details, "cbs", 0);
        if (!rate || burst < DOMS_MTU_DEFAULT) {
            VLOG_WARN("%s: QoS %s needs other_config:cir (bytes/s, not 0) and "
                      "other_config:cbs (bytes, at least %d)",
                      netdev_get_name(netdev_), type, DOMS_MTU_DEFAULT);
            return EINVAL;
        }
    }
    ovs_mutex_lock(&dev->mutex);
    dev->has_egress_qos = on;
    policer_set(&dev->egress, rate, burst);
    ovs_mutex_unlock(&dev->mutex);
    return 0;
}
