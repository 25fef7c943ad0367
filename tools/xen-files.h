/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports that Dom0 is to give to guests, as files: one a port, in the
 * folder 'ports' of the configuration folder, named as the port.
 *
 * A file has one line of the words of 'doms-ctl attach', the port's name
 * first; '#' starts a comment.  It is replaced as a whole or not at all, so
 * that whoever reads it sees either the old or the new one.
 *
 * Thread-safety: the functions keep no state; two processes that may both
 * write take xen_files_lock().
 */

#ifndef TOOLS_XEN_FILES_H
#define TOOLS_XEN_FILES_H 1

#include <stdbool.h>
#include <stddef.h>

#include "config/port-request.h"
#include "openvswitch/shash.h"

/* The configuration folder, unless the user or DOMS_CONFIG_DIR names one. */
#define XEN_CONFIG_DIR "/etc/doms"

/* Returns the configuration folder to use when the user names none. */
const char *xen_config_dir(void);

/* What the files of a folder say. */
struct xen_files {
    struct port_request *requests; /* One a good file, sorted by name. */
    size_t n;                      /* Number of 'requests'. */
    struct shash broken;           /* Name of each other file: a line (char *)
                                   * that says what is wrong with it. */
};

/* Reads the files of the configuration folder 'dir'.  No folder is no file.
 * Returns 0, or a positive errno value if the folder cannot be read. */
int xen_files_read(const char *dir, struct xen_files *);

/* Frees what it holds. */
void xen_files_destroy(struct xen_files *);

/* Returns the request of the port 'name', or NULL. */
const struct port_request *xen_files_find(const struct xen_files *,
                                          const char *name);

/* Writes the file of the port that 'request' is about.  Returns 0, or a
 * positive errno value with a line in '*why', which the caller frees. */
int xen_files_write(const char *dir, const struct port_request *request,
                    char **why);

/* Removes the file of the port 'name'.  Returns 0, or a positive errno value
 * with a line in '*why', which the caller frees. */
int xen_files_remove(const char *dir, const char *name, char **why);

/* Makes the folders that are not there, and waits until no other process has
 * the lock.  Returns a file descriptor, to be closed to give the lock back, or
 * a negative errno value with a line in '*why'. */
int xen_files_lock(const char *dir, char **why);

#endif /* tools/xen-files.h */
