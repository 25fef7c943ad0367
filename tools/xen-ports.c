/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "xen-work.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenbus.h"
#include "random.h"
#include "timeval.h"
#include "util.h"

/* One port of a pass. */
struct port_work {
    struct xen_work *work;           /* The pass. */
    const struct port_request *wish; /* What is wanted. */
    char domain[DOMS_NAME_SIZE];     /* Its guest's name. */
    struct xen_pair pair;            /* The ends; 'guest' 0: does not run. */
    char front[XEN_PATH_SIZE];       /* The front's directory. */
    char back[XEN_PATH_SIZE];        /* The backend's. */
    char mac[sizeof "00:00:00:00:00:00"]; /* For 'pair'. */
    const char *described;                /* What a transaction has done ... */
    const char *paired;                   /* ... or NULL. */
};

/* Adds the line 'format' about the port 'name'. */
void
xen_told(struct svec *lines, const char *name, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = xvasprintf(format, args);
    va_end(args);
    svec_add_nocopy(lines, xasprintf("%s: %s", name, text));
    free(text);
}

/* Returns whether the node 'dir'/'key' holds 'value'. */
static bool
holds(struct xen_txn *txn, const char *dir, const char *key, const char *value)
{
    char *found = xen_txn_read(txn, "%s/%s", dir, key);
    bool same = found && !strcmp(found, value);

    free(found);
    return same;
}

static bool
holds_number(struct xen_txn *txn, const char *dir, const char *key,
             uint64_t value)
{
    uint64_t found;

    return xen_txn_read_number(txn, &found, "%s/%s", dir, key)
           && found == value;
}

/* Returns whether the domain 'domid' is still there, with the name 'name'.
 * A transaction that has asked so, and writes below the domain's directory,
 * fails if that directory goes meanwhile, rather than to make it anew. */
static bool
is_there(struct xen_txn *txn, unsigned int domid, const char *name)
{
    char *found = xen_txn_read(txn, "/local/domain/%u/name", domid);
    bool there = found && !strcmp(found, name);

    free(found);
    return there;
}

/* Makes the directories that all ports need. */
static void
write_base(struct xen_txn *txn, void *work_)
{
    const struct xen_work *work = work_;
    unsigned int doms = work->pass->doms;
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    char *ask = xen_txn_read(txn, "/local/domain/%u/doms/ask", doms);

    if (!ask && is_there(txn, doms, work->ports->domain)) {
        xen_keys_base(&nodes, doms);
        xen_txn_apply(txn, &nodes);
    }
    xen_nodes_destroy(&nodes);
    free(ask);
}

/* Descriptions. */

/* Returns whether the description in 'dir' has the words 'words' and no
 * others; stores its serial number in '*serial', 0 if there is none. */
static bool
same_description(struct xen_txn *txn, const char *dir,
                 const struct xen_words *words, uint64_t *serial)
{
    size_t n_found = 0;
    unsigned int n;
    char **keys = xen_txn_list(txn, &n, "%s", dir);
    bool same = xen_txn_read_number(txn, serial, "%s/serial", dir);

    for (unsigned int i = 0; same && i < n; i++) {
        const char *value = xen_words_get(words, keys[i]);

        if (value) {
            same = holds(txn, dir, keys[i], value);
            n_found++;
        } else {
            same = !strcmp(keys[i], "serial");
        }
    }
    free(keys);
    return same && n_found == words->n;
}

/* Adds who the guest is.  While it does not run, what is known of it stays, so
 * that a guest that comes and goes changes nothing. */
static void
add_uuid(struct xen_txn *txn, const struct port_work *w, const char *dir,
         struct xen_words *words)
{
    char *uuid = NULL;

    if (w->pair.guest) {
        char *vm = xen_txn_read(txn, "/local/domain/%u/vm", w->pair.guest);

        if (vm && !strncmp(vm, "/vm/", 4)) {
            uuid = xstrdup(vm + 4);
        }
        free(vm);
    }
    if (!uuid) {
        uuid = xen_txn_read(txn, "%s/vm-uuid", dir);
    }
    xen_words_add(words, "vm-uuid", uuid ? uuid : "");
    free(uuid);
}

/* Writes the description, unless it is there. */
static void
describe(struct xen_txn *txn, struct port_work *w)
{
    char dir[XEN_PATH_SIZE];
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    struct xen_words words;
    uint64_t serial;

    xen_path_description(dir, w->pair.doms, w->wish->name);
    xen_words_from_request(&words, w->wish);
    add_uuid(txn, w, dir, &words);
    if (!same_description(txn, dir, &words, &serial) && !txn->error) {
        w->described = serial ? "description changed" : "described to DomS";
        /* Grows, and is not used again after a port was away. */
        serial = MAX(serial + 1, (uint64_t) time_wall_msec());
        xen_txn_remove(txn, "%s", dir);
        xen_keys_description(&nodes, w->pair.doms, w->wish->name, &words,
                             serial);
        xen_txn_apply(txn, &nodes);
    }
    xen_nodes_destroy(&nodes);
    xen_words_destroy(&words);
}

/* Pairs. */

static uint64_t
new_generation(void)
{
    uint64_t generation;

    do {
        generation = random_uint64();
    } while (!generation);
    return generation;
}

/* Makes the front's directory name DomS, which may be another domain than
 * before, and lets it read there.  The directory is the guest's: keys of ours
 * may be missing, and others there, which are left alone. */
static void
repoint(struct xen_txn *txn, struct port_work *w)
{
    const struct xen_perms perms = xen_perms_front(&w->pair);
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    char domid[16];

    xen_txn_set_perms(txn, w->front, &perms);
    xen_keys_front(&nodes, &w->pair);
    for (size_t i = 0; i < nodes.n; i++) {
        const struct xen_node *node = &nodes.nodes[i];

        if (node->value && !xen_txn_set_perms(txn, node->path, &perms)) {
            xen_txn_write(txn, node->value, "%s", node->path);
        }
    }
    xen_nodes_destroy(&nodes);
    snprintf(domid, sizeof domid, "%u", w->pair.doms);
    xen_txn_write(txn, domid, "%s/backend-id", w->front);
    xen_txn_write(txn, w->back, "%s/backend", w->front);
}

/* Makes the pair, or mends it; nothing if it is as it should be. */
static void
join(struct xen_txn *txn, struct port_work *w)
{
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    char *backend = xen_txn_read(txn, "%s/backend", w->front);
    bool front_good = backend && !strcmp(backend, w->back)
                      && holds_number(txn, w->front, "backend-id",
                                      w->pair.doms);
    bool back_good = backend && holds(txn, w->back, "frontend", w->front)
                     && holds(txn, w->back, "port", w->wish->name)
                     && holds_number(txn, w->back, "frontend-id",
                                     w->pair.guest)
                     && holds(txn, w->back, "online", "1");

    w->pair.generation = new_generation();
    if (!back_good && !txn->error) {
        xen_txn_remove(txn, "%s", w->back);
        xen_keys_back(&nodes, &w->pair);
    }
    if (!backend) {
        w->paired = "given to";
        xen_txn_remove(txn, "%s", w->front);
        xen_keys_front(&nodes, &w->pair);
    }
    /* The backend's directory is there before the front hears of it. */
    xen_txn_apply(txn, &nodes);
    if (backend && (!front_good || !back_good)) {
        w->paired = front_good ? "mended for" : "given back to";
        repoint(txn, w);
    }
    if (backend && !holds(txn, w->front, DOMS_XS_MAC, w->pair.mac)) {
        xen_txn_write(txn, w->pair.mac, "%s/" DOMS_XS_MAC, w->front);
    }
    xen_nodes_destroy(&nodes);
    free(backend);
}

static void
write_port(struct xen_txn *txn, void *w_)
{
    struct port_work *w = w_;

    w->described = w->paired = NULL;
    if (!is_there(txn, w->pair.doms, w->work->ports->domain)) {
        return;
    }
    describe(txn, w);
    if (w->pair.guest && is_there(txn, w->pair.guest, w->domain)
        && !shash_find(&w->work->ports->closing, w->back)) {
        join(txn, w);
    }
}

/* Brings one port to where its file wants it. */
static void
run_port(struct xen_work *work, const struct port_request *wish)
{
    struct xen_pass *pass = work->pass;
    struct port_work w = { .work = work, .wish = wish };
    struct xen_words words;
    int error;

    if (!xen_name_split(wish->name, w.domain, &w.pair.handle)) {
        return;
    }
    w.pair.guest = xen_domains_find(&work->domains, w.domain);
    pass->n_running += w.pair.guest != 0;
    if (!pass->doms) {
        return;
    }
    if (w.pair.guest == pass->doms) {
        xen_told(&pass->problems, wish->name,
                 "this is DomS itself, which has no port; remove %s/ports/%s",
                 work->ports->dir, wish->name);
        return;
    }
    xen_words_from_request(&words, wish);
    ovs_strlcpy(w.mac,
                xen_words_get(&words, "mac") ? xen_words_get(&words, "mac")
                                             : "",
                sizeof w.mac);
    xen_words_destroy(&words);
    w.pair.doms = pass->doms;
    w.pair.port = wish->name;
    w.pair.mac = w.mac;
    xen_path_front(w.front, w.pair.guest, w.pair.handle);
    xen_path_back(w.back, w.pair.doms, w.pair.guest, w.pair.handle);
    error = xen_store_transact(work->ports->xs, write_port, &w);
    if (error) {
        xen_told(&pass->problems, wish->name, "xenstore cannot be written: %s",
                 ovs_strerror(error));
        return;
    }
    if (w.described) {
        xen_told(&pass->done, wish->name, "%s (domain %u)", w.described,
                 w.pair.doms);
    }
    if (w.paired) {
        xen_told(&pass->done, wish->name, "%s %s (domain %u), device %u",
                 w.paired, w.domain, w.pair.guest, w.pair.handle);
    }
}

/* Tells DomS that it knows of all ports: one that it has from an earlier life
 * and that is not among them is to go. */
static void
write_complete(struct xen_txn *txn, void *work_)
{
    const struct xen_work *work = work_;
    unsigned int doms = work->pass->doms;
    char *complete = xen_txn_read(txn, "/local/domain/%u/doms/complete", doms);

    if (!complete && is_there(txn, doms, work->ports->domain)) {
        xen_txn_write(txn, "1", "/local/domain/%u/doms/complete", doms);
    }
    free(complete);
}

/* Makes every port that the files describe. */
static int
run_ports(struct xen_work *work)
{
    struct xen_pass *pass = work->pass;
    int error = 0;

    pass->n_ports = work->files.n;
    if (pass->doms) {
        error = xen_store_transact(work->ports->xs, write_base, work);
    }
    for (size_t i = 0; i < work->files.n && !error; i++) {
        run_port(work, &work->files.requests[i]);
    }
    /* What a file that cannot be understood describes is not known. */
    if (pass->doms && !error && !pass->problems.n) {
        error = xen_store_transact(work->ports->xs, write_complete, work);
    }
    return error;
}

void
xen_ports_init(struct xen_ports *ports, struct xs_handle *xs, const char *dir,
               const char *domain)
{
    *ports = (struct xen_ports){ .xs = xs, .dir = dir, .domain = domain };
    shash_init(&ports->closing);
    shash_init(&ports->taken);
}

void
xen_ports_destroy(struct xen_ports *ports)
{
    shash_destroy_free_data(&ports->closing);
    shash_destroy_free_data(&ports->taken);
}

void
xen_pass_destroy(struct xen_pass *pass)
{
    svec_destroy(&pass->done);
    svec_destroy(&pass->problems);
}

int
xen_ports_run(struct xen_ports *ports, struct xen_pass *pass)
{
    struct xen_work work = { .ports = ports, .pass = pass };
    struct shash_node *node;
    int error;

    memset(pass, 0, sizeof *pass);
    svec_init(&pass->done);
    svec_init(&pass->problems);
    error = xen_files_read(ports->dir, &work.files);
    if (error) {
        return error;
    }
    SHASH_FOR_EACH (node, &work.files.broken) {
        svec_add(&pass->problems, node->data);
    }
    error = xen_domains_read(ports->xs, &work.domains);
    if (!error) {
        pass->doms = xen_domains_find(&work.domains, ports->domain);
        error = run_ports(&work);
        xen_leftovers_run(&work);
        xen_vifs_run(&work);
        xen_domains_destroy(&work.domains);
    }
    xen_files_destroy(&work.files);
    return error;
}
