/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM for tests: its memory, and the driver's end of a virtqueue, with which a
 * test makes any descriptor, legal or not.
 *
 * The VM's memory is two regions with a hole in between and one beside the
 * other in the VM but not in this process.
 */

#ifndef TESTS_UNIT_VIRTQ_MAKE_H
#define TESTS_UNIT_VIRTQ_MAKE_H 1

#include <stdlib.h>
#include <string.h>

#include "guestfront/setter/virtq.h"

/* Addresses in the VM.  B follows A at once; C stands alone. */
#define VM_REGION_SIZE 65536u
#define VM_A 0x100000u
#define VM_B (VM_A + VM_REGION_SIZE)
#define VM_C 0x40000000u
#define VM_HOLE (VM_B + VM_REGION_SIZE)

/* Where the ring's parts and a table of indirect descriptors are, in A; the
 * rest is for buffers. */
#define VM_DESC VM_A
#define VM_DRIVER (VM_A + 0x2000)
#define VM_DEVICE (VM_A + 0x3000)
#define VM_TABLE (VM_A + 0x5000)
#define VM_DATA (VM_A + 0x8000)

struct test_vm {
    struct memory memory;
    uint8_t *regions[3]; /* A, B and C; each of its own, so that a sanitizer
                          * sees what leaves one. */
    struct virtq v;
    unsigned int size;
    bool packed;

    /* The driver's place. */
    uint16_t next;
    bool wrap;
};

/* Returns where the VM's address 'addr' is here. */
static inline uint8_t *
vm_at(struct test_vm *vm, uint64_t addr)
{
    return addr >= VM_C   ? vm->regions[2] + (addr - VM_C)
           : addr >= VM_B ? vm->regions[1] + (addr - VM_B)
                          : vm->regions[0] + (addr - VM_A);
}

/* Makes '*vm', with a virtqueue of 'size' entries of either kind, into which
 * the device writes if 'writes'. */
static inline int
vm_make(struct test_vm *vm, bool packed, unsigned int size, bool writes,
        bool event_idx, bool in_order)
{
    static const uint64_t places[] = { VM_A, VM_B, VM_C };
    struct virtq_config c = { .packed = packed,
                              .event_idx = event_idx,
                              .in_order = in_order,
                              .writes = writes,
                              .size = size,
                              .base = packed ? 1u << 15 : 0 };
    char why[120];

    memset(vm, 0, sizeof *vm);
    for (int i = 0; i < 3; i++) {
        struct memory_region r = { .guest = places[i],
                                   .user = places[i],
                                   .size = VM_REGION_SIZE };

        vm->regions[i] = r.host = aligned_alloc(4096, VM_REGION_SIZE);
        if (!r.host) {
            return ENOMEM;
        }
        memset(r.host, 0, VM_REGION_SIZE);
        if (memory_add(&vm->memory, &r, why, sizeof why)) {
            return EINVAL;
        }
    }
    vm->size = size;
    vm->packed = packed;
    vm->wrap = true;
    c.desc = vm_at(vm, VM_DESC);
    c.driver = vm_at(vm, VM_DRIVER);
    c.device = vm_at(vm, VM_DEVICE);
    c.memory = &vm->memory;
    return virtq_init(&vm->v, &c, why, sizeof why);
}

static inline void
vm_free(struct test_vm *vm)
{
    for (int i = 0; i < 3; i++) {
        free(vm->regions[i]);
    }
}

/* Writes a descriptor at address 'table', number 'i' there; 'a' and 'b' are
 * its last two fields. */
static inline void
vm_desc(struct test_vm *vm, uint64_t table, unsigned int i, uint64_t addr,
        uint32_t length, uint16_t a, uint16_t b)
{
    uint8_t *p = vm_at(vm, table) + i * 16;

    memcpy(p, &addr, 8);
    memcpy(p + 8, &length, 4);
    memcpy(p + 12, &a, 2);
    memcpy(p + 14, &b, 2);
}

/* Split: makes the chain that starts with descriptor 'head' available. */
static inline void
vm_offer(struct test_vm *vm, uint16_t head)
{
    struct vring_avail *avail = (struct vring_avail *) vm_at(vm, VM_DRIVER);

    avail->ring[avail->idx % vm->size] = head;
    avail->idx++;
}

/* Packed: makes the next descriptor available, with 'flags' besides those that
 * say so. */
static inline void
vm_offer_packed(struct test_vm *vm, uint64_t addr, uint32_t length,
                uint16_t id, uint16_t flags)
{
    flags |= vm->wrap ? 1u << VRING_PACKED_DESC_F_AVAIL
                      : 1u << VRING_PACKED_DESC_F_USED;
    vm_desc(vm, VM_DESC, vm->next, addr, length, id, flags);
    if (++vm->next == vm->size) {
        vm->next = 0;
        vm->wrap = !vm->wrap;
    }
}

/* Makes one buffer of 'length' bytes at 'addr' available in either ring, as
 * descriptor number 'i' or the next. */
static inline void
vm_offer_simple(struct test_vm *vm, uint16_t i, uint64_t addr, uint32_t length,
                uint16_t flags)
{
    if (vm->packed) {
        vm_offer_packed(vm, addr, length, i, flags);
    } else {
        vm_desc(vm, VM_DESC, i, addr, length, flags, 0);
        vm_offer(vm, i);
    }
}

#endif /* tests/unit/virtq-make.h */
