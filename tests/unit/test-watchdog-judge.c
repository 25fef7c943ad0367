/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of tools/doms-watchdog-judge.h: when the watchdog destroys and creates
 * DomS.  Time is whatever a test says.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "svec.h"
#include "tools/doms-watchdog-judge.h"

/* Milliseconds between two looks. */
#define STEP 250

static struct xen_conf conf;
static struct watch w;
static struct watch_sight sight;
static long long int now;
static char last_line[256];

static int
set_up(void **state)
{
    (void) state;
    xen_conf_init(&conf);
    watch_init(&w, &conf);
    sight = (struct watch_sight){ .can_create = true, .life = XEN_DOM_GONE };
    now = 1000000;
    last_line[0] = '\0';
    return 0;
}

static enum watch_action
run(void)
{
    struct svec log = SVEC_EMPTY_INITIALIZER;
    enum watch_action action = watch_run(&w, &sight, now, &log);

    if (log.n) {
        snprintf(last_line, sizeof last_line, "%s", log.names[log.n - 1]);
    }
    svec_destroy(&log);
    return action;
}

/* Looks for 'ms' milliseconds, while the switch beats if 'beats'.  Returns the
 * first action, 'now' being when it was wanted, or WATCH_NOTHING. */
static enum watch_action
pass(long long int ms, bool beats)
{
    for (long long int end = now + ms; now < end;) {
        enum watch_action action;

        now += STEP;
        sight.beat += beats;
        action = run();
        if (action != WATCH_NOTHING) {
            return action;
        }
    }
    return WATCH_NOTHING;
}

/* The domain 'domid' appears. */
static void
appear(unsigned int domid)
{
    sight.busy = sight.failed = false;
    sight.domid = domid;
    sight.life = XEN_DOM_LIVES;
    sight.page = sight.beat = 0;
    assert_int_equal(run(), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_BOOTING);
}

/* ... and its switch beats. */
static void
come_up(unsigned int domid)
{
    appear(domid);
    sight.page = domid;
    assert_int_equal(pass(2 * STEP, true), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_UP);
}

/* The domain goes; returns what is done about it. */
static enum watch_action
vanish(void)
{
    sight.domid = 0;
    sight.life = XEN_DOM_GONE;
    sight.page = 0;
    return run();
}

static void
test_a_domain_that_is_not_there_is_created(void **state)
{
    (void) state;
    assert_int_equal(run(), WATCH_CREATE);
    assert_int_equal(w.state, WATCH_CREATING);
    sight.busy = true;
    assert_int_equal(pass(10000, false), WATCH_NOTHING);
    come_up(1);
    assert_int_equal(w.n_restarts, 0);
    assert_int_equal(w.last_outage, -1);
}

static void
test_without_a_configuration_nothing_is_created(void **state)
{
    (void) state;
    sight.can_create = false;
    assert_int_equal(pass(100000, false), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_ABSENT);
    sight.can_create = true;
    assert_int_equal(run(), WATCH_CREATE);
}

static void
test_one_that_runs_is_taken_over(void **state)
{
    (void) state;
    come_up(4);
    assert_int_equal(pass(1000000, true), WATCH_NOTHING);
    assert_int_equal(w.n_restarts, 0);
}

static void
test_a_dead_one_is_created_anew_at_once(void **state)
{
    (void) state;
    come_up(4);
    assert_int_equal(vanish(), WATCH_CREATE);
    assert_string_equal(w.reason, "DomS (domain 4) has gone");
    assert_string_equal(last_line,
                        "+0 ms: creating DomS from /etc/doms/doms.cfg");
    sight.busy = true;
    now += 2000;
    assert_int_equal(run(), WATCH_NOTHING);
    come_up(5);
    assert_int_equal(w.n_restarts, 1);
    assert_int_equal(w.last_outage, 2000 + 2 * STEP);
    assert_false(w.failing);
}

static void
test_a_crashed_one_is_destroyed_and_created(void **state)
{
    (void) state;
    come_up(4);
    sight.life = XEN_DOM_CRASHED;
    assert_int_equal(run(), WATCH_DESTROY);
    assert_string_equal(w.reason, "DomS (domain 4) has crashed");
    sight.busy = true;
    assert_int_equal(run(), WATCH_NOTHING);
    sight.busy = false;
    assert_int_equal(vanish(), WATCH_CREATE);
    assert_int_equal(w.n_restarts, 1);
}

static void
test_one_that_shut_down_is_destroyed_and_created(void **state)
{
    (void) state;
    come_up(4);
    sight.life = XEN_DOM_SHUTDOWN;
    assert_int_equal(run(), WATCH_DESTROY);
    assert_int_equal(vanish(), WATCH_CREATE);
}

static void
test_one_is_not_created_while_the_last_one_dies(void **state)
{
    (void) state;
    come_up(4);
    sight.life = XEN_DOM_DYING;
    assert_int_equal(run(), WATCH_NOTHING);
    assert_int_equal(pass(1000, false), WATCH_NOTHING);
    assert_int_equal(vanish(), WATCH_CREATE);
    assert_int_equal(w.n_restarts, 1);
}

static void
test_a_zombie_is_not_waited_for_without_end(void **state)
{
    (void) state;
    come_up(4);
    sight.life = XEN_DOM_DYING;
    assert_int_equal(pass(20000, false), WATCH_CREATE);
    sight.busy = true;
    assert_int_equal(run(), WATCH_NOTHING);
    come_up(5);
}

static void
test_a_hung_one_is_destroyed_after_the_time_it_has(void **state)
{
    long long int start;

    (void) state;
    come_up(4);
    assert_int_equal(pass(60000, true), WATCH_NOTHING);
    start = now;
    assert_int_equal(pass(conf.hang_timeout_ms, false), WATCH_NOTHING);
    assert_int_equal(pass(STEP, false), WATCH_DESTROY);
    assert_int_equal(now - start, conf.hang_timeout_ms + STEP);
    sight.busy = true;
    assert_int_equal(run(), WATCH_NOTHING);
    sight.busy = false;
    assert_int_equal(vanish(), WATCH_CREATE);
    assert_int_equal(w.n_restarts, 1);
}

static void
test_one_beat_a_second_is_enough(void **state)
{
    (void) state;
    come_up(4);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pass(1000 - STEP, false), WATCH_NOTHING);
        assert_int_equal(pass(STEP, true), WATCH_NOTHING);
    }
}

static void
test_one_whose_switch_does_not_start_is_destroyed(void **state)
{
    (void) state;
    appear(4);
    assert_int_equal(pass(conf.start_timeout_ms, false), WATCH_NOTHING);
    assert_int_equal(pass(STEP, false), WATCH_DESTROY);
    assert_non_null(strstr(w.reason, "has not come up in 60000 ms"));
}

static void
test_a_page_alone_is_no_beat(void **state)
{
    (void) state;
    appear(4);
    sight.page = 1;
    assert_int_equal(pass(conf.start_timeout_ms, false), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_BOOTING);
    assert_int_equal(pass(STEP, false), WATCH_DESTROY);
}

static void
test_a_new_page_is_a_switch_that_starts(void **state)
{
    (void) state;
    come_up(4);
    assert_int_equal(pass(60000, true), WATCH_NOTHING);
    sight.page = 2;
    sight.beat = 0;
    assert_int_equal(run(), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_BOOTING);
    assert_int_equal(pass(conf.start_timeout_ms - STEP, false), WATCH_NOTHING);
    assert_int_equal(pass(STEP, true), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_UP);
    assert_int_equal(w.n_restarts, 0);
}

static void
test_page_after_page_wins_no_more_time(void **state)
{
    long long int start;

    (void) state;
    come_up(4);
    start = now;
    while (now < start + 2 * conf.start_timeout_ms) {
        sight.page++;
        if (pass(STEP, false) == WATCH_DESTROY) {
            break;
        }
    }
    assert_true(now <= start + conf.start_timeout_ms + 2 * STEP);
}

static void
test_a_page_that_went_away_is_waited_for_as_for_a_start(void **state)
{
    (void) state;
    come_up(4);
    sight.page = 0;
    assert_int_equal(pass(conf.start_timeout_ms, false), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_BOOTING);
    assert_int_equal(pass(2 * STEP, false), WATCH_DESTROY);
}

static void
test_what_the_watchdog_sleeps_is_not_held_against_doms(void **state)
{
    (void) state;
    come_up(4);
    now += 3600000;
    assert_int_equal(run(), WATCH_NOTHING);
    assert_int_equal(pass(conf.hang_timeout_ms - STEP, false), WATCH_NOTHING);
    assert_int_equal(pass(2 * STEP, false), WATCH_DESTROY);
}

/* Lets DomS live for 'life' milliseconds and die.  Returns the pause until it
 * is created, or -1 if it is not. */
static long long int
die_after(long long int life, unsigned int domid)
{
    long long int died;

    come_up(domid);
    assert_int_equal(pass(life, true), WATCH_NOTHING);
    died = now;
    if (vanish() == WATCH_CREATE) {
        return 0;
    }
    while (w.state == WATCH_PAUSE) {
        assert_true(watch_next(&w) > now);
        now = watch_next(&w);
        if (run() == WATCH_CREATE) {
            return now - died;
        }
    }
    return -1;
}

static void
test_pauses_double_up_to_the_longest(void **state)
{
    (void) state;
    conf.restart_limit = 0;
    assert_int_equal(die_after(STEP, 1), 0);
    assert_int_equal(die_after(STEP, 2), 1000);
    assert_int_equal(die_after(STEP, 3), 2000);
    assert_int_equal(die_after(STEP, 4), 4000);
    assert_int_equal(die_after(STEP, 5), 8000);
    assert_int_equal(die_after(STEP, 6), 16000);
    assert_int_equal(die_after(STEP, 7), 32000);
    assert_int_equal(die_after(STEP, 8), 60000);
    for (unsigned int domid = 9; domid < 100; domid++) {
        assert_int_equal(die_after(STEP, domid), 60000);
    }
    /* A stable life ends that. */
    assert_int_equal(die_after(conf.stable_ms, 100), 0);
    assert_int_equal(die_after(STEP, 101), 1000);
}

static void
test_stable_lives_have_no_pause_between_them(void **state)
{
    (void) state;
    for (unsigned int domid = 1; domid <= 11; domid++) {
        assert_int_equal(die_after(conf.stable_ms, domid), 0);
    }
}

static void
test_too_many_restarts_end_it_until_it_is_told_to_go_on(void **state)
{
    (void) state;
    conf.restart_limit = 5;
    for (unsigned int domid = 1; domid <= 5; domid++) {
        assert_int_equal(die_after(conf.stable_ms, domid), 0);
    }
    assert_int_equal(die_after(conf.stable_ms, 6), -1);
    assert_int_equal(w.state, WATCH_GAVE_UP);
    assert_non_null(strstr(last_line, "watchdog retry"));
    assert_int_equal(watch_next(&w), LLONG_MAX);
    assert_int_equal(pass(2 * conf.restart_window_ms, false), WATCH_NOTHING);
    watch_retry(&w);
    assert_int_equal(run(), WATCH_CREATE);
    come_up(7);
}

static void
test_restarts_of_long_ago_do_not_count(void **state)
{
    (void) state;
    conf.restart_limit = 5;
    for (unsigned int domid = 1; domid <= 200; domid++) {
        assert_int_equal(die_after(conf.restart_window_ms / 4, domid), 0);
    }
    assert_int_equal(w.n_restarts, 200);
}

static void
test_somebody_else_may_create_it_after_it_gave_up(void **state)
{
    (void) state;
    conf.restart_limit = 1;
    assert_int_equal(die_after(conf.stable_ms, 1), 0);
    assert_int_equal(die_after(conf.stable_ms, 2), -1);
    come_up(3);
}

static void
test_one_that_cannot_be_created_is_tried_again(void **state)
{
    (void) state;
    assert_int_equal(run(), WATCH_CREATE);
    sight.failed = true;
    /* The first failure has no pause. */
    assert_int_equal(run(), WATCH_CREATE);
    assert_int_equal(run(), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_PAUSE);
    now = watch_next(&w);
    assert_int_equal(run(), WATCH_CREATE);
    assert_string_equal(w.reason, "DomS could not be created");
    come_up(1);
}

static void
test_one_that_could_not_be_destroyed_is_looked_at_anew(void **state)
{
    (void) state;
    come_up(4);
    assert_int_equal(pass(2 * conf.hang_timeout_ms, false), WATCH_DESTROY);
    sight.failed = true;
    assert_int_equal(run(), WATCH_NOTHING);
    assert_int_equal(pass(conf.start_timeout_ms - STEP, false), WATCH_NOTHING);
    assert_int_equal(pass(2 * STEP, false), WATCH_DESTROY);
}

static void
test_a_domain_in_place_of_another_starts_anew(void **state)
{
    (void) state;
    come_up(4);
    sight.domid = 5;
    sight.page = 0;
    assert_int_equal(run(), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_BOOTING);
    assert_true(w.failing);
    sight.page = 9;
    assert_int_equal(pass(2 * STEP, true), WATCH_NOTHING);
    assert_int_equal(w.state, WATCH_UP);
    assert_false(w.failing);
}

int
main(void)
{
#define TEST(FUNCTION) cmocka_unit_test_setup(FUNCTION, set_up)
    const struct CMUnitTest tests[] = {
        TEST(test_a_domain_that_is_not_there_is_created),
        TEST(test_without_a_configuration_nothing_is_created),
        TEST(test_one_that_runs_is_taken_over),
        TEST(test_a_dead_one_is_created_anew_at_once),
        TEST(test_a_crashed_one_is_destroyed_and_created),
        TEST(test_one_that_shut_down_is_destroyed_and_created),
        TEST(test_one_is_not_created_while_the_last_one_dies),
        TEST(test_a_zombie_is_not_waited_for_without_end),
        TEST(test_a_hung_one_is_destroyed_after_the_time_it_has),
        TEST(test_one_beat_a_second_is_enough),
        TEST(test_one_whose_switch_does_not_start_is_destroyed),
        TEST(test_a_page_alone_is_no_beat),
        TEST(test_a_new_page_is_a_switch_that_starts),
        TEST(test_page_after_page_wins_no_more_time),
        TEST(test_a_page_that_went_away_is_waited_for_as_for_a_start),
        TEST(test_what_the_watchdog_sleeps_is_not_held_against_doms),
        TEST(test_pauses_double_up_to_the_longest),
        TEST(test_stable_lives_have_no_pause_between_them),
        TEST(test_too_many_restarts_end_it_until_it_is_told_to_go_on),
        TEST(test_restarts_of_long_ago_do_not_count),
        TEST(test_somebody_else_may_create_it_after_it_gave_up),
        TEST(test_one_that_cannot_be_created_is_tried_again),
        TEST(test_one_that_could_not_be_destroyed_is_looked_at_anew),
        TEST(test_a_domain_in_place_of_another_starts_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
