/* Behaviours 15 and 17 to 37 of the specification's list (spec consensus-tests A and B), by
 * number. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/hash.h"
#include "base/mem.h"
#include "chain/check.h"
#include "script/template.h"
#include "tests/chain/chain_builder.h"

/* --- small change --- */

/* A chain of regtest blocks with Genesis at a height and mature coins from the start of it. */
static void begin(struct test_chain *t, int32_t genesis, int32_t height)
{
    struct chain_params p = test_params(genesis);
    p.heights.csv = 10;
    test_chain_open(t, &p, 1);
    test_chain_grow(t, height);
}

/* Spends a coinbase of the chain (the one at height `from`) to one script. */
static struct built_tx pay(const struct test_chain *t, int from, struct span script)
{
    struct built_tx tx;
    struct in_spec in = { .prevout = t->blocks[from].coinbase };
    struct out_spec out = { t->blocks[from].reward, script };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &tx);
    return tx;
}

static struct built_tx pay_values(const struct test_chain *t, int from, const int64_t *values,
                                  size_t n)
{
    struct built_tx tx;
    struct in_spec in = { .prevout = t->blocks[from].coinbase };
    struct out_spec out[4];
    for (size_t i = 0; i < n; i++)
        out[i] = (struct out_spec){ values[i], builder_true() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = out, .n_out = n }, &tx);
    return tx;
}

/* Spends output 0 of tx with an unlocking script. */
static struct built_tx redeem(const struct built_tx *from, int64_t value, struct span script_sig)
{
    struct built_tx tx;
    struct in_spec in = { .prevout = { from->id, 0 }, .script_sig = script_sig };
    struct out_spec out = { value, builder_true() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &tx);
    return tx;
}

/* Tries a block with one transaction, which is then freed; the block is not kept when it is bad. */
static const char *try_one(struct test_chain *t, struct built_tx tx)
{
    const char *reason = test_chain_try(t, &tx, 1, 0);
    built_tx_clear(&tx);
    return reason;
}

/* The block that test_chain_try added is taken off again. */
static void back_to(struct test_chain *t, int32_t height)
{
    struct error e;
    struct chain_tip tip;
    chain_get_tip(t->chain, &tip);
    assert_true(tip.height > height);
    struct header_node *first = header_ancestor(tip.node, height + 1);
    assert_int_equal(chain_invalidate(t->chain, first, &e), OK);
    assert_int_equal(test_chain_tip_height(t), height);
}

static struct span filled(struct buf *b, size_t n, uint8_t value)
{
    buf_reset(b);
    memset(buf_extend(b, n), value, n);
    return buf_span(b);
}

/* A transaction of exactly this many bytes. */
static struct built_tx sized(const struct test_chain *t, int from, size_t size)
{
    struct buf b = { 0 };
    struct built_tx tx = pay(t, from, filled(&b, size - 100, 0));
    size_t script = size - 100 + size - tx.raw.len;
    built_tx_clear(&tx);
    tx = pay(t, from, filled(&b, script, 0));
    assert_int_equal(tx.raw.len, size);
    buf_clear(&b);
    return tx;
}

/* --- the behaviours --- */

static void behaviour_15_of_equal_work_the_branch_validated_first_stays(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_block other;
    struct chain_tip tip;
    begin(&t, 1000, 3);
    builder_block(&t.options.params, &(struct block_spec){ .prev = &t.blocks[2] }, &other);
    assert_string_equal(test_chain_submit(&t, &other), "");
    chain_get_tip(t.chain, &tip);
    assert_memory_equal(tip.hash.b, t.blocks[3].hash.b, 32);
    assert_int_equal(t.disconnected, 0);
    built_block_clear(&other);
    test_chain_close(&t);
}

static void behaviour_17_a_transaction_before_genesis_has_at_most_a_million_bytes(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 103, 101);
    assert_string_equal(try_one(&t, sized(&t, 1, 1000001)), "bad-txns-oversize");
    assert_string_equal(try_one(&t, sized(&t, 1, 1000000)), "");
    test_chain_close(&t);
}

static void behaviour_18_from_genesis_on_it_may_be_larger(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 103, 102);
    assert_string_equal(try_one(&t, sized(&t, 1, 1000001)), "");
    test_chain_close(&t);
}

static void behaviour_19_values_and_their_sums_stay_in_the_range_of_money(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 1000, 101);
    const int64_t negative = -1, above = MAX_MONEY + 1, all = MAX_MONEY;
    assert_string_equal(try_one(&t, pay_values(&t, 1, &negative, 1)), "bad-txns-vout-negative");
    assert_string_equal(try_one(&t, pay_values(&t, 1, &above, 1)), "bad-txns-vout-toolarge");
    /* In range, but more than the inputs have. */
    assert_string_equal(try_one(&t, pay_values(&t, 1, &all, 1)), "bad-txns-in-belowout");
    assert_string_equal(try_one(&t, pay_values(&t, 1, (int64_t[]){ MAX_MONEY, 1 }, 2)),
                        "bad-txns-txouttotal-toolarge");
    assert_string_equal(try_one(&t, pay_values(&t, 1, (int64_t[]){ INT64_MAX, INT64_MAX }, 2)),
                        "bad-txns-vout-toolarge");
    test_chain_close(&t);
}

static void behaviour_20_one_outpoint_cannot_be_spent_twice_in_a_transaction(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_tx tx;
    begin(&t, 1000, 101);
    struct in_spec in[2] = { { .prevout = t.blocks[1].coinbase },
                             { .prevout = t.blocks[1].coinbase } };
    struct out_spec out = { 1, builder_true() };
    builder_tx(&(struct tx_spec){ .in = in, .n_in = 2, .out = &out, .n_out = 1 }, &tx);
    assert_string_equal(try_one(&t, tx), "bad-txns-inputs-duplicate");
    test_chain_close(&t);
}

static void behaviour_21_a_coinbase_script_has_2_to_100_bytes(void **state)
{
    (void)state;
    static const struct { size_t size; const char *reason; } rows[] = {
        { 1, "bad-cb-length" }, { 2, "" }, { 100, "" }, { 101, "bad-cb-length" },
    };
    struct test_chain t;
    uint8_t script[101] = { 0 };
    begin(&t, 1000, 3);
    for (size_t i = 0; i < 4; i++) {
        struct built_block b;
        script[0] = (uint8_t)i;
        builder_block(&t.options.params,
                      &(struct block_spec){ .prev = &t.blocks[3],
                                            .script_sig = span_of(script, rows[i].size) }, &b);
        assert_string_equal(test_chain_submit(&t, &b), rows[i].reason);
        if (!rows[i].reason[0] && test_chain_tip_height(&t) > 3)
            back_to(&t, 3);
        built_block_clear(&b);
    }
    test_chain_close(&t);
}

static void behaviour_22_from_genesis_on_only_a_coinbase_may_pay_to_the_p2sh_shape(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_block b;
    uint8_t p2sh[SCRIPT_P2SH_SIZE];
    script_make_p2sh(p2sh, (const uint8_t[20]){ 1 });
    begin(&t, 103, 101);
    assert_string_equal(try_one(&t, pay(&t, 1, span_of(p2sh, sizeof(p2sh)))), "");
    back_to(&t, 101);
    test_chain_grow(&t, 1);
    assert_string_equal(try_one(&t, pay(&t, 1, span_of(p2sh, sizeof(p2sh)))), "bad-txns-vout-p2sh");
    builder_block(&t.options.params,
                  &(struct block_spec){ .prev = &t.blocks[102],
                                        .script = span_of(p2sh, sizeof(p2sh)) }, &b);
    assert_string_equal(test_chain_submit(&t, &b), "");
    built_block_clear(&b);
    test_chain_close(&t);
}

static void behaviour_23_a_block_with_a_doubled_tail_is_damage_and_the_honest_one_still_connects(
    void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 1000, 102);
    struct built_tx txs[2] = { pay(&t, 1, builder_true()), pay(&t, 2, builder_true()) };
    struct built_block honest, mutated = { 0 };
    builder_block(&t.options.params,
                  &(struct block_spec){ .prev = &t.blocks[102], .txs = txs, .n_txs = 2 }, &honest);
    mutated.hash = honest.hash;
    buf_put(&mutated.raw, honest.raw.data, honest.raw.len);
    assert_int_equal(mutated.raw.data[80], 3);
    mutated.raw.data[80] = 4; /* coinbase, a, b, b: the same root */
    buf_put(&mutated.raw, txs[1].raw.data, txs[1].raw.len);
    assert_string_equal(test_chain_submit(&t, &mutated), "bad-txns-duplicate");
    assert_true(t.last_verdict.corruption);
    assert_int_equal(atomic_load(&test_chain_node(&t, &honest)->status) & HS_FAILED_MASK, 0);
    assert_string_equal(test_chain_submit(&t, &honest), "");
    assert_int_equal(test_chain_tip_height(&t), 103);
    built_tx_clear(&txs[0]);
    built_tx_clear(&txs[1]);
    built_block_clear(&honest);
    built_block_clear(&mutated);
    test_chain_close(&t);
}

static void behaviour_24_an_unspent_txid_cannot_be_made_again_but_a_spent_one_can(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_block first, again;
    const uint8_t sig[] = { 9, 9, 9 };
    begin(&t, 1000, 1);
    /* Two coinbases alike in everything are one transaction. */
    struct block_spec spec = { .prev = &t.blocks[1], .script_sig = span_of(sig, sizeof(sig)) };
    builder_block(&t.options.params, &spec, &first);
    assert_string_equal(test_chain_submit(&t, &first), "");
    spec.prev = &first;
    builder_block(&t.options.params, &spec, &again);
    assert_memory_equal(first.coinbase.txid.b, again.coinbase.txid.b, 32);
    assert_string_equal(test_chain_submit(&t, &again), "bad-txns-BIP30");
    built_block_clear(&again);
    t.blocks = xrealloc(t.blocks, 3 * sizeof(first));
    t.blocks[2] = first;
    t.height = 2;
    test_chain_grow(&t, 100);
    struct built_tx spend;
    builder_move(&first.coinbase, first.reward, &spend);
    test_chain_add(&t, &spend, 1);
    spec.prev = &t.blocks[t.height];
    builder_block(&t.options.params, &spec, &again);
    assert_memory_equal(first.coinbase.txid.b, again.coinbase.txid.b, 32);
    assert_string_equal(test_chain_submit(&t, &again), "");
    built_tx_clear(&spend);
    built_block_clear(&again);
    test_chain_close(&t);
}

/* A coinbase and its spender come again; the spender's output is there until this very block. */
static void behaviour_24_a_block_cannot_spend_the_old_coin_and_make_it_anew(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_block first, second, bad;
    const uint8_t sig[] = { 9, 9, 9 };
    begin(&t, 1000, 1);
    struct block_spec spec = { .prev = &t.blocks[1], .script_sig = span_of(sig, sizeof(sig)) };
    builder_block(&t.options.params, &spec, &first);
    assert_string_equal(test_chain_submit(&t, &first), "");
    t.blocks = xrealloc(t.blocks, 3 * sizeof(first));
    t.blocks[2] = first;
    t.height = 2;
    test_chain_grow(&t, 100);
    struct built_tx txs[2];
    builder_move(&first.coinbase, first.reward, &txs[1]);
    test_chain_add(&t, &txs[1], 1);
    spec.prev = &t.blocks[t.height];
    builder_block(&t.options.params, &spec, &second);
    assert_string_equal(test_chain_submit(&t, &second), "");
    assert_memory_equal(first.coinbase.txid.b, second.coinbase.txid.b, 32);
    t.blocks = xrealloc(t.blocks, (size_t)(t.height + 2) * sizeof(second));
    t.blocks[++t.height] = second;
    test_chain_grow(&t, 100);
    struct hash256 before = test_chain_coins(&t);
    builder_move(&(struct outpoint){ txs[1].id, 0 }, first.reward, &txs[0]);
    spec = (struct block_spec){ .prev = &t.blocks[t.height], .txs = txs, .n_txs = 2 };
    builder_block(&t.options.params, &spec, &bad);
    assert_string_equal(test_chain_submit(&t, &bad), "bad-txns-BIP30");
    struct hash256 after = test_chain_coins(&t);
    assert_memory_equal(before.b, after.b, 32);
    built_block_clear(&bad);
    test_chain_add(&t, &txs[0], 1); /* spent in a block before, it can be made again */
    test_chain_add(&t, &txs[1], 1);
    built_tx_clear(&txs[0]);
    built_tx_clear(&txs[1]);
    test_chain_close(&t);
}

/*
 * The real blocks are on a chain of 91,880; here the rule is off for another reason (a known block
 * at the BIP34 height), and a coinbase of height 3 comes again at height 7.
 */
static void behaviour_25_the_two_old_duplicates_are_exempt_and_leave_one_coin(void **state)
{
    (void)state;
    const struct chain_params *main_params = params_get(NETWORK_MAIN);
    static const struct { int32_t height; const char *hash; bool enforced; } rows[] = {
        { 91842, "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec", false },
        { 91880, "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721", false },
        { 91842, "00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721", true },
        { 91722, "00000000000271a2dc26e7667f8419f2e15416dc6955e5a6c6cdf3f2574dd08e", true },
    };
    for (size_t i = 0; i < 4; i++) {
        struct header_node node = { .height = rows[i].height };
        assert_true(hash_from_hex(node.hash.b, rows[i].hash));
        assert_int_equal(bip30_enforced(main_params, &node), rows[i].enforced);
    }
    struct chain_params p = test_params(1000);
    struct built_block b[8];
    struct test_chain t;
    struct error e;
    struct coin coin;
    const uint8_t sig[] = { 0x57, 0x01, 0x02 };
    p.bip34_height = 5;
    builder_genesis(&p, &b[0]);
    for (int h = 1; h <= 7; h++) {
        struct block_spec spec = { .prev = &b[h - 1] };
        if (h == 3 || h == 7)
            spec.script_sig = span_of(sig, sizeof(sig));
        builder_block(&p, &spec, &b[h]);
    }
    p.bip34_hash = b[5].hash;
    assert_memory_equal(b[3].coinbase.txid.b, b[7].coinbase.txid.b, 32);
    test_chain_open(&t, &p, 1);
    for (int h = 1; h <= 7; h++)
        assert_string_equal(test_chain_submit(&t, &b[h]), "");
    struct hash256 with = test_chain_coins(&t);
    for (int round = 0; round < 2; round++) {
        assert_true(test_chain_has_coin(&t, &b[7].coinbase, &coin));
        assert_int_equal(coin.height, 7);
        struct header_node *node = test_chain_node(&t, &b[7]);
        assert_int_equal(chain_invalidate(t.chain, node, &e), OK);
        /* the first copy is gone for good */
        assert_false(test_chain_has_coin(&t, &b[3].coinbase, NULL));
        assert_int_equal(chain_reconsider(t.chain, node, &e), OK);
        struct hash256 again = test_chain_coins(&t);
        assert_memory_equal(with.b, again.b, 32);
    }
    /* The earlier one can be taken back too, though its coin was replaced. */
    struct header_node *node = test_chain_node(&t, &b[3]);
    assert_int_equal(chain_invalidate(t.chain, node, &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 2);
    assert_int_equal(chain_reconsider(t.chain, node, &e), OK);
    struct hash256 again = test_chain_coins(&t);
    assert_memory_equal(with.b, again.b, 32);
    for (int h = 0; h <= 7; h++)
        built_block_clear(&b[h]);
    test_chain_close(&t);
}

static void behaviour_26_a_coinbase_begins_with_its_height_from_the_bip34_height_on(void **state)
{
    (void)state;
    struct chain_params p = test_params(1000);
    struct test_chain t;
    p.bip34_height = 2;
    test_chain_open(&t, &p, 0);
    for (int32_t h = 1; h <= 130; h++) {
        struct built_block b;
        const uint8_t wrong[] = { 0x01, 0x7f, 0x00 };       /* height 127 */
        const uint8_t long_form[] = { 0x01, (uint8_t)h, 0 }; /* as a number where OP_n is due */
        builder_block(&p, &(struct block_spec){ .prev = &t.blocks[h - 1],
                                                .script_sig = span_of(wrong, 3) }, &b);
        if (h >= 2 && h != 127)
            assert_string_equal(test_chain_submit(&t, &b), "bad-cb-height");
        built_block_clear(&b);
        builder_block(&p, &(struct block_spec){ .prev = &t.blocks[h - 1],
                                                .script_sig = span_of(long_form, 3) }, &b);
        if (h >= 2 && h <= 16)
            assert_string_equal(test_chain_submit(&t, &b), "bad-cb-height");
        built_block_clear(&b);
        /* minimal encoding: OP_1..OP_16, then bytes, 128 with a sign byte */
        test_chain_grow(&t, 1);
    }
    test_chain_close(&t);
}

static void behaviour_27_a_coinbase_can_be_spent_100_blocks_later(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 1000, 99);
    assert_string_equal(try_one(&t, pay(&t, 1, builder_true())),
                        "bad-txns-premature-spend-of-coinbase");
    test_chain_grow(&t, 1);
    assert_string_equal(try_one(&t, pay(&t, 1, builder_true())), "");
    test_chain_close(&t);
}

static void behaviour_28_a_coinbase_pays_no_more_than_subsidy_and_fees(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_block b;
    begin(&t, 1000, 101);
    const int64_t all_but_5 = t.blocks[1].reward - 5;
    struct built_tx tx = pay_values(&t, 1, &all_but_5, 1);
    struct block_spec spec = { .prev = &t.blocks[101], .txs = &tx, .n_txs = 1, .fees = 5,
                               .extra_reward = 1 };
    builder_block(&t.options.params, &spec, &b);
    assert_string_equal(test_chain_submit(&t, &b), "bad-cb-amount");
    built_block_clear(&b);
    spec.extra_reward = 0;
    builder_block(&t.options.params, &spec, &b);
    assert_string_equal(test_chain_submit(&t, &b), "");
    built_block_clear(&b);
    back_to(&t, 101);
    spec.extra_reward = -1000;
    builder_block(&t.options.params, &spec, &b);
    assert_string_equal(test_chain_submit(&t, &b), "");
    built_block_clear(&b);
    back_to(&t, 101);
    test_chain_grow(&t, 150 - 102); /* 149 is the last of the first reward */
    assert_int_equal(t.blocks[149].reward, 50 * COIN);
    builder_block(&t.options.params,
                  &(struct block_spec){ .prev = &t.blocks[149], .extra_reward = 1 }, &b);
    assert_int_equal(b.reward, 25 * COIN + 1);
    assert_string_equal(test_chain_submit(&t, &b), "bad-cb-amount");
    built_block_clear(&b);
    test_chain_grow(&t, 1);
    assert_int_equal(t.blocks[150].reward, 25 * COIN);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

static void behaviour_29_a_child_cannot_come_before_its_parent(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 1000, 101);
    struct built_tx parent = pay(&t, 1, builder_true());
    struct built_tx child = redeem(&parent, t.blocks[1].reward, span_of(NULL, 0));
    assert_string_equal(test_chain_try(&t, (struct built_tx[]){ child, parent }, 2, 0),
                        "bad-txns-inputs-missingorspent");
    assert_string_equal(test_chain_try(&t, (struct built_tx[]){ parent, child }, 2, 0), "");
    built_tx_clear(&parent);
    built_tx_clear(&child);
    test_chain_close(&t);
}

/* A block of exactly this many bytes: 10,000 sigops in the coinbase, 10,001 in the transaction. */
static void sigops_block(struct test_chain *t, size_t size, struct built_block *b)
{
    struct buf ops = { 0 }, more = { 0 }, zeros = { 0 };
    struct in_spec in = { .prevout = t->blocks[1].coinbase };
    filled(&ops, 10000, 0xac);
    filled(&more, 10001, 0xac);
    size_t pad = size - 21000;
    for (int pass = 0; pass < 2; pass++) {
        struct out_spec out[2] = { { t->blocks[1].reward, buf_span(&more) },
                                   { 0, filled(&zeros, pad, 0) } };
        struct built_tx tx;
        builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = out, .n_out = 2 }, &tx);
        builder_block(&t->options.params,
                      &(struct block_spec){ .prev = &t->blocks[t->height], .txs = &tx,
                                           .n_txs = 1, .script = buf_span(&ops) }, b);
        built_tx_clear(&tx);
        pad += size - b->raw.len;
        if (pass == 0)
            built_block_clear(b);
    }
    assert_int_equal(b->raw.len, size);
    buf_clear(&ops);
    buf_clear(&more);
    buf_clear(&zeros);
}

static void behaviour_30_sigops_are_limited_by_each_begun_million_of_bytes_before_genesis(
    void **state)
{
    (void)state;
    struct test_chain t;
    struct built_block b;
    begin(&t, 1000, 101);
    sigops_block(&t, 1000000, &b);
    assert_string_equal(test_chain_submit(&t, &b), "bad-blk-sigops");
    built_block_clear(&b);
    sigops_block(&t, 1000001, &b);
    assert_string_equal(test_chain_submit(&t, &b), "");
    built_block_clear(&b);
    test_chain_close(&t);
}

static void behaviour_31_from_genesis_on_sigops_are_not_limited(void **state)
{
    (void)state;
    struct test_chain t;
    struct buf ops = { 0 };
    begin(&t, 100, 101);
    assert_string_equal(try_one(&t, pay(&t, 1, filled(&ops, 1000000, 0xac))), "");
    buf_clear(&ops);
    test_chain_close(&t);
}

static void behaviour_32_a_redeem_script_whose_sigops_cannot_be_counted_is_refused(void **state)
{
    (void)state;
    struct test_chain t;
    const uint8_t redeem_script[] = { 0x68, 0xac }; /* ENDIF CHECKSIG */
    const uint8_t sig[] = { 0x02, 0x68, 0xac };
    uint8_t hash[20], p2sh[SCRIPT_P2SH_SIZE];
    hash160(hash, redeem_script, sizeof(redeem_script));
    script_make_p2sh(p2sh, hash);
    begin(&t, 1000, 101);
    struct built_tx make = pay(&t, 1, span_of(p2sh, sizeof(p2sh)));
    test_chain_add(&t, &make, 1);
    assert_string_equal(try_one(&t, redeem(&make, 1, span_of(sig, sizeof(sig)))), "bad-txn-sigops");
    built_tx_clear(&make);
    test_chain_close(&t);
}

static struct built_tx locked(const struct test_chain *t, uint32_t lock_time, uint32_t sequence_gap)
{
    struct built_tx tx;
    struct in_spec in = { .prevout = t->blocks[1].coinbase, .sequence_gap = sequence_gap };
    struct out_spec out = { t->blocks[1].reward, builder_true() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1,
                                  .lock_time = lock_time }, &tx);
    return tx;
}

static void behaviour_33_a_height_lock_must_lie_below_the_block(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 1000, 101);
    assert_string_equal(try_one(&t, locked(&t, 102, 1)), "bad-txns-nonfinal");
    assert_string_equal(try_one(&t, locked(&t, 101, 1)), "");
    back_to(&t, 101);
    assert_string_equal(try_one(&t, locked(&t, 102, 0)), "");
    test_chain_close(&t);
}

static void behaviour_34_a_time_lock_must_lie_below_the_median_time_before(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 1000, 101);
    uint32_t median = header_median_time(test_chain_node(&t, &t.blocks[101]));
    assert_string_equal(try_one(&t, locked(&t, median, 1)), "bad-txns-nonfinal");
    assert_string_equal(try_one(&t, locked(&t, median - 1, 1)), "");
    test_chain_close(&t);
}

/* Spends an output of height 102 in the block at `height` with a relative lock of `blocks`. */
static struct built_tx relative(const struct test_chain *t, const struct built_tx *from,
                                int32_t version, uint32_t blocks)
{
    struct built_tx tx;
    struct in_spec in = { .prevout = { from->id, 0 }, .sequence_gap = UINT32_MAX - blocks };
    struct out_spec out = { t->blocks[1].reward, builder_true() };
    builder_tx(&(struct tx_spec){ .version = version, .in = &in, .n_in = 1, .out = &out,
                                  .n_out = 1 }, &tx);
    return tx;
}

static void behaviour_35_relative_locks_end_with_genesis(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 106, 101);
    struct built_tx from = pay(&t, 1, builder_true());
    test_chain_add(&t, &from, 1); /* at 102 */
    test_chain_grow(&t, 2);
    /* at 105: 3 deep */
    assert_string_equal(try_one(&t, relative(&t, &from, 2, 4)), "bad-txns-nonfinal");
    assert_string_equal(try_one(&t, relative(&t, &from, 2, 3)), "");
    back_to(&t, 104);
    test_chain_grow(&t, 1);
    assert_string_equal(try_one(&t, relative(&t, &from, 2, 5)), ""); /* at 106: 4 deep */
    built_tx_clear(&from);
    test_chain_close(&t);
}

static void behaviour_36_the_version_switches_relative_locks_as_an_unsigned_number(void **state)
{
    (void)state;
    struct test_chain t;
    begin(&t, 1000, 101);
    struct built_tx from = pay(&t, 1, builder_true());
    test_chain_add(&t, &from, 1);
    assert_string_equal(try_one(&t, relative(&t, &from, -1, 100)), "bad-txns-nonfinal");
    assert_string_equal(try_one(&t, relative(&t, &from, 1, 100)), "");
    built_tx_clear(&from);
    test_chain_close(&t);
}

static void behaviour_37_outputs_that_cannot_be_spent_are_not_stored(void **state)
{
    (void)state;
    struct test_chain t;
    const uint8_t returns[] = { 0x6a, 0x01, 0x02 }, false_return[] = { 0x00, 0x6a, 0x01 },
                  one[] = { 0x51 };
    begin(&t, 103, 101);
    struct built_tx before = pay(&t, 1, span_of(returns, sizeof(returns)));
    test_chain_add(&t, &before, 1);
    test_chain_grow(&t, 1);
    struct built_tx after = pay(&t, 2, span_of(returns, sizeof(returns)));
    struct built_tx never = pay(&t, 3, span_of(false_return, sizeof(false_return)));
    test_chain_add(&t, (struct built_tx[]){ after, never }, 2);
    assert_string_equal(try_one(&t, redeem(&before, 1, span_of(one, 1))),
                        "bad-txns-inputs-missingorspent");
    assert_string_equal(try_one(&t, redeem(&never, 1, span_of(one, 1))),
                        "bad-txns-inputs-missingorspent");
    assert_string_equal(try_one(&t, redeem(&after, 1, span_of(one, 1))), "");
    built_tx_clear(&before);
    built_tx_clear(&after);
    built_tx_clear(&never);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaviour_15_of_equal_work_the_branch_validated_first_stays),
        cmocka_unit_test(behaviour_17_a_transaction_before_genesis_has_at_most_a_million_bytes),
        cmocka_unit_test(behaviour_18_from_genesis_on_it_may_be_larger),
        cmocka_unit_test(behaviour_19_values_and_their_sums_stay_in_the_range_of_money),
        cmocka_unit_test(behaviour_20_one_outpoint_cannot_be_spent_twice_in_a_transaction),
        cmocka_unit_test(behaviour_21_a_coinbase_script_has_2_to_100_bytes),
        cmocka_unit_test(behaviour_22_from_genesis_on_only_a_coinbase_may_pay_to_the_p2sh_shape),
        cmocka_unit_test(
            behaviour_23_a_block_with_a_doubled_tail_is_damage_and_the_honest_one_still_connects),
        cmocka_unit_test(behaviour_24_a_block_cannot_spend_the_old_coin_and_make_it_anew),
        cmocka_unit_test(behaviour_24_an_unspent_txid_cannot_be_made_again_but_a_spent_one_can),
        cmocka_unit_test(behaviour_25_the_two_old_duplicates_are_exempt_and_leave_one_coin),
        cmocka_unit_test(behaviour_26_a_coinbase_begins_with_its_height_from_the_bip34_height_on),
        cmocka_unit_test(behaviour_27_a_coinbase_can_be_spent_100_blocks_later),
        cmocka_unit_test(behaviour_28_a_coinbase_pays_no_more_than_subsidy_and_fees),
        cmocka_unit_test(behaviour_29_a_child_cannot_come_before_its_parent),
        cmocka_unit_test(
            behaviour_30_sigops_are_limited_by_each_begun_million_of_bytes_before_genesis),
        cmocka_unit_test(behaviour_31_from_genesis_on_sigops_are_not_limited),
        cmocka_unit_test(behaviour_32_a_redeem_script_whose_sigops_cannot_be_counted_is_refused),
        cmocka_unit_test(behaviour_33_a_height_lock_must_lie_below_the_block),
        cmocka_unit_test(behaviour_34_a_time_lock_must_lie_below_the_median_time_before),
        cmocka_unit_test(behaviour_35_relative_locks_end_with_genesis),
        cmocka_unit_test(behaviour_36_the_version_switches_relative_locks_as_an_unsigned_number),
        cmocka_unit_test(behaviour_37_outputs_that_cannot_be_spent_are_not_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
