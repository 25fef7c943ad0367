// SPDX-License-Identifier: GPL-2.0
/*
 * Xenstore: watches that call for a look, and keys that are read with bounds.
 *
 * A watch cannot be taken back in the middle of a reconcile: that waits for
 * the thread that calls watches, which may be waiting for the reconcile.  So
 * a watch is disowned at once, and taken back by a work item of its own.
 */
#include <linux/etherdevice.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "front.h"

struct doms_front_watch {
	struct xenbus_watch watch;
	struct doms_front *front;	/* NULL once disowned. */
	struct work_struct reaper;
	char node[];
};

static DEFINE_SPINLOCK(watch_lock);
static struct workqueue_struct *reaper_wq;

/* How often a transaction is tried. */
#define MAX_TRIES 20

int doms_front_xs_init(void)
{
	reaper_wq = alloc_workqueue(DOMS_FRONT_NAME "_xs", WQ_FREEZABLE, 0);
	return reaper_wq ? 0 : -ENOMEM;
}

/* Waits until every disowned watch has been taken back. */
void doms_front_xs_exit(void)
{
	destroy_workqueue(reaper_wq);
}

static void doms_front_watch_fired(struct xenbus_watch *watch,
				   const char *path, const char *token)
{
	struct doms_front_watch *w =
		container_of(watch, struct doms_front_watch, watch);

	spin_lock(&watch_lock);
	if (w->front)
		doms_front_kick(w->front);
	spin_unlock(&watch_lock);
}

static void doms_front_watch_reap(struct work_struct *work)
{
	struct doms_front_watch *w =
		container_of(work, struct doms_front_watch, reaper);

	unregister_xenbus_watch(&w->watch);
	kfree(w);
}

/**
 * doms_front_watch() - have 'front' look whenever something changes
 * @front: the front
 * @node: what to watch, with all below it; may not exist
 *
 * Return: the watch, or NULL.
 */
struct doms_front_watch *doms_front_watch(struct doms_front *front,
					  const char *node)
{
	struct doms_front_watch *w;
	size_t size = strlen(node) + 1;
	int err;

	w = kzalloc(sizeof(*w) + size, GFP_KERNEL);
	if (!w)
		return NULL;
	memcpy(w->node, node, size);
	w->watch.node = w->node;
	w->watch.callback = doms_front_watch_fired;
	w->front = front;
	INIT_WORK(&w->reaper, doms_front_watch_reap);
	err = register_xenbus_watch(&w->watch);
	if (err) {
		pr_err("cannot watch %s: error %d\n", node, err);
		kfree(w);
		return NULL;
	}
	return w;
}

/* Ends a watch.  Does nothing for NULL. */
void doms_front_unwatch(struct doms_front_watch *w)
{
	if (!w)
		return;
	spin_lock(&watch_lock);
	w->front = NULL;
	spin_unlock(&watch_lock);
	queue_work(reaper_wq, &w->reaper);
}

/* Returns the value of 'key' in 'dir', for kfree(), or NULL if it is not
 * there or is empty.
 */
char *doms_front_read(const char *dir, const char *key)
{
	char *value = xenbus_read(XBT_NIL, dir, key, NULL);

	if (IS_ERR(value))
		return NULL;
	if (!*value) {
		kfree(value);
		return NULL;
	}
	return value;
}

/* Reads a decimal number from 'min' to 'max'.  Returns false, and leaves
 * '*value' alone, if there is none.
 */
bool doms_front_read_uint(const char *dir, const char *key, u32 min, u32 max,
			  u32 *value)
{
	char *text = doms_front_read(dir, key);
	u32 number;
	bool ok;

	if (!text)
		return false;
	ok = !kstrtou32(text, 10, &number) && number >= min && number <= max;
	kfree(text);
	if (ok)
		*value = number;
	return ok;
}

/* Reads a unicast address from key "mac" of 'dir' to 'mac'.  Returns false,
 * and leaves 'mac' alone, if there is none.
 */
bool doms_front_read_mac(const char *dir, u8 *mac)
{
	char *text = doms_front_read(dir, DOMS_XS_MAC);
	u8 addr[ETH_ALEN];
	bool ok;

	if (!text)
		return false;
	ok = mac_pton(text, addr) && is_valid_ether_addr(addr);
	kfree(text);
	if (ok)
		ether_addr_copy(mac, addr);
	return ok;
}

/* Returns what "state" of 'dir' says, XenbusStateUnknown if nothing. */
enum xenbus_state doms_front_read_state(const char *dir)
{
	u32 state;

	if (!doms_front_read_uint(dir, "state", XenbusStateInitialising,
				  XenbusStateClosed, &state))
		return XenbusStateUnknown;
	return state;
}

/* Ends transaction 't'.  Returns true if it must be tried again. */
static bool doms_front_end(struct xenbus_transaction t, int *err,
			   unsigned int *tries)
{
	if (*err) {
		xenbus_transaction_end(t, 1);
		return false;
	}
	*err = xenbus_transaction_end(t, 0);
	return *err == -EAGAIN && ++*tries < MAX_TRIES;
}

/* A key of the front's directory, and what is to stand there. */
struct doms_front_key {
	const char *name;
	u32 value;
};

/* Writes the 'n' 'keys' all at once, unless the state's key has been removed:
 * returns -ENOENT then, or another negative errno, or 0.
 */
static int doms_front_write_keys(struct doms_front *front,
				 const struct doms_front_key *keys,
				 unsigned int n)
{
	const char *dir = front->xdev->nodename;
	struct xenbus_transaction t;
	unsigned int tries = 0;
	unsigned int i;
	int err;

	do {
		err = xenbus_transaction_start(&t);
		if (err)
			return err;
		if (xenbus_exists(t, dir, "state") <= 0)
			err = -ENOENT;
		for (i = 0; !err && i < n; i++)
			err = xenbus_printf(t, dir, keys[i].name, "%u",
					    keys[i].value);
	} while (doms_front_end(t, &err, &tries));
	return err;
}

/**
 * doms_front_write_state() - tell the backend our state
 * @front: the front
 * @state: the state
 *
 * Does not make the key anew if it has been removed.
 *
 * Return: 0 or a negative errno; -ENOENT if the directory has gone.
 */
int doms_front_write_state(struct doms_front *front, enum xenbus_state state)
{
	const struct doms_front_key key = { "state", state };

	return doms_front_write_keys(front, &key, 1);
}

/* Tells the backend all that it needs of 'c', and state 3. */
int doms_front_write_offer(struct doms_front *front,
			   const struct doms_front_channel *c)
{
	const struct doms_front_key keys[] = {
		{ DOMS_XS_VERSION, DOMS_XENBUS_VERSION },
		{ DOMS_XS_QUEUES, c->geometry.n_queues },
		{ DOMS_XS_ARENA, c->geometry.arena_size },
		{ DOMS_XS_EPOCH, c->epoch },
		{ DOMS_XS_REFERENCE, doms_front_channel_reference(c) },
		{ DOMS_XS_FEATURE_CSUM, !!(c->features & DOMS_F_CSUM) },
		{ DOMS_XS_FEATURE_TSO, !!(c->features & DOMS_F_TSO) },
		{ "state", XenbusStateInitialised },
	};

	return doms_front_write_keys(front, keys, ARRAY_SIZE(keys));
}
