/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl-request.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"

/* Milliseconds that each guest of a change adds to the time limit: what Open
 * vSwitch needs to remove one of a thousand ports, twice over. */
#define GUEST_MS 50

/* Starts a wait as long as 'options' say, for a change of 'n_guests' ports. */
struct ctl_deadline
ctl_deadline_start(const struct ctl_options *options, size_t n_guests)
{
    unsigned int timeout_ms = options->timeout_ms
                              + (n_guests > 1 ? n_guests * GUEST_MS : 0);

    return (struct ctl_deadline){
        .when = time_msec() + timeout_ms,
        .timeout_ms = timeout_ms,
    };
}

/* Returns the name of the guest that 'iface' is for. */
const char *
ctl_interface_guest(const struct ovsrec_interface *iface)
{
    return smap_get_def(&iface->options, "peer", iface->name);
}

/* Returns the guest's address as configured in 'iface', or NULL. */
const char *
ctl_interface_mac(const struct ovsrec_interface *iface)
{
    const char *mac = smap_get(&iface->options, "mac");

    return mac ? mac : smap_get(&iface->external_ids, "attached-mac");
}

/* Returns the 'n' 'vlans', ascending, as in "1,5-7"; the caller frees it. */
char *
ctl_format_vlans(const int64_t *vlans, size_t n)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; i < n; i++) {
        size_t first = i;

        while (i + 1 < n && vlans[i + 1] == vlans[i] + 1) {
            i++;
        }
        ds_put_format(&s, "%s%" PRId64, first ? "," : "", vlans[first]);
        if (i > first) {
            ds_put_format(&s, "-%" PRId64, vlans[i]);
        }
    }
    return ds_steal_cstr(&s);
}

static char *
unreachable_db(const struct ctl_options *options, const char *problem)
{
    /* A switch's run directory is root's own. */
    const char *remedy =
        !strcmp(problem, ovs_strerror(EACCES))
            ? "use sudo"
            : "start the switch, or name its run directory with --rundir or "
              "OVS_RUNDIR";

    return xasprintf("the database %s cannot be used: %s; %s", options->db,
                     problem, remedy);
}

static void
add_columns(struct ovsdb_idl *idl)
{
    static const struct ovsdb_idl_column *const columns[] = {
        &ovsrec_open_vswitch_col_bridges,
        &ovsrec_open_vswitch_col_next_cfg,
        &ovsrec_open_vswitch_col_cur_cfg,
        &ovsrec_open_vswitch_col_other_config,
        &ovsrec_bridge_col_name,
        &ovsrec_bridge_col_ports,
        &ovsrec_bridge_col_datapath_type,
        &ovsrec_port_col_name,
        &ovsrec_port_col_interfaces,
        &ovsrec_port_col_tag,
        &ovsrec_port_col_trunks,
        &ovsrec_port_col_vlan_mode,
        &ovsrec_interface_col_name,
        &ovsrec_interface_col_type,
        &ovsrec_interface_col_options,
        &ovsrec_interface_col_external_ids,
        &ovsrec_interface_col_mac_in_use,
        &ovsrec_interface_col_mtu,
        &ovsrec_interface_col_mtu_request,
        &ovsrec_interface_col_ofport,
        &ovsrec_interface_col_error,
        &ovsrec_interface_col_ingress_policing_rate,
    };
    /* Written only. */
    static const struct ovsdb_idl_column *const quiet[] = {
        &ovsrec_interface_col_ingress_policing_burst,
    };

    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        ovsdb_idl_add_column(idl, columns[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(quiet); i++) {
        ovsdb_idl_add_column(idl, quiet[i]);
        ovsdb_idl_omit_alert(idl, quiet[i]);
    }
}

/* Lets the replica progress, at most until 'deadline'.  Returns CTL_OK if the
 * connection is still there and there is still time. */
static enum ctl_status
progress(struct ctl_local *local, const struct ctl_deadline *deadline,
         char **why)
{
    ovsdb_idl_run(local->idl);
    if (!ovsdb_idl_is_alive(local->idl)) {
        int error = ovsdb_idl_get_last_error(local->idl);

        *why = unreachable_db(local->options, ovs_retval_to_string(error));
        return CTL_UNREACHABLE;
    }
    if (time_msec() >= deadline->when) {
        *why = unreachable_db(local->options, "it does not answer");
        return CTL_UNREACHABLE;
    }
    return CTL_OK;
}

static void
local_close(struct ctl_backend *backend)
{
    struct ctl_local *local = ctl_local_cast(backend);

    ovsdb_idl_destroy(local->idl);
    free(local);
}

static enum ctl_status
local_open(const struct ctl_options *options, struct ctl_backend **backend,
           char **why)
{
    struct ctl_deadline deadline = ctl_deadline_start(options, 0);
    struct ctl_local *local = xzalloc(sizeof *local);
    enum ctl_status status;

    local->up.class = &ctl_local_class;
    local->options = options;
    local->idl = ovsdb_idl_create(options->db, &ovsrec_idl_class, false,
                                  false);
    add_columns(local->idl);
    while (!(status = progress(local, &deadline, why))
           && !ovsdb_idl_has_ever_connected(local->idl)) {
        ovsdb_idl_wait(local->idl);
        poll_timer_wait_until(deadline.when);
        poll_block();
    }
    if (!status && !ovsrec_open_vswitch_first(local->idl)) {
        *why = unreachable_db(options, "it is empty, run 'ovs-vsctl "
                                       "--no-wait init'");
        status = CTL_UNREACHABLE;
    }
    if (status) {
        local_close(&local->up);
        local = NULL;
    }
    *backend = local ? &local->up : NULL;
    return status;
}

static void
local_run(struct ctl_backend *backend)
{
    struct ctl_local *local = ctl_local_cast(backend);

    ovsdb_idl_run(local->idl);
    ovsdb_idl_wait(local->idl);
}

/* Commits 'txn'; stores how it went in '*result'. */
static enum ctl_status
commit(struct ctl_local *local, struct ovsdb_idl_txn *txn,
       const struct ctl_deadline *deadline, enum ovsdb_idl_txn_status *result,
       char **why)
{
    while ((*result = ovsdb_idl_txn_commit(txn)) == TXN_INCOMPLETE) {
        enum ctl_status status = progress(local, deadline, why);

        if (status) {
            return status;
        }
        ovsdb_idl_wait(local->idl);
        ovsdb_idl_txn_wait(txn);
        poll_timer_wait_until(deadline->when);
        poll_block();
    }
    return CTL_OK;
}

/* Tries once to make a change, see ctl_local_change().  Sets '*again' if
 * another try may help. */
static enum ctl_status
try_change(struct ctl_local *local, ctl_compose_func *compose,
           ctl_committed_func *committed, void *aux,
           const struct ctl_deadline *deadline, int64_t *next_cfg, bool *again,
           char **why)
{
    const struct ovsrec_open_vswitch *ovs = ovsrec_open_vswitch_first(
        local->idl);
    struct ovsdb_idl_txn *txn = ovsdb_idl_txn_create(local->idl);
    enum ovsdb_idl_txn_status result;
    enum ctl_status status;

    /* Every change increments next_cfg, so this fails if anybody else has
     * changed anything since our replica was made, and two guests cannot get
     * the same address at the same time. */
    ovsrec_open_vswitch_verify_next_cfg(ovs);
    ovsdb_idl_txn_increment(txn, &ovs->header_,
                            &ovsrec_open_vswitch_col_next_cfg, false);
    status = compose(local, txn, aux, why);
    if (status) {
        ovsdb_idl_txn_abort(txn);
        ovsdb_idl_txn_destroy(txn);
        return status;
    }
    status = commit(local, txn, deadline, &result, why);
    if (!status) {
        *again = result == TXN_TRY_AGAIN;
        if (result == TXN_SUCCESS) {
            *next_cfg = ovsdb_idl_txn_get_increment_new_value(txn);
            if (committed) {
                committed(txn, aux);
            }
        } else if (result != TXN_UNCHANGED && !*again) {
            *why = xasprintf("the database refused the change: %s",
                             ovsdb_idl_txn_get_error(txn));
            status = CTL_FAILED;
        }
    }
    ovsdb_idl_txn_destroy(txn);
    return status;
}

/* Makes the change that 'compose' writes, with 'aux', in one transaction, by
 * 'deadline'; then calls 'committed', unless it is NULL.  Stores in
 * '*next_cfg' the number that cur_cfg reaches when domsd has applied it. */
enum ctl_status
ctl_local_change(struct ctl_local *local, ctl_compose_func *compose,
                 ctl_committed_func *committed, void *aux,
                 const struct ctl_deadline *deadline, int64_t *next_cfg,
                 char **why)
{
    enum ctl_status status;
    bool again = false;

    *next_cfg = 0;
    do {
        unsigned int seqno = ovsdb_idl_get_seqno(local->idl);

        again = false;
        status = try_change(local, compose, committed, aux, deadline, next_cfg,
                            &again, why);
        while (!status && again && seqno == ovsdb_idl_get_seqno(local->idl)) {
            status = progress(local, deadline, why);
            if (!status && seqno == ovsdb_idl_get_seqno(local->idl)) {
                ovsdb_idl_wait(local->idl);
                poll_timer_wait_until(deadline->when);
                poll_block();
            }
        }
    } while (!status && again);
    return status;
}

/* Waits until domsd has applied the change with the number 'next_cfg'. */
enum ctl_status
ctl_local_wait_applied(struct ctl_local *local, int64_t next_cfg,
                       const struct ctl_deadline *deadline, char **why)
{
    for (;;) {
        const struct ovsrec_open_vswitch *ovs;
        enum ctl_status status;

        ovsdb_idl_run(local->idl);
        ovs = ovsrec_open_vswitch_first(local->idl);
        if (ovs && ovs->cur_cfg >= next_cfg) {
            return CTL_OK;
        }
        if (time_msec() >= deadline->when) {
            *why = xasprintf("domsd has not applied the change within %u s; "
                             "see its log in %s, or give --timeout",
                             deadline->timeout_ms / 1000,
                             local->options->rundir);
            return CTL_FAILED;
        }
        status = progress(local, deadline, why);
        if (status) {
            return status;
        }
        ovsdb_idl_wait(local->idl);
        poll_timer_wait_until(deadline->when);
        poll_block();
    }
}

/* Detaching. */

struct detach {
    char *const *names; /* The guests' names. */
    size_t n;           /* Number of 'names'. */
};

/* Finds the port of the guest 'name' and its bridge. */
static enum ctl_status
find_port(struct ctl_local *local, const char *name,
          const struct ovsrec_bridge **bridge, const struct ovsrec_port **port,
          char **why)
{
    const struct ovsrec_bridge *b;

    OVSREC_BRIDGE_FOR_EACH (b, local->idl) {
        for (size_t i = 0; i < b->n_ports; i++) {
            const struct ovsrec_port *p = b->ports[i];

            for (size_t j = 0; j < p->n_interfaces; j++) {
                const struct ovsrec_interface *iface = p->interfaces[j];
                bool ours = !strcmp(iface->type, CTL_INTERFACE_TYPE);

                if (strcmp(ours ? ctl_interface_guest(iface) : iface->name,
                           name)) {
                    continue;
                }
                if (!ours || p->n_interfaces > 1) {
                    *why = xasprintf("detach %s: %s; 'ovs-vsctl del-port %s' "
                                     "removes it",
                                     name,
                                     ours ? "it is part of a bond"
                                          : "that port is not a guest's",
                                     p->name);
                    return CTL_REFUSED;
                }
                *bridge = b;
                *port = p;
                return CTL_OK;
            }
        }
    }
    *why = ctl_no_such_guest("detach", name, NULL);
    return CTL_REFUSED;
}

static enum ctl_status
compose_detach(struct ctl_local *local, struct ovsdb_idl_txn *txn, void *aux,
               char **why)
{
    struct detach *d = aux;

    ovsdb_idl_txn_add_comment(txn, "doms-ctl: detach %s%s", d->names[0],
                              d->n > 1 ? " and others" : "");
    for (size_t i = 0; i < d->n; i++) {
        const struct ovsrec_bridge *bridge;
        const struct ovsrec_port *port;
        enum ctl_status status = find_port(local, d->names[i], &bridge, &port,
                                           why);

        if (status) {
            return status;
        }
        /* The rows of the port and its interface go with the reference. */
        ovsrec_bridge_update_ports_delvalue(bridge, port);
    }
    return CTL_OK;
}

enum ctl_status
ctl_local_detach(struct ctl_backend *backend, char *const names[], size_t n,
                 struct svec *notes OVS_UNUSED, char **why)
{
    struct ctl_local *local = ctl_local_cast(backend);
    struct ctl_deadline deadline = ctl_deadline_start(local->options, n);
    struct detach d = { .names = names, .n = n };
    enum ctl_status status;
    int64_t next_cfg;

    status = ctl_local_change(local, compose_detach, NULL, &d, &deadline,
                              &next_cfg, why);
    /* A domsd that starts later finds the ports gone. */
    if (!status && local->options->wait && ctl_domsd_pid(local->options)) {
        status = ctl_local_wait_applied(local, next_cfg, &deadline, why);
        if (status) {
            char *problem = *why;

            *why = xasprintf("detach %s: taken out of the database, but %s",
                             names[0], problem);
            free(problem);
        }
    }
    return status;
}

const struct ctl_backend_class ctl_local_class = {
    .name = "local",
    .open = local_open,
    .close = local_close,
    .attach = ctl_local_attach,
    .detach = ctl_local_detach,
    .snapshot = ctl_local_snapshot,
    .run = local_run,
};
