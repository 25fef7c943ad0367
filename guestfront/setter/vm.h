/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM, or rather one of its network devices: a vhost-user connection with the
 * hypervisor's front end (QEMU) on one side, a front of DomS on the other.
 *
 * DPDK's vhost library speaks the protocol; vm_start() starts it.  Before it
 * acts on any message that may change the VM's memory or its virtqueues, the
 * queues lose their virtqueues, and afterwards they get them anew, so that a
 * worker never sees a change.  What the library found is checked again.
 *
 * Threads
 * -------
 *
 * The main thread owns a VM, opens and closes its connection and runs its
 * front.  Callbacks come in threads of the library's, also while the main
 * thread closes the connection.  Workers poll the queues and no more.
 */

#ifndef DOMS_SETTER_VM_H
#define DOMS_SETTER_VM_H 1

#include <pthread.h>

#include "guestfront/program/log.h"
#include "guestfront/setter/queue.h"

/* An Ethernet header and two VLAN tags. */
#define VM_L2_SIZE (14 + 2 * 4)

/* What the command line says of a VM. */
struct vm_config {
    char *name;            /* The guest's name. */
    char *path;            /* Of the vhost-user socket. */
    bool client;           /* The front end listens there, not doms-setter. */
    unsigned int mode;     /* Permissions of the socket, if not 'client'. */
    uint8_t mac[6];        /* To ask the switch for; or zeros. */
    unsigned int n_queues; /* Queue pairs. */
};

/* The most entries of a virtqueue; QEMU's have up to 1024. */
#define VM_RING_MAX 4096

struct vm {
    /* Fixed. */
    struct vm_config config;
    struct domsfront *front;
    uint64_t offered;     /* DOMSFRONT_F_* that the front may offer. */
    struct queue *queues; /* 'config.n_queues' of them. */
    int main_fd;          /* An eventfd, to wake the main thread. */

    /* The main thread's. */
    unsigned int n_offered; /* Queue pairs that the front end may use. */
    bool open;              /* The connection is wanted and prepared. */
    uint64_t down_since;    /* When the front went down, or 0. */
    uint64_t opened_at;     /* When it was opened last. */
    uint64_t retry_at;      /* When to open again after a fault. */
    uint64_t backoff;       /* Microseconds until then, the next time. */
    uint64_t faults;        /* Times that the VM broke a rule. */
    uint32_t room;          /* For the queues; atomic. */

    /* The connection's, held by 'lock'. */
    pthread_mutex_t lock;
    int vid;      /* The library's name, or -1. */
    bool running; /* It has a driver. */
    bool ready[QUEUE_N_VIRTQS * DOMSFRONT_MAX_QUEUES]; /* By virtqueue. */
    bool in_message;   /* One is being acted on. */
    bool failed;       /* To be closed. */
    uint64_t features; /* VIRTIO_*, as bits. */
    struct memory memory;
    char why[200]; /* Why it failed, "" if logged. */

    struct log_limit log_limit; /* Of lines that its front end causes. */
};

int vm_start(struct vm **, unsigned int n);
int vm_init(struct vm *, const struct vm_config *,
            const struct domsfront_config *, int main_fd);
void vm_destroy(struct vm *);
int vm_connect(struct vm *);
void vm_disconnect(struct vm *);
void vm_follow_driver(struct vm *);
bool vm_has_failed(struct vm *, char *why, size_t why_size);

/* The parts below are shared by the files about VMs. */

/* vm-device.c: a connection, in the library's threads. */
struct rte_vhost_device_ops;
extern const struct rte_vhost_device_ops vm_device_ops__;
void vm_fail__(struct vm *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void vm_forget_connection__(struct vm *);

/* vm-library.c: the library itself. */
struct vm *vm_find__(const char *path, size_t n);

#endif /* vm.h */
