/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One vif of the netif door: a netfront's device, from when Dom0 has made its
 * backend directory.  docs/protocol.md, "The netif door", has the nodes of
 * xenstore and the table of states that its class's run() carries out.
 *
 * Whatever happens to a device only calls for that.  It reads
 * anew how the device is on both sides, and makes the move that follows from
 * that, so that neither the order nor the number of events matters.
 *
 * What a device waits for comes to the door: an event of one of the nodes that
 * Dom0 writes, of the front's state, which the device has watched, of its port,
 * or the time 'wake'.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_NETIF_DEVICE_H
#define DOMS_NETIF_DEVICE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "doms/backend.h"
#include "util.h"

struct netif_memory;

struct netif_device {
    struct backend up;
    char *port; /* The port's name: vifDOMID.HANDLE. */

    /* As long as 'begun'. */
    bool begun;         /* Is there a vif? */
    bool resumes;       /* Is its front connected, and has only to be found
                         * again? */
    bool has_failed;    /* Has Dom0 been told that there is no port? */
    bool link_up;       /* As xenstore has it. */
    long long int wake; /* When to look again, or LLONG_MAX. */

    /* In CONNECTED, and until it is unmapped. */
    struct netif_memory *memory;
};

extern const struct backend_class netif_class;

bool netif_device_is_waiting(const struct netif_device *);

static inline struct netif_device *
netif_device_cast(const struct backend *b)
{
    return CONTAINER_OF(b, struct netif_device, up);
}

#endif /* doms/netif-device.h */
