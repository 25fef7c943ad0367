/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of tools/xen-keys.h: what Dom0 writes into xenstore for a port, and
 * who may then read and write it.  docs/protocol.md has the contract.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/xen-keys.h"

static const struct xen_pair pair = {
    .doms = 7,
    .guest = 5,
    .handle = 2,
    .port = "web1.2",
    .mac = "02:00:00:00:00:01",
    .generation = UINT64_C(18446744073709551615),
};

/* Returns the node 'path' of 'nodes', which must be there once. */
static const struct xen_node *
find(const struct xen_nodes *nodes, const char *path)
{
    const struct xen_node *found = NULL;

    for (size_t i = 0; i < nodes->n; i++) {
        if (!strcmp(nodes->nodes[i].path, path)) {
            assert_null(found);
            found = &nodes->nodes[i];
        }
    }
    if (!found) {
        fail_msg("%s is missing", path);
    }
    return found;
}

static void
holds(const struct xen_nodes *nodes, const char *dir, const char *key,
      const char *value)
{
    char path[XEN_PATH_SIZE * 2];

    snprintf(path, sizeof path, "%s/%s", dir, key);
    assert_string_equal(find(nodes, path)->value, value);
}

/* Checks that all nodes below 'dir' come after it, and how many there are. */
static void
contains(const struct xen_nodes *nodes, const char *dir, size_t n)
{
    bool seen = false;
    size_t found = 0;

    for (size_t i = 0; i < nodes->n; i++) {
        const char *path = nodes->nodes[i].path;

        if (!strcmp(path, dir)) {
            seen = true;
        } else if (!strncmp(path, dir, strlen(dir))
                   && path[strlen(dir)] == '/') {
            assert_true(seen);
            found++;
        }
    }
    assert_int_equal(found, n);
}

static void
test_the_front_is_the_guests_and_doms_only_reads(void **state)
{
    static const char dir[] = "/local/domain/5/device/doms/2";
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    const struct xen_node *node;

    (void) state;
    xen_keys_front(&nodes, &pair);
    node = find(&nodes, dir);
    assert_null(node->value);
    assert_int_equal(node->perms.owner, 5);
    assert_false(node->perms.has_writer);
    assert_true(node->perms.has_reader);
    assert_int_equal(node->perms.reader, 7);

    holds(&nodes, dir, "backend", "/local/domain/7/backend/doms/5/2");
    holds(&nodes, dir, "backend-id", "7");
    holds(&nodes, dir, "handle", "2");
    holds(&nodes, dir, "mac", "02:00:00:00:00:01");
    holds(&nodes, dir, "state", "1");
    holds(&nodes, dir, "version", "");
    holds(&nodes, dir, "queues", "");
    holds(&nodes, dir, "arena", "");
    holds(&nodes, dir, "epoch", "");
    holds(&nodes, dir, "reference", "");
    holds(&nodes, dir, "feature-csum", "");
    holds(&nodes, dir, "feature-tso", "");
    contains(&nodes, dir, 12);

    /* The guest can list its devices, and make none. */
    node = find(&nodes, "/local/domain/5/device/doms");
    assert_int_equal(node->perms.owner, 0);
    assert_int_equal(node->perms.reader, 5);
    assert_false(node->perms.has_writer);
    xen_nodes_destroy(&nodes);
}

static void
test_the_backend_is_dom0s_doms_writes_and_the_guest_reads(void **state)
{
    static const char dir[] = "/local/domain/7/backend/doms/5/2";
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    const struct xen_node *node;

    (void) state;
    xen_keys_back(&nodes, &pair);
    node = find(&nodes, dir);
    assert_int_equal(node->perms.owner, 0);
    assert_true(node->perms.has_writer);
    assert_int_equal(node->perms.writer, 7);
    assert_true(node->perms.has_reader);
    assert_int_equal(node->perms.reader, 5);

    holds(&nodes, dir, "frontend", "/local/domain/5/device/doms/2");
    holds(&nodes, dir, "frontend-id", "5");
    holds(&nodes, dir, "online", "1");
    holds(&nodes, dir, "port", "web1.2");
    holds(&nodes, dir, "generation", "18446744073709551615");
    holds(&nodes, dir, "state", "1");
    holds(&nodes, dir, "version", "");
    holds(&nodes, dir, "max-queues", "");
    holds(&nodes, dir, "arena", "");
    holds(&nodes, dir, "mac", "");
    holds(&nodes, dir, "mtu", "");
    holds(&nodes, dir, "link", "");
    holds(&nodes, dir, "error", "");
    holds(&nodes, dir, "feature-csum", "");
    holds(&nodes, dir, "feature-tso", "");
    contains(&nodes, dir, 15);

    node = find(&nodes, "/local/domain/7/backend/doms/5");
    assert_int_equal(node->perms.owner, 0);
    assert_int_equal(node->perms.reader, 7);
    assert_false(node->perms.has_writer);
    xen_nodes_destroy(&nodes);
}

static void
test_only_doms_reads_its_descriptions(void **state)
{
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;

    (void) state;
    xen_keys_base(&nodes, 7);
    for (size_t i = 0; i < nodes.n; i++) {
        if (!nodes.nodes[i].value) {
            assert_int_equal(nodes.nodes[i].perms.owner, 0);
            assert_false(nodes.nodes[i].perms.has_writer);
            assert_int_equal(nodes.nodes[i].perms.reader, 7);
        }
    }
    assert_string_equal(find(&nodes, "/local/domain/7/doms/ask")->value, "0");
    xen_nodes_destroy(&nodes);
}

/* Makes 'words' those of the line 'text'. */
static void
words_of(struct xen_words *words, const char *text)
{
    char copy[512], *argv[16], *save = NULL, why[PORT_REQUEST_WHY_SIZE];
    struct port_request request;
    int n = 0;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        argv[n++] = word;
    }
    assert_int_equal(port_request_parse(&request, n, argv, why, sizeof why),
                     0);
    xen_words_from_request(words, &request);
}

static void
test_a_description_has_the_words_in_one_notation_and_serial_last(void **state)
{
    static const char dir[] = "/local/domain/7/doms/port/web1@1";
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    struct xen_words words;

    (void) state;
    words_of(&words, "web1.1 bridge=br0 mac=02:AB:00:00:00:0F mtu=9000 "
                     "queues=2 arena=1M trunks=7,1,5-6,2 rate=100M "
                     "iface-id=a/b");
    xen_words_add(&words, "vm-uuid", "0-1");
    xen_keys_description(&nodes, 7, "web1.1", &words, 42);
    holds(&nodes, dir, "bridge", "br0");
    holds(&nodes, dir, "mac", "02:ab:00:00:00:0f");
    holds(&nodes, dir, "mtu", "9000");
    holds(&nodes, dir, "queues", "2");
    holds(&nodes, dir, "arena", "1048576");
    holds(&nodes, dir, "trunks", "1-2,5-7");
    holds(&nodes, dir, "rate", "100000000");
    holds(&nodes, dir, "iface-id", "a/b");
    holds(&nodes, dir, "vm-uuid", "0-1");
    contains(&nodes, dir, 10);
    assert_string_equal(nodes.nodes[nodes.n - 1].path,
                        "/local/domain/7/doms/port/web1@1/serial");
    assert_string_equal(nodes.nodes[nodes.n - 1].value, "42");
    xen_nodes_destroy(&nodes);
    xen_words_destroy(&words);
}

static void
test_a_word_that_was_not_given_is_no_key(void **state)
{
    struct xen_nodes nodes = XEN_NODES_INITIALIZER;
    struct xen_words words;

    (void) state;
    words_of(&words, "web1 tag=0");
    assert_int_equal(words.n, 1);
    assert_string_equal(xen_words_get(&words, "tag"), "0");
    assert_null(xen_words_get(&words, "mac"));
    xen_keys_description(&nodes, 7, "web1", &words, 1);
    assert_int_equal(nodes.n, 3);
    xen_nodes_destroy(&nodes);
    xen_words_destroy(&words);
}

static void
splits(const char *name, const char *domain, unsigned int handle)
{
    char found[DOMS_NAME_SIZE];
    unsigned int number;

    assert_true(xen_name_split(name, found, &number));
    assert_string_equal(found, domain);
    assert_int_equal(number, handle);
}

static void
test_a_port_is_named_as_its_domain_and_device(void **state)
{
    char found[DOMS_NAME_SIZE];
    unsigned int number;

    (void) state;
    splits("web1", "web1", 0);
    splits("web1.1", "web1", 1);
    splits("web1.63", "web1", 63);
    splits("a.b.2", "a.b", 2);
    /* These are no numbers of devices. */
    splits("web1.64", "web1.64", 0);
    splits("web1.0", "web1.0", 0);
    splits("web1.01", "web1.01", 0);
    splits("web1.x", "web1.x", 0);
    splits("web1.", "web1.", 0);
    assert_false(xen_name_split("", found, &number));
    assert_false(xen_name_split("a b", found, &number));
    assert_false(xen_name_split(".1", found, &number));
}

static void
test_names_become_paths_and_come_back(void **state)
{
    char node[DOMS_NAME_SIZE], name[DOMS_NAME_SIZE], path[XEN_PATH_SIZE];

    (void) state;
    xen_name_to_node(node, "a.b-c_d.1");
    assert_string_equal(node, "a@b-c_d@1");
    xen_name_from_node(name, node);
    assert_string_equal(name, "a.b-c_d.1");
    xen_path_description(path, 7, "web.1");
    assert_string_equal(path, "/local/domain/7/doms/port/web@1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_front_is_the_guests_and_doms_only_reads),
        cmocka_unit_test(
            test_the_backend_is_dom0s_doms_writes_and_the_guest_reads),
        cmocka_unit_test(test_only_doms_reads_its_descriptions),
        cmocka_unit_test(
            test_a_description_has_the_words_in_one_notation_and_serial_last),
        cmocka_unit_test(test_a_word_that_was_not_given_is_no_key),
        cmocka_unit_test(test_a_port_is_named_as_its_domain_and_device),
        cmocka_unit_test(test_names_become_paths_and_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
