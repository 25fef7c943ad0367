/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/netif-device.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenbus.h"
#include "config/port-request.h"
#include "doms/channel.h"
#include "doms/netif-memory.h"
#include "doms/netif-terms.h"
#include "doms/port-maker.h"
#include "doms/ports.h"
#include "doms/xenstore.h"
#include "openvswitch/vlog.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_netif_device);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

/* How long the directory of a vif that Dom0 takes away still stands after its
 * state has become CLOSED: xl reads the state when it hears of that, and fails
 * if there is none. */
#define LINGER_MS 500

/* What has been found. */
struct sight {
    enum xenbus_state back; /* As Dom0 may have written it. */
    enum xenbus_state front;
    bool back_gone;  /* Is there no backend directory? */
    bool front_gone; /* Is there no front's? */
    bool leaves;     /* Does Dom0 take the vif away? */
};

/* Returns a new device of 'door', that of number 'handle' of domain 'domid',
 * of which nothing is known yet. */
struct netif_device *
netif_device_create(const struct doms_door *door, unsigned int domid,
                    unsigned int handle)
{
    struct netif_device *dev = xzalloc(sizeof *dev);

    dev->domid = domid;
    dev->handle = handle;
    dev->door = door;
    dev->back = xasprintf(NETIF_BACKENDS "/%u/%u", domid, handle);
    dev->front = xasprintf("/local/domain/%u/device/vif/%u", domid, handle);
    dev->port = xasprintf("vif%u.%u", domid, handle);
    dev->wake = LLONG_MAX;
    return dev;
}

/* What stands in xenstore. */

/* Begins, or ends if 'on' is false, to watch the front of 'dev'. */
static void
device_watch_front(const struct netif_device *dev, bool on)
{
    char *path = xasprintf("%s/state", dev->front);
    char token[32];

    snprintf(token, sizeof token, NETIF_FRONT_TOKEN "/%u/%u", dev->domid,
             dev->handle);
    if (on) {
        xenstore_watch(path, token);
    } else {
        xenstore_unwatch(path, token);
    }
    free(path);
}

static void
device_set_state(struct netif_device *dev, enum xenbus_state state)
{
    VLOG_DBG("%s: state %d to %d", dev->back, dev->state, state);
    dev->state = state;
    dev->resumes = false;
    xenstore_write_uint(dev->back, "state", state);
}

/* Stores in xenstore why the switch has ended or refused the front; an empty
 * 'error' takes an earlier one back. */
static void
device_write_error(struct netif_device *dev, const char *error)
{
    if (error[0] || dev->complained) {
        xenstore_write(dev->back, DOMS_XS_ERROR, error);
        dev->complained = error[0] != '\0';
    }
}

/* Tells Dom0 that there cannot be a port. */
static void
device_fail(struct netif_device *dev, const char *why)
{
    if (!dev->has_failed) {
        VLOG_WARN_RL(&rl, "%s: no port: %s", dev->port, why);
        xenstore_write(dev->back, "hotplug-error", why);
        xenstore_write(dev->back, "hotplug-status", "error");
        dev->has_failed = true;
    }
}

/* Removes the backend's directory of 'dev', as the domain of a backend does
 * when Dom0 takes a vif away. */
static void
device_remove_node(const struct netif_device *dev)
{
    char *parent = xasprintf(NETIF_BACKENDS "/%u", dev->domid);
    char **names;
    size_t n;

    xenstore_remove(dev->back);
    names = xenstore_list(parent, &n);
    if (!n) {
        xenstore_remove(parent);
    }
    free(names);
    free(parent);
}

/* Beginning and ending. */

/* Notes that the channel of 'dev' has been taken from its port. */
void
netif_device_forget_channel(struct netif_device *dev)
{
    dev->channel->door_aux = NULL;
    dev->channel = NULL;
}

/* Takes the channel of 'dev' from its port, if it has one.  'why' is the rule
 * that the guest broke, or NULL. */
static void
device_detach(struct netif_device *dev, const char *why)
{
    struct doms_channel *ch = dev->channel;

    if (ch) {
        netif_device_forget_channel(dev);
        doms_ports_detach(ch, why);
    }
}

/* Begins with the vif that the backend's directory is about: wants its port,
 * which keeps what an operator has changed if an earlier life of the switch
 * has made it for the same wishes. */
static void
device_begin(struct netif_device *dev, const struct sight *see)
{
    char why[PORT_REQUEST_WHY_SIZE];
    struct port_request r;
    char *serial;

    dev->begun = true;
    dev->complained = true; /* By an earlier life of the switch, perhaps. */
    dev->has_failed = false;
    dev->state = see->back >= XENBUS_CLOSING ? see->back : XENBUS_INITIALISING;
    dev->resumes = see->back == XENBUS_CONNECTED
                   && see->front == XENBUS_CONNECTED;
    dev->wake = LLONG_MAX;
    device_watch_front(dev, true);
    if (netif_port_read(&r, &serial, dev->back, dev->port, why, sizeof why)) {
        /* A guest that is rebooted or restored has its address again while
         * the port of its earlier life may still be there. */
        port_maker_want(&r, NULL, serial, false);
    } else {
        device_fail(dev, why);
    }
    free(serial);
}

/* Forgets what device_begin() began. */
static void
device_end(struct netif_device *dev)
{
    device_detach(dev, NULL);
    if (dev->begun) {
        VLOG_INFO_RL(&rl, "%s has gone", dev->port);
        device_watch_front(dev, false);
        port_maker_drop(dev->port);
        free(dev->error);
        dev->error = NULL;
        dev->begun = dev->resumes = false;
    }
    dev->wake = LLONG_MAX;
}

/* Frees 'dev', which may be NULL. */
void
netif_device_destroy(struct netif_device *dev)
{
    if (dev) {
        device_end(dev);
        free(dev->back);
        free(dev->front);
        free(dev->port);
        free(dev);
    }
}

/* Returns true if 'dev' waits for its port, of which port_maker_state()
 * tells. */
bool
netif_device_is_waiting(const struct netif_device *dev)
{
    return dev->begun && dev->state == XENBUS_INITIALISING && !dev->has_failed;
}

/* Connecting. */

/* Stores in '*config' what the port of 'dev' is like.  Returns false if it has
 * none yet, and tells Dom0 if it will have none. */
static bool
device_find_port(struct netif_device *dev, struct doms_port_config *config)
{
    const char *serial, *problem;
    enum port_maker_state state = port_maker_state(dev->port, &serial,
                                                   &problem);

    if (state == PORT_MAKER_FAILED) {
        device_fail(dev, problem);
    }
    return state == PORT_MAKER_DONE && doms_ports_lookup(dev->port, config);
}

/* Connects the front of 'dev'.  Returns NULL, or why it cannot; there is no
 * channel then. */
static const char *
device_connect(struct netif_device *dev, const struct doms_port_config *config)
{
    struct doms_geometry geometry = { 0, 0 };
    struct netif_wish wish;
    const char *why = netif_wish_read(&wish, dev->front, config->n_queues);
    struct doms_channel *ch;
    int error;

    if (why) {
        return why;
    }
    geometry.n_queues = wish.n_queues;
    ch = doms_channel_create(dev->door, dev->port, &geometry,
                             config->features & (DOMS_F_CSUM | DOMS_F_TSO));
    ch->mac = config->mac;
    if (netif_memory_map(ch, dev->domid, &wish, &dev->memory, &why)) {
        doms_channel_destroy(ch);
        return why;
    }
    error = doms_ports_attach(ch);
    if (error) {
        doms_channel_destroy(ch);
        return error == EBUSY ? "another guest is attached to the port"
                              : "the port has gone or changed meanwhile";
    }
    dev->channel = ch;
    ch->door_aux = dev;
    return NULL;
}

/* As device_connect(), and tells the guest. */
static void
device_try_connect(struct netif_device *dev,
                   const struct doms_port_config *config)
{
    const char *why = device_connect(dev, config);

    if (why) {
        VLOG_WARN_RL(&rl, "%s refused: %s", dev->port, why);
        device_write_error(dev, why);
        device_set_state(dev, XENBUS_CLOSING);
    } else if (dev->resumes) {
        dev->resumes = false;
        dev->state = XENBUS_CONNECTED; /* As it is in xenstore. */
    } else {
        device_set_state(dev, XENBUS_CONNECTED);
        device_write_error(dev, "");
    }
}

/* States.  Each step function does what follows from what is found, and
 * returns true if the next state may follow from it at once. */

static bool
step_initialising(struct netif_device *dev, const struct sight *see)
{
    struct doms_port_config config;

    if (!device_find_port(dev, &config)) {
        return false;
    }
    dev->link_up = config.link_up;
    netif_offer_write(dev->back, &config);
    if (dev->resumes && see->front == XENBUS_CONNECTED) {
        device_try_connect(dev, &config);
    } else {
        device_set_state(dev, XENBUS_INIT_WAIT);
    }
    return true;
}

static bool
step_init_wait(struct netif_device *dev, const struct sight *see)
{
    struct doms_port_config config;

    if (see->front == XENBUS_CONNECTED && device_find_port(dev, &config)) {
        device_try_connect(dev, &config);
        return true;
    }
    return false;
}

static bool
step_connected(struct netif_device *dev, const struct sight *see)
{
    struct doms_port_config config;

    if (dev->channel && doms_channel_get_broken(dev->channel)) {
        enum doms_ring_broken why = doms_channel_get_broken(dev->channel);
        const char *rule = doms_ring_broken_to_string(why);

        free(dev->error);
        dev->error = xasprintf("the front broke a rule: %s", rule);
        device_detach(dev, rule);
    } else if (see->front != XENBUS_CONNECTED) {
        device_detach(dev, NULL);
    } else if (dev->channel && device_find_port(dev, &config)
               && config.link_up != dev->link_up) {
        dev->link_up = config.link_up;
        xenstore_write_uint(dev->back, "carrier", dev->link_up);
    }
    if (dev->channel || dev->memory) {
        return false; /* Until it is unmapped. */
    }
    if (dev->error) {
        device_write_error(dev, dev->error);
        free(dev->error);
        dev->error = NULL;
    } else if (see->front == XENBUS_CONNECTED) {
        /* The port has changed, which the front need not notice. */
        dev->state = XENBUS_INITIALISING;
        dev->resumes = true;
        return true;
    }
    device_set_state(dev, XENBUS_CLOSING);
    return true;
}

/* Makes the move that follows as long as Dom0 leaves the vif there.  Returns
 * true if another may follow. */
static bool
device_step(struct netif_device *dev, const struct sight *see)
{
    switch (dev->state) {
    case XENBUS_INITIALISING:
        return step_initialising(dev, see);
    case XENBUS_INIT_WAIT:
        return step_init_wait(dev, see);
    case XENBUS_CONNECTED:
        return step_connected(dev, see);
    case XENBUS_CLOSING:
        if (see->front == XENBUS_CLOSED || see->front == XENBUS_INITIALISING) {
            device_set_state(dev, XENBUS_CLOSED);
            return true;
        }
        return false;
    case XENBUS_CLOSED:
        if (see->front == XENBUS_INITIALISING) {
            dev->state = XENBUS_INITIALISING;
            return true;
        }
        return false;
    case XENBUS_UNKNOWN:
    case XENBUS_INITIALISED:
    default:
        OVS_NOT_REACHED();
    }
}

/* Takes 'dev' away, of which Dom0 or the guest's death has made an end.
 * Returns true as long as something is left of it. */
static bool
device_leave(struct netif_device *dev, const struct sight *see)
{
    device_detach(dev, NULL);
    if (dev->memory) {
        return true; /* Until it is unmapped. */
    }
    if (dev->state < XENBUS_CLOSING) {
        device_set_state(dev, XENBUS_CLOSING);
    }
    if (dev->state == XENBUS_CLOSING
        && (see->front_gone || see->front == XENBUS_CLOSED
            || see->front <= XENBUS_INITIALISING)) {
        device_set_state(dev, XENBUS_CLOSED);
    }
    if (dev->state == XENBUS_CLOSED) {
        if (dev->wake == LLONG_MAX) {
            dev->wake = time_msec() + LINGER_MS;
        } else if (time_msec() >= dev->wake) {
            device_remove_node(dev);
            device_end(dev);
            return false;
        }
    }
    return true;
}

/* As netif_device_run(), with what has been found. */
static bool
device_run(struct netif_device *dev, const struct sight *see)
{
    if (dev->memory && !dev->channel
        && netif_memory_is_unmapped(dev->memory)) {
        netif_memory_unref(dev->memory);
        dev->memory = NULL;
    }
    /* In a backend directory that is made anew, Dom0 writes INITIALISING. */
    if (dev->begun
        && (see->back_gone
            || (see->back == XENBUS_INITIALISING
                && dev->state != XENBUS_INITIALISING))) {
        device_end(dev);
    }
    if (!dev->begun && (see->back_gone || dev->memory)) {
        return dev->memory != NULL;
    }
    if (!dev->begun) {
        device_begin(dev, see);
    }
    if (see->leaves || see->front_gone) {
        return device_leave(dev, see);
    }
    dev->wake = LLONG_MAX;
    while (device_step(dev, see)) {
        continue;
    }
    return true;
}

/* Returns the state that 'op' has read. */
static enum xenbus_state
state_of(const struct xenstore_op *op)
{
    uint64_t state = XENBUS_UNKNOWN;

    if (!op->error) {
        xenstore_parse_uint(&state, XENBUS_CLOSED, op->value);
    }
    return state;
}

/* Brings 'dev' to where it belongs.  Returns false if nothing is left of it:
 * the caller destroys it then. */
bool
netif_device_run(struct netif_device *dev)
{
    enum { BACK, ONLINE, FRONT };
    struct xenstore_batch batch = { .n = 0 };
    struct sight see;
    uint64_t online;

    xenstore_batch_read(&batch, dev->back, "state");
    xenstore_batch_read(&batch, dev->back, "online");
    xenstore_batch_read(&batch, dev->front, "state");
    xenstore_batch_run(&batch);
    see = (struct sight){
        .back = state_of(&batch.ops[BACK]),
        .front = state_of(&batch.ops[FRONT]),
        .back_gone = batch.ops[BACK].error == ENOENT,
        .front_gone = batch.ops[FRONT].error == ENOENT
                      || batch.ops[FRONT].error == EACCES,
        .leaves = !batch.ops[ONLINE].error
                  && !xenstore_parse_uint(&online, 1, batch.ops[ONLINE].value)
                  && !online,
    };
    xenstore_batch_clear(&batch);
    return device_run(dev, &see);
}
