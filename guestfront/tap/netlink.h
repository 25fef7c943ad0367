/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a network interface by rtnetlink, as far as doms-tap needs them.
 *
 * A socket belongs to the network namespace in which it was opened, wherever
 * the caller goes later.
 *
 * Thread-safety: one thread a socket.
 */

#ifndef DOMS_TAP_NETLINK_H
#define DOMS_TAP_NETLINK_H 1

#include <stdint.h>

/* Opens a socket.  Returns it, or a negative errno value. */
int netlink_open(void);

/* Each of these sets one thing of the interface 'ifindex', and returns 0 or a
 * positive errno value. */
int netlink_set_mac(int sock, int ifindex, const uint8_t mac[6]);
int netlink_set_mtu(int sock, int ifindex, uint32_t mtu);
int netlink_set_gso_max_size(int sock, int ifindex, uint32_t size);
int netlink_set_up(int sock, int ifindex);

#endif /* netlink.h */
