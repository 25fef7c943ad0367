/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What doms-tap tells: one line an event, on stderr, or to syslog once
 * detached.
 *
 * Thread-safety: any thread may log.
 */

#ifndef DOMS_TAP_LOG_H
#define DOMS_TAP_LOG_H 1

/* Prints one line, prefixed "doms-tap: ". */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints one line as log_line() does, and returns -1. */
int log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on, lines go to syslog. */
void log_to_syslog(void);

#endif /* log.h */
