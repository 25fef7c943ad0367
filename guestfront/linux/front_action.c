// SPDX-License-Identifier: GPL-2.0
/*
 * What a front does about its channel and its interface: offers one, connects,
 * closes, gives it up, pauses.  Each act ends with the state that it leads to;
 * front_state.c alone decides which one it is time for.
 *
 * All of this belongs to who owns the front's state: reconcile, or who has
 * stilled it.
 */
#include <linux/ctype.h>
#include <linux/etherdevice.h>
#include <linux/jiffies.h>
#include <linux/net.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

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
/* Peers are told of the interface once it can send: looks whether it can. */
#define NOTIFY_LOOKS 50
/* More channels than this in the quarantine, and no other is made. */
#define QUARANTINE_MAX 1
/* Characters of the switch's own words in the log. */
#define WORDS_MAX 160

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

/* Returns the next pause, which is longer than the last, in jiffies. */
static unsigned long doms_front_next_pause(struct doms_front *front)
{
	front->pause_ms = clamp(front->pause_ms * 2, PAUSE_MIN, PAUSE_MAX);
	return msecs_to_jiffies(front->pause_ms);
}

static void doms_front_pause(struct doms_front *front)
{
	doms_front_set_deadline(front, doms_front_next_pause(front));
}

/* Channels. */

/* Ends the hold, if there is one: nothing waits for the switch any more. */
void doms_front_end_hold(struct doms_front *front)
{
	front->holding = false;
	rtnl_lock();
	doms_front_forget(front);
	rtnl_unlock();
	doms_front_carrier(front, false);
}

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
		doms_front_end_hold(front);
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
void doms_front_lose(struct doms_front *front, const char *why)
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

/* The operator has taken the port away. */
void doms_front_detach(struct doms_front *front)
{
	doms_front_log(front, KERN_INFO, "detached by the operator\n");
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, false);
	doms_front_netdev_destroy(front);
	doms_front_write_state(front, XenbusStateClosed);
	front->state = DOMS_FRONT_DETACHED;
}

/* The backend is closing or closed by its own will: tries again later. */
void doms_front_refused(struct doms_front *front)
{
	doms_front_tell_refusal(front);
	if (front->state == DOMS_FRONT_CONNECTED &&
	    doms_front_is_due(front->connected_at + PAUSE_FORGET))
		front->pause_ms = 0;
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, false);
	doms_front_pause(front);
	front->state = DOMS_FRONT_PAUSED;
}

/* Begins to leave.  'health' says why. */
void doms_front_close(struct doms_front *front, u32 health)
{
	doms_front_end_hold(front);
	doms_front_go_down(front, health);
	doms_front_write_state(front, XenbusStateClosing);
	front->was_broken = health == DOMS_STATE_BROKEN;
	doms_front_set_deadline(front, CLOSE_PATIENCE);
	front->state = DOMS_FRONT_CLOSING;
}

/* Has left, or has waited long enough: gives the channel up. */
void doms_front_closed(struct doms_front *front)
{
	doms_front_drop_channel(front, DOMS_STATE_CLOSED, false);
	doms_front_write_state(front, XenbusStateClosed);
	if (front->was_broken)
		doms_front_pause(front);
	else
		doms_front_set_deadline(front, 0);
	front->state = DOMS_FRONT_CLOSED;
}

/* The switch broke a rule of the ring: leaves. */
void doms_front_leave_broken(struct doms_front *front)
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
	doms_front_close(front, DOMS_STATE_BROKEN);
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

/* Logs that a channel has got 'n' queues, or none, since there was too little
 * of what 'err' is about.
 */
static void doms_front_tell_shortage(struct doms_front *front, int err, u32 n,
				     u32 wanted)
{
	const char *remedy = err == -ENOSPC ?
		"raise this guest's max_grant_frames, or gnttab_max_frames= on Xen's command line" :
		"give this guest more memory, or its port a smaller arena";

	if (n)
		doms_front_log(front, KERN_WARNING,
			       "%s for %u of %u queues only: %s\n",
			       err == -ENOSPC ? "grants" : "memory", n, wanted,
			       remedy);
	else
		doms_front_log(front, KERN_ERR, "no more %s for a channel: %s\n",
			       err == -ENOSPC ? "grants" : "memory", remedy);
}

/* Makes a channel, of fewer queues if there are too few grants, or too little
 * memory.
 */
static int doms_front_make_channel(struct doms_front *front,
				   struct doms_geometry *g, u64 features)
{
	u32 wanted = g->n_queues;
	int err, shortage = 0;

	for (;;) {
		err = doms_front_channel_create(front, g, features,
						&front->channel);
		if (err)
			shortage = err;
		if ((err != -ENOSPC && err != -ENOMEM) || g->n_queues == 1)
			break;
		g->n_queues /= 2;
	}
	if (err && err != -ENOSPC && err != -ENOMEM)
		doms_front_log(front, KERN_ERR,
			       "cannot make a channel: error %d\n", err);
	else if (shortage)
		doms_front_tell_shortage(front, shortage,
					 err ? 0 : g->n_queues, wanted);
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
void doms_front_offer(struct doms_front *front)
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
	front->offer_after = jiffies + doms_front_next_pause(front);
}

/* Carrier and link, once connected. */
static void doms_front_set_link(struct doms_front *front)
{
	if (front->config.link && !netif_carrier_ok(front->netdev))
		front->notify_left = NOTIFY_LOOKS;
	doms_front_carrier(front, front->config.link);
}

/* Makes the interface what the switch wants it to be by now. */
void doms_front_configure(struct doms_front *front)
{
	struct doms_front_config config;

	doms_front_read_config(front, &config);
	doms_front_apply(front, &config);
	doms_front_set_link(front);
}

/* The backend has mapped what was offered. */
void doms_front_connect(struct doms_front *front)
{
	const char *wrong = doms_front_channel_check_peer(front->channel);
	int err = 0;

	if (!wrong)
		err = doms_front_go_up(front, front->channel);
	if (wrong || err) {
		if (wrong) {
			front->broken++;
			doms_front_log(front, KERN_ERR,
				       "the switch's health page is not what was agreed on: %s\n",
				       wrong);
		} else {
			doms_front_log(front, KERN_ERR,
				       "cannot start the queues: error %d\n",
				       err);
		}
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
