/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/xenbus-memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <xengnttab.h>

#include "common/xenbus.h"
#include "doms/channel.h"
#include "doms/ports.h"
#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_xenbus_memory);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(10, 20);

/* What a failed mapping is most often due to. */
#define MAP_FAILED_WHY                                                        \
    "Xen does not let the switch map the pages: the grants are wrong, or "    \
    "the policy (xsm=silo) forbids guests to share memory"

struct xenbus_memory {
    struct ovs_refcount refs; /* The channel's and the device's. */
    atomic_bool is_unmapped;  /* No thread can reach the pages any more. */
    void *front;              /* The front's group. */
    void *own;                /* The switch's group. */
    uint32_t n_pages;         /* Of each group. */
};

/* Returns the handle of all mappings, or NULL, with errno set. */
static xengnttab_handle *
gnttab(void)
{
    static xengnttab_handle *handle;

    if (!handle) {
        handle = xengnttab_open(NULL, 0);
    }
    return handle;
}

/* Copies the directory page that is granted as 'reference' to '*copy'. */
static int
copy_page(uint32_t domid, uint32_t reference, struct doms_directory *copy)
{
    void *page = xengnttab_map_grant_ref(gnttab(), domid, reference,
                                         PROT_READ);

    if (!page) {
        return errno ? errno : EIO;
    }
    memcpy(copy, page, sizeof *copy);
    xengnttab_unmap(gnttab(), page, 1);
    return 0;
}

/* Stores in 'refs' the 'n_refs' grants that the directory at 'reference'
 * tells.  Returns 0, or a positive errno value and '*why'. */
static int
read_directory(uint32_t domid, uint32_t reference, uint32_t epoch,
               uint32_t *refs, uint32_t n_refs, const char **why)
{
    struct doms_directory page;
    uint32_t n_page;

    for (uint32_t n = 0; n < n_refs; n += n_page) {
        int error = copy_page(domid, reference, &page);

        if (error) {
            *why = MAP_FAILED_WHY;
            return error;
        }
        n_page = doms_directory_check(&page, epoch, n_refs - n);
        if (!n_page) {
            *why = "the directory of grants is malformed";
            return EPROTO;
        }
        memcpy(refs + n, page.refs, n_page * sizeof *refs);
        reference = page.next;
    }
    return 0;
}

static void
unmap_groups(struct xenbus_memory *m)
{
    if (m->front) {
        xengnttab_unmap(gnttab(), m->front, m->n_pages);
    }
    if (m->own) {
        xengnttab_unmap(gnttab(), m->own, m->n_pages);
    }
    atomic_store(&m->is_unmapped, true);
}

static void
unmap_channel(struct doms_channel *ch)
{
    struct xenbus_memory *m = ch->memory;

    unmap_groups(m);
    xenbus_memory_unref(m);
    doms_ports_wake(); /* The door waits for this. */
}

/* Maps the groups of 'ch', whose geometry is known, as guest 'domid' has
 * granted them in the directory at 'reference', and initializes its queues.
 * doms_channel_destroy() unmaps them.
 *
 * Returns 0, with '*memory' for the caller to unref; or a positive errno
 * value, with nothing mapped and in '*why' a reason for the guest's
 * operator. */
int
xenbus_memory_map(struct doms_channel *ch, uint32_t domid, uint32_t reference,
                  uint32_t epoch, struct xenbus_memory **memory,
                  const char **why)
{
    uint32_t n_refs = doms_xenbus_n_refs(&ch->geometry);
    uint32_t *refs = xmalloc(n_refs * sizeof *refs);
    struct xenbus_memory *m;
    int error;

    if (!gnttab()) {
        *why = "the switch has no /dev/xen/gntdev; load xen-gntdev in DomS";
        error = errno ? errno : ENODEV;
        free(refs);
        return error;
    }
    error = read_directory(domid, reference, epoch, refs, n_refs, why);
    if (error) {
        free(refs);
        return error;
    }

    m = xzalloc(sizeof *m);
    ovs_refcount_init(&m->refs);
    atomic_init(&m->is_unmapped, false);
    m->n_pages = n_refs / 2;
    m->front = xengnttab_map_domain_grant_refs(gnttab(), m->n_pages, domid,
                                               refs, PROT_READ);
    if (m->front) {
        m->own = xengnttab_map_domain_grant_refs(gnttab(), m->n_pages, domid,
                                                 refs + m->n_pages,
                                                 PROT_READ | PROT_WRITE);
    }
    free(refs);
    if (!m->own) {
        error = errno ? errno : EIO;
        *why = MAP_FAILED_WHY;
        VLOG_WARN_RL(&rl,
                     "guest %s (domain %" PRIu32 "): cannot map %" PRIu32
                     " pages: %s",
                     ch->peer, domid, n_refs, ovs_strerror(error));
        unmap_groups(m);
        free(m);
        return error;
    }

    ovs_refcount_ref(&m->refs);
    ch->memory = m;
    ch->unmap = unmap_channel;
    doms_channel_init_queues(ch, m->own, m->front);
    *memory = m;
    return 0;
}

/* Returns true once no thread can reach the pages any more. */
bool
xenbus_memory_is_unmapped(const struct xenbus_memory *m_)
{
    struct xenbus_memory *m = CONST_CAST(struct xenbus_memory *, m_);
    bool is_unmapped;

    atomic_read(&m->is_unmapped, &is_unmapped);
    return is_unmapped;
}

/* Gives up a reference to 'm'.  Accepts NULL. */
void
xenbus_memory_unref(struct xenbus_memory *m)
{
    if (m && ovs_refcount_unref(&m->refs) == 1) {
        free(m);
    }
}
