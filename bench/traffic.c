/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/traffic.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define ETH_BYTES 14
#define IP_BYTES 20
#define UDP_BYTES 8
#define VXLAN_BYTES 8
#define VXLAN_PORT 4789
#define VXLAN_SRC_PORT 50000 /* Of what guest B sends encapsulated. */

#if __x86_64__
/* What touches frames is compiled for CPUs with and without 64-byte registers,
 * and the right one picked when the program starts, as domsd does. */
#define FOR_EACH_ISA __attribute__((target_clones("avx512f", "default")))
#else
#define FOR_EACH_ISA
#endif
#define LINES_MAX 1536 /* Bytes up to which lines are faster than memcpy(). */

typedef uint8_t line __attribute__((vector_size(64), aligned(1)));
typedef uint64_t words __attribute__((vector_size(64), aligned(1)));

static const uint8_t macs[2][6] = {
    { 0x02, 0, 0, 0, 0, 0x0a },
    { 0x02, 0, 0, 0, 0, 0x0b },
};
static const uint32_t ips[2] = { 0x0a00000a, 0x0a00000b }; /* 10.0.0.10, 11. */

/* The tunnel's ends: the switch's, and guest B as the other host. */
static const uint8_t vtep_macs[2][6] = {
    { 0x02, 0, 0, 0, 1, 0x0a },
    { 0x02, 0, 0, 0, 1, 0x0b },
};
static const uint32_t vtep_ips[2] = { 0xac10000a, 0xac10000b }; /* 172.16. */

static void
put16(uint8_t *p, uint16_t value)
{
    value = htons(value);
    memcpy(p, &value, sizeof value);
}

static void
put32(uint8_t *p, uint32_t value)
{
    value = htonl(value);
    memcpy(p, &value, sizeof value);
}

/* Returns the IP header's checksum. */
static uint16_t
ip_checksum(const uint8_t *ip)
{
    uint32_t sum = 0;

    for (int i = 0; i < IP_BYTES; i += 2) {
        sum += ip[i] << 8 | ip[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return ~(sum + (sum >> 16));
}

/* Writes Ethernet, IPv4 and UDP headers for a frame of 'size' bytes, without a
 * UDP checksum, which IPv4 allows. */
static void
put_headers(uint8_t *frame, unsigned int size, const uint8_t *dst_mac,
            const uint8_t *src_mac, uint32_t src_ip, uint32_t dst_ip)
{
    uint8_t *ip = frame + ETH_BYTES;
    uint8_t *udp = ip + IP_BYTES;

    memcpy(frame, dst_mac, 6);
    memcpy(frame + 6, src_mac, 6);
    put16(frame + 12, 0x0800);

    memset(ip, 0, IP_BYTES);
    ip[0] = 0x45;
    put16(ip + 2, size - ETH_BYTES);
    ip[8] = 64; /* Time to live. */
    ip[9] = IPPROTO_UDP;
    put32(ip + 12, src_ip);
    put32(ip + 16, dst_ip);
    put16(ip + 10, ip_checksum(ip));

    memset(udp, 0, UDP_BYTES);
    put16(udp + 4, size - ETH_BYTES - IP_BYTES);
}

/* Makes 't' ready to send frames of 'size' bytes, TRAFFIC_MIN to TRAFFIC_MAX,
 * of 'n_flows' flows. */
void
traffic_init(struct traffic *t, enum traffic_direction direction,
             unsigned int size, unsigned int n_flows, bool copied)
{
    int from = direction == TRAFFIC_AB ? 0 : 1;
    uint32_t ports = traffic_ports(0);

    t->size = size;
    t->n_flows = n_flows ? n_flows : 1;
    t->next = 0;
    t->copied = copied;
    for (unsigned int i = 0; i < sizeof t->frame; i++) {
        t->frame[i] = i;
    }
    put_headers(t->frame, size, macs[!from], macs[from], ips[from],
                ips[!from]);
    memcpy(t->frame + TRAFFIC_PORTS_OFS, &ports, sizeof ports);
}

/* Wraps the frame of 't', of one flow, in VXLAN, as the other host's switch
 * would that sends it to this one. */
void
traffic_encapsulate(struct traffic *t)
{
    uint8_t *udp = t->frame + ETH_BYTES + IP_BYTES;

    memmove(t->frame + TRAFFIC_TUNNEL_BYTES, t->frame, t->size);
    t->size += TRAFFIC_TUNNEL_BYTES;
    put_headers(t->frame, t->size, vtep_macs[0], vtep_macs[1], vtep_ips[1],
                vtep_ips[0]);
    put16(udp, VXLAN_SRC_PORT);
    put16(udp + 2, VXLAN_PORT);
    memset(udp + UDP_BYTES, 0, VXLAN_BYTES);
    udp[UDP_BYTES] = 0x08; /* The network's number, 0, is valid. */
}

/* Writes a frame's first 64 bytes, or all of it. */
static inline __attribute__((always_inline)) void
put_frame(const struct traffic *t, uint8_t *place)
{
    uint32_t size = t->copied ? t->size : TRAFFIC_HEAD;

    if (size > LINES_MAX) {
        memcpy(place, t->frame, size);
        return;
    }
    for (uint32_t ofs = 0; ofs + 64 <= size; ofs += 64) {
        *(line *) (place + ofs) = *(const line *) (t->frame + ofs);
    }
    if (size % 64) {
        *(line *) (place + size - 64) = *(const line *) (t->frame + size - 64);
    }
}

/* Writes the next 'n' frames, each of t->size bytes, to 'places'. */
FOR_EACH_ISA void
traffic_put(struct traffic *t, void *const *places, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        put_frame(t, places[i]);
    }
    if (t->n_flows > 1) {
        for (unsigned int i = 0; i < n; i++) {
            uint32_t ports = traffic_ports(t->next);

            memcpy((uint8_t *) places[i] + TRAFFIC_PORTS_OFS, &ports,
                   sizeof ports);
            t->next = t->next + 1 < t->n_flows ? t->next + 1 : 0;
        }
    }
}

/* Returns a sum over all bytes at 'data'. */
FOR_EACH_ISA uint64_t
traffic_sum(const void *data, uint32_t length)
{
    const uint8_t *p = data;
    words sums = { 0 };
    uint64_t sum = 0;

    for (; length >= sizeof sums; length -= sizeof sums) {
        sums += *(const words *) p;
        p += sizeof sums;
    }
    for (unsigned int i = 0; i < sizeof sums / sizeof sum; i++) {
        sum += sums[i];
    }
    while (length--) {
        sum += *p++;
    }
    return sum;
}
