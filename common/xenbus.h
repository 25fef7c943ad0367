/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the two ends of the xenbus door have in common: the names of the
 * xenstore keys by which a front and domsd agree on a channel, and the
 * directory pages by which the front tells the grants of the channel's pages.
 *
 * docs/protocol.md, "The xenbus door", has the handshake and its states.
 *
 * A directory page is written by the front before it writes DOMS_XS_REFERENCE,
 * and is granted read-only.  domsd maps it, copies it once into private
 * memory, unmaps it, and only then checks the copy.
 */

#ifndef DOMS_COMMON_XENBUS_H
#define DOMS_COMMON_XENBUS_H 1

#include "abi.h"
#include "channel.h"

/* The device class: device/doms/HANDLE, backend/doms/DOMID/HANDLE. */
#define DOMS_XS_CLASS "doms"

/* Keys of the backend's directory that domsd writes.  A feature's key is "1"
 * if it is offered; anything else, or its absence, means that it is not. */
#define DOMS_XS_VERSION "version"       /* DOMS_XENBUS_VERSION. */
#define DOMS_XS_MAX_QUEUES "max-queues" /* Queue pairs at most. */
#define DOMS_XS_ARENA "arena"           /* Bytes that each arena must have. */
#define DOMS_XS_MAC "mac"               /* The guest's address. */
#define DOMS_XS_MTU "mtu"               /* Bytes of payload of a frame. */
#define DOMS_XS_LINK "link"   /* "1", or "0": the port is set down. */
#define DOMS_XS_ERROR "error" /* Why domsd has closed, or "". */

/* Keys of the front's directory that the front writes, besides
 * DOMS_XS_VERSION, DOMS_XS_ARENA and the features. */
#define DOMS_XS_QUEUES "queues"       /* Queue pairs, at most max-queues. */
#define DOMS_XS_EPOCH "epoch"         /* The front's life; not 0. */
#define DOMS_XS_REFERENCE "reference" /* Grant of the first directory page. */

/* Either side. */
#define DOMS_XS_FEATURE_CSUM "feature-csum" /* DOMS_F_CSUM. */
#define DOMS_XS_FEATURE_TSO "feature-tso"   /* DOMS_F_TSO. */

/* The version of the handshake.  An end that finds another closes, and says
 * which versions there are. */
#define DOMS_XENBUS_VERSION 1

/* Grants in a directory page. */
#define DOMS_DIRECTORY_REFS 1020u

/* A directory page.  The grants of all pages taken together are those of the
 * front's group, in the order of its pages, then those of the switch's group.
 * A page but the last is full. */
struct doms_directory {
    uint32_t magic;  /* DOMS_ABI_MAGIC. */
    uint32_t epoch;  /* As in DOMS_XS_EPOCH. */
    uint32_t n_refs; /* Grants in 'refs' of this page. */
    uint32_t next;   /* Grant of the next directory page, 0 in the last. */
    uint32_t refs[DOMS_DIRECTORY_REFS];
};

DOMS_STATIC_ASSERT(sizeof(struct doms_directory) == DOMS_PAGE_SIZE);

/* Returns the grants that a channel of geometry 'g' takes, without those of
 * its directory. */
static inline uint32_t
doms_xenbus_n_refs(const struct doms_geometry *g)
{
    return 2 * (doms_group_size(g) / DOMS_PAGE_SIZE);
}

/* Returns the directory pages for 'n_refs' grants. */
static inline uint32_t
doms_xenbus_n_directory_pages(uint32_t n_refs)
{
    return (n_refs + DOMS_DIRECTORY_REFS - 1) / DOMS_DIRECTORY_REFS;
}

/* Returns the number of grants in 'page', a private copy of a directory page,
 * when 'n_left' of them, at least 1, are still to come and the front's epoch
 * is 'epoch'; or 0 if the page is malformed. */
static inline uint32_t
doms_directory_check(const struct doms_directory *page, uint32_t epoch,
                     uint32_t n_left)
{
    uint32_t n = n_left < DOMS_DIRECTORY_REFS ? n_left : DOMS_DIRECTORY_REFS;

    if (page->magic != DOMS_ABI_MAGIC || page->epoch != epoch
        || page->n_refs != n || !page->next != (n == n_left)) {
        return 0;
    }
    return n;
}

#endif /* common/xenbus.h */
