/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A change of an interface, with room for one attribute. */
struct request {
    struct nlmsghdr h;
    struct ifinfomsg ifi;
    union {
        struct rtattr rta;
        uint8_t space[RTA_SPACE(16)];
    } attr;
};

int
netlink_open(void)
{
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
    int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (sock < 0) {
        return -errno;
    }
    if (bind(sock, (struct sockaddr *) &addr, sizeof addr)) {
        int error = errno;

        close(sock);
        return -error;
    }
    return sock;
}

/* Sends 'r' and waits for the kernel's answer, which comes at once. */
static int
transact(int sock, struct request *r)
{
    static uint32_t seq;
    union {
        struct nlmsghdr h;
        uint8_t space[1024];
    } reply;
    ssize_t n;

    r->h.nlmsg_seq = ++seq;
    do {
        n = send(sock, r, r->h.nlmsg_len, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno;
    }
    for (;;) {
        n = recv(sock, &reply, sizeof reply, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        if ((size_t) n >= NLMSG_LENGTH(sizeof(struct nlmsgerr))
            && reply.h.nlmsg_type == NLMSG_ERROR
            && reply.h.nlmsg_seq == r->h.nlmsg_seq) {
            const struct nlmsgerr *e = NLMSG_DATA(&reply.h);

            return -e->error;
        }
    }
}

static void
init_request(struct request *r, int ifindex)
{
    memset(r, 0, sizeof *r);
    r->h.nlmsg_len = NLMSG_LENGTH(sizeof r->ifi);
    r->h.nlmsg_type = RTM_NEWLINK;
    r->h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    r->ifi.ifi_family = AF_UNSPEC;
    r->ifi.ifi_index = ifindex;
}

/* Sets attribute 'type' to the 'size' bytes, at most 16, at 'data'. */
static int
set_attribute(int sock, int ifindex, uint16_t type, const void *data,
              uint16_t size)
{
    struct request r;

    init_request(&r, ifindex);
    r.attr.rta.rta_type = type;
    r.attr.rta.rta_len = RTA_LENGTH(size);
    memcpy(RTA_DATA(&r.attr.rta), data, size);
    r.h.nlmsg_len = NLMSG_ALIGN(r.h.nlmsg_len) + RTA_SPACE(size);
    return transact(sock, &r);
}

int
netlink_set_mac(int sock, int ifindex, const uint8_t mac[6])
{
    return set_attribute(sock, ifindex, IFLA_ADDRESS, mac, 6);
}

int
netlink_set_mtu(int sock, int ifindex, uint32_t mtu)
{
    return set_attribute(sock, ifindex, IFLA_MTU, &mtu, sizeof mtu);
}

int
netlink_set_gso_max_size(int sock, int ifindex, uint32_t size)
{
    return set_attribute(sock, ifindex, IFLA_GSO_MAX_SIZE, &size, sizeof size);
}

int
netlink_set_up(int sock, int ifindex)
{
    struct request r;

    init_request(&r, ifindex);
    r.ifi.ifi_flags = IFF_UP;
    r.ifi.ifi_change = IFF_UP;
    return transact(sock, &r);
}
