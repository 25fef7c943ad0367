/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's end of virtqueues: what drivers do, and what they must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>

#include "tests/unit/virtq-make.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define SIZE 8

static struct test_vm vm;

static void
make(bool packed, bool writes)
{
    assert_int_equal(vm_make(&vm, packed, SIZE, writes, false, false), 0);
}

/* The driver broke rule 'fault': nothing is taken, now and ever. */
static void
assert_fault(enum virtq_fault fault)
{
    assert_int_equal(virtq_take(&vm.v, 4), 0);
    assert_int_equal(vm.v.fault, fault);
    assert_int_equal(virtq_take(&vm.v, 4), 0);
    vm_free(&vm);
}

/* The driver's index of what is used, or flags of a packed descriptor. */
static uint16_t
used_idx(void)
{
    return ((struct vring_used *) vm_at(&vm, VM_DEVICE))->idx;
}

static struct vring_packed_desc *
packed_desc(unsigned int i)
{
    return (struct vring_packed_desc *) vm_at(&vm, VM_DESC) + i;
}

static void
test_empty_ring_has_no_buffer(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, false);
        assert_int_equal(virtq_take(&vm.v, 4), 0);
        assert_int_equal(vm.v.fault, VIRTQ_OK);
        vm_free(&vm);
    }
}

static void
test_many_rounds_come_in_order(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, true);
        for (unsigned int i = 0; i < 5 * SIZE; i++) {
            uint32_t written = 10 + i;
            struct virtq_buf *b;

            vm_offer_simple(&vm, i % SIZE, VM_DATA + i * 64, 60, WRITE);
            assert_int_equal(virtq_take(&vm.v, 4), 1);
            b = virtq_buf(&vm.v, 0);
            assert_ptr_equal(b->data, vm_at(&vm, VM_DATA + i * 64));
            assert_int_equal(b->total, 60);
            assert_int_equal(b->id, i % SIZE);
            virtq_put(&vm.v, 1, &written);
            if (packed) {
                assert_int_equal(packed_desc(i % SIZE)->len, written);
                assert_int_equal(packed_desc(i % SIZE)->id, i % SIZE);
            } else {
                struct vring_used *used = (struct vring_used *) vm_at(
                    &vm, VM_DEVICE);

                assert_int_equal(used->idx, i + 1);
                assert_int_equal(used->ring[i % SIZE].id, i % SIZE);
                assert_int_equal(used->ring[i % SIZE].len, written);
            }
        }
        vm_free(&vm);
    }
}

static void
test_whole_ring_at_once(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, false);
        for (int round = 0; round < 3; round++) {
            for (unsigned int i = 0; i < SIZE; i++) {
                vm_offer_simple(&vm, i, VM_DATA + i * 64, 60, 0);
            }
            assert_int_equal(virtq_take(&vm.v, 64), SIZE);
            virtq_put(&vm.v, 3, NULL);
            virtq_put(&vm.v, SIZE - 3, NULL);
            assert_int_equal(virtq_take(&vm.v, 64), 0);
            assert_int_equal(vm.v.fault, VIRTQ_OK);
        }
        vm_free(&vm);
    }
}

static void
test_packed_in_order_names_the_last_only(void **state)
{
    (void) state;
    assert_int_equal(vm_make(&vm, true, SIZE, false, false, true), 0);
    for (unsigned int i = 0; i < 4; i++) {
        vm_offer_packed(&vm, VM_DATA, 60, i, 0);
    }
    assert_int_equal(virtq_take(&vm.v, 4), 4);
    virtq_put(&vm.v, 4, NULL);
    assert_int_equal(packed_desc(0)->id, 3);
    assert_int_equal(packed_desc(0)->flags, 1 << 7 | 1 << 15);
    assert_int_equal(packed_desc(1)->flags, 1 << 7);
    assert_int_equal(virtq_base(&vm.v), 4 | 1 << 15);
    vm_free(&vm);
}

static void
test_chains(void **state)
{
    (void) state;
    /* A split chain goes anywhere, a packed one is in a row. */
    make(false, false);
    vm_desc(&vm, VM_DESC, 5, VM_DATA, 12, NEXT, 2);
    vm_desc(&vm, VM_DESC, 2, VM_DATA + 100, 60, NEXT, 7);
    vm_desc(&vm, VM_DESC, 7, VM_C, 40, 0, 0);
    vm_offer(&vm, 5);
    assert_int_equal(virtq_take(&vm.v, 4), 1);
    assert_int_equal(virtq_buf(&vm.v, 0)->n_pieces, 3);
    assert_int_equal(virtq_buf(&vm.v, 0)->total, 112);
    assert_ptr_equal(virtq_buf_piece(&vm.v, virtq_buf(&vm.v, 0), 2).data,
                     vm_at(&vm, VM_C));
    virtq_put(&vm.v, 1, NULL);
    assert_int_equal(used_idx(), 1);
    vm_free(&vm);

    make(true, false);
    for (int i = 0; i < 4; i++) {
        vm_offer_packed(&vm, VM_DATA, 12, 0, NEXT);
        vm_offer_packed(&vm, VM_DATA + 100, 60, 0, NEXT);
        vm_offer_packed(&vm, VM_C, 40, 4 + i, 0);
        assert_int_equal(virtq_take(&vm.v, 4), 1);
        assert_int_equal(virtq_buf(&vm.v, 0)->n_pieces, 3);
        assert_int_equal(virtq_buf(&vm.v, 0)->id, 4 + i);
        virtq_put(&vm.v, 1, NULL);
        assert_int_equal(packed_desc(3 * i % SIZE)->id, 4 + i);
    }
    vm_free(&vm);
}

static void
test_indirect_tables(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, false);
        vm_desc(&vm, VM_TABLE, 0, VM_DATA, 12, packed ? 0 : NEXT,
                packed ? 0 : 1);
        vm_desc(&vm, VM_TABLE, 1, VM_DATA + 64, 60, 0, 0);
        vm_offer_simple(&vm, 3, VM_TABLE, 32, INDIRECT);
        assert_int_equal(virtq_take(&vm.v, 4), 1);
        assert_int_equal(virtq_buf(&vm.v, 0)->n_pieces, 2);
        assert_int_equal(virtq_buf(&vm.v, 0)->total, 72);
        assert_int_equal(virtq_buf(&vm.v, 0)->n_descs, 1);
        assert_int_equal(virtq_buf(&vm.v, 0)->id, 3);
        vm_free(&vm);
    }
}

static void
test_packed_table_to_be_read_may_say_otherwise(void **state)
{
    (void) state;
    make(true, false);
    vm_desc(&vm, VM_TABLE, 0, VM_DATA, 12, 0, WRITE);
    vm_desc(&vm, VM_TABLE, 1, VM_DATA + 64, 60, 0, NEXT);
    vm_offer_packed(&vm, VM_TABLE, 32, 3, INDIRECT);
    assert_int_equal(virtq_take(&vm.v, 4), 1);
    assert_int_equal(virtq_buf(&vm.v, 0)->total, 72);
    vm_free(&vm);
}

static void
test_split_table_may_end_a_chain(void **state)
{
    (void) state;
    make(false, false);
    vm_desc(&vm, VM_DESC, 0, VM_DATA, 12, NEXT, 1);
    vm_desc(&vm, VM_DESC, 1, VM_TABLE, 16, INDIRECT, 0);
    vm_desc(&vm, VM_TABLE, 0, VM_DATA + 64, 60, 0, 0);
    vm_offer(&vm, 0);
    assert_int_equal(virtq_take(&vm.v, 4), 1);
    assert_int_equal(virtq_buf(&vm.v, 0)->total, 72);
    vm_free(&vm);
}

static void
test_buffer_over_two_regions_is_two_pieces(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, false);
        vm_offer_simple(&vm, 0, VM_B - 100, 300, 0);
        assert_int_equal(virtq_take(&vm.v, 4), 1);
        assert_int_equal(virtq_buf(&vm.v, 0)->n_pieces, 2);
        assert_int_equal(virtq_buf(&vm.v, 0)->length, 100);
        assert_ptr_equal(virtq_buf_piece(&vm.v, virtq_buf(&vm.v, 0), 1).data,
                         vm_at(&vm, VM_B));
        vm_free(&vm);
    }
}

static void
test_addresses_outside_are_refused(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t length;
    } bad[] = {
        { 0, 60 },
        { VM_A - 1, 60 },
        { VM_HOLE, 1 },
        { VM_HOLE - 59, 60 },
        { VM_C + VM_REGION_SIZE - 59, 60 },
        { VM_C + VM_REGION_SIZE, 60 },
        { VM_DATA, UINT32_MAX },
        { UINT64_MAX, 1 },
        { UINT64_MAX - 58, 60 },
    };

    (void) state;
    for (unsigned int i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int packed = 0; packed < 2; packed++) {
            make(packed, false);
            vm_offer_simple(&vm, 0, bad[i].addr, bad[i].length, 0);
            assert_fault(VIRTQ_BAD_ADDRESS);
        }
    }
}

static void
test_wrong_direction_is_refused(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, false);
        vm_offer_simple(&vm, 0, VM_DATA, 60, WRITE);
        assert_fault(VIRTQ_BAD_DIRECTION);
        make(packed, true);
        vm_offer_simple(&vm, 0, VM_DATA, 60, 0);
        assert_fault(VIRTQ_BAD_DIRECTION);
        /* The second of a chain. */
        make(packed, true);
        vm_desc(&vm, VM_TABLE, 0, VM_DATA, 12, packed ? 0 : NEXT | WRITE,
                packed ? WRITE : 1);
        vm_desc(&vm, VM_TABLE, 1, VM_DATA, 12, 0, 0);
        vm_offer_simple(&vm, 0, VM_TABLE, 32, INDIRECT);
        assert_fault(VIRTQ_BAD_DIRECTION);
    }
}

static void
test_empty_buffer_is_refused(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, false);
        vm_offer_simple(&vm, 0, VM_DATA, 0, 0);
        assert_fault(VIRTQ_BAD_LENGTH);
    }
}

static void
test_empty_piece_is_nothing(void **state)
{
    (void) state;
    make(false, false);
    vm_desc(&vm, VM_DESC, 0, VM_HOLE, 0, NEXT, 1);
    vm_desc(&vm, VM_DESC, 1, VM_DATA, 60, 0, 0);
    vm_offer(&vm, 0);
    assert_int_equal(virtq_take(&vm.v, 4), 1);
    assert_int_equal(virtq_buf(&vm.v, 0)->n_pieces, 1);
    assert_int_equal(virtq_buf(&vm.v, 0)->length, 60);
    vm_free(&vm);
}

static void
test_split_indices_are_checked(void **state)
{
    (void) state;
    make(false, false);
    vm_offer(&vm, SIZE);
    assert_fault(VIRTQ_BAD_INDEX);
    make(false, false);
    vm_offer(&vm, UINT16_MAX);
    assert_fault(VIRTQ_BAD_INDEX);
    make(false, false);
    vm_desc(&vm, VM_DESC, 0, VM_DATA, 60, NEXT, SIZE);
    vm_offer(&vm, 0);
    assert_fault(VIRTQ_BAD_INDEX);
    /* More than the ring has, and counted back. */
    make(false, false);
    ((struct vring_avail *) vm_at(&vm, VM_DRIVER))->idx = SIZE + 1;
    assert_fault(VIRTQ_BAD_COUNT);
    make(false, false);
    ((struct vring_avail *) vm_at(&vm, VM_DRIVER))->idx = -1;
    assert_fault(VIRTQ_BAD_COUNT);
}

static void
test_loops_are_refused(void **state)
{
    (void) state;
    make(false, false);
    vm_desc(&vm, VM_DESC, 0, VM_DATA, 60, NEXT, 1);
    vm_desc(&vm, VM_DESC, 1, VM_DATA, 60, NEXT, 0);
    vm_offer(&vm, 0);
    assert_fault(VIRTQ_BAD_CHAIN);
    make(false, false);
    vm_desc(&vm, VM_DESC, 0, VM_TABLE, 16, INDIRECT, 0);
    vm_desc(&vm, VM_TABLE, 0, VM_DATA, 60, NEXT, 0);
    vm_offer(&vm, 0);
    assert_fault(VIRTQ_BAD_CHAIN);
    /* All of a packed ring is one chain without an end. */
    make(true, false);
    for (int i = 0; i < SIZE; i++) {
        vm_offer_packed(&vm, VM_DATA, 60, i, NEXT);
    }
    assert_fault(VIRTQ_BAD_CHAIN);
}

static void
test_bad_tables_are_refused(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t length;
        uint16_t flags;
        enum virtq_fault fault;
    } bad[] = {
        { VM_TABLE, 0, INDIRECT, VIRTQ_BAD_INDIRECT },
        { VM_TABLE, 15, INDIRECT, VIRTQ_BAD_INDIRECT },
        { VM_TABLE, 17, INDIRECT, VIRTQ_BAD_INDIRECT },
        { VM_TABLE, UINT32_MAX, INDIRECT, VIRTQ_BAD_INDIRECT },
        { VM_TABLE, 16 * (VIRTQ_CHAIN_MAX + 1), INDIRECT, VIRTQ_BAD_INDIRECT },
        { VM_TABLE, 16, INDIRECT | NEXT, VIRTQ_BAD_INDIRECT },
        { VM_TABLE + 1, 16, INDIRECT, VIRTQ_BAD_INDIRECT },
        { VM_B - 16, 32, INDIRECT, VIRTQ_BAD_ADDRESS },
        { VM_HOLE, 16, INDIRECT, VIRTQ_BAD_ADDRESS },
    };

    (void) state;
    for (unsigned int i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int packed = 0; packed < 2; packed++) {
            make(packed, false);
            vm_desc(&vm, VM_TABLE, 0, VM_DATA, 60, 0, 0);
            vm_offer_simple(&vm, 0, bad[i].addr, bad[i].length, bad[i].flags);
            assert_fault(bad[i].fault);
        }
    }
}

static void
test_table_in_a_table_is_refused(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        make(packed, false);
        vm_desc(&vm, VM_TABLE, 0, VM_TABLE + 16, 16, packed ? 0 : INDIRECT,
                packed ? INDIRECT : 0);
        vm_desc(&vm, VM_TABLE, 1, VM_DATA, 60, 0, 0);
        vm_offer_simple(&vm, 0, VM_TABLE, 16, INDIRECT);
        assert_fault(VIRTQ_BAD_INDIRECT);
    }
}

static void
test_more_than_4_gib_are_refused(void **state)
{
    (void) state;
    /* Sixteen bytes of 4 GiB are there, and the rest must not be added up. */
    make(false, false);
    vm_desc(&vm, VM_TABLE, 0, VM_DATA, 16, NEXT, 1);
    vm_desc(&vm, VM_TABLE, 1, VM_DATA, UINT32_MAX, 0, 0);
    vm_offer_simple(&vm, 0, VM_TABLE, 32, INDIRECT);
    assert_fault(VIRTQ_BAD_CHAIN);
}

static void
test_longest_chains_come_one_after_the_other(void **state)
{
    (void) state;
    make(false, false);
    for (unsigned int i = 0; i < SIZE; i++) {
        vm_desc(&vm, VM_DESC, i, VM_C, 16 * VIRTQ_CHAIN_MAX, INDIRECT, 0);
        vm_offer(&vm, i);
    }
    for (unsigned int i = 0; i < VIRTQ_CHAIN_MAX; i++) {
        vm_desc(&vm, VM_C, i, VM_DATA, 1, i + 1 < VIRTQ_CHAIN_MAX ? NEXT : 0,
                i + 1);
    }
    for (unsigned int i = 0; i < SIZE;) {
        unsigned int n = virtq_take(&vm.v, SIZE);

        assert_in_range(n, 1, 2);
        assert_int_equal(virtq_buf(&vm.v, 0)->n_pieces, VIRTQ_CHAIN_MAX);
        virtq_put(&vm.v, n, NULL);
        i += n;
    }
    assert_int_equal(vm.v.fault, VIRTQ_OK);
    vm_free(&vm);
}

/* Nothing but the ring's size would bound what one poll looks at. */
static void
test_chains_of_empty_descriptors_end_too(void **state)
{
    struct virtq_config c;
    struct vring_avail *avail;
    struct vring_desc *descs;
    char why[120];

    (void) state;
    make(false, false);
    c = vm.v.c;
    c.size = 4096;
    c.desc = vm.regions[1];
    c.driver = vm.regions[2];
    c.device = vm.regions[2] + 0x4000;
    assert_int_equal(virtq_init(&vm.v, &c, why, sizeof why), 0);
    descs = (struct vring_desc *) c.desc;
    avail = (struct vring_avail *) c.driver;
    for (unsigned int i = 0; i < VIRTQ_CHAIN_MAX - 1; i++) {
        descs[i] = (struct vring_desc){ .flags = NEXT, .next = i + 1 };
    }
    descs[VIRTQ_CHAIN_MAX - 1] = (struct vring_desc){ .addr = VM_DATA,
                                                      .len = 60 };
    avail->idx = 1;
    assert_int_equal(virtq_take(&vm.v, 1), 1);
    virtq_put(&vm.v, 1, NULL);
    descs[VIRTQ_CHAIN_MAX - 1] = (struct vring_desc){
        .flags = NEXT, .next = VIRTQ_CHAIN_MAX
    };
    descs[VIRTQ_CHAIN_MAX] = (struct vring_desc){ .addr = VM_DATA, .len = 60 };
    avail->idx = 2;
    assert_fault(VIRTQ_BAD_CHAIN);
}

static void
test_a_buffer_always_left_over_costs_no_room(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        unsigned int offered = 0, put = 0;

        make(packed, false);
        while (put < 5000) {
            while (offered < put + 3) {
                /* Two pieces each, in either region. */
                vm_offer_simple(&vm, offered % SIZE, VM_B - 1 - offered % 50,
                                100, 0);
                offered++;
            }
            assert_int_equal(virtq_take(&vm.v, 3), 3);
            for (unsigned int i = 0; i < 3; i++) {
                const struct virtq_buf *b = virtq_buf(&vm.v, i);

                assert_int_equal(b->n_pieces, 2);
                assert_int_equal(virtq_buf_piece(&vm.v, b, 0).length,
                                 1 + (put + i) % 50);
                assert_ptr_equal(virtq_buf_piece(&vm.v, b, 1).data,
                                 vm_at(&vm, VM_B));
            }
            virtq_put(&vm.v, 2, NULL);
            put += 2;
        }
        vm_free(&vm);
    }
}

static void
test_notifications_without_event_index(void **state)
{
    (void) state;
    make(false, false);
    struct vring_avail *avail = (struct vring_avail *) vm_at(&vm, VM_DRIVER);
    struct vring_used *used = (struct vring_used *) vm_at(&vm, VM_DEVICE);

    virtq_disarm(&vm.v);
    assert_int_equal(used->flags, VRING_USED_F_NO_NOTIFY);
    assert_true(virtq_arm(&vm.v));
    assert_int_equal(used->flags, 0);
    vm_offer_simple(&vm, 0, VM_DATA, 60, 0);
    assert_false(virtq_arm(&vm.v));
    assert_true(virtq_wants_call(&vm.v));
    avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
    assert_false(virtq_wants_call(&vm.v));
    vm_free(&vm);

    make(true, false);
    struct vring_packed_desc_event *driver = (struct vring_packed_desc_event *)
        vm_at(&vm, VM_DRIVER);
    struct vring_packed_desc_event *device = (struct vring_packed_desc_event *)
        vm_at(&vm, VM_DEVICE);

    virtq_disarm(&vm.v);
    assert_int_equal(device->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
    assert_true(virtq_arm(&vm.v));
    assert_int_equal(device->flags, VRING_PACKED_EVENT_FLAG_ENABLE);
    vm_offer_packed(&vm, VM_DATA, 60, 0, 0);
    assert_false(virtq_arm(&vm.v));
    driver->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
    assert_true(virtq_wants_call(&vm.v));
    driver->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
    assert_false(virtq_wants_call(&vm.v));
    vm_free(&vm);
}

/* Has the device use one buffer.  Returns whether the driver wants to know. */
static bool
use_one(unsigned int i)
{
    vm_offer_simple(&vm, i % SIZE, VM_DATA, 60, 0);
    assert_int_equal(virtq_take(&vm.v, 1), 1);
    virtq_put(&vm.v, 1, NULL);
    return virtq_wants_call(&vm.v);
}

static void
test_event_index_is_heeded(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        assert_int_equal(vm_make(&vm, packed, SIZE, false, true, false), 0);
        /* The first look always notifies. */
        assert_true(use_one(0));
        for (unsigned int i = 1; i < 70000; i++) {
            unsigned int at = i / 3 * 3 + 2; /* Every third is wanted. */

            if (packed) {
                struct vring_packed_desc_event *event =
                    (struct vring_packed_desc_event *) vm_at(&vm, VM_DRIVER);

                event->flags = VRING_PACKED_EVENT_FLAG_DESC;
                event->off_wrap = at % SIZE | (at / SIZE % 2 ? 0 : 1 << 15);
            } else {
                struct vring_avail *avail = (struct vring_avail *) vm_at(
                    &vm, VM_DRIVER);

                avail->ring[SIZE] = at;
            }
            assert_int_equal(use_one(i), i % 3 == 2);
        }
        vm_free(&vm);
    }
}

static void
test_a_ring_goes_on_where_another_device_stopped(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        struct virtq_config c;
        char why[120];

        make(packed, false);
        for (unsigned int i = 0; i < SIZE + 3; i++) {
            use_one(i);
        }
        /* Taken and not put. */
        vm_offer_simple(&vm, 3, VM_DATA + 64, 61, 0);
        assert_int_equal(virtq_take(&vm.v, 1), 1);
        c = vm.v.c;
        c.base = virtq_base(&vm.v);
        assert_int_equal(virtq_init(&vm.v, &c, why, sizeof why), 0);
        assert_int_equal(virtq_take(&vm.v, 4), 1);
        assert_int_equal(virtq_buf(&vm.v, 0)->length, 61);
        vm_free(&vm);
    }
}

/* Starts the ring anew at 'base', as far as anybody knows.  Returns where it is
 * then. */
static uint16_t
restart(uint16_t base)
{
    struct virtq_config c = vm.v.c;
    char why[120];

    c.base = base;
    assert_int_equal(virtq_init(&vm.v, &c, why, sizeof why), 0);
    return virtq_base(&vm.v);
}

static void
test_a_packed_ring_tells_where_its_device_got_to(void **state)
{
    uint16_t start = 1u << 15;

    (void) state;
    make(true, false);
    for (unsigned int i = 0; i < 6 * SIZE; i++) {
        uint16_t base = virtq_base(&vm.v);
        unsigned int n = 1 + i % 3;

        assert_int_equal(restart(start), base);
        for (unsigned int j = 0; j < n; j++) {
            vm_offer_packed(&vm, VM_DATA, 60, i % SIZE, j + 1 < n ? NEXT : 0);
        }
        assert_int_equal(restart(start), base);
        assert_int_equal(virtq_take(&vm.v, 1), 1);
        assert_int_equal(restart(start), base);
        assert_int_equal(virtq_take(&vm.v, 1), 1);
        virtq_put(&vm.v, 1, NULL);
    }
    vm_free(&vm);

    /* Unless another device has left no such traces. */
    make(true, false);
    packed_desc(2)->flags = 1 << 7 | 1 << 15;
    assert_int_equal(restart(start + 3), start + 3);
    vm_free(&vm);
}

static void
test_rings_that_cannot_be_are_refused(void **state)
{
    char why[120];

    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        struct virtq_config good, c;
        static struct virtq v;

        make(packed, false);
        good = vm.v.c;
#define REFUSED(MEMBER, VALUE)                                                \
    (c = good, c.MEMBER = VALUE,                                              \
     assert_int_equal(virtq_init(&v, &c, why, sizeof why), EINVAL))
        REFUSED(size, 0);
        REFUSED(size, VIRTQ_SIZE_MAX + 1);
        REFUSED(size, VIRTQ_SIZE_MAX); /* Does not fit into the region. */
        REFUSED(desc, NULL);
        REFUSED(driver, NULL);
        REFUSED(device, NULL);
        REFUSED(desc, vm_at(&vm, VM_B) - 16);
        REFUSED(driver, vm_at(&vm, VM_A) + VM_REGION_SIZE - 2);
        REFUSED(device, vm_at(&vm, VM_A) + VM_REGION_SIZE - 2);
        REFUSED(desc, vm_at(&vm, VM_DESC) + 8);
        REFUSED(device, vm_at(&vm, VM_DEVICE) + 2);
        if (packed) {
            REFUSED(base, SIZE);
        } else {
            REFUSED(size, SIZE - 1);
        }
#undef REFUSED
        vm_free(&vm);
    }
}

/* Rewrites descriptors, the table and the indices until '*stop_'. */
static void *
rewrite(void *stop_)
{
    static const uint64_t addrs[] = { VM_DATA, VM_C,       VM_B - 30, VM_HOLE,
                                      0,       UINT64_MAX, VM_TABLE };
    static const uint32_t lengths[] = { 60, 16, 32, 0, 48, UINT32_MAX, 17 };
    const bool *stop = stop_;
    uint32_t x = 1;

    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        uint64_t table = x >> 20 & 1 ? VM_DESC : VM_TABLE;
        uint64_t *words = (uint64_t *) vm_at(&vm, table) + (x >> 8) % 4 * 2;

        x = x * 1664525 + 1013904223;
        __atomic_store_n(&words[0], addrs[(x >> 16) % 7], __ATOMIC_RELAXED);
        __atomic_store_n(&words[1],
                         lengths[(x >> 24) % 7]
                             | (uint64_t) (x >> 12 & 7) << 32
                             | (uint64_t) (x >> 4 & 0x8087) << 48,
                         __ATOMIC_RELAXED);
        __atomic_store_n(
            &((struct vring_avail *) vm_at(&vm, VM_DRIVER))->ring[x >> 28],
            x >> 18 & 7, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void
test_a_driver_may_rewrite_everything_meanwhile(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        unsigned int taken = 0, faults = 0;
        struct virtq_config c;
        bool stop = false;
        pthread_t thread;
        char why[120];

        make(packed, false);
        c = vm.v.c;
        assert_int_equal(pthread_create(&thread, NULL, rewrite, &stop), 0);
        for (int i = 0; i < 200000 || ((!taken || !faults) && i < 50000000);
             i++) {
            struct vring_avail *avail = (struct vring_avail *) vm_at(
                &vm, VM_DRIVER);

            __atomic_store_n(&avail->idx, vm.v.avail + 4, __ATOMIC_RELAXED);
            for (unsigned int n = virtq_take(&vm.v, 4); n; n--) {
                const struct virtq_buf *b = virtq_buf(&vm.v, n - 1);

                for (unsigned int j = 0; j < b->n_pieces; j++) {
                    struct virtq_piece p = virtq_buf_piece(&vm.v, b, j);

                    assert_true(
                        memory_has_host_range(&vm.memory, p.data, p.length));
                }
                taken++;
            }
            faults += vm.v.fault != VIRTQ_OK;
            c.base = packed ? (i & 7) | 1 << 15 : vm.v.used;
            assert_int_equal(virtq_init(&vm.v, &c, why, sizeof why), 0);
        }
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        assert_true(taken > 0 && faults > 0);
        vm_free(&vm);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_ring_has_no_buffer),
        cmocka_unit_test(test_many_rounds_come_in_order),
        cmocka_unit_test(test_whole_ring_at_once),
        cmocka_unit_test(test_packed_in_order_names_the_last_only),
        cmocka_unit_test(test_chains),
        cmocka_unit_test(test_indirect_tables),
        cmocka_unit_test(test_packed_table_to_be_read_may_say_otherwise),
        cmocka_unit_test(test_split_table_may_end_a_chain),
        cmocka_unit_test(test_buffer_over_two_regions_is_two_pieces),
        cmocka_unit_test(test_addresses_outside_are_refused),
        cmocka_unit_test(test_wrong_direction_is_refused),
        cmocka_unit_test(test_empty_buffer_is_refused),
        cmocka_unit_test(test_empty_piece_is_nothing),
        cmocka_unit_test(test_split_indices_are_checked),
        cmocka_unit_test(test_loops_are_refused),
        cmocka_unit_test(test_bad_tables_are_refused),
        cmocka_unit_test(test_table_in_a_table_is_refused),
        cmocka_unit_test(test_more_than_4_gib_are_refused),
        cmocka_unit_test(test_longest_chains_come_one_after_the_other),
        cmocka_unit_test(test_chains_of_empty_descriptors_end_too),
        cmocka_unit_test(test_a_buffer_always_left_over_costs_no_room),
        cmocka_unit_test(test_notifications_without_event_index),
        cmocka_unit_test(test_event_index_is_heeded),
        cmocka_unit_test(test_a_ring_goes_on_where_another_device_stopped),
        cmocka_unit_test(test_a_packed_ring_tells_where_its_device_got_to),
        cmocka_unit_test(test_rings_that_cannot_be_are_refused),
        cmocka_unit_test(test_a_driver_may_rewrite_everything_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
