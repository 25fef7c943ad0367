/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: how they are made and sent, and attacks by what is said of them. */

#include "hostile-attacks.h"

#include <arpa/inet.h>
#include <unistd.h>

/* MTU, Ethernet header and two VLAN tags. */
#define LONGEST (1500 + 14 + 8)

const struct offer full = { DOMS_ARENA_DEFAULT, DOMS_F_CSUM | DOMS_F_TSO };
const struct offer bare = { DOMS_ARENA_DEFAULT, 0 };
const struct offer csum_only = { DOMS_ARENA_DEFAULT, DOMS_F_CSUM };
const struct offer largest = { DOMS_ARENA_MAX, DOMS_F_CSUM | DOMS_F_TSO };

uint32_t
draw(void)
{
    static _Thread_local uint64_t x = 0x9e3779b97f4a7c15ull;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x >> 16;
}

/* Frames. */

static uint16_t
ip_sum(const uint8_t *p, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i += 2) {
        sum += p[i] << 8 | p[i + 1];
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons(~sum);
}

/* Writes a TCP segment from 10.0.0.9 to the guest, 10.0.0.1, of 'size' bytes
 * from its Ethernet header on, with a wrong TCP checksum. */
void
make_frame(uint8_t *frame, uint32_t size)
{
    static const uint8_t eth[] = { 0x02, 0, 0, 0, 0, 0xaa, 0x02,
                                   0,    0, 0, 0, 9, 8,    0 };
    static const uint8_t ip[] = { 0x45, 0, 0,  0, 0, 1, 0,  0, 64, 6,
                                  0,    0, 10, 0, 0, 9, 10, 0, 0,  1 };
    static const uint8_t tcp[] = { 0x30, 0x39, 0x14, 0x51, 0, 0, 0, 1, 0, 0,
                                   0,    1,    0x50, 0x10, 1, 0, 0, 0, 0, 0 };
    uint16_t length = htons(size - sizeof eth), sum;

    memset(frame, 0, size);
    memcpy(frame, eth, sizeof eth);
    memcpy(frame + 14, ip, sizeof ip);
    memcpy(frame + 16, &length, sizeof length);
    sum = ip_sum(frame + 14, sizeof ip);
    memcpy(frame + 24, &sum, sizeof sum);
    memcpy(frame + 34, tcp, sizeof tcp);
}

/* Waits until the front has taken all that was put into its ring. */
void
await_taken(struct door *door)
{
    int64_t end = now_ms() + DOOR_PATIENCE * 1000;

    while (!doms_ring_writer_is_drained(&door->map.queue.tx)) {
        if (door->map.queue.tx.broken || now_ms() > end) {
            door_fail(door, "the front does not read its ring");
        }
        usleep(1000);
    }
}

/* Takes all that the front has sent. */
void
take_all(struct door *door)
{
    static uint8_t frame[DOMS_LENGTH_MASK + 1];
    struct doms_record record;

    while (
        !doms_ring_read(&door->map.queue.rx, frame, sizeof frame, &record)) {
        continue;
    }
    doms_ring_release(&door->map.queue.rx);
}

/* Sends a frame of 'size' bytes, with '*o' before it if that is not NULL. */
void
send_frame(struct door *door, const struct doms_offload *o, uint32_t size)
{
    static uint8_t record[DOMS_LENGTH_MASK + 1];
    struct doms_ring_writer *tx = &door->map.queue.tx;
    uint32_t before = o ? sizeof *o : 0;

    if (o) {
        memcpy(record, o, sizeof *o);
    }
    make_frame(record + before, size);
    take_all(door);
    if (!doms_ring_write(tx, record, before + size,
                         o ? DOMS_RECORD_OFFLOAD : 0)) {
        doms_ring_publish(tx);
        await_taken(door);
        doms_ring_write(tx, record, before + size,
                        o ? DOMS_RECORD_OFFLOAD : 0);
    }
}

void
flush_frames(struct door *door)
{
    doms_ring_publish(&door->map.queue.tx);
    await_taken(door);
}

/* Attacks by offload fields. */

/* Sends one frame of 'size' bytes for each of the 'n' lies. */
static uint32_t
lies(struct door *door, const struct doms_offload *lie, uint32_t n,
     uint32_t size)
{
    for (uint32_t i = 0; i < n; i++) {
        send_frame(door, &lie[i], size);
    }
    flush_frames(door);
    return n;
}

#define NEEDS DOMS_OFFLOAD_NEEDS_CSUM
/* flags, gso_type, hdr_len, gso_size, csum_start, csum_offset */

uint32_t
offload_lies(struct door *door)
{
    static const struct doms_offload all[] = {
        /* Sums out of the frame. */
        { NEEDS, 0, 0, 0, 60000, CSUM_OFFSET, { 0 } },
        { NEEDS, 0, 0, 0, 0xffff, 0xffff, { 0 } },
        { NEEDS, 0, 0, 0, FRAME_SIZE - 1, 0, { 0 } },
        { NEEDS, 0, 0, 0, CSUM_START, FRAME_SIZE, { 0 } },
        { NEEDS, 0, 0, 0, 1, 0xfffe, { 0 } },
        /* Segments of no size, and without a checksum. */
        { NEEDS, DOMS_GSO_TCPV4, 54, 0, CSUM_START, CSUM_OFFSET, { 0 } },
        { 0, DOMS_GSO_TCPV4, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        { DOMS_OFFLOAD_DATA_VALID, DOMS_GSO_TCPV6, 54, 1000, 0, 0, { 0 } },
        { 0xfe, DOMS_GSO_TCPV4, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        /* Types that there are not. */
        { NEEDS, 2, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        { NEEDS, 3, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        { NEEDS, 5, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        { NEEDS, DOMS_GSO_ECN, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        { NEEDS, 0x7f, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        { NEEDS, 0xff, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        /* A TCP header out of the frame. */
        { NEEDS, DOMS_GSO_TCPV4, 54, 99, FRAME_SIZE - 10, 4, { 0 } },
    };

    return lies(door, all, sizeof all / sizeof all[0], FRAME_SIZE);
}

/* What may be nonsense, since nobody relies on it. */
uint32_t
offload_hints(struct door *door)
{
    static const struct doms_offload all[] = {
        { NEEDS, 0, 0xffff, 0xffff, CSUM_START, CSUM_OFFSET, { ~0, 1, 2 } },
        { NEEDS, DOMS_GSO_TCPV4, 0xffff, 500, CSUM_START, CSUM_OFFSET, { 7 } },
        { NEEDS, DOMS_GSO_TCPV4, 0, 1, CSUM_START, CSUM_OFFSET, { 0 } },
        { 0xfe, 0, 0, 0, 0xffff, 0xffff, { 0 } },
    };

    return lies(door, all, sizeof all / sizeof all[0], FRAME_SIZE);
}

uint32_t
tso_unasked(struct door *door)
{
    static const struct doms_offload all[] = {
        { NEEDS, DOMS_GSO_TCPV4, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
        { NEEDS, DOMS_GSO_TCPV6, 54, 1000, CSUM_START, CSUM_OFFSET, { 0 } },
    };

    return lies(door, all, 2, FRAME_SIZE);
}

/* Frames that are too long for the MTU: without offload, with, and one that
 * is said to be several segments and is but one. */
uint32_t
too_long(struct door *door)
{
    static const struct doms_offload sum = { NEEDS,      0,           0,    0,
                                             CSUM_START, CSUM_OFFSET, { 0 } };
    static const struct doms_offload one_segment = {
        NEEDS, DOMS_GSO_TCPV4, 54, 60000, CSUM_START, CSUM_OFFSET, { 0 }
    };

    for (int i = 0; i < 20; i++) {
        send_frame(door, NULL, LONGEST + 1 + i);
        send_frame(door, &sum, DOMS_FRAME_MAX - i);
        send_frame(door, &one_segment, 30000 + i);
    }
    flush_frames(door);
    return 60;
}

/* Random offload fields, of frames of any length. */
uint32_t
offload_fuzz(struct door *door)
{
    uint32_t n = 4000;

    for (uint32_t i = 0; i < n; i++) {
        static const uint8_t types[] = { 0, 1, 4, 0x81, 0x84, 3, 5, 0xff };
        struct doms_offload o = {
            .flags = draw() % 8 ? NEEDS : draw(),
            .gso_type = types[draw() % 8],
            .hdr_len = draw(),
            .gso_size = draw() % 3 ? draw() % 1500 : draw(),
            .csum_start = draw() % 3 ? draw() % 100 : draw(),
            .csum_offset = draw() % 3 ? draw() % 40 : draw(),
        };
        uint32_t size = draw() % 4 ? 54 + draw() % 1500 : 54 + draw() % 60000;

        send_frame(door, &o, size);
    }
    flush_frames(door);
    return n;
}
