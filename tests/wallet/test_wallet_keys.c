#include <config.h>

#include "wallet/wallet.h"

#include <string.h>

#include "base/buf.h"
#include "tests/wallet/wallet_util.h"
#include "wallet/hdpath.h"
#include "wallet/mnemonic.h"

static const uint8_t a_secret[32] = { [31] = 7 };

static void keys_are_those_of_the_path(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    uint8_t seed[MNEMONIC_SEED_SIZE], secret[32];
    struct hdkey k;
    struct hdpath path;
    assert_int_equal(mnemonic_seed(seed, TEST_PHRASE, "", NULL), OK);
    assert_int_equal(hdkey_master(&k, span_of(seed, sizeof seed), NULL), OK);
    assert_int_equal(hdpath_parse(&path, "m/44'/236'/0'/1/0", NULL), OK);
    assert_int_equal(hdkey_derive(&k, &k, &path, NULL), OK);
    const struct wallet_key got = new_key(&r, KEYSTORE_CHANGE);
    assert_int_equal(got.key_len, EC_PUBKEY_SIZE);
    assert_memory_equal(got.key, k.key, EC_PUBKEY_SIZE);
    assert_int_equal(wallet_get_secret(r.w, &got, secret, NULL), OK);
    assert_memory_equal(secret, k.secret, 32);
    rig_stop(&r);
}

static void keys_count_up_and_stay_so(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    for (uint32_t i = 0; i < 12; i++) {
        const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
        assert_int_equal(k.index, i);
        if (i % 4 == 3)
            rig_reopen(&r);
    }
    assert_int_equal(new_key(&r, KEYSTORE_CHANGE).index, 0);
    rig_stop(&r);
}

static void a_label_is_on_the_script(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct wallet_key k;
    struct buf label = { 0 };
    bool found;
    assert_int_equal(wallet_new_key(r.w, KEYSTORE_RECEIVE, text_span("rent"), &k, NULL), OK);
    const struct pay_script script = script_of_key(&k);
    assert_int_equal(keystore_get_label(wallet_keystore(r.w), script_span(&script), &label,
                                        &found, NULL),
                     OK);
    assert_true(found);
    assert_int_equal(label.len, 4);
    assert_memory_equal(label.data, "rent", 4);
    buf_clear(&label);
    rig_stop(&r);
}

static void scripts_are_known_beyond_the_last_key(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct wallet_key k;
    struct pay_script last = script_at(&r, KEYSTORE_RECEIVE, TEST_GAP - 1);
    struct pay_script beyond = script_at(&r, KEYSTORE_RECEIVE, TEST_GAP);
    assert_true(wallet_find_key(r.w, script_span(&last), &k));
    assert_true(k.derived && k.spendable);
    assert_int_equal(k.index, TEST_GAP - 1);
    assert_int_equal(k.branch, KEYSTORE_RECEIVE);
    assert_false(wallet_find_key(r.w, script_span(&beyond), &k));
    new_key(&r, KEYSTORE_RECEIVE);
    assert_true(wallet_find_key(r.w, script_span(&beyond), &k));
    rig_reopen(&r);
    assert_true(wallet_find_key(r.w, script_span(&beyond), &k));
    const struct pay_script strange = foreign_script(9);
    assert_false(wallet_find_key(r.w, script_span(&strange), &k));
    rig_stop(&r);
}

static void a_locked_wallet_gives_addresses_and_no_secrets(void **state)
{
    (void)state;
    const struct wallet_new how = { .phrase = TEST_PHRASE, .passphrase = text_span("horse") };
    struct rig r = rig_start(&how), open = rig_start(&from_phrase);
    uint8_t secret[32];
    char phrase[MNEMONIC_TEXT_MAX];
    assert_int_equal(keystore_state(wallet_keystore(r.w), NULL), KEYSTORE_LOCKED);
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct wallet_key same = new_key(&open, KEYSTORE_RECEIVE);
    assert_memory_equal(k.key, same.key, EC_PUBKEY_SIZE);
    assert_int_equal(wallet_get_secret(r.w, &k, secret, NULL), ERR_AUTH);
    assert_int_equal(wallet_phrase(r.w, phrase, sizeof phrase, NULL), ERR_AUTH);
    assert_int_equal(wallet_import_secret(r.w, a_secret, true, no_label,
                                          WALLET_NO_SCAN, NULL), ERR_AUTH);
    assert_int_equal(keystore_unlock(wallet_keystore(r.w), text_span("horse"), 2000000, NULL), OK);
    assert_int_equal(wallet_get_secret(r.w, &k, secret, NULL), OK);
    assert_int_equal(wallet_phrase(r.w, phrase, sizeof phrase, NULL), OK);
    assert_string_equal(phrase, TEST_PHRASE);
    rig_stop(&r);
    rig_stop(&open);
}

static void a_passphrase_of_the_phrase_makes_another_wallet(void **state)
{
    (void)state;
    const struct wallet_new how = { .phrase = TEST_PHRASE, .phrase_passphrase = "TREZOR" };
    struct rig r = rig_start(&how), plain = rig_start(&from_phrase);
    const struct wallet_key a = new_key(&r, KEYSTORE_RECEIVE);
    const struct wallet_key b = new_key(&plain, KEYSTORE_RECEIVE);
    assert_memory_not_equal(a.key, b.key, EC_PUBKEY_SIZE);
    rig_stop(&r);
    rig_stop(&plain);
}

static void a_new_wallet_has_a_phrase_and_a_birth(void **state)
{
    (void)state;
    const struct wallet_new how = { .phrase = NULL };
    struct rig r = rig_start(&how);
    char phrase[MNEMONIC_TEXT_MAX];
    assert_int_equal(wallet_phrase(r.w, phrase, 10, NULL), ERR_RANGE);
    assert_int_equal(wallet_phrase(r.w, phrase, sizeof phrase, NULL), OK);
    assert_int_equal(wallet_birth(r.w), wallet_test_now());
    const struct wallet_new again = { .phrase = phrase, .birth = 77 };
    struct rig copy = rig_start(&again);
    const struct wallet_key a = new_key(&r, KEYSTORE_RECEIVE);
    const struct wallet_key b = new_key(&copy, KEYSTORE_RECEIVE);
    assert_memory_equal(a.key, b.key, EC_PUBKEY_SIZE);
    assert_int_equal(wallet_birth(copy.w), 77);
    rig_stop(&r);
    rig_stop(&copy);
}

static void a_bad_phrase_makes_no_wallet(void **state)
{
    (void)state;
    const struct wallet_new how = { .phrase = "abandon abandon" };
    struct kv *kv = kv_open_mem();
    bool empty;
    assert_int_equal(wallet_make_keys(kv, &wallet_test_params, &how, NULL), ERR_PARSE);
    assert_int_equal(kv_is_empty(kv, &empty, NULL), OK);
    assert_true(empty);
    kv_close(kv);
}

/* --- imports --- */

static void an_imported_key_is_there_again(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    for (int form = 0; form < 2; form++) {
        struct wallet_key k = { .spendable = true }, found;
        uint8_t secret[32];
        assert_int_equal(wallet_import_secret(r.w, a_secret, form == 0, text_span("old"),
                                              WALLET_NO_SCAN, NULL),
                         OK);
        assert_int_equal(wallet_import_secret(r.w, a_secret, form == 0, no_label,
                                              WALLET_NO_SCAN, NULL),
                         ERR_EXISTS);
        rig_reopen(&r);
        k.key_len = ec_pubkey_create(k.key, a_secret, form == 0);
        const struct pay_script script = script_of_key(&k);
        assert_true(wallet_find_key(r.w, script_span(&script), &found));
        assert_true(found.spendable && !found.derived);
        assert_int_equal(found.key_len, k.key_len);
        assert_int_equal(wallet_get_secret(r.w, &found, secret, NULL), OK);
        assert_memory_equal(secret, a_secret, 32);
    }
    rig_stop(&r);
}

static void a_secret_that_is_none_is_refused(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const uint8_t zero[32] = { 0 };
    assert_int_equal(wallet_import_secret(r.w, zero, true, no_label,
                                          WALLET_NO_SCAN, NULL), ERR_RANGE);
    rig_stop(&r);
}

static void a_watched_script_has_no_key(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct pay_script script = foreign_script(1);
    struct wallet_key found;
    uint8_t secret[32];
    assert_int_equal(wallet_import_script(r.w, script_span(&script), no_label,
                                          WALLET_NO_SCAN, NULL), OK);
    assert_int_equal(wallet_import_script(r.w, script_span(&script), no_label,
                                          WALLET_NO_SCAN, NULL), ERR_EXISTS);
    assert_int_equal(wallet_import_script(r.w, no_label, no_label,
                                          WALLET_NO_SCAN, NULL), ERR_RANGE);
    rig_reopen(&r);
    assert_true(wallet_find_key(r.w, script_span(&script), &found));
    assert_int_equal(found.key_len, 0);
    assert_false(found.spendable);
    assert_int_equal(wallet_get_secret(r.w, &found, secret, NULL), ERR_NOTFOUND);
    rig_stop(&r);
}

static void a_watched_script_whose_key_comes_is_spendable(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct wallet_key k = { .key_len = 0 }, found;
    k.key_len = ec_pubkey_create(k.key, a_secret, true);
    const struct pay_script script = script_of_key(&k);
    assert_int_equal(wallet_import_script(r.w, script_span(&script), no_label,
                                          WALLET_NO_SCAN, NULL), OK);
    pay_in_block(&r, 1, 5000, &script);
    assert_int_equal(trusted(&r), 0);
    assert_int_equal(balance_of(&r).watched.trusted, 5000);
    assert_int_equal(wallet_import_secret(r.w, a_secret, true, no_label, WALLET_NO_SCAN, NULL), OK);
    assert_true(wallet_find_key(r.w, script_span(&script), &found));
    assert_true(found.spendable);
    assert_int_equal(trusted(&r), 5000);
    rig_reopen(&r);
    assert_int_equal(trusted(&r), 5000);
    rig_stop(&r);
}

static void own_keys_are_not_imported_twice(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
    const struct pay_script script = script_of_key(&k);
    uint8_t secret[32];
    assert_int_equal(wallet_get_secret(r.w, &k, secret, NULL), OK);
    assert_int_equal(wallet_import_secret(r.w, secret, true, no_label,
                                          WALLET_NO_SCAN, NULL), ERR_EXISTS);
    assert_int_equal(wallet_import_script(r.w, script_span(&script), no_label,
                                          WALLET_NO_SCAN, NULL), ERR_EXISTS);
    rig_stop(&r);
}

static void a_watched_public_key_gives_way_to_its_secret(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct wallet_key k = { .key_len = 0 }, found;
    uint8_t secret[32];
    k.key_len = ec_pubkey_create(k.key, a_secret, true);
    const struct span key = span_of(k.key, k.key_len);
    const struct pay_script script = script_of_key(&k);
    assert_int_equal(wallet_import_pubkey(r.w, span_of(k.key, 32), no_label,
                                          WALLET_NO_SCAN, NULL), ERR_RANGE);
    assert_int_equal(wallet_import_pubkey(r.w, no_label, no_label,
                                          WALLET_NO_SCAN, NULL), ERR_RANGE);
    assert_int_equal(wallet_import_pubkey(r.w, key, no_label, WALLET_NO_SCAN, NULL), OK);
    assert_int_equal(wallet_import_pubkey(r.w, key, no_label, WALLET_NO_SCAN, NULL), ERR_EXISTS);
    rig_reopen(&r);
    assert_true(wallet_find_key(r.w, script_span(&script), &found));
    assert_false(found.spendable);
    assert_int_equal(found.key_len, k.key_len);
    assert_int_equal(wallet_get_secret(r.w, &found, secret, NULL), ERR_NOTFOUND);
    assert_int_equal(wallet_import_secret(r.w, a_secret, true, no_label, WALLET_NO_SCAN, NULL), OK);
    rig_reopen(&r);
    assert_true(wallet_find_key(r.w, script_span(&script), &found));
    assert_true(found.spendable);
    rig_stop(&r);
}

/* --- what there is --- */

struct told {
    size_t derived, imported, watched, scripts;
    size_t end_after; /* so many */
};

static enum err count_told(void *ctx, const struct wallet_key *k, struct span script,
                           struct error *e)
{
    struct told *t = ctx;
    assert_true(script.len > 0);
    if (!k->key_len)
        t->scripts++;
    else if (k->derived)
        t->derived++;
    else if (k->spendable)
        t->imported++;
    else
        t->watched++;
    return --t->end_after ? OK : error_set(e, ERR_CANCELLED, "enough");
}

static void every_key_that_was_given_out_is_told_once(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    struct told t = { .end_after = 100 };
    uint8_t other[EC_PUBKEY_MAX], other_secret[32] = { 9 };
    const struct pay_script script = foreign_script(1);
    new_key(&r, KEYSTORE_RECEIVE);
    new_key(&r, KEYSTORE_RECEIVE);
    new_key(&r, KEYSTORE_CHANGE);
    const size_t len = ec_pubkey_create(other, other_secret, true);
    assert_int_equal(wallet_import_pubkey(r.w, span_of(other, len), no_label,
                                          WALLET_NO_SCAN, NULL), OK);
    assert_int_equal(wallet_import_secret(r.w, a_secret, true, no_label, WALLET_NO_SCAN, NULL), OK);
    assert_int_equal(wallet_import_script(r.w, script_span(&script), no_label,
                                          WALLET_NO_SCAN, NULL), OK);
    assert_int_equal(wallet_each(r.w, count_told, &t, NULL), OK);
    assert_int_equal(t.derived, 3);
    assert_int_equal(t.imported, 1);
    assert_int_equal(t.watched, 1);
    assert_int_equal(t.scripts, 1);
    assert_int_equal(wallet_import_secret(r.w, other_secret, true, no_label,
                                          WALLET_NO_SCAN, NULL), OK);
    for (int again = 0; again < 2; again++) {
        t = (struct told){ .end_after = 100 };
        assert_int_equal(wallet_each(r.w, count_told, &t, NULL), OK);
        assert_int_equal(t.imported, 2);
        assert_int_equal(t.watched, 0);
        rig_reopen(&r);
    }
    t = (struct told){ .end_after = 2 };
    assert_int_equal(wallet_each(r.w, count_told, &t, NULL), ERR_CANCELLED);
    assert_int_equal(t.derived + t.imported + t.watched, 2);
    rig_stop(&r);
}

static void the_look_ahead_grows_and_never_shrinks(void **state)
{
    (void)state;
    struct rig r = rig_start(&from_phrase);
    const size_t before = scripts_count(wallet_scripts(r.w));
    assert_int_equal(wallet_raise_gap_limit(r.w, 1, NULL), OK);
    assert_int_equal(scripts_count(wallet_scripts(r.w)), before);
    assert_int_equal(wallet_raise_gap_limit(r.w, 2 * TEST_GAP, NULL), OK);
    assert_int_equal(scripts_count(wallet_scripts(r.w)), 2 * before);
    assert_int_equal(wallet_params(r.w)->gap_limit, 2 * TEST_GAP);
    rig_reopen(&r);
    assert_int_equal(scripts_count(wallet_scripts(r.w)), before);
    rig_stop(&r);
}

/* --- failures --- */

static void a_half_made_store_is_no_wallet(void **state)
{
    (void)state;
    const struct wallet_new plain = { .phrase = TEST_PHRASE };
    const struct wallet_new sealed = { .phrase = TEST_PHRASE, .passphrase = text_span("horse") };
    const struct wallet_new *const hows[] = { &plain, &sealed };
    for (int i = 0; i < 2; i++) {
        enum err rc = ERR_IO;
        for (uint64_t n = 1; rc; n++) {
            struct kv *kv = kv_open_mem();
            struct wallet *w = NULL;
            kv_mem_fail_writes(kv, n);
            rc = wallet_make_keys(kv, &wallet_test_params, hows[i], NULL);
            struct kv *after = kv_copy(kv);
            kv_close(kv);
            const enum err opened =
                wallet_open_stores(&w, after, kv_open_mem(), "w", &wallet_test_params, NULL);
            assert_int_equal(opened == OK, rc == OK);
            wallet_unref(w);
            assert_true(n < 20);
        }
    }
}

static void no_key_is_given_out_twice_when_writes_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 8; n++) {
        struct rig r = rig_start(&from_phrase);
        uint32_t least = 0;
        kv_mem_fail_writes(r.keys, n);
        for (int i = 0; i < 6; i++) {
            struct wallet_key k;
            if (wallet_new_key(r.w, KEYSTORE_RECEIVE, text_span("x"), &k, NULL))
                continue;
            assert_true(k.index >= least);
            least = k.index + 1;
        }
        rig_reopen(&r);
        for (int i = 0; i < 3; i++) {
            const struct wallet_key k = new_key(&r, KEYSTORE_RECEIVE);
            assert_true(k.index >= least);
            least = k.index + 1;
        }
        rig_stop(&r);
    }
}

static void an_import_that_failed_can_be_made_again(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 4; n++) {
        struct rig r = rig_start(&from_phrase);
        struct wallet_key k = { .key_len = 0 }, found;
        kv_mem_fail_writes(r.keys, n);
        const enum err rc = wallet_import_secret(r.w, a_secret, true, text_span("old"),
                                                 WALLET_NO_SCAN, NULL);
        rig_reopen(&r);
        k.key_len = ec_pubkey_create(k.key, a_secret, true);
        const struct pay_script script = script_of_key(&k);
        assert_int_equal(wallet_find_key(r.w, script_span(&script), &found), rc == OK);
        assert_int_equal(wallet_import_secret(r.w, a_secret, true, text_span("old"),
                                              WALLET_NO_SCAN, NULL),
                         rc ? OK : ERR_EXISTS);
        rig_stop(&r);
    }
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_path),
        cmocka_unit_test(keys_count_up_and_stay_so),
        cmocka_unit_test(a_label_is_on_the_script),
        cmocka_unit_test(scripts_are_known_beyond_the_last_key),
        cmocka_unit_test(a_locked_wallet_gives_addresses_and_no_secrets),
        cmocka_unit_test(a_passphrase_of_the_phrase_makes_another_wallet),
        cmocka_unit_test(a_new_wallet_has_a_phrase_and_a_birth),
        cmocka_unit_test(a_bad_phrase_makes_no_wallet),
        cmocka_unit_test(an_imported_key_is_there_again),
        cmocka_unit_test(a_secret_that_is_none_is_refused),
        cmocka_unit_test(a_watched_script_has_no_key),
        cmocka_unit_test(a_watched_script_whose_key_comes_is_spendable),
        cmocka_unit_test(own_keys_are_not_imported_twice),
        cmocka_unit_test(a_watched_public_key_gives_way_to_its_secret),
        cmocka_unit_test(every_key_that_was_given_out_is_told_once),
        cmocka_unit_test(the_look_ahead_grows_and_never_shrinks),
        cmocka_unit_test(a_half_made_store_is_no_wallet),
        cmocka_unit_test(no_key_is_given_out_twice_when_writes_fail),
        cmocka_unit_test(an_import_that_failed_can_be_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
