/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doms-setter: makes QEMU/KVM guests, with their stock virtio-net driver,
 * guests of DomS.
 *
 * It maps the VMs' memory, as the hypervisor does, and copies frames between
 * it and the rings that it shares with the switch; neither of the two ever
 * maps the other's.
 *
 * The main thread keeps the fronts connected, and offers each VM a connection
 * for as long as its port is up.  Workers move the frames.  DPDK's vhost
 * library has threads that talk with the VMs' front ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "guestfront/program/detach.h"
#include "guestfront/program/log.h"
#include "guestfront/setter/options.h"
#include "guestfront/setter/peer.h"
#include "guestfront/setter/sandbox.h"

/* Times, in microseconds. */
#define BACKOFF_MIN_US 1000000  /* Before a VM that broke a rule may return. */
#define BACKOFF_MAX_US 30000000 /* The same, doubling. */
#define STABLE_US 60000000      /* Up for so long: back-off anew. */
#define LOOK_US 50000           /* Between two looks at what has no event. */

struct setter {
    struct options options;
    unsigned int n_vms; /* Entries of 'vms' made. */
    struct vm vms[OPTIONS_MAX_VMS];
    struct vm *all[OPTIONS_MAX_VMS]; /* Those, for the library. */
    unsigned int n_workers;          /* Entries of 'workers' made. */
    struct worker workers[OPTIONS_MAX_CPUS];
    int signal_fd;
    int main_fd; /* An eventfd that ends the main thread's waiting. */
};

static uint64_t
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000000) + ts.tv_nsec / 1000;
}

/* Logs the counters of 'vm'. */
static void
log_counters(const struct vm *vm)
{
    struct queue_counters sum = { 0 };
    struct domsfront_status s;

    for (unsigned int i = 0; i < vm->config.n_queues; i++) {
        const uint64_t *c = (const uint64_t *) &vm->queues[i].counters;
        uint64_t *to = (uint64_t *) &sum;

        for (unsigned int j = 0; j < sizeof sum / sizeof *to; j++) {
            to[j] += __atomic_load_n(&c[j], __ATOMIC_RELAXED);
        }
    }
    domsfront_get_status(vm->front, &s);
#define U(X) ((unsigned long long) (X))
    log_line("%s: to the VM: %llu frames, %llu bytes, dropped: %llu no "
             "driver, %llu buffers too short, %llu offload not in force",
             vm->config.name, U(sum.to_frames), U(sum.to_bytes),
             U(sum.to_no_driver), U(sum.to_no_room), U(sum.to_offload));
    log_line("%s: from the VM: %llu frames, %llu bytes, dropped: %llu bad "
             "length, %llu bad offload fields",
             vm->config.name, U(sum.from_frames), U(sum.from_bytes),
             U(sum.from_length), U(sum.from_offload));
    log_line("%s: connected %llu times, rules broken by the switch: %llu, by "
             "the VM: %llu, VM notified %llu times, doorbells: %llu rung, "
             "%llu heard",
             vm->config.name, U(s.counters.connects), U(s.counters.faults),
             U(vm->faults), U(sum.calls), U(s.counters.bells_rung),
             U(s.counters.bells_heard));
#undef U
}

/* Logs the DOMSFRONT_EV_* in 'events'. */
static void
log_events(const struct vm *vm, const struct domsfront_status *s,
           unsigned int events)
{
    if (s->state != DOMSFRONT_UP) {
        if (events & (DOMSFRONT_EV_REASON | DOMSFRONT_EV_DOWN)) {
            log_line("%s: not attached: %s", vm->config.name, s->reason);
        }
    } else if (events & (DOMSFRONT_EV_UP | DOMSFRONT_EV_CONFIG)) {
        log_line("%s: %s: MAC %02x:%02x:%02x:%02x:%02x:%02x, MTU %u, queues "
                 "%u,%s%s%s link %s",
                 vm->config.name,
                 events & DOMSFRONT_EV_UP ? "attached" : "changed", s->mac[0],
                 s->mac[1], s->mac[2], s->mac[3], s->mac[4], s->mac[5], s->mtu,
                 s->n_queues,
                 s->features & DOMSFRONT_F_CSUM ? " checksums," : "",
                 s->features & DOMSFRONT_F_TSO ? " segmentation," : "",
                 s->features & DOMSFRONT_F_DOORBELL ? " doorbell," : "",
                 s->link_up ? "up" : "down");
    }
}

/* Closes the connection of 'vm', which did what must not be for reason
 * 'why'. */
static void
expel(struct vm *vm, const char *why, uint64_t now)
{
    vm->faults++;
    vm_disconnect(vm);
    if (!vm->backoff || now - vm->opened_at >= STABLE_US) {
        vm->backoff = BACKOFF_MIN_US;
    }
    vm->retry_at = now + vm->backoff;
    log_line("%s: the VM's connection is closed for %u s: %s", vm->config.name,
             (unsigned int) (vm->backoff / 1000000), why);
    vm->backoff = vm->backoff * 2 < BACKOFF_MAX_US ? vm->backoff * 2
                                                   : BACKOFF_MAX_US;
}

/* Sees to it that 'vm' uses no more queues than its port, 's', has.  Returns
 * false if it does. */
static bool
offer_queues(struct vm *vm, const struct domsfront_status *s)
{
    if (vm->open) {
        return s->n_queues >= vm->n_offered;
    }
    __atomic_store_n(&vm->n_offered, s->n_queues, __ATOMIC_RELAXED);
    return true;
}

/* Has the VM's link follow that of its port, 's'. */
static void
follow_link(struct vm *vm, const struct domsfront_status *s, uint64_t now,
            uint32_t hold_us)
{
    bool up = s->state == DOMSFRONT_UP;

    if (up && s->link_up) {
        vm->down_since = 0;
        __atomic_store_n(&vm->room, s->mtu + VM_L2_SIZE, __ATOMIC_RELAXED);
        if (!offer_queues(vm, s)) {
            expel(vm, "its port has fewer queues than it uses; see n_rxq",
                  now);
        } else if (!vm->open && now >= vm->retry_at) {
            vm->opened_at = now;
            if (s->n_queues < vm->config.n_queues) {
                log_line("%s: the port has %u queues, not %u: set its n_rxq",
                         vm->config.name, s->n_queues, vm->config.n_queues);
            }
            if (vm_connect(vm)) {
                vm->retry_at = now + BACKOFF_MAX_US;
            }
        }
    } else if (vm->open) {
        if (!vm->down_since) {
            vm->down_since = now;
        }
        if (up || now - vm->down_since >= hold_us) {
            vm_disconnect(vm);
            log_line("%s: the port's link is down, and so is the VM's",
                     vm->config.name);
        }
    }
}

/* Does what is to be done for 'vm' now. */
static void
run_vm(struct vm *vm, uint32_t hold_us)
{
    unsigned int events = domsfront_run(vm->front);
    uint64_t now = now_us();
    struct domsfront_status s;
    char why[200];

    vm_follow_driver(vm);
    domsfront_get_status(vm->front, &s);
    if (events) {
        log_events(vm, &s, events);
    }
    for (unsigned int i = 0;
         i < vm->config.n_queues && events & DOMSFRONT_EV_UP; i++) {
        worker_wake(&vm->queues[i]);
    }
    if (vm_has_failed(vm, why, sizeof why)) {
        expel(vm, why, now);
    }
    follow_link(vm, &s, now, hold_us);
}

/* Takes a signal.  Returns true if the process is to end. */
static bool
handle_signal(struct setter *setter)
{
    struct signalfd_siginfo info;

    if (read(setter->signal_fd, &info, sizeof info) != sizeof info) {
        return false;
    }
    if (info.ssi_signo == SIGUSR1) {
        for (unsigned int i = 0; i < setter->n_vms; i++) {
            log_counters(&setter->vms[i]);
        }
        return false;
    }
    return true;
}

/* The main thread, until a signal ends it. */
static void
serve(struct setter *setter)
{
    struct pollfd fds[2 + OPTIONS_MAX_VMS];

    for (;;) {
        int64_t us = -1;
        uint64_t value;

        for (unsigned int i = 0; i < setter->n_vms; i++) {
            struct vm *vm = &setter->vms[i];
            int64_t vm_us;

            run_vm(vm, setter->options.hold_us);
            vm_us = domsfront_get_pollfd(vm->front, &fds[2 + i]);
            if (!vm->open || vm->down_since) {
                vm_us = vm_us < 0 || vm_us > LOOK_US ? LOOK_US : vm_us;
            }
            if (us < 0 || (vm_us >= 0 && vm_us < us)) {
                us = vm_us;
            }
        }
        fds[0] = (struct pollfd){ .fd = setter->signal_fd, .events = POLLIN };
        fds[1] = (struct pollfd){ .fd = setter->main_fd, .events = POLLIN };
        poll(fds, 2 + setter->n_vms, us < 0 ? -1 : (int) ((us + 999) / 1000));
        if (fds[0].revents && handle_signal(setter)) {
            return;
        }
        if (fds[1].revents
            && read(setter->main_fd, &value, sizeof value) < 0) {
            log_error("eventfd: %s", strerror(errno));
        }
    }
}

/* Makes the file descriptors of the main thread.  Returns 0, or -1 having said
 * why not. */
static int
make_fds(struct setter *setter)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    setter->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    setter->main_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (setter->signal_fd < 0 || setter->main_fd < 0) {
        return log_error("signalfd or eventfd: %s", strerror(errno));
    }
    return peer_guard(setter->main_fd) ? -1 : 0;
}

/* Makes the VMs, the workers, and deals out the queues.  Returns 0, or -1
 * having said why not. */
static int
set_up(struct setter *setter)
{
    const struct options *o = &setter->options;
    unsigned int n_workers = o->n_cpus ? o->n_cpus : 1;
    unsigned int turn = 0;

    for (; setter->n_workers < n_workers; setter->n_workers++) {
        if (worker_init(&setter->workers[setter->n_workers], &o->worker,
                        o->n_cpus ? o->cpus[setter->n_workers] : -1)) {
            return -1;
        }
    }
    for (unsigned int i = 0; i < o->n_vms; i++) {
        struct vm *vm = &setter->vms[i];

        setter->all[i] = vm;
        if (vm_init(vm, &o->vms[i], &o->front, setter->main_fd)) {
            return -1;
        }
        setter->n_vms++;
        for (unsigned int j = 0; j < vm->config.n_queues; j++) {
            if (worker_add(&setter->workers[turn++ % n_workers],
                           &vm->queues[j])) {
                return -1;
            }
        }
    }
    if (vm_start(setter->all, setter->n_vms)) {
        return -1;
    }
    for (unsigned int i = 0; i < n_workers; i++) {
        if (worker_start(&setter->workers[i])) {
            return -1;
        }
    }
    return 0;
}

/* Ends all that set_up() began. */
static void
tear_down(struct setter *setter)
{
    for (unsigned int i = 0; i < setter->n_vms; i++) {
        vm_disconnect(&setter->vms[i]);
    }
    for (unsigned int i = 0; i < setter->n_workers; i++) {
        worker_stop(&setter->workers[i]);
    }
    for (unsigned int i = 0; i < setter->n_vms; i++) {
        vm_destroy(&setter->vms[i]);
    }
}

int
main(int argc, char *argv[])
{
    static struct setter setter;
    const struct options *o = &setter.options;
    int status = EXIT_FAILURE;

    log_open("doms-setter");
    parse_options(argc, argv, &setter.options);
    if ((o->detach && detach_start())
        || (o->pidfile && pidfile_make(o->pidfile))
        || sandbox_drop(o->user, o->group) || make_fds(&setter)) {
        return EXIT_FAILURE;
    }
    if (!set_up(&setter)) {
        if (o->detach) {
            detach_finish();
        }
        if (!sandbox_lock()) {
            serve(&setter);
            status = EXIT_SUCCESS;
        }
    }
    tear_down(&setter);
    if (o->pidfile) {
        pidfile_remove(o->pidfile);
    }
    return status;
}
