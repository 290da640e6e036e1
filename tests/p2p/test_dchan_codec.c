/* Integers, strings, TLV streams (the cases of BOLT 1 among them) and feature bits. */
#include "p2p/dchan_codec.h"

#include <string.h>

#include "base/intmath.h"
#include "tests/p2p/dchan_fixture.h"
#include "tests/test.h"

static void bigsizes_have_one_form(void **state)
{
    static const struct {
        uint64_t v;
        const char *hex;
    } cases[] = {
        { 0, "00" },
        { 252, "fc" },
        { 253, "fd00fd" },
        { 65535, "fdffff" },
        { 65536, "fe00010000" },
        { UINT32_MAX, "feffffffff" },
        { UINT64_C(4294967296), "ff0000000100000000" },
        { UINT64_MAX, "ffffffffffffffffff" },
    };
    static const char *const bad[] = { "fd00fc", "fe0000ffff", "ff00000000ffffffff", "fd00",
                                       "feffff", "ffffffffff", "", "fd", "fe", "ff" };
    struct reader r;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf in = unhex(cases[i].hex), out;
        buf_init(&out);
        reader_init(&r, in.data, in.len);
        assert_true(read_bigsize(&r) == cases[i].v);
        assert_true(reader_done(&r));
        buf_put_bigsize(&out, cases[i].v);
        assert_hex(out.data, out.len, cases[i].hex);
        buf_clear(&in);
        buf_clear(&out);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf in = unhex(bad[i]);
        reader_init(&r, in.data, in.len);
        assert_true(read_bigsize(&r) == 0);
        assert_true(r.failed);
        buf_clear(&in);
    }
}

static void strings_keep_their_limit(void **state)
{
    struct reader r;
    struct buf b;
    (void)state;
    buf_init(&b);
    buf_put_v8(&b, span_of("abc", 3));
    buf_put_v16(&b, span_of("de", 2));
    assert_hex(b.data, b.len, "03616263" "00026465");
    reader_init(&r, b.data, b.len);
    assert_memory_equal(read_v8(&r, 3).data, "abc", 3);
    assert_int_equal(read_v16(&r, 2).len, 2);
    assert_true(reader_done(&r));
    reader_init(&r, b.data, b.len);
    assert_int_equal(read_v8(&r, 2).len, 0);
    assert_true(r.failed);
    reader_init(&r, b.data + 4, b.len - 5);
    assert_int_equal(read_v16(&r, 100).len, 0);
    assert_true(r.failed);
    buf_clear(&b);
}

/* Goes through a stream of which it knows types 1 to 4. */
static bool stream_is_good(const char *hex, size_t *n_known)
{
    struct buf b = unhex(hex);
    struct tlv_reader stream;
    struct tlv t;
    *n_known = 0;
    tlv_reader_init(&stream, buf_span(&b));
    while (tlv_next(&stream, &t)) {
        if (t.type >= 1 && t.type <= 4)
            ++*n_known;
        else
            tlv_skip(&stream, &t);
    }
    buf_clear(&b);
    return !stream.r.failed;
}

static void streams_follow_bolt_1(void **state)
{
    static const struct {
        const char *hex;
        size_t known;
    } good[] = {
        { "", 0 },           { "2100", 0 },         { "fd020100", 0 }, { "fd00fd00", 0 },
        { "fd00ff00", 0 },   { "fe0200000100", 0 }, { "0100", 1 },     { "01010102021111", 2 },
        { "0100" "ff020000000000000100", 1 },
    };
    static const char *const bad[] = {
        "fd", "fd01", "fd000100", "fd0101", "0ffd", "0ffd26", "0ffd2602", "0ffd000100",
        "0ffd0201" "00", "1200", "fd010200", "fe0100000200", "ff010000000000000200",
        "0208000000000000022601012a", /* falls */
        "0208000000000000023102080000000000000451", /* twice */
        "1f000f012a", "1f001f012a", "0100ffffffffffffffffff00" "0300",
    };
    size_t n;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(stream_is_good(good[i].hex, &n));
        assert_int_equal(n, good[i].known);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(stream_is_good(bad[i], &n));
}

static void fields_of_fixed_size_have_it(void **state)
{
    const struct tlv four = { 1, span_of("\x01\x02\x03\x04", 4) };
    uint32_t v32 = 9;
    uint64_t v64 = 9;
    uint8_t three[3];
    struct buf b;
    (void)state;
    assert_true(tlv_u32(&four, &v32));
    assert_int_equal(v32, 0x01020304);
    assert_false(tlv_u64(&four, &v64));
    assert_false(tlv_copy(&four, three, sizeof three));
    buf_init(&b);
    buf_put_tlv_u32(&b, 7, 0x01020304);
    buf_put_tlv_u64(&b, 253, 5);
    buf_put_tlv(&b, 65536, span_of("x", 1));
    assert_hex(b.data, b.len, "070401020304" "fd00fd080000000000000005" "fe000100000178");
    buf_clear(&b);
}

static void features_are_bits_from_the_end(void **state)
{
    static const struct {
        const char *hex;
        uint32_t offered, required;
        bool unknown;
    } cases[] = {
        { "", 0, 0, false },
        { "0a", 3, 0, false },
        { "05", 3, 3, false },
        { "0b", 3, 1, false },
        { "000a", 3, 0, false },
        { "010000", 1u << DCHAN_DH_REKEY, 1u << DCHAN_DH_REKEY, false },
        { "020000", 1u << DCHAN_DH_REKEY, 0, false },
        { "040000", 0, 0, true },
        { "080000", 0, 0, false },
        { "4000000000000000000000000000000000000000000000000000000000000000", 0, 0, true },
        { "8000000000000000000000000000000000000000000000000000000000000001", 1, 1, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf b = unhex(cases[i].hex);
        const struct dchan_features f = dchan_features_read(buf_span(&b));
        assert_int_equal(f.offered, cases[i].offered);
        assert_int_equal(f.required, cases[i].required);
        assert_int_equal(f.unknown_required, cases[i].unknown);
        buf_clear(&b);
    }
}

static void features_are_written_short(void **state)
{
    struct dchan_features f = { .offered = 3 };
    uint8_t out[DCHAN_FEATURES_MAX];
    (void)state;
    assert_hex(out, dchan_features_write(out, &f), "0a");
    f.required = 1;
    assert_hex(out, dchan_features_write(out, &f), "09");
    f.offered |= 1u << DCHAN_DH_REKEY;
    assert_hex(out, dchan_features_write(out, &f), "020009");
    assert_true(dchan_offers(&f, DCHAN_DH_REKEY) && dchan_offers(&f, DCHAN_FEATURE_NONE));
    assert_false(dchan_offers(&f, DCHAN_DHT));
    assert_int_equal(dchan_features_write(out, &(struct dchan_features){ 0 }), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bigsizes_have_one_form),
        cmocka_unit_test(strings_keep_their_limit),
        cmocka_unit_test(streams_follow_bolt_1),
        cmocka_unit_test(fields_of_fixed_size_have_it),
        cmocka_unit_test(features_are_bits_from_the_end),
        cmocka_unit_test(features_are_written_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
