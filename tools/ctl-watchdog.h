/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What doms-watchdog, on the same host, tells and is told.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_CTL_WATCHDOG_H
#define TOOLS_CTL_WATCHDOG_H 1

#include "ctl-backend.h"

struct ds;

/* Appends what it tells of DomS to 's', as one line without its end; or why
 * it tells nothing. */
void ctl_watchdog_append(const struct ctl_options *, struct ds *s);

/* Prints what it tells of DomS, as JSON or for people. */
enum ctl_status ctl_watchdog_show(const struct ctl_options *, bool json,
                                  char **why);

/* Has it forget the restarts so far, and prints its answer. */
enum ctl_status ctl_watchdog_retry(const struct ctl_options *, char **why);

#endif /* tools/ctl-watchdog.h */
