/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page in which DomS beats.
 *
 * DomS grants it to Dom0 for reading, and names the grant in xenstore.  The
 * page is DomS's to write at any time, so each word of it is read once a look,
 * and nothing in it leads anywhere.
 *
 * As long as the page is mapped, a dead DomS stays a zombie: unmap it with
 * heart_close() as soon as DomS is no longer alive.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_DOMS_WATCHDOG_HEART_H
#define TOOLS_DOMS_WATCHDOG_HEART_H 1

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>
#include <xenstore.h>

struct heart {
    xengnttab_handle *xgt; /* libxengnttab's, or NULL. */
    void *page;            /* The page, or NULL. */
    uint64_t number;       /* Another for each page ever mapped; 0 before. */
};

/* Makes 'heart' one without a page. */
void heart_init(struct heart *);

/* Maps the page that DomS, the domain 'domid', names now, in place of any
 * that is mapped.  Returns 0, ENOENT if it names none, or another positive
 * errno value. */
int heart_open(struct heart *, struct xs_handle *, unsigned int domid);

/* Unmaps the page, if one is mapped. */
void heart_close(struct heart *);

/* Stores the heartbeat in '*beat'.  Returns false if no page is mapped, or it
 * is not one of heartbeats. */
bool heart_read(const struct heart *, uint64_t *beat);

#endif /* tools/doms-watchdog-heart.h */
