/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "guestfront/program/log.h"
#include "guestfront/setter/peer.h"
#include "guestfront/setter/vm.h"
#include "guestfront/setter/worker.h"

#define BIT(N) (UINT64_C(1) << (N))

/* The VM of each of the library's devices. */
static struct vm *vms_by_vid[RTE_MAX_VHOST_DEVICE];

static struct vm *
vm_of(int vid)
{
    return vid >= 0 && vid < RTE_MAX_VHOST_DEVICE
               ? __atomic_load_n(&vms_by_vid[vid], __ATOMIC_ACQUIRE)
               : NULL;
}

/* Notes, under its lock, that the connection of 'vm' must be closed. */
void
vm_fail__(struct vm *vm, const char *format, ...)
{
    uint64_t one = 1;
    va_list args;

    if (!vm->failed) {
        va_start(args, format);
        vsnprintf(vm->why, sizeof vm->why, format, args);
        va_end(args);
        vm->failed = true;
        if (write(vm->main_fd, &one, sizeof one) < 0) {
            /* It is full, so the main thread wakes up. */
        }
    }
}

/* Virtqueues. */

/* Takes the virtqueues from all queues of 'vm', and tells the library where
 * each got to. */
static void
stop_queues(struct vm *vm)
{
    for (unsigned int i = 0; i < vm->config.n_queues; i++) {
        struct queue *q = &vm->queues[i];

        queue_lock(q);
        for (unsigned int j = 0; j < QUEUE_N_VIRTQS; j++) {
            struct queue_virtq *qv = &q->virtqs[j];

            if (qv->live) {
                uint16_t base = virtq_base(&qv->ring);

                rte_vhost_set_vring_base(vm->vid, 2 * i + j, base, base);
            }
            if (qv->kick_fd >= 0) {
                worker_watch(q, qv->kick_fd, false);
            }
        }
        queue_reset(q);
        queue_unlock(q);
    }
}

/* Copies the table of the VM's memory.  Returns 0 or an errno value, with the
 * reason noted. */
static int
copy_memory(struct vm *vm)
{
    struct rte_vhost_memory *table;
    char why[120];
    int error = 0;

    /* That table is no more, and the next VM may get its addresses. */
    if (peer_memory_vanished(&vm->memory)) {
        vm_fail__(vm, "its memory has vanished");
        return EFAULT;
    }
    if (rte_vhost_get_mem_table(vm->vid, &table)) {
        vm_fail__(vm, "no table of its memory");
        return EINVAL;
    }
    memset(&vm->memory, 0, sizeof vm->memory);
    for (unsigned int i = 0; i < table->nregions && !error; i++) {
        const struct rte_vhost_mem_region *r = &table->regions[i];
        struct memory_region region = {
            .guest = r->guest_phys_addr,
            .size = r->size,
            .host = (uint8_t *) (uintptr_t) r->host_user_addr,
            .user = r->guest_user_addr,
        };

        error = memory_add(&vm->memory, &region, why, sizeof why);
    }
    free(table);
    if (error) {
        vm_fail__(vm, "%s", why);
    }
    return error;
}

/* Gives queue 'q' of 'vm' its virtqueue number 'j'.  Returns 0 or an errno
 * value, with the reason noted. */
static int
set_virtq(struct vm *vm, struct queue *q, unsigned int j)
{
    struct queue_virtq *qv = &q->virtqs[j];
    unsigned int index = 2 * q->index + j;
    struct rte_vhost_vring lib;
    uint16_t avail, used;
    char why[120];
    int error;

    if (rte_vhost_get_vhost_vring(vm->vid, index, &lib)
        || rte_vhost_get_vring_base(vm->vid, index, &avail, &used)) {
        vm_fail__(vm, "virtqueue %u is not there", index);
        return EINVAL;
    }
    struct virtq_config c = {
        .packed = vm->features & BIT(VIRTIO_F_RING_PACKED),
        .event_idx = vm->features & BIT(VIRTIO_RING_F_EVENT_IDX),
        .in_order = vm->features & BIT(VIRTIO_F_IN_ORDER),
        .writes = j == QUEUE_TO_VM,
        .size = lib.size,
        .base = used,
        .desc = lib.desc,
        .driver = lib.avail,
        .device = lib.used,
        .memory = &vm->memory,
    };

    error = virtq_init(&qv->ring, &c, why, sizeof why);
    if (error) {
        vm_fail__(vm, "virtqueue %u: %s", index, why);
        return error;
    }
    qv->call_fd = lib.callfd >= 0 ? lib.callfd : -1;
    qv->kick_fd = lib.kickfd >= 0 ? lib.kickfd : -1;
    if (qv->kick_fd >= 0) {
        worker_watch(q, qv->kick_fd, true);
    }
    qv->live = true;
    return 0;
}

/* Returns how many queues the driver of 'vm' takes frames from, which are the
 * first ones. */
static unsigned int
count_ready(const struct vm *vm)
{
    unsigned int n = 0;

    while (n < vm->config.n_queues && vm->ready[2 * n + QUEUE_TO_VM]) {
        n++;
    }
    return n;
}

/* Gives the queues of 'vm' the virtqueues that are ready. */
static void
start_queues(struct vm *vm)
{
    unsigned int n_ready = count_ready(vm);

    if (!vm->running || vm->failed
        || rte_vhost_get_negotiated_features(vm->vid, &vm->features)
        || copy_memory(vm)) {
        return;
    }
    for (unsigned int i = 0; i < vm->config.n_queues && !vm->failed; i++) {
        struct queue *q = &vm->queues[i];

        queue_lock(q);
        q->stand_in = n_ready && i >= n_ready ? &vm->queues[i % n_ready]
                                              : NULL;
        q->features = vm->features;
        q->header_size = vm->features
                                 & (BIT(VIRTIO_F_VERSION_1)
                                    | BIT(VIRTIO_NET_F_MRG_RXBUF))
                             ? sizeof(struct virtio_net_hdr_v1)
                             : sizeof(struct virtio_net_hdr);
        __atomic_store_n(&q->fault, 0, __ATOMIC_RELAXED);
        for (unsigned int j = 0; j < QUEUE_N_VIRTQS && !vm->failed; j++) {
            if (vm->ready[2 * i + j]) {
                set_virtq(vm, q, j);
            }
        }
        queue_unlock(q);
        worker_wake(q);
    }
    if (vm->failed) {
        stop_queues(vm);
    }
    domsfront_set_carrier(vm->front, !vm->failed);
}

/* Logs that the driver of 'vm' is ready. */
static void
log_driver(struct vm *vm)
{
    uint32_t room = __atomic_load_n(&vm->room, __ATOMIC_RELAXED);
    unsigned int n = count_ready(vm);
    uint16_t mtu = 0;

    log_limited(
        &vm->log_limit, vm->config.name,
        "the VM's driver is ready: %s rings, queues %u%s%s%s%s",
        vm->features & BIT(VIRTIO_F_RING_PACKED) ? "packed" : "split", n,
        vm->features & BIT(VIRTIO_F_IN_ORDER) ? ", in order" : "",
        vm->features & BIT(VIRTIO_NET_F_MRG_RXBUF) ? ", mergeable buffers"
                                                   : "",
        vm->features & BIT(VIRTIO_NET_F_GUEST_CSUM) ? ", checksums" : "",
        vm->features & BIT(VIRTIO_NET_F_GUEST_TSO4) ? ", segmentation" : "");
    if (!rte_vhost_get_mtu(vm->vid, &mtu)
        && (uint32_t) mtu + VM_L2_SIZE > room) {
        log_limited(&vm->log_limit, vm->config.name,
                    "the VM's MTU is %u, more than the port's %u: give QEMU "
                    "another host_mtu, or the port another mtu_request",
                    mtu, room - VM_L2_SIZE);
    }
}

/* Ends what belongs to the connection of 'vm', which is held. */
void
vm_forget_connection__(struct vm *vm)
{
    struct vm *expected = vm;

    stop_queues(vm);
    /* The library may have given the name to another one by now. */
    __atomic_compare_exchange_n(&vms_by_vid[vm->vid], &expected, NULL, false,
                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    vm->vid = -1;
    vm->running = false;
    /* Nobody else, who may have the same addresses next, is to blame. */
    peer_memory_vanished(&vm->memory);
    vm->memory.n = 0;
    domsfront_set_carrier(vm->front, false);
}

/* Callbacks of the library's, in its threads. */

/* The start of a message. */
struct message {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
    uint64_t number;
} __attribute__((packed));

#define VERSION_MASK 3 /* In 'flags'. */
#define VERSION 1

/* Messages that change nothing that a queue uses. */
static bool
is_harmless(uint32_t request)
{
    return request == PEER_GET_FEATURES
           || request == PEER_GET_PROTOCOL_FEATURES
           || request == PEER_GET_QUEUE_NUM || request == PEER_NET_SET_MTU;
}

/* Returns what is wrong with virtqueue number 'index' of 'vm' in a message, or
 * NULL. */
static const char *
check_index(const struct vm *vm, uint32_t index)
{
    uint32_t n = __atomic_load_n(&vm->n_offered, __ATOMIC_RELAXED);

    return index < QUEUE_N_VIRTQS * n ? NULL : "a virtqueue too many";
}

/* Returns what is wrong with 'message' of 'vm', or NULL.  The library allocates
 * for each virtqueue, by its size, out of what is there for all VMs. */
static const char *
check_message(const struct vm *vm, const struct message *message)
{
    if ((message->flags & VERSION_MASK) != VERSION) {
        return "a message of another version";
    }
    if (peer_sent_useless_fds()) {
        return "file descriptors with a message that takes none";
    }
    switch (message->request) {
    case PEER_SET_VRING_NUM:
        if (message->number >> 32 > VM_RING_MAX) {
            return "a virtqueue of too many entries";
        }
        /* Fall through. */
    case PEER_SET_VRING_ADDR:
    case PEER_SET_VRING_BASE:
    case PEER_GET_VRING_BASE:
    case PEER_SET_VRING_ENABLE:
        return check_index(vm, message->number);
    case PEER_SET_VRING_KICK:
    case PEER_SET_VRING_CALL:
    case PEER_SET_VRING_ERR:
        return peer_sent_eventfds() ? check_index(vm, message->number & 0xff)
                                    : "a file that is no eventfd";
    case PEER_GET_FEATURES:
    case PEER_SET_FEATURES:
    case PEER_SET_OWNER:
    case PEER_RESET_OWNER:
    case PEER_SET_MEM_TABLE:
    case PEER_GET_PROTOCOL_FEATURES:
    case PEER_SET_PROTOCOL_FEATURES:
    case PEER_GET_QUEUE_NUM:
    case PEER_NET_SET_MTU:
        return NULL;
    default:
        return "a message that it was not offered";
    }
}

/* Before a message is acted on. */
static enum rte_vhost_msg_result
before_message(int vid, void *message_)
{
    struct message *message = message_;
    uint32_t request = message->request;
    struct vm *vm = vm_of(vid);
    const char *fault;
    char why[160];

    if (!vm) {
        peer_close_fds();
        return RTE_VHOST_MSG_RESULT_ERR;
    }
    fault = check_message(vm, message);
    if (!fault && request == PEER_SET_MEM_TABLE
        && peer_check_table(&message->number, message->size, why,
                            sizeof why)) {
        fault = why;
    }
    if (fault) {
        peer_close_fds();
        pthread_mutex_lock(&vm->lock);
        vm_fail__(vm, "%s", fault);
        pthread_mutex_unlock(&vm->lock);
        return RTE_VHOST_MSG_RESULT_ERR;
    }
    if (request == PEER_GET_QUEUE_NUM) {
        message->size = sizeof message->number;
        message->number = __atomic_load_n(&vm->n_offered, __ATOMIC_RELAXED);
        return RTE_VHOST_MSG_RESULT_REPLY;
    }
    if (!is_harmless(request)) {
        pthread_mutex_lock(&vm->lock);
        if (vm->in_message) {
            /* There was no 'after': the one before was not possible, and what
             * it has left is not to be relied on. */
            vm_fail__(vm, "a message that could not be acted on");
        }
        vm->in_message = true;
        stop_queues(vm);
        pthread_mutex_unlock(&vm->lock);
    }
    return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

/* After a message that could be acted on. */
static enum rte_vhost_msg_result
after_message(int vid, void *message)
{
    uint32_t request = *(const uint32_t *) message;
    enum rte_vhost_msg_result result = RTE_VHOST_MSG_RESULT_NOT_HANDLED;
    struct vm *vm = vm_of(vid);

    if (vm) {
        pthread_mutex_lock(&vm->lock);
        if (!is_harmless(request)) {
            vm->in_message = false;
            if (request == PEER_SET_MEM_TABLE) {
                /* Also before there is a driver: the library itself looks at
                 * the rings. */
                copy_memory(vm);
            }
            start_queues(vm);
        }
        if (vm->failed) {
            result = RTE_VHOST_MSG_RESULT_ERR;
        }
        pthread_mutex_unlock(&vm->lock);
    }
    return result;
}

static struct rte_vhost_user_extern_ops message_ops = {
    .pre_msg_handle = before_message,
    .post_msg_handle = after_message,
};

/* Callbacks of the library's. */

static int
new_connection(int vid)
{
    char path[108];
    bool taken, refused;
    struct vm *vm;

    if (vid >= RTE_MAX_VHOST_DEVICE
        || rte_vhost_get_ifname(vid, path, sizeof path)) {
        return -1;
    }
    vm = vm_find__(path, strlen(path));
    if (!vm) {
        return -1;
    }
    pthread_mutex_lock(&vm->lock);
    taken = vm->vid >= 0;
    /* What has failed is about to be closed, and kept out for a while. */
    refused = taken || vm->failed;
    if (!refused) {
        vm->vid = vid;
        vm->running = vm->in_message = false;
        memset(vm->ready, 0, sizeof vm->ready);
        __atomic_store_n(&vms_by_vid[vid], vm, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&vm->lock);
    if (taken) {
        log_limited(&vm->log_limit, vm->config.name,
                    "a second connection to %s is refused", path);
    }
    if (refused) {
        return -1;
    }
    log_limited(&vm->log_limit, vm->config.name, "the VM is connected at %s",
                path);
    return rte_vhost_extern_callback_register(vid, &message_ops, NULL);
}

static void
destroy_connection(int vid)
{
    struct vm *vm = vm_of(vid);

    if (vm) {
        pthread_mutex_lock(&vm->lock);
        if (!peer_has_left()) {
            vm_fail__(vm, "half a message, or one that cannot be");
        }
        vm_forget_connection__(vm);
        pthread_mutex_unlock(&vm->lock);
        log_limited(&vm->log_limit, vm->config.name,
                    "the VM's connection is closed");
    }
}

static int
new_device(int vid)
{
    struct vm *vm = vm_of(vid);
    bool failed = true;

    if (vm) {
        pthread_mutex_lock(&vm->lock);
        vm->running = true;
        start_queues(vm);
        failed = vm->failed;
        if (!failed) {
            log_driver(vm);
        }
        pthread_mutex_unlock(&vm->lock);
    }
    return failed ? -1 : 0;
}

static void
destroy_device(int vid)
{
    struct vm *vm = vm_of(vid);

    if (vm) {
        pthread_mutex_lock(&vm->lock);
        stop_queues(vm);
        vm->running = false;
        pthread_mutex_unlock(&vm->lock);
        domsfront_set_carrier(vm->front, false);
        log_limited(&vm->log_limit, vm->config.name,
                    "the VM's driver is gone");
    }
}

static int
vring_state_changed(int vid, uint16_t index, int enable)
{
    struct vm *vm = vm_of(vid);

    if (vm && index < QUEUE_N_VIRTQS * vm->config.n_queues) {
        pthread_mutex_lock(&vm->lock);
        stop_queues(vm);
        vm->ready[index] = enable;
        start_queues(vm);
        pthread_mutex_unlock(&vm->lock);
    }
    return 0;
}

const struct rte_vhost_device_ops vm_device_ops__ = {
    .new_connection = new_connection,
    .destroy_connection = destroy_connection,
    .new_device = new_device,
    .destroy_device = destroy_device,
    .vring_state_changed = vring_state_changed,
};
