/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile DomS: what a front must survive.
 *
 * usage: hostile-switch DOMID ATTACK...
 *        hostile-switch list
 *
 * Runs in an ordinary guest to which Dom0 has given the backend of device 0 of
 * guest DOMID.  For each ATTACK it connects to the front as domsd would
 * (hostile-door.h), does one thing that domsd never does, and looks at what
 * the front makes of it: some attacks cost the front this channel ('breaks'),
 * others nothing ('goes-on': it still takes a good frame afterwards), or the
 * interface ('comes': there is a new one).  It prints, for each,
 *
 *     attack=NAME end=END counted=N
 *
 * where N is what the attack adds to the front's counter of such things.  It
 * exits with 0 only if each ended as it should.  The state of the guest behind
 * the front is for the caller to look at.
 *
 * Attack 'keep' holds on to two channels after it has left them, says so, and
 * waits until /run/let-go exists.
 */

#include "hostile-attacks.h"

#include <stdio.h>
#include <stdlib.h>

/* How an attack ends. */
enum end {
    BREAKS,  /* The front leaves this channel. */
    GOES_ON, /* It takes a good frame. */
    PARTS,   /* The same; the attack makes its own connections before. */
    COMES,   /* It connects again; but its interface is down. */
};

struct attack {
    const char *name;
    const struct offer *offer; /* What to connect with. */
    enum end end;
    bool early; /* Runs when all is mapped, before state 4. */
    uint32_t (*run)(struct door *door); /* NULL: counts the queues. */
};

static const struct attack attacks[] = {
    { "length-0", &full, BREAKS, false, length_0 },
    { "length-13", &full, BREAKS, false, length_13 },
    { "length-over", &full, BREAKS, false, length_over },
    { "length-ffff", &full, BREAKS, false, length_ffff },
    { "offload-short", &full, BREAKS, false, offload_short },
    { "flag-unknown", &full, BREAKS, false, flag_unknown },
    { "flags-all", &full, BREAKS, false, flags_all },
    { "offload-unasked", &bare, BREAKS, false, offload_unasked },
    { "head-empty", &full, BREAKS, false, head_empty },
    { "head-far", &full, BREAKS, false, head_far },
    { "head-2-31", &full, BREAKS, false, head_2_31 },
    { "head-back", &full, BREAKS, false, head_back },
    { "tail-ahead", &full, BREAKS, false, tail_ahead },
    { "tail-2-31", &full, BREAKS, false, tail_2_31 },
    { "tail-back", &full, BREAKS, false, tail_back },
    { "race-illegal", &full, BREAKS, false, race_illegal },
    { "race-legal", &full, GOES_ON, false, race_legal },
    { "offload-lies", &full, GOES_ON, false, offload_lies },
    { "offload-hints", &full, GOES_ON, false, offload_hints },
    { "offload-fuzz", &full, GOES_ON, false, offload_fuzz },
    { "tso-unasked", &csum_only, GOES_ON, false, tso_unasked },
    { "too-long", &full, GOES_ON, false, too_long },
    { "health-noise", &full, GOES_ON, false, health_noise },
    { "health-magic", &full, BREAKS, true, health_magic },
    { "health-version", &full, BREAKS, true, health_version },
    { "health-queues", &full, BREAKS, true, health_queues },
    { "health-arena", &full, BREAKS, true, health_arena },
    { "bad-config", &full, GOES_ON, false, bad_config },
    { "bad-offers", NULL, PARTS, false, bad_offers },
    { "flap", NULL, PARTS, false, flap },
    { "flap-online", NULL, COMES, false, flap_online },
    { "too-large", NULL, PARTS, false, too_large },
    { "keep", NULL, PARTS, false, keep },
    { "map-writable", &full, GOES_ON, true, map_writable },
    /* No attacks: what a guest can afford. */
    { "largest", &largest, GOES_ON, false, NULL },
    { "usual", &full, GOES_ON, false, NULL },
};

static void
prove_alive(struct door *door)
{
    send_frame(door, NULL, FRAME_SIZE);
    flush_frames(door);
    if (door_front_state(door) != DOOR_CONNECTED) {
        door_fail(door, "the front has left: state %u",
                  door_front_state(door));
    }
}

static uint32_t
do_early(struct door *door, const struct attack *a)
{
    uint32_t counted;

    door_begin(door, a->offer);
    door_set_state(door, DOOR_INIT_WAIT);
    door_map(door, a->offer);
    door_introduce(door);
    counted = a->run(door);
    door_set_state(door, DOOR_CONNECTED);
    if (a->end == GOES_ON) {
        door_await(door, DOOR_CONNECTED);
    }
    return counted;
}

static void
attack(struct door *door, const struct attack *a)
{
    static const char *const ends[] = { "breaks", "goes-on", "goes-on",
                                        "comes" };
    uint32_t counted = 0;

    door->doing = a->name;
    if (a->early) {
        counted = do_early(door, a);
    } else if (a->end >= PARTS) {
        counted = a->run(door);
        door_connect(door, &full);
    } else {
        door_connect(door, a->offer);
        counted = a->run ? a->run(door) : door->map.geometry.n_queues;
    }
    if (a->end == BREAKS) {
        door_await(door, DOOR_CLOSING);
    } else if (a->end != COMES) {
        prove_alive(door);
    }
    door_part(door);
    printf("attack=%s end=%s counted=%u\n", a->name, ends[a->end], counted);
    fflush(stdout);
}

static const struct attack *
find_attack(const char *name)
{
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        if (!strcmp(attacks[i].name, name)) {
            return &attacks[i];
        }
    }
    fprintf(stderr, "hostile-switch: no such attack: %s\n", name);
    exit(2);
}

int
main(int argc, char *argv[])
{
    struct door door;

    if (argc == 2 && !strcmp(argv[1], "list")) {
        for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
            puts(attacks[i].name);
        }
        return 0;
    }
    if (argc < 3) {
        fputs("usage: hostile-switch DOMID ATTACK... | list\n", stderr);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        find_attack(argv[i]);
    }
    door_open(&door, strtoul(argv[1], NULL, 10));
    for (int i = 2; i < argc; i++) {
        attack(&door, find_attack(argv[i]));
    }
    door_close(&door);
    return 0;
}
