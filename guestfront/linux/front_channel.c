// SPDX-License-Identifier: GPL-2.0
/*
 * The pages of a channel: they are allocated one by one, zeroed, used for
 * nothing else, and granted to DomS.
 *
 * A page is given back to the kernel only once the hypervisor says that its
 * grant is no longer in use.  A channel with pages of which that is not true
 * yet is put into the quarantine, which is looked through again and again.
 * A front may have one channel there and go on; see doms_front_offer().
 *
 * The switch says how large an arena is, and may keep what it has mapped.  So
 * all fronts together take no more than a share of the guest's grants, which
 * other drivers need too, and of its memory.
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <xen/page.h>

#include "front.h"
#include "front_compat.h"

static_assert(PAGE_SIZE == DOMS_PAGE_SIZE);

/* Milliseconds between two looks at the quarantine. */
#define QUARANTINE_MS 100

/* All fronts' pages: 7 in 8 of the guest's grants, 1 in 4 of its pages. */
#define GRANTS_SHARE(N) ((N) - (N) / 8)
#define MEMORY_SHARE(N) ((N) / 4)
#define GRANTS_PER_FRAME (PAGE_SIZE / sizeof(struct grant_entry_v1))

static void doms_front_quarantine_look(struct work_struct *work);

static LIST_HEAD(quarantine);
static DEFINE_MUTEX(quarantine_lock);
static DECLARE_DELAYED_WORK(quarantine_work, doms_front_quarantine_look);

/* Pages that all channels have, those in the quarantine too. */
static atomic_t pages_taken;

/* Takes 'n' pages out of all fronts' share.  Returns 0, -ENOSPC if that would
 * be too many grants, or -ENOMEM if too much memory.
 */
static int doms_front_take_pages(u32 n)
{
	unsigned long taken = atomic_add_return(n, &pages_taken);
	unsigned long grants = gnttab_max_grant_frames() * GRANTS_PER_FRAME;
	int err = 0;

	if (taken > GRANTS_SHARE(grants))
		err = -ENOSPC;
	else if (taken > MEMORY_SHARE(totalram_pages()))
		err = -ENOMEM;
	if (err)
		atomic_sub(n, &pages_taken);
	return err;
}

static void doms_front_channel_unmap(struct doms_front_channel *c)
{
	vunmap(c->own);
	vunmap(c->peer);
	kvfree(c->ends);
	c->own = NULL;
	c->peer = NULL;
	c->ends = NULL;
}

static void doms_front_channel_free(struct doms_front_channel *c)
{
	atomic_sub(c->n_pages, &pages_taken);
	kvfree(c->pages);
	kfree(c);
}

/* Gives back each of 'n' pages whose grant is not in use.  Returns how many
 * are left.
 */
static u32 doms_front_revoke_pages(struct doms_front_page *pages, u32 n)
{
	u32 left = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		struct doms_front_page *p = &pages[i];

		if (!p->page)
			continue;
		if (p->ref && !gnttab_try_end_foreign_access(p->ref)) {
			left++;
			continue;
		}
		__free_page(p->page);
		p->page = NULL;
	}
	return left;
}

static int doms_front_grant_page(struct doms_front_channel *c,
				 struct doms_front_page *p, bool readonly)
{
	int ref;

	/* Rather no channel than that other programs are killed for it. */
	p->page = alloc_page(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN |
			     __GFP_RETRY_MAYFAIL);
	if (!p->page)
		return -ENOMEM;
	ref = gnttab_grant_foreign_access(c->domid, xen_page_to_gfn(p->page),
					  readonly);
	/* 0 is never a grant: the first entries are the toolstack's. */
	if (ref <= 0)
		return ref ? ref : -ENOSPC;
	p->ref = ref;
	return 0;
}

static int doms_front_grant_pages(struct doms_front_channel *c)
{
	u32 i;

	for (i = 0; i < c->n_pages; i++) {
		bool peers = i >= c->n_group && i < c->n_refs;
		int err = doms_front_grant_page(c, &c->pages[i], !peers);

		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/* Maps 'n' pages from number 'first' on, one after the other. */
static void *doms_front_map_pages(struct doms_front_channel *c, u32 first,
				  u32 n)
{
	struct page **pages = kvmalloc_array(n, sizeof(*pages), GFP_KERNEL);
	void *map;
	u32 i;

	if (!pages)
		return NULL;
	for (i = 0; i < n; i++)
		pages[i] = c->pages[first + i].page;
	map = vmap(pages, n, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return map;
}

/* Fills in the directory pages, from the last one on. */
static void doms_front_write_directory(struct doms_front_channel *c)
{
	u32 i, n = c->n_pages - c->n_refs;
	grant_ref_t next = 0;

	for (i = n; i-- > 0;) {
		struct doms_front_page *p = &c->pages[c->n_refs + i];
		struct doms_directory *d = page_address(p->page);
		u32 first = i * DOMS_DIRECTORY_REFS;
		u32 j;

		d->magic = DOMS_ABI_MAGIC;
		d->epoch = c->epoch;
		d->n_refs = min(c->n_refs - first, DOMS_DIRECTORY_REFS);
		d->next = next;
		for (j = 0; j < d->n_refs; j++)
			d->refs[j] = c->pages[first + j].ref;
		next = p->ref;
	}
}

static int doms_front_channel_fill(struct doms_front_channel *c)
{
	u32 n_ends = c->geometry.n_queues *
		     doms_ring_n_lengths(c->geometry.arena_size);
	int err;

	c->pages = kvcalloc(c->n_pages, sizeof(*c->pages), GFP_KERNEL);
	c->ends = kvcalloc(n_ends, sizeof(*c->ends), GFP_KERNEL);
	if (!c->pages || !c->ends)
		return -ENOMEM;
	err = doms_front_grant_pages(c);
	if (err)
		return err;
	c->own = doms_front_map_pages(c, 0, c->n_group);
	c->peer = doms_front_map_pages(c, c->n_group, c->n_group);
	if (!c->own || !c->peer)
		return -ENOMEM;
	doms_health_init(c->own, &c->geometry, c->epoch);
	doms_front_write_directory(c);
	return 0;
}

/**
 * doms_front_channel_create() - allocate and grant the pages of a channel
 * @front: to whose backend they are granted
 * @geometry: valid
 * @features: DOMS_F_* in force
 * @channelp: where to put the channel
 *
 * Return: 0, -ENOMEM if there is too little memory, or -ENOSPC if there are
 * too few grants.
 */
int doms_front_channel_create(struct doms_front *front,
			      const struct doms_geometry *geometry,
			      u64 features,
			      struct doms_front_channel **channelp)
{
	struct doms_front_channel *c = kzalloc(sizeof(*c), GFP_KERNEL);
	int err;

	if (!c)
		return -ENOMEM;
	c->geometry = *geometry;
	c->features = features;
	c->domid = front->domid;
	do {
		get_random_bytes(&c->epoch, sizeof(c->epoch));
	} while (!c->epoch);
	c->n_group = doms_group_size(geometry) / DOMS_PAGE_SIZE;
	c->n_refs = doms_xenbus_n_refs(geometry);
	c->n_pages = c->n_refs + doms_xenbus_n_directory_pages(c->n_refs);

	err = doms_front_take_pages(c->n_pages);
	if (err) {
		kfree(c);
		return err;
	}
	err = doms_front_channel_fill(c);
	if (err) {
		doms_front_channel_release(front, c);
		return err;
	}
	*channelp = c;
	return 0;
}

/* Returns what DOMS_XS_REFERENCE shall say. */
grant_ref_t doms_front_channel_reference(const struct doms_front_channel *c)
{
	return c->pages[c->n_refs].ref;
}

/* Takes the directory back, which the switch has read.  What it still maps
 * goes with the channel.
 */
void doms_front_channel_revoke_directory(struct doms_front_channel *c)
{
	doms_front_revoke_pages(&c->pages[c->n_refs], c->n_pages - c->n_refs);
}

/**
 * doms_front_channel_check_peer() - look at what the switch says of itself
 * @c: the channel
 *
 * Return: NULL if it is what was agreed on, else what is wrong.
 */
const char *
doms_front_channel_check_peer(const struct doms_front_channel *c)
{
	const struct doms_health *peer = c->peer;

	if (DOMS_LOAD_ACQUIRE(&peer->magic) != DOMS_ABI_MAGIC)
		return "no magic";
	if (DOMS_READ_ONCE(peer->version) != DOMS_ABI_VERSION)
		return "another version";
	if (DOMS_READ_ONCE(peer->n_queues) != c->geometry.n_queues)
		return "another number of queues";
	if (DOMS_READ_ONCE(peer->arena_size) != c->geometry.arena_size ||
	    DOMS_READ_ONCE(peer->n_lengths) !=
	    doms_ring_n_lengths(c->geometry.arena_size))
		return "another arena";
	return NULL;
}

/**
 * doms_front_channel_release() - take all pages back, now or later
 * @front: whose channel it is
 * @c: the channel, which nobody uses any more
 */
void doms_front_channel_release(struct doms_front *front,
				struct doms_front_channel *c)
{
	doms_front_channel_unmap(c);
	if (!c->pages || !doms_front_revoke_pages(c->pages, c->n_pages)) {
		doms_front_channel_free(c);
		return;
	}
	atomic_inc(&front->quarantined);
	mutex_lock(&quarantine_lock);
	c->owner = front;
	list_add_tail(&c->node, &quarantine);
	mutex_unlock(&quarantine_lock);
	queue_delayed_work(doms_front_wq, &quarantine_work,
			   msecs_to_jiffies(QUARANTINE_MS));
}

static void doms_front_quarantine_look(struct work_struct *work)
{
	struct doms_front_channel *c, *next;
	bool empty;

	mutex_lock(&quarantine_lock);
	list_for_each_entry_safe(c, next, &quarantine, node) {
		if (doms_front_revoke_pages(c->pages, c->n_pages))
			continue;
		list_del(&c->node);
		if (c->owner) {
			atomic_dec(&c->owner->quarantined);
			doms_front_kick(c->owner);
		}
		doms_front_channel_free(c);
	}
	empty = list_empty(&quarantine);
	mutex_unlock(&quarantine_lock);
	if (!empty)
		queue_delayed_work(doms_front_wq, &quarantine_work,
				   msecs_to_jiffies(QUARANTINE_MS));
}

/* Forgets who owned what is in the quarantine, since 'front' goes away. */
void doms_front_quarantine_disown(struct doms_front *front)
{
	struct doms_front_channel *c;

	mutex_lock(&quarantine_lock);
	list_for_each_entry(c, &quarantine, node)
		if (c->owner == front)
			c->owner = NULL;
	mutex_unlock(&quarantine_lock);
}

/* Leaves a page to the kernel, which frees it once its grant is not in use. */
static void doms_front_defer_page(struct doms_front_page *p)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 0)
	gnttab_end_foreign_access(p->ref, p->page);
#else
	pr_warn("a page that DomS still maps is lost\n");
#endif
}

/* The module goes away. */
void doms_front_quarantine_exit(void)
{
	struct doms_front_channel *c, *next;
	u32 i;

	cancel_delayed_work_sync(&quarantine_work);
	list_for_each_entry_safe(c, next, &quarantine, node) {
		if (doms_front_revoke_pages(c->pages, c->n_pages))
			for (i = 0; i < c->n_pages; i++)
				if (c->pages[i].page)
					doms_front_defer_page(&c->pages[i]);
		doms_front_channel_free(c);
	}
}
