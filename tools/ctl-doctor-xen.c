/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl-output.h"
#include "ctl-xen.h"
#include "openvswitch/json.h"
#include "svec.h"
#include "util.h"
#include "xen-dom.h"

/* The least number of pages that a program in Dom0 should be able to map. */
#define GNTDEV_MIN 16

/* Checks that this is Dom0 and that xenstore answers. */
static bool
check_host(const struct ctl_options *options, struct ctl_backend **backend,
           struct ctl_report *report)
{
    char *why;

    if (ctl_xen_class.open(options, backend, &why)) {
        char *remedy = strchr(why, ';');

        /* The message has its remedy after it. */
        if (remedy) {
            *remedy = '\0';
            remedy = xstrdup(remedy + 2);
        } else {
            remedy = xstrdup("mend that first");
        }
        ctl_report_add(report, CTL_BROKEN, "xen", xstrdup(why), remedy);
        free(why);
        return false;
    }
    ctl_report_add(report, CTL_FINE, "xen",
                   xstrdup("this is Dom0, and xenstore answers"), NULL);
    return true;
}

/* Checks that the hypervisor lets guests share pages with DomS. */
static void
check_policy(struct ctl_report *report)
{
    switch (xen_dom_policy()) {
    case XEN_POLICY_SILO:
        ctl_report_add(report, CTL_BROKEN, "policy",
                       xstrdup("Xen's policy SILO forbids guests to share "
                               "pages with any domain but Dom0, so with DomS"),
                       xstrdup("boot Xen with xsm=dummy, or without "
                               "xsm=silo"));
        break;
    case XEN_POLICY_FLASK:
        ctl_report_add(report, CTL_WARN, "policy",
                       xstrdup("Xen's policy FLASK decides whether guests may "
                               "share pages with DomS"),
                       xstrdup("allow grants between the guests' label and "
                               "that of DomS"));
        break;
    case XEN_POLICY_UNKNOWN:
        ctl_report_add(report, CTL_WARN, "policy",
                       xstrdup("the hypervisor cannot be asked for its "
                               "policy"),
                       xstrdup("'modprobe xen-privcmd', and see that xsm=silo "
                               "is not in 'xl info'"));
        break;
    case XEN_POLICY_OPEN:
        ctl_report_add(report, CTL_FINE, "policy",
                       xstrdup("guests may share pages with DomS"), NULL);
        break;
    }
}

/* Checks that the watchdog can map the page by which DomS tells it lives. */
static void
check_gnttab(struct ctl_report *report)
{
    static const char path[] = "/sys/module/xen_gntdev/parameters/limit";
    FILE *stream = fopen(path, "r");
    unsigned int limit = 0;

    if (access("/dev/xen/gntdev", R_OK | W_OK)) {
        ctl_report_add(report, CTL_BROKEN, "grants",
                       xasprintf("/dev/xen/gntdev cannot be used: %s; the "
                                 "watchdog cannot tell whether DomS hangs",
                                 ovs_strerror(errno)),
                       xstrdup("'modprobe xen-gntdev'"));
    } else if (stream && fscanf(stream, "%u", &limit) == 1
               && limit < GNTDEV_MIN) {
        ctl_report_add(
            report, CTL_BROKEN, "grants",
            xasprintf("a program may map only %u granted pages", limit),
            xasprintf("'echo 64 >%s'", path));
    } else {
        ctl_report_add(report, CTL_FINE, "grants",
                       xstrdup("granted pages can be mapped"), NULL);
    }
    if (stream) {
        fclose(stream);
    }
}

static void
check_config(const struct ctl_xen *x, struct ctl_report *report)
{
    struct xen_files files;

    if (access(x->conf.config, R_OK)) {
        ctl_report_add(report, CTL_WARN, "config",
                       xasprintf("%s cannot be read: %s; DomS cannot be "
                                 "started from it",
                                 x->conf.config, ovs_strerror(errno)),
                       xasprintf("put DomS's xl configuration there, or name "
                                 "it with config= in %s/doms.conf",
                                 x->options->config_dir));
    } else {
        ctl_report_add(report, CTL_FINE, "config",
                       xasprintf("DomS is started from %s", x->conf.config),
                       NULL);
    }
    if (!xen_files_read(x->options->config_dir, &files)) {
        struct shash_node *node;

        SHASH_FOR_EACH (node, &files.broken) {
            ctl_report_add(report, CTL_BROKEN, "port", xstrdup(node->data),
                           xstrdup("mend the file; until then, the port stays "
                                   "as it is"));
        }
        xen_files_destroy(&files);
    }
}

static void
check_watchdog(const struct ctl_options *options, struct ctl_report *report)
{
    char *reply = NULL, *why = NULL;

    if (ctl_daemon_call(options, "doms-watchdog", "watchdog/status", &reply,
                        &why)) {
        ctl_report_add(report, CTL_WARN, "watchdog", why,
                       xstrdup("'systemctl start doms-watchdog'; without it "
                               "nobody restarts DomS, and guests that boot "
                               "get no port"));
    } else {
        struct json *json = json_from_string(reply);
        const struct json *state = json->type == JSON_OBJECT ? shash_find_data(
                                       json_object(json), "state")
                                                             : NULL;
        const char *text = state && state->type == JSON_STRING
                               ? json_string(state)
                               : "unknown";
        bool bad = !strcmp(text, "gave-up");

        ctl_report_add(report, bad ? CTL_BROKEN : CTL_FINE, "watchdog",
                       xasprintf("runs, and sees DomS as: %s", text),
                       bad ? xstrdup("find out from its log why DomS does not "
                                     "stay up, then 'doms-ctl watchdog retry'")
                           : NULL);
        json_destroy(json);
    }
    free(reply);
}

/* Checks what DomS and its ports are up to. */
static void
check_doms(struct ctl_backend *backend, struct ctl_report *report)
{
    struct ctl_snapshot snapshot;
    size_t n_up = 0;
    char *why;

    if (ctl_xen_snapshot(backend, &snapshot, &why)) {
        ctl_report_add(report, CTL_BROKEN, "xenstore", why,
                       xstrdup("see that xenstored runs"));
        return;
    }
    if (snapshot.domsd_problem) {
        ctl_report_add(report, CTL_BROKEN, "DomS",
                       xstrdup(snapshot.domsd_problem),
                       xstrdup("see 'xl list', 'xl console' of DomS, and the "
                               "log of doms-watchdog"));
    } else {
        ctl_report_add(report, CTL_FINE, "DomS", xstrdup("runs and answers"),
                       NULL);
    }
    for (size_t i = 0; i < snapshot.n; i++) {
        const struct ctl_guest *g = &snapshot.guests[i];

        n_up += !strcmp(g->state, "up");
        if (!strcmp(g->state, "error") || !strcmp(g->state, "broken")) {
            ctl_report_add(
                report, CTL_BROKEN, "guest",
                xasprintf("%s is %s: %s", g->name, g->state, g->reason),
                xasprintf("mend what it names, or 'doms-ctl detach "
                          "%s'",
                          g->name));
        } else if (g->xen->domid && !strcmp(g->state, "waiting")) {
            ctl_report_add(
                report, CTL_WARN, "guest",
                xasprintf("%s runs, but its front has not connected "
                          "(front %s, back %s)",
                          g->name, ctl_xenbus_state(g->xen->front_state),
                          ctl_xenbus_state(g->xen->back_state)),
                xstrdup("load doms_front in it, and see its kernel's log"));
        }
    }
    if (!snapshot.domsd_problem) {
        ctl_report_add(
            report, CTL_FINE, "guests",
            xasprintf("%" PRIuSIZE " of %" PRIuSIZE " up", n_up, snapshot.n),
            NULL);
    }
    ctl_snapshot_destroy(&snapshot);
}

/* Adds to 'report' what can be said of a Xen host, in its Dom0. */
void
ctl_check_xen(const struct ctl_options *options, struct ctl_report *report)
{
    struct ctl_backend *backend;

    if (!check_host(options, &backend, report)) {
        return;
    }
    check_policy(report);
    check_gnttab(report);
    check_config(ctl_xen_cast(backend), report);
    check_watchdog(options, report);
    check_doms(backend, report);
    ctl_xen_class.close(backend);
}
