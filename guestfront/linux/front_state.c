// SPDX-License-Identifier: GPL-2.0
/*
 * The front's states.  docs/protocol.md, "The xenbus door", has the table.
 *
 * Everything that could matter calls for a look (doms_front_kick()).  A look
 * reads from xenstore what there is to know, and makes the moves that follow,
 * whatever it was that had changed.  So no order of events matters, and none
 * that is lost does harm for long.
 *
 * xenbus's core does not follow a backend to another domain, and what it
 * knows of this device is stale by then.  So the front has watches of its
 * own, and keeps its state itself: 'xdev->state' stays XenbusStateClosed,
 * which keeps the core from waiting for this device when the module is loaded
 * and when the guest shuts down.
 */
#include <linux/ctype.h>
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/jiffies.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <net/sch_generic.h>

#include "front.h"

/* Pauses after a refusal, in milliseconds. */
#define PAUSE_MIN 100u
#define PAUSE_MAX 30000u
/* A connection that has lasted so long ends the growth of pauses. */
#define PAUSE_FORGET (10 * HZ)
/* No two offers within this. */
#define OFFER_INTERVAL (HZ / 10)
/* How long the switch may take to let go of a channel. */
#define CLOSE_PATIENCE (5 * HZ)
/* Pause between two looks at a closing backend. */
#define CLOSE_LOOK_MS 20
/* Peers are told of the interface once it can send: looks, and their pause. */
#define NOTIFY_LOOKS 50
#define NOTIFY_PAUSE (HZ / 50 + 1)
/* More channels than this in the quarantine, and no other is made. */
#define QUARANTINE_MAX 1
/* Characters of the switch's own words in the log. */
#define WORDS_MAX 160

/* What a look at xenstore has found. */
struct doms_front_view {
	bool exists;			/* The front's directory is there. */
	enum xenbus_state own;		/* What stands there. */
	enum xenbus_state backend;	/* XenbusStateUnknown: it is not. */
	bool online;
};

/* Logs, without letting the switch flood the log. */
#define doms_front_log(FRONT, LEVEL, FORMAT, ...)			\
do {									\
	const struct doms_front *f__ = (FRONT);				\
									\
	if (net_ratelimit())						\
		printk(LEVEL DOMS_FRONT_NAME ": %s (doms/%u): " FORMAT,	\
		       f__->netdev ? netdev_name(f__->netdev) : "-",	\
		       f__->handle, ##__VA_ARGS__);			\
} while (0)

/* Timers. */

static void doms_front_set_deadline(struct doms_front *front,
				    unsigned long pause)
{
	front->deadline = jiffies + pause;
}

static void doms_front_pause(struct doms_front *front)
{
	front->pause_ms = clamp(front->pause_ms * 2, PAUSE_MIN, PAUSE_MAX);
	doms_front_set_deadline(front, msecs_to_jiffies(front->pause_ms));
}

static bool doms_front_is_due(unsigned long when)
{
	return time_after_eq(jiffies, when);
}

/* Channels. */

/* Takes the channel, if there is one, from under the interface, and revokes
 * it.  'hold' keeps the carrier, and what waits to be sent, for a while.
 */
static void doms_front_drop_channel(struct doms_front *front, u32 health,
				    bool hold)
{
	struct doms_front_channel *c = front->channel;

	if (front->live && hold && doms_front_hold_ms) {
		if (!front->holding)
			front->hold_until = jiffies +
				msecs_to_jiffies(doms_front_hold_ms);
		front->holding = true;
	} else if (!hold) {
		front->holding = false;
		doms_front_carrier(front, false);
	}
	front->notify_left = 0;
	doms_front_go_down(front, health);
	if (!front->holding)
		doms_front_carrier(front, false);
	if (c) {
		front->channel = NULL;
		doms_front_channel_release(front, c);
	}
	clear_bit(DOMS_FRONT_BROKEN, &front->flags);
}

/* The switch has died, or knows nothing of us any more: starts anew. */
static void doms_front_lose(struct doms_front *front, const char *why)
{
	if (front->state == DOMS_FRONT_CONNECTED)
		doms_front_log(front, KERN_INFO,
			       "%s; waiting for the switch\n", why);
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, true);
	front->state = DOMS_FRONT_INIT;
}

/* Logs why the switch has refused, once a refusal. */
static void doms_front_tell_refusal(struct doms_front *front)
{
	char *words;
	size_t i;

	if (front->refusal_told || !front->backend)
		return;
	front->refusal_told = true;
	front->refused++;
	words = doms_front_read(front->backend, DOMS_XS_ERROR);
	for (i = 0; words && words[i]; i++)
		if (!isascii(words[i]) || !isprint(words[i]))
			words[i] = '?';
	doms_front_log(front, KERN_WARNING,
		       "the switch has closed the channel: %.*s\n", WORDS_MAX,
		       words ? words : "it does not say why");
	kfree(words);
}

/* The backend is closing or closed. */
static void doms_front_refused(struct doms_front *front)
{
	doms_front_tell_refusal(front);
	if (front->state == DOMS_FRONT_CONNECTED &&
	    doms_front_is_due(front->connected_at + PAUSE_FORGET))
		front->pause_ms = 0;
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, false);
	doms_front_pause(front);
	front->state = DOMS_FRONT_PAUSED;
}

/* The operator has taken the port away. */
static void doms_front_detach(struct doms_front *front)
{
	doms_front_log(front, KERN_INFO, "detached by the operator\n");
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, false);
	doms_front_netdev_destroy(front);
	doms_front_write_state(front, XenbusStateClosed);
	front->state = DOMS_FRONT_DETACHED;
}

/* Begins to leave.  'health' says why. */
static void doms_front_close(struct doms_front *front, u32 health)
{
	front->holding = false;
	doms_front_carrier(front, false);
	doms_front_go_down(front, health);
	doms_front_write_state(front, XenbusStateClosing);
	front->was_broken = health == DOMS_STATE_BROKEN;
	doms_front_set_deadline(front, CLOSE_PATIENCE);
	front->state = DOMS_FRONT_CLOSING;
}

static void doms_front_tell_broken(struct doms_front *front)
{
	unsigned int i;

	front->broken++;
	for (i = 0; front->live && i < front->live->geometry.n_queues; i++) {
		const struct doms_queue *r = &front->queues[i].ring;
		enum doms_ring_broken why = r->rx.broken ? r->rx.broken :
							   r->tx.broken;

		if (why)
			doms_front_log(front, KERN_ERR,
				       "the switch broke a rule of the ring: %s, queue %u; closing\n",
				       doms_ring_broken_to_string(why), i);
	}
}

/* Offering. */

/* Returns true if the backend speaks our version. */
static bool doms_front_check_version(struct doms_front *front)
{
	char *version = doms_front_read(front->backend, DOMS_XS_VERSION);
	u32 number = 0;
	bool ok;

	if (version && kstrtou32(version, 10, &number))
		number = 0;
	ok = version && number == DOMS_XENBUS_VERSION;
	if (!ok && !front->version_told)
		doms_front_log(front, KERN_ERR,
			       "the switch speaks version %u, this driver %u: update %s\n",
			       number, DOMS_XENBUS_VERSION,
			       number > DOMS_XENBUS_VERSION ?
			       "this guest's doms_front" : "the switch");
	front->version_told = !ok;
	kfree(version);
	return ok;
}

/* Reads what the backend offers.  Returns false if it is nonsense. */
static bool doms_front_read_geometry(struct doms_front *front,
				     struct doms_geometry *g, u64 *features)
{
	const char *dir = front->backend;
	u32 max_queues, yes;

	if (!doms_front_read_uint(dir, DOMS_XS_MAX_QUEUES, 1, U32_MAX,
				  &max_queues) ||
	    !doms_front_read_uint(dir, DOMS_XS_ARENA, DOMS_ARENA_MIN,
				  DOMS_ARENA_MAX, &g->arena_size))
		return false;
	front->max_queues = min(max_queues, DOMS_MAX_QUEUES);
	g->n_queues = READ_ONCE(front->queues_wanted);
	if (!g->n_queues)
		g->n_queues = doms_front_default_queues();
	g->n_queues = clamp(g->n_queues, 1u, front->max_queues);

	*features = 0;
	if (doms_front_read_uint(dir, DOMS_XS_FEATURE_CSUM, 1, 1, &yes))
		*features |= DOMS_F_CSUM;
	if (doms_front_read_uint(dir, DOMS_XS_FEATURE_TSO, 1, 1, &yes))
		*features |= DOMS_F_TSO;
	return doms_geometry_is_valid(g);
}

/* Makes a channel, of fewer queues if there are too few grants. */
static int doms_front_make_channel(struct doms_front *front,
				   struct doms_geometry *g, u64 features)
{
	u32 wanted = g->n_queues;
	int err;

	for (;;) {
		err = doms_front_channel_create(front, g, features,
						&front->channel);
		if (err != -ENOSPC || g->n_queues == 1)
			break;
		g->n_queues /= 2;
	}
	if (err == -ENOSPC)
		doms_front_log(front, KERN_ERR,
			       "no more grants for a channel: raise this guest's max_grant_frames, or gnttab_max_frames= on Xen's command line\n");
	else if (err)
		doms_front_log(front, KERN_ERR,
			       "cannot make a channel: error %d\n", err);
	else if (g->n_queues != wanted)
		doms_front_log(front, KERN_WARNING,
			       "grants for %u of %u queues only: raise this guest's max_grant_frames, or gnttab_max_frames= on Xen's command line\n",
			       g->n_queues, wanted);
	return err;
}

/* Reads what the switch wants of the interface. */
static void doms_front_read_config(struct doms_front *front,
				   struct doms_front_config *config)
{
	u32 link = 0;

	*config = front->config;
	doms_front_read_mac(front->backend, config->mac);
	doms_front_read_uint(front->backend, DOMS_XS_MTU, ETH_MIN_MTU,
			     DOMS_FRONT_MTU_MAX, &config->mtu);
	doms_front_read_uint(front->backend, DOMS_XS_LINK, 0, 1, &link);
	config->link = link;
}

/* The backend waits: grants it a channel. */
static void doms_front_offer(struct doms_front *front)
{
	struct doms_front_config config;
	struct doms_geometry g;
	u64 features;
	int err;

	if (!doms_front_is_due(front->offer_after) ||
	    atomic_read(&front->quarantined) > QUARANTINE_MAX)
		return;
	front->offer_after = jiffies + OFFER_INTERVAL;
	if (!doms_front_check_version(front))
		return;
	if (!doms_front_read_geometry(front, &g, &features)) {
		doms_front_log(front, KERN_ERR,
			       "the switch's offer in %s makes no sense\n",
			       front->backend);
		return;
	}
	doms_front_read_config(front, &config);
	doms_front_apply(front, &config);

	err = doms_front_make_channel(front, &g, features);
	if (!err)
		err = doms_front_write_offer(front, front->channel);
	front->refusal_told = false;
	if (!err) {
		front->state = DOMS_FRONT_OFFERED;
		return;
	}
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, true);
	/* The next look is not before a pause. */
	front->pause_ms = clamp(front->pause_ms * 2, PAUSE_MIN, PAUSE_MAX);
	front->offer_after = jiffies + msecs_to_jiffies(front->pause_ms);
}

/* Carrier and link, once connected. */
static void doms_front_set_link(struct doms_front *front)
{
	if (front->config.link && !netif_carrier_ok(front->netdev))
		front->notify_left = NOTIFY_LOOKS;
	doms_front_carrier(front, front->config.link);
}

static void doms_front_configure(struct doms_front *front)
{
	struct doms_front_config config;

	doms_front_read_config(front, &config);
	doms_front_apply(front, &config);
	doms_front_set_link(front);
}

/* The backend has mapped what was offered. */
static void doms_front_connect(struct doms_front *front)
{
	const char *wrong = doms_front_channel_check_peer(front->channel);
	int err = 0;

	if (!wrong)
		err = doms_front_go_up(front, front->channel);
	if (wrong || err) {
		if (wrong)
			doms_front_log(front, KERN_ERR,
				       "the switch's health page is not what was agreed on: %s\n",
				       wrong);
		else
			doms_front_log(front, KERN_ERR,
				       "cannot start the queues: error %d\n",
				       err);
		doms_front_close(front, DOMS_STATE_BROKEN);
		return;
	}
	doms_front_channel_revoke_directory(front->channel);
	doms_front_write_state(front, XenbusStateConnected);
	front->state = DOMS_FRONT_CONNECTED;
	front->connects++;
	front->connected_at = jiffies;
	if (front->holding)
		front->notify_left = NOTIFY_LOOKS;
	front->holding = false;
	doms_front_configure(front);
	doms_front_log(front, KERN_INFO,
		       "connected to domain %u: %u queues, arena %u KiB%s%s\n",
		       front->domid, front->channel->geometry.n_queues,
		       front->channel->geometry.arena_size / 1024,
		       front->features & DOMS_F_CSUM ? ", csum" : "",
		       front->features & DOMS_F_TSO ? ", tso" : "");
}

/* Moves, by state. */

static bool doms_front_is_fresh(const struct doms_front_view *v)
{
	return v->backend == XenbusStateInitialising ||
	       v->backend == XenbusStateInitWait;
}

static bool doms_front_is_ending(const struct doms_front_view *v)
{
	return v->backend == XenbusStateClosing ||
	       v->backend == XenbusStateClosed;
}

static void doms_front_in_init(struct doms_front *front,
			       const struct doms_front_view *v)
{
	if (v->own != XenbusStateInitialising)
		doms_front_write_state(front, XenbusStateInitialising);
	clear_bit(DOMS_FRONT_REJOIN, &front->flags);
	if (!v->online)
		doms_front_detach(front);
	else if (v->backend == XenbusStateInitWait)
		doms_front_offer(front);
}

static void doms_front_in_offered(struct doms_front *front,
				  const struct doms_front_view *v)
{
	/* A backend in state 2 has not yet seen what was offered; one that was
	 * started anew goes through 1, and stays there until we are there too.
	 */
	if (v->backend == XenbusStateUnknown ||
	    v->backend == XenbusStateInitialising)
		doms_front_lose(front, "the switch has gone");
	else if (doms_front_is_ending(v))
		doms_front_refused(front);
	else if (v->backend == XenbusStateConnected)
		doms_front_connect(front);
}

static void doms_front_in_connected(struct doms_front *front,
				    const struct doms_front_view *v)
{
	if (v->backend == XenbusStateUnknown) {
		doms_front_lose(front, "the switch has gone");
	} else if (doms_front_is_fresh(v)) {
		doms_front_lose(front, "the switch was started anew");
	} else if (doms_front_is_ending(v)) {
		doms_front_refused(front);
	} else if (test_bit(DOMS_FRONT_BROKEN, &front->flags)) {
		doms_front_tell_broken(front);
		doms_front_close(front, DOMS_STATE_BROKEN);
	} else if (test_and_clear_bit(DOMS_FRONT_REJOIN, &front->flags)) {
		doms_front_close(front, DOMS_STATE_CLOSED);
	} else {
		doms_front_configure(front);
	}
}

static void doms_front_in_paused(struct doms_front *front,
				 const struct doms_front_view *v)
{
	if (!v->online)
		doms_front_detach(front);
	else if (v->backend == XenbusStateUnknown || doms_front_is_fresh(v) ||
		 doms_front_is_due(front->deadline))
		front->state = DOMS_FRONT_INIT;
}

static void doms_front_in_closing(struct doms_front *front,
				  const struct doms_front_view *v)
{
	if (v->backend != XenbusStateClosed && !doms_front_is_fresh(v) &&
	    v->backend != XenbusStateUnknown &&
	    !doms_front_is_due(front->deadline))
		return;
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, false);
	doms_front_write_state(front, XenbusStateClosed);
	if (front->was_broken)
		doms_front_pause(front);
	else
		doms_front_set_deadline(front, 0);
	front->state = DOMS_FRONT_CLOSED;
}

static void doms_front_in_closed(struct doms_front *front,
				 const struct doms_front_view *v)
{
	if (!v->online)
		doms_front_detach(front);
	else if (doms_front_is_due(front->deadline))
		front->state = DOMS_FRONT_INIT;
}

static void doms_front_in_detached(struct doms_front *front,
				   const struct doms_front_view *v)
{
	if (!v->online || !doms_front_is_fresh(v))
		return;
	if (!doms_front_netdev_create(front))
		front->state = DOMS_FRONT_INIT;
}

static void doms_front_move(struct doms_front *front,
			    const struct doms_front_view *v)
{
	static void (*const moves[])(struct doms_front *front,
				     const struct doms_front_view *v) = {
		[DOMS_FRONT_INIT] = doms_front_in_init,
		[DOMS_FRONT_OFFERED] = doms_front_in_offered,
		[DOMS_FRONT_CONNECTED] = doms_front_in_connected,
		[DOMS_FRONT_PAUSED] = doms_front_in_paused,
		[DOMS_FRONT_CLOSING] = doms_front_in_closing,
		[DOMS_FRONT_CLOSED] = doms_front_in_closed,
		[DOMS_FRONT_DETACHED] = doms_front_in_detached,
	};

	moves[front->state](front, v);
}

/* Looking. */

/* Follows the backend to where the front's directory says that it is. */
static void doms_front_follow(struct doms_front *front)
{
	const char *dir = front->xdev->nodename;
	char *backend = doms_front_read(dir, "backend");
	u32 domid = 0;

	if (backend && (strlen(backend) >= DOMS_FRONT_PATH_MAX ||
			!doms_front_read_uint(dir, "backend-id", 0,
					      DOMID_FIRST_RESERVED - 1,
					      &domid))) {
		kfree(backend);
		backend = NULL;
	}
	if (backend && front->backend && !strcmp(backend, front->backend) &&
	    domid == front->domid && front->backend_watch) {
		kfree(backend);
		return;
	}
	if (!backend && !front->backend)
		return;

	if (front->channel)
		doms_front_lose(front, backend ? "the switch has moved" :
						 "the switch has gone");
	doms_front_unwatch(front->backend_watch);
	front->backend_watch = NULL;
	kfree(front->backend);
	front->backend = backend;
	front->domid = domid;
	front->pause_ms = 0;
	front->version_told = false;
	if (backend)
		front->backend_watch = doms_front_watch(front, backend);
}

static void doms_front_look(struct doms_front *front,
			    struct doms_front_view *v)
{
	u32 online = 1;

	v->own = doms_front_read_state(front->xdev->nodename);
	v->exists = v->own != XenbusStateUnknown;
	v->backend = XenbusStateUnknown;
	if (front->backend) {
		v->backend = doms_front_read_state(front->backend);
		doms_front_read_uint(front->backend, "online", 0, 1, &online);
	}
	v->online = online;
}

/* Tells the neighbours where this interface is now, once it can send. */
static void doms_front_notify(struct doms_front *front)
{
	struct net_device *netdev = front->netdev;

	if (!front->notify_left || !netdev)
		return;
	front->notify_left--;
	if (front->notify_left && qdisc_tx_is_noop(netdev))
		return;
	front->notify_left = 0;
	if (netif_running(netdev))
		netdev_notify_peers(netdev);
}

/* Has reconcile look again when the first of the timers is due. */
static void doms_front_schedule(struct doms_front *front)
{
	unsigned long now = jiffies;
	unsigned long wait = MAX_JIFFY_OFFSET;

#define UNTIL(WHEN) \
	min(wait, time_after((WHEN), now) ? (WHEN) - now : 1UL)
	if (front->state == DOMS_FRONT_PAUSED ||
	    front->state == DOMS_FRONT_CLOSING ||
	    front->state == DOMS_FRONT_CLOSED)
		wait = UNTIL(front->deadline);
	if (front->state == DOMS_FRONT_INIT &&
	    time_after(front->offer_after, now))
		wait = UNTIL(front->offer_after);
	if (front->holding)
		wait = UNTIL(front->hold_until);
	if (front->notify_left)
		wait = min(wait, (unsigned long)NOTIFY_PAUSE);
#undef UNTIL
	if (wait != MAX_JIFFY_OFFSET)
		queue_delayed_work(doms_front_wq, &front->reconcile, wait);
}

/* The work item that all changes of state are made by. */
void doms_front_reconcile(struct work_struct *work)
{
	struct doms_front *front =
		container_of(work, struct doms_front, reconcile.work);
	enum doms_front_state before;
	struct doms_front_view v;
	unsigned int moves = 0;

	if (test_bit(DOMS_FRONT_IDLE, &front->flags))
		return;
	if (front->xdev) {
		if (test_and_clear_bit(DOMS_FRONT_RESTORED, &front->flags)) {
			front->xdev->state = XenbusStateClosed;
			if (front->state != DOMS_FRONT_DETACHED)
				doms_front_lose(front, "the guest was resumed");
		}
		doms_front_follow(front);
		do {
			doms_front_look(front, &v);
			before = front->state;
			if (!v.exists && before != DOMS_FRONT_DETACHED) {
				if (before != DOMS_FRONT_INIT)
					doms_front_lose(front,
							"the device has gone");
				break;
			}
			doms_front_move(front, &v);
		} while (front->state != before && ++moves < 4);
	}
	if (front->holding && doms_front_is_due(front->hold_until)) {
		front->holding = false;
		doms_front_carrier(front, false);
	}
	doms_front_notify(front);
	doms_front_schedule(front);
}

/* Ends. */

/* Has reconcile do nothing until DOMS_FRONT_IDLE is cleared, whoever kicks it.
 * Until then the caller owns the front.
 */
void doms_front_still(struct doms_front *front)
{
	set_bit(DOMS_FRONT_IDLE, &front->flags);
	cancel_delayed_work_sync(&front->reconcile);
}

static void doms_front_unfollow(struct doms_front *front)
{
	doms_front_unwatch(front->own_watch);
	doms_front_unwatch(front->backend_watch);
	front->own_watch = NULL;
	front->backend_watch = NULL;
	doms_front_still(front);
}

/**
 * doms_front_leave() - leave the switch in good order, within five seconds
 * @front: its directory is there; it does nothing any more afterwards
 */
void doms_front_leave(struct doms_front *front)
{
	struct doms_front_view v;

	doms_front_unfollow(front);
	doms_front_carrier(front, false);
	doms_front_go_down(front, DOMS_STATE_CLOSED);
	doms_front_netdev_destroy(front);
	if (front->channel) {
		doms_front_close(front, DOMS_STATE_CLOSED);
		for (;;) {
			doms_front_look(front, &v);
			doms_front_in_closing(front, &v);
			if (front->state != DOMS_FRONT_CLOSING)
				break;
			msleep(CLOSE_LOOK_MS);
		}
	} else {
		doms_front_write_state(front, XenbusStateClosed);
	}
	kfree(front->backend);
	front->backend = NULL;
}

/**
 * doms_front_vanish() - the front's directory has gone
 * @front: keeps its interface, and does nothing until it gets a device again
 */
void doms_front_vanish(struct doms_front *front)
{
	doms_front_unfollow(front);
	front->pause_ms = 0;
	if (front->state != DOMS_FRONT_DETACHED)
		doms_front_lose(front, "the device has gone");
	kfree(front->backend);
	front->backend = NULL;
	front->xdev = NULL;
	/* What the carrier's hold needs. */
	clear_bit(DOMS_FRONT_IDLE, &front->flags);
	doms_front_kick(front);
}
