/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Dom0 writes into xenstore for a guest's port: every path, every value
 * and every permission, and nothing but these.
 *
 * docs/protocol.md, "Who writes which node", is the contract; common/xenbus.h
 * has the names of the keys.  The functions only make lists, so that a test
 * can look at them without Xen; xen-store.h writes a list.
 *
 * A directory comes before what is in it, and what is in it has its
 * permissions.  A key that another domain writes is there from the start and
 * empty, so that it belongs to whoever owns the directory, and counts against
 * that domain's quota.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef TOOLS_XEN_KEYS_H
#define TOOLS_XEN_KEYS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/port-request.h"

/* The highest domid of an ordinary domain. */
#define XEN_DOMID_MAX 0x7fefu

/* The highest number of a guest's device. */
#define XEN_HANDLE_MAX 63u

/* Bytes of a path that the functions below write, with the null byte. */
#define XEN_PATH_SIZE 192

/* Who may do what with a node, besides Dom0, which may do all. */
struct xen_perms {
    unsigned int owner;  /* Its owner, who may do all. */
    bool has_writer;     /* Is there ... */
    unsigned int writer; /* ... a domain that reads and writes it? */
    bool has_reader;     /* Is there ... */
    unsigned int reader; /* ... a domain that reads it? */
};

/* A node to write. */
struct xen_node {
    char *path;             /* Where. */
    char *value;            /* What a key holds, or NULL for a directory. */
    struct xen_perms perms; /* Of a directory. */
};

/* A list of nodes, in the order in which to write them. */
struct xen_nodes {
    struct xen_node *nodes; /* The nodes. */
    size_t n;               /* Number of 'nodes'. */
    size_t allocated;       /* Room in 'nodes'. */
};

#define XEN_NODES_INITIALIZER                                                 \
    {                                                                         \
        NULL, 0, 0                                                            \
    }

void xen_nodes_destroy(struct xen_nodes *);

/* Both ends of a device. */
struct xen_pair {
    unsigned int doms;   /* The domid of DomS. */
    unsigned int guest;  /* The guest's. */
    unsigned int handle; /* The number of the guest's device. */
    const char *port;    /* The port's name. */
    const char *mac;     /* The guest's address, or "". */
    uint64_t generation; /* Another for each pair ever made; not 0. */
};

void xen_name_to_node(char node[DOMS_NAME_SIZE], const char *name);
void xen_name_from_node(char name[DOMS_NAME_SIZE], const char *node);

void xen_path_description(char path[XEN_PATH_SIZE], unsigned int doms,
                          const char *name);
void xen_path_front(char path[XEN_PATH_SIZE], unsigned int guest,
                    unsigned int handle);
void xen_path_back(char path[XEN_PATH_SIZE], unsigned int doms,
                   unsigned int guest, unsigned int handle);

/* Permissions of a front's directory. */
struct xen_perms xen_perms_front(const struct xen_pair *);

void xen_keys_base(struct xen_nodes *, unsigned int doms);
void xen_keys_front(struct xen_nodes *, const struct xen_pair *);
void xen_keys_back(struct xen_nodes *, const struct xen_pair *);

/* The words of a request, as keys of a description. */
struct xen_word {
    const char *name; /* The key, "vm-uuid" included. */
    char *value;      /* Its value, never empty. */
};

#define XEN_MAX_WORDS 12

/* The words of one request. */
struct xen_words {
    struct xen_word words[XEN_MAX_WORDS]; /* The words. */
    size_t n;                             /* Number of 'words'. */
};

void xen_words_from_request(struct xen_words *, const struct port_request *);
void xen_words_add(struct xen_words *, const char *name, const char *value);
const char *xen_words_get(const struct xen_words *, const char *name);
void xen_words_destroy(struct xen_words *);

void xen_keys_description(struct xen_nodes *, unsigned int doms,
                          const char *name, const struct xen_words *,
                          uint64_t serial);

bool xen_name_split(const char *name, char domain[DOMS_NAME_SIZE],
                    unsigned int *handle);

#endif /* tools/xen-keys.h */
