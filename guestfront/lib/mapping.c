/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/socket-map.h"
#include "front.h"

/* Maps 'fd', a group of 'size' bytes, with 'prot' to '*group'.
 *
 * The group must be a memory file of exactly that size which nobody can
 * shrink: a page that vanishes later would be a SIGBUS.  For the same reason
 * it must not be of hugetlbfs, whose pages can run out.  'what' names the
 * group for 'why'. */
static int
map_group(int fd, size_t size, int prot, void **group, const char *what,
          char *why, size_t why_size)
{
    struct statfs fs;
    struct stat st;
    int seals;
    void *p;

    seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
        snprintf(why, why_size, "%s group: not sealed against shrinking",
                 what);
        return EPROTO;
    }
    if (fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC) {
        snprintf(why, why_size, "%s group: not ordinary memory", what);
        return EPROTO;
    }
    if (fstat(fd, &st) || st.st_size < 0 || (uint64_t) st.st_size != size) {
        snprintf(why, why_size, "%s group: must have %zu bytes", what, size);
        return EPROTO;
    }
    p = doms_map_group(fd, size, prot);
    if (p == MAP_FAILED) {
        int error = errno;

        snprintf(why, why_size, "%s group: cannot be mapped: %s", what,
                 strerror(error));
        return error;
    }
    *group = p;
    return 0;
}

/* Checks that 'fd' can be a bell: a UNIX stream socket. */
static bool
is_bell(int fd)
{
    socklen_t length = sizeof(int);
    int domain, type;

    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length)
           && domain == AF_UNIX
           && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length)
           && type == SOCK_STREAM;
}

/* Sets up the queues of 'df', whose groups are mapped.  Takes the bells out of
 * 'fds', setting them to -1. */
static int
set_up_queues(struct domsfront *df, uint64_t features, int *fds, char *why,
              size_t why_size)
{
    struct df_channel *ch = &df->channel;
    uint32_t flags = features & DOMS_F_CSUM ? DOMS_RECORD_OFFLOAD : 0;

    for (uint32_t i = 0; i < ch->g.n_queues; i++) {
        struct df_queue *q = &df->queues[i];

        q->ends = calloc(doms_ring_n_lengths(ch->g.arena_size),
                         sizeof *q->ends);
        if (!q->ends) {
            snprintf(why, why_size, "out of memory");
            return ENOMEM;
        }
        if (features & DOMS_F_DOORBELL) {
            if (!is_bell(fds[2 * i]) || !is_bell(fds[2 * i + 1])) {
                snprintf(why, why_size,
                         "doorbell %u: not a UNIX stream socket", i);
                return EPROTO;
            }
            /* Before Linux 6.16, a switch could hold its front up. */
            doms_msg_refuse_fds(fds[2 * i]);
            q->bell_wait = fds[2 * i];
            q->bell_ring = fds[2 * i + 1];
            fds[2 * i] = fds[2 * i + 1] = -1;
        }
        doms_queue_init(&q->dq, &ch->g, i, ch->own, ch->peer, flags, q->ends);
        q->features = features;
        q->broken = DOMS_RING_OK;
        q->bell_dead = false;
        q->usable = true;
    }
    return 0;
}

/* Makes the channel that 'welcome', already checked by doms_msg_check(), and
 * the 'n_fds' file descriptors in 'fds' describe.  The gate must be closed and
 * no channel be mapped.
 *
 * Returns 0, or a positive errno value with the reason in 'why' of 'why_size'
 * bytes; then nothing is mapped.  Closes all of 'fds' that it does not keep,
 * in any case. */
int
df_channel_map(struct domsfront *df, const struct doms_msg_welcome *welcome,
               const int *fds_, unsigned int n_fds, char *why, size_t why_size)
{
    struct df_channel *ch = &df->channel;
    int fds[DOMS_MSG_MAX_FDS];
    int error = EPROTO;

    memcpy(fds, fds_, n_fds * sizeof *fds);
    ch->g.n_queues = welcome->n_queues;
    ch->g.arena_size = welcome->arena_size;

    if (n_fds != welcome->n_fds) {
        snprintf(why, why_size, "%u file descriptors came, not %u", n_fds,
                 welcome->n_fds);
    } else if (welcome->n_queues > df->n_queues) {
        snprintf(why, why_size, "%u queues, more than asked for",
                 welcome->n_queues);
    } else if (welcome->features & ~df->hello.features) {
        snprintf(why, why_size, "features that were not offered");
    } else if ((welcome->features & DOMS_F_TSO)
               && !(welcome->features & DOMS_F_CSUM)) {
        snprintf(why, why_size, "segmentation without checksums");
    } else {
        size_t size = doms_group_size(&ch->g);

        error = map_group(fds[0], size, PROT_READ | PROT_WRITE, &ch->own,
                          "the front's", why, why_size);
        if (!error) {
            error = map_group(fds[1], size, PROT_READ, &ch->peer,
                              "the switch's", why, why_size);
        }
        if (!error) {
            error = set_up_queues(df, welcome->features, fds + 2, why,
                                  why_size);
        }
    }
    for (unsigned int i = 0; i < n_fds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (error) {
        df_channel_unmap(df);
    }
    return error;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* Undoes df_channel_map(), also after half of it.  No queue's thread may be
 * within the gate. */
void
df_channel_unmap(struct domsfront *df)
{
    struct df_channel *ch = &df->channel;

    for (unsigned int i = 0; i < df->n_queues; i++) {
        struct df_queue *q = &df->queues[i];

        q->usable = false;
        q->features = 0;
        close_fd(&q->bell_wait);
        close_fd(&q->bell_ring);
        free(q->ends);
        q->ends = NULL;
    }
    if (ch->own) {
        munmap(ch->own, doms_group_size(&ch->g));
        ch->own = NULL;
    }
    if (ch->peer) {
        munmap(ch->peer, doms_group_size(&ch->g));
        ch->peer = NULL;
    }
}
