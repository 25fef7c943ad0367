/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs xl without waiting for it.
 *
 * One command at a time.  What it prints is kept, its last part at least, for
 * the log.  One that takes too long is killed; nothing else ever is.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_DOMS_WATCHDOG_XL_H
#define TOOLS_DOMS_WATCHDOG_XL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Bytes of output that are kept. */
#define XL_OUTPUT 1024

struct xl {
    pid_t pid;              /* The process, or 0. */
    int fd;                 /* Where its output comes from, or -1. */
    long long int until;    /* When it has taken too long. */
    bool killed;            /* Has it taken too long? */
    bool failed;            /* Has the last one failed? */
    char output[XL_OUTPUT]; /* What it has printed, on one line. */
    size_t length;          /* Bytes in 'output'. */
};

void xl_init(struct xl *);

/* Starts the program 'program' (if that is "", xl wherever it is) with
 * 'argv', whose first element is filled in.  Returns 0 or a positive errno
 * value. */
int xl_start(struct xl *, const char *program, const char *argv[]);

/* Takes note of what the command has done.  Returns true once, when it has
 * ended. */
bool xl_run(struct xl *);

/* Arranges for poll_block() to wake up when xl_run() has something to do. */
void xl_wait(const struct xl *);

/* Returns whether a command runs. */
static inline bool
xl_is_busy(const struct xl *xl)
{
    return xl->pid != 0;
}

#endif /* tools/doms-watchdog-xl.h */
