/* The chain as a whole: opening, choosing the tip, reorganising, coming back after a stop. */
#include <config.h>

#include <string.h>

#include "tests/chain/chain_builder.h"

static void a_new_chain_stands_at_genesis(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    struct chain_tip tip;
    test_chain_open(&t, &p, 0);
    chain_get_tip(t.chain, &tip);
    assert_int_equal(tip.height, 0);
    assert_memory_equal(tip.hash.b, p.genesis_hash.b, 32);
    assert_int_equal(tip.chain_tx_count, 1);
    test_chain_close(&t);
}

static void submitted_blocks_become_the_tip(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 2);
    test_chain_grow(&t, 5);
    assert_int_equal(test_chain_tip_height(&t), 5);
    assert_int_equal(t.connected, 5);
    assert_string_equal(test_chain_submit(&t, &t.blocks[3]), "duplicate");
    assert_true(test_chain_has_coin(&t, &t.blocks[5].coinbase, NULL));
    test_chain_close(&t);
}

static void the_chain_is_the_same_after_a_restart(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1000);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 8);
    struct hash256 before = test_chain_coins(&t), after;
    test_chain_reopen(&t);
    assert_int_equal(test_chain_tip_height(&t), 8);
    after = test_chain_coins(&t);
    assert_memory_equal(before.b, after.b, 32);
    test_chain_grow(&t, 1);
    assert_int_equal(test_chain_tip_height(&t), 9);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_chain_stands_at_genesis),
        cmocka_unit_test(submitted_blocks_become_the_tip),
        cmocka_unit_test(the_chain_is_the_same_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
