/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The netif door: Xen domains with a stock netfront as guests.  Its devices
 * are their vifs (doms/netif-device.h).
 *
 * All of this is the main thread's.
 */
#include <config.h>

#include "doms/door.h"

#include <limits.h>

#include "doms/door-netif.h"
#include "doms/netif-device.h"
#include "doms/port-maker.h"
#include "doms/xenstore.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "timeval.h"

VLOG_DEFINE_THIS_MODULE(doms_door_netif);

/* Devices looked at in one turn of the main loop. */
#define DEVICES_PER_TURN 16

static struct backend_table table = BACKEND_TABLE_INITIALIZER(&table,
                                                              &netif_class);

/* Takes note that something has changed at 'path', if 'token' is this door's.
 * Returns true if it is. */
bool
door_netif_event(const char *path, const char *token)
{
    return backend_table_event(&table, path, token);
}

/* Marks the devices for which it is time, and those whose ports have been
 * made, or cannot be. */
static void
mark_due(void)
{
    long long int now = time_msec();
    struct backend *b;

    HMAP_FOR_EACH (b, node, &table.backends) {
        const struct netif_device *dev = netif_device_cast(b);
        const char *serial, *problem;

        if (now >= dev->wake
            || (netif_device_is_waiting(dev)
                && port_maker_state(dev->port, &serial, &problem)
                       != PORT_MAKER_PENDING)) {
            backend_table_mark(&table, b);
        }
    }
}

/* Opens the door.  Returns true if it is open. */
static bool
door_open(void)
{
    static bool opened;

    if (!xenstore_open()) {
        return false;
    }
    if (!opened) {
        opened = true;
        backend_table_open(&table);
        /* All ports are to be wanted before any that is not is removed. */
        backend_table_run(&table, SIZE_MAX);
        VLOG_INFO("netif door is open");
    }
    return true;
}

static void
door_netif_run(void)
{
    if (door_open()) {
        mark_due();
        backend_table_run(&table, DEVICES_PER_TURN);
    }
}

static void
door_netif_wait(void)
{
    struct backend *b;

    if (door_open()) {
        HMAP_FOR_EACH (b, node, &table.backends) {
            long long int wake = netif_device_cast(b)->wake;

            if (wake != LLONG_MAX) {
                poll_timer_wait_until(wake);
            }
        }
        backend_table_wait(&table);
    }
}

static void
door_netif_port_changed(struct doms_channel *ch)
{
    backend_table_port_changed(&table, ch);
}

static void
door_netif_detached(struct doms_channel *ch)
{
    backend_table_detached(&table, ch);
}

const struct doms_door door_netif = {
    .name = "netif",
    .from_start = true,
    .run = door_netif_run,
    .wait = door_netif_wait,
    .port_changed = door_netif_port_changed,
    .detached = door_netif_detached,
};
