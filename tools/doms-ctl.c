/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-ctl: attaches guests to a switch, and shows how they fare.  See
 * doms-ctl(8).
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ctl-backend.h"
#include "ctl-doctor.h"
#include "ctl-output.h"
#include "config/port-request.h"
#include "ctl-watch.h"
#include "ctl-watchdog.h"
#include "ctl-xen.h"
#include "fatal-signal.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "random.h"
#include "svec.h"
#include "util.h"
#include "xen-files.h"
#include "xen-store.h"

#define DEFAULT_RUNDIR "/var/run/openvswitch"
#define DEFAULT_TIMEOUT_S 10
#define DEFAULT_INTERVAL_S 1

/* The command line. */
struct ctl_args {
    struct ctl_options options;        /* For the backend. */
    const struct ctl_command *command; /* The command. */
    char **words;                      /* What follows the command. */
    size_t n_words;                    /* Number of 'words'. */
    const char *from;                  /* --from, or NULL. */
    bool json;                         /* --json? */
    bool names_only;                   /* --names? */
    bool batch;                        /* --batch? */
    bool has_interval;                 /* Was -i given? */
    unsigned int interval_s;           /* -i. */
    unsigned int count;                /* -n, or 0. */
};

struct ctl_command {
    const char *name;    /* The command. */
    size_t min_words;    /* Words that must follow. */
    size_t max_words;    /* Words that may follow. */
    const char *usage;   /* The words. */
    const char *summary; /* What it does. */
    /* Does it. */
    enum ctl_status (*run)(const struct ctl_args *, char **why);
};

static enum ctl_status cmd_attach(const struct ctl_args *, char **why);
static enum ctl_status cmd_detach(const struct ctl_args *, char **why);
static enum ctl_status cmd_list(const struct ctl_args *, char **why);
static enum ctl_status cmd_show(const struct ctl_args *, char **why);
static enum ctl_status cmd_stats(const struct ctl_args *, char **why);
static enum ctl_status cmd_top(const struct ctl_args *, char **why);
static enum ctl_status cmd_doctor(const struct ctl_args *, char **why);
static enum ctl_status cmd_watchdog(const struct ctl_args *, char **why);
static enum ctl_status cmd_version(const struct ctl_args *, char **why);
static enum ctl_status cmd_help(const struct ctl_args *, char **why);

static const struct ctl_command commands[] = {
    { "attach", 0, SIZE_MAX, "NAME [WORD=VALUE]... | --from FILE",
      "give guests a port each", cmd_attach },
    { "detach", 1, SIZE_MAX, "NAME...", "take guests' ports away",
      cmd_detach },
    { "list", 0, 0, "", "list the guests, one a line", cmd_list },
    { "show", 1, 1, "NAME", "show all about one guest", cmd_show },
    { "stats", 0, 1, "[NAME] [-i SECONDS] [-n COUNT]",
      "show counters or, with -i, rates", cmd_stats },
    { "top", 0, 0, "[-i SECONDS] [-n COUNT] [--batch]",
      "show a live screen of rates", cmd_top },
    { "doctor", 0, 0, "", "find what is wrong, and how to mend it",
      cmd_doctor },
    { "watchdog", 0, 1, "[retry]", "show what doms-watchdog sees of DomS",
      cmd_watchdog },
    { "version", 0, 0, "", "show the versions", cmd_version },
    { "help", 0, 0, "", "show this text", cmd_help },
};

/* Where doms-ctl is to work. */
static enum { PLACE_FIND, PLACE_LOCAL, PLACE_XEN } place = PLACE_FIND;

/* The backend that this place calls for. */
static const struct ctl_backend_class *
backend_class(void)
{
    if (place == PLACE_FIND) {
        place = xen_is_dom0() ? PLACE_XEN : PLACE_LOCAL;
    }
    return place == PLACE_XEN ? &ctl_xen_class : &ctl_local_class;
}

/* Prints and frees 'notes', which would be in the way of what is printed for
 * programs. */
static void
print_notes(struct svec *notes)
{
    const char *note;
    size_t i;

    SVEC_FOR_EACH (i, note, notes) {
        fprintf(stderr, "doms-ctl: %s\n", note);
    }
    svec_destroy(notes);
}

/* Commands that change something. */

/* Turns the words or the file that 'args' name into 'requests'. */
static enum ctl_status
parse_requests(const struct ctl_args *args, struct port_request **requests,
               size_t *n, char **why)
{
    char problem[PORT_REQUEST_WHY_SIZE];
    FILE *stream;
    int error;

    *n = 0;
    *requests = NULL;
    if (!args->from) {
        *requests = xmalloc(sizeof **requests);
        *n = 1;
        if (args->n_words > INT_MAX
            || port_request_parse(*requests, args->n_words, args->words,
                                  problem, sizeof problem)) {
            *why = xasprintf("attach%s%s: %s", args->n_words ? " " : "",
                             args->n_words ? args->words[0] : "", problem);
            return CTL_REFUSED;
        }
        return CTL_OK;
    }
    if (args->n_words) {
        *why = xasprintf("attach: '%s' beside --from; put it into the file",
                         args->words[0]);
        return CTL_REFUSED;
    }
    stream = strcmp(args->from, "-") ? fopen(args->from, "r") : stdin;
    if (!stream) {
        *why = xasprintf("attach: cannot open %s: %s", args->from,
                         ovs_strerror(errno));
        return CTL_REFUSED;
    }
    error = port_request_parse_file(stream, args->from, requests, n, problem,
                                    sizeof problem);
    if (stream != stdin) {
        fclose(stream);
    }
    if (error) {
        *why = xstrdup(problem);
        return CTL_REFUSED;
    }
    return CTL_OK;
}

static void
print_attached(const struct ctl_args *args,
               const struct port_request *requests, size_t n)
{
    struct json *array = json_array_create_empty();

    for (size_t i = 0; i < n; i++) {
        const struct port_request *r = &requests[i];

        if (args->json) {
            struct json *object = json_object_create();

            json_object_put_string(object, "name", r->name);
            json_object_put_string(object, "bridge", r->bridge);
            json_object_put_format(object, "mac", ETH_ADDR_FMT,
                                   ETH_ADDR_BYTES_ARGS(r->mac));
            json_array_add(array, object);
        } else {
            printf("%s: attached%s%s, mac " ETH_ADDR_FMT "\n", r->name,
                   r->bridge[0] ? " to bridge " : "", r->bridge,
                   ETH_ADDR_BYTES_ARGS(r->mac));
        }
    }
    if (args->json) {
        ctl_print_json(array, JSSF_PRETTY);
    } else {
        json_destroy(array);
    }
}

static enum ctl_status
cmd_attach(const struct ctl_args *args, char **why)
{
    const struct ctl_backend_class *class = backend_class();
    struct svec notes = SVEC_EMPTY_INITIALIZER;
    struct port_request *requests = NULL;
    struct ctl_backend *backend;
    enum ctl_status status;
    size_t n;

    status = parse_requests(args, &requests, &n, why);
    if (!status && n) {
        status = class->open(&args->options, &backend, why);
        if (!status) {
            status = class->attach(backend, requests, n, args->from, &notes,
                                   why);
            class->close(backend);
        }
    }
    if (!status) {
        print_attached(args, requests, n);
    }
    print_notes(&notes);
    free(requests);
    return status;
}

static enum ctl_status
cmd_detach(const struct ctl_args *args, char **why)
{
    const struct ctl_backend_class *class = backend_class();
    struct svec notes = SVEC_EMPTY_INITIALIZER;
    struct ctl_backend *backend;
    enum ctl_status status = class->open(&args->options, &backend, why);

    if (!status) {
        status = class->detach(backend, args->words, args->n_words, &notes,
                               why);
        class->close(backend);
    }
    print_notes(&notes);
    if (!status && args->json) {
        struct json *array = json_array_create_empty();

        for (size_t i = 0; i < args->n_words; i++) {
            json_array_add(array, json_string_create(args->words[i]));
        }
        ctl_print_json(array, JSSF_PRETTY);
    }
    return status;
}

/* Commands that show something. */

static enum ctl_status
take_snapshot(const struct ctl_args *args, struct ctl_snapshot *snapshot,
              char **why)
{
    const struct ctl_backend_class *class = backend_class();
    struct ctl_backend *backend;
    enum ctl_status status = class->open(&args->options, &backend, why);

    if (!status) {
        status = class->snapshot(backend, snapshot, why);
        class->close(backend);
    }
    return status;
}

/* Finds the guest that the first word of 'args' names. */
static enum ctl_status
find_guest(const struct ctl_args *args, const struct ctl_snapshot *snapshot,
           const struct ctl_guest **guest, char **why)
{
    const char **names = xcalloc(snapshot->n + 1, sizeof *names);
    const char *nearest;

    *guest = ctl_snapshot_find(snapshot, args->words[0]);
    if (!*guest) {
        for (size_t i = 0; i < snapshot->n; i++) {
            names[i] = snapshot->guests[i].name;
        }
        nearest = port_request_nearest(args->words[0], names, snapshot->n);
        *why = xasprintf("%s %s: no such guest; %s%s%s'doms-ctl list' lists "
                         "the guests",
                         args->command->name, args->words[0],
                         nearest ? "did you mean " : "",
                         nearest ? nearest : "", nearest ? "?  " : "");
    }
    free(names);
    return *guest ? CTL_OK : CTL_REFUSED;
}

static void
print_and_free(struct ds *s)
{
    fputs(ds_cstr(s), stdout);
    ds_destroy(s);
}

/* Prints the guests of 'snapshot' as JSON. */
static void
print_guests_json(const struct ctl_snapshot *snapshot)
{
    struct json *array = json_array_create_empty();

    for (size_t i = 0; i < snapshot->n; i++) {
        json_array_add(array, ctl_guest_to_json(&snapshot->guests[i]));
    }
    ctl_print_json(array, JSSF_PRETTY);
}

static enum ctl_status
cmd_list(const struct ctl_args *args, char **why)
{
    struct ctl_snapshot snapshot;
    struct ds s = DS_EMPTY_INITIALIZER;
    enum ctl_status status = take_snapshot(args, &snapshot, why);

    if (status) {
        return status;
    }
    if (args->json) {
        print_guests_json(&snapshot);
    } else if (args->names_only) {
        for (size_t i = 0; i < snapshot.n; i++) {
            ds_put_format(&s, "%s\n", snapshot.guests[i].name);
        }
    } else {
        ctl_format_list(&snapshot, &s);
    }
    print_and_free(&s);
    ctl_snapshot_destroy(&snapshot);
    return CTL_OK;
}

static enum ctl_status
cmd_show(const struct ctl_args *args, char **why)
{
    struct ctl_snapshot snapshot;
    const struct ctl_guest *guest;
    struct ds s = DS_EMPTY_INITIALIZER;
    enum ctl_status status = take_snapshot(args, &snapshot, why);

    if (status) {
        return status;
    }
    status = find_guest(args, &snapshot, &guest, why);
    if (!status && args->json) {
        ctl_print_json(ctl_guest_to_json(guest), JSSF_PRETTY);
    } else if (!status) {
        ctl_format_guest(guest, &s);
        if (guest->xen) {
            ds_put_format(&s, "%-12s", "watchdog");
            ctl_watchdog_append(&args->options, &s);
            ds_put_char(&s, '\n');
        }
    }
    print_and_free(&s);
    ctl_snapshot_destroy(&snapshot);
    return status;
}

/* Prints what the guests have counted so far. */
static enum ctl_status
print_totals(const struct ctl_args *args, char **why)
{
    struct ctl_snapshot snapshot;
    const struct ctl_guest *guest = NULL;
    struct ds s = DS_EMPTY_INITIALIZER;
    enum ctl_status status = take_snapshot(args, &snapshot, why);

    if (status) {
        return status;
    }
    if (args->n_words) {
        status = find_guest(args, &snapshot, &guest, why);
    }
    if (!status && snapshot.domsd_problem) {
        *why = xstrdup(snapshot.domsd_problem);
        status = CTL_UNREACHABLE;
    }
    if (!status && args->json) {
        if (guest) {
            ctl_print_json(ctl_guest_to_json(guest), JSSF_PRETTY);
        } else {
            print_guests_json(&snapshot);
        }
    } else if (!status && guest) {
        ctl_format_counters(guest, &s);
    } else if (!status) {
        ctl_format_totals(&snapshot, &s);
    }
    print_and_free(&s);
    ctl_snapshot_destroy(&snapshot);
    return status;
}

typedef enum ctl_status watch_func(struct ctl_backend *,
                                   const struct ctl_watch *, char **why);

static enum ctl_status
watch_rates(const struct ctl_args *args, watch_func *func, char **why)
{
    const struct ctl_backend_class *class = backend_class();
    struct ctl_watch watch = {
        .guest = args->n_words ? args->words[0] : NULL,
        .interval_ms = args->interval_s * 1000,
        .count = args->count,
        .json = args->json,
        .batch = args->batch,
    };
    struct ctl_backend *backend;
    enum ctl_status status = class->open(&args->options, &backend, why);

    if (!status) {
        status = func(backend, &watch, why);
        class->close(backend);
    }
    return status;
}

static enum ctl_status
cmd_stats(const struct ctl_args *args, char **why)
{
    return args->has_interval || args->count
               ? watch_rates(args, ctl_watch_stats, why)
               : print_totals(args, why);
}

static enum ctl_status
cmd_top(const struct ctl_args *args, char **why)
{
    return watch_rates(args, ctl_watch_top, why);
}

static enum ctl_status
cmd_doctor(const struct ctl_args *args, char **why OVS_UNUSED)
{
    struct ctl_report report = { .n = 0 };
    enum ctl_grade worst;

    if (backend_class() == &ctl_xen_class) {
        ctl_check_xen(&args->options, &report);
    } else {
        ctl_check_machine(&args->options, &report);
        ctl_check_switch(&args->options, &report);
    }
    ctl_report_print(&report, args->json);
    worst = ctl_report_worst(&report);
    ctl_report_destroy(&report);
    return worst == CTL_BROKEN ? CTL_FAILED : CTL_OK;
}

static enum ctl_status
cmd_watchdog(const struct ctl_args *args, char **why)
{
    if (!args->n_words) {
        return ctl_watchdog_show(&args->options, args->json, why);
    }
    if (strcmp(args->words[0], "retry")) {
        *why = xasprintf("watchdog: '%s' is no word of it; 'doms-ctl "
                         "watchdog' shows its state, 'doms-ctl watchdog "
                         "retry' starts DomS once more",
                         args->words[0]);
        return CTL_REFUSED;
    }
    return ctl_watchdog_retry(&args->options, why);
}

/* Asks the switch for its version. */
static enum ctl_status
class_version(const struct ctl_args *args, char **reply, char **problem)
{
    return backend_class() == &ctl_xen_class
               ? ctl_xen_version(&args->options, reply, problem)
               : ctl_domsd_call(&args->options, "version", reply, problem);
}

static enum ctl_status
cmd_version(const struct ctl_args *args, char **why OVS_UNUSED)
{
    char *reply, *problem = NULL;
    bool up = !class_version(args, &reply, &problem);

    if (up) {
        reply[strcspn(reply, "\n")] = '\0';
    }
    if (args->json) {
        struct json *object = json_object_create();

        json_object_put_string(object, "doms-ctl", DOMS_PACKAGE_VERSION);
        json_object_put(object, "domsd",
                        up ? json_string_create(reply) : json_null_create());
        ctl_print_json(object, JSSF_PRETTY);
    } else {
        printf("doms-ctl %s\n", DOMS_PACKAGE_VERSION);
        printf("%s\n", up                   ? reply
                       : place == PLACE_XEN ? problem
                                            : "domsd does not answer");
    }
    free(reply);
    free(problem);
    return CTL_OK;
}

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

/* Parses the options in 'argv' into 'args'. */
static void
parse_options(int argc, char *argv[], struct ctl_args *args)
{
    for (;;) {
        switch (getopt_long(argc, argv, "i:n:hV", long_options, NULL)) {
        case OPT_RUNDIR:
            args->options.rundir = optarg;
            break;
        case OPT_DB:
            args->options.db = optarg;
            break;
        case OPT_XEN:
            place = PLACE_XEN;
            break;
        case OPT_LOCAL:
            place = PLACE_LOCAL;
            break;
        case OPT_CONFIG_DIR:
            args->options.config_dir = optarg;
            break;
        case OPT_TIMEOUT:
            args->options.timeout_ms = 1000
                                       * parse_number_option("--timeout",
                                                             optarg, 86400);
            break;
        case OPT_NO_WAIT:
            args->options.wait = false;
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
            args->interval_s = parse_number_option("--interval", optarg,
                                                   86400);
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
        case -1:
            return;
        default:
            /* getopt_long() has said why. */
            exit(CTL_REFUSED);
        }
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
    enum ctl_status status;
    char *db = NULL, *why = NULL;

    set_program_name(argv[0]);
    /* What goes wrong is told once, and in doms-ctl's own words. */
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    fatal_ignore_sigpipe();
    parse_options(argc, argv, &args);
    if (optind >= argc) {
        misuse("a command is missing");
    }
    args.command = find_command(argv[optind++]);
    args.words = &argv[optind];
    args.n_words = argc - optind;
    if (args.n_words < args.command->min_words
        || args.n_words > args.command->max_words) {
        misuse("usage: doms-ctl %s %s", args.command->name,
               args.command->usage);
    }
    if (!args.options.db) {
        args.options.db = db = xasprintf("unix:%s/db.sock",
                                         args.options.rundir);
    }
    status = args.command->run(&args, &why);
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
