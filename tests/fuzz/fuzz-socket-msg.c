/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the socket door's messages: the input is what the peer sent.
 *
 * It goes through a real socket and doms_msg_recv(), then doms_msg_check().
 * What passes must hold what the rest of the program relies on; what does not
 * must come with a reason.  The parsers of names and addresses get the same
 * bytes as text.
 *
 * Build with clang -fsanitize=fuzzer,address,undefined, or with
 * -DDOMS_FUZZ_MAIN for a program that runs the files that it is given.
 */
#define _GNU_SOURCE

#include "common/socket-msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/channel.h"

#define CHECK(COND) ((COND) ? (void) 0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Checks what callers rely on in 'msg', which passed. */
static void
check_passed(const struct doms_msg *msg, size_t n)
{
    CHECK(n == doms_msg_size(msg->h.type) && n <= sizeof *msg);
    if (msg->h.type == DOMS_MSG_HELLO) {
        const struct doms_msg_hello *h = &msg->u.hello;

        CHECK(strnlen(h->name, DOMS_NAME_SIZE) < DOMS_NAME_SIZE);
        CHECK(!strchr(h->name, '/') && !strchr(h->name, '%'));
        CHECK(h->n_queues >= 1 && h->n_queues <= DOMS_MAX_QUEUES);
        CHECK(!(h->mac[0] & 1));
    } else if (msg->h.type == DOMS_MSG_WELCOME) {
        const struct doms_msg_welcome *w = &msg->u.welcome;
        struct doms_geometry g = { w->n_queues, w->arena_size };

        CHECK(doms_geometry_is_valid(&g));
        CHECK(w->n_fds <= DOMS_MSG_MAX_FDS);
        CHECK(doms_mac_is_valid(w->config.mac));
    } else if (msg->h.type == DOMS_MSG_REFUSE) {
        CHECK(msg->u.refuse.error != 0);
        CHECK(strnlen(msg->u.refuse.reason, DOMS_REASON_SIZE)
              < DOMS_REASON_SIZE);
    }
}

static void
fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    uint8_t mac[6];

    CHECK(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (doms_name_is_valid(text)) {
        CHECK(strlen(text) < DOMS_NAME_SIZE && text[0] != '.');
    }
    if (doms_mac_from_string(text, mac)) {
        CHECK(strlen(text) == 17 && doms_mac_is_valid(mac));
    }
    free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int socks[2] = { -1, -1 };
    unsigned int n_fds;
    struct doms_msg msg;
    char why[100];
    int fds[DOMS_MSG_MAX_FDS];
    size_t n;

    if (!size || size > 1000) {
        return 0;
    }
    if (socks[0] < 0) {
        CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, socks));
    }
    CHECK(send(socks[0], data, size, 0) == (ssize_t) size);
    memset(&msg, 0xff, sizeof msg);
    CHECK(!doms_msg_recv(socks[1], &msg, &n, fds, DOMS_MSG_MAX_FDS, &n_fds));
    CHECK(n == (size <= sizeof msg ? size : sizeof msg + 1));
    CHECK(n_fds == 0);

    why[0] = '\0';
    if (doms_msg_check(&msg, n, why, sizeof why)) {
        CHECK(why[0] && strnlen(why, sizeof why) < sizeof why);
    } else {
        CHECK(!why[0]);
        check_passed(&msg, n);
    }
    fuzz_text(data, size);
    return 0;
}

#ifdef DOMS_FUZZ_MAIN
#include "fuzz-main.h"
#endif
