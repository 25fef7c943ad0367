/* SPDX-License-Identifier: Apache-2.0 */
#include "guestfront/program/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>

static const char *program = "doms";
static bool use_syslog;

static void
log_va(const char *format, va_list args)
{
    char line[512];

    vsnprintf(line, sizeof line, format, args);
    if (use_syslog) {
        syslog(LOG_NOTICE, "%s", line);
    } else {
        fprintf(stderr, "%s: %s\n", program, line);
    }
}

void
log_open(const char *name)
{
    program = name;
}

const char *
log_program(void)
{
    return program;
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
    openlog(program, LOG_PID, LOG_DAEMON);
    use_syslog = true;
}
