// SPDX-License-Identifier: GPL-2.0
/*
 * The front's states.  docs/protocol.md, "The xenbus door", has the table;
 * front_action.c does what the moves between them take.
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
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <net/sch_generic.h>

#include "front.h"

/* Pause between two looks at a closing backend. */
#define CLOSE_LOOK_MS 20
/* Pause between two looks at whether the interface can send. */
#define NOTIFY_PAUSE (HZ / 50 + 1)

/* What a look at xenstore has found. */
struct doms_front_view {
	bool exists;			/* The front's directory is there. */
	enum xenbus_state own;		/* What stands there. */
	enum xenbus_state backend;	/* XenbusStateUnknown: it is not. */
	bool online;
};

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

/* The backend is closing or closed, by the operator's will or its own. */
static void doms_front_backend_ends(struct doms_front *front,
				    const struct doms_front_view *v)
{
	if (v->online)
		doms_front_refused(front);
	else
		doms_front_detach(front);
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
		doms_front_backend_ends(front, v);
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
		doms_front_backend_ends(front, v);
	} else if (test_bit(DOMS_FRONT_BROKEN, &front->flags)) {
		doms_front_leave_broken(front);
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
	doms_front_closed(front);
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
	if (front->holding && doms_front_is_due(front->hold_until))
		doms_front_end_hold(front);
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
