#include "base/kdf.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

#define MIB (UINT64_C(1) << 20)

static struct span text(const char *s)
{
    return span_of(s, strlen(s));
}

static void check_hex(const uint8_t *got, const char *want)
{
    struct buf b = unhex(want);
    assert_memory_equal(got, b.data, b.len);
    buf_clear(&b);
}

/* RFC 7914, 12 (the fourth example needs 1 GiB). */
static void scrypt_matches_the_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *passphrase, *salt;
        struct scrypt_params params;
        const char *want;
    } rows[] = {
        { "", "", { 16, 1, 1 },
          "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
          "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906" },
        { "password", "NaCl", { 1024, 8, 16 },
          "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
          "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640" },
        { "pleaseletmein", "SodiumChloride", { 16384, 8, 1 },
          "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
          "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t out[64];
        assert_int_equal(scrypt_derive(out, sizeof out, &rows[i].params, 16 * MIB,
                                       text(rows[i].passphrase), text(rows[i].salt), NULL), OK);
        check_hex(out, rows[i].want);
    }
}

static void scrypt_parameters_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct scrypt_params bad[] = {
        { 0, 8, 1 },
        { 1, 8, 1 },
        { 1000, 8, 1 },
        { 1024, 0, 1 },
        { 1024, 8, 0 },
        { 65536, 1, 1 },                /* N must stay below 2^16 for r = 1 */
        { 2, 1 << 15, 1 << 15 },        /* r * p */
        { 16384, 8, 2 },                /* twice the limit */
        { 32768, 8, 1 },
        { 2, 8, 1 << 20 },              /* little memory for the table, long work */
        { UINT64_C(1) << 63, 8, 1 },    /* products that overflow */
        { UINT64_C(1) << 63, UINT32_MAX, UINT32_MAX },
    };
    uint8_t out[32];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error e = { .code = OK };
        assert_int_equal(scrypt_check(&bad[i], 16 * MIB, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, "scrypt"));
        assert_int_equal(scrypt_derive(out, sizeof out, &bad[i], 16 * MIB, text("a"), text("b"),
                                       NULL), ERR_RANGE);
    }
    const struct scrypt_params largest = { 16384, 8, 1 };
    assert_int_equal(scrypt_check(&largest, 16 * MIB, NULL), OK);
    assert_int_equal(scrypt_check(&largest, 16 * MIB - 1, NULL), ERR_RANGE);
}

static void memory_that_is_not_to_be_had_is_an_error(void **state)
{
    (void)state;
    const struct scrypt_params huge = { UINT64_C(1) << 62, 8, 1 }; /* more than addresses */
    uint8_t out[32];
    assert_int_equal(scrypt_derive(out, sizeof out, &huge, UINT64_MAX, text("a"), text("b"), NULL),
                     ERR_NOMEM);
}

/* The invalid ones ask for more than the function can give. */
static void hkdf_case(struct json_object *t)
{
    struct buf ikm = unhex(json_str(t, "ikm")), salt = unhex(json_str(t, "salt"));
    struct buf info = unhex(json_str(t, "info"));
    const size_t len = (size_t)json_int(t, "size", 0);
    uint8_t *out = malloc(len);
    assert_non_null(out);
    const bool valid = strcmp(json_str(t, "result"), "valid") == 0;
    assert_int_equal(hkdf_sha256(out, len, buf_span(&salt), buf_span(&ikm), buf_span(&info)),
                     valid);
    if (valid)
        check_hex(out, json_str(t, "okm"));
    free(out);
    buf_clear(&ikm);
    buf_clear(&salt);
    buf_clear(&info);
}

static void hkdf_matches_wycheproof(void **state)
{
    (void)state;
    const char *name = "crypto/wycheproof/hkdf_sha256_test.json";
    struct json_object *file = vector_json(name), *groups = json_get(file, "testGroups");
    size_t cases = 0;
    for (size_t g = 0; g < json_object_array_length(groups); g++) {
        struct json_object *tests = json_get(json_object_array_get_idx(groups, g), "tests");
        for (size_t i = 0; i < json_object_array_length(tests); i++, cases++)
            hkdf_case(json_object_array_get_idx(tests, i));
    }
    json_object_put(file);
    vector_report(name, cases);
}

static void rfc5869_case(struct json_object *row)
{
    struct buf ikm = unhex(json_str(row, "ikm")), salt = unhex(json_str(row, "salt"));
    struct buf info = unhex(json_str(row, "info")), want = unhex(json_str(row, "okm"));
    uint8_t prk[32];
    uint8_t *out = malloc(want.len + 1);
    assert_non_null(out);
    assert_int_equal(json_int(row, "length", -1), want.len);
    hmac_sha256(prk, salt.data, salt.len, ikm.data, ikm.len);
    check_hex(prk, json_str(row, "prk"));
    assert_true(hkdf_sha256(out, want.len, buf_span(&salt), buf_span(&ikm), buf_span(&info)));
    assert_memory_equal(out, want.data, want.len);
    free(out);
    buf_clear(&ikm);
    buf_clear(&salt);
    buf_clear(&info);
    buf_clear(&want);
}

static void hkdf_matches_its_rfc(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spec/rfc.json");
    struct json_object *rows = json_get(file, "rfc5869_hkdf_sha256");
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++)
        rfc5869_case(json_object_array_get_idx(rows, i));
    json_object_put(file);
    vector_report("spec/rfc.json HKDF", n);
}

/* RFC 5869, A.3: neither salt nor info. */
static void hkdf_takes_empty_salt_and_info(void **state)
{
    (void)state;
    uint8_t ikm[22], out[42];
    memset(ikm, 0x0b, sizeof ikm);
    assert_true(hkdf_sha256(out, sizeof out, text(""), span_of(ikm, sizeof ikm), text("")));
    check_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                   "9d201395faa4b61a96c8");
    assert_true(hkdf_sha256(out, 0, text(""), text("x"), text("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scrypt_matches_the_rfc),
        cmocka_unit_test(scrypt_parameters_out_of_range_are_refused),
        cmocka_unit_test(memory_that_is_not_to_be_had_is_an_error),
        cmocka_unit_test(hkdf_matches_wycheproof),
        cmocka_unit_test(hkdf_matches_its_rfc),
        cmocka_unit_test(hkdf_takes_empty_salt_and_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
