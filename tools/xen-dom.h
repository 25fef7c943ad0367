/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hypervisor knows: which domains live, and its policy.
 *
 * xenstore tells of a domain from before it is built until its toolstack has
 * cleaned up; only the hypervisor knows whether it has crashed meanwhile.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_XEN_DOM_H
#define TOOLS_XEN_DOM_H 1

#include <stdbool.h>

/* How a domain is. */
enum xen_dom_life {
    XEN_DOM_GONE,     /* There is none. */
    XEN_DOM_LIVES,    /* It runs, or could. */
    XEN_DOM_DYING,    /* It is being taken apart. */
    XEN_DOM_CRASHED,  /* It has ended by a crash, and is still there. */
    XEN_DOM_SHUTDOWN, /* It has ended by itself, and is still there. */
};

/* The hypervisor's policy on what domains may do with each other. */
enum xen_policy {
    XEN_POLICY_OPEN,    /* What the domains themselves allow. */
    XEN_POLICY_SILO,    /* Guests talk with Dom0 only. */
    XEN_POLICY_FLASK,   /* What a configuration says. */
    XEN_POLICY_UNKNOWN, /* It does not say. */
};

struct xen_dom;

/* Opens the hypervisor's control interface; NULL with errno set if that cannot
 * be.  Closes it; NULL is fine. */
struct xen_dom *xen_dom_open(void);
void xen_dom_close(struct xen_dom *);

/* Returns how the domain 'domid' is. */
enum xen_dom_life xen_dom_life(struct xen_dom *, unsigned int domid);

/* Returns the hypervisor's policy. */
enum xen_policy xen_dom_policy(void);

#endif /* tools/xen-dom.h */
