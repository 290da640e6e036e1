/* Transactions that are handed to the chain: accepted, refused, mined, returned by a
 * reorganisation, kept over a restart. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "chain/chain_internal.h"
#include "script/build.h"
#include "script/opcode.h"
#include "tests/chain/chain_builder.h"

#define MATURE 110 /* blocks: the first ten coinbases can be spent */
#define REWARD (50 * COIN)
#define FEE 1000

/* --- frame ---------------------------------------------------------------------------------- */

static void open_mature(struct test_chain *t, unsigned workers)
{
    struct chain_params p = test_params(1);
    test_chain_open(t, &p, workers);
    test_chain_grow(t, MATURE);
}

static struct outpoint coinbase_of(const struct test_chain *t, int32_t height)
{
    return t->blocks[height].coinbase;
}

/* One input, one output of anyone-can-spend; value: of what is spent. */
static struct built_tx spend(const struct outpoint *from, int64_t value, int64_t fee)
{
    const struct in_spec in = { .prevout = *from, .value = value };
    const struct out_spec out = { .value = value - fee, .script = builder_true() };
    struct built_tx tx;
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &tx);
    return tx;
}

static struct outpoint output_of(const struct built_tx *tx)
{
    return (struct outpoint){ .txid = tx->id };
}

static struct tx *parse(const struct built_tx *b)
{
    struct tx *tx = tx_new(b->raw.data, b->raw.len, NULL);
    assert_non_null(tx);
    return tx;
}

/* The caller clears with tx_submissions_clear. */
static struct tx_result submit_result(struct test_chain *t, const struct built_tx *b)
{
    struct tx_submission s = { .tx = parse(b) };
    struct error e;
    assert_int_equal(chain_submit_txs(t->chain, &s, 1, &e), OK);
    tx_unref(s.tx);
    return s.result;
}

static enum tx_outcome submit(struct test_chain *t, const struct built_tx *b)
{
    struct tx_result r = submit_result(t, b);
    tx_unref(r.conflict);
    return r.outcome;
}

static void assert_refused(struct test_chain *t, const struct built_tx *b, int code,
                           const char *reason)
{
    struct tx_result r = submit_result(t, b);
    assert_int_equal(r.outcome, TX_REJECTED);
    assert_string_equal(r.verdict.reason, reason);
    assert_int_equal(r.verdict.code, code);
    tx_unref(r.conflict);
}

static size_t pool_count(struct test_chain *t)
{
    struct mempool_stats s;
    mempool_get_stats(chain_mempool(t->chain), clock_now(), &s);
    return s.count;
}

static bool in_pool(struct test_chain *t, const struct built_tx *b)
{
    return mempool_contains(chain_mempool(t->chain), &b->id);
}

static void wait_for(const _Atomic int *counter, int value)
{
    const int64_t end = clock_mono_ms() + 60000;
    while (*counter < value && clock_mono_ms() < end)
        usleep(1000);
    assert_int_equal(*counter, value);
}

static void offer(struct test_chain *t, const struct built_tx *b, uint64_t source)
{
    struct tx *tx = parse(b);
    assert_true(chain_offer_tx(t->chain, tx, source));
    tx_unref(tx);
}

/* --- accepting ------------------------------------------------------------------------------- */

static void a_good_transaction_enters_and_is_told_once(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 2);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    struct tx_result r = submit_result(&t, &tx);
    assert_int_equal(r.outcome, TX_ACCEPTED);
    assert_int_equal(r.fee, FEE);
    assert_true(in_pool(&t, &tx));
    assert_int_equal(t.accepted, 1);
    assert_int_equal(submit(&t, &tx), TX_KNOWN);
    assert_int_equal(t.accepted, 1);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

struct answer {
    struct test_chain *t;
    int batches_judged; /* when it came */
    enum tx_outcome outcome;
    _Atomic int given;
};

static void take_answer(void *ctx, const struct tx_result *result)
{
    struct answer *a = ctx;
    a->batches_judged = a->t->batches_judged;
    a->outcome = result->outcome;
    a->given++;
}

static void who_asked_has_the_answer_before_others_are_told(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 2);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    const struct tx_submission s = { .tx = parse(&tx) };
    struct answer a = { .t = &t };
    const int before = t.batches_judged;
    assert_true(chain_submit_tx_later(t.chain, &s, take_answer, &a));
    wait_for(&t.batches_judged, before + 1);
    assert_int_equal(a.given, 1);
    assert_int_equal(a.outcome, TX_ACCEPTED);
    assert_int_equal(a.batches_judged, before);
    assert_int_equal(t.accepted, 1);
    tx_unref(s.tx);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

static void signed_inputs_enter_and_a_wrong_signature_does_not(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 2);
    const struct in_spec in = { .prevout = coinbase_of(&t, 1), .value = REWARD };
    const struct out_spec to_key = { .value = REWARD - FEE, .script = builder_p2pkh() };
    struct built_tx fund, good, bad;
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &to_key, .n_out = 1 }, &fund);
    assert_int_equal(submit(&t, &fund), TX_ACCEPTED);
    struct in_spec sign = { .prevout = output_of(&fund), .value = REWARD - FEE, .sign = true };
    const struct out_spec out = { .value = REWARD - 2 * FEE, .script = builder_true() };
    const struct tx_spec spec = { .in = &sign, .n_in = 1, .out = &out, .n_out = 1 };
    sign.value -= 1; /* signs for another amount */
    builder_tx(&spec, &bad);
    assert_refused(&t, &bad, REJECT_INVALID,
                   "mandatory-script-verify-flag-failed (Signature must be zero for failed "
                   "CHECK(MULTI)SIG operation)");
    sign.value += 1;
    builder_tx(&spec, &good);
    assert_int_equal(submit(&t, &good), TX_ACCEPTED);
    built_tx_clear(&fund);
    built_tx_clear(&good);
    built_tx_clear(&bad);
    test_chain_close(&t);
}

static void missing_parents_are_named(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx parent = spend(&from, REWARD, FEE);
    const struct outpoint mid = output_of(&parent);
    struct built_tx child = spend(&mid, REWARD - FEE, FEE);
    assert_int_equal(submit(&t, &child), TX_MISSING_INPUTS);
    assert_int_equal(pool_count(&t), 0);
    assert_int_equal(submit(&t, &parent), TX_ACCEPTED);
    assert_int_equal(submit(&t, &child), TX_ACCEPTED);
    built_tx_clear(&parent);
    built_tx_clear(&child);
    test_chain_close(&t);
}

static void many_enter_in_any_order(void **state)
{
    (void)state;
    enum { CHAIN = 20 };
    struct test_chain t;
    struct built_tx txs[CHAIN];
    struct tx_submission s[CHAIN];
    struct error e;
    open_mature(&t, 2);
    struct outpoint from = coinbase_of(&t, 1);
    for (int i = 0; i < CHAIN; i++) {
        txs[i] = spend(&from, REWARD - i * FEE, FEE);
        from = output_of(&txs[i]);
        s[CHAIN - 1 - i] = (struct tx_submission){ .tx = parse(&txs[i]) };
    }
    assert_int_equal(chain_submit_txs(t.chain, s, CHAIN, &e), OK);
    for (int i = 0; i < CHAIN; i++) {
        assert_int_equal(s[i].result.outcome, TX_ACCEPTED);
        tx_unref(s[i].tx);
        built_tx_clear(&txs[i]);
    }
    assert_int_equal(pool_count(&t), CHAIN);
    test_chain_close(&t);
}

static void the_first_spend_stays_and_the_second_names_it(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 2);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx first = spend(&from, REWARD, FEE), second = spend(&from, REWARD, 50 * FEE);
    assert_int_equal(submit(&t, &first), TX_ACCEPTED);
    struct tx_result r = submit_result(&t, &second);
    assert_int_equal(r.outcome, TX_REJECTED);
    assert_int_equal(r.verdict.code, REJECT_CONFLICT);
    assert_int_equal(r.verdict.ban_score, 0);
    assert_string_equal(r.verdict.reason, "txn-mempool-conflict");
    assert_true(r.double_spend);
    assert_memory_equal(r.conflict->id.b, first.id.b, 32);
    tx_unref(r.conflict);
    assert_true(in_pool(&t, &first));
    built_tx_clear(&first);
    built_tx_clear(&second);
    test_chain_close(&t);
}

/* Handed over together: they are judged before either has entered. */
static void of_two_spends_in_one_batch_the_first_enters(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 2);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx a = spend(&from, REWARD, FEE), b = spend(&from, REWARD, 2 * FEE);
    struct tx_submission s[2] = { { .tx = parse(&a) }, { .tx = parse(&b) } };
    assert_int_equal(chain_submit_txs(t.chain, s, 2, &e), OK);
    assert_int_equal(s[0].result.outcome, TX_ACCEPTED);
    assert_int_equal(s[1].result.outcome, TX_REJECTED);
    assert_int_equal(pool_count(&t), 1);
    tx_submissions_clear(s, 2);
    for (int i = 0; i < 2; i++)
        tx_unref(s[i].tx);
    built_tx_clear(&a);
    built_tx_clear(&b);
    test_chain_close(&t);
}

/* --- long scripts ---------------------------------------------------------------------------- */

/* Spends one coinbase into n outputs of equal value and of len bytes, which anyone can spend. */
static struct built_tx make_long(const struct outpoint *from, size_t n, size_t len, int64_t fee)
{
    uint8_t *script = xcalloc(len, 1);
    struct out_spec *out = xcalloc(n, sizeof(*out));
    const struct in_spec in = { .prevout = *from, .value = REWARD };
    struct built_tx tx;
    script[0] = OP_1;
    script[1] = OP_RETURN;
    for (size_t i = 0; i < n; i++)
        out[i] = (struct out_spec){ .value = (REWARD - fee) / (int64_t)n,
                                    .script = span_of(script, len) };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = out, .n_out = n }, &tx);
    free(out);
    free(script);
    return tx;
}

#define LONG_FEE (COIN / 50) /* enough for 10 MB */

/* Scripts of any length are taken, and take as long as they want. */
static void open_for_long_scripts(struct test_chain *t)
{
    open_mature(t, 2);
    t->options.policy.scripts.script_size = 0;
    t->options.policy.standard_time_ms = 0;
    test_chain_reopen(t);
}

static void spenders_of_a_long_script_are_judged_a_few_at_a_time(void **state)
{
    (void)state;
    enum { N = 5, LEN = 9000000 };
    struct test_chain t;
    struct test_gate gate;
    open_for_long_scripts(&t);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx source = make_long(&from, 1, LEN, LONG_FEE), spends[N];
    const struct outpoint large = output_of(&source);
    assert_int_equal(submit(&t, &source), TX_ACCEPTED);
    const int before = t.batches_judged;
    test_gate_close(&gate, t.chain);
    for (int i = 0; i < N; i++) {
        spends[i] = spend(&large, REWARD - LONG_FEE, (i + 1) * FEE);
        offer(&t, &spends[i], 7);
    }
    test_gate_open(&gate);
    wait_for(&t.offered_other, N - 1); /* the first enters, and is in the way of the others */
    assert_int_equal(t.offered_accepted, 1);
    assert_true(in_pool(&t, &spends[0]));
    assert_true(t.batches_judged - before >= 2); /* all five would have filled one otherwise */
    for (int i = 0; i < N; i++)
        built_tx_clear(&spends[i]);
    built_tx_clear(&source);
    test_chain_close(&t);
}

static void ask_whether_loaded(struct chain *c, void *ctx)
{
    *(bool *)ctx = chain_mempool_is_loaded(c);
}

/* What is read from mempool.dat, and what a batch has no room for, enters in its order. */
static void spends_of_long_scripts_are_kept_over_a_restart(void **state)
{
    (void)state;
    enum { N = 3, LEN = 3000000 };
    struct test_chain t;
    struct built_tx source[2], spends[2 * N], last;
    open_for_long_scripts(&t);
    for (int i = 0; i < 2; i++) {
        const struct outpoint from = coinbase_of(&t, i + 1);
        source[i] = make_long(&from, N, LEN, LONG_FEE);
        assert_int_equal(submit(&t, &source[i]), TX_ACCEPTED);
    }
    for (uint32_t i = 0; i < 2 * N; i++) {
        const struct outpoint from = { .txid = source[i / N].id, .index = i % N };
        spends[i] = spend(&from, (REWARD - LONG_FEE) / N, FEE);
        assert_int_equal(submit(&t, &spends[i]), TX_ACCEPTED);
    }
    const struct outpoint end = output_of(&spends[2 * N - 1]);
    last = spend(&end, (REWARD - LONG_FEE) / N - FEE, FEE);
    assert_int_equal(submit(&t, &last), TX_ACCEPTED);
    test_chain_reopen(&t);
    const int64_t until = clock_mono_ms() + 60000;
    bool loaded = false;
    while (!loaded && clock_mono_ms() < until) {
        assert_int_equal(chain_call(t.chain, ask_whether_loaded, &loaded), OK);
        usleep(1000);
    }
    assert_int_equal(pool_count(&t), 2 * N + 3);
    assert_true(in_pool(&t, &last));
    for (int i = 0; i < 2; i++)
        built_tx_clear(&source[i]);
    for (int i = 0; i < 2 * N; i++)
        built_tx_clear(&spends[i]);
    built_tx_clear(&last);
    test_chain_close(&t);
}

static void more_than_one_may_spend_of_scripts_is_refused(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    t.options.policy.max_spent_scripts = 1; /* those of coinbases have one byte */
    test_chain_reopen(&t);
    const struct in_spec in[2] = { { .prevout = coinbase_of(&t, 1), .value = REWARD },
                                   { .prevout = coinbase_of(&t, 2), .value = REWARD } };
    const struct out_spec out = { .value = REWARD - FEE, .script = builder_true() };
    struct built_tx both, one = spend(&in[0].prevout, REWARD, FEE);
    builder_tx(&(struct tx_spec){ .in = in, .n_in = 2, .out = &out, .n_out = 1 }, &both);
    assert_refused(&t, &both, REJECT_INVALID, "bad-txns-inputs-too-large");
    assert_int_equal(submit(&t, &one), TX_ACCEPTED);
    built_tx_clear(&both);
    built_tx_clear(&one);
    test_chain_close(&t);
}

static struct tx_offer *listed(struct tx_list *l)
{
    struct tx_offer *o = xcalloc(1, sizeof(*o));
    tx_list_add(l, o);
    return o;
}

static void a_list_put_first_keeps_both_orders(void **state)
{
    (void)state;
    struct tx_list a, b;
    tx_list_init(&a);
    tx_list_init(&b);
    tx_list_put_first(&a, &b);
    assert_null(tx_list_take(&a));
    struct tx_offer *first = listed(&b), *second = listed(&b);
    tx_list_put_first(&a, &b); /* into an empty one */
    struct tx_offer *third = listed(&a), *zero = listed(&b);
    tx_list_put_first(&a, &b);
    assert_int_equal(a.n, 4);
    assert_int_equal(b.n, 0);
    struct tx_offer *const want[] = { zero, first, second, third };
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(tx_list_take(&a), want[i]);
        free(want[i]);
    }
    assert_null(tx_list_take(&a));
}

/* --- rules ----------------------------------------------------------------------------------- */

static void young_coinbases_and_bad_sums_are_refused(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint young = coinbase_of(&t, MATURE - 50), old = coinbase_of(&t, 2);
    struct built_tx early = spend(&young, REWARD, FEE), rich = spend(&old, REWARD, -1);
    assert_refused(&t, &early, REJECT_INVALID, "bad-txns-premature-spend-of-coinbase");
    assert_refused(&t, &rich, REJECT_INVALID, "bad-txns-in-belowout");
    built_tx_clear(&early);
    built_tx_clear(&rich);
    test_chain_close(&t);
}

static void a_high_fee_needs_leave(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, COIN);
    assert_refused(&t, &tx, REJECT_HIGH_FEE, "absurdly-high-fee");
    struct tx_submission s = { .tx = parse(&tx), .allow_high_fee = true };
    assert_int_equal(chain_submit_txs(t.chain, &s, 1, &e), OK);
    assert_int_equal(s.result.outcome, TX_ACCEPTED);
    tx_unref(s.tx);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

static void what_peers_offer_comes_back_judged(void **state)
{
    (void)state;
    enum { N = 9 };
    struct test_chain t;
    struct built_tx txs[N];
    open_mature(&t, 2);
    for (int i = 0; i < N; i++) {
        const struct outpoint from = coinbase_of(&t, i + 1);
        txs[i] = spend(&from, REWARD, FEE);
        offer(&t, &txs[i], 7);
    }
    wait_for(&t.offered_accepted, N);
    offer(&t, &txs[0], 8);
    wait_for(&t.offered_other, 1);
    assert_int_equal(t.accepted, N);
    for (int i = 0; i < N; i++)
        built_tx_clear(&txs[i]);
    test_chain_close(&t);
}

static void a_transaction_in_a_block_is_told_as_confirmed(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    test_chain_add(&t, &tx, 1);
    assert_int_equal(submit(&t, &tx), TX_CONFIRMED);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

/* --- scripts that take long ------------------------------------------------------------------ */

/* Hashes 200 kB n times, then true. */
static struct buf heavy_script(int n)
{
    static const uint8_t zeros[200000];
    struct buf b;
    buf_init(&b);
    script_put_data(&b, zeros, sizeof(zeros));
    for (int i = 0; i < n; i++) {
        script_put_op(&b, OP_DUP);
        script_put_op(&b, OP_HASH256);
        script_put_op(&b, OP_DROP);
    }
    script_put_op(&b, OP_DROP);
    script_put_op(&b, OP_1);
    return b;
}

static void open_with_limits(struct test_chain *t, int64_t standard_ms, int64_t nonstandard_ms)
{
    struct chain_params p = test_params(1);
    test_chain_open(t, &p, 2);
    t->options.policy.standard_time_ms = standard_ms;
    t->options.policy.nonstandard_time_ms = nonstandard_ms;
    test_chain_reopen(t);
    test_chain_grow(t, MATURE);
}

/* In the pool: an output with the script, and a spend of it, which is not submitted. */
static struct built_tx heavy_spend(struct test_chain *t, const struct buf *script)
{
    const struct in_spec in = { .prevout = coinbase_of(t, 1), .value = REWARD };
    const struct out_spec out = { .value = REWARD - 400 * FEE, .script = buf_span(script) };
    struct built_tx fund;
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &fund);
    assert_int_equal(submit(t, &fund), TX_ACCEPTED);
    const struct outpoint from = output_of(&fund);
    struct built_tx tx = spend(&from, REWARD - 400 * FEE, FEE);
    built_tx_clear(&fund);
    return tx;
}

static void a_long_script_enters_by_the_second_queue(void **state)
{
    (void)state;
    struct test_chain t;
    open_with_limits(&t, 1, 60000);
    struct buf script = heavy_script(100);
    struct built_tx tx = heavy_spend(&t, &script);
    offer(&t, &tx, 5);
    wait_for(&t.offered_accepted, 1);
    assert_true(in_pool(&t, &tx));
    built_tx_clear(&tx);
    buf_clear(&script);
    test_chain_close(&t);
}

static void past_the_second_limit_it_is_refused_but_not_for_rpc(void **state)
{
    (void)state;
    struct test_chain t;
    open_with_limits(&t, 1, 2);
    struct buf script = heavy_script(100);
    struct built_tx tx = heavy_spend(&t, &script);
    offer(&t, &tx, 5);
    wait_for(&t.offered_other, 1);
    assert_false(in_pool(&t, &tx));
    assert_int_equal(submit(&t, &tx), TX_ACCEPTED); /* spec consensus 5.2: no limit */
    built_tx_clear(&tx);
    buf_clear(&script);
    test_chain_close(&t);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static void a_block_takes_its_transactions_and_their_conflicts_out(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 2);
    const struct outpoint one = coinbase_of(&t, 1), two = coinbase_of(&t, 2);
    struct built_tx mined = spend(&one, REWARD, FEE), loser = spend(&two, REWARD, FEE),
                    winner = spend(&two, REWARD, 2 * FEE);
    const struct outpoint mid = output_of(&loser);
    struct built_tx child = spend(&mid, REWARD - FEE, FEE);
    assert_int_equal(submit(&t, &mined), TX_ACCEPTED);
    assert_int_equal(submit(&t, &loser), TX_ACCEPTED);
    assert_int_equal(submit(&t, &child), TX_ACCEPTED);
    const struct built_tx block[] = { mined, winner };
    test_chain_add(&t, block, 2);
    assert_int_equal(pool_count(&t), 0);
    assert_int_equal(t.removed[MEMPOOL_IN_BLOCK], 1);
    assert_int_equal(t.removed[MEMPOOL_BLOCK_CONFLICT], 2);
    built_tx_clear(&mined);
    built_tx_clear(&loser);
    built_tx_clear(&winner);
    built_tx_clear(&child);
    test_chain_close(&t);
}

static void a_block_of_known_transactions_runs_no_signature_again(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 2);
    const struct in_spec in = { .prevout = coinbase_of(&t, 1), .value = REWARD };
    const struct out_spec to_key = { .value = REWARD - FEE, .script = builder_p2pkh() };
    struct built_tx txs[2];
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &to_key, .n_out = 1 }, &txs[0]);
    const struct in_spec sign = { .prevout = output_of(&txs[0]), .value = REWARD - FEE,
                                  .sign = true };
    const struct out_spec out = { .value = REWARD - 2 * FEE, .script = builder_true() };
    builder_tx(&(struct tx_spec){ .in = &sign, .n_in = 1, .out = &out, .n_out = 1 }, &txs[1]);
    assert_int_equal(submit(&t, &txs[0]), TX_ACCEPTED);
    assert_int_equal(submit(&t, &txs[1]), TX_ACCEPTED);
    const struct sigcache_stats before = sigcache_stats_get(t.chain->txs.signatures);
    const struct sigcache_stats scripts = sigcache_stats_get(t.chain->txs.scripts);
    test_chain_add(&t, txs, 2);
    const struct sigcache_stats after = sigcache_stats_get(t.chain->txs.signatures);
    assert_int_equal(after.hits + after.misses, before.hits + before.misses);
    assert_int_equal(sigcache_stats_get(t.chain->txs.scripts).hits, scripts.hits + 2);
    built_tx_clear(&txs[0]);
    built_tx_clear(&txs[1]);
    test_chain_close(&t);
}

static void a_reorganisation_brings_transactions_back_with_their_children(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 2);
    const struct outpoint one = coinbase_of(&t, 1);
    struct built_tx parent = spend(&one, REWARD, FEE);
    const struct outpoint mid = output_of(&parent);
    struct built_tx child = spend(&mid, REWARD - FEE, FEE);
    assert_int_equal(submit(&t, &parent), TX_ACCEPTED);
    test_chain_add(&t, &parent, 1);
    assert_int_equal(submit(&t, &child), TX_ACCEPTED);
    const int accepted = t.accepted;
    assert_int_equal(
        chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[t.height]), &e), OK);
    assert_true(in_pool(&t, &parent));
    assert_true(in_pool(&t, &child));
    assert_int_equal(t.accepted, accepted + 1); /* the parent; the child never left */
    assert_int_equal(t.removed[MEMPOOL_REORG], 0);
    built_tx_clear(&parent);
    built_tx_clear(&child);
    test_chain_close(&t);
}

static void what_a_reorganisation_makes_invalid_leaves(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 1);
    const int32_t newest = MATURE + 1 - COINBASE_MATURITY; /* mature for the next block alone */
    const struct outpoint from = coinbase_of(&t, newest);
    struct built_tx tx = spend(&from, REWARD, FEE);
    const struct outpoint mid = output_of(&tx);
    struct built_tx child = spend(&mid, REWARD - FEE, FEE);
    assert_int_equal(submit(&t, &tx), TX_ACCEPTED);
    assert_int_equal(submit(&t, &child), TX_ACCEPTED);
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[MATURE]), &e), OK);
    assert_int_equal(pool_count(&t), 0);
    assert_int_equal(t.removed[MEMPOOL_REORG], 2);
    built_tx_clear(&tx);
    built_tx_clear(&child);
    test_chain_close(&t);
}

/* One input final by its lock time alone, one output. */
static struct built_tx spend_locked(const struct outpoint *from, int64_t value, int64_t fee)
{
    const struct in_spec in = { .prevout = *from, .value = value, .sequence_gap = 1 };
    const struct out_spec out = { .value = value - fee, .script = builder_true() };
    struct built_tx tx;
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1, .lock_time = 1 },
               &tx);
    return tx;
}

/* Every link has to be judged once more, which must not mean once for each link before it. */
static void a_long_chain_with_lock_times_comes_through_a_reorganisation(void **state)
{
    (void)state;
    enum { LENGTH = 3000 };
    struct test_chain t;
    struct error e;
    open_mature(&t, 2);
    struct tx_submission *s = xcalloc(LENGTH, sizeof(*s));
    struct outpoint from = coinbase_of(&t, 1);
    for (int i = 0; i < LENGTH; i++) {
        struct built_tx tx = spend_locked(&from, REWARD - i * FEE, FEE);
        s[i].tx = parse(&tx);
        from = output_of(&tx);
        built_tx_clear(&tx);
    }
    assert_int_equal(chain_submit_txs(t.chain, s, LENGTH, &e), OK);
    assert_int_equal(pool_count(&t), LENGTH);
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[MATURE]), &e), OK);
    assert_int_equal(pool_count(&t), LENGTH);
    assert_int_equal(t.removed[MEMPOOL_REORG], 0);
    for (int i = 0; i < LENGTH; i++)
        tx_unref(s[i].tx);
    tx_submissions_clear(s, LENGTH);
    free(s);
    test_chain_close(&t);
}

static void children_of_what_a_reorganisation_has_no_room_for_leave(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    struct chain_params p = test_params(1);
    test_chain_open(&t, &p, 1);
    t.options.mempool.max_bytes = 4000;
    test_chain_reopen(&t);
    test_chain_grow(&t, MATURE);
    uint8_t data[5000] = { OP_0, OP_RETURN, OP_PUSHDATA2, (5000 - 5) & 0xff, (5000 - 5) >> 8 };
    const struct in_spec in = { .prevout = coinbase_of(&t, 1), .value = REWARD };
    const struct out_spec out = { .script = span_of(data, sizeof(data)) };
    const struct outpoint two = coinbase_of(&t, 2);
    struct built_tx txs[2];
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1 }, &txs[0]);
    txs[1] = spend(&two, REWARD, FEE);
    const struct outpoint mid = output_of(&txs[1]);
    struct built_tx child = spend(&mid, REWARD - FEE, FEE);
    test_chain_add(&t, txs, 2);
    assert_int_equal(submit(&t, &child), TX_ACCEPTED);
    assert_int_equal(
        chain_invalidate(t.chain, test_chain_node(&t, &t.blocks[t.height]), &e), OK);
    assert_false(in_pool(&t, &txs[1]));
    assert_false(in_pool(&t, &child));
    assert_int_equal(t.removed[MEMPOOL_REORG], 1);
    built_tx_clear(&txs[0]);
    built_tx_clear(&txs[1]);
    built_tx_clear(&child);
    test_chain_close(&t);
}

static void crossing_an_era_line_empties_the_pool(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(MATURE + 3);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, MATURE);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    assert_int_equal(submit(&t, &tx), TX_ACCEPTED);
    test_chain_grow(&t, 1);
    assert_int_equal(pool_count(&t), 1);
    test_chain_grow(&t, 1); /* the next block is the first of Genesis */
    assert_int_equal(pool_count(&t), 0);
    assert_int_equal(t.removed[MEMPOOL_ERA], 1);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

/* --- restart, limits, the non-final pool
 * ------------------------------------------------------- */

struct delta_question {
    struct txid id;
    int64_t add, now;
};

static void add_delta(struct chain *c, void *ctx)
{
    struct delta_question *q = ctx;
    if (q->add)
        mempool_prioritise(chain_mempool(c), &q->id, q->add);
    q->now = mempool_fee_delta(chain_mempool(c), &q->id);
}

static void a_fee_change_goes_with_the_block_that_has_the_transaction(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    struct delta_question q = { .id = tx.id, .add = 5 };
    assert_int_equal(chain_call(t.chain, add_delta, &q), OK);
    assert_int_equal(q.now, 5);
    test_chain_add(&t, &tx, 1); /* it never was in the pool */
    q.add = 0;
    assert_int_equal(chain_call(t.chain, add_delta, &q), OK);
    assert_int_equal(q.now, 0);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

static void note_time(void *ctx, struct tx *tx, int64_t time)
{
    (void)tx;
    *(int64_t *)ctx = time;
}

static void the_pools_are_kept_over_a_restart(void **state)
{
    (void)state;
    struct test_chain t;
    const int64_t begin = clock_now();
    int64_t held_since = 0;
    open_mature(&t, 2);
    const struct outpoint one = coinbase_of(&t, 1), two = coinbase_of(&t, 2);
    struct built_tx a = spend(&one, REWARD, FEE);
    const struct outpoint mid = output_of(&a);
    struct built_tx b = spend(&mid, REWARD - FEE, 0), held;
    const struct in_spec in = { .prevout = two, .value = REWARD, .sequence_gap = 5 };
    const struct out_spec out = { .value = REWARD - FEE, .script = builder_true() };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1,
                                  .lock_time = 100000 }, &held);
    assert_int_equal(submit(&t, &a), TX_ACCEPTED);
    assert_int_equal(submit(&t, &b), TX_ACCEPTED);
    clock_set_mock(begin);
    assert_int_equal(submit(&t, &held), TX_PARKED);
    clock_set_mock(begin + 1000);
    test_chain_reopen(&t);
    const int64_t end = clock_mono_ms() + 60000;
    while ((!in_pool(&t, &b) || !nonfinal_contains(chain_nonfinal(t.chain), &held.id)) &&
           clock_mono_ms() < end)
        usleep(1000);
    assert_true(in_pool(&t, &a));
    assert_true(in_pool(&t, &b));
    assert_true(nonfinal_contains(chain_nonfinal(t.chain), &held.id));
    nonfinal_each(chain_nonfinal(t.chain), note_time, &held_since);
    assert_int_equal(held_since, begin); /* a restart makes it no younger */
    clock_set_mock(0);
    built_tx_clear(&a);
    built_tx_clear(&b);
    built_tx_clear(&held);
    test_chain_close(&t);
}

static void a_damaged_file_is_set_aside(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    assert_int_equal(submit(&t, &tx), TX_ACCEPTED);
    assert_int_equal(chain_save_mempool(t.chain, &e), OK);
    char *path = path_join(t.dir, "mempool.dat"), *bad = xasprintf("%s.bad", path);
    struct buf content;
    buf_init(&content);
    t.options.persist_mempool = false; /* or closing writes it anew */
    assert_int_equal(file_read_all(path, 1 << 20, &content, &e), OK);
    content.data[content.len / 2] ^= 1;
    test_chain_reopen(&t);
    assert_int_equal(file_replace(path, content.data, content.len, &e), OK);
    t.options.persist_mempool = true;
    test_chain_reopen(&t);
    const int64_t end = clock_mono_ms() + 60000;
    while (!path_exists(bad) && clock_mono_ms() < end)
        usleep(1000);
    assert_true(path_exists(bad));
    assert_int_equal(pool_count(&t), 0);
    buf_clear(&content);
    free(path);
    free(bad);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

static void wait_for_entry(struct test_chain *t, const struct built_tx *tx)
{
    const int64_t end = clock_mono_ms() + 60000;
    while (!in_pool(t, tx) && clock_mono_ms() < end)
        usleep(1000);
    assert_true(in_pool(t, tx));
}

static void a_file_is_not_written_before_it_is_read(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    assert_int_equal(submit(&t, &tx), TX_ACCEPTED);
    test_chain_reopen_idle(&t);
    assert_int_equal(chain_save_mempool(t.chain, &e), ERR_BUSY);
    chain_start(t.chain, NULL);
    wait_for_entry(&t, &tx);
    assert_int_equal(chain_save_mempool(t.chain, &e), OK);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

/* One record more than there are; all before the end is read. */
static void a_file_that_ends_early_is_set_aside_too(void **state)
{
    (void)state;
    struct test_chain t;
    struct error e;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = spend(&from, REWARD, FEE);
    assert_int_equal(submit(&t, &tx), TX_ACCEPTED);
    test_chain_reopen_idle(&t);
    char *path = path_join(t.dir, "mempool.dat"), *bad = xasprintf("%s.bad", path);
    struct buf content;
    buf_init(&content);
    assert_int_equal(file_read_all(path, 1 << 20, &content, &e), OK);
    le64_put(content.data + 12, le64_get(content.data + 12) + 1);
    sha256d(content.data + content.len - 32, content.data, content.len - 32);
    assert_int_equal(file_replace(path, content.data, content.len, &e), OK);
    chain_start(t.chain, NULL);
    wait_for_entry(&t, &tx);
    assert_true(path_exists(bad));
    assert_false(path_exists(path));
    buf_clear(&content);
    free(path);
    free(bad);
    built_tx_clear(&tx);
    test_chain_close(&t);
}

static void a_full_pool_refuses_the_cheapest(void **state)
{
    (void)state;
    enum { N = 8 };
    struct test_chain t;
    struct built_tx txs[N];
    struct chain_params p = test_params(1);
    test_chain_open(&t, &p, 1);
    t.options.mempool.max_bytes = 3000; /* a few small ones */
    test_chain_reopen(&t);
    test_chain_grow(&t, MATURE);
    enum tx_outcome last = TX_ACCEPTED;
    for (int i = 0; i < N; i++) {
        const struct outpoint from = coinbase_of(&t, i + 1);
        txs[i] = spend(&from, REWARD, (N - i) * FEE);
        last = submit(&t, &txs[i]);
    }
    assert_int_equal(last, TX_REJECTED);
    assert_true(in_pool(&t, &txs[0]));
    assert_true(pool_count(&t) < N);
    assert_int_equal((size_t)t.accepted - (size_t)t.removed[MEMPOOL_SIZE_LIMIT], pool_count(&t));
    for (int i = 0; i < N; i++)
        built_tx_clear(&txs[i]);
    test_chain_close(&t);
}

static struct built_tx locked(const struct outpoint *from, uint32_t lock_time, uint32_t gap)
{
    const struct in_spec in = { .prevout = *from, .value = REWARD, .sequence_gap = gap };
    const struct out_spec out = { .value = REWARD - FEE, .script = builder_true() };
    struct built_tx tx;
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = &out, .n_out = 1,
                                  .lock_time = lock_time }, &tx);
    return tx;
}

static void a_held_transaction_enters_when_it_is_final(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx tx = locked(&from, MATURE + 2, 9);
    assert_int_equal(submit(&t, &tx), TX_PARKED);
    test_chain_grow(&t, 1);
    assert_false(in_pool(&t, &tx));
    test_chain_grow(&t, 1);
    wait_for_entry(&t, &tx);
    assert_false(nonfinal_contains(chain_nonfinal(t.chain), &tx.id));
    built_tx_clear(&tx);
    test_chain_close(&t);
}

static void a_block_is_copied_where_it_conflicts_with_a_held_one_only(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint one = coinbase_of(&t, 1), two = coinbase_of(&t, 2);
    struct built_tx held = locked(&one, 100000, 9), other = spend(&two, REWARD, FEE),
                    rival = spend(&one, REWARD, FEE);
    assert_int_equal(submit(&t, &held), TX_PARKED);
    test_chain_add(&t, &other, 1);
    assert_int_equal(t.chain->txs.staged_cap, 0);
    assert_true(nonfinal_contains(chain_nonfinal(t.chain), &held.id));
    test_chain_add(&t, &rival, 1);
    assert_false(nonfinal_contains(chain_nonfinal(t.chain), &held.id));
    built_tx_clear(&held);
    built_tx_clear(&other);
    built_tx_clear(&rival);
    test_chain_close(&t);
}

static void without_memory_for_its_conflicts_a_block_empties_the_pools(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint one = coinbase_of(&t, 1), two = coinbase_of(&t, 2);
    struct built_tx held = locked(&one, 100000, 9), kept = spend(&two, REWARD, FEE);
    assert_int_equal(submit(&t, &held), TX_PARKED);
    assert_int_equal(submit(&t, &kept), TX_ACCEPTED);
    t.chain->txs.staging_failed = true; /* the chain thread waits for the next block */
    txs_block_connected(&t.chain->txs, t.chain->tip);
    assert_int_equal(pool_count(&t), 0);
    assert_int_equal(t.removed[MEMPOOL_BLOCK_CONFLICT], 1);
    assert_false(nonfinal_contains(chain_nonfinal(t.chain), &held.id));
    assert_int_equal(submit(&t, &kept), TX_ACCEPTED);
    test_chain_grow(&t, 1);
    assert_true(in_pool(&t, &kept));
    built_tx_clear(&held);
    built_tx_clear(&kept);
    test_chain_close(&t);
}

static void all_sequences_final_bring_an_update_to_the_mempool(void **state)
{
    (void)state;
    struct test_chain t;
    open_mature(&t, 1);
    const struct outpoint from = coinbase_of(&t, 1);
    struct built_tx first = locked(&from, 100000, 9), update = locked(&from, 100000, 5),
                    final = locked(&from, 100000, 0);
    assert_int_equal(submit(&t, &first), TX_PARKED);
    assert_int_equal(submit(&t, &update), TX_PARKED);
    assert_false(nonfinal_contains(chain_nonfinal(t.chain), &first.id));
    assert_int_equal(submit(&t, &final), TX_ACCEPTED);
    assert_false(nonfinal_contains(chain_nonfinal(t.chain), &update.id));
    built_tx_clear(&first);
    built_tx_clear(&update);
    built_tx_clear(&final);
    test_chain_close(&t);
}

static void offers_under_way_do_not_hold_up_the_end(void **state)
{
    (void)state;
    struct test_chain t;
    struct built_tx txs[9];
    open_mature(&t, 1);
    for (int i = 0; i < 9; i++) {
        const struct outpoint from = coinbase_of(&t, i + 1);
        txs[i] = spend(&from, REWARD, FEE);
        offer(&t, &txs[i], 3);
    }
    chain_stop(t.chain);
    assert_int_equal(t.offered_accepted + t.offered_other, 9);
    for (int i = 0; i < 9; i++)
        built_tx_clear(&txs[i]);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_transaction_enters_and_is_told_once),
        cmocka_unit_test(who_asked_has_the_answer_before_others_are_told),
        cmocka_unit_test(signed_inputs_enter_and_a_wrong_signature_does_not),
        cmocka_unit_test(missing_parents_are_named),
        cmocka_unit_test(many_enter_in_any_order),
        cmocka_unit_test(the_first_spend_stays_and_the_second_names_it),
        cmocka_unit_test(of_two_spends_in_one_batch_the_first_enters),
        cmocka_unit_test(spenders_of_a_long_script_are_judged_a_few_at_a_time),
        cmocka_unit_test(spends_of_long_scripts_are_kept_over_a_restart),
        cmocka_unit_test(more_than_one_may_spend_of_scripts_is_refused),
        cmocka_unit_test(a_list_put_first_keeps_both_orders),
        cmocka_unit_test(young_coinbases_and_bad_sums_are_refused),
        cmocka_unit_test(a_high_fee_needs_leave),
        cmocka_unit_test(what_peers_offer_comes_back_judged),
        cmocka_unit_test(a_transaction_in_a_block_is_told_as_confirmed),
        cmocka_unit_test(a_long_script_enters_by_the_second_queue),
        cmocka_unit_test(past_the_second_limit_it_is_refused_but_not_for_rpc),
        cmocka_unit_test(a_block_takes_its_transactions_and_their_conflicts_out),
        cmocka_unit_test(a_block_of_known_transactions_runs_no_signature_again),
        cmocka_unit_test(a_reorganisation_brings_transactions_back_with_their_children),
        cmocka_unit_test(what_a_reorganisation_makes_invalid_leaves),
        cmocka_unit_test(a_long_chain_with_lock_times_comes_through_a_reorganisation),
        cmocka_unit_test(children_of_what_a_reorganisation_has_no_room_for_leave),
        cmocka_unit_test(crossing_an_era_line_empties_the_pool),
        cmocka_unit_test(a_fee_change_goes_with_the_block_that_has_the_transaction),
        cmocka_unit_test(the_pools_are_kept_over_a_restart),
        cmocka_unit_test(a_damaged_file_is_set_aside),
        cmocka_unit_test(a_file_is_not_written_before_it_is_read),
        cmocka_unit_test(a_file_that_ends_early_is_set_aside_too),
        cmocka_unit_test(a_full_pool_refuses_the_cheapest),
        cmocka_unit_test(a_held_transaction_enters_when_it_is_final),
        cmocka_unit_test(a_block_is_copied_where_it_conflicts_with_a_held_one_only),
        cmocka_unit_test(without_memory_for_its_conflicts_a_block_empties_the_pools),
        cmocka_unit_test(all_sequences_final_bring_an_update_to_the_mempool),
        cmocka_unit_test(offers_under_way_do_not_hold_up_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
