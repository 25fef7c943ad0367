/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VM's front end could do to this process besides breaking the
 * protocol, and the vhost library has no defence against.
 *
 * It could send half of a message, or not read a reply, and so keep the
 * library's only thread from all other VMs: each of the library's connections
 * gets a time limit.
 *
 * It could make the file shorter that it has shared as the VM's memory, so
 * that an access ends in SIGBUS: what has vanished is replaced by zeros, and
 * the connection is closed.
 *
 * It could send a table of memory that cannot be mapped, for which the library
 * forgets to close the file descriptors: the table is checked before.
 *
 * Thread-safety: peer_check_table() is for the thread that received the
 * message, the others for the main thread.
 */

#ifndef DOMS_SETTER_PEER_H
#define DOMS_SETTER_PEER_H 1

#include <stdbool.h>

#include "guestfront/setter/memory.h"

/* Handles SIGBUS from now on.  'alarm_fd' is an eventfd that is written to
 * each time that memory has vanished.  Returns 0 or a positive errno value. */
int peer_guard(int alarm_fd);

/* Returns true, once, if something of 'm' has vanished. */
bool peer_memory_vanished(const struct memory *m);

/* Checks the message of 'size' bytes at 'payload', SET_MEM_TABLE's, which this
 * thread has just received, and the file descriptors that came with it.
 * Returns 0; or a positive errno value with the reason in 'why' of 'why_size'
 * bytes, and then the file descriptors are closed. */
int peer_check_table(const void *payload, uint32_t size, char *why,
                     size_t why_size);

#endif /* peer.h */
