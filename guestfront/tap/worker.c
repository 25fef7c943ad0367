/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/uio.h>

/* Frames a burst. */
#define BURST 32

/* An Ethernet header and two VLAN tags. */
#define L2_SIZE (14 + 2 * 4)

static void
count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* Gives one frame to the kernel. */
static void
write_frame(struct worker *w, const struct domsfront_frame *frame)
{
    const struct domsfront_offload *o = &frame->offload;
    struct virtio_net_hdr h = {
        .flags = o->flags,
        .gso_type = o->gso_type,
        .hdr_len = o->hdr_len,
        .gso_size = o->gso_size,
        .csum_start = o->csum_start,
        .csum_offset = o->csum_offset,
    };
    struct iovec iov[2] = {
        { .iov_base = &h, .iov_len = sizeof h },
        { .iov_base = (void *) frame->data, .iov_len = frame->length },
    };
    ssize_t n;

    do {
        n = writev(w->tap_fd, iov, 2);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno == EBADFD) {
            w->gone = true;
        }
        count(errno == EIO ? &w->drops.down : &w->drops.refused);
    }
}

/* Moves frames from the switch to the kernel.  Returns true if there were
 * any. */
static bool
run_rx(struct worker *w)
{
    struct domsfront_frame frames[BURST];
    unsigned int n = domsfront_rx_burst(w->front, w->queue, frames, BURST);

    for (unsigned int i = 0; i < n; i++) {
        write_frame(w, &frames[i]);
    }
    if (n) {
        domsfront_rx_release(w->front, w->queue);
    }
    return n > 0;
}

/* Commits the 'length' bytes that were read into the last reservation of
 * 'room' bytes, with the kernel's header 'h'. */
static void
commit_frame(struct worker *w, uint32_t length, uint32_t room,
             const struct virtio_net_hdr *h, bool offload)
{
    struct domsfront_offload o = {
        .flags = h->flags,
        .gso_type = h->gso_type,
        .hdr_len = h->hdr_len,
        .gso_size = h->gso_size,
        .csum_start = h->csum_start,
        .csum_offset = h->csum_offset,
    };

    if (length > room) {
        count(&w->drops.too_long);
        return;
    }
    if (!offload
        && (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM
            || h->gso_type != VIRTIO_NET_HDR_GSO_NONE)) {
        count(&w->drops.offload);
        return;
    }
    if (domsfront_tx_commit(w->front, w->queue, length, offload ? &o : NULL)) {
        count(&w->drops.offload);
    }
}

/* Moves one frame from the kernel into a place of 'room' bytes in the ring.
 * Returns false if there is none, or no place for it. */
static bool
read_frame(struct worker *w, uint32_t room, bool offload)
{
    uint8_t surplus; /* Tells a frame that was cut off from one that fits. */
    struct virtio_net_hdr h;
    struct iovec iov[3] = {
        { .iov_base = &h, .iov_len = sizeof h },
        { .iov_len = room },
        { .iov_base = &surplus, .iov_len = 1 },
    };
    ssize_t n;
    int error;

    error = domsfront_tx_reserve(w->front, w->queue, room, offload,
                                 &iov[1].iov_base);
    if (error) {
        w->full = error == EAGAIN;
        return false;
    }
    do {
        n = readv(w->tap_fd, iov, 3);
    } while (n < 0 && errno == EINTR);
    if (n < (ssize_t) sizeof h) {
        if (n < 0 && errno == EBADFD) {
            w->gone = true;
        }
        return false;
    }
    commit_frame(w, n - sizeof h, room, &h, offload);
    return true;
}

/* Moves frames from the kernel to the switch.  Returns true if there were
 * any. */
static bool
run_tx(struct worker *w)
{
    uint64_t features = domsfront_queue_features(w->front, w->queue);
    uint32_t room = __atomic_load_n(w->mtu, __ATOMIC_RELAXED) + L2_SIZE;
    int n = 0;

    if (features & DOMSFRONT_F_TSO || room > DOMSFRONT_FRAME_MAX) {
        room = DOMSFRONT_FRAME_MAX;
    }
    w->full = false;
    while (n < BURST
           && read_frame(w, room, (features & DOMSFRONT_F_CSUM) != 0)) {
        n++;
    }
    if (n) {
        domsfront_tx_flush(w->front, w->queue);
    }
    return n > 0;
}

/* Moves frames both ways.  Returns true if there were any. */
bool
worker_run(struct worker *w)
{
    bool worked = false;

    if (domsfront_queue_is_up(w->front, w->queue)) {
        worked |= run_rx(w);
        worked |= run_tx(w);
    }
    return worked;
}

/* Fills in '*pfd' with what the worker waits for of the device. */
void
worker_poll(struct worker *w, struct pollfd *pfd)
{
    bool up = domsfront_queue_is_up(w->front, w->queue);

    /* A queue other than the first may be detached from the device, which
     * poll() would take for an error. */
    pfd->fd = up || !w->queue ? w->tap_fd : -1;
    pfd->events = up && !w->full ? POLLIN : 0;
}
