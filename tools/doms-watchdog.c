/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-watchdog: keeps the domain DomS running, and gives every guest that
 * boots the ports that /etc/doms/ports describes.  See doms-watchdog(8).
 *
 * The main loop looks: xenstore says which domains come and go, the hypervisor
 * how DomS is, a page that DomS shares whether its switch turns, and inotify
 * whether the files have changed.  doms-watchdog-judge.h decides; xl destroys
 * and creates; xen-ports.h writes xenstore.  Nothing in the loop waits.
 */
#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command-line.h"
#include "daemon.h"
#include "dirs.h"
#include "doms-watchdog-heart.h"
#include "doms-watchdog-judge.h"
#include "doms-watchdog-xl.h"
#include "fatal-signal.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "svec.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"
#include "xen-dom.h"
#include "xen-ports.h"
#include "xen-store.h"

VLOG_DEFINE_THIS_MODULE(doms_watchdog);

/* How often to look at DomS while there is one. */
#define LOOK_MS 250
/* While it dies. */
#define DYING_LOOK_MS 20
/* How often to look at a pair that is being closed. */
#define CLOSE_LOOK_MS 50
/* The pause after a pass that failed, or that came of a domain's coming or
 * going: xenstore tells of the latter before xl has cleaned up. */
#define RETRY_MS 1000
/* How often to look at everything, whether or not something has changed; and
 * how many times as long as that takes, at least. */
#define PASS_MS 10000
#define PASS_FACTOR 50
/* The least time between two mappings of the page of heartbeats. */
#define HEART_MS 200

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(6, 3);

/* All of it. */
struct watchdog {
    const char *dir;        /* The configuration folder. */
    struct xen_conf conf;   /* doms.conf. */
    struct xs_handle *xs;   /* xenstore. */
    struct xen_dom *dom;    /* The hypervisor. */
    struct watch watch;     /* The judge. */
    struct heart heart;     /* The page of heartbeats. */
    struct xl xl;           /* The command that runs. */
    int inotify;            /* Tells of changes of the files. */
    struct xen_ports ports; /* What is to be in xenstore. */

    /* DomS. */
    unsigned int domid;     /* By name, or the last one while it dies. */
    bool find_domid;        /* May it have changed? */
    unsigned int watched;   /* The domain whose data is watched, or 0. */
    bool find_heart;        /* May its page have changed? */
    long long int heart_at; /* Not to be looked at before. */
    enum xen_dom_life life; /* How it was when last looked at. */

    /* The ports. */
    bool ports_changed;      /* Is there something to do? */
    bool domains_changed;    /* ... since a domain has come or gone? */
    long long int next_pass; /* When to do it, at the latest. */
    size_t n_ports;          /* Described. */
    size_t n_running;        /* Those whose guests run. */
    struct svec problems;    /* Of the last pass. */

    bool exiting; /* Has it been told to end? */
};

/* doms.conf. */

static void
read_conf(struct watchdog *wd)
{
    char domain[XEN_CONF_TEXT];
    struct xen_conf conf;
    char *why = NULL;

    if (xen_conf_read(&conf, wd->dir, &why)) {
        VLOG_ERR("%s; what was in force stays so", why);
        free(why);
        return;
    }
    ovs_strlcpy(domain, wd->conf.domain, sizeof domain);
    wd->conf = conf;
    if (domain[0] && strcmp(domain, conf.domain)) {
        VLOG_WARN("domain: a change takes effect when doms-watchdog is "
                  "started anew");
        ovs_strlcpy(wd->conf.domain, domain, sizeof wd->conf.domain);
    }
}

static void
open_inotify(struct watchdog *wd)
{
    char *folder = xasprintf("%s/ports", wd->dir);
    const uint32_t events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM
                            | IN_DELETE;

    mkdir(wd->dir, 0755);
    mkdir(folder, 0755);
    wd->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (wd->inotify < 0 || inotify_add_watch(wd->inotify, folder, events) < 0
        || inotify_add_watch(wd->inotify, wd->dir, events) < 0) {
        VLOG_WARN("%s cannot be watched: %s; a change is noticed within %d s",
                  folder, ovs_strerror(errno), PASS_MS / 1000);
    }
    free(folder);
}

static void
run_inotify(struct watchdog *wd)
{
    char buffer[4096]
        __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    while (wd->inotify >= 0
           && (n = read(wd->inotify, buffer, sizeof buffer)) > 0) {
        for (char *p = buffer; p < buffer + n;) {
            struct inotify_event *event = ALIGNED_CAST(struct inotify_event *,
                                                       p);

            wd->ports_changed = true;
            if (event->len && !strcmp(event->name, "doms.conf")) {
                read_conf(wd);
            }
            p += sizeof *event + event->len;
        }
    }
}

/* Looking. */

/* Takes note of what xenstore tells. */
static void
run_xenstore(struct watchdog *wd)
{
    char **event;

    while ((event = xs_check_watch(wd->xs))) {
        if (!strcmp(event[XS_WATCH_TOKEN], "domains")) {
            wd->find_domid = wd->ports_changed = wd->domains_changed = true;
        } else {
            const char *name = strrchr(event[XS_WATCH_PATH], '/');

            /* The first event of a watch names what is watched. */
            if (name
                && (!strcmp(name, "/heartbeat") || !strcmp(name, "/doms"))) {
                wd->find_heart = true;
            }
        }
        free(event);
    }
}

/* Watches the data of DomS, the domain 'domid', and no other's. */
static void
watch_data(struct watchdog *wd, unsigned int domid)
{
    char path[64];

    if (wd->watched == domid) {
        return;
    }
    if (wd->watched) {
        snprintf(path, sizeof path, "/local/domain/%u/data/doms", wd->watched);
        xs_unwatch(wd->xs, path, "data");
    }
    wd->watched = domid;
    if (domid) {
        snprintf(path, sizeof path, "/local/domain/%u/data/doms", domid);
        xs_watch(wd->xs, path, "data");
        wd->find_heart = true;
    }
}

/* Finds out which domain DomS is, and how it is. */
static void
look_at_domain(struct watchdog *wd)
{
    if (wd->find_domid) {
        struct xen_domains domains;

        if (!xen_domains_read(wd->xs, &domains)) {
            unsigned int domid = xen_domains_find(&domains, wd->conf.domain);

            wd->find_domid = false;
            if (domid
                || (wd->domid
                    && xen_dom_life(wd->dom, wd->domid) == XEN_DOM_GONE)) {
                wd->domid = domid;
            }
            xen_domains_destroy(&domains);
        }
    }
    wd->life = wd->domid ? xen_dom_life(wd->dom, wd->domid) : XEN_DOM_GONE;
    if (wd->life == XEN_DOM_GONE) {
        wd->domid = 0;
    }
    if (wd->life != XEN_DOM_LIVES) {
        heart_close(&wd->heart);
    }
    watch_data(wd, wd->life == XEN_DOM_LIVES ? wd->domid : 0);
}

/* Maps the page of heartbeats that DomS names, if it may have changed. */
static void
look_at_heart(struct watchdog *wd, struct watch_sight *sight)
{
    if (wd->life != XEN_DOM_LIVES) {
        return;
    }
    if (wd->find_heart && time_msec() >= wd->heart_at) {
        int error = heart_open(&wd->heart, wd->xs, wd->domid);

        /* One that cannot be mapped may just have been replaced. */
        wd->find_heart = error && error != ENOENT;
        wd->heart_at = time_msec() + (wd->find_heart ? RETRY_MS : HEART_MS);
        if (wd->find_heart) {
            VLOG_WARN_RL(&rl,
                         "domain %u: its heartbeat cannot be mapped: %s; see "
                         "'doms-ctl doctor'",
                         wd->domid, ovs_strerror(error));
        }
    }
    if (heart_read(&wd->heart, &sight->beat)) {
        sight->page = wd->heart.number;
    }
}

/* Doing. */

static void
log_lines(const struct svec *lines, enum vlog_level level)
{
    const char *line;
    size_t i;

    SVEC_FOR_EACH (i, line, lines) {
        VLOG(level, "%s", line);
    }
}

/* Does what the judge says. */
static void
act(struct watchdog *wd, enum watch_action action)
{
    char domid[16];
    /* -e: xl leaves no process that would restart DomS beside us. */
    const char *create[] = { NULL, "create", "-e", wd->conf.config, NULL };
    const char *destroy[] = { NULL, "destroy", domid, NULL };
    int error;

    if (action == WATCH_NOTHING) {
        return;
    }
    /* Of a domain that is to go, nothing must stay mapped. */
    heart_close(&wd->heart);
    snprintf(domid, sizeof domid, "%u", wd->watch.domid);
    error = xl_start(&wd->xl, wd->conf.xl,
                     action == WATCH_CREATE ? create : destroy);
    if (error) {
        VLOG_ERR("xl cannot be started: %s; name it with xl= in "
                 "%s/doms.conf",
                 ovs_strerror(error), wd->dir);
    }
    poll_immediate_wake();
}

/* Looks at DomS, and does what there is to do. */
static void
run_doms(struct watchdog *wd)
{
    struct svec log = SVEC_EMPTY_INITIALIZER;
    struct watch_sight sight;

    if (xl_run(&wd->xl)) {
        wd->find_domid = true;
        if (wd->xl.failed) {
            VLOG_WARN("xl %s: %s",
                      wd->xl.killed ? "took too long" : "has failed",
                      wd->xl.length ? wd->xl.output : "it says nothing");
        }
    }
    look_at_domain(wd);
    sight = (struct watch_sight){
        .can_create = !access(wd->conf.config, R_OK),
        .busy = xl_is_busy(&wd->xl),
        .failed = wd->xl.failed,
        .domid = wd->domid,
        .life = wd->life,
    };
    look_at_heart(wd, &sight);
    act(wd, watch_run(&wd->watch, &sight, time_msec(), &log));
    log_lines(&log, wd->watch.failing ? VLL_WARN : VLL_INFO);
    svec_destroy(&log);
}

/* Brings xenstore to where the files want it, if something has changed. */
static void
run_ports(struct watchdog *wd)
{
    long long int start = time_msec();
    long long int duration;
    struct xen_pass pass;
    int error;

    if (!wd->ports_changed && start < wd->next_pass) {
        return;
    }
    wd->ports_changed = false;
    error = xen_ports_run(&wd->ports, &pass);
    duration = time_msec() - start;
    wd->next_pass = start + duration
                    + (pass.pending ? CLOSE_LOOK_MS
                       : error || wd->domains_changed
                           ? RETRY_MS
                           : MAX(PASS_MS, PASS_FACTOR * duration));
    wd->domains_changed = false;
    if (error) {
        VLOG_WARN("xenstore or %s/ports cannot be read: %s", wd->dir,
                  ovs_strerror(error));
    } else {
        wd->n_ports = pass.n_ports;
        wd->n_running = pass.n_running;
    }
    log_lines(&pass.done, VLL_INFO);
    svec_sort(&pass.problems);
    if (!svec_equal(&pass.problems, &wd->problems)) {
        log_lines(&pass.problems, VLL_WARN);
        svec_destroy(&wd->problems);
        svec_clone(&wd->problems, &pass.problems);
    }
    if (pass.done.n) {
        VLOG_INFO("ports: %" PRIuSIZE " described, %" PRIuSIZE
                  " of running guests; that took %lld ms",
                  pass.n_ports, pass.n_running, duration);
    }
    xen_pass_destroy(&pass);
}

static void
wait_for_something(struct watchdog *wd)
{
    poll_fd_wait(xs_fileno(wd->xs), POLLIN);
    if (wd->inotify >= 0) {
        poll_fd_wait(wd->inotify, POLLIN);
    }
    xl_wait(&wd->xl);
    if (wd->life == XEN_DOM_LIVES) {
        poll_timer_wait(LOOK_MS);
    } else if (wd->life != XEN_DOM_GONE) {
        poll_timer_wait(DYING_LOOK_MS);
    }
    if (watch_next(&wd->watch) != LLONG_MAX) {
        poll_timer_wait_until(watch_next(&wd->watch));
    }
    poll_timer_wait_until(wd->next_pass);
}

/* Its control socket. */

static struct json *
strings_to_json(const struct svec *strings)
{
    struct json *array = json_array_create_empty();
    const char *string;
    size_t i;

    SVEC_FOR_EACH (i, string, strings) {
        json_array_add(array, json_string_create(string));
    }
    return array;
}

static void
cmd_status(struct unixctl_conn *conn, int argc OVS_UNUSED,
           const char *argv[] OVS_UNUSED, void *wd_)
{
    const struct watchdog *wd = wd_;
    const struct watch *w = &wd->watch;
    struct json *status = json_object_create();
    long long int now = time_msec();
    char *text;

#define PUT(NAME, VALUE)                                                      \
    json_object_put(status, NAME, json_integer_create(VALUE))
    json_object_put_string(status, "state", watch_state_name(w->state));
    json_object_put_string(status, "reason",
                           w->failing || w->n_restarts ? w->reason : "");
    json_object_put_string(status, "domain", wd->conf.domain);
    PUT("domid", wd->domid);
    json_object_put(status, "heartbeat",
                    json_boolean_create(wd->heart.page != NULL));
    PUT("beat_age_ms", w->state == WATCH_UP ? now - w->beat_at : -1);
    PUT("up_ms", w->up_since ? now - w->up_since : 0);
    PUT("restarts", w->n_restarts);
    PUT("recent_restarts", watch_recent(w, now));
    PUT("restart_limit", wd->conf.restart_limit);
    PUT("next_start_ms",
        w->state == WATCH_PAUSE ? MAX(0, w->next_start - now) : -1);
    PUT("last_outage_ms", w->last_outage);
    PUT("ports", wd->n_ports);
    PUT("running_guests", wd->n_running);
#undef PUT
    json_object_put(status, "problems", strings_to_json(&wd->problems));
    text = json_to_string(status, JSSF_SORT);
    unixctl_command_reply(conn, text);
    free(text);
    json_destroy(status);
}

static void
cmd_retry(struct unixctl_conn *conn, int argc OVS_UNUSED,
          const char *argv[] OVS_UNUSED, void *wd_)
{
    struct watchdog *wd = wd_;

    VLOG_INFO("told to go on");
    watch_retry(&wd->watch);
    poll_immediate_wake();
    unixctl_command_reply(conn, "the restarts so far are forgotten");
}

static void
cmd_exit(struct unixctl_conn *conn, int argc OVS_UNUSED,
         const char *argv[] OVS_UNUSED, void *wd_)
{
    struct watchdog *wd = wd_;

    wd->exiting = true;
    unixctl_command_reply(conn, NULL);
}

/* The command line. */

static void
usage(void)
{
    printf("%s: keeps the domain DomS running, and gives guests their ports\n"
           "usage: %s [OPTION]...\n"
           "  --config-dir=DIR        its configuration (default: "
           "$DOMS_CONFIG_DIR,\n"
           "                          else " XEN_CONFIG_DIR ")\n",
           program_name, program_name);
    daemon_usage();
    vlog_usage();
    printf("\nOther options:\n"
           "  -h, --help              display this help message\n"
           "  -V, --version           display version information\n");
}

static void
parse_options(int argc, char *argv[], struct watchdog *wd)
{
    enum {
        OPT_CONFIG_DIR = UCHAR_MAX + 1,
        VLOG_OPTION_ENUMS,
        DAEMON_OPTION_ENUMS
    };
    static const struct option long_options[] = {
        { "config-dir", required_argument, NULL, OPT_CONFIG_DIR },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        VLOG_LONG_OPTIONS,
        DAEMON_LONG_OPTIONS,
        { NULL, 0, NULL, 0 },
    };
    char *short_options = ovs_cmdl_long_options_to_short_options(long_options);
    int c;

    while ((c = getopt_long(argc, argv, short_options, long_options, NULL))
           != -1) {
        switch (c) {
        case OPT_CONFIG_DIR:
            wd->dir = optarg;
            break;
        case 'h':
            usage();
            exit(EXIT_SUCCESS);
        case 'V':
            printf("doms-watchdog %s\n", DOMS_PACKAGE_VERSION);
            exit(EXIT_SUCCESS);
            VLOG_OPTION_HANDLERS
            DAEMON_OPTION_HANDLERS
        default:
            exit(EXIT_FAILURE);
        }
    }
    free(short_options);
    if (optind < argc) {
        ovs_fatal(0, "'%s' is not an option; see --help", argv[optind]);
    }
    /* daemonize() leaves this folder. */
    wd->dir = abs_file_name(NULL, wd->dir);
}

/* Opens all that is needed to look and to act; ends if it cannot. */
static void
open_all(struct watchdog *wd)
{
    char *why = NULL;

    if (xen_store_open(&wd->xs, &why)) {
        ovs_fatal(0, "%s", why);
    }
    wd->dom = xen_dom_open();
    if (!wd->dom) {
        ovs_fatal(errno, "the hypervisor cannot be asked: 'modprobe "
                         "xen-privcmd'");
    }
    if (!xs_watch(wd->xs, "@introduceDomain", "domains")
        || !xs_watch(wd->xs, "@releaseDomain", "domains")) {
        ovs_fatal(errno, "xenstore does not tell which domains come and go");
    }
    xen_ports_init(&wd->ports, wd->xs, wd->dir, wd->conf.domain);
    watch_init(&wd->watch, &wd->conf);
    heart_init(&wd->heart);
    xl_init(&wd->xl);
    svec_init(&wd->problems);
    open_inotify(wd);
    wd->find_domid = wd->ports_changed = true;
}

int
main(int argc, char *argv[])
{
    static struct watchdog wd;
    struct unixctl_server *unixctl;
    char *why = NULL;

    set_program_name(argv[0]);
    ovs_cmdl_proctitle_init(argc, argv);
    wd.dir = xen_config_dir();
    /* That a pass over many ports takes long is no news. */
    vlog_set_levels_from_string_assert("timeval:off");
    vlog_set_levels_from_string_assert("coverage:off");
    /* doms-ctl finds it by its pid file. */
    set_pidfile(NULL);
    parse_options(argc, argv, &wd);
    fatal_ignore_sigpipe();
    if (xen_conf_read(&wd.conf, wd.dir, &why)) {
        ovs_fatal(0, "%s", why);
    }
    mkdir(ovs_rundir(), 0755);

    daemonize_start(false);
    if (unixctl_server_create(NULL, &unixctl)) {
        exit(EXIT_FAILURE);
    }
    unixctl_command_register("watchdog/status", "", 0, 0, cmd_status, &wd);
    unixctl_command_register("watchdog/retry", "", 0, 0, cmd_retry, &wd);
    unixctl_command_register("exit", "", 0, 0, cmd_exit, &wd);
    open_all(&wd);
    daemonize_complete();
    VLOG_INFO("watches the domain %s; configuration in %s", wd.conf.domain,
              wd.dir);

    while (!wd.exiting) {
        run_xenstore(&wd);
        run_inotify(&wd);
        run_doms(&wd);
        run_ports(&wd);
        unixctl_server_run(unixctl);
        unixctl_server_wait(unixctl);
        if (!wd.exiting) {
            wait_for_something(&wd);
            poll_block();
        }
    }
    heart_close(&wd.heart);
    xs_close(wd.xs);
    xen_dom_close(wd.dom);
    unixctl_server_destroy(unixctl);
    return 0;
}
