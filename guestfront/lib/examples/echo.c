/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that sends every frame back to where it came from.
 *
 *     cc echo.c $(pkg-config --cflags --libs libdomsfront) -o echo
 *     ./echo g1 &
 *     ovs-vsctl add-port br0 g1 -- set interface g1 type=doms
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <doms/domsfront.h>

#define BURST 32

/* Swaps the Ethernet addresses of the frame in 'buf'. */
static void
turn_around(struct domsfront_buf *buf)
{
    unsigned char *frame = buf->data;
    unsigned char mac[6];

    memcpy(mac, frame, 6);
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, mac, 6);
}

int
main(int argc, char *argv[])
{
    static unsigned char memory[BURST][9216 + 22];
    struct domsfront_config config = {
        .name = argc > 1 ? argv[1] : "g1",
        .features = DOMSFRONT_F_DOORBELL,
    };
    struct domsfront_buf bufs[BURST];
    struct domsfront_idle *idle;
    struct domsfront *front;

    if (domsfront_open(&config, &front) || domsfront_idle_open(NULL, &idle)) {
        fprintf(stderr, "echo: %s\n", domsfront_last_error());
        return 1;
    }
    for (int i = 0; i < BURST; i++) {
        bufs[i].data = memory[i];
        bufs[i].size = sizeof memory[i];
    }

    struct domsfront_ref refs[] = { { front, 0 },
                                    { front, DOMSFRONT_CONTROL } };
    for (;;) {
        unsigned int events = domsfront_run(front);
        unsigned int n = domsfront_recv(front, 0, bufs, BURST);
        unsigned int n_sent;

        if (events) {
            struct domsfront_status s;

            domsfront_get_status(front, &s);
            fprintf(stderr, "echo: %s\n",
                    s.state == DOMSFRONT_UP ? "attached" : s.reason);
        }
        for (unsigned int i = 0; i < n; i++) {
            turn_around(&bufs[i]);
        }
        domsfront_send(front, 0, bufs, n, &n_sent);
        domsfront_idle_wait(idle, refs, 2, NULL, 0, n > 0, -1);
    }
}
