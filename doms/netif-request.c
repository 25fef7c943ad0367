/* SPDX-License-Identifier: Apache-2.0 */
#include "doms/netif-request.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of an Ethernet header. */
#define HEADER_SIZE 14

/* Begins with a frame, of which nothing is known. */
void
netif_frame_begin(struct netif_frame *f)
{
    f->length = f->left = 0;
    f->gso_type = XEN_NETIF_GSO_TYPE_NONE;
    f->csum_blank = f->in_extras = f->more = false;
    f->n_pieces = f->n_extras = f->extras_seen = 0;
    f->why = NULL;
}

static enum netif_verdict
broken(struct netif_frame *f, const char *why)
{
    f->why = why;
    return NETIF_BROKEN;
}

/* Refuses 'f', of which slots may be still to come. */
static void
refuse(struct netif_frame *f, const char *why)
{
    if (!f->why) {
        f->why = why;
    }
}

/* Is called after each slot that breaks no rule.  The length of the first
 * piece is known when all others are. */
static enum netif_verdict
verdict(struct netif_frame *f)
{
    struct netif_piece *first = &f->pieces[0];

    if (f->in_extras || f->more) {
        return NETIF_MORE;
    }
    first->length = f->left;
    if (first->offset + f->left > NETIF_PAGE_SIZE) {
        return broken(f, "a piece that goes beyond its page");
    }
    return f->why ? NETIF_REFUSED : NETIF_COMPLETE;
}

/* Adds the piece of the request 'r', of 'length' bytes. */
static void
add_piece(struct netif_frame *f, const struct netif_tx_request *r,
          uint16_t length)
{
    f->pieces[f->n_pieces++] = (struct netif_piece){
        .reference = r->gref,
        .offset = r->offset,
        .length = length,
        .id = r->id,
    };
    f->more = (r->flags & NETTXF_more_data) != 0;
}

static enum netif_verdict
add_first(struct netif_frame *f, const struct netif_tx_request *r)
{
    f->length = f->left = r->size;
    f->csum_blank = (r->flags & NETTXF_csum_blank) != 0;
    f->in_extras = (r->flags & NETTXF_extra_info) != 0;
    add_piece(f, r, 0);
    if (f->length < HEADER_SIZE) {
        refuse(f, "a frame shorter than its header");
    }
    return verdict(f);
}

static enum netif_verdict
add_rest(struct netif_frame *f, const struct netif_tx_request *r)
{
    if (f->n_pieces == NETIF_MAX_PIECES) {
        return broken(f, "a frame of too many requests");
    }
    if (r->offset + r->size > NETIF_PAGE_SIZE) {
        return broken(f, "a piece that goes beyond its page");
    }
    if (r->size > f->left) {
        refuse(f, "pieces longer than their frame");
        f->left = 0;
    } else {
        f->left -= r->size;
    }
    add_piece(f, r, r->size);
    return verdict(f);
}

static enum netif_verdict
add_extra(struct netif_frame *f, const struct netif_extra_info *extra)
{
    if (extra->type == XEN_NETIF_EXTRA_TYPE_NONE
        || extra->type >= XEN_NETIF_EXTRA_TYPE_MAX) {
        return broken(f, "extra info of a type that there is not");
    }
    if (f->extras_seen & 1u << extra->type) {
        return broken(f, "extra info twice");
    }
    f->extras_seen |= 1u << extra->type;
    f->n_extras++;
    f->in_extras = (extra->flags & XEN_NETIF_EXTRA_FLAG_MORE) != 0;
    switch (extra->type) {
    case XEN_NETIF_EXTRA_TYPE_GSO:
        if (extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4
            && extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6) {
            return broken(f, "a type of segmentation that there is not");
        }
        if (!extra->u.gso.size) {
            return broken(f, "segments of no bytes");
        }
        f->gso_type = extra->u.gso.type;
        break;
    case XEN_NETIF_EXTRA_TYPE_MCAST_ADD:
    case XEN_NETIF_EXTRA_TYPE_MCAST_DEL:
        /* Of a filter that was not offered; there is no frame with it. */
        refuse(f, "a multicast filter, which was not offered");
        break;
    case XEN_NETIF_EXTRA_TYPE_HASH:
    default:
        break; /* Nothing that the switch needs. */
    }
    return verdict(f);
}

/* Adds 'slot', private memory, to 'f'.  After any other verdict than
 * NETIF_MORE, netif_frame_begin() is to be called for the next. */
enum netif_verdict
netif_frame_add(struct netif_frame *f, const union netif_slot *slot)
{
    if (!f->n_pieces) {
        return add_first(f, &slot->request);
    }
    return f->in_extras ? add_extra(f, &slot->extra)
                        : add_rest(f, &slot->request);
}

/* Stores the responses to all slots of 'f', which is whole, with 'status',
 * NETIF_RSP_*, into 'responses', which has room for NETIF_MAX_SLOTS.  Returns
 * how many they are: as many as slots. */
uint32_t
netif_frame_respond(const struct netif_frame *f, int16_t status,
                    struct netif_tx_response *responses)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->n_pieces; i++) {
        responses[n++] = (struct netif_tx_response){
            .id = f->pieces[i].id,
            .status = status,
        };
        for (uint32_t j = 0; !i && j < f->n_extras; j++) {
            responses[n++] = (struct netif_tx_response){
                .status = NETIF_RSP_NULL,
            };
        }
    }
    return n;
}
