/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domsd: Open vSwitch's ovs-vswitchd with doms ports.
 *
 * Everything but the netdev class is upstream's, its main loop included, which
 * the build renames, with its call of bridge_init().  Invoked under another name (argv[0]), domsd takes that
 * name for its pidfile and control socket, as ovs-vswitchd does.
 */
#include <config.h>

#include "bridge.h"
#include "doms/netdev-doms.h"
#include "doms/port-maker.h"
#include "util.h"

int ovs_vswitchd_main(int argc, char *argv[]);

/* Upstream's main() calls this in place of bridge_init(). */
void doms_bridge_init(const char *remote);

void
doms_bridge_init(const char *remote)
{
    port_maker_set_remote(remote);
    bridge_init(remote);
}

int
main(int argc, char *argv[])
{
    set_program_name(argv[0]);
    netdev_doms_register();
    return ovs_vswitchd_main(argc, argv);
}
