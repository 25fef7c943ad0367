// SPDX-License-Identifier: GPL-2.0
/*
 * What a switch that has died had not taken yet: it is kept while the front
 * holds, and goes into the next channel's rings first.
 *
 * TCP has long counted these frames as sent.  Were they lost, it would wait
 * for its timer, which doubles with each try, and so stand still for longer
 * than the switch was away.
 *
 * The dead switch could only read the records, but it wrote 'tail': if that
 * broke a rule, nothing is kept.
 */
#include <linux/mm.h>

#include "front.h"

/* A record that is kept; the next one follows at a multiple of 8 bytes. */
struct doms_front_kept_record {
	u32 length;
	u32 flags;
	u8 data[];
};

/* The records of one queue. */
struct doms_front_kept {
	u64 features;	/* DOMS_F_* in force when they were made. */
	size_t size;	/* Bytes of 'records'. */
	u8 records[] __aligned(8);
};

static size_t doms_front_kept_size(u32 length)
{
	return ALIGN(sizeof(struct doms_front_kept_record) + length, 8);
}

/* Copies the records that have not been taken out of 'w' to 'to', or only
 * counts if that is NULL.  Returns their size.
 */
static size_t doms_front_copy_untaken(const struct doms_ring_writer *w, u8 *to)
{
	u32 pos = w->freed;
	size_t size = 0;
	u32 n;

	for (n = w->tail; n != w->head; n++) {
		u32 i = n & w->length_mask;
		u32 length = w->lengths[i] & DOMS_LENGTH_MASK;
		u32 start = doms_ring_place__(pos, length, w->arena_size);

		pos = start + doms_ring_align__(length);
		if (WARN_ON_ONCE(pos != w->ends[i]))
			break;
		if (to) {
			struct doms_front_kept_record *r = (void *)(to + size);

			r->length = length;
			r->flags = w->lengths[i] >> DOMS_LENGTH_FLAGS_SHIFT;
			memcpy(r->data,
			       w->arena + (start & (w->arena_size - 1)),
			       length);
		}
		size += doms_front_kept_size(length);
	}
	return size;
}

static void doms_front_keep_queue(struct doms_front_queue *q, u64 features)
{
	struct doms_ring_writer *w = &q->ring.tx;
	struct doms_front_kept *kept;
	size_t size;

	/* This learns how far the switch has come. */
	if (doms_ring_writer_is_drained(w) || w->broken)
		return;
	size = doms_front_copy_untaken(w, NULL);
	kept = kvmalloc(struct_size(kept, records, size),
			GFP_KERNEL | __GFP_NOWARN);
	if (!kept)
		return;
	kept->features = features;
	kept->size = doms_front_copy_untaken(w, kept->records);
	q->kept = kept;
}

/**
 * doms_front_keep() - keep what the switch has not taken
 * @front: has a live channel, which nobody uses any more.  RTNL.
 */
void doms_front_keep(struct doms_front *front)
{
	u32 i;

	doms_front_forget(front);
	for (i = 0; i < front->live->geometry.n_queues; i++)
		doms_front_keep_queue(&front->queues[i], front->features);
}

/* Forgets what has been kept. */
void doms_front_forget(struct doms_front *front)
{
	u32 i;

	for (i = 0; i < DOMS_MAX_QUEUES; i++) {
		kvfree(front->queues[i].kept);
		front->queues[i].kept = NULL;
	}
}

static void doms_front_resend_queue(struct doms_front_queue *q)
{
	const struct doms_front_kept *kept = q->kept;
	size_t ofs = 0;
	u32 n = 0;

	while (ofs < kept->size) {
		const struct doms_front_kept_record *r =
			(const void *)(kept->records + ofs);

		if (!doms_ring_write(&q->ring.tx, r->data, r->length,
				     r->flags))
			break;
		n++;
		ofs += doms_front_kept_size(r->length);
	}
	doms_ring_publish(&q->ring.tx);

	u64_stats_update_begin(&q->tx.sync);
	q->tx.resent += n;
	u64_stats_update_end(&q->tx.sync);
}

/**
 * doms_front_resend() - put what has been kept into a new channel's rings
 * @front: has a live channel, of whose transmit queues none is awake.  RTNL.
 *
 * What does not suit the channel is lost, as it is when the ring is full.
 */
void doms_front_resend(struct doms_front *front)
{
	u32 i;

	for (i = 0; i < front->live->geometry.n_queues; i++) {
		struct doms_front_queue *q = &front->queues[i];

		if (q->kept && !(q->kept->features & ~front->features))
			doms_front_resend_queue(q);
	}
	doms_front_forget(front);
}
