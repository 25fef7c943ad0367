/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms.conf: what Dom0's programs know about DomS.
 *
 * A line is 'key = value' or empty; '#' starts a comment.  A key that is not
 * given has its default, and so has a file that is not there.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef TOOLS_XEN_CONF_H
#define TOOLS_XEN_CONF_H 1

#include <stddef.h>
#include <stdio.h>

/* Bytes of a path or a name. */
#define XEN_CONF_TEXT 256

struct xen_conf {
    char domain[XEN_CONF_TEXT]; /* The name of the domain DomS. */
    char config[XEN_CONF_TEXT]; /* Its configuration, for 'xl create'. */
    char xl[XEN_CONF_TEXT];     /* The program xl, or "" to look for it. */

    /* What DomS is given, in milliseconds. */
    unsigned int start_timeout_ms; /* To boot and to start its switch. */
    unsigned int hang_timeout_ms;  /* Between two heartbeats. */

    /* How it is restarted. */
    unsigned int backoff_min_ms;    /* The first pause; doubles from then. */
    unsigned int backoff_max_ms;    /* The longest pause. */
    unsigned int stable_ms;         /* A life that ends the doubling. */
    unsigned int restart_limit;     /* Restarts at most, 0 for no limit ... */
    unsigned int restart_window_ms; /* ... within this time. */
};

void xen_conf_init(struct xen_conf *);
int xen_conf_parse(struct xen_conf *, FILE *, const char *file_name, char *why,
                   size_t why_size);
int xen_conf_read(struct xen_conf *, const char *dir, char **why);

#endif /* tools/xen-conf.h */
