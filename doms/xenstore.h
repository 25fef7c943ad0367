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

bool xenstore_open(void);
void xenstore_wait(void);

int xenstore_read(char **value, const char *dir, const char *key);
int xenstore_read_uint(uint64_t *value, uint64_t max, const char *dir,
                       const char *key);
int xenstore_write(const char *dir, const char *key, const char *value);
int xenstore_write_uint(const char *dir, const char *key, uint64_t value);
int xenstore_remove(const char *path);
char **xenstore_list(const char *path, size_t *n);

int xenstore_watch(const char *path, const char *token);
void xenstore_unwatch(const char *path, const char *token);
bool xenstore_next_event(char **path, char **token);

#endif /* doms/xenstore.h */
