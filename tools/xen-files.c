/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "xen-files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"
#include "xen-keys.h"

const char *
xen_config_dir(void)
{
    const char *dir = getenv("DOMS_CONFIG_DIR");

    return dir && *dir ? dir : XEN_CONFIG_DIR;
}

/* Reads the file of the port 'name' in 'dir' into '*r'.  Returns NULL, or what
 * is wrong with it. */
static char *
read_file(const char *dir, const char *name, struct port_request *r)
{
    char *path = xasprintf("%s/ports/%s", dir, name);
    struct port_request *requests = NULL;
    char problem[PORT_REQUEST_WHY_SIZE];
    FILE *stream = fopen(path, "r");
    char *why = NULL;
    size_t n = 0;

    if (!stream) {
        why = xasprintf("%s: cannot be read: %s", path, ovs_strerror(errno));
    } else if (port_request_parse_file(stream, path, &requests, &n, problem,
                                       sizeof problem)) {
        why = xstrdup(problem);
    } else if (n != 1) {
        why = xasprintf("%s: describes %" PRIuSIZE " ports; write one line, "
                        "'%s' and its words",
                        path, n, name);
    } else if (strcmp(requests[0].name, name)) {
        why = xasprintf("%s:%u: describes '%s'; a file is named as the port "
                        "that it describes",
                        path, requests[0].line, requests[0].name);
    } else {
        *r = requests[0];
    }
    if (stream) {
        fclose(stream);
    }
    free(requests);
    free(path);
    return why;
}

static int
compare_requests(const void *a_, const void *b_)
{
    const struct port_request *a = a_, *b = b_;

    return strcmp(a->name, b->name);
}

int
xen_files_read(const char *dir, struct xen_files *files)
{
    char *folder = xasprintf("%s/ports", dir);
    DIR *stream = opendir(folder);
    size_t allocated = 0;
    int error = stream ? 0 : errno;
    struct dirent *de;

    memset(files, 0, sizeof *files);
    shash_init(&files->broken);
    free(folder);
    if (!stream) {
        return error == ENOENT ? 0 : error;
    }
    while ((de = readdir(stream))) {
        char *why;

        /* Others are an editor's, or not complete yet. */
        if (!doms_name_is_valid(de->d_name)) {
            continue;
        }
        if (files->n >= allocated) {
            files->requests = x2nrealloc(files->requests, &allocated,
                                         sizeof *files->requests);
        }
        why = read_file(dir, de->d_name, &files->requests[files->n]);
        if (why) {
            shash_add(&files->broken, de->d_name, why);
        } else {
            files->n++;
        }
    }
    closedir(stream);
    if (files->n) {
        qsort(files->requests, files->n, sizeof *files->requests,
              compare_requests);
    }
    return 0;
}

void
xen_files_destroy(struct xen_files *files)
{
    free(files->requests);
    shash_destroy_free_data(&files->broken);
    files->requests = NULL;
    files->n = 0;
}

const struct port_request *
xen_files_find(const struct xen_files *files, const char *name)
{
    for (size_t i = 0; i < files->n; i++) {
        if (!strcmp(files->requests[i].name, name)) {
            return &files->requests[i];
        }
    }
    return NULL;
}

/* Writes 'text' to the new file 'path', down to the disk. */
static int
write_all(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t length = strlen(text);
    int error = 0;

    if (fd < 0) {
        return errno;
    }
    if (write(fd, text, length) != (ssize_t) length) {
        error = errno ? errno : ENOSPC;
    } else if (fsync(fd)) {
        error = errno;
    }
    close(fd);
    return error;
}

int
xen_files_write(const char *dir, const struct port_request *request,
                char **why)
{
    char *path = xasprintf("%s/ports/%s", dir, request->name);
    char *new = xasprintf("%s/ports/.%s.new", dir, request->name);
    struct ds text = DS_EMPTY_INITIALIZER;
    struct xen_words words;
    int error;

    ds_put_format(&text,
                  "# See doms-ctl(8); doms-watchdog heeds a change at "
                  "once.\n%s",
                  request->name);
    xen_words_from_request(&words, request);
    for (size_t i = 0; i < words.n; i++) {
        ds_put_format(&text, " %s=%s", words.words[i].name,
                      words.words[i].value);
    }
    ds_put_char(&text, '\n');
    error = write_all(new, ds_cstr(&text));
    if (!error && rename(new, path)) {
        error = errno;
    }
    if (error) {
        *why = xasprintf("%s cannot be written: %s; see the folder's "
                         "permissions and the free space",
                         path, ovs_strerror(error));
        unlink(new);
    }
    xen_words_destroy(&words);
    ds_destroy(&text);
    free(path);
    free(new);
    return error;
}

int
xen_files_remove(const char *dir, const char *name, char **why)
{
    char *path = xasprintf("%s/ports/%s", dir, name);
    int error = unlink(path) && errno != ENOENT ? errno : 0;

    if (error) {
        *why = xasprintf("%s cannot be removed: %s; see the folder's "
                         "permissions",
                         path, ovs_strerror(error));
    }
    free(path);
    return error;
}

int
xen_files_lock(const char *dir, char **why)
{
    char *folder = xasprintf("%s/ports", dir);
    int error = 0, fd = -1;

    if ((mkdir(dir, 0755) && errno != EEXIST)
        || (mkdir(folder, 0755) && errno != EEXIST)) {
        error = errno;
    } else {
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX)) {
            error = errno;
        }
    }
    if (error) {
        *why = xasprintf("%s cannot be used: %s; name another with "
                         "--config-dir",
                         folder, ovs_strerror(error));
        if (fd >= 0) {
            close(fd);
        }
    }
    free(folder);
    return error ? -error : fd;
}
