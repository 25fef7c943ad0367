/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guestfront/program/log.h"
#include "netlink.h"

/* Moves the calling thread, and those that it starts, into the network
 * namespace 'netns': a name, as 'ip netns' has them, or the path of a
 * namespace's file.  Returns 0, or -1 having said why not. */
int
enter_netns(const char *netns)
{
    bool is_path = strchr(netns, '/') != NULL;
    char path[PATH_MAX];
    int error = 0;
    int fd;

    snprintf(path, sizeof path, "%s%s", is_path ? "" : "/var/run/netns/",
             netns);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return log_error(
            "network namespace '%s': %s: %s%s", netns, path, strerror(errno),
            errno == ENOENT ? "; make it with 'ip netns add'" : "");
    }
    if (setns(fd, CLONE_NEWNET)) {
        error = log_error("network namespace '%s': cannot be entered: %s%s",
                          netns, strerror(errno),
                          errno == EPERM ? "; run as root" : "");
    }
    close(fd);
    return error;
}

/* Opens one queue of the device 'tap->name'.  Returns its file descriptor, or
 * -1 having said why not. */
static int
open_queue(struct tap *tap)
{
    struct ifreq ifr;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        return log_error("/dev/net/tun: %s; %s", strerror(errno),
                         errno == EACCES || errno == EPERM
                             ? "run as root"
                             : "load the kernel's module 'tun'");
    }
    memset(&ifr, 0, sizeof ifr);
    memcpy(ifr.ifr_name, tap->name, sizeof ifr.ifr_name);
    ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
                    | (tap->n_queues > 1 ? IFF_MULTI_QUEUE : 0);
    if (ioctl(fd, TUNSETIFF, &ifr)) {
        int error = errno;

        close(fd);
        return log_error("interface '%s': cannot be made: %s; %s", tap->name,
                         strerror(error),
                         error == EPERM ? "run as root, or with CAP_NET_ADMIN"
                         : error == EBUSY || error == EINVAL
                             ? "is there one of that name already? choose "
                               "another with --tap"
                             : "see 'ip link'");
    }
    return fd;
}

/* Makes the device 'name', which must be a good one, with 'n_queues' queues in
 * the network namespace of the calling thread.  Its carrier is off.  Returns
 * 0, or -1 having said why not; then there is none. */
int
tap_open(struct tap *tap, const char *name, unsigned int n_queues)
{
    int header_size = 10; /* struct virtio_net_hdr. */

    memset(tap, 0, sizeof *tap);
    tap->netlink = -1;
    tap->carrier = -1;
    snprintf(tap->name, sizeof tap->name, "%s", name);
    tap->n_active = tap->n_queues = n_queues;
    for (unsigned int i = 0; i < n_queues; i++) {
        tap->fds[i] = -1;
    }
    for (unsigned int i = 0; i < n_queues; i++) {
        tap->fds[i] = open_queue(tap);
        if (tap->fds[i] < 0) {
            goto error;
        }
        if (ioctl(tap->fds[i], TUNSETVNETHDRSZ, &header_size)) {
            log_error("interface '%s': TUNSETVNETHDRSZ: %s", tap->name,
                      strerror(errno));
            goto error;
        }
    }
    tap->ifindex = if_nametoindex(tap->name);
    tap->netlink = netlink_open();
    if (tap->netlink < 0) {
        log_error("rtnetlink: %s", strerror(-tap->netlink));
        goto error;
    }
    /* A frame with its Ethernet header stays under this size, but two VLAN
     * tags may be added to it. */
    tap->can_tso = !netlink_set_gso_max_size(tap->netlink, tap->ifindex,
                                             DOMSFRONT_FRAME_MAX - 2 * 4);
    if (tap_set_carrier(tap, false) || tap_set_offloads(tap, false, false)) {
        goto error;
    }
    return 0;

error:
    tap_close(tap);
    return -1;
}

/* Removes the device. */
void
tap_close(struct tap *tap)
{
    for (unsigned int i = 0; i < tap->n_queues; i++) {
        if (tap->fds[i] >= 0) {
            close(tap->fds[i]);
            tap->fds[i] = -1;
        }
    }
    if (tap->netlink >= 0) {
        close(tap->netlink);
        tap->netlink = -1;
    }
}

/* The functions below change 'tap' where it is not so already, and return 0,
 * or -1 having said why not. */

int
tap_set_mac(struct tap *tap, const uint8_t mac[6])
{
    if (memcmp(tap->mac, mac, sizeof tap->mac)) {
        int error = netlink_set_mac(tap->netlink, tap->ifindex, mac);

        if (error) {
            return log_error("interface '%s': MAC cannot be set: %s",
                             tap->name, strerror(error));
        }
        memcpy(tap->mac, mac, sizeof tap->mac);
    }
    return 0;
}

int
tap_set_mtu(struct tap *tap, uint32_t mtu)
{
    if (tap->mtu != mtu) {
        int error = netlink_set_mtu(tap->netlink, tap->ifindex, mtu);

        if (error) {
            return log_error("interface '%s': MTU %u cannot be set: %s",
                             tap->name, mtu, strerror(error));
        }
        tap->mtu = mtu;
    }
    return 0;
}

int
tap_set_carrier(struct tap *tap, bool on)
{
    int value = on;

    if (tap->carrier != value) {
        if (ioctl(tap->fds[0], TUNSETCARRIER, &value)) {
            return log_error("interface '%s': carrier cannot be set: %s",
                             tap->name, strerror(errno));
        }
        tap->carrier = value;
    }
    return 0;
}

int
tap_set_offloads(struct tap *tap, bool csum, bool tso)
{
    unsigned int offloads = csum ? TUN_F_CSUM : 0;

    if (csum && tso && tap->can_tso) {
        offloads |= TUN_F_TSO4 | TUN_F_TSO6;
    }
    if (tap->offloads != offloads) {
        if (ioctl(tap->fds[0], TUNSETOFFLOAD, offloads)) {
            return log_error("interface '%s': offloads cannot be set: %s",
                             tap->name, strerror(errno));
        }
        tap->offloads = offloads;
    }
    return 0;
}

/* Makes the kernel spread frames over the first 'n' queues only. */
int
tap_set_active(struct tap *tap, unsigned int n)
{
    while (tap->n_active != n) {
        bool attach = tap->n_active < n;
        unsigned int i = attach ? tap->n_active : tap->n_active - 1;
        struct ifreq ifr;

        memset(&ifr, 0, sizeof ifr);
        ifr.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
        if (ioctl(tap->fds[i], TUNSETQUEUE, &ifr)) {
            return log_error("interface '%s': queue %u cannot be %s: %s",
                             tap->name, i, attach ? "attached" : "detached",
                             strerror(errno));
        }
        tap->n_active = attach ? i + 1 : i;
    }
    return 0;
}

int
tap_set_up(struct tap *tap)
{
    int error = netlink_set_up(tap->netlink, tap->ifindex);

    return !error ? 0
                  : log_error("interface '%s': cannot be set up: %s",
                              tap->name, strerror(error));
}
