/* What base does with secrets takes the same way whatever they are. */
#include "base/aead.h"
#include "base/ec.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/kdf.h"
#include "tests/ctime.h"

/* A secret, and a public key of somebody else. */
struct keys {
    uint8_t secret[32], other[EC_PUBKEY_SIZE];
};

static struct keys make_keys(void)
{
    struct keys k = { .secret = { 7, 7, 7, [31] = 1 } };
    assert_true(ec_pubkey_of(k.other, k.secret));
    k.secret[5] = 0x99;
    CTIME_SECRET(k.secret);
    return k;
}

static void a_branch_on_a_secret_is_noticed(void **state)
{
    (void)state;
    volatile uint8_t out = 0;
    uint8_t secret[2] = { 1, 2 };
    static const uint8_t table[256] = { 1 };
    CTIME_SECRET(secret);
    if (secret[0] == 1)
        out = 1;
    assert_true(ctime_take_complaints() > 0);
    out = table[secret[1]];
    assert_true(ctime_take_complaints() > 0);
    CTIME_PUBLIC(secret);
    if (secret[0] == 1)
        out = 2;
    assert_int_equal(ctime_take_complaints(), 0);
    assert_int_equal(out, 2);
}

static void keys_and_their_products(void **state)
{
    (void)state;
    struct keys k = make_keys();
    uint8_t out[EC_PUBKEY_MAX];
    assert_true(ec_pubkey_of(out, k.secret));
    assert_true(ec_ecdh_point(out, k.other, sizeof k.other, k.secret));
    assert_true(ec_ecdh_x(out, k.other, sizeof k.other, k.secret));
    assert_true(ec_ecdh_sha256(out, k.other, k.secret));
}

static void sums_of_secrets(void **state)
{
    (void)state;
    struct keys k = make_keys();
    uint8_t tweak[32] = { 3 };
    CTIME_SECRET(tweak);
    assert_true(ec_seckey_tweak_add(k.secret, tweak));
}

static void signatures(void **state)
{
    (void)state;
    struct keys k = make_keys();
    uint8_t out[72];
    const uint8_t digest[32] = { 5 };
    size_t len = ec_sign_der(out, k.secret, digest);
    CTIME_PUBLIC(len);
    assert_true(len > 0);
    assert_true(ec_sign_rs(out, k.secret, digest));
}

static void hashes_under_keys(void **state)
{
    (void)state;
    struct keys k = make_keys();
    uint8_t out[64], text[200] = { 1 };
    CTIME_SECRET(text);
    hmac_sha256(out, k.secret, sizeof k.secret, text, sizeof text);
    hmac_sha512(out, text, sizeof text, k.secret, sizeof k.secret);
    assert_true(hkdf_sha256(out, sizeof out, span_of(k.secret, 32), span_of(text, sizeof text),
                            span_of("info", 4)));
}

static void comparison(void **state)
{
    (void)state;
    struct keys k = make_keys();
    uint8_t same[32], other[32];
    memcpy(same, k.secret, sizeof same);
    memcpy(other, k.secret, sizeof other);
    other[0] = (uint8_t)(other[0] ^ 1);
    bool equal = ct_equal(k.secret, same, 32), differs = !ct_equal(k.secret, other, 32);
    CTIME_PUBLIC(equal);
    CTIME_PUBLIC(differs);
    assert_true(equal && differs);
}

static void sealing_and_opening(void **state)
{
    (void)state;
    const uint8_t iv[12] = { 1 };
    const enum aead_kind kinds[] = { AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305 };
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct keys k = make_keys();
        uint8_t plain[100] = { 2 }, sealed[sizeof plain + AEAD_TAG_SIZE], opened[sizeof plain];
        const struct span in = span_of(sealed, sizeof sealed), aad = span_of("more", 4);
        CTIME_SECRET(plain);
        assert_true(aead_seal(kinds[i], k.secret, span_of(iv, 12), aad,
                              span_of(plain, sizeof plain), sealed));
        CTIME_PUBLIC(sealed);
        assert_true(aead_open(kinds[i], k.secret, span_of(iv, 12), aad, in, opened));
        sealed[sizeof sealed - 1] ^= 1;
        assert_false(aead_open(kinds[i], k.secret, span_of(iv, 12), aad, in, opened));
    }
}

static void sealing_with_one_key_many_times(void **state)
{
    (void)state;
    struct keys k = make_keys();
    const uint8_t iv[12] = { 1 };
    uint8_t plain[40] = { 2 }, sealed[sizeof plain + AEAD_TAG_SIZE], opened[sizeof plain];
    struct aead_ctx *seal = aead_ctx_new(AEAD_SEAL), *open = aead_ctx_new(AEAD_OPEN);
    CTIME_SECRET(plain);
    aead_ctx_set_key(seal, k.secret);
    aead_ctx_set_key(open, k.secret);
    assert_true(aead_ctx_seal(seal, iv, span_of(plain, sizeof plain), sealed));
    CTIME_PUBLIC(sealed);
    assert_true(aead_ctx_open(open, iv, span_of(sealed, sizeof sealed), opened));
    aead_ctx_free(seal);
    aead_ctx_free(open);
}

int main(void)
{
    struct CMUnitTest tests[] = {
        CTIME_TEST(a_branch_on_a_secret_is_noticed),
        CTIME_TEST(keys_and_their_products),
        CTIME_TEST(sums_of_secrets),
        CTIME_TEST(signatures),
        CTIME_TEST(hashes_under_keys),
        CTIME_TEST(comparison),
        CTIME_TEST(sealing_and_opening),
        CTIME_TEST(sealing_with_one_key_many_times),
    };
    return ctime_run(tests, COUNT_OF(tests));
}
