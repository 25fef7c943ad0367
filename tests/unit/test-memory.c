/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a VM's memory: what is refused, and what is found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>

#include "guestfront/setter/memory.h"

static uint8_t host[8192];
static struct memory m;
static char why[120];

static int
add(uint64_t guest, uint64_t user, uint64_t size, uint8_t *at)
{
    struct memory_region r = {
        .guest = guest, .user = user, .size = size, .host = at
    };

    return memory_add(&m, &r, why, sizeof why);
}

static int
begin(void **state)
{
    (void) state;
    m.n = 0;
    return add(0x1000, 0x1000, 4096, host) || add(0x2000, 0x3000, 4096, host);
}

static void
test_overlaps_are_refused(void **state)
{
    (void) state;
    assert_int_equal(add(0x1fff, 0x10000, 1, host), EINVAL);
    assert_int_equal(add(0, 0x10000, 0x1001, host), EINVAL);
    assert_int_equal(add(0, 0x10000, 0x10000, host), EINVAL);
    assert_int_equal(add(0x1800, 0x10000, 16, host), EINVAL);
    assert_int_equal(add(0x10000, 0x1800, 16, host), EINVAL);
    assert_string_equal(why, "memory regions 0 and 2 overlap");
    assert_int_equal(m.n, 2);
    assert_int_equal(add(0, 0, 0x1000, host), 0);
}

static void
test_regions_that_cannot_be_are_refused(void **state)
{
    (void) state;
    assert_int_equal(add(0x10000, 0x10000, 0, host), EINVAL);
    assert_int_equal(add(0x10000, 0x10000, 16, NULL), EINVAL);
    assert_int_equal(add(UINT64_MAX - 14, 0x10000, 16, host), EINVAL);
    assert_int_equal(add(0x10000, UINT64_MAX - 14, 16, host), EINVAL);
    assert_int_equal(add(0x10000, 0x10000, UINT64_MAX, host), EINVAL);
    for (int i = 2; i < MEMORY_MAX_REGIONS; i++) {
        assert_int_equal(add(i * 0x10000, i * 0x10000, 16, host), 0);
    }
    assert_int_equal(add(0x900000, 0x900000, 16, host), ENOSPC);
}

static void
test_only_what_is_there_is_found(void **state)
{
    const struct memory_region *hint = &m.regions[0];

    (void) state;
    assert_ptr_equal(memory_at(&m, &hint, 0x1000, 4096), host);
    assert_ptr_equal(memory_at(&m, &hint, 0x1fff, 1), host + 4095);
    assert_null(memory_at(&m, &hint, 0x1fff, 2));
    assert_null(memory_at(&m, &hint, 0xfff, 1));
    assert_null(memory_at(&m, &hint, 0x3000, 1));
    assert_null(memory_at(&m, &hint, UINT64_MAX, 1));
    assert_null(memory_at(&m, &hint, 0x1000, UINT64_MAX));
    assert_ptr_equal(memory_at(&m, &hint, 0x2010, 16), host + 16);
    assert_ptr_equal(hint, &m.regions[1]);
    /* The hint stays right when a look-up has failed. */
    assert_null(memory_at(&m, &hint, 0x9000, 1));
    assert_ptr_equal(memory_at(&m, &hint, 0x1000, 1), host);
}

static void
test_host_ranges(void **state)
{
    (void) state;
    assert_true(memory_has_host_range(&m, host, 4096));
    assert_true(memory_has_host_range(&m, host + 4095, 1));
    assert_false(memory_has_host_range(&m, host + 1, 4096));
    assert_false(memory_has_host_range(&m, host + 4096, 1));
    assert_false(memory_has_host_range(&m, NULL, 1));
    assert_false(memory_has_host_range(&m, host, UINT64_MAX));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_overlaps_are_refused, begin),
        cmocka_unit_test_setup(test_regions_that_cannot_be_are_refused, begin),
        cmocka_unit_test_setup(test_only_what_is_there_is_found, begin),
        cmocka_unit_test_setup(test_host_ranges, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
