/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What doms-ctl can do to a switch and know about it, whatever the place.
 *
 * doms-ctl's words mean the same wherever it runs; how they are carried out
 * differs.  A backend carries them out in one kind of place.  The local one
 * (ctl-local.h) reaches, on the machine where it runs, an ovsdb-server through
 * OVSDB and domsd through its control socket.  That of a Xen host's Dom0
 * (ctl-xen.h) writes files and xenstore, which the domain DomS reads.
 *
 * An operation returns a ctl_status.  Unless that is CTL_OK, it stores in
 * '*why' one line for the user, to be freed by the caller, and has left the
 * switch as it was, or says in that line what it has left.
 *
 * Thread-safety: none; one thread uses a backend.
 */

#ifndef TOOLS_CTL_BACKEND_H
#define TOOLS_CTL_BACKEND_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/port-request.h"

struct json;
struct shash;
struct svec;

/* How an operation went, and doms-ctl's exit status. */
enum ctl_status {
    CTL_OK = 0,          /* It is done. */
    CTL_FAILED = 1,      /* The switch could not do it. */
    CTL_REFUSED = 2,     /* What was asked cannot be; nothing was tried. */
    CTL_UNREACHABLE = 3, /* The database or domsd does not answer. */
};

/* What the user chose for all operations. */
struct ctl_options {
    const char *rundir;      /* The run directory. */
    const char *db;          /* The database, as "unix:...". */
    const char *config_dir;  /* Dom0's configuration folder. */
    unsigned int timeout_ms; /* The longest wait for any one answer. */
    bool wait;               /* Wait until domsd has applied a change? */
};

/* The ends of a guest's port on a Xen host. */
struct ctl_guest_xen {
    char *domain;             /* The name of the guest's domain. */
    unsigned int domid;       /* Its domid, or 0 if it does not run. */
    unsigned int doms;        /* That of DomS, or 0 if it does not run. */
    unsigned int handle;      /* The number of the guest's device. */
    unsigned int front_state; /* XenbusState, or 0 if there is no device. */
    unsigned int back_state;  /* XenbusState, or 0 if there is no backend. */
    char *error;              /* Why the backend has closed, or "". */
};

/* One guest's port.  Strings are never NULL. */
struct ctl_guest {
    /* As configured. */
    char *name;      /* The guest's. */
    char *port;      /* The port's, in Open vSwitch. */
    char *bridge;    /* The bridge's name. */
    char *iface_id;  /* external-ids:iface-id, or "". */
    char *trunks;    /* As in "1,5-7", or "". */
    char *vlan_mode; /* As Open vSwitch has it, or "". */
    int64_t tag;     /* The access VLAN, or -1. */
    uint64_t rate;   /* Bits/s that the guest may send, or 0. */
    int64_t ofport;  /* The OpenFlow port, or -1. */
    char *error;     /* Interface.error, or "". */

    /* As in force; from domsd, or else from the configuration. */
    char *state;      /* "up", "waiting", "broken", "down", "error" (the port
                       * could not be made) or "unknown". */
    char *reason;     /* Why it is so, or "". */
    char *door;       /* Where the guest came through, or "". */
    char *mac;        /* The guest's address, or "". */
    int64_t mtu;      /* Bytes, or 0. */
    int64_t n_queues; /* Queue pairs that the port is made for. */
    int64_t n_channel_queues;  /* Queue pairs in force, 0 without a guest. */
    int64_t arena;             /* Bytes of each ring's arena, or 0. */
    char *features;            /* Separated by commas, or "". */
    int64_t epoch;             /* Of the switch's life. */
    int64_t pid;               /* The guest's process, or 0. */
    int64_t connects;          /* Times that a guest has attached. */
    struct json *counters;     /* Object: name to integer; rx is what came from
                            * the guest. */
    struct ctl_guest_xen *xen; /* On a Xen host, else NULL. */
};

int64_t ctl_guest_counter(const struct ctl_guest *, const char *name);
void ctl_guest_take_status(struct ctl_guest *, const struct json *status);
void ctl_replace(char **string, const char *value);

/* The guests at one moment. */
struct ctl_snapshot {
    struct ctl_guest *guests; /* Sorted by name. */
    size_t n;                 /* Number of 'guests'. */
    long long int when;       /* time_msec(). */
    char *domsd_problem;      /* Why domsd could not be asked, or NULL. */
};

void ctl_snapshot_destroy(struct ctl_snapshot *);
const struct ctl_guest *ctl_snapshot_find(const struct ctl_snapshot *,
                                          const char *name);

/* A backend at work; each kind embeds it. */
struct ctl_backend {
    const struct ctl_backend_class *class; /* Its kind. */
};

struct ctl_backend_class {
    /* The kind's name. */
    const char *name;

    /* Connects as 'options' say, which must outlive '*backend'. */
    enum ctl_status (*open)(const struct ctl_options *options,
                            struct ctl_backend **backend, char **why);

    /* Ends the connection, and frees 'backend'. */
    void (*close)(struct ctl_backend *backend);

    /* Attaches the guests that the 'n' 'requests' ask for, all or none.
     * Fills in the address and the bridge of those that named none.  The
     * requests came from the file 'from', or, if that is NULL, from the
     * command line.  Adds to 'notes' what the user should know besides. */
    enum ctl_status (*attach)(struct ctl_backend *backend,
                              struct port_request *requests, size_t n,
                              const char *from, struct svec *notes,
                              char **why);

    /* Detaches the 'n' guests of 'names', all or none.  Adds to 'notes' what
     * the user should know besides. */
    enum ctl_status (*detach)(struct ctl_backend *backend, char *const names[],
                              size_t n, struct svec *notes, char **why);

    /* Takes a snapshot of the guests into '*snapshot', for the caller to
     * destroy.  That domsd does not answer is no failure. */
    enum ctl_status (*snapshot)(struct ctl_backend *backend,
                                struct ctl_snapshot *snapshot, char **why);

    /* Keeps the connection alive, and arranges for poll_block() to wake up
     * when that is needed again. */
    void (*run)(struct ctl_backend *backend);
};

extern const struct ctl_backend_class ctl_local_class;
extern const struct ctl_backend_class ctl_xen_class;

#endif /* tools/ctl-backend.h */
