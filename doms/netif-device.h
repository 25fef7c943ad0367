/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One vif of the netif door: a netfront's device, from when Dom0 has made its
 * backend directory.  docs/protocol.md, "The netif door", has the nodes of
 * xenstore and the table of states that netif_device_run() carries out.
 *
 * Whatever happens to a device only calls for netif_device_run().  It reads
 * anew how the device is on both sides, and makes the move that follows from
 * that, so that neither the order nor the number of events matters.
 *
 * What a device waits for comes to the door: an event of one of the nodes that
 * Dom0 writes, of the front's state, which the device has watched under the
 * token NETIF_FRONT_TOKEN/DOMID/HANDLE, of its port, or the time 'wake'.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_NETIF_DEVICE_H
#define DOMS_NETIF_DEVICE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "doms/xenbus-device.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"

struct netif_memory;

/* Where the backend directories are, in the switch's own. */
#define NETIF_BACKENDS "backend/vif"

/* What the tokens of the fronts' events start with. */
#define NETIF_FRONT_TOKEN "w"

struct netif_device {
    /* The door's. */
    struct hmap_node node;      /* In its devices. */
    struct ovs_list dirty_node; /* In those to be run, or empty. */

    /* From its creation on. */
    unsigned int domid;           /* The guest's. */
    unsigned int handle;          /* The device's number. */
    const struct doms_door *door; /* Whose device it is. */
    char *back;                   /* The backend's directory. */
    char *front;                  /* The front's directory. */
    char *port;                   /* The port's name: vifDOMID.HANDLE. */

    /* As long as 'begun'. */
    bool begun;              /* Is there a vif? */
    bool resumes;            /* Is its front connected, and has only to be
                              * found again? */
    bool complained;         /* Does 'error' stand in xenstore? */
    bool has_failed;         /* Has Dom0 been told that there is no port? */
    bool link_up;            /* As xenstore has it. */
    enum xenbus_state state; /* The backend's. */
    long long int wake;      /* When to look again, or LLONG_MAX. */

    /* In CONNECTED: the port has the channel, whose 'door_aux' is this device;
     * NULL once it has been taken from the port.  The memory stays until it is
     * unmapped. */
    struct doms_channel *channel;
    struct netif_memory *memory;
    char *error; /* Why the switch has ended the channel, or NULL. */
};

struct netif_device *netif_device_create(const struct doms_door *,
                                         unsigned int domid,
                                         unsigned int handle);
void netif_device_destroy(struct netif_device *);
bool netif_device_run(struct netif_device *);
bool netif_device_is_waiting(const struct netif_device *);
void netif_device_forget_channel(struct netif_device *);

#endif /* doms/netif-device.h */
