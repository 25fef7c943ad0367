/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "xen-keys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenbus.h"
#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "util.h"

/* Lists. */

/* Frees what 'nodes' holds. */
void
xen_nodes_destroy(struct xen_nodes *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        free(nodes->nodes[i].path);
        free(nodes->nodes[i].value);
    }
    free(nodes->nodes);
    memset(nodes, 0, sizeof *nodes);
}

/* Adds a node, which takes 'path' and 'value' over. */
static struct xen_node *
add_node(struct xen_nodes *nodes, char *path, char *value)
{
    struct xen_node *node;

    if (nodes->n >= nodes->allocated) {
        nodes->nodes = x2nrealloc(nodes->nodes, &nodes->allocated,
                                  sizeof *nodes->nodes);
    }
    node = &nodes->nodes[nodes->n++];
    memset(node, 0, sizeof *node);
    node->path = path;
    node->value = value;
    return node;
}

static void
add_dir(struct xen_nodes *nodes, char *path, const struct xen_perms *perms)
{
    add_node(nodes, path, NULL)->perms = *perms;
}

static void
add_key(struct xen_nodes *nodes, const char *dir, const char *key, char *value)
{
    add_node(nodes, xasprintf("%s/%s", dir, key), value);
}

/* Adds the 'n' 'keys' of 'dir', empty. */
static void
add_empty(struct xen_nodes *nodes, const char *dir, const char *const keys[],
          size_t n)
{
    for (size_t i = 0; i < n; i++) {
        add_key(nodes, dir, keys[i], xstrdup(""));
    }
}

/* Paths and permissions. */

/* Copies 'from' to 'to', with 'b' in place of each 'a'. */
static void
exchange(char to[DOMS_NAME_SIZE], const char *from, char a, char b)
{
    ovs_strlcpy(to, from, DOMS_NAME_SIZE);
    for (; *to; to++) {
        if (*to == a) {
            *to = b;
        }
    }
}

/* Makes 'node' of the port's name 'name': a path in xenstore takes no '.', and
 * a port's name no '@'. */
void
xen_name_to_node(char node[DOMS_NAME_SIZE], const char *name)
{
    exchange(node, name, '.', '@');
}

/* The reverse. */
void
xen_name_from_node(char name[DOMS_NAME_SIZE], const char *node)
{
    exchange(name, node, '@', '.');
}

/* Writes the path of the description of the port 'name' into 'path'. */
void
xen_path_description(char path[XEN_PATH_SIZE], unsigned int doms,
                     const char *name)
{
    char node[DOMS_NAME_SIZE];

    xen_name_to_node(node, name);
    snprintf(path, XEN_PATH_SIZE, "/local/domain/%u/doms/port/%s", doms, node);
}

/* Writes the path of the front's directory into 'path'. */
void
xen_path_front(char path[XEN_PATH_SIZE], unsigned int guest,
               unsigned int handle)
{
    snprintf(path, XEN_PATH_SIZE, "/local/domain/%u/device/%s/%u", guest,
             DOMS_XS_CLASS, handle);
}

/* Writes the path of the backend's directory into 'path'. */
void
xen_path_back(char path[XEN_PATH_SIZE], unsigned int doms, unsigned int guest,
              unsigned int handle)
{
    snprintf(path, XEN_PATH_SIZE, "/local/domain/%u/backend/%s/%u/%u", doms,
             DOMS_XS_CLASS, guest, handle);
}

/* Returns permissions by which Dom0 owns a node and 'reader' reads it. */
static struct xen_perms
perms_read(unsigned int reader)
{
    return (struct xen_perms){ .has_reader = true, .reader = reader };
}

struct xen_perms
xen_perms_front(const struct xen_pair *pair)
{
    return (struct xen_perms){ .owner = pair->guest,
                               .has_reader = true,
                               .reader = pair->doms };
}

/* Adds to 'nodes' the directories that every port of DomS, the domain 'doms',
 * needs. */
void
xen_keys_base(struct xen_nodes *nodes, unsigned int doms)
{
    const struct xen_perms perms = perms_read(doms);

    add_dir(nodes, xasprintf("/local/domain/%u/doms", doms), &perms);
    add_dir(nodes, xasprintf("/local/domain/%u/doms/port", doms), &perms);
    add_node(nodes, xasprintf("/local/domain/%u/doms/ask", doms),
             xstrdup("0"));
    add_dir(nodes,
            xasprintf("/local/domain/%u/backend/%s", doms, DOMS_XS_CLASS),
            &perms);
}

/* Adds the front's directory to 'nodes'. */
void
xen_keys_front(struct xen_nodes *nodes, const struct xen_pair *pair)
{
    static const char *const others[] = {
        DOMS_XS_VERSION,     DOMS_XS_QUEUES,    DOMS_XS_ARENA,
        DOMS_XS_EPOCH,       DOMS_XS_REFERENCE, DOMS_XS_FEATURE_CSUM,
        DOMS_XS_FEATURE_TSO,
    };
    const struct xen_perms parent = perms_read(pair->guest);
    const struct xen_perms perms = xen_perms_front(pair);
    char front[XEN_PATH_SIZE], back[XEN_PATH_SIZE];

    xen_path_front(front, pair->guest, pair->handle);
    xen_path_back(back, pair->doms, pair->guest, pair->handle);
    add_dir(
        nodes,
        xasprintf("/local/domain/%u/device/%s", pair->guest, DOMS_XS_CLASS),
        &parent);
    add_dir(nodes, xstrdup(front), &perms);
    add_empty(nodes, front, others, ARRAY_SIZE(others));
    add_key(nodes, front, "backend", xstrdup(back));
    add_key(nodes, front, "backend-id", xasprintf("%u", pair->doms));
    add_key(nodes, front, "handle", xasprintf("%u", pair->handle));
    add_key(nodes, front, DOMS_XS_MAC, xstrdup(pair->mac));
    add_key(nodes, front, "state", xstrdup("1"));
}

/* Adds the backend's directory to 'nodes'. */
void
xen_keys_back(struct xen_nodes *nodes, const struct xen_pair *pair)
{
    static const char *const others[] = {
        DOMS_XS_VERSION, DOMS_XS_MAX_QUEUES,   DOMS_XS_ARENA,
        DOMS_XS_MAC,     DOMS_XS_MTU,          DOMS_XS_LINK,
        DOMS_XS_ERROR,   DOMS_XS_FEATURE_CSUM, DOMS_XS_FEATURE_TSO,
    };
    const struct xen_perms parent = perms_read(pair->doms);
    const struct xen_perms perms = { .has_writer = true,
                                     .writer = pair->doms,
                                     .has_reader = true,
                                     .reader = pair->guest };
    char front[XEN_PATH_SIZE], back[XEN_PATH_SIZE];

    xen_path_front(front, pair->guest, pair->handle);
    xen_path_back(back, pair->doms, pair->guest, pair->handle);
    add_dir(nodes,
            xasprintf("/local/domain/%u/backend/%s/%u", pair->doms,
                      DOMS_XS_CLASS, pair->guest),
            &parent);
    add_dir(nodes, xstrdup(back), &perms);
    add_empty(nodes, back, others, ARRAY_SIZE(others));
    add_key(nodes, back, "frontend", xstrdup(front));
    add_key(nodes, back, "frontend-id", xasprintf("%u", pair->guest));
    add_key(nodes, back, "online", xstrdup("1"));
    add_key(nodes, back, "port", xstrdup(pair->port));
    add_key(nodes, back, "generation",
            xasprintf("%" PRIu64, pair->generation));
    add_key(nodes, back, "state", xstrdup("1"));
}

/* Words. */

/* Adds the word 'name' to 'words', unless 'value' is empty. */
void
xen_words_add(struct xen_words *words, const char *name, const char *value)
{
    if (*value && words->n < XEN_MAX_WORDS) {
        words->words[words->n++] = (struct xen_word){ name, xstrdup(value) };
    }
}

static void
add_number(struct xen_words *words, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, value);
    xen_words_add(words, name, text);
}

/* Returns the VLANs that 'r' trunks, as in "1,5-7"; the caller frees it. */
static char *
format_trunks(const struct port_request *r)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    for (unsigned int vlan = 0; vlan < PORT_REQUEST_N_VLANS; vlan++) {
        unsigned int first = vlan;

        if (!port_request_has_trunk(r, vlan)) {
            continue;
        }
        while (vlan + 1 < PORT_REQUEST_N_VLANS
               && port_request_has_trunk(r, vlan + 1)) {
            vlan++;
        }
        ds_put_format(&s, "%s%u", s.length ? "," : "", first);
        if (vlan > first) {
            ds_put_format(&s, "-%u", vlan);
        }
    }
    return ds_steal_cstr(&s);
}

/* Makes 'words' those that 'r' has, in a fixed order and notation. */
void
xen_words_from_request(struct xen_words *words, const struct port_request *r)
{
    char mac[ETH_ADDR_STRLEN + 1] = "";
    char *trunks = format_trunks(r);

    memset(words, 0, sizeof *words);
    if (r->has_mac) {
        snprintf(mac, sizeof mac, ETH_ADDR_FMT, ETH_ADDR_BYTES_ARGS(r->mac));
    }
    xen_words_add(words, "bridge", r->bridge);
    xen_words_add(words, "mac", mac);
    if (r->mtu) {
        add_number(words, "mtu", r->mtu);
    }
    if (r->queues) {
        add_number(words, "queues", r->queues);
    }
    if (r->arena) {
        add_number(words, "arena", r->arena);
    }
    if (r->tag >= 0) {
        add_number(words, "tag", r->tag);
    }
    xen_words_add(words, "trunks", trunks);
    if (r->rate) {
        add_number(words, "rate", r->rate);
    }
    xen_words_add(words, "iface-id", r->iface_id);
    free(trunks);
}

/* Returns the value of the word 'name', or NULL. */
const char *
xen_words_get(const struct xen_words *words, const char *name)
{
    for (size_t i = 0; i < words->n; i++) {
        if (!strcmp(words->words[i].name, name)) {
            return words->words[i].value;
        }
    }
    return NULL;
}

/* Frees what 'words' holds. */
void
xen_words_destroy(struct xen_words *words)
{
    for (size_t i = 0; i < words->n; i++) {
        free(words->words[i].value);
    }
    words->n = 0;
}

/* Adds the description of the port 'name' to 'nodes'. */
void
xen_keys_description(struct xen_nodes *nodes, unsigned int doms,
                     const char *name, const struct xen_words *words,
                     uint64_t serial)
{
    const struct xen_perms perms = perms_read(doms);
    char dir[XEN_PATH_SIZE];

    xen_path_description(dir, doms, name);
    add_dir(nodes, xstrdup(dir), &perms);
    for (size_t i = 0; i < words->n; i++) {
        add_key(nodes, dir, words->words[i].name,
                xstrdup(words->words[i].value));
    }
    add_key(nodes, dir, "serial", xasprintf("%" PRIu64, serial));
}

/* Splits the port's name 'name' into the name of its domain and the number of
 * its device: "web1" is device 0 of web1, and "web1.2" is device 2 of web1.
 * Returns false if 'name' cannot name a port. */
bool
xen_name_split(const char *name, char domain[DOMS_NAME_SIZE],
               unsigned int *handle)
{
    const char *dot = strrchr(name, '.');

    if (!doms_name_is_valid(name)) {
        return false;
    }
    ovs_strlcpy(domain, name, DOMS_NAME_SIZE);
    *handle = 0;
    if (dot && dot[1] != '0'
        && !port_request_parse_uint(dot + 1, 1, XEN_HANDLE_MAX, handle)) {
        domain[dot - name] = '\0';
    }
    return true;
}
