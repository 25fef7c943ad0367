/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a netfront asks for: the requests of its transmit ring, one frame after
 * the other.
 *
 * A frame is a chain of slots of the ring (Xen's public io/netif.h, "Guest
 * transmit"): a first request, with the size of the whole frame; extra info,
 * if the first request says so; then further requests, as long as the one
 * before says that there is more.  Each request names a piece of one granted
 * page.
 *
 * A caller copies each slot out of the shared ring, once, and hands the copy
 * to netif_frame_add().  So this module sees private memory only, calls
 * nothing, and can be tested without Xen.  Once it says NETIF_COMPLETE, each
 * piece lies within its page, and the pieces' lengths add up to the frame's.
 *
 * Slots that no netfront makes are a broken rule, after which the ring is not
 * used any more; where one could be made by an honest mistake, only the frame
 * is refused.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef DOMS_NETIF_REQUEST_H
#define DOMS_NETIF_REQUEST_H 1

#include <stdbool.h>
#include <stdint.h>

#include <xen/io/netif.h>

/* Bytes of a granted page. */
#define NETIF_PAGE_SIZE 4096

/* Requests in a frame at most, extra info apart. */
#define NETIF_MAX_PIECES XEN_NETIF_NR_SLOTS_MIN

/* Slots of a frame at most: each kind of extra info comes once. */
#define NETIF_MAX_SLOTS (NETIF_MAX_PIECES + XEN_NETIF_EXTRA_TYPE_MAX - 1)

/* A slot of the transmit ring. */
union netif_slot {
    struct netif_tx_request request;
    struct netif_extra_info extra;
    uint32_t words[3];
};

/* A part of a frame: bytes of one granted page. */
struct netif_piece {
    uint32_t reference; /* The grant. */
    uint16_t offset;    /* In the page. */
    uint16_t length;    /* May be 0. */
    uint16_t id;        /* Of the request, for its response. */
};

/* What becomes of a frame. */
enum netif_verdict {
    NETIF_MORE,     /* It goes on in the next slot. */
    NETIF_COMPLETE, /* It is to be sent. */
    NETIF_REFUSED,  /* It is whole, and not to be sent: see 'why'. */
    NETIF_BROKEN,   /* A rule is broken: see 'why'. */
};

struct netif_frame {
    /* Of the frame, once it is NETIF_COMPLETE. */
    uint32_t length;  /* Bytes. */
    uint8_t gso_type; /* XEN_NETIF_GSO_TYPE_*: is it to be cut? */
    bool csum_blank;  /* Is its checksum still to be made? */
    uint32_t n_pieces;
    struct netif_piece pieces[NETIF_MAX_PIECES];

    /* How far it is. */
    uint32_t n_extras;    /* Slots of extra info so far. */
    uint32_t extras_seen; /* Bit n: XEN_NETIF_EXTRA_TYPE n. */
    uint32_t left;        /* Bytes that no piece after the first has. */
    bool in_extras;       /* Is the next slot extra info? */
    bool more;            /* Is there another request? */
    const char *why;      /* Refused or broken, and why; static. */
};

void netif_frame_begin(struct netif_frame *);
enum netif_verdict netif_frame_add(struct netif_frame *,
                                   const union netif_slot *);
uint32_t netif_frame_respond(const struct netif_frame *, int16_t status,
                             struct netif_tx_response *);

#endif /* doms/netif-request.h */
