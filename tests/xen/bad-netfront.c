/* SPDX-License-Identifier: Apache-2.0 */

/* A netfront in user space that breaks the rules, in place of the kernel's
 * own, which must not be bound to the device.
 *
 *   bad-netfront ATTACK   connects device/vif/0, does what ATTACK says, prints
 *                         'closed' if DomS then closes the vif, or
 *                         'answered STATUS' with the status of its response,
 *                         and leaves in good order
 *   bad-netfront          lists the attacks
 *
 * Exits with 0 if one of the two has happened. */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>
/* Of io/ring.h. */
#define xen_mb() atomic_thread_fence(memory_order_seq_cst)
#define xen_wmb() atomic_thread_fence(memory_order_release)
#include <xen/io/netif.h>

#define VIF "device/vif/0"

/* How long each wait is at most, in seconds. */
#define PATIENCE 20

/* XenbusState. */
enum {
    INITIALISING = 1,
    INIT_WAIT = 2,
    CONNECTED = 4,
    CLOSING = 5,
    CLOSED = 6
};

static struct xs_handle *xs;
static char *back; /* The backend's directory. */
static struct netif_tx_sring *tx;
static struct netif_rx_sring *rx;
static uint32_t page_ref; /* A page with a frame in it. */
static uint32_t n_sent;   /* Requests. */

static void
give_up(const char *what)
{
    fprintf(stderr, "bad-netfront: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int
read_int(const char *dir, const char *key)
{
    char path[200], *value;
    int n;

    snprintf(path, sizeof path, "%s/%s", dir, key);
    value = xs_read(xs, XBT_NULL, path, NULL);
    n = value ? atoi(value) : -1;
    free(value);
    return n;
}

static void
write_int(const char *key, uint32_t n)
{
    char path[200], value[16];

    snprintf(path, sizeof path, VIF "/%s", key);
    snprintf(value, sizeof value, "%u", n);
    if (!xs_write(xs, XBT_NULL, path, value, strlen(value))) {
        give_up(path);
    }
}

/* Waits until the backend is in 'state', or the first response is there if
 * 'or_answer'.  Returns true if it is the state. */
static bool
wait_for(int state, bool or_answer)
{
    for (time_t end = time(NULL) + PATIENCE; time(NULL) < end;) {
        if (read_int(back, "state") == state) {
            return true;
        }
        if (or_answer
            && (*(volatile RING_IDX *) &tx->rsp_prod
                || *(volatile RING_IDX *) &rx->rsp_prod)) {
            return false;
        }
        usleep(10000);
    }
    errno = ETIMEDOUT;
    give_up("the backend does nothing");
    return false;
}

/* Grants a page to the backend.  Returns it, with its reference in '*ref'. */
static void *
grant(uint32_t *ref)
{
    static xengntshr_handle *shr;
    void *page;

    if (!shr && !(shr = xengntshr_open(NULL, 0))) {
        give_up("/dev/xen/gntalloc");
    }
    page = xengntshr_share_pages(shr, read_int(VIF, "backend-id"), 1, ref, 1);
    if (!page) {
        give_up("cannot grant a page");
    }
    return page;
}

static void
connect_vif(void)
{
    xenevtchn_handle *xce = xenevtchn_open(NULL, 0);
    uint32_t tx_ref, rx_ref;
    int port;

    tx = grant(&tx_ref);
    rx = grant(&rx_ref);
    memset(grant(&page_ref), 0x55, 4096);
    SHARED_RING_INIT(tx);
    SHARED_RING_INIT(rx);
    port = xce ? xenevtchn_bind_unbound_port(xce, read_int(VIF, "backend-id"))
               : -1;
    if (port < 0) {
        give_up("cannot make an event channel");
    }
    write_int("state", INITIALISING);
    wait_for(INIT_WAIT, false);
    write_int("tx-ring-ref", tx_ref);
    write_int("rx-ring-ref", rx_ref);
    /* The kernel's netfront has left these keys. */
    write_int("event-channel-tx", port);
    write_int("event-channel-rx", port);
    write_int("request-rx-copy", 1);
    write_int("state", CONNECTED);
    wait_for(CONNECTED, false);
}

/* Puts a request into the ring, without telling of it. */
static void
put(uint32_t ref, uint16_t offset, uint16_t size, uint16_t flags)
{
    tx->ring[n_sent++ % 256].req = (struct netif_tx_request){
        .gref = ref,
        .offset = offset,
        .size = size,
        .flags = flags,
        .id = 42,
    };
}

/* Tells of all requests so far, and 'more'. */
static void
push(uint32_t more)
{
    atomic_thread_fence(memory_order_release);
    *(volatile RING_IDX *) &tx->req_prod = n_sent + more;
}

static void
put_extra(uint8_t type, uint8_t gso_type, uint16_t size)
{
    struct netif_extra_info *extra = (void *) &tx->ring[n_sent++ % 256];

    memset(extra, 0, sizeof *extra);
    extra->type = type;
    extra->u.gso.type = gso_type;
    extra->u.gso.size = size;
}

/* The attacks. */

static void
far(void)
{
    push(257);
}

static void
backwards(void)
{
    push(-1);
}

static void
not_whole(void)
{
    put(page_ref, 0, 100, NETTXF_more_data);
    push(0);
}

static void
many(void)
{
    for (int i = 0; i < 19; i++) {
        put(page_ref, 0, i ? 10 : 1000, i < 18 ? NETTXF_more_data : 0);
    }
    push(0);
}

static void
beyond(void)
{
    put(page_ref, 4000, 200, 0);
    push(0);
}

static void
unknown_extra(void)
{
    put(page_ref, 0, 100, NETTXF_extra_info);
    put_extra(77, 0, 0);
    push(0);
}

static void
unknown_gso(void)
{
    put(page_ref, 0, 100, NETTXF_extra_info);
    put_extra(XEN_NETIF_EXTRA_TYPE_GSO, 77, 100);
    push(0);
}

static void
no_grant(void)
{
    put(page_ref + 1000, 0, 100, 0);
    push(0);
}

static void
runt(void)
{
    put(page_ref, 0, 5, 0);
    push(0);
}

static void
false_gso(void)
{
    put(page_ref, 0, 100, NETTXF_extra_info | NETTXF_csum_blank);
    put_extra(XEN_NETIF_EXTRA_TYPE_GSO, XEN_NETIF_GSO_TYPE_TCPV4, 1);
    push(0);
}

/* For what others send to this guest: */

static void
rx_far(void)
{
    *(volatile RING_IDX *) &rx->req_prod = 257;
}

static void
rx_no_grant(void)
{
    rx->ring[0].req.gref = page_ref + 1000;
    atomic_thread_fence(memory_order_release);
    *(volatile RING_IDX *) &rx->req_prod = 1;
}

/* Rewrites requests that have been pushed. */
static atomic_bool racing = true;

static void *
rewrite(void *unused)
{
    volatile uint32_t *words = (void *) &tx->ring[0];
    uint32_t x = 1;

    while (atomic_load(&racing)) {
        x = x * 1664525 + 1013904223;
        words[(x >> 16) % (sizeof tx->ring[0] * 256 / 4)] = x;
    }
    return unused;
}

/* A fresh ring of good requests, again and again, of which another thread
 * rewrites the sizes, flags and grants meanwhile: DomS closes the vif sooner
 * or later, since some break a rule by then. */
static void
race(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, rewrite, NULL);
    for (int i = 0; i < 100000 && read_int(back, "state") == CONNECTED; i++) {
        while (n_sent - *(volatile RING_IDX *) &tx->rsp_prod < 200) {
            put(page_ref, 0, 100, 0);
            push(0);
        }
    }
    atomic_store(&racing, false);
    pthread_join(thread, NULL);
}

static const struct {
    const char *name;
    void (*run)(void);
} attacks[] = {
    { "far", far },
    { "backwards", backwards },
    { "not-whole", not_whole },
    { "many", many },
    { "beyond", beyond },
    { "unknown-extra", unknown_extra },
    { "unknown-gso", unknown_gso },
    { "no-grant", no_grant },
    { "runt", runt },
    { "false-gso", false_gso },
    { "rx-far", rx_far },
    { "rx-no-grant", rx_no_grant },
    { "race", race },
};

int
main(int argc, char *argv[])
{
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        if (argc < 2) {
            puts(attacks[i].name);
        } else if (!strcmp(argv[1], attacks[i].name)) {
            xs = xs_open(0);
            back = xs ? xs_read(xs, XBT_NULL, VIF "/backend", NULL) : NULL;
            if (!back) {
                give_up("there is no vif");
            }
            connect_vif();
            attacks[i].run();
            if (wait_for(CLOSING, attacks[i].run != race)) {
                puts("closed");
            } else {
                printf("answered %d\n", rx->rsp_prod ? rx->ring[0].rsp.status
                                                     : tx->ring[0].rsp.status);
            }
            write_int("state", CLOSED);
            wait_for(CLOSED, false);
            return 0;
        }
    }
    return argc < 2 ? 0 : 2;
}
