#include <config.h>

#include "wallet/wallet.h"

#include "base/ec.h"
#include "tests/wallet/wallet_util.h"

static void a_block_pays_and_a_reorganisation_takes_it_back(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct block_hash hash;
    int32_t height, scan;
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script to = script_of_key(&k);
    assert_false(wallet_best(r.w, &hash, &height, &scan));
    next_block(&r, NULL, 0);
    pay_in_block(&r, 1, 700, &to);
    assert_int_equal(trusted(&r), 700);
    assert_true(wallet_best(r.w, &hash, &height, &scan));
    assert_int_equal(height, r.height);
    assert_int_equal(scan, HISTORY_NO_HEIGHT);
    undo_block(&r);
    assert_int_equal(trusted(&r), 0);
    r.branch = 1;
    pay_in_block(&r, 1, 700, &to);
    rig_reopen(&r);
    assert_int_equal(trusted(&r), 700);
    rig_stop(&r);
}

static void a_locked_wallet_sees_coins(void **state)
{
    (void)state;
    const struct wallet_new how = { .phrase = TEST_PHRASE, .passphrase = text_span("horse") };
    struct rig r = rig_start(&how);
    for (uint32_t i = 0; i < 3 * TEST_GAP; i++) {
        const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, i);
        pay_in_block(&r, i, 100, &to);
    }
    assert_int_equal(trusted(&r), 3 * TEST_GAP * 100);
    rig_stop(&r);
}

static void a_key_seen_moves_the_look_ahead_and_is_not_given_out(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct wallet_key k;
    const struct pay_script seen = script_at(&r, KEYSTORE_RECEIVE, TEST_GAP - 1);
    const struct pay_script edge = script_at(&r, KEYSTORE_RECEIVE, 2 * TEST_GAP - 1);
    const struct pay_script beyond = script_at(&r, KEYSTORE_RECEIVE, 2 * TEST_GAP);
    pay_in_block(&r, 1, 700, &seen);
    assert_true(wallet_find_key(r.w, script_span(&edge), &k));
    assert_false(wallet_find_key(r.w, script_span(&beyond), &k));
    rig_reopen(&r);
    assert_true(wallet_find_key(r.w, script_span(&edge), &k));
    assert_int_equal(new_key(&r, KEYSTORE_RECEIVE).index, TEST_GAP);
    assert_int_equal(new_key(&r, KEYSTORE_CHANGE).index, 0);
    rig_stop(&r);
}

/* Each pays a key that only the one behind it brings into the table. */
static void keys_are_looked_for_in_the_same_block(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    enum { N = 4 };
    struct tx *txs[N];
    for (uint32_t i = 0; i < N; i++) {
        const struct pay_script to =
            script_at(&r, KEYSTORE_RECEIVE, (N - i) * TEST_GAP - 1);
        txs[i] = pay_tx(i, 100, script_span(&to));
    }
    assert_int_equal(tell_block(&r, 101, txs, N), ERR_BUSY);
    assert_int_equal(trusted(&r), 0);
    next_block(&r, txs, N);
    assert_int_equal(trusted(&r), N * 100);
    rig_reopen(&r);
    assert_int_equal(trusted(&r), N * 100);
    for (int i = 0; i < N; i++)
        tx_unref(txs[i]);
    rig_stop(&r);
}

static void in_the_right_order_a_block_is_told_once(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script strange = foreign_script(3);
    struct tx *txs[6] = { pay_tx(90, 5, script_span(&strange)) };
    txs[5] = pay_tx(91, 5, script_span(&strange));
    for (uint32_t i = 1; i < 5; i++) {
        const struct pay_script to = script_at(&r, KEYSTORE_CHANGE, i * TEST_GAP - 1);
        txs[i] = pay_tx(i, 100, script_span(&to));
    }
    assert_int_equal(tell_block(&r, 101, txs + 1, 5), OK);
    assert_int_equal(trusted(&r), 400);
    for (int i = 0; i < 6; i++)
        tx_unref(txs[i]);
    rig_stop(&r);
}

static void a_block_that_was_cancelled_left_nothing(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, 2);
    struct tx *tx = pay_tx(1, 100, script_span(&to));
    const struct wallet_block b = { .hash = rig_hash(&r, 101), .height = 101 };
    struct block_hash hash;
    int32_t height;
    assert_int_equal(wallet_block_tx(r.w, tx, 0, NULL), ERR_RANGE);
    assert_int_equal(wallet_block_end(r.w, NULL), ERR_RANGE);
    assert_int_equal(wallet_block_begin(r.w, &b, NULL), OK);
    assert_int_equal(wallet_block_tx(r.w, tx, 0, NULL), OK);
    wallet_block_cancel(r.w);
    assert_int_equal(trusted(&r), 0);
    assert_false(wallet_best(r.w, &hash, &height, NULL));
    assert_int_equal(wallet_block_end(r.w, NULL), ERR_RANGE);
    assert_int_equal(new_key(&r, KEYSTORE_RECEIVE).index, 3);
    tx_unref(tx);
    rig_stop(&r);
}

static void a_key_given_out_while_a_block_is_told_is_a_fresh_one(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, 2);
    struct tx *tx = pay_tx(1, 100, script_span(&to));
    const struct wallet_block b = { .hash = rig_hash(&r, 101), .height = 101 };
    assert_int_equal(wallet_block_begin(r.w, &b, NULL), OK);
    assert_int_equal(wallet_block_tx(r.w, tx, 0, NULL), OK);
    assert_int_equal(new_key(&r, KEYSTORE_RECEIVE).index, 3);
    assert_int_equal(wallet_block_end(r.w, NULL), OK);
    assert_int_equal(new_key(&r, KEYSTORE_RECEIVE).index, 4);
    tx_unref(tx);
    rig_stop(&r);
}

/* Tells a block of three while somebody asks for n keys before the last of them. */
static enum err tell_while_given(struct rig *r, struct tx *const *txs, int n)
{
    const struct wallet_block b = { .hash = rig_hash(r, 101), .height = 101 };
    assert_int_equal(wallet_block_begin(r->w, &b, NULL), OK);
    assert_int_equal(wallet_block_tx(r->w, txs[0], 0, NULL), OK);
    assert_int_equal(wallet_block_tx(r->w, txs[1], 1, NULL), OK);
    for (int i = 0; i < n; i++)
        (void)new_key(r, KEYSTORE_RECEIVE);
    assert_int_equal(wallet_block_tx(r->w, txs[2], 2, NULL), OK);
    return wallet_block_end(r->w, NULL);
}

static void keys_given_out_while_a_block_is_told_are_looked_for_in_all_of_it(void **state)
{
    (void)state;
    enum { ASKED = 40, TELLINGS = 4 /* reserves of 0, 16, 32, 64 */ };
    struct rig r = rig_start(&from_phrase);
    const struct pay_script strange = foreign_script(3);
    const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, TEST_GAP);
    const struct pay_script later = script_at(&r, KEYSTORE_RECEIVE, TEST_GAP + ASKED);
    struct tx *txs[3] = { pay_tx(1, 7, script_span(&strange)), pay_tx(2, 100, script_span(&to)),
                          pay_tx(3, 50, script_span(&later)) };
    int told = 1;
    while (tell_while_given(&r, txs, ASKED) == ERR_BUSY && told < 2 * TELLINGS)
        told++;
    assert_int_equal(told, TELLINGS);
    assert_int_equal(trusted(&r), 150);
    for (int i = 0; i < 3; i++)
        tx_unref(txs[i]);
    rig_stop(&r);
}

static void the_mempool_moves_the_look_ahead(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    next_block(&r, NULL, 0);
    const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, TEST_GAP - 1);
    const struct pay_script edge = script_at(&r, KEYSTORE_RECEIVE, 2 * TEST_GAP - 1);
    struct tx *tx = pay_tx(1, 100, script_span(&to));
    struct wallet_key k;
    assert_int_equal(wallet_mempool_add(r.w, tx, NULL), OK);
    assert_int_equal(balance_of(&r).spendable.pending, 100);
    assert_true(wallet_find_key(r.w, script_span(&edge), &k));
    assert_int_equal(new_key(&r, KEYSTORE_RECEIVE).index, TEST_GAP);
    assert_int_equal(wallet_mempool_remove(r.w, &tx->id, NULL, NULL), OK);
    assert_int_equal(balance_of(&r).spendable.pending, 0);
    next_block(&r, &tx, 1);
    assert_int_equal(trusted(&r), 100);
    tx_unref(tx);
    rig_stop(&r);
}

static void a_rescan_finds_what_an_import_owns(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script script = foreign_script(1);
    struct tx *tx = pay_tx(1, 900, script_span(&script));
    struct block_hash hash;
    int32_t height, scan;
    next_block(&r, NULL, 0);
    next_block(&r, &tx, 1);
    next_block(&r, NULL, 0);
    assert_int_equal(wallet_import_script(r.w, script_span(&script), no_label,
                                          WALLET_NO_SCAN, NULL), OK);
    wallet_lock(r.w);
    assert_int_equal(history_begin_rescan(wallet_history(r.w), 102, HISTORY_TO_BEST, NULL), OK);
    wallet_unlock(r.w);
    assert_true(wallet_best(r.w, &hash, &height, &scan));
    assert_int_equal(scan, 102);
    assert_int_equal(tell_block(&r, 102, &tx, 1), OK);
    assert_int_equal(tell_block(&r, 103, NULL, 0), OK);
    assert_true(wallet_best(r.w, &hash, &height, &scan));
    assert_int_equal(scan, HISTORY_NO_HEIGHT);
    assert_int_equal(balance_of(&r).watched.trusted, 900);
    tx_unref(tx);
    rig_stop(&r);
}

static void begin_rescan(struct rig *r, int32_t height)
{
    wallet_lock(r->w);
    assert_int_equal(history_begin_rescan(wallet_history(r->w), height, HISTORY_TO_BEST, NULL), OK);
    wallet_unlock(r->w);
}

static void a_rescan_begun_while_a_block_is_told_tells_it_again(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct wallet_block b = { .hash = rig_hash(&r, 102), .prev = rig_hash(&r, 101),
                                    .height = 102 };
    struct block_hash hash;
    int32_t height, scan;
    next_block(&r, NULL, 0);
    next_block(&r, NULL, 0);
    begin_rescan(&r, 102);
    assert_int_equal(wallet_block_begin(r.w, &b, NULL), OK);
    begin_rescan(&r, 101);
    assert_int_equal(wallet_block_end(r.w, NULL), OK);
    assert_true(wallet_best(r.w, &hash, &height, &scan));
    assert_int_equal(scan, 101);
    assert_int_equal(tell_block(&r, 101, NULL, 0), OK);
    assert_int_equal(tell_block(&r, 102, NULL, 0), OK);
    assert_true(wallet_best(r.w, &hash, &height, &scan));
    assert_int_equal(scan, HISTORY_NO_HEIGHT);
    rig_stop(&r);
}

enum { GIVEN = 60 };

struct giver {
    struct rig *r;
    uint32_t index[GIVEN];
    bool ok;
};

static void *give_keys(void *ctx)
{
    struct giver *g = (struct giver *)ctx;
    struct wallet_key k;
    g->ok = true;
    for (int i = 0; i < GIVEN; i++) {
        g->ok &= wallet_new_key(g->r->w, KEYSTORE_RECEIVE, no_label, &k, NULL) == OK;
        g->index[i] = k.index;
    }
    return NULL;
}

/* Two threads take keys while blocks are told. */
static void keys_given_out_at_once_all_differ(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct giver givers[2] = { { .r = &r }, { .r = &r } };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, give_keys, &givers[i]), 0);
    for (uint32_t i = 0; i < 20; i++) {
        const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, i);
        pay_in_block(&r, i, 100, &to);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_true(givers[i].ok);
    }
    for (int i = 0; i < GIVEN; i++)
        for (int j = 0; j < GIVEN; j++) {
            assert_int_not_equal(givers[0].index[i], givers[1].index[j]);
            assert_true(i == 0 || givers[0].index[i] > givers[0].index[i - 1]);
        }
    assert_int_equal(trusted(&r), 2000);
    rig_stop(&r);
}

/* The account of one wallet, watched by another. */
static void xpub_of(struct rig *r, char text[HDKEY_TEXT_MAX])
{
    struct keystore_seed seed;
    struct hdkey key;
    assert_int_equal(keystore_get_seed(wallet_keystore(r->w), &seed, NULL), OK);
    assert_int_equal(wallet_account_key(&key, &wallet_test_params,
                                        span_of(seed.seed, seed.seed_len), NULL),
                     OK);
    hdkey_encode(text, HDKEY_TEST, &key);
    assert_int_equal(wallet_import_xpub(r->w, text, WALLET_NO_SCAN, NULL), ERR_RANGE);
    hdkey_make_public(&key);
    hdkey_encode(text, HDKEY_TEST, &key);
}

static void an_extended_key_is_watched_with_a_look_ahead(void **state)
{
    (void)state;
    const struct wallet_new other = { .phrase = NULL };
    struct rig owner = rig_start(&from_phrase), watcher = rig_start(&other);
    char text[HDKEY_TEXT_MAX];
    xpub_of(&owner, text);
    assert_int_equal(wallet_import_xpub(owner.w, text, WALLET_NO_SCAN, NULL), ERR_EXISTS);
    assert_int_equal(wallet_import_xpub(watcher.w, "xpub", WALLET_NO_SCAN, NULL), ERR_PARSE);
    assert_int_equal(wallet_import_xpub(watcher.w, text, WALLET_NO_SCAN, NULL), OK);
    assert_int_equal(wallet_import_xpub(watcher.w, text, WALLET_NO_SCAN, NULL), ERR_EXISTS);
    for (uint32_t i = 0; i < 10; i++) {
        const struct pay_script to = script_at(&owner, KEYSTORE_CHANGE, i * (TEST_GAP - 1));
        pay_in_block(&watcher, i, 100, &to);
        if (i == 5)
            rig_reopen(&watcher);
    }
    assert_int_equal(balance_of(&watcher).watched.trusted, 1000);
    assert_int_equal(trusted(&watcher), 0);
    struct wallet_key k;
    const struct pay_script first = script_at(&owner, KEYSTORE_RECEIVE, 0);
    assert_true(wallet_find_key(watcher.w, script_span(&first), &k));
    assert_true(!k.derived && !k.spendable);
    assert_int_equal(k.key_len, EC_PUBKEY_SIZE);
    assert_int_equal(new_key(&watcher, KEYSTORE_CHANGE).index, 0);
    rig_stop(&owner);
    rig_stop(&watcher);
}

/* --- recovery --- */

enum { CHAIN = 40 };

/* Both branches, gaps of up to TEST_GAP - 1 unused keys, more than one key in a block. */
static void make_chain(const struct rig *r, struct tx *txs[CHAIN])
{
    for (uint32_t i = 0; i < CHAIN; i++) {
        const struct pay_script to =
            i % 3 ? script_at(r, KEYSTORE_RECEIVE, i * (TEST_GAP - 1) / 2)
                  : script_at(r, KEYSTORE_CHANGE, i);
        txs[i] = pay_tx(i, 100 + i, script_span(&to));
    }
}

static void tell_chain(struct rig *r, struct tx *const txs[CHAIN])
{
    for (size_t i = 0; i < CHAIN; i += 2)
        next_block(r, txs + i, 2);
}

static void the_phrase_alone_recovers_the_coins(void **state)
{
    (void)state;
    struct tx *txs[CHAIN];
    struct rig user = rig_start(&from_phrase), found = rig_start(&from_phrase);
    make_chain(&user, txs);
    for (int i = 0; i < 2 * CHAIN; i++) {
        new_key(&user, KEYSTORE_RECEIVE);
        new_key(&user, KEYSTORE_CHANGE);
    }
    tell_chain(&user, txs);
    tell_chain(&found, txs);
    assert_int_equal(trusted(&user), CHAIN * 100 + CHAIN * (CHAIN - 1) / 2);
    assert_int_equal(trusted(&found), trusted(&user));
    const struct wallet_key next = new_key(&found, KEYSTORE_RECEIVE);
    assert_int_equal(next.index, (CHAIN - 2) * (TEST_GAP - 1) / 2 + 1);
    rig_stop(&user);
    rig_stop(&found);
    for (int i = 0; i < CHAIN; i++)
        tx_unref(txs[i]);
}

static void lost_coins_are_found_in_the_blocks(void **state)
{
    (void)state;
    struct tx *txs[CHAIN];
    struct rig r = rig_start(&from_phrase);
    make_chain(&r, txs);
    tell_chain(&r, txs);
    const int64_t had = trusted(&r);
    struct kv *keys = kv_copy(r.keys), *coins = kv_open_mem();
    rig_stop(&r);
    assert_int_equal(wallet_open_stores(&r.w, keys, coins, "w", &wallet_test_params, NULL), OK);
    r = (struct rig){ .keys = keys, .coins = coins, .w = r.w, .height = RIG_START };
    assert_int_equal(trusted(&r), 0);
    tell_chain(&r, txs);
    assert_int_equal(trusted(&r), had);
    rig_stop(&r);
    for (int i = 0; i < CHAIN; i++)
        tx_unref(txs[i]);
}

/* The process ends where a write failed; a new one goes on from what the wallet knows. */
static void tell_rest(struct rig *r, struct tx *const txs[CHAIN])
{
    struct block_hash hash;
    int32_t height;
    r->height = wallet_best(r->w, &hash, &height, NULL) ? height : RIG_START;
    for (size_t i = 2 * (size_t)(r->height - RIG_START); i < CHAIN; i += 2)
        next_block(r, txs + i, 2);
}

static bool cut_at(uint64_t n, bool keys, struct tx *const txs[CHAIN])
{
    struct rig r = rig_start(&from_phrase);
    enum err rc = OK;
    kv_mem_fail_writes(keys ? r.keys : r.coins, n);
    for (size_t i = 0; !rc && i < CHAIN; i += 2) {
        rc = tell_until_taken(&r, r.height + 1, txs + i, 2);
        r.height += !rc;
    }
    if (rc)
        assert_int_equal(rc, ERR_IO);
    rig_reopen(&r);
    tell_rest(&r, txs);
    assert_int_equal(trusted(&r), CHAIN * 100 + CHAIN * (CHAIN - 1) / 2);
    assert_int_equal(new_key(&r, KEYSTORE_RECEIVE).index,
                     (CHAIN - 2) * (TEST_GAP - 1) / 2 + 1);
    rig_stop(&r);
    return rc != OK;
}

static void nothing_is_lost_when_a_write_fails(void **state)
{
    (void)state;
    struct tx *txs[CHAIN];
    struct rig r = rig_start(&from_phrase);
    make_chain(&r, txs);
    rig_stop(&r);
    for (int keys = 0; keys < 2; keys++) {
        uint64_t n = 1;
        while (cut_at(n, keys, txs))
            n++;
        assert_in_range(n, CHAIN / 2, 4 * CHAIN);
    }
    for (int i = 0; i < CHAIN; i++)
        tx_unref(txs[i]);
}

static void a_failed_write_does_not_need_a_new_process(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, 3);
    struct tx *tx = pay_tx(1, 100, script_span(&to));
    kv_mem_fail_writes(r.keys, 1);
    assert_int_equal(tell_block(&r, 101, &tx, 1), ERR_IO);
    kv_mem_fail_writes(r.keys, 0);
    kv_mem_fail_writes(r.coins, 1);
    assert_int_equal(tell_block(&r, 101, &tx, 1), ERR_IO);
    kv_mem_fail_writes(r.coins, 0);
    assert_int_equal(trusted(&r), 0);
    next_block(&r, &tx, 1);
    assert_int_equal(trusted(&r), 100);
    tx_unref(tx);
    rig_stop(&r);
}

static void after_a_failed_write_of_another_a_block_is_told_once_more(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script strange = foreign_script(3);
    const struct pay_script to = script_at(&r, KEYSTORE_RECEIVE, 0);
    struct tx *other = pay_tx(1, 5, script_span(&strange)), *ours = pay_tx(2, 5, script_span(&to));
    const struct wallet_block b = { .hash = rig_hash(&r, 101), .height = 101 };
    for (int passed_over = 0; passed_over < 2; passed_over++) {
        assert_int_equal(wallet_block_begin(r.w, &b, NULL), OK);
        if (passed_over)
            assert_int_equal(wallet_block_tx(r.w, other, 0, NULL), OK);
        kv_mem_fail_writes(r.coins, 1);
        assert_int_equal(history_record(wallet_history(r.w), ours, NULL, 1, NULL), ERR_IO);
        kv_mem_fail_writes(r.coins, 0);
        assert_int_equal(wallet_block_end(r.w, NULL), ERR_BUSY);
    }
    assert_int_equal(tell_block(&r, 101, &other, 1), OK);
    tx_unref(other);
    tx_unref(ours);
    rig_stop(&r);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_pays_and_a_reorganisation_takes_it_back),
        cmocka_unit_test(a_locked_wallet_sees_coins),
        cmocka_unit_test(a_key_seen_moves_the_look_ahead_and_is_not_given_out),
        cmocka_unit_test(keys_are_looked_for_in_the_same_block),
        cmocka_unit_test(in_the_right_order_a_block_is_told_once),
        cmocka_unit_test(a_block_that_was_cancelled_left_nothing),
        cmocka_unit_test(a_key_given_out_while_a_block_is_told_is_a_fresh_one),
        cmocka_unit_test(keys_given_out_while_a_block_is_told_are_looked_for_in_all_of_it),
        cmocka_unit_test(the_mempool_moves_the_look_ahead),
        cmocka_unit_test(a_rescan_finds_what_an_import_owns),
        cmocka_unit_test(a_rescan_begun_while_a_block_is_told_tells_it_again),
        cmocka_unit_test(keys_given_out_at_once_all_differ),
        cmocka_unit_test(an_extended_key_is_watched_with_a_look_ahead),
        cmocka_unit_test(the_phrase_alone_recovers_the_coins),
        cmocka_unit_test(lost_coins_are_found_in_the_blocks),
        cmocka_unit_test(nothing_is_lost_when_a_write_fails),
        cmocka_unit_test(a_failed_write_does_not_need_a_new_process),
        cmocka_unit_test(after_a_failed_write_of_another_a_block_is_told_once_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
