/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "caller.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guestfront/program/log.h"

/* Calls whose completions the kernel keeps until they are fetched. */
#define MAX_UNFETCHED 64

/* Makes '*c'.  Must come before the sandbox, which opens no files.  Returns 0,
 * or an errno value having said why. */
int
caller_init(struct caller *c)
{
    int error = 0;

    c->context = 0;
    c->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (c->null_fd < 0) {
        error = errno;
        log_error("/dev/null: %s", strerror(error));
    } else if (syscall(SYS_io_setup, MAX_UNFETCHED, &c->context)) {
        error = errno;
        close(c->null_fd);
        log_error("no asynchronous I/O: %s; are there more than "
                  "/proc/sys/fs/aio-max-nr allows?",
                  strerror(error));
    }
    return error;
}

/* Frees what caller_init() has made. */
void
caller_destroy(struct caller *c)
{
    syscall(SYS_io_destroy, c->context);
    close(c->null_fd);
}

/* Adds 1 to the eventfd 'fd', unless it is full.  Returns false if it is no
 * eventfd, or the kernel has no memory. */
bool
caller_call(const struct caller *c, int fd)
{
    char byte = 0;
    struct iocb request = {
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = c->null_fd,
        .aio_buf = (uintptr_t) &byte,
        .aio_nbytes = sizeof byte,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = fd,
    };
    struct iocb *requests[] = { &request };
    long n = syscall(SYS_io_submit, c->context, 1, requests);

    if (n < 0 && errno == EAGAIN) {
        struct io_event events[MAX_UNFETCHED];
        struct timespec at_once = { 0 };

        syscall(SYS_io_getevents, c->context, 0, MAX_UNFETCHED, events,
                &at_once);
        n = syscall(SYS_io_submit, c->context, 1, requests);
    }
    return n == 1;
}
