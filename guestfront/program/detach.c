/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "guestfront/program/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guestfront/program/log.h"

/* The child's end of the pipe to the parent, or -1. */
static int ready_fd = -1;

int
detach_start(void)
{
    uint8_t byte;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC)) {
        return log_error("cannot detach: %s", strerror(errno));
    }
    pid = fork();
    if (pid < 0) {
        return log_error("cannot detach: %s", strerror(errno));
    }
    if (pid) {
        ssize_t n;

        close(fds[1]);
        do {
            n = read(fds[0], &byte, 1);
        } while (n < 0 && errno == EINTR);
        _exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(fds[0]);
    ready_fd = fds[1];
    setsid();
    return 0;
}

void
detach_finish(void)
{
    uint8_t byte = 0;
    int null;

    log_to_syslog();
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
            dup2(null, fd);
        }
        if (null > STDERR_FILENO) {
            close(null);
        }
    }
    if (write(ready_fd, &byte, 1) < 0) {
        log_error("cannot tell the parent: %s", strerror(errno));
    }
    close(ready_fd);
    ready_fd = -1;
}

int
pidfile_make(const char *path)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char text[16];
    int n;
    int fd;

    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return log_error("pidfile %s: %s", path, strerror(errno));
    }
    if (fcntl(fd, F_SETLK, &lock)) {
        close(fd);
        return log_error("pidfile %s: another process holds it; is this "
                         "%s running already?",
                         path, log_program());
    }
    n = snprintf(text, sizeof text, "%d\n", (int) getpid());
    if (ftruncate(fd, 0) || write(fd, text, n) != n) {
        int error = errno;

        unlink(path);
        close(fd);
        return log_error("pidfile %s: %s", path, strerror(error));
    }
    /* The file stays open, and so locked, until the process ends. */
    return 0;
}

void
pidfile_remove(const char *path)
{
    unlink(path);
}
