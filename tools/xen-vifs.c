/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests' vifs (stock netfronts) whose backend is DomS, when DomS has died.
 *
 * A netfront learns of another backend only when its device is made anew: the
 * vif is taken from the guest, and given again once there is a DomS, as xl has
 * described it in its own directory.  For the guest its interface is unplugged
 * and plugged in.
 *
 * Which vifs are those of DomS stands there too, as long as DomS lives: the
 * key OURS.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timeval.h"
#include "util.h"
#include "xen-work.h"

/* Says, in xl's directory of a vif, that it belongs to DomS. */
#define OURS "doms"

/* Milliseconds between taking a vif away and giving it again, in which the
 * guest notices the first: nothing shows that it has. */
#define GAP_MS 1000

/* XenbusState. */
#define INITIALISING "1"

/* One vif of a pass. */
struct vif {
    struct xen_work *work;
    unsigned int guest;        /* The guest's domid. */
    unsigned int handle;       /* The device's number. */
    char xl[XEN_PATH_SIZE];    /* xl's directory. */
    char front[XEN_PATH_SIZE]; /* The front's. */
    char back[XEN_PATH_SIZE];  /* The backend's, in DomS. */
    char *old_back;            /* As it was, or is. */
    bool taken;                /* Has the transaction taken it away? */
    bool given;                /* Has the transaction given it? */
};

/* Returns whether what is known of 'v' still stands. */
static bool
stands(struct xen_txn *txn, const struct vif *v)
{
    char *back = xen_txn_read(txn, "%s/backend", v->xl);
    char *name = xen_txn_read(txn, "/local/domain/%u/name", v->guest);
    bool stand = back && name && !strcmp(back, v->old_back);

    free(back);
    free(name);
    return stand;
}

/* Keys that xl has written for the front alone. */
static const char *const front_keys[] = { "mtu", "trusted" };

/* Notes in xl's directory that 'v' is one of DomS's, and those keys of the
 * front that would go with it. */
static void
mark(struct xen_txn *txn, void *v_)
{
    const struct vif *v = v_;
    char *ours = xen_txn_read(txn, "%s/" OURS, v->xl);

    if (!ours && stands(txn, v)) {
        for (size_t i = 0; i < ARRAY_SIZE(front_keys); i++) {
            char *value = xen_txn_read(txn, "%s/%s", v->front, front_keys[i]);

            if (value) {
                xen_txn_write(txn, value, "%s/%s", v->xl, front_keys[i]);
            }
            free(value);
        }
        xen_txn_write(txn, "1", "%s/" OURS, v->xl);
    }
    free(ours);
}

static void
take(struct xen_txn *txn, void *v_)
{
    struct vif *v = v_;
    char *state = xen_txn_read(txn, "%s/state", v->front);

    v->taken = state && stands(txn, v);
    if (v->taken) {
        xen_txn_remove(txn, "%s", v->front);
    }
    free(state);
}

/* Makes the directory 'path', of 'owner', which 'reader' reads. */
static void
make_dir(struct xen_txn *txn, const char *path, unsigned int owner,
         unsigned int reader)
{
    const struct xen_perms perms = { .owner = owner,
                                     .has_reader = true,
                                     .reader = reader };

    xen_txn_write(txn, "", "%s", path);
    xen_txn_set_perms(txn, path, &perms);
}

/* Copies 'key' of xl's directory to directory 'to', if it is there. */
static void
copy_key(struct xen_txn *txn, const struct vif *v, const char *to,
         const char *key)
{
    char *value = xen_txn_read(txn, "%s/%s", v->xl, key);

    if (value) {
        xen_txn_write(txn, value, "%s/%s", to, key);
    }
    free(value);
}

static void
write_back(struct xen_txn *txn, const struct vif *v)
{
    static const char *const not [] = { "frontend", "backend", "state",
                                        "online", OURS };
    unsigned int n;
    char **keys = xen_txn_list(txn, &n, "%s", v->xl);

    make_dir(txn, v->back, v->work->pass->doms, v->guest);
    xen_txn_write(txn, v->front, "%s/frontend", v->back);
    for (unsigned int i = 0; i < n; i++) {
        bool copies = true;

        for (size_t j = 0; j < ARRAY_SIZE(not ); j++) {
            copies = copies && strcmp(keys[i], not [j]);
        }
        if (copies) {
            copy_key(txn, v, v->back, keys[i]);
        }
    }
    xen_txn_write(txn, "1", "%s/online", v->back);
    xen_txn_write(txn, INITIALISING, "%s/state", v->back);
    free(keys);
}

static void
write_front(struct xen_txn *txn, const struct vif *v)
{
    unsigned int doms = v->work->pass->doms;
    char domid[16];

    snprintf(domid, sizeof domid, "%u", doms);
    make_dir(txn, v->front, v->guest, doms);
    xen_txn_write(txn, v->back, "%s/backend", v->front);
    xen_txn_write(txn, domid, "%s/backend-id", v->front);
    copy_key(txn, v, v->front, "handle");
    copy_key(txn, v, v->front, "mac");
    for (size_t i = 0; i < ARRAY_SIZE(front_keys); i++) {
        copy_key(txn, v, v->front, front_keys[i]);
    }
    xen_txn_write(txn, INITIALISING, "%s/state", v->front);
}

static void
give(struct xen_txn *txn, void *v_)
{
    struct vif *v = v_;
    char *state = xen_txn_read(txn, "%s/state", v->front);

    v->given = !state && stands(txn, v);
    if (v->given) {
        write_back(txn, v);
        write_front(txn, v);
        xen_txn_write(txn, v->back, "%s/backend", v->xl);
    }
    free(state);
}

/* Runs 'body' for 'v'.  Returns true if it could be done. */
static bool
transact(struct vif *v, xen_txn_func *body)
{
    int error = xen_store_transact(v->work->ports->xs, body, v);

    if (error) {
        xen_told(&v->work->pass->problems, v->front,
                 "xenstore cannot be written: %s", ovs_strerror(error));
    }
    return !error;
}

/* Takes 'v', whose backend has died, from its guest, and gives it again, a
 * step at a time. */
static void
run_stranded(struct vif *v)
{
    const char *name = xen_domains_name(&v->work->domains, v->guest);
    struct shash *taken = &v->work->ports->taken;
    struct xen_pass *pass = v->work->pass;
    long long int *when = shash_find_data(taken, v->front);

    if (!when) {
        if (!transact(v, take)) {
            return;
        }
        if (v->taken) {
            xen_told(&pass->done, name, "vif %u taken away: DomS has died",
                     v->handle);
        }
        when = xmalloc(sizeof *when);
        *when = time_msec() + GAP_MS;
        shash_add(taken, v->front, when);
    }
    if (!pass->doms) {
        return;
    }
    if (time_msec() < *when) {
        pass->pending = true;
        return;
    }
    if (transact(v, give) && v->given) {
        xen_told(&pass->done, name, "vif %u given again", v->handle);
    }
    free(shash_find_and_delete(taken, v->front));
}

/* Returns the domid in 'back', the path of a vif's backend directory, or 0. */
static unsigned int
backend_of(const char *back)
{
    unsigned int domid, guest, handle;

    return ovs_scan(back, "/local/domain/%u/backend/vif/%u/%u", &domid, &guest,
                    &handle)
               ? domid
               : 0;
}

/* Looks at one vif. */
static void
run_vif(struct vif *v)
{
    struct xen_txn txn = { .xs = v->work->ports->xs, .id = XBT_NULL };
    unsigned int doms = v->work->pass->doms;
    unsigned int backend;
    char *ours;

    snprintf(v->front, sizeof v->front, "/local/domain/%u/device/vif/%u",
             v->guest, v->handle);
    snprintf(v->back, sizeof v->back, "/local/domain/%u/backend/vif/%u/%u",
             doms, v->guest, v->handle);
    v->old_back = xen_txn_read(&txn, "%s/backend", v->xl);
    ours = xen_txn_read(&txn, "%s/" OURS, v->xl);
    backend = v->old_back ? backend_of(v->old_back) : 0;
    if (backend && backend == doms && !ours) {
        transact(v, mark);
    } else if (backend && backend != doms && ours
               && !xen_domains_name(&v->work->domains, backend)) {
        run_stranded(v);
    }
    free(ours);
    free(v->old_back);
}

/* Forgets the vifs of guests that have gone while they had been taken away. */
static void
forget_gone(struct xen_work *work)
{
    struct shash_node *node;

    SHASH_FOR_EACH_SAFE(node, &work->ports->taken)
    {
        unsigned int guest;

        if (!ovs_scan(node->name, "/local/domain/%u/", &guest)
            || !xen_domains_name(&work->domains, guest)) {
            free(node->data);
            shash_delete(&work->ports->taken, node);
        }
    }
}

void
xen_vifs_run(struct xen_work *work)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };

    forget_gone(work);
    for (size_t i = 0; i < work->domains.n; i++) {
        struct vif v = { .work = work, .guest = work->domains.domains[i].id };
        unsigned int n;
        char **handles = xen_txn_list(&txn, &n, "/libxl/%u/device/vif",
                                      v.guest);

        for (unsigned int j = 0; j < n; j++) {
            if (!port_request_parse_uint(handles[j], 0, UINT32_MAX,
                                         &v.handle)) {
                snprintf(v.xl, sizeof v.xl, "/libxl/%u/device/vif/%u", v.guest,
                         v.handle);
                run_vif(&v);
            }
        }
        free(handles);
    }
}
