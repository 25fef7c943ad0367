/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend of Dom0 on a Xen host: a switch in the domain DomS.
 *
 * What is wanted of a port is a file (xen-files.h); xen-ports.h brings
 * xenstore to where the files want it.  How the ports are, DomS tells in
 * xenstore when Dom0 asks.  Neither DomS nor a guest need run for a port to be
 * attached.
 *
 * What DomS tells is not trusted: it is parsed and made printable, and
 * believed only for showing it.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_CTL_XEN_H
#define TOOLS_CTL_XEN_H 1

#include "ctl-backend.h"
#include "ctl-local.h"
#include "xen-conf.h"
#include "xen-ports.h"

/* A backend in Dom0. */
struct ctl_xen {
    struct ctl_backend up;             /* Must be the first. */
    const struct ctl_options *options; /* The user's. */
    struct xen_conf conf;              /* doms.conf. */
    struct xs_handle *xs;              /* xenstore. */
    struct xen_ports ports;            /* What is to be in it. */
    unsigned int watched;              /* DomS whose data is watched, or 0. */
};

static inline struct ctl_xen *
ctl_xen_cast(struct ctl_backend *backend)
{
    return CONTAINER_OF(backend, struct ctl_xen, up);
}

/* Waits for a change of what DomS tells, at most until 'when'.  Returns false
 * once that is over. */
bool ctl_xen_wait(struct ctl_xen *, unsigned int doms, long long int when);

/* Checks that DomS, the domain 'doms', has a switch that this doms-ctl knows
 * how to talk to.  Returns NULL if so, else why not. */
char *ctl_xen_check_version(struct ctl_xen *, unsigned int doms,
                            bool *not_yet);

/* Returns the serial number of the description of the port 'name', or 0. */
uint64_t ctl_xen_read_serial(struct ctl_xen *, unsigned int doms,
                             const char *name);

/* Returns the status that DomS has told of the port 'name', a JSON object for
 * the caller to destroy, or NULL; stores the serial number of the description
 * it is about in '*serial'. */
struct json *ctl_xen_read_status(struct ctl_xen *, unsigned int doms,
                                 const char *name, uint64_t *serial);

/* Replaces what a terminal might take for more than text in 's'. */
void ctl_make_printable(char *s);

/* Turns 'word', a port's name or one with a domid in place of its domain, into
 * the port's name 'name'. */
enum ctl_status ctl_xen_resolve(struct ctl_xen *, const char *word,
                                char name[DOMS_NAME_SIZE], char **why);

enum ctl_status ctl_xen_attach(struct ctl_backend *, struct port_request *,
                               size_t n, const char *from, struct svec *notes,
                               char **why);
enum ctl_status ctl_xen_snapshot(struct ctl_backend *, struct ctl_snapshot *,
                                 char **why);

/* Stores in '*reply' a line about the switch of DomS. */
enum ctl_status ctl_xen_version(const struct ctl_options *, char **reply,
                                char **why);

/* Brings xenstore to where the files want it, again and again until every
 * pair that is to go has gone.  Problems with other ports than the 'n' of
 * 'names' are left out of '*why'. */
enum ctl_status ctl_xen_reconcile(struct ctl_xen *, const char *const names[],
                                  size_t n, unsigned int *doms,
                                  struct svec *notes, char **why);

#endif /* tools/ctl-xen.h */
