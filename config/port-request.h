/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a user asks of a guest's port, from words.
 *
 * A guest is asked for as NAME followed by WORD=VALUE, each word at most once
 * and in any order, on the command line or as one line of a file.  This module
 * turns such words into a struct port_request, and checks all that can be
 * checked without a switch: that each word is known and each value in range.
 * It does not know how the request is carried out.
 *
 * A function that fails leaves one line in 'why', which starts with the word
 * in question, and ends with what to do about it.
 *
 * Thread-safety: the functions keep no state.
 */

#ifndef CONFIG_PORT_REQUEST_H
#define CONFIG_PORT_REQUEST_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/socket-msg.h"

/* Bytes enough for every 'why'. */
#define PORT_REQUEST_WHY_SIZE 512

/* Bytes of a bridge's name and of an interface id, with the null byte. */
#define PORT_REQUEST_BRIDGE_SIZE 128
#define PORT_REQUEST_IFACE_ID_SIZE 256

#define PORT_REQUEST_N_VLANS 4096

/* The least and the most bits per second that 'rate' takes. */
#define PORT_REQUEST_RATE_MIN UINT64_C(8000)
#define PORT_REQUEST_RATE_MAX UINT64_C(4000000000000)

/* What is asked of one guest's port.  A member that was not named holds the
 * value in brackets. */
struct port_request {
    char name[DOMS_NAME_SIZE]; /* The guest's name, and the port's. */
    char bridge[PORT_REQUEST_BRIDGE_SIZE]; /* The bridge's name [""]. */
    uint8_t mac[6];        /* If 'has_mac': the guest's address. */
    bool has_mac;          /* Was 'mac' named? [false] */
    unsigned int mtu;      /* Bytes [0]. */
    unsigned int queues;   /* Queue pairs [0]. */
    unsigned int arena;    /* Bytes of each ring's arena [0]. */
    int tag;               /* The access VLAN [-1]. */
    unsigned int n_trunks; /* Number of VLANs in 'trunks' [0]. */
    uint64_t trunks[PORT_REQUEST_N_VLANS / 64]; /* Bitmap of trunked VLANs. */
    uint64_t rate; /* Bits/s that the guest may send [0]. */
    char iface_id
        [PORT_REQUEST_IFACE_ID_SIZE]; /* For external-ids:iface-id [""]. */
    unsigned int line;                /* The file's line that asks [0]. */
};

int port_request_parse(struct port_request *, int n_words, char *const words[],
                       char *why, size_t why_size);
int port_request_parse_file(FILE *, const char *file_name,
                            struct port_request **requests, size_t *n,
                            char *why, size_t why_size);

bool port_request_has_trunk(const struct port_request *, unsigned int vlan);

int port_request_parse_uint(const char *s, unsigned int min, unsigned int max,
                            unsigned int *value);
const char *port_request_nearest(const char *word,
                                 const char *const candidates[], size_t n);

#endif /* config/port-request.h */
