/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

static bool use_syslog;

static void
log_va(const char *format, va_list args)
{
    char line[512];

    vsnprintf(line, sizeof line, format, args);
    if (use_syslog) {
        syslog(LOG_NOTICE, "%s", line);
    } else {
        fprintf(stderr, "doms-tap: %s\n", line);
    }
}

void
log_line(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_va(format, args);
    va_end(args);
}

int
log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_va(format, args);
    va_end(args);
    return -1;
}

void
log_to_syslog(void)
{
    openlog("doms-tap", LOG_PID, LOG_DAEMON);
    use_syslog = true;
}
