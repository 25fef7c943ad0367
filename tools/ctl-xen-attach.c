/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-xen.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl-request.h"
#include "openvswitch/json.h"
#include "packets.h"
#include "svec.h"
#include "timeval.h"
#include "util.h"

/* An attachment under way. */
struct attach {
    struct ctl_xen *x;             /* The backend. */
    struct port_request *requests; /* What is asked for. */
    size_t n;                      /* Number of 'requests'. */
    const char *from;              /* The file they came from, or NULL. */
    struct svec *notes;            /* For the user. */
    bool *is_new;                  /* For each, has it no file yet? */
    struct xen_files files;        /* What was there before. */
    struct shash macs;             /* Each address in use, and by whom. */
    const char **names;            /* The names of 'requests'. */
};

/* Checks. */

/* Checks that the words of 'r' do not contradict 'old', the port's file, and
 * makes 'r' what the file says. */
static enum ctl_status
check_same(const struct attach *a, struct port_request *r,
           const struct port_request *old, char **why)
{
    enum ctl_status status = CTL_OK;
    struct xen_words asked, there;

    xen_words_from_request(&asked, r);
    xen_words_from_request(&there, old);
    for (size_t i = 0; i < asked.n && !status; i++) {
        const char *name = asked.words[i].name;
        const char *value = xen_words_get(&there, name);

        if (!value || strcmp(value, asked.words[i].value)) {
            ctl_complain(
                a->from, r, why,
                "name: already attached%s%s%s%s; 'doms-ctl detach %s' "
                "first, or edit %s/ports/%s",
                value ? " with " : "", value ? name : "", value ? "=" : "",
                value ? value : "", r->name, a->x->options->config_dir,
                r->name);
            status = CTL_REFUSED;
        }
    }
    xen_words_destroy(&asked);
    xen_words_destroy(&there);
    if (!status) {
        unsigned int line = r->line;

        *r = *old;
        r->line = line;
    }
    return status;
}

/* Finds what is wrong with the request 'i', and fills it in. */
static enum ctl_status
check(struct attach *a, size_t i, char **why)
{
    struct port_request *r = &a->requests[i];
    const struct port_request *old;
    char name[DOMS_NAME_SIZE], *detail = NULL;
    enum ctl_status status = ctl_xen_resolve(a->x, r->name, name, &detail);

    if (status) {
        ctl_complain(a->from, r, why, "%s", detail);
        free(detail);
        return status;
    }
    ovs_strlcpy(r->name, name, sizeof r->name);
    if (!strcmp(r->name, a->x->conf.domain)) {
        ctl_complain(a->from, r, why,
                     "name: this is DomS itself, which has no port; name a "
                     "guest, or another DomS with domain= in %s/doms.conf",
                     a->x->options->config_dir);
        return CTL_REFUSED;
    }
    for (size_t j = 0; j < i; j++) {
        if (!strcmp(a->requests[j].name, r->name)) {
            ctl_complain(a->from, r, why,
                         "name: asked for twice; leave one out");
            return CTL_REFUSED;
        }
    }
    old = xen_files_find(&a->files, r->name);
    a->is_new[i] = !old;
    if (old) {
        return check_same(a, r, old, why);
    }
    detail = shash_find_data(&a->files.broken, r->name);
    if (detail) {
        ctl_complain(a->from, r, why,
                     "its file cannot be used: %s; mend or remove it", detail);
        return CTL_REFUSED;
    }
    return ctl_claim_mac(a->from, r, &a->macs, xasprintf("guest %s", r->name),
                         why);
}

static void
collect_macs(struct attach *a)
{
    for (size_t i = 0; i < a->files.n; i++) {
        const struct port_request *r = &a->files.requests[i];
        char key[ETH_ADDR_STRLEN + 1];

        if (r->has_mac) {
            snprintf(key, sizeof key, ETH_ADDR_FMT,
                     ETH_ADDR_BYTES_ARGS(r->mac));
            ctl_use(&a->macs, key, xasprintf("guest %s", r->name));
        }
    }
}

/* Changes. */

/* Removes the files that were written, and what came of them, since 'why'
 * tells of a failure. */
static void
undo(struct attach *a, char **why)
{
    char *why_not = NULL;
    unsigned int doms;

    for (size_t i = 0; i < a->n; i++) {
        if (a->is_new[i] && !why_not) {
            xen_files_remove(a->x->options->config_dir, a->requests[i].name,
                             &why_not);
        }
    }
    if (!why_not) {
        ctl_xen_reconcile(a->x, NULL, 0, &doms, a->notes, &why_not);
    }
    if (why_not) {
        ctl_complain_left(why, "described", why_not);
    }
}

/* Waits until DomS has applied the description of 'r', and finds out whether
 * it could. */
static enum ctl_status
wait_applied(struct attach *a, const struct port_request *r, unsigned int doms,
             long long int when, char **why)
{
    uint64_t wanted = ctl_xen_read_serial(a->x, doms, r->name);
    enum ctl_status status = CTL_OK;
    const struct json *state, *reason;
    struct json *json;
    uint64_t serial;

    for (;;) {
        json = ctl_xen_read_status(a->x, doms, r->name, &serial);
        if (json && serial >= wanted) {
            break;
        }
        json_destroy(json);
        if (!ctl_xen_wait(a->x, doms, when)) {
            ctl_complain(a->from, r, why,
                         "DomS (domain %u) has not said within %u ms that the "
                         "port is there; it stays described; see 'doms-ctl "
                         "doctor', and domsd's log in DomS",
                         doms, a->x->options->timeout_ms);
            return CTL_UNREACHABLE;
        }
    }
    state = shash_find_data(json_object(json), "state");
    reason = shash_find_data(json_object(json), "reason");
    if (state && state->type == JSON_STRING
        && !strcmp(json_string(state), "error")) {
        char *text = xstrdup(reason && reason->type == JSON_STRING
                                 ? json_string(reason)
                                 : "no reason given");

        ctl_make_printable(text);
        ctl_complain(a->from, r, why, "DomS could not make the port: %s",
                     text);
        free(text);
        status = CTL_FAILED;
    }
    json_destroy(json);
    return status;
}

/* Tells which guests do not run. */
static void
note_absent(struct attach *a)
{
    struct xen_domains domains;

    if (xen_domains_read(a->x->xs, &domains)) {
        return;
    }
    for (size_t i = 0; i < a->n; i++) {
        char domain[DOMS_NAME_SIZE];
        unsigned int handle;

        if (xen_name_split(a->requests[i].name, domain, &handle)
            && !xen_domains_find(&domains, domain)) {
            svec_add_nocopy(
                a->notes,
                xasprintf("guest %s is not running; doms-watchdog will attach "
                          "it when it boots",
                          domain));
        }
    }
    xen_domains_destroy(&domains);
}

/* Waits until DomS has made the ports, or says why there is nothing to wait
 * for. */
static enum ctl_status
wait_all(struct attach *a, unsigned int doms, char **why)
{
    struct ctl_deadline deadline = ctl_deadline_start(a->x->options, a->n);
    enum ctl_status status = CTL_OK;
    char *problem;
    bool not_yet;

    if (!doms) {
        svec_add_nocopy(a->notes,
                        xasprintf("DomS (domain '%s') is not running; "
                                  "doms-watchdog starts it, and it makes the "
                                  "port then",
                                  a->x->conf.domain));
        return CTL_OK;
    }
    problem = ctl_xen_check_version(a->x, doms, &not_yet);
    if (problem && not_yet) {
        svec_add_nocopy(
            a->notes, xasprintf("%s; it makes the port when it has", problem));
        free(problem);
        return CTL_OK;
    }
    if (problem) {
        ctl_complain(a->from, &a->requests[0], why, "%s", problem);
        free(problem);
        return CTL_UNREACHABLE;
    }
    for (size_t i = 0; i < a->n && !status; i++) {
        status = wait_applied(a, &a->requests[i], doms, deadline.when, why);
    }
    return status;
}

static enum ctl_status
attach_all(struct attach *a, char **why)
{
    enum ctl_status status = CTL_OK;
    const char *dir = a->x->options->config_dir;
    unsigned int doms = 0;
    char *detail = NULL;

    for (size_t i = 0; i < a->n && !status; i++) {
        status = check(a, i, why);
        a->names[i] = a->requests[i].name;
    }
    if (status) {
        return status;
    }
    for (size_t i = 0; i < a->n && !detail; i++) {
        if (a->is_new[i]) {
            xen_files_write(dir, &a->requests[i], &detail);
        }
    }
    if (detail) {
        status = CTL_FAILED;
    } else {
        status = ctl_xen_reconcile(a->x, a->names, a->n, &doms, a->notes,
                                   &detail);
    }
    if (detail) {
        ctl_complain(a->from, &a->requests[0], why, "%s", detail);
        free(detail);
    }
    if (!status) {
        note_absent(a);
        if (a->x->options->wait) {
            status = wait_all(a, doms, why);
        }
    }
    /* A switch that is late may still come. */
    if (status == CTL_FAILED) {
        svec_clear(a->notes);
        undo(a, why);
    }
    return status;
}

enum ctl_status
ctl_xen_attach(struct ctl_backend *backend, struct port_request *requests,
               size_t n, const char *from, struct svec *notes, char **why)
{
    struct ctl_xen *x = ctl_xen_cast(backend);
    struct attach a = {
        .x = x,
        .requests = requests,
        .n = n,
        .from = from,
        .notes = notes,
        .macs = SHASH_INITIALIZER(&a.macs),
    };
    int lock = xen_files_lock(x->options->config_dir, why);
    enum ctl_status status;
    int error;

    if (lock < 0) {
        return CTL_FAILED;
    }
    error = xen_files_read(x->options->config_dir, &a.files);
    if (error) {
        *why = xasprintf("%s/ports cannot be read: %s", x->options->config_dir,
                         ovs_strerror(error));
        status = CTL_FAILED;
    } else {
        a.is_new = xcalloc(n, sizeof *a.is_new);
        a.names = xcalloc(n, sizeof *a.names);
        collect_macs(&a);
        status = attach_all(&a, why);
        free(a.is_new);
        free(a.names);
    }
    shash_destroy_free_data(&a.macs);
    xen_files_destroy(&a.files);
    close(lock);
    return status;
}
