/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plays the backend of one device by the rules of the xenbus door, so that
 * hostile-switch.c can break them one at a time.
 *
 * A door belongs to the guest 'front'.  What it does itself is right: it
 * offers, maps what the front grants, and connects.  Every wait ends after
 * DOOR_PATIENCE seconds with an error that names the attack under way.
 *
 * Any failure ends the program: who runs it looks at the exit status.
 */

#ifndef HOSTILE_DOOR_H
#define HOSTILE_DOOR_H 1

#include <stdbool.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "common/xenbus.h"

/* XenbusState of the two sides. */
enum {
    DOOR_INITIALISING = 1,
    DOOR_INIT_WAIT,
    DOOR_INITIALISED,
    DOOR_CONNECTED,
    DOOR_CLOSING,
    DOOR_CLOSED,
};

#define DOOR_PATIENCE 45

/* What the backend offers, besides its address, MTU and link, which are always
 * the same. */
struct offer {
    uint32_t arena;
    uint64_t features; /* DOMS_F_*. */
};

/* A mapped channel. */
struct mapping {
    struct doms_geometry geometry;
    uint32_t n;  /* Pages of one group. */
    void *front; /* The front's group; read-only. */
    void *own;   /* The switch's group. */
    uint32_t *ends;
    struct doms_queue queue; /* The first queue pair. */
};

struct door {
    struct xs_handle *xs;
    xengnttab_handle *tab;
    uint32_t front; /* The guest's domid. */
    char front_dir[64];
    char back_dir[64];
    const char *doing; /* The attack under way. */
    struct mapping map;
};

void door_open(struct door *door, uint32_t front);
void door_close(struct door *door);

/* Prints what is wrong and ends the program. */
void door_fail(const struct door *door, const char *format, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* Milliseconds of a clock that only grows. */
int64_t now_ms(void);

/* Keys.  A 'value' of NULL removes the key. */
void door_set(struct door *door, const char *key, const char *value);
void door_set_state(struct door *door, unsigned int state);
void door_set_offer(struct door *door, const struct offer *offer);
unsigned int door_front_state(struct door *door);
/* Returns a number of the front's, which must be there. */
uint32_t door_front_number(struct door *door, const char *key);
void door_await(struct door *door, unsigned int state);
/* Returns false if the front's state is not 'state' within 'ms'. */
bool door_comes_to(struct door *door, unsigned int state, int ms);

/* Gets the front to state 1, whatever it is about, and writes 'offer'. */
void door_begin(struct door *door, const struct offer *offer);
/* Reads the 'n' grants of the front's directory into 'refs'. */
void door_read_directory(struct door *door, uint32_t *refs, uint32_t n);
/* Waits for the front's channel and maps all of it. */
void door_map(struct door *door, const struct offer *offer);
void door_unmap(struct door *door);
/* Makes the health page right. */
void door_introduce(struct door *door);
/* All of the above, until the front says that it is connected. */
void door_connect(struct door *door, const struct offer *offer);
/* The control pages of the first queue pair. */
struct doms_queue_ctl *door_own_ctl(struct door *door);
const struct doms_queue_ctl *door_front_ctl(struct door *door);
/* Lets go of everything and leaves the front where no pause is due: it may
 * have left us, or not. */
void door_part(struct door *door);

#endif /* hostile-door.h */
