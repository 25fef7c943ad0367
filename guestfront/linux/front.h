/* SPDX-License-Identifier: GPL-2.0 */
/*
 * doms_front: the guest's end of a DomS channel, as a network interface.
 *
 * A front owns one interface.  It grants the pages of a channel to DomS, the
 * switch's domain, and from then on both sides poll them: no hypercall, no
 * event channel and no copy by a third party is on a packet's path.
 * docs/protocol.md tells the whole contract.
 *
 * What the switch does cannot hurt the guest: every word that it writes is
 * read once and checked (common/ring.h), every string of its own in xenstore
 * is parsed with bounds, and a broken rule costs it this channel.
 *
 * Life: the interface outlives channels.  When DomS dies, or the guest is
 * restored elsewhere, the interface stays, with its name, addresses and
 * routes, and a new channel takes the old one's place.
 *
 *	front_main.c	the module, the list of fronts
 *	front_netdev.c	the interface: open, stop, MTU, features
 *	front_queue.c	a queue pair: the polling thread, receive, transmit
 *	front_channel.c	pages, grants, directory, quarantine
 *	front_state.c	the xenbus states: looks, and decides on the next act
 *	front_action.c	the acts: offer, connect, close, give up
 *	front_keep.c	what waits in the rings while there is no switch
 *	front_xs.c	xenstore: watches, keys
 *	front_ethtool.c	ethtool
 *
 * Locking: 'state' and all that belongs to it is changed by one work item,
 * doms_front_reconcile(), only.  The data path is set up and taken down under
 * the RTNL.  A queue's writer belongs to its transmit lock, its reader to who
 * owns its NAPI.  No xenstore access is made under the RTNL.
 */
#ifndef DOMS_FRONT_H
#define DOMS_FRONT_H

#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/netdevice.h>
#include <linux/u64_stats_sync.h>
#include <linux/workqueue.h>
#include <xen/grant_table.h>
#include <xen/xenbus.h>

#include "common/xenbus.h"

#define DOMS_FRONT_NAME "doms_front"

/* A path in xenstore is no longer than this. */
#define DOMS_FRONT_PATH_MAX 256

/* Bytes that may stand between a frame's Ethernet header and its payload. */
#define DOMS_FRONT_VLAN_ROOM (2 * VLAN_HLEN)

#define DOMS_FRONT_MTU_MAX 9216u

/* Records that one NAPI poll takes at most. */
#define DOMS_FRONT_BUDGET NAPI_POLL_WEIGHT

struct doms_front;

/* A page that is granted, with its grant; 'page' is NULL once it is free. */
struct doms_front_page {
	struct page *page;
	grant_ref_t ref;
};

/* The pages of a channel. */
struct doms_front_channel {
	struct list_head node;		/* In the quarantine. */
	struct doms_front *owner;	/* There, NULL if it has gone. */

	struct doms_geometry geometry;
	u64 features;			/* DOMS_F_* in force. */
	domid_t domid;			/* Whom the pages are granted to. */
	u32 epoch;

	struct doms_front_page *pages;	/* Front's group, switch's group, then
					 * the directory. */
	u32 n_group;			/* Pages of one group. */
	u32 n_refs;			/* Pages of both groups. */
	u32 n_pages;			/* With the directory. */

	struct doms_health *own;	/* The front's group. */
	struct doms_health *peer;	/* The switch's group. */
	u32 *ends;			/* Private; for all writers. */
};

/* Counters of receiving, written by who owns the NAPI. */
struct doms_front_rx_stats {
	struct u64_stats_sync sync;
	u64 packets;
	u64 bytes;
	u64 no_memory;	/* Dropped: no memory. */
	u64 too_long;	/* Dropped: longer than the MTU allows. */
	u64 bad_offload;/* Dropped: nonsense in struct doms_offload. */
};

/* Counters of sending, written by who owns the transmit lock. */
struct doms_front_tx_stats {
	struct u64_stats_sync sync;
	u64 packets;
	u64 bytes;
	u64 dropped;	/* Too long, too short, or no channel. */
	u64 ring_full;	/* Times that the queue was stopped. */
	u64 resent;	/* Records that a dead switch had not taken. */
};

/* One queue pair. */
struct doms_front_queue {
	struct doms_front *front;
	unsigned int index;
	struct task_struct *thread;	/* NULL unless it runs; RTNL. */
	struct napi_struct napi;	/* Its owner reads 'ring.rx'. */
	bool up;	/* 'ring' is usable; changed with the transmit lock
			 * held and the NAPI disabled. */
	bool sent;	/* Something was sent: the thread looks alive. */
	bool naps;	/* The thread sleeps for long: who sends wakes it. */
	struct doms_queue ring;
	struct doms_front_kept *kept;	/* See front_keep.c; RTNL. */

	struct doms_front_rx_stats rx;
	struct doms_front_tx_stats tx;
	unsigned long sleeps;		/* Times that the thread slept. */
};

/* States of a front.  docs/protocol.md has the table of moves; the names say
 * which XenbusState stands in xenstore meanwhile. */
enum doms_front_state {
	DOMS_FRONT_INIT,	/* 1: waits for a backend in state 2. */
	DOMS_FRONT_OFFERED,	/* 3: has granted its pages. */
	DOMS_FRONT_CONNECTED,	/* 4 */
	DOMS_FRONT_PAUSED,	/* 3 or 4: refused; tries again later. */
	DOMS_FRONT_CLOSING,	/* 5: leaves by its own will. */
	DOMS_FRONT_CLOSED,	/* 6: has left; tries again later. */
	DOMS_FRONT_DETACHED,	/* 6: the operator took the port away. */
};

/* Bits of doms_front.flags: what reconcile is told. */
#define DOMS_FRONT_RESTORED 0	/* The guest was suspended and runs anew. */
#define DOMS_FRONT_BROKEN 1	/* The switch broke a rule of the ring. */
#define DOMS_FRONT_REJOIN 2	/* Leave and come back: other queues. */
#define DOMS_FRONT_IDLE 3	/* Reconcile shall do nothing. */

/* What the switch wants the interface to be. */
struct doms_front_config {
	u8 mac[ETH_ALEN];	/* Zero if there is none. */
	u32 mtu;
	bool link;
};

struct doms_front {
	struct list_head node;		/* In the list of fronts. */
	unsigned int handle;		/* device/doms/HANDLE. */
	struct xenbus_device *xdev;	/* NULL while parked. */
	struct net_device *netdev;	/* NULL once detached. */
	struct delayed_work reconcile;
	struct delayed_work beat;	/* Writes the heartbeat. */
	unsigned long flags;		/* DOMS_FRONT_*, atomic. */

	/* Reconcile's own. */
	enum doms_front_state state;
	char *backend;			/* Its directory, or NULL. */
	domid_t domid;			/* Who the backend is. */
	struct doms_front_watch *own_watch;
	struct doms_front_watch *backend_watch;
	struct doms_front_channel *channel;	/* Offered or connected. */
	struct doms_front_config config;	/* As applied. */
	unsigned int pause_ms;		/* The next pause; grows. */
	bool refusal_told;		/* 'error' of this refusal is logged. */
	bool version_told;
	bool was_broken;		/* What the closing is about. */
	unsigned long offer_after;	/* Jiffies: not before. */
	unsigned long deadline;		/* Jiffies: end of a pause or close. */
	unsigned long connected_at;	/* Jiffies. */
	bool holding;			/* Carrier on until 'hold_until'. */
	unsigned long hold_until;	/* Jiffies. */
	unsigned int notify_left;	/* Looks left before peers are told. */

	/* Changed under the RTNL. */
	struct doms_front_channel *live;	/* The channel in use. */
	unsigned int queues_wanted;	/* By ethtool -L; 0: no wish. */
	unsigned int max_queues;	/* As the switch said. */
	u64 features;			/* DOMS_F_* in force. */

	/* Read by the threads. */
	unsigned int spin_us;
	unsigned int sleep_max_us;
	bool yield;			/* To other vCPUs, in spinning. */
	u32 rx_max;			/* Longest frame without GSO, by the
					 * port's MTU, not by this guest's. */
	bool rx_tso;			/* Segments may be longer. */

	/* The heartbeat's own. */
	u64 heartbeat;
	u64 peer_heartbeat;
	unsigned long peer_seen;	/* Jiffies of the last change. */

	/* Written by reconcile. */
	unsigned long connects;
	unsigned long broken;
	unsigned long refused;
	atomic_t quarantined;		/* Channels; see front_channel.c. */

	struct doms_front_queue queues[DOMS_MAX_QUEUES];
};

/* What an interface's private memory holds. */
struct doms_front_netdev {
	struct doms_front *front;
};

static inline struct doms_front *
doms_front_of(const struct net_device *netdev)
{
	return ((struct doms_front_netdev *)netdev_priv(netdev))->front;
}

/* front_main.c */
extern struct workqueue_struct *doms_front_wq;
extern unsigned int doms_front_hold_ms;
unsigned int doms_front_default_queues(void);
unsigned int doms_front_default_spin(void);
unsigned int doms_front_default_sleep(void);
bool doms_front_default_yield(void);
struct device *doms_front_parent(void);
void doms_front_kick(struct doms_front *front);

/* front_netdev.c */
int doms_front_netdev_create(struct doms_front *front);
void doms_front_netdev_destroy(struct doms_front *front);
int doms_front_go_up(struct doms_front *front,
		     struct doms_front_channel *channel);
void doms_front_go_down(struct doms_front *front, u32 health);
void doms_front_apply(struct doms_front *front,
		      const struct doms_front_config *config);
void doms_front_carrier(struct doms_front *front, bool on);
void doms_front_beat(struct work_struct *work);

/* front_queue.c */
netdev_tx_t doms_front_xmit(struct sk_buff *skb, struct net_device *netdev);
int doms_front_poll(struct napi_struct *napi, int budget);
int doms_front_queue_thread(void *arg);
void doms_front_queue_drain(struct doms_front_queue *q);

/* front_channel.c */
int doms_front_channel_create(struct doms_front *front,
			      const struct doms_geometry *geometry,
			      u64 features,
			      struct doms_front_channel **channelp);
grant_ref_t doms_front_channel_reference(const struct doms_front_channel *c);
void doms_front_channel_revoke_directory(struct doms_front_channel *c);
void doms_front_channel_release(struct doms_front *front,
				struct doms_front_channel *c);
const char *
doms_front_channel_check_peer(const struct doms_front_channel *c);
void doms_front_quarantine_disown(struct doms_front *front);
void doms_front_quarantine_exit(void);

/* front_action.c */
void doms_front_end_hold(struct doms_front *front);
void doms_front_lose(struct doms_front *front, const char *why);
void doms_front_detach(struct doms_front *front);
void doms_front_refused(struct doms_front *front);
void doms_front_close(struct doms_front *front, u32 health);
void doms_front_closed(struct doms_front *front);
void doms_front_leave_broken(struct doms_front *front);
void doms_front_offer(struct doms_front *front);
void doms_front_configure(struct doms_front *front);
void doms_front_connect(struct doms_front *front);

/* Returns true once it is 'when', in jiffies. */
static inline bool doms_front_is_due(unsigned long when)
{
	return time_after_eq(jiffies, when);
}

/* front_state.c */
void doms_front_reconcile(struct work_struct *work);
void doms_front_leave(struct doms_front *front);
void doms_front_vanish(struct doms_front *front);
void doms_front_still(struct doms_front *front);

/* front_keep.c */
void doms_front_keep(struct doms_front *front);
void doms_front_resend(struct doms_front *front);
void doms_front_forget(struct doms_front *front);

/* front_xs.c */
int doms_front_xs_init(void);
void doms_front_xs_exit(void);
struct doms_front_watch *doms_front_watch(struct doms_front *front,
					  const char *node);
void doms_front_unwatch(struct doms_front_watch *watch);
char *doms_front_read(const char *dir, const char *key);
bool doms_front_read_uint(const char *dir, const char *key, u32 min, u32 max,
			  u32 *value);
bool doms_front_read_mac(const char *dir, u8 *mac);
enum xenbus_state doms_front_read_state(const char *dir);
int doms_front_write_state(struct doms_front *front, enum xenbus_state state);
int doms_front_write_offer(struct doms_front *front,
			   const struct doms_front_channel *c);

/* front_ethtool.c */
extern const struct ethtool_ops doms_front_ethtool_ops;

#endif /* DOMS_FRONT_H */
