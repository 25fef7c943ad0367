/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pass of xen-ports.h at work; only its own files need this.
 *
 * xen-ports.c makes what is wanted, xen-leftovers.c takes away what is not, and
 * xen-vifs.c gives stock netfronts a DomS that was made anew.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_XEN_WORK_H
#define TOOLS_XEN_WORK_H 1

#include "xen-ports.h"

/* One pass at work. */
struct xen_work {
    struct xen_ports *ports;    /* The caller's. */
    struct xen_pass *pass;      /* What it finds and does. */
    struct xen_files files;     /* What is wanted. */
    struct xen_domains domains; /* Who is there. */
};

/* Adds the line 'format' about the port 'name' to 'lines'. */
void xen_told(struct svec *lines, const char *name, const char *format, ...)
    OVS_PRINTF_FORMAT(3, 4);

/* Takes away, a step at a time, the pairs and the descriptions that nobody
 * wants any more. */
void xen_leftovers_run(struct xen_work *);

/* Takes the vifs whose backend was a DomS that has died from their guests, and
 * gives them again, a step at a time. */
void xen_vifs_run(struct xen_work *);

#endif /* tools/xen-work.h */
