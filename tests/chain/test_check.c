/* Rules of transactions and blocks that need no coins (spec consensus 3.1 to 3.7). */
#include <config.h>

#include "chain/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tests/chain/header_util.h"
#include "tests/test.h"

#define GENESIS_RULES 1000 /* height from which they hold in these tests */

/* A transaction put together field by field; raw has a size but no content that a rule reads. */
struct draft {
    struct tx tx;
    struct tx_in in[40];
    struct tx_out out[4];
};

static void draft_init(struct draft *d, size_t n_in, size_t n_out)
{
    memset(d, 0, sizeof(*d));
    d->tx = (struct tx){ .version = 1, .n_in = n_in, .n_out = n_out, .in = d->in, .out = d->out,
                         .raw = { .len = 100 } };
    for (size_t i = 0; i < n_in; i++) {
        d->in[i].prevout.txid.b[0] = 1;
        d->in[i].prevout.index = (uint32_t)i;
        d->in[i].sequence = TX_SEQUENCE_FINAL;
    }
    for (size_t i = 0; i < n_out; i++)
        d->out[i].value = 1000;
}

static void draft_coinbase(struct draft *d, size_t script_len)
{
    static const uint8_t script[200] = { 0x51 };
    draft_init(d, 1, 1);
    memset(d->in[0].prevout.txid.b, 0, 32);
    d->in[0].prevout.index = UINT32_MAX;
    d->in[0].script = span_of(script, script_len);
}

static struct chain_params test_rules(void)
{
    struct chain_params p = *params_get(NETWORK_REGTEST);
    p.heights.genesis = GENESIS_RULES;
    p.heights.chronicle = 2000;
    return p;
}

/* Rules of the block at a height above 0, with a window of earlier nodes ten minutes apart. */
struct rules_at {
    struct chain_params params;
    struct bare_chain chain;
    struct block_rules rules;
};

static void rules_open(struct rules_at *r, int32_t height)
{
    r->params = test_rules();
    bare_chain_init(&r->chain, 0, (size_t)height);
    for (int32_t i = 0; i < height; i++)
        bare_chain_add(&r->chain, 1500000000 + 600 * (uint32_t)i, 0x207fffff);
    block_rules_init(&r->rules, &r->params, bare_chain_last(&r->chain), 1600000000);
    assert_int_equal(r->rules.height, height);
}

static void rules_close(struct rules_at *r)
{
    bare_chain_clear(&r->chain);
}

static const char *regular(int32_t height, const struct draft *d, unsigned *score)
{
    static struct verdict v;
    struct rules_at r;
    v = (struct verdict){ .code = REJECT_NONE };
    rules_open(&r, height);
    const bool good = check_regular_tx(&r.rules, &d->tx, &v);
    assert_int_equal(good, verdict_ok(&v));
    if (score)
        *score = v.ban_score;
    rules_close(&r);
    return v.reason;
}

/* --- eras --- */

static void rules_follow_the_height(void **state)
{
    (void)state;
    static const struct {
        int32_t height;
        bool genesis, relative, by_median;
    } cases[] = { { 575, false, false, false }, { 576, false, true, true },
                  { 999, false, true, true },
                  { 1000, true, false, true } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct rules_at r;
        rules_open(&r, cases[i].height);
        assert_int_equal(r.rules.genesis, cases[i].genesis);
        assert_int_equal(r.rules.enforce_relative_lock, cases[i].relative);
        assert_int_equal(r.rules.lock_time_cutoff,
                         cases[i].by_median ? header_median_time(bare_chain_last(&r.chain))
                                            : 1600000000);
        assert_int_equal(r.rules.coinbase_maturity, 100);
        assert_true(r.rules.p2sh);
        rules_close(&r);
    }
}

static void rules_of_genesis_need_no_block_before(void **state)
{
    (void)state;
    const struct chain_params p = test_rules();
    struct block_rules r;
    block_rules_init(&r, &p, NULL, 123456);
    assert_int_equal(r.height, 0);
    assert_int_equal(r.lock_time_cutoff, 123456);
    assert_false(r.genesis);
}

/* --- transactions --- */

static void plain_transaction_is_fine_in_every_era(void **state)
{
    (void)state;
    struct draft d;
    draft_init(&d, 2, 2);
    assert_string_equal(regular(10, &d, NULL), "");
    assert_string_equal(regular(GENESIS_RULES, &d, NULL), "");
}

static void inputs_and_outputs_are_needed(void **state)
{
    (void)state;
    struct draft d;
    unsigned score;
    draft_init(&d, 0, 1);
    assert_string_equal(regular(10, &d, &score), "bad-txns-vin-empty");
    assert_int_equal(score, 10);
    draft_init(&d, 1, 0);
    assert_string_equal(regular(10, &d, &score), "bad-txns-vout-empty");
    assert_int_equal(score, 10);
}

static void size_is_limited_by_era(void **state)
{
    (void)state;
    static const struct {
        int32_t height;
        size_t size;
        const char *reason;
    } cases[] = { { 999, 1000000, "" }, { 999, 1000001, "bad-txns-oversize" },
                  { 1000, 1000001, "" },
                  { 1000, 1000000000, "" }, { 1000, 1000000001, "bad-txns-oversize" } };
    struct draft d;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        draft_init(&d, 1, 1);
        d.tx.raw.len = cases[i].size;
        assert_string_equal(regular(cases[i].height, &d, NULL), cases[i].reason);
    }
}

static void values_are_in_range_alone_and_together(void **state)
{
    (void)state;
    static const struct {
        int64_t a, b;
        const char *reason;
    } cases[] = {
        { -1, 0, "bad-txns-vout-negative" },
        { MAX_MONEY, 0, "" },
        { MAX_MONEY + 1, 0, "bad-txns-vout-toolarge" },
        { INT64_MAX, INT64_MAX, "bad-txns-vout-toolarge" },
        { MAX_MONEY, 1, "bad-txns-txouttotal-toolarge" },
        { INT64_MIN, 0, "bad-txns-vout-negative" },
    };
    struct draft d;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        unsigned score;
        draft_init(&d, 1, 2);
        d.out[0].value = cases[i].a;
        d.out[1].value = cases[i].b;
        assert_string_equal(regular(10, &d, &score), cases[i].reason);
        assert_int_equal(score, cases[i].reason[0] ? 100 : 0);
    }
}

static void an_output_is_spent_once_by_a_transaction(void **state)
{
    (void)state;
    static const size_t counts[] = { 2, 16, 17, 40 }; /* pairwise and sorted */
    struct draft d;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        draft_init(&d, counts[i], 1);
        assert_false(tx_has_duplicate_inputs(&d.tx));
        d.in[counts[i] - 1].prevout.txid.b[31] = 9; /* same index, another transaction */
        d.in[counts[i] - 1].prevout.index = 0;
        assert_false(tx_has_duplicate_inputs(&d.tx));
        d.in[counts[i] - 1].prevout = d.in[0].prevout;
        assert_true(tx_has_duplicate_inputs(&d.tx));
        assert_string_equal(regular(10, &d, NULL), "bad-txns-inputs-duplicate");
    }
}

static void null_prevout_among_others_is_refused(void **state)
{
    (void)state;
    struct draft d;
    unsigned score;
    draft_init(&d, 2, 1);
    memset(d.in[1].prevout.txid.b, 0, 32);
    d.in[1].prevout.index = UINT32_MAX;
    assert_string_equal(regular(10, &d, &score), "bad-txns-prevout-null");
    assert_int_equal(score, 10);
}

static void coinbase_is_no_regular_transaction(void **state)
{
    (void)state;
    struct draft d;
    draft_coinbase(&d, 2);
    assert_string_equal(regular(10, &d, NULL), "bad-tx-coinbase");
}

static void p2sh_outputs_end_with_genesis_but_for_coinbases(void **state)
{
    (void)state;
    static const uint8_t p2sh[23] = { 0xa9, 0x14, [22] = 0x87 };
    struct draft d;
    struct rules_at r;
    struct verdict v;
    draft_init(&d, 1, 1);
    d.out[0].script = span_of(p2sh, sizeof(p2sh));
    assert_string_equal(regular(GENESIS_RULES - 1, &d, NULL), "");
    assert_string_equal(regular(GENESIS_RULES, &d, NULL), "bad-txns-vout-p2sh");
    d.out[0].script.len--;
    assert_string_equal(regular(GENESIS_RULES, &d, NULL), "");
    draft_coinbase(&d, 2);
    d.out[0].script = span_of(p2sh, sizeof(p2sh));
    rules_open(&r, GENESIS_RULES);
    assert_true(check_coinbase(&r.rules, &d.tx, &v));
    rules_close(&r);
}

static void signature_operations_are_limited_before_genesis(void **state)
{
    (void)state;
    uint8_t *script = xmalloc(20001);
    struct draft d;
    memset(script, 0xac, 20001); /* OP_CHECKSIG */
    draft_init(&d, 1, 1);
    d.out[0].script = span_of(script, 20000);
    assert_string_equal(regular(10, &d, NULL), "");
    d.out[0].script.len++;
    assert_string_equal(regular(10, &d, NULL), "bad-txn-sigops");
    assert_string_equal(regular(GENESIS_RULES, &d, NULL), "");
    free(script);
}

/* --- coinbases --- */

static void coinbase_script_has_two_to_a_hundred_bytes(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        bool good;
    } cases[] = { { 0, false }, { 1, false }, { 2, true }, { 100, true }, { 101, false } };
    struct rules_at r;
    rules_open(&r, 10);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct draft d;
        struct verdict v;
        draft_coinbase(&d, cases[i].len);
        assert_int_equal(check_coinbase(&r.rules, &d.tx, &v), cases[i].good);
        if (!cases[i].good)
            assert_string_equal(v.reason, "bad-cb-length");
    }
    struct draft d;
    struct verdict v;
    draft_init(&d, 1, 1);
    assert_false(check_coinbase(&r.rules, &d.tx, &v));
    assert_string_equal(v.reason, "bad-cb-missing");
    rules_close(&r);
}

static void heights_are_pushed_as_script_numbers(void **state)
{
    (void)state;
    static const struct {
        int32_t height;
        const char *push;
    } cases[] = { { 0, "00" }, { 1, "51" }, { 16, "60" }, { 17, "0111" }, { 127, "017f" },
                  { 128, "028000" },
                  { 255, "02ff00" }, { 256, "020001" }, { 32767, "02ff7f" }, { 32768, "03008000" },
                  { 227931, "035b7a03" }, { 8388608, "0400008000" }, { INT32_MAX, "04ffffff7f" } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint8_t push[COINBASE_HEIGHT_PUSH_MAX];
        char hex[2 * COINBASE_HEIGHT_PUSH_MAX + 1];
        hex_encode(hex, push, coinbase_height_push(push, cases[i].height));
        assert_string_equal(hex, cases[i].push);
    }
}

static void coinbase_begins_with_its_height_once_the_rule_holds(void **state)
{
    (void)state;
    struct rules_at r;
    struct draft d;
    struct verdict v;
    uint8_t script[] = { 0x02, 0x2c, 0x01, 0x00 }; /* 300 */
    rules_open(&r, 300);
    draft_coinbase(&d, 2);
    d.in[0].script = span_of(script, sizeof(script));
    r.params.bip34_height = 300;
    assert_true(check_coinbase_height(&r.rules, &d.tx, &v));
    script[1]++;
    assert_false(check_coinbase_height(&r.rules, &d.tx, &v));
    assert_string_equal(v.reason, "bad-cb-height");
    d.in[0].script.len = 2; /* shorter than the push */
    script[1]--;
    assert_false(check_coinbase_height(&r.rules, &d.tx, &v));
    r.params.bip34_height = 301;
    assert_true(check_coinbase_height(&r.rules, &d.tx, &v));
    rules_close(&r);
}

/* --- blocks --- */

static void block_sigops_are_limited_per_megabyte_begun(void **state)
{
    (void)state;
    static const struct {
        uint64_t sigops, size;
        bool good;
    } cases[] = { { 20000, 1, true }, { 20001, 1, false }, { 20001, 1000000, false },
                  { 20001, 1000001, true },
                  { 40000, 2000000, true }, { 40001, 2000000, false }, { 0, 0, true } };
    struct rules_at r;
    struct verdict v;
    rules_open(&r, 10);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(check_block_sigops(&r.rules, cases[i].sigops, cases[i].size, &v),
                         cases[i].good);
    assert_string_equal(v.reason, "bad-blk-sigops");
    rules_close(&r);
    rules_open(&r, GENESIS_RULES);
    assert_true(check_block_sigops(&r.rules, 1000000, 1000, &v));
    rules_close(&r);
}

static void block_limits_are_the_configured_ones(void **state)
{
    (void)state;
    struct verdict v;
    assert_false(check_block_limits(0, 1000, 0, &v));
    assert_string_equal(v.reason, "bad-cb-missing");
    assert_true(check_block_limits(UINT64_MAX, UINT64_MAX, 0, &v));
    assert_true(check_block_limits(1, 2000000, 2000000, &v));
    assert_false(check_block_limits(1, 2000001, 2000000, &v));
    assert_string_equal(v.reason, "bad-blk-length");
    assert_true(check_block_limits(200000, 2000000, 2000000, &v));
    assert_false(check_block_limits(200001, 2000000, 2000000, &v));
}

/* --- locks --- */

static void transaction_is_final_by_lock_time_or_by_its_sequences(void **state)
{
    (void)state;
    static const struct {
        uint32_t lock_time, sequence;
        bool final;
    } cases[] = {
        { 0, 0, true }, { 99, 0, true }, { 100, 0, false }, { 100, TX_SEQUENCE_FINAL, true },
        { 499999999, 0, false }, { 500000000, 0, true }, { 1500000000, 0, false },
        { 1499999999, 0, true },
        { 1500000000, TX_SEQUENCE_FINAL, true }, { 100, TX_SEQUENCE_FINAL - 1, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct draft d;
        draft_init(&d, 2, 1);
        d.tx.lock_time = cases[i].lock_time;
        d.in[1].sequence = cases[i].sequence;
        assert_int_equal(tx_is_final(&d.tx, 100, 1500000000), cases[i].final);
    }
}

/* The coin of height 50 spent by a block of height 100 whose predecessors stand ten minutes
 * apart. */
static bool relative_ok(int32_t version, uint32_t sequence)
{
    const int32_t coin_heights[] = { 50, 1 };
    struct rules_at r;
    struct draft d;
    rules_open(&r, 100);
    draft_init(&d, 2, 1);
    d.tx.version = version;
    d.in[0].sequence = sequence;
    const bool good = relative_locks_ok(&d.tx, coin_heights, bare_chain_last(&r.chain));
    rules_close(&r);
    return good;
}

static void relative_heights_count_from_the_coin(void **state)
{
    (void)state;
    assert_true(relative_ok(2, 50));
    assert_false(relative_ok(2, 51));
    assert_true(relative_ok(2, 51 | 1u << 31)); /* switched off */
    assert_true(relative_ok(2, 50 | 1u << 16)); /* bits above the mask do not count */
}

static void relative_times_count_in_steps_of_512_seconds_from_the_median(void **state)
{
    (void)state;
    const uint32_t by_time = 1u << 22;
    /* Median of block 99 less that of block 49 (the one before the coin): 50 * 600 = 30000 s = 58.6
     * steps. */
    assert_true(relative_ok(2, by_time | 58));
    assert_false(relative_ok(2, by_time | 59));
}

static void relative_locks_need_version_two_as_unsigned(void **state)
{
    (void)state;
    assert_true(relative_ok(1, 51));
    assert_true(relative_ok(0, 51));
    assert_false(relative_ok(-1, 51));
    assert_false(relative_ok(INT32_MIN, 51));
}

static void coin_of_the_first_block_counts_from_genesis(void **state)
{
    (void)state;
    const int32_t coin_heights[] = { 0 };
    struct rules_at r;
    struct draft d;
    rules_open(&r, 20);
    draft_init(&d, 1, 1);
    d.tx.version = 2;
    d.in[0].sequence = 1u << 22 | 1;
    assert_true(relative_locks_ok(&d.tx, coin_heights, bare_chain_last(&r.chain)));
    rules_close(&r);
}

/* --- coins --- */

static void coins_mature(void **state)
{
    (void)state;
    struct rules_at r;
    struct verdict v;
    int64_t sum = 0;
    struct coin coin = { .value = 5, .height = 101, .coinbase = true };
    rules_open(&r, 200);
    assert_false(check_input_coin(&r.rules, &coin, &sum, &v));
    assert_string_equal(v.reason, "bad-txns-premature-spend-of-coinbase");
    coin.height = 100;
    assert_true(check_input_coin(&r.rules, &coin, &sum, &v));
    coin = (struct coin){ .value = 5, .height = 150, .confiscated = true };
    assert_false(check_input_coin(&r.rules, &coin, &sum, &v));
    assert_string_equal(v.reason, "bad-txns-premature-spend-of-confiscation");
    rules_close(&r);
    rules_open(&r, 1150);
    assert_true(check_input_coin(&r.rules, &coin, &sum, &v));
    assert_int_equal(sum, 10);
    rules_close(&r);
}

static void sum_of_inputs_stays_in_range(void **state)
{
    (void)state;
    struct rules_at r;
    struct verdict v;
    int64_t sum = 0;
    struct coin coin = { .value = MAX_MONEY, .height = 1 };
    rules_open(&r, 10);
    assert_true(check_input_coin(&r.rules, &coin, &sum, &v));
    coin.value = 1;
    assert_false(check_input_coin(&r.rules, &coin, &sum, &v));
    assert_string_equal(v.reason, "bad-txns-inputvalues-outofrange");
    sum = 0;
    coin.value = -1;
    assert_false(check_input_coin(&r.rules, &coin, &sum, &v));
    rules_close(&r);
}

static void fee_is_what_inputs_have_over_outputs(void **state)
{
    (void)state;
    struct draft d;
    struct verdict v;
    int64_t fee;
    draft_init(&d, 1, 2);
    assert_true(check_fee(2000, &d.tx, &fee, &v));
    assert_int_equal(fee, 0);
    assert_true(check_fee(2500, &d.tx, &fee, &v));
    assert_int_equal(fee, 500);
    assert_false(check_fee(1999, &d.tx, &fee, &v));
    assert_string_equal(v.reason, "bad-txns-in-belowout");
    assert_int_equal(v.ban_score, 100);
}

/* --- BIP30 --- */

static void the_two_blocks_of_old_and_what_follows_bip34_are_exempt(void **state)
{
    (void)state;
    const struct chain_params *p = params_get(NETWORK_MAIN);
    struct header_node old = { .height = 91842 },
                       bip34 = { .height = 227931, .hash = p->bip34_hash };
    struct header_node next = { .height = 227932, .prev = &bip34 },
                       after = { .height = 227933, .prev = &next };
    assert_true(hash_from_hex(old.hash.b,
                              "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec"));
    assert_false(bip30_enforced(p, &old));
    old.height = 91880;
    assert_true(bip30_enforced(p, &old)); /* hash and height belong together */
    assert_true(hash_from_hex(old.hash.b,
                              "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721"));
    assert_false(bip30_enforced(p, &old));
    assert_false(bip30_enforced(p, &next));
    assert_false(bip30_enforced(p, &after));
    bip34.hash.b[0] ^= 1; /* another chain */
    assert_true(bip30_enforced(p, &next));
    assert_true(bip30_enforced(p, &bip34));
    assert_true(bip30_enforced(params_get(NETWORK_REGTEST), &after));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_follow_the_height),
        cmocka_unit_test(rules_of_genesis_need_no_block_before),
        cmocka_unit_test(plain_transaction_is_fine_in_every_era),
        cmocka_unit_test(inputs_and_outputs_are_needed),
        cmocka_unit_test(size_is_limited_by_era),
        cmocka_unit_test(values_are_in_range_alone_and_together),
        cmocka_unit_test(an_output_is_spent_once_by_a_transaction),
        cmocka_unit_test(null_prevout_among_others_is_refused),
        cmocka_unit_test(coinbase_is_no_regular_transaction),
        cmocka_unit_test(p2sh_outputs_end_with_genesis_but_for_coinbases),
        cmocka_unit_test(signature_operations_are_limited_before_genesis),
        cmocka_unit_test(coinbase_script_has_two_to_a_hundred_bytes),
        cmocka_unit_test(heights_are_pushed_as_script_numbers),
        cmocka_unit_test(coinbase_begins_with_its_height_once_the_rule_holds),
        cmocka_unit_test(block_sigops_are_limited_per_megabyte_begun),
        cmocka_unit_test(block_limits_are_the_configured_ones),
        cmocka_unit_test(transaction_is_final_by_lock_time_or_by_its_sequences),
        cmocka_unit_test(relative_heights_count_from_the_coin),
        cmocka_unit_test(relative_times_count_in_steps_of_512_seconds_from_the_median),
        cmocka_unit_test(relative_locks_need_version_two_as_unsigned),
        cmocka_unit_test(coin_of_the_first_block_counts_from_genesis),
        cmocka_unit_test(coins_mature),
        cmocka_unit_test(sum_of_inputs_stays_in_range),
        cmocka_unit_test(fee_is_what_inputs_have_over_outputs),
        cmocka_unit_test(the_two_blocks_of_old_and_what_follows_bip34_are_exempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
