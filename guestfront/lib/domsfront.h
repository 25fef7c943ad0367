/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libdomsfront: a local process as a guest of DomS.
 *
 * A front is the guest's end of a channel.  It connects to domsd's socket by
 * itself, waits there until the switch has a port for its name, shares rings
 * of pages with the switch, and from then on frames move without a system
 * call.  When the switch dies or is restarted, the front connects again and
 * goes on; its user sees 'down' and 'up' and no more.
 *
 * Guarantees
 * ----------
 *
 * No call but domsfront_idle_wait() waits for anything.  No call kills the
 * process: no SIGPIPE is left behind, and interrupted system calls are
 * repeated.  All file descriptors are close-on-exec.  The switch is not
 * trusted: whatever it writes to the shared pages or sends, the library
 * touches no memory outside of the rings; a switch that breaks a rule is hung
 * up on.  The bytes of a received frame lie in pages that the switch can
 * change at any time: who parses a frame copies it first, which
 * domsfront_recv() does.
 *
 * Threads
 * -------
 *
 * A front has one control thread and as many data threads as it has queues.
 * They may all be one thread, and one thread may serve many fronts.
 *
 *     Control thread: domsfront_run(), domsfront_get_status(),
 *                     domsfront_get_pollfd(), domsfront_set_features(),
 *                     domsfront_close().
 *     Any thread: domsfront_set_carrier().
 *     Queue's thread: all functions with a 'queue' argument.
 *
 * When the channel ends, its pages stay mapped until every queue's thread has
 * learned of it, which happens in that thread's next call for the queue (and
 * not before domsfront_rx_release(), if frames are taken but not released).
 * The front connects again only then.  So a thread that stops to use a queue
 * says so with domsfront_queue_leave().  A queue that is not in use delays
 * nothing.
 *
 * A process forks before domsfront_open(), or to call exec(): a child that
 * keeps the connection open hides its parent's death from the switch.
 *
 * Use
 * ---
 *
 *     struct domsfront_config config = { .name = "g1" };
 *     domsfront_open(&config, &front);
 *     domsfront_idle_open(NULL, &idle);
 *     for (;;) {
 *         domsfront_run(front);
 *         n = domsfront_rx_burst(front, 0, frames, 32);
 *         ... look at the frames ...
 *         domsfront_rx_release(front, 0);
 *         domsfront_idle_wait(idle, refs, 2, NULL, 0, n > 0, -1);
 *     }
 *
 * where 'refs' are { front, 0 } and { front, DOMSFRONT_CONTROL }.
 *
 * Functions that can fail return 0 or a positive errno value.
 */

#ifndef DOMSFRONT_H
#define DOMSFRONT_H 1

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits. */
#define DOMSFRONT_MAX_QUEUES 16
#define DOMSFRONT_FRAME_MIN 14    /* An Ethernet header. */
#define DOMSFRONT_FRAME_MAX 61440 /* Bytes, Ethernet header included. */

/* Features. */
#define DOMSFRONT_F_CSUM                                                      \
    (UINT64_C(1) << 0) /* Frames whose checksum is
                                                 * still to be made. */
#define DOMSFRONT_F_TSO                                                       \
    (UINT64_C(1) << 1) /* Frames still to be cut into
                                                 * segments; with CSUM. */
#define DOMSFRONT_F_DOORBELL                                                  \
    (UINT64_C(1) << 2) /* A side that has been idle
                                                 * for long blocks, and the
                                                 * other wakes it. */

/* What domsfront_open() needs to know.  Zeros are good defaults for all
 * members but 'name'. */
struct domsfront_config {
    const char *socket_path; /* The switch's socket; NULL: doms.sock in
                              * $OVS_RUNDIR or /var/run/openvswitch. */
    const char *name;        /* The guest's name, which the switch's port
                              * names as its 'peer'. */
    unsigned int n_queues;   /* Queue pairs wanted, at most
                              * DOMSFRONT_MAX_QUEUES; 0: 1.  The switch may
                              * give fewer. */
    uint32_t arena_size;     /* Bytes of each ring's arena: a power of 2 from
                              * 128 KiB to 4 MiB; 0: the switch's choice. */
    uint8_t mac[6];          /* The address wished for; zeros: the switch
                              * names it. */
    uint64_t features;       /* DOMSFRONT_F_* that the caller can do. */
};

/* A front. */
struct domsfront;

int domsfront_open(const struct domsfront_config *, struct domsfront **);
void domsfront_close(struct domsfront *);
const char *domsfront_last_error(void);

/* Control. */

/* What domsfront_run() returns: what has happened. */
#define DOMSFRONT_EV_UP 0x01u     /* The channel is up. */
#define DOMSFRONT_EV_DOWN 0x02u   /* The channel was up and is no more. */
#define DOMSFRONT_EV_CONFIG 0x04u /* 'mac', 'mtu' or 'link_up' is new. */
#define DOMSFRONT_EV_REASON 0x08u /* 'reason' is another one. */

unsigned int domsfront_run(struct domsfront *);

enum domsfront_state {
    DOMSFRONT_CONNECTING, /* No connection; tries again by itself. */
    DOMSFRONT_WAITING,    /* Connected; the switch has no port for it yet. */
    DOMSFRONT_UP,         /* Frames can pass. */
};

/* Sums over all queues and all connections of a front. */
struct domsfront_counters {
    uint64_t rx_frames;      /* Frames received. */
    uint64_t rx_bytes;       /* ... their bytes. */
    uint64_t rx_bad_offload; /* Frames dropped: offload fields out of range. */
    uint64_t rx_too_long;    /* ... too long for domsfront_recv()'s buffer. */
    uint64_t tx_frames;      /* Frames sent. */
    uint64_t tx_bytes;       /* ... their bytes. */
    uint64_t tx_full;        /* Times that the ring was full. */
    uint64_t bells_rung;     /* Doorbells rung at the switch. */
    uint64_t bells_heard;    /* Doorbells that ended a wait. */
    uint64_t connects;       /* Times that the channel came up. */
    uint64_t faults;         /* Times that the switch broke a rule. */
};

struct domsfront_status {
    enum domsfront_state state;
    int error;          /* Why the channel is not up, an errno value; 0 if it
                          * is up or just waiting. */
    const char *reason; /* The same as text, "" if up; valid until the next
                          * domsfront_run(). */
    const char *socket_path; /* In use; valid as long as the front. */

    /* What the switch said last; meaningful once it has been up. */
    uint8_t mac[6]; /* The guest's address. */
    uint16_t mtu;   /* Payload bytes of the longest frame. */
    bool link_up;   /* The switch's port is not set down. */

    /* Of the present channel; 0 if not up. */
    unsigned int n_queues; /* Queue pairs in force. */
    uint32_t arena_size;   /* Bytes of each ring's arena. */
    uint64_t features;     /* DOMSFRONT_F_* in force. */
    uint32_t epoch;        /* Differs between two lives of the switch. */

    struct domsfront_counters counters;
};

void domsfront_get_status(const struct domsfront *, struct domsfront_status *);
void domsfront_set_carrier(struct domsfront *, bool on);
int domsfront_set_features(struct domsfront *, uint64_t features);
int64_t domsfront_get_pollfd(const struct domsfront *, struct pollfd *);

/* Data. */

/* Checksum and segmentation fields of a frame, as struct virtio_net_hdr has
 * them.  All zeros: an ordinary frame. */
struct domsfront_offload {
    uint8_t flags;        /* DOMSFRONT_CSUM_*. */
    uint8_t gso_type;     /* DOMSFRONT_GSO_*. */
    uint16_t hdr_len;     /* Bytes of headers before the payload; a hint. */
    uint16_t gso_size;    /* Payload bytes of each segment. */
    uint16_t csum_start;  /* Offset in the frame where the sum starts. */
    uint16_t csum_offset; /* Offset from 'csum_start' of the sum's field. */
};

#define DOMSFRONT_CSUM_NEEDED 0x01 /* The checksum is still to be made. */
#define DOMSFRONT_CSUM_VALID 0x02  /* The checksum was found right. */

#define DOMSFRONT_GSO_NONE 0
#define DOMSFRONT_GSO_TCPV4 1
#define DOMSFRONT_GSO_TCPV6 4
#define DOMSFRONT_GSO_ECN 0x80 /* TCP has ECN set; joined to a type. */

/* A received frame in place. */
struct domsfront_frame {
    const void *data;                 /* Shared with the switch. */
    uint32_t length;                  /* Bytes, checked. */
    struct domsfront_offload offload; /* A private copy, checked. */
};

/* A frame in memory of the caller's. */
struct domsfront_buf {
    void *data;                       /* The frame. */
    uint32_t size;                    /* Bytes at 'data'; for receiving. */
    uint32_t length;                  /* Bytes of the frame. */
    struct domsfront_offload offload; /* Checked, if received. */
};

bool domsfront_queue_is_up(struct domsfront *, unsigned int queue);
uint64_t domsfront_queue_features(struct domsfront *, unsigned int queue);
void domsfront_queue_leave(struct domsfront *, unsigned int queue);

unsigned int domsfront_rx_burst(struct domsfront *, unsigned int queue,
                                struct domsfront_frame *, unsigned int max);
void domsfront_rx_release(struct domsfront *, unsigned int queue);
unsigned int domsfront_recv(struct domsfront *, unsigned int queue,
                            struct domsfront_buf *, unsigned int max);

int domsfront_tx_reserve(struct domsfront *, unsigned int queue,
                         uint32_t max_length, bool offload, void **data);
int domsfront_tx_commit(struct domsfront *, unsigned int queue,
                        uint32_t length, const struct domsfront_offload *);
unsigned int domsfront_tx_place(struct domsfront *, unsigned int queue,
                                const uint32_t *lengths, void **places,
                                unsigned int n);
int domsfront_tx_flush(struct domsfront *, unsigned int queue);
int domsfront_send(struct domsfront *, unsigned int queue,
                   const struct domsfront_buf *, unsigned int n,
                   unsigned int *n_sent);

/* Idle. */

/* How a thread waits.  It polls for 'spin_us' after the last frame, then
 * sleeps in steps that double up to 'max_sleep_us'.  After 'block_after_us' it
 * announces itself asleep on queues with a doorbell, and blocks.  With 'yield',
 * it lets others use its CPU while it polls in vain. */
struct domsfront_idle_config {
    uint32_t spin_us;        /* Microseconds. */
    uint32_t max_sleep_us;   /* Microseconds, at least 1. */
    uint32_t block_after_us; /* Microseconds since the last frame. */
    bool yield;              /* Share the CPU. */
};

#define DOMSFRONT_SPIN_US 20
#define DOMSFRONT_MAX_SLEEP_US 200
#define DOMSFRONT_BLOCK_AFTER_US 20

/* What a thread waits for: a queue of a front, or its control. */
struct domsfront_ref {
    struct domsfront *front;
    unsigned int queue; /* Or DOMSFRONT_CONTROL: in the control thread, what
                         * domsfront_run() waits for. */
};

#define DOMSFRONT_CONTROL (~0u)

/* The waiting of one thread. */
struct domsfront_idle;

int domsfront_idle_open(const struct domsfront_idle_config *,
                        struct domsfront_idle **);
void domsfront_idle_close(struct domsfront_idle *);
void domsfront_idle_wait(struct domsfront_idle *, const struct domsfront_ref *,
                         unsigned int n_refs, struct pollfd *,
                         unsigned int n_fds, bool worked, int64_t max_us);

#ifdef __cplusplus
}
#endif

#endif /* domsfront.h */
