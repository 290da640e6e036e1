/* Transactions that come into a wallet alone, and leave it. */
#include <config.h>

#include "base/ec.h"
#include "tests/wallet/wallet_util.h"

static const struct script_heights heights = { .p2sh = 0 };
enum { VALUE = 100000, SENT = 30000 };

static enum err remove_tx(struct rig *r, const struct txid *id)
{
    wallet_lock(r->w);
    const enum err rc = history_remove(wallet_history(r->w), id, NULL);
    wallet_unlock(r->w);
    return rc;
}

static bool count_one(void *ctx, const struct history_tx *t)
{
    (void)t;
    ++*(unsigned *)ctx;
    return true;
}

static unsigned transactions(struct rig *r)
{
    unsigned n = 0;
    wallet_lock(r->w);
    assert_int_equal(history_list(wallet_history(r->w), 0, count_one, &n, NULL), OK);
    wallet_unlock(r->w);
    return n;
}

/* Memory and store say the same. */
static void assert_state(struct rig *r, int64_t trusted_sum, unsigned n)
{
    for (int again = 0; again < 2; again++) {
        assert_int_equal(trusted(r), trusted_sum);
        assert_int_equal(transactions(r), n);
        rig_reopen(r);
    }
}

static struct tx *payment_to_us(struct rig *r, uint32_t number)
{
    const struct wallet_key k = new_key(r, KEYSTORE_RECEIVE);
    const struct pay_script to = script_of_key(&k);
    return pay_tx(number, VALUE, script_span(&to));
}

static struct tx *send(struct rig *r)
{
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), SENT, false };
    const struct wallet_send s = { .to = &to, .n = 1, .fee_per_kb = 1000, .max_fee = 10000,
                                   .min_conf = 1, .height = r->height, .heights = &heights };
    struct tx *tx = NULL;
    int64_t fee;
    assert_int_equal(wallet_send(r->w, &s, &tx, &fee, NULL), OK);
    return tx;
}

static void what_was_brought_in_can_leave(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct tx *tx = payment_to_us(&r, 1);
    next_block(&r, NULL, 0);
    const struct wallet_block b = { .hash = rig_hash(&r, r.height), .height = r.height,
                                    .time = 7 };
    assert_int_equal(remove_tx(&r, &tx->id), ERR_NOTFOUND);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wallet_import_tx(r.w, tx, &b, 4, NULL), OK);
        assert_state(&r, VALUE, 1);
        assert_int_equal(remove_tx(&r, &tx->id), OK);
        assert_state(&r, 0, 0);
    }
    undo_block(&r);
    assert_state(&r, 0, 0);
    tx_unref(tx);
    rig_stop(&r);
}

static void a_spend_that_leaves_gives_its_coin_back(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct tx *tx = payment_to_us(&r, 1);
    next_block(&r, &tx, 1);
    for (int confirmed = 0; confirmed < 2; confirmed++) {
        struct tx *spend = send(&r);
        if (confirmed)
            next_block(&r, &spend, 1);
        assert_int_equal(transactions(&r), 2);
        assert_int_equal(remove_tx(&r, &spend->id), OK);
        assert_state(&r, VALUE, 1);
        tx_unref(spend);
    }
    undo_block(&r);
    assert_state(&r, VALUE, 1);
    tx_unref(tx);
    rig_stop(&r);
}

/* Its child keeps standing there; when that is undone the coin of the parent does not appear. */
static void a_parent_leaves_without_its_child(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct tx *tx = payment_to_us(&r, 1);
    next_block(&r, &tx, 1);
    struct tx *spend = send(&r);
    next_block(&r, &spend, 1);
    const int64_t change = trusted(&r);
    assert_true(change > 0 && change < VALUE - SENT);
    assert_int_equal(remove_tx(&r, &tx->id), OK);
    assert_state(&r, change, 1);
    undo_block(&r);
    rig_reopen(&r);
    wallet_lock(r.w);
    assert_int_equal(history_abandon(wallet_history(r.w), &spend->id, NULL), OK);
    wallet_unlock(r.w);
    assert_state(&r, 0, 1);
    next_block(&r, &spend, 1);
    assert_state(&r, change, 1);
    tx_unref(spend);
    tx_unref(tx);
    rig_stop(&r);
}

/* What a confirmed transaction excluded counts again without it. */
static void who_was_excluded_counts_again(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct tx *first = payment_to_us(&r, 1), *second = payment_to_us(&r, 1);
    assert_false(txid_equal(&first->id, &second->id)); /* of one coin, to two keys */
    assert_int_equal(wallet_mempool_add(r.w, first, NULL), OK);
    assert_int_equal(balance_of(&r).spendable.pending, VALUE);
    next_block(&r, &second, 1);
    assert_int_equal(balance_of(&r).spendable.pending, 0);
    assert_int_equal(remove_tx(&r, &second->id), OK);
    assert_int_equal(balance_of(&r).spendable.pending, VALUE);
    assert_int_equal(trusted(&r), 0);
    rig_reopen(&r);
    assert_int_equal(wallet_mempool_add(r.w, first, NULL), OK);
    assert_int_equal(balance_of(&r).spendable.pending, VALUE);
    tx_unref(first);
    tx_unref(second);
    rig_stop(&r);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_brought_in_can_leave),
        cmocka_unit_test(a_spend_that_leaves_gives_its_coin_back),
        cmocka_unit_test(a_parent_leaves_without_its_child),
        cmocka_unit_test(who_was_excluded_counts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
