/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of doms-tap.
 */

#ifndef DOMS_TAP_OPTIONS_H
#define DOMS_TAP_OPTIONS_H 1

#include <stdbool.h>

#include "guestfront/lib/domsfront.h"

struct options {
    const char *name;    /* The guest's name. */
    const char *tap;     /* The interface's name. */
    const char *netns;   /* Where to make it, or NULL. */
    const char *pidfile; /* Or NULL. */
    bool up;             /* Set the interface up. */
    bool detach;         /* Go to the background. */
    struct domsfront_config config;
    struct domsfront_idle_config idle;
};

/* Fills in '*options' from the command line.  Exits, having said why, if it
 * cannot be, and after --help and --version. */
void parse_options(int argc, char *argv[], struct options *options);

#endif /* options.h */
