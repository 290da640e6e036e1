/* Connecting blocks: whatever is wrong and wherever, the coins are as before and the verdict is
 * one. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "tests/chain/chain_builder.h"

enum { TXS = 6, INPUTS = 20, COINS = TXS * INPUTS };

/* A chain with COINS outputs that pay to the test key, in one transaction. */
struct funded {
    struct test_chain t;
    struct txid funding;
    int64_t value;
};

static void fund(struct funded *f, unsigned workers)
{
    struct chain_params p = test_params(1);
    struct out_spec outs[COINS];
    struct built_tx tx;
    struct built_block b;
    test_chain_open(&f->t, &p, workers);
    test_chain_grow(&f->t, 101);
    f->value = f->t.blocks[1].reward / COINS;
    for (size_t i = 0; i < COINS; i++)
        outs[i] = (struct out_spec){ f->value, builder_p2pkh() };
    struct in_spec in = { .prevout = f->t.blocks[1].coinbase };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = outs, .n_out = COINS }, &tx);
    f->funding = tx.id;
    builder_block(&p, &(struct block_spec){ .prev = &f->t.blocks[101], .txs = &tx, .n_txs = 1 },
                  &b);
    assert_string_equal(test_chain_submit(&f->t, &b), "");
    f->t.blocks = xrealloc(f->t.blocks, 103 * sizeof(b));
    f->t.blocks[102] = b;
    f->t.height = 102;
    built_tx_clear(&tx);
}

/* TXS transactions of INPUTS signed inputs; the one at (bad_tx, bad_input) has a bad signature. */
static void make_spends(const struct funded *f, int bad_tx, int bad_input, struct built_tx *txs)
{
    static const uint8_t bad_sig[] = { 0x00, 0x00 }; /* an empty signature and no key */
    for (int i = 0; i < TXS; i++) {
        struct in_spec in[INPUTS];
        for (int k = 0; k < INPUTS; k++) {
            in[k] = (struct in_spec){ .prevout = { f->funding, (uint32_t)(i * INPUTS + k) },
                                      .value = f->value, .sign = true };
            if (i == bad_tx && k == bad_input) {
                in[k].sign = false;
                in[k].script_sig = span_of(bad_sig, sizeof(bad_sig));
            }
        }
        struct out_spec out = { f->value * INPUTS, builder_true() };
        builder_tx(&(struct tx_spec){ .in = in, .n_in = INPUTS, .out = &out, .n_out = 1 }, &txs[i]);
    }
}

static void clear_spends(struct built_tx *txs)
{
    for (int i = 0; i < TXS; i++)
        built_tx_clear(&txs[i]);
}

static void signed_spends_connect_with_any_number_of_workers(void **state)
{
    (void)state;
    for (unsigned workers = 0; workers <= 4; workers++) {
        struct funded f;
        struct built_tx txs[TXS];
        fund(&f, workers);
        make_spends(&f, -1, -1, txs);
        assert_string_equal(test_chain_try(&f.t, txs, TXS, 0), "");
        for (int i = 0; i < COINS; i++)
            assert_false(test_chain_has_coin(&f.t, &(struct outpoint){ f.funding, (uint32_t)i },
                                             NULL));
        assert_true(test_chain_has_coin(&f.t, &(struct outpoint){ txs[TXS - 1].id, 0 }, NULL));
        clear_spends(txs);
        test_chain_close(&f.t);
    }
}

static void a_bad_script_anywhere_leaves_the_coins_as_they_were(void **state)
{
    (void)state;
    const int places[][2] = { { 0, 0 }, { 0, INPUTS - 1 }, { TXS / 2, INPUTS / 2 }, { TXS - 1, 0 },
                              { TXS - 1, INPUTS - 1 } };
    for (unsigned workers = 0; workers <= 4; workers++) {
        struct funded f;
        fund(&f, workers);
        struct hash256 before = test_chain_coins(&f.t);
        for (size_t i = 0; i < COUNT_OF(places); i++) {
            struct built_tx txs[TXS];
            char where[64];
            make_spends(&f, places[i][0], places[i][1], txs);
            assert_string_equal(test_chain_try(&f.t, txs, TXS, 0), "blk-bad-inputs");
            snprintf(where, sizeof(where), "transaction %d input %d:", places[i][0] + 1,
                     places[i][1]);
            assert_non_null(strstr(f.t.last_verdict.detail, where));
            assert_int_equal(f.t.last_verdict.ban_score, 100);
            struct hash256 after = test_chain_coins(&f.t);
            assert_memory_equal(before.b, after.b, 32);
            clear_spends(txs);
        }
        test_chain_close(&f.t);
    }
}

static void the_lowest_bad_script_is_the_one_reported(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct funded f;
        struct built_tx low[TXS], high[TXS];
        fund(&f, 3);
        make_spends(&f, 1, 7, low);
        make_spends(&f, 4, 2, high);
        struct built_tx swap = low[4]; /* low now has both failures */
        low[4] = high[4];
        high[4] = swap;
        assert_string_equal(test_chain_try(&f.t, low, TXS, 0), "blk-bad-inputs");
        assert_non_null(strstr(f.t.last_verdict.detail, "transaction 2 input 7:"));
        clear_spends(low);
        clear_spends(high);
        test_chain_close(&f.t);
    }
}

static void a_bad_script_comes_before_a_later_missing_input_and_after_an_earlier_one(void **state)
{
    (void)state;
    struct funded f;
    struct built_tx txs[TXS + 1];
    fund(&f, 2);
    struct hash256 before = test_chain_coins(&f.t);
    make_spends(&f, 3, 5, txs);
    struct outpoint nowhere = { .index = 3 };
    builder_move(&nowhere, 1, &txs[TXS]);
    assert_string_equal(test_chain_try(&f.t, txs, TXS + 1, 0), "blk-bad-inputs");
    struct built_tx first = txs[TXS];
    memmove(txs + 1, txs, TXS * sizeof(*txs));
    txs[0] = first;
    assert_string_equal(test_chain_try(&f.t, txs, TXS + 1, 0), "bad-txns-inputs-missingorspent");
    struct hash256 after = test_chain_coins(&f.t);
    assert_memory_equal(before.b, after.b, 32);
    built_tx_clear(&txs[0]);
    clear_spends(txs + 1);
    test_chain_close(&f.t);
}

/* attacks A2 */
static void an_input_spent_twice_in_a_block_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct funded f;
    struct built_tx a, b, c, both;
    fund(&f, 1);
    struct hash256 before = test_chain_coins(&f.t);
    const struct outpoint *o = &f.t.blocks[2].coinbase;
    int64_t value = f.t.blocks[2].reward;
    builder_move(o, value, &a);
    builder_move(o, value - 1, &b);
    assert_string_equal(test_chain_try(&f.t, (struct built_tx[]){ a, b }, 2, 1),
                        "bad-txns-inputs-missingorspent");
    /* a chain of three, the last a second spend */
    builder_move(&(struct outpoint){ a.id, 0 }, value, &c);
    assert_string_equal(test_chain_try(&f.t, (struct built_tx[]){ a, c, b }, 3, 1),
                        "bad-txns-inputs-missingorspent");
    struct in_spec in[2] = { { .prevout = *o }, { .prevout = *o } };
    struct out_spec out = { value, builder_true() };
    builder_tx(&(struct tx_spec){ .in = in, .n_in = 2, .out = &out, .n_out = 1 }, &both);
    assert_string_equal(test_chain_try(&f.t, &both, 1, 0), "bad-txns-inputs-duplicate");
    struct hash256 after = test_chain_coins(&f.t);
    assert_memory_equal(before.b, after.b, 32);
    assert_string_equal(test_chain_try(&f.t, (struct built_tx[]){ a, c }, 2, 0), "");
    built_tx_clear(&a);
    built_tx_clear(&b);
    built_tx_clear(&c);
    built_tx_clear(&both);
    test_chain_close(&f.t);
}

static void a_chain_of_spends_inside_a_block_can_be_taken_back(void **state)
{
    (void)state;
    enum { LINKS = 50 };
    struct funded f;
    struct built_tx links[LINKS];
    struct error e;
    fund(&f, 2);
    struct hash256 before = test_chain_coins(&f.t);
    struct outpoint at = f.t.blocks[2].coinbase;
    for (int i = 0; i < LINKS; i++) {
        builder_move(&at, f.t.blocks[2].reward, &links[i]);
        at = (struct outpoint){ links[i].id, 0 };
    }
    struct built_block b;
    builder_block(&f.t.options.params,
                  &(struct block_spec){ .prev = &f.t.blocks[102], .txs = links, .n_txs = LINKS },
                  &b);
    assert_string_equal(test_chain_submit(&f.t, &b), "");
    struct hash256 with = test_chain_coins(&f.t);
    assert_int_equal(chain_invalidate(f.t.chain, test_chain_node(&f.t, &b), &e), OK);
    struct hash256 after = test_chain_coins(&f.t);
    assert_memory_equal(before.b, after.b, 32);
    assert_int_equal(chain_reconsider(f.t.chain, test_chain_node(&f.t, &b), &e), OK);
    after = test_chain_coins(&f.t);
    assert_memory_equal(with.b, after.b, 32);
    built_block_clear(&b);
    for (int i = 0; i < LINKS; i++)
        built_tx_clear(&links[i]);
    test_chain_close(&f.t);
}

static void a_script_over_the_operators_memory_limit_is_no_final_verdict(void **state)
{
    (void)state;
    struct funded f;
    struct built_tx make, spend;
    struct built_block b1, b2;
    /* Pushes 600 zero bytes: more than a limit of 500, fine without one. */
    const uint8_t script[] = { 0x02, 0x58, 0x02, 0x80, 0x51 };
    const uint8_t sig[] = { 0x00 };
    fund(&f, 1);
    int64_t value = f.t.blocks[2].reward;
    struct in_spec in = { .prevout = f.t.blocks[2].coinbase };
    struct out_spec out = { value, span_of(script, sizeof(script)) };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &make);
    builder_block(&f.t.options.params,
                  &(struct block_spec){ .prev = &f.t.blocks[102], .txs = &make, .n_txs = 1 }, &b1);
    assert_string_equal(test_chain_submit(&f.t, &b1), "");
    f.t.options.max_stack_memory = 500;
    test_chain_reopen(&f.t);
    in = (struct in_spec){ .prevout = { make.id, 0 }, .script_sig = span_of(sig, sizeof(sig)) };
    out.script = builder_true();
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &spend);
    builder_block(&f.t.options.params,
                  &(struct block_spec){ .prev = &b1, .txs = &spend, .n_txs = 1 }, &b2);
    assert_string_equal(test_chain_submit(&f.t, &b2), "blk-bad-inputs");
    assert_true(atomic_load(&test_chain_node(&f.t, &b2)->status) & HS_FAILED_LIMIT);
    f.t.options.max_stack_memory = 0;
    test_chain_reopen(&f.t);
    struct chain_tip tip;
    assert_true(chain_wait_tip(f.t.chain, 104, NULL, 60000, &tip));
    built_tx_clear(&make);
    built_tx_clear(&spend);
    built_block_clear(&b1);
    built_block_clear(&b2);
    test_chain_close(&f.t);
}

/*
 * Scripts of an ancestor of the assumed-valid block are skipped only when the best header is more
 * than two weeks of work above it (spec consensus 3.3): 2,017 blocks here.
 */
static const char *assume_valid_run(size_t above)
{
    static char reason[64];
    struct funded f;
    struct built_tx txs[TXS];
    struct built_block b;
    struct error e;
    fund(&f, 1);
    make_spends(&f, 2, 3, txs);
    builder_block(&f.t.options.params,
                  &(struct block_spec){ .prev = &f.t.blocks[102], .txs = txs, .n_txs = TXS }, &b);
    f.t.options.params.assume_valid = b.hash;
    test_chain_reopen(&f.t);
    struct block_header *headers = xcalloc(above + 1, sizeof(*headers));
    headers[0] = b.header;
    struct built_block at = b, next;
    for (size_t i = 1; i <= above; i++) {
        builder_block(&f.t.options.params, &(struct block_spec){ .prev = &at }, &next);
        headers[i] = next.header;
        if (i > 1)
            built_block_clear(&at);
        at = next;
    }
    size_t accepted;
    struct header_node *last;
    struct verdict v;
    assert_int_equal(chain_accept_headers(f.t.chain, headers, NULL, above + 1, &accepted, &last,
                                          &v), OK);
    assert_int_equal(accepted, above + 1);
    snprintf(reason, sizeof(reason), "%s", test_chain_submit(&f.t, &b));
    if (!reason[0]) { /* it can be taken back like any other */
        assert_int_equal(chain_invalidate(f.t.chain, test_chain_node(&f.t, &b), &e), OK);
        assert_int_equal(test_chain_tip_height(&f.t), 102);
    }
    built_block_clear(&at);
    built_block_clear(&b);
    clear_spends(txs);
    free(headers);
    test_chain_close(&f.t);
    return reason;
}

static void scripts_below_the_assumed_valid_block_are_skipped_only_under_enough_work(void **state)
{
    (void)state;
    assert_string_equal(assume_valid_run(2016), "blk-bad-inputs");
    assert_string_equal(assume_valid_run(2017), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_spends_connect_with_any_number_of_workers),
        cmocka_unit_test(a_bad_script_anywhere_leaves_the_coins_as_they_were),
        cmocka_unit_test(the_lowest_bad_script_is_the_one_reported),
        cmocka_unit_test(a_bad_script_comes_before_a_later_missing_input_and_after_an_earlier_one),
        cmocka_unit_test(an_input_spent_twice_in_a_block_is_refused_and_changes_nothing),
        cmocka_unit_test(a_chain_of_spends_inside_a_block_can_be_taken_back),
        cmocka_unit_test(scripts_below_the_assumed_valid_block_are_skipped_only_under_enough_work),
        cmocka_unit_test(a_script_over_the_operators_memory_limit_is_no_final_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
