#include "base/aead.h"

#include <stdlib.h>
#include <string.h>

#include "tests/base/json_text.h"
#include "tests/test.h"

static const uint8_t some_key[AEAD_KEY_SIZE] = { 1, 2, 3 };
static const uint8_t some_iv[12] = { 4, 5, 6 };

struct aead_case {
    enum aead_kind kind;
    struct buf key, iv, aad, plain, sealed;
};

static void clear_case(struct aead_case *c)
{
    buf_clear(&c->key);
    buf_clear(&c->iv);
    buf_clear(&c->aad);
    buf_clear(&c->plain);
    buf_clear(&c->sealed);
}

/* Ciphertext and tag lie under two names. */
static struct aead_case read_case(enum aead_kind kind, struct json_object *t, const char *plain,
                                  const char *ciphertext)
{
    struct aead_case c = { kind, unhex(json_str(t, "key")), unhex(json_str(t, "iv")),
                           unhex(json_str(t, "aad")), unhex(json_str(t, plain)),
                           unhex(json_str(t, ciphertext)) };
    struct buf tag = unhex(json_str(t, "tag"));
    buf_put(&c.sealed, tag.data, tag.len);
    buf_clear(&tag);
    return c;
}

static bool open_case(const struct aead_case *c, uint8_t *out)
{
    return aead_open(c->kind, c->key.data, buf_span(&c->iv), buf_span(&c->aad),
                     buf_span(&c->sealed), out);
}

static void check_valid(const struct aead_case *c)
{
    uint8_t *out = malloc(c->sealed.len);
    assert_non_null(out);
    assert_true(aead_seal(c->kind, c->key.data, buf_span(&c->iv), buf_span(&c->aad),
                          buf_span(&c->plain), out));
    assert_memory_equal(out, c->sealed.data, c->sealed.len);
    assert_true(open_case(c, out));
    assert_true(mem_equal_var(out, c->plain.data, c->plain.len));
    free(out);
}

/* Also: nothing of the plain text comes out. Cases with a wrong length of the IV have no tag. */
static void check_invalid(const struct aead_case *c)
{
    const size_t len = c->sealed.len < AEAD_TAG_SIZE ? 0 : c->sealed.len - AEAD_TAG_SIZE;
    uint8_t *out = malloc(len + 1);
    assert_non_null(out);
    memset(out, 0xee, len + 1);
    assert_false(open_case(c, out));
    for (size_t i = 0; i < len; i++)
        assert_int_equal(out[i], 0);
    free(out);
}

/* Returns whether the case was of use: only keys of 32 bytes and IVs within the limit are. */
static bool wycheproof_case(enum aead_kind kind, struct json_object *t)
{
    struct aead_case c = read_case(kind, t, "msg", "ct");
    const bool used = c.key.len == AEAD_KEY_SIZE && c.iv.len <= 128;
    if (used && strcmp(json_str(t, "result"), "valid") == 0)
        check_valid(&c);
    else if (used)
        check_invalid(&c);
    clear_case(&c);
    return used;
}

static void run_wycheproof(enum aead_kind kind, const char *name)
{
    struct json_object *file = vector_json(name), *groups = json_get(file, "testGroups");
    size_t cases = 0;
    for (size_t g = 0; g < json_object_array_length(groups); g++) {
        struct json_object *tests = json_get(json_object_array_get_idx(groups, g), "tests");
        for (size_t i = 0; i < json_object_array_length(tests); i++)
            cases += wycheproof_case(kind, json_object_array_get_idx(tests, i));
    }
    json_object_put(file);
    vector_report(name, cases);
}

static void aes_gcm_matches_wycheproof(void **state)
{
    (void)state;
    run_wycheproof(AEAD_AES_256_GCM, "crypto/wycheproof/aes_gcm_test.json");
}

static void chacha20_poly1305_matches_wycheproof(void **state)
{
    (void)state;
    run_wycheproof(AEAD_CHACHA20_POLY1305, "crypto/wycheproof/chacha20_poly1305_test.json");
}

static void aes_gcm_matches_nist_examples(void **state)
{
    (void)state;
    const char *name = "crypto/sdk/aes_gcm_rs.json";
    struct json_object *file = vector_json(name), *rows = json_get(file, "nist_gcm_vectors");
    size_t cases = 0;
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct aead_case c = read_case(AEAD_AES_256_GCM, row, "plaintext", "ciphertext");
        if (c.key.len == AEAD_KEY_SIZE) {
            check_valid(&c);
            cases++;
        }
        clear_case(&c);
    }
    json_object_put(file);
    vector_report(name, cases);
}

static struct buf hex_of(struct json_object *row, const char *name)
{
    return unhex(json_str(row, name));
}

static void rfc8439_case(struct json_object *row)
{
    struct aead_case c = { AEAD_CHACHA20_POLY1305, hex_of(row, "key"), hex_of(row, "nonce"),
                           hex_of(row, "aad"), hex_of(row, "plaintext"),
                           hex_of(row, "ciphertext") };
    struct buf tag = hex_of(row, "tag");
    assert_int_equal(c.key.len, AEAD_KEY_SIZE);
    buf_put(&c.sealed, tag.data, tag.len);
    check_valid(&c);
    clear_case(&c);
    buf_clear(&tag);
}

/* The stream from a block on: what zeros are sealed to. Block 0 is for the tag and is not seen. */
static bool rfc8439_stream(struct json_object *row, const char *text, const char *cipher)
{
    struct buf key = hex_of(row, "key"), iv = hex_of(row, "nonce"), want = hex_of(row, cipher), in;
    const int64_t counter = json_int(row, "counter", 0);
    buf_init(&in);
    if (text)
        in = hex_of(row, text);
    const size_t skipped = counter > 0 ? 64 * (size_t)(counter - 1) : 0;
    uint8_t *out = calloc(1, skipped + want.len + AEAD_TAG_SIZE);
    assert_non_null(out);
    assert_true(in.len <= want.len);
    if (in.len)
        memcpy(out + skipped, in.data, in.len);
    assert_int_equal(key.len, AEAD_KEY_SIZE);
    assert_true(aead_seal(AEAD_CHACHA20_POLY1305, key.data, buf_span(&iv), span_of(NULL, 0),
                          span_of(out, skipped + want.len), out));
    if (counter > 0)
        assert_memory_equal(out + skipped, want.data, want.len);
    free(out);
    buf_clear(&key);
    buf_clear(&iv);
    buf_clear(&want);
    buf_clear(&in);
    return counter > 0;
}

static void chacha20_poly1305_matches_its_rfc(void **state)
{
    (void)state;
    const char *name = "spec/rfc.json";
    struct json_object *file = vector_json(name), *rows = json_get(file, "rfc8439_aead");
    struct json_object *texts = json_get(file, "rfc8439_chacha20_encrypt");
    struct json_object *blocks = json_get(file, "rfc8439_chacha20_block");
    const size_t n = json_object_array_length(rows), m = json_object_array_length(texts);
    size_t streams = 0;
    for (size_t i = 0; i < n; i++)
        rfc8439_case(json_object_array_get_idx(rows, i));
    for (size_t i = 0; i < m; i++)
        streams += rfc8439_stream(json_object_array_get_idx(texts, i), "plaintext", "ciphertext");
    for (size_t i = 0; i < json_object_array_length(blocks); i++)
        streams += rfc8439_stream(json_object_array_get_idx(blocks, i), NULL, "block");
    json_object_put(file);
    vector_report("spec/rfc.json ChaCha20-Poly1305", n);
    vector_report("spec/rfc.json ChaCha20", streams);
}

/* Every bit of what was sealed, of the IV and of the additional data counts. */
static void any_changed_bit_is_refused(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        uint8_t all[12 + 5 + 9 + AEAD_TAG_SIZE] = "iv 12 bytes aad..plain....";
        uint8_t *iv = all, *aad = all + 12, *text = all + 17, out[9];
        assert_true(aead_seal((enum aead_kind)kind, some_key, span_of(iv, 12), span_of(aad, 5),
                              span_of(text, 9), text));
        for (size_t bit = 0; bit <= 8 * sizeof all; bit++) {
            const bool intact = bit == 8 * sizeof all;
            if (!intact)
                all[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(aead_open((enum aead_kind)kind, some_key, span_of(iv, 12),
                                       span_of(aad, 5), span_of(text, 9 + AEAD_TAG_SIZE), out),
                             intact);
            if (!intact)
                all[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        assert_memory_equal(out, "plain....", 9);
    }
}

static void sealing_and_opening_work_in_place(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        uint8_t data[1000 + AEAD_TAG_SIZE];
        memset(data, 7, sizeof data);
        const struct span iv = span_of(some_iv, sizeof some_iv), none = span_of(NULL, 0);
        assert_true(aead_seal((enum aead_kind)kind, some_key, iv, none, span_of(data, 1000), data));
        assert_true(aead_open((enum aead_kind)kind, some_key, iv, none, span_of(data, sizeof data),
                              data));
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(data[i], 7);
    }
}

static void lengths_out_of_range_are_refused(void **state)
{
    (void)state;
    uint8_t iv[129] = { 0 }, out[AEAD_TAG_SIZE];
    const struct span none = span_of(NULL, 0);
    for (size_t len = 0; len <= sizeof iv; len++) {
        assert_int_equal(
            aead_seal(AEAD_CHACHA20_POLY1305, some_key, span_of(iv, len), none, none, out),
            len == 12);
        assert_int_equal(aead_seal(AEAD_AES_256_GCM, some_key, span_of(iv, len), none, none, out),
                         len >= 1 && len <= 128);
    }
    for (size_t len = 0; len < AEAD_TAG_SIZE; len++)
        assert_false(aead_open(AEAD_AES_256_GCM, some_key, span_of(some_iv, 12), none,
                               span_of(out, len), out));
}

/* Many messages under one context, and other keys in between: as one call each. */
static void a_context_seals_and_opens_like_single_calls(void **state)
{
    struct aead_ctx *seal = aead_ctx_new(AEAD_SEAL), *open = aead_ctx_new(AEAD_OPEN);
    uint8_t key[AEAD_KEY_SIZE], iv[12] = { 0 }, plain[300], sealed[316], other[316];
    (void)state;
    memset(plain, 5, sizeof plain);
    for (uint8_t i = 0; i < 30; i++) {
        const size_t len = 10u * i;
        memset(key, i / 3, sizeof key);
        if (i % 3 == 0) {
            aead_ctx_set_key(seal, key);
            aead_ctx_set_key(open, key);
        }
        iv[4] = i;
        assert_true(aead_ctx_seal(seal, iv, span_of(plain, len), sealed));
        assert_true(aead_seal(AEAD_CHACHA20_POLY1305, key, span_of(iv, 12), span_of(NULL, 0),
                              span_of(plain, len), other));
        assert_memory_equal(sealed, other, len + AEAD_TAG_SIZE);
        sealed[i] ^= 1; /* a refused message leaves the context usable */
        assert_false(aead_ctx_open(open, iv, span_of(sealed, len + AEAD_TAG_SIZE), other));
        sealed[i] ^= 1;
        assert_true(aead_ctx_open(open, iv, span_of(sealed, len + AEAD_TAG_SIZE), sealed));
        assert_true(mem_equal_var(sealed, plain, len));
    }
    assert_false(aead_ctx_open(open, iv, span_of(sealed, AEAD_TAG_SIZE - 1), other));
    aead_ctx_free(seal);
    aead_ctx_free(open);
    aead_ctx_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aes_gcm_matches_wycheproof),
        cmocka_unit_test(chacha20_poly1305_matches_wycheproof),
        cmocka_unit_test(aes_gcm_matches_nist_examples),
        cmocka_unit_test(chacha20_poly1305_matches_its_rfc),
        cmocka_unit_test(any_changed_bit_is_refused),
        cmocka_unit_test(sealing_and_opening_work_in_place),
        cmocka_unit_test(lengths_out_of_range_are_refused),
        cmocka_unit_test(a_context_seals_and_opens_like_single_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
