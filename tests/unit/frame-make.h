/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames for tests, made and checked byte by byte, without any of the code
 * that the tests are about.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef TESTS_UNIT_FRAME_MAKE_H
#define TESTS_UNIT_FRAME_MAKE_H 1

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FRAME_TCP 6
#define FRAME_UDP 17
#define FRAME_ICMP6 58

#define FRAME_FIN 0x001
#define FRAME_PSH 0x008
#define FRAME_ACK 0x010
#define FRAME_ECE 0x040
#define FRAME_CWR 0x080

/* What a frame is to be like. */
struct frame_spec {
    unsigned int n_vlans;     /* VLAN tags. */
    bool v6;                  /* IPv6, not IPv4. */
    unsigned int ip_options;  /* 32-bit words of IPv4 options. */
    unsigned int ip6_ext;     /* 8-byte IPv6 destination options headers. */
    uint16_t fragment;        /* IPv4: flags and offset. */
    uint8_t proto;            /* FRAME_*. */
    unsigned int tcp_options; /* 32-bit words. */
    uint16_t tcp_flags;       /* FRAME_*. */
    uint32_t seq;             /* TCP. */
    uint16_t ip_id;           /* IPv4. */
    uint32_t payload;         /* Bytes. */
    uint32_t padding;         /* Zero bytes after the IP packet. */
};

struct frame {
    uint8_t bytes[65536 + 64];
    uint32_t length; /* Of the frame. */
    uint32_t l3;     /* Where the IP header is. */
    uint32_t l4;     /* Where the transport header is. */
    uint32_t csum;   /* Where the transport checksum is. */
    uint32_t data;   /* Where the payload is. */
    uint32_t end;    /* Of the IP packet. */
};

static inline void
frame_put16(uint8_t *p, uint32_t value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static inline uint32_t
frame_get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static inline uint32_t
frame_get32(const uint8_t *p)
{
    return frame_get16(p) << 16 | frame_get16(p + 2);
}

/* Returns the ones' complement sum of 'sum' and the 'n' bytes at 'p', folded
 * to 16 bits. */
static inline uint32_t
frame_sum(uint64_t sum, const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        sum += i & 1 ? p[i] : p[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Returns the sum of the pseudo header of 'f', whose IP packet has 'proto'
 * after all extension headers. */
static inline uint32_t
frame_pseudo_sum(const struct frame *f, bool v6, uint8_t proto)
{
    const uint8_t *addresses = f->bytes + f->l3 + (v6 ? 8 : 12);

    return frame_sum(proto + (f->end - f->l4), addresses, v6 ? 32 : 8);
}

/* Returns true if the transport checksum of 'f' is right. */
static inline bool
frame_csum_is_right(const struct frame *f, bool v6, uint8_t proto)
{
    return frame_sum(frame_pseudo_sum(f, v6, proto), f->bytes + f->l4,
                     f->end - f->l4)
           == 0xffff;
}

/* Returns byte 'i' of every payload. */
static inline uint8_t
frame_payload_byte(uint32_t i)
{
    return i * 31 ^ i >> 8 ^ i >> 16;
}

static inline void
frame_make_ip__(struct frame *f, const struct frame_spec *s)
{
    uint8_t *ip = f->bytes + f->l3;
    uint32_t header = 20 + 4 * s->ip_options;

    if (s->v6) {
        ip[0] = 0x60;
        frame_put16(ip + 4, f->end - f->l3 - 40);
        ip[6] = s->ip6_ext ? 60 : s->proto;
        ip[7] = 64;
        for (int i = 8; i < 40; i++) {
            ip[i] = 0x20 + i;
        }
        for (unsigned int i = 0; i < s->ip6_ext; i++) {
            uint8_t *ext = ip + 40 + 8 * i;

            ext[0] = i + 1 < s->ip6_ext ? 60 : s->proto;
            ext[2] = 1; /* PadN, of 4 bytes. */
            ext[3] = 4;
        }
        return;
    }
    ip[0] = 0x40 | header / 4;
    frame_put16(ip + 2, f->end - f->l3);
    frame_put16(ip + 4, s->ip_id);
    frame_put16(ip + 6, s->fragment);
    ip[8] = 64;
    ip[9] = s->proto;
    for (int i = 12; i < 20; i++) {
        ip[i] = 0xa0 + i;
    }
    memset(ip + 20, 1, 4 * s->ip_options); /* No operation. */
    frame_put16(ip + 10, ~frame_sum(0, ip, header) & 0xffff);
}

/* Makes 'f' a frame like 's'.  Its transport checksum field is 0xdead. */
static inline void
frame_make(struct frame *f, const struct frame_spec *s)
{
    uint32_t header = s->proto == FRAME_TCP ? 20 + 4 * s->tcp_options : 8;
    uint8_t *l4;

    memset(f, 0, sizeof *f);
    f->l3 = 14 + 4 * s->n_vlans;
    f->l4 = f->l3 + (s->v6 ? 40 + 8 * s->ip6_ext : 20 + 4 * s->ip_options);
    f->data = f->l4 + header;
    f->end = f->data + s->payload;
    f->length = f->end + s->padding;
    f->csum = f->l4
              + (s->proto == FRAME_TCP   ? 16
                 : s->proto == FRAME_UDP ? 6
                                         : 2);

    for (int i = 0; i < 12; i++) {
        f->bytes[i] = 2 * (i + 1);
    }
    for (unsigned int i = 0; i < s->n_vlans; i++) {
        frame_put16(f->bytes + 12 + 4 * i,
                    i + 1 < s->n_vlans ? 0x88a8 : 0x8100);
        frame_put16(f->bytes + 14 + 4 * i, 100 + i);
    }
    frame_put16(f->bytes + f->l3 - 2, s->v6 ? 0x86dd : 0x0800);
    frame_make_ip__(f, s);

    l4 = f->bytes + f->l4;
    frame_put16(l4, 40000);
    frame_put16(l4 + 2, 443);
    if (s->proto == FRAME_TCP) {
        frame_put16(l4 + 4, s->seq >> 16);
        frame_put16(l4 + 6, s->seq & 0xffff);
        frame_put16(l4 + 12, (header / 4) << 12 | s->tcp_flags);
        memset(l4 + 20, 1, 4 * s->tcp_options);
    } else if (s->proto == FRAME_UDP) {
        frame_put16(l4 + 4, 8 + s->payload);
    }
    frame_put16(f->bytes + f->csum, 0xdead);
    for (uint32_t i = 0; i < s->payload; i++) {
        f->bytes[f->data + i] = frame_payload_byte(i);
    }
}

#endif /* tests/unit/frame-make.h */
