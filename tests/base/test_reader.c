#include "base/reader.h"

#include "tests/test.h"

static struct reader reader_of(struct buf *b, const char *hex)
{
    struct reader r;
    *b = unhex(hex);
    reader_init(&r, b->data, b->len);
    return r;
}

static void fields_are_read_in_order(void **state)
{
    (void)state;
    struct buf b;
    struct reader r = reader_of(&b, "01" "0302" "0405" "09080706" "11100f0e0d0c0b0a"
                                    "06070809" "0a0b0c0d0e0f1011" "aabb");
    assert_int_equal(read_u8(&r), 1);
    assert_int_equal(read_le16(&r), 0x0203);
    assert_int_equal(read_be16(&r), 0x0405);
    assert_int_equal(read_le32(&r), 0x06070809);
    assert_true(read_le64(&r) == UINT64_C(0x0a0b0c0d0e0f1011));
    assert_int_equal(read_be32(&r), 0x06070809);
    assert_true(read_be64(&r) == UINT64_C(0x0a0b0c0d0e0f1011));
    uint8_t two[2];
    assert_false(reader_done(&r));
    read_copy(&r, two, 2);
    assert_memory_equal(two, "\xaa\xbb", 2);
    assert_true(reader_done(&r));
    buf_clear(&b);
}

static void failure_sticks_and_gives_zeros(void **state)
{
    (void)state;
    struct buf b;
    struct reader r = reader_of(&b, "ffffff");
    assert_int_equal(read_le32(&r), 0);
    assert_true(r.failed);
    uint8_t one[1] = { 9 };
    assert_int_equal(read_u8(&r), 0); /* three bytes were there, but a failure is for good */
    read_copy(&r, one, 1);
    assert_int_equal(one[0], 0);
    assert_null(read_bytes(&r, 0));
    assert_true(read_compact(&r) == 0 && read_varint(&r) == 0);
    assert_int_equal(read_var_bytes(&r).len, 0);
    assert_false(reader_done(&r));
    buf_clear(&b);
}

static void nothing_can_be_read_from_nothing(void **state)
{
    (void)state;
    struct reader r;
    reader_init(&r, NULL, 0);
    assert_true(reader_done(&r));
    assert_non_null(read_bytes(&r, 0));
    read_copy(&r, NULL, 0);
    assert_true(reader_done(&r));
    read_u8(&r);
    assert_true(r.failed);
}

static void compact_sizes_must_be_canonical(void **state)
{
    (void)state;
    static const struct { const char *hex; uint64_t v; bool ok, too_large; } cases[] = {
        { "00", 0, true, false }, { "fc", 252, true, false },
        { "fdfd00", 253, true, false }, { "fdffff", 0xffff, true, false },
        { "fe00000100", 0x10000, true, false }, { "feffffffff", 0xffffffff, true, false },
        { "fdfc00", 0, false, false }, { "fd0000", 0, false, false },
        { "feffff0000", 0, false, false }, { "ffffffffff00000000", 0, false, false },
        { "ff0000000001000000", 0, false, true }, { "ffffffffffffffffff", 0, false, true },
        { "fd", 0, false, false }, { "fdff", 0, false, false }, { "feffffff", 0, false, false },
        { "ffffffffffffffff", 0, false, false }, { "", 0, false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        struct reader r = reader_of(&b, cases[i].hex);
        assert_true(read_compact(&r) == cases[i].v);
        assert_int_equal(reader_done(&r), cases[i].ok);
        assert_int_equal(r.too_large, cases[i].too_large);
        buf_clear(&b);
    }
}

static void counts_are_bounded_by_what_is_left(void **state)
{
    (void)state;
    struct buf b;
    struct reader r = reader_of(&b, "03" "000000000000");
    assert_int_equal(read_count(&r, 2), 3);
    buf_clear(&b);
    r = reader_of(&b, "03" "0000000000");
    assert_int_equal(read_count(&r, 2), 0);
    assert_true(r.failed);
    buf_clear(&b);
    r = reader_of(&b, "feffffffff");
    assert_int_equal(read_count(&r, 41), 0);
    assert_true(r.failed);
    buf_clear(&b);
}

static void byte_strings_are_borrowed(void **state)
{
    (void)state;
    struct buf b;
    struct reader r = reader_of(&b, "03aabbcc00");
    struct span s = read_var_bytes(&r);
    assert_ptr_equal(s.data, b.data + 1);
    assert_int_equal(s.len, 3);
    s = read_var_bytes(&r);
    assert_int_equal(s.len, 0);
    assert_true(reader_done(&r));
    buf_clear(&b);
    r = reader_of(&b, "04aabbcc");
    read_var_bytes(&r);
    assert_true(r.failed);
    buf_clear(&b);
}

static void varints_read_back_what_was_written(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++)
        for (int d = -1; d <= 1; d++) {
            uint64_t v = (UINT64_C(1) << shift) + (uint64_t)d;
            struct buf b;
            struct reader r;
            buf_init(&b);
            buf_put_varint(&b, v);
            reader_init(&r, b.data, b.len);
            assert_true(read_varint(&r) == v);
            assert_true(reader_done(&r));
            buf_clear(&b);
        }
}

static void varints_above_64_bits_fail(void **state)
{
    (void)state;
    static const char *const bad[] = { "80fefefefefefefefeff00", "ffffffffffffffffff7f",
                                       "8080808080808080808080", "80", "" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf b;
        struct reader r = reader_of(&b, bad[i]);
        assert_true(read_varint(&r) == 0);
        assert_true(r.failed);
        buf_clear(&b);
    }
    struct buf b;
    struct reader r = reader_of(&b, "80fefefefefefefefe7f");
    assert_true(read_varint(&r) == UINT64_MAX);
    buf_clear(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_in_order),
        cmocka_unit_test(failure_sticks_and_gives_zeros),
        cmocka_unit_test(nothing_can_be_read_from_nothing),
        cmocka_unit_test(compact_sizes_must_be_canonical),
        cmocka_unit_test(counts_are_bounded_by_what_is_left),
        cmocka_unit_test(byte_strings_are_borrowed),
        cmocka_unit_test(varints_read_back_what_was_written),
        cmocka_unit_test(varints_above_64_bits_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
