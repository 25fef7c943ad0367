/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-local.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "config/port-rows.h"
#include "ctl-request.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/shash.h"
#include "ovsdb-idl.h"
#include "packets.h"
#include "smap.h"
#include "util.h"
#include "uuid.h"

/* An attachment under way. */
struct attach {
    struct port_request *requests; /* What is asked for. */
    size_t n;                      /* Number of 'requests'. */
    const char *from;              /* The file they came from, or NULL. */
    bool *pick_mac;                /* For each, is the address ours to pick? */

    /* Who has which name and which address; the data are descriptions. */
    struct shash names;
    struct shash macs;

    /* The new rows, for each request: provisional until committed. */
    struct uuid *iface_uuids;
    struct uuid *port_uuids;
};

/* Names and addresses in use. */

static void
set_mac_in_use(struct attach *a, const char *mac,
               const struct ovsrec_interface *iface)
{
    struct eth_addr ea;

    if (mac && eth_addr_from_string(mac, &ea)) {
        char *key = xasprintf(ETH_ADDR_FMT, ETH_ADDR_ARGS(ea));

        ctl_use(&a->macs, key, xasprintf("port %s", iface->name));
        free(key);
    }
}

static void
collect_used(struct ctl_local *local, struct attach *a)
{
    const struct ovsrec_interface *iface;
    const struct ovsrec_bridge *bridge;
    const struct ovsrec_port *port;

    shash_clear_free_data(&a->names);
    shash_clear_free_data(&a->macs);
    OVSREC_BRIDGE_FOR_EACH (bridge, local->idl) {
        ctl_use(&a->names, bridge->name,
                xasprintf("the bridge %s", bridge->name));
        for (size_t i = 0; i < bridge->n_ports; i++) {
            ctl_use(&a->names, bridge->ports[i]->name,
                    xasprintf("port %s of bridge %s", bridge->ports[i]->name,
                              bridge->name));
        }
    }
    OVSREC_PORT_FOR_EACH (port, local->idl) {
        ctl_use(&a->names, port->name, xasprintf("port %s", port->name));
    }
    OVSREC_INTERFACE_FOR_EACH (iface, local->idl) {
        const char *peer = smap_get(&iface->options, "peer");

        ctl_use(&a->names, iface->name,
                xasprintf("interface %s", iface->name));
        if (peer) {
            ctl_use(&a->names, peer, xasprintf("port %s", iface->name));
        }
        set_mac_in_use(a, smap_get(&iface->options, "mac"), iface);
        set_mac_in_use(a, smap_get(&iface->external_ids, "attached-mac"),
                       iface);
        set_mac_in_use(a, iface->mac_in_use, iface);
    }
}

/* Checks that the name and the address of 'r' are free, and takes them. */
static enum ctl_status
claim(struct attach *a, struct port_request *r, bool pick, char **why)
{
    const char *user = shash_find_data(&a->names, r->name);

    if (user) {
        bool port = !strncmp(user, "port ", strlen("port "));

        ctl_complain(a->from, r, why,
                     "name: already in use by %s; choose another%s%s%s", user,
                     port ? ", or 'doms-ctl detach " : "", port ? r->name : "",
                     port ? "' first" : "");
        return CTL_REFUSED;
    }
    ctl_use(&a->names, r->name,
            a->from ? xasprintf("line %u", r->line)
                    : xasprintf("another word"));
    if (pick) {
        r->has_mac = false;
    }
    return ctl_claim_mac(a->from, r, &a->macs,
                         xasprintf("guest %s of this request", r->name), why);
}

/* The bridge. */

static char *
list_bridges(const struct ctl_local *local)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    const struct ovsrec_bridge *bridge;

    OVSREC_BRIDGE_FOR_EACH (bridge, local->idl) {
        ds_put_format(&s, "%s%s", s.length ? ", " : "", bridge->name);
    }
    return ds_steal_cstr(&s);
}

/* Finds the bridge that 'r' names, or the only one. */
static enum ctl_status
find_bridge(const struct ctl_local *local, const struct attach *a,
            const struct port_request *r, const struct ovsrec_bridge **found,
            char **why)
{
    const struct ovsrec_bridge *bridge, *match = NULL;
    size_t n = 0;

    OVSREC_BRIDGE_FOR_EACH (bridge, local->idl) {
        n++;
        if (!r->bridge[0] || !strcmp(bridge->name, r->bridge)) {
            match = bridge;
        }
    }
    if (!n) {
        ctl_complain(a->from, r, why,
                     "bridge: there is none; add one with 'ovs-vsctl "
                     "add-br %s -- set bridge %s datapath_type=netdev'",
                     r->bridge[0] ? r->bridge : "br0",
                     r->bridge[0] ? r->bridge : "br0");
        return CTL_REFUSED;
    }
    if (!match || (!r->bridge[0] && n > 1)) {
        char *names = list_bridges(local);

        if (match) {
            ctl_complain(
                a->from, r, why,
                "bridge: there are several; name one with bridge=: %s", names);
        } else {
            ctl_complain(a->from, r, why,
                         "bridge: there is no '%s'; the bridges are: %s",
                         r->bridge, names);
        }
        free(names);
        return CTL_REFUSED;
    }
    if (strcmp(match->datapath_type, "netdev")) {
        ctl_complain(a->from, r, why,
                     "bridge: %s has datapath_type '%s', and guests "
                     "need netdev; 'ovs-vsctl set bridge %s "
                     "datapath_type=netdev', or name another with bridge=",
                     match->name, match->datapath_type, match->name);
        return CTL_REFUSED;
    }
    *found = match;
    return CTL_OK;
}

/* The transaction. */

static enum ctl_status
compose_attach(struct ctl_local *local, struct ovsdb_idl_txn *txn, void *aux,
               char **why)
{
    struct attach *a = aux;

    collect_used(local, a);
    ovsdb_idl_txn_add_comment(txn, "doms-ctl: attach %s%s",
                              a->requests[0].name,
                              a->n > 1 ? " and others" : "");
    for (size_t i = 0; i < a->n; i++) {
        struct port_request *r = &a->requests[i];
        const struct ovsrec_bridge *bridge;
        const struct ovsrec_interface *iface;
        const struct ovsrec_port *port;
        enum ctl_status status = find_bridge(local, a, r, &bridge, why);

        if (!status) {
            status = claim(a, r, a->pick_mac[i], why);
        }
        if (status) {
            return status;
        }
        ovs_strlcpy(r->bridge, bridge->name, sizeof r->bridge);
        iface = ovsrec_interface_insert(txn);
        port = ovsrec_port_insert(txn);
        port_rows_set(r, port, iface, NULL);
        ovsrec_bridge_update_ports_addvalue(bridge, port);
        a->iface_uuids[i] = iface->header_.uuid;
        a->port_uuids[i] = port->header_.uuid;
    }
    return CTL_OK;
}

/* Replaces the provisional '*uuid' of a row that 'txn' has inserted by the one
 * that the database has given it. */
static void
settle_uuid(const struct ovsdb_idl_txn *txn, struct uuid *uuid)
{
    const struct uuid *settled = ovsdb_idl_txn_get_insert_uuid(txn, uuid);

    if (settled) {
        *uuid = *settled;
    }
}

static void
attach_committed(struct ovsdb_idl_txn *txn, void *aux)
{
    struct attach *a = aux;

    for (size_t i = 0; i < a->n; i++) {
        settle_uuid(txn, &a->iface_uuids[i]);
        settle_uuid(txn, &a->port_uuids[i]);
    }
}

/* Finds out whether domsd could make every port. */
static enum ctl_status
check_attached(struct ctl_local *local, const struct attach *a, char **why)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct port_request *r = &a->requests[i];
        const struct ovsrec_interface *iface = ovsrec_interface_get_for_uuid(
            local->idl, &a->iface_uuids[i]);

        if (!iface) {
            ctl_complain(a->from, r, why,
                         "somebody has removed the port meanwhile");
            return CTL_FAILED;
        }
        if (!iface->n_ofport || *iface->ofport < 0 || iface->error) {
            ctl_complain(a->from, r, why,
                         "domsd could not make the port: %s; see its "
                         "log in %s",
                         iface->error ? iface->error : "no reason given",
                         local->options->rundir);
            return CTL_FAILED;
        }
    }
    return CTL_OK;
}

static enum ctl_status
compose_undo(struct ctl_local *local, struct ovsdb_idl_txn *txn, void *aux,
             char **why OVS_UNUSED)
{
    const struct attach *a = aux;

    ovsdb_idl_txn_add_comment(txn, "doms-ctl: undo attach %s",
                              a->requests[0].name);
    for (size_t i = 0; i < a->n; i++) {
        const struct ovsrec_port *port = ovsrec_port_get_for_uuid(
            local->idl, &a->port_uuids[i]);
        const struct ovsrec_bridge *bridge;

        OVSREC_BRIDGE_FOR_EACH (bridge, local->idl) {
            if (port && !strcmp(bridge->name, a->requests[i].bridge)) {
                ovsrec_bridge_update_ports_delvalue(bridge, port);
            }
        }
    }
    return CTL_OK;
}

/* Removes what was attached, since 'why' tells of a failure; if that fails
 * too, '*why' says so. */
static void
undo(struct ctl_local *local, struct attach *a, char **why)
{
    struct ctl_deadline deadline = ctl_deadline_start(local->options, a->n);
    char *why_not = NULL;
    int64_t next_cfg;

    if (ctl_local_change(local, compose_undo, NULL, a, &deadline, &next_cfg,
                         &why_not)) {
        ctl_complain_left(why, "configured", why_not);
    }
}

/* Signals wait until it is known whether an attachment has worked, which is
 * bounded by the deadline; so that one cannot leave half of it. */
static void
hold_signals(bool hold, sigset_t *saved)
{
    if (hold) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_BLOCK, &set, saved);
    } else {
        sigprocmask(SIG_SETMASK, saved, NULL);
    }
}

static enum ctl_status
attach_all(struct ctl_local *local, struct attach *a, char **why)
{
    struct ctl_deadline deadline = ctl_deadline_start(local->options, a->n);
    enum ctl_status status;
    int64_t next_cfg;

    status = ctl_local_change(local, compose_attach, attach_committed, a,
                              &deadline, &next_cfg, why);
    if (status || !local->options->wait) {
        return status;
    }
    status = ctl_local_wait_applied(local, next_cfg, &deadline, why);
    if (!status) {
        status = check_attached(local, a, why);
    }
    if (status) {
        undo(local, a, why);
    }
    return status;
}

enum ctl_status
ctl_local_attach(struct ctl_backend *backend, struct port_request *requests,
                 size_t n, const char *from, struct svec *notes OVS_UNUSED,
                 char **why)
{
    struct ctl_local *local = ctl_local_cast(backend);
    struct attach a = {
        .requests = requests,
        .n = n,
        .from = from,
        .pick_mac = xcalloc(n, sizeof *a.pick_mac),
        .names = SHASH_INITIALIZER(&a.names),
        .macs = SHASH_INITIALIZER(&a.macs),
        .iface_uuids = xcalloc(n, sizeof *a.iface_uuids),
        .port_uuids = xcalloc(n, sizeof *a.port_uuids),
    };
    enum ctl_status status = CTL_OK;
    char *version;
    sigset_t saved;

    for (size_t i = 0; i < n; i++) {
        a.pick_mac[i] = !requests[i].has_mac;
    }
    if (local->options->wait) {
        status = ctl_domsd_call(local->options, "version", &version, why);
        free(version);
        if (status) {
            char *hint = xasprintf("attach %s: %s; or give --no-wait, to "
                                   "attach before it runs",
                                   requests[0].name, *why);

            free(*why);
            *why = hint;
        }
    }
    if (!status) {
        hold_signals(true, &saved);
        status = attach_all(local, &a, why);
        hold_signals(false, &saved);
    }
    shash_destroy_free_data(&a.names);
    shash_destroy_free_data(&a.macs);
    free(a.pick_mac);
    free(a.iface_uuids);
    free(a.port_uuids);
    return status;
}
