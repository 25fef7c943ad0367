/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-ctl's commands: what each does with the words and options that it was
 * given.  See doms-ctl(8).
 *
 * doms-ctl.c parses the command line into a struct ctl_args and calls one
 * command.  Those that change something are in ctl-change.c, those that show
 * something in ctl-show.c; either works through the backend of the place
 * (ctl-backend.h).  A command prints what it has to say to standard output,
 * and returns a status; unless that is CTL_OK, it stores in '*why' one line
 * for the user, to be freed by the caller, or has printed why.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_CTL_COMMANDS_H
#define TOOLS_CTL_COMMANDS_H 1

#include <stdbool.h>
#include <stddef.h>

#include "ctl-backend.h"

/* The command line. */
struct ctl_args {
    struct ctl_options options;            /* For the backend. */
    const struct ctl_backend_class *class; /* The place's backend. */
    const char *command;                   /* The command's name. */
    char **words;                          /* What follows the command. */
    size_t n_words;                        /* Number of 'words'. */
    const char *from;                      /* --from, or NULL. */
    bool json;                             /* --json? */
    bool names_only;                       /* --names? */
    bool batch;                            /* --batch? */
    bool has_interval;                     /* Was -i given? */
    unsigned int interval_s;               /* -i. */
    unsigned int count;                    /* -n, or 0. */
};

typedef enum ctl_status ctl_command_func(const struct ctl_args *, char **why);

/* Those that change something. */
ctl_command_func ctl_cmd_attach;
ctl_command_func ctl_cmd_detach;

/* Those that show something. */
ctl_command_func ctl_cmd_list;
ctl_command_func ctl_cmd_show;
ctl_command_func ctl_cmd_stats;
ctl_command_func ctl_cmd_top;
ctl_command_func ctl_cmd_doctor;
ctl_command_func ctl_cmd_watchdog;
ctl_command_func ctl_cmd_version;

#endif /* tools/ctl-commands.h */
