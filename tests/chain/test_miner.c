#include <config.h>

#include "chain/miner.h"

#include <stdlib.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/hash.h"
#include "chain/check.h"
#include "tests/chain/chain_builder.h"
#include "tests/chain/header_util.h"

#define MANY 100000 /* tries, more than regtest ever needs */

struct fixture {
    const struct chain_params *params;
    struct header_index *idx;
    struct miner_job job;
    struct buf block;
    struct error e;
};

static void fixture_open(struct fixture *f, int32_t height)
{
    *f = (struct fixture){ .params = params_get(NETWORK_REGTEST) };
    f->idx = header_index_new(f->params);
    struct header_node *tip = header_index_genesis(f->idx);
    if (height > 1) {
        struct block_header *h = headers_mine(&tip->hash, tip->time + 1, 0, (size_t)height - 1);
        tip = headers_accept(f->idx, h, (size_t)height - 1);
        free(h);
    }
    f->job = (struct miner_job){
        .params = f->params, .prev = tip, .script = builder_true(), .now = tip->time + 60
    };
    buf_init(&f->block);
}

static void fixture_close(struct fixture *f)
{
    buf_clear(&f->block);
    header_index_free(f->idx);
}

static void mine(struct fixture *f)
{
    uint64_t tries = MANY;
    bool found;
    assert_int_equal(miner_mine(&f->job, &tries, NULL, &f->block, &found, &f->e), OK);
    assert_true(found);
    assert_true(tries < MANY);
}

static struct block_header header_in(const struct buf *block)
{
    struct block_header h;
    struct reader r;
    reader_init(&r, block->data, block->len);
    block_header_read(&r, &h);
    return h;
}

/* The coinbase; the arena holds its arrays. */
static struct tx coinbase_in(const struct buf *block, struct arena *arena, size_t *n_txs)
{
    struct tx tx;
    struct reader r;
    reader_init(&r, block->data + BLOCK_HEADER_SIZE, block->len - BLOCK_HEADER_SIZE);
    *n_txs = read_compact(&r);
    arena_init(arena);
    assert_int_equal(tx_read(&r, arena, &tx), OK);
    tx_compute_id(&tx);
    return tx;
}

static void mined_header_is_accepted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 20);
    mine(&f);
    const struct block_header h = header_in(&f.block);
    assert_int_equal(h.version, 0x20000000);
    assert_int_equal(h.time, f.job.now);
    const struct header_node *node = headers_accept(f.idx, &h, 1);
    assert_int_equal(node->height, 20);
    fixture_close(&f);
}

static void coinbase_begins_with_its_height_at_every_length_of_it(void **state)
{
    (void)state;
    static const int32_t heights[] = { 1, 16, 17, 127, 128, 129, 300 };
    for (size_t i = 0; i < sizeof(heights) / sizeof(*heights); i++) {
        struct fixture f;
        struct arena arena;
        struct verdict v;
        size_t n;
        fixture_open(&f, heights[i]);
        mine(&f);
        const struct tx coinbase = coinbase_in(&f.block, &arena, &n);
        struct chain_params bip34 = *f.params;
        struct block_rules rules;
        bip34.bip34_height = 0; /* judge as if the rule were in force */
        block_rules_init(&rules, &bip34, f.job.prev, (uint32_t)f.job.now);
        assert_int_equal(rules.height, heights[i]);
        assert_true(check_coinbase(&rules, &coinbase, &v));
        assert_true(check_coinbase_height(&rules, &coinbase, &v));
        assert_int_equal(n, 1);
        arena_clear(&arena);
        fixture_close(&f);
    }
}

static void reward_is_subsidy_and_fees_to_the_script(void **state)
{
    (void)state;
    struct fixture f;
    struct arena arena;
    size_t n;
    fixture_open(&f, 150); /* first halving */
    f.job.fees = 1234;
    mine(&f);
    const struct tx coinbase = coinbase_in(&f.block, &arena, &n);
    assert_int_equal(coinbase.n_out, 1);
    assert_int_equal(coinbase.out[0].value, 25 * COIN + 1234);
    assert_int_equal(coinbase.out[0].script.len, f.job.script.len);
    assert_memory_equal(coinbase.out[0].script.data, f.job.script.data, f.job.script.len);
    f.job.fees = MAX_MONEY;
    assert_int_equal(miner_make_block(&f.job, &f.block, &f.e), ERR_RANGE);
    arena_clear(&arena);
    fixture_close(&f);
}

static void time_passes_the_median_when_the_clock_is_behind(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 30);
    f.job.now = 1000;
    mine(&f);
    assert_int_equal(header_in(&f.block).time, header_median_time(f.job.prev) + 1);
    fixture_close(&f);
}

static void two_blocks_on_one_parent_in_one_second_differ(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 1);
    mine(&f);
    const struct block_header first = header_in(&f.block);
    mine(&f);
    const struct block_header second = header_in(&f.block);
    assert_int_equal(first.time, second.time);
    assert_memory_not_equal(first.merkle_root.b, second.merkle_root.b, 32);
    fixture_close(&f);
}

static void transactions_follow_the_coinbase_and_are_in_the_root(void **state)
{
    (void)state;
    struct fixture f;
    struct arena arena;
    size_t n;
    struct error e;
    fixture_open(&f, 1);
    struct built_tx built;
    const struct outpoint from = { .index = 7 };
    builder_move(&from, 5, &built);
    struct tx *tx = tx_new(built.raw.data, built.raw.len, &e);
    const struct tx *txs[] = { tx };
    f.job.txs = txs;
    f.job.n_txs = 1;
    mine(&f);
    const struct tx coinbase = coinbase_in(&f.block, &arena, &n);
    assert_int_equal(n, 2);
    assert_memory_equal(f.block.data + f.block.len - built.raw.len, built.raw.data, built.raw.len);
    struct hash256 root;
    sha256d_pair(root.b, coinbase.id.b, built.id.b);
    const struct block_header h = header_in(&f.block);
    assert_memory_equal(h.merkle_root.b, root.b, 32);
    arena_clear(&arena);
    tx_unref(tx);
    built_tx_clear(&built);
    fixture_close(&f);
}

/* Work that nobody here finds. */
static void make_hard_block(struct fixture *f)
{
    fixture_open(f, 1);
    f->params = f->job.params = params_get(NETWORK_MAIN);
    header_index_free(f->idx);
    f->idx = header_index_new(f->params);
    f->job.prev = header_index_genesis(f->idx);
    assert_int_equal(miner_make_block(&f->job, &f->block, &f->e), OK);
}

static void tries_run_out_and_go_on_where_they_stopped(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t tries = 50;
    bool found = true;
    make_hard_block(&f);
    assert_int_equal(miner_solve(f.params, &f.block, &tries, NULL, &found, &f.e), OK);
    assert_false(found);
    assert_int_equal(tries, 0);
    const uint32_t nonce = header_in(&f.block).nonce;
    assert_int_equal(nonce, 50);
    tries = 50;
    assert_int_equal(miner_solve(f.params, &f.block, &tries, NULL, &found, &f.e), OK);
    assert_int_equal(header_in(&f.block).nonce, 100);
    fixture_close(&f);
}

static void mining_stops_when_cancelled(void **state)
{
    (void)state;
    struct fixture f;
    struct cancel cancel;
    uint64_t tries = MANY;
    bool found;
    make_hard_block(&f);
    cancel_init(&cancel);
    cancel_set(&cancel);
    assert_int_equal(miner_solve(f.params, &f.block, &tries, &cancel, &found, &f.e), ERR_CANCELLED);
    assert_false(found);
    fixture_close(&f);
}

static void a_chain_takes_mined_blocks(void **state)
{
    (void)state;
    struct test_chain t;
    const struct chain_params p = test_params(1000);
    struct buf block;
    buf_init(&block);
    test_chain_open(&t, &p, 0);
    for (int32_t height = 1; height <= 20; height++) {
        struct chain_tip tip;
        struct header_node *node;
        struct verdict v;
        struct error e;
        bool found, duplicate;
        uint64_t tries = MANY;
        chain_get_tip(t.chain, &tip);
        const struct miner_job job = { .params = chain_get_params(t.chain), .prev = tip.node,
                                       .script = builder_true(), .now = clock_now() };
        assert_int_equal(miner_mine(&job, &tries, NULL, &block, &found, &e), OK);
        assert_true(found);
        assert_int_equal(
            chain_submit_block(t.chain, block.data, block.len, &v, &duplicate, &node, &e), OK);
        assert_true(verdict_ok(&v) && !duplicate);
        assert_int_equal(test_chain_tip_height(&t), height);
    }
    buf_clear(&block);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mined_header_is_accepted),
        cmocka_unit_test(coinbase_begins_with_its_height_at_every_length_of_it),
        cmocka_unit_test(reward_is_subsidy_and_fees_to_the_script),
        cmocka_unit_test(time_passes_the_median_when_the_clock_is_behind),
        cmocka_unit_test(two_blocks_on_one_parent_in_one_second_differ),
        cmocka_unit_test(transactions_follow_the_coinbase_and_are_in_the_root),
        cmocka_unit_test(tries_run_out_and_go_on_where_they_stopped),
        cmocka_unit_test(mining_stops_when_cancelled),
        cmocka_unit_test(a_chain_takes_mined_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
