/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domsd: Open vSwitch's ovs-vswitchd with doms ports.
 *
 * Everything but the netdev class is upstream's, its main loop included, which
 * the build renames, with its call of bridge_init().  Invoked under another name (argv[0]), domsd takes that
 * name for its pidfile and control socket, as ovs-vswitchd does.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>

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

/* Waits until no other domsd runs, if the environment says so: DOMS_LOCK names
 * the file that one holds a lock on as long as it lives.  One that waits has
 * been loaded, and has all its pages, when the other dies. */
static void
wait_for_turn(void)
{
    const char *path = getenv("DOMS_LOCK");
    int fd, error;

    if (!path) {
        return;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        ovs_fatal(errno, "%s: cannot be opened; see DOMS_LOCK in domsd(8)",
                  path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        /* This has the pages made; they need not stay. */
        if (!mlockall(MCL_CURRENT)) {
            munlockall();
        }
        do {
            error = flock(fd, LOCK_EX) ? errno : 0;
        } while (error == EINTR);
        if (error) {
            ovs_fatal(error, "%s: cannot be locked", path);
        }
    }
    /* Who waits may be started with a low priority. */
    setpriority(PRIO_PROCESS, 0, 0);
}

int
main(int argc, char *argv[])
{
    set_program_name(argv[0]);
    wait_for_turn();
    netdev_doms_register();
    return ovs_vswitchd_main(argc, argv);
}
