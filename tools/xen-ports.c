/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "xen-ports.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenbus.h"
#include "random.h"
#include "timeval.h"
#include "util.h"

/* XenbusState, as far as Dom0 looks at it. */
enum { INITIALISED = 3, CONNECTED = 4, CLOSING = 5 };

/* One pass at work. */
struct work {
    struct xen_ports *ports;    /* The caller's. */
    struct xen_pass *pass;      /* What it finds and does. */
    struct xen_files files;     /* What is wanted. */
    struct xen_domains domains; /* Who is there. */
};

/* One port of a pass. */
struct port_work {
    struct work *work;              /* The pass. */
    const struct ctl_request *wish; /* What is wanted. */
    char domain[DOMS_NAME_SIZE];    /* Its guest's name. */
    struct xen_pair pair;           /* The ends; 'guest' 0: does not run. */
    char front[XEN_PATH_SIZE];      /* The front's directory. */
    char back[XEN_PATH_SIZE];       /* The backend's. */
    char mac[sizeof "00:00:00:00:00:00"]; /* For 'pair'. */
    const char *described;                /* What a transaction has done ... */
    const char *paired;                   /* ... or NULL. */
};

static void told(struct svec *, const char *name, const char *format, ...)
    OVS_PRINTF_FORMAT(3, 4);

/* Adds the line 'format' about the port 'name'. */
static void
told(struct svec *lines, const char *name, const char *format, ...)
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
        char *old = node->value ? xen_txn_read(txn, "%s", node->path) : NULL;

        if (old) {
            xen_txn_set_perms(txn, node->path, &perms);
        } else if (node->value) {
            xen_txn_write(txn, node->value, "%s", node->path);
        }
        free(old);
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
write_base(struct xen_txn *txn, unsigned int doms)
{
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    char *ask = xen_txn_read(txn, "/local/domain/%u/doms/ask", doms);

    if (!ask && !txn->error) {
        xen_keys_base(&nodes, doms);
        xen_txn_apply(txn, &nodes);
    }
    xen_nodes_destroy(&nodes);
    free(ask);
}

static void
write_port(struct xen_txn *txn, void *w_)
{
    struct port_work *w = w_;

    w->described = w->paired = NULL;
    write_base(txn, w->pair.doms);
    describe(txn, w);
    if (w->pair.guest && !shash_find(&w->work->ports->closing, w->back)) {
        join(txn, w);
    }
}

/* Brings one port to where its file wants it. */
static void
run_port(struct work *work, const struct ctl_request *wish)
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
        told(&pass->problems, wish->name,
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
        told(&pass->problems, wish->name, "xenstore cannot be written: %s",
             ovs_strerror(error));
        return;
    }
    if (w.described) {
        told(&pass->done, wish->name, "%s (domain %u)", w.described,
             w.pair.doms);
    }
    if (w.paired) {
        told(&pass->done, wish->name, "%s %s (domain %u), device %u", w.paired,
             w.domain, w.pair.guest, w.pair.handle);
    }
}

/* What nobody wants any more. */

/* A pair to be taken away. */
struct leftover {
    unsigned int doms;         /* The domid of DomS, or 0. */
    unsigned int guest;        /* The guest's. */
    unsigned int handle;       /* Its device's number. */
    char front[XEN_PATH_SIZE]; /* The front's directory. */
    char back[XEN_PATH_SIZE];  /* The backend's, if 'doms'. */
    bool guest_gone;           /* Is there no such guest? */
    bool time_over;            /* Has it had its time? */
    bool removed;              /* Has the transaction removed it? */
    bool began;                /* Has it begun to close it? */
};

/* Removes the directory 'format' if nothing is left in it. */
static void remove_if_empty(struct xen_txn *, const char *format, ...)
    OVS_PRINTF_FORMAT(2, 3);

static void
remove_if_empty(struct xen_txn *txn, const char *format, ...)
{
    va_list args;
    unsigned int n;
    char *path, **names;

    va_start(args, format);
    path = xvasprintf(format, args);
    va_end(args);
    names = xen_txn_list(txn, &n, "%s", path);
    if (names && !n) {
        xen_txn_remove(txn, "%s", path);
    }
    free(names);
    free(path);
}

/* Sets 'online' to 0, or, if both ends have parted, takes the pair away. */
static void
part(struct xen_txn *txn, void *l_)
{
    struct leftover *l = l_;
    bool back_there = false;
    uint64_t state = 0;

    l->removed = l->began = false;
    if (l->doms) {
        char *online = xen_txn_read(txn, "%s/online", l->back);

        back_there = online != NULL;
        if (online && strcmp(online, "0") && !l->guest_gone) {
            xen_txn_write(txn, "0", "%s/online", l->back);
            l->began = true;
        }
        free(online);
        xen_txn_read_number(txn, &state, "%s/state", l->back);
    }
    /* From 3 to 5, DomS may use the guest's pages. */
    if (back_there && state >= INITIALISED && state <= CLOSING
        && !l->guest_gone && !l->time_over) {
        return;
    }
    l->removed = true;
    if (!l->guest_gone) {
        xen_txn_remove(txn, "%s", l->front);
        remove_if_empty(txn, "/local/domain/%u/device/%s", l->guest,
                        DOMS_XS_CLASS);
    }
    if (l->doms) {
        xen_txn_remove(txn, "%s", l->back);
        remove_if_empty(txn, "/local/domain/%u/backend/%s/%u", l->doms,
                        DOMS_XS_CLASS, l->guest);
    }
}

/* Takes the pair of device 'handle' of the domain 'guest' away, a step at a
 * time. */
static void
run_leftover(struct work *work, unsigned int guest, unsigned int handle)
{
    struct xen_pass *pass = work->pass;
    struct shash *closing = &work->ports->closing;
    const char *name = xen_domains_name(&work->domains, guest);
    struct leftover l = { .doms = pass->doms,
                          .guest = guest,
                          .handle = handle,
                          .guest_gone = !name };
    long long int *until;
    int error;

    xen_path_front(l.front, guest, handle);
    xen_path_back(l.back, l.doms, guest, handle);
    until = shash_find_data(closing, l.back);
    l.time_over = until && time_msec() >= *until;
    error = xen_store_transact(work->ports->xs, part, &l);
    if (error) {
        told(&pass->problems, l.back, "cannot be taken away: %s",
             ovs_strerror(error));
    } else if (!l.removed) {
        pass->pending = true;
        if (!until) {
            until = xmalloc(sizeof *until);
            *until = time_msec() + XEN_CLOSE_MS;
            shash_add(closing, l.back, until);
        }
        if (l.began) {
            told(&pass->done, name, "asked to let go of device %u", handle);
        }
    } else {
        if (name) {
            told(&pass->done, name, "device %u taken away%s", handle,
                 l.time_over ? ", though it has not parted in time" : "");
        } else {
            told(&pass->done, l.back, "removed; domain %u has gone", guest);
        }
        free(shash_find_and_delete(closing, l.back));
    }
}

/* Returns whether a file wants device 'handle' of the domain 'guest', or may
 * want it, since it cannot be understood. */
static bool
is_wanted(const struct work *work, unsigned int guest, unsigned int handle)
{
    const char *domain = xen_domains_name(&work->domains, guest);
    char name[DOMS_NAME_SIZE + 16];

    if (!domain) {
        return false;
    }
    if (handle) {
        snprintf(name, sizeof name, "%.*s.%u", DOMS_NAME_SIZE, domain, handle);
    } else {
        snprintf(name, sizeof name, "%.*s", DOMS_NAME_SIZE, domain);
    }
    return xen_files_find(&work->files, name)
           || shash_find(&work->files.broken, name);
}

/* Calls run_leftover() for each device below 'format' that is not wanted, or
 * is already being closed. */
static void run_leftovers(struct work *, unsigned int guest,
                          const char *format, ...) OVS_PRINTF_FORMAT(3, 4);

static void
run_leftovers(struct work *work, unsigned int guest, const char *format, ...)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
    char *dir, **handles;
    unsigned int n;
    va_list args;

    va_start(args, format);
    dir = xvasprintf(format, args);
    va_end(args);
    handles = xen_txn_list(&txn, &n, "%s", dir);
    for (unsigned int i = 0; i < n; i++) {
        char back[XEN_PATH_SIZE];
        unsigned int handle;

        if (ctl_parse_uint(handles[i], 0, UINT32_MAX, &handle)) {
            continue;
        }
        xen_path_back(back, work->pass->doms, guest, handle);
        if (!is_wanted(work, guest, handle)
            || shash_find(&work->ports->closing, back)) {
            run_leftover(work, guest, handle);
        }
    }
    free(handles);
    free(dir);
}

/* Takes away the pairs that nobody wants. */
static void
run_all_leftovers(struct work *work)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
    unsigned int doms = work->pass->doms;
    unsigned int n, guest;
    char **guests;

    for (size_t i = 0; i < work->domains.n; i++) {
        guest = work->domains.domains[i].id;
        run_leftovers(work, guest, "/local/domain/%u/device/%s", guest,
                      DOMS_XS_CLASS);
    }
    if (!doms) {
        return;
    }
    guests = xen_txn_list(&txn, &n, "/local/domain/%u/backend/%s", doms,
                          DOMS_XS_CLASS);
    for (unsigned int i = 0; i < n; i++) {
        if (!ctl_parse_uint(guests[i], 1, XEN_DOMID_MAX, &guest)) {
            run_leftovers(work, guest, "/local/domain/%u/backend/%s/%u", doms,
                          DOMS_XS_CLASS, guest);
        }
    }
    free(guests);
}

/* Returns whether a pair of the port 'name' is still being closed. */
static bool
is_closing(const struct work *work, const char *name)
{
    char domain[DOMS_NAME_SIZE], back[XEN_PATH_SIZE];
    unsigned int handle;

    if (!xen_name_split(name, domain, &handle)) {
        return false;
    }
    xen_path_back(back, work->pass->doms,
                  xen_domains_find(&work->domains, domain), handle);
    return shash_find(&work->ports->closing, back) != NULL;
}

/* Takes away the descriptions that no file stands for. */
static void
run_old_descriptions(struct work *work)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
    unsigned int doms = work->pass->doms;
    unsigned int n = 0;
    char **names = NULL;

    if (doms) {
        names = xen_txn_list(&txn, &n, "/local/domain/%u/doms/port", doms);
    }
    for (unsigned int i = 0; i < n; i++) {
        char name[DOMS_NAME_SIZE];

        xen_name_from_node(name, names[i]);
        if (!xen_files_find(&work->files, name)
            && !shash_find(&work->files.broken, name)
            && !is_closing(work, name)) {
            xen_txn_remove(&txn, "/local/domain/%u/doms/port/%s", doms,
                           names[i]);
            told(&work->pass->done, name, "description removed");
        }
    }
    if (txn.error) {
        told(&work->pass->problems, "xenstore", "cannot be written: %s",
             ovs_strerror(txn.error));
    }
    free(names);
}

/* Forgets the closing of what has gone with its domain. */
static void
forget_closed(struct work *work)
{
    struct shash_node *node;

    SHASH_FOR_EACH_SAFE(node, &work->ports->closing)
    {
        struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
        char *state = xen_txn_read(&txn, "%s/online", node->name);

        if (!state) {
            free(node->data);
            shash_delete(&work->ports->closing, node);
        }
        free(state);
    }
}

/* Tells DomS that it knows of all ports: one that it has from an earlier life
 * and that is not among them is to go. */
static void
tell_complete(struct work *work)
{
    struct xen_txn txn = { .xs = work->ports->xs, .id = XBT_NULL };
    unsigned int doms = work->pass->doms;
    char *complete;

    /* What a file that cannot be understood describes is not known. */
    if (!doms || work->pass->problems.n) {
        return;
    }
    complete = xen_txn_read(&txn, "/local/domain/%u/doms/complete", doms);
    if (!complete) {
        write_base(&txn, doms);
        xen_txn_write(&txn, "1", "/local/domain/%u/doms/complete", doms);
    }
    free(complete);
}

void
xen_ports_init(struct xen_ports *ports, struct xs_handle *xs, const char *dir,
               const char *domain)
{
    *ports = (struct xen_ports){ .xs = xs, .dir = dir, .domain = domain };
    shash_init(&ports->closing);
}

void
xen_ports_destroy(struct xen_ports *ports)
{
    shash_destroy_free_data(&ports->closing);
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
    struct work work = { .ports = ports, .pass = pass };
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
        pass->n_ports = work.files.n;
        for (size_t i = 0; i < work.files.n; i++) {
            run_port(&work, &work.files.requests[i]);
        }
        tell_complete(&work);
        forget_closed(&work);
        run_all_leftovers(&work);
        run_old_descriptions(&work);
        xen_domains_destroy(&work.domains);
    }
    xen_files_destroy(&work.files);
    return error;
}
