/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms-watchdog-heart.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "common/abi.h"
#include "xen-store.h"

void
heart_init(struct heart *heart)
{
    memset(heart, 0, sizeof *heart);
}

int
heart_open(struct heart *heart, struct xs_handle *xs, unsigned int domid)
{
    struct xen_txn txn = { .xs = xs, .id = XBT_NULL };
    uint64_t ref;

    heart_close(heart);
    if (!xen_txn_read_number(&txn, &ref,
                             "/local/domain/%u/data/doms/heartbeat", domid)
        || ref > UINT32_MAX) {
        return ENOENT;
    }
    if (!heart->xgt) {
        heart->xgt = xengnttab_open(NULL, 0);
        if (!heart->xgt) {
            return errno ? errno : EIO;
        }
    }
    heart->page = xengnttab_map_grant_ref(heart->xgt, domid, ref, PROT_READ);
    if (!heart->page) {
        return errno ? errno : EIO;
    }
    heart->number++;
    return 0;
}

void
heart_close(struct heart *heart)
{
    if (heart->page) {
        xengnttab_unmap(heart->xgt, heart->page, 1);
        heart->page = NULL;
    }
}

bool
heart_read(const struct heart *heart, uint64_t *beat)
{
    const struct doms_health *health = heart->page;

    *beat = 0;
    if (!health
        || __atomic_load_n(&health->magic, __ATOMIC_ACQUIRE) != DOMS_ABI_MAGIC
        || __atomic_load_n(&health->version, __ATOMIC_RELAXED)
               != DOMS_ABI_VERSION) {
        return false;
    }
    *beat = __atomic_load_n(&health->heartbeat, __ATOMIC_RELAXED);
    return true;
}
