/* SPDX-License-Identifier: Apache-2.0 */
#include "cut.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

/* Bits of the byte with TCP's flags. */
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

static uint16_t
get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static void
put16(uint8_t *p, uint16_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static uint32_t
get32(const uint8_t *p)
{
    return (uint32_t) get16(p) << 16 | get16(p + 2);
}

static void
put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value);
}

static uint16_t
fold(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Adds the 'n' bytes at 'p' to the Internet checksum 'sum', not yet folded. */
static uint64_t
add_bytes(uint64_t sum, const uint8_t *p, uint32_t n)
{
    uint8_t rest[4] = { 0 };
    uint64_t words = 0;
    uint32_t word;

    /* In any byte order the sum is the same, but for its own byte order. */
    for (; n >= 4; n -= 4, p += 4) {
        memcpy(&word, p, 4);
        words += word;
    }
    memcpy(rest, p, n);
    memcpy(&word, rest, 4);
    return sum + ntohs(fold(words + word));
}

/* Fills in the checksum of 'frame', of 'length' bytes, which covers all from
 * 'start' on, and whose field, 'offset' from there, has the pseudo header's
 * sum.  The field must lie within the frame. */
void
cut_fill_checksum(uint8_t *frame, uint32_t length, uint32_t start,
                  uint32_t offset)
{
    uint16_t sum = ~fold(add_bytes(0, frame + start, length - start));

    /* UDP takes 0 for none. */
    put16(frame + start + offset, sum ? sum : 0xffff);
}

/* Finds the offset of the IP header in 'c->headers'.  Returns its type of
 * Ethernet. */
static uint16_t
find_l3(struct cut *c, uint32_t n)
{
    uint16_t type;

    c->l3 = 14;
    type = get16(c->headers + 12);
    while ((type == ETH_P_8021Q || type == ETH_P_8021AD) && c->l3 + 4 <= n) {
        type = get16(c->headers + c->l3 + 2);
        c->l3 += 4;
    }
    return type;
}

/* Makes '*c' the frame of 'length' bytes with offload fields 'o', whose first
 * 'n_start' bytes are at 'start'; CUT_HEADERS_MAX, or all, are enough.
 * Returns false if it is no TCP frame that can be cut. */
bool
cut_init(struct cut *c, const uint8_t *start, uint32_t n_start,
         uint32_t length, const struct domsfront_offload *o)
{
    uint32_t n = n_start < CUT_HEADERS_MAX ? n_start : CUT_HEADERS_MAX;
    uint16_t type;

    memcpy(c->headers, start, n);
    c->l4 = o->csum_start;
    c->gso_size = o->gso_size;
    if (n < 14 || !o->gso_size || !(o->flags & DOMSFRONT_CSUM_NEEDED)
        || o->csum_offset != 16 || c->l4 + 20 > n) {
        return false;
    }
    type = find_l3(c, n);
    c->is_ipv6 = type == ETH_P_IPV6;
    c->headers_size = c->l4 + (c->headers[c->l4 + 12] >> 4) * 4;
    if (c->headers_size < c->l4 + 20 || c->headers_size > n
        || c->headers_size >= length) {
        return false;
    }
    c->payload_size = length - c->headers_size;
    if (c->is_ipv6) {
        return c->l3 + 40 <= c->l4;
    }
    return type == ETH_P_IP && c->l3 + 20 <= c->l4
           && c->headers[c->l3 + 9] == IPPROTO_TCP
           && c->l3 + (c->headers[c->l3] & 15) * 4 == c->l4;
}

/* Makes the IP header at 'ip' that of segment number 'number', with 'size'
 * bytes from its start on. */
static void
make_ip(const struct cut *c, uint8_t *ip, uint32_t size, uint32_t number)
{
    if (c->is_ipv6) {
        put16(ip + 4, size - 40);
    } else {
        put16(ip + 2, size);
        put16(ip + 4, get16(ip + 4) + number);
        put16(ip + 10, 0);
        put16(ip + 10, ~fold(add_bytes(0, ip, c->l4 - c->l3)));
    }
}

/* Returns the sum of the pseudo header of a TCP segment of 'size' bytes, whose
 * IP header is at 'ip'. */
static uint16_t
pseudo_sum(const struct cut *c, const uint8_t *ip, uint32_t size)
{
    uint64_t sum = c->is_ipv6 ? add_bytes(0, ip + 8, 32)
                              : add_bytes(0, ip + 12, 8);

    return fold(sum + size + IPPROTO_TCP);
}

/* Makes the headers of the piece of 'n' payload bytes from 'ofs' on, at
 * 'headers', where 'c->headers_size' bytes fit.  TCP's checksum is still to be
 * made. */
void
cut_make_headers(const struct cut *c, uint32_t ofs, uint32_t n,
                 uint8_t *headers)
{
    uint8_t *ip = headers + c->l3;
    uint8_t *tcp = headers + c->l4;

    memcpy(headers, c->headers, c->headers_size);
    make_ip(c, ip, c->headers_size - c->l3 + n, ofs / c->gso_size);
    put32(tcp + 4, get32(tcp + 4) + ofs);
    if (ofs + n < c->payload_size) {
        tcp[13] &= ~(TCP_FIN | TCP_PSH);
    }
    if (ofs) {
        tcp[13] &= ~TCP_CWR;
    }
    put16(tcp + 16, pseudo_sum(c, ip, c->headers_size - c->l4 + n));
}
