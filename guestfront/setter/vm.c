/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "vm.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_vhost.h>

#include "guestfront/program/log.h"
#include "guestfront/setter/peer.h"

#define BIT(N) (UINT64_C(1) << (N))

/* What the library could do, and these queues do not. */
#define UNUSED_FEATURES                                                       \
    (BIT(VHOST_F_LOG_ALL) | BIT(VIRTIO_NET_F_CTRL_VQ)                         \
     | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE)           \
     | BIT(VIRTIO_NET_F_GSO) | BIT(VIRTIO_NET_F_HOST_ECN)                     \
     | BIT(VIRTIO_NET_F_HOST_UFO) | BIT(VIRTIO_NET_F_GUEST_ECN)               \
     | BIT(VIRTIO_NET_F_GUEST_UFO) | BIT(VIRTIO_F_ACCESS_PLATFORM))
#define PROTOCOL_FEATURES                                                     \
    (BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)     \
     | BIT(VHOST_USER_PROTOCOL_F_NET_MTU))

/* Makes '*vm' what 'config' says.  'front_config' is how its front asks the
 * switch, but for what 'config' says.  Returns 0, or an errno value having
 * said why. */
int
vm_init(struct vm *vm, const struct vm_config *config,
        const struct domsfront_config *front_config, int main_fd)
{
    struct domsfront_config fc = *front_config;
    size_t size = config->n_queues * sizeof *vm->queues;

    memset(vm, 0, sizeof *vm);
    vm->config = *config;
    vm->main_fd = main_fd;
    vm->vid = -1;
    vm->room = 1500 + VM_L2_SIZE;
    pthread_mutex_init(&vm->lock, NULL);
    vm->offered = fc.features;
    fc.name = config->name;
    fc.n_queues = config->n_queues;
    memcpy(fc.mac, config->mac, sizeof fc.mac);
    if (domsfront_open(&fc, &vm->front)) {
        log_error("%s", domsfront_last_error());
        return EINVAL;
    }
    domsfront_set_carrier(vm->front, false);
    vm->queues = aligned_alloc(__alignof__(struct queue), size);
    if (!vm->queues) {
        log_error("%s: out of memory", config->name);
        return ENOMEM;
    }
    memset(vm->queues, 0, size);
    for (unsigned int i = 0; i < config->n_queues; i++) {
        struct queue *q = &vm->queues[i];

        q->front = vm->front;
        q->index = i;
        q->room = &vm->room;
        q->alarm_fd = main_fd;
        queue_reset(q);
    }
    return 0;
}

/* Frees what 'vm' has.  Its connection must be closed, and its queues'
 * workers have ended. */
void
vm_destroy(struct vm *vm)
{
    domsfront_close(vm->front);
    free(vm->queues);
    pthread_mutex_destroy(&vm->lock);
}

/* Removes a socket that nobody listens at, which an earlier life has left.
 * Returns 0, or an errno value having said why. */
static int
clear_socket(const struct vm_config *c)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    struct stat st;
    int error = 0;
    int fd;

    if (lstat(c->path, &st)) {
        return 0;
    }
    if (!S_ISSOCK(st.st_mode)) {
        log_error("%s: %s is there, and no socket; name another one, or "
                  "remove it",
                  c->name, c->path);
        return EEXIST;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", c->path);
    if (!connect(fd, (struct sockaddr *) &sun, sizeof sun)
        || errno != ECONNREFUSED) {
        log_error("%s: another process listens at %s; is this VM served "
                  "already?",
                  c->name, c->path);
        error = EADDRINUSE;
    } else if (unlink(c->path)) {
        error = errno;
        log_error("%s: %s is left over and cannot be removed: %s", c->name,
                  c->path, strerror(error));
    }
    close(fd);
    return error;
}

/* Offers 'vm' to its front end: listens for it, or connects to it.  Returns 0,
 * or an errno value having said why. */
int
vm_connect(struct vm *vm)
{
    const struct vm_config *c = &vm->config;
    uint64_t unused = UNUSED_FEATURES;
    mode_t old_mask;
    int error = 0;

    if (!c->client) {
        error = clear_socket(c);
        if (error) {
            return error;
        }
    }
    if (vm->n_offered == 1) {
        unused |= BIT(VIRTIO_NET_F_MQ);
    }
    if (rte_vhost_driver_register(c->path,
                                  c->client ? RTE_VHOST_USER_CLIENT : 0)) {
        log_error("%s: no vhost-user socket at %s", c->name, c->path);
        return EINVAL;
    }
    /* Or the mode would be open to others for a moment. */
    old_mask = umask(~c->mode & 0777);
    if (rte_vhost_driver_disable_features(c->path, unused)
        || rte_vhost_driver_set_protocol_features(c->path, PROTOCOL_FEATURES)
        || rte_vhost_driver_callback_register(c->path, &vm_device_ops__)
        || rte_vhost_driver_start(c->path)) {
        log_error("%s: no vhost-user socket at %s; see that its folder is "
                  "there, and that this user may write to it",
                  c->name, c->path);
        error = EINVAL;
    }
    umask(old_mask);
    if (error) {
        rte_vhost_driver_unregister(c->path);
    } else {
        vm->open = true;
    }
    return error;
}

/* Ends what vm_connect() began, and with it the connection. */
void
vm_disconnect(struct vm *vm)
{
    if (vm->open) {
        rte_vhost_driver_unregister(vm->config.path);
        vm->open = false;
        pthread_mutex_lock(&vm->lock);
        if (vm->vid >= 0) {
            vm_forget_connection__(vm);
        }
        /* What was wrong with it is not so with the next. */
        vm->failed = false;
        vm->why[0] = '\0';
        pthread_mutex_unlock(&vm->lock);
    }
}

/* Has the switch send 'vm' only such frames as its driver takes. */
void
vm_follow_driver(struct vm *vm)
{
    uint64_t features = vm->offered;
    bool running;

    pthread_mutex_lock(&vm->lock);
    running = vm->running && !vm->failed;
    if (!(vm->features & BIT(VIRTIO_NET_F_GUEST_CSUM))) {
        features &= ~(DOMSFRONT_F_CSUM | DOMSFRONT_F_TSO);
    }
    if (~vm->features
        & (BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6))) {
        features &= ~DOMSFRONT_F_TSO;
    }
    pthread_mutex_unlock(&vm->lock);
    if (running) {
        domsfront_set_features(vm->front, features);
    }
}

/* Returns true, once, if the connection of 'vm' must be closed, with the
 * reason in 'why' of 'why_size' bytes. */
bool
vm_has_failed(struct vm *vm, char *why, size_t why_size)
{
    bool failed = false;

    pthread_mutex_lock(&vm->lock);
    if (vm->vid >= 0 && peer_memory_vanished(&vm->memory)) {
        vm_fail__(vm, "its memory has vanished");
    }
    if (vm->failed && vm->why[0]) {
        snprintf(why, why_size, "%s", vm->why);
        vm->why[0] = '\0';
        failed = true;
    }
    pthread_mutex_unlock(&vm->lock);
    for (unsigned int i = 0; i < vm->config.n_queues && !failed; i++) {
        struct queue *q = &vm->queues[i];
        uint32_t fault = __atomic_exchange_n(&q->fault, 0, __ATOMIC_RELAXED);

        if (fault) {
            snprintf(
                why, why_size, "its driver broke a rule: virtqueue %u: %s",
                2 * i + (fault >> 8), virtq_fault_to_string(fault & 0xff));
            failed = true;
        }
    }
    return failed;
}
