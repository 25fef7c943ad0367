/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two guests of any switch that DPDK reaches, as one process: the first two
 * Ethernet ports of DPDK are guest A and guest B.
 *
 *     guest-dpdk EAL-ARGUMENT... -- FRAME
 *
 * such as two --vdev=net_virtio_userN for a vhost-user switch, or two
 * --vdev=net_memifN.  FRAME is the longest frame in bytes.  Each line of the
 * standard input is then a list of the generator's options (generator.h), and
 * is answered by one line: of the result, or 'error REASON'.  The process
 * stays, so that a switch need not accept it anew for each measurement.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "bench/generator.h"
#include "bench/placement.h"

#define RING 1024   /* Descriptors of a port's ring, if it lets us choose. */
#define N_BUFS 8191 /* For both ports: what their rings and caches hold. */
#define CACHE 256
#define MAX_WORDS 32

static struct rte_mempool *pool;

static void
fail(const char *what, int error)
{
    fprintf(stderr, "guest-dpdk: %s: %s\n", what, rte_strerror(error));
    exit(EXIT_FAILURE);
}

static void
open_port(uint16_t port, uint16_t mtu)
{
    struct rte_eth_conf conf = { .rxmode = { .mtu = mtu } };
    uint16_t n_rx = RING, n_tx = RING;
    struct rte_eth_dev_info info;
    int error;

    error = rte_eth_dev_info_get(port, &info);
    if (error) {
        fail("port says nothing of itself", -error);
    }
    /* memif's driver admits of no more than 1500, and passes on what fits. */
    if (mtu + 18u > info.max_rx_pktlen) {
        conf.rxmode.mtu = info.max_rx_pktlen - 18;
    }
    error = rte_eth_dev_configure(port, 1, 1, &conf);
    if (error) {
        fail("port cannot be configured", -error);
    }
    error = rte_eth_dev_adjust_nb_rx_tx_desc(port, &n_rx, &n_tx);
    if (!error) {
        error = rte_eth_rx_queue_setup(port, 0, n_rx, SOCKET_ID_ANY, NULL,
                                       pool);
    }
    if (!error) {
        error = rte_eth_tx_queue_setup(port, 0, n_tx, SOCKET_ID_ANY, NULL);
    }
    if (!error) {
        error = rte_eth_dev_start(port);
    }
    if (error) {
        fail("port does not start", -error);
    }
    rte_eth_promiscuous_enable(port);
}

/* Waits until the switch has taken both ports. */
static bool
wait_for_links(void)
{
    uint64_t deadline = bench_now_ns() + GENERATOR_SET_UP_NS;
    struct rte_eth_link links[2];

    do {
        for (int i = 0; i < 2; i++) {
            memset(&links[i], 0, sizeof links[i]);
            rte_eth_link_get_nowait(i, &links[i]);
        }
        if (links[0].link_status && links[1].link_status) {
            return true;
        }
        usleep(1000);
    } while (bench_now_ns() < deadline);
    return false;
}

/* Writes frames into new buffers, and hands them to the port of 'end'. */
static unsigned int
send_burst(int end, struct traffic *traffic, unsigned int max)
{
    struct rte_mbuf *bufs[GENERATOR_BURST];
    void *places[GENERATOR_BURST];
    unsigned int n;

    if (rte_pktmbuf_alloc_bulk(pool, bufs, max)) {
        return 0;
    }
    for (unsigned int i = 0; i < max; i++) {
        places[i] = rte_pktmbuf_mtod(bufs[i], void *);
        bufs[i]->data_len = bufs[i]->pkt_len = traffic->size;
    }
    traffic_put(traffic, places, max);
    n = rte_eth_tx_burst(end, 0, bufs, max);
    if (n < max) {
        rte_pktmbuf_free_bulk(bufs + n, max - n);
    }
    return n;
}

static unsigned int
receive_burst(int end, bool copied, uint64_t *sum)
{
    struct rte_mbuf *bufs[GENERATOR_RX_BURST];
    unsigned int n = rte_eth_rx_burst(end, 0, bufs, GENERATOR_RX_BURST);

    for (unsigned int i = 0; i < n; i++) {
        for (struct rte_mbuf *b = bufs[i]; b; b = b->next) {
            *sum += traffic_take(rte_pktmbuf_mtod(b, void *), b->data_len,
                                 copied);
        }
    }
    if (n) {
        rte_pktmbuf_free_bulk(bufs, n);
    }
    return n;
}

/* Empties what an earlier measurement may have left under way. */
static void
discard(void)
{
    uint64_t sum = 0;
    uint64_t end = bench_now_ns() + 1000000;

    while (bench_now_ns() < end) {
        receive_burst(0, false, &sum);
        receive_burst(1, false, &sum);
    }
}

/* Measures as 'line' says.  Returns NULL, or why it could not. */
static const char *
measure(char *line)
{
    static const struct generator_ends ends = {
        .send = send_burst,
        .receive = receive_burst,
    };
    char *words[MAX_WORDS] = { (char *) "guest-dpdk" };
    struct generator_options o;
    const char *wrong;
    char *save = NULL;
    int n = 1;
    int opt;

    for (char *word = strtok_r(line, " \n", &save); word && n < MAX_WORDS - 1;
         word = strtok_r(NULL, " \n", &save)) {
        words[n++] = word;
    }
    words[n] = NULL;
    generator_defaults(&o);
    optind = 0;
    while ((opt = getopt(n, words, GENERATOR_OPTIONS)) != -1) {
        if (!generator_option(&o, opt, optarg)) {
            return "unknown option";
        }
    }
    wrong = generator_check(&o);
    if (wrong) {
        return wrong;
    }
    if (bench_pin(o.cpu)) {
        return "its CPU does not exist";
    }
    if (!wait_for_links()) {
        return "the switch does not connect to both ports";
    }
    discard();
    return generator_run(&o, &ends);
}

int
main(int argc, char *argv[])
{
    int n = rte_eal_init(argc, argv);
    static char line[1024];
    unsigned int frame;

    if (n < 0) {
        fail("DPDK does not start", rte_errno);
    }
    frame = n + 1 < argc ? atoi(argv[n + 1]) : 0;
    if (frame < TRAFFIC_MIN || frame > TRAFFIC_MAX) {
        fail("FRAME after -- must be 64 to 9216", EINVAL);
    }
    if (rte_eth_dev_count_avail() < 2) {
        fail("two ports are needed", ENODEV);
    }
    pool = rte_pktmbuf_pool_create("bufs", N_BUFS, CACHE, 0,
                                   RTE_PKTMBUF_HEADROOM
                                       + RTE_MAX(2048u, RTE_ALIGN(frame, 64u)),
                                   SOCKET_ID_ANY);
    if (!pool) {
        fail("no memory for buffers", rte_errno);
    }
    for (int i = 0; i < 2; i++) {
        open_port(i, frame - 14);
    }
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        const char *why = measure(line);

        if (why) {
            printf("error %s\n", why);
            fflush(stdout);
        }
    }
    for (int i = 0; i < 2; i++) {
        rte_eth_dev_stop(i);
    }
    rte_eal_cleanup();
    return EXIT_SUCCESS;
}
