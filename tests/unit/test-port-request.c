/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of config/port-request.h: what doms-ctl makes of a user's words, and what
 * it says when they are wrong.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/port-request.h"

#define MAX_WORDS 32

static struct port_request r;
static char why[PORT_REQUEST_WHY_SIZE];

/* Parses the words that spaces separate in 'line'. */
static int
parse(const char *line)
{
    char copy[1024], *words[MAX_WORDS], *save = NULL;
    int n = 0;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &save); word && n < MAX_WORDS;
         word = strtok_r(NULL, " ", &save)) {
        words[n++] = word;
    }
    why[0] = '\0';
    return port_request_parse(&r, n, words, why, sizeof why);
}

static void
accepts(const char *line)
{
    int error = parse(line);

    if (error) {
        fail_msg("'%s': %s", line, why);
    }
    assert_string_equal(why, "");
}

/* Checks that 'line' is refused with one line about 'field' that has 'remedy'
 * in it. */
static void
refuses(const char *line, const char *field, const char *remedy)
{
    assert_int_equal(parse(line), EINVAL);
    if (strncmp(why, field, strlen(field))) {
        fail_msg("'%s': '%s' does not start with '%s'", line, why, field);
    }
    if (!strstr(why, remedy)) {
        fail_msg("'%s': '%s' does not say '%s'", line, why, remedy);
    }
    assert_null(strchr(why, '\n'));
    assert_true(strlen(why) < sizeof why - 1);
}

/* Requests. */

static void
a_name_alone_leaves_all_to_the_switch(void **state)
{
    (void) state;
    accepts("g1");
    assert_string_equal(r.name, "g1");
    assert_string_equal(r.bridge, "");
    assert_false(r.has_mac);
    assert_int_equal(r.mtu, 0);
    assert_int_equal(r.queues, 0);
    assert_int_equal(r.arena, 0);
    assert_int_equal(r.tag, -1);
    assert_int_equal(r.n_trunks, 0);
    assert_int_equal(r.rate, 0);
    assert_string_equal(r.iface_id, "");
}

static void
every_word_is_taken_in_any_order(void **state)
{
    static const uint8_t mac[6] = { 0x02, 0, 0, 0, 0xab, 0xcd };

    (void) state;
    accepts("g1 rate=100M iface-id=vm-1/eth0 tag=10 arena=1M queues=4 "
            "mtu=9000 mac=02:00:00:00:AB:cd bridge=br-int");
    assert_string_equal(r.bridge, "br-int");
    assert_true(r.has_mac);
    assert_memory_equal(r.mac, mac, sizeof mac);
    assert_int_equal(r.mtu, 9000);
    assert_int_equal(r.queues, 4);
    assert_int_equal(r.arena, 1048576);
    assert_int_equal(r.tag, 10);
    assert_int_equal(r.rate, 100000000);
    assert_string_equal(r.iface_id, "vm-1/eth0");
}

static void
the_name_must_be_a_guests(void **state)
{
    char line[128];

    (void) state;
    refuses("", "name:", "name the guest");
    refuses("-g", "name:", "letter or a digit");
    refuses("a/b", "name:", "letters, digits");
    refuses("bridge=br0", "name:", "letters, digits");
    memset(line, 'n', 63);
    line[63] = '\0';
    accepts(line);
    assert_string_equal(r.name, line);
    strcpy(&line[63], "n");
    refuses(line, "name:", "1 to 63");
}

static void
unknown_words_are_refused_with_the_nearest(void **state)
{
    (void) state;
    refuses("g queue=2", "'queue'", "did you mean 'queues='");
    refuses("g brigde=br0", "'brigde'", "did you mean 'bridge='");
    refuses("g trunk=1", "'trunk'", "did you mean 'trunks='");
    refuses("g iface_id=x", "'iface_id'", "did you mean 'iface-id='");
    refuses("g colour=red", "'colour'", "the words are bridge=");
    refuses("g h", "'h'", "the words are");
    refuses("g =1", "''", "the words are");
    refuses("g MTU=1500", "'MTU'", "the words are");
}

static void
repeated_and_empty_words_are_refused(void **state)
{
    (void) state;
    refuses("g mtu=1500 mtu=1500", "mtu:", "leave one out");
    refuses("g tag=1 bridge=b tag=2", "tag:", "leave one out");
    refuses("g mtu", "mtu:", "mtu=1500");
    refuses("g mtu=", "mtu:", "mtu=1500");
    refuses("g iface-id=", "iface-id:", "iface-id=vm1");
}

/* Values. */

static void
mac_must_be_of_one_interface(void **state)
{
    (void) state;
    accepts("g mac=fe:ff:ff:ff:ff:ff");
    refuses("g mac=01:00:5e:00:00:01", "mac:", "multicast");
    refuses("g mac=ff:ff:ff:ff:ff:ff", "mac:", "even first byte");
    refuses("g mac=00:00:00:00:00:00", "mac:", "zero");
    refuses("g mac=02:00:00:00:00", "mac:", "02:00:00:00:00:01");
    refuses("g mac=02:00:00:00:00:001", "mac:", "six pairs");
    refuses("g mac=02-00-00-00-00-01", "mac:", "six pairs");
    refuses("g mac=02:00:00:00:00:0g", "mac:", "six pairs");
    refuses("g mac=+2:00:00:00:00:01", "mac:", "six pairs");
    refuses("g mac=02:00:00:00:00:01:02", "mac:", "six pairs");
}

static void
numbers_must_be_in_range(void **state)
{
    (void) state;
    accepts("g mtu=576");
    accepts("g mtu=9216");
    refuses("g mtu=575", "mtu:", "576 to 9216");
    refuses("g mtu=9217", "mtu:", "576 to 9216");
    refuses("g mtu=-1500", "mtu:", "not a number");
    refuses("g mtu=0x600", "mtu:", "not a number");
    refuses("g mtu=1500x", "mtu:", "not a number");
    refuses("g mtu=4294968796", "mtu:", "out of range");
    refuses("g mtu=18446744073709553116", "mtu:", "out of range");
    accepts("g queues=1");
    accepts("g queues=16");
    refuses("g queues=0", "queues:", "1 to 16");
    refuses("g queues=17", "queues:", "1 to 16");
    accepts("g tag=0");
    assert_int_equal(r.tag, 0);
    accepts("g tag=4095");
    refuses("g tag=4096", "tag:", "0 to 4095");
}

static void
arena_is_a_power_of_2_from_128_kib_to_4_mib(void **state)
{
    (void) state;
    accepts("g arena=131072");
    assert_int_equal(r.arena, 131072);
    accepts("g arena=512k");
    assert_int_equal(r.arena, 524288);
    accepts("g arena=4M");
    assert_int_equal(r.arena, 4194304);
    refuses("g arena=64K", "arena:", "128K to 4M");
    refuses("g arena=8M", "arena:", "128K to 4M");
    refuses("g arena=3M", "arena:", "power of 2");
    refuses("g arena=1G", "arena:", "power of 2");
    refuses("g arena=1MB", "arena:", "power of 2");
    refuses("g arena=K", "arena:", "power of 2");
    refuses("g arena=4294967296", "arena:", "power of 2");
    refuses("g arena=4194304K", "arena:", "power of 2");
}

static void
trunks_are_numbers_and_ranges(void **state)
{
    (void) state;
    accepts("g trunks=1,2,5-7");
    assert_int_equal(r.n_trunks, 5);
    assert_true(port_request_has_trunk(&r, 1));
    assert_true(port_request_has_trunk(&r, 2));
    assert_false(port_request_has_trunk(&r, 3));
    assert_true(port_request_has_trunk(&r, 5));
    assert_true(port_request_has_trunk(&r, 7));
    assert_false(port_request_has_trunk(&r, 8));
    accepts("g trunks=0-4095,7");
    assert_int_equal(r.n_trunks, 4096);
    accepts("g trunks=3,3,3-3");
    assert_int_equal(r.n_trunks, 1);
    refuses("g trunks=4096", "trunks:", "0 to 4095");
    refuses("g trunks=7-5", "trunks:", "1,2,5-7");
    refuses("g trunks=1,", "trunks:", "1,2,5-7");
    refuses("g trunks=,1", "trunks:", "1,2,5-7");
    refuses("g trunks=1-", "trunks:", "1,2,5-7");
    refuses("g trunks=1;2", "trunks:", "1,2,5-7");
    refuses("g trunks=00000000001", "trunks:", "1,2,5-7");
    refuses("g tag=1 trunks=2", "trunks:", "leave one out");
}

static void
rate_has_decimal_units(void **state)
{
    (void) state;
    accepts("g rate=8000");
    assert_int_equal(r.rate, 8000);
    accepts("g rate=8k");
    assert_int_equal(r.rate, 8000);
    accepts("g rate=100M");
    assert_int_equal(r.rate, 100000000);
    accepts("g rate=10G");
    assert_true(r.rate == UINT64_C(10000000000));
    accepts("g rate=4000g");
    assert_true(r.rate == PORT_REQUEST_RATE_MAX);
    refuses("g rate=7999", "rate:", "8k to 4000G");
    refuses("g rate=4001G", "rate:", "8k to 4000G");
    refuses("g rate=0", "rate:", "8k to 4000G");
    refuses("g rate=1.5G", "rate:", "whole number");
    refuses("g rate=M", "rate:", "whole number");
    refuses("g rate=10Mbit", "rate:", "whole number");
    refuses("g rate=99999999999G", "rate:", "8k to 4000G");
}

static void
long_values_are_refused_whole(void **state)
{
    char line[700] = "g iface-id=";
    size_t n = strlen(line);

    (void) state;
    memset(&line[n], 'i', PORT_REQUEST_IFACE_ID_SIZE - 1);
    accepts(line);
    assert_string_equal(r.iface_id, &line[n]);
    memset(&line[n], 'i', PORT_REQUEST_IFACE_ID_SIZE);
    refuses(line, "iface-id:", "at most 255");
    memset(&line[n], 'i', 600);
    refuses(line, "iface-id:", "at most 255");
    memcpy(&line[2], "bridge=bb", 9);
    refuses(line, "bridge:", "list-br");
    line[1] = 'n';
    refuses(line, "name:", "1 to 63");
    refuses("g iface-id=\xc3\xa4", "iface-id:", "ASCII");
    refuses("g iface-id=a\tb", "iface-id:", "ASCII");
}

/* Files. */

static int
parse_text(const char *text, struct port_request **requests, size_t *n)
{
    FILE *stream = fmemopen((void *) text, strlen(text), "r");
    int error = port_request_parse_file(stream, "guests", requests, n, why,
                                        sizeof why);

    fclose(stream);
    return error;
}

static void
a_file_asks_for_a_guest_a_line(void **state)
{
    struct port_request *requests;
    size_t n;

    (void) state;
    assert_int_equal(parse_text("# guests\n"
                                "\n"
                                "g1 tag=5 # the first\n"
                                " \t \n"
                                "\tg2\tmtu=9000\r\n"
                                "g3",
                                &requests, &n),
                     0);
    assert_int_equal(n, 3);
    assert_string_equal(requests[0].name, "g1");
    assert_int_equal(requests[0].tag, 5);
    assert_int_equal(requests[0].line, 3);
    assert_string_equal(requests[1].name, "g2");
    assert_int_equal(requests[1].mtu, 9000);
    assert_int_equal(requests[1].line, 5);
    assert_string_equal(requests[2].name, "g3");
    assert_int_equal(requests[2].line, 6);
    free(requests);
}

static void
a_file_may_ask_for_nothing(void **state)
{
    struct port_request *requests;
    size_t n;

    (void) state;
    assert_int_equal(parse_text("# nothing\n", &requests, &n), 0);
    assert_int_equal(n, 0);
    free(requests);
}

static void
a_files_first_error_names_its_line(void **state)
{
    struct port_request *requests;
    size_t n;

    (void) state;
    assert_int_equal(parse_text("g1\n\ng2 mtu=1\ng3 mtu=2\n", &requests, &n),
                     EINVAL);
    assert_null(requests);
    assert_int_equal(n, 0);
    assert_non_null(strstr(why, "guests:3: mtu:"));
}

static void
a_line_with_too_many_words_is_refused(void **state)
{
    struct port_request *requests;
    size_t n;

    (void) state;
    assert_int_equal(parse_text("g mtu=1500 tag=1 rate=1M bridge=b queues=1 "
                                "arena=1M mac=02:00:00:00:00:01 iface-id=i "
                                "mtu=1500 tag=1 rate=1M\n",
                                &requests, &n),
                     EINVAL);
    assert_non_null(strstr(why, "guests:1: mtu: named twice"));
}

static void
a_file_of_a_thousand_guests_is_taken(void **state)
{
    char *text = malloc(64 * 1024), *p = text;
    struct port_request *requests;
    size_t n;

    (void) state;
    for (int i = 0; i < 1000; i++) {
        p += sprintf(p, "guest-%d tag=%d\n", i, i);
    }
    assert_int_equal(parse_text(text, &requests, &n), 0);
    assert_int_equal(n, 1000);
    assert_string_equal(requests[999].name, "guest-999");
    assert_int_equal(requests[999].tag, 999);
    free(requests);
    free(text);
}

/* Helpers. */

static void
nearest_forgives_typing_errors_only(void **state)
{
    static const char *const names[] = { "attach", "detach", "list", "top" };

    (void) state;
    assert_string_equal(port_request_nearest("atach", names, 4), "attach");
    assert_string_equal(port_request_nearest("detahc", names, 4), "detach");
    assert_string_equal(port_request_nearest("lst", names, 4), "list");
    assert_string_equal(port_request_nearest("de", names, 4), "detach");
    assert_null(port_request_nearest("remove", names, 4));
    assert_null(port_request_nearest("x", names, 4));
    assert_null(port_request_nearest("", names, 4));
    assert_null(port_request_nearest("list", names, 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_alone_leaves_all_to_the_switch),
        cmocka_unit_test(every_word_is_taken_in_any_order),
        cmocka_unit_test(the_name_must_be_a_guests),
        cmocka_unit_test(unknown_words_are_refused_with_the_nearest),
        cmocka_unit_test(repeated_and_empty_words_are_refused),
        cmocka_unit_test(mac_must_be_of_one_interface),
        cmocka_unit_test(numbers_must_be_in_range),
        cmocka_unit_test(arena_is_a_power_of_2_from_128_kib_to_4_mib),
        cmocka_unit_test(trunks_are_numbers_and_ranges),
        cmocka_unit_test(rate_has_decimal_units),
        cmocka_unit_test(long_values_are_refused_whole),
        cmocka_unit_test(a_file_asks_for_a_guest_a_line),
        cmocka_unit_test(a_file_may_ask_for_nothing),
        cmocka_unit_test(a_files_first_error_names_its_line),
        cmocka_unit_test(a_line_with_too_many_words_is_refused),
        cmocka_unit_test(a_file_of_a_thousand_guests_is_taken),
        cmocka_unit_test(nearest_forgives_typing_errors_only),
    };

    return cmocka_run_group_tests_name("port-request", tests, NULL, NULL);
}
