/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A door: a way in which a channel comes to be.
 *
 * A door finds guests, agrees with each on a channel, hands the channel to the
 * port of the guest's name (doms/ports.h), tells the guest what changes about
 * the port, and takes the channel back at the end.  The ports neither know nor
 * care which door a channel came by.
 *
 * Thread-safety: all functions are called by the main thread only.
 */

#ifndef DOMS_DOOR_H
#define DOMS_DOOR_H 1

#include <stdbool.h>

struct doms_channel;

struct doms_door {
    const char *name; /* "socket", ... */

    bool from_start; /* Does it run before there is a doms port? */

    /* Does periodic work.  Called once a turn of the main loop, from the
     * first doms port on unless 'from_start'. */
    void (*run)(void);

    /* Arranges for poll_block() to wake up when run() has something to do. */
    void (*wait)(void);

    /* The port of 'channel', made by this door, has changed its MAC, MTU or
     * link state: tells the guest. */
    void (*port_changed)(struct doms_channel *channel);

    /* 'channel', made by this door, has been taken from its port, at the
     * door's own wish or because the port has gone or changed: ends the
     * connection.  The channel is freed after this. */
    void (*detached)(struct doms_channel *channel);
};

extern const struct doms_door door_socket;
extern const struct doms_door door_xenbus;
extern const struct doms_door door_netif;

#endif /* doms/door.h */
