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
 * It could send a table of memory that cannot be mapped, or file descriptors
 * with messages that take none, which the library forgets to close: the table is
 * checked before, and such file descriptors are closed.
 *
 * It could share a file whose pages come from a process of its own (FUSE), or
 * from another machine, so that an access waits for these: memory is to be
 * memory.
 *
 * Thread-safety: peer_guard() and peer_memory_vanished() are for any thread that
 * holds the VM, the others for the thread that has received the message.
 */

#ifndef DOMS_SETTER_PEER_H
#define DOMS_SETTER_PEER_H 1

#include <stdbool.h>

#include "guestfront/setter/memory.h"

/* The messages that there are, by the vhost-user protocol.  The library knows
 * more, and would act on them whether they have been offered or not. */
enum {
    PEER_GET_FEATURES = 1,
    PEER_SET_FEATURES = 2,
    PEER_SET_OWNER = 3,
    PEER_RESET_OWNER = 4,
    PEER_SET_MEM_TABLE = 5,
    PEER_SET_VRING_NUM = 8,
    PEER_SET_VRING_ADDR = 9,
    PEER_SET_VRING_BASE = 10,
    PEER_GET_VRING_BASE = 11,
    PEER_SET_VRING_KICK = 12,
    PEER_SET_VRING_CALL = 13,
    PEER_SET_VRING_ERR = 14,
    PEER_GET_PROTOCOL_FEATURES = 15,
    PEER_SET_PROTOCOL_FEATURES = 16,
    PEER_GET_QUEUE_NUM = 17,
    PEER_SET_VRING_ENABLE = 18,
    PEER_NET_SET_MTU = 20,
};

/* Handles SIGBUS from now on.  'alarm_fd' is an eventfd that is written to
 * each time that memory has vanished.  Returns 0 or a positive errno value. */
int peer_guard(int alarm_fd);

/* Returns true, once, if something of 'm' has vanished. */
bool peer_memory_vanished(const struct memory *m);

/* Checks the message of 'size' bytes at 'payload', SET_MEM_TABLE's, which this
 * thread has just received, and the file descriptors that came with it.
 * Returns 0; or a positive errno value with the reason in 'why' of 'why_size'
 * bytes. */
int peer_check_table(const void *payload, uint32_t size, char *why,
                     size_t why_size);

/* Closes the file descriptors of the message that this thread has received
 * last, which the library is not to see, and does not wait for sockets that
 * linger. */
void peer_close_fds(void);

/* Returns true if all file descriptors of the message that this thread has
 * received last are eventfds: nothing else can be called, or be waited for
 * without being read. */
bool peer_sent_eventfds(void);

/* Returns true if file descriptors came with the message that this thread has
 * received last, and it takes none.  They are closed. */
bool peer_sent_useless_fds(void);

/* Returns true if what this thread has received last was the connection's
 * end, in place of a message. */
bool peer_has_left(void);

#endif /* peer.h */
