/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Legal messages of the socket door, for tests of it.
 *
 * Thread-safety: no state.
 */

#ifndef TESTS_UNIT_SOCKET_MSG_MAKE_H
#define TESTS_UNIT_SOCKET_MSG_MAKE_H 1

#include "common/socket-msg.h"

/* An address that a guest can have. */
static const uint8_t guest_mac[6] = { 0x02, 0, 0, 0, 0, 0x01 };

/* Makes 'msg' a legal message of 'type'. */
static inline void
make(struct doms_msg *msg, enum doms_msg_type type)
{
    struct doms_msg_config config = { .mtu = 1500, .link_up = 1 };

    doms_msg_init(msg, type);
    memcpy(config.mac, guest_mac, sizeof config.mac);
    if (type == DOMS_MSG_HELLO) {
        msg->u.hello.features = DOMS_F_ALL;
        msg->u.hello.n_queues = 1;
        strcpy(msg->u.hello.name, "guest1");
    } else if (type == DOMS_MSG_WELCOME) {
        msg->u.welcome.features = DOMS_F_CSUM;
        msg->u.welcome.arena_size = 512 * 1024;
        msg->u.welcome.n_queues = 2;
        msg->u.welcome.n_fds = 2;
        msg->u.welcome.epoch = 1;
        msg->u.welcome.config = config;
    } else if (type == DOMS_MSG_CONFIG) {
        msg->u.config = config;
    } else if (type == DOMS_MSG_REFUSE) {
        msg->u.refuse.error = EBUSY;
        strcpy(msg->u.refuse.reason, "guest1 is attached already");
    }
}

#endif /* tests/unit/socket-msg-make.h */
