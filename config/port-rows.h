/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a guest's port stands in Open vSwitch's database: the one place that
 * turns what an operator asks of a port into a Port and an Interface row,
 * whether doms-ctl or domsd writes them.
 *
 * external-ids of an Interface, as XenServer and OVN have them where they have
 * a name for it:
 *
 *   attached-mac   the guest's address
 *   iface-id       what the operator has given as iface-id
 *   doms-attached  "true": the row was made from such a request
 *
 * domsd adds, to those that it makes from what Dom0 or xl describes:
 *
 *   doms-serial, xen-vm-name, xen-vm-uuid
 *
 * Thread-safety: that of the database's replica that the rows belong to.
 */

#ifndef CONFIG_PORT_ROWS_H
#define CONFIG_PORT_ROWS_H 1

#include "config/port-request.h"

struct ovsrec_interface;
struct ovsrec_port;
struct smap;

/* The type of the interfaces that are guests' ports. */
#define PORT_ROWS_TYPE "doms"

void port_rows_set(const struct port_request *, const struct ovsrec_port *,
                   const struct ovsrec_interface *,
                   const struct smap *more_ids);

#endif /* config/port-rows.h */
