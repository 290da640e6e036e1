/* Behaviours 1 to 16 of spec consensus-tests, part A: parameters and headers (15:
 * test_behaviours_b.c). */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "chain/header_check.h"
#include "chain/pow.h"
#include "tests/chain/chain_builder.h"
#include "tests/chain/header_util.h"

#define LATER INT64_C(4000000000)
#define SOME 0x1b0404cbu
#define LIMIT 0x1d00ffffu

/* The header's own fields, the coinbase put together from its parts. */
static void behaviour_01_genesis_blocks_rebuilt_from_fields(void **state)
{
    (void)state;
    static const struct {
        uint32_t time, bits, nonce;
        const char *hash;
        enum chain_network network;
    } table[] = {
        { 1231006505, LIMIT, 2083236893,
          "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f", NETWORK_MAIN },
        { 1296688602, LIMIT, 414098458,
          "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943", NETWORK_TEST },
        { 1296688602, LIMIT, 414098458,
          "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943", NETWORK_STN },
        { 1296688602, 0x207fffff, 2,
          "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206", NETWORK_REGTEST },
    };
    static const char headline[] =
        "The Times 03/Jan/2009 Chancellor on brink of second bailout for banks";
    struct buf tx = unhex("01000000"
                          "01"
                          "0000000000000000000000000000000000000000000000000000000000000000"
                          "ffffffff"
                          "4d"
                          "04ffff001d"
                          "0104"
                          "45");
    buf_put(&tx, headline, sizeof(headline) - 1);
    struct buf rest = unhex("ffffffff"
                            "01"
                            "00f2052a01000000"
                            "43"
                            "41"
                            "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
                            "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
                            "ac"
                            "00000000");
    buf_put(&tx, rest.data, rest.len);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct block_header h = {
            .version = 1, .time = table[i].time, .bits = table[i].bits, .nonce = table[i].nonce
        };
        uint8_t block[GENESIS_BLOCK_SIZE];
        char hex[HASH_HEX_SIZE];
        sha256d(h.merkle_root.b, tx.data, tx.len);
        const struct block_hash hash = hash_of(&h);
        assert_string_equal(hash_to_hex(hex, hash.b), table[i].hash);
        params_genesis_block(params_get(table[i].network), block);
        assert_memory_equal(block + BLOCK_HEADER_SIZE + 1, tx.data, tx.len);
        assert_memory_equal(params_get(table[i].network)->genesis_hash.b, hash.b, 32);
    }
    buf_clear(&tx);
    buf_clear(&rest);
}

static void behaviour_02_genesis_coinbase_cannot_be_spent(void **state)
{
    (void)state;
    struct test_chain t;
    const struct chain_params p = test_params(1000);
    uint8_t genesis[GENESIS_BLOCK_SIZE];
    struct outpoint o = { .index = 0 };
    struct built_tx spend;
    params_genesis_block(&p, genesis);
    sha256d(o.txid.b, genesis + BLOCK_HEADER_SIZE + 1, GENESIS_BLOCK_SIZE - BLOCK_HEADER_SIZE - 1);
    builder_move(&o, 50 * COIN, &spend);
    test_chain_open(&t, &p, 0);
    test_chain_grow(&t, 101);
    assert_false(test_chain_has_coin(&t, &o, NULL));
    assert_string_equal(test_chain_try(&t, &spend, 1, 0), "bad-txns-inputs-missingorspent");
    built_tx_clear(&spend);
    test_chain_close(&t);
}

static void behaviour_03_compact_forms_that_are_no_target(void **state)
{
    (void)state;
    static const struct {
        uint32_t bits;
        bool zero, negative, overflow;
    } cases[] = { { 0x01003456, true, false, false }, { 0x04923456, false, true, false },
                  { 0xff123456, false, false, true }, { 0x23000001, false, false, true } };
    const struct block_hash easiest = { { 0 } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool negative, overflow;
        const struct u256 target = u256_from_compact(cases[i].bits, &negative, &overflow);
        if (!cases[i].overflow)
            assert_int_equal(u256_is_zero(&target), cases[i].zero);
        assert_int_equal(negative, cases[i].negative);
        assert_int_equal(overflow, cases[i].overflow);
        assert_false(pow_hash_ok(params_get(NETWORK_REGTEST), &easiest, cases[i].bits));
    }
}

static void behaviour_04_hash_may_equal_the_target(void **state)
{
    (void)state;
    struct pow_bits bits;
    struct block_hash hash;
    struct verdict v;
    pow_bits_init(&bits, params_get(NETWORK_MAIN), LIMIT);
    const struct u256 one = u256_from_u64(1), above = u256_add(&bits.target, &one);
    u256_to_le(hash.b, &bits.target);
    assert_true(header_check_pow(&bits, &hash, &v));
    u256_to_le(hash.b, &above);
    assert_false(header_check_pow(&bits, &hash, &v));
    assert_string_equal(v.reason, "high-hash");
}

/* A regtest index with eleven blocks more than genesis, and a header on top with a time. */
static const char *offer(uint32_t over_median, int64_t now_before_time)
{
    static struct verdict v;
    struct header_index *idx = header_index_new(params_get(NETWORK_REGTEST));
    struct header_node *genesis = header_index_genesis(idx), *last;
    struct block_header *h = headers_mine(&genesis->hash, genesis->time + 100, 0, 11);
    struct header_node *tip = headers_accept(idx, h, 11);
    const struct block_header next =
        header_mine(&tip->hash, header_median_time(tip) + over_median, 5);
    size_t accepted;
    free(h);
    assert_int_equal(header_index_accept(idx, &next, NULL, 1, (int64_t)next.time - now_before_time,
                                         &accepted, &last, &v),
                     OK);
    assert_int_equal(accepted, verdict_ok(&v));
    if (v.temporary) { /* the same header once more, later */
        struct verdict again;
        assert_int_equal(header_index_accept(idx, &next, NULL, 1, LATER, &accepted, &last, &again),
                         OK);
        assert_int_equal(accepted, 1);
    }
    header_index_free(idx);
    return v.reason;
}

static void behaviour_05_time_must_pass_the_median(void **state)
{
    (void)state;
    assert_string_equal(offer(0, 0), "time-too-old");
    assert_string_equal(offer(1, 0), "");
}

static void behaviour_06_time_may_be_two_hours_ahead_and_the_header_may_come_again(void **state)
{
    (void)state;
    assert_string_equal(offer(50, 7200), "");
    assert_string_equal(offer(50, 7201), "time-too-new");
}

static const char *version_at(int32_t height, int32_t version)
{
    static struct verdict v;
    struct bare_chain c;
    bare_chain_steady(&c, height - 1, 20, 600, 0x207fffff);
    const struct block_header h = { .version = version,
                                    .time = bare_chain_last(&c)->time + 1,
                                    .bits = 0x207fffff };
    v = (struct verdict){ .code = REJECT_NONE };
    const bool good =
        header_check_context(params_get(NETWORK_REGTEST), bare_chain_last(&c), &h, LATER, &v);
    assert_int_equal(v.code, good ? REJECT_NONE : REJECT_OBSOLETE);
    bare_chain_clear(&c);
    return v.reason;
}

static void behaviour_07_versions_that_became_obsolete_on_regtest(void **state)
{
    (void)state;
    assert_string_equal(version_at(1250, 1), "");
    assert_string_equal(version_at(1251, 1), "bad-version(0x00000001)");
    assert_string_equal(version_at(1350, 3), "");
    assert_string_equal(version_at(1351, 3), "bad-version(0x00000003)");
}

static void behaviour_08_retarget_is_a_quarter_to_four_times_over_2015_gaps(void **state)
{
    (void)state;
    static const struct {
        uint32_t gap;
        uint64_t times, divisor;
    } cases[] = { { 1, 1, 4 }, { 149, 1, 4 }, { 10000, 4, 1 }, { 550, 2015 * 550, 1209600 } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bare_chain c;
        bare_chain_steady(&c, 2015, 2016, cases[i].gap, SOME);
        assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 600),
                         bits_scaled(SOME, cases[i].times, cases[i].divisor));
        bare_chain_clear(&c);
    }
}

static void behaviour_09_emergency_adjustment_from_twelve_hours_for_six_blocks(void **state)
{
    (void)state;
    for (uint32_t gap = 43199; gap <= 43200; gap++) {
        struct bare_chain c;
        bare_chain_steady(&c, 480000, 24, 1, SOME);
        const uint32_t base = header_median_time(bare_chain_last(&c));
        for (uint32_t i = 0; i < 6; i++)
            bare_chain_add(&c, base + gap + i, SOME);
        assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1),
                         gap < 43200 ? SOME : bits_scaled(SOME, 5, 4));
        bare_chain_clear(&c);
    }
}

static void behaviour_10_daa_begins_at_main_504032(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 504030, 200, 550, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 550), SOME); /* 504,031: as before */
    bare_chain_add(&c, bare_chain_last(&c)->time + 550, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 550), bits_by_daa(SOME, 144, 144 * 550));
    bare_chain_clear(&c);
}

static void behaviour_11_daa_span_is_clamped(void **state)
{
    (void)state;
    static const uint32_t spans[][2] = {
        { 43199, 43200 },   { 43200, 43200 },   { 43201, 43201 },
        { 172799, 172799 }, { 172800, 172800 }, { 172801, 172800 }
    };
    for (size_t i = 0; i < COUNT_OF(spans); i++) {
        struct bare_chain c;
        bare_chain_steady(&c, 600000, 3, 0, SOME);
        for (int j = 0; j < 144; j++)
            bare_chain_add(&c, STEADY_START + spans[i][0], SOME);
        assert_int_equal(bare_chain_required(&c, NETWORK_MAIN, 1),
                         bits_by_daa(SOME, 144, spans[i][1]));
        bare_chain_clear(&c);
    }
}

/* The last three blocks have the times a, b, c: how many blocks of work lie up to the one that
 * counts. */
static unsigned blocks_counted(uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t times[] = { a, b, c };
    struct bare_chain chain;
    bare_chain_steady(&chain, 600000, 144, 0, SOME);
    for (int i = 0; i < 3; i++)
        bare_chain_add(&chain, STEADY_START + times[i], SOME);
    const uint32_t got = bare_chain_required(&chain, NETWORK_MAIN, 1);
    bare_chain_clear(&chain);
    for (unsigned i = 0; i < 3; i++)
        if (bits_by_daa(SOME, 143 + i, times[i]) == got)
            return 143 + i;
    return 0;
}

static void behaviour_12_daa_takes_equal_times_in_the_order_of_three_exchanges(void **state)
{
    (void)state;
    const uint32_t t = 60000, u = 60500;
    assert_int_equal(blocks_counted(t, t, t), 144);
    assert_int_equal(blocks_counted(t, t, u), 144);
    assert_int_equal(blocks_counted(t, u, t), 145);
    assert_int_equal(blocks_counted(u, t, t), 144);
    assert_int_equal(blocks_counted(u, u, t), 144);
    assert_int_equal(blocks_counted(u, t, u), 143);
    assert_int_equal(blocks_counted(t, u, u), 144);
}

static void behaviour_13_test_network_before_the_daa_walks_back_to_the_last_real_bits(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 1000000, 30, 600, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 1200), SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 1201), LIMIT);
    bare_chain_add(&c, bare_chain_last(&c)->time + 1201, LIMIT);
    bare_chain_add(&c, bare_chain_last(&c)->time + 1201, LIMIT);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 600), SOME);
    bare_chain_clear(&c);

    bare_chain_steady(&c, 2016 * 400 - 1, 5, 600,
                      SOME); /* the block on the boundary has the limit: the walk ends there */
    bare_chain_add(&c, bare_chain_last(&c)->time + 1201, LIMIT);
    bare_chain_add(&c, bare_chain_last(&c)->time + 1201, LIMIT);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 600), LIMIT);
    bare_chain_clear(&c);
}

static void behaviour_14_test_network_under_the_daa_goes_on_with_the_daa(void **state)
{
    (void)state;
    struct bare_chain c;
    bare_chain_steady(&c, 1400000, 200, 550, SOME);
    assert_int_equal(bare_chain_required(&c, NETWORK_TEST, 1201), LIMIT);
    bare_chain_add(&c, bare_chain_last(&c)->time + 1201, LIMIT);
    struct bare_chain other; /* the same headers on a network without the rule for late blocks */
    bare_chain_steady(&other, 1400000, 200, 550, SOME);
    bare_chain_add(&other, bare_chain_last(&other)->time + 1201, LIMIT);
    const uint32_t bits = bare_chain_required(&c, NETWORK_TEST, 600);
    assert_int_equal(bits, bare_chain_required(&other, NETWORK_MAIN, 600));
    assert_int_not_equal(bits, LIMIT);
    assert_int_not_equal(bits, SOME);
    bare_chain_clear(&c);
    bare_chain_clear(&other);
}

static void behaviour_16_checkpoints_refuse_other_chains(void **state)
{
    (void)state;
    struct checkpoint points[1] = { { .height = 30 } };
    struct chain_params p = *params_get(NETWORK_REGTEST);
    struct verdict v;
    struct header_node *last;
    size_t accepted;
    struct block_header *good = headers_mine(&p.genesis_hash, p.genesis.time + 1, 0, 40);
    points[0].hash = hash_of(&good[29]);
    p.checkpoints = points;
    p.n_checkpoints = 1;
    struct header_index *idx = header_index_new(&p);

    const struct block_hash at_20 = hash_of(&good[19]), at_10 = hash_of(&good[9]);
    struct block_header *other = headers_mine(&at_20, good[20].time, 1, 12);
    headers_accept(idx, good, 20);
    assert_int_equal(header_index_accept(idx, other, NULL, 12, LATER, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 9); /* up to height 29; 30 has another hash */
    assert_string_equal(v.reason, "checkpoint mismatch");
    assert_int_equal(v.code, REJECT_CHECKPOINT);
    assert_int_equal(v.ban_score, 100);

    headers_accept(idx, good, 40);
    const struct block_header below = header_mine(&at_10, good[10].time, 2);
    assert_int_equal(header_index_accept(idx, &below, NULL, 1, LATER, &accepted, &last, &v), OK);
    assert_int_equal(accepted, 0);
    assert_string_equal(v.reason, "bad-fork-prior-to-checkpoint");
    assert_int_equal(v.ban_score, 100);
    const struct block_hash at_32 = hash_of(&good[31]);
    const struct block_header above = header_mine(&at_32, good[32].time, 3);
    headers_accept(idx, &above, 1);
    header_index_free(idx);
    free(good);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaviour_01_genesis_blocks_rebuilt_from_fields),
        cmocka_unit_test(behaviour_02_genesis_coinbase_cannot_be_spent),
        cmocka_unit_test(behaviour_03_compact_forms_that_are_no_target),
        cmocka_unit_test(behaviour_04_hash_may_equal_the_target),
        cmocka_unit_test(behaviour_05_time_must_pass_the_median),
        cmocka_unit_test(behaviour_06_time_may_be_two_hours_ahead_and_the_header_may_come_again),
        cmocka_unit_test(behaviour_07_versions_that_became_obsolete_on_regtest),
        cmocka_unit_test(behaviour_08_retarget_is_a_quarter_to_four_times_over_2015_gaps),
        cmocka_unit_test(behaviour_09_emergency_adjustment_from_twelve_hours_for_six_blocks),
        cmocka_unit_test(behaviour_10_daa_begins_at_main_504032),
        cmocka_unit_test(behaviour_11_daa_span_is_clamped),
        cmocka_unit_test(behaviour_12_daa_takes_equal_times_in_the_order_of_three_exchanges),
        cmocka_unit_test(behaviour_13_test_network_before_the_daa_walks_back_to_the_last_real_bits),
        cmocka_unit_test(behaviour_14_test_network_under_the_daa_goes_on_with_the_daa),
        cmocka_unit_test(behaviour_16_checkpoints_refuse_other_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
