/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "front.h"

/* Messages taken at one domsfront_run(), so that a switch that sends without
 * end keeps nobody here. */
#define MAX_MESSAGES 8

/* Notes why 'df' is not up, 'error' 0 if that is no fault. */
static void __attribute__((format(printf, 3, 4)))
set_reason(struct domsfront *df, int error, const char *format, ...)
{
    char text[sizeof df->reason];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    df->error = error;
    if (strcmp(text, df->reason)) {
        memcpy(df->reason, text, sizeof text);
        df->events |= DOMSFRONT_EV_REASON;
    }
}

/* Returns true once no queue's thread can touch the mapping. */
static bool
all_have_left(const struct domsfront *df)
{
    uint32_t was_open = df->gate - 1;

    for (unsigned int i = 0; i < df->n_queues; i++) {
        if (__atomic_load_n(&df->queues[i].seen, __ATOMIC_SEQ_CST)
            == was_open) {
            return false;
        }
    }
    return true;
}

/* Closes the connection of 'df', if there is one, and the gate, if open.
 * 'health_state' (DOMS_STATE_*) is what the switch reads in the front's group
 * from then on. */
void
df_hang_up(struct domsfront *df, uint32_t health_state)
{
    if (df->sock >= 0) {
        close(df->sock);
        df->sock = -1;
    }
    if (df->phase == DF_UP) {
        doms_health_set_state(df->channel.own, health_state);
        __atomic_store_n(&df->gate, df->gate + 1, __ATOMIC_SEQ_CST);
        df->events |= DOMSFRONT_EV_DOWN;
        df->phase = DF_LEAVING;
    } else if (df->phase == DF_HELLO) {
        df->phase = DF_IDLE;
    }
}

/* Hangs up, to try again after a while: longer each time, unless the channel
 * had been up for long. */
static void
fall_back(struct domsfront *df, uint64_t now, uint32_t health_state)
{
    if (df->phase == DF_UP && now - df->up_since >= DF_STABLE_US) {
        df->backoff = DF_BACKOFF_MIN_US;
    }
    df_hang_up(df, health_state);
    df->retry_at = now + df->backoff;
    df->backoff *= 2;
    if (df->backoff > DF_BACKOFF_MAX_US) {
        df->backoff = DF_BACKOFF_MAX_US;
    }
}

/* Hangs up since the switch broke a rule. */
static void
give_up_on(struct domsfront *df, uint64_t now, int error, const char *why)
{
    df->faults++;
    set_reason(df, error, "switch at %s %s: %s", df->path,
               error == EPROTONOSUPPORT ? "is of another version"
                                        : "broke a rule",
               why);
    fall_back(df, now, DOMS_STATE_BROKEN);
}

/* Connects and says HELLO.  A UNIX socket connects at once or not at all. */
static int
connect_and_hello(struct domsfront *df)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    struct doms_msg msg;
    int retval;

    df->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
                      0);
    if (df->sock < 0) {
        return errno;
    }
    memcpy(addr.sun_path, df->path, strlen(df->path) + 1);
    do {
        retval = connect(df->sock, (struct sockaddr *) &addr, sizeof addr);
    } while (retval < 0 && errno == EINTR);
    if (retval < 0) {
        return errno;
    }
    doms_msg_init(&msg, DOMS_MSG_HELLO);
    msg.u.hello = df->hello;
    return doms_msg_send(df->sock, &msg, NULL, 0);
}

static void
run_idle(struct domsfront *df, uint64_t now)
{
    int error;

    if (now < df->retry_at) {
        return;
    }
    error = connect_and_hello(df);
    if (error) {
        set_reason(
            df, error, "no switch at %s: %s%s", df->path, strerror(error),
            error == ENOENT || error == ECONNREFUSED ? "; is domsd running?"
            : error == EACCES ? "; let this user in: DOMS_SOCKET_GROUP in "
                                "domsd(8)"
                              : "");
        fall_back(df, now, DOMS_STATE_CLOSED);
        return;
    }
    df->phase = DF_HELLO;
    df->next_recv = df->hello_at = now;
}

/* Says that there is nothing wrong but that the port is missing.  Not at once:
 * a REFUSE that follows each HELLO is to stay the same reason. */
static void
run_patience(struct domsfront *df, uint64_t now)
{
    if (df->phase == DF_HELLO && now - df->hello_at >= DF_PATIENCE_US) {
        set_reason(df, 0, "switch at %s has no port for '%s' yet", df->path,
                   df->hello.name);
    }
}

/* Has the switch read whether the front's user has a carrier. */
static void
tell_state(struct domsfront *df)
{
    uint32_t state = __atomic_load_n(&df->no_carrier, __ATOMIC_RELAXED)
                         ? DOMS_STATE_DOWN
                         : DOMS_STATE_UP;

    if (df->told != state) {
        doms_health_set_state(df->channel.own, state);
        df->told = state;
    }
}

/* Takes over the channel that 'welcome' and 'fds' offer. */
static void
handle_welcome(struct domsfront *df, uint64_t now,
               const struct doms_msg_welcome *welcome, const int *fds,
               unsigned int n_fds)
{
    struct doms_msg ready;
    char why[160];
    int error;

    error = df_channel_map(df, welcome, fds, n_fds, why, sizeof why);
    if (error) {
        give_up_on(df, now, error, why);
        return;
    }
    doms_health_init(df->channel.own, &df->channel.g, df->epoch++);
    df->told = DOMS_STATE_INIT;
    tell_state(df);
    doms_msg_init(&ready, DOMS_MSG_READY);
    error = doms_msg_send(df->sock, &ready, NULL, 0);
    if (error) {
        df_channel_unmap(df);
        set_reason(df, error, "switch at %s has hung up: %s", df->path,
                   strerror(error));
        fall_back(df, now, DOMS_STATE_CLOSED);
        return;
    }
    df->welcome = *welcome;
    df->config = welcome->config;
    df->phase = DF_UP;
    df->up_since = df->next_beat = now;
    df->peer_checked = false;
    df->connects++;
    df->events |= DOMSFRONT_EV_UP | DOMSFRONT_EV_CONFIG;
    set_reason(df, 0, "%s", "");
    __atomic_store_n(&df->gate, df->gate + 1, __ATOMIC_SEQ_CST);
}

static void
handle_refuse(struct domsfront *df, uint64_t now,
              const struct doms_msg_refuse *refuse)
{
    set_reason(df, refuse->error, "switch at %s refuses '%s': %s", df->path,
               df->hello.name,
               refuse->reason[0] ? refuse->reason : strerror(refuse->error));
    fall_back(df, now, DOMS_STATE_CLOSED);
}

/* Acts on 'msg', which is well-formed.  Only WELCOME gets 'fds'. */
static void
handle_message(struct domsfront *df, uint64_t now, const struct doms_msg *msg,
               const int *fds, unsigned int n_fds)
{
    if (msg->h.type == DOMS_MSG_WELCOME && df->phase == DF_HELLO) {
        handle_welcome(df, now, &msg->u.welcome, fds, n_fds);
        return;
    }
    for (unsigned int i = 0; i < n_fds; i++) {
        close(fds[i]);
    }
    if (n_fds) {
        give_up_on(df, now, EPROTO, "file descriptors came uncalled for");
    } else if (msg->h.type == DOMS_MSG_REFUSE) {
        handle_refuse(df, now, &msg->u.refuse);
    } else if (msg->h.type == DOMS_MSG_CONFIG && df->phase == DF_UP) {
        if (memcmp(&df->config, &msg->u.config, sizeof df->config)) {
            df->config = msg->u.config;
            df->events |= DOMSFRONT_EV_CONFIG;
        }
    } else {
        give_up_on(df, now, EPROTO, "message out of order");
    }
}

/* Receives one message and acts on it.  Returns false if there is none. */
static bool
receive(struct domsfront *df, uint64_t now)
{
    int fds[DOMS_MSG_MAX_FDS];
    unsigned int n_fds = 0;
    struct doms_msg msg;
    char why[160];
    int error;
    size_t n;

    error = doms_msg_recv(df->sock, &msg, &n, fds,
                          df->phase == DF_HELLO ? DOMS_MSG_MAX_FDS : 0,
                          &n_fds);
    if (error == EAGAIN) {
        return false;
    }
    if (error) {
        set_reason(df, error, "switch at %s has hung up", df->path);
        fall_back(df, now, DOMS_STATE_CLOSED);
        return true;
    }
    error = doms_msg_check(&msg, n, why, sizeof why);
    if (error) {
        for (unsigned int i = 0; i < n_fds; i++) {
            close(fds[i]);
        }
        give_up_on(df, now, error, why);
        return true;
    }
    handle_message(df, now, &msg, fds, n_fds);
    return true;
}

/* Takes what the switch has sent.  Looks at the socket only now and then, so
 * that a polling thread can call domsfront_run() each time around. */
static void
run_socket(struct domsfront *df, uint64_t now)
{
    if (now < df->next_recv) {
        return;
    }
    df->next_recv = now + DF_SOCKET_US;
    for (int i = 0; i < MAX_MESSAGES && df->sock >= 0; i++) {
        if (!receive(df, now)) {
            return;
        }
    }
    df->next_recv = now;
}

/* Returns true if the switch's health says what the door agreed on, or nothing
 * yet. */
static bool
peer_health_is_right(struct domsfront *df)
{
    struct doms_health *h = df->channel.peer;
    const struct doms_geometry *g = &df->channel.g;

    if (df->peer_checked || DOMS_LOAD_ACQUIRE(&h->state) == DOMS_STATE_INIT) {
        return true;
    }
    df->peer_checked = true;
    return DOMS_READ_ONCE(h->magic) == DOMS_ABI_MAGIC
           && DOMS_READ_ONCE(h->version) == DOMS_ABI_VERSION
           && DOMS_READ_ONCE(h->n_queues) == g->n_queues
           && DOMS_READ_ONCE(h->arena_size) == g->arena_size
           && DOMS_READ_ONCE(h->n_lengths)
                  == doms_ring_n_lengths(g->arena_size);
}

/* Looks after a channel that is up: beats, and sees whether the switch broke a
 * rule. */
static void
run_health(struct domsfront *df, uint64_t now)
{
    struct doms_health *own = df->channel.own;
    struct doms_health *peer = df->channel.peer;

    for (unsigned int i = 0; i < df->n_queues; i++) {
        uint32_t broken = __atomic_load_n(&df->queues[i].broken,
                                          __ATOMIC_RELAXED);

        if (broken) {
            give_up_on(df, now, EPROTO, doms_ring_broken_to_string(broken));
            return;
        }
    }
    tell_state(df);
    if (now < df->next_beat) {
        return;
    }
    df->next_beat = now + DF_HEARTBEAT_US;
    DOMS_WRITE_ONCE(own->heartbeat, now);
    if (!peer_health_is_right(df)) {
        give_up_on(df, now, EPROTO, "health page differs from WELCOME");
    } else if (DOMS_READ_ONCE(peer->state) == DOMS_STATE_BROKEN) {
        set_reason(df, EPROTO,
                   "switch at %s says that this guest broke a "
                   "rule",
                   df->path);
        fall_back(df, now, DOMS_STATE_CLOSED);
    }
}

static void
run_phase(struct domsfront *df, uint64_t now)
{
    switch (df->phase) {
    case DF_IDLE:
        run_idle(df, now);
        break;
    case DF_HELLO:
        run_socket(df, now);
        run_patience(df, now);
        break;
    case DF_UP:
        run_socket(df, now);
        if (df->phase == DF_UP) {
            run_health(df, now);
        }
        break;
    case DF_LEAVING:
        if (all_have_left(df)) {
            df_channel_unmap(df);
            df->phase = DF_IDLE;
        }
        break;
    }
}

/* Does what is to be done now to connect 'df', to keep it connected and to
 * learn what the switch wants.  Never waits; cheap when there is nothing to
 * do.  To be called at least twice a second, and when the file descriptor that
 * domsfront_get_pollfd() names is ready, both of which domsfront_idle_wait()
 * sees to.
 *
 * Returns DOMSFRONT_EV_*: what happened since the last call. */
unsigned int
domsfront_run(struct domsfront *df)
{
    uint64_t now = df_now();
    unsigned int events;
    enum df_phase phase;
    int moves = 0;

    do {
        phase = df->phase;
        run_phase(df, now);
    } while (df->phase != phase && ++moves < 4);

    events = df->events;
    df->events = 0;
    return events;
}

/* Says whether the caller's own interface works ('on'), as it does from the
 * start; the switch learns of it at the next domsfront_run().  Frames pass in
 * any case. */
void
domsfront_set_carrier(struct domsfront *df, bool on)
{
    __atomic_store_n(&df->no_carrier, !on, __ATOMIC_RELAXED);
}

/* Changes what the caller can do to 'features' (DOMSFRONT_F_*).  If the channel
 * is up with a feature that is not among them, or might be up with more, the
 * front connects anew.  Returns 0, or EINVAL if one of them is unknown. */
int
domsfront_set_features(struct domsfront *df, uint64_t features)
{
    if (features & ~DOMS_F_ALL) {
        return EINVAL;
    }
    if (features != df->hello.features) {
        bool wants_more = features & ~df->hello.features;
        bool has_too_many = df->welcome.features & ~features;

        df->hello.features = features;
        if (df->phase == DF_HELLO
            || (df->phase == DF_UP && (wants_more || has_too_many))) {
            set_reason(df, 0, "%s", "connects anew with other features");
            df_hang_up(df, DOMS_STATE_CLOSED);
            df->retry_at = 0;
        }
    }
    return 0;
}

/* Fills in '*pfd' with what the control thread of 'df' waits for, 'fd' -1 if
 * only for a time.  Returns in how many microseconds domsfront_run() is to be
 * called at the latest, -1 if only the file descriptor tells. */
int64_t
domsfront_get_pollfd(const struct domsfront *df, struct pollfd *pfd)
{
    uint64_t now = df_now();
    uint64_t at;

    pfd->fd = df->sock;
    pfd->events = POLLIN;
    pfd->revents = 0;
    switch (df->phase) {
    case DF_IDLE:
        at = df->retry_at;
        break;
    case DF_UP:
        at = df->next_beat;
        break;
    case DF_LEAVING:
        return DF_LEAVE_US;
    case DF_HELLO:
    default:
        at = df->hello_at + DF_PATIENCE_US;
        if (at <= now) {
            return -1;
        }
        break;
    }
    return at > now ? (int64_t) (at - now) : 0;
}
