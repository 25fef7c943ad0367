/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of doms-setter.
 */

#ifndef DOMS_SETTER_OPTIONS_H
#define DOMS_SETTER_OPTIONS_H 1

#include "guestfront/setter/vm.h"
#include "guestfront/setter/worker.h"

/* The most VMs of one setter, and the most workers. */
#define OPTIONS_MAX_VMS 256
#define OPTIONS_MAX_CPUS 64

struct options {
    struct domsfront_config front; /* But for what a VM has of its own. */
    struct worker_config worker;
    const char *user;    /* To become; or NULL. */
    const char *group;   /* The same; or NULL: the user's. */
    const char *pidfile; /* Or NULL. */
    uint32_t hold_us;    /* How long VMs' links outlive the switch. */
    bool detach;         /* Go to the background. */

    unsigned int n_cpus; /* Entries of 'cpus'; 0: one worker, anywhere. */
    int cpus[OPTIONS_MAX_CPUS];
    unsigned int n_vms; /* Entries of 'vms', at least 1. */
    struct vm_config vms[OPTIONS_MAX_VMS];
};

/* Fills in '*options' from the command line.  Exits, having said why, if it
 * cannot be, and after --help and --version. */
void parse_options(int argc, char *argv[], struct options *options);

#endif /* options.h */
