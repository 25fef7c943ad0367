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
#include "doms/door.h"
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

static void
device_set_state(struct netif_device *dev, enum xenbus_state state)
{
    dev->resumes = false;
    backend_set_state(&dev->up, state);
}

/* Tells Dom0 that there cannot be a port. */
static void
device_fail(struct netif_device *dev, const char *why)
{
    if (!dev->has_failed) {
        VLOG_WARN_RL(&rl, "%s: no port: %s", dev->port, why);
        xenstore_write(dev->up.back, "hotplug-error", why);
        xenstore_write(dev->up.back, "hotplug-status", "error");
        dev->has_failed = true;
    }
}

/* Beginning and ending. */

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
    dev->up.complained = true; /* By an earlier life of the switch, perhaps. */
    dev->has_failed = false;
    dev->up.state = see->back >= XENBUS_CLOSING ? see->back
                                                : XENBUS_INITIALISING;
    dev->resumes = see->back == XENBUS_CONNECTED
                   && see->front == XENBUS_CONNECTED;
    dev->wake = LLONG_MAX;
    if (backend_watch_front(&dev->up, true)) {
        /* Its death would go unnoticed, and its pages stay mapped. */
        device_fail(dev, "the front's state cannot be watched");
        return;
    }
    if (netif_port_read(&r, &serial, dev->up.back, dev->port, why,
                        sizeof why)) {
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
    backend_detach(&dev->up, NULL);
    if (dev->begun) {
        VLOG_INFO_RL(&rl, "%s has gone", dev->port);
        backend_watch_front(&dev->up, false);
        port_maker_drop(dev->port);
        free(dev->up.error);
        dev->up.error = NULL;
        dev->begun = dev->resumes = false;
    }
    dev->wake = LLONG_MAX;
}

static struct backend *
device_create(unsigned int domid, unsigned int handle)
{
    struct netif_device *dev = xzalloc(sizeof *dev);

    backend_init(&dev->up, &netif_class, domid, handle);
    dev->port = xasprintf("vif%u.%u", domid, handle);
    dev->wake = LLONG_MAX;
    return &dev->up;
}

static void
device_destroy(struct backend *b)
{
    struct netif_device *dev = netif_device_cast(b);

    device_end(dev);
    backend_uninit(b);
    free(dev->port);
    free(dev);
}

/* Returns true if 'dev' waits for its port, of which port_maker_state()
 * tells. */
bool
netif_device_is_waiting(const struct netif_device *dev)
{
    return dev->begun && dev->up.state == XENBUS_INITIALISING
           && !dev->has_failed;
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
    const char *why = netif_wish_read(&wish, dev->up.front, config->n_queues);
    struct doms_channel *ch;

    if (why) {
        return why;
    }
    geometry.n_queues = wish.n_queues;
    ch = doms_channel_create(netif_class.door, dev->port, &geometry,
                             config->features & (DOMS_F_CSUM | DOMS_F_TSO));
    ch->mac = config->mac;
    if (netif_memory_map(ch, dev->up.domid, &wish, &dev->memory, &why)) {
        doms_channel_destroy(ch);
        return why;
    }
    return backend_attach(&dev->up, ch);
}

/* As device_connect(), and tells the guest. */
static void
device_try_connect(struct netif_device *dev,
                   const struct doms_port_config *config)
{
    const char *why = device_connect(dev, config);

    if (why) {
        VLOG_WARN_RL(&rl, "%s refused: %s", dev->port, why);
        backend_write_error(&dev->up, why);
        device_set_state(dev, XENBUS_CLOSING);
    } else if (dev->resumes) {
        dev->resumes = false;
        dev->up.state = XENBUS_CONNECTED; /* As it is in xenstore. */
    } else {
        device_set_state(dev, XENBUS_CONNECTED);
        backend_write_error(&dev->up, "");
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
    netif_offer_write(dev->up.back, &config);
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

    if (backend_detach_broken(&dev->up)) {
        /* 'error' has the rule. */
    } else if (see->front != XENBUS_CONNECTED) {
        backend_detach(&dev->up, NULL);
    } else if (dev->up.channel && device_find_port(dev, &config)
               && config.link_up != dev->link_up) {
        dev->link_up = config.link_up;
        xenstore_write_uint(dev->up.back, "carrier", dev->link_up);
    }
    if (dev->up.channel || dev->memory) {
        return false; /* Until it is unmapped. */
    }
    if (dev->up.error) {
        backend_write_error(&dev->up, dev->up.error);
        free(dev->up.error);
        dev->up.error = NULL;
    } else if (see->front == XENBUS_CONNECTED) {
        /* The port has changed, which the front need not notice. */
        dev->up.state = XENBUS_INITIALISING;
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
    switch (dev->up.state) {
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
            dev->up.state = XENBUS_INITIALISING;
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
    backend_detach(&dev->up, NULL);
    if (dev->memory) {
        return true; /* Until it is unmapped. */
    }
    if (dev->up.state < XENBUS_CLOSING) {
        device_set_state(dev, XENBUS_CLOSING);
    }
    if (dev->up.state == XENBUS_CLOSING
        && (see->front_gone || see->front == XENBUS_CLOSED
            || see->front <= XENBUS_INITIALISING)) {
        device_set_state(dev, XENBUS_CLOSED);
    }
    if (dev->up.state == XENBUS_CLOSED) {
        if (dev->wake == LLONG_MAX) {
            dev->wake = time_msec() + LINGER_MS;
        } else if (time_msec() >= dev->wake) {
            backend_remove_node(&dev->up);
            device_end(dev);
            return false;
        }
    }
    return true;
}

/* As netif_run(), with what has been found. */
static bool
device_run(struct netif_device *dev, const struct sight *see)
{
    if (dev->memory && !dev->up.channel
        && netif_memory_is_unmapped(dev->memory)) {
        netif_memory_unref(dev->memory);
        dev->memory = NULL;
    }
    /* In a backend directory that is made anew, Dom0 writes INITIALISING. */
    if (dev->begun
        && (see->back_gone
            || (see->back == XENBUS_INITIALISING
                && dev->up.state != XENBUS_INITIALISING))) {
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
static bool
netif_run(struct backend *b)
{
    struct netif_device *dev = netif_device_cast(b);
    enum { BACK, ONLINE, FRONT };
    struct xenstore_batch batch = { .n = 0 };
    struct sight see;
    uint64_t online;

    xenstore_batch_read(&batch, dev->up.back, "state");
    xenstore_batch_read(&batch, dev->up.back, "online");
    xenstore_batch_read(&batch, dev->up.front, "state");
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

const struct backend_class netif_class = {
    .door = &door_netif,
    .name = "vif",
    .backends = "backend/vif",
    .token = "v",
    .front_token = "w",
    .key = "state",
    .create = device_create,
    .run = netif_run,
    .destroy = device_destroy,
};
