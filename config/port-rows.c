/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include <string.h>

#include "config/port-rows.h"

#include "lib/vswitch-idl.h"
#include "packets.h"
#include "smap.h"
#include "util.h"

/* The least burst, in kbit, with which a 64 KiB frame passes a rate limit. */
#define BURST_MIN_KBIT 800

/* Makes the value of 'key' the address of 'r', or removes it if there is
 * none. */
static void
set_mac(const struct port_request *r, struct smap *smap, const char *key)
{
    smap_remove(smap, key);
    if (r->has_mac) {
        smap_add_format(smap, key, ETH_ADDR_FMT, ETH_ADDR_BYTES_ARGS(r->mac));
    }
}

static void
set_options(const struct port_request *r, const struct ovsrec_interface *iface)
{
    struct smap options;

    smap_clone(&options, &iface->options);
    smap_replace(&options, "peer", r->name);
    set_mac(r, &options, "mac");
    smap_remove(&options, "n_rxq");
    smap_remove(&options, "arena");
    if (r->queues) {
        smap_add_format(&options, "n_rxq", "%u", r->queues);
    }
    if (r->arena) {
        smap_add_format(&options, "arena", "%u", r->arena);
    }
    ovsrec_interface_set_options(iface, &options);
    smap_destroy(&options);
}

static void
set_external_ids(const struct port_request *r,
                 const struct ovsrec_interface *iface,
                 const struct smap *more_ids)
{
    struct smap_node *node;
    struct smap ids;

    smap_clone(&ids, &iface->external_ids);
    smap_replace(&ids, "doms-attached", "true");
    set_mac(r, &ids, "attached-mac");
    smap_remove(&ids, "iface-id");
    if (r->iface_id[0]) {
        smap_add(&ids, "iface-id", r->iface_id);
    }
    if (more_ids) {
        SMAP_FOR_EACH (node, more_ids) {
            smap_replace(&ids, node->key, node->value);
        }
    }
    ovsrec_interface_set_external_ids(iface, &ids);
    smap_destroy(&ids);
}

static void
set_interface(const struct port_request *r,
              const struct ovsrec_interface *iface,
              const struct smap *more_ids)
{
    int64_t kbit = r->rate / 1000;
    int64_t mtu = r->mtu;

    /* The database takes a name for a new row only. */
    if (!iface->name || strcmp(iface->name, r->name)) {
        ovsrec_interface_set_name(iface, r->name);
    }
    ovsrec_interface_set_type(iface, PORT_ROWS_TYPE);
    set_options(r, iface);
    set_external_ids(r, iface, more_ids);
    ovsrec_interface_set_mtu_request(iface, &mtu, mtu != 0);
    ovsrec_interface_set_ingress_policing_rate(iface, kbit);
    ovsrec_interface_set_ingress_policing_burst(
        iface, kbit ? MAX(kbit / 10, BURST_MIN_KBIT) : 0);
}

/* Makes 'port' and its only interface 'iface', new rows or those of an earlier
 * request, what 'r' asks for, and adds 'more_ids', if not NULL, to the
 * interface's external-ids.  Leaves alone what a request does not tell. */
void
port_rows_set(const struct port_request *r, const struct ovsrec_port *port,
              const struct ovsrec_interface *iface,
              const struct smap *more_ids)
{
    struct ovsrec_interface *interfaces = CONST_CAST(struct ovsrec_interface *,
                                                     iface);
    int64_t trunks[PORT_REQUEST_N_VLANS];
    int64_t tag = r->tag;
    size_t n_trunks = 0;

    set_interface(r, iface, more_ids);
    if (!port->name || strcmp(port->name, r->name)) {
        ovsrec_port_set_name(port, r->name);
    }
    ovsrec_port_set_interfaces(port, &interfaces, 1);
    ovsrec_port_set_tag(port, &tag, tag >= 0);
    for (unsigned int vlan = 0; vlan < PORT_REQUEST_N_VLANS; vlan++) {
        if (port_request_has_trunk(r, vlan)) {
            trunks[n_trunks++] = vlan;
        }
    }
    ovsrec_port_set_trunks(port, trunks, n_trunks);
}
