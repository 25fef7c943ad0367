/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going to the background, and the pidfile.
 *
 * Thread-safety: before there are threads, and after.
 */

#ifndef DOMS_PROGRAM_DETACH_H
#define DOMS_PROGRAM_DETACH_H 1

/* Forks.  Returns 0 in the child; the parent exits once the child has called
 * detach_finish() or has ended, with a status that tells which.  Returns -1,
 * having said why, if there is no child. */
int detach_start(void);

/* In the child: lets the parent exit, and leaves the terminal.  Logs go to
 * syslog from then on. */
void detach_finish(void);

/* Makes and locks the pidfile 'path'.  Returns 0, or -1 having said why
 * not. */
int pidfile_make(const char *path);

/* Removes it. */
void pidfile_remove(const char *path);

#endif /* detach.h */
