/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks by xenstore, and by mapped pages. */

#include "hostile-attacks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Attacks by xenstore. */

/* A key with a value of the backend's that makes no sense. */
struct nonsense {
    const char *key;
    const char *value; /* "long": 1900 digits, near xenstored's limit. */
};

static void
say_nonsense(struct door *door, const struct nonsense *n)
{
    static char digits[1901];

    if (n->value && !strcmp(n->value, "long")) {
        memset(digits, '9', sizeof digits - 1);
        door_set(door, n->key, digits);
    } else {
        door_set(door, n->key, n->value);
    }
}

static const char *const numbers[] = {
    "",           "-1",       "x",    "0x1",
    " 1",         "1 ",       "1e9",  "99999999999999999999",
    "4294967296", "\xff\xfe", "long", NULL,
};
#define N_NUMBERS (sizeof numbers / sizeof numbers[0])

/* Offers none of which the front may take up. */
uint32_t
bad_offers(struct door *door)
{
    static const struct nonsense more[] = {
        { DOMS_XS_VERSION, "0" },     { DOMS_XS_VERSION, "2" },
        { DOMS_XS_VERSION, "long" },  { DOMS_XS_VERSION, NULL },
        { DOMS_XS_MAX_QUEUES, "0" },  { DOMS_XS_MAX_QUEUES, "-1" },
        { DOMS_XS_MAX_QUEUES, NULL }, { DOMS_XS_ARENA, "0" },
        { DOMS_XS_ARENA, "131071" },  { DOMS_XS_ARENA, "393216" },
        { DOMS_XS_ARENA, "8388608" }, { DOMS_XS_ARENA, "2147483648" },
    };
    struct nonsense all[N_NUMBERS + sizeof more / sizeof more[0]];
    uint32_t n = 0;

    for (; n < N_NUMBERS; n++) {
        all[n] = (struct nonsense){ DOMS_XS_ARENA, numbers[n] };
    }
    memcpy(&all[n], more, sizeof more);
    n += sizeof more / sizeof more[0];

    door_begin(door, &full);
    for (uint32_t i = 0; i < n; i++) {
        say_nonsense(door, &all[i]);
        door_set_state(door, DOOR_INIT_WAIT);
        if (door_comes_to(door, DOOR_INITIALISED, FORBEARANCE_MS)) {
            door_fail(door, "the front takes up %s=%.40s", all[i].key,
                      all[i].value ? all[i].value : "(none)");
        }
        door_set_state(door, DOOR_INITIALISING);
        door_set_offer(door, &full);
    }
    return n;
}

/* Nonsense that a connected front must ignore, or not believe. */
uint32_t
bad_config(struct door *door)
{
    static const char *const keys[] = {
        DOMS_XS_MTU,          DOMS_XS_LINK,        DOMS_XS_MAC,
        DOMS_XS_ARENA,        DOMS_XS_MAX_QUEUES,  DOMS_XS_VERSION,
        DOMS_XS_FEATURE_CSUM, DOMS_XS_FEATURE_TSO, DOMS_XS_ERROR,
    };
    static const struct nonsense more[] = {
        { DOMS_XS_MTU, "67" },
        { DOMS_XS_MTU, "9217" },
        { DOMS_XS_MAC, "ff:ff:ff:ff:ff:ff" },
        { DOMS_XS_MAC, "01:00:00:00:00:01" },
        { DOMS_XS_MAC, "00:00:00:00:00:00" },
        { DOMS_XS_MAC, "02:00:00:00:00" },
        { DOMS_XS_LINK, "2" },
    };
    uint32_t n = 0;

    for (uint32_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (uint32_t j = 0; j < N_NUMBERS; j++, n++) {
            say_nonsense(door, &(struct nonsense){ keys[i], numbers[j] });
        }
        door_set_offer(door, &full);
    }
    for (uint32_t i = 0; i < sizeof more / sizeof more[0]; i++, n++) {
        say_nonsense(door, &more[i]);
    }
    door_set_offer(door, &full);
    return n;
}

/* Changes the state 'n' times, faster than anybody can follow, also to some
 * that there are not.  With 'online', takes the port away now and then. */
static uint32_t
change_states(struct door *door, uint32_t n, bool online)
{
    static const char *const states[] = {
        "1", "2", "3", "4", "5", "6",  "1",  "2",          "4",
        "0", "7", "8", "9", "",  "-1", "4x", "4294967298",
    };

    door_begin(door, &full);
    for (uint32_t i = 0; i < n; i++) {
        door_set(door, "state",
                 states[draw() % (sizeof states / sizeof states[0])]);
        if (online && i % 20 == 19) {
            door_set(door, "online", i % 40 == 19 ? "0" : "1");
        }
    }
    door_set(door, "online", "1");
    return n;
}

uint32_t
flap(struct door *door)
{
    return change_states(door, 400, false);
}

uint32_t
flap_online(struct door *door)
{
    return change_states(door, 400, true);
}

/* Asks for more than a guest with few grants has. */
uint32_t
too_large(struct door *door)
{
    door_begin(door, &largest);
    door_set_state(door, DOOR_INIT_WAIT);
    if (door_comes_to(door, DOOR_INITIALISED, 4 * FORBEARANCE_MS)) {
        door_fail(door, "the front has so many grants");
    }
    return 1;
}

/* Two channels are left, and stay mapped. */
uint32_t
keep(struct door *door)
{
    struct mapping kept[2];

    for (int i = 0; i < 2; i++) {
        door_connect(door, &full);
        kept[i] = door->map;
        memset(&door->map, 0, sizeof door->map);
    }
    door_begin(door, &full);
    door_set_state(door, DOOR_INIT_WAIT);
    if (door_comes_to(door, DOOR_INITIALISED, 10 * FORBEARANCE_MS)) {
        door_fail(door, "the front offers a third channel");
    }
    puts("kept=2");
    fflush(stdout);
    for (int64_t end = now_ms() + 2 * DOOR_PATIENCE * 1000;
         access("/run/let-go", F_OK);) {
        if (now_ms() > end) {
            door_fail(door, "nobody says to let go");
        }
        usleep(10000);
    }
    for (int i = 0; i < 2; i++) {
        door->map = kept[i];
        door_unmap(door);
    }
    return 2;
}

/* Tries to map the front's own group for writing, page by page. */
uint32_t
map_writable(struct door *door)
{
    uint32_t n = door->map.n;
    uint32_t *refs = calloc(2 * n, sizeof *refs);

    if (!refs) {
        door_fail(door, "no memory");
    }
    door_read_directory(door, refs, 2 * n);
    for (uint32_t i = 0; i < n; i++) {
        if (xengnttab_map_grant_ref(door->tab, door->front, refs[i],
                                    PROT_READ | PROT_WRITE)) {
            door_fail(door, "page %u of the front's own group is writable", i);
        }
    }
    free(refs);
    return n;
}
