/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-ctl: attaches guests to a switch, and shows how they fare.  See
 * doms-ctl(8).
 *
 * This is the command line: options, the table of commands and their help.
 * ctl-commands.h has what they do.
 */
#include <config.h>

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "config/port-request.h"
#include "ctl-backend.h"
#include "ctl-commands.h"
#include "fatal-signal.h"
#include "openvswitch/vlog.h"
#include "util.h"
#include "xen-files.h"
#include "xen-store.h"

#define DEFAULT_RUNDIR "/var/run/openvswitch"
#define DEFAULT_TIMEOUT_S 10
#define DEFAULT_INTERVAL_S 1

struct ctl_command {
    const char *name;      /* The command. */
    size_t min_words;      /* Words that must follow. */
    size_t max_words;      /* Words that may follow. */
    const char *usage;     /* The words. */
    const char *summary;   /* What it does. */
    ctl_command_func *run; /* Does it. */
};

static ctl_command_func cmd_help;

static const struct ctl_command commands[] = {
    { "attach", 0, SIZE_MAX, "NAME [WORD=VALUE]... | --from FILE",
      "give guests a port each", ctl_cmd_attach },
    { "detach", 1, SIZE_MAX, "NAME...", "take guests' ports away",
      ctl_cmd_detach },
    { "list", 0, 0, "", "list the guests, one a line", ctl_cmd_list },
    { "show", 1, 1, "NAME", "show all about one guest", ctl_cmd_show },
    { "stats", 0, 1, "[NAME] [-i SECONDS] [-n COUNT]",
      "show counters or, with -i, rates", ctl_cmd_stats },
    { "top", 0, 0, "[-i SECONDS] [-n COUNT] [--batch]",
      "show a live screen of rates", ctl_cmd_top },
    { "doctor", 0, 0, "", "find what is wrong, and how to mend it",
      ctl_cmd_doctor },
    { "watchdog", 0, 1, "[retry]", "show what doms-watchdog sees of DomS",
      ctl_cmd_watchdog },
    { "version", 0, 0, "", "show the versions", ctl_cmd_version },
    { "help", 0, 0, "", "show this text", cmd_help },
};

static enum ctl_status
cmd_help(const struct ctl_args *args OVS_UNUSED, char **why OVS_UNUSED)
{
    printf("Usage: doms-ctl [OPTION]... COMMAND [WORD]...\n"
           "Attaches guests to a switch, and shows how they fare.\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        printf("  %-8s%-38s %s\n", commands[i].name, commands[i].usage,
               commands[i].summary);
    }
    printf("\nWords of 'attach': bridge=BR mac=MAC mtu=BYTES queues=N "
           "arena=BYTES tag=VLAN\n"
           "  trunks=VLANS rate=BITS/S iface-id=ID\n\n"
           "  --rundir DIR    the switch's run directory (default: "
           "$OVS_RUNDIR,\n"
           "                  else " DEFAULT_RUNDIR ")\n"
           "  --db SERVER     its database (default: unix:DIR/db.sock)\n"
           "  --xen, --local  work as in a Xen host's Dom0, or on a switch on "
           "this\n"
           "                  machine (default: what the machine is)\n"
           "  --config-dir DIR\n"
           "                  Dom0's configuration (default: "
           "$DOMS_CONFIG_DIR,\n"
           "                  else " XEN_CONFIG_DIR ")\n"
           "  --timeout S     the longest wait for an answer (default: %d)\n"
           "  --no-wait       do not wait until domsd has applied a change\n"
           "  --json          print JSON\n"
           "  --names         'list' only the names\n"
           "  --from FILE     'attach' a guest a line of FILE\n"
           "  -i, --interval S, -n, --count N, --batch\n"
           "                  see 'stats' and 'top'\n"
           "  -h, --help      this text\n"
           "  -V, --version   the version\n",
           DEFAULT_TIMEOUT_S);
    return CTL_OK;
}

/* The command line. */

static void misuse(const char *format, ...)
    OVS_PRINTF_FORMAT(1, 2) OVS_NO_RETURN;

/* Tells of a mistake in the command line, and ends. */
static void
misuse(const char *format, ...)
{
    va_list args;

    fputs("doms-ctl: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; see 'doms-ctl --help'\n", stderr);
    exit(CTL_REFUSED);
}

static unsigned int
parse_number_option(const char *option, const char *value, unsigned int max)
{
    unsigned int number;

    if (port_request_parse_uint(value, 1, max, &number)) {
        misuse("%s: '%s' is not a number from 1 to %u", option, value, max);
    }
    return number;
}

enum {
    OPT_RUNDIR = UCHAR_MAX + 1,
    OPT_DB,
    OPT_XEN,
    OPT_LOCAL,
    OPT_CONFIG_DIR,
    OPT_TIMEOUT,
    OPT_NO_WAIT,
    OPT_JSON,
    OPT_NAMES,
    OPT_FROM,
    OPT_BATCH
};
static const struct option long_options[] = {
    { "rundir", required_argument, NULL, OPT_RUNDIR },
    { "db", required_argument, NULL, OPT_DB },
    { "xen", no_argument, NULL, OPT_XEN },
    { "local", no_argument, NULL, OPT_LOCAL },
    { "config-dir", required_argument, NULL, OPT_CONFIG_DIR },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    { "no-wait", no_argument, NULL, OPT_NO_WAIT },
    { "json", no_argument, NULL, OPT_JSON },
    { "names", no_argument, NULL, OPT_NAMES },
    { "from", required_argument, NULL, OPT_FROM },
    { "interval", required_argument, NULL, 'i' },
    { "count", required_argument, NULL, 'n' },
    { "batch", no_argument, NULL, OPT_BATCH },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

/* Takes option 'c' into 'options' if it is one that all operations obey.
 * Returns false if not. */
static bool
take_common_option(struct ctl_options *options, int c)
{
    switch (c) {
    case OPT_RUNDIR:
        options->rundir = optarg;
        return true;
    case OPT_DB:
        options->db = optarg;
        return true;
    case OPT_CONFIG_DIR:
        options->config_dir = optarg;
        return true;
    case OPT_TIMEOUT:
        options->timeout_ms = 1000
                              * parse_number_option("--timeout", optarg,
                                                    86400);
        return true;
    case OPT_NO_WAIT:
        options->wait = false;
        return true;
    default:
        return false;
    }
}

/* Takes option 'c', of which getopt_long() found out, into 'args'. */
static void
take_option(struct ctl_args *args, int c)
{
    if (take_common_option(&args->options, c)) {
        return;
    }
    switch (c) {
    case OPT_XEN:
        args->class = &ctl_xen_class;
        break;
    case OPT_LOCAL:
        args->class = &ctl_local_class;
        break;
    case OPT_JSON:
        args->json = true;
        break;
    case OPT_NAMES:
        args->names_only = true;
        break;
    case OPT_FROM:
        args->from = optarg;
        break;
    case 'i':
        args->interval_s = parse_number_option("--interval", optarg, 86400);
        args->has_interval = true;
        break;
    case 'n':
        args->count = parse_number_option("--count", optarg, INT_MAX);
        break;
    case OPT_BATCH:
        args->batch = true;
        break;
    case 'h':
        cmd_help(args, NULL);
        exit(CTL_OK);
    case 'V':
        printf("doms-ctl %s\n", DOMS_PACKAGE_VERSION);
        exit(CTL_OK);
    default:
        /* getopt_long() has said why. */
        exit(CTL_REFUSED);
    }
}

static const struct ctl_command *
find_command(const char *name)
{
    const char *names[ARRAY_SIZE(commands)];
    const char *nearest;

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!strcmp(commands[i].name, name)) {
            return &commands[i];
        }
        names[i] = commands[i].name;
    }
    nearest = port_request_nearest(name, names, ARRAY_SIZE(names));
    misuse("'%s' is not a command%s%s%s", name,
           nearest ? " (did you mean '" : "", nearest ? nearest : "",
           nearest ? "'?)" : "");
}

/* Parses the command line into 'args'.  Returns the command. */
static const struct ctl_command *
parse_args(int argc, char *argv[], struct ctl_args *args)
{
    const struct ctl_command *command;
    int c;

    while ((c = getopt_long(argc, argv, "i:n:hV", long_options, NULL)) != -1) {
        take_option(args, c);
    }
    if (optind >= argc) {
        misuse("a command is missing");
    }
    command = find_command(argv[optind++]);
    args->command = command->name;
    args->words = &argv[optind];
    args->n_words = argc - optind;
    if (args->n_words < command->min_words
        || args->n_words > command->max_words) {
        misuse("usage: doms-ctl %s %s", command->name, command->usage);
    }
    if (!args->class) {
        args->class = xen_is_dom0() ? &ctl_xen_class : &ctl_local_class;
    }
    return command;
}

int
main(int argc, char *argv[])
{
    const char *rundir = getenv("OVS_RUNDIR");
    struct ctl_args args = {
        .options = { .rundir = rundir && *rundir ? rundir : DEFAULT_RUNDIR,
                     .config_dir = xen_config_dir(),
                     .timeout_ms = DEFAULT_TIMEOUT_S * 1000,
                     .wait = true },
        .interval_s = DEFAULT_INTERVAL_S,
    };
    const struct ctl_command *command;
    enum ctl_status status;
    char *db = NULL, *why = NULL;

    set_program_name(argv[0]);
    /* What goes wrong is told once, and in doms-ctl's own words. */
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    fatal_ignore_sigpipe();
    command = parse_args(argc, argv, &args);
    if (!args.options.db) {
        args.options.db = db = xasprintf("unix:%s/db.sock",
                                         args.options.rundir);
    }
    status = command->run(&args, &why);
    if (why) {
        fprintf(stderr, "doms-ctl: %s\n", why);
    }
    free(why);
    free(db);
    if (fflush(stdout) || ferror(stdout)) {
        return CTL_FAILED;
    }
    return status;
}
