/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The xenbus door: Xen domains as guests.  docs/protocol.md, "The xenbus
 * door", has the nodes of xenstore and the table of states that
 * device_step() carries out.
 *
 * Whatever happens to a device only marks it dirty.  device_run() then reads
 * anew how it is on both sides, and makes the move that follows from that, so
 * that neither the order nor the number of events matters.
 *
 * All of this is the main thread's.
 */
#include <config.h>

#include "doms/door.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/socket-msg.h"
#include "common/xenbus.h"
#include "doms/channel.h"
#include "doms/dom0-link.h"
#include "doms/ports.h"
#include "doms/xenbus-memory.h"
#include "doms/xenstore.h"
#include "hash.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_door_xenbus);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

/* Where the devices' backend directories are, in the switch's own. */
#define BACKENDS "backend/" DOMS_XS_CLASS

/* Devices looked at in one turn of the main loop. */
#define DEVICES_PER_TURN 16

/* Domids are less than this, and so are devices' handles. */
#define DOMID_MAX 0x7ff0
#define HANDLE_MAX 255

/* XenbusState, of Xen's io/xenbus.h. */
enum xenbus_state {
    XENBUS_UNKNOWN = 0,
    XENBUS_INITIALISING = 1,
    XENBUS_INIT_WAIT = 2,
    XENBUS_INITIALISED = 3,
    XENBUS_CONNECTED = 4,
    XENBUS_CLOSING = 5,
    XENBUS_CLOSED = 6,
};

/* What a backend has told its front. */
struct offer {
    uint32_t n_queues;
    uint32_t arena_size;
    uint64_t features; /* Of DOMS_F_CSUM and DOMS_F_TSO. */
    struct eth_addr mac;
    int mtu;
    bool link_up;
};

/* A guest's device, from when its backend directory is first seen. */
struct device {
    struct hmap_node node;      /* In 'devices', by domid and handle. */
    struct ovs_list dirty_node; /* In 'dirty', or empty. */
    unsigned int domid;
    unsigned int handle;
    char *back;  /* The backend's directory. */
    char *front; /* The front's directory. */

    /* As long as 'generation' is not NULL. */
    char *generation;        /* Which device this is, of all that have had or
                              * will have the same domid and handle. */
    char *port;              /* The guest's name. */
    enum xenbus_state state; /* The backend's. */
    struct offer offer;      /* In force unless 'state' is INITIALISING. */
    bool has_offered;        /* Does 'offer' stand in xenstore? */
    bool complained;         /* Does 'error' stand in xenstore? */

    /* In CONNECTED: the port has the channel; NULL once it has been taken
     * from the port.  The memory stays until it is unmapped. */
    struct doms_channel *channel;
    struct xenbus_memory *memory;
    uint32_t epoch; /* The front's. */
    char *error;    /* Why the switch has ended the channel, or NULL. */
};

static struct hmap devices = HMAP_INITIALIZER(&devices);
static struct ovs_list dirty = OVS_LIST_INITIALIZER(&dirty);
static uint64_t last_seq; /* Of the ports that were looked at last. */

/* Devices. */

static void
device_mark(struct device *dev)
{
    if (ovs_list_is_empty(&dev->dirty_node)) {
        ovs_list_push_back(&dirty, &dev->dirty_node);
    }
}

static struct device *
device_find(unsigned int domid, unsigned int handle)
{
    struct device *dev;

    HMAP_FOR_EACH_WITH_HASH (dev, node, hash_2words(domid, handle), &devices) {
        if (dev->domid == domid && dev->handle == handle) {
            return dev;
        }
    }
    return NULL;
}

/* Notes that something has changed about a device, which may be new. */
static void
device_touch(unsigned int domid, unsigned int handle)
{
    struct device *dev = device_find(domid, handle);

    if (!dev) {
        dev = xzalloc(sizeof *dev);
        dev->domid = domid;
        dev->handle = handle;
        dev->back = xasprintf(BACKENDS "/%u/%u", domid, handle);
        dev->front = xasprintf("/local/domain/%u/device/" DOMS_XS_CLASS "/%u",
                               domid, handle);
        ovs_list_init(&dev->dirty_node);
        hmap_insert(&devices, &dev->node, hash_2words(domid, handle));
    }
    device_mark(dev);
}

/* Stores in 'token' what events about the front of 'dev' are known by. */
static void
front_token(const struct device *dev, char token[32])
{
    snprintf(token, 32, "f/%u/%u", dev->domid, dev->handle);
}

/* Begins, or ends if 'on' is false, to watch the front of 'dev'.  Returns 0 or
 * a positive errno value. */
static int
device_watch_front(const struct device *dev, bool on)
{
    char *path = xasprintf("%s/state", dev->front);
    char token[32];
    int error = 0;

    front_token(dev, token);
    if (on) {
        error = xenstore_watch(path, token);
    } else {
        xenstore_unwatch(path, token);
    }
    free(path);
    return error;
}

static void
device_set_state(struct device *dev, enum xenbus_state state)
{
    VLOG_DBG("%s: state %d to %d", dev->back, dev->state, state);
    dev->state = state;
    xenstore_write_uint(dev->back, "state", state);
}

/* Stores in xenstore why the switch has ended or refused a channel; an empty
 * 'error' takes an earlier one back. */
static void
device_write_error(struct device *dev, const char *error)
{
    if (error[0] || dev->complained) {
        xenstore_write(dev->back, DOMS_XS_ERROR, error);
        dev->complained = error[0] != '\0';
    }
}

/* Takes the channel of 'dev' from its port, if it has one.  'why' is the rule
 * that the guest broke, or NULL. */
static void
device_detach(struct device *dev, const char *why)
{
    struct doms_channel *ch = dev->channel;

    if (ch) {
        /* If the port has gone, it is not this that frees the channel. */
        ch->door_aux = NULL;
        dev->channel = NULL;
        doms_ports_detach(ch, why);
    }
}

/* Begins with the device that the backend's directory, of 'generation', is
 * about.  Takes over 'generation'. */
static void
device_begin(struct device *dev, char *generation)
{
    dev->generation = generation;
    dev->has_offered = false;
    dev->complained = true; /* By an earlier life of the switch, perhaps. */
    xenstore_read(&dev->port, dev->back, "port");
    if (!dev->port || !doms_name_is_valid(dev->port)) {
        VLOG_WARN_RL(&rl,
                     "%s/port: names no guest; make it anew with "
                     "doms-ctl",
                     dev->back);
    }
    if (device_watch_front(dev, true)) {
        /* Its death would go unnoticed, and its pages stay mapped. */
        free(dev->port);
        dev->port = NULL;
    }
    device_set_state(dev, XENBUS_INITIALISING);
}

/* Forgets what device_begin() began. */
static void
device_end(struct device *dev)
{
    device_detach(dev, NULL);
    if (dev->generation) {
        device_watch_front(dev, false);
        free(dev->generation);
        free(dev->port);
        free(dev->error);
        dev->generation = dev->port = dev->error = NULL;
    }
}

static void
device_destroy(struct device *dev)
{
    device_end(dev);
    ovs_list_remove(&dev->dirty_node);
    hmap_remove(&devices, &dev->node);
    free(dev->back);
    free(dev->front);
    free(dev);
}

/* The offer. */

/* Writes 'new' to xenstore, but for what already stands there. */
static void
device_offer(struct device *dev, const struct offer *new)
{
    const struct offer *old = dev->has_offered ? &dev->offer : NULL;

    if (!old) {
        xenstore_write_uint(dev->back, DOMS_XS_VERSION, DOMS_XENBUS_VERSION);
    }
    if (!old || old->n_queues != new->n_queues) {
        xenstore_write_uint(dev->back, DOMS_XS_MAX_QUEUES, new->n_queues);
    }
    if (!old || old->arena_size != new->arena_size) {
        xenstore_write_uint(dev->back, DOMS_XS_ARENA, new->arena_size);
    }
    if (!old || old->features != new->features) {
        bool csum = new->features &DOMS_F_CSUM;
        bool tso = new->features &DOMS_F_TSO;

        xenstore_write_uint(dev->back, DOMS_XS_FEATURE_CSUM, csum);
        xenstore_write_uint(dev->back, DOMS_XS_FEATURE_TSO, tso);
    }
    if (!old || !eth_addr_equals(old->mac, new->mac)) {
        char mac[ETH_ADDR_STRLEN + 1];

        snprintf(mac, sizeof mac, ETH_ADDR_FMT, ETH_ADDR_ARGS(new->mac));
        xenstore_write(dev->back, DOMS_XS_MAC, mac);
    }
    if (!old || old->mtu != new->mtu) {
        xenstore_write_uint(dev->back, DOMS_XS_MTU, new->mtu);
    }
    if (!old || old->link_up != new->link_up) {
        xenstore_write_uint(dev->back, DOMS_XS_LINK, new->link_up);
    }
    dev->offer = *new;
    dev->has_offered = true;
}

/* Offers the guest a channel as its port is now.  Returns false if there is no
 * port for it. */
static bool
device_offer_port(struct device *dev)
{
    struct doms_port_config config;
    struct offer offer;

    if (!dev->port || !doms_ports_lookup(dev->port, &config)) {
        return false;
    }
    memset(&offer, 0, sizeof offer);
    offer.n_queues = config.n_queues;
    offer.features = config.features & (DOMS_F_CSUM | DOMS_F_TSO);
    offer.arena_size = config.arena_is_set           ? config.arena_size
                       : offer.features & DOMS_F_TSO ? DOMS_ARENA_TSO_DEFAULT
                                                     : DOMS_ARENA_DEFAULT;
    offer.mac = config.mac;
    offer.mtu = config.mtu;
    offer.link_up = config.link_up;
    device_offer(dev, &offer);
    return true;
}

/* Connecting. */

/* What a front has asked for, checked. */
struct wish {
    struct doms_geometry geometry;
    uint64_t features;
    uint32_t epoch;
    uint32_t reference;
};

/* Returns true if the front has named feature 'key'. */
static bool
front_names(const struct device *dev, const char *key)
{
    uint64_t value;

    return !xenstore_read_uint(&value, 1, dev->front, key) && value;
}

/* Reads what the front asks for.  Returns NULL, or what is wrong with it. */
static const char *
read_wish(const struct device *dev, struct wish *wish)
{
    uint64_t version, n_queues, arena, epoch, reference;

    if (xenstore_read_uint(&version, UINT32_MAX, dev->front, DOMS_XS_VERSION)
        || version != DOMS_XENBUS_VERSION) {
        return "the front speaks another version; install a doms_front of "
               "the switch's release";
    }
    if (xenstore_read_uint(&n_queues, dev->offer.n_queues, dev->front,
                           DOMS_XS_QUEUES)
        || !n_queues) {
        return "queues: not between 1 and max-queues";
    }
    if (xenstore_read_uint(&arena, UINT32_MAX, dev->front, DOMS_XS_ARENA)
        || arena != dev->offer.arena_size) {
        return "arena: not what the switch offers";
    }
    if (xenstore_read_uint(&epoch, UINT32_MAX, dev->front, DOMS_XS_EPOCH)
        || !epoch) {
        return "epoch: not a number of 32 bits but 0";
    }
    if (xenstore_read_uint(&reference, UINT32_MAX, dev->front,
                           DOMS_XS_REFERENCE)
        || !reference) {
        return "reference: not a grant";
    }
    wish->geometry = (struct doms_geometry){ n_queues, arena };
    wish->features = dev->offer.features
                     & ((front_names(dev, DOMS_XS_FEATURE_CSUM) ? DOMS_F_CSUM
                                                                : 0)
                        | (front_names(dev, DOMS_XS_FEATURE_TSO) ? DOMS_F_TSO
                                                                 : 0));
    wish->epoch = epoch;
    wish->reference = reference;
    return NULL;
}

/* Returns true if the front's health page, which is shared, says what the
 * front has said in xenstore. */
static bool
health_agrees(const struct doms_health *health, const struct wish *wish)
{
    return DOMS_LOAD_ACQUIRE(&health->magic) == DOMS_ABI_MAGIC
           && DOMS_READ_ONCE(health->version) == DOMS_ABI_VERSION
           && DOMS_READ_ONCE(health->n_queues) == wish->geometry.n_queues
           && DOMS_READ_ONCE(health->arena_size) == wish->geometry.arena_size
           && DOMS_READ_ONCE(health->epoch) == wish->epoch;
}

/* Connects the front of 'dev', which is INITIALISED.  Returns NULL, or why it
 * cannot; there is no channel then, and 'dev->memory' may still be mapped. */
static const char *
device_connect(struct device *dev)
{
    struct doms_channel *ch;
    struct wish wish;
    const char *why = read_wish(dev, &wish);
    int error;

    if (why) {
        return why;
    }
    ch = doms_channel_create(&door_xenbus, dev->port, &wish.geometry,
                             wish.features);
    ch->mac = dev->offer.mac;
    if (xenbus_memory_map(ch, dev->domid, wish.reference, wish.epoch,
                          &dev->memory, &why)) {
        doms_channel_destroy(ch);
        return why;
    }
    if (!health_agrees(ch->peer_group, &wish)) {
        doms_channel_destroy(ch);
        return "the health page does not agree with the front's keys";
    }
    error = doms_ports_attach(ch);
    if (error) {
        doms_channel_destroy(ch);
        return error == EBUSY ? "another guest is attached to the port"
                              : "the port has gone or changed meanwhile";
    }
    dev->channel = ch;
    dev->epoch = wish.epoch;
    ch->door_aux = dev;
    return NULL;
}

/* States.  Each step function does what follows from what is found, and
 * returns true if the next state may follow from it at once. */

static bool
step_init_wait(struct device *dev, enum xenbus_state front)
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
                     dev->domid, error);
        device_write_error(dev, error);
        device_set_state(dev, XENBUS_CLOSED);
    } else {
        device_write_error(dev, "");
        device_set_state(dev, XENBUS_CONNECTED);
    }
    return false;
}

/* Returns true if the front of 'dev', which is in state 'front', has left the
 * channel that it was connected to. */
static bool
front_has_left(const struct device *dev, enum xenbus_state front)
{
    uint64_t epoch;

    if (front != XENBUS_INITIALISED && front != XENBUS_CONNECTED) {
        return true;
    }
    return xenstore_read_uint(&epoch, UINT32_MAX, dev->front, DOMS_XS_EPOCH)
           || epoch != dev->epoch;
}

static bool
step_connected(struct device *dev, enum xenbus_state front, bool online)
{
    if (dev->channel && doms_channel_get_broken(dev->channel)) {
        enum doms_ring_broken why = doms_channel_get_broken(dev->channel);
        const char *rule = doms_ring_broken_to_string(why);

        free(dev->error);
        dev->error = xasprintf("the front broke a rule: %s", rule);
        device_detach(dev, rule);
    } else if (dev->channel && (!online || front_has_left(dev, front))) {
        device_detach(dev, NULL);
    } else if (dev->channel) {
        device_offer_port(dev);
        return false;
    }
    if (dev->memory) {
        return false; /* Until it is unmapped. */
    }
    device_write_error(dev, dev->error ? dev->error : "");
    device_set_state(dev, online ? XENBUS_CLOSED : XENBUS_CLOSING);
    return true;
}

/* Makes the move that follows from the front's state and from 'online'.
 * Returns true if another may follow. */
static bool
device_step(struct device *dev, enum xenbus_state front, bool online)
{
    switch (dev->state) {
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
        free(dev->error);
        dev->error = NULL;
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

/* Removes the backend's directory of 'dev', whose guest has died. */
static void
device_remove_node(const struct device *dev)
{
    char *parent = xasprintf(BACKENDS "/%u", dev->domid);
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

/* Brings 'dev' to where it belongs.  May destroy it. */
static void
device_run(struct device *dev)
{
    uint64_t front, online;
    char *generation;
    int error;

    xenstore_read(&generation, dev->back, "generation");
    if (dev->generation
        && (!generation || strcmp(generation, dev->generation))) {
        device_end(dev);
    }
    if (dev->memory && !dev->channel
        && xenbus_memory_is_unmapped(dev->memory)) {
        xenbus_memory_unref(dev->memory);
        dev->memory = NULL;
    }
    if (!dev->generation && dev->memory) {
        free(generation); /* The next one has to wait for that. */
        return;
    }
    if (!generation) {
        device_destroy(dev);
        return;
    }
    if (!dev->generation) {
        device_begin(dev, generation);
    } else {
        free(generation);
    }

    error = xenstore_read_uint(&front, XENBUS_CLOSED, dev->front, "state");
    if (error == ENOENT || error == EACCES) {
        device_detach(dev, NULL);
        if (!dev->memory) {
            VLOG_INFO_RL(&rl, "guest %s (domain %u) has gone",
                         dev->port ? dev->port : "?", dev->domid);
            device_remove_node(dev);
            device_destroy(dev);
        }
        return;
    }
    xenstore_read_uint(&online, 1, dev->back, "online");
    while (device_step(dev, front, online)) {
        continue;
    }
}

/* Events. */

/* Marks every device that is in xenstore. */
static void
scan_backends(void)
{
    size_t n_domids;
    char **domids = xenstore_list(BACKENDS, &n_domids);

    for (size_t i = 0; i < n_domids; i++) {
        char *path = xasprintf(BACKENDS "/%s", domids[i]);
        size_t n_handles;
        char **handles = xenstore_list(path, &n_handles);
        unsigned int domid, handle;

        for (size_t j = 0; j < n_handles; j++) {
            if (str_to_uint(domids[i], 10, &domid) && domid < DOMID_MAX
                && str_to_uint(handles[j], 10, &handle)
                && handle <= HANDLE_MAX) {
                device_touch(domid, handle);
            }
        }
        free(handles);
        free(path);
    }
    free(domids);
}

/* The switch's own writes come back as events, too: only these keys, and the
 * directory itself, are another's. */
static bool
is_dom0s_key(const char *key)
{
    return !key[0] || !strcmp(key, "/generation") || !strcmp(key, "/online");
}

static void
backend_event(const char *path)
{
    unsigned int domid, handle;
    struct device *dev;
    int n = 0;

    if (!ovs_scan(path, BACKENDS "/%u/%u%n", &domid, &handle, &n)) {
        /* A domain's directory, or the lot of them. */
        HMAP_FOR_EACH (dev, node, &devices) {
            device_mark(dev);
        }
        scan_backends();
    } else if (domid < DOMID_MAX && handle <= HANDLE_MAX
               && is_dom0s_key(path + n)) {
        device_touch(domid, handle);
    }
}

static void
front_event(const char *token)
{
    unsigned int domid, handle;
    struct device *dev;

    if (ovs_scan(token, "f/%u/%u", &domid, &handle)) {
        dev = device_find(domid, handle);
        if (dev) {
            device_mark(dev);
        }
    }
}

/* Takes all events off the queue, which another domain can fill: each costs
 * no more than a mark. */
static void
take_events(void)
{
    char *path, *token;

    while (xenstore_next_event(&path, &token)) {
        if (!strcmp(token, "b")) {
            backend_event(path);
        } else if (token[0] == 'f') {
            front_event(token);
        } else {
            dom0_link_event(path);
        }
        free(path);
        free(token);
    }
}

/* The door. */

/* Opens the door.  Returns true if it is open. */
static bool
door_open(void)
{
    static bool opened;

    if (!xenstore_open()) {
        return false;
    }
    if (!opened) {
        opened = true;
        xenstore_watch(BACKENDS, "b");
        dom0_link_open();
        VLOG_INFO("xenbus door is open");
    }
    return true;
}

static void
door_xenbus_run(void)
{
    uint64_t seq;

    if (!door_open()) {
        return;
    }
    take_events();
    dom0_link_run();

    seq = doms_ports_seq();
    if (seq != last_seq) {
        struct device *dev;

        last_seq = seq;
        HMAP_FOR_EACH (dev, node, &devices) {
            device_mark(dev);
        }
    }
    for (int i = 0; i < DEVICES_PER_TURN && !ovs_list_is_empty(&dirty); i++) {
        struct device *dev = CONTAINER_OF(ovs_list_pop_front(&dirty),
                                          struct device, dirty_node);

        ovs_list_init(&dev->dirty_node);
        device_run(dev);
    }
}

static void
door_xenbus_wait(void)
{
    if (door_open()) {
        xenstore_wait();
        dom0_link_wait();
        doms_ports_seq_wait(last_seq);
        if (!ovs_list_is_empty(&dirty)) {
            poll_immediate_wake();
        }
    }
}

static void
door_xenbus_port_changed(struct doms_channel *ch)
{
    if (ch->door_aux) {
        device_mark(ch->door_aux);
        doms_ports_wake();
    }
}

static void
door_xenbus_detached(struct doms_channel *ch)
{
    struct device *dev = ch->door_aux;

    if (dev) {
        dev->channel = NULL;
        ch->door_aux = NULL;
        device_mark(dev);
    }
}

const struct doms_door door_xenbus = {
    .name = "xenbus",
    .from_start = true,
    .run = door_xenbus_run,
    .wait = door_xenbus_wait,
    .port_changed = door_xenbus_port_changed,
    .detached = door_xenbus_detached,
};
