/* From the mempool into blocks and back, on a real chain. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "chain/miner.h"
#include "script/opcode.h"
#include "tests/chain/chain_builder.h"

#define MATURE 110 /* blocks: the first ten coinbases can be spent */
#define REWARD (50 * COIN)
#define FEE 1000

static void open_mature(struct test_chain *t, int32_t genesis_height)
{
    struct chain_params p = test_params(genesis_height);
    test_chain_open(t, &p, 2);
    assembler_set_max_size(chain_assembler(t->chain), 100000000);
    test_chain_grow(t, MATURE);
}

static void accept_tx(struct test_chain *t, const struct built_tx *b)
{
    struct tx_submission s = { .tx = tx_new(b->raw.data, b->raw.len, NULL) };
    struct error e;
    assert_int_equal(chain_submit_txs(t->chain, &s, 1, &e), OK);
    assert_int_equal(s.result.outcome, TX_ACCEPTED);
    tx_unref(s.tx);
}

/* Spends the coinbase of a height into the mempool. */
static struct built_tx move_reward(struct test_chain *t, int32_t height)
{
    struct built_tx tx;
    builder_move(&t->blocks[height].coinbase, REWARD - FEE, &tx);
    accept_tx(t, &tx);
    return tx;
}

static struct block_template *template_now(struct test_chain *t)
{
    struct block_template *out;
    struct error e;
    assert_int_equal(assembler_get(chain_assembler(t->chain), TEMPLATE_COMPLETE, &out, &e), OK);
    return out;
}

/* Coinbase and header that fit the template. */
static struct block_header mine(struct test_chain *t, const struct block_template *rest,
                                struct buf *coinbase)
{
    const struct miner_job job = { .params = chain_get_params(t->chain), .rest = rest,
                                   .script = builder_true(), .now = clock_now() };
    struct block_header h;
    struct error e;
    uint64_t tries = 100000;
    bool found;
    assert_int_equal(miner_mine(&job, &tries, NULL, &h, coinbase, &found, &e), OK);
    assert_true(found);
    return h;
}

/* A block with everything; how many transactions it has beside the coinbase. */
static uint64_t mine_one(struct test_chain *t)
{
    struct block_template *rest = template_now(t);
    struct buf coinbase = { 0 };
    struct block_submission s;
    struct error e;
    const struct block_parts parts = { .header = mine(t, rest, &coinbase),
                                       .coinbase = buf_span(&coinbase), .rest = rest };
    const uint64_t n = rest->totals.count;
    assert_int_equal(chain_submit_parts(t->chain, &parts, &s, &e), OK);
    assert_string_equal(verdict_ok(&s.verdict) ? "" : s.verdict.reason, "");
    assert_false(s.duplicate);
    assert_ptr_equal(header_index_tip(chain_headers(t->chain)), s.node);
    /* Once more is once too often. */
    assert_int_equal(chain_submit_parts(t->chain, &parts, &s, &e), OK);
    assert_true(s.duplicate);
    buf_clear(&coinbase);
    block_template_unref(rest);
    return n;
}

static void a_mined_block_takes_what_waits_and_leaves_nothing(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    struct built_tx a = move_reward(&t, 1), b = move_reward(&t, 2), child;
    const struct outpoint out = { .txid = a.id };
    builder_move(&out, REWARD - 2 * FEE, &child);
    accept_tx(&t, &child);
    struct block_template *rest = template_now(&t);
    assert_int_equal(rest->totals.count, 3);
    assert_int_equal(rest->totals.fees, 3 * FEE);
    assert_int_equal(rest->height, MATURE + 1);
    block_template_unref(rest);
    assert_int_equal(mine_one(&t), 3);
    assert_int_equal(test_chain_tip_height(&t), MATURE + 1);
    assert_int_equal(t.removed[MEMPOOL_IN_BLOCK], 3);
    assert_int_equal(mine_one(&t), 0);
    built_tx_clear(&a);
    built_tx_clear(&b);
    built_tx_clear(&child);
    test_chain_close(&t);
}

static void a_reorganisation_brings_transactions_back_into_the_template(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 1);
    struct built_tx a = move_reward(&t, 1), b = move_reward(&t, 2);
    assert_int_equal(mine_one(&t), 2);
    struct built_tx c = move_reward(&t, 3);
    struct header_node *mined = header_index_tip(chain_headers(t.chain));
    assert_int_equal(chain_invalidate(t.chain, mined, &e), OK);
    struct block_template *rest = template_now(&t);
    assert_ptr_equal(rest->prev, mined->prev);
    assert_int_equal(rest->totals.count, 3);
    block_template_unref(rest);
    assert_int_equal(mine_one(&t), 3);
    built_tx_clear(&a);
    built_tx_clear(&b);
    built_tx_clear(&c);
    test_chain_close(&t);
}

static void a_template_of_an_old_tip_makes_a_block_beside_the_chain(void **state)
{
    (void)state;
    struct test_chain t;
    struct buf coinbase = { 0 };
    struct block_submission s;
    struct error e;
    open_mature(&t, 1);
    struct built_tx a = move_reward(&t, 1);
    struct block_template *old = template_now(&t);
    mine_one(&t);
    const struct block_parts parts = { .header = mine(&t, old, &coinbase),
                                       .coinbase = buf_span(&coinbase), .rest = old };
    assert_int_equal(chain_submit_parts(t.chain, &parts, &s, &e), OK);
    assert_true(verdict_ok(&s.verdict) && !s.duplicate);
    assert_false(header_index_is_active(chain_headers(t.chain), s.node));
    block_template_unref(old);
    buf_clear(&coinbase);
    built_tx_clear(&a);
    test_chain_close(&t);
}

/* Above the limit up to which blocks are collected in memory. */
static void a_large_block_goes_from_the_pool_to_the_tip(void **state)
{
    (void)state;
    enum { N = 5, DATA = 7 << 20 };
    struct test_chain t;
    open_mature(&t, 1);
    struct buf script = { 0 };
    buf_put_u8(&script, OP_0);
    buf_put_u8(&script, OP_RETURN);
    memset(buf_extend(&script, DATA), 0x51, DATA);
    for (int32_t i = 0; i < N; i++) {
        const struct in_spec in = { .prevout = t.blocks[1 + i].coinbase, .value = REWARD };
        const struct out_spec out = { .value = 0, .script = buf_span(&script) };
        struct built_tx tx;
        builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &tx);
        struct tx_submission s = { .tx = tx_new(tx.raw.data, tx.raw.len, NULL),
                                   .allow_high_fee = true };
        struct error e;
        assert_int_equal(chain_submit_txs(t.chain, &s, 1, &e), OK);
        assert_int_equal(s.result.outcome, TX_ACCEPTED);
        tx_unref(s.tx);
        built_tx_clear(&tx);
    }
    assert_int_equal(mine_one(&t), N);
    struct header_data d;
    header_index_get_data(chain_headers(t.chain), header_index_tip(chain_headers(t.chain)), &d);
    assert_true(d.data.size > (uint64_t)N * DATA);
    assert_int_equal(d.tx_count, N + 1);
    buf_clear(&script);
    test_chain_close(&t);
}

/* Blocks of before Genesis have 20,000 signature operations for each begun megabyte. */
static void blocks_before_genesis_keep_the_limit_of_signature_operations(void **state)
{
    (void)state;
    enum { N = 8, CHECKS = 150 }; /* 3,000 each */
    struct test_chain t;
    open_mature(&t, 100000);
    uint8_t script[CHECKS];
    memset(script, OP_CHECKMULTISIG, sizeof(script));
    for (int32_t i = 0; i < N; i++) {
        const struct in_spec in = { .prevout = t.blocks[1 + i].coinbase, .value = REWARD };
        const struct out_spec out = { .value = REWARD - FEE - i,
                                      .script = span_of(script, sizeof(script)) };
        struct built_tx tx;
        builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &tx);
        accept_tx(&t, &tx);
        built_tx_clear(&tx);
    }
    struct block_template *rest = template_now(&t);
    assert_int_equal(rest->totals.count, 6);
    assert_int_equal(rest->totals.sigops, 18000);
    block_template_unref(rest);
    assert_int_equal(mine_one(&t), 6); /* and the chain finds it good */
    assert_int_equal(mine_one(&t), 2);
    test_chain_close(&t);
}

/* --- candidates that are only judged --- */

static const char *judged(struct test_chain *t, const struct buf *block)
{
    static struct verdict v;
    struct error e;
    const struct hash256 before = test_chain_coins(t);
    struct header_node *tip = header_index_tip(chain_headers(t->chain));
    assert_int_equal(chain_test_block(t->chain, block->data, block->len, &v, &e), OK);
    const struct hash256 after = test_chain_coins(t);
    assert_memory_equal(before.b, after.b, 32);
    assert_ptr_equal(header_index_tip(chain_headers(t->chain)), tip);
    return verdict_ok(&v) ? "" : v.reason;
}

static struct built_block block_on(struct test_chain *t, int32_t height, const struct built_tx *tx,
                                   int64_t extra)
{
    struct built_block b;
    builder_block(chain_get_params(t->chain),
                  &(struct block_spec){ .prev = &t->blocks[height], .txs = tx, .n_txs = tx ? 1 : 0,
                                        .extra_reward = extra }, &b);
    return b;
}

static void a_candidate_is_judged_and_leaves_no_trace(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_tx tx, stranger;
    const struct outpoint nowhere = { .index = 3 };
    open_mature(&t, 1);
    builder_move(&t.blocks[1].coinbase, REWARD - FEE, &tx);
    builder_move(&nowhere, 5, &stranger);
    struct built_block good = block_on(&t, MATURE, &tx, 0),
                       greedy = block_on(&t, MATURE, &tx, 1 + FEE);
    struct built_block missing = block_on(&t, MATURE, &stranger, 0);
    struct built_block old = block_on(&t, MATURE - 1, NULL, 0);
    le32_put(good.raw.data + 76, le32_get(good.raw.data + 76) + 1); /* no proof of work is asked */
    assert_string_equal(judged(&t, &good.raw), "");
    assert_string_equal(judged(&t, &greedy.raw), "bad-cb-amount");
    assert_string_equal(judged(&t, &missing.raw), "bad-txns-inputs-missingorspent");
    assert_string_equal(judged(&t, &old.raw), "inconclusive-not-best-prevblk");
    good.raw.data[40] ^= 1;
    assert_string_equal(judged(&t, &good.raw), "bad-txnmrklroot");
    good.raw.data[40] ^= 1;
    le32_put(good.raw.data + 72, 0x1d00ffff);
    assert_string_equal(judged(&t, &good.raw), "bad-diffbits");
    le32_put(good.raw.data + 72, 0x207fffff);
    assert_null(header_index_find(chain_headers(t.chain), &good.hash));
    le32_put(good.raw.data + 76, le32_get(good.raw.data + 76) - 1);
    assert_string_equal(test_chain_submit(&t, &good), ""); /* the same block for good */
    built_block_clear(&good);
    built_block_clear(&greedy);
    built_block_clear(&missing);
    built_block_clear(&old);
    built_tx_clear(&tx);
    built_tx_clear(&stranger);
    test_chain_close(&t);
}

static void bytes_that_are_no_block_are_an_error(void **state)
{
    (void)state;
    struct test_chain t;
    struct verdict v;
    struct error e;
    open_mature(&t, 1);
    struct built_block b = block_on(&t, MATURE, NULL, 0);
    assert_int_equal(chain_test_block(t.chain, b.raw.data, b.raw.len - 1, &v, &e), ERR_PARSE);
    buf_put_u8(&b.raw, 0);
    assert_int_equal(chain_test_block(t.chain, b.raw.data, b.raw.len, &v, &e), ERR_PARSE);
    assert_int_equal(chain_test_block(t.chain, b.raw.data, 0, &v, &e), ERR_PARSE);
    built_block_clear(&b);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mined_block_takes_what_waits_and_leaves_nothing),
        cmocka_unit_test(a_reorganisation_brings_transactions_back_into_the_template),
        cmocka_unit_test(a_template_of_an_old_tip_makes_a_block_beside_the_chain),
        cmocka_unit_test(a_large_block_goes_from_the_pool_to_the_tip),
        cmocka_unit_test(blocks_before_genesis_keep_the_limit_of_signature_operations),
        cmocka_unit_test(a_candidate_is_judged_and_leaves_no_trace),
        cmocka_unit_test(bytes_that_are_no_block_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
