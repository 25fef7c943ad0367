/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of a front, shared by libdomsfront's own files.
 *
 * The control thread owns all of struct domsfront but the queues.  A channel
 * is mapped and its queues are set up while the gate is closed, then the gate
 * opens; when the channel ends the gate closes, and the control thread touches
 * the queues and the mapping again only once no queue's thread can.
 *
 * The gate
 * --------
 *
 * 'gate' counts; it is odd while open.  Each queue has 'seen', the gate as its
 * thread knows it.  A data call compares the two, which is all it costs while
 * nothing changes.  If they differ, the thread stores the new one to 'seen',
 * and looks again at the gate.  The control thread stores the gate, then looks
 * at 'seen'.  All four are sequentially consistent, so either the thread sees
 * that the gate has closed, or the control thread sees that the thread went
 * through it and waits until 'seen' is another.
 */

#ifndef DOMSFRONT_FRONT_H
#define DOMSFRONT_FRONT_H 1

#include "common/channel.h"
#include "common/socket-msg.h"
#include "guestfront/lib/domsfront.h"

/* The longest path of a UNIX socket, without the terminating null byte. */
#define DF_PATH_MAX 107

/* Times, in microseconds. */
#define DF_BACKOFF_MIN_US 10000  /* Before the first new attempt. */
#define DF_BACKOFF_MAX_US 500000 /* Before later ones, doubling. */
#define DF_STABLE_US 1000000     /* Up for so long: back-off anew. */
#define DF_HEARTBEAT_US 500000   /* Between two heartbeats. */
#define DF_SOCKET_US 200         /* Between two looks at the socket. */
#define DF_PATIENCE_US 1000000   /* Before 'waiting' is what to report. */
#define DF_LEAVE_US 10000        /* Between two looks at 'seen'. */

/* Where the control thread is. */
enum df_phase {
    DF_IDLE,    /* Not connected; 'retry_at' tells when to try. */
    DF_HELLO,   /* HELLO is sent; WELCOME or REFUSE may come. */
    DF_UP,      /* READY is sent; the gate is open. */
    DF_LEAVING, /* Disconnected; a thread may still use the mapping. */
};

/* Counters of one queue, written by its thread. */
struct df_counters {
    uint64_t rx_frames, rx_bytes, rx_bad_offload, rx_too_long;
    uint64_t tx_frames, tx_bytes, tx_full;
    uint64_t bells_rung, bells_heard;
};

/* One queue pair. */
struct df_queue {
    /* Written by the queue's thread. */
    uint32_t seen;         /* The gate as the thread knows it; atomic. */
    uint32_t broken;       /* enum doms_ring_broken, once found; atomic. */
    uint32_t peeked;       /* Frames taken and not released. */
    uint32_t reserved;     /* Bytes of the record being made, or 0. */
    bool reserved_offload; /* ... and it starts with a doms_offload. */
    struct df_counters counters;

    /* Written by the control thread while the gate is closed, then used by
     * the queue's thread alone. */
    struct doms_queue dq;
    bool usable;       /* The channel has this queue. */
    uint64_t features; /* DOMS_F_* in force. */
    int bell_wait;     /* The socket that the switch rings, or -1. */
    int bell_ring;     /* The socket that this side rings, or -1. */
    bool bell_dead;    /* 'bell_wait' has no other end; by the thread. */
    uint32_t *ends;    /* For 'dq'. */
} __attribute__((aligned(DOMS_LINE_PAIR)));

/* What a connection has mapped. */
struct df_channel {
    struct doms_geometry g;
    void *own;  /* The front's group, or NULL. */
    void *peer; /* The switch's group, read-only, or NULL. */
};

struct domsfront {
    /* Fixed by domsfront_open(). */
    char path[DF_PATH_MAX + 1];
    struct doms_msg_hello hello; /* What is said at each connection. */
    unsigned int n_queues;       /* Entries of 'queues'. */
    struct df_queue *queues;
    uint32_t epoch; /* Of this process. */

    uint32_t gate; /* Atomic; see above. */

    bool no_carrier; /* Of the front's user; atomic. */
    uint32_t told;   /* The DOMS_STATE_* in the front's health. */

    /* Connection. */
    enum df_phase phase;
    int sock;           /* Or -1. */
    uint64_t retry_at;  /* When to connect, in DF_IDLE. */
    uint64_t backoff;   /* How long to wait after the next failure. */
    uint64_t hello_at;  /* When HELLO was sent. */
    uint64_t up_since;  /* In DF_UP. */
    uint64_t next_beat; /* In DF_UP. */
    uint64_t next_recv; /* When to look at 'sock'. */
    bool peer_checked;  /* The switch's health was compared. */
    struct df_channel channel;

    /* What the switch said. */
    struct doms_msg_welcome welcome; /* The last one. */
    struct doms_msg_config config;   /* In force. */

    /* For the user. */
    unsigned int events; /* DOMSFRONT_EV_* not yet returned. */
    int error;           /* Why not up. */
    char reason[256];
    uint64_t connects;
    uint64_t faults;
};

/* Returns the time of a clock that never jumps, in microseconds. */
uint64_t df_now(void);

/* mapping.c */
int df_channel_map(struct domsfront *, const struct doms_msg_welcome *,
                   const int *fds, unsigned int n_fds, char *why,
                   size_t why_size);
void df_channel_unmap(struct domsfront *);

/* bell.c */
void df_bell_ring(int fd);
bool df_bell_drain(int fd);

/* queue.c */
struct df_queue *df_follow_gate(struct domsfront *, struct df_queue *);
bool df_offload_is_valid(const struct domsfront_offload *, uint32_t length,
                         uint64_t features);

/* Adds 'n' to '*counter', whose only writer the caller is. */
static inline void
df_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n,
                     __ATOMIC_RELAXED);
}

/* Returns queue 'i' of 'df' if its channel is up, else NULL.  For the queue's
 * thread, which may touch the mapping until its next call of this. */
static inline struct df_queue *
df_enter(struct domsfront *df, unsigned int i)
{
    struct df_queue *q;
    uint32_t gate;

    if (DOMS_UNLIKELY(i >= df->n_queues)) {
        return NULL;
    }
    q = &df->queues[i];
    gate = __atomic_load_n(&df->gate, __ATOMIC_ACQUIRE);
    if (DOMS_UNLIKELY(gate != __atomic_load_n(&q->seen, __ATOMIC_RELAXED))) {
        return df_follow_gate(df, q);
    }
    return gate & 1 && q->usable ? q : NULL;
}

#endif /* front.h */
