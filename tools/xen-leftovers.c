/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenbus.h"
#include "timeval.h"
#include "util.h"
#include "xen-work.h"

/* XenbusState, as far as Dom0 looks at it. */
enum { INITIALISED = 3, CONNECTED = 4, CLOSING = 5 };

/* A pair to be taken away. */
struct leftover {
    unsigned int doms;         /* The domid of DomS, or 0. */
    unsigned int guest;        /* The guest's. */
    unsigned int handle;       /* Its device's number. */
    char front[XEN_PATH_SIZE]; /* The front's directory. */
    char back[XEN_PATH_SIZE];  /* The backend's, if 'doms'. */
    bool guest_gone;           /* Is there no such guest? */
    bool time_over;            /* Has it had its time? */
    bool removed;              /* Has the transaction removed it? */
    bool began;                /* Has it begun to close it? */
};

/* Removes the directory 'format' if nothing is left in it. */
static void remove_if_empty(struct xen_txn *, const char *format, ...)
    OVS_PRINTF_FORMAT(2, 3);

static void
remove_if_empty(struct xen_txn *txn, const char *format, ...)
{
    va_list args;
    unsigned int n;
    char *path, **names;

    va_start(args, format);
    path = xvasprintf(format, args);
    va_end(args);
    names = xen_txn_list(txn, &n, "%s", path);
    if (names && !n) {
        xen_txn_remove(txn, "%s", path);
    }
    free(names);
    free(path);
}

/* Sets 'online' to 0, or, if both ends have parted, takes the pair away. */
static void
part(struct xen_txn *txn, void *l_)
{
    struct leftover *l = l_;
    bool back_there = false;
    uint64_t state = 0;

    l->removed = l->began = false;
    if (l->doms) {
        char *online = xen_txn_read(txn, "%s/online", l->back);

        back_there = online != NULL;
        if (online && strcmp(online, "0") && !l->guest_gone) {
            xen_txn_write(txn, "0", "%s/online", l->back);
            l->began = true;
        }
        free(online);
        xen_txn_read_number(txn, &state, "%s/state", l->back);
    }
    /* From 3 to 5, DomS may use the guest's pages. */
    if (back_there && state >= INITIALISED && state <= CLOSING
        && !l->guest_gone && !l->time_over) {
        return;
    }
    l->removed = true;
    if (!l->guest_gone) {
        xen_txn_remove(txn, "%s", l->front);
        remove_if_empty(txn, "/local/domain/%u/device/%s", l->guest,
                        DOMS_XS_CLASS);
    }
    if (l->doms) {
        xen_txn_remove(txn, "%s", l->back);
        remove_if_empty(txn, "/local/domain/%u/backend/%s/%u", l->doms,
                        DOMS_XS_CLASS, l->guest);
    }
}

/* Takes the pair of device 'handle' of the domain 'guest' away, a step at a
 * time. */
static void
run_leftover(struct xen_work *work, unsigned int guest, unsigned int handle)
{
    struct xen_pass *pass = work->pass;
    struct shash *closing = &work->ports->closing;
    const char *name = xen_domains_name(&work->domains, guest);
    struct leftover l = { .doms = pass->doms,
                          .guest = guest,
                          .handle = handle,
                          .guest_gone = !name };
    long long int *until;
    int error;

    xen_path_front(l.front, guest, handle);
    xen_path_back(l.back, l.doms, guest, handle);
    until = shash_find_data(closing, l.back);
    l.time_over = until && time_msec() >= *until;
    error = xen_store_transact(work->ports->xs, part, &l);
    if (error) {
        xen_told(&pass->problems, l.back, "cannot be taken away: %s",
                 ovs_strerror(error));
    } else if (!l.removed) {
        pass->pending = true;
        if (!until) {
            until = xmalloc(sizeof *until);
            *until = time_msec() + XEN_CLOSE_MS;
            shash_add(closing, l.back, until);
        }
        if (l.began) {
            xen_told(&pass->done, name, "asked to let go of device %u",
                     handle);
        }
    } else {
        if (name) {
            xen_told(&pass->done, name, "device %u taken away%s", handle,
                     l.time_over ? ", though it has not parted in time" : "");
        } else {
            xen_told(&pass->done, l.back, "removed; domain %u has gone",
                     guest);
        }
        free(shash_find_and_delete(closing, l.back));
    }
}

/* Returns whether a file wants device 'handle' of the domain 'guest', or may
 * want it, since it cannot be understood. */
static bool
is_wanted(const struct xen_work *work, unsigned int guest, unsigned int handle)
{
    const char *domain = xen_domains_name(&work->domains, guest);
    char name[DOMS_NAME_SIZE + 16];

    if (!domain) {
        return false;
    }
    if (handle) {
        snprintf(name, sizeof name, "%.*s.%u", DOMS_NAME_SIZE, domain, handle);
    } else {
        snprintf(name, sizeof name, "%.*s", DOMS_NAME_SIZE, domain);
    }
    return xen_files_find(&work->files, name)
           || shash_find(&work->files.broken, name);
}

/* Calls run_leftover() for each device below 'format' that is not wanted, or
 * is already being closed. */
static void run_leftovers(struct xen_work *, unsigned int guest,
                          const char *format, ...) OVS_PRINTF_FORMAT(3, 4);

static void
run_leftovers(struct xen_work *work, unsigned int guest, const char *format,
              ...)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
    char *dir, **handles;
    unsigned int n;
    va_list args;

    va_start(args, format);
    dir = xvasprintf(format, args);
    va_end(args);
    handles = xen_txn_list(&txn, &n, "%s", dir);
    for (unsigned int i = 0; i < n; i++) {
        char back[XEN_PATH_SIZE];
        unsigned int handle;

        if (port_request_parse_uint(handles[i], 0, UINT32_MAX, &handle)) {
            continue;
        }
        xen_path_back(back, work->pass->doms, guest, handle);
        if (!is_wanted(work, guest, handle)
            || shash_find(&work->ports->closing, back)) {
            run_leftover(work, guest, handle);
        }
    }
    free(handles);
    free(dir);
}

/* A directory of backends of a guest that has gone. */
struct old_guest {
    unsigned int doms;  /* The domid of DomS. */
    unsigned int guest; /* That of the guest. */
};

static void
sweep(struct xen_txn *txn, void *old_)
{
    const struct old_guest *old = old_;

    remove_if_empty(txn, "/local/domain/%u/backend/%s/%u", old->doms,
                    DOMS_XS_CLASS, old->guest);
}

/* Takes away the pairs that nobody wants. */
static void
run_all_leftovers(struct xen_work *work)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
    unsigned int doms = work->pass->doms;
    unsigned int n, guest;
    char **guests;

    for (size_t i = 0; i < work->domains.n; i++) {
        guest = work->domains.domains[i].id;
        run_leftovers(work, guest, "/local/domain/%u/device/%s", guest,
                      DOMS_XS_CLASS);
    }
    if (!doms) {
        return;
    }
    guests = xen_txn_list(&txn, &n, "/local/domain/%u/backend/%s", doms,
                          DOMS_XS_CLASS);
    for (unsigned int i = 0; i < n; i++) {
        if (!port_request_parse_uint(guests[i], 1, XEN_DOMID_MAX, &guest)) {
            struct old_guest old = { .doms = doms, .guest = guest };

            run_leftovers(work, guest, "/local/domain/%u/backend/%s/%u", doms,
                          DOMS_XS_CLASS, guest);
            /* DomS may have removed what was in it. */
            if (!xen_domains_name(&work->domains, guest)) {
                xen_store_transact(work->ports->xs, sweep, &old);
            }
        }
    }
    free(guests);
}

/* Returns whether a pair of the port 'name' is still being closed. */
static bool
is_closing(const struct xen_work *work, const char *name)
{
    char domain[DOMS_NAME_SIZE], back[XEN_PATH_SIZE];
    unsigned int handle;

    if (!xen_name_split(name, domain, &handle)) {
        return false;
    }
    xen_path_back(back, work->pass->doms,
                  xen_domains_find(&work->domains, domain), handle);
    return shash_find(&work->ports->closing, back) != NULL;
}

/* Takes away the descriptions that no file stands for. */
static void
run_old_descriptions(struct xen_work *work)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
    unsigned int doms = work->pass->doms;
    unsigned int n = 0;
    char **names = NULL;

    if (doms) {
        names = xen_txn_list(&txn, &n, "/local/domain/%u/doms/port", doms);
    }
    for (unsigned int i = 0; i < n; i++) {
        char name[DOMS_NAME_SIZE];

        xen_name_from_node(name, names[i]);
        if (!xen_files_find(&work->files, name)
            && !shash_find(&work->files.broken, name)
            && !is_closing(work, name)) {
            xen_txn_remove(&txn, "/local/domain/%u/doms/port/%s", doms,
                           names[i]);
            xen_told(&work->pass->done, name, "description removed");
        }
    }
    if (txn.error) {
        xen_told(&work->pass->problems, "xenstore", "cannot be written: %s",
                 ovs_strerror(txn.error));
    }
    free(names);
}

/* Forgets the closing of what has gone with its domain. */
static void
forget_closed(struct xen_work *work)
{
    struct shash_node *node;

    SHASH_FOR_EACH_SAFE(node, &work->ports->closing)
    {
        struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
        char *state = xen_txn_read(&txn, "%s/online", node->name);

        if (!state) {
            free(node->data);
            shash_delete(&work->ports->closing, node);
        }
        free(state);
    }
}

void
xen_leftovers_run(struct xen_work *work)
{
    forget_closed(work);
    run_all_leftovers(work);
    run_old_descriptions(work);
}
