/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's memory, as the hypervisor has shared it with doms-setter.
 *
 * The table is a private, checked copy of what the VM's front end sent: no two
 * regions overlap, none wraps around, and each is wholly mapped here.  An
 * address of the guest's becomes a pointer only through it, together with a
 * length, so that no byte outside of the VM's own memory is ever touched.
 *
 * Thread-safety: a table is made while no thread uses it, and is only read
 * from then on.
 */

#ifndef DOMS_SETTER_MEMORY_H
#define DOMS_SETTER_MEMORY_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most regions of a VM. */
#define MEMORY_MAX_REGIONS 8

/* A part of the VM's memory. */
struct memory_region {
    uint64_t guest; /* Its address in the VM. */
    uint64_t size;  /* Bytes. */
    uint8_t *host;  /* Where it is mapped here. */
    uint64_t user;  /* Its address in the front end, for checks only. */
};

/* All of it. */
struct memory {
    unsigned int n; /* Entries of 'regions'. */
    struct memory_region regions[MEMORY_MAX_REGIONS];
};

int memory_add(struct memory *, const struct memory_region *, char *why,
               size_t why_size);
bool memory_has_host_range(const struct memory *, const void *, uint64_t size);
const struct memory_region *memory_find(const struct memory *, uint64_t guest);

/* Returns where the 'length' bytes at address 'guest' of the VM are mapped, or
 * NULL if they are not wholly within one region of 'm'.  'length' must not be
 * 0.  '*hint' is the region that was right last, and becomes the one that is
 * right now. */
static inline uint8_t *
memory_at(const struct memory *m, const struct memory_region **hint,
          uint64_t guest, uint64_t length)
{
    const struct memory_region *r = *hint;
    uint64_t ofs = guest - r->guest;

    if (__builtin_expect(ofs >= r->size, 0)) {
        r = memory_find(m, guest);
        if (!r) {
            return NULL;
        }
        *hint = r;
        ofs = guest - r->guest;
    }
    return __builtin_expect(length <= r->size - ofs, 1) ? r->host + ofs : NULL;
}

#endif /* memory.h */
