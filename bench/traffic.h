/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guests of every benchmark send: the same frames, byte for byte,
 * whichever switch is measured and whichever program sends them.
 *
 * A frame is Ethernet, IPv4 and UDP, from guest A to guest B (TRAFFIC_AB) or
 * back.  Frames of several flows differ in their UDP ports only, and come in
 * turn.  Addresses are fixed, so that a flow table can name them.
 *
 * A frame is either 'built' where it is sent from: the sender writes its first
 * TRAFFIC_HEAD bytes, as a program does that makes headers and has its payload
 * in place; or 'copied' there, all of it, from a private buffer, as a kernel's
 * driver does.  Likewise, the receiver reads the first word of a built frame,
 * and every byte of a copied one.
 *
 * Thread-safety: none; one thread uses a struct traffic.
 */

#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H 1

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define TRAFFIC_MIN 64       /* Bytes of the shortest frame, no CRC. */
#define TRAFFIC_MAX 9216     /* ... of the longest. */
#define TRAFFIC_HEAD 64      /* Bytes that a built frame's sender writes. */
#define TRAFFIC_PORTS_OFS 34 /* Where both UDP ports are in a frame. */
#define TRAFFIC_FLOWS_MAX 1000000
#define TRAFFIC_TUNNEL_BYTES 50 /* What VXLAN adds to a frame. */

/* Ports of flow F: traffic_ports() and bench/peers/flows.py agree on this. */
#define TRAFFIC_SRC_PORT 10000 /* From here on, TRAFFIC_SRC_PORTS of them. */
#define TRAFFIC_SRC_PORTS 1000
#define TRAFFIC_DST_PORT 20000 /* From here on, as many as are needed. */

enum traffic_direction {
    TRAFFIC_AB, /* From guest A to guest B. */
    TRAFFIC_BA, /* Back. */
};

struct traffic {
    unsigned int size;    /* Bytes of each frame. */
    unsigned int n_flows; /* At least 1. */
    unsigned int next;    /* The flow of the next frame. */
    bool copied;          /* Rather than built. */
    /* The frame, of flow 0. */
    _Alignas(64) uint8_t frame[TRAFFIC_MAX];
};

void traffic_init(struct traffic *, enum traffic_direction, unsigned int size,
                  unsigned int n_flows, bool copied);
void traffic_encapsulate(struct traffic *);
void traffic_put(struct traffic *, void *const *places, unsigned int n);
uint64_t traffic_sum(const void *data, uint32_t length);

/* Returns the UDP ports of 'flow', as they stand in a frame. */
static inline uint32_t
traffic_ports(unsigned int flow)
{
    uint32_t src = TRAFFIC_SRC_PORT + flow % TRAFFIC_SRC_PORTS;
    uint32_t dst = TRAFFIC_DST_PORT + flow / TRAFFIC_SRC_PORTS;

    return __builtin_bswap32(src << 16 | dst);
}

/* Reads a received frame of 'length' bytes: its first word, or all of it.
 * Returns something that depends on what was read. */
static inline uint64_t
traffic_take(const void *data, uint32_t length, bool copied)
{
    return copied ? traffic_sum(data, length)
                  : *(const volatile uint32_t *) data;
}

#endif /* bench/traffic.h */
