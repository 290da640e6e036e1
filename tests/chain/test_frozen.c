/* Frozen outputs and confiscation transactions (spec consensus 7.3), as lists and in blocks. */
#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
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

static void add_consensus(struct frozen *f, const struct outpoint *o, int32_t start, int32_t stop,
                          bool expires)
{
    const struct height_interval interval = { start, stop };
    frozen_add_consensus(f, o, &interval, 1, expires);
}

static void consensus_intervals_include_their_start_and_not_their_stop(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    const struct height_interval both[] = { { 30, 40 }, { 10, 20 }, { 50, 50 }, { 70, 60 } };
    assert_int_equal(frozen_add_consensus(f, &coin_a, both, 4, true), FROZEN_DONE);
    static const struct { int32_t height; bool block, mempool; } rows[] = {
        { 9, false, true }, { 10, true, true }, { 19, true, true }, { 20, false, true },
        { 30, true, true }, { 39, true, true }, { 40, false, false }, { 65, false, false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(frozen_in_block(f, &coin_a, rows[i].height), rows[i].block);
        assert_int_equal(frozen_in_mempool(f, &coin_a, rows[i].height), rows[i].mempool);
        assert_false(frozen_in_block(f, &coin_b, rows[i].height));
    }
    frozen_clear(f, FROZEN_KEEP_NOTHING);
    assert_false(frozen_in_block(f, &coin_a, 15));
    add_consensus(f, &coin_b, 10, 20, false); /* policy outlives the interval */
    assert_true(frozen_in_mempool(f, &coin_b, 100));
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

static struct built_tx order_tx(const struct outpoint *from, struct span order, struct span second,
                                int64_t value)
{
    struct built_tx tx;
    struct in_spec in = { .prevout = *from };
    struct out_spec out[2] = { { 0, order }, { value, second } };
    builder_tx(&(struct tx_spec){ .in = &in, .n_in = 1, .out = out, .n_out = 2 }, &tx);
    return tx;
}

static const char *judge(const struct frozen *f, struct span order, struct span second,
                         int32_t height)
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
        { 20, "bad-ctx-invalid" }, { 21, "bad-ctx-not-whitelisted" },
        { 75, "bad-ctx-not-whitelisted" },
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

/* --- changes of the lists --- */

static struct tx *order_of(const struct outpoint *from)
{
    uint8_t s[84];
    struct error e;
    struct built_tx built = order_tx(from, span_of(s, order_script(s, 21)), builder_true(), 1);
    struct tx *tx = tx_new(built.raw.data, built.raw.len, &e);
    assert_non_null(tx);
    tx_compute_id(tx);
    built_tx_clear(&built);
    return tx;
}

static void policy_freezes_in_the_mempool_alone_and_confiscation_everywhere(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    struct tx *order = order_of(&coin_b);
    assert_int_equal(frozen_add_policy(f, &coin_a), FROZEN_DONE);
    add_consensus(f, &coin_b, 10, 20, true);
    assert_int_equal(frozen_whitelist(f, order, 15), FROZEN_DONE);
    assert_true(frozen_in_mempool(f, &coin_a, 1));
    assert_false(frozen_in_block(f, &coin_a, 1));
    for (int32_t height = 1; height < 40; height += 12) {
        assert_true(frozen_in_mempool(f, &coin_b, height));
        assert_true(frozen_in_block(f, &coin_b, height));
    }
    tx_unref(order);
    frozen_free(f);
}

static void an_output_is_on_one_list_and_moves_as_the_reference_moves_it(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    const struct height_interval first = { 10, 20 }, second = { 10, 30 };
    assert_int_equal(frozen_remove_policy(f, &coin_a), FROZEN_NOT_FOUND);
    assert_int_equal(frozen_add_policy(f, &coin_a), FROZEN_DONE);
    assert_int_equal(frozen_add_policy(f, &coin_a), FROZEN_WAS_SO);
    assert_int_equal(frozen_add_consensus(f, &coin_a, &first, 1, true), FROZEN_MOVED);
    assert_int_equal(frozen_add_consensus(f, &coin_a, &first, 1, true), FROZEN_WAS_SO);
    assert_int_equal(frozen_add_consensus(f, &coin_a, &first, 1, false), FROZEN_CHANGED);
    assert_int_equal(frozen_add_consensus(f, &coin_a, &second, 1, false), FROZEN_CHANGED);
    assert_int_equal(frozen_add_consensus(f, &coin_a, NULL, 0, false), FROZEN_CHANGED);
    assert_int_equal(frozen_add_policy(f, &coin_a), FROZEN_IN_CONSENSUS);
    assert_int_equal(frozen_remove_policy(f, &coin_a), FROZEN_IN_CONSENSUS);
    assert_int_equal(frozen_add_policy(f, &coin_b), FROZEN_DONE);
    assert_int_equal(frozen_count(f).policy, 1);
    assert_int_equal(frozen_count(f).consensus, 1);
    assert_int_equal(frozen_remove_policy(f, &coin_b), FROZEN_DONE);
    assert_false(frozen_in_mempool(f, &coin_b, 1));
    frozen_free(f);
}

static void an_order_wants_its_inputs_frozen_and_gives_them_back(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    struct tx *order = order_of(&coin_a), *other = order_of(&coin_b);
    assert_int_equal(frozen_whitelist(f, order, 15), FROZEN_NOT_CONSENSUS);
    frozen_add_policy(f, &coin_a);
    assert_int_equal(frozen_whitelist(f, order, 15), FROZEN_NOT_CONSENSUS);
    add_consensus(f, &coin_a, 10, 20, true);
    assert_int_equal(frozen_whitelist(f, order, 20), FROZEN_NOT_CONSENSUS);
    assert_int_equal(frozen_whitelist(f, order, 15), FROZEN_DONE);
    assert_int_equal(frozen_whitelist(f, order, 15), FROZEN_WAS_SO);
    assert_int_equal(frozen_whitelist(f, order, 16), FROZEN_WAS_SO);
    assert_int_equal(frozen_whitelist(f, order, 3), FROZEN_CHANGED);
    assert_int_equal(frozen_count(f).confiscation, 1);
    struct verdict v = { 0 };
    assert_true(confiscation_check(f, order, 3, &v));
    assert_false(confiscation_check(f, order, 2, &v));
    assert_false(confiscation_check(f, other, 15, &v));
    assert_true(confiscation_check_shape(other, &v));
    assert_true(frozen_in_block(f, &coin_a, 99));
    struct frozen_counts back = frozen_clear_orders(f);
    assert_int_equal(back.consensus, 1);
    assert_int_equal(back.orders, 1);
    assert_false(frozen_in_block(f, &coin_a, 99));
    assert_true(frozen_in_block(f, &coin_a, 15));
    assert_false(confiscation_check(f, order, 15, &v));
    tx_unref(order);
    tx_unref(other);
    frozen_free(f);
}

static void clearing_keeps_policy_when_asked_and_expiry_takes_what_is_over(void **state)
{
    (void)state;
    struct frozen *f = frozen_new();
    struct tx *order = order_of(&coin_b);
    const struct outpoint c = { { { 2 } }, 0 }, d = { { { 3 } }, 0 };
    frozen_add_policy(f, &coin_a);
    add_consensus(f, &coin_b, 0, 20, true);
    frozen_whitelist(f, order, 5);
    add_consensus(f, &c, 0, 20, true);
    add_consensus(f, &d, 0, 20, false);
    assert_int_equal(frozen_expire(f, 19), 0);
    assert_int_equal(frozen_expire(f, -5), 0);
    assert_int_equal(frozen_count(f).consensus, 2);
    assert_int_equal(frozen_expire(f, 20), 1); /* c; d is left to policy, b is to be confiscated */
    assert_int_equal(frozen_count(f).policy, 2);
    assert_int_equal(frozen_count(f).consensus, 0);
    assert_int_equal(frozen_count(f).confiscation, 1);
    struct frozen_counts gone = frozen_clear(f, FROZEN_KEEP_POLICY);
    assert_int_equal(gone.policy + gone.consensus + gone.confiscation + gone.orders, 2);
    assert_true(frozen_in_mempool(f, &coin_a, 1));
    assert_false(frozen_in_block(f, &coin_b, 1));
    assert_int_equal(frozen_clear(f, FROZEN_KEEP_NOTHING).policy, 2);
    assert_false(frozen_in_mempool(f, &coin_a, 1));
    tx_unref(order);
    frozen_free(f);
}

/* --- the stored form --- */

static const uint8_t magic[4] = { 1, 2, 3, 4 };

static struct frozen *some_lists(bool backwards)
{
    struct frozen *f = frozen_new();
    const struct height_interval two[] = { { 5, 9 }, { -3, INT32_MAX } };
    struct tx *order = order_of(&coin_b);
    for (unsigned i = 0; i < 40; i++) {
        struct outpoint o = { { { (uint8_t)(backwards ? 40 - i : i + 1) } }, 7 };
        if (o.txid.b[0] % 2)
            frozen_add_policy(f, &o);
        else
            frozen_add_consensus(f, &o, two, 2, true);
    }
    add_consensus(f, &coin_b, 0, 20, false);
    frozen_whitelist(f, order, 11);
    frozen_set_version(f, backwards ? 5 : 12);
    tx_unref(order);
    return f;
}

static void lists_survive_their_stored_form_and_equal_ones_hash_alike(void **state)
{
    (void)state;
    struct frozen *a = some_lists(false), *b = some_lists(true), *back = frozen_new();
    uint8_t hash_a[32], hash_b[32];
    struct buf stored = { 0 };
    struct error e = { 0 };
    frozen_hash(a, hash_a);
    frozen_hash(b, hash_b);
    assert_memory_equal(hash_a, hash_b, 32); /* whatever order they were made in */
    frozen_write(&stored, a, magic);
    frozen_add_policy(back, &coin_a); /* replaced */
    assert_int_equal(frozen_read(back, buf_span(&stored), magic, &e), OK);
    frozen_hash(back, hash_b);
    assert_memory_equal(hash_a, hash_b, 32);
    assert_int_equal(frozen_version(back), 12);
    struct frozen *dup = frozen_dup(back);
    frozen_hash(dup, hash_b);
    assert_memory_equal(hash_a, hash_b, 32);
    frozen_remove_policy(dup, &(struct outpoint){ { { 1 } }, 7 });
    frozen_hash(dup, hash_b);
    assert_memory_not_equal(hash_a, hash_b, 32);
    buf_clear(&stored);
    frozen_free(a);
    frozen_free(b);
    frozen_free(back);
    frozen_free(dup);
}

static void damaged_or_unknown_files_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct frozen *f = some_lists(false), *kept = frozen_new();
    struct buf stored = { 0 };
    struct error e = { 0 };
    frozen_add_policy(kept, &coin_a);
    frozen_write(&stored, f, magic);
    for (size_t i = 0; i < stored.len; i += 11) {
        stored.data[i] ^= 0x10;
        assert_int_not_equal(frozen_read(kept, buf_span(&stored), magic, &e), OK);
        stored.data[i] ^= 0x10;
    }
    for (size_t n = 0; n < stored.len; n += 13)
        assert_int_equal(frozen_read(kept, span_of(stored.data, n), magic, &e), ERR_CORRUPT);
    stored.data[8] = 2;
    assert_int_equal(frozen_read(kept, buf_span(&stored), magic, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "unknown format"));
    assert_int_equal(frozen_count(kept).policy, 1);
    assert_int_equal(frozen_count(kept).orders, 0);
    buf_clear(&stored);
    frozen_free(f);
    frozen_free(kept);
}

/* try_alloc calls to come that have memory; afterwards none has. */
static _Atomic size_t allocs_left = SIZE_MAX;

void *__real_try_alloc(size_t count, size_t size);
void *__wrap_try_alloc(size_t count, size_t size);
void *__wrap_try_alloc(size_t count, size_t size)
{
    if (allocs_left == 0)
        return NULL;
    if (allocs_left != SIZE_MAX)
        allocs_left--;
    return __real_try_alloc(count, size);
}

static void lack_of_memory_is_no_damage(void **state)
{
    (void)state;
    struct frozen *f = some_lists(false), *kept = frozen_new();
    const size_t entries = 40 + 1 + 1; /* outputs, coin_b, its order */
    struct buf stored = { 0 };
    struct error e = { 0 };
    frozen_write(&stored, f, magic);
    for (size_t n = 0; n <= entries; n++) {
        allocs_left = n;
        const enum err rc = frozen_read(kept, buf_span(&stored), magic, &e);
        allocs_left = SIZE_MAX;
        assert_int_equal(rc, n < entries ? ERR_NOMEM : OK);
        assert_int_equal(frozen_count(kept).orders, n < entries ? 0 : 1);
    }
    buf_clear(&stored);
    frozen_free(f);
    frozen_free(kept);
}

/* --- in blocks; behaviours 84 and 85 of the specification's list, their block half --- */

struct freeze {
    struct outpoint outpoint;
    int32_t start, stop; /* of consensus */
    struct built_tx *order; /* may confiscate from `from` on; NULL: none */
    int32_t from;
};

static bool add_freeze(struct frozen *f, void *ctx)
{
    const struct freeze *z = (const struct freeze *)ctx;
    struct error e;
    add_consensus(f, &z->outpoint, z->start, z->stop, true);
    struct tx *order = z->order ? tx_new(z->order->raw.data, z->order->raw.len, &e) : NULL;
    if (order) {
        tx_compute_id(order);
        assert_int_equal(frozen_whitelist(f, order, z->from), FROZEN_DONE);
    }
    tx_unref(order);
    return true;
}

static void freeze(struct test_chain *t, struct freeze *z)
{
    struct error e;
    assert_int_equal(chain_change_frozen(t->chain, add_freeze, z, &e), OK);
}

static void behaviour_84_a_block_that_spends_a_frozen_output_waits_for_three_more(void **state)
{
    (void)state;
    struct test_chain t;
    struct chain_params p = test_params(1);
    test_chain_open(&t, &p, 1);
    test_chain_grow(&t, 101);
    struct freeze z = { .outpoint = t.blocks[1].coinbase, .start = 102, .stop = 103 };
    freeze(&t, &z);
    struct built_tx spend;
    struct built_block b[5];
    builder_move(&z.outpoint, t.blocks[1].reward, &spend);
    const struct built_block *prev = &t.blocks[101];
    for (int i = 0; i < 5; i++) {
        builder_block(&p, &(struct block_spec){ .prev = prev, .txs = &spend, .n_txs = i == 0 },
                      &b[i]);
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
    freeze(&t, &z);
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
    freeze(&t, &z);
    struct built_tx spend;
    struct built_block bad, after, other;
    builder_move(&z.outpoint, t.blocks[1].reward, &spend);
    builder_block(&p, &(struct block_spec){ .prev = &t.blocks[101], .txs = &spend, .n_txs = 1 },
                  &bad);
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

static void behaviour_85_a_whitelisted_confiscation_needs_no_scripts_and_its_output_matures_late(
    void **state)
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
    struct freeze z = { .outpoint = coin, .start = 103, .stop = 104, .order = &take, .from = 103 };
    freeze(&t, &z);
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
    struct freeze confiscated = { .outpoint = t.blocks[2].coinbase, .start = 103, .stop = 104,
                                  .order = &txs[1], .from = 103 };
    freeze(&t, &frozen);
    freeze(&t, &confiscated);
    const struct built_block *prev = &t.blocks[102];
    for (int i = 0; i < 5; i++) {
        builder_block(&p, &(struct block_spec){ .prev = prev, .txs = txs, .n_txs = i == 0 ? 2 : 0 },
                      &b[i]);
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

/* n blocks on prev, the first one with the transaction; all are given to the chain. */
static void submit_run(struct test_chain *t, const struct built_block *prev, struct built_tx *first,
                       struct built_block *b, int n)
{
    for (int i = 0; i < n; i++) {
        builder_block(&t->options.params, &(struct block_spec){ .prev = prev, .txs = first,
                                                                .n_txs = i == 0 && first }, &b[i]);
        test_chain_submit(t, &b[i]);
        prev = &b[i];
    }
}

static void clear_run(struct built_block *b, int n)
{
    for (int i = 0; i < n; i++)
        built_block_clear(&b[i]);
}

static void open_with_a_freeze(struct test_chain *t, struct built_tx *spend, int32_t duration)
{
    struct chain_params p = test_params(1);
    test_chain_open(t, &p, 1);
    t->options.soft_freeze_blocks = duration;
    test_chain_grow(t, 101);
    struct freeze z = { .outpoint = t->blocks[1].coinbase, .start = 0, .stop = INT32_MAX };
    freeze(t, &z);
    test_chain_reopen(t); /* with the duration, and the lists from disk */
    builder_move(&z.outpoint, t->blocks[1].reward, spend);
}

static void the_time_a_block_is_held_back_is_an_option(void **state)
{
    (void)state;
    static const struct { int32_t duration, blocks,
                          tip; } rows[] = { { 1, 2, 101 }, { 1, 3, 104 }, { 0, 20, 101 } };
    for (size_t i = 0; i < 3; i++) {
        struct built_tx spend;
        struct built_block b[20];
        struct test_chain t;
        open_with_a_freeze(&t, &spend, rows[i].duration);
        submit_run(&t, &t.blocks[101], &spend, b, rows[i].blocks);
        assert_int_equal(test_chain_tip_height(&t), rows[i].tip);
        clear_run(b, rows[i].blocks);
        built_tx_clear(&spend);
        test_chain_close(&t);
    }
}

static void a_chain_that_was_released_is_left_again_when_it_becomes_too_short(void **state)
{
    (void)state;
    struct built_tx spend;
    struct built_block b[5];
    struct error e;
    bool good;
    struct test_chain t;
    open_with_a_freeze(&t, &spend, 3);
    submit_run(&t, &t.blocks[101], &spend, b, 5);
    assert_int_equal(test_chain_tip_height(&t), 106);
    assert_true(atomic_load(&test_chain_node(&t, &b[0])->status) & HS_HELD);
    for (unsigned level = 3; level <= 4; level++) { /* its blocks are no damage */
        assert_int_equal(chain_verify(t.chain, level, 6, &good, &e), OK);
        assert_true(good);
    }
    test_chain_reopen(&t);
    assert_int_equal(test_chain_tip_height(&t), 106);
    assert_int_equal(chain_invalidate(t.chain, test_chain_node(&t, &b[4]), &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 101);
    assert_int_equal(chain_reconsider(t.chain, test_chain_node(&t, &b[4]), &e), OK);
    assert_int_equal(test_chain_tip_height(&t), 106);
    clear_run(b, 5);
    built_tx_clear(&spend);
    test_chain_close(&t);
}

/* A second block that spends frozen money begins the wait anew; until then the first is no tip. */
static void a_second_held_block_is_waited_for_too(void **state)
{
    (void)state;
    struct built_tx first, second;
    struct built_block a, b[6];
    struct test_chain t;
    open_with_a_freeze(&t, &first, 3);
    test_chain_grow(&t, 1);
    struct freeze z = { .outpoint = t.blocks[2].coinbase, .start = 0, .stop = INT32_MAX };
    freeze(&t, &z);
    builder_move(&z.outpoint, t.blocks[2].reward, &second);
    submit_run(&t, &t.blocks[102], &first, &a, 1);
    submit_run(&t, &a, &second, b, 4); /* four above the first, three above the second */
    assert_int_equal(test_chain_tip_height(&t), 102);
    submit_run(&t, &b[3], NULL, b + 4, 1);
    assert_int_equal(test_chain_tip_height(&t), 108);
    clear_run(&a, 1);
    clear_run(b, 5);
    built_tx_clear(&first);
    built_tx_clear(&second);
    test_chain_close(&t);
}

static void a_confiscation_deep_enough_may_be_assumed_to_be_allowed(void **state)
{
    (void)state;
    for (int32_t depth = 2; depth <= 3; depth++) { /* two headers lie above the block */
        struct test_chain t;
        struct chain_params p = test_params(1);
        uint8_t s[84];
        struct built_block b[3];
        struct error e;
        test_chain_open(&t, &p, 1);
        test_chain_grow(&t, 101);
        t.options.assume_whitelisted = true;
        t.options.assume_whitelisted_depth = depth;
        test_chain_reopen(&t);
        struct built_tx take = order_tx(&t.blocks[1].coinbase, span_of(s, order_script(s, 21)),
                                        builder_true(), t.blocks[1].reward);
        const struct built_block *prev = &t.blocks[101];
        for (int i = 0; i < 3; i++) {
            builder_block(&p, &(struct block_spec){ .prev = prev, .txs = &take, .n_txs = i == 0 },
                          &b[i]);
            prev = &b[i];
            struct reader r;
            struct block_header h;
            struct header_node *last;
            struct verdict v = { 0 };
            size_t accepted;
            reader_init(&r, b[i].raw.data, BLOCK_HEADER_SIZE);
            block_header_read(&r, &h);
            assert_int_equal(chain_accept_headers(t.chain, &h, NULL, 1, &accepted, &last, &v), OK);
        }
        test_chain_submit(&t, &b[0]);
        assert_int_equal(test_chain_tip_height(&t), depth == 2 ? 102 : 101);
        bool good;
        if (depth == 2) {
            assert_int_equal(chain_verify(t.chain, 4, 1, &good, &e), OK);
            assert_true(good);
            t.options.assume_whitelisted = false; /* level 4 tells what nobody allows any more */
            test_chain_reopen(&t);
            assert_int_equal(chain_verify(t.chain, 3, 1, &good, &e), OK);
            assert_true(good);
            assert_int_equal(chain_verify(t.chain, 4, 1, &good, &e), OK);
            assert_false(good);
        }
        clear_run(b, 3);
        built_tx_clear(&take);
        test_chain_close(&t);
    }
}

/* A list that cannot be written is not in force. */
static void a_change_that_cannot_be_stored_is_no_change(void **state)
{
    (void)state;
    struct built_tx spend;
    struct test_chain t;
    open_with_a_freeze(&t, &spend, 3);
    struct error e = { 0 };
    char *path = xasprintf("%s/frozen.dat", t.dir);
    struct freeze z = { .outpoint = coin_b, .start = 0, .stop = 9 };
    assert_int_equal(path_remove(path, &e), OK);
    assert_int_equal(path_make_dirs(path, &e), OK); /* a folder where the file would be */
    assert_int_not_equal(chain_change_frozen(t.chain, add_freeze, &z, &e), OK);
    struct frozen *now = chain_copy_frozen(t.chain);
    assert_int_equal(frozen_count(now).consensus, 1);
    assert_int_equal(frozen_version(now), 1);
    frozen_free(now);
    free(path);
    built_tx_clear(&spend);
    test_chain_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_list_freezes_nothing),
        cmocka_unit_test(consensus_intervals_include_their_start_and_not_their_stop),
        cmocka_unit_test(policy_freezes_in_the_mempool_alone_and_confiscation_everywhere),
        cmocka_unit_test(an_output_is_on_one_list_and_moves_as_the_reference_moves_it),
        cmocka_unit_test(an_order_wants_its_inputs_frozen_and_gives_them_back),
        cmocka_unit_test(clearing_keeps_policy_when_asked_and_expiry_takes_what_is_over),
        cmocka_unit_test(lists_survive_their_stored_form_and_equal_ones_hash_alike),
        cmocka_unit_test(damaged_or_unknown_files_are_refused_and_change_nothing),
        cmocka_unit_test(lack_of_memory_is_no_damage),
        cmocka_unit_test(a_confiscation_has_one_order_output_of_29_to_83_bytes),
        cmocka_unit_test(behaviour_84_a_block_that_spends_a_frozen_output_waits_for_three_more),
        cmocka_unit_test(behaviour_84_outside_the_interval_the_output_can_be_spent),
        cmocka_unit_test(while_a_block_is_held_back_a_branch_without_it_is_taken),
        cmocka_unit_test(a_released_block_may_still_carry_a_whitelisted_confiscation),
        cmocka_unit_test(the_time_a_block_is_held_back_is_an_option),
        cmocka_unit_test(a_chain_that_was_released_is_left_again_when_it_becomes_too_short),
        cmocka_unit_test(a_second_held_block_is_waited_for_too),
        cmocka_unit_test(a_confiscation_deep_enough_may_be_assumed_to_be_allowed),
        cmocka_unit_test(a_change_that_cannot_be_stored_is_no_change),
        cmocka_unit_test(
            behaviour_85_a_whitelisted_confiscation_needs_no_scripts_and_its_output_matures_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
