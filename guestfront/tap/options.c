/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <ctype.h>
#include <getopt.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/socket-msg.h"
#include "guestfront/program/arguments.h"

#ifndef DOMS_PACKAGE_VERSION
#define DOMS_PACKAGE_VERSION "unknown"
#endif

enum {
    OPT_NAME = 256,
    OPT_SOCKET,
    OPT_TAP,
    OPT_NETNS,
    OPT_QUEUES,
    OPT_MAC,
    OPT_ARENA,
    OPT_NO_DOORBELL,
    OPT_NO_OFFLOADS,
    OPT_SPIN,
    OPT_YIELD,
    OPT_SLEEP,
    OPT_PIDFILE,
    OPT_UP,
    OPT_DETACH,
};

static const struct option long_options[] = {
    { "name", required_argument, NULL, OPT_NAME },
    { "socket", required_argument, NULL, OPT_SOCKET },
    { "tap", required_argument, NULL, OPT_TAP },
    { "netns", required_argument, NULL, OPT_NETNS },
    { "queues", required_argument, NULL, OPT_QUEUES },
    { "mac", required_argument, NULL, OPT_MAC },
    { "arena", required_argument, NULL, OPT_ARENA },
    { "no-doorbell", no_argument, NULL, OPT_NO_DOORBELL },
    { "no-offloads", no_argument, NULL, OPT_NO_OFFLOADS },
    { "spin-us", required_argument, NULL, OPT_SPIN },
    { "yield", no_argument, NULL, OPT_YIELD },
    { "max-sleep-us", required_argument, NULL, OPT_SLEEP },
    { "pidfile", required_argument, NULL, OPT_PIDFILE },
    { "up", no_argument, NULL, OPT_UP },
    { "detach", no_argument, NULL, OPT_DETACH },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

static void
print_help(void)
{
    puts("doms-tap: makes a TAP device a guest of DomS\n"
         "usage: doms-tap --name NAME [OPTION]...\n"
         "  --name NAME        guest's name, the 'peer' of the switch's port\n"
         "  --socket PATH      the switch's socket (default: doms.sock in\n"
         "                     $OVS_RUNDIR or /var/run/openvswitch)\n"
         "  --tap IFNAME       interface to make (default: NAME if it is\n"
         "                     short enough, else doms0)\n"
         "  --netns NETNS      make it in this network namespace, a name of\n"
         "                     'ip netns' or the path of a file\n"
         "  --up               set the interface up\n"
         "  --mac MAC          MAC to ask for; the switch's own wins\n"
         "  --queues N         queue pairs to ask for, 1 to 16 (default 1)\n"
         "  --arena SIZE       bytes of each ring's arena to ask for, a\n"
         "                     power of 2 from 128K to 4M\n"
         "  --no-offloads      no checksum and segmentation offloads\n"
         "  --no-doorbell      never block when idle, sleep only\n"
         "  --spin-us N        poll for N microseconds before any sleep\n"
         "  --yield            while polling, let others use the CPU\n"
         "  --max-sleep-us N   sleep for at most N microseconds\n"
         "  --pidfile FILE     write the process's number to FILE\n"
         "  --detach           go to the background, log to syslog\n"
         "  --help, --version");
}

/* Returns true if the kernel takes 'name' as an interface's. */
static bool
ifname_is_valid(const char *name)
{
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
        return false;
    }
    for (const char *p = name; *p; p++) {
        if (!isgraph((unsigned char) *p) || strchr("/:%", *p)) {
            return false;
        }
    }
    return true;
}

/* Checks what the options are together, and fills in what was not given. */
static void
complete(struct options *o)
{
    if (!o->name) {
        arguments_die("--name is missing; see doms-tap --help");
    }
    if (!doms_name_is_valid(o->name)) {
        arguments_die(
            "--name: '%s' is not a guest's name; use 1 to 63 letters, digits, "
            "'_', '-' or '.', the first of them a letter or a digit",
            o->name);
    }
    o->config.name = o->name;
    if (!o->tap) {
        o->tap = strlen(o->name) < IFNAMSIZ ? o->name : "doms0";
    }
    if (strlen(o->tap) >= IFNAMSIZ) {
        arguments_die(
            "--tap: '%s' is too long for an interface; use at most %d "
            "characters",
            o->tap, IFNAMSIZ - 1);
    }
    if (!ifname_is_valid(o->tap)) {
        arguments_die(
            "--tap: '%s' is not an interface's name; use letters and digits",
            o->tap);
    }
}

static void
set_defaults(struct options *o)
{
    memset(o, 0, sizeof *o);
    o->config.n_queues = 1;
    o->config.features = DOMSFRONT_F_CSUM | DOMSFRONT_F_TSO
                         | DOMSFRONT_F_DOORBELL;
    o->idle.spin_us = DOMSFRONT_SPIN_US;
    o->idle.max_sleep_us = DOMSFRONT_MAX_SLEEP_US;
    o->idle.block_after_us = DOMSFRONT_BLOCK_AFTER_US;
}

/* Takes option 'c' if it is about what the front asks the switch for.  Returns
 * false if not. */
static bool
take_front_option(struct domsfront_config *config, int c)
{
    switch (c) {
    case OPT_SOCKET:
        config->socket_path = optarg;
        return true;
    case OPT_QUEUES:
        config->n_queues = arguments_number("--queues", optarg, 1,
                                            DOMSFRONT_MAX_QUEUES, false);
        return true;
    case OPT_MAC:
        arguments_mac("--mac", optarg, config->mac);
        return true;
    case OPT_ARENA:
        config->arena_size = arguments_number(
            "--arena", optarg, DOMS_ARENA_MIN, DOMS_ARENA_MAX, true);
        return true;
    case OPT_NO_DOORBELL:
        config->features &= ~DOMSFRONT_F_DOORBELL;
        return true;
    case OPT_NO_OFFLOADS:
        config->features &= ~(DOMSFRONT_F_CSUM | DOMSFRONT_F_TSO);
        return true;
    default:
        return false;
    }
}

/* Takes option 'c', of which getopt_long() found out. */
static void
take_option(struct options *o, int c)
{
    if (take_front_option(&o->config, c)) {
        return;
    }
    switch (c) {
    case OPT_NAME:
        o->name = optarg;
        break;
    case OPT_TAP:
        o->tap = optarg;
        break;
    case OPT_NETNS:
        o->netns = optarg;
        break;
    case OPT_SPIN:
        o->idle.spin_us = arguments_number("--spin-us", optarg, 0, 1000000,
                                           false);
        break;
    case OPT_YIELD:
        o->idle.yield = true;
        break;
    case OPT_SLEEP:
        o->idle.max_sleep_us = arguments_number("--max-sleep-us", optarg, 1,
                                                1000000, false);
        break;
    case OPT_PIDFILE:
        o->pidfile = optarg;
        break;
    case OPT_UP:
        o->up = true;
        break;
    case OPT_DETACH:
        o->detach = true;
        break;
    case 'h':
        print_help();
        exit(EXIT_SUCCESS);
    case 'V':
        puts("doms-tap (DomS) " DOMS_PACKAGE_VERSION);
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
    argv[0] = (char *) "doms-tap"; /* Starts getopt_long()'s errors. */
    while ((c = getopt_long(argc, argv, "hV", long_options, NULL)) != -1) {
        take_option(o, c);
    }
    if (optind < argc) {
        arguments_die("'%s' is not an option; see doms-tap --help",
                      argv[optind]);
    }
    complete(o);
    /* Blocking comes after sleeping has reached its longest. */
    if (o->idle.block_after_us < o->idle.spin_us) {
        o->idle.block_after_us = o->idle.spin_us;
    }
}
