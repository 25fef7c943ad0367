/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xenbus.h"
#include "doms/channel.h"
#include "doms/ports.h"
#include "doms/xenstore.h"
#include "openvswitch/vlog.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_backend);

/* Makes 'b' the device of 'class' that is number 'handle' of domain 'domid',
 * of which nothing is known yet. */
void
backend_init(struct backend *b, const struct backend_class *class,
             unsigned int domid, unsigned int handle)
{
    memset(b, 0, sizeof *b);
    ovs_list_init(&b->dirty_node);
    b->class = class;
    b->domid = domid;
    b->handle = handle;
    b->back = xasprintf("%s/%u/%u", class->backends, domid, handle);
    b->front = xasprintf("/local/domain/%u/device/%s/%u", domid, class->name,
                         handle);
}

/* Frees what 'b' has.  It must have no channel. */
void
backend_uninit(struct backend *b)
{
    free(b->back);
    free(b->front);
    free(b->error);
}

/* What stands in xenstore. */

/* Begins, or ends if 'on' is false, to watch the front's state.  Returns 0 or
 * a positive errno value: then its death would go unnoticed. */
int
backend_watch_front(const struct backend *b, bool on)
{
    char *path = xasprintf("%s/state", b->front);
    char token[32];
    int error = 0;

    snprintf(token, sizeof token, "%s/%u/%u", b->class->front_token, b->domid,
             b->handle);
    if (on) {
        error = xenstore_watch(path, token);
    } else {
        xenstore_unwatch(path, token);
    }
    free(path);
    return error;
}

/* Moves the backend to 'state', and tells the guest. */
void
backend_set_state(struct backend *b, enum xenbus_state state)
{
    VLOG_DBG("%s: state %d to %d", b->back, b->state, state);
    b->state = state;
    xenstore_write_uint(b->back, "state", state);
}

/* Tells the guest why the switch has ended or refused a channel; an empty
 * 'error' takes an earlier one back. */
void
backend_write_error(struct backend *b, const char *error)
{
    if (error[0] || b->complained) {
        xenstore_write(b->back, DOMS_XS_ERROR, error);
        b->complained = error[0] != '\0';
    }
}

/* Removes the backend's directory, and that of the guest's devices with the
 * last of them. */
void
backend_remove_node(const struct backend *b)
{
    char *parent = xasprintf("%s/%u", b->class->backends, b->domid);
    char **names;
    size_t n;

    xenstore_remove(b->back);
    names = xenstore_list(parent, &n);
    if (!n) {
        xenstore_remove(parent);
    }
    free(names);
    free(parent);
}

/* Channels. */

/* Gives 'ch' to its port.  Returns NULL; or why it cannot, having destroyed
 * 'ch'. */
const char *
backend_attach(struct backend *b, struct doms_channel *ch)
{
    int error = doms_ports_attach(ch);

    if (error) {
        doms_channel_destroy(ch);
        return error == EBUSY ? "another guest is attached to the port"
                              : "the port has gone or changed meanwhile";
    }
    b->channel = ch;
    ch->door_aux = b;
    return NULL;
}

/* Notes that the channel has been taken from its port. */
void
backend_forget_channel(struct backend *b)
{
    b->channel->door_aux = NULL;
    b->channel = NULL;
}

/* Takes the channel from its port, if there is one.  'why' is the rule that
 * the guest broke, or NULL. */
void
backend_detach(struct backend *b, const char *why)
{
    struct doms_channel *ch = b->channel;

    if (ch) {
        /* If the port has gone, it is not this that frees the channel. */
        backend_forget_channel(b);
        doms_ports_detach(ch, why);
    }
}

/* Takes the channel from its port if the guest broke a rule, and notes which
 * in 'b->error'.  Returns true if it did. */
bool
backend_detach_broken(struct backend *b)
{
    enum doms_ring_broken why = b->channel
                                    ? doms_channel_get_broken(b->channel)
                                    : DOMS_RING_OK;
    const char *rule;

    if (!why) {
        return false;
    }
    rule = doms_ring_broken_to_string(why);
    free(b->error);
    b->error = xasprintf("the front broke a rule: %s", rule);
    backend_detach(b, rule);
    return true;
}
