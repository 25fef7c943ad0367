/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_vhost.h>

#include "guestfront/program/log.h"
#include "guestfront/setter/vm.h"

/* What the library may allocate, in KiB: in all, for each VM, and for each of
 * its queue pairs, whose two virtqueues take 40 bytes an entry and some. */
#define BASE_KIB (64 * 1024)
#define VM_KIB (4 * 1024)
#define QUEUE_KIB (2 * (VM_RING_MAX * 40 / 1024 + 96))

/* What vm_start() was given. */
static struct vm **all_vms;
static unsigned int n_all_vms;

/* Returns the end of the first 'n' bytes of 'text' without what is white. */
static size_t
trim(const char *text, size_t n)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) {
        n--;
    }
    return n;
}

/* Returns the VM whose socket's path the 'n' bytes at 'path' are, or NULL. */
struct vm *
vm_find__(const char *path, size_t n)
{
    for (unsigned int i = 0; i < n_all_vms; i++) {
        const char *p = all_vms[i]->config.path;

        if (strlen(p) == n && !memcmp(p, path, n)) {
            return all_vms[i];
        }
    }
    return NULL;
}

/* Logs a line of the library's, "VHOST_CONFIG: (PATH) ...", by the name of the
 * VM. */
static ssize_t
log_of_library(void *cookie, const char *text, size_t n)
{
    int length = trim(text, n);
    const char *open = memchr(text, '(', length);
    const char *close = open ? memchr(open, ')', text + length - open) : NULL;
    static struct log_limit others;
    struct vm *vm = close ? vm_find__(open + 1, close - open - 1) : NULL;

    (void) cookie;
    if (vm) {
        close++;
        log_limited(&vm->log_limit, vm->config.name, "vhost-user:%.*s",
                    (int) (text + length - close), close);
    } else if (length) {
        log_limited(&others, "DPDK", "%.*s", length, text);
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
        || rte_vhost_driver_callback_register(nobody, &vm_device_ops__)
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
        "doms-setter",
        "--no-huge",
        "--no-shconf",
        "--no-pci",
        "--no-telemetry",
        "--iova-mode=va",
        "--log-level=error",
        "-m",
        memory,
        "--lcores",
        cpu,
    };
    unsigned int n_queues = 0;
    cpu_set_t cpus;
    FILE *log = fopencookie(NULL, "w", io);

    all_vms = vms;
    n_all_vms = n;
    for (unsigned int i = 0; i < n; i++) {
        n_queues += vms[i]->config.n_queues;
    }
    snprintf(memory, sizeof memory, "%u",
             (BASE_KIB + n * VM_KIB + n_queues * QUEUE_KIB) / 1024);
    snprintf(cpu, sizeof cpu, "0@%d", sched_getcpu());
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
