/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/xenstore.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenstore.h>

#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(doms_xenstore);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(10, 20);

static struct xs_handle *xs; /* NULL: this is no Xen domain. */

/* Connects to xenstore.  Returns true if it is connected.  On a machine
 * without Xen it is quiet, and is not tried again. */
bool
xenstore_open(void)
{
    static bool tried;

    if (!tried) {
        tried = true;
        if (!access("/dev/xen/xenbus", F_OK)
            || !access("/proc/xen/xenbus", F_OK)) {
            xs = xs_open(0);
            if (!xs) {
                VLOG_ERR("cannot connect to xenstore: %s; the xenbus door "
                         "stays shut until domsd is started again as root",
                         ovs_strerror(errno));
            }
        }
    }
    return xs != NULL;
}

/* Arranges for poll_block() to wake up when there is an event. */
void
xenstore_wait(void)
{
    poll_fd_wait(xs_fileno(xs), POLLIN);
}

static bool
is_printable(const char *s, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!isprint((unsigned char) s[i])) {
            return false;
        }
    }
    return true;
}

/* Reads 'key' in directory 'dir' into '*value', for the caller to free.
 * Returns 0; ENOENT if it is not there, or EACCES, also if a domain's whole
 * directory has gone; EINVAL if the value is none to deal with; or another
 * positive errno value.  '*value' is NULL then. */
int
xenstore_read(char **value, const char *dir, const char *key)
{
    char *path = xasprintf("%s/%s", dir, key);
    unsigned int length;
    int error = 0;

    *value = xs_read(xs, XBT_NULL, path, &length);
    if (!*value) {
        error = errno;
    } else if (length > XENSTORE_VALUE_MAX || !is_printable(*value, length)) {
        VLOG_WARN_RL(&rl, "%s: not a printable string of at most %d bytes",
                     path, XENSTORE_VALUE_MAX);
        free(*value);
        *value = NULL;
        error = EINVAL;
    }
    free(path);
    return error;
}

/* Reads the decimal number 'key' in directory 'dir' into '*value'.  Returns 0;
 * ERANGE if it is more than 'max'; EINVAL if it is no number; or what
 * xenstore_read() returns.  '*value' is 0 then. */
int
xenstore_read_uint(uint64_t *value, uint64_t max, const char *dir,
                   const char *key)
{
    char *s;
    int error = xenstore_read(&s, dir, key);

    *value = 0;
    if (!error) {
        unsigned long long int n;

        if (!isdigit((unsigned char) s[0]) || strlen(s) > 20
            || !str_to_ullong(s, 10, &n)) {
            error = EINVAL;
        } else if (n > max) {
            error = ERANGE;
        } else {
            *value = n;
        }
        free(s);
    }
    return error;
}

/* Writes 'value' to 'key' in directory 'dir'.  Returns 0 or a positive errno
 * value, which it logs. */
int
xenstore_write(const char *dir, const char *key, const char *value)
{
    char *path = xasprintf("%s/%s", dir, key);
    int error = xs_write(xs, XBT_NULL, path, value, strlen(value)) ? 0 : errno;

    if (error) {
        VLOG_WARN_RL(&rl, "cannot write %s: %s%s", path, ovs_strerror(error),
                     error == EACCES
                         ? "; Dom0 gives the permission: see 'doms-ctl doctor'"
                     : error == ENOSPC || error == E2BIG
                         ? "; raise xenstored's quota for this domain"
                         : "");
    }
    free(path);
    return error;
}

/* As xenstore_write(), for a number. */
int
xenstore_write_uint(const char *dir, const char *key, uint64_t value)
{
    char s[24];

    snprintf(s, sizeof s, "%" PRIu64, value);
    return xenstore_write(dir, key, s);
}

/* Removes 'path' and all below it.  Returns 0 or a positive errno value. */
int
xenstore_remove(const char *path)
{
    return xs_rm(xs, XBT_NULL, path) ? 0 : errno;
}

/* Returns the names in directory 'path' and their number in '*n'; NULL if
 * there are none or the directory cannot be read.  The caller frees the
 * array, which holds the names as well. */
char **
xenstore_list(const char *path, size_t *n)
{
    unsigned int n_names = 0;
    char **names = xs_directory(xs, XBT_NULL, path, &n_names);

    *n = names ? n_names : 0;
    return names;
}

/* Has events for 'path', and what is below it, delivered with 'token'.  The
 * first comes at once.  Returns 0 or a positive errno value, which it logs. */
int
xenstore_watch(const char *path, const char *token)
{
    int error = xs_watch(xs, path, token) ? 0 : errno;

    if (error) {
        VLOG_WARN_RL(&rl, "cannot watch %s: %s%s", path, ovs_strerror(error),
                     error == E2BIG || error == ENOSPC
                         ? "; raise xenstored's limit of watches a domain"
                         : "");
    }
    return error;
}

/* Undoes xenstore_watch() with the same arguments. */
void
xenstore_unwatch(const char *path, const char *token)
{
    xs_unwatch(xs, path, token);
}

/* Takes the next event, if there is one: something at or below the watched
 * path has changed at '*path'.  The caller frees both strings.  Returns false,
 * and waits for nothing, if there is none. */
bool
xenstore_next_event(char **path, char **token)
{
    char **event = xs_check_watch(xs);

    if (!event) {
        return false;
    }
    *path = xstrdup(event[XS_WATCH_PATH]);
    *token = xstrdup(event[XS_WATCH_TOKEN]);
    free(event);
    return true;
}
