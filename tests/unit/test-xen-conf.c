/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of tools/xen-conf.h: what doms.conf means, and what is said when it is
 * wrong.
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

#include "config/port-request.h"
#include "tools/xen-conf.h"

static struct xen_conf conf;
static char why[PORT_REQUEST_WHY_SIZE];

static int
parse(const char *text)
{
    FILE *stream = fmemopen((char *) text, strlen(text), "r");
    int error;

    xen_conf_init(&conf);
    why[0] = '\0';
    error = xen_conf_parse(&conf, stream, "doms.conf", why, sizeof why);
    fclose(stream);
    return error;
}

static void
refuses(const char *text, const char *part)
{
    assert_int_equal(parse(text), EINVAL);
    if (!strstr(why, part)) {
        fail_msg("'%s' does not say '%s'", why, part);
    }
}

static void
test_defaults_are_those_of_the_man_page(void **state)
{
    (void) state;
    assert_int_equal(parse("\n# nothing\n"), 0);
    assert_string_equal(conf.domain, "doms");
    assert_string_equal(conf.config, "/etc/doms/doms.cfg");
    assert_string_equal(conf.xl, "");
    assert_int_equal(conf.start_timeout_ms, 60000);
    assert_int_equal(conf.hang_timeout_ms, 3000);
    assert_int_equal(conf.backoff_min_ms, 1000);
    assert_int_equal(conf.backoff_max_ms, 60000);
    assert_int_equal(conf.stable_ms, 10000);
    assert_int_equal(conf.restart_limit, 12);
    assert_int_equal(conf.restart_window_ms, 600000);
}

static void
test_keys_are_read_with_blanks_and_comments(void **state)
{
    (void) state;
    assert_int_equal(parse("domain=switch\n  config = /x/y z.cfg  # there\n"
                           "hang_timeout_ms=2000\nrestart_limit = 0"),
                     0);
    assert_string_equal(conf.domain, "switch");
    assert_string_equal(conf.config, "/x/y z.cfg");
    assert_int_equal(conf.hang_timeout_ms, 2000);
    assert_int_equal(conf.restart_limit, 0);
}

static void
test_seconds_become_milliseconds(void **state)
{
    (void) state;
    assert_int_equal(parse("start_timeout_s=3600\nrestart_window_s=86400\n"
                           "backoff_max_s=2\n"),
                     0);
    assert_int_equal(conf.start_timeout_ms, 3600000);
    assert_int_equal(conf.restart_window_ms, 86400000);
    assert_int_equal(conf.backoff_max_ms, 2000);
}

static void
test_a_longest_pause_below_the_first_is_raised(void **state)
{
    (void) state;
    assert_int_equal(parse("backoff_min_ms=5000\nbackoff_max_s=1\n"), 0);
    assert_int_equal(conf.backoff_max_ms, 5000);
}

static void
test_mistakes_are_told_with_their_line_and_remedy(void **state)
{
    char text[600];

    (void) state;
    refuses("\nhang_timeout\n", "doms.conf:2: 'hang_timeout' has no '='");
    refuses("hang_timeout_ms=1000\n", "from 1500 to");
    refuses("hang_timeout_ms=3s\n", "'3s' is not a number");
    refuses("restart_limit=65\n", "from 0 to 64");
    refuses("restart_limit=-1\n", "from 0 to 64");
    refuses("domian=x\n", "did you mean 'domain'?");
    refuses("zzzzzz=x\n", "doms-watchdog(8)");
    refuses("domain=\n", "give 1 to 255 characters");
    snprintf(text, sizeof text, "config=%0300d\n", 0);
    refuses(text, "give 1 to 255 characters");
}

static void
test_no_file_is_no_error_and_another_folder_is_kept_to(void **state)
{
    char dir[] = "/tmp/test-xen-conf.XXXXXX";
    char *problem = NULL;

    (void) state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(xen_conf_read(&conf, dir, &problem), 0);
    assert_memory_equal(conf.config, dir, strlen(dir));
    assert_string_equal(conf.config + strlen(dir), "/doms.cfg");
    assert_int_equal(remove(dir), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_of_the_man_page),
        cmocka_unit_test(test_keys_are_read_with_blanks_and_comments),
        cmocka_unit_test(test_seconds_become_milliseconds),
        cmocka_unit_test(test_a_longest_pause_below_the_first_is_raised),
        cmocka_unit_test(test_mistakes_are_told_with_their_line_and_remedy),
        cmocka_unit_test(
            test_no_file_is_no_error_and_another_folder_is_kept_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
