/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The xenbus door: Xen domains as guests.
 *
 * The door keeps the guests' devices (doms/xenbus-device.h) and listens to
 * xenstore.  An event about a device, or a change of its port, only marks it
 * dirty; each turn of the main loop runs some of those that are.
 *
 * All of this is the main thread's.
 */
#include <config.h>

#include "doms/door.h"

#include <stdlib.h>
#include <string.h>

#include "doms/channel.h"
#include "doms/dom0-link.h"
#include "doms/ports.h"
#include "doms/xenbus-device.h"
#include "doms/xenstore.h"
#include "hash.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_door_xenbus);

/* The token of events about the backends' directories. */
#define BACKENDS_TOKEN "b"

/* Devices looked at in one turn of the main loop. */
#define DEVICES_PER_TURN 16

/* How long guests that were connected to an earlier life of the switch wait
 * for each other, in milliseconds: what they send at once is for one another,
 * and would be lost. */
#define SETTLE_MS 300

/* Domids are less than this, and so are devices' handles. */
#define DOMID_MAX 0x7ff0
#define HANDLE_MAX 255

static struct hmap devices = HMAP_INITIALIZER(&devices);
static struct ovs_list dirty = OVS_LIST_INITIALIZER(&dirty);
static uint64_t last_seq; /* Of the ports that were looked at last. */
static bool linked;       /* Is the link to Dom0 open? */

/* When the guests of an earlier life are told that they are connected again,
 * even if some are still missing; 0 before the first of them is. */
static long long int settle_until;

/* Devices. */

static void
device_mark(struct xenbus_device *dev)
{
    if (ovs_list_is_empty(&dev->dirty_node)) {
        ovs_list_push_back(&dirty, &dev->dirty_node);
    }
}

static struct xenbus_device *
device_find(unsigned int domid, unsigned int handle)
{
    struct xenbus_device *dev;

    HMAP_FOR_EACH_WITH_HASH (dev, node, hash_2words(domid, handle), &devices) {
        if (dev->domid == domid && dev->handle == handle) {
            return dev;
        }
    }
    return NULL;
}

/* Marks all devices. */
static void
mark_all(void)
{
    struct xenbus_device *dev;

    HMAP_FOR_EACH (dev, node, &devices) {
        device_mark(dev);
    }
}

/* Notes that something has changed about a device, which may be new. */
static void
device_touch(unsigned int domid, unsigned int handle)
{
    struct xenbus_device *dev = device_find(domid, handle);

    if (!dev) {
        dev = xenbus_device_create(&door_xenbus, domid, handle);
        ovs_list_init(&dev->dirty_node);
        hmap_insert(&devices, &dev->node, hash_2words(domid, handle));
    }
    device_mark(dev);
}

/* Runs the first device that is marked. */
static void
run_first_dirty(void)
{
    struct xenbus_device *dev = CONTAINER_OF(ovs_list_pop_front(&dirty),
                                             struct xenbus_device, dirty_node);

    ovs_list_init(&dev->dirty_node);
    if (!xenbus_device_run(dev)) {
        ovs_list_remove(&dev->dirty_node);
        hmap_remove(&devices, &dev->node);
        xenbus_device_destroy(dev);
    }
}

/* Events. */

/* Marks every device that is in xenstore. */
static void
scan_backends(void)
{
    size_t n_domids;
    char **domids = xenstore_list(XENBUS_BACKENDS, &n_domids);

    for (size_t i = 0; i < n_domids; i++) {
        char *path = xasprintf(XENBUS_BACKENDS "/%s", domids[i]);
        size_t n_handles;
        char **handles = xenstore_list(path, &n_handles);
        unsigned int domid, handle;

        for (size_t j = 0; j < n_handles; j++) {
            if (str_to_uint(domids[i], 10, &domid) && domid < DOMID_MAX
                && str_to_uint(handles[j], 10, &handle)
                && handle <= HANDLE_MAX) {
                device_touch(domid, handle);
            }
        }
        free(handles);
        free(path);
    }
    free(domids);
}

/* The switch's own writes come back as events, too: only these keys, and the
 * directory itself, are another's. */
static bool
is_dom0s_key(const char *key)
{
    return !key[0] || !strcmp(key, "/generation") || !strcmp(key, "/online");
}

static void
backend_event(const char *path)
{
    unsigned int domid, handle;
    int n = 0;

    if (!ovs_scan(path, XENBUS_BACKENDS "/%u/%u%n", &domid, &handle, &n)) {
        /* A domain's directory, or the lot of them. */
        mark_all();
        scan_backends();
    } else if (domid < DOMID_MAX && handle <= HANDLE_MAX
               && is_dom0s_key(path + n)) {
        device_touch(domid, handle);
    }
}

static void
front_event(const char *token)
{
    unsigned int domid, handle;
    struct xenbus_device *dev;

    if (ovs_scan(token, XENBUS_FRONT_TOKEN "/%u/%u", &domid, &handle)) {
        dev = device_find(domid, handle);
        if (dev) {
            device_mark(dev);
        }
    }
}

/* Takes all events off the queue, which another domain can fill: each costs
 * no more than a mark. */
static void
take_events(void)
{
    char *path, *token;

    while (xenstore_next_event(&path, &token)) {
        if (!strcmp(token, BACKENDS_TOKEN)) {
            backend_event(path);
        } else if (token[0] == XENBUS_FRONT_TOKEN[0]) {
            front_event(token);
        } else {
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
    struct xenbus_device *dev;
    bool incomplete = false;
    bool any = false;

    HMAP_FOR_EACH (dev, node, &devices) {
        incomplete |= dev->is_returning;
        any |= dev->is_unannounced;
    }
    if (!any) {
        return;
    }
    if (!settle_until) {
        settle_until = time_msec() + SETTLE_MS;
    }
    if (!incomplete || time_msec() >= settle_until) {
        HMAP_FOR_EACH (dev, node, &devices) {
            xenbus_device_announce(dev);
        }
    }
}

/* The door. */

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
        xenstore_watch(XENBUS_BACKENDS, BACKENDS_TOKEN);
        /* The watch's first event may come when the main thread has begun
         * with the bridges, which takes longer. */
        scan_backends();
        VLOG_INFO("xenbus door is open");
    }
    return true;
}

static void
door_xenbus_run(void)
{
    uint64_t seq;

    if (!door_open()) {
        return;
    }
    take_events();
    if (linked) {
        dom0_link_run();
    }

    seq = doms_ports_seq();
    if (seq != last_seq) {
        last_seq = seq;
        mark_all();
    }
    for (int i = 0; i < DEVICES_PER_TURN && !ovs_list_is_empty(&dirty); i++) {
        run_first_dirty();
    }
    announce();
    if (!linked && ovs_list_is_empty(&dirty)) {
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
        doms_ports_seq_wait(last_seq);
        if (!ovs_list_is_empty(&dirty)) {
            poll_immediate_wake();
        }
    }
}

static void
door_xenbus_port_changed(struct doms_channel *ch)
{
    if (ch->door_aux) {
        device_mark(ch->door_aux);
        doms_ports_wake();
    }
}

static void
door_xenbus_detached(struct doms_channel *ch)
{
    struct xenbus_device *dev = ch->door_aux;

    if (dev) {
        xenbus_device_forget_channel(dev);
        device_mark(dev);
    }
}

const struct doms_door door_xenbus = {
    .name = "xenbus",
    .from_start = true,
    .run = door_xenbus_run,
    .wait = door_xenbus_wait,
    .port_changed = door_xenbus_port_changed,
    .detached = door_xenbus_detached,
};
