/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of common/socket-msg.c: what is a message and what is not, and by
 * which words a wrong one is told.  test-socket-io.c sends them over a socket.
 */
#include "socket-msg-make.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Fails unless 'msg' of 'n' bytes is called 'error' for the reason 'want', of
 * which '*' at the end stands for anything. */
static void
check(const struct doms_msg *msg, size_t n, int error, const char *want)
{
    char why[100] = "none";
    size_t len = strlen(want);

    assert_int_equal(doms_msg_check(msg, n, why, sizeof why), error);
    if (len && want[len - 1] == '*') {
        why[len - 1] = '*';
        why[len] = '\0';
    }
    assert_string_equal(why, want);
}

/* The same for a message of its type's size that is malformed. */
static void
check_bad(const struct doms_msg *msg, const char *want)
{
    check(msg, doms_msg_size(msg->h.type), EPROTO, want);
}

/* The same for one that is right. */
static void
check_ok(const struct doms_msg *msg)
{
    check(msg, doms_msg_size(msg->h.type), 0, "none");
}

/* Names and addresses. */

static void
names_are_1_to_63_plain_characters(void **state)
{
    static const char *good[] = { "a",       "Z",      "0",   "guest-1",
                                  "a.b_c-d", "9lives", "x--", "a.." };
    static const char *bad[] = { "",    "-a",      "_a",   ".a",
                                 "..",  "a b",     "a/b",  " a",
                                 "a\n", "a\t",     "a:b",  "a\x7f",
                                 "a%s", "caf\xe9", "\xe9", "a\xc3\xa9",
                                 "a'b", "a,b",     "a=b",  "a\\" };
    char name[66];

    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(doms_name_is_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(doms_name_is_valid(bad[i]));
    }
    memset(name, 'a', sizeof name);
    name[63] = '\0';
    assert_true(doms_name_is_valid(name));
    name[63] = 'a';
    name[64] = '\0';
    assert_false(doms_name_is_valid(name));
}

static void
every_byte_in_a_name_is_judged(void **state)
{
    (void) state;
    for (int c = 1; c < 256; c++) {
        char name[3] = { 'a', c, '\0' };
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
                  || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'
                  || c == '.';

        assert_int_equal(doms_name_is_valid(name), ok);
    }
}

static void
mac_is_neither_zero_nor_a_group_address(void **state)
{
    static const uint8_t zero[6], one[6] = { 0, 0, 0, 0, 0, 1 },
                                  group[6] = { 1, 0, 0x5e, 0, 0, 1 },
                                  all[6] = { 255, 255, 255, 255, 255, 255 };

    (void) state;
    assert_false(doms_mac_is_valid(zero));
    assert_true(doms_mac_is_valid(one));
    assert_true(doms_mac_is_valid(guest_mac));
    assert_false(doms_mac_is_valid(group));
    assert_false(doms_mac_is_valid(all));
}

static void
mac_in_text_is_six_pairs_of_hex_digits(void **state)
{
    static const char *bad[] = {
        "",
        "02:00:00:00:00",
        "02:00:00:00:00:0",
        "02:00:00:00:00:001",
        "02:00:00:00:00:01 ",
        " 2:00:00:00:00:01",
        "02:00:00:00:00: 1",
        "02:00:00:00:00:+1",
        "-2:00:00:00:00:01",
        "0x:00:00:00:00:01",
        "02-00-00-00-00-01",
        "02:00:00:00:00;01",
        "020:0:00:00:00:01",
        "02:00:00:00:00:0g",
        "02:00:00:00:00:01:02",
        "00:00:00:00:00:00",
        "01:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
    };
    static const uint8_t want[6] = { 0x02, 0xab, 0xcd, 0xef, 0x01, 0x9f };
    uint8_t mac[6];

    (void) state;
    assert_true(doms_mac_from_string("02:ab:CD:eF:01:9f", mac));
    assert_memory_equal(mac, want, sizeof mac);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (doms_mac_from_string(bad[i], mac)) {
            fail_msg("'%s' was taken", bad[i]);
        }
    }
}

/* Checks. */

static void
sizes_are_those_of_the_protocol(void **state)
{
    (void) state;
    assert_int_equal(doms_msg_size(DOMS_MSG_HELLO), 96);
    assert_int_equal(doms_msg_size(DOMS_MSG_WELCOME), 40);
    assert_int_equal(doms_msg_size(DOMS_MSG_READY), 8);
    assert_int_equal(doms_msg_size(DOMS_MSG_CONFIG), 20);
    assert_int_equal(doms_msg_size(DOMS_MSG_REFUSE), 172);
    for (uint32_t type = 0; type <= 0xffff; type++) {
        assert_int_equal(doms_msg_size(type) != 0, type >= 1 && type <= 5);
    }
}

static void
legal_messages_pass_and_any_other_size_fails(void **state)
{
    struct doms_msg msg;

    (void) state;
    for (int type = DOMS_MSG_HELLO; type <= DOMS_MSG_REFUSE; type++) {
        make(&msg, type);
        check_ok(&msg);
        for (size_t n = 0; n <= sizeof msg + 1; n++) {
            if (n < sizeof msg.h) {
                check(&msg, n, EPROTO, "not a message of the socket door");
            } else if (n != doms_msg_size(type)) {
                check(&msg, n, EPROTO, "size: type *");
            }
        }
    }
    make(&msg, DOMS_MSG_READY);
    check(&msg, 9, EPROTO, "size: type 3 has 8 bytes, not 9");
}

static void
wrong_magic_version_or_type_is_named(void **state)
{
    struct doms_msg msg;

    (void) state;
    make(&msg, DOMS_MSG_HELLO);
    msg.h.magic++;
    check_bad(&msg, "not a message of the socket door");
    make(&msg, DOMS_MSG_HELLO);
    msg.h.version = 2;
    check(&msg, doms_msg_size(msg.h.type), EPROTONOSUPPORT,
          "version: peer has 2, this side 1");
    /* Another version may have other sizes and types. */
    check(&msg, sizeof msg + 1, EPROTONOSUPPORT, "version: *");
    msg.h.type = 99;
    check(&msg, sizeof msg.h, EPROTONOSUPPORT, "version: *");
    make(&msg, DOMS_MSG_READY);
    msg.h.type = 6;
    check(&msg, 8, EPROTO, "type: 6 is unknown");
    msg.h.type = 0;
    check(&msg, 8, EPROTO, "type: 0 is unknown");
}

static void
reason_is_cut_to_the_room_for_it(void **state)
{
    struct doms_msg msg;
    char why[8] = "1234567";

    (void) state;
    make(&msg, DOMS_MSG_HELLO);
    msg.u.hello.n_queues = 0;
    assert_int_equal(doms_msg_check(&msg, doms_msg_size(msg.h.type), why, 5),
                     EPROTO);
    assert_string_equal(why, "queu");
    assert_int_equal(why[5], '6');
}

#define HELLO_BAD(STATEMENT, WHY)                                             \
    do {                                                                      \
        struct doms_msg msg;                                                  \
        struct doms_msg_hello *h;                                             \
                                                                              \
        make(&msg, DOMS_MSG_HELLO);                                           \
        h = &msg.u.hello;                                                     \
        STATEMENT;                                                            \
        check_bad(&msg, WHY);                                                 \
    } while (0)

static void
each_wrong_field_of_hello_is_named(void **state)
{
    (void) state;
    HELLO_BAD(h->name[0] = '\0', "name: *");
    HELLO_BAD(strcpy(h->name, "a b"), "name: *");
    HELLO_BAD(memset(h->name, 'a', sizeof h->name),
              "name: must be 1 to 63 letters, digits, '_', '-' or '.'");
    HELLO_BAD(h->n_queues = 0, "queues: must be 1 to 16");
    HELLO_BAD(h->n_queues = 17, "queues: must be 1 to 16");
    HELLO_BAD(h->arena_size = 1, "arena: *");
    HELLO_BAD(h->arena_size = 64 * 1024, "arena: *");
    HELLO_BAD(h->arena_size = 300 * 1024, "arena: *");
    HELLO_BAD(h->arena_size = 8 * 1024 * 1024,
              "arena: must be a power of 2 from 128 KiB to 4 MiB");
    HELLO_BAD(h->mac[0] = 1, "mac: must not be a group address");
    HELLO_BAD(h->reserved = 1, "reserved fields: must be zero");
    HELLO_BAD(h->reserved2[0] = 1, "reserved fields: must be zero");
    HELLO_BAD(h->reserved2[1] = 1, "reserved fields: must be zero");
}

static void
hello_may_leave_arena_and_mac_to_the_switch(void **state)
{
    struct doms_msg msg;

    (void) state;
    make(&msg, DOMS_MSG_HELLO);
    msg.u.hello.arena_size = 0;
    memset(msg.u.hello.mac, 0, 6);
    /* Features of the future are not in force, but no fault. */
    msg.u.hello.features = UINT64_MAX;
    msg.u.hello.n_queues = 16;
    memset(msg.u.hello.name, 'a', 63);
    check_ok(&msg);
    msg.u.hello.arena_size = 4 * 1024 * 1024;
    memcpy(msg.u.hello.mac, guest_mac, 6);
    check_ok(&msg);
}

#define WELCOME_BAD(STATEMENT, WHY)                                           \
    do {                                                                      \
        struct doms_msg msg;                                                  \
        struct doms_msg_welcome *w;                                           \
                                                                              \
        make(&msg, DOMS_MSG_WELCOME);                                         \
        w = &msg.u.welcome;                                                   \
        STATEMENT;                                                            \
        check_bad(&msg, WHY);                                                 \
    } while (0)

static void
each_wrong_field_of_welcome_is_named(void **state)
{
    (void) state;
    WELCOME_BAD(w->n_queues = 0, "geometry: *");
    WELCOME_BAD(w->n_queues = 17, "geometry: *");
    WELCOME_BAD(w->arena_size = 0, "geometry: *");
    WELCOME_BAD(w->arena_size = 3 << 18, "geometry: *");
    WELCOME_BAD(w->features = 1 << 3, "features: unknown bits");
    WELCOME_BAD(w->features = UINT64_C(1) << 63, "features: unknown bits");
    WELCOME_BAD(w->n_fds = 0, "file descriptors: wrong number");
    WELCOME_BAD(w->n_fds = 3, "file descriptors: wrong number");
    WELCOME_BAD(w->features |= DOMS_F_DOORBELL,
                "file descriptors: wrong number");
    WELCOME_BAD(w->config.mac[0] = 1, "mac: *");
    WELCOME_BAD(w->config.mtu = 0, "mtu: *");
    WELCOME_BAD(w->config.link_up = 2, "link: *");
}

static void
each_wrong_field_of_config_is_named(void **state)
{
    struct doms_msg msg;

    (void) state;
    for (uint32_t mtu = 0; mtu <= 0xffff; mtu++) {
        make(&msg, DOMS_MSG_CONFIG);
        msg.u.config.mtu = mtu;
        if (mtu >= 576 && mtu <= 9216) {
            check_ok(&msg);
        } else {
            check_bad(&msg, "mtu: must be 576 to 9216");
        }
    }
    make(&msg, DOMS_MSG_CONFIG);
    memset(msg.u.config.mac, 0, 6);
    check_bad(&msg, "mac: must be the address of one interface");
    make(&msg, DOMS_MSG_CONFIG);
    msg.u.config.link_up = 0;
    check_ok(&msg);
    msg.u.config.link_up = UINT32_MAX;
    check_bad(&msg, "link: must be 0 or 1");
}

static void
each_wrong_field_of_refuse_is_named(void **state)
{
    struct doms_msg msg;

    (void) state;
    make(&msg, DOMS_MSG_REFUSE);
    memset(msg.u.refuse.reason, 'a', sizeof msg.u.refuse.reason);
    check_bad(&msg, "reason: not terminated");
    msg.u.refuse.reason[DOMS_REASON_SIZE - 1] = '\0';
    check_ok(&msg);
    /* 0 would look like success, and errno values end at 4095. */
    msg.u.refuse.error = 0;
    check_bad(&msg, "error: must be 1 to 4095");
    msg.u.refuse.error = 4096;
    check_bad(&msg, "error: must be 1 to 4095");
    msg.u.refuse.error = 4095;
    check_ok(&msg);
    /* What the guest shows on a terminal cannot control it. */
    strcpy(msg.u.refuse.reason, "a\x1b[2J");
    check_bad(&msg, "reason: not printable");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_1_to_63_plain_characters),
        cmocka_unit_test(every_byte_in_a_name_is_judged),
        cmocka_unit_test(mac_is_neither_zero_nor_a_group_address),
        cmocka_unit_test(mac_in_text_is_six_pairs_of_hex_digits),
        cmocka_unit_test(sizes_are_those_of_the_protocol),
        cmocka_unit_test(legal_messages_pass_and_any_other_size_fails),
        cmocka_unit_test(wrong_magic_version_or_type_is_named),
        cmocka_unit_test(reason_is_cut_to_the_room_for_it),
        cmocka_unit_test(each_wrong_field_of_hello_is_named),
        cmocka_unit_test(hello_may_leave_arena_and_mac_to_the_switch),
        cmocka_unit_test(each_wrong_field_of_welcome_is_named),
        cmocka_unit_test(each_wrong_field_of_config_is_named),
        cmocka_unit_test(each_wrong_field_of_refuse_is_named),
    };

    return cmocka_run_group_tests_name("socket-msg", tests, NULL, NULL);
}
