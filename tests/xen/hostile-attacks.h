/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile switch does; hostile-switch.c has the table of it.
 *
 * An attack gets a door that is connected, unless the table says otherwise,
 * and returns how much it adds to a counter of the front's.  It ends the
 * program, by door_fail(), if the front does what it must not do.
 */

#ifndef HOSTILE_ATTACKS_H
#define HOSTILE_ATTACKS_H 1

#include "hostile-door.h"

/* How long a front may take to do what it must not do. */
#define FORBEARANCE_MS 300
/* How long a thread rewrites what the front reads. */
#define SPIN_MS 3000

/* The frames that are sent, where their TCP header starts, and the place of
 * the checksum in that. */
#define FRAME_SIZE 1514
#define CSUM_START 34
#define CSUM_OFFSET 16

/* Offers: what domsd would offer, with less, and the largest arenas. */
extern const struct offer full, bare, csum_only, largest;

/* A random number; the sequence is the same in each run. */
uint32_t draw(void);

/* Writes a TCP segment from 10.0.0.9 to the guest, 10.0.0.1, of 'size' bytes
 * from its Ethernet header on, with a wrong TCP checksum. */
void make_frame(uint8_t *frame, uint32_t size);
/* Sends a frame of 'size' bytes, with '*o' before it if that is not NULL. */
void send_frame(struct door *door, const struct doms_offload *o,
                uint32_t size);
/* Publishes, and waits until the front has taken all of it. */
void flush_frames(struct door *door);
/* Takes all that the front has sent. */
void take_all(struct door *door);

/* Records and counts that break a rule of the ring: hostile-ring.c. */
uint32_t length_0(struct door *door);
uint32_t length_13(struct door *door);
uint32_t length_over(struct door *door);
uint32_t length_ffff(struct door *door);
uint32_t offload_short(struct door *door);
uint32_t flag_unknown(struct door *door);
uint32_t flags_all(struct door *door);
uint32_t offload_unasked(struct door *door);
uint32_t head_empty(struct door *door);
uint32_t head_far(struct door *door);
uint32_t head_2_31(struct door *door);
uint32_t head_back(struct door *door);
uint32_t tail_ahead(struct door *door);
uint32_t tail_2_31(struct door *door);
uint32_t tail_back(struct door *door);

/* Frames and offload fields: hostile-frames.c. */
uint32_t offload_lies(struct door *door);
uint32_t offload_hints(struct door *door);
uint32_t tso_unasked(struct door *door);
uint32_t too_long(struct door *door);
uint32_t offload_fuzz(struct door *door);

/* Words that change while the front reads them, and a health page that is
 * wrong from the beginning: hostile-race.c. */
uint32_t race_legal(struct door *door);
uint32_t race_illegal(struct door *door);
uint32_t health_noise(struct door *door);
uint32_t health_magic(struct door *door);
uint32_t health_version(struct door *door);
uint32_t health_queues(struct door *door);
uint32_t health_arena(struct door *door);

/* Keys, states, and channels that are not let go of: hostile-store.c. */
uint32_t bad_offers(struct door *door);
uint32_t bad_config(struct door *door);
uint32_t flap(struct door *door);
uint32_t flap_online(struct door *door);
uint32_t too_large(struct door *door);
uint32_t keep(struct door *door);
uint32_t map_writable(struct door *door);

#endif /* hostile-attacks.h */
