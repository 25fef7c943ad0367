/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of eventfds that are not one's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guestfront/setter/caller.h"

static struct caller caller;

static int
begin(void **state)
{
    (void) state;
    /* Who waits for ever is ended. */
    alarm(20);
    return caller_init(&caller);
}

static int
end(void **state)
{
    (void) state;
    alarm(0);
    caller_destroy(&caller);
    return 0;
}

static void
test_each_of_many_calls_counts(void **state)
{
    int fd = eventfd(0, 0);
    uint64_t count;

    (void) state;
    for (int i = 0; i < 10000; i++) {
        assert_true(caller_call(&caller, fd));
    }
    assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    assert_int_equal(count, 10000);
    close(fd);
}

static void
test_a_full_eventfd_is_not_waited_for(void **state)
{
    uint64_t count = UINT64_MAX - 1;
    int fd = eventfd(0, 0);

    (void) state;
    assert_int_equal(write(fd, &count, sizeof count), sizeof count);
    for (int i = 0; i < 1000; i++) {
        caller_call(&caller, fd);
    }
    /* Nor does it stand in the way of others. */
    close(fd);
    fd = eventfd(0, 0);
    assert_true(caller_call(&caller, fd));
    assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
    close(fd);
}

static void
test_what_is_no_eventfd_is_not_called(void **state)
{
    int fds[2];

    (void) state;
    assert_int_equal(pipe(fds), 0);
    assert_false(caller_call(&caller, fds[1]));
    close(fds[0]);
    close(fds[1]);
    assert_false(caller_call(&caller, fds[1]));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_of_many_calls_counts, begin,
                                        end),
        cmocka_unit_test_setup_teardown(test_a_full_eventfd_is_not_waited_for,
                                        begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_no_eventfd_is_not_called,
                                        begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
