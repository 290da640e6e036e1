#include <config.h>

#include "wallet/wallet.h"

#include <string.h>

#include "base/ec.h"
#include "base/hash.h"
#include "tests/wallet/wallet_util.h"
#include "script/verify.h"
#include "wallet/txbuild.h"

static const struct script_heights heights = { .p2sh = 0 }; /* all rules from the first block on */

enum { FEE_RATE = 1000 };

static struct wallet_send request(const struct rig *r, const struct wallet_recipient *to,
                                  size_t n)
{
    return (struct wallet_send){ .to = to, .n = n, .fee_per_kb = FEE_RATE, .max_fee = 100000,
                                 .min_conf = 1, .height = r->height, .heights = &heights };
}

static struct rig funded(int64_t value)
{
    struct rig r = rig_start(&from_phrase);
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script to = script_of_key(&k);
    pay_in_block(&r, 1, value, &to);
    return r;
}

/* The coin behind an input of a transaction of ours. */
static void find_spent(struct rig *r, const struct tx_in *in, struct history_coin *coin)
{
    bool found;
    wallet_lock(r->w);
    assert_int_equal(history_get_coin(wallet_history(r->w), &in->prevout, coin, &found, NULL), OK);
    wallet_unlock(r->w);
    assert_true(found);
}

static void assert_valid(struct rig *r, const struct tx *tx)
{
    const struct script_policy policy = script_policy_default();
    const struct script_limits limits = script_limits_policy(&policy);
    const uint32_t flags = script_flags_for_policy(&heights, r->height + 1);
    assert_int_equal(tx->version, 1);
    for (size_t i = 0; i < tx->n_in; i++) {
        struct history_coin coin;
        find_spent(r, &tx->in[i], &coin);
        assert_true(coin.spent);
        assert_true(txid_equal(&coin.spent_by, &tx->id));
        const struct script_input in = {
            .tx = tx, .index = i, .script_pubkey = coin.script, .amount = coin.value,
            .flags = script_flags_for_coin(&heights, flags, r->height), .limits = &limits,
        };
        assert_int_equal(script_verify(&in), SCRIPT_OK);
    }
}

static int64_t output_to(const struct tx *tx, struct span script)
{
    for (size_t i = 0; i < tx->n_out; i++)
        if (tx->out[i].script.len == script.len &&
            memcmp(tx->out[i].script.data, script.data, script.len) == 0)
            return tx->out[i].value;
    return -1;
}

static enum err send_value(struct rig *r, int64_t value, struct tx **tx, int64_t *fee,
                           struct error *e)
{
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), value, false };
    const struct wallet_send s = request(r, &to, 1);
    return wallet_send(r->w, &s, tx, fee, e);
}

static void what_is_sent_is_valid_and_change_comes_back(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script there = foreign_script(7);
    const struct pay_script change = script_at(&r, KEYSTORE_CHANGE, 0);
    struct tx *tx;
    int64_t fee;
    assert_int_equal(send_value(&r, 30000, &tx, &fee, NULL), OK);
    assert_valid(&r, tx);
    assert_int_equal(tx->n_out, 2);
    assert_int_equal(output_to(tx, script_span(&there)), 30000);
    assert_int_equal(output_to(tx, script_span(&change)), 70000 - fee);
    assert_in_range(fee, tx->raw.len * FEE_RATE / 1000, (tx->raw.len + 3) * FEE_RATE / 1000);
    rig_reopen(&r);
    assert_valid(&r, tx);
    assert_int_equal(trusted(&r), 0);
    assert_int_equal(wallet_mempool_add(r.w, tx, NULL), OK);
    assert_int_equal(trusted(&r), 70000 - fee);
    next_block(&r, &tx, 1);
    assert_int_equal(trusted(&r), 70000 - fee);
    undo_block(&r);
    r.branch = 1;
    next_block(&r, NULL, 0);
    assert_int_equal(wallet_mempool_add(r.w, tx, NULL), OK);
    assert_int_equal(trusted(&r), 70000 - fee);
    tx_unref(tx);
    rig_stop(&r);
}

static void change_in_the_mempool_is_spent_when_allowed(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    struct tx *first, *second;
    int64_t fee;
    assert_int_equal(send_value(&r, 30000, &first, &fee, NULL), OK);
    assert_int_equal(wallet_mempool_add(r.w, first, NULL), OK);
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), 20000, false };
    struct wallet_send s = request(&r, &to, 1);
    assert_int_equal(wallet_send(r.w, &s, &second, &fee, NULL), ERR_NOTFOUND);
    s.min_conf = 0;
    assert_int_equal(wallet_send(r.w, &s, &second, &fee, NULL), OK);
    assert_valid(&r, second);
    assert_true(txid_equal(&second->in[0].prevout.txid, &first->id));
    tx_unref(first);
    tx_unref(second);
    rig_stop(&r);
}

static void all_there_is_goes_to_one(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script more = script_at(&r, KEYSTORE_RECEIVE, 2);
    pay_in_block(&r, 2, 5000, &more);
    struct tx *tx;
    int64_t fee;
    assert_int_equal(send_value(&r, -1, &tx, &fee, NULL), OK);
    assert_valid(&r, tx);
    assert_int_equal(tx->n_in, 2);
    assert_int_equal(tx->n_out, 1);
    assert_int_equal(tx->out[0].value, 105000 - fee);
    tx_unref(tx);
    rig_stop(&r);
}

static void recipients_pay_the_fee_and_data_comes_along(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script a = foreign_script(7), b = foreign_script(8);
    const struct span word = text_span("hello");
    struct buf data = { 0 };
    txbuild_put_data(&data, &word, 1);
    const struct wallet_recipient to[] = { { script_span(&a), 40000, true },
                                           { buf_span(&data), 0, false },
                                           { script_span(&b), 20000, false } };
    const struct wallet_send s = request(&r, to, 3);
    struct tx *tx;
    int64_t fee;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    assert_valid(&r, tx);
    assert_int_equal(output_to(tx, script_span(&a)), 40000 - fee);
    assert_int_equal(output_to(tx, script_span(&b)), 20000);
    assert_int_equal(output_to(tx, buf_span(&data)), 0);
    assert_int_equal(tx->n_out, 4);
    buf_clear(&data);
    tx_unref(tx);
    rig_stop(&r);
}

static void data_alone_is_sent(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct span word = text_span("hello");
    struct buf data = { 0 };
    txbuild_put_data(&data, &word, 1);
    const struct wallet_recipient to = { buf_span(&data), 0, false };
    const struct wallet_send s = request(&r, &to, 1);
    struct tx *tx;
    int64_t fee;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    assert_valid(&r, tx);
    assert_int_equal(tx->n_in, 1);
    assert_int_equal(output_to(tx, buf_span(&data)), 0);
    assert_int_equal(tx->n_out, 2);
    buf_clear(&data);
    tx_unref(tx);
    rig_stop(&r);
}

/* Its output 0, of 5000 satoshis, is one of the wallet's. */
static struct tx *another_coin(struct rig *r)
{
    const struct pay_script mine = script_at(r, KEYSTORE_RECEIVE, 1);
    struct tx *coin = pay_tx(2, 5000, script_span(&mine));
    next_block(r, &coin, 1);
    return coin;
}

static void named_coins_are_spent_and_no_others(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script there = foreign_script(7);
    struct tx *coin = another_coin(&r), *tx;
    const struct outpoint at = { coin->id, 0 };
    const struct wallet_recipient to = { script_span(&there), 1000, false };
    struct wallet_send s = request(&r, &to, 1);
    int64_t fee;
    s.coins = &at;
    s.n_coins = 1;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    assert_int_equal(tx->n_in, 1);
    assert_true(outpoint_equal(&tx->in[0].prevout, &at));
    assert_valid(&r, tx);
    tx_unref(tx);
    struct error e;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "is spent"));
    const struct outpoint strange = strange_out(77);
    s.coins = &strange;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "none of the wallet's"));
    tx_unref(coin);
    rig_stop(&r);
}

/* What was taken back is spent again, so that it cannot be in a block beside this. */
static void named_coins_are_spent_in_any_case_and_others_with_them(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script there = foreign_script(7);
    struct tx *coin = another_coin(&r), *tx;
    const struct outpoint at[] = { { coin->id, 0 }, { coin->id, 0 } };
    const struct wallet_recipient to = { script_span(&there), 20000, false };
    struct wallet_send s = request(&r, &to, 1);
    int64_t fee;
    s.coins = at;
    s.and_more = true;
    s.n_coins = 2;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), ERR_RANGE);
    s.n_coins = 1;
    assert_true(history_lock_coin(wallet_history(r.w), &at[0], true));
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    assert_int_equal(tx->n_in, 2);
    assert_true(outpoint_equal(&tx->in[0].prevout, &at[0]) ||
                outpoint_equal(&tx->in[1].prevout, &at[0]));
    assert_valid(&r, tx);
    tx_unref(tx);
    tx_unref(coin);
    rig_stop(&r);
}

static void what_somebody_else_makes_is_funded(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script there = foreign_script(7), back = foreign_script(8);
    struct tx *coin = another_coin(&r);
    const struct outpoint at[] = { { coin->id, 0 }, { coin->id, 0 } };
    const struct wallet_recipient to = { script_span(&there), 20000, true };
    struct wallet_send s = request(&r, &to, 1);
    struct wallet_funding got;
    s.coins = at;
    s.n_coins = 1;
    s.change = script_span(&back);
    assert_int_equal(wallet_fund(r.w, &s, WALLET_FUND_LOCK, &got, NULL), OK);
    assert_int_equal(got.n_added, 1);
    assert_false(outpoint_equal(&got.added[0], &at[0]));
    assert_int_equal(got.amounts[0], 20000 - got.fee);
    assert_int_equal(got.change, 85000);
    assert_int_equal(got.change_script.len, s.change.len);
    assert_memory_equal(got.change_script.data, s.change.data, s.change.len);
    wallet_funding_clear(&got);
    struct error e;
    s.n_coins = 0; /* both are locked now */
    assert_int_equal(wallet_fund(r.w, &s, WALLET_FUND_FREE, &got, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "0.00105000 are locked"));
    s.n_coins = 2;
    assert_int_equal(wallet_fund(r.w, &s, WALLET_FUND_FREE, &got, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "twice"));
    tx_unref(coin);
    rig_stop(&r);
}

static void a_coin_of_an_imported_key_is_spent(void **state)
{
    (void)state;
    for (int form = 0; form < 2; form++) {
        struct rig r = rig_start(&from_phrase);
        const uint8_t secret[32] = { [31] = 7 };
        struct wallet_key k = { .key_len = 0 };
        k.key_len = ec_pubkey_create(k.key, secret, form == 0);
        const struct pay_script mine = script_of_key(&k);
        assert_int_equal(wallet_import_secret(r.w, secret, form == 0, no_label,
                                              WALLET_NO_SCAN, NULL), OK);
        pay_in_block(&r, 1, 50000, &mine);
        struct tx *tx;
        int64_t fee;
        assert_int_equal(send_value(&r, 20000, &tx, &fee, NULL), OK);
        assert_valid(&r, tx);
        tx_unref(tx);
        rig_stop(&r);
    }
}

/* --- refusals --- */

static void assert_refused(struct rig *r, int64_t value, enum err code, const char *text)
{
    struct tx *tx;
    struct error e;
    int64_t fee;
    assert_int_equal(send_value(r, value, &tx, &fee, &e), code);
    assert_non_null(strstr(e.text, text));
}

static struct tx *coinbase_to(const struct pay_script *to, int64_t value)
{
    struct tx *tx = coin_tx(0, NULL, 0, (struct coin_out[]){ { value, PAY_MINE } }, 1);
    struct buf raw = { 0 };
    buf_put(&raw, tx->raw.data, tx->raw.len);
    tx_unref(tx);
    memcpy(raw.data + raw.len - 4 - SCRIPT_P2PKH_SIZE, to->bytes, SCRIPT_P2PKH_SIZE);
    tx = tx_new(raw.data, raw.len, NULL);
    assert_non_null(tx);
    buf_clear(&raw);
    return tx;
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script mine = script_at(&r, KEYSTORE_RECEIVE, 1);
    struct tx *coinbase = coinbase_to(&mine, 300000);
    next_block(&r, &coinbase, 1);
    assert_refused(&r, 150000, ERR_NOTFOUND, "insufficient funds: 0.0005");
    assert_refused(&r, 150000, ERR_NOTFOUND, "0.00300000 are immature");
    assert_int_equal(balance_of(&r).spendable.immature, 300000);
    tx_unref(coinbase);
    rig_stop(&r);
}

static void amounts_that_cannot_be_are_refused(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    assert_refused(&r, 0, ERR_RANGE, "dust");
    assert_refused(&r, -2, ERR_RANGE, "no possible amount");
    assert_refused(&r, INT64_MAX, ERR_RANGE, "no possible amount");
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient two[] = { { script_span(&there), -1, false },
                                            { script_span(&there), 5, false } };
    const struct wallet_recipient nothing = { no_label, 5, false };
    struct wallet_send s = request(&r, two, 2);
    struct tx *tx;
    int64_t fee;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), ERR_RANGE);
    s = request(&r, &nothing, 1);
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), ERR_RANGE);
    s = request(&r, two, 0);
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), ERR_RANGE);
    rig_stop(&r);
}

static void a_fee_above_the_limit_takes_no_key(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), 1000, false };
    struct wallet_send s = request(&r, &to, 1);
    struct tx *tx;
    int64_t fee;
    s.max_fee = 10;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), ERR_RANGE);
    s.fee_per_kb = -1;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), ERR_RANGE);
    assert_int_equal(new_key(&r, KEYSTORE_CHANGE).index, 0);
    rig_stop(&r);
}

static void a_locked_wallet_does_not_send(void **state)
{
    (void)state;
    const struct wallet_new how = { .phrase = TEST_PHRASE, .passphrase = text_span("horse") };
    struct rig r = rig_start(&how);
    const struct pay_script mine = script_at(&r, KEYSTORE_RECEIVE, 0);
    pay_in_block(&r, 1, 100000, &mine);
    assert_refused(&r, 1000, ERR_AUTH, "locked");
    assert_int_equal(new_key(&r, KEYSTORE_CHANGE).index, 0);
    assert_int_equal(keystore_unlock(wallet_keystore(r.w), text_span("horse"), 2000000, NULL), OK);
    struct tx *tx;
    int64_t fee;
    assert_int_equal(send_value(&r, 1000, &tx, &fee, NULL), OK);
    tx_unref(tx);
    rig_stop(&r);
}

static void a_locked_coin_is_spent_by_name_alone(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script mine = script_at(&r, KEYSTORE_RECEIVE, 0);
    struct tx *coin = pay_tx(1, 100000, script_span(&mine)), *tx;
    next_block(&r, &coin, 1);
    const struct outpoint at = { coin->id, 0 };
    wallet_lock(r.w);
    assert_true(history_lock_coin(wallet_history(r.w), &at, true));
    wallet_unlock(r.w);
    assert_refused(&r, 1000, ERR_NOTFOUND, "0.00100000 are locked");
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), 1000, false };
    struct wallet_send s = request(&r, &to, 1);
    int64_t fee;
    s.coins = &at;
    s.n_coins = 1;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    tx_unref(tx);
    tx_unref(coin);
    rig_stop(&r);
}

static void watched_coins_are_not_spent(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script script = foreign_script(1);
    assert_int_equal(wallet_import_script(r.w, script_span(&script), no_label,
                                          WALLET_NO_SCAN, NULL), OK);
    pay_in_block(&r, 1, 100000, &script);
    assert_refused(&r, 1000, ERR_NOTFOUND, "insufficient funds");
    rig_stop(&r);
}

static void two_that_are_sent_at_once_spend_different_coins(void **state)
{
    (void)state;
    struct rig r = funded(100000);
    const struct pay_script more = script_at(&r, KEYSTORE_RECEIVE, 2);
    pay_in_block(&r, 2, 100000, &more);
    struct tx *a, *b;
    int64_t fee;
    assert_int_equal(send_value(&r, 50000, &a, &fee, NULL), OK);
    assert_int_equal(send_value(&r, 50000, &b, &fee, NULL), OK);
    assert_false(outpoint_equal(&a->in[0].prevout, &b->in[0].prevout));
    assert_refused(&r, 50000, ERR_NOTFOUND, "insufficient funds");
    tx_unref(a);
    tx_unref(b);
    rig_stop(&r);
}

/* What was not returned is nowhere, what was is on disk, and no key comes twice. */
static void a_write_that_fails_loses_nothing(void **state)
{
    (void)state;
    for (int keys = 0; keys < 2; keys++) {
        struct rig r = funded(100000);
        struct tx *tx = NULL;
        int64_t fee;
        kv_mem_fail_writes(keys ? r.keys : r.coins, 1);
        assert_int_equal(send_value(&r, 30000, &tx, &fee, NULL), ERR_IO);
        assert_int_equal(trusted(&r), 100000);
        rig_reopen(&r);
        assert_int_equal(trusted(&r), 100000);
        assert_int_equal(send_value(&r, 30000, &tx, &fee, NULL), OK);
        const struct pay_script change = script_at(&r, KEYSTORE_CHANGE, keys ? 0 : 1);
        assert_int_equal(output_to(tx, script_span(&change)), 70000 - fee);
        rig_reopen(&r);
        assert_valid(&r, tx);
        tx_unref(tx);
        rig_stop(&r);
    }
}

static void a_coin_that_is_none_of_the_wallets_is_spent_with_its_own(void **state)
{
    (void)state;
    static const struct wallet_recipient data = { .script = { (const uint8_t *)"\x00\x6a", 2 } };
    struct rig r = funded(50000);
    uint8_t secret[32] = { 7 }, key[EC_PUBKEY_SIZE], hash[20], script[SCRIPT_P2PKH_SIZE];
    assert_true(ec_pubkey_of(key, secret));
    hash160(hash, key, sizeof key);
    script_make_p2pkh(script, hash);
    const struct wallet_extra extra = { .at = { { { 9 } }, 1 }, .value = 1, .height = 1,
                                        .script = span_of(script, sizeof script),
                                        .secret = secret };
    struct wallet_send s = request(&r, &data, 1);
    s.extra = &extra;
    struct tx *tx;
    int64_t fee;
    struct error e = { .code = OK };
    secret[0]++;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "does not unlock"));
    secret[0]--;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    assert_int_equal(tx->n_in, 2);
    const size_t at = outpoint_equal(&tx->in[0].prevout, &extra.at) ? 0 : 1;
    assert_true(outpoint_equal(&tx->in[at].prevout, &extra.at));
    int64_t out = 0;
    for (size_t i = 0; i < tx->n_out; i++)
        out += tx->out[i].value;
    assert_int_equal(out + fee, 50001);
    assert_int_equal(tx->n_out, 2); /* data and change */
    const struct script_policy policy = script_policy_default();
    const struct script_limits limits = script_limits_policy(&policy);
    const struct script_input in = {
        .tx = tx, .index = at, .script_pubkey = extra.script, .amount = 1,
        .flags = script_flags_for_policy(&heights, r.height + 1), .limits = &limits };
    assert_int_equal(script_verify(&in), SCRIPT_OK);
    tx_unref(tx);
    rig_stop(&r);
}

static void change_comes_last_and_the_size_is_limited_when_asked(void **state)
{
    (void)state;
    const struct pay_script first = foreign_script(1), second = foreign_script(2);
    const struct wallet_recipient to[] = { { script_span(&first), 1000, false },
                                           { script_span(&second), 1, false } };
    for (int i = 0; i < 20; i++) {
        struct rig r = funded(100000);
        struct wallet_send s = request(&r, to, 2);
        struct error e = { .code = OK };
        struct tx *tx;
        int64_t fee;
        s.change_last = true;
        s.max_size = 200;
        assert_int_equal(wallet_send(r.w, &s, &tx, &fee, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, "more than 200 bytes"));
        s.max_size = 300;
        assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK); /* nothing had been spent */
        assert_int_equal(tx->n_out, 3);
        assert_memory_equal(tx->out[0].script.data, first.bytes, sizeof first.bytes);
        assert_memory_equal(tx->out[1].script.data, second.bytes, sizeof second.bytes);
        tx_unref(tx);
        rig_stop(&r);
    }
}

/* Coins that bring little more than their inputs cost. */
static struct rig with_small_coins(unsigned n)
{
    struct rig r = rig_start(&from_phrase);
    for (unsigned i = 0; i < n; i++) {
        const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
        const struct pay_script to = script_of_key(&k);
        pay_in_block(&r, i + 1, 170, &to);
    }
    return r;
}

static void small_coins_are_gathered_when_they_do_not_fit(void **state)
{
    (void)state;
    struct rig r = with_small_coins(40);
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), 50, false };
    struct wallet_send s = request(&r, &to, 1);
    struct tx *first, *tx;
    int64_t fee;
    bool too_large = false;
    s.max_size = 400;
    s.min_conf = 0;
    s.too_large = &too_large;
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), ERR_RANGE);
    assert_true(too_large);
    assert_int_equal(wallet_gather(r.w, &s, &first, NULL), OK);
    assert_valid(&r, first);
    assert_int_equal(wallet_mempool_add(r.w, first, NULL), OK);
    assert_int_equal(wallet_send(r.w, &s, &tx, &fee, NULL), OK);
    assert_false(too_large);
    assert_valid(&r, tx);
    assert_true(tx->raw.len <= 400);
    assert_int_equal(output_to(tx, script_span(&there)), 50);
    tx_unref(first);
    tx_unref(tx);
    rig_stop(&r);
}

/* Own change that no block has yet is touched last, and before a transaction gets too large. */
static void larger_coins_are_taken_where_smaller_ones_do_not_fit(void **state)
{
    (void)state;
    struct rig r = with_small_coins(40);
    const struct pay_script there = foreign_script(7);
    const struct wallet_recipient to = { script_span(&there), 200, false };
    struct wallet_send s = request(&r, &to, 1);
    struct tx *tx, *small;
    int64_t fee;
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script own = script_of_key(&k);
    pay_in_block(&r, 77, 100000, &own);
    assert_int_equal(send_value(&r, 50000, &tx, &fee, NULL), OK);
    assert_int_equal(wallet_mempool_add(r.w, tx, NULL), OK);
    s.min_conf = 0;
    assert_int_equal(wallet_send(r.w, &s, &small, &fee, NULL), OK);
    assert_true(small->raw.len > 400);
    wallet_lock(r.w);
    assert_int_equal(history_abandon(wallet_history(r.w), &small->id, NULL), OK);
    wallet_unlock(r.w);
    tx_unref(small);
    s.max_size = 400;
    assert_int_equal(wallet_send(r.w, &s, &small, &fee, NULL), OK);
    assert_true(small->raw.len <= 400);
    assert_true(txid_equal(&small->in[0].prevout.txid, &tx->id));
    tx_unref(small);
    tx_unref(tx);
    rig_stop(&r);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_valid_and_change_comes_back),
        cmocka_unit_test(a_coin_that_is_none_of_the_wallets_is_spent_with_its_own),
        cmocka_unit_test(change_comes_last_and_the_size_is_limited_when_asked),
        cmocka_unit_test(small_coins_are_gathered_when_they_do_not_fit),
        cmocka_unit_test(larger_coins_are_taken_where_smaller_ones_do_not_fit),
        cmocka_unit_test(change_in_the_mempool_is_spent_when_allowed),
        cmocka_unit_test(all_there_is_goes_to_one),
        cmocka_unit_test(recipients_pay_the_fee_and_data_comes_along),
        cmocka_unit_test(data_alone_is_sent),
        cmocka_unit_test(named_coins_are_spent_and_no_others),
        cmocka_unit_test(named_coins_are_spent_in_any_case_and_others_with_them),
        cmocka_unit_test(what_somebody_else_makes_is_funded),
        cmocka_unit_test(a_coin_of_an_imported_key_is_spent),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(amounts_that_cannot_be_are_refused),
        cmocka_unit_test(a_fee_above_the_limit_takes_no_key),
        cmocka_unit_test(a_locked_wallet_does_not_send),
        cmocka_unit_test(a_locked_coin_is_spent_by_name_alone),
        cmocka_unit_test(watched_coins_are_not_spent),
        cmocka_unit_test(two_that_are_sent_at_once_spend_different_coins),
        cmocka_unit_test(a_write_that_fails_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
