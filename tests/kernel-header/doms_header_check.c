// SPDX-License-Identifier: GPL-2.0
/*
 * Shows that common/'s headers are kernel code: a module, to be built and not
 * to be loaded, that uses every macro and every function of them.
 */
#include <linux/module.h>

#include "common/channel.h"

static const struct doms_geometry geometry = {
	.n_queues = 1,
	.arena_size = DOMS_ARENA_DEFAULT,
};

static uint64_t features;

/* The writer's interface, as a front's transmit function uses it. */
int doms_header_check_send(struct doms_queue *q, const void *data, u32 length);
int doms_header_check_send(struct doms_queue *q, const void *data, u32 length)
{
	void *place = doms_ring_reserve(&q->tx, length);

	if (!place)
		return doms_ring_writer_is_drained(&q->tx) ? -EIO : -EBUSY;
	memcpy(place, data, length);
	DOMS_PREFETCH_WRITE((u8 *)place + length);
	doms_ring_commit(&q->tx, length, DOMS_RECORD_OFFLOAD);
	if (!doms_ring_write(&q->tx, data, length, 0))
		return -EBUSY;
	return doms_ring_publish(&q->tx) && doms_queue_peer_wants_bell(q);
}

/* The reader's interface, as a front's poll function uses it. */
int doms_header_check_receive(struct doms_queue *q, void *buf, u32 size);
int doms_header_check_receive(struct doms_queue *q, void *buf, u32 size)
{
	struct doms_record rec;
	u32 n = doms_ring_poll(&q->rx, 64);

	while (n-- && doms_ring_peek(&q->rx, &rec))
		memcpy(buf, rec.data, min(rec.length, size));
	if (doms_ring_read(&q->rx, buf, size, &rec) == EPROTO)
		pr_err("%s\n", doms_ring_broken_to_string(q->rx.broken));
	doms_ring_release(&q->rx);
	if (doms_queue_fall_asleep(q))
		doms_queue_wake_up(q);
	return 0;
}

/* The start of a channel. */
int doms_header_check_attach(struct doms_queue *q, void *own, void *peer,
			     u32 *ends);
int doms_header_check_attach(struct doms_queue *q, void *own, void *peer,
			     u32 *ends)
{
	struct doms_health *peer_health = peer;

	if (!doms_geometry_is_valid(&geometry))
		return -EINVAL;
	memset(own, 0, doms_group_size(&geometry));
	doms_health_init(own, &geometry, 1);
	doms_queue_init(q, &geometry, 0, own, peer, DOMS_RECORD_FLAGS, ends);
	doms_health_set_state(own, DOMS_STATE_UP);
	features = DOMS_F_ALL & ~DOMS_F_DOORBELL;
	if (DOMS_UNLIKELY(DOMS_READ_ONCE(peer_health->heartbeat) == 0))
		DOMS_FULL_FENCE();
	return DOMS_LIKELY(features != DOMS_F_TSO);
}

MODULE_DESCRIPTION("DomS: check of common headers");
MODULE_LICENSE("GPL");
