/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/port-maker.h"

#include <stdlib.h>
#include <string.h>

#include "config/port-rows.h"
#include "lib/vswitch-idl.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "packets.h"
#include "smap.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_port_maker);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(30, 60);

/* A port that is wanted, or is to go. */
struct wanted {
    struct port_request request;
    char *vm_uuid; /* The guest's UUID, or NULL. */
    char *serial;
    bool mac_is_own;             /* Is its address to be no other port's? */
    enum port_maker_state state; /* NONE: it is to go. */
    bool in_txn;                 /* Is it in 'txn'? */
    char *problem;               /* In FAILED. */
};

static struct shash wanted_ports = SHASH_INITIALIZER(&wanted_ports);
static bool prune;   /* Remove the ports that nobody wants? */
static bool changed; /* Has the state of a port changed? */

/* The replica and its transaction, NULL between two. */
static char *remote;
static struct ovsdb_idl *idl;
static struct ovsdb_idl_txn *txn;
static int64_t await_cfg; /* Until Open_vSwitch.cur_cfg is this. */

/* Takes 'remote_', where ovsdb-server listens, as of domsd's command line. */
void
port_maker_set_remote(const char *remote_)
{
    free(remote);
    remote = xstrdup(remote_);
}

static void
open_idl(void)
{
    static const struct ovsdb_idl_column *columns[] = {
        &ovsrec_open_vswitch_col_bridges,
        &ovsrec_open_vswitch_col_next_cfg,
        &ovsrec_open_vswitch_col_cur_cfg,
        &ovsrec_bridge_col_name,
        &ovsrec_bridge_col_ports,
        &ovsrec_bridge_col_datapath_type,
        &ovsrec_port_col_name,
        &ovsrec_port_col_interfaces,
        &ovsrec_port_col_tag,
        &ovsrec_port_col_trunks,
        &ovsrec_interface_col_name,
        &ovsrec_interface_col_type,
        &ovsrec_interface_col_options,
        &ovsrec_interface_col_external_ids,
        &ovsrec_interface_col_mtu_request,
        &ovsrec_interface_col_ingress_policing_rate,
        &ovsrec_interface_col_ingress_policing_burst,
        &ovsrec_interface_col_error,
    };

    idl = ovsdb_idl_create(remote, &ovsrec_idl_class, false, true);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        ovsdb_idl_add_column(idl, columns[i]);
    }
}

static void
set_state(struct wanted *w, enum port_maker_state state)
{
    if (w->state != state) {
        w->state = state;
        changed = true;
    }
}

/* Takes 'problem', which keeps 'w' from being made. */
static void
set_problem(struct wanted *w, char *problem)
{
    VLOG_WARN_RL(&rl, "cannot make the port of guest %s: %s", w->request.name,
                 problem);
    free(w->problem);
    w->problem = problem;
    set_state(w, PORT_MAKER_FAILED);
}

/* Wants the port of 'request', which comes with the guest's 'vm_uuid', or
 * NULL, and 'serial'.  With 'mac_is_own', it is not made if another port has
 * its address. */
void
port_maker_want(const struct port_request *request, const char *vm_uuid,
                const char *serial, bool mac_is_own)
{
    struct wanted *w = shash_find_data(&wanted_ports, request->name);

    if (!w) {
        w = xzalloc(sizeof *w);
        shash_add(&wanted_ports, request->name, w);
    }
    w->request = *request;
    free(w->vm_uuid);
    w->vm_uuid = nullable_xstrdup(vm_uuid);
    free(w->serial);
    w->serial = xstrdup(serial);
    w->mac_is_own = mac_is_own;
    w->in_txn = false;
    set_state(w, PORT_MAKER_PENDING);
}

/* Has the port of guest 'name' removed. */
void
port_maker_drop(const char *name)
{
    struct wanted *w = shash_find_data(&wanted_ports, name);

    if (w) {
        w->in_txn = false;
        set_state(w, PORT_MAKER_NONE);
    }
}

/* Has those ports removed that an earlier life of the switch made, and that
 * are not wanted. */
void
port_maker_prune(void)
{
    prune = true;
}

/* Returns how far the port of guest 'name' is.  Stores the serial that it is
 * about in '*serial', or NULL, and in '*problem' why it cannot be made, or
 * NULL. */
enum port_maker_state
port_maker_state(const char *name, const char **serial, const char **problem)
{
    const struct wanted *w = shash_find_data(&wanted_ports, name);

    *serial = w ? w->serial : NULL;
    *problem = w && w->state == PORT_MAKER_FAILED ? w->problem : NULL;
    return w ? w->state : PORT_MAKER_NONE;
}

/* Finding rows. */

static const struct ovsrec_port *
find_port(const char *name)
{
    const struct ovsrec_port *port;

    OVSREC_PORT_FOR_EACH (port, idl) {
        if (!strcmp(port->name, name)) {
            return port;
        }
    }
    return NULL;
}

/* Returns the bridge that has 'port', or NULL. */
static const struct ovsrec_bridge *
bridge_of(const struct ovsrec_port *port)
{
    const struct ovsrec_bridge *bridge;

    OVSREC_BRIDGE_FOR_EACH (bridge, idl) {
        for (size_t i = 0; i < bridge->n_ports; i++) {
            if (bridge->ports[i] == port) {
                return bridge;
            }
        }
    }
    return NULL;
}

/* Returns the bridge that 'r' names, or the only one, or NULL and a
 * '*problem'. */
static const struct ovsrec_bridge *
find_bridge(const struct port_request *r, char **problem)
{
    const struct ovsrec_bridge *bridge, *match = NULL;
    size_t n = 0;

    OVSREC_BRIDGE_FOR_EACH (bridge, idl) {
        if (r->bridge[0] ? !strcmp(bridge->name, r->bridge)
                         : !strcmp(bridge->datapath_type, "netdev")) {
            match = bridge;
            n++;
        }
    }
    if (!n && r->bridge[0]) {
        *problem = xasprintf("there is no bridge %s in DomS; add it there "
                             "with 'ovs-vsctl add-br', or name another",
                             r->bridge);
    } else if (!n) {
        *problem = xasprintf("DomS has no bridge of datapath_type netdev; "
                             "add one there with 'ovs-vsctl add-br'");
    } else if (n > 1) {
        *problem = xasprintf("DomS has several bridges; name one with "
                             "bridge=");
    } else if (strcmp(match->datapath_type, "netdev")) {
        *problem = xasprintf("bridge %s has datapath_type '%s', and guests "
                             "need netdev",
                             match->name, match->datapath_type);
    } else {
        return match;
    }
    return NULL;
}

/* Returns the port that has the address of 'r' and is another's, or NULL. */
static const struct ovsrec_interface *
find_mac_user(const struct port_request *r)
{
    const struct ovsrec_interface *iface;
    char mac[ETH_ADDR_STRLEN + 1];

    snprintf(mac, sizeof mac, ETH_ADDR_FMT, ETH_ADDR_BYTES_ARGS(r->mac));
    OVSREC_INTERFACE_FOR_EACH (iface, idl) {
        if (strcmp(iface->name, r->name)
            && !strcmp(smap_get_def(&iface->options, "mac", ""), mac)) {
            return iface;
        }
    }
    return NULL;
}

/* Composing. */

static void
remove_port(const struct ovsrec_port *port)
{
    const struct ovsrec_bridge *bridge = bridge_of(port);

    if (bridge) {
        ovsrec_bridge_update_ports_delvalue(bridge, port);
    }
}

/* Returns true if 'port' was made for a description. */
static bool
is_ours(const struct ovsrec_port *port)
{
    return port->n_interfaces == 1
           && !strcmp(port->interfaces[0]->type, PORT_ROWS_TYPE)
           && smap_get(&port->interfaces[0]->external_ids, "doms-serial");
}

/* Makes or changes the rows of 'w', which are 'port' if there is one. */
static void
compose_rows(const struct wanted *w, const struct ovsrec_bridge *bridge,
             const struct ovsrec_port *port)
{
    const struct ovsrec_interface *iface;
    struct smap ids = SMAP_INITIALIZER(&ids);

    if (port && bridge_of(port) != bridge) {
        remove_port(port);
        port = NULL;
    }
    smap_add(&ids, "doms-serial", w->serial);
    smap_add(&ids, "xen-vm-name", w->request.name);
    if (w->vm_uuid) {
        smap_add(&ids, "xen-vm-uuid", w->vm_uuid);
    }
    if (port) {
        iface = port->interfaces[0];
    } else {
        iface = ovsrec_interface_insert(txn);
        port = ovsrec_port_insert(txn);
        ovsrec_bridge_update_ports_addvalue(bridge, port);
    }
    port_rows_set(&w->request, port, iface, &ids);
    smap_destroy(&ids);
}

static void
compose_wanted(struct wanted *w)
{
    const struct ovsrec_port *port = find_port(w->request.name);
    const struct ovsrec_interface *user;
    const struct ovsrec_bridge *bridge;
    char *problem = NULL;

    w->in_txn = true;
    if (w->state == PORT_MAKER_NONE) {
        if (port && is_ours(port)) {
            remove_port(port);
        }
        return;
    }
    if (port && is_ours(port)
        && !strcmp(smap_get(&port->interfaces[0]->external_ids, "doms-serial"),
                   w->serial)) {
        return;
    }
    bridge = find_bridge(&w->request, &problem);
    user = w->request.has_mac && w->mac_is_own ? find_mac_user(&w->request)
                                               : NULL;
    if (!problem && port
        && (port->n_interfaces != 1
            || strcmp(port->interfaces[0]->type, PORT_ROWS_TYPE))) {
        problem = xasprintf("DomS has a port %s that is no guest's; rename "
                            "that or the guest",
                            port->name);
    } else if (!problem && user) {
        problem = xasprintf("mac: " ETH_ADDR_FMT " is in use by port %s; "
                            "choose another",
                            ETH_ADDR_BYTES_ARGS(w->request.mac), user->name);
    }
    if (problem) {
        set_problem(w, problem);
    } else {
        compose_rows(w, bridge, port);
    }
}

static void
compose_prune(void)
{
    const struct ovsrec_port *port;

    OVSREC_PORT_FOR_EACH (port, idl) {
        if (is_ours(port) && !shash_find(&wanted_ports, port->name)) {
            VLOG_INFO("removing port %s, which is not described any more",
                      port->name);
            remove_port(port);
        }
    }
}

/* Returns true if there is something to write. */
static bool
needs_txn(void)
{
    struct shash_node *node;

    SHASH_FOR_EACH (node, &wanted_ports) {
        const struct wanted *w = node->data;

        if (w->state == PORT_MAKER_PENDING || w->state == PORT_MAKER_NONE) {
            return true;
        }
    }
    return prune;
}

static void
compose(void)
{
    const struct ovsrec_open_vswitch *ovs = ovsrec_open_vswitch_first(idl);
    struct shash_node *node;

    txn = ovsdb_idl_txn_create(idl);
    ovsdb_idl_txn_add_comment(txn, "domsd: guests' ports");
    SHASH_FOR_EACH (node, &wanted_ports) {
        struct wanted *w = node->data;

        w->in_txn = false;
        if (w->state == PORT_MAKER_PENDING || w->state == PORT_MAKER_NONE) {
            compose_wanted(w);
        }
    }
    if (prune) {
        compose_prune();
    }
    ovsdb_idl_txn_increment(txn, &ovs->header_,
                            &ovsrec_open_vswitch_col_next_cfg, false);
}

/* Applied. */

static void
wanted_destroy(struct wanted *w)
{
    shash_find_and_delete(&wanted_ports, w->request.name);
    free(w->vm_uuid);
    free(w->serial);
    free(w->problem);
    free(w);
}

/* The switch has applied the last transaction: finds out how that went. */
static void
settle(void)
{
    struct shash_node *node;

    SHASH_FOR_EACH_SAFE(node, &wanted_ports)
    {
        struct wanted *w = node->data;
        const struct ovsrec_port *port;

        if (!w->in_txn) {
            continue; /* It has changed since. */
        }
        if (w->state == PORT_MAKER_NONE) {
            changed = true;
            wanted_destroy(w);
            continue;
        }
        port = find_port(w->request.name);
        if (w->state == PORT_MAKER_PENDING && port && port->n_interfaces == 1
            && port->interfaces[0]->error) {
            set_problem(w, xstrdup(port->interfaces[0]->error));
        } else if (w->state == PORT_MAKER_PENDING) {
            set_state(w, PORT_MAKER_DONE);
        }
    }
}

/* The transaction has failed for good. */
static void
give_up(void)
{
    struct shash_node *node;

    VLOG_WARN_RL(&rl, "cannot change guests' ports: %s",
                 ovsdb_idl_txn_get_error(txn));
    prune = false;
    SHASH_FOR_EACH_SAFE(node, &wanted_ports)
    {
        struct wanted *w = node->data;

        if (w->in_txn && w->state == PORT_MAKER_PENDING) {
            set_problem(w, xstrdup(ovsdb_idl_txn_get_error(txn)));
        } else if (w->in_txn && w->state == PORT_MAKER_NONE) {
            wanted_destroy(w);
        }
    }
}

/* The transaction has ended in 'status'. */
static void
txn_ended(enum ovsdb_idl_txn_status status)
{
    if (status == TXN_SUCCESS) {
        prune = false;
        await_cfg = ovsdb_idl_txn_get_increment_new_value(txn);
    } else if (status == TXN_UNCHANGED) {
        prune = false;
        settle();
    } else if (status != TXN_TRY_AGAIN) {
        give_up();
    }
    ovsdb_idl_txn_destroy(txn);
    txn = NULL;
}

/* Returns true if the switch has applied what was written last. */
static bool
is_applied(void)
{
    const struct ovsrec_open_vswitch *ovs = ovsrec_open_vswitch_first(idl);

    return ovs && ovs->cur_cfg >= await_cfg;
}

/* Returns true if a transaction can be composed. */
static bool
is_ready(void)
{
    return !txn && !await_cfg && ovsrec_open_vswitch_first(idl);
}

bool
port_maker_run(void)
{
    bool result;

    if (!idl) {
        if (!remote || !needs_txn()) {
            return false;
        }
        open_idl();
    }
    ovsdb_idl_run(idl);
    if (await_cfg && is_applied()) {
        await_cfg = 0;
        settle();
    }
    if (is_ready() && needs_txn()) {
        compose();
    }
    if (txn) {
        enum ovsdb_idl_txn_status status = ovsdb_idl_txn_commit(txn);

        if (status != TXN_INCOMPLETE) {
            txn_ended(status);
        }
    }
    result = changed;
    changed = false;
    return result;
}

void
port_maker_wait(void)
{
    if (idl) {
        ovsdb_idl_wait(idl);
        if (txn) {
            ovsdb_idl_txn_wait(txn);
        } else if (is_ready() && needs_txn()) {
            poll_immediate_wake();
        }
    } else if (remote && needs_txn()) {
        poll_immediate_wake();
    }
}
