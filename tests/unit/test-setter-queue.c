/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's queue pair between a virtio driver and a switch, both played by the
 * test: what goes in on one side comes out on the other.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/virtio_net.h>
#include <sys/eventfd.h>

#include "guestfront/setter/queue.h"
#include "tests/unit/front-fixture.h"
#include "tests/unit/virtq-make.h"

#define RING 64
#define HDR 12
#define BIT(N) (UINT64_C(1) << (N))

static struct sw sw;
static struct sw_conn conn;
static struct domsfront *front;
static struct test_vm to, from; /* One for each virtqueue. */
static struct queue *queue;
static uint32_t room = 1522;
static int call_fd;
static struct caller caller;

/* Attaches a front with 'features', and joins it to two virtqueues. */
static void
begin(bool packed, uint64_t features, uint64_t driver_features)
{
    struct test_vm *vms[] = { &to, &from };
    char why[120];

    sw_open(&sw);
    sw_init_conn(&conn);
    conn.features = features;
    conn.g.arena_size = 256 * 1024;
    front = open_front(&sw, 1, features);
    sw_attach(&sw, &conn, front);
    queue = aligned_alloc(__alignof__(struct queue), sizeof *queue);
    assert_non_null(queue);
    memset(queue, 0, sizeof *queue);
    queue->front = front;
    assert_int_equal(caller_init(&caller), 0);
    queue->caller = &caller;
    queue->room = &room;
    queue->alarm_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    queue_reset(queue);
    queue->header_size = HDR;
    queue->features = driver_features;
    for (int i = 0; i < 2; i++) {
        struct queue_virtq *qv = &queue->virtqs[i];

        assert_int_equal(
            vm_make(vms[i], packed, RING, i == QUEUE_TO_VM, false, false), 0);
        assert_int_equal(virtq_init(&qv->ring, &vms[i]->v.c, why, sizeof why),
                         0);
        qv->call_fd = call_fd;
        qv->live = true;
    }
}

static void
end(void)
{
    close(queue->alarm_fd);
    close(call_fd);
    caller_destroy(&caller);
    free(queue);
    domsfront_close(front);
    sw_hang_up(&conn);
    sw_close(&sw);
    vm_free(&to);
    vm_free(&from);
}

/* Byte 'i' of a test's frame number 'n'. */
static uint8_t
byte_of(unsigned int n, uint32_t i)
{
    return n * 37 + i * 11 + (i >> 8);
}

/* Has the driver send frame number 'n' of 'length' bytes, which lies at 'addr'
 * behind its header 'h', as descriptor number 'i' (the ring's next). */
static void
driver_sends(unsigned int i, uint64_t addr, unsigned int n, uint32_t length,
             const struct virtio_net_hdr *h)
{
    static const struct virtio_net_hdr none;

    memset(vm_at(&from, addr), 0, HDR);
    memcpy(vm_at(&from, addr), h ? h : &none, sizeof *h);
    for (uint32_t j = 0; j < length; j++) {
        vm_at(&from, addr + HDR)[j] = byte_of(n, j);
    }
    vm_offer_simple(&from, i, addr, HDR + length, 0);
}

/* Takes the next record in the switch.  Returns its frame, with its length and
 * offload fields, or NULL. */
static const uint8_t *
switch_gets(uint32_t *length, struct doms_offload *o)
{
    struct doms_record rec;

    memset(o, 0, sizeof *o);
    if (!doms_ring_poll(&conn.q[0].rx, 1)
        || !doms_ring_peek(&conn.q[0].rx, &rec)) {
        return NULL;
    }
    *length = rec.length;
    if (rec.flags & DOMS_RECORD_OFFLOAD) {
        doms_record_read_offload(&rec, o);
        *length -= sizeof *o;
        return rec.data + sizeof *o;
    }
    return rec.data;
}

static void
assert_switch_gets(unsigned int n, uint32_t length)
{
    struct doms_offload o;
    uint32_t got = 0;
    const uint8_t *data = switch_gets(&got, &o);

    assert_non_null(data);
    assert_int_equal(got, length);
    for (uint32_t i = 0; i < length; i++) {
        assert_int_equal(data[i], byte_of(n, i));
    }
}

static void
assert_switch_gets_nothing(void)
{
    struct doms_offload o;
    uint32_t length;

    assert_null(switch_gets(&length, &o));
}

static void
test_frames_of_all_lengths_reach_the_switch(void **state)
{
    (void) state;
    for (int packed = 0; packed < 2; packed++) {
        uint32_t length = 14;

        begin(packed, 0, 0);
        for (unsigned int n = 0; length <= 1522; n++, length += 1 + n / 40) {
            driver_sends(n % RING, VM_DATA, n, length, NULL);
            assert_true(queue_poll(queue));
            assert_switch_gets(n, length);
            doms_ring_release(&conn.q[0].rx);
        }
        assert_false(queue_poll(queue));
        end();
    }
}

static void
test_header_and_frame_may_lie_anywhere(void **state)
{
    (void) state;
    begin(false, 0, 0);
    driver_sends(0, VM_DATA, 1, 100, NULL);
    from.v.c.size = 0; /* The ring is the queue's. */
    /* The header alone, then the frame in two; then a header in two. */
    vm_desc(&from, VM_DESC, 0, VM_DATA, HDR, VRING_DESC_F_NEXT, 1);
    vm_desc(&from, VM_DESC, 1, VM_DATA + HDR, 33, VRING_DESC_F_NEXT, 2);
    vm_desc(&from, VM_DESC, 2, VM_DATA + HDR + 33, 67, 0, 0);
    vm_desc(&from, VM_DESC, 3, VM_DATA, 1, VRING_DESC_F_NEXT, 4);
    vm_desc(&from, VM_DESC, 4, VM_DATA + 1, HDR + 99, 0, 0);
    vm_offer(&from, 3);
    assert_true(queue_poll(queue));
    assert_switch_gets(1, 100);
    assert_switch_gets(1, 100);
    assert_switch_gets_nothing();
    end();
}

static void
test_frames_of_wrong_length_are_dropped(void **state)
{
    (void) state;
    begin(false, 0, 0);
    driver_sends(0, VM_DATA, 1, 13, NULL);
    driver_sends(1, VM_DATA + 0x1000, 2, 1523, NULL);
    driver_sends(2, VM_DATA + 0x2000, 3, 0, NULL);
    driver_sends(3, VM_DATA + 0x3000, 4, 60, NULL);
    assert_true(queue_poll(queue));
    assert_switch_gets(4, 60);
    assert_switch_gets_nothing();
    assert_int_equal(queue->counters.from_length, 3);
    assert_int_equal(queue->counters.from_frames, 1);
    assert_true(queue->virtqs[QUEUE_FROM_VM].live);
    end();
}

static void
test_half_a_header_breaks_a_rule(void **state)
{
    uint64_t value;

    (void) state;
    begin(false, 0, 0);
    driver_sends(0, VM_DATA, 1, 60, NULL);
    vm_desc(&from, VM_DESC, 0, VM_DATA, HDR - 1, 0, 0);
    queue_poll(queue);
    assert_false(queue->virtqs[QUEUE_FROM_VM].live);
    assert_true(queue->virtqs[QUEUE_TO_VM].live);
    assert_int_equal(queue->fault, VIRTQ_BAD_LENGTH | QUEUE_FROM_VM << 8);
    assert_int_equal(read(queue->alarm_fd, &value, 8), 8);
    end();
}

static void
test_a_full_ring_keeps_frames_in_the_vm(void **state)
{
    unsigned int got = 0, sent = 0;

    (void) state;
    begin(true, 0, 0);
    while (got < 400) {
        while (sent < got + RING) {
            driver_sends(sent % RING, VM_DATA + sent % 8 * 0x600, sent % 8,
                         1500, NULL);
            sent++;
            queue_poll(queue);
            /* Only 128 KiB of a record each fit. */
            if (queue->full) {
                break;
            }
        }
        for (int i = 0; i < 7 && got < sent; i++, got++) {
            struct doms_offload o;
            uint32_t length;

            if (!switch_gets(&length, &o)) {
                break;
            }
            assert_int_equal(length, 1500);
        }
        doms_ring_release(&conn.q[0].rx);
        queue_poll(queue);
    }
    assert_int_equal(queue->counters.from_length, 0);
    end();
}

/* Makes a TCP frame with 'n' bytes of payload at 'addr'.  Returns its length
 * and fills in its header. */
static uint32_t
make_tcp(uint64_t addr, uint32_t n, uint16_t gso_size,
         struct virtio_net_hdr *h)
{
    static const uint8_t headers[54] = {
        2,    0, 0, 0, 0,  1, 2, 0, 0,  0, 0, 2, 8,    0, /* Ethernet */
        0x45, 0, 0, 0, 0,  0, 0, 0, 64, 6, 0, 0,          /* IPv4 */
        10,   0, 0, 1, 10, 0, 0, 2,                       /* */
        0,    1, 0, 2, 0,  0, 0, 0, 0,  0, 0, 0, 0x50, 0x18
    };

    *h = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = gso_size ? VIRTIO_NET_HDR_GSO_TCPV4 : 0,
        .hdr_len = 54,
        .gso_size = gso_size,
        .csum_start = 34,
        .csum_offset = 16,
    };
    memset(vm_at(&from, addr), 0, HDR);
    memcpy(vm_at(&from, addr), h, sizeof *h);
    memcpy(vm_at(&from, addr + HDR), headers, sizeof headers);
    for (uint32_t i = 0; i < n; i++) {
        *vm_at(&from, addr + HDR + 54 + i) = byte_of(9, i);
    }
    return 54 + n;
}

/* Returns the Internet checksum's sum over 'n' bytes. */
static uint16_t
sum_of(const uint8_t *p, uint32_t n, uint64_t sum)
{
    for (uint32_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : p[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static void
test_offloads_go_on_to_a_switch_that_has_them(void **state)
{
    struct virtio_net_hdr h;
    struct doms_offload o;
    uint32_t length, got;

    (void) state;
    begin(false, DOMS_F_CSUM | DOMS_F_TSO, 0);
    length = make_tcp(VM_DATA, 20000, 1448, &h);
    vm_offer_simple(&from, 0, VM_DATA, HDR + length, 0);
    length = make_tcp(VM_C, 100, 0, &h);
    vm_offer_simple(&from, 1, VM_C, HDR + length, 0);
    assert_true(queue_poll(queue));
    assert_non_null(switch_gets(&got, &o));
    assert_int_equal(got, 20054);
    assert_int_equal(o.gso_size, 1448);
    assert_int_equal(o.gso_type, DOMS_GSO_TCPV4);
    assert_int_equal(o.csum_start, 34);
    assert_non_null(switch_gets(&got, &o));
    assert_int_equal(got, 154);
    assert_int_equal(o.flags, DOMS_OFFLOAD_NEEDS_CSUM);
    assert_int_equal(o.gso_type, 0);
    end();
}

static void
test_64_kb_become_two_records(void **state)
{
    struct virtio_net_hdr h;
    struct doms_offload o;
    uint32_t length, got, sum = 0;
    int n = 0;

    (void) state;
    begin(false, DOMS_F_CSUM | DOMS_F_TSO, 0);
    length = make_tcp(VM_A + 0x7000, 65160, 1448, &h);
    /* Over both regions. */
    vm_offer_simple(&from, 0, VM_A + 0x7000, 1, 0);
    vm_desc(&from, VM_DESC, 0, VM_A + 0x7000, HDR + length, 0, 0);
    assert_true(queue_poll(queue));
    while (switch_gets(&got, &o)) {
        assert_int_equal(o.gso_size, 1448);
        sum += got - 54;
        n++;
    }
    assert_int_equal(n, 2);
    assert_int_equal(sum, 65160);
    end();
}

static void
test_a_switch_without_offloads_gets_finished_frames(void **state)
{
    struct virtio_net_hdr h;
    struct doms_offload o;
    uint32_t length, got, ofs = 0;
    const uint8_t *data;

    (void) state;
    begin(false, 0, 0);
    length = make_tcp(VM_DATA, 20000, 1448, &h);
    vm_offer_simple(&from, 0, VM_DATA, HDR + length, 0);
    assert_true(queue_poll(queue));
    while ((data = switch_gets(&got, &o))) {
        uint32_t n = got - 54;

        assert_in_range(got, 55, 1502);
        assert_int_equal(sum_of(data + 14, 20, 0), 0xffff);
        assert_int_equal(sum_of(data + 26, got - 26, 6 + got - 34), 0xffff);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(data[54 + i], byte_of(9, ofs + i));
        }
        ofs += n;
    }
    assert_int_equal(ofs, 20000);
    /* A checksum alone. */
    length = make_tcp(VM_DATA, 101, 0, &h);
    vm_at(&from, VM_DATA + HDR)[34 + 17] = 6 + 121; /* Less the addresses. */
    vm_offer_simple(&from, 1, VM_DATA, HDR + length, 0);
    assert_true(queue_poll(queue));
    data = switch_gets(&got, &o);
    assert_non_null(data);
    assert_int_equal(got, 155);
    assert_int_equal(o.flags, 0);
    assert_int_equal(sum_of(data + 34, 121, 6 + 121), 0xffff);
    end();
}

static void
test_bad_offload_fields_cost_the_frame(void **state)
{
    static const struct virtio_net_hdr bad[] = {
        { .flags = 1, .csum_start = 1000 },
        { .flags = 1, .csum_start = 65535, .csum_offset = 65535 },
        { .flags = 1, .csum_start = 59, .csum_offset = 0 },
        { .gso_type = 1, .gso_size = 1000 },
        { .flags = 1, .gso_type = 3, .gso_size = 1000 },
        { .flags = 1, .gso_type = 1, .gso_size = 0 },
        { .flags = 1, .gso_type = 1, .gso_size = 10, .hdr_len = 100 },
        { .gso_type = 0x7f },
    };
    const unsigned int n = sizeof bad / sizeof *bad;

    (void) state;
    for (int features = 0; features < 2; features++) {
        begin(false, features ? DOMS_F_CSUM | DOMS_F_TSO : 0, 0);
        for (unsigned int i = 0; i < n; i++) {
            driver_sends(i, VM_DATA + i * 0x100, i, 60, &bad[i]);
        }
        driver_sends(n, VM_DATA + n * 0x100, n, 60, NULL);
        assert_true(queue_poll(queue));
        assert_switch_gets(n, 60);
        assert_switch_gets_nothing();
        assert_int_equal(queue->counters.from_offload, n);
        end();
    }
}

/* To the VM. */

/* Has the switch send frame number 'n'. */
static void
switch_sends(unsigned int n, uint32_t length, const struct doms_offload *o)
{
    uint32_t extra = o ? sizeof *o : 0;
    uint8_t *place = doms_ring_reserve(&conn.q[0].tx, length + extra);

    assert_non_null(place);
    if (o) {
        memcpy(place, o, sizeof *o);
    }
    for (uint32_t i = 0; i < length; i++) {
        place[extra + i] = byte_of(n, i);
    }
    doms_ring_commit(&conn.q[0].tx, length + extra,
                     o ? DOMS_RECORD_OFFLOAD : 0);
    doms_ring_publish(&conn.q[0].tx);
}

/* What the driver finds as number 'i' of what is used. */
static uint32_t
used_length(unsigned int i)
{
    struct vring_used *used = (struct vring_used *) vm_at(&to, VM_DEVICE);

    assert_true(used->idx > i);
    return used->ring[i % RING].len;
}

static unsigned int
n_used(void)
{
    return ((struct vring_used *) vm_at(&to, VM_DEVICE))->idx;
}

static void
test_frames_reach_the_vm(void **state)
{
    (void) state;
    begin(false, 0, 0);
    for (unsigned int n = 0; n < 1500; n++) {
        const uint8_t *data = vm_at(&to, VM_DATA);

        vm_offer_simple(&to, n % RING, VM_DATA, 1600, VRING_DESC_F_WRITE);
        switch_sends(n, 14 + n, NULL);
        assert_true(queue_poll(queue));
        assert_int_equal(used_length(n), HDR + 14 + n);
        assert_int_equal(((struct virtio_net_hdr_v1 *) data)->num_buffers, 1);
        assert_int_equal(data[0] | data[1], 0);
        for (uint32_t i = 0; i < 14 + n; i++) {
            assert_int_equal(data[HDR + i], byte_of(n, i));
        }
    }
    assert_int_equal(queue->counters.to_frames, 1500);
    end();
}

static void
test_mergeable_buffers_share_a_frame(void **state)
{
    struct virtio_net_hdr_v1 *h;

    (void) state;
    begin(false, 0, BIT(VIRTIO_NET_F_MRG_RXBUF));
    for (unsigned int i = 0; i < 5; i++) {
        vm_offer_simple(&to, i, VM_DATA + i * 1024, 1000, VRING_DESC_F_WRITE);
    }
    switch_sends(1, 60, NULL);
    switch_sends(2, 4000, NULL);
    switch_sends(3, 60, NULL);
    /* The second lacks a buffer. */
    assert_true(queue_poll(queue));
    assert_int_equal(n_used(), 1);
    vm_offer_simple(&to, 5, VM_DATA + 5 * 1024, 1000, VRING_DESC_F_WRITE);
    assert_true(queue_poll(queue));
    assert_int_equal(n_used(), 6);
    h = (struct virtio_net_hdr_v1 *) vm_at(&to, VM_DATA + 1024);
    assert_int_equal(h->num_buffers, 5);
    assert_int_equal(used_length(1), 1000);
    assert_int_equal(used_length(5), 12);
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t at = HDR + i;

        assert_int_equal(
            vm_at(&to, VM_DATA + 1024 + at / 1000 * 1024)[at % 1000],
            byte_of(2, i));
    }
    vm_offer_simple(&to, 6, VM_DATA + 6 * 1024, 1000, VRING_DESC_F_WRITE);
    assert_true(queue_poll(queue));
    assert_int_equal(used_length(6), HDR + 60);
    end();
}

/* A frame that waits for buffers which can never be taken would have the worker
 * look for them for ever. */
static void
test_a_frame_does_not_wait_for_buffers_of_too_many_pieces(void **state)
{
    (void) state;
    begin(false, 0, BIT(VIRTIO_NET_F_MRG_RXBUF));
    for (unsigned int i = 0; i < 600; i++) {
        vm_desc(&to, VM_C, i, VM_DATA, 1,
                VRING_DESC_F_WRITE | (i < 599 ? VRING_DESC_F_NEXT : 0), i + 1);
    }
    for (unsigned int i = 0; i < 3; i++) {
        vm_offer_simple(&to, i, VM_C, 16 * 600, VRING_DESC_F_INDIRECT);
    }
    switch_sends(1, 1500, NULL);
    queue_poll(queue);
    assert_int_equal(queue->counters.to_no_room, 1);
    assert_int_equal(queue->n_held, 0);
    switch_sends(2, 60, NULL);
    assert_true(queue_poll(queue));
    assert_int_equal(queue->counters.to_frames, 1);
    end();
}

static void
test_a_frame_too_long_for_its_buffer_is_dropped(void **state)
{
    (void) state;
    begin(true, 0, 0);
    vm_offer_simple(&to, 0, VM_DATA, 100, VRING_DESC_F_WRITE);
    vm_offer_simple(&to, 1, VM_DATA + 1024, 100, VRING_DESC_F_WRITE);
    switch_sends(1, 89, NULL);
    switch_sends(2, 88, NULL);
    queue_poll(queue);
    assert_int_equal(queue->counters.to_no_room, 1);
    assert_int_equal(queue->counters.to_frames, 1);
    assert_int_equal(vm_at(&to, VM_DATA)[HDR], byte_of(2, 0));
    end();
}

static void
test_offload_fields_reach_a_driver_that_takes_them(void **state)
{
    const struct doms_offload o = { .flags = 1,
                                    .gso_type = DOMS_GSO_TCPV4,
                                    .hdr_len = 54,
                                    .gso_size = 500,
                                    .csum_start = 34,
                                    .csum_offset = 16 };
    const struct doms_offload sum = { .flags = 1, .csum_start = 34 };
    struct virtio_net_hdr *h;

    (void) state;
    begin(false, DOMS_F_CSUM | DOMS_F_TSO,
          BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4));
    vm_offer_simple(&to, 0, VM_DATA, 4000, VRING_DESC_F_WRITE);
    switch_sends(1, 3000, &o);
    assert_true(queue_poll(queue));
    h = (struct virtio_net_hdr *) vm_at(&to, VM_DATA);
    assert_int_equal(h->flags, 1);
    assert_int_equal(h->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
    assert_int_equal(h->gso_size, 500);
    assert_int_equal(h->csum_start, 34);
    /* The next driver takes none. */
    queue->features = 0;
    vm_offer_simple(&to, 1, VM_DATA, 4000, VRING_DESC_F_WRITE);
    switch_sends(1, 3000, &o);
    switch_sends(2, 300, &sum);
    queue_poll(queue);
    assert_int_equal(queue->counters.to_offload, 2);
    end();
}

static void
test_frames_without_a_driver_are_dropped(void **state)
{
    (void) state;
    begin(false, 0, 0);
    queue->virtqs[QUEUE_TO_VM].live = false;
    for (int i = 0; i < 100; i++) {
        switch_sends(i, 60, NULL);
    }
    while (queue_poll(queue)) {
    }
    assert_int_equal(queue->counters.to_no_driver, 100);
    assert_true(doms_ring_writer_is_drained(&conn.q[0].tx));
    end();
}

static void
test_a_queue_that_the_driver_does_not_use_uses_another(void **state)
{
    struct queue *idle;

    (void) state;
    begin(false, 0, 0);
    idle = aligned_alloc(__alignof__(struct queue), sizeof *idle);
    assert_non_null(idle);
    memset(idle, 0, sizeof *idle);
    idle->front = front;
    queue_reset(idle);
    idle->stand_in = queue;

    switch_sends(1, 60, NULL);
    assert_false(queue_poll(idle));
    assert_true(idle->full);
    vm_offer_simple(&to, 0, VM_DATA, 1600, VRING_DESC_F_WRITE);
    queue_lock(queue);
    queue_poll(idle);
    assert_int_equal(n_used(), 0);
    queue_unlock(queue);
    assert_true(queue_poll(idle));
    assert_int_equal(used_length(0), HDR + 60);
    assert_false(idle->full);
    free(idle);
    end();
}

static void
test_frames_that_wait_do_not_keep_a_dead_switch(void **state)
{
    (void) state;
    begin(false, 0, 0);
    switch_sends(1, 60, NULL);
    assert_false(queue_poll(queue));
    assert_int_equal(queue->n_held, 1);
    sw_hang_up(&conn);
    AWAIT(front->phase == DF_LEAVING || front->phase == DF_IDLE,
          run_front(front));
    queue_poll(queue);
    assert_int_equal(queue->n_held, 0);
    AWAIT(front->phase == DF_IDLE || front->phase == DF_HELLO,
          (queue_poll(queue), run_front(front)));
    end();
}

static void
test_notifications_are_asked_for_when_idle_only(void **state)
{
    struct vring_used *used;
    uint64_t value;

    (void) state;
    begin(false, 0, 0);
    used = (struct vring_used *) vm_at(&from, VM_DEVICE);
    queue_poll(queue);
    assert_int_equal(used->flags, VRING_USED_F_NO_NOTIFY);
    assert_true(queue_arm(queue));
    assert_int_equal(used->flags, 0);
    driver_sends(0, VM_DATA, 1, 60, NULL);
    assert_false(queue_arm(queue));
    assert_true(queue_poll(queue));
    assert_int_equal(used->flags, VRING_USED_F_NO_NOTIFY);
    /* Once a burst, and not if the driver polls. */
    assert_int_equal(read(call_fd, &value, 8), 8);
    assert_int_equal(value, 1);
    ((struct vring_avail *) vm_at(&from, VM_DRIVER))
        ->flags = VRING_AVAIL_F_NO_INTERRUPT;
    driver_sends(1, VM_DATA, 1, 60, NULL);
    assert_true(queue_poll(queue));
    assert_int_equal(read(call_fd, &value, 8), -1);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_of_all_lengths_reach_the_switch),
        cmocka_unit_test(test_header_and_frame_may_lie_anywhere),
        cmocka_unit_test(test_frames_of_wrong_length_are_dropped),
        cmocka_unit_test(test_half_a_header_breaks_a_rule),
        cmocka_unit_test(test_a_full_ring_keeps_frames_in_the_vm),
        cmocka_unit_test(test_offloads_go_on_to_a_switch_that_has_them),
        cmocka_unit_test(test_64_kb_become_two_records),
        cmocka_unit_test(test_a_switch_without_offloads_gets_finished_frames),
        cmocka_unit_test(test_bad_offload_fields_cost_the_frame),
        cmocka_unit_test(test_frames_reach_the_vm),
        cmocka_unit_test(test_mergeable_buffers_share_a_frame),
        cmocka_unit_test(
            test_a_frame_does_not_wait_for_buffers_of_too_many_pieces),
        cmocka_unit_test(test_a_frame_too_long_for_its_buffer_is_dropped),
        cmocka_unit_test(test_offload_fields_reach_a_driver_that_takes_them),
        cmocka_unit_test(test_frames_without_a_driver_are_dropped),
        cmocka_unit_test(
            test_a_queue_that_the_driver_does_not_use_uses_another),
        cmocka_unit_test(test_frames_that_wait_do_not_keep_a_dead_switch),
        cmocka_unit_test(test_notifications_are_asked_for_when_idle_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
