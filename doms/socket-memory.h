/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared memory and doorbells of a channel of the socket door.
 *
 * Each group is a memfd, sealed against a change of its size.  The switch maps
 * the front's group read-only.  Its own group is also sealed
 * F_SEAL_FUTURE_WRITE once the switch has mapped it, so that the guest can map
 * it read-only and not make the mapping writable later.  The front's group
 * gets the same seal once the guest has mapped it: the guest could otherwise
 * punch holes into it without end, and so make the switch fault and wait
 * wherever it looks.
 *
 * Bells are sockets, neither pipes nor eventfds: see common/socket-msg.h.
 *
 * Thread-safety: main thread, but for the unmapping, which is RCU's.
 */

#ifndef DOMS_SOCKET_MEMORY_H
#define DOMS_SOCKET_MEMORY_H 1

#include "common/socket-msg.h"

struct doms_channel;

int socket_memory_make(struct doms_channel *, int node,
                       int fds[DOMS_MSG_MAX_FDS], unsigned int *n_fds);
int socket_memory_seal(int front_fd);

#endif /* doms/socket-memory.h */
