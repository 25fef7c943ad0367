/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domsd's connection to xenstore.
 *
 * Paths that do not start with '/' are relative to /local/domain/D, where D is
 * the domain in which domsd runs.  What is read was written by another domain,
 * perhaps a hostile one: a value comes back only if it is a short string of
 * printable characters, and a number only if it is in range.
 *
 * Each call but xenstore_next_event() waits for xenstored's answer.  Nothing
 * of this is called by a thread that polls ports, so a slow xenstored delays
 * guests' coming and going, and no packet.
 *
 * Thread-safety: main thread only.
 */

#ifndef DOMS_XENSTORE_H
#define DOMS_XENSTORE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

/* The longest value that is taken from xenstore. */
#define XENSTORE_VALUE_MAX 1023

/* Operations in a batch. */
#define XENSTORE_BATCH_MAX 16

/* What is to be read or written, and then what came of it. */
struct xenstore_op {
    char *path;
    char *value; /* To write, or as read; NULL until then, or if 'error'. */
    bool is_write;
    int error; /* 0 or a positive errno value. */
};

/* Operations that xenstored is asked for all at once, and carries out one
 * after the other: the wait is for one answer, not for each. */
struct xenstore_batch {
    size_t n; /* Initially 0. */
    struct xenstore_op ops[XENSTORE_BATCH_MAX];
};

bool xenstore_open(void);
void xenstore_wait(void);

int xenstore_read(char **value, const char *dir, const char *key);
int xenstore_read_uint(uint64_t *value, uint64_t max, const char *dir,
                       const char *key);
int xenstore_write(const char *dir, const char *key, const char *value);
int xenstore_write_uint(const char *dir, const char *key, uint64_t value);
int xenstore_parse_uint(uint64_t *value, uint64_t max, const char *s);

void xenstore_batch_read(struct xenstore_batch *batch, const char *dir,
                         const char *key);
void xenstore_batch_write(struct xenstore_batch *batch, const char *dir,
                          const char *key, const char *value);
void xenstore_batch_write_uint(struct xenstore_batch *batch, const char *dir,
                               const char *key, uint64_t value);
void xenstore_batch_run(struct xenstore_batch *batch);
void xenstore_batch_clear(struct xenstore_batch *batch);

int xenstore_remove(const char *path);
char **xenstore_list(const char *path, size_t *n);

int xenstore_watch(const char *path, const char *token);
void xenstore_unwatch(const char *path, const char *token);
bool xenstore_next_event(char **path, char **token);

#endif /* doms/xenstore.h */
