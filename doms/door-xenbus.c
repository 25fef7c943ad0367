/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The xenbus door: Xen domains as guests.  Its devices are those of
 * doms/xenbus-device.h; it listens to xenstore for all who do.
 *
 * All of this is the main thread's.
 */
#include <config.h>

#include "doms/door.h"

#include <stdlib.h>

#include "doms/dom0-link.h"
#include "doms/door-netif.h"
#include "doms/xenbus-device.h"
#include "doms/xenstore.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "timeval.h"

VLOG_DEFINE_THIS_MODULE(doms_door_xenbus);

/* Devices looked at in one turn of the main loop. */
#define DEVICES_PER_TURN 16

/* How long guests that were connected to an earlier life of the switch wait
 * for each other, in milliseconds: what they send at once is for one another,
 * and would be lost. */
#define SETTLE_MS 300

static struct backend_table table = BACKEND_TABLE_INITIALIZER(&table,
                                                              &xenbus_class);
static bool linked; /* Is the link to Dom0 open? */

/* When the guests of an earlier life are told that they are connected again,
 * even if some are still missing; 0 before the first of them is. */
static long long int settle_until;

/* Takes all events off the queue, which another domain can fill: each costs
 * no more than a mark. */
static void
take_events(void)
{
    char *path, *token;

    while (xenstore_next_event(&path, &token)) {
        if (!backend_table_event(&table, path, token)
            && !door_netif_event(path, token)) {
            dom0_link_event(path);
        }
        free(path);
        free(token);
    }
}

/* Tells guests that they are connected: all of those together that come back
 * to a switch that was started anew. */
static void
announce(void)
{
    bool incomplete = false;
    bool any = false;
    struct backend *b;

    HMAP_FOR_EACH (b, node, &table.backends) {
        incomplete |= xenbus_device_cast(b)->is_returning;
        any |= xenbus_device_cast(b)->is_unannounced;
    }
    if (!any) {
        return;
    }
    if (!settle_until) {
        settle_until = time_msec() + SETTLE_MS;
    }
    if (!incomplete || time_msec() >= settle_until) {
        HMAP_FOR_EACH (b, node, &table.backends) {
            xenbus_device_announce(xenbus_device_cast(b));
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
        VLOG_INFO("xenbus door is open");
    }
    return true;
}

static void
door_xenbus_run(void)
{
    if (!door_open()) {
        return;
    }
    take_events();
    if (linked) {
        dom0_link_run();
    }
    backend_table_run(&table, DEVICES_PER_TURN);
    announce();
    if (!linked && backend_table_is_clean(&table)) {
        /* After the devices: guests wait for these. */
        linked = true;
        dom0_link_open();
    }
}

static void
door_xenbus_wait(void)
{
    if (door_open()) {
        xenstore_wait();
        if (linked) {
            dom0_link_wait();
        }
        if (settle_until > time_msec()) {
            poll_timer_wait_until(settle_until);
        }
        backend_table_wait(&table);
    }
}

static void
door_xenbus_port_changed(struct doms_channel *ch)
{
    backend_table_port_changed(&table, ch);
}

static void
door_xenbus_detached(struct doms_channel *ch)
{
    backend_table_detached(&table, ch);
}

const struct doms_door door_xenbus = {
    .name = "xenbus",
    .from_start = true,
    .run = door_xenbus_run,
    .wait = door_xenbus_wait,
    .port_changed = door_xenbus_port_changed,
    .detached = door_xenbus_detached,
};
