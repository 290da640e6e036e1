/* Standardness, signature operations, fees and consolidations, rule by rule and era by era. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "chain/policy.h"
#include "script/opcode.h"
#include "script/template.h"
#include "tests/chain/chain_builder.h"

enum { GENESIS = 1000, CHRONICLE = 2000 };

static struct chain_params params;
static struct tx_policy policy;

static int set_up(void **state)
{
    (void)state;
    params = test_params(GENESIS);
    params.heights.chronicle = CHRONICLE;
    policy = tx_policy_default();
    return 0;
}

/* The next block of an era, well inside it. */
static struct block_rules next_of(enum script_era era)
{
    static const int32_t heights[] = { 500, 1500, 2500 };
    return (struct block_rules){ .params = &params, .height = heights[era],
                                 .genesis = era != SCRIPT_ERA_ORIGINAL, .p2sh = true };
}

/* --- transactions --- */

struct parts {
    int32_t version; /* 0: 1 */
    struct span script_sig, script;
    int64_t value;   /* 0: none; see worthless */
    bool worthless;
    size_t n_in, n_out; /* 0: 1, all alike */
};

static struct tx *make(const struct parts *p)
{
    struct in_spec in[100];
    struct out_spec out[10];
    struct built_tx built;
    const size_t n_in = p->n_in ? p->n_in : 1, n_out = p->n_out ? p->n_out : 1;
    for (size_t i = 0; i < n_in; i++)
        in[i] = (struct in_spec){ .prevout.index = (uint32_t)i, .script_sig = p->script_sig };
    for (size_t i = 0; i < n_out; i++)
        out[i] = (struct out_spec){ p->worthless ? 0 : p->value ? p->value : 1,
                                    p->script.data ? p->script : builder_p2pkh() };
    builder_tx(&(struct tx_spec){ .version = p->version, .in = in, .n_in = n_in, .out = out,
                                  .n_out = n_out }, &built);
    struct tx *tx = tx_new(built.raw.data, built.raw.len, NULL);
    assert_non_null(tx);
    built_tx_clear(&built);
    return tx;
}

/* "" when it is standard in the era. */
static const char *judge(enum script_era era, const struct parts *p)
{
    static struct verdict v;
    const struct block_rules next = next_of(era);
    struct tx *tx = make(p);
    bool only_output;
    v = (struct verdict){ 0 };
    const bool good = policy_check_standard(&policy, &next, tx, &only_output, &v);
    tx_unref(tx);
    assert_int_equal(good, v.code == REJECT_NONE);
    assert_int_equal(only_output, strcmp(v.reason, "scriptpubkey") == 0);
    assert_int_equal(v.ban_score, 0);
    assert_true(good || v.code == REJECT_NONSTANDARD);
    return v.reason;
}

static struct span script_of(const char *hex)
{
    static uint8_t bytes[4][1000];
    static unsigned turn;
    size_t len;
    uint8_t *at = bytes[turn++ % 4];
    assert_true(hex_decode(at, sizeof(bytes[0]), hex, strlen(hex), &len));
    return span_of(at, len);
}

/* m keys n CHECKMULTISIG */
static struct span multisig(unsigned m, unsigned n)
{
    static uint8_t script[700];
    size_t len = 0;
    script[len++] = (uint8_t)(OP_1 - 1 + m);
    for (unsigned i = 0; i < n; i++) {
        script[len++] = 33;
        memset(&script[len], 2, 33);
        len += 33;
    }
    script[len++] = (uint8_t)(OP_1 - 1 + n);
    script[len++] = OP_CHECKMULTISIG;
    return span_of(script, len);
}

#define ORIGINAL SCRIPT_ERA_ORIGINAL
#define AFTER_GENESIS SCRIPT_ERA_GENESIS
#define AFTER_CHRONICLE SCRIPT_ERA_CHRONICLE

/* --- standard transactions --- */

static void behaviour_36_and_53_versions_are_1_and_2_before_chronicle_and_any_after(void **state)
{
    (void)state;
    static const int32_t odd[] = { -1, 3, INT32_MAX, INT32_MIN };
    for (int era = ORIGINAL; era <= AFTER_CHRONICLE; era++) {
        assert_string_equal(judge(era, &(struct parts){ .version = 1 }), "");
        assert_string_equal(judge(era, &(struct parts){ .version = 2 }), "");
        for (size_t i = 0; i < 4; i++)
            assert_string_equal(judge(era, &(struct parts){ .version = odd[i] }),
                                era == AFTER_CHRONICLE ? "" : "version");
    }
}

/* A null-data output that makes the transaction this large. */
static struct tx *sized(size_t size)
{
    struct buf script = { 0 };
    const uint8_t head[] = { OP_0, OP_RETURN, OP_PUSHDATA4 };
    buf_put(&script, head, sizeof(head));
    buf_put_le32(&script, (uint32_t)(size - 76));
    memset(buf_extend(&script, size - 76), 7, size - 76);
    struct tx *tx = make(&(struct parts){ .script = buf_span(&script) });
    buf_clear(&script);
    return tx;
}

static bool size_passes(enum script_era era, size_t size)
{
    const struct block_rules next = next_of(era);
    struct tx *first = sized(size);
    struct tx *tx = sized(2 * size - first->raw.len);
    struct verdict v = { 0 };
    bool only_output;
    assert_int_equal(tx->raw.len, size);
    const bool good = policy_check_standard(&policy, &next, tx, &only_output, &v);
    assert_string_equal(v.reason, good ? "" : "tx-size");
    tx_unref(first);
    tx_unref(tx);
    return good;
}

static void behaviours_17_18_and_81_sizes(void **state)
{
    (void)state;
    assert_true(size_passes(ORIGINAL, 99999));
    assert_false(size_passes(ORIGINAL, 100000));
    assert_true(size_passes(AFTER_GENESIS, 10000000));
    assert_false(size_passes(AFTER_GENESIS, 10000001));
    assert_false(size_passes(AFTER_CHRONICLE, 10000001));
    policy.max_tx_size = 0;
    assert_true(size_passes(AFTER_CHRONICLE, 10000001));
    policy.max_tx_size = 200000;
    assert_false(size_passes(ORIGINAL, 100000));
    assert_false(size_passes(AFTER_GENESIS, 200001));
}

static void an_unlocking_script_had_at_most_1650_bytes(void **state)
{
    (void)state;
    uint8_t script[1651];
    memset(script, OP_1, sizeof(script));
    const struct parts largest = { .script_sig = span_of(script, 1650) };
    const struct parts too_large = { .script_sig = span_of(script, 1651) };
    assert_string_equal(judge(ORIGINAL, &largest), "");
    assert_string_equal(judge(ORIGINAL, &too_large), "scriptsig-size");
    assert_string_equal(judge(AFTER_GENESIS, &too_large), "");
    assert_string_equal(judge(AFTER_CHRONICLE, &too_large), "");
}

static void behaviour_64_an_unlocking_script_only_pushes_before_chronicle(void **state)
{
    (void)state;
    const struct parts p = { .script_sig = script_of("5161") };
    assert_string_equal(judge(ORIGINAL, &p), "scriptsig-not-pushonly");
    assert_string_equal(judge(AFTER_GENESIS, &p), "scriptsig-not-pushonly");
    assert_string_equal(judge(AFTER_CHRONICLE, &p), "");
    /* A cut push is none. */
    const struct parts cut = { .script_sig = script_of("02aa") };
    assert_string_equal(judge(AFTER_GENESIS, &cut), "scriptsig-not-pushonly");
}

static void multisig_is_standard_up_to_three_keys(void **state)
{
    (void)state;
    for (int era = ORIGINAL; era <= AFTER_CHRONICLE; era++) {
        assert_string_equal(judge(era, &(struct parts){ .script = multisig(1, 1) }), "");
        assert_string_equal(judge(era, &(struct parts){ .script = multisig(3, 3) }), "");
        assert_string_equal(judge(era, &(struct parts){ .script = multisig(1, 4) }),
                            "scriptpubkey");
        assert_string_equal(judge(era, &(struct parts){ .script = multisig(3, 2) }),
                            "scriptpubkey");
    }
    policy.bare_multisig = false;
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = multisig(1, 2) }),
                        "bare-multisig");
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = multisig(1, 4) }),
                        "bare-multisig");
}

static void behaviour_22_and_63_the_p2sh_shape_is_a_kind_of_output_before_genesis_only(void **state)
{
    (void)state;
    uint8_t script[SCRIPT_P2SH_SIZE];
    script_make_p2sh(script, (const uint8_t[20]){ 1 });
    const struct parts p = { .script = span_of(script, sizeof(script)) };
    assert_string_equal(judge(ORIGINAL, &p), "");
    assert_string_equal(judge(AFTER_GENESIS, &p), "scriptpubkey");
}

static void behaviour_37_null_data_and_its_sum(void **state)
{
    (void)state;
    const struct span bare = script_of("6a01aa"), safe = script_of("006a01aa");
    assert_string_equal(judge(ORIGINAL, &(struct parts){ .script = bare, .worthless = true }), "");
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = bare }), "scriptpubkey");
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = bare, .worthless = true }),
                        "dust");
    for (int era = ORIGINAL; era <= AFTER_CHRONICLE; era++)
        assert_string_equal(judge(era, &(struct parts){ .script = safe, .worthless = true }), "");
    /* Anything but pushes behind it is unusual, but costs no value. */
    assert_string_equal(
        judge(AFTER_GENESIS, &(struct parts){ .script = script_of("006a61"), .worthless = true }),
        "scriptpubkey");
    policy.data_carrier_size = 11;
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = safe, .n_out = 2 }), "");
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = safe, .n_out = 3 }),
                        "datacarrier-size-exceeded");
    policy.data_carrier = false;
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = safe }), "scriptpubkey");
    assert_string_equal(judge(AFTER_GENESIS, &(struct parts){ .script = safe, .n_out = 3 }),
                        "datacarrier-size-exceeded");
}

static void behaviour_81_dust_is_an_output_of_nothing_that_could_be_spent(void **state)
{
    (void)state;
    for (int era = ORIGINAL; era <= AFTER_CHRONICLE; era++) {
        assert_string_equal(judge(era, &(struct parts){ .worthless = true }), "dust");
        assert_string_equal(judge(era, &(struct parts){ .value = 1 }), "");
        /* Told before the script is. */
        assert_string_equal(judge(era, &(struct parts){ .script = script_of("61"),
                                                        .worthless = true }), "dust");
        assert_string_equal(judge(era, &(struct parts){ .script = script_of("61") }),
                            "scriptpubkey");
    }
}

static void the_first_objection_of_the_order_is_told(void **state)
{
    (void)state;
    uint8_t script[1651];
    memset(script, OP_1, sizeof(script));
    struct parts p = { .version = 3, .script_sig = span_of(script, sizeof(script)),
                       .script = script_of("61"), .worthless = true };
    assert_string_equal(judge(ORIGINAL, &p), "version");
    p.version = 1;
    assert_string_equal(judge(ORIGINAL, &p), "scriptsig-size");
    script[0] = OP_NOP;
    assert_string_equal(judge(ORIGINAL, &p), "scriptsig-size");
    p.script_sig = span_of(script, 10);
    assert_string_equal(judge(ORIGINAL, &p), "scriptsig-not-pushonly");
    p.script_sig = span_of(script + 1, 10);
    assert_string_equal(judge(ORIGINAL, &p), "dust");
    p.worthless = false;
    assert_string_equal(judge(ORIGINAL, &p), "scriptpubkey");
}

static void behaviour_81_what_is_not_standard_counts_by_era_and_settings(void **state)
{
    (void)state;
    /* era, acceptnonstdtxn, acceptnonstdoutputs, only the output: refused */
    static const struct { enum script_era era; bool txs, outputs, only, refused; } rows[] = {
        { ORIGINAL, false, true, true, true },
        { ORIGINAL, false, true, false, true },
        { ORIGINAL, true, false, false, false },
        { AFTER_GENESIS, false, true, true, false },
        { AFTER_GENESIS, false, true, false, true },
        { AFTER_GENESIS, true, true, false, false },
        { AFTER_GENESIS, false, false, true, true },
        { AFTER_GENESIS, true, false, true, true },
        { AFTER_CHRONICLE, false, true, true, false },
        { AFTER_CHRONICLE, false, true, false, true },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct block_rules next = next_of(rows[i].era);
        policy.accept_nonstandard_txs = rows[i].txs;
        policy.accept_nonstandard_outputs = rows[i].outputs;
        assert_int_equal(policy_standard_matters(&policy, &next, rows[i].only), rows[i].refused);
    }
}

/* --- with the coins --- */

static struct coin coin_of(int32_t height, struct span script)
{
    return (struct coin){ .value = 1000, .height = height, .script = script };
}

static bool input_passes(enum script_era era, const struct coin *coin, struct span script_sig)
{
    const struct block_rules next = next_of(era);
    struct tx *tx = make(&(struct parts){ .script_sig = script_sig });
    const bool good = policy_inputs_standard(&next, tx, coin);
    tx_unref(tx);
    return good;
}

static void spent_outputs_are_of_a_standard_kind_of_their_own_era(void **state)
{
    (void)state;
    struct coin c = coin_of(600, builder_p2pkh());
    assert_true(input_passes(ORIGINAL, &c, script_of("")));
    c.script = script_of("61");
    assert_false(input_passes(ORIGINAL, &c, script_of("51")));
    c.script = multisig(2, 5); /* any multisig will do here */
    assert_true(input_passes(ORIGINAL, &c, script_of("51")));
    uint8_t p2sh[SCRIPT_P2SH_SIZE];
    script_make_p2sh(p2sh, (const uint8_t[20]){ 1 });
    c = coin_of(GENESIS - 1, span_of(p2sh, sizeof(p2sh)));
    assert_true(input_passes(AFTER_GENESIS, &c, script_of("51")));
    c.height = GENESIS;
    assert_false(input_passes(AFTER_GENESIS, &c, script_of("51")));
}

static void a_redeem_script_has_at_most_15_signature_operations(void **state)
{
    (void)state;
    uint8_t p2sh[SCRIPT_P2SH_SIZE], sig[18];
    script_make_p2sh(p2sh, (const uint8_t[20]){ 1 });
    const struct coin c = coin_of(600, span_of(p2sh, sizeof(p2sh)));
    memset(sig, OP_CHECKSIG, sizeof(sig));
    sig[0] = 15;
    assert_true(input_passes(ORIGINAL, &c, span_of(sig, 16)));
    sig[0] = 16;
    assert_false(input_passes(ORIGINAL, &c, span_of(sig, 17)));
    sig[0] = 2;
    sig[1] = OP_1 - 1 + 15;
    sig[2] = OP_CHECKMULTISIG;
    assert_true(input_passes(ORIGINAL, &c, span_of(sig, 3)));
    sig[1] = OP_1 - 1 + 16;
    assert_false(input_passes(ORIGINAL, &c, span_of(sig, 3)));
    /* Nothing pushed, something else than pushes, an ENDIF without its IF. */
    assert_false(input_passes(ORIGINAL, &c, script_of("")));
    assert_false(input_passes(ORIGINAL, &c, script_of("5161")));
    assert_false(input_passes(ORIGINAL, &c, script_of("0168")));
}

static const char *sigops(enum script_era era, const struct parts *p, struct coin c)
{
    static struct verdict v;
    const struct block_rules next = next_of(era);
    struct coin coins[100];
    struct tx *tx = make(p);
    for (size_t i = 0; i < tx->n_in; i++)
        coins[i] = c;
    v = (struct verdict){ 0 };
    const bool good = policy_check_sigops(&policy, &next, tx, coins, &v);
    assert_int_equal(good, v.code == REJECT_NONE);
    tx_unref(tx);
    return v.reason;
}

static void before_genesis_a_transaction_has_at_most_4000_signature_operations(void **state)
{
    (void)state;
    uint8_t checks[400], p2sh[SCRIPT_P2SH_SIZE];
    const struct coin plain = coin_of(600, builder_p2pkh());
    memset(checks, OP_CHECKSIG, sizeof(checks));
    const struct parts p = { .script = span_of(checks, 400), .n_out = 10 };
    assert_string_equal(sigops(ORIGINAL, &p, plain), "");
    const struct parts one_more = { .script = p.script, .n_out = 10,
                                    .script_sig = script_of("ac") };
    assert_string_equal(sigops(ORIGINAL, &one_more, plain), "bad-txns-too-many-sigops");
    /* A key count that is not looked at is 20. */
    uint8_t multi[40];
    for (size_t i = 0; i < sizeof(multi); i += 2) {
        multi[i] = OP_1;
        multi[i + 1] = OP_CHECKMULTISIG;
    }
    assert_string_equal(sigops(ORIGINAL, &(struct parts){ .script = span_of(multi, 40),
                                                          .n_out = 10 }, plain), "");
    /* Redeem scripts count. */
    script_make_p2sh(p2sh, (const uint8_t[20]){ 1 });
    const struct parts redeem = { .script = span_of(multi, 40), .n_out = 10,
                                  .script_sig = script_of("01ac") };
    assert_string_equal(sigops(ORIGINAL, &redeem, coin_of(600, span_of(p2sh, sizeof(p2sh)))),
                        "bad-txns-too-many-sigops");
}

static void from_genesis_on_the_count_is_accurate_and_the_limit_the_operators(void **state)
{
    (void)state;
    const struct coin plain = coin_of(1200, builder_p2pkh());
    const struct parts five = { .script = script_of("55ae") }, end = { .script = script_of("68") };
    const struct parts negative = { .script = script_of("0181ae") };
    const struct parts after_return = { .script = script_of("6a68ac") };
    policy.max_sigops = 5;
    assert_string_equal(sigops(AFTER_GENESIS, &five, plain), "");
    policy.max_sigops = 4;
    assert_string_equal(sigops(AFTER_GENESIS, &five, plain), "bad-txns-too-many-sigops");
    policy.max_sigops = 0;
    assert_string_equal(sigops(AFTER_GENESIS, &five, plain), "");
    assert_string_equal(sigops(AFTER_GENESIS, &end, plain), "bad-txns-too-many-sigops");
    assert_string_equal(sigops(AFTER_CHRONICLE, &negative, plain), "bad-txns-too-many-sigops");
    assert_string_equal(sigops(AFTER_GENESIS, &after_return, plain), "");
}

/* --- fees and consolidations --- */

static void a_fee_is_rounded_down_but_never_to_nothing(void **state)
{
    (void)state;
    assert_int_equal(fee_of_rate(500, 200), 100);
    assert_int_equal(fee_of_rate(500, 201), 100);
    assert_int_equal(fee_of_rate(500, 1), 1);
    assert_int_equal(fee_of_rate(0, 1000000), 0);
    assert_int_equal(fee_of_rate(1, 1000), 1);
    assert_int_equal(fee_of_rate(MAX_MONEY, UINT64_C(1) << 40), INT64_MAX);
}

struct merge {
    struct parts parts;
    int32_t height;     /* of the coins */
    struct span script; /* of the coins; none: P2PKH */
};

static bool is_free(const struct merge *m)
{
    const struct block_rules next = next_of(AFTER_GENESIS);
    struct tx *tx = make(&m->parts);
    struct coin coins[100];
    for (size_t i = 0; i < tx->n_in; i++)
        coins[i] = coin_of(m->height, m->script.data ? m->script : builder_p2pkh());
    const bool free_one = policy_is_consolidation(&policy, &next, tx, coins);
    tx_unref(tx);
    return free_one;
}

#define NEXT 1500 /* next_of(AFTER_GENESIS).height */

static void twenty_old_coins_merge_into_one_for_nothing(void **state)
{
    (void)state;
    uint8_t sig[151] = { 0 };
    assert_true(is_free(&(struct merge){ { .n_in = 20 }, .height = NEXT - 6 }));
    assert_false(is_free(&(struct merge){ { .n_in = 19 }, .height = NEXT - 6 }));
    assert_true(is_free(&(struct merge){ { .n_in = 40, .n_out = 2 }, .height = NEXT - 6 }));
    assert_false(is_free(&(struct merge){ { .n_in = 39, .n_out = 2 }, .height = NEXT - 6 }));
    assert_false(is_free(&(struct merge){ { .n_in = 20 }, .height = NEXT - 5 }));
    assert_false(is_free(&(struct merge){ { .n_in = 20 }, .height = NEXT }));
    assert_true(is_free(&(struct merge){ { .n_in = 20, .script_sig = span_of(sig, 150) },
                                         .height = 1 }));
    assert_false(is_free(&(struct merge){ { .n_in = 20, .script_sig = span_of(sig, 151) },
                                          .height = 1 }));
    /* The bytes of the outputs count too. */
    assert_false(is_free(&(struct merge){ { .n_in = 20, .script = multisig(1, 2) }, .height = 1 }));
}

static void settings_of_consolidations_are_followed(void **state)
{
    (void)state;
    const struct span odd = script_of("61616161616161616161616161616161616161616161616161");
    const struct merge unusual = { { .n_in = 20 }, .height = 1, .script = odd };
    assert_false(is_free(&unusual));
    policy.consolidation_nonstandard = true;
    assert_true(is_free(&unusual));
    policy.consolidation_min_conf = 0;
    assert_true(is_free(&(struct merge){ { .n_in = 20 }, .height = NEXT }));
    policy.consolidation_factor = 2;
    assert_true(is_free(&(struct merge){ { .n_in = 2 }, .height = 1 }));
    policy.consolidation_factor = 0;
    assert_false(is_free(&(struct merge){ { .n_in = 90 }, .height = 1 }));
}

static void a_donation_to_the_miner_is_free(void **state)
{
    (void)state;
    struct merge gift = { { .n_in = 1, .script = script_of("006a0464757374"), .worthless = true },
                          .height = NEXT };
    assert_true(is_free(&gift));
    gift.parts.n_in = 7;
    assert_true(is_free(&gift));
    gift.parts.worthless = false;
    assert_false(is_free(&gift));
    gift.parts.worthless = true;
    gift.parts.script = script_of("006a0464757375");
    assert_false(is_free(&gift));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup(f, set_up)
        TEST(behaviour_36_and_53_versions_are_1_and_2_before_chronicle_and_any_after),
        TEST(behaviours_17_18_and_81_sizes),
        TEST(an_unlocking_script_had_at_most_1650_bytes),
        TEST(behaviour_64_an_unlocking_script_only_pushes_before_chronicle),
        TEST(multisig_is_standard_up_to_three_keys),
        TEST(behaviour_22_and_63_the_p2sh_shape_is_a_kind_of_output_before_genesis_only),
        TEST(behaviour_37_null_data_and_its_sum),
        TEST(behaviour_81_dust_is_an_output_of_nothing_that_could_be_spent),
        TEST(the_first_objection_of_the_order_is_told),
        TEST(behaviour_81_what_is_not_standard_counts_by_era_and_settings),
        TEST(spent_outputs_are_of_a_standard_kind_of_their_own_era),
        TEST(a_redeem_script_has_at_most_15_signature_operations),
        TEST(before_genesis_a_transaction_has_at_most_4000_signature_operations),
        TEST(from_genesis_on_the_count_is_accurate_and_the_limit_the_operators),
        TEST(a_fee_is_rounded_down_but_never_to_nothing),
        TEST(twenty_old_coins_merge_into_one_for_nothing),
        TEST(settings_of_consolidations_are_followed),
        TEST(a_donation_to_the_miner_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
