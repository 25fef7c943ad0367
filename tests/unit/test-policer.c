/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of doms/policer.h.  Rates are so low that no token comes while a test
 * runs, or so high that the bucket is full again after a millisecond.
 */
#define _GNU_SOURCE
#include <config.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "doms/policer.h"

#include <cmocka.h>

#define SLOW 1                        /* Bytes a second. */
#define FAST UINT64_C(10000000000000) /* The same. */

static struct policer policer;

static int
setup(void **state)
{
    (void) state;
    policer_init(&policer);
    return 0;
}

static int
teardown(void **state)
{
    (void) state;
    policer_destroy(&policer);
    return 0;
}

/* Runs a burst of 'n' packets of 'length' bytes.  Returns how many passed. */
static uint32_t
pass(uint32_t n, uint32_t length)
{
    struct dp_packet_batch batch;
    uint64_t n_bytes = n * length;
    uint32_t n_dropped;

    dp_packet_batch_init(&batch);
    for (uint32_t i = 0; i < n; i++) {
        struct dp_packet *packet = dp_packet_new(length);

        dp_packet_put_zeros(packet, length);
        dp_packet_batch_add(&batch, packet);
    }
    n_dropped = policer_run(&policer, &batch, &n_bytes);
    assert_int_equal(dp_packet_batch_size(&batch), n - n_dropped);
    assert_int_equal(n_bytes, (n - n_dropped) * length);
    dp_packet_delete_batch(&batch, true);
    return n - n_dropped;
}

static void
without_a_rate_all_pass(void **state)
{
    (void) state;
    assert_int_equal(pass(32, 1500), 32);
    policer_set(&policer, SLOW, 1000);
    assert_int_equal(pass(32, 1500), 1);
    policer_set(&policer, 0, 0);
    assert_int_equal(pass(32, 1500), 32);
}

static void
no_more_than_the_burst_passes_at_once(void **state)
{
    (void) state;
    policer_set(&policer, SLOW, 10000);
    assert_int_equal(pass(32, 1000), 10);
    assert_int_equal(pass(32, 1000), 0);
}

static void
what_is_set_again_fills_no_bucket(void **state)
{
    (void) state;
    for (int i = 0; i < 100; i++) {
        policer_set(&policer, SLOW, 10000);
        assert_int_equal(pass(32, 1000), i ? 0 : 10);
    }
    policer_set(&policer, SLOW, 10001);
    assert_int_equal(pass(32, 1000), 10);
}

static void
packet_longer_than_the_burst_passes_and_leaves_a_debt(void **state)
{
    (void) state;
    policer_set(&policer, SLOW, 10000);
    assert_int_equal(pass(3, 60000), 1);
    assert_int_equal(pass(32, 60), 0);

    /* The debt is paid before anything passes. */
    ovs_mutex_lock(&policer.mutex);
    assert_int_equal(policer.tokens, 10000 - 60000);
    policer.tokens += 50059;
    ovs_mutex_unlock(&policer.mutex);
    assert_int_equal(pass(32, 60), 0);
    ovs_mutex_lock(&policer.mutex);
    policer.tokens++;
    ovs_mutex_unlock(&policer.mutex);
    assert_int_equal(pass(32, 60), 1);
}

static void
bucket_fills_no_further_than_the_burst(void **state)
{
    (void) state;
    policer_set(&policer, FAST, 10000);
    for (int i = 0; i < 10; i++) {
        usleep(1000);
        assert_in_range(pass(1, 60000), 1, 1);
        usleep(1000);
        assert_int_equal(pass(1, 10000), 1);
        ovs_mutex_lock(&policer.mutex);
        assert_true(policer.tokens <= 10000);
        ovs_mutex_unlock(&policer.mutex);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_rate_all_pass, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_more_than_the_burst_passes_at_once,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_set_again_fills_no_bucket,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            packet_longer_than_the_burst_passes_and_leaves_a_debt, setup,
            teardown),
        cmocka_unit_test_setup_teardown(bucket_fills_no_further_than_the_burst,
                                        setup, teardown),
    };

    return cmocka_run_group_tests_name("policer", tests, NULL, NULL);
}
