// SPDX-License-Identifier: GPL-2.0
/*
 * A queue pair: the thread that polls it, receive and transmit.
 *
 * Transmit writes straight into the ring, in the sender's context.  A full
 * ring stops the transmit queue, and the thread, which polls anyway, wakes it.
 *
 * The thread receives through the queue's NAPI without an interrupt: when it
 * finds records it takes the NAPI, as an interrupt would, and polls in place.
 * So GRO, busy polling and everything else that knows NAPI works as usual.
 *
 * When there is nothing to do the thread spins for a while, and then sleeps
 * for a growing time, a quarter of how long it has had nothing to do, up to a
 * cap.  It never spins while anything else wants its processor.  Where vCPUs
 * share physical CPUs it may have Xen run another vCPU while it spins.  Who
 * sends wakes it from a long sleep, since an answer is to be expected.
 */
#include <linux/etherdevice.h>
#include <linux/freezer.h>
#include <linux/hrtimer.h>
#include <linux/if_vlan.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/skbuff.h>
#include <linux/virtio_net.h>
#include <xen/interface/sched.h>
#include <asm/xen/hypercall.h>

#include "front.h"

/* Records after which their room is given back. */
#define RELEASE_EVERY 8

/* A frame up to this length is received into linear memory, of a longer one
 * the headers.
 */
#define LINEAR_MAX 2048u
#define LINEAR_HEAD 256u

/* Pages of 16 KiB at most make up a long frame. */
#define FRAG_ORDER 2

/* Room that a stopped queue waits for, unless a segment needs more. */
#define WAKE_ROOM 32768u

/* The first sleep, in nanoseconds. */
#define SLEEP_MIN_NS 5000u

/* A sleep from which it is worth the while to be woken. */
#define NAP_NS 50000u

static bool doms_front_is_broken(const struct doms_front_queue *q)
{
	return READ_ONCE(q->ring.rx.broken) || READ_ONCE(q->ring.tx.broken);
}

/* Tells reconcile that the switch broke a rule. */
static void doms_front_report_broken(struct doms_front *front)
{
	if (!test_and_set_bit(DOMS_FRONT_BROKEN, &front->flags))
		doms_front_kick(front);
}

/* Receiving. */

/* Copies a frame out of shared memory.  Returns NULL if there is no memory. */
static struct sk_buff *doms_front_copy_frame(struct napi_struct *napi,
					     const void *data, u32 length)
{
	struct sk_buff *skb;
	int err;

	if (length <= LINEAR_MAX) {
		skb = napi_alloc_skb(napi, length);
		if (skb)
			skb_put_data(skb, data, length);
		return skb;
	}

	skb = alloc_skb_with_frags(LINEAR_HEAD + NET_SKB_PAD + NET_IP_ALIGN,
				   length - LINEAR_HEAD, FRAG_ORDER, &err,
				   GFP_ATOMIC | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb->dev = napi->dev;
	skb_reserve(skb, NET_SKB_PAD + NET_IP_ALIGN);
	skb_put(skb, LINEAR_HEAD);
	skb->data_len = length - LINEAR_HEAD;
	skb->len = length;
	if (skb_store_bits(skb, 0, data, length)) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

/* Gives 'skb', which is private, the offload fields 'o', as far as they make
 * sense for it.  Returns false if they do not.
 */
static bool doms_front_rx_offload(struct sk_buff *skb,
				  const struct doms_offload *o, bool tso)
{
	u8 type = o->gso_type & ~DOMS_GSO_ECN;
	struct virtio_net_hdr hdr = {
		.flags = o->flags,
		.gso_type = o->gso_type,
		.gso_size = __cpu_to_virtio16(true, o->gso_size),
		.csum_start = __cpu_to_virtio16(true, o->csum_start),
		.csum_offset = __cpu_to_virtio16(true, o->csum_offset),
	};

	if (o->gso_type != DOMS_GSO_NONE) {
		if (!tso || (type != DOMS_GSO_TCPV4 && type != DOMS_GSO_TCPV6))
			return false;
		if (!(o->flags & DOMS_OFFLOAD_NEEDS_CSUM))
			return false;
	}
	if (virtio_net_hdr_to_skb(skb, &hdr, true))
		return false;
	if (!(o->flags & DOMS_OFFLOAD_NEEDS_CSUM) &&
	    (o->flags & DOMS_OFFLOAD_DATA_VALID))
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	return true;
}

/* What became of a record. */
enum doms_front_rx_verdict {
	RX_TAKEN,
	RX_NO_MEMORY,
	RX_TOO_LONG,
	RX_BAD_OFFLOAD,
};

/* Makes a packet of record 'rec' and hands it to the stack. */
static enum doms_front_rx_verdict
doms_front_rx_record(struct doms_front_queue *q, struct napi_struct *napi,
		     const struct doms_record *rec)
{
	struct doms_front *front = q->front;
	bool has_offload = rec->flags & DOMS_RECORD_OFFLOAD;
	struct doms_offload o = { .gso_type = DOMS_GSO_NONE };
	const u8 *data = rec->data;
	u32 length = rec->length;
	bool tso = READ_ONCE(front->rx_tso);
	struct sk_buff *skb;
	bool too_long;

	if (has_offload) {
		doms_record_read_offload(rec, &o);
		data += sizeof(o);
		length -= sizeof(o);
	}
	too_long = length > READ_ONCE(front->rx_max);
	if (too_long && !(tso && o.gso_type != DOMS_GSO_NONE))
		return RX_TOO_LONG;

	skb = doms_front_copy_frame(napi, data, length);
	if (!skb)
		return RX_NO_MEMORY;
	if (has_offload && !doms_front_rx_offload(skb, &o, tso)) {
		kfree_skb(skb);
		return RX_BAD_OFFLOAD;
	}
	/* What was said to be segments may be but one. */
	if (too_long && !skb_is_gso(skb)) {
		kfree_skb(skb);
		return RX_TOO_LONG;
	}
	skb_record_rx_queue(skb, q->index);
	skb->protocol = eth_type_trans(skb, napi->dev);
	napi_gro_receive(napi, skb);
	return RX_TAKEN;
}

static void doms_front_rx_count(struct doms_front_queue *q,
				enum doms_front_rx_verdict verdict, u32 length)
{
	u64_stats_update_begin(&q->rx.sync);
	switch (verdict) {
	case RX_TAKEN:
		q->rx.packets++;
		q->rx.bytes += length;
		break;
	case RX_NO_MEMORY:
		q->rx.no_memory++;
		break;
	case RX_TOO_LONG:
		q->rx.too_long++;
		break;
	case RX_BAD_OFFLOAD:
		q->rx.bad_offload++;
		break;
	}
	u64_stats_update_end(&q->rx.sync);
}

/* Receives at most 'budget' records.  The caller owns the NAPI, and has
 * bottom halves disabled.  Returns how many records there were.
 */
static int doms_front_rx(struct doms_front_queue *q, struct napi_struct *napi,
			 int budget)
{
	struct doms_ring_reader *r = &q->ring.rx;
	struct doms_record rec;
	u32 i, n;

	if (!q->up || budget <= 0)
		return 0;
	n = doms_ring_poll(r, budget);
	for (i = 0; i < n && doms_ring_peek(r, &rec); i++) {
		enum doms_front_rx_verdict verdict;
		u32 length = rec.length;

		if (rec.flags & DOMS_RECORD_OFFLOAD)
			length -= sizeof(struct doms_offload);
		verdict = doms_front_rx_record(q, napi, &rec);
		doms_front_rx_count(q, verdict, length);
		if (i % RELEASE_EVERY == RELEASE_EVERY - 1)
			doms_ring_release(r);
	}
	doms_ring_release(r);
	if (unlikely(r->broken))
		doms_front_report_broken(q->front);
	return i;
}

/* The NAPI's poll function, for those who poll besides the thread. */
int doms_front_poll(struct napi_struct *napi, int budget)
{
	struct doms_front_queue *q =
		container_of(napi, struct doms_front_queue, napi);
	int work = doms_front_rx(q, napi, budget);

	if (work < budget)
		napi_complete_done(napi, work);
	return work;
}

/* Throws away what is in the receive ring: it came while the interface was
 * down.  The NAPI is disabled.
 */
void doms_front_queue_drain(struct doms_front_queue *q)
{
	struct doms_record rec;
	u32 n = doms_ring_poll(&q->ring.rx, U32_MAX);

	while (n-- && doms_ring_peek(&q->ring.rx, &rec))
		;
	doms_ring_release(&q->ring.rx);
	if (q->ring.rx.broken)
		doms_front_report_broken(q->front);
}

/* Transmitting. */

/* Returns true if a record as long as any may be put into the ring. */
static bool doms_front_tx_has_room(struct doms_front_queue *q)
{
	u32 room = READ_ONCE(q->front->rx_tso) ?
		   DOMS_FRAME_MAX + sizeof(struct doms_offload) : WAKE_ROOM;

	return doms_ring_reserve(&q->ring.tx, room) || q->ring.tx.broken;
}

/* Fills in '*o' for 'skb', and '*flags' of the record.  Makes the checksum if
 * that is not left to the switch.  Returns false if the switch cannot be told
 * what to do with 'skb'.
 */
static bool doms_front_tx_offload(const struct doms_front *front,
				  struct sk_buff *skb, struct doms_offload *o,
				  u32 *flags)
{
	u64 features = READ_ONCE(front->features);
	struct virtio_net_hdr hdr;

	*flags = 0;
	if (skb_is_gso(skb) && !(features & DOMS_F_TSO))
		return false;
	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return !skb_is_gso(skb);
	if (!(features & (DOMS_F_CSUM | DOMS_F_TSO)))
		return !skb_checksum_help(skb);
	if (virtio_net_hdr_from_skb(skb, &hdr, true, false, 0))
		return false;

	memset(o, 0, sizeof(*o));
	o->flags = hdr.flags;
	o->gso_type = hdr.gso_type;
	o->hdr_len = __virtio16_to_cpu(true, hdr.hdr_len);
	o->gso_size = __virtio16_to_cpu(true, hdr.gso_size);
	o->csum_start = __virtio16_to_cpu(true, hdr.csum_start);
	o->csum_offset = __virtio16_to_cpu(true, hdr.csum_offset);
	*flags = DOMS_RECORD_OFFLOAD;
	return true;
}

static void doms_front_tx_count_full(struct doms_front_queue *q)
{
	u64_stats_update_begin(&q->tx.sync);
	q->tx.ring_full++;
	u64_stats_update_end(&q->tx.sync);
}

/* Stops 'txq' if its ring could be too full for the next frame. */
static void doms_front_tx_maybe_stop(struct doms_front_queue *q,
				     struct netdev_queue *txq)
{
	if (likely(doms_front_tx_has_room(q)))
		return;
	netif_tx_stop_queue(txq);
	doms_front_tx_count_full(q);
	/* The thread may have looked just before the queue was stopped. */
	smp_mb();
	if (doms_front_tx_has_room(q))
		netif_tx_start_queue(txq);
}

/* Puts 'skb' into the ring, without publishing. */
static netdev_tx_t doms_front_tx_put(struct doms_front_queue *q,
				     struct netdev_queue *txq,
				     struct sk_buff *skb)
{
	struct doms_ring_writer *w = &q->ring.tx;
	struct doms_offload o;
	u32 flags, head;
	u8 *place;

	if (unlikely(!q->up || skb->len < DOMS_FRAME_MIN ||
		     skb->len > DOMS_FRAME_MAX ||
		     !doms_front_tx_offload(q->front, skb, &o, &flags)))
		goto drop;
	head = flags ? sizeof(o) : 0;
	place = doms_ring_reserve(w, head + skb->len);
	if (unlikely(!place)) {
		if (w->broken)
			goto drop;
		netif_tx_stop_queue(txq);
		doms_front_tx_count_full(q);
		return NETDEV_TX_BUSY;
	}
	if (head)
		memcpy(place, &o, head);
	if (unlikely(skb_copy_bits(skb, 0, place + head, skb->len)))
		goto drop;
	skb_tx_timestamp(skb);
	doms_ring_commit(w, head + skb->len, flags);

	u64_stats_update_begin(&q->tx.sync);
	q->tx.packets++;
	q->tx.bytes += skb->len;
	u64_stats_update_end(&q->tx.sync);
	dev_consume_skb_any(skb);
	doms_front_tx_maybe_stop(q, txq);
	return NETDEV_TX_OK;

drop:
	u64_stats_update_begin(&q->tx.sync);
	q->tx.dropped++;
	u64_stats_update_end(&q->tx.sync);
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

/* ndo_start_xmit. */
netdev_tx_t doms_front_xmit(struct sk_buff *skb, struct net_device *netdev)
{
	struct doms_front *front = doms_front_of(netdev);
	u16 index = skb_get_queue_mapping(skb);
	struct doms_front_queue *q = &front->queues[index];
	struct netdev_queue *txq = netdev_get_tx_queue(netdev, index);
	bool more = netdev_xmit_more();
	netdev_tx_t ret = doms_front_tx_put(q, txq, skb);

	if (q->up && (!more || netif_xmit_stopped(txq))) {
		doms_ring_publish(&q->ring.tx);
		WRITE_ONCE(q->sent, true);
		if (READ_ONCE(q->naps) && q->thread) {
			WRITE_ONCE(q->naps, false);
			wake_up_process(q->thread);
		}
		if (unlikely(q->ring.tx.broken))
			doms_front_report_broken(front);
	}
	return ret;
}

/* The thread. */

/* Wakes the transmit queue if it is stopped and has room again. */
static void doms_front_tx_wake(struct doms_front_queue *q,
			       struct net_device *netdev)
{
	struct netdev_queue *txq = netdev_get_tx_queue(netdev, q->index);

	if (likely(!netif_tx_queue_stopped(txq)))
		return;
	__netif_tx_lock_bh(txq);
	if (q->up && doms_front_tx_has_room(q))
		netif_tx_wake_queue(txq);
	__netif_tx_unlock_bh(txq);
}

/* Receives what there is.  Returns true if there was something. */
static bool doms_front_rx_service(struct doms_front_queue *q)
{
	struct doms_ring_reader *r = &q->ring.rx;
	int work = 0;

	if (READ_ONCE(*r->head_page) == READ_ONCE(r->published) ||
	    READ_ONCE(r->broken))
		return false;
	local_bh_disable();
	if (napi_schedule_prep(&q->napi)) {
		work = doms_front_rx(q, &q->napi, DOMS_FRONT_BUDGET);
		napi_complete_done(&q->napi, work);
	}
	local_bh_enable();
	return work > 0;
}

static void doms_front_sleep(struct doms_front_queue *q, u64 ns)
{
	ktime_t expires = ns_to_ktime(ns);

	set_current_state(TASK_INTERRUPTIBLE);
	if (!kthread_should_stop() && !freezing(current)) {
		WRITE_ONCE(q->sleeps, q->sleeps + 1);
		WRITE_ONCE(q->naps, ns >= NAP_NS);
		schedule_hrtimeout_range(&expires, ns / 4, HRTIMER_MODE_REL);
		WRITE_ONCE(q->naps, false);
	}
	__set_current_state(TASK_RUNNING);
}

/* Has nothing to do, for 'idle_ns' by now. */
static void doms_front_idle(struct doms_front_queue *q, u64 idle_ns)
{
	u64 cap_ns = (u64)READ_ONCE(q->front->sleep_max_us) * NSEC_PER_USEC;
	u64 spin_ns = (u64)READ_ONCE(q->front->spin_us) * NSEC_PER_USEC;

	if (idle_ns < spin_ns || !cap_ns) {
		if (!single_task_running())
			yield();
		else if (READ_ONCE(q->front->yield))
			HYPERVISOR_sched_op(SCHEDOP_yield, NULL);
		else
			cpu_relax();
	} else {
		doms_front_sleep(q, clamp_t(u64, idle_ns / 4,
					    min_t(u64, SLEEP_MIN_NS, cap_ns),
					    cap_ns));
	}
}

/* The thread of a queue: lives while the interface is up and has a channel. */
int doms_front_queue_thread(void *arg)
{
	struct doms_front_queue *q = arg;
	struct net_device *netdev = q->front->netdev;
	u64 active = ktime_get_ns();

	set_freezable();
	while (!kthread_freezable_should_stop(NULL)) {
		bool busy = doms_front_rx_service(q);

		doms_front_tx_wake(q, netdev);
		if (READ_ONCE(q->sent)) {
			WRITE_ONCE(q->sent, false);
			busy = true;
		}
		cond_resched();
		if (busy) {
			active = ktime_get_ns();
		} else if (doms_front_is_broken(q)) {
			/* It may have been found where nobody is told. */
			doms_front_report_broken(q->front);
			doms_front_sleep(q, NSEC_PER_SEC / 10);
		} else {
			doms_front_idle(q, ktime_get_ns() - active);
		}
	}
	return 0;
}
