/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks by a thread that rewrites what the front reads, and by a health page
 * that is wrong from the beginning. */

#include "hostile-attacks.h"

#include <pthread.h>
#include <unistd.h>

static void
set_head(struct door *door, uint32_t head)
{
    DOMS_STORE_RELEASE(&door_own_ctl(door)->head, head);
}

/* Attacks by a thread that rewrites what the front reads. */

struct spinner {
    struct door *door;
    void (*turn)(struct door *door);
    bool stop; /* Atomic. */
    pthread_t thread;
};

static void *
spin(void *spinner_)
{
    struct spinner *s = spinner_;

    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        s->turn(s->door);
    }
    return NULL;
}

static void
spinner_start(struct spinner *s)
{
    if (pthread_create(&s->thread, NULL, spin, s)) {
        door_fail(s->door, "cannot start a thread");
    }
}

static void
spinner_stop(struct spinner *s)
{
    __atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
    pthread_join(s->thread, NULL);
}

/* A length entry that a front may take, with offload or without. */
static uint32_t
legal_entry(void)
{
    uint32_t r = draw();

    if (r & 1) {
        return (30 + (r >> 8) % (DOMS_FRAME_MAX - 30)) | 1u << 16;
    }
    return 14 + (r >> 8) % (r & 2 ? 1600 : DOMS_FRAME_MAX - 14);
}

static void
rewrite_legally(struct door *door)
{
    struct doms_ring_writer *tx = &door->map.queue.tx;
    volatile uint32_t *arena = (volatile uint32_t *) tx->arena;

    for (int i = 0; i < 64; i++) {
        uint32_t r = draw();

        DOMS_WRITE_ONCE(tx->lengths[r & tx->length_mask], legal_entry());
        arena[draw() % (tx->arena_size / 4)] = draw() & 0xff01ff01;
    }
}

static void
rewrite_all(struct door *door)
{
    struct doms_ring_writer *tx = &door->map.queue.tx;

    rewrite_legally(door);
    DOMS_WRITE_ONCE(tx->lengths[draw() & tx->length_mask], draw());
}

/* Fills the ring with legal entries and frames, and keeps as many records in
 * it as it has entries while 'turn' rewrites them.  Returns how many the front
 * has taken. */
static uint32_t
race(struct door *door, void (*turn)(struct door *door))
{
    struct spinner s = { .door = door, .turn = turn };
    struct doms_ring_writer *tx = &door->map.queue.tx;
    int64_t end = now_ms() + SPIN_MS;
    uint32_t taken = 0;

    for (uint32_t i = 0; i + 2048 < tx->arena_size; i += 512) {
        make_frame(tx->arena + i + (i / 512 % 2 ? 16 : 0), 496);
    }
    for (uint32_t i = 0; i <= tx->length_mask; i++) {
        DOMS_WRITE_ONCE(tx->lengths[i], legal_entry());
    }
    spinner_start(&s);
    while (now_ms() < end && door_front_state(door) == DOOR_CONNECTED) {
        for (int i = 0; i < 1000; i++) {
            taken = DOMS_READ_ONCE(door_front_ctl(door)->tail);
            set_head(door, taken + tx->length_mask + 1);
            take_all(door);
        }
    }
    spinner_stop(&s);
    if (!taken) {
        door_fail(door, "the front has read nothing");
    }
    return taken;
}

uint32_t
race_legal(struct door *door)
{
    struct doms_ring_writer *tx = &door->map.queue.tx;
    uint32_t taken = race(door, rewrite_legally);
    uint32_t head = DOMS_READ_ONCE(door_own_ctl(door)->head);

    /* What is still in the ring is legal too; then the ring is ours again. */
    tx->head = tx->published = head;
    for (int64_t end = now_ms() + DOOR_PATIENCE * 1000;
         DOMS_READ_ONCE(door_front_ctl(door)->tail) != head;) {
        if (now_ms() > end) {
            door_fail(door, "the front has stopped at %u of %u", taken, head);
        }
        take_all(door);
        usleep(1000);
    }
    return head;
}

uint32_t
race_illegal(struct door *door)
{
    race(door, rewrite_all);
    return 1;
}

static void
rewrite_health(struct door *door)
{
    uint32_t *words = door->map.own;

    DOMS_WRITE_ONCE(words[draw() % (DOMS_PAGE_SIZE / 4)], draw());
}

/* The whole health page is noise, then it stands still for longer than a
 * front waits before it looks after the switch. */
uint32_t
health_noise(struct door *door)
{
    struct spinner s = { .door = door, .turn = rewrite_health };

    spinner_start(&s);
    for (int64_t end = now_ms() + SPIN_MS; now_ms() < end;) {
        send_frame(door, NULL, FRAME_SIZE);
        flush_frames(door);
    }
    spinner_stop(&s);
    for (int64_t end = now_ms() + SPIN_MS; now_ms() < end;) {
        send_frame(door, NULL, FRAME_SIZE);
        flush_frames(door);
    }
    return 0;
}

/* Attacks by a health page that is wrong from the beginning. */

uint32_t
health_magic(struct door *door)
{
    ((struct doms_health *) door->map.own)->magic = 0;
    return 1;
}

uint32_t
health_version(struct door *door)
{
    ((struct doms_health *) door->map.own)->version = 0xffff;
    return 1;
}

uint32_t
health_queues(struct door *door)
{
    ((struct doms_health *) door->map.own)->n_queues = 16;
    return 1;
}

uint32_t
health_arena(struct door *door)
{
    ((struct doms_health *) door->map.own)->arena_size = 1u << 31;
    return 1;
}
