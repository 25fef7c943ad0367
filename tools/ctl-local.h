/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local backend: a switch on this machine, reached through its database
 * and domsd's control socket.
 *
 * The database holds what is wanted; a change of it is one transaction, which
 * increments Open_vSwitch.next_cfg, and domsd copies that number to cur_cfg
 * once it has applied it.  What is in force only domsd knows; it is asked with
 * its command doms/status.
 *
 * This header is shared by the backend's own files and by 'doctor'.
 *
 * Thread-safety: none.
 */

#ifndef TOOLS_CTL_LOCAL_H
#define TOOLS_CTL_LOCAL_H 1

#include "ctl-backend.h"
#include "lib/vswitch-idl.h"

struct json;

/* The type of the interfaces that are guests' ports. */
#define CTL_INTERFACE_TYPE "doms"

/* A local backend. */
struct ctl_local {
    struct ctl_backend up;             /* Must be the first. */
    const struct ctl_options *options; /* The user's. */
    struct ovsdb_idl *idl;             /* A replica of what it uses. */
};

static inline struct ctl_local *
ctl_local_cast(struct ctl_backend *backend)
{
    return CONTAINER_OF(backend, struct ctl_local, up);
}

/* What ends a wait for the database or for domsd. */
struct ctl_deadline {
    long long int when;      /* time_msec() at which to give up. */
    unsigned int timeout_ms; /* For messages. */
};

struct ctl_deadline ctl_deadline_start(const struct ctl_options *,
                                       size_t n_guests);

const char *ctl_interface_guest(const struct ovsrec_interface *);
const char *ctl_interface_mac(const struct ovsrec_interface *);
char *ctl_format_vlans(const int64_t *vlans, size_t n);

/* One change of the database.  'compose' writes it into 'txn'; it runs again,
 * on fresh data, when somebody else has changed the database meanwhile. */
typedef enum ctl_status ctl_compose_func(struct ctl_local *,
                                         struct ovsdb_idl_txn *txn, void *aux,
                                         char **why);
/* Called right after the commit, while 'txn' still knows the new rows. */
typedef void ctl_committed_func(struct ovsdb_idl_txn *txn, void *aux);

enum ctl_status ctl_local_change(struct ctl_local *local,
                                 ctl_compose_func *compose,
                                 ctl_committed_func *committed, void *aux,
                                 const struct ctl_deadline *deadline,
                                 int64_t *next_cfg, char **why);
enum ctl_status ctl_local_wait_applied(struct ctl_local *, int64_t next_cfg,
                                       const struct ctl_deadline *,
                                       char **why);

enum ctl_status ctl_local_attach(struct ctl_backend *, struct port_request *,
                                 size_t n, const char *from,
                                 struct svec *notes, char **why);
enum ctl_status ctl_local_detach(struct ctl_backend *, char *const names[],
                                 size_t n, struct svec *notes, char **why);
enum ctl_status ctl_local_snapshot(struct ctl_backend *, struct ctl_snapshot *,
                                   char **why);

/* domsd's control socket. */
enum ctl_status ctl_domsd_call(const struct ctl_options *, const char *command,
                               char **reply, char **why);
int ctl_domsd_pid(const struct ctl_options *);

/* The control socket of 'daemon', which runs in the same run directory. */
enum ctl_status ctl_daemon_call(const struct ctl_options *, const char *daemon,
                                const char *command, char **reply, char **why);
int ctl_daemon_pid(const struct ctl_options *, const char *daemon);

#endif /* tools/ctl-local.h */
