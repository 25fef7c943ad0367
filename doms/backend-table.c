/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a door's devices, and what is heard of them.
 */
#include <config.h>

#include "doms/backend.h"

#include <stdlib.h>
#include <string.h>

#include "doms/channel.h"
#include "doms/ports.h"
#include "doms/xenstore.h"
#include "hash.h"
#include "openvswitch/poll-loop.h"
#include "util.h"

/* Domids are less than this, and so are devices' handles. */
#define DOMID_MAX 0x7ff0
#define HANDLE_MAX 255

/* Has 'b' run. */
void
backend_table_mark(struct backend_table *table, struct backend *b)
{
    if (ovs_list_is_empty(&b->dirty_node)) {
        ovs_list_push_back(&table->dirty, &b->dirty_node);
    }
}

static void
mark_all(struct backend_table *table)
{
    struct backend *b;

    HMAP_FOR_EACH (b, node, &table->backends) {
        backend_table_mark(table, b);
    }
}

static struct backend *
find(const struct backend_table *table, unsigned int domid,
     unsigned int handle)
{
    struct backend *b;

    HMAP_FOR_EACH_WITH_HASH (b, node, hash_2words(domid, handle),
                             &table->backends) {
        if (b->domid == domid && b->handle == handle) {
            return b;
        }
    }
    return NULL;
}

/* Notes that something has changed about a device, which may be new. */
static void
touch(struct backend_table *table, unsigned int domid, unsigned int handle)
{
    struct backend *b = find(table, domid, handle);

    if (!b) {
        b = table->class->create(domid, handle);
        hmap_insert(&table->backends, &b->node, hash_2words(domid, handle));
    }
    backend_table_mark(table, b);
}

/* Runs the first device that is marked. */
static void
run_first(struct backend_table *table)
{
    struct backend *b = CONTAINER_OF(ovs_list_pop_front(&table->dirty),
                                     struct backend, dirty_node);

    ovs_list_init(&b->dirty_node);
    if (!table->class->run(b)) {
        ovs_list_remove(&b->dirty_node);
        hmap_remove(&table->backends, &b->node);
        table->class->destroy(b);
    }
}

/* Marks every device of domain 'name' that is in xenstore. */
static void
scan_domain(struct backend_table *table, const char *name)
{
    char *path = xasprintf("%s/%s", table->class->backends, name);
    size_t n;
    char **handles = xenstore_list(path, &n);
    unsigned int domid, handle;

    for (size_t i = 0; i < n; i++) {
        if (str_to_uint(name, 10, &domid) && domid < DOMID_MAX
            && str_to_uint(handles[i], 10, &handle) && handle <= HANDLE_MAX) {
            touch(table, domid, handle);
        }
    }
    free(handles);
    free(path);
}

static void
scan(struct backend_table *table)
{
    size_t n;
    char **domids = xenstore_list(table->class->backends, &n);

    for (size_t i = 0; i < n; i++) {
        scan_domain(table, domids[i]);
    }
    free(domids);
}

/* Returns true if 'key', which begins with '/' if it is not empty, is another
 * domain's: the switch's own writes come back as events, too. */
static bool
is_others_key(const struct backend_table *table, const char *key)
{
    return !key[0] || !strcmp(key, "/online")
           || !strcmp(key + 1, table->class->key);
}

static void
back_event(struct backend_table *table, const char *path)
{
    size_t length = strlen(table->class->backends);
    unsigned int domid, handle;
    int n = 0;

    if (strncmp(path, table->class->backends, length)
        || !ovs_scan(path + length, "/%u/%u%n", &domid, &handle, &n)) {
        /* A domain's directory, or the lot of them. */
        mark_all(table);
        scan(table);
    } else if (domid < DOMID_MAX && handle <= HANDLE_MAX
               && is_others_key(table, path + length + n)) {
        touch(table, domid, handle);
    }
}

/* Takes note that something has changed at 'path', if 'token' is one of the
 * table's.  Returns true if it is. */
bool
backend_table_event(struct backend_table *table, const char *path,
                    const char *token)
{
    size_t length = strlen(table->class->front_token);
    unsigned int domid, handle;
    struct backend *b;

    if (!strcmp(token, table->class->token)) {
        back_event(table, path);
        return true;
    }
    if (strncmp(token, table->class->front_token, length)
        || !ovs_scan(token + length, "/%u/%u", &domid, &handle)) {
        return false;
    }
    b = find(table, domid, handle);
    if (b) {
        backend_table_mark(table, b);
    }
    return true;
}

/* Begins to listen, and marks the devices that there are. */
void
backend_table_open(struct backend_table *table)
{
    xenstore_watch(table->class->backends, table->class->token);
    /* The watch's first event may come when the main thread has begun with
     * the bridges, which takes longer. */
    scan(table);
}

/* Runs up to 'max' of the devices that are marked. */
void
backend_table_run(struct backend_table *table, size_t max)
{
    uint64_t seq = doms_ports_seq();

    if (seq != table->last_seq) {
        table->last_seq = seq;
        mark_all(table);
    }
    for (size_t i = 0; i < max && !backend_table_is_clean(table); i++) {
        run_first(table);
    }
}

/* Has poll_block() wake up when backend_table_run() has something to do. */
void
backend_table_wait(const struct backend_table *table)
{
    doms_ports_seq_wait(table->last_seq);
    if (!backend_table_is_clean(table)) {
        poll_immediate_wake();
    }
}

/* The port of 'ch' has changed. */
void
backend_table_port_changed(struct backend_table *table,
                           struct doms_channel *ch)
{
    if (ch->door_aux) {
        backend_table_mark(table, ch->door_aux);
        doms_ports_wake();
    }
}

/* The port has taken 'ch' from the device that it belongs to, if it still
 * does. */
void
backend_table_detached(struct backend_table *table, struct doms_channel *ch)
{
    struct backend *b = ch->door_aux;

    if (b) {
        backend_forget_channel(b);
        backend_table_mark(table, b);
    }
}
