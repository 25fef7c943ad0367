/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program tells: one line an event, on stderr, or to syslog once
 * detached.
 *
 * Thread-safety: any thread may log.
 */

#ifndef DOMS_PROGRAM_LOG_H
#define DOMS_PROGRAM_LOG_H 1

/* From now on, each line is prefixed with 'name', which must live on.  To be
 * called before there are other threads. */
void log_open(const char *name);

/* Returns that name. */
const char *log_program(void);

/* Prints one line, prefixed "NAME: ". */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints one line as log_line() does, and returns -1. */
int log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on, lines go to syslog. */
void log_to_syslog(void);

#endif /* log.h */
