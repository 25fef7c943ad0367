/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "front.h"

/* The switch made the pipes, and so it could clear O_NONBLOCK on them behind
 * our back.  RWF_NOWAIT does not depend on that flag; kernels that do not know
 * it for pipes (before 6.5) get the ordinary call. */

static ssize_t
write_byte(int fd)
{
    uint8_t byte = 1;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    ssize_t n;

    do {
        n = pwritev2(fd, &iov, 1, -1, RWF_NOWAIT);
        if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
            n = write(fd, &byte, 1);
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Rings the pipe 'fd'.  A full pipe has been rung, and a pipe without a reader
 * needs no ring; the SIGPIPE of that is taken back. */
void
df_bell_ring(int fd)
{
    static const struct timespec zero;
    sigset_t sigpipe, old;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    if (pthread_sigmask(SIG_BLOCK, &sigpipe, &old)) {
        return;
    }
    if (write_byte(fd) < 0 && errno == EPIPE && !sigismember(&old, SIGPIPE)) {
        while (sigtimedwait(&sigpipe, NULL, &zero) < 0 && errno == EINTR) {
            continue;
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Takes the rings out of the pipe 'fd', at most one buffer full, so that a
 * switch that rings without end keeps nobody here. */
void
df_bell_drain(int fd)
{
    uint8_t buf[512];
    struct iovec iov = { .iov_base = buf, .iov_len = sizeof buf };
    ssize_t n;

    do {
        n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
        if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
            n = read(fd, buf, sizeof buf);
        }
    } while (n < 0 && errno == EINTR);
}
