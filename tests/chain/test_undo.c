#include <config.h>

#include "chain/undo.h"

#include "tests/test.h"

static struct coin sample(unsigned i, uint8_t script[300])
{
    memset(script, (int)(i & 0xff), 300);
    return (struct coin){
        .value = (int64_t)i * 1000003,
        .height = (int32_t)(i * 7),
        .coinbase = i % 5 == 0,
        .script = { script, i % 300 },
    };
}

static struct buf record_of(unsigned n)
{
    uint8_t script[300];
    struct undo_writer w;
    struct buf content;
    undo_writer_init(&w);
    for (unsigned i = 0; i < n; i++) {
        struct coin c = sample(i, script);
        assert_int_equal(undo_writer_add(&w, &c, NULL), OK);
    }
    undo_writer_finish(&w, &content);
    assert_int_equal(w.count, 0);
    undo_writer_clear(&w);
    return content;
}

static void coins_read_back_by_index(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct buf content = record_of(N);
    struct undo_reader r;
    assert_int_equal(undo_reader_init(&r, &content, NULL), OK);
    assert_null(content.data);
    assert_int_equal(r.count, N);
    for (unsigned i = N; i-- > 0;) {
        uint8_t script[300];
        struct coin want = sample(i, script), got;
        assert_int_equal(undo_reader_get(&r, i, &got, NULL), OK);
        assert_int_equal(got.value, want.value);
        assert_int_equal(got.height, want.height);
        assert_int_equal(got.coinbase, want.coinbase);
        assert_int_equal(got.script.len, want.script.len);
        assert_true(mem_equal_var(got.script.data, want.script.data, want.script.len));
    }
    struct coin c;
    assert_int_equal(undo_reader_get(&r, N, &c, NULL), ERR_RANGE);
    undo_reader_clear(&r);
}

static void a_block_without_inputs_has_an_empty_record(void **state)
{
    (void)state;
    struct buf content = record_of(0);
    assert_int_equal(content.len, 1);
    struct undo_reader r;
    assert_int_equal(undo_reader_init(&r, &content, NULL), OK);
    assert_int_equal(r.count, 0);
    undo_reader_clear(&r);
}

static void every_cut_is_corrupt(void **state)
{
    (void)state;
    struct buf whole = record_of(5);
    for (size_t len = 0; len < whole.len; len++) {
        struct buf content;
        struct undo_reader r;
        buf_init(&content);
        buf_put(&content, whole.data, len);
        assert_int_equal(undo_reader_init(&r, &content, NULL), ERR_CORRUPT);
    }
    buf_clear(&whole);
}

static void bytes_after_the_last_coin_are_corrupt(void **state)
{
    (void)state;
    struct buf content = record_of(3);
    struct undo_reader r;
    struct error e;
    buf_put_u8(&content, 0);
    assert_int_equal(undo_reader_init(&r, &content, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "after the last coin"));
}

static void a_huge_count_takes_no_memory(void **state)
{
    (void)state;
    struct buf content;
    struct undo_reader r;
    buf_init(&content);
    buf_put_varint(&content, UINT64_C(1) << 60);
    assert_int_equal(undo_reader_init(&r, &content, NULL), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coins_read_back_by_index),
        cmocka_unit_test(a_block_without_inputs_has_an_empty_record),
        cmocka_unit_test(every_cut_is_corrupt),
        cmocka_unit_test(bytes_after_the_last_coin_are_corrupt),
        cmocka_unit_test(a_huge_count_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
