/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-xen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/xenbus.h"
#include "ctl-request.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "timeval.h"
#include "util.h"

/* Milliseconds between two looks at a pair that is being closed. */
#define CLOSE_POLL_MS 50

static void
xen_close(struct ctl_backend *backend)
{
    struct ctl_xen *x = ctl_xen_cast(backend);

    if (x->xs) {
        xen_ports_destroy(&x->ports);
        xs_close(x->xs);
    }
    free(x);
}

static enum ctl_status
xen_open(const struct ctl_options *options, struct ctl_backend **backend,
         char **why)
{
    struct ctl_xen *x = xzalloc(sizeof *x);
    enum ctl_status status = CTL_OK;

    x->up.class = &ctl_xen_class;
    x->options = options;
    if (xen_store_open(&x->xs, why)) {
        char *hint = xasprintf("%s, or give --local for a switch on this "
                               "machine",
                               *why);

        free(*why);
        *why = hint;
        status = CTL_UNREACHABLE;
    } else {
        xen_ports_init(&x->ports, x->xs, options->config_dir, x->conf.domain);
        if (xen_conf_read(&x->conf, options->config_dir, why)) {
            status = CTL_REFUSED;
        }
    }
    if (status) {
        xen_close(&x->up);
        x = NULL;
    }
    *backend = x ? &x->up : NULL;
    return status;
}

static void
xen_run(struct ctl_backend *backend OVS_UNUSED)
{
    /* libxenstore keeps its connection by itself. */
}

/* What DomS tells. */

bool
ctl_xen_wait(struct ctl_xen *x, unsigned int doms, long long int when)
{
    char **event;

    if (x->watched != doms) {
        char *path = xasprintf("/local/domain/%u/data/doms", doms);

        xs_watch(x->xs, path, "doms");
        x->watched = doms;
        free(path);
    } else {
        poll_fd_wait(xs_fileno(x->xs), POLLIN);
        poll_timer_wait_until(when);
        poll_block();
    }
    while ((event = xs_check_watch(x->xs))) {
        free(event);
    }
    return time_msec() < when;
}

char *
ctl_xen_check_version(struct ctl_xen *x, unsigned int doms, bool *not_yet)
{
    struct xen_txn txn = { .xs = x->xs, .id = XBT_NULL };
    char *why = NULL;
    uint64_t version;

    *not_yet = false;
    if (!xen_txn_read_number(&txn, &version,
                             "/local/domain/%u/data/doms/version", doms)) {
        *not_yet = true;
        why = xasprintf("DomS (domain %u) has not started its switch yet",
                        doms);
    } else if (version != DOMS_XENBUS_VERSION) {
        why = xasprintf("DomS (domain %u) speaks version %" PRIu64 " of the "
                        "xenbus door and this program version %d: its image "
                        "is too %s; install both from the same release",
                        doms, version, DOMS_XENBUS_VERSION,
                        version > DOMS_XENBUS_VERSION ? "new" : "old");
    }
    return why;
}

uint64_t
ctl_xen_read_serial(struct ctl_xen *x, unsigned int doms, const char *name)
{
    struct xen_txn txn = { .xs = x->xs, .id = XBT_NULL };
    char path[XEN_PATH_SIZE];
    uint64_t serial;

    xen_path_description(path, doms, name);
    xen_txn_read_number(&txn, &serial, "%s/serial", path);
    return serial;
}

struct json *
ctl_xen_read_status(struct ctl_xen *x, unsigned int doms, const char *name,
                    uint64_t *serial)
{
    struct xen_txn txn = { .xs = x->xs, .id = XBT_NULL };
    char node[DOMS_NAME_SIZE], *text;
    const struct json *value;
    struct json *json;

    *serial = 0;
    xen_name_to_node(node, name);
    text = xen_txn_read(&txn, "/local/domain/%u/data/doms/status/%s", doms,
                        node);
    json = text ? json_from_string(text) : NULL;
    free(text);
    if (json && json->type != JSON_OBJECT) {
        json_destroy(json);
        return NULL;
    }
    value = json ? shash_find_data(json_object(json), "serial") : NULL;
    if (value && value->type == JSON_INTEGER && value->integer > 0) {
        *serial = value->integer;
    } else if (value && value->type == JSON_STRING) {
        *serial = strtoull(json_string(value), NULL, 10);
    }
    return json;
}

void
ctl_make_printable(char *s)
{
    for (; *s; s++) {
        if ((unsigned char) *s < ' ' || (unsigned char) *s >= 0x7f) {
            *s = '?';
        }
    }
}

/* Names. */

enum ctl_status
ctl_xen_resolve(struct ctl_xen *x, const char *word, char name[DOMS_NAME_SIZE],
                char **why)
{
    struct xen_txn txn = { .xs = x->xs, .id = XBT_NULL };
    char domain[DOMS_NAME_SIZE], *found;
    unsigned int domid, handle;

    if (!xen_name_split(word, domain, &handle)) {
        *why = xasprintf("name: '%s' cannot name a port; give a domain's name "
                         "of letters, digits, '_', '-' or '.', and '.N' after "
                         "it for its device N",
                         word);
        return CTL_REFUSED;
    }
    ovs_strlcpy(name, word, DOMS_NAME_SIZE);
    if (strspn(domain, "0123456789") != strlen(domain)) {
        return CTL_OK;
    }
    found = port_request_parse_uint(domain, 1, XEN_DOMID_MAX, &domid)
                ? NULL
                : xen_txn_read(&txn, "/local/domain/%u/name", domid);
    if (!found) {
        *why = xasprintf("name: there is no domain %s; 'xl list' lists the "
                         "domains, and one that does not run is named by its "
                         "name",
                         domain);
        return CTL_REFUSED;
    }
    if (!doms_name_is_valid(found)
        || snprintf(name, DOMS_NAME_SIZE, handle ? "%s.%u" : "%s", found,
                    handle)
               >= DOMS_NAME_SIZE) {
        ctl_make_printable(found);
        *why = xasprintf("name: domain %s is named '%s', which cannot name a "
                         "port; 'xl rename' it to letters, digits, '_', '-' "
                         "and '.', 63 at most",
                         domain, found);
        free(found);
        return CTL_REFUSED;
    }
    free(found);
    return CTL_OK;
}

/* Changes. */

/* Returns the problem of 'pass' that is about one of the 'n' 'names'. */
static const char *
find_problem(const struct xen_pass *pass, const char *const names[], size_t n)
{
    for (size_t i = 0; i < pass->problems.n; i++) {
        const char *problem = pass->problems.names[i];

        for (size_t j = 0; j < n; j++) {
            size_t length = strlen(names[j]);

            if (!strncmp(problem, names[j], length)
                && problem[length] == ':') {
                return problem;
            }
        }
    }
    return NULL;
}

enum ctl_status
ctl_xen_reconcile(struct ctl_xen *x, const char *const names[], size_t n,
                  unsigned int *doms, struct svec *notes, char **why)
{
    for (;;) {
        struct xen_pass pass;
        int error = xen_ports_run(&x->ports, &pass);
        const char *problem = find_problem(&pass, names, n);
        bool pending = pass.pending;

        *doms = pass.doms;
        if (error) {
            *why = xasprintf("xenstore or %s/ports cannot be read: %s",
                             x->options->config_dir, ovs_strerror(error));
        } else if (problem) {
            *why = xstrdup(problem);
        }
        for (size_t i = 0; i < pass.done.n; i++) {
            if (strstr(pass.done.names[i], "not parted in time")) {
                svec_add(notes, pass.done.names[i]);
            }
        }
        xen_pass_destroy(&pass);
        if (*why) {
            return error ? CTL_UNREACHABLE : CTL_FAILED;
        }
        if (!pending) {
            return CTL_OK;
        }
        poll_timer_wait(CLOSE_POLL_MS);
        poll_block();
    }
}

/* Checks that each of the 'n' 'words' names a port, and once; fills in
 * 'names'. */
static enum ctl_status
check_detach(struct ctl_xen *x, const struct xen_files *files,
             char *const words[], size_t n, char (*names)[DOMS_NAME_SIZE],
             char **why)
{
    for (size_t i = 0; i < n; i++) {
        enum ctl_status status = ctl_xen_resolve(x, words[i], names[i], why);
        const char **known;

        if (status) {
            char *detail = *why;

            *why = xasprintf("detach %s: %s", words[i], detail);
            free(detail);
            return status;
        }
        if (xen_files_find(files, names[i])
            || shash_find(&files->broken, names[i])) {
            continue;
        }
        known = xcalloc(files->n + 1, sizeof *known);
        for (size_t j = 0; j < files->n; j++) {
            known[j] = files->requests[j].name;
        }
        *why = ctl_no_such_guest(
            "detach", words[i],
            port_request_nearest(names[i], known, files->n));
        free(known);
        return CTL_REFUSED;
    }
    return CTL_OK;
}

static enum ctl_status
xen_detach(struct ctl_backend *backend, char *const words[], size_t n,
           struct svec *notes, char **why)
{
    struct ctl_xen *x = ctl_xen_cast(backend);
    char(*names)[DOMS_NAME_SIZE] = xcalloc(n, sizeof *names);
    const char *dir = x->options->config_dir;
    enum ctl_status status = CTL_OK;
    int lock = xen_files_lock(dir, why);
    struct xen_files files;
    unsigned int doms;
    int error;

    if (lock < 0) {
        free(names);
        return CTL_FAILED;
    }
    error = xen_files_read(dir, &files);
    if (error) {
        *why = xasprintf("%s/ports cannot be read: %s", dir,
                         ovs_strerror(error));
        status = CTL_FAILED;
    } else {
        status = check_detach(x, &files, words, n, names, why);
        for (size_t i = 0; !status && i < n; i++) {
            if (xen_files_remove(dir, names[i], why)) {
                status = CTL_FAILED;
            }
        }
    }
    xen_files_destroy(&files);
    if (!status) {
        status = ctl_xen_reconcile(x, NULL, 0, &doms, notes, why);
    }
    close(lock);
    free(names);
    return status;
}

enum ctl_status
ctl_xen_version(const struct ctl_options *options, char **reply, char **why)
{
    struct ctl_backend *backend;
    struct xen_domains domains;
    struct ctl_xen *x;
    unsigned int doms = 0;
    bool not_yet;

    *reply = NULL;
    if (xen_open(options, &backend, why)) {
        return CTL_UNREACHABLE;
    }
    x = ctl_xen_cast(backend);
    if (!xen_domains_read(x->xs, &domains)) {
        doms = xen_domains_find(&domains, x->conf.domain);
        xen_domains_destroy(&domains);
    }
    *why = doms ? ctl_xen_check_version(x, doms, &not_yet)
                : xasprintf("DomS (domain '%s') is not running",
                            x->conf.domain);
    if (!*why) {
        *reply = xasprintf("DomS (domain %u), version %d of the xenbus door",
                           doms, DOMS_XENBUS_VERSION);
    }
    xen_close(backend);
    return *why ? CTL_UNREACHABLE : CTL_OK;
}

const struct ctl_backend_class ctl_xen_class = {
    .name = "xen",
    .open = xen_open,
    .close = xen_close,
    .attach = ctl_xen_attach,
    .detach = xen_detach,
    .snapshot = ctl_xen_snapshot,
    .run = xen_run,
};
