/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One queue of a netfront: two rings in two granted pages, and the packets
 * that the ring's requests are about.
 *
 * domsd maps the two pages of the rings and no other page of the guest.
 * Packets are copied by the hypervisor, from and to the pages that the
 * requests name (grant copy): a burst is one system call, whatever it holds,
 * and the hypervisor checks each grant.  A grant that does not work costs its
 * frame, and the guest gets an error response.
 *
 * Nothing in the shared pages is trusted, nor read twice: a request is copied
 * once into private memory and checked there (doms/netif-request.h); a request
 * count further ahead than the ring is long is a broken rule, and the queue is
 * not used any more.  domsd's own counts are private; every request is
 * answered before the burst ends, so that one count a ring is enough.
 *
 * Both rings are polled: the counts at which the guest would send an event are
 * set so that it never does.  Only when the polling thread sleeps is the count
 * of what the guest sends set to the next request, and the event is the
 * thread's doorbell; until it has been taken, the kernel takes no other.
 * domsd sends the guest an event when the guest's own count asks for it, at
 * most once a burst.
 *
 * Thread-safety: as doms/port-io.h: one thread receives, and one, under the
 * port's lock, sends; each has its own part of the state.  They share the file
 * descriptors, which take no lock in domsd.
 */

#ifndef DOMS_NETIF_QUEUE_H
#define DOMS_NETIF_QUEUE_H 1

#include <stdint.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include "doms/netif-request.h"
#include "doms/port-io.h"
#include "netdev.h"
#include "util.h"

/* Slots of either ring. */
#define NETIF_RING_SIZE 256

/* Private memory for segments on their way into the guest's pages. */
#define NETIF_SEGMENTS_SIZE 65536

/* What a netfront says about one queue. */
struct netif_queue_wish {
    uint32_t tx_ref; /* Grant of the page with what the guest sends. */
    uint32_t rx_ref; /* Grant of the page with what it receives. */
    uint32_t
        tx_port; /* Event channels, in the guest; the same if not split. */
    uint32_t rx_port;
};

/* What a netfront takes. */
struct netif_can {
    uint64_t features_v4; /* DOMS_F_CSUM, DOMS_F_TSO: of IPv4, */
    uint64_t features_v6; /* of IPv6. */
    uint32_t max_length;  /* Bytes of a frame. */
};

/* A frame under way from the guest. */
struct netif_arrival {
    struct dp_packet *packet; /* NULL: refused. */
    bool csum_blank;
    uint8_t gso_type;        /* DOMS_GSO_*. */
    uint32_t first_copy;     /* In 'copies'. */
    uint32_t n_copies;       /* How many it has there. */
    uint32_t first_response; /* In 'responses'. */
    uint32_t n_responses;    /* How many it has there. */
};

/* The thread's that receives. */
struct netif_receiver {
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) uint32_t req_event; /* As stored last. */
    uint32_t n_arrivals;
    uint32_t n_copies;
    uint32_t n_responses;
    struct netif_arrival arrivals[NETDEV_MAX_BURST];
    xengnttab_grant_copy_segment_t copies[NETIF_RING_SIZE];
    struct netif_tx_response responses[NETIF_RING_SIZE];
};

/* A slot of the receive ring, filled in. */
union netif_filled {
    struct netif_rx_response response;
    struct netif_extra_info extra;
    uint64_t word;
};

/* The thread's that sends. */
struct netif_sender {
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) uint32_t cons; /* Requests answered. */
    uint32_t n_free;   /* Requests that there are after 'cons', as far as it
                        * has looked. */
    uint32_t n_filled; /* Of those, how many are filled in. */
    uint32_t n_copies;
    uint32_t n_segments; /* Bytes in use of 'segments'. */
    uint32_t req_event;  /* As stored last. */
    union netif_filled filled[NETIF_RING_SIZE];
    xengnttab_grant_copy_segment_t copies[NETIF_RING_SIZE];
    uint8_t copied_to[NETIF_RING_SIZE]; /* The slot, in 'filled', of a copy. */
    uint8_t *segments;
};

struct netif_queue {
    /* Fixed by netif_queue_open(). */
    uint32_t domid;
    struct netif_can can;
    xengnttab_handle *gnttab;
    xenevtchn_handle *evtchn;
    evtchn_port_t tx_port; /* domsd's ends of the event channels. */
    evtchn_port_t rx_port;
    struct netif_tx_sring *tx; /* Shared. */
    struct netif_rx_sring *rx; /* Shared. */

    struct netif_receiver receiver;
    struct netif_sender sender;
};

int netif_queue_open(struct doms_channel_queue *, uint32_t domid,
                     const struct netif_queue_wish *, const struct netif_can *,
                     const char **why);
void netif_queue_close(struct netif_queue *);

/* The bursts. */
port_io_rx_func netif_recv;
port_io_tx_func netif_send;
uint32_t netif_discard(struct doms_channel_queue *, uint32_t max);
uint32_t netif_backlog(struct doms_channel_queue *);
void netif_announce_sleep(struct doms_channel_queue *);
void netif_wake_up(struct doms_channel_queue *);
void netif_drain_bell(const struct doms_channel_queue *);

extern const struct doms_channel_io netif_io;

/* For the two directions. */
void netif_copy(struct netif_queue *, xengnttab_grant_copy_segment_t *,
                uint32_t n);
void netif_keep_quiet(uint32_t *req_event_shared, uint32_t *req_event,
                      uint32_t cons);

/* Rings the guest by 'port' if its 'rsp_event' asks for it, as 'rsp_prod' has
 * just grown from 'old' to 'new'.  Returns true if it did. */
static inline bool
netif_notify(const struct netif_queue *nq, evtchn_port_t port,
             const uint32_t *rsp_event, uint32_t old, uint32_t new)
{
    DOMS_FULL_FENCE(); /* The guest stores 'rsp_event', then looks again. */
    if (new - DOMS_READ_ONCE(*rsp_event) < new - old) {
        xenevtchn_notify(nq->evtchn, port);
        return true;
    }
    return false;
}

#endif /* doms/netif-queue.h */
