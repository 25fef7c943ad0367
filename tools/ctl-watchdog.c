/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-watchdog.h"

#include <stdlib.h>

#include "ctl-local.h"
#include "ctl-output.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/shash.h"
#include "util.h"

#define DAEMON "doms-watchdog"

/* Appends what doms-watchdog tells in 'status' to 's', as one line without its
 * end. */
static void
format_status(const struct json *status, struct ds *s)
{
    static const char *const names[] = { "state", "reason", "domid",
                                         "restarts", "last_outage_ms" };
    const char *separator = "";

    if (status->type != JSON_OBJECT) {
        ds_put_cstr(s, "tells nothing that is understood");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const struct json *value = shash_find_data(json_object(status),
                                                   names[i]);

        if (!value || (value->type == JSON_STRING && !json_string(value)[0])) {
            continue;
        } else if (value->type == JSON_STRING) {
            ds_put_format(s, "%s%s%s", separator, i ? "" : "DomS ",
                          json_string(value));
        } else if (value->type == JSON_INTEGER) {
            ds_put_format(s, "%s%s %lld", separator, names[i],
                          (long long int) json_integer(value));
        }
        separator = ", ";
    }
}

void
ctl_watchdog_append(const struct ctl_options *options, struct ds *s)
{
    char *reply = NULL, *why = NULL;

    if (ctl_daemon_call(options, DAEMON, "watchdog/status", &reply, &why)) {
        ds_put_cstr(s, why);
    } else {
        struct json *status = json_from_string(reply);

        format_status(status, s);
        json_destroy(status);
    }
    free(why);
    free(reply);
}

enum ctl_status
ctl_watchdog_show(const struct ctl_options *options, bool json, char **why)
{
    enum ctl_status status;
    char *reply;

    status = ctl_daemon_call(options, DAEMON, "watchdog/status", &reply, why);
    if (!status && json) {
        ctl_print_json(json_from_string(reply), JSSF_PRETTY);
    } else if (!status) {
        struct ds s = DS_EMPTY_INITIALIZER;
        struct json *told = json_from_string(reply);

        format_status(told, &s);
        puts(ds_cstr(&s));
        json_destroy(told);
        ds_destroy(&s);
    }
    free(reply);
    return status;
}

enum ctl_status
ctl_watchdog_retry(const struct ctl_options *options, char **why)
{
    enum ctl_status status;
    char *reply;

    status = ctl_daemon_call(options, DAEMON, "watchdog/retry", &reply, why);
    if (!status) {
        puts(reply);
    }
    free(reply);
    return status;
}
