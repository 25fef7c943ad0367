/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms-watchdog-xl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "openvswitch/poll-loop.h"
#include "timeval.h"
#include "util.h"

extern char **environ;

/* The longest time for a command. */
#define COMMAND_MS 120000

/* How often to look whether a command has ended whose output has, or which
 * has left its output to another process. */
#define LOOK_MS 20

void
xl_init(struct xl *xl)
{
    memset(xl, 0, sizeof *xl);
    xl->fd = -1;
}

/* Reads the number in the file 'path', or -1. */
static int
read_number(const char *path)
{
    FILE *stream = fopen(path, "r");
    int number = -1;

    if (stream) {
        if (fscanf(stream, "%*[.]%d", &number) != 1) {
            rewind(stream);
            if (fscanf(stream, "%d", &number) != 1) {
                number = -1;
            }
        }
        fclose(stream);
    }
    return number;
}

/* Returns the path of xl, for the caller to free.  Debian keeps that of each
 * release of Xen in a folder of its own. */
static char *
find_xl(const char *program)
{
    char *path;

    if (*program) {
        return xstrdup(program);
    }
    path = xasprintf("/usr/lib/xen-%d.%d/bin/xl",
                     read_number("/sys/hypervisor/version/major"),
                     read_number("/sys/hypervisor/version/minor"));
    if (access(path, X_OK)) {
        free(path);
        path = xstrdup("xl"); /* Somewhere in PATH. */
    }
    return path;
}

/* Starts 'path' with 'argv', its output going to 'fd'. */
static int
spawn(struct xl *xl, const char *path, const char *argv[], int fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int error;

    sigemptyset(&none);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                     O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, fd, STDERR_FILENO);
    error = posix_spawnp(&xl->pid, path, &actions, &attr,
                         CONST_CAST(char *const *, argv), environ);
    if (error) {
        xl->pid = 0;
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return error;
}

int
xl_start(struct xl *xl, const char *program, const char *argv[])
{
    char *path = find_xl(program);
    int fds[2], error;

    xl->length = 0;
    xl->output[0] = '\0';
    xl->killed = false;
    xl->failed = true;
    if (pipe2(fds, O_CLOEXEC)) {
        error = errno;
        free(path);
        return error;
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    argv[0] = path;
    error = spawn(xl, path, argv, fds[1]);
    close(fds[1]);
    if (error) {
        close(fds[0]);
    } else {
        xl->fd = fds[0];
        xl->until = time_msec() + COMMAND_MS;
    }
    argv[0] = NULL;
    free(path);
    return error;
}

/* Keeps what the command has printed, the last part if it is long. */
static void
take_output(struct xl *xl)
{
    char buffer[256];
    ssize_t n;

    while (xl->fd >= 0 && (n = read(xl->fd, buffer, sizeof buffer)) != -1) {
        if (!n) {
            close(xl->fd);
            xl->fd = -1;
            break;
        }
        if (xl->length + n >= XL_OUTPUT) {
            size_t keep = XL_OUTPUT / 2;

            memmove(xl->output,
                    xl->output + xl->length - MIN(keep, xl->length),
                    MIN(keep, xl->length));
            xl->length = MIN(keep, xl->length);
        }
        for (ssize_t i = 0; i < n; i++) {
            char c = buffer[i];

            xl->output[xl->length++] = c >= ' ' && c < 0x7f ? c : ' ';
        }
        xl->output[xl->length] = '\0';
    }
}

bool
xl_run(struct xl *xl)
{
    int status;

    if (!xl->pid) {
        return false;
    }
    take_output(xl);
    if (!xl->killed && time_msec() >= xl->until) {
        xl->killed = true;
        kill(xl->pid, SIGKILL);
    }
    if (waitpid(xl->pid, &status, WNOHANG) != xl->pid) {
        return false;
    }
    take_output(xl);
    if (xl->fd >= 0) {
        close(xl->fd);
        xl->fd = -1;
    }
    xl->pid = 0;
    xl->failed = !WIFEXITED(status) || WEXITSTATUS(status);
    return true;
}

void
xl_wait(const struct xl *xl)
{
    if (xl->pid) {
        if (xl->fd >= 0) {
            poll_fd_wait(xl->fd, POLLIN);
        }
        poll_timer_wait(LOOK_MS);
    }
}
