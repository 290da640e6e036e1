#include <config.h>

#include "wallet/history.h"

#include <string.h>

#include "base/intmath.h"
#include "tests/wallet/history_util.h"
#include "wallet/history_internal.h"
#include "wallet/pick.h"

static bool count_coin(void *ctx, const struct history_coin *c)
{
    (void)c;
    ++*(size_t *)ctx;
    return true;
}

static size_t count_unspent(struct fixture *f, const struct history_filter *filter)
{
    size_t n = 0;
    assert_int_equal(history_unspent(f->h, filter, count_coin, &n, NULL), OK);
    return n;
}

/* --- blocks ---------------------------------------------------------------------------------- */

static void only_the_block_that_follows_is_taken(void **state)
{
    (void)state;
    struct fixture f = start();
    struct block_hash hash;
    int32_t height;
    assert_false(history_best(f.h, &hash, &height));
    f.height = 499;
    block(&f, NULL); /* the first may be any */
    assert_int_equal(apply_at(&f, 502, NULL, 0), ERR_RANGE);
    assert_int_equal(apply_at(&f, 500, NULL, 0), ERR_RANGE);
    f.branch = 1;
    assert_int_equal(apply_at(&f, 501, NULL, 0), ERR_RANGE); /* another parent */
    f.branch = 0;
    const struct history_block skips = { .prev = hash_at(&f, 500), .height = 502 };
    assert_int_equal(history_apply_block(f.h, &skips, NULL), ERR_RANGE);
    f.branch = 1;
    const struct block_hash other = hash_at(&f, 500);
    assert_int_equal(history_undo_block(f.h, &other, &other, NULL), ERR_RANGE);
    f.branch = 0;
    block(&f, NULL);
    reopen(&f);
    assert_true(history_best(f.h, &hash, &height));
    assert_int_equal(height, 501);
    stop(&f);
}

static void a_coinbase_is_mature_under_a_hundred_blocks(void **state)
{
    (void)state;
    struct fixture f = start();
    const struct coin_out out = { 50, PAY_MINE };
    struct tx *cb = coin_tx(1, NULL, 0, &out, 1);
    block(&f, NULL);
    block(&f, cb);
    for (int i = 0; i < 99; i++)
        block(&f, NULL);
    assert_int_equal(view_of(&f, cb).confirmations, 100);
    assert_sums(&f, 0, 0, 50);
    block(&f, NULL);
    assert_sums(&f, 50, 0, 0);
    undo(&f);
    assert_sums(&f, 0, 0, 50);
    while (f.height > 0)
        undo(&f);
    assert_sums(&f, 0, 0, 0);
    assert_true(view_of(&f, cb).abandoned);
    assert_int_equal(history_mempool_remove(f.h, &cb->id, NULL, NULL), OK);
    block(&f, cb);
    assert_false(view_of(&f, cb).abandoned);
    assert_int_equal(view_of(&f, cb).height, 1);
    assert_int_equal(view_of(&f, cb).time, 1001);
    assert_sums(&f, 0, 0, 50);
    tx_unref(cb);
    stop(&f);
}

/* What was paid with a coinbase is nothing without it, and frees the coins it spent besides. */
static void what_spends_an_orphaned_coinbase_is_abandoned_with_it(void **state)
{
    (void)state;
    struct fixture f = start();
    const struct coin_out out = { 50, PAY_MINE }, rest = { 110, PAY_MINE };
    struct tx *cb = coin_tx(1, NULL, 0, &out, 1), *in = pay(2, strange_out(1), 70, PAY_MINE);
    const struct outpoint both[] = { out_of(cb, 0), out_of(in, 0) };
    struct tx *spend = coin_tx(3, both, 2, &rest, 1);
    struct tx *child = pay(4, out_of(spend, 0), 100, PAY_FOREIGN);
    block(&f, NULL);
    block(&f, in);
    block(&f, cb);
    assert_int_equal(history_record(f.h, spend, NULL, 9, NULL), OK);
    assert_int_equal(history_record(f.h, child, NULL, 9, NULL), OK);
    assert_sums(&f, 0, 0, 0);
    undo(&f);
    for (int i = 0; i < 2; i++) {
        assert_true(view_of(&f, spend).abandoned);
        assert_true(view_of(&f, child).abandoned);
        assert_sums(&f, 70, 0, 0);
        reopen(&f);
    }
    assert_int_equal(history_abandon(f.h, &spend->id, NULL), ERR_RANGE); /* it is */
    block(&f, cb);
    for (int i = 0; i < 2; i++) {
        assert_false(view_of(&f, spend).abandoned);
        assert_false(view_of(&f, child).abandoned);
        assert_sums(&f, 0, 0, 0);
        reopen(&f);
    }
    tx_unref(child);
    tx_unref(spend);
    tx_unref(in);
    tx_unref(cb);
    stop(&f);
}

/* A payment to us whose input somebody spends otherwise, with a child of ours. */
static void a_double_spend_of_strangers_excludes_what_we_got(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *child = pay(2, out_of(in, 0), 60, PAY_MINE);
    struct tx *other = pay(3, strange_out(1), 70, PAY_FOREIGN);
    block(&f, NULL);
    assert_int_equal(history_mempool_add(f.h, in, 5, NULL), OK);
    assert_sums(&f, 0, 70, 0);
    assert_int_equal(history_mempool_add(f.h, child, 6, NULL), OK);
    assert_sums(&f, 60, 0, 0);
    block(&f, other);
    block(&f, NULL);
    assert_sums(&f, 0, 0, 0);
    assert_int_equal(view_of(&f, in).confirmations, -2);
    assert_int_equal(view_of(&f, child).confirmations, -2);
    const struct txid by = view_of(&f, child).conflict.by;
    assert_memory_equal(&by, &other->id, 32);
    assert_int_equal(history_abandon(f.h, &in->id, NULL), ERR_RANGE);
    reopen(&f);
    assert_int_equal(view_of(&f, child).confirmations, -2);
    undo(&f);
    undo(&f);
    assert_int_equal(view_of(&f, child).confirmations, 0);
    block(&f, in);
    assert_int_equal(view_of(&f, in).confirmations, 1);
    assert_int_equal(history_mempool_add(f.h, child, 9, NULL), OK);
    assert_sums(&f, 60, 0, 0);
    assert_int_equal(view_of(&f, child).time, 6); /* first seen */
    struct tx *all[] = { in, child, other };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        tx_unref(all[i]);
    stop(&f);
}

/* Blocks that contradict each other do no harm to the store. */
static void a_transaction_confirms_in_spite_of_its_conflict(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *other = pay(3, strange_out(1), 1, PAY_FOREIGN);
    block(&f, NULL);
    assert_int_equal(history_mempool_add(f.h, in, 5, NULL), OK);
    block(&f, other);
    block(&f, in);
    assert_sums(&f, 70, 0, 0);
    reopen(&f);
    assert_sums(&f, 70, 0, 0);
    tx_unref(in);
    tx_unref(other);
    stop(&f);
}

static void a_rescan_finds_what_new_scripts_own(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *a = pay(1, strange_out(1), 70, PAY_FOREIGN);
    struct tx *b = pay(2, out_of(a, 0), 60, PAY_MINE);
    struct tx *c = pay(3, strange_out(3), 30, PAY_FOREIGN);
    block(&f, NULL);
    block(&f, a);
    block(&f, b);
    block(&f, c);
    assert_sums(&f, 60, 0, 0);
    assert_false(view_of(&f, b).from_us);
    const struct owner owner = { 3, OWNER_SPENDABLE };
    assert_true(scripts_add(f.scripts, payee_script(PAY_FOREIGN), owner));
    assert_int_equal(history_owners_changed(f.h, NULL), OK);
    assert_int_equal(history_begin_rescan(f.h, -1, HISTORY_TO_BEST, NULL), ERR_RANGE);
    assert_int_equal(history_begin_rescan(f.h, 4, HISTORY_TO_BEST, NULL), OK); /* above the best */
    assert_int_equal(history_scan_next(f.h), HISTORY_NO_HEIGHT);
    assert_int_equal(history_begin_rescan(f.h, 1, HISTORY_TO_BEST, NULL), OK);
    /* the running one has more to do */
    assert_int_equal(history_begin_rescan(f.h, 2, HISTORY_TO_BEST, NULL), OK);
    assert_int_equal(history_scan_next(f.h), 1);
    assert_int_equal(apply_at(&f, 1, &a, 1), OK);
    reopen(&f);
    assert_int_equal(history_scan_next(f.h), 2);
    assert_sums(&f, 130, 0, 0); /* the block that spends it comes next */
    assert_int_equal(apply_at(&f, 2, &b, 1), OK);
    assert_sums(&f, 60, 0, 0);
    assert_true(view_of(&f, b).from_us);
    block(&f, NULL); /* meanwhile */
    assert_int_equal(apply_at(&f, 3, &c, 1), OK);
    assert_int_equal(history_scan_next(f.h), 4);
    assert_int_equal(apply_at(&f, 4, NULL, 0), OK);
    assert_int_equal(history_scan_next(f.h), HISTORY_NO_HEIGHT);
    assert_sums(&f, 90, 0, 0);
    assert_int_equal(history_begin_rescan(f.h, 3, HISTORY_TO_BEST, NULL), OK);
    undo(&f);
    undo(&f); /* below what was to be scanned: it comes anyway */
    assert_int_equal(history_scan_next(f.h), HISTORY_NO_HEIGHT);
    struct tx *all[] = { a, b, c };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        tx_unref(all[i]);
    stop(&f);
}

/* The mempool tells of it once more after a rescan. */
static void an_unconfirmed_one_that_spends_what_a_rescan_finds_is_from_us(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *a = pay(1, strange_out(1), 70, PAY_FOREIGN);
    struct tx *b = pay(2, out_of(a, 0), 60, PAY_MINE);
    block(&f, NULL);
    block(&f, a);
    assert_int_equal(history_mempool_add(f.h, b, 5, NULL), OK);
    assert_sums(&f, 0, 60, 0);
    const struct owner owner = { 3, OWNER_SPENDABLE };
    assert_true(scripts_add(f.scripts, payee_script(PAY_FOREIGN), owner));
    assert_int_equal(history_begin_rescan(f.h, 1, HISTORY_TO_BEST, NULL), OK);
    assert_int_equal(apply_at(&f, 1, &a, 1), OK);
    assert_int_equal(history_mempool_add(f.h, b, 6, NULL), OK);
    assert_true(view_of(&f, b).from_us);
    assert_sums(&f, 60, 0, 0);
    reopen(&f);
    assert_true(view_of(&f, b).from_us);
    tx_unref(a);
    tx_unref(b);
    stop(&f);
}

static void outputs_of_the_same_block_are_picked(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *out = pay(2, out_of(in, 0), 60, PAY_FOREIGN);
    struct tx *other = pay(3, strange_out(2), 60, PAY_FOREIGN);
    struct pick *p = pick_new(f.h);
    assert_int_equal(pick_begin(p, NULL), OK);
    assert_false(pick_tx(p, other));
    assert_false(pick_tx(p, out));
    assert_true(pick_tx(p, in));
    assert_true(pick_tx(p, out));
    assert_int_equal(pick_begin(p, NULL), OK);
    assert_false(pick_tx(p, out));
    assert_int_equal(history_mempool_add(f.h, in, 1, NULL), OK);
    assert_true(pick_tx(p, out));
    pick_free(p);
    tx_unref(in);
    tx_unref(out);
    tx_unref(other);
    stop(&f);
}

/* --- coins ----------------------------------------------------------------------------------- */

static void coins_are_filtered(void **state)
{
    (void)state;
    struct fixture f = start();
    const struct coin_out outs[] = { { 1, PAY_MINE }, { 2, PAY_WATCHED }, { 4, PAY_MINE } };
    const struct outpoint from = strange_out(9);
    struct tx *old = coin_tx(1, &from, 1, outs, 3), *fresh = pay(2, strange_out(8), 8, PAY_MINE);
    struct tx *cb = coin_tx(3, NULL, 0, outs, 1);
    block(&f, NULL);
    block(&f, old);
    block(&f, cb);
    block(&f, NULL);
    assert_int_equal(history_mempool_add(f.h, fresh, 1, NULL), OK);
    const struct history_filter usual = { .min_conf = 1, .max_conf = INT32_MAX };
    assert_int_equal(count_unspent(&f, &usual), 2);
    struct history_filter x = usual;
    x.watched = true;
    assert_int_equal(count_unspent(&f, &x), 3);
    x = usual;
    x.immature = true;
    assert_int_equal(count_unspent(&f, &x), 3);
    x = (struct history_filter){ .min_conf = 0, .max_conf = 0 };
    assert_int_equal(count_unspent(&f, &x), 0);
    x.untrusted = true;
    assert_int_equal(count_unspent(&f, &x), 1);
    x = usual;
    x.min_conf = 4;
    assert_int_equal(count_unspent(&f, &x), 0);
    struct scripts *only = scripts_new();
    assert_true(scripts_add(only, payee_script(PAY_WATCHED), (struct owner){ 0, OWNER_WATCH }));
    x = usual;
    x.only = only;
    assert_int_equal(count_unspent(&f, &x), 0);
    x.watched = true;
    assert_int_equal(count_unspent(&f, &x), 1);
    scripts_free(only);
    tx_unref(old);
    tx_unref(fresh);
    tx_unref(cb);
    stop(&f);
}

static void locked_coins_stay_so_until_the_process_ends(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *out = pay(2, out_of(in, 0), 60, PAY_FOREIGN);
    const struct outpoint at = out_of(in, 0), nothing = strange_out(5);
    struct history_filter usual = { .min_conf = 1, .max_conf = INT32_MAX };
    block(&f, NULL);
    block(&f, in);
    assert_true(history_lock_coin(f.h, &at, true));
    assert_false(history_lock_coin(f.h, &nothing, true));
    assert_int_equal(count_unspent(&f, &usual), 0);
    assert_sums(&f, 70, 0, 0);
    /* A write that fails, of the block that spends it, changes nothing about it. */
    kv_mem_fail_writes(f.kv, 1);
    assert_int_equal(apply_at(&f, 2, &out, 1), ERR_IO);
    kv_mem_fail_writes(f.kv, 0);
    assert_int_equal(count_unspent(&f, &usual), 0);
    usual.locked = true;
    assert_int_equal(count_unspent(&f, &usual), 1);
    usual.locked = false;
    history_unlock_all(f.h);
    assert_int_equal(count_unspent(&f, &usual), 1);
    assert_true(history_lock_coin(f.h, &at, true));
    reopen(&f);
    assert_int_equal(count_unspent(&f, &usual), 1);
    tx_unref(in);
    tx_unref(out);
    stop(&f);
}

/* --- transactions ---------------------------------------------------------------------------- */

/* As two coinbases of the main network's first years did. */
static void a_coinbase_that_comes_twice_is_where_it_came_last(void **state)
{
    (void)state;
    struct fixture f = start();
    const struct coin_out out = { 50, PAY_MINE };
    struct tx *cb = coin_tx(1, NULL, 0, &out, 1);
    struct order o = { .max = 8 };
    block(&f, NULL);
    block(&f, cb);
    block(&f, NULL);
    block(&f, cb);
    assert_int_equal(view_of(&f, cb).height, 3);
    assert_sums(&f, 0, 0, 50);
    assert_int_equal(history_list_since(f.h, -1, keep_time, &o, NULL), OK);
    assert_int_equal(o.n, 1);
    undo(&f);
    undo(&f);
    undo(&f);
    assert_sums(&f, 0, 0, 0);
    reopen(&f);
    block(&f, cb);
    assert_sums(&f, 0, 0, 50);
    tx_unref(cb);
    stop(&f);
}

static void lists_begin_with_the_newest_and_stop_when_told(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *tx[5];
    block(&f, NULL);
    for (uint32_t i = 0; i < 5; i++) {
        tx[i] = pay(i, strange_out(i), 1, PAY_MINE);
        assert_int_equal(history_mempool_add(f.h, tx[i], i, NULL), OK);
    }
    reopen(&f);
    struct order o = { .max = 2 };
    assert_int_equal(history_list(f.h, 1, keep_time, &o, NULL), OK);
    assert_int_equal(o.n, 2);
    assert_int_equal(o.first[0], 3);
    assert_int_equal(o.first[1], 2);
    block(&f, tx[4]);
    block(&f, tx[0]);
    o = (struct order){ .max = 8 };
    assert_int_equal(history_list_since(f.h, 1, keep_time, &o, NULL), OK);
    assert_int_equal(o.n, 4);
    assert_int_equal(o.first[0], 0);
    o = (struct order){ .max = 1 };
    assert_int_equal(history_list_since(f.h, -1, keep_time, &o, NULL), OK);
    assert_int_equal(o.n, 1);
    assert_int_equal(o.first[0], 4);
    o = (struct order){ .max = 8 };
    assert_int_equal(history_list_unconfirmed(f.h, keep_time, &o, NULL), OK);
    assert_int_equal(o.n, 3);
    for (uint32_t i = 0; i < 5; i++)
        tx_unref(tx[i]);
    stop(&f);
}

static bool note_is(void *ctx, const struct history_tx *t)
{
    (void)ctx;
    assert_memory_equal(t->note.comment.data, "rent", 4);
    assert_int_equal(t->note.to.len, 0);
    assert_memory_equal(t->note.label.data, "house", 5);
    assert_true(t->from_us);
    return true;
}

static void a_note_stays_with_its_transaction(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *out = pay(2, out_of(in, 0), 60, PAY_FOREIGN);
    const struct history_note note = { .comment = span_of("rent", 4),
                                       .label = span_of("house", 5) };
    bool found;
    block(&f, NULL);
    block(&f, in);
    assert_int_equal(history_record(f.h, out, &note, 9, NULL), OK);
    assert_sums(&f, 0, 0, 0);
    block(&f, out);
    undo(&f);
    assert_int_equal(history_mempool_add(f.h, out, 10, NULL), OK);
    reopen(&f);
    assert_int_equal(history_get_tx(f.h, &out->id, note_is, NULL, &found, NULL), OK);
    assert_true(found);
    const struct txid nobody = { .b = { 1 } };
    assert_int_equal(history_get_tx(f.h, &nobody, note_is, NULL, &found, NULL), OK);
    assert_false(found);
    tx_unref(in);
    tx_unref(out);
    stop(&f);
}

static void abandoning_frees_the_coins(void **state)
{
    (void)state;
    struct fixture f = start();
    struct tx *in = pay(1, strange_out(1), 70, PAY_MINE);
    struct tx *out = pay(2, out_of(in, 0), 60, PAY_MINE);
    struct tx *next = pay(3, out_of(out, 0), 50, PAY_MINE);
    block(&f, NULL);
    block(&f, in);
    assert_int_equal(history_mempool_add(f.h, out, 9, NULL), OK);
    assert_int_equal(history_mempool_add(f.h, next, 9, NULL), OK);
    assert_sums(&f, 50, 0, 0);
    assert_int_equal(history_abandon(f.h, &out->id, NULL), ERR_RANGE); /* in the mempool */
    assert_int_equal(history_mempool_remove(f.h, &out->id, NULL, NULL), OK);
    assert_int_equal(history_mempool_remove(f.h, &next->id, NULL, NULL), OK);
    assert_sums(&f, 0, 0, 0);
    assert_int_equal(history_abandon(f.h, &out->id, NULL), OK);
    assert_sums(&f, 70, 0, 0);
    reopen(&f);
    assert_sums(&f, 70, 0, 0);
    assert_true(view_of(&f, next).abandoned);
    assert_int_equal(history_abandon(f.h, &out->id, NULL), ERR_RANGE); /* already */
    assert_int_equal(history_abandon(f.h, &in->id, NULL), ERR_RANGE);  /* confirmed */
    const struct txid nobody = { .b = { 1 } };
    assert_int_equal(history_abandon(f.h, &nobody, NULL), ERR_NOTFOUND);
    assert_int_equal(history_mempool_add(f.h, out, 9, NULL), OK);
    assert_sums(&f, 60, 0, 0);
    tx_unref(in);
    tx_unref(out);
    tx_unref(next);
    stop(&f);
}

static bool is_known(struct fixture *f, const struct tx *tx)
{
    struct history_tx view;
    bool found;
    assert_int_equal(history_get_tx(f->h, &tx->id, keep_view, &view, &found, NULL), OK);
    return found;
}

/* What anybody can send without ever paying for it does not pile up. */
static void strangers_that_never_confirm_are_forgotten(void **state)
{
    (void)state;
    enum { KEPT = 3, SENT = 20 };
    struct fixture f = start();
    struct tx *sent[SENT];
    f.h->strangers_kept = KEPT;
    block(&f, NULL);
    for (uint32_t i = 0; i < SENT; i++) {
        sent[i] = pay(i, strange_out(i), 5, PAY_MINE);
        assert_int_equal(history_mempool_add(f.h, sent[i], 1, NULL), OK);
    }
    struct tx *ours = pay(99, out_of(sent[0], 0), 4, PAY_FOREIGN);
    assert_int_equal(history_mempool_add(f.h, ours, 1, NULL), OK);
    const size_t rows = count_rows(f.kv);
    const size_t bytes = history_bytes(f.h);
    kv_mem_fail_writes(f.kv, 1);
    assert_int_equal(history_mempool_remove(f.h, &sent[1]->id, NULL, NULL), ERR_IO);
    kv_mem_fail_writes(f.kv, 0);
    assert_true(view_of(&f, sent[1]).in_mempool);
    assert_sums(&f, 0, 5 * (SENT - 1), 0);
    assert_int_equal(history_mempool_remove(f.h, &ours->id, NULL, NULL), OK);
    for (uint32_t i = 0; i < SENT; i++)
        assert_int_equal(history_mempool_remove(f.h, &sent[i]->id, NULL, NULL), OK);
    assert_true(is_known(&f, sent[0]) && is_known(&f, ours)); /* ours spends from it */
    assert_false(is_known(&f, sent[1]));
    assert_true(is_known(&f, sent[SENT - 1]));
    const size_t gone = SENT + 1 - KEPT;
    assert_int_equal(count_rows(f.kv), rows - gone * 5); /* record, bytes, order, mark, coin */
    assert_true(history_bytes(f.h) < bytes);
    assert_int_equal(history_mempool_add(f.h, sent[1], 1, NULL), OK); /* if it comes again */
    assert_sums(&f, 0, 5, 0);
    reopen(&f);
    assert_true(is_known(&f, sent[1]));
    for (uint32_t i = 0; i < SENT; i++)
        tx_unref(sent[i]);
    tx_unref(ours);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_block_that_follows_is_taken),
        cmocka_unit_test(a_coinbase_is_mature_under_a_hundred_blocks),
        cmocka_unit_test(what_spends_an_orphaned_coinbase_is_abandoned_with_it),
        cmocka_unit_test(a_double_spend_of_strangers_excludes_what_we_got),
        cmocka_unit_test(a_transaction_confirms_in_spite_of_its_conflict),
        cmocka_unit_test(a_rescan_finds_what_new_scripts_own),
        cmocka_unit_test(an_unconfirmed_one_that_spends_what_a_rescan_finds_is_from_us),
        cmocka_unit_test(outputs_of_the_same_block_are_picked),
        cmocka_unit_test(coins_are_filtered),
        cmocka_unit_test(locked_coins_stay_so_until_the_process_ends),
        cmocka_unit_test(a_coinbase_that_comes_twice_is_where_it_came_last),
        cmocka_unit_test(lists_begin_with_the_newest_and_stop_when_told),
        cmocka_unit_test(a_note_stays_with_its_transaction),
        cmocka_unit_test(abandoning_frees_the_coins),
        cmocka_unit_test(strangers_that_never_confirm_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
