/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Showing guests' rates again and again: 'stats -i' as lines, 'top' as a
 * screen.
 *
 * Both outlive domsd: while it is down they say so, and go on.  They end when
 * the database goes.
 *
 * Thread-safety: none; 'top' owns the terminal while it runs.
 */

#ifndef TOOLS_CTL_WATCH_H
#define TOOLS_CTL_WATCH_H 1

#include <stdbool.h>

#include "ctl-backend.h"

/* What to watch. */
struct ctl_watch {
    const char *guest;        /* Only this guest, or NULL for all. */
    unsigned int interval_ms; /* Between two snapshots. */
    unsigned int count;       /* Intervals to show; 0: without end. */
    bool json;                /* A JSON object a guest and interval? */
    bool batch;               /* 'top' without a screen? */
};

enum ctl_status ctl_watch_stats(struct ctl_backend *, const struct ctl_watch *,
                                char **why);
enum ctl_status ctl_watch_top(struct ctl_backend *, const struct ctl_watch *,
                              char **why);

#endif /* tools/ctl-watch.h */
