/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "ctl-request.h"

#include <stdarg.h>
#include <stdlib.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/shash.h"
#include "packets.h"
#include "random.h"
#include "util.h"

/* Stores in '*why' the message 'format' about attaching what 'r' asks for,
 * which came from the file 'from', unless that is NULL. */
void
ctl_complain(const char *from, const struct port_request *r, char **why,
             const char *format, ...)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    va_list args;

    if (from) {
        ds_put_format(&s, "%s:%u: ", from, r->line);
    }
    ds_put_format(&s, "attach %s: ", r->name);
    va_start(args, format);
    ds_put_format_valist(&s, format, args);
    va_end(args);
    free(*why);
    *why = ds_steal_cstr(&s);
}

/* Adds to '*why', which tells of a failure, that its remains could not be
 * removed, because of 'why_not', which is freed, and are still there, as 'how'
 * says ("configured"). */
void
ctl_complain_left(char **why, const char *how, char *why_not)
{
    char *both = xasprintf("%s; it is still %s, since %s; remove it with "
                           "'doms-ctl detach'",
                           *why, how, why_not);

    free(*why);
    free(why_not);
    *why = both;
}

/* Returns the message that 'command' was given 'word', which is no guest's
 * name; 'nearest' may be what was meant, unless it is NULL.  The caller frees
 * the message. */
char *
ctl_no_such_guest(const char *command, const char *word, const char *nearest)
{
    return xasprintf("%s %s: no such guest; %s%s%s'doms-ctl list' lists the "
                     "guests",
                     command, word, nearest ? "did you mean " : "",
                     nearest ? nearest : "", nearest ? "?  " : "");
}

/* Notes in 'used' that 'key' is in use, by 'description', which is taken over,
 * unless somebody has it already. */
void
ctl_use(struct shash *used, const char *key, char *description)
{
    if (shash_find(used, key)) {
        free(description);
    } else {
        shash_add(used, key, description);
    }
}

/* Gives 'r' an address that is not in 'macs'. */
static void
pick_mac(struct port_request *r, const struct shash *macs)
{
    char key[ETH_ADDR_STRLEN + 1];

    do {
        random_bytes(r->mac, sizeof r->mac);
        r->mac[0] = 0x02; /* Locally administered, of one interface. */
        snprintf(key, sizeof key, ETH_ADDR_FMT, ETH_ADDR_BYTES_ARGS(r->mac));
    } while (shash_find(macs, key));
    r->has_mac = true;
}

/* Makes sure that 'r', which came from 'from' as for ctl_complain(), has an
 * address, which nobody of 'macs' has, and notes there that it is in use, by
 * 'description', which is taken over. */
enum ctl_status
ctl_claim_mac(const char *from, struct port_request *r, struct shash *macs,
              char *description, char **why)
{
    char key[ETH_ADDR_STRLEN + 1];
    const char *user;

    if (!r->has_mac) {
        pick_mac(r, macs);
    }
    snprintf(key, sizeof key, ETH_ADDR_FMT, ETH_ADDR_BYTES_ARGS(r->mac));
    user = shash_find_data(macs, key);
    if (user) {
        ctl_complain(from, r, why,
                     "mac: %s is already in use by %s; choose another, or "
                     "leave mac= out to have one picked",
                     key, user);
        free(description);
        return CTL_REFUSED;
    }
    shash_add(macs, key, description);
    return CTL_OK;
}
