/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksum and segmentation offload between a ring's records, or a netfront's
 * requests, and dp_packets.
 *
 * A guest that has negotiated DOMS_F_CSUM or DOMS_F_TSO may hand over frames
 * whose checksum is still to be made, or which are still to be cut into
 * segments; domsd offers that only with OVS's userspace-tso-enable.  A packet
 * carries this through the datapath in its ol_flags.  A guest that lacks the
 * feature gets finished frames: the checksum is filled in, or the frame is cut
 * up, here.
 *
 * The fields come from a guest: they are checked against the packet's private
 * copy, in which the headers are found anew, and nothing of them is kept but
 * what the flags can say.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef DOMS_OFFLOAD_H
#define DOMS_OFFLOAD_H 1

#include "common/ring.h"
#include "dp-packet.h"

/* What becomes of a packet that needs offloading. */
enum offload_verdict {
    OFFLOAD_PASS,      /* Send it with the offload fields. */
    OFFLOAD_DONE,      /* Its checksum is made; send it as a plain frame. */
    OFFLOAD_SEGMENT,   /* Call offload_segment(). */
    OFFLOAD_IMPOSSIBLE /* Its headers do not fit its flags; drop it. */
};

/* Returns true if the checksum or segmentation of 'packet' is to be done. */
static inline bool
offload_is_needed(const struct dp_packet *packet)
{
    return (*dp_packet_ol_flags_ptr(packet)
            & (DP_PACKET_OL_TX_L4_MASK | DP_PACKET_OL_TX_TCP_SEG))
           != 0;
}

bool offload_from_guest(const struct doms_offload *, uint64_t features,
                        struct dp_packet *);
bool offload_from_netfront(uint8_t gso_type, uint64_t features,
                           struct dp_packet *);
enum offload_verdict offload_to_guest(struct dp_packet *, uint64_t features,
                                      int mtu, uint32_t max_length,
                                      struct doms_offload *);

/* Takes a segment, the 'length' bytes at 'frame'.  Returns false if there is
 * no room for it. */
typedef bool offload_emit_func(void *aux, const void *frame, uint32_t length);
bool offload_segment(const struct dp_packet *packet, int mtu,
                     offload_emit_func *emit, void *aux, uint32_t *n_segments,
                     uint64_t *n_bytes);
bool offload_segment_to_ring(const struct dp_packet *, int mtu,
                             struct doms_ring_writer *, uint32_t *n_segments,
                             uint64_t *n_bytes);

#endif /* doms/offload.h */
