/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The binary interface of a channel: what lies in its shared pages.
 *
 * A channel is what one front (the guest's end) and one port (the switch's
 * end) share.  It consists of two groups of pages, one a side.  A side writes
 * its own group and only reads the other's, which its door maps for it
 * read-only, so no page has two writers.  docs/protocol.md tells the same in
 * prose, with a picture.
 *
 * A group:
 *
 *     one page                   struct doms_health
 *     for each queue pair:
 *         one page               struct doms_queue_ctl
 *         whole pages            uint32_t lengths[n_lengths]
 *         whole pages            uint8_t arena[arena_size]
 *
 * The lengths and the arena of a group are those of the ring that the group's
 * owner writes.  The owner also writes, in its doms_queue_ctl, the count of
 * records that it has taken from the other side's ring.
 *
 * Everything is in the byte order of the host.  Nothing in a group is a
 * pointer, an offset or an index into memory: both sides derive every record's
 * place from the lengths alone (common/ring.h).
 *
 * This header holds no code.  A change of anything here that an old peer would
 * misread takes a new DOMS_ABI_VERSION; additions take a feature bit.
 */

#ifndef DOMS_COMMON_ABI_H
#define DOMS_COMMON_ABI_H 1

#include "os.h"

#define DOMS_ABI_MAGIC 0x534d4f44u /* "DOMS" in memory, little endian. */
#define DOMS_ABI_VERSION 1

#define DOMS_PAGE_SIZE 4096u

/* The writer of a word and its reader are on different cores, and the hardware
 * fetches cache lines in pairs: words of different use are two lines apart. */
#define DOMS_LINE_PAIR 128

/* Limits of a channel's geometry. */
#define DOMS_MAX_QUEUES 16u
#define DOMS_ARENA_MIN (128u * 1024)
#define DOMS_ARENA_MAX (4u * 1024 * 1024)
#define DOMS_ARENA_DEFAULT (512u * 1024)
#define DOMS_ARENA_TSO_DEFAULT                                                \
    (2u * 1024 * 1024) /* 512 KiB would hold only
                                                   * eight whole segments. */
#define DOMS_ARENA_JUMBO_DEFAULT                                              \
    (1024u * 1024) /* 512 KiB would hold 58 frames of 9000 bytes: too few for
                    * both ends and the switch to be busy at once. */
#define DOMS_JUMBO_MTU 4096 /* The largest MTU that is no jumbo's. */
#define DOMS_LENGTHS_MIN 1024u

/* Records start on this boundary within the arena. */
#define DOMS_RECORD_ALIGN 16u

/* The shortest frame is an Ethernet header.  The longest leaves room for the
 * headroom that a datapath puts before a packet within 64 KiB. */
#define DOMS_FRAME_MIN 14u
#define DOMS_FRAME_MAX 61440u

/* An entry of the length array: the record's length in bytes, including its
 * struct doms_offload if it has one, in the lower 16 bits, and DOMS_RECORD_*
 * in the upper 16. */
#define DOMS_LENGTH_MASK 0xffffu
#define DOMS_LENGTH_FLAGS_SHIFT 16

/* The record starts with a struct doms_offload; the frame follows it. */
#define DOMS_RECORD_OFFLOAD 0x0001u
/* All flags of this version.  A reader treats any other as a broken rule. */
#define DOMS_RECORD_FLAGS DOMS_RECORD_OFFLOAD

/* Checksum and segmentation fields of a frame, as struct virtio_net_hdr has
 * them (virtio 1.2, section 5.1.6), padded to keep the frame aligned. */
struct doms_offload {
    uint8_t flags;        /* DOMS_OFFLOAD_*. */
    uint8_t gso_type;     /* DOMS_GSO_*. */
    uint16_t hdr_len;     /* Bytes of headers before the payload; a hint. */
    uint16_t gso_size;    /* Payload bytes of each segment. */
    uint16_t csum_start;  /* Offset in the frame where the sum starts. */
    uint16_t csum_offset; /* Offset from 'csum_start' of the sum's field. */
    uint16_t reserved[3]; /* Zero. */
};

#define DOMS_OFFLOAD_NEEDS_CSUM 0x01 /* The checksum is still to be made. */
#define DOMS_OFFLOAD_DATA_VALID 0x02 /* The checksum was found right. */

#define DOMS_GSO_NONE 0
#define DOMS_GSO_TCPV4 1
#define DOMS_GSO_TCPV6 4
#define DOMS_GSO_ECN 0x80 /* TCP has ECN set; joined to a type. */

/* What a side's owner tells of itself.  The first line is written once, before
 * 'state' becomes anything but DOMS_STATE_INIT; the peer compares it with what
 * the door agreed on and derives nothing from it. */
struct doms_health {
    uint32_t magic;      /* DOMS_ABI_MAGIC. */
    uint16_t version;    /* DOMS_ABI_VERSION. */
    uint16_t n_queues;   /* Queue pairs. */
    uint32_t arena_size; /* Bytes of each ring's arena. */
    uint32_t n_lengths;  /* Entries of each ring's length array. */
    uint8_t pad0[DOMS_LINE_PAIR - 16];

    uint32_t state; /* DOMS_STATE_*. */
    uint32_t epoch; /* Differs between two lives of the owner. */
    uint8_t pad1[DOMS_LINE_PAIR - 8];

    uint64_t heartbeat; /* Grows at least once a second while the owner
                         * lives, by any amount. */
    uint8_t pad2[DOMS_LINE_PAIR - 8];

    uint8_t pad3[DOMS_PAGE_SIZE - 3 * DOMS_LINE_PAIR];
};

#define DOMS_STATE_INIT 0   /* Not ready, the rest may not be written yet. */
#define DOMS_STATE_UP 1     /* Sends and receives. */
#define DOMS_STATE_DOWN 2   /* Alive, but its interface is set down. */
#define DOMS_STATE_BROKEN 3 /* The peer broke a rule; this channel is over. */
#define DOMS_STATE_CLOSED 4 /* The owner has left in good order. */

/* The counts of one side of a queue pair.  They run freely modulo 2^32. */
struct doms_queue_ctl {
    uint32_t head; /* Records put into the owner's own ring. */
    uint8_t pad0[DOMS_LINE_PAIR - 4];

    uint32_t tail; /* Records taken from the peer's ring. */
    uint8_t pad1[DOMS_LINE_PAIR - 4];

    uint32_t asleep; /* Not 0: the owner blocks, and wants one doorbell once
                      * there is something in the peer's ring.  Another value
                      * for each sleep. */
    uint8_t pad2[DOMS_LINE_PAIR - 4];

    uint8_t pad3[DOMS_PAGE_SIZE - 3 * DOMS_LINE_PAIR];
};

/* Features that a door negotiates.  A feature is in force when both sides have
 * named it. */
#define DOMS_F_CSUM ((uint64_t) 1 << 0)     /* Records with checksum fields. */
#define DOMS_F_TSO ((uint64_t) 1 << 1)      /* ... with segmentation fields. */
#define DOMS_F_DOORBELL ((uint64_t) 1 << 2) /* 'asleep' and doorbells. */
#define DOMS_F_ALL (DOMS_F_CSUM | DOMS_F_TSO | DOMS_F_DOORBELL)

DOMS_STATIC_ASSERT(sizeof(struct doms_offload) == DOMS_RECORD_ALIGN);
DOMS_STATIC_ASSERT(sizeof(struct doms_health) == DOMS_PAGE_SIZE);
DOMS_STATIC_ASSERT(offsetof(struct doms_health, arena_size) == 8);
DOMS_STATIC_ASSERT(offsetof(struct doms_health, state) == 128);
DOMS_STATIC_ASSERT(offsetof(struct doms_health, heartbeat) == 256);
DOMS_STATIC_ASSERT(sizeof(struct doms_queue_ctl) == DOMS_PAGE_SIZE);
DOMS_STATIC_ASSERT(offsetof(struct doms_queue_ctl, tail) == 128);
DOMS_STATIC_ASSERT(offsetof(struct doms_queue_ctl, asleep) == 256);
DOMS_STATIC_ASSERT(DOMS_FRAME_MAX + sizeof(struct doms_offload)
                   <= DOMS_LENGTH_MASK);
/* A record always fits into an empty arena, wherever the arena's end is. */
DOMS_STATIC_ASSERT(2 * (DOMS_LENGTH_MASK + 1) <= DOMS_ARENA_MIN);

#endif /* common/abi.h */
