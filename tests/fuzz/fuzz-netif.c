/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what a netfront asks for: the input is its transmit ring, a slot of
 * 12 bytes after the other.
 *
 * The slots go into frames as domsd takes them.  A frame that is complete must
 * hold what the rest of the program relies on: its pieces lie within their
 * pages, are as long as the frame together, and can be copied into a packet;
 * it and one that is refused are answered with one response a slot, and fit
 * the arrays that domsd has for a ring.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined, or with
 * -DDOMS_FUZZ_MAIN for a program that runs the files that it is given.
 */
#define _GNU_SOURCE

#include "doms/netif-request.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(COND) ((COND) ? (void) 0 : abort())

/* Slots of a ring. */
#define N_SLOTS 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Copies the pieces of 'f', which is complete, into a packet of its length, as
 * the hypervisor does. */
static void
copy_pieces(const struct netif_frame *f)
{
    static const uint8_t page[NETIF_PAGE_SIZE];
    uint8_t *packet = malloc(f->length);
    uint32_t n = 0;

    CHECK(packet != NULL);
    for (uint32_t i = 0; i < f->n_pieces; i++) {
        const struct netif_piece *piece = &f->pieces[i];

        CHECK(piece->offset + piece->length <= NETIF_PAGE_SIZE);
        CHECK(piece->length <= f->length - n);
        memcpy(packet + n, page + piece->offset, piece->length);
        n += piece->length;
    }
    CHECK(n == f->length);
    free(packet);
}

static void
check_complete(const struct netif_frame *f)
{
    CHECK(!f->why);
    CHECK(f->length >= 14 && f->length <= XEN_NETIF_MAX_TX_SIZE);
    CHECK(f->gso_type <= XEN_NETIF_GSO_TYPE_TCPV6);
    copy_pieces(f);
}

/* Checks that each of the 'n_slots' slots of 'f' is answered. */
static void
check_responses(const struct netif_frame *f, uint32_t n_slots)
{
    /* As long as the responses may be, so that a sanitizer sees more. */
    struct netif_tx_response *responses = malloc(NETIF_MAX_SLOTS
                                                 * sizeof *responses);
    uint32_t n, n_null = 0;

    CHECK(responses != NULL);
    CHECK(n_slots <= NETIF_MAX_SLOTS);
    n = netif_frame_respond(f, NETIF_RSP_OKAY, responses);
    CHECK(n == n_slots);
    for (uint32_t i = 0; i < n; i++) {
        n_null += responses[i].status == NETIF_RSP_NULL;
    }
    CHECK(n_null == f->n_extras && n - n_null == f->n_pieces);
    free(responses);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum netif_verdict verdict = NETIF_COMPLETE;
    struct netif_frame f;
    uint32_t n_slots = 0;

    /* Nothing is to be left of what was there. */
    memset(&f, 0xa5, sizeof f);
    for (size_t i = 0; i < N_SLOTS && size >= sizeof(union netif_slot); i++) {
        union netif_slot slot;

        memcpy(&slot, data, sizeof slot);
        data += sizeof slot;
        size -= sizeof slot;
        if (verdict != NETIF_MORE) {
            netif_frame_begin(&f);
            n_slots = 0;
        }
        verdict = netif_frame_add(&f, &slot);
        n_slots++;
        CHECK(f.n_pieces >= 1 && f.n_pieces <= NETIF_MAX_PIECES);
        if (verdict == NETIF_BROKEN) {
            CHECK(f.why != NULL);
            return 0; /* domsd does not use this ring any more. */
        }
        if (verdict == NETIF_COMPLETE) {
            check_complete(&f);
        }
        if (verdict != NETIF_MORE) {
            CHECK((verdict == NETIF_REFUSED) == (f.why != NULL));
            check_responses(&f, n_slots);
        }
    }
    return 0;
}

#ifdef DOMS_FUZZ_MAIN
#include "fuzz-main.h"
#endif
