/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h>

#include "xen-conf.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "config/port-request.h"
#include "util.h"

/* A key. */
static const struct key {
    const char *name; /* What stands before '='. */
    size_t offset;    /* Of its member. */
    unsigned int min; /* The least number; unless it is text. */
    unsigned int max; /* The greatest number, or 0 for text. */
    unsigned int ms;  /* Milliseconds that 1 stands for. */
} keys[] = {
    { "domain", offsetof(struct xen_conf, domain), 0, 0, 0 },
    { "config", offsetof(struct xen_conf, config), 0, 0, 0 },
    { "xl", offsetof(struct xen_conf, xl), 0, 0, 0 },
    { "start_timeout_s", offsetof(struct xen_conf, start_timeout_ms), 1, 3600,
      1000 },
    { "hang_timeout_ms", offsetof(struct xen_conf, hang_timeout_ms), 1500,
      3600000, 1 },
    { "backoff_min_ms", offsetof(struct xen_conf, backoff_min_ms), 1, 3600000,
      1 },
    { "backoff_max_s", offsetof(struct xen_conf, backoff_max_ms), 1, 86400,
      1000 },
    { "stable_s", offsetof(struct xen_conf, stable_ms), 1, 86400, 1000 },
    { "restart_limit", offsetof(struct xen_conf, restart_limit), 0, 64, 1 },
    { "restart_window_s", offsetof(struct xen_conf, restart_window_ms), 1,
      86400, 1000 },
};

/* Sets all to their defaults. */
void
xen_conf_init(struct xen_conf *conf)
{
    *conf = (struct xen_conf){
        .domain = "doms",
        .config = "/etc/doms/doms.cfg",
        .start_timeout_ms = 60000,
        .hang_timeout_ms = 3000,
        .backoff_min_ms = 1000,
        .backoff_max_ms = 60000,
        .stable_ms = 10000,
        .restart_limit = 12,
        .restart_window_ms = 600000,
    };
}

static const struct key *
find_key(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (!strcmp(keys[i].name, name)) {
            return &keys[i];
        }
    }
    return NULL;
}

/* Tells in 'why' that 'name' is no key. */
static void
explain_unknown(const char *name, char *why, size_t size)
{
    const char *names[ARRAY_SIZE(keys)];
    const char *nearest;

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        names[i] = keys[i].name;
    }
    nearest = port_request_nearest(name, names, ARRAY_SIZE(keys));
    snprintf(why, size,
             "'%.40s' is not a key%s%s%s; doms-watchdog(8) lists "
             "the keys",
             name, nearest ? " (did you mean '" : "", nearest ? nearest : "",
             nearest ? "'?)" : "");
}

/* Sets the key 'name' to 'value'. */
static int
set(struct xen_conf *conf, const char *name, const char *value, char *why,
    size_t size)
{
    const struct key *key = find_key(name);
    char *member = (char *) conf + (key ? key->offset : 0);
    unsigned int number;

    if (!key) {
        explain_unknown(name, why, size);
        return EINVAL;
    }
    if (!key->max) {
        if (!*value || strlen(value) >= XEN_CONF_TEXT) {
            snprintf(why, size, "%s: give 1 to %d characters", name,
                     XEN_CONF_TEXT - 1);
            return EINVAL;
        }
        ovs_strlcpy(member, value, XEN_CONF_TEXT);
        return 0;
    }
    if (port_request_parse_uint(value, key->min, key->max, &number)) {
        snprintf(why, size, "%s: '%.40s' is not a number from %u to %u", name,
                 value, key->min, key->max);
        return EINVAL;
    }
    *(unsigned int *) (void *) member = number * key->ms;
    return 0;
}

/* Cuts blanks off both ends of 's', which it overwrites. */
static char *
strip(char *s)
{
    size_t n;

    s += strspn(s, " \t\r\n");
    n = strlen(s);
    while (n && strchr(" \t\r\n", s[n - 1])) {
        n--;
    }
    s[n] = '\0';
    return s;
}

/* Reads 'stream', the file 'file_name', into 'conf', which has been
 * initialized.  Returns 0, or EINVAL with the line in question and what is
 * wrong with it in 'why' of 'why_size' bytes. */
int
xen_conf_parse(struct xen_conf *conf, FILE *stream, const char *file_name,
               char *why, size_t why_size)
{
    char problem[PORT_REQUEST_WHY_SIZE / 2];
    unsigned int number = 0;
    char *line = NULL;
    size_t size = 0;
    int error = 0;

    while (!error && getline(&line, &size, stream) >= 0) {
        char *name, *equals;

        number++;
        line[strcspn(line, "#")] = '\0';
        name = strip(line);
        equals = strchr(name, '=');
        if (!*name) {
            continue;
        }
        if (!equals) {
            snprintf(problem, sizeof problem,
                     "'%.40s' has no '='; write key=value", name);
            error = EINVAL;
        } else {
            *equals = '\0';
            error = set(conf, strip(name), strip(equals + 1), problem,
                        sizeof problem);
        }
    }
    free(line);
    if (!error && conf->backoff_max_ms < conf->backoff_min_ms) {
        conf->backoff_max_ms = conf->backoff_min_ms;
    }
    if (error) {
        snprintf(why, why_size, "%.128s:%u: %s", file_name, number, problem);
    }
    return error;
}

/* Reads the file doms.conf of the folder 'dir' into 'conf'.  Returns 0, also
 * if there is none, or a positive errno value with a line in '*why', which the
 * caller frees. */
int
xen_conf_read(struct xen_conf *conf, const char *dir, char **why)
{
    char *path = xasprintf("%s/doms.conf", dir);
    FILE *stream = fopen(path, "r");
    char problem[PORT_REQUEST_WHY_SIZE];
    int error = 0;

    xen_conf_init(conf);
    snprintf(conf->config, sizeof conf->config, "%.200s/doms.cfg", dir);
    if (stream) {
        error = xen_conf_parse(conf, stream, path, problem, sizeof problem);
        if (error) {
            *why = xstrdup(problem);
        }
        fclose(stream);
    } else if (errno != ENOENT) {
        error = errno;
        *why = xasprintf("%s cannot be read: %s", path, ovs_strerror(error));
    }
    free(path);
    return error;
}
