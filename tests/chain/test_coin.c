#include <config.h>

#include "chain/coin.h"

#include "base/amount.h"
#include "tests/test.h"

static const struct coin samples[] = {
    { .value = 0, .height = 0 },
    { .value = 5000000000,
      .height = 1,
      .coinbase = true,
      .script = { (const uint8_t *)"\x51", 1 } },
    { .value = MAX_MONEY,
      .height = INT32_MAX,
      .confiscated = true,
      .script = { (const uint8_t *)"abcdef", 6 } },
    { .value = 127, .height = 31, .coinbase = true, .confiscated = true },
    { .value = 1, .height = INT32_MAX, .coinbase = true, .confiscated = true, .marker = true },
    { .value = 1, .height = 0, .marker = true },
    { .value = 128, .height = 32 },
    { .value = 16511, .height = 4127 },
};

static void assert_coin_equal(const struct coin *a, const struct coin *b)
{
    assert_int_equal(a->value, b->value);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->coinbase, b->coinbase);
    assert_int_equal(a->confiscated, b->confiscated);
    assert_int_equal(a->marker, b->marker);
    assert_int_equal(a->script.len, b->script.len);
    assert_true(mem_equal_var(a->script.data, b->script.data, a->script.len));
}

static void a_coin_reads_back_as_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct buf b;
        buf_init(&b);
        coin_write(&b, &samples[i]);
        assert_int_equal(b.len, coin_size(&samples[i]));
        struct coin c;
        assert_int_equal(coin_read(b.data, b.len, &c, NULL), OK);
        assert_coin_equal(&c, &samples[i]);
        buf_clear(&b);
    }
}

static void the_value_bytes_are_those_of_the_header(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    coin_write(&b, &(struct coin){ .value = 1,
                                   .height = 2,
                                   .coinbase = true,
                                   .script = { (const uint8_t *)"\x6a", 1 } });
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "\x09\x01\x6a", 3);
    buf_clear(&b);
}

static void a_coin_cut_short_is_corrupt(void **state)
{
    (void)state;
    struct coin c;
    struct error e;
    assert_int_equal(coin_read("", 0, &c, &e), ERR_CORRUPT);
    assert_int_equal(coin_read("\x81", 1, &c, &e), ERR_CORRUPT);
    assert_int_equal(coin_read("\x01", 1, &c, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "cut short"));
}

static void impossible_heights_and_values_are_corrupt(void **state)
{
    (void)state;
    struct buf b;
    struct coin c;
    buf_init(&b);
    for (uint64_t marker = 0; marker < 2; marker++) {
        buf_reset(&b);
        buf_put_varint(&b, (UINT64_C(1) << 34) + marker * (UINT64_C(1) << 33));
        buf_put_varint(&b, 1);
        assert_int_equal(coin_read(b.data, b.len, &c, NULL), ERR_CORRUPT);
    }
    buf_reset(&b);
    buf_put_varint(&b, 4);
    buf_put_varint(&b, MAX_MONEY + 1);
    assert_int_equal(coin_read(b.data, b.len, &c, NULL), ERR_CORRUPT);
    buf_clear(&b);
}

static void keys_read_back_and_begin_with_the_transaction(void **state)
{
    (void)state;
    uint8_t key[COIN_KEY_MAX];
    struct outpoint o = { .txid = { { 7 } } }, back;
    for (uint64_t i = 0; i <= UINT32_MAX; i = i * 3 + 1) {
        o.index = (uint32_t)i;
        size_t len = coin_key(key, &o);
        assert_int_equal(key[0], 'c');
        assert_memory_equal(key + 1, o.txid.b, 32);
        assert_true(coin_key_read(key, len, &back));
        assert_true(outpoint_equal(&o, &back));
    }
}

static void the_key_of_the_largest_index_reads_back(void **state)
{
    (void)state;
    uint8_t key[COIN_KEY_MAX];
    struct outpoint o = { .index = UINT32_MAX }, back;
    size_t len = coin_key(key, &o);
    assert_int_equal(len, 33 + 5);
    assert_true(coin_key_read(key, len, &back));
    assert_int_equal(back.index, UINT32_MAX);
}

static void other_keys_are_refused(void **state)
{
    (void)state;
    uint8_t key[COIN_KEY_MAX + 1] = { 0 };
    struct outpoint o = { .index = 5 }, back;
    size_t len = coin_key(key, &o);
    assert_false(coin_key_read(key, len - 1, &back));
    assert_false(coin_key_read(key, len + 1, &back));
    key[0] = 'B';
    assert_false(coin_key_read(key, len, &back));
    key[0] = 'c';
    memcpy(key + 33, "\xff\xff\xff\xff\x7f", 5); /* an index above 2^32 - 1 */
    assert_false(coin_key_read(key, 38, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_coin_reads_back_as_written),
        cmocka_unit_test(the_value_bytes_are_those_of_the_header),
        cmocka_unit_test(a_coin_cut_short_is_corrupt),
        cmocka_unit_test(impossible_heights_and_values_are_corrupt),
        cmocka_unit_test(keys_read_back_and_begin_with_the_transaction),
        cmocka_unit_test(the_key_of_the_largest_index_reads_back),
        cmocka_unit_test(other_keys_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
