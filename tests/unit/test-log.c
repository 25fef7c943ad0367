/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs log, and how much of it others can cause.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guestfront/program/log.h"

/* Has stderr go to a file, which it returns; '*old' is what stderr was. */
static FILE *
divert(int *old)
{
    FILE *file = tmpfile();

    assert_non_null(file);
    log_open("test");
    fflush(stderr);
    *old = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    return file;
}

/* Takes divert() back.  What was logged can be read from 'file'. */
static void
restore(FILE *file, int old)
{
    dup2(old, STDERR_FILENO);
    close(old);
    rewind(file);
}

static void
test_who_causes_many_lines_gets_few(void **state)
{
    struct log_limit loud = { 0 }, quiet = { 0 };
    unsigned int n_loud = 0, n_quiet = 0;
    char line[600];
    FILE *file;
    int old;

    (void) state;
    file = divert(&old);
    for (int i = 0; i < 100000; i++) {
        log_limited(&loud, "loud", "line %d", i);
    }
    log_limited(&quiet, "quiet", "%s", "line");
    restore(file, old);
    while (fgets(line, sizeof line, file)) {
        n_loud += !strncmp(line, "test: loud: ", 12);
        n_quiet += !strcmp(line, "test: quiet: line\n");
    }
    fclose(file);
    /* One more for each second that this took, and the one about the others. */
    assert_in_range(n_loud, LOG_LIMIT_LINES, 2 * LOG_LIMIT_LINES);
    assert_int_equal(n_quiet, 1);
    assert_true(loud.left_out > 0);
}

static void
test_lines_that_were_left_out_are_told_of(void **state)
{
    struct log_limit limit = { .left_out = 7 };
    char line[600];
    FILE *file;
    int old;

    (void) state;
    file = divert(&old);
    log_limited(&limit, "x", "again");
    restore(file, old);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "test: x: 7 lines were left out\n");
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "test: x: again\n");
    fclose(file);
    assert_int_equal(limit.left_out, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_causes_many_lines_gets_few),
        cmocka_unit_test(test_lines_that_were_left_out_are_told_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
