/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The netdev class "doms": a port as Open vSwitch sees it.
 *
 * Interface options:
 *
 *   peer      the guest's name; the interface's name by default
 *   mac       the guest's address; the guest may choose if it is not set
 *   n_rxq     queue pairs, 1 to 16; 1 by default
 *   arena     bytes of each ring's arena, a power of 2 from 131072 to 4194304;
 *             by default the guest's wish, or what its door takes
 *   doorbell  whether an idle guest may sleep until it is rung; true by
 *             default
 *   numa_node whose CPUs poll the port, and where the socket door puts its
 *             rings; 0 by default
 *
 * A port without a guest is there, with carrier down, and so is one whose guest
 * has set its interface down.  A guest's coming and going replaces one pointer,
 * by RCU, and stops no thread, so other ports do not notice; only 'n_rxq' and
 * the number of transmit queues take OVS's reconfigure(), in which it stops the
 * threads that poll the port.
 *
 * This header is for the files that make up the class (netdev-doms*.c) and for
 * ports.c and status.c; others need doms/ports.h.
 *
 * Locks: 'netdev_doms_mutex' is taken before 'netdev_doms.mutex'.  No lock is
 * held while another port is worked on.
 */

#ifndef DOMS_NETDEV_DOMS_H
#define DOMS_NETDEV_DOMS_H 1

#include "doms/channel.h"
#include "doms/pmd.h"
#include "doms/policer.h"
#include "doms/port-io.h"
#include "netdev-provider.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"

/* One direction to the guest.  Several threads may send to one queue when
 * there are more of them than queues. */
struct doms_txq {
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) struct ovs_mutex mutex;

    struct port_tx_stats stats OVS_GUARDED;
};

struct netdev_doms {
    struct netdev up;

    /* Among all ports, and among those with a peer. */
    struct ovs_list list_node OVS_GUARDED_BY(netdev_doms_mutex);
    struct hmap_node peer_node OVS_GUARDED_BY(netdev_doms_mutex);

    /* Read by the threads that poll and send; the main thread changes them. */
    OVSRCU_TYPE(struct doms_channel *) channel; /* NULL: no guest. */
    atomic_bool is_up;                          /* NETDEV_UP. */
    atomic_int mtu;                             /* Bytes of payload. */

    atomic_bool guest_is_down; /* The guest has its interface set down, as far
                                * as the main thread has seen. */

    uint32_t n_parked; /* Atomic: receive queues that are parked. */
    uint32_t port_no;  /* Atomic: its number in the datapath, or ODPP_NONE if
                       * no polling thread has wanted to know. */

    struct port_rx_stats rx_stats[DOMS_MAX_QUEUES]; /* Written by the thread
                                                     * that polls the queue. */
    struct doms_txq txqs[DOMS_MAX_QUEUES];
    struct policer ingress; /* From the guest: ingress_policing_rate. */
    struct policer egress;  /* To the guest: QoS 'egress-policer'. */

    struct ovs_mutex mutex; /* Protects all that follows. */

    char *peer OVS_GUARDED;      /* Guest's name, or NULL until
                                          * set_config(). */
    bool mac_is_set OVS_GUARDED; /* 'guest_mac' is from options:mac. */
    struct eth_addr guest_mac OVS_GUARDED; /* The guest's address. */
    struct eth_addr hwaddr OVS_GUARDED;    /* The port's own address. */
    enum netdev_flags flags OVS_GUARDED;   /* NETDEV_*. */
    uint32_t arena_size OVS_GUARDED;       /* options:arena, or the default. */
    bool arena_is_set OVS_GUARDED;         /* options:arena was given. */
    bool doorbell OVS_GUARDED;             /* options:doorbell. */
    int numa_node OVS_GUARDED;             /* options:numa_node. */
    int requested_n_rxq OVS_GUARDED;       /* Taken over by reconfigure(). */
    int requested_n_txq OVS_GUARDED;
    bool has_egress_qos OVS_GUARDED; /* QoS 'egress-policer' is set. */

    unsigned int n_connects OVS_GUARDED; /* Guests attached so far. */
    long long int carrier_resets OVS_GUARDED;
    char *down_reason OVS_GUARDED; /* Why the last guest was detached
                                          * for breaking a rule, or NULL. */
};

extern struct ovs_mutex netdev_doms_mutex;
extern struct ovs_list netdev_doms_list OVS_GUARDED_BY(netdev_doms_mutex);

void netdev_doms_register(void);
bool netdev_doms_is_ours(const struct netdev *);

struct netdev_doms *netdev_doms_find(const char *peer)
    OVS_REQUIRES(netdev_doms_mutex);
void netdev_doms_set_peer(struct netdev_doms *, const char *peer)
    OVS_REQUIRES(netdev_doms_mutex, netdev_doms->mutex);
uint64_t netdev_doms_offered_features(const struct netdev_doms *)
    OVS_REQUIRES(netdev_doms->mutex);
void netdev_doms_sum_rx(const struct netdev_doms *, struct port_rx_stats *);
void netdev_doms_sum_tx(const struct netdev_doms *, struct port_tx_stats *);
const char *netdev_doms_state(const struct netdev_doms *)
    OVS_REQUIRES(netdev_doms->mutex);

struct eth_addr netdev_doms_make_hwaddr(const char *name);
void netdev_doms_changed(struct netdev_doms *);
void netdev_doms_publish_state(const struct netdev_doms *,
                               struct doms_channel *);

/* Hooks of the class: see struct netdev_class. */
int netdev_doms_set_config(struct netdev *, const struct smap *, char **errp);
int netdev_doms_get_config(const struct netdev *, struct smap *);
int netdev_doms_set_policing(struct netdev *, unsigned int kbits_rate,
                             unsigned int kbits_burst, unsigned int kpkts_rate,
                             unsigned int kpkts_burst);
int netdev_doms_get_qos_types(const struct netdev *, struct sset *);
int netdev_doms_get_qos(const struct netdev *, const char **typep,
                        struct smap *details);
int netdev_doms_set_qos(struct netdev *, const char *type,
                        const struct smap *details);
int netdev_doms_get_stats(const struct netdev *, struct netdev_stats *);
int netdev_doms_get_custom_stats(const struct netdev *,
                                 struct netdev_custom_stats *);
int netdev_doms_get_status(const struct netdev *, struct smap *);

static inline struct netdev_doms *
netdev_doms_cast(const struct netdev *netdev)
{
    return CONTAINER_OF(netdev, struct netdev_doms, up);
}

/* Returns the channel of 'dev', or NULL if no guest is attached.  It may be
 * used until the calling thread quiesces. */
static inline struct doms_channel *
netdev_doms_channel(const struct netdev_doms *dev)
{
    return ovsrcu_get(struct doms_channel *, &dev->channel);
}

#endif /* doms/netdev-doms.h */
