/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-ctl's commands that show something: list, show, stats, top, doctor,
 * watchdog, version.
 */
#include <config.h>

#include "ctl-commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/port-request.h"
#include "ctl-doctor.h"
#include "ctl-output.h"
#include "ctl-request.h"
#include "ctl-watch.h"
#include "ctl-watchdog.h"
#include "ctl-xen.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "util.h"

static enum ctl_status
take_snapshot(const struct ctl_args *args, struct ctl_snapshot *snapshot,
              char **why)
{
    const struct ctl_backend_class *class = args->class;
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

    *guest = ctl_snapshot_find(snapshot, args->words[0]);
    if (!*guest) {
        for (size_t i = 0; i < snapshot->n; i++) {
            names[i] = snapshot->guests[i].name;
        }
        *why = ctl_no_such_guest(
            args->command, args->words[0],
            port_request_nearest(args->words[0], names, snapshot->n));
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

enum ctl_status
ctl_cmd_list(const struct ctl_args *args, char **why)
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

enum ctl_status
ctl_cmd_show(const struct ctl_args *args, char **why)
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
    const struct ctl_backend_class *class = args->class;
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

enum ctl_status
ctl_cmd_stats(const struct ctl_args *args, char **why)
{
    return args->has_interval || args->count
               ? watch_rates(args, ctl_watch_stats, why)
               : print_totals(args, why);
}

enum ctl_status
ctl_cmd_top(const struct ctl_args *args, char **why)
{
    return watch_rates(args, ctl_watch_top, why);
}

enum ctl_status
ctl_cmd_doctor(const struct ctl_args *args, char **why OVS_UNUSED)
{
    struct ctl_report report = { .n = 0 };
    enum ctl_grade worst;

    if (args->class == &ctl_xen_class) {
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

enum ctl_status
ctl_cmd_watchdog(const struct ctl_args *args, char **why)
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
    return args->class == &ctl_xen_class
               ? ctl_xen_version(&args->options, reply, problem)
               : ctl_domsd_call(&args->options, "version", reply, problem);
}

enum ctl_status
ctl_cmd_version(const struct ctl_args *args, char **why OVS_UNUSED)
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
        printf("%s\n", up ? reply
                       : args->class == &ctl_xen_class
                           ? problem
                           : "domsd does not answer");
    }
    free(reply);
    free(problem);
    return CTL_OK;
}
