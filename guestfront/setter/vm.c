/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "vm.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_vhost.h>

#include "guestfront/program/log.h"
#include "guestfront/setter/peer.h"
#include "guestfront/setter/worker.h"

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

/* The VM of each of the library's devices. */
static struct vm *vms_by_vid[RTE_MAX_VHOST_DEVICE];

/* The VM of each path, for a connection that is new. */
static struct vm **all_vms;
static unsigned int n_all_vms;

static struct vm *
vm_of(int vid)
{
    return vid >= 0 && vid < RTE_MAX_VHOST_DEVICE
               ? __atomic_load_n(&vms_by_vid[vid], __ATOMIC_ACQUIRE)
               : NULL;
}

/* Notes, under its lock, that the connection of 'vm' must be closed. */
static void __attribute__((format(printf, 2, 3)))
fail(struct vm *vm, const char *format, ...)
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

/* Vrings. */

/* Returns true if 'fd' is an eventfd: a write to anything else could block. */
static bool
is_eventfd(int fd)
{
    char path[32], target[32];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    n = readlink(path, target, sizeof target - 1);
    if (n < 0) {
        return false;
    }
    target[n] = '\0';
    return !strcmp(target, "anon_inode:[eventfd]");
}

/* Takes the vrings from all queues of 'vm', and tells the library where each
 * got to. */
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

    if (rte_vhost_get_mem_table(vm->vid, &table)) {
        fail(vm, "no table of its memory");
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
        fail(vm, "%s", why);
    }
    return error;
}

/* Gives queue 'q' of 'vm' its vring number 'j'.  Returns 0 or an errno value,
 * with the reason noted. */
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
        fail(vm, "vring %u is not there", index);
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
    if (!error && lib.callfd >= 0 && !is_eventfd(lib.callfd)) {
        snprintf(why, sizeof why, "what is to be called is no eventfd");
        error = EINVAL;
    }
    if (!error && lib.kickfd >= 0 && !is_eventfd(lib.kickfd)) {
        snprintf(why, sizeof why, "what kicks is no eventfd");
        error = EINVAL;
    }
    if (error) {
        fail(vm, "vring %u: %s", index, why);
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

/* Gives the queues of 'vm' the vrings that are ready. */
static void
start_queues(struct vm *vm)
{
    if (!vm->running || vm->failed
        || rte_vhost_get_negotiated_features(vm->vid, &vm->features)
        || copy_memory(vm)) {
        return;
    }
    for (unsigned int i = 0; i < vm->config.n_queues && !vm->failed; i++) {
        struct queue *q = &vm->queues[i];

        queue_lock(q);
        q->features = vm->features;
        q->header_size = vm->features & (BIT(VIRTIO_F_VERSION_1)
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

static void
log_driver(const struct vm *vm)
{
    unsigned int n = 0;

    while (n < vm->config.n_queues && vm->ready[2 * n]) {
        n++;
    }
    log_line("%s: the VM's driver is ready: %s rings, queues %u%s%s%s%s",
             vm->config.name,
             vm->features & BIT(VIRTIO_F_RING_PACKED) ? "packed" : "split", n,
             vm->features & BIT(VIRTIO_F_IN_ORDER) ? ", in order" : "",
             vm->features & BIT(VIRTIO_NET_F_MRG_RXBUF) ? ", mergeable buffers"
                                                        : "",
             vm->features & BIT(VIRTIO_NET_F_GUEST_CSUM) ? ", checksums" : "",
             vm->features & BIT(VIRTIO_NET_F_GUEST_TSO4) ? ", segmentation"
                                                         : "");
}

/* Ends what belongs to the connection of 'vm', which is held. */
static void
forget_connection(struct vm *vm)
{
    stop_queues(vm);
    __atomic_store_n(&vms_by_vid[vm->vid], NULL, __ATOMIC_RELEASE);
    vm->vid = -1;
    vm->running = false;
    vm->memory.n = 0;
    domsfront_set_carrier(vm->front, false);
}

/* Callbacks of the library's, in its threads. */

/* Messages that change nothing that a queue uses. */
static bool
is_harmless(uint32_t request)
{
    switch (request) {
    case 1:  /* GET_FEATURES */
    case 15: /* GET_PROTOCOL_FEATURES */
    case 17: /* GET_QUEUE_NUM */
    case 20: /* NET_SET_MTU */
        return true;
    default:
        return false;
    }
}

/* Before a message is acted on. */
static enum rte_vhost_msg_result
before_message(int vid, void *message)
{
    uint32_t request = *(const uint32_t *) message;
    struct vm *vm = vm_of(vid);

    if (vm && !is_harmless(request)) {
        pthread_mutex_lock(&vm->lock);
        if (vm->in_message) {
            /* There was no 'after': the one before was not possible, and what
             * it has left is not to be relied on. */
            fail(vm, "a message that could not be acted on");
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

    if (vm && !is_harmless(request)) {
        pthread_mutex_lock(&vm->lock);
        vm->in_message = false;
        start_queues(vm);
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

    if (vid >= RTE_MAX_VHOST_DEVICE
        || rte_vhost_get_ifname(vid, path, sizeof path)) {
        return -1;
    }
    for (unsigned int i = 0; i < n_all_vms; i++) {
        struct vm *vm = all_vms[i];

        if (!strcmp(vm->config.path, path)) {
            bool taken;

            pthread_mutex_lock(&vm->lock);
            taken = vm->vid >= 0;
            if (!taken) {
                vm->vid = vid;
                vm->running = vm->in_message = vm->failed = false;
                memset(vm->ready, 0, sizeof vm->ready);
                __atomic_store_n(&vms_by_vid[vid], vm, __ATOMIC_RELEASE);
            }
            pthread_mutex_unlock(&vm->lock);
            if (taken) {
                log_line("%s: a second connection to %s is refused",
                         vm->config.name, path);
                return -1;
            }
            log_line("%s: the VM is connected at %s", vm->config.name, path);
            return rte_vhost_extern_callback_register(vid, &message_ops,
                                                      NULL);
        }
    }
    return -1;
}

static void
destroy_connection(int vid)
{
    struct vm *vm = vm_of(vid);

    if (vm) {
        pthread_mutex_lock(&vm->lock);
        forget_connection(vm);
        pthread_mutex_unlock(&vm->lock);
        log_line("%s: the VM's connection is closed", vm->config.name);
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
        log_line("%s: the VM's driver is gone", vm->config.name);
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

static const struct rte_vhost_device_ops device_ops = {
    .new_connection = new_connection,
    .destroy_connection = destroy_connection,
    .new_device = new_device,
    .destroy_device = destroy_device,
    .vring_state_changed = vring_state_changed,
};

/* The library. */

/* Returns the end of the first 'n' bytes of 'text' without what is white. */
static size_t
trim(const char *text, size_t n)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) {
        n--;
    }
    return n;
}

/* Logs a line of the library's, "VHOST_CONFIG: (PATH) ...", by the name of the
 * VM. */
static ssize_t
log_of_library(void *cookie, const char *text, size_t n)
{
    int length = trim(text, n);

    (void) cookie;
    for (unsigned int i = 0; i < n_all_vms; i++) {
        const char *path = all_vms[i]->config.path;
        const char *found = memmem(text, n, path, strlen(path));

        if (found && found[strlen(path)] == ')') {
            found += strlen(path) + 2;
            log_line("%s: vhost-user: %.*s", all_vms[i]->config.name,
                     (int) (text + length - found), found);
            return n;
        }
    }
    if (length) {
        log_line("%.*s", length, text);
    }
    return n;
}

/* Has the library start its threads, which it does with its first connection:
 * later, there may be no new ones.  Returns 0, or an errno value having said
 * why. */
static int
start_threads(void)
{
    static const char nobody[] = "/dev/null/nobody";

    if (rte_vhost_driver_register(nobody, RTE_VHOST_USER_CLIENT)
        || rte_vhost_driver_callback_register(nobody, &device_ops)
        || rte_vhost_driver_start(nobody)
        || rte_vhost_driver_unregister(nobody)) {
        log_error("DPDK's vhost library does not start");
        return EINVAL;
    }
    rte_log_set_level_pattern("lib.vhost.*", RTE_LOG_WARNING);
    return 0;
}

/* Starts the library for the 'n' VMs at 'vms', which must live on.  Returns 0,
 * or an errno value having said why. */
int
vm_start(struct vm **vms, unsigned int n)
{
    cookie_io_functions_t io = { .write = log_of_library };
    char memory[16], cpu[16];
    /* Of this, only what the library allocates is ever used. */
    const char *args[] = {
        "doms-setter",     "--no-huge",       "--no-shconf",
        "--no-pci",        "--no-telemetry",  "--iova-mode=va",
        "--log-level=error",
        "-m", memory,
        "-l",              cpu,
    };
    cpu_set_t cpus;
    FILE *log = fopencookie(NULL, "w", io);

    all_vms = vms;
    n_all_vms = n;
    snprintf(memory, sizeof memory, "%u", 64 + 4 * n);
    snprintf(cpu, sizeof cpu, "%d", sched_getcpu());
    if (!log || sched_getaffinity(0, sizeof cpus, &cpus)) {
        log_error("no memory for the log");
        return ENOMEM;
    }
    setvbuf(log, NULL, _IOLBF, 1024);
    rte_openlog_stream(log);
    if (rte_eal_init(sizeof args / sizeof *args, (char **) args) < 0) {
        log_error("DPDK does not start: %s", rte_strerror(rte_errno));
        return rte_errno;
    }
    /* DPDK has bound the thread to one CPU. */
    sched_setaffinity(0, sizeof cpus, &cpus);
    return start_threads();
}

/* VMs. */

/* Makes '*vm' what 'config' says.  'front_config' is how its front asks the
 * switch, but for what 'config' says.  Returns 0, or an errno value having said
 * why. */
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
    if (c->n_queues == 1) {
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
        || rte_vhost_driver_callback_register(c->path, &device_ops)
        || rte_vhost_driver_start(c->path)) {
        log_error("%s: no vhost-user socket at %s", c->name, c->path);
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
            forget_connection(vm);
        }
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
        fail(vm, "its memory has vanished");
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
            snprintf(why, why_size, "its driver broke a rule: vring %u: %s",
                     2 * i + (fault >> 8),
                     virtq_fault_to_string(fault & 0xff));
            failed = true;
        }
    }
    return failed;
}
