/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>

#include "front.h"

/* The other end of a bell is the switch's.  Neither call below depends on
 * anything that it could do to its end, nor raises SIGPIPE. */

/* Rings the bell 'fd'.  A bell that is full has been rung. */
void
df_bell_ring(int fd)
{
    uint8_t byte = 1;
    ssize_t n;

    do {
        n = send(fd, &byte, sizeof byte, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
}

/* Takes the rings out of the bell 'fd', at most one buffer full, so that a
 * switch that rings without end keeps nobody here.  Returns false if the
 * switch will never ring it again. */
bool
df_bell_drain(int fd)
{
    uint8_t buf[512];
    ssize_t n;

    do {
        n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n > 0 || (n < 0 && errno == EAGAIN);
}
