#include "base/buf.h"

#include <stdlib.h>

#include "tests/test.h"

static void assert_hex(struct buf *b, const char *hex)
{
    struct buf want = unhex(hex);
    assert_int_equal(b->len, want.len);
    assert_memory_equal(b->data, want.data, want.len);
    buf_clear(&want);
    buf_reset(b);
}

static void integers_are_written_in_their_order(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, 1);
    buf_put_le16(&b, 0x0203);
    buf_put_be16(&b, 0x0405);
    buf_put_le32(&b, 0x06070809);
    buf_put_le64(&b, UINT64_C(0x0a0b0c0d0e0f1011));
    assert_hex(&b, "01" "0302" "0405" "09080706" "11100f0e0d0c0b0a");
    buf_put_be32(&b, 0x06070809);
    buf_put_be64(&b, UINT64_C(0x0a0b0c0d0e0f1011));
    assert_hex(&b, "06070809" "0a0b0c0d0e0f1011");
    buf_clear(&b);
}

static void compact_sizes_take_the_shortest_form(void **state)
{
    (void)state;
    static const struct { uint64_t v; const char *hex; } cases[] = {
        { 0, "00" }, { 252, "fc" }, { 253, "fdfd00" }, { 0xffff, "fdffff" },
        { 0x10000, "fe00000100" }, { 0xffffffff, "feffffffff" },
        { UINT64_C(0x100000000), "ff0000000001000000" }, { UINT64_MAX, "ffffffffffffffffff" },
    };
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_put_compact(&b, cases[i].v);
        assert_int_equal(b.len, compact_size_len(cases[i].v));
        assert_hex(&b, cases[i].hex);
    }
    buf_put_var_bytes(&b, "abc", 3);
    assert_hex(&b, "03616263");
    buf_clear(&b);
}

static void varints_have_one_form_each(void **state)
{
    (void)state;
    static const struct { uint64_t v; const char *hex; } cases[] = {
        { 0, "00" }, { 1, "01" }, { 127, "7f" }, { 128, "8000" }, { 255, "807f" },
        { 256, "8100" }, { 16383, "fe7f" }, { 16384, "ff00" }, { 16511, "ff7f" },
        { 65535, "82fe7f" }, { UINT64_C(1) << 32, "8efefeff00" },
        { UINT64_MAX, "80fefefefefefefefe7f" },
    };
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_put_varint(&b, cases[i].v);
        assert_hex(&b, cases[i].hex);
    }
    buf_clear(&b);
}

static void text_is_appended_without_a_nul(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put_str(&b, "ab");
    buf_printf(&b, "%d%s", 12, "cd");
    buf_printf(&b, "%s", "");
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "ab12cd", 6);
    buf_clear(&b);
}

static void memory_moves_out_with_take(void **state)
{
    (void)state;
    struct buf b;
    size_t len;
    buf_init(&b);
    buf_put(&b, "xyz", 3);
    uint8_t *p = buf_take(&b, &len);
    assert_int_equal(len, 3);
    assert_memory_equal(p, "xyz", 3);
    assert_null(b.data);
    assert_int_equal(b.len + b.cap, 0);
    free(p);
}

static void reserving_too_much_fails_and_keeps_the_content(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put(&b, "xyz", 3);
    assert_false(buf_try_reserve(&b, SIZE_MAX));
    assert_false(buf_try_reserve(&b, SIZE_MAX / 2 + 1));
    assert_memory_equal(buf_span(&b).data, "xyz", 3);
    assert_true(buf_try_reserve(&b, 1000));
    assert_true(b.cap >= 1003);
    buf_put(&b, NULL, 0);
    assert_int_equal(b.len, 3);
    buf_clear(&b);
}

static void growth_is_linear_overall(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    unsigned moves = 0;
    size_t cap = 0;
    for (unsigned i = 0; i < 100000; i++) {
        buf_put_u8(&b, (uint8_t)i);
        moves += b.cap != cap;
        cap = b.cap;
    }
    assert_true(moves < 30);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (uint8_t)i);
    buf_clear(&b);
}

static void a_secret_buffer_overwrites_what_it_gives_up(void **state)
{
    (void)state;
    static const uint8_t nothing[6];
    struct buf b;
    buf_init_secret(&b);
    buf_put_str(&b, "the secret");
    buf_truncate(&b, 4);
    assert_memory_equal(b.data, "the ", 4);
    assert_memory_equal(b.data + 4, nothing, 6);
    buf_put_str(&b, "other");
    buf_reset(&b);
    assert_memory_equal(b.data, nothing, sizeof nothing);
    for (unsigned i = 0; i < 10000; i++) /* growing keeps the content */
        buf_put_le16(&b, (uint16_t)i);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(le16_get(b.data + 2 * i), (uint16_t)i);
    buf_clear(&b);
    assert_true(b.secret);
    b.secret = false;
    buf_put_str(&b, "no secret");
    buf_truncate(&b, 3);
    assert_memory_equal(b.data, "no secret", 9);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_written_in_their_order),
        cmocka_unit_test(compact_sizes_take_the_shortest_form),
        cmocka_unit_test(varints_have_one_form_each),
        cmocka_unit_test(text_is_appended_without_a_nul),
        cmocka_unit_test(memory_moves_out_with_take),
        cmocka_unit_test(reserving_too_much_fails_and_keeps_the_content),
        cmocka_unit_test(growth_is_linear_overall),
        cmocka_unit_test(a_secret_buffer_overwrites_what_it_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
