/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-xen.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenbus.h"
#include "openvswitch/json.h"
#include "packets.h"
#include "timeval.h"
#include "util.h"

/* The longest wait for DomS to tell how its ports are, in milliseconds.  It
 * answers within one turn of its main loop, or it hangs. */
#define ANSWER_MS 5000

/* Characters of a counter's name. */
#define COUNTER_MAX 40

/* Fills 'g' with what its file says. */
static void
guest_from_file(struct ctl_guest *g, const struct port_request *r)
{
    struct xen_words words;

    xen_words_from_request(&words, r);
#define WORD(NAME)                                                            \
    xstrdup(xen_words_get(&words, NAME) ? xen_words_get(&words, NAME) : "")
    *g = (struct ctl_guest){
        .name = xstrdup(r->name),
        .port = xstrdup(r->name),
        .bridge = WORD("bridge"),
        .iface_id = WORD("iface-id"),
        .trunks = WORD("trunks"),
        .vlan_mode = xstrdup(""),
        .tag = r->tag,
        .rate = r->rate,
        .ofport = -1,
        .error = xstrdup(""),
        .state = xstrdup("unknown"),
        .reason = xstrdup(""),
        .door = xstrdup(""),
        .mac = WORD("mac"),
        .mtu = r->mtu,
        .n_queues = r->queues ? r->queues : 1,
        .arena = r->arena,
        .features = xstrdup(""),
        .counters = json_object_create(),
        .xen = xzalloc(sizeof *g->xen),
    };
#undef WORD
    xen_words_destroy(&words);
}

/* Returns the XenbusState in the directory 'dir'; 0 if there is none. */
static unsigned int
read_state(struct xen_txn *txn, const char *dir)
{
    uint64_t state;

    return xen_txn_read_number(txn, &state, "%s/state", dir) && state <= 99
               ? state
               : 0;
}

/* Fills in the ends of the port of 'g'. */
static void
guest_from_xenstore(struct ctl_xen *x, struct ctl_guest *g,
                    const struct xen_domains *domains, unsigned int doms)
{
    struct xen_txn txn = { .xs = x->xs, .id = XBT_NULL };
    char domain[DOMS_NAME_SIZE], front[XEN_PATH_SIZE], back[XEN_PATH_SIZE];
    struct ctl_guest_xen *ends = g->xen;

    ends->doms = doms;
    ends->error = xstrdup("");
    if (!xen_name_split(g->name, domain, &ends->handle)) {
        domain[0] = '\0';
    }
    ends->domain = xstrdup(domain);
    ends->domid = xen_domains_find(domains, domain);
    if (ends->domid) {
        xen_path_front(front, ends->domid, ends->handle);
        ends->front_state = read_state(&txn, front);
    }
    if (ends->domid && doms) {
        char *error;

        xen_path_back(back, doms, ends->domid, ends->handle);
        ends->back_state = read_state(&txn, back);
        error = xen_txn_read(&txn, "%s/" DOMS_XS_ERROR, back);
        if (error) {
            ctl_make_printable(error);
            ctl_replace(&ends->error, error);
            free(error);
        }
    }
}

/* Leaves in the counters of 'g' only those whose names are fit to be shown. */
static void
clean_counters(struct ctl_guest *g)
{
    struct shash *counters = json_object(g->counters);
    struct shash_node *node;

    SHASH_FOR_EACH_SAFE(node, counters)
    {
        const char *c = node->name;

        while (isalnum((unsigned char) *c) || *c == '_') {
            c++;
        }
        if (*c || c - node->name > COUNTER_MAX) {
            json_destroy(node->data);
            shash_delete(counters, node);
        }
    }
}

/* Adds what DomS has told of the port of 'g'. */
static void
guest_from_doms(struct ctl_xen *x, struct ctl_guest *g, unsigned int doms)
{
    uint64_t serial;
    struct json *json = ctl_xen_read_status(x, doms, g->name, &serial);

    if (!json) {
        ctl_replace(&g->reason, "DomS has not made the port yet");
        return;
    }
    ctl_guest_take_status(g, json);
    json_destroy(json);
    clean_counters(g);
    ctl_make_printable(g->state);
    ctl_make_printable(g->reason);
    ctl_make_printable(g->door);
    ctl_make_printable(g->mac);
    ctl_make_printable(g->features);
    if (!strcmp(g->state, "waiting") && !g->reason[0] && !g->xen->domid) {
        ctl_replace(&g->reason, "the guest is not running");
    }
    if (serial && serial < ctl_xen_read_serial(x, doms, g->name)) {
        ctl_replace(&g->reason, "DomS has not applied the last change yet");
    }
}

/* Asks DomS how its ports are, by a number that nobody has used before. */
struct ask {
    unsigned int doms; /* Its domid. */
    uint64_t number;   /* The number, once the transaction is through. */
};

static void
write_ask(struct xen_txn *txn, void *ask_)
{
    struct ask *ask = ask_;
    char text[24];

    if (xen_txn_read_number(txn, &ask->number, "/local/domain/%u/doms/ask",
                            ask->doms)) {
        ask->number++;
        snprintf(text, sizeof text, "%" PRIu64, ask->number);
        xen_txn_write(txn, text, "/local/domain/%u/doms/ask", ask->doms);
    }
}

/* Asks DomS, the domain 'doms', and waits for its answer.  Returns NULL, or
 * why there is none. */
static char *
ask_doms(struct ctl_xen *x, unsigned int doms)
{
    unsigned int patience = MIN(x->options->timeout_ms, ANSWER_MS);
    long long int when = time_msec() + patience;
    struct xen_txn txn = { .xs = x->xs, .id = XBT_NULL };
    struct ask ask = { .doms = doms };
    uint64_t answered;
    bool not_yet;
    char *why;
    int error;

    if (!doms) {
        return xasprintf("DomS (domain '%s') is not running; 'doms-ctl "
                         "watchdog' tells what is done about it",
                         x->conf.domain);
    }
    why = ctl_xen_check_version(x, doms, &not_yet);
    if (why) {
        return why;
    }
    error = xen_store_transact(x->xs, write_ask, &ask);
    if (error) {
        return xasprintf("xenstore cannot be written: %s",
                         ovs_strerror(error));
    }
    while (!xen_txn_read_number(&txn, &answered,
                                "/local/domain/%u/data/doms/answered", doms)
           || answered < ask.number) {
        if (!ctl_xen_wait(x, doms, when)) {
            return xasprintf("DomS (domain %u) does not answer: its switch "
                             "has said nothing for %u ms; 'doms-ctl "
                             "watchdog' tells what is done about it",
                             doms, patience);
        }
    }
    return NULL;
}

enum ctl_status
ctl_xen_snapshot(struct ctl_backend *backend, struct ctl_snapshot *snapshot,
                 char **why)
{
    struct ctl_xen *x = ctl_xen_cast(backend);
    struct xen_domains domains;
    struct xen_files files;
    unsigned int doms;
    int error;

    memset(snapshot, 0, sizeof *snapshot);
    error = xen_files_read(x->options->config_dir, &files);
    if (!error) {
        error = xen_domains_read(x->xs, &domains);
    }
    if (error) {
        *why = xasprintf("xenstore or %s/ports cannot be read: %s",
                         x->options->config_dir, ovs_strerror(error));
        xen_files_destroy(&files);
        return CTL_UNREACHABLE;
    }
    doms = xen_domains_find(&domains, x->conf.domain);
    snapshot->domsd_problem = ask_doms(x, doms);
    snapshot->when = time_msec();
    snapshot->guests = xcalloc(files.n ? files.n : 1,
                               sizeof *snapshot->guests);
    for (size_t i = 0; i < files.n; i++) {
        struct ctl_guest *g = &snapshot->guests[snapshot->n++];

        guest_from_file(g, &files.requests[i]);
        guest_from_xenstore(x, g, &domains, doms);
        if (!snapshot->domsd_problem) {
            guest_from_doms(x, g, doms);
        } else {
            ctl_replace(&g->reason,
                        doms ? "DomS does not answer" : "DomS is down");
        }
    }
    xen_domains_destroy(&domains);
    xen_files_destroy(&files);
    return CTL_OK;
}
