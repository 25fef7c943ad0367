/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/xenbus-device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/socket-msg.h"
#include "common/xenbus.h"
#include "doms/channel.h"
#include "doms/door.h"
#include "doms/ports.h"
#include "doms/xenbus-memory.h"
#include "doms/xenstore.h"
#include "openvswitch/vlog.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_xenbus_device);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

static void
device_set_state(struct xenbus_device *dev, enum xenbus_state state)
{
    dev->is_unannounced = false;
    backend_set_state(&dev->up, state);
}

/* Tells the guest of 'dev' that it is connected, if it does not know. */
void
xenbus_device_announce(struct xenbus_device *dev)
{
    if (dev->is_unannounced) {
        device_set_state(dev, XENBUS_CONNECTED);
        backend_write_error(&dev->up, "");
    }
}

/* Beginning and ending. */

/* Begins with the device that the backend's directory, of 'generation', is
 * and guest 'port', which may be NULL, is about.  'is_returning' tells that it
 * was connected to an earlier life of the switch. */
static void
device_begin(struct xenbus_device *dev, const char *generation,
             const char *port, bool is_returning)
{
    dev->generation = xstrdup(generation);
    dev->is_returning = is_returning;
    dev->port = nullable_xstrdup(port);
    dev->has_offered = false;
    dev->up.complained = true; /* By an earlier life of the switch, perhaps. */
    if (!dev->port || !doms_name_is_valid(dev->port)) {
        VLOG_WARN_RL(&rl,
                     "%s/port: names no guest; make it anew with "
                     "doms-ctl",
                     dev->up.back);
    }
    if (backend_watch_front(&dev->up, true)) {
        /* Its death would go unnoticed, and its pages stay mapped. */
        free(dev->port);
        dev->port = NULL;
    }
    device_set_state(dev, XENBUS_INITIALISING);
}

/* Forgets what device_begin() began. */
static void
device_end(struct xenbus_device *dev)
{
    backend_detach(&dev->up, NULL);
    if (dev->generation) {
        backend_watch_front(&dev->up, false);
        free(dev->generation);
        free(dev->port);
        free(dev->up.error);
        dev->generation = dev->port = dev->up.error = NULL;
    }
    dev->is_returning = dev->is_unannounced = false;
}

static struct backend *
device_create(unsigned int domid, unsigned int handle)
{
    struct xenbus_device *dev = xzalloc(sizeof *dev);

    backend_init(&dev->up, &xenbus_class, domid, handle);
    return &dev->up;
}

static void
device_destroy(struct backend *b)
{
    struct xenbus_device *dev = xenbus_device_cast(b);

    device_end(dev);
    backend_uninit(b);
    free(dev);
}

/* Connecting. */

/* Offers the guest a channel as its port is now.  Returns false if there is no
 * port for it. */
static bool
device_offer_port(struct xenbus_device *dev)
{
    struct xenbus_offer offer;

    if (!dev->port || !xenbus_offer_from_port(&offer, dev->port)) {
        return false;
    }
    xenbus_offer_write(dev->up.back, dev->has_offered ? &dev->offer : NULL,
                       &offer);
    dev->offer = offer;
    dev->has_offered = true;
    return true;
}

/* Connects the front of 'dev', which is INITIALISED.  Returns NULL, or why it
 * cannot; there is no channel then, and 'dev->memory' may still be mapped. */
static const char *
device_connect(struct xenbus_device *dev)
{
    struct doms_channel *ch;
    struct xenbus_wish wish;
    const char *why = xenbus_wish_read(&wish, dev->up.front, &dev->offer);

    if (why) {
        return why;
    }
    ch = doms_channel_create(xenbus_class.door, dev->port, &wish.geometry,
                             wish.features);
    ch->mac = dev->offer.mac;
    if (xenbus_memory_map(ch, dev->up.domid, wish.reference, wish.epoch,
                          &dev->memory, &why)) {
        doms_channel_destroy(ch);
        return why;
    }
    if (!xenbus_wish_agrees(&wish, ch->peer_group)) {
        doms_channel_destroy(ch);
        return "the health page does not agree with the front's keys";
    }
    dev->epoch = wish.epoch;
    return backend_attach(&dev->up, ch);
}

/* States.  Each step function does what follows from what is found, and
 * returns true if the next state may follow from it at once. */

static bool
step_init_wait(struct xenbus_device *dev, enum xenbus_state front)
{
    const char *error;

    if (!device_offer_port(dev)) {
        device_set_state(dev, XENBUS_INITIALISING);
        return false;
    }
    if (front != XENBUS_INITIALISED) {
        return false;
    }
    error = device_connect(dev);
    if (error) {
        VLOG_WARN_RL(&rl, "guest %s (domain %u) refused: %s", dev->port,
                     dev->up.domid, error);
        backend_write_error(&dev->up, error);
        device_set_state(dev, XENBUS_CLOSED);
    } else {
        dev->up.state = XENBUS_CONNECTED;
        dev->is_unannounced = true;
    }
    dev->is_returning = false;
    return false;
}

/* Returns true if the front of 'dev', which is in state 'front', has left the
 * channel that it was connected to. */
static bool
front_has_left(const struct xenbus_device *dev, enum xenbus_state front)
{
    if (front != XENBUS_INITIALISED && front != XENBUS_CONNECTED) {
        return true;
    }
    return !xenbus_epoch_stands(dev->up.front, dev->epoch);
}

static bool
step_connected(struct xenbus_device *dev, enum xenbus_state front, bool online)
{
    if (backend_detach_broken(&dev->up)) {
        /* 'error' has the rule. */
    } else if (dev->up.channel && (!online || front_has_left(dev, front))) {
        backend_detach(&dev->up, NULL);
    } else if (dev->up.channel) {
        device_offer_port(dev);
        return false;
    }
    if (dev->memory) {
        return false; /* Until it is unmapped. */
    }
    backend_write_error(&dev->up, dev->up.error ? dev->up.error : "");
    device_set_state(dev, online ? XENBUS_CLOSED : XENBUS_CLOSING);
    return true;
}

/* Makes the move that follows from the front's state and from 'online'.
 * Returns true if another may follow. */
static bool
device_step(struct xenbus_device *dev, enum xenbus_state front, bool online)
{
    switch (dev->up.state) {
    case XENBUS_INITIALISING:
        if (!online) {
            device_set_state(dev, XENBUS_CLOSING);
            return true;
        }
        if (front == XENBUS_INITIALISING && device_offer_port(dev)) {
            device_set_state(dev, XENBUS_INIT_WAIT);
        }
        return false;
    case XENBUS_INIT_WAIT:
        if (!online) {
            device_set_state(dev, XENBUS_CLOSING);
            return true;
        }
        return step_init_wait(dev, front);
    case XENBUS_CONNECTED:
        return step_connected(dev, front, online);
    case XENBUS_CLOSING:
        if (front == XENBUS_CLOSED) {
            device_set_state(dev, XENBUS_CLOSED);
        }
        return false;
    case XENBUS_CLOSED:
        free(dev->up.error);
        dev->up.error = NULL;
        if (front == XENBUS_INITIALISING && online) {
            device_set_state(dev, XENBUS_INITIALISING);
            return true;
        }
        return false;
    case XENBUS_UNKNOWN:
    case XENBUS_INITIALISED:
    default:
        OVS_NOT_REACHED();
    }
}

/* Follows Dom0: ends what 'dev' was if the backend's directory is of another
 * generation by now, and begins with what it is.  Returns false if it is
 * nothing, or has to wait until the last one's memory is unmapped. */
static bool
device_follow(struct xenbus_device *dev, const char *generation,
              const char *port, bool is_returning)
{
    if (dev->generation
        && (!generation || strcmp(generation, dev->generation))) {
        device_end(dev);
    }
    if (dev->memory && !dev->up.channel
        && xenbus_memory_is_unmapped(dev->memory)) {
        xenbus_memory_unref(dev->memory);
        dev->memory = NULL;
    }
    if (!dev->generation && dev->memory) {
        return false; /* The next one has to wait for that. */
    }
    if (!generation) {
        return false;
    }
    if (!dev->generation) {
        device_begin(dev, generation, port, is_returning);
    }
    return true;
}

/* What is looked at first. */
enum { LOOK_GENERATION, LOOK_PORT, LOOK_ONLINE, LOOK_FRONT };

/* As xenbus_run(), with what has been read into 'ops'. */
static bool
device_run(struct xenbus_device *dev, const struct xenstore_op ops[])
{
    uint64_t front = 0, online = 0;
    int error = ops[LOOK_FRONT].error;

    if (!error) {
        xenstore_parse_uint(&front, XENBUS_CLOSED, ops[LOOK_FRONT].value);
    }
    if (!ops[LOOK_ONLINE].error) {
        xenstore_parse_uint(&online, 1, ops[LOOK_ONLINE].value);
    }
    if (!device_follow(dev, ops[LOOK_GENERATION].value, ops[LOOK_PORT].value,
                       front == XENBUS_CONNECTED)) {
        return dev->memory != NULL;
    }
    if (error == ENOENT || error == EACCES) {
        backend_detach(&dev->up, NULL);
        dev->is_returning = false;
        if (!dev->memory) {
            VLOG_INFO_RL(&rl, "guest %s (domain %u) has gone",
                         dev->port ? dev->port : "?", dev->up.domid);
            backend_remove_node(&dev->up);
        }
        return dev->memory != NULL;
    }
    if (!online) {
        dev->is_returning = false;
    }
    while (device_step(dev, front, online)) {
        continue;
    }
    return true;
}

/* Brings 'dev' to where it belongs.  Returns false if nothing is left of it:
 * the caller destroys it then. */
static bool
xenbus_run(struct backend *b)
{
    struct xenbus_device *dev = xenbus_device_cast(b);
    struct xenstore_batch batch = { .n = 0 };
    bool result;

    xenstore_batch_read(&batch, dev->up.back, "generation");
    xenstore_batch_read(&batch, dev->up.back, "port");
    xenstore_batch_read(&batch, dev->up.back, "online");
    xenstore_batch_read(&batch, dev->up.front, "state");
    xenstore_batch_run(&batch);
    result = device_run(dev, batch.ops);
    xenstore_batch_clear(&batch);
    return result;
}

const struct backend_class xenbus_class = {
    .door = &door_xenbus,
    .name = DOMS_XS_CLASS,
    .backends = "backend/" DOMS_XS_CLASS,
    .token = "b",
    .front_token = "f",
    .key = "generation",
    .create = device_create,
    .run = xenbus_run,
    .destroy = device_destroy,
};
