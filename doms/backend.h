/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the doors by which Xen domains come have in common: devices of
 * xenstore, whose backend the switch is.
 *
 * A struct backend is one guest's device, from when its backend directory is
 * first seen.  A door embeds it, first, in a structure of its own.  A struct
 * backend_table has all of a door's.  An event about a device, or a change of
 * its port, only marks it; each turn of the main loop runs some of those that
 * are marked, so that another domain's writes cost no more than marks.  Running
 * a device reads anew how it is on both sides, so that neither the order nor
 * the number of events matters.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_BACKEND_H
#define DOMS_BACKEND_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "openvswitch/hmap.h"
#include "openvswitch/list.h"

struct backend;
struct doms_channel;
struct doms_door;

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

/* A class of devices. */
struct backend_class {
    const struct doms_door *door;

    /* The backend directories are BACKENDS/DOMID/HANDLE, in the switch's own,
     * and the fronts' DOMID's device/NAME/HANDLE. */
    const char *name;
    const char *backends;

    /* The tokens of events: about the backend directories, and, followed by
     * "/DOMID/HANDLE", about a front's state.  No two classes' are alike. */
    const char *token;
    const char *front_token;

    /* What another domain writes in a backend directory, besides "online":
     * the switch's own writes come back as events, too. */
    const char *key;

    /* Makes a device, by backend_init() and what is the door's own. */
    struct backend *(*create)(unsigned int domid, unsigned int handle);

    /* Brings a device to where it belongs.  Returns false if nothing is left
     * of it, and it is to be destroyed. */
    bool (*run)(struct backend *);

    /* Frees a device, by backend_uninit() and what is the door's own. */
    void (*destroy)(struct backend *);
};

/* A device. */
struct backend {
    /* The table's. */
    struct hmap_node node;      /* In 'backends'. */
    struct ovs_list dirty_node; /* In 'dirty', or empty. */

    /* Fixed. */
    const struct backend_class *class;
    unsigned int domid;  /* The guest's. */
    unsigned int handle; /* The device's number. */
    char *back;          /* The backend's directory. */
    char *front;         /* The front's directory. */

    enum xenbus_state state;      /* The backend's. */
    bool complained;              /* Does 'error' stand in xenstore? */
    char *error;                  /* Why the switch has ended the channel, or
                                   * NULL. */
    struct doms_channel *channel; /* The port's, with this as 'door_aux'; NULL
                                   * once it has been taken from the port. */
};

void backend_init(struct backend *, const struct backend_class *,
                  unsigned int domid, unsigned int handle);
void backend_uninit(struct backend *);

int backend_watch_front(const struct backend *, bool on);
void backend_set_state(struct backend *, enum xenbus_state);
void backend_write_error(struct backend *, const char *error);
void backend_remove_node(const struct backend *);

const char *backend_attach(struct backend *, struct doms_channel *);
void backend_detach(struct backend *, const char *why);
bool backend_detach_broken(struct backend *);
void backend_forget_channel(struct backend *);

/* A door's devices. */
struct backend_table {
    const struct backend_class *class;
    struct hmap backends;
    struct ovs_list dirty; /* Those to be run. */
    uint64_t last_seq;     /* Of the ports that were looked at last. */
};

#define BACKEND_TABLE_INITIALIZER(TABLE, CLASS)                               \
    {                                                                         \
        .class = CLASS, .backends = HMAP_INITIALIZER(&(TABLE)->backends),     \
        .dirty = OVS_LIST_INITIALIZER(&(TABLE)->dirty),                       \
    }

void backend_table_open(struct backend_table *);
bool backend_table_event(struct backend_table *, const char *path,
                         const char *token);
void backend_table_run(struct backend_table *, size_t max);
void backend_table_wait(const struct backend_table *);
void backend_table_mark(struct backend_table *, struct backend *);
void backend_table_port_changed(struct backend_table *, struct doms_channel *);
void backend_table_detached(struct backend_table *, struct doms_channel *);

/* Returns true if no device is to be run. */
static inline bool
backend_table_is_clean(const struct backend_table *table)
{
    return ovs_list_is_empty(&table->dirty);
}

#endif /* doms/backend.h */
