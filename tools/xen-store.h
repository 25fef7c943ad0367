/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenstore, as Dom0's programs use it: transactions that run again when
 * somebody else was faster, and the domains there are by name.
 *
 * An error inside a transaction sticks: what follows does nothing, and the
 * transaction is given up.  So its body need not look at each step.
 *
 * Everything read may have been written by a guest; whoever uses it checks it.
 *
 * Thread-safety: one thread uses a handle.  libxenstore keeps a thread of its
 * own once a path is watched.
 */

#ifndef TOOLS_XEN_STORE_H
#define TOOLS_XEN_STORE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xenstore.h>

#include "openvswitch/compiler.h"
#include "xen-keys.h"

/* Opens xenstore as '*xs'.  Returns 0, or a positive errno value with a line
 * for the user in '*why', which the caller frees. */
int xen_store_open(struct xs_handle **xs, char **why);

/* Is this Dom0?  Needs no privilege. */
bool xen_is_dom0(void);

/* A transaction, or, with 'id' XBT_NULL, single steps. */
struct xen_txn {
    struct xs_handle *xs; /* xenstore. */
    xs_transaction_t id;  /* The transaction. */
    int error;            /* The first error, or 0. */
    bool changed;         /* Has anything been written? */
};

/* Returns what is at the path 'format', for the caller to free, or NULL if
 * there is nothing. */
char *xen_txn_read(struct xen_txn *, const char *format, ...)
    OVS_PRINTF_FORMAT(2, 3);

/* Stores the number at the path 'format' in '*value'.  Returns false if there
 * is none, or it is no decimal number that fits. */
bool xen_txn_read_number(struct xen_txn *, uint64_t *value, const char *format,
                         ...) OVS_PRINTF_FORMAT(3, 4);

/* Returns the names of the '*n' children of the path 'format', in one piece
 * of memory for the caller to free; NULL, and 0, if there are none. */
char **xen_txn_list(struct xen_txn *, unsigned int *n, const char *format, ...)
    OVS_PRINTF_FORMAT(3, 4);

/* Writes 'value' to the path 'format'. */
void xen_txn_write(struct xen_txn *, const char *value, const char *format,
                   ...) OVS_PRINTF_FORMAT(3, 4);

/* Removes the path 'format' and all below it; it need not be there. */
void xen_txn_remove(struct xen_txn *, const char *format, ...)
    OVS_PRINTF_FORMAT(2, 3);

/* Gives the path 'path' the permissions 'perms'.  Returns false, which is no
 * error, if there is no such path. */
bool xen_txn_set_perms(struct xen_txn *, const char *path,
                       const struct xen_perms *perms);

/* Writes all of 'nodes', in their order. */
void xen_txn_apply(struct xen_txn *, const struct xen_nodes *nodes);

/* What a transaction does.  It may run several times, and must have no other
 * effects that add up. */
typedef void xen_txn_func(struct xen_txn *, void *aux);

/* Runs 'body' with 'aux' as one transaction.  Returns 0 or a positive errno
 * value, EAGAIN if others were faster again and again. */
int xen_store_transact(struct xs_handle *, xen_txn_func *body, void *aux);

/* A domain other than Dom0. */
struct xen_domain {
    unsigned int id; /* Its domid. */
    char *name;      /* Its name. */
};

/* The domains at one moment. */
struct xen_domains {
    struct xen_domain *domains; /* In no order. */
    size_t n;                   /* Number of 'domains'. */
};

/* Reads which domains there are; frees that. */
int xen_domains_read(struct xs_handle *, struct xen_domains *);
void xen_domains_destroy(struct xen_domains *);

/* Returns the domid of the domain 'name', or 0 if there is none. */
unsigned int xen_domains_find(const struct xen_domains *, const char *name);

/* Returns the name of the domain 'id', or NULL if there is none. */
const char *xen_domains_name(const struct xen_domains *, unsigned int id);

#endif /* tools/xen-store.h */
