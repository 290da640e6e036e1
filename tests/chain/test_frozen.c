/* Frozen outputs and confiscation transactions (spec consensus 7.3), as lists and in blocks. */
#include <config.h>

#include <string.h>

#include "base/mem.h"
#include "base/tx.h"
#include "chain/chain_internal.h"
#include "tests/chain/chain_builder.h"

static const struct outpoint coin_a = { { { 1 } }, 0 }, coin_b = { { { 1 } }, 1 };

static void an_empty_list_freezes_nothing(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    assert_false(frozen_in_block(f, &coin_a, 5));
    assert_false(frozen_in_mempool(f, &coin_a, 5));
    frozen_free(f);
}

static void consensus_intervals_include_their_start_and_not_their_stop(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    frozen_add_consensus(f, &coin_a, 10, 20, true);
    frozen_add_consensus(f, &coin_a, 30, 40, true);
    static const struct { int32_t height; bool block, mempool; } rows[] = {
        { 9, false, true }, { 10, true, true }, { 19, true, true }, { 20, false, true },
        { 30, true, true }, { 39, true, true }, { 40, false, false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(frozen_in_block(f, &coin_a, rows[i].height), rows[i].block);
        assert_int_equal(frozen_in_mempool(f, &coin_a, rows[i].height), rows[i].mempool);
        assert_false(frozen_in_block(f, &coin_b, rows[i].height));
    }
    frozen_clear(f);
    assert_false(frozen_in_block(f, &coin_a, 15));
    frozen_add_consensus(f, &coin_b, 10, 20, false); /* policy outlives the interval */
    assert_true(frozen_in_mempool(f, &coin_b, 100));
    frozen_free(f);
}

static void policy_freezes_in_the_mempool_alone_and_confiscation_everywhere(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    frozen_add_policy(f, &coin_a);
    frozen_add_confiscation(f, &coin_b);
    assert_true(frozen_in_mempool(f, &coin_a, 1));
    assert_false(frozen_in_block(f, &coin_a, 1));
    assert_true(frozen_in_mempool(f, &coin_b, 1));
    assert_true(frozen_in_block(f, &coin_b, 1));
    frozen_free(f);
}

/* --- the shape of a confiscation transaction --- */

static size_t order_script(uint8_t out[84], uint8_t push)
{
    memset(out, 0x22, 84);
    memcpy(out, "\x00\x6a\x04" "cftx", 7);
    out[7] = push;
    out[8] = 0x01;
    return 8u + push;
}

static struct built_tx order_tx(const struct outpoint *from, struct span order, struct span second, int64_t value)
{
    struct built_tx tx;
    struct in_spec in = { .prevout = *from };
    struct out_spec out[2] = { { 0, order }, { value, second } };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = out, .n_out = 2 }, &tx);
    return tx;
}

static const char *judge(const struct frozen *f, struct span order, struct span second, int32_t height)
{
    static struct verdict v;
    v = (struct verdict){ 0 };
    struct built_tx built = order_tx(&coin_a, order, second, 1);
    struct error e;
    struct tx *tx = tx_new(built.raw.data, built.raw.len, &e);
    assert_non_null(tx);
    assert_true(confiscation_is(tx));
    confiscation_check(f, tx, height, &v);
    tx_unref(tx);
    built_tx_clear(&built);
    return v.reason;
}

static void a_confiscation_has_one_order_output_of_29_to_83_bytes(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    uint8_t s[84];
    static const struct { uint8_t push; const char *reason; } rows[] = {
        { 20, "bad-ctx-invalid" }, { 21, "bad-ctx-not-whitelisted" }, { 75, "bad-ctx-not-whitelisted" },
        { 76, "bad-ctx-invalid" },
    };
    for (size_t i = 0; i < 4; i++) {
        size_t n = order_script(s, rows[i].push);
        assert_string_equal(judge(f, span_of(s, n), builder_true(), 10), rows[i].reason);
    }
    size_t n = order_script(s, 21);
    assert_string_equal(judge(f, span_of(s, n), span_of("\x00\x6a", 2), 10), "bad-ctx-invalid");
    assert_string_equal(judge(f, span_of(s, n - 1), builder_true(), 10), "bad-ctx-invalid");
    s[8] = 0x02;
    assert_string_equal(judge(f, span_of(s, n), builder_true(), 10), "bad-ctx-invalid");
    frozen_free(f);
}

/* --- in blocks; behaviours 84 and 85 of the specification's list, their block half --- */

struct freeze {
    struct outpoint outpoint;
    int32_t start, stop; /* stop 0: confiscation */
    struct txid whitelisted;
};

static void add_freeze(struct chain *c, void *ctx)
{
    const struct freeze *z = (const struct freeze *)ctx;
    if (z->stop)
        frozen_add_consensus(c->frozen, &z->outpoint, z->start, z->stop, true);
    else
        frozen_add_confiscation(c->frozen, &z->outpoint);
    frozen_whitelist(c->frozen, &z->whitelisted, 0);
}

static void behaviour_84_a_block_that_spends_a_frozen_output_waits_for_three_more(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 101);
    struct freeze z = { .outpoint = t.blocks[1].coinbase, .start = 102, .stop = 103 };
    assert_int_equal(chain_call(t.chain, add_freeze, &z), OK);
    struct built_tx spend;
    struct built_block b[5];
    builder_move(&z.outpoint, t.blocks[1].reward, &spend);
    const struct built_block *prev = &t.blocks[101];
    for (int i = 0; i < 5; i++) {
        builder_block(&p, &(struct block_spec){ .prev = prev, .txs = &spend, .n_txs = i == 0 }, &b[i]);
        prev = &b[i];
    }
    assert_string_equal(test_chain_submit(&t, &b[0]), "bad-txns-inputs-frozen");
    assert_int_equal(t.last_verdict.code, REJECT_SOFT_FREEZE);
    assert_int_equal(atomic_load(&test_chain_node(&t, &b[0])->status) & HS_FAILED_MASK, 0);
    for (int i = 1; i < 4; i++) {
        assert_string_equal(test_chain_submit(&t, &b[i]), "");
        assert_int_equal(test_chain_tip_height(&t), 101);
    }
    assert_string_equal(test_chain_submit(&t, &b[4]), ""); /* more work than we hold back */
    assert_int_equal(test_chain_tip_height(&t), 106);
    for (int i = 0; i < 5; i++)
        built_block_clear(&b[i]);
    built_tx_clear(&spend);
    test_chain_close(&t);
}

static void behaviour_84_outside_the_interval_the_output_can_be_spent(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 101);
    struct freeze z = { .outpoint = t.blocks[1].coinbase, .start = 90, .stop = 102 };
    assert_int_equal(chain_call(t.chain, add_freeze, &z), OK);
    struct built_tx spend;
    builder_move(&z.outpoint, t.blocks[1].reward, &spend);
    assert_string_equal(test_chain_try(&t, &spend, 1, 0), "");
    built_tx_clear(&spend);
    test_chain_close(&t);
}

static void while_a_block_is_held_back_a_branch_without_it_is_taken(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 101);
    struct freeze z = { .outpoint = t.blocks[1].coinbase, .start = 102, .stop = 103 };
    assert_int_equal(chain_call(t.chain, add_freeze, &z), OK);
    struct built_tx spend;
    struct built_block bad, after, other;
    builder_move(&z.outpoint, t.blocks[1].reward, &spend);
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[101], .txs = &spend, .n_txs = 1 }, &bad);
    builder_block(&p, &(struct block_spec){ .prev = &bad }, &after);
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[101] }, &other);
    assert_string_equal(test_chain_submit(&t, &bad), "bad-txns-inputs-frozen");
    assert_string_equal(test_chain_submit(&t, &after), "");
    assert_string_equal(test_chain_submit(&t, &other), ""); /* less work than the held branch */
    struct chain_tip tip;
    chain_get_tip(t.chain, &tip);
    assert_memory_equal(tip.hash.b, other.hash.b, 32);
    built_block_clear(&bad);
    built_block_clear(&after);
    built_block_clear(&other);
    built_tx_clear(&spend);
    test_chain_close(&t);
}

static void behaviour_85_a_whitelisted_confiscation_needs_no_scripts_and_its_output_matures_late(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    uint8_t s[84];
    size_t n = order_script(s, 21);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 101);
    /* The coin it takes asks for a signature that nobody gave. */
    struct built_tx lock;
    struct in_spec in = { .prevout = t.blocks[1].coinbase };
    struct out_spec out = { t.blocks[1].reward, builder_p2pkh() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &lock);
    test_chain_add(&t, &lock, 1); /* at 102 */
    struct outpoint coin = { lock.id, 0 };
    struct built_tx take = order_tx(&coin, span_of(s, n), builder_true(), t.blocks[1].reward);
    assert_string_equal(test_chain_try(&t, &take, 1, 0), "bad-ctx-not-whitelisted");
    struct freeze z = { .outpoint = coin, .whitelisted = take.id };
    assert_int_equal(chain_call(t.chain, add_freeze, &z), OK);
    test_chain_add(&t, &take, 1); /* at 103 */
    struct coin made;
    assert_true(test_chain_has_coin(&t, &(struct outpoint){ take.id, 1 }, &made));
    assert_true(made.confiscated);
    struct built_tx spend;
    builder_move(&(struct outpoint){ take.id, 1 }, t.blocks[1].reward, &spend);
    test_chain_grow(&t, 998); /* the next block is 1102: 999 after */
    assert_non_null(strstr(test_chain_try(&t, &spend, 1, 0), "premature"));
    test_chain_grow(&t, 1);
    assert_string_equal(test_chain_try(&t, &spend, 1, 0), "");
    built_tx_clear(&lock);
    built_tx_clear(&take);
    built_tx_clear(&spend);
    test_chain_close(&t);
}

static void a_released_block_may_still_carry_a_whitelisted_confiscation(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    uint8_t s[84];
    size_t n = order_script(s, 21);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 102);
    struct freeze frozen = { .outpoint = t.blocks[1].coinbase, .start = 103, .stop = 104 };
    struct built_tx txs[2];
    struct built_block b[5];
    builder_move(&frozen.outpoint, t.blocks[1].reward, &txs[0]);
    txs[1] = order_tx(&t.blocks[2].coinbase, span_of(s, n), builder_true(), t.blocks[2].reward);
    frozen.whitelisted = txs[1].id;
    assert_int_equal(chain_call(t.chain, add_freeze, &frozen), OK);
    const struct built_block *prev = &t.blocks[102];
    for (int i = 0; i < 5; i++) {
        builder_block(&p, &(struct block_spec){ .prev = prev, .txs = txs, .n_txs = i == 0 ? 2 : 0 }, &b[i]);
        prev = &b[i];
    }
    assert_string_equal(test_chain_submit(&t, &b[0]), "bad-txns-inputs-frozen");
    for (int i = 1; i < 5; i++)
        assert_string_equal(test_chain_submit(&t, &b[i]), "");
    assert_int_equal(test_chain_tip_height(&t), 107);
    for (int i = 0; i < 5; i++)
        built_block_clear(&b[i]);
    built_tx_clear(&txs[0]);
    built_tx_clear(&txs[1]);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_list_freezes_nothing),
        cmocka_unit_test(consensus_intervals_include_their_start_and_not_their_stop),
        cmocka_unit_test(policy_freezes_in_the_mempool_alone_and_confiscation_everywhere),
        cmocka_unit_test(a_confiscation_has_one_order_output_of_29_to_83_bytes),
        cmocka_unit_test(behaviour_84_a_block_that_spends_a_frozen_output_waits_for_three_more),
        cmocka_unit_test(behaviour_84_outside_the_interval_the_output_can_be_spent),
        cmocka_unit_test(while_a_block_is_held_back_a_branch_without_it_is_taken),
        cmocka_unit_test(a_released_block_may_still_carry_a_whitelisted_confiscation),
        cmocka_unit_test(behaviour_85_a_whitelisted_confiscation_needs_no_scripts_and_its_output_matures_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
