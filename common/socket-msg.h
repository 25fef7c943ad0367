/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The messages of the socket door.
 *
 * A local guest connects to domsd's UNIX socket, of type SOCK_SEQPACKET, so
 * that a message is never split or joined.  Then:
 *
 *     guest                                switch
 *       | HELLO  name, wishes                |
 *       |----------------------------------->|  waits until a port is there
 *       |               WELCOME  geometry,   |
 *       |           MAC, MTU, file descriptors|
 *       |<-----------------------------------|
 *       | READY    groups are mapped         |
 *       |----------------------------------->|  carrier up
 *       |                CONFIG  MAC, MTU,   |
 *       |                link; at any time   |
 *       |<-----------------------------------|
 *       | close()  or death                  |
 *       |----------------------------------->|  carrier down, unmapped
 *
 * Instead of WELCOME, or later, the switch may send REFUSE with a reason and
 * close.  Either side may close at any time.  Every message is one struct
 * doms_msg of exactly doms_msg_size() bytes.  A message that is malformed,
 * unknown or out of order ends the connection.
 *
 * WELCOME carries these file descriptors, in this order: the front's group
 * (sealed F_SEAL_SHRINK and F_SEAL_GROW), the switch's group (sealed
 * F_SEAL_FUTURE_WRITE as well, so that the guest can only map it read-only),
 * and with DOMS_F_DOORBELL, for each queue, the bell that the guest waits for
 * and the bell that the guest rings.  No other message carries any; a receiver
 * accepts none.
 *
 * The guest maps both groups before it says READY: the switch then seals the
 * front's group F_SEAL_FUTURE_WRITE as well, so that nobody can punch holes
 * into pages that the switch reads.  The guest must not add seals.
 *
 * A bell is one end of a pair of connected UNIX stream sockets, and a ring of
 * it one byte, sent with MSG_DONTWAIT and MSG_NOSIGNAL.  Nothing that one side
 * can do to its end makes such a send wait.  An eventfd or a pipe would not
 * do: an eventfd is one open file, on which the peer could clear O_NONBLOCK,
 * and the kernel locks a pipe while it copies to a reader's page, which the
 * peer can keep from ever being there.
 *
 * Versions: 'magic' never changes.  A switch answers a HELLO of another
 * 'version' with REFUSE of its own version.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef DOMS_COMMON_SOCKET_MSG_H
#define DOMS_COMMON_SOCKET_MSG_H 1

#include "abi.h"

#define DOMS_MSG_MAGIC 0x444f4d53u
#define DOMS_MSG_VERSION 1u

/* Bytes of a name, including the terminating null byte. */
#define DOMS_NAME_SIZE 64
#define DOMS_REASON_SIZE 160

/* The most file descriptors that a WELCOME carries. */
#define DOMS_MSG_MAX_FDS (2 + 2 * DOMS_MAX_QUEUES)

#define DOMS_MTU_MIN 576
#define DOMS_MTU_MAX 9216
#define DOMS_MTU_DEFAULT 1500

enum doms_msg_type {
    DOMS_MSG_HELLO = 1,
    DOMS_MSG_WELCOME = 2,
    DOMS_MSG_READY = 3,
    DOMS_MSG_CONFIG = 4,
    DOMS_MSG_REFUSE = 5,
};

struct doms_msg_header {
    uint32_t magic;   /* DOMS_MSG_MAGIC. */
    uint16_t version; /* DOMS_MSG_VERSION. */
    uint16_t type;    /* enum doms_msg_type. */
};

/* What the guest asks for. */
struct doms_msg_hello {
    uint64_t features;    /* DOMS_F_* that the guest can do. */
    uint32_t arena_size;  /* Bytes; 0: as the switch likes. */
    uint16_t n_queues;    /* At most this many; at least 1. */
    uint16_t reserved;    /* Zero. */
    uint8_t mac[6];       /* The guest's address; zeros: the switch names it,
                           * and what the switch is configured with wins. */
    uint8_t reserved2[2]; /* Zero. */
    char name[DOMS_NAME_SIZE];
};

/* What can change while a guest is attached. */
struct doms_msg_config {
    uint8_t mac[6];   /* The guest's address. */
    uint16_t mtu;     /* Bytes of payload of a frame. */
    uint32_t link_up; /* 1: the port is up, 0: administratively down. */
};

/* What the guest gets. */
struct doms_msg_welcome {
    uint64_t features;             /* DOMS_F_* in force. */
    uint32_t arena_size;           /* Bytes. */
    uint16_t n_queues;             /* Queue pairs. */
    uint16_t n_fds;                /* File descriptors with this message. */
    uint32_t epoch;                /* Of this life of the switch. */
    struct doms_msg_config config; /* To start with. */
};

struct doms_msg_refuse {
    uint32_t error; /* A positive errno value of Linux, at most 4095. */
    char reason[DOMS_REASON_SIZE]; /* Printable ASCII, with a null byte. */
};

struct doms_msg {
    struct doms_msg_header h;
    union {
        struct doms_msg_hello hello;
        struct doms_msg_welcome welcome;
        struct doms_msg_config config;
        struct doms_msg_refuse refuse;
    } u;
};

DOMS_STATIC_ASSERT(sizeof(struct doms_msg_header) == 8);
DOMS_STATIC_ASSERT(sizeof(struct doms_msg_hello) == 24 + DOMS_NAME_SIZE);
DOMS_STATIC_ASSERT(sizeof(struct doms_msg_config) == 12);
DOMS_STATIC_ASSERT(sizeof(struct doms_msg_welcome) == 32);
DOMS_STATIC_ASSERT(sizeof(struct doms_msg_refuse) == 4 + DOMS_REASON_SIZE);

bool doms_name_is_valid(const char *name);
bool doms_mac_is_valid(const uint8_t mac[6]);
bool doms_mac_from_string(const char *s, uint8_t mac[6]);

size_t doms_msg_size(uint16_t type);
void doms_msg_init(struct doms_msg *msg, enum doms_msg_type type);
int doms_msg_check(const struct doms_msg *msg, size_t n, char *why,
                   size_t why_size);

int doms_msg_refuse_fds(int sock);
int doms_msg_send(int sock, const struct doms_msg *msg, const int *fds,
                  unsigned int n_fds);
int doms_msg_recv(int sock, struct doms_msg *msg, size_t *n, int *fds,
                  unsigned int max_fds, unsigned int *n_fds);

#endif /* common/socket-msg.h */
