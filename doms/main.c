/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domsd: Open vSwitch's ovs-vswitchd with doms ports.
 *
 * Everything but the netdev class is upstream's, its main loop included, which
 * the build renames.  Invoked under another name (argv[0]), domsd takes that
 * name for its pidfile and control socket, as ovs-vswitchd does.
 */
#include <config.h>

#include "doms/netdev-doms.h"
#include "util.h"

int ovs_vswitchd_main(int argc, char *argv[]);

int
main(int argc, char *argv[])
{
    set_program_name(argv[0]);
    netdev_doms_register();
    return ovs_vswitchd_main(argc, argv);
}
