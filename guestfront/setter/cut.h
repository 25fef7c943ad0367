/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cutting a TCP frame that is still to be segmented into shorter ones.
 *
 * A VM may hand over 64 KB at once, which is more than a record holds, and a
 * switch without segmentation offload needs finished segments.  Both come to
 * the same: pieces of the payload, each behind a copy of the headers with its
 * own lengths, sequence number and checksums.
 *
 * The headers are a private copy, so nothing that the VM does meanwhile
 * matters.
 *
 * Thread-safety: the functions keep no state but in what they are given.
 */

#ifndef DOMS_SETTER_CUT_H
#define DOMS_SETTER_CUT_H 1

#include <stdbool.h>
#include <stdint.h>

#include "guestfront/lib/domsfront.h"

/* The longest headers: Ethernet, two VLAN tags, IPv6 with extensions, TCP. */
#define CUT_HEADERS_MAX 256

/* A frame to be cut. */
struct cut {
    uint8_t headers[CUT_HEADERS_MAX]; /* The frame's. */
    uint32_t headers_size;            /* Bytes of them. */
    uint32_t payload_size;            /* Bytes behind them. */
    uint32_t gso_size;                /* Payload bytes of a segment. */
    uint32_t l3, l4;                  /* Offsets of the IP and TCP headers. */
    bool is_ipv6;
};

bool cut_init(struct cut *, const uint8_t *start, uint32_t n_start,
              uint32_t length, const struct domsfront_offload *);
void cut_make_headers(const struct cut *, uint32_t ofs, uint32_t n,
                      uint8_t *headers);
void cut_fill_checksum(uint8_t *frame, uint32_t length, uint32_t start,
                       uint32_t offset);

#endif /* cut.h */
