/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/dom0-link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xengnttab.h>

#include "common/channel.h"
#include "common/xenbus.h"
#include "doms/channel.h"
#include "doms/port-maker.h"
#include "doms/status.h"
#include "doms/xenstore.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "sset.h"
#include "timeval.h"
#include "config/port-request.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_dom0_link);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(30, 60);

/* Directories, in the switch's own domain's. */
#define PORTS "doms/port" /* What Dom0 describes. */
#define ASK "doms"        /* Where Dom0 asks. */
#define TELL "data/doms"  /* Where the switch answers. */

/* How often the heart beats. */
#define HEARTBEAT_MS 250

/* Words of a description are these keys. */
static const char *const words[] = { "bridge", "mac",    "mtu",
                                     "tag",    "trunks", "queues",
                                     "arena",  "rate",   "iface-id" };

/* The descriptions to be read, by guest's name; all of them if 'read_all'. */
static struct sset touched = SSET_INITIALIZER(&touched);
static bool read_all;

/* The ports that are described; the data are what has last been told of each:
 * its serial if it was done, or its problem. */
static struct shash described = SHASH_INITIALIZER(&described);

static bool asked;    /* Has "doms/ask" changed? */
static bool complete; /* Has "doms/complete" changed? */

/* The page that Dom0 maps. */
static struct doms_health *heart;
static long long int next_beat;

/* The heart. */

static void
heart_open(void)
{
    xengntshr_handle *xgs = xengntshr_open(NULL, 0);
    uint32_t ref;

    heart = xgs ? xengntshr_share_pages(xgs, 0, 1, &ref, 0) : NULL;
    if (!heart) {
        VLOG_ERR("cannot share a page with Dom0 (%s): doms-watchdog cannot "
                 "tell whether the switch lives; load xen-gntalloc in DomS",
                 ovs_strerror(errno));
        if (xgs) {
            xengntshr_close(xgs);
        }
        return;
    }
    heart->version = DOMS_ABI_VERSION;
    heart->epoch = doms_switch_epoch();
    heart->state = DOMS_STATE_UP;
    heart->heartbeat = time_msec();
    DOMS_STORE_RELEASE(&heart->magic, DOMS_ABI_MAGIC);
    xenstore_write_uint(TELL, "heartbeat", ref);
}

static void
heart_beat(void)
{
    if (heart && time_msec() >= next_beat) {
        next_beat = time_msec() + HEARTBEAT_MS;
        DOMS_WRITE_ONCE(heart->heartbeat, (uint64_t) time_msec());
    }
}

/* Names in xenstore.  A path there has no '.', and a guest's name has no '@',
 * which stands for it. */

static char *
name_to_node(const char *name)
{
    char *node = xstrdup(name);

    for (char *p = node; (p = strchr(p, '.')); p++) {
        *p = '@';
    }
    return node;
}

static char *
name_from_node(const char *node)
{
    char *name = xstrdup(node);

    for (char *p = name; (p = strchr(p, '@')); p++) {
        *p = '.';
    }
    return name;
}

/* Descriptions. */

/* Makes 'request' of the words of guest 'name' that have been read into 'ops'.
 * Returns true, or false and a 'why'. */
static bool
parse_words(const struct xenstore_op ops[], const char *name,
            struct port_request *request, char why[PORT_REQUEST_WHY_SIZE])
{
    char *argv[ARRAY_SIZE(words) + 1];
    int argc = 0;
    bool ok;

    argv[argc++] = xstrdup(name);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (!ops[i].error) {
            argv[argc++] = xasprintf("%s=%s", words[i], ops[i].value);
        }
    }
    ok = !port_request_parse(request, argc, argv, why, PORT_REQUEST_WHY_SIZE);
    while (argc) {
        free(argv[--argc]);
    }
    return ok;
}

/* Tells Dom0 how the port of guest 'name' is, of which the description with
 * 'serial' has been applied, or, with a 'problem', cannot be. */
static void
tell_status(const char *name, const char *serial, const char *problem)
{
    struct json *status = problem ? NULL : doms_status_get(name);
    char *node = name_to_node(name);
    char *key = xasprintf("status/%s", node);
    char *text;

    if (!status) {
        status = json_object_create();
        json_object_put_string(status, "name", name);
        json_object_put_string(status, "state", "error");
        json_object_put_string(status, "reason",
                               problem ? problem
                                       : "the port has gone; see domsd's log");
    }
    json_object_put_string(status, "serial", serial);
    text = json_to_string(status, JSSF_SORT);
    xenstore_write(TELL, key, text);
    json_destroy(status);
    free(text);
    free(key);
    free(node);
}

/* Reads the description of guest 'name', which has changed. */
static void
read_description(const char *name)
{
    char *node = name_to_node(name);
    char *dir = xasprintf(PORTS "/%s", node);
    struct xenstore_batch batch = { .n = 0 };
    char why[PORT_REQUEST_WHY_SIZE];
    struct port_request request;
    const char *serial, *vm_uuid;

    /* The serial first: Dom0 writes it last, so that words that change
     * meanwhile are read again. */
    xenstore_batch_read(&batch, dir, "serial");
    xenstore_batch_read(&batch, dir, "vm-uuid");
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        xenstore_batch_read(&batch, dir, words[i]);
    }
    xenstore_batch_run(&batch);
    serial = batch.ops[0].value;
    vm_uuid = batch.ops[1].value;
    if (serial) {
        if (!shash_find(&described, name)) {
            shash_add(&described, name, NULL);
        }
        if (parse_words(&batch.ops[2], name, &request, why)) {
            port_maker_want(&request, vm_uuid, serial);
        } else {
            VLOG_WARN_RL(&rl, "port of guest %s: %s", name, why);
            tell_status(name, serial, why);
        }
    } else if (shash_find(&described, name)) {
        char *status = xasprintf(TELL "/status/%s", node);

        free(shash_find_and_delete(&described, name));
        port_maker_drop(name);
        xenstore_remove(status);
        free(status);
    }
    xenstore_batch_clear(&batch);
    free(dir);
    free(node);
}

/* Reads all descriptions, and those that are no more. */
static void
read_descriptions(void)
{
    struct shash_node *node;
    size_t n;
    char **names = xenstore_list(PORTS, &n);

    for (size_t i = 0; i < n; i++) {
        sset_add_and_free(&touched, name_from_node(names[i]));
    }
    free(names);
    SHASH_FOR_EACH (node, &described) {
        sset_add(&touched, node->name);
    }
}

/* Tells of those ports whose making has ended since. */
static void
tell_made(void)
{
    struct shash_node *node;

    SHASH_FOR_EACH (node, &described) {
        const char *serial, *problem;
        enum port_maker_state state = port_maker_state(node->name, &serial,
                                                       &problem);
        const char *news = problem ? problem : serial;

        if ((state == PORT_MAKER_DONE || state == PORT_MAKER_FAILED)
            && (!node->data || strcmp(node->data, news))) {
            free(node->data);
            node->data = xstrdup(news);
            tell_status(node->name, serial, problem);
        }
    }
}

/* Answers Dom0's question how all ports are. */
static void
answer(void)
{
    struct shash_node *node;
    uint64_t number;

    if (xenstore_read_uint(&number, UINT64_MAX, ASK, "ask")) {
        return;
    }
    SHASH_FOR_EACH (node, &described) {
        const char *serial, *problem;
        enum port_maker_state state = port_maker_state(node->name, &serial,
                                                       &problem);

        if (state == PORT_MAKER_DONE || state == PORT_MAKER_FAILED) {
            tell_status(node->name, serial, problem);
        }
    }
    xenstore_write_uint(TELL, "answered", number);
}

/* Opens the link. */
void
dom0_link_open(void)
{
    xenstore_remove(TELL "/status"); /* Of an earlier life, if any. */
    xenstore_write_uint(TELL, "version", DOMS_XENBUS_VERSION);
    heart_open();
    xenstore_watch("doms", "d");
}

/* Takes note that something has changed at 'path'. */
void
dom0_link_event(const char *path)
{
    if (!strcmp(path, ASK "/ask")) {
        asked = true;
    } else if (!strcmp(path, ASK "/complete")) {
        complete = true;
    } else if (strncmp(path, PORTS "/", strlen(PORTS "/"))) {
        read_all = asked = complete = true; /* The lot of it. */
    } else {
        const char *node = path + strlen(PORTS "/");
        size_t length = strcspn(node, "/");

        /* The other words are written before the serial. */
        if (!node[length] || !strcmp(node + length, "/serial")) {
            char *name = xmemdup0(node, length);

            sset_add_and_free(&touched, name_from_node(name));
            free(name);
        }
    }
}

void
dom0_link_run(void)
{
    const char *name;

    heart_beat();
    if (read_all) {
        read_all = false;
        read_descriptions();
    }
    SSET_FOR_EACH_SAFE(name, &touched)
    {
        read_description(name);
        sset_delete(&touched, SSET_NODE_FROM_NAME(name));
    }
    if (complete) {
        uint64_t value;

        complete = false;
        if (!xenstore_read_uint(&value, 1, ASK, "complete") && value) {
            port_maker_prune();
        }
    }
    if (port_maker_run()) {
        tell_made();
    }
    if (asked) {
        asked = false;
        answer();
    }
}

void
dom0_link_wait(void)
{
    port_maker_wait();
    if (heart) {
        poll_timer_wait_until(next_beat);
    }
}
