/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings xenstore to where the files of the configuration folder want it.
 *
 * One function does all: it looks at the files, at the domains that run and at
 * what xenstore has, and writes what is missing, mends what is not right, and
 * takes away what nobody wants any more.  So it does not matter in which order
 * DomS, a guest and the file of a port come, go or come back, nor whether it
 * is doms-ctl or doms-watchdog that notices first: both may run it at once.
 *
 * A guest that runs loses its port in good order: 'online' becomes 0, and the
 * pair is taken away once DomS has let go of the guest's pages or
 * XEN_CLOSE_MS have passed.  A pass never waits for that; it tells when to
 * come back.
 *
 * A file that cannot be understood changes nothing for its port.
 *
 * A vif that xl has given a guest, with DomS as its backend, is given to it
 * again when DomS has died.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_XEN_PORTS_H
#define TOOLS_XEN_PORTS_H 1

#include <stdbool.h>
#include <stddef.h>

#include "openvswitch/shash.h"
#include "svec.h"
#include "xen-files.h"
#include "xen-store.h"

/* Milliseconds that both ends have to part in good order. */
#define XEN_CLOSE_MS 5000

/* What brings xenstore to where it should be. */
struct xen_ports {
    struct xs_handle *xs; /* xenstore. */
    const char *dir;      /* The configuration folder. */
    const char *domain;   /* The name of the domain DomS. */
    struct shash closing; /* Path of each backend that is being closed: when
                           * its time is over (long long int, time_msec()). */
    struct shash taken;   /* Path of each front of a vif that was taken from
                           * its guest: when to give it again. */
};

void xen_ports_init(struct xen_ports *, struct xs_handle *, const char *dir,
                    const char *domain);
void xen_ports_destroy(struct xen_ports *);

/* What a pass has found and done. */
struct xen_pass {
    unsigned int doms;    /* The domid of DomS, or 0. */
    size_t n_ports;       /* Ports that the files describe. */
    size_t n_running;     /* Those of them whose guests run. */
    struct svec done;     /* A line for each thing done. */
    struct svec problems; /* A line for each thing that could not be done. */
    bool pending;         /* Is a pair still being closed? */
};

void xen_pass_destroy(struct xen_pass *);

/* Makes one pass.  Returns 0, or a positive errno value if xenstore or the
 * folder cannot be read; 'pass' can be destroyed either way. */
int xen_ports_run(struct xen_ports *, struct xen_pass *pass);

#endif /* tools/xen-ports.h */
