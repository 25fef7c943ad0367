/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-ctl's commands that change something: attach, detach.
 */
#include <config.h>

#include "ctl-commands.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/port-request.h"
#include "ctl-output.h"
#include "openvswitch/json.h"
#include "packets.h"
#include "svec.h"
#include "util.h"

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

enum ctl_status
ctl_cmd_attach(const struct ctl_args *args, char **why)
{
    const struct ctl_backend_class *class = args->class;
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

enum ctl_status
ctl_cmd_detach(const struct ctl_args *args, char **why)
{
    const struct ctl_backend_class *class = args->class;
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
