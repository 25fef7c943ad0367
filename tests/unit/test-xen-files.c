/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of tools/xen-files.h: ports as files.
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
#include <unistd.h>

#include <cmocka.h>

#include "tools/xen-files.h"

static char dir[64];

static int
set_up(void **state)
{
    char *why = NULL;
    int lock;

    (void) state;
    strcpy(dir, "/tmp/test-xen-files.XXXXXX");
    assert_non_null(mkdtemp(dir));
    lock = xen_files_lock(dir, &why);
    assert_true(lock >= 0);
    close(lock);
    return 0;
}

static int
tear_down(void **state)
{
    char command[128];

    (void) state;
    snprintf(command, sizeof command, "rm -r -- '%s'", dir);
    return system(command);
}

/* Writes 'text' to the file of the port 'name'. */
static void
put(const char *name, const char *text)
{
    char path[256];
    FILE *stream;

    snprintf(path, sizeof path, "%s/ports/%s", dir, name);
    stream = fopen(path, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

static struct port_request
request_of(const char *text)
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
    return request;
}

static void
test_what_is_written_is_read_again(void **state)
{
    struct port_request r = request_of("web1.1 bridge=br0 tag=10 rate=8M "
                                       "mac=02:00:00:00:00:01 mtu=9000 "
                                       "queues=2 arena=128K iface-id=x");
    const struct port_request *found;
    struct xen_files files;
    char *why = NULL;

    (void) state;
    assert_int_equal(xen_files_write(dir, &r, &why), 0);
    assert_int_equal(xen_files_read(dir, &files), 0);
    assert_int_equal(files.n, 1);
    assert_true(shash_is_empty(&files.broken));
    found = xen_files_find(&files, "web1.1");
    assert_non_null(found);
    r.line = found->line;
    assert_memory_equal(found, &r, sizeof r);
    xen_files_destroy(&files);

    assert_int_equal(xen_files_remove(dir, "web1.1", &why), 0);
    assert_int_equal(xen_files_remove(dir, "web1.1", &why), 0);
    assert_int_equal(xen_files_read(dir, &files), 0);
    assert_int_equal(files.n, 0);
    xen_files_destroy(&files);
}

static void
test_they_are_sorted_and_others_are_left_out(void **state)
{
    struct xen_files files;

    (void) state;
    put("web2", "# a comment\nweb2 tag=1 # and another\n");
    put("web1", "web1\n");
    put(".web3.new", "half of");
    put("web4~", "web4\n");
    put("#web5#", "web5\n");
    assert_int_equal(xen_files_read(dir, &files), 0);
    assert_int_equal(files.n, 2);
    assert_string_equal(files.requests[0].name, "web1");
    assert_string_equal(files.requests[1].name, "web2");
    assert_false(files.requests[0].has_mac);
    assert_true(shash_is_empty(&files.broken));
    xen_files_destroy(&files);
}

static void
is_broken(const char *name, const char *text, const char *part)
{
    struct xen_files files;
    const char *why;

    put(name, text);
    assert_int_equal(xen_files_read(dir, &files), 0);
    assert_int_equal(files.n, 0);
    why = shash_find_data(&files.broken, name);
    assert_non_null(why);
    if (!strstr(why, part)) {
        fail_msg("'%s' does not say '%s'", why, part);
    }
    xen_files_destroy(&files);
}

static void
test_a_file_that_cannot_be_understood_says_why(void **state)
{
    (void) state;
    is_broken("web1", "web1 tga=1\n", "did you mean 'tag='?");
    is_broken("web1", "web2 tag=1\n", "is named as the port");
    is_broken("web1", "web1\nweb2\n", "describes 2 ports");
    is_broken("web1", "", "describes 0 ports");
    is_broken("web1", "web1 mtu=1\n", "mtu");
}

static void
test_no_folder_is_no_file(void **state)
{
    struct xen_files files;

    (void) state;
    assert_int_equal(xen_files_read("/nowhere/at/all", &files), 0);
    assert_int_equal(files.n, 0);
    xen_files_destroy(&files);
}

static void
test_a_folder_that_cannot_be_made_is_told_with_its_remedy(void **state)
{
    char path[256], *why = NULL;

    (void) state;
    put("web1", "web1\n");
    snprintf(path, sizeof path, "%s/ports/web1", dir);
    assert_true(xen_files_lock(path, &why) < 0);
    assert_non_null(strstr(why, "--config-dir"));
    free(why);
}

int
main(void)
{
#define TEST(FUNCTION)                                                        \
    cmocka_unit_test_setup_teardown(FUNCTION, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_written_is_read_again),
        TEST(test_they_are_sorted_and_others_are_left_out),
        TEST(test_a_file_that_cannot_be_understood_says_why),
        TEST(test_no_folder_is_no_file),
        TEST(test_a_folder_that_cannot_be_made_is_told_with_its_remedy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
