/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket door: local processes as guests.  common/socket-msg.h describes
 * the messages.
 *
 * A connection goes through these states, and may end in each of them:
 *
 *     NEW      accepted; the guest has to say HELLO in time
 *     WAITING  the guest is known, its port is not there yet
 *     OFFERED  WELCOME is sent; the guest has to say READY in time
 *     UP       the port has the channel
 *
 * All of this is the main thread's.
 */
#include <config.h>

#include "doms/door.h"

#include <errno.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/socket-msg.h"
#include "doms/channel.h"
#include "doms/ports.h"
#include "doms/socket-memory.h"
#include "dirs.h"
#include "fatal-signal.h"
#include "hash.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "socket-util.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_door_socket);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

/* What connections can make the switch hold; also no more than a quarter of
 * its file descriptors, so that the switch keeps enough for itself. */
#define MAX_CONNS 4096
#define MAX_NAMELESS 128

/* How long a guest may take for HELLO and for READY. */
#define HANDSHAKE_MS 10000

/* Connections served in one turn of the main loop. */
#define EVENTS_PER_TURN 64

/* How long to wait before trying again what lacked a resource. */
#define RETRY_MS 1000

enum conn_state {
    CONN_NEW,
    CONN_WAITING,
    CONN_OFFERED,
    CONN_UP,
};

struct conn {
    struct ovs_list list_node;  /* In 'conns' or 'pending'. */
    struct hmap_node name_node; /* In 'conns_by_name', but not in CONN_NEW. */
    int fd;
    pid_t pid;
    enum conn_state state;
    long long int deadline;      /* In CONN_NEW and CONN_OFFERED. */
    struct doms_msg_hello hello; /* But not in CONN_NEW; checked. */

    /* In CONN_OFFERED the connection owns it, in CONN_UP the port does. */
    struct doms_channel *channel;
    int front_fd; /* In CONN_OFFERED: the front's group; else -1. */
};

/* In CONN_WAITING and CONN_UP. */
static struct ovs_list conns = OVS_LIST_INITIALIZER(&conns);
/* In CONN_NEW and CONN_OFFERED: they have deadlines. */
static struct ovs_list pending = OVS_LIST_INITIALIZER(&pending);
static struct hmap conns_by_name = HMAP_INITIALIZER(&conns_by_name);
static size_t n_conns;
static size_t n_nameless;

static int listen_fd = -1;
static int epoll_fd = -1;
static rlim_t max_fds = 1024;  /* Files that the switch may have open. */
static long long int retry_at; /* When to open or accept again, if not 0. */
static uint64_t last_seq;      /* Of the ports that were looked at last. */

static void door_socket_detached(struct doms_channel *);

/* Moves 'conn' to 'state'. */
static void
conn_set_state(struct conn *conn, enum conn_state state)
{
    bool has_deadline = state == CONN_NEW || state == CONN_OFFERED;

    ovs_list_remove(&conn->list_node);
    ovs_list_push_back(has_deadline ? &pending : &conns, &conn->list_node);
    if (conn->state == CONN_NEW && state != CONN_NEW) {
        n_nameless--;
    }
    conn->state = state;
    conn->deadline = time_msec() + HANDSHAKE_MS;
}

static const char *
conn_name(const struct conn *conn)
{
    return conn->state == CONN_NEW ? "(nameless)" : conn->hello.name;
}

/* Ends 'conn' and frees it. */
static void
conn_close(struct conn *conn, const char *why)
{
    struct doms_channel *ch = conn->channel;
    enum conn_state state = conn->state;

    VLOG_DBG("guest %s (pid %ld): connection closed: %s", conn_name(conn),
             (long int) conn->pid, why);
    conn->channel = NULL;
    if (ch) {
        ch->door_aux = NULL;
        if (state == CONN_UP) {
            doms_ports_detach(ch, NULL);
        } else {
            doms_channel_destroy(ch);
        }
    }
    if (state == CONN_NEW) {
        n_nameless--;
    } else {
        hmap_remove(&conns_by_name, &conn->name_node);
    }
    ovs_list_remove(&conn->list_node);
    n_conns--;
    if (conn->front_fd >= 0) {
        close(conn->front_fd);
    }
    close(conn->fd); /* Leaves the epoll set by this. */
    free(conn);
}

/* Tells the guest why it is not served, and closes. */
static void
conn_refuse(struct conn *conn, int error, const char *reason)
{
    struct doms_msg msg;

    VLOG_WARN_RL(&rl, "guest %s (pid %ld) refused: %s", conn_name(conn),
                 (long int) conn->pid, reason);
    doms_msg_init(&msg, DOMS_MSG_REFUSE);
    msg.u.refuse.error = error;
    ovs_strlcpy(msg.u.refuse.reason, reason, sizeof msg.u.refuse.reason);
    doms_msg_send(conn->fd, &msg, NULL, 0);
    conn_close(conn, reason);
}

static struct conn *
conn_find(const char *name)
{
    struct conn *conn;

    HMAP_FOR_EACH_WITH_HASH (conn, name_node, hash_string(name, 0),
                             &conns_by_name) {
        if (!strcmp(conn->hello.name, name)) {
            return conn;
        }
    }
    return NULL;
}

/* Returns true if the process at the other end of 'conn' has hung up, even if
 * epoll has not said so yet. */
static bool
conn_is_dead(const struct conn *conn)
{
    char c;
    ssize_t n = recv(conn->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

    return !n || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Channels. */

static void
fill_config(struct doms_msg_config *msg, struct eth_addr mac,
            const struct doms_port_config *config)
{
    memcpy(msg->mac, mac.ea, sizeof msg->mac);
    msg->mtu = config->mtu;
    msg->link_up = config->link_up;
}

/* Returns the size of the arenas of a guest with 'features' at a port of
 * 'mtu', if nobody says otherwise. */
static uint32_t
default_arena(uint64_t features, int mtu)
{
    return features & DOMS_F_TSO  ? DOMS_ARENA_TSO_DEFAULT
           : mtu > DOMS_JUMBO_MTU ? DOMS_ARENA_JUMBO_DEFAULT
                                  : DOMS_ARENA_DEFAULT;
}

/* Makes a channel for 'conn' that suits both its guest's wishes and 'config',
 * without anything shared yet. */
static struct doms_channel *
make_channel(struct conn *conn, const struct doms_port_config *config)
{
    const struct doms_msg_hello *hello = &conn->hello;
    uint64_t features = hello->features & config->features;
    struct doms_geometry geometry = {
        .n_queues = MIN(hello->n_queues, config->n_queues),
        .arena_size = config->arena_is_set ? config->arena_size
                      : hello->arena_size
                          ? hello->arena_size
                          : default_arena(features, config->mtu),
    };
    struct doms_channel *ch = doms_channel_create(&door_socket, hello->name,
                                                  &geometry, features);

    ch->pid = conn->pid;
    ch->mac = config->mac;
    if (!config->mac_is_set && doms_mac_is_valid(hello->mac)) {
        memcpy(ch->mac.ea, hello->mac, sizeof ch->mac.ea);
    }
    ch->door_aux = conn;
    return ch;
}

/* Offers a channel to the guest of 'conn', which is CONN_WAITING, if its port
 * is there.  May close 'conn'. */
static void
conn_offer(struct conn *conn)
{
    struct doms_port_config config;
    int fds[DOMS_MSG_MAX_FDS];
    unsigned int n_fds;
    struct doms_msg msg;
    int error;

    if (!doms_ports_lookup(conn->hello.name, &config)) {
        return;
    }
    conn->channel = make_channel(conn, &config);
    error = socket_memory_make(conn->channel, config.numa_node, fds, &n_fds);
    if (!error) {
        const struct doms_channel *ch = conn->channel;

        doms_msg_init(&msg, DOMS_MSG_WELCOME);
        msg.u.welcome.features = ch->features;
        msg.u.welcome.arena_size = ch->geometry.arena_size;
        msg.u.welcome.n_queues = ch->geometry.n_queues;
        msg.u.welcome.n_fds = n_fds;
        msg.u.welcome.epoch = ch->epoch;
        fill_config(&msg.u.welcome.config, ch->mac, &config);
        error = doms_msg_send(conn->fd, &msg, fds, n_fds);
    }
    if (n_fds) {
        conn->front_fd = fds[0];
    }
    while (n_fds > 1) {
        close(fds[--n_fds]);
    }

    if (!error) {
        conn_set_state(conn, CONN_OFFERED);
    } else if (error == EPIPE || error == ECONNRESET) {
        conn_close(conn, "connection closed");
    } else {
        char *reason = xasprintf(
            "cannot make its channel (%s); see the limits "
            "of open files and memory of domsd",
            ovs_strerror(error));

        conn_refuse(conn, error, reason);
        free(reason);
    }
}

/* Messages.  Each of these may close 'conn'. */

static void
conn_hello(struct conn *conn, const struct doms_msg_hello *hello)
{
    struct conn *old = conn_find(hello->name);

    if (old && conn_is_dead(old)) {
        conn_close(old, "connection closed");
        old = NULL;
    }
    if (old) {
        char *reason = xasprintf("name %s is in use by process %ld; stop that "
                                 "one or choose another name",
                                 hello->name, (long int) old->pid);

        conn_refuse(conn, EBUSY, reason);
        free(reason);
        return;
    }

    conn->hello = *hello;
    hmap_insert(&conns_by_name, &conn->name_node, hash_string(hello->name, 0));
    conn_set_state(conn, CONN_WAITING);
    conn_offer(conn);
}

static void
conn_ready(struct conn *conn)
{
    int error;

    if (socket_memory_seal(conn->front_fd)) {
        conn_refuse(conn, EPROTO, "front's memory: has seals of its own");
        return;
    }
    close(conn->front_fd);
    conn->front_fd = -1;
    error = doms_ports_attach(conn->channel);
    if (!error) {
        conn_set_state(conn, CONN_UP);
        /* The port may have changed since WELCOME. */
        door_socket.port_changed(conn->channel);
    } else if (error == ENODEV || error == ESTALE) {
        conn_close(conn, "its port has gone or changed");
    } else {
        conn_refuse(conn, error, "the port is in use by another door");
    }
}

static void
conn_message(struct conn *conn, const struct doms_msg *msg, size_t n)
{
    char why[DOMS_REASON_SIZE];
    int error = doms_msg_check(msg, n, why, sizeof why);

    if (error) {
        conn_refuse(conn, error, why);
    } else if (msg->h.type == DOMS_MSG_HELLO && conn->state == CONN_NEW) {
        conn_hello(conn, &msg->u.hello);
    } else if (msg->h.type == DOMS_MSG_READY && conn->state == CONN_OFFERED) {
        conn_ready(conn);
    } else {
        conn_refuse(conn, EPROTO, "message is out of order");
    }
}

/* Receives one message: a guest that sends many has to share the turns. */
static void
conn_run(struct conn *conn)
{
    struct doms_msg msg;
    unsigned int n_fds;
    size_t n;
    int error = doms_msg_recv(conn->fd, &msg, &n, NULL, 0, &n_fds);

    if (!error) {
        conn_message(conn, &msg, n);
    } else if (error != EAGAIN) {
        conn_close(conn, ovs_strerror(error));
    }
}

/* The listening socket. */

/* Lets the group that the environment names, if it does, connect to the socket
 * 'path'.  Without that group the door stays its owner's, which is safe. */
static void
open_to_group(const char *path)
{
    const char *name = getenv("DOMS_SOCKET_GROUP");
    const struct group *group;

    if (!name || !*name) {
        return;
    }
    group = getgrnam(name);
    if (!group) {
        VLOG_WARN("DOMS_SOCKET_GROUP: there is no group '%s'; make it, or "
                  "name another",
                  name);
    } else if (chown(path, -1, group->gr_gid) || chmod(path, 0660)) {
        VLOG_WARN("%s: cannot be given to group '%s': %s", path, name,
                  ovs_strerror(errno));
    }
}

static int
open_listener(const char *path)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    struct epoll_event event = { .events = EPOLLIN };
    mode_t old_umask;
    int error;
    int fd;

    if (strlen(path) >= sizeof sun.sun_path) {
        return ENAMETOOLONG;
    }
    ovs_strlcpy(sun.sun_path, path, sizeof sun.sun_path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }

    /* A socket that nobody listens at is left over by an earlier life. */
    if (!connect(fd, (struct sockaddr *) &sun, sizeof sun)) {
        close(fd);
        return EADDRINUSE;
    }
    unlink(path);
    if (doms_msg_refuse_fds(fd)) {
        VLOG_WARN("%s: this kernel cannot refuse file descriptors (Linux 6.16 "
                  "can): a guest may hold the switch up by sending one that "
                  "is slow to close; let only guests in that you trust",
                  path);
    }
    old_umask = umask(0077);
    error = bind(fd, (struct sockaddr *) &sun, sizeof sun) ? errno : 0;
    umask(old_umask);
    if (!error && listen(fd, SOMAXCONN)) {
        error = errno;
    }
    if (!error && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        error = errno;
    }
    if (error) {
        close(fd);
        return error;
    }
    open_to_group(path);
    fatal_signal_add_file_to_unlink(path);
    listen_fd = fd;
    return 0;
}

/* Each guest takes a few file descriptors: takes as many as are allowed. */
static void
raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit)) {
        return;
    }
    max_fds = limit.rlim_cur;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit)) {
            VLOG_WARN("cannot raise the limit of open files: %s",
                      ovs_strerror(errno));
        } else {
            max_fds = limit.rlim_max;
        }
    }
}

/* Opens the door.  Returns true if it is open. */
static bool
door_open(void)
{
    char *path;
    int error;

    if (listen_fd >= 0) {
        return true;
    }
    if (retry_at && time_msec() < retry_at) {
        return false;
    }
    if (epoll_fd < 0) {
        raise_file_limit();
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_fd < 0) {
            VLOG_ERR_RL(&rl, "epoll_create: %s", ovs_strerror(errno));
            retry_at = time_msec() + RETRY_MS;
            return false;
        }
    }

    path = xasprintf("%s/doms.sock", ovs_rundir());
    error = open_listener(path);
    retry_at = error ? time_msec() + RETRY_MS : 0;
    if (!error) {
        VLOG_INFO("socket door is open at %s", path);
    } else if (error == ENAMETOOLONG) {
        VLOG_ERR_RL(&rl,
                    "%s: socket path is longer than %" PRIuSIZE " bytes; "
                    "choose a shorter OVS_RUNDIR",
                    path, sizeof((struct sockaddr_un *) NULL)->sun_path - 1);
    } else {
        VLOG_ERR_RL(&rl, "%s: cannot open the socket door: %s", path,
                    ovs_strerror(error));
    }
    free(path);
    return !error;
}

/* Closes the connection that has been silent for longest.  A guest says HELLO
 * at once, so that its message is read before as many others have come, and a
 * flood of silent ones keeps nobody out. */
static void
close_oldest_nameless(void)
{
    struct conn *conn;

    LIST_FOR_EACH (conn, list_node, &pending) {
        if (conn->state == CONN_NEW) {
            conn_close(conn, "too many are silent");
            break;
        }
    }
}

static void
conn_create(int fd)
{
    struct conn *conn = xzalloc(sizeof *conn);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
    socklen_t len = sizeof(struct ucred);
    struct ucred cred;

    conn->fd = fd;
    conn->front_fd = -1;
    if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)) {
        conn->pid = cred.pid;
    }
    conn->state = CONN_NEW;
    n_conns++;
    n_nameless++;
    ovs_list_init(&conn->list_node);
    conn_set_state(conn, CONN_NEW);
    if (n_nameless > MAX_NAMELESS) {
        close_oldest_nameless();
    }
    if (n_conns > MIN(MAX_CONNS, max_fds / 4)) {
        conn_refuse(conn, ENOSPC, "too many guests are attached");
    } else if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
        conn_refuse(conn, errno, "domsd is out of memory");
    }
}

static void
door_accept(void)
{
    for (int i = 0; i < 16; i++) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            conn_create(fd);
        } else {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM
                || errno == ENOBUFS) {
                VLOG_ERR_RL(&rl,
                            "cannot accept another guest: %s; raise the "
                            "limit of open files of domsd",
                            ovs_strerror(errno));
                epoll_ctl(epoll_fd, EPOLL_CTL_DEL, listen_fd, NULL);
                retry_at = time_msec() + RETRY_MS;
            }
            break;
        }
    }
}

/* Listens again after door_accept() ran out of file descriptors. */
static void
door_retry_accept(void)
{
    struct epoll_event event = { .events = EPOLLIN };

    if (retry_at && time_msec() >= retry_at) {
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event);
        retry_at = 0;
    }
}

/* The door. */

/* Looks at all connections after something about the ports has changed. */
static void
look_at_ports(void)
{
    struct conn *conn;

    LIST_FOR_EACH_SAFE (conn, list_node, &conns) {
        if (conn->state == CONN_WAITING) {
            conn_offer(conn);
        } else if (doms_channel_get_broken(conn->channel)) {
            enum doms_ring_broken why = doms_channel_get_broken(conn->channel);

            doms_ports_detach(conn->channel, doms_ring_broken_to_string(why));
        }
    }
}

static void
door_socket_run(void)
{
    struct epoll_event event;
    struct conn *conn;
    uint64_t seq;

    if (!door_open()) {
        return;
    }
    door_retry_accept();

    /* One event at a time: running one connection may close another. */
    for (int i = 0;
         i < EVENTS_PER_TURN && epoll_wait(epoll_fd, &event, 1, 0) == 1; i++) {
        if (event.data.ptr) {
            conn_run(event.data.ptr);
        } else {
            door_accept();
        }
    }

    seq = doms_ports_seq();
    if (seq != last_seq) {
        last_seq = seq;
        look_at_ports();
    }
    LIST_FOR_EACH_SAFE (conn, list_node, &pending) {
        if (time_msec() >= conn->deadline) {
            conn_refuse(conn, ETIMEDOUT, "handshake took too long");
        }
    }
}

static void
door_socket_wait(void)
{
    if (retry_at) {
        poll_timer_wait_until(retry_at);
    }
    if (listen_fd >= 0) {
        struct conn *conn;

        poll_fd_wait(epoll_fd, POLLIN);
        doms_ports_seq_wait(last_seq);
        LIST_FOR_EACH (conn, list_node, &pending) {
            poll_timer_wait_until(conn->deadline);
        }
    }
}

static void
door_socket_port_changed(struct doms_channel *ch)
{
    struct conn *conn = ch->door_aux;
    struct doms_port_config config;
    struct doms_msg msg;

    if (!conn || conn->state != CONN_UP
        || !doms_ports_lookup(ch->peer, &config)) {
        return;
    }
    doms_msg_init(&msg, DOMS_MSG_CONFIG);
    fill_config(&msg.u.config, config.mac, &config);
    if (doms_msg_send(conn->fd, &msg, NULL, 0)) {
        /* A guest that does not read what it is told must come again.  The
         * next turn finds the connection at its end. */
        shutdown(conn->fd, SHUT_RDWR);
    }
}

/* The port has let 'ch' go: the guest has to come again. */
static void
door_socket_detached(struct doms_channel *ch)
{
    struct conn *conn = ch->door_aux;

    if (conn) {
        conn->channel = NULL;
        ch->door_aux = NULL;
        conn_close(conn, "detached");
    }
}

const struct doms_door door_socket = {
    .name = "socket",
    .run = door_socket_run,
    .wait = door_socket_wait,
    .port_changed = door_socket_port_changed,
    .detached = door_socket_detached,
};
