#include <config.h>

#include "chain/miner.h"

#include <stdlib.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/hash.h"
#include "chain/check.h"
#include "tests/chain/chain_builder.h"
#include "tests/chain/header_util.h"
#include "tests/chain/pool_util.h"

#define MANY 100000 /* tries, more than regtest ever needs */

struct fixture {
    const struct chain_params *params;
    struct header_index *idx;
    struct journal *journal;
    struct assembler *assembler;
    struct block_template *rest;
    struct miner_job job;
    struct block_header header;
    struct buf coinbase;
    struct error e;
};

/* A template on the tip with whatever is in the journal. */
static void take_template(struct fixture *f, struct header_node *tip)
{
    journal_settle(f->journal, tip);
    block_template_unref(f->rest);
    assert_int_equal(assembler_get(f->assembler, TEMPLATE_COMPLETE, &f->rest, &f->e), OK);
    f->job.rest = f->rest;
}

static void fixture_open(struct fixture *f, int32_t height)
{
    *f = (struct fixture){ .params = params_get(NETWORK_REGTEST) };
    f->idx = header_index_new(f->params);
    f->journal = journal_new();
    f->assembler = assembler_new(&(struct assembler_options){
        .journal = f->journal, .params = f->params, .max_block_size = 1000000 });
    struct header_node *tip = header_index_genesis(f->idx);
    if (height > 1) {
        struct block_header *h = headers_mine(&tip->hash, tip->time + 1, 0, (size_t)height - 1);
        tip = headers_accept(f->idx, h, (size_t)height - 1);
        free(h);
    }
    f->job = (struct miner_job){ .params = f->params, .script = builder_true(),
                                 .now = tip->time + 60 };
    take_template(f, tip);
    buf_init(&f->coinbase);
}

static void fixture_close(struct fixture *f)
{
    buf_clear(&f->coinbase);
    block_template_unref(f->rest);
    assembler_free(f->assembler);
    journal_free(f->journal);
    header_index_free(f->idx);
}

static void mine(struct fixture *f)
{
    uint64_t tries = MANY;
    bool found;
    assert_int_equal(miner_mine(&f->job, &tries, NULL, &f->header, &f->coinbase, &found, &f->e),
                     OK);
    assert_true(found);
    assert_true(tries < MANY);
}

static struct tx *coinbase_of(const struct fixture *f)
{
    struct tx *tx = tx_new(f->coinbase.data, f->coinbase.len, NULL);
    assert_non_null(tx);
    return tx;
}

static struct tx *put_tx(struct fixture *f, uint32_t number, int64_t fee)
{
    struct tx *tx = pool_child(NULL, number, 1, 200);
    const struct journal_entry entry = { .tx = tx, .fee = fee };
    journal_begin(f->journal);
    journal_add(f->journal, &entry, 1);
    journal_end(f->journal);
    take_template(f, f->rest->prev);
    tx_unref(tx); /* the journal has it */
    return tx;
}

static void mined_header_is_accepted(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 20);
    mine(&f);
    assert_int_equal(f.header.version, 0x20000000);
    assert_int_equal(f.header.time, f.job.now);
    const struct header_node *node = headers_accept(f.idx, &f.header, 1);
    assert_int_equal(node->height, 20);
    fixture_close(&f);
}

static void coinbase_begins_with_its_height_at_every_length_of_it(void **state)
{
    (void)state;
    static const int32_t heights[] = { 1, 16, 17, 127, 128, 129, 300 };
    for (size_t i = 0; i < sizeof(heights) / sizeof(*heights); i++) {
        struct fixture f;
        struct verdict v;
        fixture_open(&f, heights[i]);
        mine(&f);
        struct tx *coinbase = coinbase_of(&f);
        struct chain_params bip34 = *f.params;
        struct block_rules rules;
        bip34.bip34_height = 0; /* judge as if the rule were in force */
        block_rules_init(&rules, &bip34, f.rest->prev, (uint32_t)f.job.now);
        assert_int_equal(rules.height, heights[i]);
        assert_true(check_coinbase(&rules, coinbase, &v));
        assert_true(check_coinbase_height(&rules, coinbase, &v));
        tx_unref(coinbase);
        fixture_close(&f);
    }
}

static void reward_is_subsidy_and_fees_to_the_script(void **state)
{
    (void)state;
    struct fixture f;
    int64_t value;
    fixture_open(&f, 150); /* first halving */
    put_tx(&f, 1, 1234);
    mine(&f);
    struct tx *coinbase = coinbase_of(&f);
    assert_int_equal(coinbase->n_out, 1);
    assert_int_equal(coinbase->out[0].value, 25 * COIN + 1234);
    assert_int_equal(coinbase->out[0].script.len, f.job.script.len);
    assert_memory_equal(coinbase->out[0].script.data, f.job.script.data, f.job.script.len);
    assert_int_equal(miner_reward(f.params, f.rest, &value, &f.e), OK);
    assert_int_equal(value, 25 * COIN + 1234);
    put_tx(&f, 2, MAX_MONEY);
    assert_int_equal(miner_reward(f.params, f.rest, &value, &f.e), ERR_RANGE);
    tx_unref(coinbase);
    fixture_close(&f);
}

static void time_passes_the_median_when_the_clock_is_behind(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 30);
    f.job.now = 1000;
    mine(&f);
    assert_int_equal(f.header.time, header_median_time(f.rest->prev) + 1);
    fixture_close(&f);
}

static void two_blocks_on_one_parent_in_one_second_differ(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f, 1);
    mine(&f);
    const struct block_header first = f.header;
    mine(&f);
    assert_int_equal(first.time, f.header.time);
    assert_memory_not_equal(first.merkle_root.b, f.header.merkle_root.b, 32);
    fixture_close(&f);
}

static void collect(void *ctx, const void *data, size_t len)
{
    buf_put((struct buf *)ctx, data, len);
}

static void transactions_follow_the_coinbase_and_are_in_the_root(void **state)
{
    (void)state;
    struct fixture f;
    struct buf block = { 0 };
    fixture_open(&f, 1);
    struct tx *tx = put_tx(&f, 1, 5);
    mine(&f);
    struct tx *coinbase = coinbase_of(&f);
    const struct block_parts parts = { f.header, buf_span(&f.coinbase), f.rest };
    block_parts_write(&parts, collect, &block);
    assert_int_equal(block.len, block_parts_size(&parts));
    assert_int_equal(block.data[80], 2);
    assert_memory_equal(block.data + 81, f.coinbase.data, f.coinbase.len);
    assert_memory_equal(block.data + 81 + f.coinbase.len, tx->raw.data, tx->raw.len);
    struct hash256 root;
    sha256d_pair(root.b, coinbase->id.b, tx->id.b);
    assert_memory_equal(f.header.merkle_root.b, root.b, 32);
    tx_unref(coinbase);
    buf_clear(&block);
    fixture_close(&f);
}

/* Work that nobody here finds. */
static void make_hard_header(struct fixture *f)
{
    fixture_open(f, 1);
    f->params = params_get(NETWORK_MAIN);
    f->header = (struct block_header){ .version = 1, .bits = f->params->genesis.bits };
}

static void tries_run_out_and_go_on_where_they_stopped(void **state)
{
    (void)state;
    struct fixture f;
    uint64_t tries = 50;
    bool found = true;
    make_hard_header(&f);
    assert_int_equal(miner_solve(f.params, &f.header, &tries, NULL, &found, &f.e), OK);
    assert_false(found);
    assert_int_equal(tries, 0);
    assert_int_equal(f.header.nonce, 50);
    tries = 50;
    assert_int_equal(miner_solve(f.params, &f.header, &tries, NULL, &found, &f.e), OK);
    assert_int_equal(f.header.nonce, 100);
    fixture_close(&f);
}

static void mining_stops_when_cancelled(void **state)
{
    (void)state;
    struct fixture f;
    struct cancel cancel;
    uint64_t tries = MANY;
    bool found;
    make_hard_header(&f);
    cancel_init(&cancel);
    cancel_set(&cancel);
    assert_int_equal(miner_solve(f.params, &f.header, &tries, &cancel, &found, &f.e),
                     ERR_CANCELLED);
    assert_false(found);
    fixture_close(&f);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
