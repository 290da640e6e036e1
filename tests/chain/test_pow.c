/* Proof of work, and the required bits under each rule (spec consensus 2.1, 2.3). */
#include <config.h>

#include "chain/pow.h"

#include <string.h>

#include "tests/chain/header_util.h"
#include "tests/test.h"

#define LIMIT 0x1d00ffffu
#define SOME 0x1b0404cbu /* well below the limit */

static struct u256 target_of(uint32_t bits)
{
    bool negative, overflow;
    return u256_from_compact(bits, &negative, &overflow);
}

static void targets_that_are_no_targets(void **state)
{
    (void)state;
    static const uint32_t bad[] = {
        0x00000000, 0x01003456, /* zero */
        0x04923456, 0x1d80ffff, /* negative */
        0xff123456, 0x23000001, /* overflow */
        0x1d010000, 0x1e00ffff, /* easier than the limit */
    };
    struct u256 target;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(pow_target(params_get(NETWORK_MAIN), bad[i], &target));
    assert_true(pow_target(params_get(NETWORK_MAIN), LIMIT, &target));
    assert_true(pow_target(params_get(NETWORK_MAIN), 0x03000001, &target));
}

static void hash_up_to_the_target_is_enough(void **state)
{
    (void)state;
    struct block_hash hash;
    const struct u256 target = target_of(SOME), one = u256_from_u64(1),
                      above = u256_add(&target, &one);
    u256_to_le(hash.b, &target);
    assert_true(pow_hash_ok(params_get(NETWORK_MAIN), &hash, SOME));
    u256_to_le(hash.b, &above);
    assert_false(pow_hash_ok(params_get(NETWORK_MAIN), &hash, SOME));
    assert_true(pow_hash_ok(params_get(NETWORK_MAIN), &hash, LIMIT));
}

static void kept_bits_say_the_same_as_single_questions(void **state)
{
    (void)state;
    static const uint32_t all[] = { LIMIT, SOME, 0, 0x207fffff, 0x03000001 };
    const struct chain_params *p = params_get(NETWORK_MAIN);
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct pow_bits b;
        struct block_hash hash = { { 0 } };
        pow_bits_init(&b, p, all[i]);
        const struct u256 work = pow_work_of_bits(all[i]);
        assert_int_equal(u256_cmp(&b.work, &work), 0);
        assert_int_equal(pow_bits_met(&b, &hash), pow_hash_ok(p, &hash, all[i]));
        memset(hash.b, 0xff, 32);
        assert_false(pow_bits_met(&b, &hash));
    }
}

static void work_is_the_number_of_hashes_a_target_takes(void **state)
{
    (void)state;
    const struct u256 easiest = u256_from_u64(2), limit = u256_from_u64(UINT64_C(0x100010001));
    struct u256 work = pow_work_of_bits(0x207fffff);
    assert_int_equal(u256_cmp(&work, &easiest), 0);
    work = pow_work_of_bits(LIMIT);
    assert_int_equal(u256_cmp(&work, &limit), 0);
    work = pow_work_of_bits(0x03000001); /* target 1: half of all hashes of 256 bits */
    assert_int_equal(u256_bits(&work), 256);
    work = pow_work_of_bits(0);
    assert_true(u256_is_zero(&work));
    work = pow_work_of_bits(0x04923456);
    assert_true(u256_is_zero(&work));
}

static void genesis_has_the_limit(void **state)
{
    (void)state;
    assert_int_equal(pow_required_bits(params_get(NETWORK_MAIN), NULL, STEADY_START), LIMIT);
}

static void regtest_never_changes(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 2015, 2016, 1, 0x207ffffe);
    assert_int_equal(bare_chain_required(&c, NETWORK_REGTEST, 90000), 0x207ffffe);
    bare_chain_clear(&c);
}

static void retarget_scales_by_the_span_of_2015_gaps(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 4031, 2016, 400, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1),
                     bits_scaled(SOME, 2015 * 400, 1209600));
    bare_chain_clear(&c);
    bare_chain_steady(&c, 4031, 2016, 600, LIMIT);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1),
                     bits_scaled(LIMIT, 2015 * 600, 1209600));
    bare_chain_clear(&c);
    bare_chain_steady(&c, 4031, 2016, 700, LIMIT); /* would be easier than allowed */
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1), LIMIT);
    bare_chain_clear(&c);
}

static void retarget_is_by_four_at_most(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 4031, 2016, 1, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1), bits_scaled(SOME, 1, 4));
    bare_chain_clear(&c);
    bare_chain_steady(&c, 4031, 2016, 6000, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1), bits_scaled(SOME, 4, 1));
    bare_chain_clear(&c);
}

static void only_every_2016th_block_retargets(void **state)
{
    (void)state;
    struct bare_chain c;
    for (int32_t height = 4028; height < 4034; height++) {
        bare_chain_steady(&c, height, 2016, 400, SOME);
        assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1) != SOME, height == 4031);
        bare_chain_clear(&c);
    }
}

/* 30 blocks; the median of the last is gap after that of six blocks before. */
static uint32_t after_slow_blocks(uint32_t gap, uint32_t bits, int32_t height)
{
    struct bare_chain c;
    bare_chain_steady(&c, height - 6, 24, 1, bits);
    const uint32_t base = header_median_time(bare_chain_last(&c));
    for (uint32_t i = 0; i < 6; i++) /* the first of them is the new median */
        bare_chain_add(&c, base + gap + i, bits);
    assert_int_equal(header_median_time(bare_chain_last(&c)) - base, gap);
    const uint32_t got = bare_chain_required(&c, NETWORK_MAIN, 1);
    bare_chain_clear(&c);
    return got;
}

static void twelve_hours_for_six_blocks_make_it_a_fifth_easier(void **state)
{
    (void)state;
    assert_int_equal(after_slow_blocks(43199, SOME, 480000), SOME);
    assert_int_equal(after_slow_blocks(43200, SOME, 480000), bits_scaled(SOME, 5, 4));
    assert_int_equal(after_slow_blocks(900000, SOME, 480000), bits_scaled(SOME, 5, 4));
    assert_int_equal(after_slow_blocks(43200, SOME, 100000),
                     bits_scaled(SOME, 5, 4)); /* also long before the fork */
    assert_int_equal(after_slow_blocks(43200, LIMIT, 480000), LIMIT);
    assert_int_equal(after_slow_blocks(43200, 0x1d00fffe, 480000), LIMIT);
}

static void late_block_of_a_test_network_may_have_the_limit(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 2100, 80, 600, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 1200), SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 1201), LIMIT);
    for (int i = 0; i < 20; i++)
        bare_chain_add(&c, bare_chain_last(&c)->time + 1201, LIMIT);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 600),
                     SOME); /* the last bits that were not the limit */
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 600), LIMIT);
    bare_chain_clear(&c);
}

static void walk_to_the_last_real_bits_ends_at_a_retarget(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 2015, 20, 600, SOME);
    for (int i = 0; i < 5; i++) /* 2016 itself has the limit */
        bare_chain_add(&c, bare_chain_last(&c)->time + 1201, LIMIT);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 600), LIMIT);
    bare_chain_clear(&c);
}

static void daa_begins_after_the_block_at_its_height(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 504030, 200, 500, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 500),
                     SOME); /* 504031 is not on the grid of retargets */
    bare_chain_add(&c, bare_chain_last(&c)->time + 500, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 500), bits_by_daa(SOME, 144, 144 * 500));
    bare_chain_clear(&c);
}

static void daa_keeps_steady_blocks_steady_and_follows_the_rest(void **state)
{
    (void)state;
    static const uint32_t gaps[] = { 301, 500, 600, 601, 1000, 1199 };
    struct bare_chain c;
    for (size_t i = 0; i < sizeof(gaps) / sizeof(*gaps); i++) {
        bare_chain_steady(&c, 600000, 200, gaps[i], SOME);
        assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1),
                         bits_by_daa(SOME, 144, 144 * gaps[i]));
        bare_chain_clear(&c);
    }
}

static void daa_counts_no_less_than_half_and_no_more_than_twice_the_time(void **state)
{
    (void)state;
    static const uint32_t spans[] = { 100, 43199, 43200, 43201, 172799, 172800, 172801, 500000 };
    for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++) {
        struct bare_chain c;
        bare_chain_steady(&c, 600000, 10, 0, SOME); /* suitable block of the start: STEADY_START */
        for (int j = 0; j < 144; j++)
            bare_chain_add(&c, STEADY_START + spans[i], SOME); /* and of the end: span later */
        const uint64_t span = spans[i] < 43200 ? 43200 : spans[i] > 172800 ? 172800 : spans[i];
        assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1), bits_by_daa(SOME, 144, span));
        bare_chain_clear(&c);
    }
}

static void daa_never_passes_the_limit(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 600000, 200, 2000, LIMIT);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1), LIMIT);
    bare_chain_clear(&c);
}

/*
 * Which of the last three blocks, at times a, b and c, the DAA takes: it shows in the work between
 * the block and the steady start, whose own suitable block is the middle of the first three.
 */
static int chosen_of_three(uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t times[3] = { a, b, c };
    struct bare_chain chain;
    int found = -1;
    bare_chain_steady(&chain, 600000, 144, 0, SOME);
    for (int i = 0; i < 3; i++)
        bare_chain_add(&chain, STEADY_START + 50000 + times[i], SOME);
    const uint32_t got = bare_chain_required(&chain, NETWORK_MAIN, 1);
    for (int i = 0; i < 3; i++)
        if (bits_by_daa(SOME, (uint64_t)(143 + i), 50000 + times[i]) == got)
            found = i;
    bare_chain_clear(&chain);
    return found;
}

static void suitable_block_is_the_middle_by_time_in_the_order_of_the_exchanges(void **state)
{
    (void)state;
    assert_int_equal(chosen_of_three(0, 10, 20), 1);
    assert_int_equal(chosen_of_three(20, 10, 0), 1);
    assert_int_equal(chosen_of_three(10, 0, 20), 0);
    assert_int_equal(chosen_of_three(0, 20, 10), 2);
    assert_int_equal(chosen_of_three(10, 20, 0), 0);
    assert_int_equal(chosen_of_three(20, 0, 10), 2);
    /* Equal times: only strictly greater ones change places. */
    assert_int_equal(chosen_of_three(5, 5, 5), 1);
    assert_int_equal(chosen_of_three(5, 5, 9), 1);
    assert_int_equal(chosen_of_three(9, 5, 5), 1);
    assert_int_equal(chosen_of_three(5, 9, 5), 2);
    assert_int_equal(chosen_of_three(5, 0, 5), 0);
}

static void late_block_of_a_test_network_under_the_daa(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 1400000, 200, 600, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 1200),
                     bits_by_daa(SOME, 144, 144 * 600));
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 1201), LIMIT);
    bare_chain_clear(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_that_are_no_targets),
        cmocka_unit_test(hash_up_to_the_target_is_enough),
        cmocka_unit_test(kept_bits_say_the_same_as_single_questions),
        cmocka_unit_test(work_is_the_number_of_hashes_a_target_takes),
        cmocka_unit_test(genesis_has_the_limit),
        cmocka_unit_test(regtest_never_changes),
        cmocka_unit_test(retarget_scales_by_the_span_of_2015_gaps),
        cmocka_unit_test(retarget_is_by_four_at_most),
        cmocka_unit_test(only_every_2016th_block_retargets),
        cmocka_unit_test(twelve_hours_for_six_blocks_make_it_a_fifth_easier),
        cmocka_unit_test(late_block_of_a_test_network_may_have_the_limit),
        cmocka_unit_test(walk_to_the_last_real_bits_ends_at_a_retarget),
        cmocka_unit_test(daa_begins_after_the_block_at_its_height),
        cmocka_unit_test(daa_keeps_steady_blocks_steady_and_follows_the_rest),
        cmocka_unit_test(daa_counts_no_less_than_half_and_no_more_than_twice_the_time),
        cmocka_unit_test(daa_never_passes_the_limit),
        cmocka_unit_test(suitable_block_is_the_middle_by_time_in_the_order_of_the_exchanges),
        cmocka_unit_test(late_block_of_a_test_network_under_the_daa),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
