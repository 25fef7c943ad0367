/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the netif door hears of xenstore.  The xenbus door listens, and passes
 * on what is not its own.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_DOOR_NETIF_H
#define DOMS_DOOR_NETIF_H 1

#include <stdbool.h>

bool door_netif_event(const char *path, const char *token);

#endif /* doms/door-netif.h */
