/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fast path: bursts of packets between a channel's rings and OVS.
 *
 * A burst from the guest is copied once, into private packets, before anything
 * looks at it; a burst to the guest is copied once, into its ring.  A burst
 * costs one acquire load and one release store of shared counts, and no lock,
 * system call or allocation as long as the packet pool has packets.
 *
 * There is a variant for any x86-64-v2 or other CPU and one with AVX-512
 * copies; port_io_init() picks one by what the CPU can do.
 *
 * Thread-safety: at most one thread at a time receives from a queue and at
 * most one sends to it.  The statistics are written by that thread only and
 * may be read by any (port_io_read()).
 */

#ifndef DOMS_PORT_IO_H
#define DOMS_PORT_IO_H 1

#include "doms/channel.h"
#include "doms/policer.h"
#include "dp-packet.h"

/* clang-format off */

/* Counters of one receive queue: what came from the guest. */
#define PORT_RX_COUNTERS                                                     \
    PORT_COUNTER(packets)     /* Handed to the datapath. */                  \
    PORT_COUNTER(bytes)       /* ... their bytes. */                         \
    PORT_COUNTER(batches)     /* Bursts of at least one packet. */           \
    PORT_COUNTER(oversize)    /* Dropped: longer than the MTU allows. */     \
    PORT_COUNTER(bad_offload) /* Dropped: offload fields make no sense. */   \
    PORT_COUNTER(policed)     /* Dropped: above the policing rate. */        \
    PORT_COUNTER(down)        /* Dropped: the port is set down. */           \
    PORT_COUNTER(bad_records) /* Times that a rule was broken. */            \
    PORT_COUNTER(bad_grants)  /* Dropped: Xen could not copy them. */        \
    PORT_COUNTER(pool_misses) /* Packets that had to be allocated. */

/* Counters of one transmit queue: what goes to the guest. */
#define PORT_TX_COUNTERS                                                     \
    PORT_COUNTER(packets)    /* Put into the guest's ring. */                \
    PORT_COUNTER(bytes)      /* ... their bytes. */                          \
    PORT_COUNTER(batches)    /* Bursts of at least one packet. */            \
    PORT_COUNTER(ring_full)  /* Dropped: the guest does not keep up. */      \
    PORT_COUNTER(too_long)   /* Dropped: longer than the MTU allows. */      \
    PORT_COUNTER(no_offload) /* Dropped: not to be finished in software. */  \
    PORT_COUNTER(policed)    /* Dropped: above the QoS rate. */              \
    PORT_COUNTER(no_guest)   /* Dropped: no guest is attached. */            \
    PORT_COUNTER(bad_counts) /* Times that a rule was broken. */             \
    PORT_COUNTER(bad_grants) /* Dropped: Xen could not copy them. */         \
    PORT_COUNTER(bells)      /* Doorbells rung for a sleeping guest. */

#define PORT_COUNTER(NAME) uint64_t NAME;
struct port_rx_stats {
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) PORT_RX_COUNTERS
};
struct port_tx_stats {
    OVS_ALIGNED_VAR(CACHE_LINE_SIZE) PORT_TX_COUNTERS
};
#undef PORT_COUNTER

/* clang-format on */

/* What a port allows. */
struct port_limits {
    int mtu;                 /* Bytes of payload of a frame. */
    uint64_t features;       /* DOMS_F_* in force. */
    struct policer *policer; /* Of what is received. */
};

/* Receives up to NETDEV_MAX_BURST packets into 'batch', which must be empty,
 * and drops those that 'limits' do not allow.  Returns the number of those
 * left. */
typedef uint32_t port_io_rx_func(struct doms_channel_queue *,
                                 struct dp_packet_batch *batch,
                                 const struct port_limits *,
                                 struct port_rx_stats *);

/* Copies the packets of 'batch' into the guest's ring and publishes them.
 * The packets stay the caller's. */
typedef void port_io_tx_func(struct doms_channel_queue *,
                             const struct dp_packet_batch *batch,
                             const struct port_limits *,
                             struct port_tx_stats *);

/* How the packets of a kind of channel move. */
struct doms_channel_io {
    port_io_rx_func *recv;
    port_io_tx_func *send;

    /* Takes up to 'max' frames from the guest and forgets them.  Returns how
     * many they were. */
    uint32_t (*discard)(struct doms_channel_queue *, uint32_t max);

    /* Returns how many frames, about, the guest has sent that have yet to be
     * received. */
    uint32_t (*backlog)(struct doms_channel_queue *);

    /* Has the guest ring for what it sends from now on, if there is a bell; a
     * full fence and a look at the ring have to follow.  Takes that back. */
    void (*announce_sleep)(struct doms_channel_queue *);
    void (*wake_up)(struct doms_channel_queue *);

    /* Takes the rings out of the bell. */
    void (*drain_bell)(const struct doms_channel_queue *);
};

/* Of the rings of common/ring.h; has the variants in use. */
extern struct doms_channel_io port_io_ring;

/* All variants; of these, doms/port-io-burst.c is compiled. */
port_io_rx_func port_io_rx_generic;
port_io_tx_func port_io_tx_generic;
port_io_rx_func port_io_rx_avx512;
port_io_tx_func port_io_tx_avx512;

void port_io_init(void);
const char *port_io_variant(void);

/* Adds 'n' to a counter that only the calling thread writes. */
static inline void
port_io_add(uint64_t *counter, uint64_t n)
{
    DOMS_WRITE_ONCE(*counter, *counter + n);
}

/* Reads a counter that another thread may be writing. */
static inline uint64_t
port_io_read(const uint64_t *counter)
{
    return DOMS_READ_ONCE(*counter);
}

#endif /* doms/port-io.h */
