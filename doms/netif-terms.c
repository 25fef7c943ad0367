/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/netif-terms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/port-request.h"
#include "doms/ports.h"
#include "doms/xenstore.h"
#include "openvswitch/dynamic-string.h"
#include "util.h"

/* Queue pairs that are offered at most. */
#define MAX_QUEUES 4

/* Bytes of a frame at most, of a front that takes more than a page. */
#define MAX_LENGTH XEN_NETIF_MAX_TX_SIZE

/* What Dom0 wants. */

/* Appends to 'words' the words of doms-ctl that stand for 'bridge', as the
 * scripts of Xen and Open vSwitch know it: NAME, NAME.VLAN, and then any
 * number of :TRUNK. */
static void
add_bridge(char *words[], int *n, char *bridge)
{
    char *trunks = strchr(bridge, ':');
    char *tag;

    if (trunks) {
        *trunks++ = '\0';
        for (char *p = trunks; (p = strchr(p, ':')); p++) {
            *p = ',';
        }
        words[(*n)++] = xasprintf("trunks=%s", trunks);
    }
    tag = strrchr(bridge, '.');
    if (tag && tag[1] && strspn(tag + 1, "0123456789") == strlen(tag + 1)) {
        *tag++ = '\0';
        words[(*n)++] = xasprintf("tag=%s", tag);
    }
    words[(*n)++] = xasprintf("bridge=%s", bridge);
}

/* Appends to 'words' the word that stands for xl's 'rate': the bytes that may
 * be sent in an interval, and the microseconds of that. */
static void
add_rate(char *words[], int *n, const char *rate)
{
    uint64_t n_bytes;
    uint32_t us;

    if (ovs_scan(rate, "%" SCNu64 ",%" SCNu32, &n_bytes, &us) && us
        && n_bytes <= UINT64_MAX / 8000) {
        uint64_t kbits = n_bytes * 8000 / us;

        words[(*n)++] = xasprintf("rate=%" PRIu64 "k", MAX(kbits, 8));
    }
}

/* Returns a string that is the same for the same 'n' words, and no other
 * port's serial. */
static char *
words_to_serial(char *const words[], int n)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    for (int i = 0; i < n; i++) {
        ds_put_format(&s, "%s%s", i ? " " : "", words[i]);
    }
    return ds_steal_cstr(&s);
}

/* Makes '*request' what Dom0 has written to the backend's directory 'back' of
 * the port to be named 'name', and '*serial' a string for the caller to free
 * that is the same as long as Dom0 wants the same.  Returns true, or false and
 * 'why' it is no port. */
bool
netif_port_read(struct port_request *request, char **serial, const char *back,
                const char *name, char *why, size_t why_size)
{
    enum { BRIDGE, MAC, MTU, RATE };
    struct xenstore_batch batch = { .n = 0 };
    int n_queues = sysconf(_SC_NPROCESSORS_ONLN);
    char *words[8];
    int n = 0;
    bool ok;

    xenstore_batch_read(&batch, back, "bridge");
    xenstore_batch_read(&batch, back, "mac");
    xenstore_batch_read(&batch, back, "mtu");
    xenstore_batch_read(&batch, back, "rate");
    xenstore_batch_run(&batch);
    words[n++] = xstrdup(name);
    if (batch.ops[BRIDGE].value && batch.ops[BRIDGE].value[0]) {
        add_bridge(words, &n, batch.ops[BRIDGE].value);
    }
    if (batch.ops[MAC].value) {
        words[n++] = xasprintf("mac=%s", batch.ops[MAC].value);
    }
    if (batch.ops[MTU].value) {
        words[n++] = xasprintf("mtu=%s", batch.ops[MTU].value);
    }
    if (batch.ops[RATE].value) {
        add_rate(words, &n, batch.ops[RATE].value);
    }
    words[n++] = xasprintf("queues=%d",
                           n_queues < 1 ? 1 : MIN(n_queues, MAX_QUEUES));
    *serial = words_to_serial(words, n);
    ok = !port_request_parse(request, n, words, why, why_size);
    while (n) {
        free(words[--n]);
    }
    xenstore_batch_clear(&batch);
    return ok;
}

/* The offer. */

/* Writes to the backend's directory 'back' what the port of 'config' does. */
void
netif_offer_write(const char *back, const struct doms_port_config *config)
{
    bool csum = (config->features & DOMS_F_CSUM) != 0;
    bool tso = (config->features & DOMS_F_TSO) != 0;
    struct xenstore_batch batch = { .n = 0 };

    xenstore_batch_write_uint(&batch, back, "feature-rx-copy", 1);
    xenstore_batch_write_uint(&batch, back, "feature-rx-flip", 0);
    xenstore_batch_write_uint(&batch, back, "feature-sg", 1);
    xenstore_batch_write_uint(&batch, back, "feature-gso-tcpv4", tso);
    xenstore_batch_write_uint(&batch, back, "feature-gso-tcpv6", tso);
    xenstore_batch_write_uint(&batch, back, "feature-ipv6-csum-offload", csum);
    xenstore_batch_write_uint(&batch, back, "feature-split-event-channels", 1);
    xenstore_batch_write_uint(&batch, back, "multi-queue-max-queues",
                              config->n_queues);
    xenstore_batch_write_uint(&batch, back, "carrier", config->link_up);
    xenstore_batch_write(&batch, back, "hotplug-status", "connected");
    xenstore_batch_run(&batch);
    xenstore_batch_clear(&batch);
}

/* The wish. */

/* Stores in '*value' what 'op' has read, a number up to 'max'.  Returns true
 * if it is one. */
static bool
read_number(uint32_t *value, uint32_t max, const struct xenstore_op *op)
{
    uint64_t n;

    if (op->error || xenstore_parse_uint(&n, max, op->value)) {
        return false;
    }
    *value = n;
    return true;
}

/* Returns true if 'op' has read a feature that the front has. */
static bool
has(const struct xenstore_op *op)
{
    uint32_t value;

    return read_number(&value, 1, op) && value;
}

/* Reads into '*queue' the keys in directory 'dir'.  Returns NULL, or what is
 * wrong. */
static const char *
read_queue(struct netif_queue_wish *queue, const char *dir)
{
    enum { TX_REF, RX_REF, TX_PORT, RX_PORT, PORT };
    struct xenstore_batch batch = { .n = 0 };
    const char *why = NULL;

    xenstore_batch_read(&batch, dir, "tx-ring-ref");
    xenstore_batch_read(&batch, dir, "rx-ring-ref");
    xenstore_batch_read(&batch, dir, "event-channel-tx");
    xenstore_batch_read(&batch, dir, "event-channel-rx");
    xenstore_batch_read(&batch, dir, "event-channel");
    xenstore_batch_run(&batch);
    if (!read_number(&queue->tx_ref, UINT32_MAX, &batch.ops[TX_REF])
        || !read_number(&queue->rx_ref, UINT32_MAX, &batch.ops[RX_REF])) {
        why = "tx-ring-ref, rx-ring-ref: not two grants";
    } else if (!read_number(&queue->tx_port, INT32_MAX, &batch.ops[TX_PORT])
               || !read_number(&queue->rx_port, INT32_MAX,
                               &batch.ops[RX_PORT])) {
        if (read_number(&queue->tx_port, INT32_MAX, &batch.ops[PORT])) {
            queue->rx_port = queue->tx_port;
        } else {
            why = "event-channel: not an event channel";
        }
    }
    xenstore_batch_clear(&batch);
    return why;
}

static const char *
read_queues(struct netif_wish *wish, const char *front)
{
    const char *why = NULL;

    if (wish->n_queues == 1) {
        return read_queue(&wish->queues[0], front);
    }
    for (uint32_t i = 0; i < wish->n_queues && !why; i++) {
        char *dir = xasprintf("%s/queue-%" PRIu32, front, i);

        why = read_queue(&wish->queues[i], dir);
        free(dir);
    }
    return why;
}

/* Reads into '*wish' what the front of directory 'front', which was offered
 * 'max_queues', has and takes.  Returns NULL, or what is wrong with it. */
const char *
netif_wish_read(struct netif_wish *wish, const char *front,
                uint32_t max_queues)
{
    enum { QUEUES, COPY, SG, GSO4, GSO6, NO_CSUM, CSUM6 };
    struct xenstore_batch batch = { .n = 0 };
    struct netif_can *can = &wish->can;
    const char *why = NULL;
    bool csum4, csum6, sg;

    xenstore_batch_read(&batch, front, "multi-queue-num-queues");
    xenstore_batch_read(&batch, front, "request-rx-copy");
    xenstore_batch_read(&batch, front, "feature-sg");
    xenstore_batch_read(&batch, front, "feature-gso-tcpv4");
    xenstore_batch_read(&batch, front, "feature-gso-tcpv6");
    xenstore_batch_read(&batch, front, "feature-no-csum-offload");
    xenstore_batch_read(&batch, front, "feature-ipv6-csum-offload");
    xenstore_batch_run(&batch);

    sg = has(&batch.ops[SG]);
    csum4 = !has(&batch.ops[NO_CSUM]);
    csum6 = has(&batch.ops[CSUM6]);
    can->features_v4 = csum4 ? DOMS_F_CSUM : 0;
    can->features_v6 = csum6 ? DOMS_F_CSUM : 0;
    can->features_v4 |= csum4 && sg && has(&batch.ops[GSO4]) ? DOMS_F_TSO : 0;
    can->features_v6 |= csum6 && sg && has(&batch.ops[GSO6]) ? DOMS_F_TSO : 0;
    can->max_length = sg ? MAX_LENGTH : NETIF_PAGE_SIZE;
    wish->n_queues = 1;
    if (!has(&batch.ops[COPY])) {
        why = "request-rx-copy: the front takes no copies";
    } else if (!batch.ops[QUEUES].error
               && (!read_number(&wish->n_queues, max_queues,
                                &batch.ops[QUEUES])
                   || !wish->n_queues)) {
        why = "multi-queue-num-queues: not between 1 and "
              "multi-queue-max-queues";
    }
    xenstore_batch_clear(&batch);
    return why ? why : read_queues(wish, front);
}
