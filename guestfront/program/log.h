/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program tells: one line an event, on stderr, or to syslog once
 * detached.
 *
 * Thread-safety: any thread may log.
 */

#ifndef DOMS_PROGRAM_LOG_H
#define DOMS_PROGRAM_LOG_H 1

#include <stdint.h>

/* A bound on the lines that somebody else can cause: LOG_LIMIT_LINES at once,
 * and one more a second.  Begins as zeros. */
#define LOG_LIMIT_LINES 100
struct log_limit {
    uint64_t paid_until; /* Microseconds of CLOCK_MONOTONIC: when all lines so
                          * far have had a second each. */
    uint64_t left_out;   /* Lines since the last one. */
};

/* From now on, each line is prefixed with 'name', which must live on.  To be
 * called before there are other threads. */
void log_open(const char *name);

/* Returns that name. */
const char *log_program(void);

/* Prints one line, prefixed "NAME: ". */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints one line as log_line() does, and returns -1. */
int log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints one line, "PROGRAM: SUBJECT: ...", unless 'limit' has been reached.
 * The first line after that says how many were left out. */
void log_limited(struct log_limit *limit, const char *subject,
                 const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on, lines go to syslog. */
void log_to_syslog(void);

#endif /* log.h */
