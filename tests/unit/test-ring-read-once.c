/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests that common/ring.h reads each word of the peer's once, and never its
 * own back: what is fetched twice can differ the second time, after the check.
 *
 * Every access counts, exactly: a watched page is inaccessible, the signal
 * handler opens it for one instruction, counts, and after that instruction
 * closes it again and changes the word, as a hostile peer would.  That needs
 * the trap flag of x86-64; elsewhere these tests are skipped.
 */
#define _GNU_SOURCE

#include "ring-check.h"

#include <signal.h>
#include <ucontext.h>

#ifdef __x86_64__

#define TRAP_FLAG 0x100
#define FAULT_WAS_A_WRITE 0x2

/* The pages that are watched, and what was seen. */
static struct {
    void *page;
    size_t size;
    int prot;       /* What an instruction may do with them. */
    uint32_t *word; /* If nonnull, set to 'value' after each access. */
    uint32_t value;
    unsigned int n_reads, n_writes;
    struct sigaction old_segv, old_trap; /* cmocka's. */
} watch;

static void
on_segv(int sig, siginfo_t *info, void *uc_)
{
    ucontext_t *uc = uc_;
    uint8_t *addr = info->si_addr, *page = watch.page;

    if (addr < page || addr >= page + watch.size) {
        /* Not ours: the same fault again is the end. */
        signal(sig, SIG_DFL);
        return;
    }
    if (uc->uc_mcontext.gregs[REG_ERR] & FAULT_WAS_A_WRITE) {
        watch.n_writes++;
    } else {
        watch.n_reads++;
    }
    mprotect(watch.page, watch.size, watch.prot);
    uc->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void
on_trap(int sig, siginfo_t *info, void *uc_)
{
    ucontext_t *uc = uc_;

    (void) sig;
    (void) info;
    if (watch.word) {
        *watch.word = watch.value;
    }
    mprotect(watch.page, watch.size, PROT_NONE);
    uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

/* Watches 'size' bytes at 'page', this side's view of some pages. */
static void
watch_pages(const void *page, size_t size, int prot)
{
    struct sigaction segv = { .sa_sigaction = on_segv,
                              .sa_flags = SA_SIGINFO };
    struct sigaction trap = { .sa_sigaction = on_trap,
                              .sa_flags = SA_SIGINFO };

    memset(&watch, 0, sizeof watch);
    sigaction(SIGSEGV, &segv, &watch.old_segv);
    sigaction(SIGTRAP, &trap, &watch.old_trap);
    watch.page = (void *) page;
    watch.size = size;
    watch.prot = prot;
    mprotect(watch.page, size, PROT_NONE);
}

/* Ends it. */
static void
unwatch(void)
{
    mprotect(watch.page, watch.size, watch.prot);
    sigaction(SIGSEGV, &watch.old_segv, NULL);
    sigaction(SIGTRAP, &watch.old_trap, NULL);
}

/* Offers 'entry' to a reader, and another as soon as it has looked. */
static enum doms_ring_broken
offer_twice(struct ring *ring, uint32_t entry, uint32_t second,
            struct doms_record *rec)
{
    bool taken;

    ring_reset(ring, DOMS_RECORD_OFFLOAD);
    ring->entries[0] = entry;
    *ring->head = 1;
    assert_int_equal(doms_ring_poll(&ring->r, 1), 1);
    watch_pages(ring->lengths.ro, ring->lengths.size, PROT_READ);
    watch.word = &ring->entries[0];
    watch.value = second;
    memset(rec, 0, sizeof *rec);
    taken = doms_ring_peek(&ring->r, rec);
    unwatch();
    assert_int_equal(taken, !ring->r.broken);
    assert_int_equal(watch.n_reads, 1);
    assert_int_equal(ring->entries[0], second);
    return ring->r.broken;
}

static void
peek_reads_an_entry_once(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    assert_int_equal(offer_twice(ring, 100, 0xffffffff, &rec), DOMS_RING_OK);
    assert_int_equal(rec.length, 100);
    assert_int_equal(rec.flags, 0);
    assert_int_equal(offer_twice(ring, 100 | 1 << 16, 61457, &rec),
                     DOMS_RING_OK);
    assert_int_equal(rec.length, 100);
    assert_int_equal(rec.flags, DOMS_RECORD_OFFLOAD);
    assert_int_equal(offer_twice(ring, 13, 100, &rec), DOMS_RING_BAD_LENGTH);
    assert_int_equal(offer_twice(ring, 100 | 2 << 16, 100, &rec),
                     DOMS_RING_BAD_FLAGS);
}

static void
read_copies_as_much_as_the_first_look_said(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    put(ring, 100, 1);
    assert_int_equal(doms_ring_poll(&ring->r, 1), 1);
    watch_pages(ring->lengths.ro, ring->lengths.size, PROT_READ);
    watch.word = &ring->entries[0];
    watch.value = 61440;
    memset(buf, 2, sizeof buf);
    assert_int_equal(doms_ring_read(&ring->r, buf, 100, &rec), 0);
    unwatch();
    assert_int_equal(watch.n_reads, 1);
    assert_int_equal(rec.length, 100);
    assert_int_equal(buf[99], 1);
    assert_int_equal(buf[100], 2);
}

static void
poll_reads_the_head_once_and_only_if_it_must(void **state)
{
    struct ring *ring = *state;

    for (int i = 0; i < 40; i++) {
        put(ring, 14, i);
    }
    watch_pages(ring->wctl.ro, ring->wctl.size, PROT_READ);
    watch.word = ring->head;
    watch.value = 5000;
    assert_int_equal(doms_ring_poll(&ring->r, 32), 32);
    assert_int_equal(watch.n_reads, 1);
    assert_int_equal(doms_ring_poll(&ring->r, 40), 40);
    assert_int_equal(watch.n_reads, 1);
    assert_int_equal(doms_ring_poll(&ring->r, 41), 0);
    assert_int_equal(watch.n_reads, 2);
    assert_int_equal(ring->r.broken, DOMS_RING_BAD_HEAD);
    assert_int_equal(doms_ring_poll(&ring->r, 41), 0);
    unwatch();
    assert_int_equal(watch.n_reads, 2);
}

static void
writer_reads_the_tail_once_and_only_when_it_seems_full(void **state)
{
    struct ring *ring = *state;

    watch_pages(ring->rctl.ro, ring->rctl.size, PROT_READ);
    for (int i = 0; i < 128; i++) {
        put(ring, 1024, i);
    }
    assert_int_equal(watch.n_reads, 0);
    *ring->tail = 1;
    watch.word = ring->tail;
    watch.value = 4711;
    assert_non_null(doms_ring_reserve(&ring->w, 1024));
    assert_int_equal(watch.n_reads, 1);
    assert_int_equal(ring->w.tail, 1);
    assert_null(doms_ring_reserve(&ring->w, 1025));
    assert_int_equal(watch.n_reads, 2);
    assert_int_equal(ring->w.broken, DOMS_RING_BAD_TAIL);
    assert_null(doms_ring_reserve(&ring->w, 1024));
    unwatch();
    assert_int_equal(watch.n_reads, 2);
}

static void
writer_reads_nothing_back_and_publishes_once_a_burst(void **state)
{
    struct ring *ring = *state;

    watch_pages(ring->wctl.rw, ring->wctl.size, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 32; i++) {
        assert_true(doms_ring_write(&ring->w, buf, 64, 0));
    }
    assert_true(doms_ring_publish(&ring->w));
    assert_false(doms_ring_publish(&ring->w));
    unwatch();
    assert_int_equal(watch.n_reads, 0);
    assert_int_equal(watch.n_writes, 1);

    watch_pages(ring->lengths.rw, ring->lengths.size, PROT_READ | PROT_WRITE);
    assert_true(doms_ring_write(&ring->w, buf, 64, 0));
    assert_true(doms_ring_publish(&ring->w));
    unwatch();
    assert_int_equal(watch.n_reads, 0);
    assert_int_equal(watch.n_writes, 1);
}

static void
reader_reads_nothing_back_and_releases_once_a_burst(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    for (int i = 0; i < 32; i++) {
        put(ring, 64, i);
    }
    watch_pages(ring->rctl.rw, ring->rctl.size, PROT_READ | PROT_WRITE);
    assert_int_equal(doms_ring_poll(&ring->r, 32), 32);
    while (doms_ring_peek(&ring->r, &rec)) {
        continue;
    }
    assert_int_equal(watch.n_writes, 0);
    assert_true(doms_ring_release(&ring->r));
    assert_false(doms_ring_release(&ring->r));
    unwatch();
    assert_int_equal(watch.n_reads, 0);
    assert_int_equal(watch.n_writes, 1);
}

static void
peek_leaves_the_bytes_of_a_record_alone(void **state)
{
    struct ring *ring = *state;
    struct doms_record rec;

    put(ring, 64, 1);
    watch_pages(ring->arena.ro, ring->arena.size, PROT_READ);
    assert_int_equal(doms_ring_poll(&ring->r, 1), 1);
    assert_true(doms_ring_peek(&ring->r, &rec));
    assert_true(doms_ring_release(&ring->r));
    unwatch();
    assert_int_equal(watch.n_reads, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(peek_reads_an_entry_once),
        RING_TEST(read_copies_as_much_as_the_first_look_said),
        RING_TEST(poll_reads_the_head_once_and_only_if_it_must),
        RING_TEST(writer_reads_the_tail_once_and_only_when_it_seems_full),
        RING_TEST(writer_reads_nothing_back_and_publishes_once_a_burst),
        RING_TEST(reader_reads_nothing_back_and_releases_once_a_burst),
        RING_TEST(peek_leaves_the_bytes_of_a_record_alone),
    };

    return cmocka_run_group_tests_name("ring-read-once", tests, NULL, NULL);
}

#else /* !__x86_64__ */

static void
not_on_this_machine(void **state)
{
    (void) state;
    skip();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_on_this_machine),
    };

    return cmocka_run_group_tests_name("ring-read-once", tests, NULL, NULL);
}

#endif /* !__x86_64__ */
