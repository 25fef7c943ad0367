/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/socket-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <numaif.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/socket-map.h"
#include "common/socket-msg.h"
#include "doms/channel.h"
#include "openvswitch/vlog.h"
#include "ovs-numa.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(socket_memory);

static void
unmap_channel(struct doms_channel *ch)
{
    size_t size = doms_group_size(&ch->geometry);

    if (ch->own) {
        munmap(ch->own, size);
    }
    if (ch->peer_group) {
        munmap(CONST_CAST(struct doms_health *, ch->peer_group), size);
    }
    for (uint32_t i = 0; i < ch->geometry.n_queues; i++) {
        if (ch->queues[i].bell_fd >= 0) {
            close(ch->queues[i].bell_fd);
        }
        if (ch->queues[i].peer_bell_fd >= 0) {
            close(ch->queues[i].peer_bell_fd);
        }
    }
}

/* Has the kernel take the pages of the 'size' bytes at 'group', which nobody
 * has touched, from NUMA node 'node', whoever touches them first; or from
 * another if it has none left. */
static void
place_group(void *group, size_t size, unsigned int node)
{
    unsigned long int nodes[16] = { 0 };
    const size_t n_bits = sizeof nodes[0] * CHAR_BIT;

    if (ovs_numa_get_n_numas() < 2 || node >= ARRAY_SIZE(nodes) * n_bits) {
        return;
    }
    nodes[node / n_bits] = 1UL << node % n_bits;
    /* The kernel takes one bit less than it is told of. */
    if (mbind(group, size, MPOL_PREFERRED, nodes,
              ARRAY_SIZE(nodes) * n_bits + 1, 0)) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 1);

        VLOG_WARN_RL(&rl, "a guest's memory is not put on NUMA node %u: %s",
                     node, ovs_strerror(errno));
    }
}

/* Makes a group of 'size' zero bytes on NUMA node 'node', maps it with 'prot'
 * into '*mapping', and adds 'seals' to those against a change of its size.
 * Returns its file descriptor or a negative errno value. */
static int
make_group(const char *name, size_t size, int node, int prot, int seals,
           void **mapping)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return -errno;
    }
    seals |= F_SEAL_SHRINK | F_SEAL_GROW;
    if (!ftruncate(fd, size)) {
        void *p = doms_map_group(fd, size, prot);

        if (p != MAP_FAILED) {
            place_group(p, size, node);
            /* F_SEAL_FUTURE_WRITE spares the mapping that exists. */
            if (!fcntl(fd, F_ADD_SEALS, seals)) {
                *mapping = p;
                return fd;
            }
            munmap(p, size);
        }
    }

    int error = errno;
    close(fd);
    return -error;
}

/* Makes a bell.  '*rings' gets the end that rings, '*hears' the one that is
 * rung.  Returns 0 or a positive errno value. */
static int
make_bell(int *rings, int *hears)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   fds)) {
        return errno;
    }
    /* Nothing goes the other way, and nothing but bytes this way; a kernel that
     * cannot see to that has been told of when the door was opened. */
    shutdown(fds[0], SHUT_RD);
    doms_msg_refuse_fds(fds[1]);
    *rings = fds[0];
    *hears = fds[1];
    return 0;
}

/* Makes the doorbells of 'queue'.  The guest's ends go to 'fds'.  Returns 0 or
 * a positive errno value. */
static int
make_bells(struct doms_channel_queue *queue, int fds[2])
{
    int error = make_bell(&queue->bell_fd, &fds[0]);

    if (!error) {
        error = make_bell(&fds[1], &queue->peer_bell_fd);
        if (error) {
            close(fds[0]); /* The channel's end goes with the channel. */
        }
    }
    return error;
}

/* Makes the shared memory, on NUMA node 'node', and the doorbells of 'ch',
 * which doms_channel_destroy() undoes, and initializes its queues.  The guest's file descriptors go to
 * 'fds', the front's group first, their number to '*n_fds', also after an
 * error, and the caller closes them.  Returns 0 or a positive errno value. */
int
socket_memory_make(struct doms_channel *ch, int node,
                   int fds[DOMS_MSG_MAX_FDS], unsigned int *n_fds)
{
    size_t size = doms_group_size(&ch->geometry);
    void *peer = NULL;
    void *own = NULL;
    int error;
    int fd;

    *n_fds = 0;
    fd = make_group("doms-front", size, node, PROT_READ, 0, &peer);
    if (fd < 0) {
        return -fd;
    }
    fds[(*n_fds)++] = fd;
    ch->peer_group = peer;
    ch->unmap = unmap_channel;

    fd = make_group("doms-switch", size, node, PROT_READ | PROT_WRITE,
                    F_SEAL_FUTURE_WRITE | F_SEAL_SEAL, &own);
    if (fd < 0) {
        return -fd;
    }
    fds[(*n_fds)++] = fd;
    ch->own = own;

    if (ch->features & DOMS_F_DOORBELL) {
        for (uint32_t i = 0; i < ch->geometry.n_queues; i++) {
            error = make_bells(&ch->queues[i], &fds[*n_fds]);
            if (error) {
                return error;
            }
            *n_fds += 2;
        }
    }
    doms_channel_init_queues(ch, own, peer);
    return 0;
}

/* Seals the front's group, 'front_fd', which the guest says that it has
 * mapped.  Returns 0, or a positive errno if the guest has prevented it. */
int
socket_memory_seal(int front_fd)
{
    return fcntl(front_fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
               ? errno
               : 0;
}
