/* Totals over coins, and their hash against one put together by hand. */
#include <config.h>

#include "chain/coins_stats.h"

#include <string.h>

#include "base/amount.h"
#include "base/hash.h"
#include "tests/test.h"

static const struct block_hash best = { { 0xbe, 0x57 } };

static struct coins *open_coins(void)
{
    struct coins *c;
    struct coins_state st;
    struct error e;
    assert_int_equal(coins_open(&c, kv_open_mem(), 1 << 20, &st, &e), OK);
    return c;
}

static void add(struct coins *c, uint8_t txid, uint32_t index, int32_t height, bool coinbase,
                int64_t value, const char *script)
{
    struct error e;
    const struct outpoint o = { .txid = { { txid } }, .index = index };
    const struct coin coin = { .value = value, .height = height, .coinbase = coinbase,
                               .script = span_of(script, strlen(script)) };
    assert_int_equal(coins_add(c, &o, &coin, COINS_ADD_OVERWRITE, &e), OK);
}

static struct coins_totals totals(struct coins *c)
{
    struct coins_totals t;
    struct error e;
    assert_int_equal(coins_flush(c, &best, &e), OK);
    struct coins_iter *it = coins_iter_new(c);
    assert_int_equal(coins_totals_compute(&t, it, &best, NULL, &e), OK);
    coins_iter_free(it);
    return t;
}

static void empty_set_has_the_hash_of_its_block(void **state)
{
    (void)state;
    struct coins *c = open_coins();
    const struct coins_totals t = totals(c);
    struct hash256 want;
    sha256d(want.b, best.b, 32);
    assert_int_equal(t.outputs, 0);
    assert_int_equal(t.transactions, 0);
    assert_memory_equal(t.hash_serialized.b, want.b, 32);
    coins_close(c);
}

static void sums_count_outputs_and_the_transactions_that_have_some(void **state)
{
    (void)state;
    struct coins *c = open_coins();
    add(c, 1, 0, 10, true, 50 * COIN, "abc");
    add(c, 1, 3, 10, true, 7, "");
    add(c, 2, 1, 300, false, 1000, "0123456789");
    const struct coins_totals t = totals(c);
    assert_int_equal(t.outputs, 3);
    assert_int_equal(t.transactions, 2);
    assert_int_equal(t.bogosize, 3 * 50 + 3 + 10);
    assert_int_equal(t.amount, 50 * COIN + 1007);
    coins_close(c);
}

/* The text of spec rpc 2, byte by byte. VARINT(128) is 80 00, VARINT(16512) is 80 80 00. */
static void hash_is_over_every_output_by_transaction_and_rising_index(void **state)
{
    (void)state;
    struct coins *c = open_coins();
    add(c, 2, 127, 300, false, 1, "xy");
    add(c, 1, 3, 5, true, 128, "");
    add(c, 1, 0, 5, true, 0, "abc");
    const struct coins_totals t = totals(c);

    struct buf b;
    struct hash256 want;
    uint8_t txid[32] = { 1 };
    buf_init(&b);
    buf_put(&b, best.b, 32);
    buf_put(&b, txid, 32);
    buf_put(&b, "\x0b", 1);                     /* 2 * 5 + 1 */
    buf_put(&b, "\x01" "\x03" "abc" "\x00", 6); /* index + 1, script, value */
    buf_put(&b, "\x04" "\x00" "\x80\x00", 4);
    buf_put(&b, "\x00", 1);
    txid[0] = 2;
    buf_put(&b, txid, 32);
    buf_put(&b, "\x83\x58", 2);                 /* 600 */
    buf_put(&b, "\x80\x00" "\x02" "xy" "\x01", 6);
    buf_put(&b, "\x00", 1);
    sha256d(want.b, b.data, b.len);
    assert_memory_equal(t.hash_serialized.b, want.b, 32);
    buf_clear(&b);
    coins_close(c);
}

/* Keys of indexes from 16512 on stand between those of smaller ones. */
static void outputs_whose_keys_are_out_of_order_are_hashed_in_order(void **state)
{
    (void)state;
    static const uint32_t indexes[] = { 0, 127, 128, 300, 16511, 16512, 16513, 100000, 3000000 };
    const size_t n = sizeof(indexes) / sizeof(*indexes);
    struct coins *c = open_coins();
    struct buf b;
    struct hash256 want;
    const uint8_t txid[32] = { 9 };
    buf_init(&b);
    buf_put(&b, best.b, 32);
    buf_put(&b, txid, 32);
    buf_put_varint(&b, 2 * 1);
    for (size_t i = 0; i < n; i++) {
        add(c, 9, indexes[n - 1 - i], indexes[n - 1 - i] ? 77 : 1, false, 5, "s");
        buf_put_varint(&b, (uint64_t)indexes[i] + 1);
        buf_put_var_bytes(&b, "s", 1);
        buf_put_varint(&b, 5);
    }
    buf_put_varint(&b, 0);
    sha256d(want.b, b.data, b.len);
    const struct coins_totals t = totals(c);
    assert_int_equal(t.outputs, n);
    assert_int_equal(t.transactions, 1);
    assert_memory_equal(t.hash_serialized.b, want.b, 32);
    buf_clear(&b);
    coins_close(c);
}

static void hash_does_not_depend_on_how_coins_came(void **state)
{
    (void)state;
    struct coins *a = open_coins(), *b = open_coins();
    struct error e;
    for (uint8_t i = 1; i < 60; i++)
        add(a, i, i % 5, i, i % 2, i * 100, "script");
    totals(a);
    for (uint8_t i = 59; i > 0; i--) {
        add(b, i, i % 5, i, i % 2, i * 100, "script");
        add(b, i, 77, 1, false, 1, "spent again");
        if (i % 20 == 0)
            totals(b); /* a flush between */
    }
    for (uint8_t i = 1; i < 60; i++) {
        const struct outpoint o = { .txid = { { i } }, .index = 77 };
        struct coin coin;
        bool found;
        assert_int_equal(coins_spend(b, &o, &coin, &found, &e), OK);
        assert_true(found);
    }
    const struct coins_totals ta = totals(a), tb = totals(b);
    assert_memory_equal(&ta, &tb, sizeof(ta));
    coins_close(a);
    coins_close(b);
}

static void counting_stops_when_cancelled(void **state)
{
    (void)state;
    struct coins *c = open_coins();
    struct coins_totals t;
    struct cancel cancel;
    struct error e;
    cancel_init(&cancel);
    cancel_set(&cancel);
    add(c, 1, 0, 1, false, 1, "");
    totals(c);
    struct coins_iter *it = coins_iter_new(c);
    assert_int_equal(coins_totals_compute(&t, it, &best, &cancel, &e), ERR_CANCELLED);
    coins_iter_free(it);
    coins_close(c);
}

static void damaged_coin_is_an_error_and_no_total(void **state)
{
    (void)state;
    struct kv *kv = kv_open_mem();
    struct coins *c;
    struct coins_state st;
    struct coins_totals t;
    struct error e;
    assert_int_equal(coins_open(&c, kv, 1 << 20, &st, &e), OK);
    struct kv_batch *batch = kv_batch_new(kv);
    kv_batch_put(batch, "c-too-short", 11, "x", 1);
    assert_int_equal(kv_write(kv, batch, KV_SYNC, &e), OK);
    kv_batch_free(batch);
    struct coins_iter *it = coins_iter_new(c);
    assert_int_equal(coins_totals_compute(&t, it, &best, NULL, &e), ERR_CORRUPT);
    coins_iter_free(it);
    coins_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_set_has_the_hash_of_its_block),
        cmocka_unit_test(sums_count_outputs_and_the_transactions_that_have_some),
        cmocka_unit_test(hash_is_over_every_output_by_transaction_and_rising_index),
        cmocka_unit_test(outputs_whose_keys_are_out_of_order_are_hashed_in_order),
        cmocka_unit_test(hash_does_not_depend_on_how_coins_came),
        cmocka_unit_test(counting_stops_when_cancelled),
        cmocka_unit_test(damaged_coin_is_an_error_and_no_total),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
