#include "base/ec.h"

#include <string.h>

#include "base/hash.h"
#include "tests/base/json_text.h"
#include "tests/test.h"

static int start_ec(void **state)
{
    (void)state;
    ec_init();
    ec_init(); /* more than once does no harm */
    return 0;
}

/* Reads one DER integer of strict form: positive, no needless zero in front. */
static bool strict_integer(const uint8_t **p, const uint8_t *end)
{
    if (end - *p < 3 || (*p)[0] != 2 || (*p)[1] == 0 || (*p)[1] > 0x7f || (*p)[1] > end - *p - 2)
        return false;
    const uint8_t *v = *p + 2;
    size_t len = (*p)[1];
    if (v[0] & 0x80 || (len > 1 && v[0] == 0 && !(v[1] & 0x80)))
        return false;
    *p = v + len;
    return true;
}

static bool is_strict_der(const struct buf *sig)
{
    if (sig->len < 8 || sig->data[0] != 0x30 || sig->data[1] != sig->len - 2 || sig->len > 0x81)
        return false;
    const uint8_t *p = sig->data + 2, *end = sig->data + sig->len;
    return strict_integer(&p, end) && strict_integer(&p, end) && p == end;
}

struct tally { bool low_s; size_t run, lax, lax_true; };

/* The strict parser agrees with the set everywhere, other encodings included. */
static void strict_case(struct json_object *test, const struct buf *key, const struct buf *sig,
                        const uint8_t digest[32], bool low_s)
{
    bool got = ec_verify_der(key->data, key->len, sig->data, sig->len, digest);
    if (low_s)
        got = got && ec_sig_is_low_s(sig->data, sig->len);
    if (got != (strcmp(json_str(test, "result"), "invalid") != 0))
        fail_msg("case %d: %s", (int)json_int(test, "tcId", 0), json_str(test, "comment"));
}

/*
 * Valid ones verify. Invalid ones in strict DER do not; where the set calls a high S invalid, that
 * is looked at too. Invalid ones in another encoding (flags BerEncodedSignature, InvalidEncoding,
 * InvalidTypesInSignature and part of the Modified ones) are counted: the lax parser may take them.
 */
static void wycheproof_case(struct json_object *test, const struct buf *key, struct tally *t)
{
    struct buf msg = unhex(json_str(test, "msg")), sig = unhex(json_str(test, "sig"));
    uint8_t digest[32];
    sha256(digest, msg.data, msg.len);
    bool got = ec_verify_lax(key->data, key->len, sig.data, sig.len, digest);
    bool valid = strcmp(json_str(test, "result"), "invalid") != 0;
    strict_case(test, key, &sig, digest, t->low_s);
    if (t->low_s)
        got = got && ec_sig_is_low_s(sig.data, sig.len);
    if (valid || is_strict_der(&sig)) {
        if (got != valid)
            fail_msg("case %d: %s", (int)json_int(test, "tcId", 0), json_str(test, "comment"));
        t->run++;
    } else {
        t->lax++;
        t->lax_true += got;
    }
    buf_clear(&msg);
    buf_clear(&sig);
}

static void run_wycheproof(const char *name, bool low_s)
{
    struct json_object *file = vector_json(name), *groups = json_get(file, "testGroups");
    struct tally t = { .low_s = low_s };
    for (size_t g = 0; g < json_object_array_length(groups); g++) {
        struct json_object *group = json_object_array_get_idx(groups, g);
        struct json_object *tests = json_get(group, "tests");
        struct buf key = unhex(json_str(json_get(group, "publicKey"), "uncompressed"));
        for (size_t i = 0; i < json_object_array_length(tests); i++)
            wycheproof_case(json_object_array_get_idx(tests, i), &key, &t);
        buf_clear(&key);
    }
    json_object_put(file);
    print_message("%s: %zu of other encodings, %zu taken\n", name, t.lax, t.lax_true);
    vector_report(name, t.run);
}

static void signatures_match_wycheproof(void **state)
{
    (void)state;
    run_wycheproof("crypto/wycheproof/ecdsa_secp256k1_sha256_test.json", false);
}

static void signatures_match_wycheproof_for_bitcoin(void **state)
{
    (void)state;
    run_wycheproof("crypto/wycheproof/ecdsa_secp256k1_sha256_bitcoin_test.json", true);
}

/* Hex of a number of at most 32 bytes as 32 bytes big-endian. */
static bool number32(uint8_t out[32], const char *hex)
{
    size_t len = hex ? strlen(hex) : 0, got;
    if (len == 0 || len > 64)
        return false;
    memset(out, 0, 32);
    return hex_decode(out + 32 - len / 2, len / 2, hex, len, &got);
}

static void put_der_integer(struct buf *b, const uint8_t v[32])
{
    buf_put_u8(b, 2);
    buf_put_u8(b, 33);
    buf_put_u8(b, 0);
    buf_put(b, v, 32);
}

/* R and S of 32 bytes each, with a zero in front whether it is needed or not. */
static struct buf lax_der(const uint8_t r[32], const uint8_t s[32])
{
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, 0x30);
    buf_put_u8(&b, 70);
    put_der_integer(&b, r);
    put_der_integer(&b, s);
    return b;
}

/* Signs with the deterministic nonce and compares; false when the row is of another operation. */
static bool sdk_signature(struct json_object *row)
{
    struct json_object *in = json_get(row, "input"), *want = json_get(row, "expected");
    uint8_t secret[32], digest[32], der[72], key[65];
    const char *der_hex = json_str(want, "der_hex"), *k = json_str(in, "k");
    const char *message = json_str(in, "message_hex");
    if (!message)
        message = json_str(in, "signed_message_hex");
    if (!k || strcmp(k, "drbg") != 0 || !number32(secret, json_str(in, "privkey_hex")) ||
        !number32(digest, message))
        return false;
    size_t len = ec_sign_der(der, secret, digest);
    assert_true(len > 0 && ec_sig_is_low_s(der, len));
    size_t key_len = ec_pubkey_create(key, secret, true);
    assert_true(ec_verify_lax(key, key_len, der, len, digest));
    if (der_hex) {
        struct buf sig = unhex(der_hex);
        assert_int_equal(len, sig.len);
        assert_memory_equal(der, sig.data, len);
        buf_clear(&sig);
    }
    int64_t der_len = json_int(want, "der_length_bytes", -1);
    assert_true(der_len < 0 || der_len == (int64_t)len);
    if (number32(digest, json_str(in, "verify_message_hex")))
        assert_false(ec_verify_lax(key, key_len, der, len, digest));
    return true;
}

/* A signature given as two numbers; false when the row has none. */
static bool sdk_numbers(struct json_object *row)
{
    struct json_object *in = json_get(row, "input");
    uint8_t secret[32], digest[32], r[32], s[32], key[65];
    if (!number32(r, json_str(in, "signature_r")) || !number32(s, json_str(in, "signature_s")) ||
        !number32(secret, json_str(in, "privkey_hex")) ||
        !number32(digest, json_str(in, "message_hex")))
        return false;
    struct buf sig = lax_der(r, s);
    size_t key_len = ec_pubkey_create(key, secret, false);
    bool want = json_object_get_boolean(json_get(json_get(row, "expected"), "verify"));
    assert_int_equal(ec_verify_lax(key, key_len, sig.data, sig.len, digest), want);
    buf_clear(&sig);
    return true;
}

/* The bytes of the key in a DER SubjectPublicKeyInfo of this curve; none for any other encoding. */
static struct span spki_key(const struct buf *der)
{
    static const char *const heads[] = { "3056301006072a8648ce3d020106052b8104000a034200",
                                         "3036301006072a8648ce3d020106052b8104000a032200" };
    struct span key = { NULL, 0 };
    for (int i = 0; i < 2; i++) {
        struct buf head = unhex(heads[i]);
        if (der->len == head.len + (i ? 33 : 65) &&
            memcmp(der->data, head.data, head.len) == 0)
            key = span_of(der->data + head.len, der->len - head.len);
        buf_clear(&head);
    }
    return key;
}

/* Some cases of bad ASN.1 have changed the key instead: a parser may ask for either. */
static bool may_be_refused(struct json_object *test)
{
    struct json_object *flag = json_object_array_get_idx(json_get(test, "flags"), 0);
    return flag && strcmp(json_object_get_string(flag), "InvalidAsn") == 0;
}

static void ecdh_case(struct json_object *test, struct span key)
{
    const char *hex = json_str(test, "private");
    uint8_t secret[32], want[32], point[33], x[32], full[65];
    const bool valid = strcmp(json_str(test, "result"), "invalid") != 0;
    assert_true(number32(secret, hex + (strlen(hex) == 66 ? 2 : 0)));
    bool got = ec_ecdh_point(point, key.data, key.len, secret);
    assert_int_equal(ec_ecdh_x(x, key.data, key.len, secret), got);
    if (got != valid && !may_be_refused(test))
        fail_msg("case %d: %s", (int)json_int(test, "tcId", 0), json_str(test, "comment"));
    if (!got)
        return;
    assert_true(number32(want, json_str(test, "shared")));
    assert_memory_equal(x, want, 32);
    assert_memory_equal(point + 1, want, 32);
    assert_int_equal(ec_pubkey_convert(full, point, 33, false), 65);
}

static void key_agreement_matches_wycheproof(void **state)
{
    (void)state;
    const char *name = "crypto/wycheproof/ecdh_secp256k1_test.json";
    struct json_object *file = vector_json(name);
    struct json_object *group = json_object_array_get_idx(json_get(file, "testGroups"), 0);
    struct json_object *tests = json_get(group, "tests");
    size_t n = json_object_array_length(tests), run = 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *test = json_object_array_get_idx(tests, i);
        struct buf der = unhex(json_str(test, "public"));
        struct span key = spki_key(&der);
        if (key.len) {
            ecdh_case(test, key);
            run++;
        }
        buf_clear(&der);
    }
    json_object_put(file);
    print_message("%s: %zu of other encodings of the key\n", name, n - run);
    vector_report(name, run);
}

static void run_sdk(const char *name)
{
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    size_t n = json_object_array_length(rows), run = 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        run += sdk_signature(row) || sdk_numbers(row);
    }
    json_object_put(file);
    vector_report_part(name, n, run);
}

static void ecdsa_matches_the_sdk(void **state)
{
    (void)state;
    run_sdk("crypto/sdk/ecdsa.json");
}

static void der_signatures_match_the_sdk(void **state)
{
    (void)state;
    run_sdk("crypto/sdk/signature.json");
}

static void known_public_keys_are_valid(void **state)
{
    (void)state;
    const char *name = "keys/public-key.json";
    struct json_object *file = vector_json(name), *rows = json_rows(file);
    const size_t rows_n = json_object_array_length(rows);
    size_t n = 0;
    for (size_t i = 0; i < rows_n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        const char *hex = json_str(json_get(row, "input"), "pubkey_der_hex");
        if (!hex || json_get(json_get(row, "expected"), "throws"))
            continue;
        struct buf key = unhex(hex);
        assert_true(ec_pubkey_valid(key.data, key.len));
        buf_clear(&key);
        n++;
    }
    json_object_put(file);
    vector_report_part(name, rows_n, n);
}

/* One signature of our own and its numbers, for the tests that encode it in other ways. */
struct sample { uint8_t key[65], digest[32], r[32], s[32], der[72]; size_t der_len; };

static struct sample make_sample(void)
{
    struct sample x;
    uint8_t secret[32];
    memset(secret, 0x42, sizeof secret);
    sha256(x.digest, "sample", 6);
    assert_int_equal(ec_pubkey_create(x.key, secret, false), 65);
    x.der_len = ec_sign_der(x.der, secret, x.digest);
    assert_true(x.der_len >= 8);
    const uint8_t *p = x.der + 2;
    uint8_t *numbers[2] = { x.r, x.s };
    for (int i = 0; i < 2; i++, p += 2 + p[1]) {
        size_t len = p[1], zero = len == 33;
        memset(numbers[i], 0, 32);
        memcpy(numbers[i] + 32 - (len - zero), p + 2 + zero, len - zero);
    }
    return x;
}

static bool verify(const struct sample *x, const struct buf *sig)
{
    return ec_verify_lax(x->key, 65, sig->data, sig->len, x->digest);
}

/* prefix, R, middle, S, suffix: the numbers as their 32 bytes, the rest in hex. */
static bool verify_encoded(const struct sample *x, const char *prefix, const char *middle,
                           const char *suffix)
{
    struct buf parts[3] = { unhex(prefix), unhex(middle), unhex(suffix) }, sig;
    buf_init(&sig);
    buf_put(&sig, parts[0].data, parts[0].len);
    buf_put(&sig, x->r, 32);
    buf_put(&sig, parts[1].data, parts[1].len);
    buf_put(&sig, x->s, 32);
    buf_put(&sig, parts[2].data, parts[2].len);
    bool ok = verify(x, &sig);
    for (int i = 0; i < 3; i++)
        buf_clear(&parts[i]);
    buf_clear(&sig);
    return ok;
}

static void lax_encodings_verify(void **state)
{
    (void)state;
    struct sample x = make_sample();
    static const struct { const char *prefix, *middle, *suffix; } cases[] = {
        { "30440220", "0220", "" },             /* no zero before a high bit: not negative */
        { "30000220", "0220", "" },             /* sequence length is not looked at */
        { "3081ff0220", "0220", "" }, { "3084000000ff0220", "0220", "" },
        { "3080" "0220", "0220", "" },          /* indefinite: no length bytes at all */
        { "3044028120", "028120", "" }, { "304402820020", "02880000000000000020", "" },
        { "3044022100", "022100", "" }, { "3044022400000000", "022400000000", "" },
        { "30440220", "0220", "00" }, { "30440220", "0220", "deadbeef0201" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(verify_encoded(&x, cases[i].prefix, cases[i].middle, cases[i].suffix));
}

static void bad_encodings_do_not_verify(void **state)
{
    (void)state;
    struct sample x = make_sample();
    static const struct { const char *prefix, *middle; } cases[] = {
        { "31440220", "0220" }, { "30440320", "0220" }, { "30440220", "0320" },
        { "30ff0220", "0220" }, /* 127 bytes of length would follow */
        { "30440221", "0220" }, { "30440220", "0221" }, { "304402847fffffff", "0220" },
        { "3044028401000020", "0220" }, { "304402850100000020", "0220" }, { "3044028020", "0220" },
        { "3044022101", "0220" }, /* R of 33 bytes that count */
        { "30440220", "022101" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_false(verify_encoded(&x, cases[i].prefix, cases[i].middle, ""));
}

static void a_cut_signature_does_not_verify(void **state)
{
    (void)state;
    struct sample x = make_sample();
    assert_true(ec_verify_lax(x.key, 65, x.der, x.der_len, x.digest));
    for (size_t len = 0; len < x.der_len; len++) {
        assert_false(ec_verify_lax(x.key, 65, x.der, len, x.digest));
        assert_false(ec_sig_is_low_s(x.der, len));
    }
    assert_false(ec_verify_lax(x.key, 65, NULL, 0, x.digest));
}

static const char order[] = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

static void high_s_verifies_and_is_told_apart(void **state)
{
    (void)state;
    struct sample x = make_sample();
    uint8_t n[32], high[32];
    unsigned borrow = 0;
    assert_true(number32(n, order));
    for (int i = 31; i >= 0; i--) {
        unsigned d = 256u + n[i] - x.s[i] - borrow;
        high[i] = (uint8_t)d;
        borrow = d < 256;
    }
    struct buf sig = lax_der(x.r, high);
    assert_true(verify(&x, &sig));
    assert_false(ec_sig_is_low_s(sig.data, sig.len));
    buf_clear(&sig);
    sig = lax_der(x.r, x.s);
    assert_true(verify(&x, &sig));
    assert_true(ec_sig_is_low_s(sig.data, sig.len));
    buf_clear(&sig);
}

static void numbers_from_the_order_on_never_verify_but_count_as_low(void **state)
{
    (void)state;
    struct sample x = make_sample();
    uint8_t n[32];
    assert_true(number32(n, order));
    const uint8_t *const pairs[][2] = { { n, x.s }, { x.r, n } };
    for (int i = 0; i < 2; i++) {
        struct buf sig = lax_der(pairs[i][0], pairs[i][1]);
        assert_false(verify(&x, &sig));
        /* as the reference: a signature of zeros */
        assert_true(ec_sig_is_low_s(sig.data, sig.len));
        buf_clear(&sig);
    }
}

static void hybrid_keys_verify_when_their_parity_is_right(void **state)
{
    (void)state;
    struct sample x = make_sample();
    unsigned odd = x.key[64] & 1;
    x.key[0] = (uint8_t)(6 + odd);
    assert_true(ec_pubkey_valid(x.key, 65));
    assert_true(ec_verify_lax(x.key, 65, x.der, x.der_len, x.digest));
    x.key[0] = (uint8_t)(7 - odd);
    assert_false(ec_pubkey_valid(x.key, 65));
    assert_false(ec_verify_lax(x.key, 65, x.der, x.der_len, x.digest));
}

static void keys_of_wrong_length_form_or_curve_are_refused(void **state)
{
    (void)state;
    struct sample x = make_sample();
    for (size_t len = 0; len < 65; len++)
        assert_false(ec_pubkey_valid(x.key, len));
    x.key[64] ^= 1;
    assert_false(ec_pubkey_valid(x.key, 65));
    assert_false(ec_verify_lax(x.key, 65, x.der, x.der_len, x.digest));
    x.key[64] ^= 1;
    x.key[0] = (uint8_t)(2 + (x.key[64] & 1));
    assert_true(ec_pubkey_valid(x.key, 33));
    assert_true(ec_verify_lax(x.key, 33, x.der, x.der_len, x.digest));
    assert_false(ec_pubkey_valid(x.key, 32));
    assert_false(ec_pubkey_valid(x.key, 65));
    x.key[0] = 5;
    assert_false(ec_pubkey_valid(x.key, 33));
    assert_false(ec_pubkey_valid(NULL, 0));
}

static void secrets_are_between_one_and_the_order(void **state)
{
    (void)state;
    uint8_t secret[32] = { 0 }, key[65], der[72], digest[32] = { 1 };
    static const char g[] = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    assert_false(ec_seckey_valid(secret));
    assert_int_equal(ec_pubkey_create(key, secret, true), 0);
    assert_int_equal(ec_sign_der(der, secret, digest), 0);
    secret[31] = 1;
    assert_true(ec_seckey_valid(secret));
    assert_int_equal(ec_pubkey_create(key, secret, true), 33);
    struct buf want = unhex(g);
    assert_memory_equal(key, want.data, 33);
    assert_true(ec_pubkey_of(key, secret));
    assert_memory_equal(key, want.data, 33);
    buf_clear(&want);
    assert_true(number32(secret, order));
    assert_false(ec_seckey_valid(secret));
    assert_false(ec_pubkey_of(key, secret));
    assert_int_equal(key[0], 0);
    secret[31]--;
    assert_true(ec_seckey_valid(secret));
}

static void a_wrong_digest_does_not_verify(void **state)
{
    (void)state;
    struct sample x = make_sample();
    for (int bit = 0; bit < 256; bit += 37) {
        x.digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ec_verify_lax(x.key, 65, x.der, x.der_len, x.digest));
        x.digest[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* More keys than places for parsed ones, twice round, with keys off the curve and sign bits swapped
 * between. */
static void keys_seen_before_stay_themselves(void **state)
{
    (void)state;
    enum { KEYS = 1500 };
    const uint8_t digest[32] = { 7 };
    for (int i = 0; i < 2 * KEYS; i++) {
        uint8_t secret[32] = { 0 }, key[65], der[72], off_curve[33] = { 2 };
        le32_put(secret, (uint32_t)(i % KEYS) + 1);
        assert_int_equal(ec_pubkey_create(key, secret, true), 33);
        const size_t len = ec_sign_der(der, secret, digest);
        assert_true(ec_verify_lax(key, 33, der, len, digest));
        assert_true(ec_verify_lax(key, 33, der, len, digest));
        key[0] ^= 1; /* the other key with this x, in the same place */
        assert_false(ec_verify_lax(key, 33, der, len, digest));
        memcpy(off_curve + 1, key + 1, 2);
        off_curve[32] = 5;
        const bool valid = ec_pubkey_valid(off_curve, 33);
        assert_int_equal(ec_pubkey_valid(off_curve, 33), valid);
        key[0] ^= 1;
        assert_true(ec_verify_lax(key, 33, der, len, digest));
    }
    const uint8_t zeros[33] = { 0 };
    assert_false(ec_pubkey_valid(zeros, 33));
}

/* d * G + t * G is (d + t) * G, and both sides of an agreement get the same point. */
static void sums_and_products_agree(void **state)
{
    (void)state;
    uint8_t a[32], b[32], tweak[32], sum[32], key_a[65], key_b[65], key_sum[65], one[33], two[33];
    uint8_t x[32];
    memset(a, 0x11, 32);
    memset(b, 0x21, 32);
    memset(tweak, 0x99, 32);
    memcpy(sum, a, 32);
    ec_pubkey_create(key_a, a, true);
    ec_pubkey_create(key_b, b, false);
    assert_true(ec_ecdh_point(one, key_b, 65, a));
    assert_true(ec_ecdh_point(two, key_a, 33, b));
    assert_memory_equal(one, two, 33);
    assert_true(ec_ecdh_x(x, key_a, 33, b));
    assert_memory_equal(x, one + 1, 32);
    assert_true(ec_seckey_tweak_add(sum, tweak));
    assert_true(ec_pubkey_tweak_add(key_a, tweak));
    ec_pubkey_create(key_sum, sum, true);
    assert_memory_equal(key_a, key_sum, 33);
}

static void sums_that_are_no_keys_are_refused(void **state)
{
    (void)state;
    uint8_t n[32], secret[32] = { 0 }, key[65], tweak[32] = { 0 };
    const uint8_t zeros[33] = { 0 };
    assert_true(number32(n, order));
    secret[31] = 1;
    ec_pubkey_create(key, secret, true);
    assert_true(ec_seckey_tweak_add(secret, tweak)); /* nothing added */
    assert_int_equal(secret[31], 1);
    assert_true(ec_pubkey_tweak_add(key, tweak));
    assert_false(ec_seckey_tweak_add(secret, n));
    assert_memory_equal(secret, zeros, 32);
    secret[31] = 1;
    n[31]--; /* the negative of 1: the sum is zero */
    assert_false(ec_seckey_tweak_add(secret, n));
    assert_memory_equal(secret, zeros, 32);
    assert_false(ec_pubkey_tweak_add(key, n));
    assert_memory_equal(key, zeros, 33);
    assert_false(ec_pubkey_tweak_add(key, tweak)); /* no key */
    assert_false(ec_seckey_tweak_add(secret, tweak));
}

static void agreement_refuses_what_is_no_key(void **state)
{
    (void)state;
    struct sample x = make_sample();
    uint8_t secret[32] = { 0 }, point[33], n[32];
    const uint8_t zeros[33] = { 0 };
    memset(point, 1, 33);
    assert_false(ec_ecdh_point(point, x.key, 65, secret));
    assert_memory_equal(point, zeros, 33);
    assert_true(number32(n, order));
    assert_false(ec_ecdh_point(point, x.key, 65, n));
    secret[31] = 5;
    assert_true(ec_ecdh_point(point, x.key, 65, secret));
    assert_false(ec_ecdh_x(point, x.key, 33, secret));
    assert_memory_equal(point, zeros, 32);
    assert_false(ec_ecdh_point(point, NULL, 0, secret));
    x.key[0] = (uint8_t)(6 + (x.key[64] & 1)); /* hybrid */
    assert_false(ec_ecdh_point(point, x.key, 65, secret));
}

static void keys_change_their_form(void **state)
{
    (void)state;
    struct sample x = make_sample();
    uint8_t full[65], key[65];
    assert_int_equal(ec_pubkey_convert(key, x.key, 65, true), 33);
    assert_memory_equal(key + 1, x.key + 1, 32);
    assert_int_equal(ec_pubkey_convert(full, key, 33, false), 65);
    assert_memory_equal(full, x.key, 65);
    assert_int_equal(ec_pubkey_convert(full, full, 65, false), 65);
    assert_memory_equal(full, x.key, 65);
    assert_int_equal(ec_pubkey_convert(full, full, 65, true), 33); /* in place */
    assert_memory_equal(full, key, 33);
    x.key[0] = (uint8_t)(6 + (x.key[64] & 1));
    assert_int_equal(ec_pubkey_convert(full, x.key, 65, true), 0);
    assert_int_equal(ec_pubkey_convert(full, key, 32, true), 0);
    assert_int_equal(ec_pubkey_convert(full, NULL, 0, true), 0);
}

static void strict_signatures_have_one_encoding(void **state)
{
    (void)state;
    struct sample x = make_sample();
    uint8_t longer[73] = { 0 };
    assert_true(ec_verify_der(x.key, 65, x.der, x.der_len, x.digest));
    memcpy(longer, x.der, x.der_len);
    assert_false(ec_verify_der(x.key, 65, longer, x.der_len + 1, x.digest));
    for (size_t len = 0; len < x.der_len; len++)
        assert_false(ec_verify_der(x.key, 65, x.der, len, x.digest));
    assert_false(ec_verify_der(x.key, 65, NULL, 0, x.digest));
    struct buf lax = lax_der(x.r, x.s);
    const bool needs_zeros = x.r[0] & 0x80 && x.s[0] & 0x80;
    assert_int_equal(ec_verify_der(x.key, 65, lax.data, lax.len, x.digest), needs_zeros);
    buf_clear(&lax);
}

/* The signature as two numbers is the one in DER, and only the low S verifies. */
static void signatures_of_two_numbers_verify_in_one_form(void **state)
{
    uint8_t secret[32], digest[32], key[EC_PUBKEY_SIZE], sig[EC_SIG_SIZE], high[EC_SIG_SIZE];
    uint8_t n[32];
    unsigned borrow = 0;
    (void)state;
    memset(secret, 7, sizeof secret);
    memset(digest, 9, sizeof digest);
    assert_true(ec_pubkey_of(key, secret));
    assert_true(ec_sign_rs(sig, secret, digest));
    assert_true(ec_verify_rs(key, sig, digest));
    assert_true(number32(n, order));
    memcpy(high, sig, sizeof high);
    for (int i = 31; i >= 0; i--) {
        const unsigned d = 256u + n[i] - sig[32 + i] - borrow;
        high[32 + i] = (uint8_t)d;
        borrow = d < 256;
    }
    assert_false(ec_verify_rs(key, high, digest));
    memcpy(high + 32, n, 32);
    assert_false(ec_verify_rs(key, high, digest));
    digest[0] ^= 1;
    assert_false(ec_verify_rs(key, sig, digest));
    key[0] = 4;
    assert_false(ec_verify_rs(key, sig, digest));
    memset(secret, 0, sizeof secret);
    assert_false(ec_sign_rs(sig, secret, digest));
}

static void signatures_of_two_numbers_go_to_der_and_back(void **state)
{
    uint8_t secret[32], digest[32], sig[EC_SIG_SIZE], back[EC_SIG_SIZE], der[72], want[72];
    (void)state;
    memset(secret, 7, sizeof secret);
    memset(digest, 9, sizeof digest);
    assert_true(ec_sign_rs(sig, secret, digest));
    const size_t len = ec_rs_to_der(der, sig);
    assert_int_equal(len, ec_sign_der(want, secret, digest));
    assert_memory_equal(der, want, len);
    assert_true(ec_rs_from_der(back, der, len));
    assert_memory_equal(back, sig, sizeof sig);
    assert_false(ec_rs_from_der(back, der, len - 1));
    assert_true(number32(sig, order));
    assert_int_equal(ec_rs_to_der(der, sig), 0);
}

static void more_bytes_for_the_nonce_make_another_signature(void **state)
{
    uint8_t secret[32], digest[32], key[EC_PUBKEY_SIZE], more[32] = { 1 };
    uint8_t plain[EC_SIG_SIZE], other[EC_SIG_SIZE], again[EC_SIG_SIZE];
    (void)state;
    memset(secret, 7, sizeof secret);
    memset(digest, 9, sizeof digest);
    assert_true(ec_pubkey_of(key, secret));
    assert_true(ec_sign_rs(plain, secret, digest));
    assert_true(ec_sign_rs_with(other, secret, digest, more));
    assert_true(ec_sign_rs_with(again, secret, digest, more));
    assert_memory_not_equal(other, plain, sizeof plain);
    assert_memory_equal(other, again, sizeof again);
    assert_true(ec_verify_rs(key, other, digest));
}

static void hashed_agreement_is_the_digest_of_the_point(void **state)
{
    uint8_t a[32], b[32], key_a[EC_PUBKEY_SIZE], key_b[EC_PUBKEY_SIZE], point[EC_PUBKEY_SIZE];
    uint8_t out[32], other[32];
    (void)state;
    memset(a, 3, sizeof a);
    memset(b, 4, sizeof b);
    assert_true(ec_pubkey_of(key_a, a) && ec_pubkey_of(key_b, b));
    assert_true(ec_ecdh_point(point, key_b, sizeof key_b, a));
    sha256(other, point, sizeof point);
    assert_true(ec_ecdh_sha256(out, key_b, a));
    assert_memory_equal(out, other, 32);
    assert_true(ec_ecdh_sha256(out, key_a, b));
    assert_memory_equal(out, other, 32);
    key_a[0] = 4;
    memset(other, 0, sizeof other);
    assert_false(ec_ecdh_sha256(out, key_a, b));
    assert_memory_equal(out, other, 32);
}

static void rfc6979_case(struct json_object *row)
{
    struct buf secret = unhex(json_str(row, "private_key"));
    struct buf r = unhex(json_str(row, "r")), s = unhex(json_str(row, "s"));
    const char *message = json_str(row, "message");
    uint8_t digest[32], sig[EC_SIG_SIZE];
    assert_int_equal(secret.len, 32);
    assert_int_equal(r.len + s.len, EC_SIG_SIZE);
    buf_put(&r, s.data, s.len);
    sha256(digest, message, strlen(message));
    assert_true(ec_sign_rs(sig, secret.data, digest));
    assert_memory_equal(sig, r.data, sizeof sig);
    buf_clear(&secret);
    buf_clear(&r);
    buf_clear(&s);
}

static void signatures_match_their_rfc(void **state)
{
    (void)state;
    struct json_object *file = vector_json("spec/rfc.json");
    struct json_object *rows = json_get(file, "rfc6979_secp256k1_sha256");
    const size_t n = json_object_array_length(rows);
    for (size_t i = 0; i < n; i++)
        rfc6979_case(json_object_array_get_idx(rows, i));
    json_object_put(file);
    vector_report("spec/rfc.json RFC 6979", n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_seen_before_stay_themselves),
        cmocka_unit_test(signatures_match_wycheproof),
        cmocka_unit_test(signatures_match_wycheproof_for_bitcoin),
        cmocka_unit_test(key_agreement_matches_wycheproof),
        cmocka_unit_test(signatures_match_their_rfc),
        cmocka_unit_test(sums_and_products_agree),
        cmocka_unit_test(sums_that_are_no_keys_are_refused),
        cmocka_unit_test(agreement_refuses_what_is_no_key),
        cmocka_unit_test(keys_change_their_form),
        cmocka_unit_test(strict_signatures_have_one_encoding),
        cmocka_unit_test(ecdsa_matches_the_sdk),
        cmocka_unit_test(der_signatures_match_the_sdk),
        cmocka_unit_test(known_public_keys_are_valid),
        cmocka_unit_test(lax_encodings_verify),
        cmocka_unit_test(bad_encodings_do_not_verify),
        cmocka_unit_test(a_cut_signature_does_not_verify),
        cmocka_unit_test(high_s_verifies_and_is_told_apart),
        cmocka_unit_test(numbers_from_the_order_on_never_verify_but_count_as_low),
        cmocka_unit_test(hybrid_keys_verify_when_their_parity_is_right),
        cmocka_unit_test(keys_of_wrong_length_form_or_curve_are_refused),
        cmocka_unit_test(secrets_are_between_one_and_the_order),
        cmocka_unit_test(a_wrong_digest_does_not_verify),
        cmocka_unit_test(signatures_of_two_numbers_verify_in_one_form),
        cmocka_unit_test(signatures_of_two_numbers_go_to_der_and_back),
        cmocka_unit_test(more_bytes_for_the_nonce_make_another_signature),
        cmocka_unit_test(hashed_agreement_is_the_digest_of_the_point),
    };
    return cmocka_run_group_tests(tests, start_ec, NULL);
}
