/* Kept keys: what is missing or damaged is derived again, and the wallet knows the same scripts. */
#include <config.h>

#include "tests/wallet/wallet_util.h"
#include "wallet/key_cache.h"

enum { KEYS = 3 * KEY_CACHE_RUN };

/* A wallet that has given out so many keys that some are kept. */
static struct rig start_with_keys(void)
{
    struct rig r = rig_start(&from_phrase);
    assert_int_equal(keystore_raise_index(wallet_keystore(r.w), 0, KEYSTORE_RECEIVE, KEYS, NULL),
                     OK);
    rig_reopen(&r);
    return r;
}

static bool is_kept(struct rig *r, uint32_t number, uint8_t keys[KEY_CACHE_BYTES])
{
    bool found;
    assert_int_equal(key_cache_load(r->coins, &r->w->branches[0].key, number, keys, &found, NULL),
                     OK);
    return found;
}

static void assert_knows_its_keys(struct rig *r)
{
    struct wallet_key k;
    assert_int_equal(r->w->branches[0].n_made, KEYS + TEST_GAP);
    for (uint32_t i = 0; i < KEYS + TEST_GAP; i += i < KEYS ? 37 : 1) {
        const struct pay_script script = script_at(r, KEYSTORE_RECEIVE, i);
        assert_true(wallet_find_key(r->w, script_span(&script), &k));
        assert_int_equal(k.index, i);
    }
}

static void keys_are_kept_and_found_again(void **state)
{
    (void)state;
    uint8_t keys[KEY_CACHE_BYTES];
    struct rig r = start_with_keys();
    for (uint32_t number = 0; number < 4; number++)
        assert_int_equal(is_kept(&r, number, keys), number < KEYS / KEY_CACHE_RUN);
    rig_reopen(&r);
    assert_knows_its_keys(&r);
    rig_stop(&r);
}

/* As nothing else tells that a row was taken: keys of another branch in it. */
static void a_row_is_taken_and_not_derived(void **state)
{
    (void)state;
    uint8_t keys[KEY_CACHE_BYTES];
    struct rig r = start_with_keys();
    struct wallet_key k;
    assert_true(is_kept(&r, 1, keys));
    assert_int_equal(key_cache_store(r.coins, &r.w->branches[0].key, 2, keys, NULL), OK);
    rig_reopen(&r);
    const struct pay_script script = script_at(&r, KEYSTORE_RECEIVE, KEY_CACHE_RUN);
    assert_true(wallet_find_key(r.w, script_span(&script), &k));
    assert_int_equal(k.index, 2 * KEY_CACHE_RUN); /* the later one */
    rig_stop(&r);
}

static void damaged_and_missing_rows_are_derived_again(void **state)
{
    (void)state;
    uint8_t keys[KEY_CACHE_BYTES];
    for (size_t cut = 0; cut < 3; cut++) {
        struct rig r = start_with_keys();
        struct kv_iter *it = kv_iter_new(r.coins);
        struct kv_batch *b = kv_batch_new(r.coins);
        for (kv_iter_seek(it, "k", 1); kv_iter_valid(it) && kv_iter_key(it).data[0] == 'k';
             kv_iter_next(it)) {
            struct buf value = { 0 };
            buf_put(&value, kv_iter_value(it).data, kv_iter_value(it).len);
            value.data[100 * cut] ^= 1; /* in a key */
            kv_batch_put(b, kv_iter_key(it).data, kv_iter_key(it).len, value.data,
                         value.len - (cut == 2));
            buf_clear(&value);
        }
        kv_iter_free(it);
        assert_int_equal(kv_write(r.coins, b, KV_SYNC, NULL), OK);
        kv_batch_free(b);
        assert_false(is_kept(&r, 0, keys));
        rig_reopen(&r);
        assert_knows_its_keys(&r);
        assert_true(is_kept(&r, 0, keys));
        rig_stop(&r);
    }
}

static void a_row_is_of_one_branch_and_place(void **state)
{
    (void)state;
    uint8_t keys[KEY_CACHE_BYTES];
    struct rig r = start_with_keys();
    struct hdkey other = r.w->branches[0].key;
    bool found;
    other.chain_code[31] ^= 1;
    assert_int_equal(key_cache_load(r.coins, &other, 0, keys, &found, NULL), OK);
    assert_false(found);
    rig_stop(&r);
}

int main(void)
{
    ec_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_kept_and_found_again),
        cmocka_unit_test(a_row_is_taken_and_not_derived),
        cmocka_unit_test(damaged_and_missing_rows_are_derived_again),
        cmocka_unit_test(a_row_is_of_one_branch_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
