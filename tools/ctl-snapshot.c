/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-local.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/shash.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"

/* Returns the counter 'name' of 'guest', or 0 if it has none. */
int64_t
ctl_guest_counter(const struct ctl_guest *guest, const char *name)
{
    const struct json *value = shash_find_data(json_object(guest->counters),
                                               name);

    return value && value->type == JSON_INTEGER ? value->integer : 0;
}

static void
guest_destroy(struct ctl_guest *g)
{
    free(g->name);
    free(g->port);
    free(g->bridge);
    free(g->iface_id);
    free(g->trunks);
    free(g->vlan_mode);
    free(g->error);
    free(g->state);
    free(g->reason);
    free(g->door);
    free(g->mac);
    free(g->features);
    json_destroy(g->counters);
    if (g->xen) {
        free(g->xen->domain);
        free(g->xen->error);
        free(g->xen);
    }
}

/* Frees what 'snapshot' holds. */
void
ctl_snapshot_destroy(struct ctl_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n; i++) {
        guest_destroy(&snapshot->guests[i]);
    }
    free(snapshot->guests);
    free(snapshot->domsd_problem);
    memset(snapshot, 0, sizeof *snapshot);
}

static int
compare_guests(const void *a_, const void *b_)
{
    const struct ctl_guest *a = a_, *b = b_;
    int cmp = strcmp(a->name, b->name);

    return cmp ? cmp : strcmp(a->port, b->port);
}

/* Returns the guest 'name' of 'snapshot', or NULL. */
const struct ctl_guest *
ctl_snapshot_find(const struct ctl_snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->n; i++) {
        if (!strcmp(snapshot->guests[i].name, name)) {
            return &snapshot->guests[i];
        }
    }
    return NULL;
}

/* Makes '*string', which is freed, a copy of 'value'. */
void
ctl_replace(char **string, const char *value)
{
    free(*string);
    *string = xstrdup(value);
}

/* Fills 'g' with what the database says. */
static void
guest_from_db(struct ctl_guest *g, const struct ovsrec_bridge *bridge,
              const struct ovsrec_port *port,
              const struct ovsrec_interface *iface)
{
    const char *mac = ctl_interface_mac(iface);

    memset(g, 0, sizeof *g);
    g->name = xstrdup(ctl_interface_guest(iface));
    g->port = xstrdup(iface->name);
    g->bridge = xstrdup(bridge->name);
    g->iface_id = xstrdup(smap_get_def(&iface->external_ids, "iface-id", ""));
    g->trunks = ctl_format_vlans(port->trunks, port->n_trunks);
    g->vlan_mode = nullable_xstrdup(port->vlan_mode);
    g->tag = port->n_tag ? *port->tag : -1;
    g->rate = (uint64_t) iface->ingress_policing_rate * 1000;
    g->ofport = iface->n_ofport ? *iface->ofport : -1;
    g->error = xstrdup(iface->error ? iface->error : "");

    g->state = xstrdup(iface->error ? "error" : "unknown");
    g->reason = xstrdup(iface->error ? iface->error : "");
    g->door = xstrdup("");
    g->mac = xstrdup(mac ? mac : "");
    g->mtu = iface->n_mtu           ? *iface->mtu
             : iface->n_mtu_request ? *iface->mtu_request
                                    : 0;
    g->n_queues = smap_get_int(&iface->options, "n_rxq", 1);
    g->arena = smap_get_int(&iface->options, "arena", 0);
    g->features = xstrdup("");
    g->counters = json_object_create();
    if (!g->vlan_mode) {
        g->vlan_mode = xstrdup("");
    }
}

/* Collects the guests of the database into 'snapshot'. */
static void
collect_guests(struct ctl_local *local, struct ctl_snapshot *snapshot)
{
    const struct ovsrec_bridge *bridge;
    size_t allocated = 0;

    OVSREC_BRIDGE_FOR_EACH (bridge, local->idl) {
        for (size_t i = 0; i < bridge->n_ports; i++) {
            const struct ovsrec_port *port = bridge->ports[i];

            for (size_t j = 0; j < port->n_interfaces; j++) {
                const struct ovsrec_interface *iface = port->interfaces[j];

                if (strcmp(iface->type, CTL_INTERFACE_TYPE)) {
                    continue;
                }
                if (snapshot->n >= allocated) {
                    snapshot->guests = x2nrealloc(snapshot->guests, &allocated,
                                                  sizeof *snapshot->guests);
                }
                guest_from_db(&snapshot->guests[snapshot->n++], bridge, port,
                              iface);
            }
        }
    }
    if (snapshot->n) {
        qsort(snapshot->guests, snapshot->n, sizeof *snapshot->guests,
              compare_guests);
    }
}

/* Returns the member 'name' of 'object' if it has the type 'type', or NULL. */
static const struct json *
member(const struct json *object, const char *name, enum json_type type)
{
    const struct json *value;

    if (!object || object->type != JSON_OBJECT) {
        return NULL;
    }
    value = shash_find_data(json_object(object), name);
    return value && value->type == type ? value : NULL;
}

static void
take_string(const struct json *object, const char *name, char **string)
{
    const struct json *value = member(object, name, JSON_STRING);

    if (value) {
        ctl_replace(string, json_string(value));
    }
}

static void
take_integer(const struct json *object, const char *name, int64_t *integer)
{
    const struct json *value = member(object, name, JSON_INTEGER);

    if (value) {
        *integer = json_integer(value);
    }
}

/* Replaces what 'g' has from the configuration by 'status', what domsd says of
 * its port. */
void
ctl_guest_take_status(struct ctl_guest *g, const struct json *status)
{
    const struct json *queues = member(status, "queues", JSON_OBJECT);
    const struct json *features = member(status, "features", JSON_ARRAY);
    const struct json *counters = member(status, "counters", JSON_OBJECT);

    take_string(status, "state", &g->state);
    take_string(status, "reason", &g->reason);
    take_string(status, "door", &g->door);
    take_string(status, "mac", &g->mac);
    take_integer(status, "mtu", &g->mtu);
    take_integer(queues, "port", &g->n_queues);
    take_integer(queues, "channel", &g->n_channel_queues);
    take_integer(status, "arena", &g->arena);
    take_integer(status, "epoch", &g->epoch);
    take_integer(status, "pid", &g->pid);
    take_integer(status, "connects", &g->connects);
    if (features) {
        struct ds s = DS_EMPTY_INITIALIZER;

        for (size_t i = 0; i < features->array.n; i++) {
            const struct json *feature = features->array.elems[i];

            if (feature->type == JSON_STRING) {
                ds_put_format(&s, "%s%s", s.length ? "," : "",
                              json_string(feature));
            }
        }
        ctl_replace(&g->features, ds_cstr(&s));
        ds_destroy(&s);
    }
    if (counters) {
        json_destroy(g->counters);
        g->counters = json_clone(counters);
    }
}

/* Joins domsd's 'status', an array of objects, to the guests by the names of
 * their ports. */
static void
join_status(struct ctl_snapshot *snapshot, const struct json *status)
{
    struct shash ports = SHASH_INITIALIZER(&ports);

    for (size_t i = 0; i < status->array.n; i++) {
        const struct json *object = status->array.elems[i];
        const struct json *port = member(object, "port", JSON_STRING);

        if (port) {
            shash_add_once(&ports, json_string(port), object);
        }
    }
    for (size_t i = 0; i < snapshot->n; i++) {
        struct ctl_guest *g = &snapshot->guests[i];
        const struct json *object = shash_find_data(&ports, g->port);

        if (object && !g->error[0]) {
            ctl_guest_take_status(g, object);
        } else if (!g->error[0]) {
            ctl_replace(&g->reason, "domsd has not made the port yet");
        }
    }
    shash_destroy(&ports);
}

/* Asks domsd for the state of its ports.  Returns NULL, or why it could not
 * be asked. */
static char *
ask_domsd(struct ctl_local *local, struct ctl_snapshot *snapshot)
{
    struct json *status;
    char *reply, *why = NULL;

    if (ctl_domsd_call(local->options, "doms/status", &reply, &why)) {
        return why;
    }
    status = json_from_string(reply);
    free(reply);
    if (status->type == JSON_ARRAY) {
        join_status(snapshot, status);
    } else {
        why = xstrdup("domsd's doms/status is not understood; doms-ctl and "
                      "domsd must be of the same version");
    }
    json_destroy(status);
    return why;
}

enum ctl_status
ctl_local_snapshot(struct ctl_backend *backend, struct ctl_snapshot *snapshot,
                   char **why)
{
    struct ctl_local *local = ctl_local_cast(backend);

    memset(snapshot, 0, sizeof *snapshot);
    ovsdb_idl_run(local->idl);
    if (!ovsdb_idl_is_alive(local->idl)) {
        *why = xasprintf("the database %s has gone", local->options->db);
        return CTL_UNREACHABLE;
    }
    collect_guests(local, snapshot);
    snapshot->when = time_msec();
    snapshot->domsd_problem = ask_domsd(local, snapshot);
    for (size_t i = 0; snapshot->domsd_problem && i < snapshot->n; i++) {
        struct ctl_guest *g = &snapshot->guests[i];

        ctl_replace(&g->state, "unknown");
        ctl_replace(&g->reason, ctl_domsd_pid(local->options)
                                    ? "domsd does not answer"
                                    : "domsd is down");
    }
    return CTL_OK;
}
