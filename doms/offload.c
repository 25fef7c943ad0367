/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/offload.h"

#include <netinet/in.h>

#include "common/socket-msg.h"
#include "csum.h"
#include "packets.h"
#include "unaligned.h"

/* Where the headers of a frame are.  Offsets are from the frame's start and
 * lie within it, headers included. */
struct frame_headers {
    uint32_t l3_ofs;
    uint32_t l4_ofs;
    uint32_t payload_ofs; /* After the TCP header; else 'l4_ofs'. */
    uint32_t end;         /* Of the IP packet; Ethernet padding may follow. */
    bool is_ipv4;
    uint8_t proto;
};

#define MAX_VLANS 2

/* Finds the network header of the 'length' bytes at 'frame', which goes to
 * '*l3_ofs'.  Returns the Ethernet type, or 0 if the frame is too short. */
static uint16_t
find_l3(const uint8_t *frame, uint32_t length, uint32_t *l3_ofs)
{
    uint32_t ofs = ETH_HEADER_LEN;
    uint16_t type;

    if (length < ofs) {
        return 0;
    }
    type = ntohs(get_unaligned_be16((ovs_be16 *) (frame + ofs - 2)));
    for (int i = 0; i < MAX_VLANS && eth_type_vlan(htons(type)); i++) {
        ofs += VLAN_HEADER_LEN;
        if (length < ofs) {
            return 0;
        }
        type = ntohs(get_unaligned_be16((ovs_be16 *) (frame + ofs - 2)));
    }
    *l3_ofs = ofs;
    return type;
}

/* Finds the headers of the 'length' bytes at 'frame', private memory.  Returns
 * false if it is not whole TCP or UDP over IP, or an IP fragment. */
static bool
find_headers(const uint8_t *frame, uint32_t length, struct frame_headers *h)
{
    uint16_t type = find_l3(frame, length, &h->l3_ofs);
    uint32_t min_l4;

    if (type == ETH_TYPE_IP) {
        const struct ip_header *ip = (const void *) (frame + h->l3_ofs);

        if (length < h->l3_ofs + IP_HEADER_LEN || IP_VER(ip->ip_ihl_ver) != 4
            || IP_IHL(ip->ip_ihl_ver) < 5
            || ip->ip_frag_off & htons(IP_MORE_FRAGMENTS | IP_FRAG_OFF_MASK)) {
            return false;
        }
        h->l4_ofs = h->l3_ofs + IP_IHL(ip->ip_ihl_ver) * 4;
        h->end = h->l3_ofs + ntohs(ip->ip_tot_len);
        h->proto = ip->ip_proto;
        h->is_ipv4 = true;
    } else if (type == ETH_TYPE_IPV6) {
        const struct ovs_16aligned_ip6_hdr *ip6 = (const void *) (frame
                                                                  + h->l3_ofs);

        if (length < h->l3_ofs + IPV6_HEADER_LEN) {
            return false;
        }
        h->l4_ofs = h->l3_ofs + IPV6_HEADER_LEN;
        h->end = h->l4_ofs + ntohs(ip6->ip6_ctlun.ip6_un1.ip6_un1_plen);
        h->proto = ip6->ip6_ctlun.ip6_un1.ip6_un1_nxt;
        h->is_ipv4 = false;
    } else {
        return false;
    }

    min_l4 = h->proto == IPPROTO_TCP   ? TCP_HEADER_LEN
             : h->proto == IPPROTO_UDP ? UDP_HEADER_LEN
                                       : UINT16_MAX;
    if (h->end > length || h->end < h->l4_ofs + min_l4) {
        return false;
    }
    h->payload_ofs = h->l4_ofs;
    if (h->proto == IPPROTO_TCP) {
        const struct tcp_header *tcp = (const void *) (frame + h->l4_ofs);

        h->payload_ofs += TCP_OFFSET(tcp->tcp_ctl) * 4;
        if (TCP_OFFSET(tcp->tcp_ctl) < 5 || h->end < h->payload_ofs) {
            return false;
        }
    }
    return true;
}

/* Returns the offset, from the start of its header, of the checksum of TCP or
 * UDP. */
static uint32_t
csum_field_ofs(uint8_t proto)
{
    return proto == IPPROTO_TCP ? offsetof(struct tcp_header, tcp_csum)
                                : offsetof(struct udp_header, udp_csum);
}

static ovs_be16 *
csum_field(uint8_t *frame, const struct frame_headers *h)
{
    return (ovs_be16 *) (frame + h->l4_ofs + csum_field_ofs(h->proto));
}

/* Returns the sum of the pseudo header of 'frame'. */
static uint32_t
pseudo_sum(const uint8_t *frame, const struct frame_headers *h)
{
    const uint8_t *l3 = frame + h->l3_ofs;
    uint32_t l4_length = h->end - h->l4_ofs;
    uint32_t sum;

    if (h->is_ipv4) {
        sum = csum_continue(0, l3 + offsetof(struct ip_header, ip_src), 8);
    } else {
        sum = csum_continue(
            0, l3 + offsetof(struct ovs_16aligned_ip6_hdr, ip6_src), 32);
    }
    sum = csum_add16(sum, htons(h->proto));
    sum = csum_add16(sum, htons(l4_length >> 16));
    return csum_add16(sum, htons(l4_length & 0xffff));
}

/* Makes the transport checksum of 'frame'. */
static void
fill_csum(uint8_t *frame, const struct frame_headers *h)
{
    ovs_be16 *field = csum_field(frame, h);
    ovs_be16 csum;

    put_unaligned_be16(field, 0);
    csum = csum_finish(csum_continue(pseudo_sum(frame, h), frame + h->l4_ofs,
                                     h->end - h->l4_ofs));
    if (!csum && h->proto == IPPROTO_UDP) {
        csum = htons(0xffff); /* 0 would say that there is none (RFC 768). */
    }
    put_unaligned_be16(field, csum);
}

/* Finishes a checksum of a kind that the datapath has no flag for, as the
 * guest asked for it in 'o', which has been checked. */
static void
fill_other_csum(uint8_t *frame, uint32_t length, const struct doms_offload *o)
{
    uint32_t sum = csum_continue(0, frame + o->csum_start,
                                 length - o->csum_start);
    ovs_be16 csum = csum_finish(sum);

    /* Both are zero in ones' complement, but 0 in UDP means that there is
     * no checksum. */
    put_unaligned_be16((ovs_be16 *) (frame + o->csum_start + o->csum_offset),
                       csum ? csum : htons(0xffff));
}

/* Puts what the guest said in 'o', a private copy, into the flags of 'packet',
 * which holds the frame.  Returns false if it makes no sense, or is of a kind
 * that is not in 'features'. */
bool
offload_from_guest(const struct doms_offload *o, uint64_t features,
                   struct dp_packet *packet)
{
    uint8_t gso_type = o->gso_type & ~DOMS_GSO_ECN;
    uint32_t length = dp_packet_size(packet);
    uint8_t *frame = dp_packet_data(packet);
    bool is_tcp_or_udp;
    struct frame_headers h;

    if (o->flags & ~(DOMS_OFFLOAD_NEEDS_CSUM | DOMS_OFFLOAD_DATA_VALID)) {
        return false;
    }
    if (!(o->flags & DOMS_OFFLOAD_NEEDS_CSUM)) {
        return o->gso_type == DOMS_GSO_NONE;
    }
    if (!(features & DOMS_F_CSUM)
        || (uint64_t) o->csum_start + o->csum_offset + 2 > length) {
        return false;
    }

    is_tcp_or_udp = find_headers(frame, length, &h)
                    && o->csum_start == h.l4_ofs
                    && o->csum_offset == csum_field_ofs(h.proto);
    if (o->gso_type != DOMS_GSO_NONE) {
        if (!(features & DOMS_F_TSO) || !o->gso_size || !is_tcp_or_udp
            || h.proto != IPPROTO_TCP || h.end != length
            || gso_type != (h.is_ipv4 ? DOMS_GSO_TCPV4 : DOMS_GSO_TCPV6)) {
            return false;
        }
        dp_packet_hwol_set_tcp_seg(packet);
    } else if (!is_tcp_or_udp) {
        fill_other_csum(frame, length, o);
        return true;
    }

    if (h.is_ipv4) {
        dp_packet_hwol_set_tx_ipv4(packet);
    } else {
        dp_packet_hwol_set_tx_ipv6(packet);
    }
    if (h.proto == IPPROTO_TCP) {
        dp_packet_hwol_set_csum_tcp(packet);
    } else {
        dp_packet_hwol_set_csum_udp(packet);
    }
    return true;
}

/* Finds TCP or UDP behind extension headers of IPv6 in the 'length' bytes at
 * 'frame', private memory.  Stores in 'o' where its checksum is; the sum of the
 * pseudo header stands there.  Returns false if it is not there. */
static bool
find_extended(const uint8_t *frame, uint32_t length, struct doms_offload *o)
{
    uint32_t ofs;
    uint8_t proto;

    if (find_l3(frame, length, &ofs) != ETH_TYPE_IPV6
        || length < ofs + IPV6_HEADER_LEN) {
        return false;
    }
    proto = frame[ofs + 6];
    ofs += IPV6_HEADER_LEN;
    while (proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING
           || proto == IPPROTO_DSTOPTS) {
        if (length < ofs + 8) {
            return false;
        }
        proto = frame[ofs];
        ofs += 8 + 8 * frame[ofs + 1];
    }
    o->csum_start = ofs;
    o->csum_offset = csum_field_ofs(proto);
    return (proto == IPPROTO_TCP || proto == IPPROTO_UDP) && ofs <= UINT16_MAX;
}

/* As offload_from_guest(), for a netfront: it tells that the checksum of
 * 'packet' is still to be made, not where, and in 'gso_type', a DOMS_GSO_*,
 * whether it is to be cut.  A netfront leaves IPv4 checksums to the switch
 * whatever 'features' say, so that they are made here if need be. */
bool
offload_from_netfront(uint8_t gso_type, uint64_t features,
                      struct dp_packet *packet)
{
    uint32_t length = dp_packet_size(packet);
    uint8_t *frame = dp_packet_data(packet);
    struct doms_offload o = { .flags = DOMS_OFFLOAD_NEEDS_CSUM,
                              .gso_type = gso_type,
                              .gso_size = 1 };
    struct frame_headers h;

    if (!find_headers(frame, length, &h)) {
        return find_extended(frame, length, &o)
               && offload_from_guest(&o, DOMS_F_CSUM, packet);
    }
    if (!(features & DOMS_F_CSUM)) {
        fill_csum(frame, &h);
        return gso_type == DOMS_GSO_NONE;
    }
    o.csum_start = h.l4_ofs;
    o.csum_offset = csum_field_ofs(h.proto);
    return offload_from_guest(&o, features, packet);
}

/* Returns the payload bytes of each segment, so that a segment's network
 * packet is 'mtu' bytes, or 0 if not even its headers fit. */
static uint32_t
segment_size(const struct frame_headers *h, int mtu)
{
    uint32_t headers = h->payload_ofs - h->l3_ofs;

    return headers < mtu ? mtu - headers : 0;
}

/* Decides how 'packet', which offload_is_needed(), goes to a guest with
 * 'features' over a port with 'mtu'; a frame of more than 'max_length' bytes is
 * cut up in any case.  For OFFLOAD_PASS, fills in 'o'.  May change the packet's
 * checksum. */
enum offload_verdict
offload_to_guest(struct dp_packet *packet, uint64_t features, int mtu,
                 uint32_t max_length, struct doms_offload *o)
{
    uint32_t length = dp_packet_size(packet);
    uint8_t *frame = dp_packet_data(packet);
    struct frame_headers h;
    bool segment;

    if (!find_headers(frame, length, &h)) {
        return OFFLOAD_IMPOSSIBLE;
    }
    segment = dp_packet_hwol_is_tso(packet) && h.proto == IPPROTO_TCP
              && h.end == length && length - h.l3_ofs > mtu;
    if (!segment && length - h.l3_ofs > mtu) {
        return OFFLOAD_IMPOSSIBLE;
    }
    if (segment && !segment_size(&h, mtu)) {
        return OFFLOAD_IMPOSSIBLE;
    }
    if (segment && (!(features & DOMS_F_TSO) || length > max_length)) {
        return OFFLOAD_SEGMENT;
    }
    if (!(features & DOMS_F_CSUM)) {
        fill_csum(frame, &h);
        return OFFLOAD_DONE;
    }

    memset(o, 0, sizeof *o);
    o->flags = DOMS_OFFLOAD_NEEDS_CSUM;
    o->csum_start = h.l4_ofs;
    o->csum_offset = csum_field_ofs(h.proto);
    o->hdr_len = h.payload_ofs;
    if (segment) {
        o->gso_type = h.is_ipv4 ? DOMS_GSO_TCPV4 : DOMS_GSO_TCPV6;
        o->gso_size = segment_size(&h, mtu);
    }
    /* The field must hold the pseudo header's sum.  The datapath may have
     * changed an address since the guest put it there. */
    put_unaligned_be16(csum_field(frame, &h),
                       (OVS_FORCE ovs_be16) ~(OVS_FORCE uint16_t) csum_finish(
                           pseudo_sum(frame, &h)));
    return OFFLOAD_PASS;
}

/* Turns 'segment', which has the headers of the whole frame and ends where 'h'
 * says, into segment number 'i', which starts 'ofs' bytes into the payload. */
static void
finish_segment(uint8_t *segment, const struct frame_headers *h, uint32_t i,
               uint32_t ofs, bool is_last)
{
    struct tcp_header *tcp = (void *) (segment + h->l4_ofs);
    uint16_t flags = TCP_FLAGS(tcp->tcp_ctl);
    uint32_t seq = ntohl(get_16aligned_be32(&tcp->tcp_seq));

    if (h->is_ipv4) {
        struct ip_header *ip = (void *) (segment + h->l3_ofs);

        ip->ip_tot_len = htons(h->end - h->l3_ofs);
        ip->ip_id = htons(ntohs(ip->ip_id) + i);
        ip->ip_csum = 0;
        ip->ip_csum = csum(ip, h->l4_ofs - h->l3_ofs);
    } else {
        struct ovs_16aligned_ip6_hdr *ip6 = (void *) (segment + h->l3_ofs);

        ip6->ip6_ctlun.ip6_un1.ip6_un1_plen = htons(h->end - h->l4_ofs);
    }

    put_16aligned_be32(&tcp->tcp_seq, htonl(seq + ofs));
    if (!is_last) {
        flags &= ~(TCP_FIN | TCP_PSH);
    }
    if (i) {
        flags &= ~TCP_CWR;
    }
    tcp->tcp_ctl = TCP_CTL(flags, TCP_OFFSET(tcp->tcp_ctl));
    fill_csum(segment, h);
}

/* Cuts 'packet', for which offload_to_guest() said OFFLOAD_SEGMENT, into
 * frames that fit 'mtu' and calls 'emit' with 'aux' and each of them.  Adds what
 * was taken to '*n_segments' and '*n_bytes'.  Returns false if 'emit' took one
 * no more; the receiver's TCP asks for the rest again. */
bool
offload_segment(const struct dp_packet *packet, int mtu,
                offload_emit_func *emit, void *aux, uint32_t *n_segments,
                uint64_t *n_bytes)
{
    uint8_t
        segment[DOMS_MTU_MAX + ETH_HEADER_LEN + MAX_VLANS * VLAN_HEADER_LEN];
    const uint8_t *frame = dp_packet_data(packet);
    uint32_t length = dp_packet_size(packet);
    struct frame_headers h;
    uint32_t payload, size;

    if (!find_headers(frame, length, &h) || mtu > DOMS_MTU_MAX) {
        return true;
    }
    size = segment_size(&h, mtu);
    payload = h.end - h.payload_ofs;
    for (uint32_t i = 0, ofs = 0; ofs < payload; i++, ofs += size) {
        uint32_t n = MIN(size, payload - ofs);

        memcpy(segment, frame, h.payload_ofs);
        memcpy(segment + h.payload_ofs, frame + h.payload_ofs + ofs, n);
        h.end = h.payload_ofs + n;
        finish_segment(segment, &h, i, ofs, ofs + n == payload);
        if (!emit(aux, segment, h.payload_ofs + n)) {
            return false;
        }
        *n_segments += 1;
        *n_bytes += h.payload_ofs + n;
    }
    return true;
}
