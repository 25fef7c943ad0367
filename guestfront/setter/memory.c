/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Returns true if 'size' bytes at 'a' and 'b_size' at 'b' have any in common.
 * Neither may wrap around. */
static bool
overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* Adds region 'r' to 'm'.  Returns 0, or EINVAL or ENOSPC with the reason in
 * 'why' of 'why_size' bytes; then 'm' is as before. */
int
memory_add(struct memory *m, const struct memory_region *r, char *why,
           size_t why_size)
{
    if (m->n >= MEMORY_MAX_REGIONS) {
        snprintf(why, why_size, "more than %d memory regions",
                 MEMORY_MAX_REGIONS);
        return ENOSPC;
    }
    if (!r->size || !r->host) {
        snprintf(why, why_size, "memory region %u is empty", m->n);
        return EINVAL;
    }
    /* The last byte of the address space belongs to nobody, so that the end of
     * a region is a number. */
    if (r->size > UINT64_MAX - r->guest || r->size > UINT64_MAX - r->user
        || r->size > UINTPTR_MAX - (uintptr_t) r->host) {
        snprintf(why, why_size,
                 "memory region %u, 0x%" PRIx64 " bytes at 0x%" PRIx64
                 ", wraps around",
                 m->n, r->size, r->guest);
        return EINVAL;
    }
    for (unsigned int i = 0; i < m->n; i++) {
        const struct memory_region *o = &m->regions[i];

        if (overlap(r->guest, r->size, o->guest, o->size)
            || overlap(r->user, r->size, o->user, o->size)) {
            snprintf(why, why_size, "memory regions %u and %u overlap", i,
                     m->n);
            return EINVAL;
        }
    }
    m->regions[m->n++] = *r;
    return 0;
}

/* Returns true if the 'size' bytes mapped at 'p' are wholly within one region
 * of 'm'. */
bool
memory_has_host_range(const struct memory *m, const void *p, uint64_t size)
{
    for (unsigned int i = 0; i < m->n; i++) {
        const struct memory_region *r = &m->regions[i];
        uint64_t ofs = (uintptr_t) p - (uintptr_t) r->host;

        if ((uintptr_t) p >= (uintptr_t) r->host && ofs < r->size
            && size <= r->size - ofs) {
            return true;
        }
    }
    return false;
}

/* Returns the region of 'm' that has address 'guest' of the VM, or NULL. */
const struct memory_region *
memory_find(const struct memory *m, uint64_t guest)
{
    for (unsigned int i = 0; i < m->n; i++) {
        if (guest - m->regions[i].guest < m->regions[i].size) {
            return &m->regions[i];
        }
    }
    return NULL;
}
