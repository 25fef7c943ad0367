/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks by a record, and by a count. */

#include "hostile-attacks.h"

#include <unistd.h>

static void
set_head(struct door *door, uint32_t head)
{
    DOMS_STORE_RELEASE(&door_own_ctl(door)->head, head);
}

static void
set_tail(struct door *door, uint32_t tail)
{
    DOMS_STORE_RELEASE(&door_own_ctl(door)->tail, tail);
}

/* Attacks by a record. */

/* Publishes a length entry as it is. */
static uint32_t
entry(struct door *door, uint32_t word)
{
    struct doms_ring_writer *tx = &door->map.queue.tx;

    DOMS_WRITE_ONCE(tx->lengths[tx->head & tx->length_mask], word);
    tx->head++;
    doms_ring_publish(tx);
    return 1;
}

uint32_t
length_0(struct door *door)
{
    return entry(door, 0);
}

uint32_t
length_13(struct door *door)
{
    return entry(door, DOMS_FRAME_MIN - 1);
}

uint32_t
length_over(struct door *door)
{
    return entry(door, DOMS_FRAME_MAX + 1);
}

uint32_t
length_ffff(struct door *door)
{
    return entry(door, 0xffff | DOMS_RECORD_OFFLOAD << 16);
}

uint32_t
offload_short(struct door *door)
{
    return entry(door, 29 | DOMS_RECORD_OFFLOAD << 16);
}

uint32_t
flag_unknown(struct door *door)
{
    return entry(door, 64 | 2u << 16);
}

uint32_t
flags_all(struct door *door)
{
    return entry(door, 64 | 0xffffu << 16);
}

uint32_t
offload_unasked(struct door *door)
{
    return entry(door, 64 | DOMS_RECORD_OFFLOAD << 16);
}

/* Attacks by a count. */

uint32_t
head_empty(struct door *door)
{
    set_head(door, 5); /* Nothing was ever written there. */
    return 1;
}

uint32_t
head_far(struct door *door)
{
    set_head(door, doms_ring_n_lengths(door->map.geometry.arena_size) + 1);
    return 1;
}

uint32_t
head_2_31(struct door *door)
{
    set_head(door, 1u << 31);
    return 1;
}

uint32_t
head_back(struct door *door)
{
    for (int i = 0; i < 3; i++) {
        send_frame(door, NULL, FRAME_SIZE);
    }
    flush_frames(door);
    set_head(door, 1);
    return 1;
}

/* Has the guest answer questions for 10.0.0.1's address until the front, which
 * had put 'before' records into its ring, has filled it: only then it looks at
 * how many we have taken.  Returns its head. */
static uint32_t
fill(struct door *door, uint32_t before)
{
    static const uint8_t question[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0,    0, 0,  9, 8, 6,
        0,    1,    8,    0,    6,    4,    0,    1, 0x02, 0, 0,  0, 0, 9,
        10,   0,    0,    9,    0,    0,    0,    0, 0,    0, 10, 0, 0, 1,
    };
    struct doms_queue *q = &door->map.queue;
    uint32_t full_at = before
                       + doms_ring_n_lengths(door->map.geometry.arena_size);
    int64_t end = now_ms() + DOOR_PATIENCE * 1000;
    uint32_t head;

    while ((head = DOMS_LOAD_ACQUIRE(q->rx.head_page)) != full_at) {
        if (now_ms() > end) {
            door_fail(door, "the guest does not send: head %u of %u", head,
                      full_at);
        }
        for (int i = 0; i < 32; i++) {
            doms_ring_write(&q->tx, question, sizeof question, 0);
        }
        flush_frames(door);
    }
    return head;
}

uint32_t
tail_ahead(struct door *door)
{
    set_tail(door, fill(door, 0) + 1);
    return 1;
}

uint32_t
tail_2_31(struct door *door)
{
    fill(door, 0);
    set_tail(door, 1u << 31);
    return 1;
}

uint32_t
tail_back(struct door *door)
{
    uint32_t tail = fill(door, 0);

    set_tail(door, tail);
    fill(door, tail);
    set_tail(door, tail - 1);
    return 1;
}
