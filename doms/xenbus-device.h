/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guest's device of the xenbus door, from when its backend directory is
 * first seen.  docs/protocol.md, "The xenbus door", has the nodes of xenstore
 * and the table of states that xenbus_device_run() carries out.
 *
 * Whatever happens to a device only calls for xenbus_device_run().  It reads
 * anew how the device is on both sides, and makes the move that follows from
 * that, so that neither the order nor the number of events matters.
 *
 * What a device waits for comes to the door: an event of one of the nodes that
 * Dom0 writes, of the front's state, which the device has watched under the
 * token XENBUS_FRONT_TOKEN/DOMID/HANDLE, or of its port.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_XENBUS_DEVICE_H
#define DOMS_XENBUS_DEVICE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "common/xenbus.h"
#include "doms/xenbus-terms.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"

struct doms_channel;
struct doms_door;
struct xenbus_memory;

/* Where the devices' backend directories are, in the switch's own. */
#define XENBUS_BACKENDS "backend/" DOMS_XS_CLASS

/* What the tokens of the fronts' events start with. */
#define XENBUS_FRONT_TOKEN "f"

/* XenbusState, of Xen's io/xenbus.h. */
enum xenbus_state {
    XENBUS_UNKNOWN = 0,
    XENBUS_INITIALISING = 1,
    XENBUS_INIT_WAIT = 2,
    XENBUS_INITIALISED = 3,
    XENBUS_CONNECTED = 4,
    XENBUS_CLOSING = 5,
    XENBUS_CLOSED = 6,
};

struct xenbus_device {
    /* The door's. */
    struct hmap_node node;      /* In its devices. */
    struct ovs_list dirty_node; /* In those to be run, or empty. */

    /* From its creation on. */
    unsigned int domid;           /* The guest's. */
    unsigned int handle;          /* The device's number. */
    const struct doms_door *door; /* Whose device it is. */
    char *back;                   /* The backend's directory. */
    char *front;                  /* The front's directory. */

    /* As long as 'generation' is not NULL. */
    char *generation;          /* Which device this is, of all that have had or
                                * will have the same domid and handle. */
    char *port;                /* The guest's name, or NULL if it has none. */
    enum xenbus_state state;   /* The backend's. */
    struct xenbus_offer offer; /* In force unless 'state' is INITIALISING. */
    bool has_offered;          /* Does 'offer' stand in xenstore? */
    bool complained;           /* Does 'error' stand in xenstore? */
    bool is_returning;         /* Was its guest connected to an earlier life of
                                * the switch, and is not yet again? */
    bool is_unannounced;       /* Is CONNECTED still to be told the guest? */

    /* In CONNECTED: the port has the channel, whose 'door_aux' is this device;
     * NULL once it has been taken from the port.  The memory stays until it is
     * unmapped. */
    struct doms_channel *channel;
    struct xenbus_memory *memory;
    uint32_t epoch; /* The front's. */
    char *error;    /* Why the switch has ended the channel, or NULL. */
};

struct xenbus_device *xenbus_device_create(const struct doms_door *,
                                           unsigned int domid,
                                           unsigned int handle);
void xenbus_device_destroy(struct xenbus_device *);
bool xenbus_device_run(struct xenbus_device *);
void xenbus_device_announce(struct xenbus_device *);
void xenbus_device_forget_channel(struct xenbus_device *);

#endif /* doms/xenbus-device.h */
