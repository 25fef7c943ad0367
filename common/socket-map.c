/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "common/socket-map.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

/* Finds 'size' bytes of addresses that nobody uses, the first at a multiple of
 * DOMS_HUGE_PAGE, and keeps them from others.  'size' is a multiple of the
 * page size.  Returns the first or MAP_FAILED, with errno set. */
static void *
reserve(size_t size)
{
    uint8_t *start = mmap(NULL, size + DOMS_HUGE_PAGE, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t before;

    if (start == MAP_FAILED) {
        return start;
    }
    before = -(uintptr_t) start % DOMS_HUGE_PAGE;
    if (before) {
        munmap(start, before);
    }
    munmap(start + before + size, DOMS_HUGE_PAGE - before);
    return start + before;
}

/* Maps the first 'size' bytes of memory file 'fd', a multiple of the page
 * size, with 'prot', shared.  Returns where they are, which munmap() undoes, or
 * MAP_FAILED with errno set. */
void *
doms_map_group(int fd, size_t size, int prot)
{
    void *place, *p;

    if (size < DOMS_HUGE_PAGE) {
        return mmap(NULL, size, prot, MAP_SHARED, fd, 0);
    }
    place = reserve(size);
    if (place == MAP_FAILED) {
        return place;
    }
    p = mmap(place, size, prot, MAP_SHARED | MAP_FIXED, fd, 0);
    if (p == MAP_FAILED) {
        int error = errno;

        munmap(place, size);
        errno = error;
    } else {
        /* What is left of the last one would take a whole one, too. */
        madvise(p, size - size % DOMS_HUGE_PAGE, MADV_HUGEPAGE);
    }
    return p;
}
