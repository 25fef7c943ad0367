/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The netif door: Xen domains with a stock netfront as guests.
 *
 * The door keeps the guests' vifs (doms/netif-device.h).  An event about a
 * vif, or a change of its port, only marks it dirty; each turn of the main
 * loop runs some of those that are.
 *
 * All of this is the main thread's.
 */
#include <config.h>

#include "doms/door.h"

#include <stdlib.h>
#include <string.h>

#include "doms/channel.h"
#include "doms/door-netif.h"
#include "doms/netif-device.h"
#include "doms/port-maker.h"
#include "doms/ports.h"
#include "doms/xenstore.h"
#include "hash.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_door_netif);

/* The token of events about the backends' directories. */
#define BACKENDS_TOKEN "v"

/* Devices looked at in one turn of the main loop. */
#define DEVICES_PER_TURN 16

/* Domids are less than this, and so are devices' handles. */
#define DOMID_MAX 0x7ff0
#define HANDLE_MAX 255

static struct hmap devices = HMAP_INITIALIZER(&devices);
static struct ovs_list dirty = OVS_LIST_INITIALIZER(&dirty);
static uint64_t last_seq; /* Of the ports that were looked at last. */

/* Devices. */

static void
device_mark(struct netif_device *dev)
{
    if (ovs_list_is_empty(&dev->dirty_node)) {
        ovs_list_push_back(&dirty, &dev->dirty_node);
    }
}

static struct netif_device *
device_find(unsigned int domid, unsigned int handle)
{
    struct netif_device *dev;

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
    struct netif_device *dev;

    HMAP_FOR_EACH (dev, node, &devices) {
        device_mark(dev);
    }
}

/* Marks those for which it is time, and those whose ports have been made, or
 * cannot be. */
static void
mark_due(void)
{
    long long int now = time_msec();
    struct netif_device *dev;

    HMAP_FOR_EACH (dev, node, &devices) {
        const char *serial, *problem;

        if (now >= dev->wake
            || (netif_device_is_waiting(dev)
                && port_maker_state(dev->port, &serial, &problem)
                       != PORT_MAKER_PENDING)) {
            device_mark(dev);
        }
    }
}

/* Notes that something has changed about a device, which may be new. */
static void
device_touch(unsigned int domid, unsigned int handle)
{
    struct netif_device *dev = device_find(domid, handle);

    if (!dev) {
        dev = netif_device_create(&door_netif, domid, handle);
        ovs_list_init(&dev->dirty_node);
        hmap_insert(&devices, &dev->node, hash_2words(domid, handle));
    }
    device_mark(dev);
}

/* Runs the first device that is marked. */
static void
run_first_dirty(void)
{
    struct netif_device *dev = CONTAINER_OF(ovs_list_pop_front(&dirty),
                                            struct netif_device, dirty_node);

    ovs_list_init(&dev->dirty_node);
    if (!netif_device_run(dev)) {
        ovs_list_remove(&dev->dirty_node);
        hmap_remove(&devices, &dev->node);
        netif_device_destroy(dev);
    }
}

/* Events. */

/* Marks every device that is in xenstore. */
static void
scan_backends(void)
{
    size_t n_domids;
    char **domids = xenstore_list(NETIF_BACKENDS, &n_domids);

    for (size_t i = 0; i < n_domids; i++) {
        char *path = xasprintf(NETIF_BACKENDS "/%s", domids[i]);
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
    return !key[0] || !strcmp(key, "/state") || !strcmp(key, "/online");
}

static void
backend_event(const char *path)
{
    unsigned int domid, handle;
    int n = 0;

    if (!ovs_scan(path, NETIF_BACKENDS "/%u/%u%n", &domid, &handle, &n)) {
        /* A domain's directory, or the lot of them. */
        mark_all();
        scan_backends();
    } else if (domid < DOMID_MAX && handle <= HANDLE_MAX
               && is_dom0s_key(path + n)) {
        device_touch(domid, handle);
    }
}

/* Takes note that something has changed at 'path', if 'token' is this door's.
 * Returns true if it is. */
bool
door_netif_event(const char *path, const char *token)
{
    unsigned int domid, handle;

    if (!strcmp(token, BACKENDS_TOKEN)) {
        backend_event(path);
    } else if (ovs_scan(token, NETIF_FRONT_TOKEN "/%u/%u", &domid, &handle)) {
        struct netif_device *dev = device_find(domid, handle);

        if (dev) {
            device_mark(dev);
        }
    } else {
        return false;
    }
    return true;
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
        xenstore_watch(NETIF_BACKENDS, BACKENDS_TOKEN);
        scan_backends();
        /* All ports are to be wanted before any that is not is removed. */
        while (!ovs_list_is_empty(&dirty)) {
            run_first_dirty();
        }
        VLOG_INFO("netif door is open");
    }
    return true;
}

static void
door_netif_run(void)
{
    uint64_t seq;

    if (!door_open()) {
        return;
    }
    seq = doms_ports_seq();
    if (seq != last_seq) {
        last_seq = seq;
        mark_all();
    }
    mark_due();
    for (int i = 0; i < DEVICES_PER_TURN && !ovs_list_is_empty(&dirty); i++) {
        run_first_dirty();
    }
}

static void
door_netif_wait(void)
{
    struct netif_device *dev;

    if (door_open()) {
        HMAP_FOR_EACH (dev, node, &devices) {
            if (dev->wake != LLONG_MAX) {
                poll_timer_wait_until(dev->wake);
            }
        }
        doms_ports_seq_wait(last_seq);
        if (!ovs_list_is_empty(&dirty)) {
            poll_immediate_wake();
        }
    }
}

static void
door_netif_port_changed(struct doms_channel *ch)
{
    if (ch->door_aux) {
        device_mark(ch->door_aux);
        doms_ports_wake();
    }
}

static void
door_netif_detached(struct doms_channel *ch)
{
    struct netif_device *dev = ch->door_aux;

    if (dev) {
        netif_device_forget_channel(dev);
        device_mark(dev);
    }
}

const struct doms_door door_netif = {
    .name = "netif",
    .from_start = true,
    .run = door_netif_run,
    .wait = door_netif_wait,
    .port_changed = door_netif_port_changed,
    .detached = door_netif_detached,
};
