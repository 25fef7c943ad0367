/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "openvswitch/dynamic-string.h"
#include "ovsdb-idl.h"
#include "smap.h"
#include "util.h"

/* File descriptors that domsd has open without guests, with a margin. */
#define FILES_BASE 256

/* Guests that a message names before it says "and others". */
#define MAX_NAMED 5

/* domsd. */

/* Checks that domsd answers.  Returns whether it does. */
static bool
check_domsd(const struct ctl_options *options, struct ctl_report *report)
{
    char *reply, *why;

    if (ctl_domsd_call(options, "version", &reply, &why)) {
        ctl_report_add(
            report, CTL_BROKEN, "domsd", why,
            xasprintf("'doms-local start --rundir %s'", options->rundir));
        return false;
    }
    reply[strcspn(reply, "\n")] = '\0';
    ctl_report_add(
        report, CTL_FINE, "domsd",
        xasprintf("answers: %s, pid %d", reply, ctl_domsd_pid(options)), NULL);
    free(reply);
    return true;
}

static void
check_door(const struct ctl_options *options, bool expected,
           struct ctl_report *report)
{
    char *path = xasprintf("%s/doms.sock", options->rundir);
    struct stat st;

    if (stat(path, &st) || !S_ISSOCK(st.st_mode)) {
        /* domsd makes it with the first doms port. */
        if (expected) {
            ctl_report_add(
                report, CTL_BROKEN, "door",
                xasprintf("%s is missing, so no guest can attach", path),
                xstrdup("restart domsd, and see its log"));
        }
    } else if (st.st_mode & S_IWOTH) {
        ctl_report_add(report, CTL_WARN, "door",
                       xasprintf("anybody may connect to %s", path),
                       xasprintf("'chmod o-w %s'", path));
    } else {
        ctl_report_add(
            report, CTL_FINE, "door",
            xasprintf("%s, mode %03o", path, (unsigned int) st.st_mode & 0777),
            NULL);
    }
    free(path);
}

/* Returns domsd's soft limit on 'resource', as /proc names it; -1 if there is
 * none, -2 if it is not known. */
static long long int
domsd_limit(const struct ctl_options *options, const char *resource)
{
    char *path = xasprintf("/proc/%d/limits", ctl_domsd_pid(options));
    FILE *stream = fopen(path, "r");
    long long int limit = -2;
    char line[256];

    free(path);
    while (stream && fgets(line, sizeof line, stream)) {
        if (!strncmp(line, resource, strlen(resource))) {
            const char *value = line + strlen(resource);

            if (sscanf(value, "%lld", &limit) != 1) {
                limit = strstr(value, "unlimited") ? -1 : -2;
            }
        }
    }
    if (stream) {
        fclose(stream);
    }
    return limit;
}

static void
check_limits(const struct ctl_options *options,
             const struct ctl_snapshot *snapshot, struct ctl_report *report)
{
    long long int files = domsd_limit(options, "Max open files");
    long long int need = FILES_BASE;

    for (size_t i = 0; i < snapshot->n; i++) {
        /* A connection, two groups, and two doorbells a queue. */
        need += 3 + 2 * snapshot->guests[i].n_queues;
    }
    if (files >= 0 && files < 2 * need) {
        ctl_report_add(report, files < need ? CTL_BROKEN : CTL_WARN, "files",
                       xasprintf("domsd may open %lld files; %" PRIuSIZE
                                 " guests can take %lld",
                                 files, snapshot->n, need),
                       xasprintf("'prlimit --pid %d --nofile=%lld', and "
                                 "raise the limit where domsd is started",
                                 ctl_domsd_pid(options), need * 4));
    } else if (files != -2) {
        ctl_report_add(report, CTL_FINE, "files",
                       files < 0
                           ? xstrdup("domsd's open files are not "
                                     "limited")
                           : xasprintf("domsd may open %lld files", files),
                       NULL);
    }
}

/* The database. */

/* Reads the hex number 'mask' of any length, as pmd-cpu-mask has it.  Stores
 * the number of its bits below 'n_cpus' in '*inside' and that of the others in
 * '*outside'.  Returns false if it is no hex number. */
static bool
count_cpus(const char *mask, long int n_cpus, long int *inside,
           long int *outside)
{
    long int cpu = 0;

    *inside = *outside = 0;
    if (!strncmp(mask, "0x", 2) || !strncmp(mask, "0X", 2)) {
        mask += 2;
    }
    for (size_t i = strlen(mask); i > 0; i--) {
        int digit = hexit_value(mask[i - 1]);

        if (digit < 0) {
            return false;
        }
        for (int bit = 0; bit < 4; bit++, cpu++) {
            if (digit & (1 << bit)) {
                ++*(cpu < n_cpus ? inside : outside);
            }
        }
    }
    return true;
}

static void
check_cpus(const struct smap *config, struct ctl_report *report)
{
    static const char how[] = "'ovs-vsctl set Open_vSwitch . "
                              "other_config:pmd-cpu-mask=0x2', a bit a CPU "
                              "that is to switch packets";
    const char *mask = smap_get(config, "pmd-cpu-mask");
    long int n = sysconf(_SC_NPROCESSORS_ONLN);
    long int inside, outside;

    if (!mask || !*mask) {
        ctl_report_add(report, CTL_FINE, "cpus",
                       xasprintf("%ld online; pmd-cpu-mask is not set, so one "
                                 "CPU a NUMA node switches packets",
                                 n),
                       NULL);
    } else if (!count_cpus(mask, n, &inside, &outside)) {
        ctl_report_add(
            report, CTL_BROKEN, "cpus",
            xasprintf("pmd-cpu-mask '%s' is not a hex number", mask),
            xstrdup(how));
    } else if (outside || !inside) {
        ctl_report_add(report, inside ? CTL_WARN : CTL_BROKEN, "cpus",
                       xasprintf("pmd-cpu-mask %s names %ld CPUs that are not "
                                 "among the %ld online",
                                 mask, outside, n),
                       xstrdup(how));
    } else if (inside == n) {
        ctl_report_add(report, CTL_WARN, "cpus",
                       xasprintf("pmd-cpu-mask %s gives all %ld CPUs to the "
                                 "switch, and guests have to share them",
                                 mask, n),
                       xstrdup(how));
    } else {
        ctl_report_add(report, CTL_FINE, "cpus",
                       xasprintf("%ld of %ld switch packets", inside, n),
                       NULL);
    }
}

static void
check_sleep(const struct smap *config, struct ctl_report *report)
{
    unsigned int us = smap_get_uint(config, "pmd-maxsleep", 0);

    if (!us) {
        ctl_report_add(report, CTL_WARN, "idle",
                       xstrdup("pmd-maxsleep is not set, so an idle switch "
                               "takes a whole CPU for each of its threads"),
                       xstrdup("unless that is wanted for latency: "
                               "'ovs-vsctl set Open_vSwitch . "
                               "other_config:pmd-maxsleep=100'"));
    } else {
        ctl_report_add(
            report, CTL_FINE, "idle",
            xasprintf("an idle switch thread sleeps up to %u us", us), NULL);
    }
}

static void
check_bridges(const struct ovsdb_idl *idl, struct ctl_report *report)
{
    const struct ovsrec_bridge *bridge;
    size_t n = 0, n_fit = 0;

    OVSREC_BRIDGE_FOR_EACH (bridge, idl) {
        n++;
        if (!strcmp(bridge->datapath_type, "netdev")) {
            n_fit++;
        } else {
            ctl_report_add(report, CTL_WARN, "bridge",
                           xasprintf("%s has datapath_type '%s', so guests "
                                     "cannot be attached to it",
                                     bridge->name, bridge->datapath_type),
                           xasprintf("'ovs-vsctl set bridge %s "
                                     "datapath_type=netdev'",
                                     bridge->name));
        }
    }
    if (!n) {
        ctl_report_add(report, CTL_WARN, "bridge",
                       xstrdup("there is none to attach guests to"),
                       xstrdup("'ovs-vsctl add-br br0 -- set bridge br0 "
                               "datapath_type=netdev'"));
    } else if (n_fit) {
        ctl_report_add(report, CTL_FINE, "bridge",
                       xasprintf("%" PRIuSIZE " to attach guests to", n_fit),
                       NULL);
    }
}

static void
check_interfaces(const struct ovsdb_idl *idl, struct ctl_report *report)
{
    const struct ovsrec_interface *iface;

    OVSREC_INTERFACE_FOR_EACH (iface, idl) {
        if (iface->error) {
            ctl_report_add(report, CTL_BROKEN, "interface",
                           xasprintf("%s: %s", iface->name, iface->error),
                           xasprintf("mend its options, or 'ovs-vsctl "
                                     "del-port %s'",
                                     iface->name));
        }
    }
}

/* The guests. */

static void
check_guests(const struct ctl_snapshot *snapshot, struct ctl_report *report)
{
    struct ds waiting = DS_EMPTY_INITIALIZER;
    size_t n_waiting = 0, n_up = 0;

    for (size_t i = 0; i < snapshot->n; i++) {
        const struct ctl_guest *g = &snapshot->guests[i];

        n_up += !strcmp(g->state, "up");
        if (!strcmp(g->state, "waiting")) {
            if (n_waiting++ < MAX_NAMED) {
                ds_put_format(&waiting, "%s%s", waiting.length ? ", " : "",
                              g->name);
            }
        } else if (!strcmp(g->state, "broken")) {
            ctl_report_add(report, CTL_BROKEN, "guest",
                           xasprintf("%s broke a rule of the ring: %s",
                                     g->name, g->reason),
                           xasprintf("restart the guest's front; until it "
                                     "attaches anew its port stays closed"));
        } else if (!strcmp(g->state, "down")) {
            ctl_report_add(report, CTL_WARN, "guest",
                           xasprintf("%s is attached, but its port is set "
                                     "down",
                                     g->name),
                           xasprintf("'ovs-ofctl mod-port %s %s up'",
                                     g->bridge, g->port));
        }
    }
    if (n_waiting) {
        ctl_report_add(report, CTL_WARN, "guest",
                       xasprintf("%" PRIuSIZE " not there yet: %s%s",
                                 n_waiting, ds_cstr(&waiting),
                                 n_waiting > MAX_NAMED ? " and others" : ""),
                       xstrdup("start the guest, or 'doms-ctl detach' it"));
    }
    ctl_report_add(
        report, CTL_FINE, "guests",
        xasprintf("%" PRIuSIZE " of %" PRIuSIZE " up", n_up, snapshot->n),
        NULL);
    ds_destroy(&waiting);
}

/* Adds to 'report' what can be said of the switch. */
void
ctl_check_switch(const struct ctl_options *options, struct ctl_report *report)
{
    bool domsd_up = check_domsd(options, report);
    const struct ovsrec_open_vswitch *ovs;
    struct ctl_snapshot snapshot;
    struct ctl_backend *backend;
    struct ctl_local *local;
    char *why;

    if (ctl_local_class.open(options, &backend, &why)) {
        ctl_report_add(
            report, CTL_BROKEN, "database", why,
            xasprintf("'doms-local start --rundir %s'", options->rundir));
        return;
    }
    local = ctl_local_cast(backend);
    ctl_report_add(report, CTL_FINE, "database",
                   xasprintf("%s answers", options->db), NULL);
    ovs = ovsrec_open_vswitch_first(local->idl);
    if (ovs) {
        check_cpus(&ovs->other_config, report);
        check_sleep(&ovs->other_config, report);
    }
    check_bridges(local->idl, report);
    check_interfaces(local->idl, report);
    if (ctl_local_snapshot(backend, &snapshot, &why)) {
        ctl_report_add(report, CTL_BROKEN, "database", why,
                       xstrdup("see ovsdb-server's log"));
    } else {
        if (domsd_up) {
            check_limits(options, &snapshot, report);
            check_door(options, snapshot.n > 0, report);
        }
        if (snapshot.domsd_problem && domsd_up) {
            ctl_report_add(report, CTL_BROKEN, "domsd",
                           xstrdup(snapshot.domsd_problem),
                           xstrdup("install doms-ctl and domsd of the same "
                                   "version"));
        } else if (domsd_up) {
            check_guests(&snapshot, report);
        }
        ctl_snapshot_destroy(&snapshot);
    }
    ctl_local_class.close(backend);
}
