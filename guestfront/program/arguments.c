/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "arguments.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/socket-msg.h"

void
arguments_die(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

unsigned int
arguments_number(const char *what, const char *s, unsigned long min,
                 unsigned long max, bool suffix)
{
    unsigned long value = 0;
    char *end = NULL;

    errno = 0;
    if (isdigit((unsigned char) *s)) {
        value = strtoul(s, &end, 10);
    }
    if (end && !errno && suffix && value <= max) {
        unsigned int shift = toupper(*end) == 'K'   ? 10
                             : toupper(*end) == 'M' ? 20
                                                    : 0;

        value <<= shift;
        end += shift > 0;
    }
    if (!end || *end || errno || value < min || value > max) {
        arguments_die("%s: '%s' is not possible; use a number from %lu to %lu",
                      what, s, min, max);
    }
    return value;
}

void
arguments_mac(const char *what, const char *s, uint8_t mac[6])
{
    if (!doms_mac_from_string(s, mac)) {
        arguments_die("%s: '%s' is not the address of one interface; use six "
                      "bytes like 02:00:00:00:00:01",
                      what, s);
    }
}
