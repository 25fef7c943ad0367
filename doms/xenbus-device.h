/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One guest's device of the xenbus door, from when its backend directory is
 * first seen.  docs/protocol.md, "The xenbus door", has the nodes of xenstore
 * and the table of states that its class's run() carries out.
 *
 * Whatever happens to a device only calls for that.  It reads
 * anew how the device is on both sides, and makes the move that follows from
 * that, so that neither the order nor the number of events matters.
 *
 * What a device waits for comes to the door: an event of one of the nodes that
 * Dom0 writes, of the front's state, which the device has watched, or of its
 * port.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_XENBUS_DEVICE_H
#define DOMS_XENBUS_DEVICE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "doms/backend.h"
#include "doms/xenbus-terms.h"
#include "util.h"

struct xenbus_memory;

struct xenbus_device {
    struct backend up;

    /* As long as 'generation' is not NULL. */
    char *generation;          /* Which device this is, of all that have had or
                                * will have the same domid and handle. */
    char *port;                /* The guest's name, or NULL if it has none. */
    struct xenbus_offer offer; /* In force unless 'state' is INITIALISING. */
    bool has_offered;          /* Does 'offer' stand in xenstore? */
    bool is_returning;         /* Was its guest connected to an earlier life of
                                * the switch, and is not yet again? */
    bool is_unannounced;       /* Is CONNECTED still to be told the guest? */

    /* In CONNECTED, and the memory until it is unmapped. */
    struct xenbus_memory *memory;
    uint32_t epoch; /* The front's. */
};

extern const struct backend_class xenbus_class;

void xenbus_device_announce(struct xenbus_device *);

static inline struct xenbus_device *
xenbus_device_cast(const struct backend *b)
{
    return CONTAINER_OF(b, struct xenbus_device, up);
}

#endif /* doms/xenbus-device.h */
