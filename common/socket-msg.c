/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#include "socket-msg.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"

/* Of <linux/socket.h>, for older headers. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* isalnum() would ask the program's locale. */
static bool
is_ascii_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')
           || (c >= 'A' && c <= 'Z');
}

/* Returns true if 'name' can be a guest's name: 1 to DOMS_NAME_SIZE - 1
 * letters, digits, '_', '-' or '.', the first of them a letter or a digit. */
bool
doms_name_is_valid(const char *name)
{
    size_t n = strnlen(name, DOMS_NAME_SIZE);

    if (n < 1 || n >= DOMS_NAME_SIZE || !is_ascii_alnum(name[0])) {
        return false;
    }
    for (size_t i = 1; i < n; i++) {
        if (!is_ascii_alnum(name[i]) && !strchr("_-.", name[i])) {
            return false;
        }
    }
    return true;
}

/* Returns true if 'mac' can be the address of one interface: neither a group
 * address nor zero. */
bool
doms_mac_is_valid(const uint8_t mac[6])
{
    static const uint8_t zero[6];

    return !(mac[0] & 1) && memcmp(mac, zero, sizeof zero);
}

/* Parses 's' ("xx:xx:xx:xx:xx:xx") into 'mac'.  Returns false if it is
 * malformed or not doms_mac_is_valid(). */
bool
doms_mac_from_string(const char *s, uint8_t mac[6])
{
    unsigned int b[6];
    int n = 0;

    if (strlen(s) != 17
        || sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3],
                  &b[4], &b[5], &n)
               != 6
        || n != 17) {
        return false;
    }
    for (int i = 0; i < 6; i++) {
        if (!isxdigit((unsigned char) s[i * 3])
            || !isxdigit((unsigned char) s[i * 3 + 1])) {
            return false;
        }
        mac[i] = b[i];
    }
    return doms_mac_is_valid(mac);
}

/* Returns the size of a message of 'type' in bytes, or 0 if there is no such
 * type. */
size_t
doms_msg_size(uint16_t type)
{
    size_t header = sizeof(struct doms_msg_header);

    switch (type) {
    case DOMS_MSG_HELLO:
        return header + sizeof(struct doms_msg_hello);
    case DOMS_MSG_WELCOME:
        return header + sizeof(struct doms_msg_welcome);
    case DOMS_MSG_READY:
        return header;
    case DOMS_MSG_CONFIG:
        return header + sizeof(struct doms_msg_config);
    case DOMS_MSG_REFUSE:
        return header + sizeof(struct doms_msg_refuse);
    default:
        return 0;
    }
}

/* Makes 'msg' an otherwise empty message of 'type'. */
void
doms_msg_init(struct doms_msg *msg, enum doms_msg_type type)
{
    memset(msg, 0, sizeof *msg);
    msg->h.magic = DOMS_MSG_MAGIC;
    msg->h.version = DOMS_MSG_VERSION;
    msg->h.type = type;
}

static const char *
check_hello(const struct doms_msg_hello *hello)
{
    static const uint8_t zero[6];

    if (!memchr(hello->name, '\0', sizeof hello->name)
        || !doms_name_is_valid(hello->name)) {
        return "name: must be 1 to 63 letters, digits, '_', '-' or '.'";
    }
    if (hello->n_queues < 1 || hello->n_queues > DOMS_MAX_QUEUES) {
        return "queues: must be 1 to 16";
    }
    if (hello->arena_size
        && !doms_ring_arena_size_is_valid(hello->arena_size)) {
        return "arena: must be a power of 2 from 128 KiB to 4 MiB";
    }
    if (memcmp(hello->mac, zero, sizeof zero)
        && !doms_mac_is_valid(hello->mac)) {
        return "mac: must not be a group address";
    }
    if (hello->reserved || hello->reserved2[0] || hello->reserved2[1]) {
        return "reserved fields: must be zero";
    }
    return NULL;
}

static const char *
check_config(const struct doms_msg_config *config)
{
    if (!doms_mac_is_valid(config->mac)) {
        return "mac: must be the address of one interface";
    }
    if (config->mtu < DOMS_MTU_MIN || config->mtu > DOMS_MTU_MAX) {
        return "mtu: must be 576 to 9216";
    }
    if (config->link_up > 1) {
        return "link: must be 0 or 1";
    }
    return NULL;
}

static const char *
check_welcome(const struct doms_msg_welcome *welcome)
{
    struct doms_geometry g = { .n_queues = welcome->n_queues,
                               .arena_size = welcome->arena_size };
    unsigned int n_fds = 2;

    if (!doms_geometry_is_valid(&g)) {
        return "geometry: out of range";
    }
    if (welcome->features & ~DOMS_F_ALL) {
        return "features: unknown bits";
    }
    if (welcome->features & DOMS_F_DOORBELL) {
        n_fds += 2 * welcome->n_queues;
    }
    if (welcome->n_fds != n_fds) {
        return "file descriptors: wrong number";
    }
    return check_config(&welcome->config);
}

static const char *
check_refuse(const struct doms_msg_refuse *refuse)
{
    size_t n = strnlen(refuse->reason, sizeof refuse->reason);

    if (refuse->error < 1 || refuse->error > 4095) {
        return "error: must be 1 to 4095";
    }
    if (n == sizeof refuse->reason) {
        return "reason: not terminated";
    }
    /* The guest shows it, perhaps on a terminal. */
    for (size_t i = 0; i < n; i++) {
        if (refuse->reason[i] < ' ' || refuse->reason[i] > '~') {
            return "reason: not printable";
        }
    }
    return NULL;
}

/* Checks the 'n' bytes received as 'msg', a private copy: its size, magic,
 * version, type and each field's range.
 *
 * Returns 0, or EPROTO if it is malformed, or EPROTONOSUPPORT if only its
 * version is another; then 'why' of 'why_size' bytes gets the reason. */
int
doms_msg_check(const struct doms_msg *msg, size_t n, char *why,
               size_t why_size)
{
    const char *problem = NULL;

    if (n < sizeof msg->h || msg->h.magic != DOMS_MSG_MAGIC) {
        snprintf(why, why_size, "not a message of the socket door");
        return EPROTO;
    }
    if (msg->h.version != DOMS_MSG_VERSION) {
        snprintf(why, why_size, "version: peer has %u, this side %u",
                 msg->h.version, DOMS_MSG_VERSION);
        return EPROTONOSUPPORT;
    }
    if (!doms_msg_size(msg->h.type)) {
        snprintf(why, why_size, "type: %u is unknown", msg->h.type);
        return EPROTO;
    }
    if (n != doms_msg_size(msg->h.type)) {
        snprintf(why, why_size, "size: type %u has %zu bytes, not %zu",
                 msg->h.type, doms_msg_size(msg->h.type), n);
        return EPROTO;
    }
    switch (msg->h.type) {
    case DOMS_MSG_HELLO:
        problem = check_hello(&msg->u.hello);
        break;
    case DOMS_MSG_WELCOME:
        problem = check_welcome(&msg->u.welcome);
        break;
    case DOMS_MSG_CONFIG:
        problem = check_config(&msg->u.config);
        break;
    case DOMS_MSG_REFUSE:
        problem = check_refuse(&msg->u.refuse);
        break;
    default:
        break;
    }
    if (problem) {
        snprintf(why, why_size, "%s", problem);
        return EPROTO;
    }
    return 0;
}

/* Has 'sock', and the sockets that it will accept, take no file descriptors:
 * whoever sends one gets EPERM.  If they are taken and nobody wants them, the
 * receiver closes them, and has to wait if they are such as to have it wait: a
 * TCP socket that lingers, a file of the sender's own file system.  Returns 0
 * or a positive errno value, ENOPROTOOPT before Linux 6.16. */
int
doms_msg_refuse_fds(int sock)
{
    int off = 0;

    return setsockopt(sock, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof off)
               ? errno
               : 0;
}

/* Sends 'msg' with 'n_fds' file descriptors from 'fds' on 'sock', without
 * blocking.  Returns 0 or a positive errno value, EAGAIN if the peer does not
 * read. */
int
doms_msg_send(int sock, const struct doms_msg *msg, const int *fds,
              unsigned int n_fds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(DOMS_MSG_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = (void *) msg,
                         .iov_len = doms_msg_size(msg->h.type) };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (n_fds > DOMS_MSG_MAX_FDS) {
        return EINVAL;
    }
    if (n_fds) {
        struct cmsghdr *cmsg;

        memset(&control, 0, sizeof control);
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&mh);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
    }
    do {
        n = sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? errno : 0;
}

/* Takes the file descriptors out of 'mh' into 'fds', and closes those that are
 * too many.  Returns their number. */
static unsigned int
take_fds(struct msghdr *mh, int *fds, unsigned int max_fds)
{
    unsigned int n_fds = 0;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh); cmsg;
         cmsg = CMSG_NXTHDR(mh, cmsg)) {
        size_t n;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof fd, sizeof fd);
            if (n_fds < max_fds) {
                fds[n_fds++] = fd;
            } else {
                close(fd);
            }
        }
    }
    return n_fds;
}

/* Receives one message from 'sock' into 'msg', without blocking; its size goes
 * to '*n'.  File descriptors that come with it go to 'fds', at most 'max_fds'
 * (0 to DOMS_MSG_MAX_FDS), their number to '*n_fds'; the kernel discards those
 * that the caller does not expect.
 *
 * Returns 0, EAGAIN if there is none, ECONNRESET at the connection's end, or
 * another positive errno value.  The message is still to be checked with
 * doms_msg_check(). */
int
doms_msg_recv(int sock, struct doms_msg *msg, size_t *n, int *fds,
              unsigned int max_fds, unsigned int *n_fds)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(DOMS_MSG_MAX_FDS * sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = msg, .iov_len = sizeof *msg };
    struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t retval;

    if (max_fds) {
        mh.msg_control = control.buf;
        mh.msg_controllen = CMSG_SPACE(max_fds * sizeof(int));
    }
    *n_fds = 0;
    *n = 0;
    do {
        retval = recvmsg(sock, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (retval < 0 && errno == EINTR);
    if (retval < 0) {
        return errno;
    }
    if (max_fds) {
        *n_fds = take_fds(&mh, fds, max_fds);
    }
    if (!retval) {
        /* An empty message looks like the end, but can carry descriptors. */
        while (*n_fds) {
            close(fds[--*n_fds]);
        }
        return ECONNRESET;
    }
    *n = mh.msg_flags & MSG_TRUNC ? sizeof *msg + 1 : (size_t) retval;
    return 0;
}
