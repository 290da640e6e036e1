#include "script/flags.h"
#include "tests/script/script_sign.h"
#include "tests/test.h"

/* The flag appears at `first` and not one block earlier. */
static void starts_at(uint32_t flag, int32_t first)
{
    assert_int_equal(script_flags_for_block(&main_heights, first - 1) & flag, 0);
    assert_int_equal(script_flags_for_block(&main_heights, first) & flag, flag);
    assert_int_equal(script_flags_for_block(&main_heights, 2000000) & flag, flag);
}

static void main_network_flags_start_at_their_blocks(void **state)
{
    (void)state;
    starts_at(SCRIPT_P2SH, 173806);
    starts_at(SCRIPT_DERSIG, 363725);
    starts_at(SCRIPT_CLTV, 388381);
    starts_at(SCRIPT_CSV, 419328);
    starts_at(SCRIPT_STRICTENC | SCRIPT_SIGHASH_FORKID, 478559);
    starts_at(SCRIPT_LOW_S | SCRIPT_NULLFAIL, 504032);
    starts_at(SCRIPT_GENESIS | SCRIPT_SIGPUSHONLY, 620538);
    starts_at(SCRIPT_CHRONICLE, 943816);
    assert_int_equal(script_flags_for_block(&main_heights, 0), 0);
}

static void policy_rules_are_never_consensus(void **state)
{
    uint32_t all = script_flags_for_block(&main_heights, 2000000);

    (void)state;
    assert_int_equal(all & (SCRIPT_NULLDUMMY | SCRIPT_MINIMALDATA | SCRIPT_CLEANSTACK |
                            SCRIPT_DISCOURAGE_UPGRADABLE_NOPS | SCRIPT_MINIMALIF |
                            SCRIPT_COMPRESSED_PUBKEYTYPE | SCRIPT_UTXO_AFTER_GENESIS |
                            SCRIPT_UTXO_AFTER_CHRONICLE), 0);
}

static void coin_height_gives_the_utxo_bits(void **state)
{
    (void)state;
    assert_int_equal(script_flags_for_coin(&main_heights, 1, 620537), 1);
    assert_int_equal(script_flags_for_coin(&main_heights, 1, 620538),
                     1 | SCRIPT_UTXO_AFTER_GENESIS);
    assert_int_equal(script_flags_for_coin(&main_heights, 0, 943815), SCRIPT_UTXO_AFTER_GENESIS);
    assert_int_equal(script_flags_for_coin(&main_heights, 0, 943816),
                     SCRIPT_UTXO_AFTER_GENESIS | SCRIPT_UTXO_AFTER_CHRONICLE);
}

static void eras_begin_at_their_heights(void **state)
{
    (void)state;
    assert_int_equal(script_era_of(&main_heights, 620537), SCRIPT_ERA_ORIGINAL);
    assert_int_equal(script_era_of(&main_heights, 620538), SCRIPT_ERA_GENESIS);
    assert_int_equal(script_era_of(&main_heights, 943816), SCRIPT_ERA_CHRONICLE);
    assert_int_equal(script_utxo_era(0), SCRIPT_ERA_ORIGINAL);
    assert_int_equal(script_utxo_era(SCRIPT_UTXO_AFTER_GENESIS), SCRIPT_ERA_GENESIS);
    assert_int_equal(script_utxo_era(SCRIPT_UTXO_AFTER_GENESIS | SCRIPT_UTXO_AFTER_CHRONICLE),
                     SCRIPT_ERA_CHRONICLE);
}

static void policy_contains_the_mandatory_flags(void **state)
{
    const int32_t heights[] = { 600000, 620538, 943815, 943816 };

    (void)state;
    for (int i = 0; i < 4; i++) {
        uint32_t policy = script_flags_for_policy(&main_heights, heights[i]);
        uint32_t must = script_flags_mandatory(&main_heights, heights[i]);
        uint32_t block = script_flags_for_block(&main_heights, heights[i]);
        assert_int_equal(policy & must, must);
        assert_int_equal(policy & block, block); /* nothing a block refuses gets into the pool */
        assert_true(policy & SCRIPT_MINIMALDATA);
        assert_false(must & SCRIPT_MINIMALDATA);
    }
    assert_true(script_flags_mandatory(&main_heights, 943816) & SCRIPT_CHRONICLE);
    assert_false(script_flags_mandatory(&main_heights, 943815) & SCRIPT_CHRONICLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(main_network_flags_start_at_their_blocks),
        cmocka_unit_test(policy_rules_are_never_consensus),
        cmocka_unit_test(coin_height_gives_the_utxo_bits),
        cmocka_unit_test(eras_begin_at_their_heights),
        cmocka_unit_test(policy_contains_the_mandatory_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
