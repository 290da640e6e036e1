#include "base/signed_message.h"

#include <string.h>

#include "base/base64.h"
#include "base/hash.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

static int setup(void **state)
{
    (void)state;
    ec_init();
    return 0;
}

static void assert_recovers(const struct buf *message, const uint8_t sig[EC_COMPACT_SIZE],
                            const char *key_hex)
{
    struct buf key = unhex(key_hex);
    uint8_t want[20], got[20];
    hash160(want, key.data, key.len);
    assert_true(signed_message_recover(got, sig, message->data, message->len));
    assert_memory_equal(got, want, 20);
    buf_clear(&key);
}

static struct private_key key_of(struct json_object *in)
{
    struct private_key k;
    if (json_str(in, "privkey_wif"))
        assert_int_equal(wif_decode(&k, 0x80, json_str(in, "privkey_wif")), WIF_OK);
    else {
        struct buf secret = unhex(json_str(in, "privkey_hex"));
        k.compressed = true;
        memcpy(k.secret, secret.data, 32);
        buf_clear(&secret);
    }
    return k;
}

static void assert_bytes(const uint8_t *got, size_t len, const char *want_hex)
{
    struct buf want = unhex(want_hex);
    assert_int_equal(len, want.len);
    assert_memory_equal(got, want.data, len);
    buf_clear(&want);
}

/* The signature made is, in the form the row has it in, the one it expects. */
static void check_signing(struct json_object *in, struct json_object *expected,
                          const struct buf *message, const uint8_t digest[32])
{
    const char *text = json_str(expected, "base64_compact_sig");
    const struct private_key k = key_of(in);
    uint8_t sig[EC_COMPACT_SIZE], want[EC_COMPACT_SIZE], der[72];
    assert_true(signed_message_sign(sig, &k, message->data, message->len));
    assert_recovers(message, sig, json_str(in, "pubkey_hex"));
    if (json_str(expected, "der_hex"))
        assert_bytes(der, ec_sign_der(der, k.secret, digest), json_str(expected, "der_hex"));
    if (text) {
        assert_int_equal(base64_decode(want, sizeof want, text), sizeof want);
        assert_memory_equal(sig, want, sizeof want);
    }
}

static void check_der(struct json_object *in, struct json_object *expected,
                      const uint8_t digest[32])
{
    struct buf key = unhex(json_str(in, "pubkey_hex")), sig = unhex(json_str(in, "der_hex"));
    const bool good = ec_verify_der(key.data, key.len, sig.data, sig.len, digest);
    assert_int_equal(good, json_object_get_boolean(json_get(expected, "valid")));
    buf_clear(&key);
    buf_clear(&sig);
}

/* What a row says of the digest, of a signature made, and of one given. */
static void check_row(struct json_object *in, struct json_object *expected)
{
    struct buf message = unhex(json_str(in, "message_hex"));
    uint8_t digest[32];
    signed_message_digest(digest, message.data, message.len);
    if (json_str(expected, "magic_hash_hex"))
        assert_bytes(digest, 32, json_str(expected, "magic_hash_hex"));
    if (json_str(in, "magic_hash_hex"))
        assert_bytes(digest, 32, json_str(in, "magic_hash_hex"));
    if (json_str(in, "der_hex"))
        check_der(in, expected, digest);
    else if (json_str(in, "privkey_hex"))
        check_signing(in, expected, &message, digest);
    if (json_str(in, "compact_sig_hex")) {
        struct buf given = unhex(json_str(in, "compact_sig_hex"));
        assert_recovers(&message, given.data, json_str(in, "pubkey_hex"));
        if (json_str(expected, "recovered_pubkey_hex"))
            assert_recovers(&message, given.data, json_str(expected, "recovered_pubkey_hex"));
        buf_clear(&given);
    }
    buf_clear(&message);
}

static void published_messages_are_signed_and_recovered(void **state)
{
    (void)state;
    struct json_object *file = vector_json("keys/bsm.json"), *rows = json_rows(file);
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        check_row(json_get(row, "input"), json_get(row, "expected"));
    }
    vector_report("keys/bsm.json", json_object_array_length(rows));
    json_object_put(file);
}

static void signatures_are_the_published_bytes(void **state)
{
    (void)state;
    struct json_object *file = vector_json("keys/bsm_rs.json"), *rows = json_rows(file);
    for (size_t i = 0; i < json_object_array_length(rows); i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *text = json_str(row, "message");
        uint8_t given[EC_COMPACT_SIZE], made[EC_COMPACT_SIZE];
        assert_int_equal(base64_decode(given, sizeof given, json_str(row, "signature_base64")),
                         sizeof given);
        if (json_str(row, "wif")) {
            struct private_key k;
            assert_int_equal(wif_decode(&k, 0x80, json_str(row, "wif")), WIF_OK);
            assert_true(signed_message_sign(made, &k, text, strlen(text)));
            assert_memory_equal(made, given, sizeof made);
        } else {
            struct buf message = { 0 };
            buf_put_str(&message, text);
            assert_recovers(&message, given, json_str(row, "public_key_hex"));
            buf_clear(&message);
        }
    }
    vector_report("keys/bsm_rs.json", json_object_array_length(rows));
    json_object_put(file);
}

static void another_message_or_a_broken_signature_gives_another_key_or_none(void **state)
{
    (void)state;
    struct private_key k = { .secret = { 1, 2, 3 }, .compressed = false };
    uint8_t sig[EC_COMPACT_SIZE], right[20], other[20], key[65];
    hash160(right, key, ec_pubkey_create(key, k.secret, false));
    assert_true(signed_message_sign(sig, &k, "yes", 3));
    assert_true(sig[0] >= 27 && sig[0] < 31); /* the long form of the key */
    assert_true(signed_message_recover(other, sig, "yes", 3));
    assert_memory_equal(other, right, 20);
    if (signed_message_recover(other, sig, "no", 2))
        assert_memory_not_equal(other, right, 20);
    memset(sig + 1, 0xff, 64); /* R and S above the order */
    assert_false(signed_message_recover(other, sig, "yes", 3));
    memset(sig, 0, sizeof sig);
    assert_false(signed_message_recover(other, sig, "yes", 3));
    memset(k.secret, 0, 32);
    assert_false(signed_message_sign(sig, &k, "yes", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_messages_are_signed_and_recovered),
        cmocka_unit_test(signatures_are_the_published_bytes),
        cmocka_unit_test(another_message_or_a_broken_signature_gives_another_key_or_none),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
