/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/netif-queue.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "openvswitch/vlog.h"
#include "socket-util.h"

VLOG_DEFINE_THIS_MODULE(doms_netif_queue);

BUILD_ASSERT_DECL(__CONST_RING_SIZE(netif_tx, NETIF_PAGE_SIZE)
                  == NETIF_RING_SIZE);
BUILD_ASSERT_DECL(__CONST_RING_SIZE(netif_rx, NETIF_PAGE_SIZE)
                  == NETIF_RING_SIZE);
BUILD_ASSERT_DECL(sizeof(union netif_filled)
                  == sizeof(union netif_rx_sring_entry));
BUILD_ASSERT_DECL(sizeof(union netif_slot)
                  == sizeof(union netif_tx_sring_entry));

/* The thread's counts of 'req_event' stay what they were: the shared word is
 * either ahead for a moment, or behind and newer than it knows. */

void
netif_announce_sleep(struct doms_channel_queue *queue)
{
    DOMS_WRITE_ONCE(queue->netif->tx->req_event, queue->q.rx.tail + 1);
}

void
netif_wake_up(struct doms_channel_queue *queue)
{
    DOMS_WRITE_ONCE(queue->netif->tx->req_event, queue->q.rx.tail);
}

/* Has the kernel take the next event of each channel that has had one. */
void
netif_drain_bell(const struct doms_channel_queue *queue)
{
    evtchn_port_t ports[4];
    ssize_t n = read(queue->peer_bell_fd, ports, sizeof ports);

    if (n > 0) {
        ignore(write(queue->peer_bell_fd, ports, n));
    }
}

const struct doms_channel_io netif_io = {
    .recv = netif_recv,
    .send = netif_send,
    .discard = netif_discard,
    .backlog = netif_backlog,
    .announce_sleep = netif_announce_sleep,
    .wake_up = netif_wake_up,
    .drain_bell = netif_drain_bell,
};

/* Has the hypervisor make the 'n' 'copies'.  Each has its status then. */
void
netif_copy(struct netif_queue *nq, xengnttab_grant_copy_segment_t *copies,
           uint32_t n)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(6, 6);

    for (uint32_t i = 0; i < n; i++) {
        copies[i].status = GNTST_general_error; /* Should it not get there. */
    }
    if (n && xengnttab_grant_copy(nq->gnttab, n, copies)) {
        VLOG_WARN_RL(&rl, "domain %" PRIu32 ": cannot copy by grant: %s",
                     nq->domid, ovs_strerror(errno));
    }
}

/* Keeps the guest from ringing for requests: it does so when its count passes
 * '*req_event_shared', which stays behind domsd's own, 'cons'.  '*req_event'
 * is what stands there. */
void
netif_keep_quiet(uint32_t *req_event_shared, uint32_t *req_event,
                 uint32_t cons)
{
    if (cons - *req_event > UINT32_MAX / 4) {
        *req_event = cons;
        DOMS_WRITE_ONCE(*req_event_shared, cons);
    }
}

/* Maps the page granted as 'reference'. */
static void *
map_ring(struct netif_queue *nq, uint32_t reference)
{
    return xengnttab_map_grant_ref(nq->gnttab, nq->domid, reference,
                                   PROT_READ | PROT_WRITE);
}

/* Binds the event channels of 'wish'. */
static bool
bind_channels(struct netif_queue *nq, const struct netif_queue_wish *wish)
{
    int port = xenevtchn_bind_interdomain(nq->evtchn, nq->domid,
                                          wish->tx_port);

    if (port < 0) {
        return false;
    }
    nq->tx_port = nq->rx_port = port;
    if (wish->rx_port != wish->tx_port) {
        port = xenevtchn_bind_interdomain(nq->evtchn, nq->domid,
                                          wish->rx_port);
        nq->rx_port = port;
    }
    return port >= 0;
}

/* Takes over where a ring is: at 0, or where an earlier life of domsd has left
 * it.  Returns false if it is nowhere. */
static bool
begin_rings(struct doms_channel_queue *queue)
{
    struct netif_queue *nq = queue->netif;
    struct netif_receiver *r = &nq->receiver;
    struct netif_sender *s = &nq->sender;
    uint32_t tx = DOMS_READ_ONCE(nq->tx->rsp_prod);

    s->cons = DOMS_READ_ONCE(nq->rx->rsp_prod);
    if (DOMS_READ_ONCE(nq->tx->req_prod) - tx > NETIF_RING_SIZE
        || DOMS_READ_ONCE(nq->rx->req_prod) - s->cons > NETIF_RING_SIZE) {
        return false;
    }
    queue->io = &netif_io;
    queue->peer_bell_fd = xenevtchn_fd(nq->evtchn);
    set_nonblocking(queue->peer_bell_fd);
    queue->q.rx.head_page = &nq->tx->req_prod;
    queue->q.rx.tail = tx;
    r->req_event = tx + 1;
    netif_keep_quiet(&nq->tx->req_event, &r->req_event, tx);
    s->req_event = s->cons + 1;
    netif_keep_quiet(&nq->rx->req_event, &s->req_event, s->cons);
    return true;
}

/* Does what 'queue->netif', with its handles, still lacks.  Returns NULL, or
 * what is wrong. */
static const char *
connect_queue(struct doms_channel_queue *queue,
              const struct netif_queue_wish *wish)
{
    struct netif_queue *nq = queue->netif;

    if (!nq->gnttab || !nq->evtchn) {
        return "the switch has no /dev/xen/gntdev or /dev/xen/evtchn; load "
               "xen-gntdev and xen-evtchn in DomS";
    }
    nq->tx = map_ring(nq, wish->tx_ref);
    nq->rx = nq->tx ? map_ring(nq, wish->rx_ref) : NULL;
    if (!nq->rx) {
        return "Xen does not let the switch map the rings: the grants are "
               "wrong, or the policy (xsm=silo) forbids guests to share "
               "memory";
    }
    if (!bind_channels(nq, wish)) {
        return "an event channel cannot be bound";
    }
    return begin_rings(queue) ? NULL : "a ring with impossible counts";
}

/* Makes 'queue' that of domain 'domid' with the rings of 'wish' and a front
 * that takes what 'can' says.  netif_queue_close() undoes it.  Returns 0; or
 * EPROTO and '*why', with 'queue' as it was. */
int
netif_queue_open(struct doms_channel_queue *queue, uint32_t domid,
                 const struct netif_queue_wish *wish,
                 const struct netif_can *can, const char **why)
{
    struct netif_queue *nq = xzalloc_cacheline(sizeof *nq);

    nq->domid = domid;
    nq->can = *can;
    nq->gnttab = xengnttab_open(NULL, 0);
    nq->evtchn = xenevtchn_open(NULL, 0);
    nq->sender.segments = xmalloc(NETIF_SEGMENTS_SIZE);
    queue->netif = nq;
    *why = connect_queue(queue, wish);
    if (*why) {
        netif_queue_close(nq);
        queue->netif = NULL;
        queue->peer_bell_fd = -1;
        return EPROTO;
    }
    return 0;
}

/* Unmaps and closes 'nq', which nobody may be using.  Accepts NULL. */
void
netif_queue_close(struct netif_queue *nq)
{
    if (!nq) {
        return;
    }
    if (nq->tx) {
        xengnttab_unmap(nq->gnttab, nq->tx, 1);
    }
    if (nq->rx) {
        xengnttab_unmap(nq->gnttab, nq->rx, 1);
    }
    if (nq->evtchn) {
        xenevtchn_close(nq->evtchn); /* Unbinds. */
    }
    if (nq->gnttab) {
        xengnttab_close(nq->gnttab);
    }
    free(nq->sender.segments);
    free_cacheline(nq);
}
