/* SPDX-License-Identifier: Apache-2.0 */
#include "guestfront/program/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#define US_PER_S UINT64_C(1000000)

static const char *program = "doms";
static bool use_syslog;

/* Of all 'struct log_limit'. */
static pthread_mutex_t limits_mutex = PTHREAD_MUTEX_INITIALIZER;

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

/* Returns true if 'limit' has room for a line, which is taken, with the lines
 * that had none before it in '*left_out'. */
static bool
take_room(struct log_limit *limit, uint64_t *left_out)
{
    struct timespec ts;
    uint64_t now;
    bool ok;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    now = ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
    pthread_mutex_lock(&limits_mutex);
    if (limit->paid_until < now) {
        limit->paid_until = now;
    }
    ok = limit->paid_until - now < LOG_LIMIT_LINES * US_PER_S;
    *left_out = limit->left_out;
    if (ok) {
        limit->paid_until += US_PER_S;
        limit->left_out = 0;
    } else {
        limit->left_out++;
    }
    pthread_mutex_unlock(&limits_mutex);
    return ok;
}

void
log_limited(struct log_limit *limit, const char *subject, const char *format,
            ...)
{
    uint64_t left_out;
    char line[400];
    va_list args;

    if (!take_room(limit, &left_out)) {
        return;
    }
    if (left_out) {
        log_line("%s: %llu lines were left out", subject,
                 (unsigned long long) left_out);
    }
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_line("%s: %s", subject, line);
}

void
log_to_syslog(void)
{
    openlog(program, LOG_PID, LOG_DAEMON);
    use_syslog = true;
}
