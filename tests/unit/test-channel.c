/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of common/channel.h: sizes and places in the two groups, both sides'
 * view of them, and the doorbell's words.
 */
#define _GNU_SOURCE

#include "ring-fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIB (1024 * 1024)

/* Both sides of a channel. */
struct channel {
    struct doms_geometry g;
    struct pages front, port; /* The two groups. */
    struct doms_queue front_queues[DOMS_MAX_QUEUES];
    struct doms_queue port_queues[DOMS_MAX_QUEUES];
    uint32_t *ends[2 * DOMS_MAX_QUEUES];
};

static void
channel_init(struct channel *c, uint32_t n_queues, uint32_t arena_size)
{
    size_t n_ends = doms_ring_n_lengths(arena_size);

    c->g.n_queues = n_queues;
    c->g.arena_size = arena_size;
    pages_init(&c->front, doms_group_size(&c->g));
    pages_init(&c->port, doms_group_size(&c->g));
    for (uint32_t i = 0; i < n_queues; i++) {
        c->ends[2 * i] = calloc(n_ends, sizeof(uint32_t));
        c->ends[2 * i + 1] = calloc(n_ends, sizeof(uint32_t));
        doms_queue_init(&c->front_queues[i], &c->g, i, c->front.rw,
                        (void *) c->port.ro, DOMS_RECORD_OFFLOAD,
                        c->ends[2 * i]);
        doms_queue_init(&c->port_queues[i], &c->g, i, c->port.rw,
                        (void *) c->front.ro, 0, c->ends[2 * i + 1]);
    }
}

static void
channel_destroy(struct channel *c)
{
    for (uint32_t i = 0; i < 2 * c->g.n_queues; i++) {
        free(c->ends[i]);
    }
    pages_destroy(&c->front);
    pages_destroy(&c->port);
}

static int
setup(void **state)
{
    static struct channel channel;

    channel_init(&channel, 1, DOMS_ARENA_MIN);
    *state = &channel;
    return 0;
}

static int
teardown(void **state)
{
    channel_destroy(*state);
    return 0;
}

static void
geometry_has_1_to_16_queues_and_a_legal_arena(void **state)
{
    static const struct {
        uint32_t n_queues, arena_size;
        bool ok;
    } cases[] = {
        { 0, DOMS_ARENA_DEFAULT, false },
        { 1, DOMS_ARENA_DEFAULT, true },
        { 16, DOMS_ARENA_DEFAULT, true },
        { 17, DOMS_ARENA_DEFAULT, false },
        { UINT32_MAX, DOMS_ARENA_DEFAULT, false },
        { 1, 0, false },
        { 1, 64 * 1024, false },
        { 1, 128 * 1024, true },
        { 1, 128 * 1024 + 16, false },
        { 1, 4 * MIB, true },
        { 1, 8 * MIB, false },
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct doms_geometry g = { cases[i].n_queues, cases[i].arena_size };

        assert_int_equal(doms_geometry_is_valid(&g), cases[i].ok);
    }
}

static void
default_queue_pair_takes_at_most_1_1_mib(void **state)
{
    struct doms_geometry g = { 1, DOMS_ARENA_DEFAULT };

    (void) state;
    assert_true(2 * doms_group_size(&g) * 10 <= (size_t) 11 * MIB);
    assert_int_equal(doms_group_size(&g), 4096 + 4096 + 4096 + 512 * 1024);
}

static void
lengths_take_whole_pages(void **state)
{
    (void) state;
    for (size_t i = 0; i < N_ARENA_SIZES; i++) {
        size_t size = doms_lengths_size(arena_sizes[i]);

        assert_int_equal(size % DOMS_PAGE_SIZE, 0);
        assert_true(size >= doms_ring_n_lengths(arena_sizes[i]) * 4);
        assert_true(size < doms_ring_n_lengths(arena_sizes[i]) * 4 + 4096);
    }
}

/* Fails unless 'size' bytes at 'p' start on a page, lie within 'group' of
 * 'group_size' bytes, and are none of those that 'used', with one entry for
 * each page of the group, has already.  Enters them. */
static void
claim(const uint8_t *group, size_t group_size, bool *used, const void *p_,
      size_t size)
{
    const uint8_t *p = p_;
    size_t first = (p - group) / DOMS_PAGE_SIZE;
    size_t n = (size + DOMS_PAGE_SIZE - 1) / DOMS_PAGE_SIZE;

    assert_true(p >= group && p + size <= group + group_size);
    assert_int_equal((p - group) % DOMS_PAGE_SIZE, 0);
    for (size_t i = first; i < first + n; i++) {
        assert_false(used[i]);
        used[i] = true;
    }
}

/* Checks every place in a group for geometry 'g', where nothing in
 * 'group' is touched. */
static void
check_places(const struct doms_geometry *g, uint8_t *group)
{
    size_t size = doms_group_size(g);
    size_t n_pages = size / DOMS_PAGE_SIZE;
    bool *used = calloc(n_pages, sizeof *used);

    assert_int_equal(size % DOMS_PAGE_SIZE, 0);
    claim(group, size, used, group, sizeof(struct doms_health));
    for (uint32_t i = 0; i < g->n_queues; i++) {
        struct doms_queue q;

        doms_queue_init(&q, g, i, group, group, 0, NULL);
        claim(group, size, used, q.tx.head_page,
              sizeof(struct doms_queue_ctl));
        claim(group, size, used, q.tx.lengths,
              doms_ring_n_lengths(g->arena_size) * sizeof(uint32_t));
        claim(group, size, used, q.tx.arena, g->arena_size);
    }
    for (size_t i = 0; i < n_pages; i++) {
        assert_true(used[i]);
    }
    free(used);
}

static void
places_fill_the_group_without_overlap(void **state)
{
    struct doms_geometry largest = { DOMS_MAX_QUEUES, DOMS_ARENA_MAX };
    size_t size = doms_group_size(&largest);
    uint8_t *group = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0);

    (void) state;
    assert_ptr_not_equal(group, MAP_FAILED);
    for (size_t i = 0; i < N_ARENA_SIZES; i++) {
        for (uint32_t n = 1; n <= DOMS_MAX_QUEUES; n++) {
            struct doms_geometry g = { n, arena_sizes[i] };

            check_places(&g, group);
        }
    }
    munmap(group, size);
}

static void
both_sides_see_the_same_places(void **state)
{
    struct channel c;

    (void) state;
    channel_init(&c, 3, 256 * 1024);
    for (int i = 0; i < 3; i++) {
        const struct doms_queue *f = &c.front_queues[i];
        const struct doms_queue *p = &c.port_queues[i];

        /* Places in the front's group, then in the port's. */
#define OFS(SIDE, PTR) ((const uint8_t *) (PTR) - (SIDE))
#define SAME(GROUP, OWNER, PEER)                                              \
    assert_int_equal(OFS(c.GROUP.rw, OWNER), OFS(c.GROUP.ro, PEER))
        SAME(front, f->tx.head_page, p->rx.head_page);
        SAME(front, f->tx.lengths, p->rx.lengths);
        SAME(front, f->tx.arena, p->rx.arena);
        SAME(front, f->rx.tail_page, p->tx.tail_page);
        SAME(front, f->asleep, p->peer_asleep);
        SAME(port, p->tx.head_page, f->rx.head_page);
        SAME(port, p->tx.lengths, f->rx.lengths);
        SAME(port, p->tx.arena, f->rx.arena);
        SAME(port, p->rx.tail_page, f->tx.tail_page);
        SAME(port, p->asleep, f->peer_asleep);
    }
    channel_destroy(&c);
}

/* Sends 'n' frames from 'from' to 'to'. */
static void
send_frames(struct doms_queue *from, struct doms_queue *to, uint32_t n,
            uint32_t flags)
{
    static uint8_t sent[9018], received[9018];
    struct doms_record rec = { 0 };

    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = 30 + i * 37 % 8988;

        memset(sent, i, length);
        assert_true(doms_ring_write(&from->tx, sent, length, flags));
        assert_true(doms_ring_publish(&from->tx));
        assert_int_equal(
            doms_ring_read(&to->rx, received, sizeof received, &rec), 0);
        assert_int_equal(rec.length, length);
        assert_int_equal(rec.flags, flags);
        assert_memory_equal(sent, received, length);
        assert_true(doms_ring_release(&to->rx));
    }
}

static void
each_side_writes_its_own_group_only(void **state)
{
    struct channel c;

    (void) state;
    /* The peer's group is mapped read-only, so that a store would crash. */
    channel_init(&c, DOMS_MAX_QUEUES, DOMS_ARENA_MIN);
    doms_health_init((struct doms_health *) c.front.rw, &c.g, 1);
    doms_health_init((struct doms_health *) c.port.rw, &c.g, 2);
    for (uint32_t i = 0; i < DOMS_MAX_QUEUES; i++) {
        struct doms_queue *f = &c.front_queues[i];
        struct doms_queue *p = &c.port_queues[i];

        assert_true(doms_queue_fall_asleep(f));
        assert_true(doms_queue_fall_asleep(p));
        send_frames(f, p, 100, 0);
        send_frames(p, f, 100, DOMS_RECORD_OFFLOAD);
        doms_queue_wake_up(f);
        doms_queue_wake_up(p);
        assert_true(doms_ring_writer_is_drained(&f->tx));
        assert_true(doms_ring_writer_is_drained(&p->tx));
    }
    channel_destroy(&c);
}

static void
flags_are_those_that_this_side_agreed_to(void **state)
{
    struct channel *c = *state;
    uint8_t frame[100] = { 0 };
    struct doms_record rec;

    assert_true(doms_ring_write(&c->front_queues[0].tx, frame, sizeof frame,
                                DOMS_RECORD_OFFLOAD));
    assert_true(doms_ring_publish(&c->front_queues[0].tx));
    assert_int_equal(
        doms_ring_read(&c->port_queues[0].rx, frame, sizeof frame, &rec),
        EPROTO);
}

static void
health_tells_version_and_geometry(void **state)
{
    struct channel *c = *state;
    const struct doms_health *h = (const void *) c->front.ro;

    doms_health_init((struct doms_health *) c->front.rw, &c->g, 4711);
    assert_memory_equal(h, "DOMS", 4);
    assert_int_equal(h->version, DOMS_ABI_VERSION);
    assert_int_equal(h->n_queues, 1);
    assert_int_equal(h->arena_size, DOMS_ARENA_MIN);
    assert_int_equal(h->n_lengths, 1024);
    assert_int_equal(h->epoch, 4711);
    assert_int_equal(h->state, DOMS_STATE_INIT);
    assert_int_equal(h->heartbeat, 0);
    doms_health_set_state((struct doms_health *) c->front.rw, DOMS_STATE_UP);
    assert_int_equal(h->state, DOMS_STATE_UP);
}

/* Doorbell. */

/* Makes 'q''s peer find a record. */
static void
send_one(struct doms_queue *q)
{
    uint8_t frame[60] = { 0 };

    assert_true(doms_ring_write(&q->tx, frame, sizeof frame, 0));
    assert_true(doms_ring_publish(&q->tx));
}

static void
reader_of_an_empty_ring_falls_asleep_and_the_peer_sees_it(void **state)
{
    struct channel *c = *state;
    struct doms_queue *f = &c->front_queues[0], *p = &c->port_queues[0];

    assert_false(doms_queue_peer_wants_bell(f));
    assert_true(doms_queue_fall_asleep(p));
    assert_true(doms_queue_peer_wants_bell(f));
    /* It is the one side's word and not the other's. */
    assert_false(doms_queue_peer_wants_bell(p));
    doms_queue_wake_up(p);
    assert_false(doms_queue_peer_wants_bell(f));
}

static void
sleeper_is_rung_once_for_each_sleep(void **state)
{
    struct channel *c = *state;
    struct doms_queue *f = &c->front_queues[0], *p = &c->port_queues[0];

    p->n_sleeps = UINT32_MAX - 2;
    for (int i = 0; i < 5; i++) {
        assert_true(doms_queue_fall_asleep(p));
        assert_int_not_equal(*p->asleep, 0);
        assert_true(doms_queue_peer_wants_bell(f));
        assert_false(doms_queue_peer_wants_bell(f));
        doms_queue_wake_up(p);
        assert_false(doms_queue_peer_wants_bell(f));
    }
}

static void
reader_with_something_to_read_does_not_fall_asleep(void **state)
{
    struct channel *c = *state;
    struct doms_queue *f = &c->front_queues[0], *p = &c->port_queues[0];

    send_one(f);
    assert_false(doms_queue_fall_asleep(p));
    /* It has taken its announcement back. */
    assert_false(doms_queue_peer_wants_bell(f));
}

static void
reader_of_a_broken_ring_does_not_fall_asleep(void **state)
{
    struct channel *c = *state;
    struct doms_queue *f = &c->front_queues[0], *p = &c->port_queues[0];

    *f->tx.head_page = 5000;
    assert_false(doms_queue_fall_asleep(p));
    assert_int_equal(p->rx.broken, DOMS_RING_BAD_HEAD);
    assert_false(doms_queue_peer_wants_bell(f));
    assert_false(doms_queue_fall_asleep(p));
}

static void
any_value_but_zero_means_asleep(void **state)
{
    struct channel *c = *state;

    *c->port_queues[0].asleep = 0x80000000;
    assert_true(doms_queue_peer_wants_bell(&c->front_queues[0]));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(geometry_has_1_to_16_queues_and_a_legal_arena),
        cmocka_unit_test(default_queue_pair_takes_at_most_1_1_mib),
        cmocka_unit_test(lengths_take_whole_pages),
        cmocka_unit_test(places_fill_the_group_without_overlap),
        cmocka_unit_test(both_sides_see_the_same_places),
        cmocka_unit_test(each_side_writes_its_own_group_only),
        TEST(flags_are_those_that_this_side_agreed_to),
        TEST(health_tells_version_and_geometry),
        TEST(reader_of_an_empty_ring_falls_asleep_and_the_peer_sees_it),
        TEST(sleeper_is_rung_once_for_each_sleep),
        TEST(reader_with_something_to_read_does_not_fall_asleep),
        TEST(reader_of_a_broken_ring_does_not_fall_asleep),
        TEST(any_value_but_zero_means_asleep),
    };

    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
