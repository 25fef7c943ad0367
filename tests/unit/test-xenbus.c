/* SPDX-License-Identifier: Apache-2.0 */
/*
 * common/xenbus.h: which directory pages the switch takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/xenbus.h"

#define EPOCH 77u

/* Fills in 'page' as a front does when 'n_left' grants are to come. */
static void
make_page(struct doms_directory *page, uint32_t n_left)
{
    page->magic = DOMS_ABI_MAGIC;
    page->epoch = EPOCH;
    page->n_refs = n_left < DOMS_DIRECTORY_REFS ? n_left : DOMS_DIRECTORY_REFS;
    page->next = n_left > DOMS_DIRECTORY_REFS ? 9 : 0;
}

static void
grants_of_a_channel_are_all_its_pages(void **state)
{
    struct doms_geometry small = { 1, DOMS_ARENA_DEFAULT };
    struct doms_geometry large = { DOMS_MAX_QUEUES, DOMS_ARENA_MAX };

    (void) state;
    assert_int_equal(doms_xenbus_n_refs(&small), 2 * (1 + 1 + 1 + 128));
    assert_int_equal(doms_xenbus_n_refs(&large),
                     2 * (1 + DOMS_MAX_QUEUES * (1 + 8 + 1024)));
    assert_int_equal(doms_xenbus_n_directory_pages(1), 1);
    assert_int_equal(doms_xenbus_n_directory_pages(DOMS_DIRECTORY_REFS), 1);
    assert_int_equal(doms_xenbus_n_directory_pages(DOMS_DIRECTORY_REFS + 1),
                     2);
}

static void
well_formed_pages_are_taken(void **state)
{
    static const uint32_t n_lefts[] = { 1, 262, DOMS_DIRECTORY_REFS,
                                        DOMS_DIRECTORY_REFS + 1, 33058 };
    struct doms_directory page;

    (void) state;
    for (size_t i = 0; i < sizeof n_lefts / sizeof n_lefts[0]; i++) {
        make_page(&page, n_lefts[i]);
        assert_int_equal(doms_directory_check(&page, EPOCH, n_lefts[i]),
                         page.n_refs);
    }
}

static void
pages_with_a_wrong_field_are_refused(void **state)
{
    struct doms_directory page;

    (void) state;
    make_page(&page, 262);
    page.magic++;
    assert_int_equal(doms_directory_check(&page, EPOCH, 262), 0);

    make_page(&page, 262);
    assert_int_equal(doms_directory_check(&page, EPOCH + 1, 262), 0);
}

static void
pages_with_another_number_of_grants_are_refused(void **state)
{
    static const uint32_t wrong[] = {
        0,         1, 261, 263, DOMS_DIRECTORY_REFS, DOMS_DIRECTORY_REFS + 1,
        UINT32_MAX
    };
    struct doms_directory page;

    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        make_page(&page, 262);
        page.n_refs = wrong[i];
        assert_int_equal(doms_directory_check(&page, EPOCH, 262), 0);
    }
}

static void
pages_that_go_on_or_end_in_the_wrong_place_are_refused(void **state)
{
    struct doms_directory page;

    (void) state;
    make_page(&page, 262);
    page.next = 9;
    assert_int_equal(doms_directory_check(&page, EPOCH, 262), 0);

    make_page(&page, DOMS_DIRECTORY_REFS);
    page.next = 9;
    assert_int_equal(doms_directory_check(&page, EPOCH, DOMS_DIRECTORY_REFS),
                     0);

    make_page(&page, DOMS_DIRECTORY_REFS + 1);
    page.next = 0;
    assert_int_equal(
        doms_directory_check(&page, EPOCH, DOMS_DIRECTORY_REFS + 1), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_of_a_channel_are_all_its_pages),
        cmocka_unit_test(well_formed_pages_are_taken),
        cmocka_unit_test(pages_with_a_wrong_field_are_refused),
        cmocka_unit_test(pages_with_another_number_of_grants_are_refused),
        cmocka_unit_test(
            pages_that_go_on_or_end_in_the_wrong_place_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
