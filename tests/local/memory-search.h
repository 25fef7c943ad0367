/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for a secret in all that a process can reach: every page that it has
 * mapped, and every file that it has open and could map.
 *
 * The same search is in find-secret, which looks at any process from outside,
 * and in a domsd that has turned against its guests and looks at itself
 * (hostile-switch.c).
 *
 * The secret itself must not get into a process by being looked for.  So it is
 * always given inverted, bit by bit, and compared so.
 *
 * Thread-safety: one search at a time.
 */

#ifndef TESTS_LOCAL_MEMORY_SEARCH_H
#define TESTS_LOCAL_MEMORY_SEARCH_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Bytes of a secret. */
#define SECRET_SIZE 16

/* A secret, inverted. */
struct secret {
    uint8_t inverted[SECRET_SIZE];
};

/* What a search has come to. */
struct memory_search {
    uint64_t n_found;    /* Places where the secret is. */
    uint64_t n_mappings; /* Mappings that were read, */
    uint64_t n_files;    /* files that were, */
    uint64_t n_bytes;    /* and the bytes of both. */
    uint64_t n_reserved; /* Mappings that were not: address space set apart,
                          * by sanitizers and DPDK, too large to be read. */
};

/* A line of /proc/PID/maps. */
struct mapping {
    uint64_t start, end;
    char access[5]; /* Such as "rw-s". */
    uint64_t inode;
    char name[256];
};

bool secret_from_string(const char *, struct secret *);
bool mapping_from_line(const char *line, struct mapping *);
int memory_search(pid_t, const struct secret *, FILE *places,
                  struct memory_search *);
void memory_search_print(const struct memory_search *, FILE *);

#endif /* memory-search.h */
