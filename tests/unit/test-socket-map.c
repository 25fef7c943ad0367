/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of common/socket-map.c: where groups are mapped, and that they are what
 * the file has.
 */
#define _GNU_SOURCE
#include "common/socket-map.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* Makes a memory file of 'size' bytes. */
static int
make_file(size_t size)
{
    int fd = memfd_create("test-socket-map", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    return fd;
}

/* Returns true if nothing is mapped in the page at 'p'. */
static bool
is_free(void *p)
{
    unsigned char in_core;

    return mincore(p, 1, &in_core) && errno == ENOMEM;
}

static void
both_mappings_are_the_files_bytes(void **state)
{
    static const size_t sizes[] = { 4096, DOMS_HUGE_PAGE - 4096,
                                    DOMS_HUGE_PAGE, DOMS_HUGE_PAGE + 4096,
                                    5 * DOMS_HUGE_PAGE + 12288 };

    (void) state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t n = sizes[i];
        int fd = make_file(n);
        uint8_t *one = doms_map_group(fd, n, PROT_READ | PROT_WRITE);
        const uint8_t *other = doms_map_group(fd, n, PROT_READ);

        assert_ptr_not_equal(one, MAP_FAILED);
        assert_ptr_not_equal(other, MAP_FAILED);
        for (size_t ofs = 0; ofs < n; ofs += 4096) {
            one[ofs] = one[ofs + 4095] = ofs / 4096 % 251 + 1;
        }
        assert_memory_equal(one, other, n);
        munmap(one, n);
        munmap((void *) other, n);
        close(fd);
    }
}

static void
what_huge_pages_may_fit_starts_at_a_multiple_of_one(void **state)
{
    (void) state;
    for (unsigned int i = 0; i < 20; i++) {
        size_t n = DOMS_HUGE_PAGE + i * 4096;
        int fd = make_file(n);
        uint8_t *p = doms_map_group(fd, n, PROT_READ);

        assert_ptr_not_equal(p, MAP_FAILED);
        assert_int_equal((uintptr_t) p % DOMS_HUGE_PAGE, 0);
        munmap(p, n);
        close(fd);
    }
}

/* Who cannot map a file is left with no addresses taken. */
static void
no_mapping_leaves_nothing_behind(void **state)
{
    size_t n = 3 * DOMS_HUGE_PAGE;
    int fd = make_file(n);
    void *p;

    (void) state;
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    p = mmap(NULL, 4 * n, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    munmap(p, 4 * n);
    assert_ptr_equal(doms_map_group(fd, n, PROT_READ | PROT_WRITE),
                     MAP_FAILED);
    assert_int_equal(errno, EPERM);
    for (size_t ofs = 0; ofs < 4 * n; ofs += 4096) {
        assert_true(is_free((uint8_t *) p + ofs));
    }
    close(fd);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_mappings_are_the_files_bytes),
        cmocka_unit_test(what_huge_pages_may_fit_starts_at_a_multiple_of_one),
        cmocka_unit_test(no_mapping_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
