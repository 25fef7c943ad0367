/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two guests of a switch that joins network devices: guest A and guest B each
 * are a packet socket on a device in a network namespace.
 *
 *     guest-packet -a NETNS/DEVICE -b NETNS/DEVICE [OPTION]...
 *
 * with the generator's options (generator.h).  Frames are sent by sendmmsg(),
 * past the queueing discipline, and received from a ring that the kernel and
 * this program share: no system call a frame.
 */
#define _GNU_SOURCE 1

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/generator.h"
#include "bench/placement.h"

#define RING_FRAMES 2048
#define BLOCK_BYTES (1u << 16)

/* One guest. */
struct end {
    int fd;
    uint8_t *ring;           /* Shared with the kernel. */
    unsigned int frame_size; /* Bytes of a place in the ring. */
    unsigned int next;       /* The place of the next frame. */
};

static struct end ends[2];

static void
fail(const char *what)
{
    fprintf(stderr, "guest-packet: %s\n", what);
    exit(EXIT_FAILURE);
}

static void
fail_errno(const char *what, const char *name)
{
    fprintf(stderr, "guest-packet: %s: %s: %s\n", name, what, strerror(errno));
    exit(EXIT_FAILURE);
}

static void
make_ring(struct end *end, const char *name, unsigned int size)
{
    struct tpacket_req ring = { .tp_block_size = BLOCK_BYTES };
    int version = TPACKET_V2;

    /* The kernel's header stands before each frame. */
    end->frame_size = size + 256 <= 2048 ? 2048 : 16384;
    ring.tp_frame_size = end->frame_size;
    ring.tp_frame_nr = RING_FRAMES;
    ring.tp_block_nr = RING_FRAMES / (BLOCK_BYTES / end->frame_size);
    if (setsockopt(end->fd, SOL_PACKET, PACKET_VERSION, &version,
                   sizeof version)
        || setsockopt(end->fd, SOL_PACKET, PACKET_RX_RING, &ring,
                      sizeof ring)) {
        fail_errno("no ring", name);
    }
    end->ring = mmap(NULL, (size_t) RING_FRAMES * end->frame_size,
                     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                     end->fd, 0);
    if (end->ring == MAP_FAILED) {
        fail_errno("no ring", name);
    }
}

/* Opens the device 'name', NETNS/DEVICE, for frames of up to 'size' bytes. */
static void
open_end(struct end *end, const char *name, unsigned int size)
{
    struct sockaddr_ll address = { .sll_family = AF_PACKET,
                                   .sll_protocol = htons(ETH_P_IP) };
    struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
    const char *slash = strchr(name, '/');
    char path[PATH_MAX];
    int on = 1;
    int netns;

    if (!slash) {
        fail("-a and -b are NETNS/DEVICE");
    }
    snprintf(path, sizeof path, "/run/netns/%.*s", (int) (slash - name), name);
    netns = open(path, O_RDONLY | O_CLOEXEC);
    if (netns < 0 || setns(netns, CLONE_NEWNET)) {
        fail_errno("no such namespace", name);
    }
    close(netns);

    end->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    address.sll_ifindex = all.mr_ifindex = if_nametoindex(slash + 1);
    if (end->fd < 0 || !address.sll_ifindex) {
        fail_errno("no such device", name);
    }
    make_ring(end, name, size);
    if (setsockopt(end->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on)
        || setsockopt(end->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all,
                      sizeof all)
        || bind(end->fd, (struct sockaddr *) &address, sizeof address)) {
        fail_errno("cannot be opened", name);
    }
}

static unsigned int
send_burst(int i, struct traffic *traffic, unsigned int max)
{
    static uint8_t frames[GENERATOR_BURST][TRAFFIC_MAX];
    static struct iovec iovs[GENERATOR_BURST];
    static struct mmsghdr messages[GENERATOR_BURST];
    void *places[GENERATOR_BURST];
    int n;

    for (unsigned int k = 0; k < max; k++) {
        places[k] = frames[k];
        iovs[k].iov_base = frames[k];
        iovs[k].iov_len = traffic->size;
        messages[k].msg_hdr.msg_iov = &iovs[k];
        messages[k].msg_hdr.msg_iovlen = 1;
    }
    traffic_put(traffic, places, max);
    n = sendmmsg(ends[i].fd, messages, max, MSG_DONTWAIT);
    return n > 0 ? n : 0;
}

static unsigned int
receive_burst(int i, bool copied, uint64_t *sum)
{
    struct end *end = &ends[i];
    unsigned int n;

    for (n = 0; n < GENERATOR_RX_BURST; n++) {
        struct tpacket2_hdr *h = (void *) (end->ring
                                           + (size_t) end->next
                                                 * end->frame_size);

        if (!(__atomic_load_n(&h->tp_status, __ATOMIC_ACQUIRE)
              & TP_STATUS_USER)) {
            break;
        }
        *sum += traffic_take((uint8_t *) h + h->tp_mac, h->tp_snaplen, copied);
        __atomic_store_n(&h->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        end->next = (end->next + 1) % RING_FRAMES;
    }
    return n;
}

int
main(int argc, char *argv[])
{
    static const struct generator_ends generator_ends = {
        .send = send_burst,
        .receive = receive_burst,
    };
    const char *names[2] = { NULL, NULL };
    struct generator_options o;
    const char *why;
    int opt;

    generator_defaults(&o);
    while ((opt = getopt(argc, argv, "a:b:" GENERATOR_OPTIONS)) != -1) {
        if (opt == 'a' || opt == 'b') {
            names[opt - 'a'] = optarg;
        } else if (!generator_option(&o, opt, optarg)) {
            fail("see bench/README.md for the options");
        }
    }
    why = !names[0] || !names[1] ? "-a and -b are needed"
                                 : generator_check(&o);
    if (why) {
        fail(why);
    }
    if (bench_pin(o.cpu)) {
        fail("its CPU does not exist");
    }
    for (int i = 0; i < 2; i++) {
        open_end(&ends[i], names[i], o.size + TRAFFIC_TUNNEL_BYTES);
    }
    why = generator_run(&o, &generator_ends);
    if (why) {
        fail(why);
    }
    return EXIT_SUCCESS;
}
