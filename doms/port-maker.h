/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes guests' ports, as a door wants them, by transactions in Open vSwitch's
 * database; so that they are ports like any other, for OVS's tools as well.
 *
 * A port that is wanted has a serial, which whoever describes it changes with
 * the description.  It is stored with the port (external-ids:doms-serial), and
 * a port that has it already is left as it is, with what an operator may have
 * changed by ovs-vsctl since.
 *
 * A port is made or changed asynchronously: port_maker_state() tells how far
 * that is.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_PORT_MAKER_H
#define DOMS_PORT_MAKER_H 1

#include <stdbool.h>

struct port_request;

enum port_maker_state {
    PORT_MAKER_NONE,    /* The port is not wanted. */
    PORT_MAKER_PENDING, /* It is being made. */
    PORT_MAKER_DONE,    /* It is as wanted. */
    PORT_MAKER_FAILED,  /* It cannot be made. */
};

void port_maker_set_remote(const char *remote);

void port_maker_want(const struct port_request *, const char *vm_uuid,
                     const char *serial, bool mac_is_own);
void port_maker_drop(const char *name);
void port_maker_prune(void);
enum port_maker_state port_maker_state(const char *name, const char **serial,
                                       const char **problem);

/* Work.  port_maker_run() returns true if the state of a port may have
 * changed. */
bool port_maker_run(void);
void port_maker_wait(void);

#endif /* doms/port-maker.h */
