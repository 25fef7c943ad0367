/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be wrong with a machine and its switch, and how to mend it.
 *
 * Each check yields findings.  A finding that is not CTL_FINE has a remedy.
 * The checks change nothing, need no switch to be there, and wait no longer
 * than the user's time limit for anything.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_CTL_DOCTOR_H
#define TOOLS_CTL_DOCTOR_H 1

#include "ctl-local.h"
#include "openvswitch/compiler.h"

enum ctl_grade {
    CTL_FINE,   /* As it should be. */
    CTL_WARN,   /* Works, but not as well as it could. */
    CTL_BROKEN, /* Does not work. */
};

struct ctl_finding {
    enum ctl_grade grade; /* How bad it is. */
    const char *check;    /* What was looked at. */
    char *message;        /* What was found. */
    char *remedy;         /* What to do, or NULL. */
};

/* All findings, in order. */
struct ctl_report {
    struct ctl_finding *findings; /* The findings. */
    size_t n;                     /* Number of 'findings'. */
    size_t allocated;             /* Room in 'findings'. */
};

void ctl_report_add(struct ctl_report *, enum ctl_grade, const char *check,
                    char *message, char *remedy);
enum ctl_grade ctl_report_worst(const struct ctl_report *);
void ctl_report_print(const struct ctl_report *, bool json);
void ctl_report_destroy(struct ctl_report *);

void ctl_check_machine(const struct ctl_options *, struct ctl_report *);
void ctl_check_switch(const struct ctl_options *, struct ctl_report *);
void ctl_check_xen(const struct ctl_options *, struct ctl_report *);

#endif /* tools/ctl-doctor.h */
