/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving frames between one queue of a front and one of a TAP device.
 *
 * A frame that the kernel sends is read straight into the front's ring; one
 * that the switch sends is written straight from the switch's ring to the
 * device.  The kernel's own copy is the only one, and it takes care of what
 * the switch may do to the bytes in the meantime.
 *
 * While the ring is full the device is not read, so the kernel's queue fills
 * and slows the guest's sockets down; nothing is dropped for that.
 *
 * Thread-safety: a worker belongs to one thread, but its counters may be read
 * by others.
 */

#ifndef DOMS_TAP_WORKER_H
#define DOMS_TAP_WORKER_H 1

#include <stdbool.h>
#include <stdint.h>

#include "guestfront/lib/domsfront.h"

/* Frames that were dropped, and why. */
struct worker_drops {
    uint64_t offload;  /* From the kernel: needs an offload not in force. */
    uint64_t too_long; /* From the kernel: longer than the MTU allows. */
    uint64_t down;     /* From the switch: the device is set down. */
    uint64_t refused;  /* From the switch: the kernel did not take it. */
};

struct worker {
    /* Fixed. */
    struct domsfront *front;
    unsigned int queue;
    int tap_fd;
    const uint32_t *mtu; /* In force; atomic. */

    /* State. */
    bool full; /* The ring has had no room for a frame. */
    bool gone; /* The device is no more. */
    struct worker_drops drops;
};

bool worker_run(struct worker *);
void worker_poll(struct worker *, struct pollfd *);

#endif /* worker.h */
