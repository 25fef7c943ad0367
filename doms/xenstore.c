/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "doms/xenstore.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xenstore.h>
#include <xen/io/xs_wire.h>

#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "socket-util.h"
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

/* Returns 0 if 'value', of 'length' bytes, of 'path' is one to deal with, or
 * EINVAL. */
static int
check_value(const char *path, const char *value, unsigned int length)
{
    if (length <= XENSTORE_VALUE_MAX && is_printable(value, length)) {
        return 0;
    }
    VLOG_WARN_RL(&rl, "%s: not a printable string of at most %d bytes", path,
                 XENSTORE_VALUE_MAX);
    return EINVAL;
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
    } else {
        error = check_value(path, *value, length);
        if (error) {
            free(*value);
            *value = NULL;
        }
    }
    free(path);
    return error;
}

/* Stores the decimal number 's' in '*value'.  Returns 0; ERANGE if it is more
 * than 'max'; or EINVAL if it is no number.  '*value' is 0 then. */
int
xenstore_parse_uint(uint64_t *value, uint64_t max, const char *s)
{
    unsigned long long int n;

    *value = 0;
    if (!isdigit((unsigned char) s[0]) || strlen(s) > 20
        || !str_to_ullong(s, 10, &n)) {
        return EINVAL;
    }
    if (n > max) {
        return ERANGE;
    }
    *value = n;
    return 0;
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
        error = xenstore_parse_uint(value, max, s);
        free(s);
    }
    return error;
}

/* Logs that 'path' cannot be written, unless 'error' is 0. */
static void
complain_of_write(const char *path, int error)
{
    if (error) {
        VLOG_WARN_RL(&rl, "cannot write %s: %s%s", path, ovs_strerror(error),
                     error == EACCES
                         ? "; Dom0 gives the permission: see 'doms-ctl doctor'"
                     : error == ENOSPC || error == E2BIG
                         ? "; raise xenstored's quota for this domain"
                         : "");
    }
}

/* Writes 'value' to 'key' in directory 'dir'.  Returns 0 or a positive errno
 * value, which it logs. */
int
xenstore_write(const char *dir, const char *key, const char *value)
{
    char *path = xasprintf("%s/%s", dir, key);
    int error = xs_write(xs, XBT_NULL, path, value, strlen(value)) ? 0 : errno;

    complain_of_write(path, error);
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

/* Batches.  libxenstore waits for each answer before it asks again.  The
 * kernel's device need not, but keeps only one request for each open file
 * until that is on its way; so each operation of a batch has a file of its
 * own.  The requests go out in the order in which they are written. */

static int batch_fds[XENSTORE_BATCH_MAX]; /* 0: not open. */

/* Opens the file of operation 'i' if need be.  Returns it, or 0 if it cannot
 * be opened. */
static int
batch_open(size_t i)
{
    static const char *const devices[] = { "/dev/xen/xenbus",
                                           "/proc/xen/xenbus" };

    for (size_t j = 0; j < ARRAY_SIZE(devices) && !batch_fds[i]; j++) {
        /* Standard input is open: this is never 0. */
        batch_fds[i] = MAX(open(devices[j], O_RDWR | O_CLOEXEC), 0);
    }
    return batch_fds[i];
}

/* Sends 'op' to 'fd'.  Returns true if it did. */
static bool
batch_send(int fd, const struct xenstore_op *op)
{
    size_t path_size = strlen(op->path) + 1;
    size_t value_size = op->is_write ? strlen(op->value) : 0;
    struct xsd_sockmsg header = {
        .type = op->is_write ? XS_WRITE : XS_READ,
        .len = path_size + value_size,
    };
    char message[sizeof header + XENSTORE_PAYLOAD_MAX];
    size_t written;

    if (header.len > XENSTORE_PAYLOAD_MAX) {
        return false;
    }
    memcpy(message, &header, sizeof header);
    memcpy(message + sizeof header, op->path, path_size);
    if (value_size) {
        memcpy(message + sizeof header + path_size, op->value, value_size);
    }
    return !write_fully(fd, message, sizeof header + header.len, &written);
}

/* Returns the errno value that xenstored calls 'name'. */
static int
error_from_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(xsd_errors); i++) {
        if (!strcmp(xsd_errors[i].errstring, name)) {
            return xsd_errors[i].errnum;
        }
    }
    return EINVAL;
}

/* Receives from 'fd' the answer to 'op'.  Returns true if it did. */
static bool
batch_receive(int fd, struct xenstore_op *op)
{
    char payload[XENSTORE_PAYLOAD_MAX + 1];
    struct xsd_sockmsg header;
    size_t n;

    if (read_fully(fd, &header, sizeof header, &n)
        || header.len > XENSTORE_PAYLOAD_MAX
        || read_fully(fd, payload, header.len, &n)) {
        return false;
    }
    payload[header.len] = '\0';
    if (header.type == XS_ERROR) {
        op->error = error_from_name(payload);
    } else if (op->is_write) {
        op->error = 0;
    } else {
        op->error = check_value(op->path, payload, header.len);
        if (!op->error) {
            op->value = xmemdup0(payload, header.len);
        }
    }
    return true;
}

/* Adds to 'batch' that 'key' in directory 'dir' is to be read. */
void
xenstore_batch_read(struct xenstore_batch *batch, const char *dir,
                    const char *key)
{
    xenstore_batch_write(batch, dir, key, NULL);
}

/* Adds to 'batch' that 'value' is to be written to 'key' in directory
 * 'dir'. */
void
xenstore_batch_write(struct xenstore_batch *batch, const char *dir,
                     const char *key, const char *value)
{
    struct xenstore_op *op = &batch->ops[batch->n++];

    ovs_assert(batch->n <= ARRAY_SIZE(batch->ops));
    op->path = xasprintf("%s/%s", dir, key);
    op->value = nullable_xstrdup(value);
    op->is_write = value != NULL;
    op->error = EIO;
}

/* As xenstore_batch_write(), for a number. */
void
xenstore_batch_write_uint(struct xenstore_batch *batch, const char *dir,
                          const char *key, uint64_t value)
{
    char s[24];

    snprintf(s, sizeof s, "%" PRIu64, value);
    xenstore_batch_write(batch, dir, key, s);
}

/* Does all of 'batch', in its order.  Each operation has its 'error' then, as
 * xenstore_read() or xenstore_write() returns it, and logs the same. */
void
xenstore_batch_run(struct xenstore_batch *batch)
{
    bool sent[XENSTORE_BATCH_MAX];

    for (size_t i = 0; i < batch->n; i++) {
        sent[i] = batch_open(i) && batch_send(batch_fds[i], &batch->ops[i]);
    }
    for (size_t i = 0; i < batch->n; i++) {
        struct xenstore_op *op = &batch->ops[i];

        if ((!sent[i] || !batch_receive(batch_fds[i], op)) && batch_fds[i]) {
            close(batch_fds[i]);
            batch_fds[i] = 0;
        }
        if (op->is_write) {
            complain_of_write(op->path, op->error);
        }
    }
}

/* Frees what is in 'batch', which is empty then. */
void
xenstore_batch_clear(struct xenstore_batch *batch)
{
    while (batch->n) {
        struct xenstore_op *op = &batch->ops[--batch->n];

        free(op->path);
        free(op->value);
    }
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
