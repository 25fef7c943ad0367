/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Open vSwitch does while it starts and need not, so that a switch that
 * has died is back sooner: guests wait for it.
 *
 * The linker has upstream's calls come here (--wrap), so that upstream stays
 * as it is.
 */
#include <config.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "dns-resolve.h"
#include "dpif-netdev-perf.h"
#include "dpif-netdev-private-dfc.h"
#include "ovs-thread.h"
#include "util.h"

/* Upstream's, and what the linker puts in their place. */
void __real_dns_resolve_init(bool is_daemon);
void __wrap_dns_resolve_init(bool is_daemon);
bool __real_dns_resolve(const char *name, char **addr);
bool __wrap_dns_resolve(const char *name, char **addr);
void __real_pmd_perf_estimate_tsc_frequency(void);
void __wrap_pmd_perf_estimate_tsc_frequency(void);
void __real_dfc_cache_init(struct dfc_cache *cache);
void __wrap_dfc_cache_init(struct dfc_cache *cache);

/* Names of hosts: the resolver is made when there is the first to look up.
 * That of a switch whose remotes are sockets and addresses never is. */

static bool resolver_of_daemon;

void
__wrap_dns_resolve_init(bool is_daemon)
{
    resolver_of_daemon = is_daemon;
}

bool
__wrap_dns_resolve(const char *name, char **addr)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;

    if (ovsthread_once_start(&once)) {
        __real_dns_resolve_init(resolver_of_daemon);
        ovsthread_once_done(&once);
    }
    return __real_dns_resolve(name, addr);
}

/* The frequency of the time stamp counter: measuring takes 100 ms, and only
 * statistics need it. */

static void *
estimate_tsc_frequency(void *aux OVS_UNUSED)
{
    __real_pmd_perf_estimate_tsc_frequency();
    return NULL;
}

void
__wrap_pmd_perf_estimate_tsc_frequency(void)
{
    ovs_thread_create("tsc", estimate_tsc_frequency, NULL);
}

/* The caches of a thread that forwards, 9 MB: upstream writes to each of their
 * pages.  To have the kernel provide these at once costs less than a page
 * fault for each, in a PV domain above all. */

void
__wrap_dfc_cache_init(struct dfc_cache *cache)
{
#ifdef MADV_POPULATE_WRITE
    uintptr_t start = ROUND_UP((uintptr_t) cache, get_page_size());
    uintptr_t end = ROUND_DOWN((uintptr_t) (cache + 1), get_page_size());

    /* A kernel before 5.14 knows nothing of it. */
    madvise((void *) start, end - start, MADV_POPULATE_WRITE);
#endif
    __real_dfc_cache_init(cache);
}
