/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/socket-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "doms/channel.h"
#include "util.h"

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

/* Makes a group of 'size' zero bytes, maps it with 'prot' into '*mapping', and
 * adds 'seals' to those against a change of its size.  Returns its file
 * descriptor or a negative errno value. */
static int
make_group(const char *name, size_t size, int prot, int seals, void **mapping)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return -errno;
    }
    seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (!ftruncate(fd, size)) {
        void *p = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

        if (p != MAP_FAILED) {
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

/* Makes the doorbells of queue 'i'.  The guest's ends go to 'fds'.  Returns 0
 * or a positive errno value. */
static int
make_bells(struct doms_channel_queue *queue, int fds[2])
{
    int to_guest[2], to_switch[2];

    if (pipe2(to_guest, O_CLOEXEC | O_NONBLOCK)) {
        return errno;
    }
    if (pipe2(to_switch, O_CLOEXEC | O_NONBLOCK)) {
        int error = errno;

        close(to_guest[0]);
        close(to_guest[1]);
        return error;
    }
    queue->bell_fd = to_guest[1];
    queue->peer_bell_fd = to_switch[0];
    fds[0] = to_guest[0];
    fds[1] = to_switch[1];
    return 0;
}

/* Makes the shared memory and doorbells of 'ch', which doms_channel_destroy()
 * undoes, and initializes its queues.  The guest's file descriptors
 * go to 'fds', their number to '*n_fds', also after an error, and the caller
 * closes them.  Returns 0 or a positive errno value. */
int
socket_memory_make(struct doms_channel *ch, int fds[DOMS_MSG_MAX_FDS],
                   unsigned int *n_fds)
{
    size_t size = doms_group_size(&ch->geometry);
    void *peer = NULL;
    void *own = NULL;
    int error;
    int fd;

    *n_fds = 0;
    fd = make_group("doms-front", size, PROT_READ, 0, &peer);
    if (fd < 0) {
        return -fd;
    }
    fds[(*n_fds)++] = fd;
    ch->peer_group = peer;
    ch->unmap = unmap_channel;

    fd = make_group("doms-switch", size, PROT_READ | PROT_WRITE,
                    F_SEAL_FUTURE_WRITE, &own);
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
