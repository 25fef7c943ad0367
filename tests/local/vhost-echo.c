/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM that answers ARP and pings, and sleeps until it is notified.
 *
 *     vhost-echo SOCKET MAC
 *
 * connects to SOCKET, and answers for every IPv4 address with MAC (six
 * hexadecimal bytes).  Prints 'ready' once its driver is, and ends when the
 * back end has hung up.
 */
#define _GNU_SOURCE
#include <poll.h>

#include "tests/local/vhost-front.h"

#define BUF_SIZE 2048
#define N_BUFS 32 /* Of each ring; buffer i is descriptor i. */
#define HEADER 12

static uint8_t mac[6];
static uint16_t received, sent; /* Buffers taken back of each ring. */

static uint32_t
place(unsigned int ring, unsigned int i)
{
    return DATA + (ring * N_BUFS + i) * BUF_SIZE;
}

/* Makes descriptor 'i' of 'ring' available, with 'length' bytes. */
static void
offer(unsigned int ring, uint16_t i, uint32_t length)
{
    struct vring_avail *avail = (void *) (memory + RING(ring) + AVAIL);
    struct vring_used *used = (void *) (memory + RING(ring) + USED);
    uint64_t one = 1;

    *((struct vring_desc *) (memory + RING(ring)) + i) = (struct vring_desc){
        .addr = place(ring, i),
        .len = length,
        .flags = ring ? 0 : VRING_DESC_F_WRITE,
    };
    avail->ring[avail->idx % RING_SIZE] = i;
    __atomic_store_n(&avail->idx, avail->idx + 1, __ATOMIC_SEQ_CST);
    if (!(__atomic_load_n(&used->flags, __ATOMIC_SEQ_CST)
          & VRING_USED_F_NO_NOTIFY)
        && write(kicks[ring], &one, sizeof one) < 0) {
        die("kick: %s", strerror(errno));
    }
}

/* Turns the frame of 'n' bytes at 'f' into its answer.  Returns false if it
 * has none. */
static bool
answer(uint8_t *f, uint32_t n)
{
    uint8_t ip[4];

    if (n >= 42 && f[12] == 8 && f[13] == 6 && f[21] == 1) {
        memcpy(ip, f + 38, 4);
        memcpy(f + 32, f + 22, 10); /* To who asked. */
        memcpy(f + 22, mac, 6);
        memcpy(f + 28, ip, 4);
        f[21] = 2;
    } else if (n >= 42 && f[12] == 8 && f[13] == 0 && f[14] == 0x45
               && f[23] == 1 && f[34] == 8) {
        uint32_t sum = (f[36] << 8 | f[37]) + 0x800;

        memcpy(ip, f + 30, 4);
        memcpy(f + 30, f + 26, 4);
        memcpy(f + 26, ip, 4);
        f[34] = 0;
        sum += sum >> 16;
        f[36] = sum >> 8;
        f[37] = sum;
    } else {
        return false;
    }
    memcpy(f, f + 6, 6);
    memcpy(f + 6, mac, 6);
    return true;
}

/* Answers all that has come.  A frame is sent from the buffer of the same
 * number; more are not under way than there are. */
static void
run(void)
{
    struct vring_used *rx = (void *) (memory + RING(0) + USED);
    struct vring_used *tx = (void *) (memory + RING(1) + USED);

    sent = __atomic_load_n(&tx->idx, __ATOMIC_ACQUIRE);
    while (received != __atomic_load_n(&rx->idx, __ATOMIC_ACQUIRE)) {
        struct vring_used_elem e = rx->ring[received % RING_SIZE];
        struct vring_avail *avail = (void *) (memory + RING(1) + AVAIL);
        uint16_t under_way = avail->idx - sent;
        uint8_t *from = memory + place(0, e.id);

        received++;
        if (under_way < N_BUFS && answer(from + HEADER, e.len - HEADER)) {
            unsigned int i = avail->idx % N_BUFS;

            memset(memory + place(1, i), 0, HEADER);
            memcpy(memory + place(1, i) + HEADER, from + HEADER,
                   e.len - HEADER);
            offer(1, i, e.len);
        }
        offer(0, e.id, BUF_SIZE);
    }
}

int
main(int argc, char *argv[])
{
    if (argc != 3
        || sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1],
                  &mac[2], &mac[3], &mac[4], &mac[5])
               != 6) {
        die("usage: vhost-echo SOCKET MAC");
    }
    join(argv[1]);
    set_up();
    for (unsigned int i = 0; i < N_BUFS; i++) {
        offer(0, i, BUF_SIZE);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct pollfd pfds[2] = { { .fd = sock, .events = POLLIN },
                                  { .fd = calls[0], .events = POLLIN } };
        uint64_t value;

        poll(pfds, 2, -1);
        if (pfds[0].revents) {
            return EXIT_SUCCESS;
        }
        if (read(calls[0], &value, sizeof value) == sizeof value) {
            run();
        }
    }
}
