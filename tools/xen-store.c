/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "xen-store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/port-request.h"
#include "util.h"

/* Times that a transaction is tried. */
#define MAX_TRIES 32

bool
xen_is_dom0(void)
{
    FILE *stream = fopen("/proc/xen/capabilities", "r");
    char line[64];
    bool control = false;

    while (stream && fgets(line, sizeof line, stream)) {
        control |= !strncmp(line, "control_d", strlen("control_d"));
    }
    if (stream) {
        fclose(stream);
    }
    return control;
}

int
xen_store_open(struct xs_handle **xs, char **why)
{
    int error;

    *xs = NULL;
    if (access("/proc/xen", F_OK) && access("/sys/hypervisor/type", F_OK)) {
        *why = xstrdup("Xen: this machine does not run on it; boot it under "
                       "Xen");
        return ENODEV;
    }
    if (geteuid()) {
        *why = xstrdup("xenstore: only root may change it; use sudo");
        return EACCES;
    }
    if (!xen_is_dom0()) {
        *why = xstrdup("Xen: this is not Dom0, which alone may attach guests; "
                       "run it there ('mount -t xenfs xenfs /proc/xen' if it "
                       "is Dom0)");
        return EPERM;
    }
    *xs = xs_open(0);
    if (!*xs) {
        error = errno ? errno : EIO;
        *why = xasprintf("xenstore cannot be reached: %s; start xenstored "
                         "('systemctl start xen' or xencommons)",
                         ovs_strerror(error));
        return error;
    }
    return 0;
}

static char *vpath(const char *format, va_list) OVS_PRINTF_FORMAT(1, 0);

static char *
vpath(const char *format, va_list args)
{
    return xvasprintf(format, args);
}

/* Remembers that a step of 'txn' has failed with errno. */
static void
fail(struct xen_txn *txn)
{
    if (!txn->error) {
        txn->error = errno ? errno : EIO;
    }
}

char *
xen_txn_read(struct xen_txn *txn, const char *format, ...)
{
    char *path, *value = NULL;
    unsigned int length;
    va_list args;

    va_start(args, format);
    path = vpath(format, args);
    va_end(args);
    if (!txn->error) {
        value = xs_read(txn->xs, txn->id, path, &length);
        if (!value && errno != ENOENT) {
            fail(txn);
        }
    }
    free(path);
    return value;
}

bool
xen_txn_read_number(struct xen_txn *txn, uint64_t *value, const char *format,
                    ...)
{
    char *path, *text, *end;
    va_list args;
    bool good;

    va_start(args, format);
    path = vpath(format, args);
    va_end(args);
    text = xen_txn_read(txn, "%s", path);
    errno = 0;
    *value = text ? strtoull(text, &end, 10) : 0;
    good = text && *text >= '0' && *text <= '9' && !*end && !errno;
    free(text);
    free(path);
    return good;
}

char **
xen_txn_list(struct xen_txn *txn, unsigned int *n, const char *format, ...)
{
    char *path, **names = NULL;
    va_list args;

    *n = 0;
    va_start(args, format);
    path = vpath(format, args);
    va_end(args);
    if (!txn->error) {
        names = xs_directory(txn->xs, txn->id, path, n);
        if (!names && errno != ENOENT) {
            fail(txn);
        }
    }
    if (!names) {
        *n = 0;
    }
    free(path);
    return names;
}

void
xen_txn_write(struct xen_txn *txn, const char *value, const char *format, ...)
{
    va_list args;
    char *path;

    va_start(args, format);
    path = vpath(format, args);
    va_end(args);
    txn->changed = true;
    if (!txn->error
        && !xs_write(txn->xs, txn->id, path, value, strlen(value))) {
        fail(txn);
    }
    free(path);
}

void
xen_txn_remove(struct xen_txn *txn, const char *format, ...)
{
    va_list args;
    char *path;

    va_start(args, format);
    path = vpath(format, args);
    va_end(args);
    txn->changed = true;
    if (!txn->error && !xs_rm(txn->xs, txn->id, path) && errno != ENOENT) {
        fail(txn);
    }
    free(path);
}

bool
xen_txn_set_perms(struct xen_txn *txn, const char *path,
                  const struct xen_perms *perms)
{
    struct xs_permissions list[3];
    unsigned int n = 0;

    /* The first entry names the owner, and what all others may do. */
    list[n++] = (struct xs_permissions){ perms->owner, XS_PERM_NONE };
    if (perms->has_writer) {
        list[n++] = (struct xs_permissions){ perms->writer,
                                             XS_PERM_READ | XS_PERM_WRITE };
    }
    if (perms->has_reader) {
        list[n++] = (struct xs_permissions){ perms->reader, XS_PERM_READ };
    }
    txn->changed = true;
    if (!txn->error && !xs_set_permissions(txn->xs, txn->id, path, list, n)) {
        if (errno == ENOENT) {
            return false;
        }
        fail(txn);
    }
    return true;
}

void
xen_txn_apply(struct xen_txn *txn, const struct xen_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n && !txn->error; i++) {
        const struct xen_node *node = &nodes->nodes[i];

        if (node->value) {
            xen_txn_write(txn, node->value, "%s", node->path);
            continue;
        }
        txn->changed = true;
        if (!xs_mkdir(txn->xs, txn->id, node->path)) {
            fail(txn);
        }
        /* What is made in it inherits them. */
        xen_txn_set_perms(txn, node->path, &node->perms);
    }
}

int
xen_store_transact(struct xs_handle *xs, xen_txn_func *body, void *aux)
{
    for (int i = 0; i < MAX_TRIES; i++) {
        struct xen_txn txn = { .xs = xs, .id = xs_transaction_start(xs) };

        if (txn.id == XBT_NULL) {
            return errno ? errno : EIO;
        }
        body(&txn, aux);
        if (txn.error || !txn.changed) {
            xs_transaction_end(xs, txn.id, true);
            if (txn.error != EAGAIN) {
                return txn.error;
            }
        } else if (xs_transaction_end(xs, txn.id, false)) {
            return 0;
        } else if (errno != EAGAIN) {
            return errno ? errno : EIO;
        }
    }
    return EAGAIN;
}

/* Domains. */

int
xen_domains_read(struct xs_handle *xs, struct xen_domains *domains)
{
    struct xen_txn txn = { .xs = xs, .id = XBT_NULL };
    unsigned int n;
    char **ids = xen_txn_list(&txn, &n, "/local/domain");

    memset(domains, 0, sizeof *domains);
    domains->domains = xcalloc(n ? n : 1, sizeof *domains->domains);
    for (unsigned int i = 0; i < n; i++) {
        unsigned int id;
        char *name;

        if (port_request_parse_uint(ids[i], 1, XEN_DOMID_MAX, &id)) {
            continue;
        }
        name = xen_txn_read(&txn, "/local/domain/%u/name", id);
        if (name && *name) {
            domains->domains[domains->n++] = (struct xen_domain){ id, name };
        } else {
            free(name);
        }
    }
    free(ids);
    if (txn.error) {
        xen_domains_destroy(domains);
    }
    return txn.error;
}

void
xen_domains_destroy(struct xen_domains *domains)
{
    for (size_t i = 0; i < domains->n; i++) {
        free(domains->domains[i].name);
    }
    free(domains->domains);
    memset(domains, 0, sizeof *domains);
}

unsigned int
xen_domains_find(const struct xen_domains *domains, const char *name)
{
    for (size_t i = 0; i < domains->n; i++) {
        if (!strcmp(domains->domains[i].name, name)) {
            return domains->domains[i].id;
        }
    }
    return 0;
}

const char *
xen_domains_name(const struct xen_domains *domains, unsigned int id)
{
    for (size_t i = 0; i < domains->n; i++) {
        if (domains->domains[i].id == id) {
            return domains->domains[i].name;
        }
    }
    return NULL;
}
