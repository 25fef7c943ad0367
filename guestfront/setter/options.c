/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "options.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/socket-msg.h"
#include "guestfront/program/arguments.h"

#ifndef DOMS_PACKAGE_VERSION
#define DOMS_PACKAGE_VERSION "unknown"
#endif

enum {
    OPT_SOCKET = 256,
    OPT_CPU,
    OPT_ARENA,
    OPT_NO_DOORBELL,
    OPT_NO_OFFLOADS,
    OPT_YIELD,
    OPT_SPIN,
    OPT_SLEEP,
    OPT_HOLD,
    OPT_USER,
    OPT_GROUP,
    OPT_PIDFILE,
    OPT_DETACH,
};

/* Who yields keeps nobody from the CPU by polling, and would let the switch's
 * thread, which shares it, fall asleep by sleeping. */
#define YIELD_SPIN_US 2000
#define SPIN_UNSET UINT32_MAX

static const struct option long_options[] = {
    { "socket", required_argument, NULL, OPT_SOCKET },
    { "cpu", required_argument, NULL, OPT_CPU },
    { "arena", required_argument, NULL, OPT_ARENA },
    { "no-doorbell", no_argument, NULL, OPT_NO_DOORBELL },
    { "no-offloads", no_argument, NULL, OPT_NO_OFFLOADS },
    { "yield", no_argument, NULL, OPT_YIELD },
    { "spin-us", required_argument, NULL, OPT_SPIN },
    { "max-sleep-us", required_argument, NULL, OPT_SLEEP },
    { "hold-ms", required_argument, NULL, OPT_HOLD },
    { "user", required_argument, NULL, OPT_USER },
    { "group", required_argument, NULL, OPT_GROUP },
    { "pidfile", required_argument, NULL, OPT_PIDFILE },
    { "detach", no_argument, NULL, OPT_DETACH },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

static void
print_help(void)
{
    puts(
        "doms-setter: makes QEMU/KVM guests guests of DomS, by vhost-user\n"
        "usage: doms-setter [OPTION]... NAME=PATH[,WORD=VALUE]...\n"
        "Each NAME is a guest's, the 'peer' of the switch's port; PATH is "
        "the\n"
        "vhost-user socket of its VM.  Words:\n"
        "  mode=server|client who listens at PATH: doms-setter (default), or\n"
        "                     the VM's QEMU\n"
        "  queues=N           queue pairs at most, 1 to 16 (default 1)\n"
        "  mac=MAC            MAC to ask for; the switch's own wins\n"
        "  access=MODE        permissions of the socket (default 0600)\n"
        "Options:\n"
        "  --socket PATH      the switch's socket (default: doms.sock in\n"
        "                     $OVS_RUNDIR or /var/run/openvswitch)\n"
        "  --cpu LIST         CPUs such as 2,4-6; a thread on each (default:\n"
        "                     one thread on any)\n"
        "  --yield            while polling, let others use the CPU\n"
        "  --hold-ms N        close a VM's connection when the switch has "
        "been\n"
        "                     away for N milliseconds (default 3000)\n"
        "  --user USER        become USER (default nobody, if root)\n"
        "  --group GROUP      become GROUP (default: that of USER)\n"
        "  --arena SIZE       bytes of each ring's arena to ask for, a\n"
        "                     power of 2 from 128K to 4M\n"
        "  --no-offloads      no checksum and segmentation offloads\n"
        "  --no-doorbell      never block when idle, sleep only\n"
        "  --spin-us N        poll for N microseconds before any sleep\n"
        "  --max-sleep-us N   sleep for at most N microseconds\n"
        "  --pidfile FILE     write the process's number to FILE\n"
        "  --detach           go to the background, log to syslog\n"
        "  --help, --version");
}

/* Takes "WORD=VALUE" of VM 'c'. */
static void
parse_word(struct vm_config *c, char *word)
{
    char *value = strchr(word, '=');

    if (value) {
        *value++ = '\0';
    }
    if (!value || !*value) {
        arguments_die("%s: '%s' has no value; see doms-setter --help", c->name,
                      word);
    } else if (!strcmp(word, "mode")) {
        c->client = !strcmp(value, "client");
        if (!c->client && strcmp(value, "server")) {
            arguments_die("%s: mode is 'server' or 'client', not '%s'",
                          c->name, value);
        }
    } else if (!strcmp(word, "queues")) {
        c->n_queues = arguments_number("queues", value, 1,
                                       DOMSFRONT_MAX_QUEUES, false);
    } else if (!strcmp(word, "mac")) {
        arguments_mac("mac", value, c->mac);
    } else if (!strcmp(word, "access")) {
        char *end;

        c->mode = strtoul(value, &end, 8);
        if (*end || c->mode > 0777) {
            arguments_die("%s: access is a mode such as 0660, not '%s'",
                          c->name, value);
        }
    } else {
        arguments_die(
            "%s: '%s' is not a word for a VM; see doms-setter --help", c->name,
            word);
    }
}

/* Takes "NAME=PATH[,WORD=VALUE]...", in place. */
static void
parse_vm(struct options *o, char *arg)
{
    struct vm_config *c = &o->vms[o->n_vms];
    char *path = strchr(arg, '=');
    char *save = NULL;

    if (!path || !path[1] || path[1] == ',') {
        arguments_die(
            "'%s' is not a VM; use NAME=PATH, see doms-setter --help", arg);
    }
    if (o->n_vms == OPTIONS_MAX_VMS) {
        arguments_die("more than %d VMs; start several setters",
                      OPTIONS_MAX_VMS);
    }
    *path++ = '\0';
    *c = (struct vm_config){ .name = arg, .n_queues = 1, .mode = 0600 };
    if (!doms_name_is_valid(arg)) {
        arguments_die(
            "'%s' is not a guest's name; use 1 to 63 letters, digits, '_', "
            "'-' or '.', the first of them a letter or a digit",
            arg);
    }
    c->path = strtok_r(path, ",", &save);
    for (char *word; (word = strtok_r(NULL, ",", &save));) {
        parse_word(c, word);
    }
    if (strlen(c->path) >= sizeof((struct sockaddr_un *) 0)->sun_path) {
        arguments_die(
            "%s: the path of its socket is too long; use a shorter folder",
            arg);
    }
    if (*c->path != '/') {
        arguments_die("%s: '%s' is not a whole path; begin with '/'", arg,
                      c->path);
    }
    for (unsigned int i = 0; i < o->n_vms; i++) {
        if (!strcmp(o->vms[i].name, c->name)
            || !strcmp(o->vms[i].path, c->path)) {
            arguments_die("%s: another VM has this name or socket", arg);
        }
    }
    o->n_vms++;
}

/* Takes a list of CPUs, in place. */
static void
parse_cpus(struct options *o, char *list)
{
    char *save = NULL;

    for (char *word = strtok_r(list, ",", &save); word;
         word = strtok_r(NULL, ",", &save)) {
        char *dash = strchr(word, '-');
        unsigned int first, last;

        if (dash) {
            *dash++ = '\0';
        }
        first = arguments_number("--cpu", word, 0, CPU_SETSIZE - 1, false);
        last = dash ? arguments_number("--cpu", dash, first, CPU_SETSIZE - 1,
                                       false)
                    : first;
        for (; first <= last; first++) {
            if (o->n_cpus == OPTIONS_MAX_CPUS) {
                arguments_die("--cpu: more than %d CPUs", OPTIONS_MAX_CPUS);
            }
            o->cpus[o->n_cpus++] = first;
        }
    }
    if (!o->n_cpus) {
        arguments_die("--cpu: no CPU; use a list such as 2,4-6");
    }
}

static void
set_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    o->front.features = DOMSFRONT_F_CSUM | DOMSFRONT_F_TSO
                        | DOMSFRONT_F_DOORBELL;
    o->worker.idle.spin_us = SPIN_UNSET;
    o->worker.idle.max_sleep_us = DOMSFRONT_MAX_SLEEP_US;
    o->worker.idle.block_after_us = DOMSFRONT_BLOCK_AFTER_US;
    o->hold_us = 3000000;
    o->user = geteuid() ? NULL : "nobody";
}

/* Takes option 'c' if it is about the process.  Returns false if not. */
static bool
take_process_option(struct options *o, int c)
{
    switch (c) {
    case OPT_CPU:
        parse_cpus(o, optarg);
        return true;
    case OPT_USER:
        o->user = optarg;
        return true;
    case OPT_GROUP:
        o->group = optarg;
        return true;
    case OPT_PIDFILE:
        o->pidfile = optarg;
        return true;
    case OPT_DETACH:
        o->detach = true;
        return true;
    default:
        return false;
    }
}

/* Takes option 'c', of which getopt_long() found out. */
static void
take_option(struct options *o, int c)
{
    struct domsfront_idle_config *idle = &o->worker.idle;

    if (take_process_option(o, c)) {
        return;
    }
    switch (c) {
    case OPT_SOCKET:
        o->front.socket_path = optarg;
        break;
    case OPT_ARENA:
        o->front.arena_size = arguments_number(
            "--arena", optarg, DOMS_ARENA_MIN, DOMS_ARENA_MAX, true);
        break;
    case OPT_NO_DOORBELL:
        o->front.features &= ~DOMSFRONT_F_DOORBELL;
        break;
    case OPT_NO_OFFLOADS:
        o->front.features &= ~(DOMSFRONT_F_CSUM | DOMSFRONT_F_TSO);
        break;
    case OPT_YIELD:
        o->worker.yield = true;
        break;
    case OPT_SPIN:
        idle->spin_us = arguments_number("--spin-us", optarg, 0, 1000000,
                                         false);
        break;
    case OPT_SLEEP:
        idle->max_sleep_us = arguments_number("--max-sleep-us", optarg, 1,
                                              1000000, false);
        break;
    case OPT_HOLD:
        o->hold_us = 1000
                     * arguments_number("--hold-ms", optarg, 0, 1000000,
                                        false);
        break;
    case 'h':
        print_help();
        exit(EXIT_SUCCESS);
    case 'V':
        puts("doms-setter (DomS) " DOMS_PACKAGE_VERSION);
        exit(EXIT_SUCCESS);
    default:
        exit(EXIT_FAILURE);
    }
}

void
parse_options(int argc, char *argv[], struct options *o)
{
    int c;

    set_defaults(o);
    argv[0] = (char *) "doms-setter"; /* Starts getopt_long()'s errors. */
    while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
        take_option(o, c);
    }
    while (optind < argc) {
        parse_vm(o, argv[optind++]);
    }
    if (!o->n_vms) {
        arguments_die("no VM is named; see doms-setter --help");
    }
    if (o->worker.idle.spin_us == SPIN_UNSET) {
        o->worker.idle.spin_us = o->worker.yield ? YIELD_SPIN_US
                                                 : DOMSFRONT_SPIN_US;
    }
    /* Blocking comes after sleeping has reached its longest. */
    if (o->worker.idle.block_after_us < o->worker.idle.spin_us) {
        o->worker.idle.block_after_us = o->worker.idle.spin_us;
    }
}
