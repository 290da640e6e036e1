#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

typedef void (*hash_fn)(uint8_t *out, const void *data, size_t len);

static void check_hex(const uint8_t *got, size_t len, const char *want)
{
    char text[129];
    hex_encode(text, got, len);
    assert_string_equal(text, want);
}

/* Value of a "Name = value" line, or NULL. The line is cut at its end. */
static char *line_value(char *line, const char *name)
{
    size_t n = strlen(name);
    line[strcspn(line, "\r\n")] = '\0';
    return strncmp(line, name, n) == 0 && strncmp(line + n, " = ", 3) == 0 ? line + n + 3 : NULL;
}

static void run_rsp(const char *name, hash_fn hash, size_t size)
{
    struct buf file, msg = { 0 };
    buf_init(&file);
    vector_read(name, &file);
    buf_put_u8(&file, 0);
    size_t bits = 0, cases = 0;
    for (char *line = (char *)file.data, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            next++;
        char *v;
        if ((v = line_value(line, "Len"))) {
            bits = strtoul(v, NULL, 10);
        } else if ((v = line_value(line, "Msg"))) {
            buf_clear(&msg);
            msg = unhex(v);
        } else if ((v = line_value(line, "MD"))) {
            uint8_t out[64];
            assert_true(bits / 8 <= msg.len);
            hash(out, msg.data, bits / 8);
            check_hex(out, size, v);
            cases++;
        }
    }
    buf_clear(&msg);
    buf_clear(&file);
    vector_report(name, cases);
}

static void run_rsp_files(const char *prefix, hash_fn hash, size_t size)
{
    char **names;
    size_t n = vector_list("crypto/nist", ".rsp", &names), used = 0;
    if (n == 0)
        skip();
    for (size_t i = 0; i < n; i++) {
        if (!strstr(names[i], prefix))
            continue;
        run_rsp(names[i], hash, size);
        used++;
    }
    vector_list_free(names, n);
    assert_true(used > 0);
}

static void sha1_matches_nist(void **state)
{
    (void)state;
    run_rsp_files("SHA1", (hash_fn)sha1, 20);
}

static void sha256_matches_nist(void **state)
{
    (void)state;
    run_rsp_files("SHA256", (hash_fn)sha256, 32);
}

static void sha512_matches_nist(void **state)
{
    (void)state;
    run_rsp_files("SHA512", (hash_fn)sha512, 64);
}

static struct buf message_of(struct json_object *in, const char *key, const char *encoding_key)
{
    const char *text = json_str(in, key), *encoding = json_str(in, encoding_key);
    assert_non_null(text);
    if (encoding && strcmp(encoding, "hex") == 0)
        return unhex(text);
    struct buf b;
    buf_init(&b);
    buf_reserve(&b, 1); /* an empty message still has an address */
    buf_put_str(&b, text);
    return b;
}

static void sdk_case(struct json_object *row, hash_fn hash, hash_fn twice, size_t size,
                     const char *expected_key)
{
    struct json_object *in = json_get(row, "input");
    const char *want = json_str(json_get(row, "expected"), expected_key);
    assert_non_null(want);
    struct buf msg = message_of(in, json_str(in, "pubkey") ? "pubkey" : "message", "encoding");
    uint8_t out[64];
    bool is_double = json_object_get_boolean(json_get(in, "double"));
    assert_true(!is_double || twice);
    (is_double ? twice : hash)(out, msg.data, msg.len);
    check_hex(out, size, want);
    buf_clear(&msg);
}

static void run_sdk(const char *name, hash_fn hash, hash_fn twice, size_t size, const char *key)
{
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++)
        sdk_case(json_object_array_get_idx(rows, i), hash, twice, size, key);
    json_object_put(file);
    vector_report(name, n);
}

static void sha256_matches_the_sdk(void **state)
{
    (void)state;
    run_sdk("crypto/sdk/sha256.json", (hash_fn)sha256, (hash_fn)sha256d, 32, "hash");
}

static void ripemd160_matches_the_sdk(void **state)
{
    (void)state;
    run_sdk("crypto/sdk/ripemd160.json", (hash_fn)ripemd160, NULL, 20, "hash");
}

static void ripemd160_matches_its_paper(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spec/rfc.json"), *rows = json_get(file, "ripemd160");
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *message = json_str(row, "message");
        uint8_t out[20];
        ripemd160(out, message, strlen(message));
        check_hex(out, sizeof out, json_str(row, "digest"));
    }
    json_object_put(file);
    vector_report("spec/rfc.json RIPEMD-160", n);
}

static void hash160_matches_the_sdk(void **state)
{
    (void)state;
    run_sdk("crypto/sdk/hash160.json", (hash_fn)hash160, NULL, 20, "hash160");
}

static void hmac_matches_the_sdk(void **state)
{
    (void)state;
    const char *name = "crypto/sdk/hmac.json";
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i), *in = json_get(row, "input");
        const char *algorithm = json_str(in, "algorithm");
        struct buf key = message_of(in, "key", "key_encoding");
        struct buf msg = message_of(in, "message", "message_encoding");
        uint8_t out[64];
        bool wide = strcmp(algorithm, "hmac-sha512") == 0;
        assert_true(wide || strcmp(algorithm, "hmac-sha256") == 0);
        (wide ? hmac_sha512 : hmac_sha256)(out, key.data, key.len, msg.data, msg.len);
        check_hex(out, wide ? 64 : 32, json_str(json_get(row, "expected"), "hmac"));
        buf_clear(&key);
        buf_clear(&msg);
    }
    json_object_put(file);
    vector_report(name, n);
}

typedef void (*hmac_fn)(uint8_t *out, const void *key, size_t key_len, const void *data,
                        size_t len);

/* The tag may be cut to its first bytes; a case is invalid because its tag was changed. */
static void hmac_case(struct json_object *test, hmac_fn hmac)
{
    struct buf key = unhex(json_str(test, "key")), msg = unhex(json_str(test, "msg"));
    struct buf tag = unhex(json_str(test, "tag"));
    uint8_t out[64];
    hmac(out, key.data, key.len, msg.data, msg.len);
    bool valid = strcmp(json_str(test, "result"), "valid") == 0;
    assert_int_equal(ct_equal(out, tag.data, tag.len), valid);
    buf_clear(&key);
    buf_clear(&msg);
    buf_clear(&tag);
}

static void run_wycheproof_hmac(const char *name, hmac_fn hmac)
{
    struct json_object *file = vector_json(name), *groups = json_get(file, "testGroups");
    size_t cases = 0;
    for (size_t g = 0; g < json_object_array_length(groups); g++) {
        struct json_object *tests = json_get(json_object_array_get_idx(groups, g), "tests");
        for (size_t i = 0; i < json_object_array_length(tests); i++, cases++)
            hmac_case(json_object_array_get_idx(tests, i), hmac);
    }
    json_object_put(file);
    vector_report(name, cases);
}

static void hmac_sha256_matches_wycheproof(void **state)
{
    (void)state;
    run_wycheproof_hmac("crypto/wycheproof/hmac_sha256_test.json", (hmac_fn)hmac_sha256);
}

static void hmac_sha512_matches_wycheproof(void **state)
{
    (void)state;
    run_wycheproof_hmac("crypto/wycheproof/hmac_sha512_test.json", (hmac_fn)hmac_sha512);
}

static void pbkdf2_case(struct json_object *test)
{
    struct buf password = unhex(json_str(test, "password")), salt = unhex(json_str(test, "salt"));
    struct buf want = unhex(json_str(test, "dk")), got;
    buf_init(&got);
    const uint32_t rounds = (uint32_t)json_int(test, "iterationCount", 0);
    assert_string_equal(json_str(test, "result"), "valid");
    assert_true(pbkdf2_hmac_sha512(buf_extend(&got, want.len), want.len, buf_span(&password),
                                   buf_span(&salt), rounds));
    assert_memory_equal(got.data, want.data, want.len);
    buf_clear(&password);
    buf_clear(&salt);
    buf_clear(&want);
    buf_clear(&got);
}

static void pbkdf2_matches_wycheproof(void **state)
{
    (void)state;
    const char *name = "crypto/wycheproof/pbkdf2_hmacsha512_test.json";
    struct json_object *file = vector_json(name), *groups = json_get(file, "testGroups");
    size_t cases = 0;
    for (size_t g = 0; g < json_object_array_length(groups); g++) {
        struct json_object *tests = json_get(json_object_array_get_idx(groups, g), "tests");
        for (size_t i = 0; i < json_object_array_length(tests); i++, cases++)
            pbkdf2_case(json_object_array_get_idx(tests, i));
    }
    json_object_put(file);
    vector_report(name, cases);
}

static void pbkdf2_takes_at_least_one_round(void **state)
{
    (void)state;
    uint8_t out[64];
    const struct span none = span_of(NULL, 0);
    assert_true(pbkdf2_hmac_sha512(out, sizeof out, none, none, 1));
    assert_false(pbkdf2_hmac_sha512(out, sizeof out, none, none, 0));
    assert_false(pbkdf2_hmac_sha512(out, sizeof out, none, none, UINT32_MAX));
}

static void double_hash_by_hand_laid_blocks_equals_two_hashes(void **state)
{
    (void)state;
    uint8_t data[200], once[32], want[32], got[32];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + 1);
    for (size_t len = 0; len <= sizeof data; len++) {
        sha256(once, data, len);
        sha256(want, once, 32);
        sha256d(got, data, len);
        assert_memory_equal(got, want, 32);
    }
    sha256d(want, data, 64);
    sha256d_pair(got, data, data + 32);
    assert_memory_equal(got, want, 32);
    sha256d_pair(data, data, data + 32); /* onto its own input */
    assert_memory_equal(data, want, 32);
}

static void streaming_does_not_depend_on_the_pieces(void **state)
{
    (void)state;
    uint8_t data[300], want[32], got[32];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 13);
    sha256d(want, data, sizeof data);
    for (size_t piece = 1; piece <= 130; piece++) {
        struct sha256 ctx;
        sha256_init(&ctx);
        for (size_t at = 0; at < sizeof data; at += piece)
            sha256_update(&ctx, data + at, piece < sizeof data - at ? piece : sizeof data - at);
        sha256d_final(&ctx, got);
        assert_memory_equal(got, want, 32);
    }
}

/* The tag's digest twice is the first block of what is hashed. */
static void tagged_digests_begin_with_their_tag(void **state)
{
    uint8_t out[32], again[32], text[32 + 32 + 3];
    (void)state;
    sha256(text, "some/tag", 8);
    memcpy(text + 32, text, 32);
    memcpy(text + 64, "abc", 3);
    sha256(again, text, sizeof text);
    sha256_tagged(out, "some/tag", "abc", 3);
    assert_memory_equal(out, again, 32);
    sha256_tagged(out, "some/tah", "abc", 3);
    assert_memory_not_equal(out, again, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_matches_nist),
        cmocka_unit_test(sha256_matches_nist),
        cmocka_unit_test(sha512_matches_nist),
        cmocka_unit_test(sha256_matches_the_sdk),
        cmocka_unit_test(ripemd160_matches_the_sdk),
        cmocka_unit_test(ripemd160_matches_its_paper),
        cmocka_unit_test(hash160_matches_the_sdk),
        cmocka_unit_test(hmac_matches_the_sdk),
        cmocka_unit_test(hmac_sha256_matches_wycheproof),
        cmocka_unit_test(hmac_sha512_matches_wycheproof),
        cmocka_unit_test(pbkdf2_matches_wycheproof),
        cmocka_unit_test(pbkdf2_takes_at_least_one_round),
        cmocka_unit_test(double_hash_by_hand_laid_blocks_equals_two_hashes),
        cmocka_unit_test(tagged_digests_begin_with_their_tag),
        cmocka_unit_test(streaming_does_not_depend_on_the_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
