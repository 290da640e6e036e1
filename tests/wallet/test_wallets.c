#include <config.h>

#include "wallet/wallets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ec.h"
#include "base/file.h"
#include "tests/wallet/wallet_util.h"

static void count(void *ctx)
{
    ++*(int *)ctx;
}

struct home {
    char *dir, *wallets_dir;
    int woken;
    struct wallets *ws;
};

static void home_start(struct home *h)
{
    *h = (struct home){ .dir = test_dir_make() };
    h->wallets_dir = path_join(h->dir, "wallets");
    h->ws = wallets_new(h->wallets_dir, &wallet_test_params, count, &h->woken);
}

static void home_stop(struct home *h)
{
    wallets_free(h->ws);
    free(h->wallets_dir);
    test_dir_remove(h->dir);
}

static void create(struct home *h, const char *name)
{
    struct wallet *w;
    assert_int_equal(wallets_create(h->ws, name, &from_phrase, &w, NULL), OK);
    assert_string_equal(wallet_name(w), name);
    wallet_unref(w);
}

static void add_name(void *ctx, const char *name)
{
    struct buf *names = (struct buf *)ctx;
    buf_put_str(names, name);
    buf_put_u8(names, ' ');
}

static void assert_on_disk(struct home *h, const char *one, size_t total_len)
{
    struct buf names = { 0 };
    assert_int_equal(wallets_each_on_disk(h->ws, add_name, &names, NULL), OK);
    assert_int_equal(names.len, total_len);
    buf_put_u8(&names, 0);
    assert_non_null(strstr((const char *)names.data, one));
    buf_clear(&names);
}

static void several_are_loaded_in_the_order_of_their_names(void **state)
{
    (void)state;
    struct home h;
    struct wallet **all;
    home_start(&h);
    assert_on_disk(&h, "", 0);
    create(&h, "b");
    create(&h, "c.2");
    create(&h, "a-1");
    assert_int_equal(h.woken, 3);
    assert_int_equal(wallets_all(h.ws, &all), 3);
    const char *want[] = { "a-1", "b", "c.2" };
    for (int i = 0; i < 3; i++) {
        assert_string_equal(wallet_name(all[i]), want[i]);
        wallet_unref(all[i]);
    }
    free(all);
    struct wallet *b = wallets_get(h.ws, "b");
    assert_non_null(b);
    wallet_unref(b);
    assert_null(wallets_get(h.ws, "d"));
    assert_on_disk(&h, "c.2", strlen("a-1 b c.2 "));
    wallets_wake(h.ws);
    assert_int_equal(h.woken, 4);
    home_stop(&h);
}

static void a_wallet_comes_back_as_it_was(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w, *other;
    struct wallet_key a, b;
    home_start(&h);
    create(&h, "one");
    w = wallets_get(h.ws, "one");
    assert_int_equal(wallet_new_key(w, KEYSTORE_RECEIVE, no_label, &a, NULL), OK);
    assert_int_equal(wallets_load(h.ws, "one", &other, NULL), ERR_EXISTS);
    assert_int_equal(wallets_create(h.ws, "one", &from_phrase, &other, NULL), ERR_EXISTS);
    assert_int_equal(wallets_unload(h.ws, "one", NULL), OK);
    assert_int_equal(wallets_unload(h.ws, "one", NULL), ERR_NOTFOUND);
    assert_int_equal(wallets_load(h.ws, "one", &other, NULL), ERR_BUSY); /* w holds it open */
    wallet_unref(w);
    assert_int_equal(wallets_create(h.ws, "one", &from_phrase, &other, NULL), ERR_EXISTS);
    assert_int_equal(wallets_load(h.ws, "one", &w, NULL), OK);
    assert_int_equal(wallet_new_key(w, KEYSTORE_RECEIVE, no_label, &b, NULL), OK);
    assert_int_equal(b.index, a.index + 1);
    wallet_unref(w);
    assert_int_equal(wallets_load(h.ws, "two", &w, NULL), ERR_NOTFOUND);
    home_stop(&h);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w;
    char longest[WALLET_NAME_MAX + 2];
    home_start(&h);
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    const char *const bad[] = { "", "../x", ".", "..", ".x", "a/b", "a b", "a\n", "\xc3\xa4",
                                longest };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(wallets_create(h.ws, bad[i], &from_phrase, &w, NULL), ERR_RANGE);
        assert_int_equal(wallets_load(h.ws, bad[i], &w, NULL), ERR_RANGE);
        assert_int_equal(wallets_unload(h.ws, bad[i], NULL), ERR_NOTFOUND);
    }
    longest[WALLET_NAME_MAX] = 0;
    create(&h, longest);
    char *outside = path_join(h.dir, "x");
    assert_false(path_exists(outside));
    free(outside);
    home_stop(&h);
}

/* --- what a crash can leave --- */

static char *path_in(const struct home *h, const char *rest)
{
    return path_join(h->wallets_dir, rest);
}

static void write_in(const struct home *h, const char *dir, const char *file)
{
    char *path = path_in(h, dir);
    assert_int_equal(path_make_dirs(path, NULL), OK);
    char *name = path_join(path, file);
    assert_int_equal(file_replace(name, "x", 1, NULL), OK);
    free(name);
    free(path);
}

static void a_half_made_wallet_is_none_and_gives_way(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w;
    home_start(&h);
    write_in(&h, "half/keys.new", "CURRENT");
    assert_on_disk(&h, "", 0);
    assert_int_equal(wallets_load(h.ws, "half", &w, NULL), ERR_NOTFOUND);
    create(&h, "half");
    assert_on_disk(&h, "half", strlen("half "));
    char *left = path_in(&h, "half/keys.new");
    assert_false(path_exists(left));
    free(left);
    home_stop(&h);
}

static void coins_without_keys_are_kept(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w;
    home_start(&h);
    write_in(&h, "odd/coins", "CURRENT");
    assert_int_equal(wallets_create(h.ws, "odd", &from_phrase, &w, NULL), ERR_EXISTS);
    char *kept = path_in(&h, "odd/coins/CURRENT");
    assert_true(path_exists(kept));
    free(kept);
    home_stop(&h);
}

static void a_wallet_without_coins_makes_them_anew(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w;
    struct block_hash hash;
    int32_t height;
    home_start(&h);
    create(&h, "one");
    assert_int_equal(wallets_unload(h.ws, "one", NULL), OK);
    char *coins = path_in(&h, "one/coins"), *away = path_join(h.dir, "away");
    assert_int_equal(rename(coins, away), 0);
    assert_int_equal(wallets_load(h.ws, "one", &w, NULL), OK);
    assert_false(wallet_best(w, &hash, &height, NULL));
    assert_true(path_exists(coins));
    wallet_unref(w);
    free(coins);
    free(away);
    home_stop(&h);
}

static void a_phrase_that_is_none_leaves_no_directory(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w;
    const struct wallet_new how = { .phrase = "zebra" };
    home_start(&h);
    assert_int_equal(wallets_create(h.ws, "one", &how, &w, NULL), ERR_PARSE);
    char *dir = path_in(&h, "one");
    assert_false(path_exists(dir));
    free(dir);
    home_stop(&h);
}

static void a_wallet_of_another_network_is_refused(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w;
    struct wallet_params other = wallet_test_params;
    other.magic[0] ^= 1;
    home_start(&h);
    create(&h, "one");
    assert_int_equal(wallets_unload(h.ws, "one", NULL), OK);
    struct wallets *ws = wallets_new(h.wallets_dir, &other, NULL, NULL);
    assert_int_equal(wallets_load(ws, "one", &w, NULL), ERR_RANGE);
    wallets_free(ws);
    home_stop(&h);
}

static void a_backup_is_restored_under_another_name(void **state)
{
    (void)state;
    struct home h;
    struct wallet *w, *copy;
    struct wallet_key a, b;
    struct error e;
    home_start(&h);
    create(&h, "one");
    w = wallets_get(h.ws, "one");
    char *file = path_join(h.dir, "backup.dat");
    const struct wallet_new how = { .backup = file };
    assert_int_equal(wallets_create(h.ws, "two", &how, &copy, &e), ERR_NOTFOUND);
    assert_on_disk(&h, "one", strlen("one "));
    assert_int_equal(wallet_new_key(w, KEYSTORE_RECEIVE, text_span("rent"), &a, NULL), OK);
    assert_int_equal(wallet_backup(w, file, NULL, NULL), OK);
    assert_int_equal(wallets_create(h.ws, "two", &how, &copy, &e), OK);
    const struct pay_script script = script_of_key(&a);
    assert_true(wallet_find_key(copy, script_span(&script), &b));
    assert_memory_equal(a.key, b.key, EC_PUBKEY_SIZE);
    assert_int_equal(wallet_new_key(copy, KEYSTORE_RECEIVE, no_label, &b, NULL), OK);
    assert_int_equal(b.index, a.index + 1);
    wallet_unref(copy);
    wallet_unref(w);
    free(file);
    home_stop(&h);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_are_loaded_in_the_order_of_their_names),
        cmocka_unit_test(a_wallet_comes_back_as_it_was),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(a_half_made_wallet_is_none_and_gives_way),
        cmocka_unit_test(coins_without_keys_are_kept),
        cmocka_unit_test(a_wallet_without_coins_makes_them_anew),
        cmocka_unit_test(a_phrase_that_is_none_leaves_no_directory),
        cmocka_unit_test(a_wallet_of_another_network_is_refused),
        cmocka_unit_test(a_backup_is_restored_under_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
