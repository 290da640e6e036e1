#include "base/ec.h"

#include <pthread.h>
#include <secp256k1.h>
#include <secp256k1_ecdh.h>
#include <secp256k1_recovery.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/rand.h"
#include "base/reader.h"

static secp256k1_context *context;

static void create_context(void)
{
    uint8_t seed[32];
    context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    BUG_ON(!context);
    rand_bytes(seed, sizeof seed);
    /* Blinds the multiplications with secrets; verification does not depend on it. */
    BUG_ON(!secp256k1_context_randomize(context, seed));
    secure_wipe(seed, sizeof seed);
}

void ec_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, create_context);
}

/*
 * A length of lax DER: one byte, or 80 + k and k bytes, where zeros may lead. Four or more bytes
 * that count are refused: no signature is that long. 0 with r->failed set when it is cut off.
 */
static size_t read_lax_length(struct reader *r)
{
    size_t first = read_u8(r), len = 0;
    if (!(first & 0x80))
        return first;
    struct reader digits;
    size_t n = first & 0x7f;
    const uint8_t *p = read_bytes(r, n);
    if (!p)
        return 0;
    for (reader_init(&digits, p, n); digits.left && *digits.p == 0;)
        read_u8(&digits);
    if (digits.left > 3) {
        r->failed = true;
        return 0;
    }
    while (digits.left)
        len = len << 8 | read_u8(&digits);
    return len;
}

/* An INTEGER as 32 bytes big-endian; negative ones are read as if unsigned. False when longer. */
static bool read_lax_integer(struct reader *r, uint8_t out[32])
{
    if (read_u8(r) != 0x02)
        r->failed = true;
    size_t len = read_lax_length(r);
    const uint8_t *p = read_bytes(r, len);
    if (!p)
        return true; /* the caller looks at r->failed */
    while (len && *p == 0) {
        p++;
        len--;
    }
    if (len > 32)
        return false;
    memcpy(out + 32 - len, p, len);
    return true;
}

/*
 * Spec consensus 4.7 and 7.1: as the parser that Bitcoin used before BIP66 let signatures pass. The
 * length of the sequence is not looked at and what follows S is ignored. False when this is no
 * signature at all; an R or S that is too large makes a signature of zeros, which never verifies.
 */
static bool parse_lax(secp256k1_ecdsa_signature *out, const uint8_t *sig, size_t sig_len)
{
    static const uint8_t zero[64];
    uint8_t rs[64] = { 0 };
    struct reader r;
    reader_init(&r, sig, sig_len);
    if (read_u8(&r) != 0x30)
        return false;
    size_t skip = read_u8(&r);
    if (skip & 0x80)
        read_bytes(&r, skip & 0x7f);
    bool fits = read_lax_integer(&r, rs);
    fits = read_lax_integer(&r, rs + 32) && fits;
    if (r.failed)
        return false;
    if (!fits || !secp256k1_ecdsa_signature_parse_compact(context, out, rs))
        BUG_ON(!secp256k1_ecdsa_signature_parse_compact(context, out, zero));
    return true;
}

/*
 * Compressed keys parsed lately, a table for each thread: decompressing one takes a square root, a
 * tenth of a verification, and people use their addresses more than once. A slot holds one key and
 * is compared in full.
 */
#define KEY_SLOTS 512

struct parsed_key {
    uint8_t bytes[EC_PUBKEY_SIZE]; /* first byte 0: free */
    secp256k1_pubkey key;
};
static _Thread_local struct parsed_key recent_keys[KEY_SLOTS];

static bool parse_compressed(secp256k1_pubkey *out, const uint8_t *key)
{
    struct parsed_key *slot = &recent_keys[le16_get(key + 1) % KEY_SLOTS];
    if (!mem_equal_var(slot->bytes, key, EC_PUBKEY_SIZE)) {
        slot->bytes[0] = 0;
        if (!secp256k1_ec_pubkey_parse(context, &slot->key, key, EC_PUBKEY_SIZE))
            return false;
        memcpy(slot->bytes, key, EC_PUBKEY_SIZE);
    }
    *out = slot->key;
    return true;
}

/* An empty key may come without an address, which the library takes for a bug of its caller. */
static bool parse_key(secp256k1_pubkey *out, const uint8_t *key, size_t key_len)
{
    if (key_len == EC_PUBKEY_SIZE && (key[0] == 2 || key[0] == 3))
        return parse_compressed(out, key);
    return key_len && secp256k1_ec_pubkey_parse(context, out, key, key_len);
}

bool ec_verify_lax(const uint8_t *key, size_t key_len, const uint8_t *sig, size_t sig_len,
                   const uint8_t digest[32])
{
    secp256k1_pubkey pubkey;
    secp256k1_ecdsa_signature s;
    if (!parse_lax(&s, sig, sig_len) || !parse_key(&pubkey, key, key_len))
        return false;
    /* libsecp256k1 takes only the low one of S and n - S; Bitcoin takes both. */
    secp256k1_ecdsa_signature_normalize(context, &s, &s);
    return secp256k1_ecdsa_verify(context, &s, digest, &pubkey) == 1;
}

bool ec_verify_der(const uint8_t *key, size_t key_len, const uint8_t *sig, size_t sig_len,
                   const uint8_t digest[32])
{
    secp256k1_pubkey pubkey;
    secp256k1_ecdsa_signature s;
    if (!sig_len || !secp256k1_ecdsa_signature_parse_der(context, &s, sig, sig_len) ||
        !parse_key(&pubkey, key, key_len))
        return false;
    secp256k1_ecdsa_signature_normalize(context, &s, &s);
    return secp256k1_ecdsa_verify(context, &s, digest, &pubkey) == 1;
}

bool ec_sig_is_low_s(const uint8_t *sig, size_t sig_len)
{
    secp256k1_ecdsa_signature s;
    return parse_lax(&s, sig, sig_len) &&
           !secp256k1_ecdsa_signature_normalize(context, NULL, &s);
}

bool ec_pubkey_valid(const uint8_t *key, size_t key_len)
{
    secp256k1_pubkey pubkey;
    return parse_key(&pubkey, key, key_len);
}

bool ec_seckey_valid(const uint8_t secret[32])
{
    return secp256k1_ec_seckey_verify(context, secret) == 1;
}

static size_t write_key(uint8_t out[65], const secp256k1_pubkey *key, bool compressed)
{
    size_t len = 65;
    unsigned form = compressed ? SECP256K1_EC_COMPRESSED : SECP256K1_EC_UNCOMPRESSED;
    secp256k1_ec_pubkey_serialize(context, out, &len, key, form);
    return len;
}

/* Without the hybrid forms, which only scripts may hold. */
static bool parse_plain_key(secp256k1_pubkey *out, const uint8_t *key, size_t key_len)
{
    return key_len && key[0] <= 4 && parse_key(out, key, key_len);
}

size_t ec_pubkey_convert(uint8_t out[65], const uint8_t *key, size_t key_len, bool compressed)
{
    secp256k1_pubkey pubkey;
    return parse_plain_key(&pubkey, key, key_len) ? write_key(out, &pubkey, compressed) : 0;
}

size_t ec_pubkey_create(uint8_t out[65], const uint8_t secret[32], bool compressed)
{
    secp256k1_pubkey pubkey;
    if (!secp256k1_ec_pubkey_create(context, &pubkey, secret))
        return 0;
    return write_key(out, &pubkey, compressed);
}

bool ec_pubkey_of(uint8_t out[EC_PUBKEY_SIZE], const uint8_t secret[32])
{
    uint8_t key[65] = { 0 };
    const bool ok = ec_pubkey_create(key, secret, true) != 0;
    memcpy(out, key, EC_PUBKEY_SIZE);
    return ok;
}

bool ec_seckey_tweak_add(uint8_t secret[32], const uint8_t tweak[32])
{
    if (secp256k1_ec_seckey_tweak_add(context, secret, tweak))
        return true;
    secure_wipe(secret, 32);
    return false;
}

/* The library's own sum takes its time by the bits of the tweak, which may be secret. */
static bool add_point_of(secp256k1_pubkey *sum, const secp256k1_pubkey *key,
                         const uint8_t tweak[32])
{
    static const uint8_t zero[32];
    secp256k1_pubkey point;
    const secp256k1_pubkey *const both[] = { key, &point };
    if (secp256k1_ec_pubkey_create(context, &point, tweak))
        return secp256k1_ec_pubkey_combine(context, sum, both, 2);
    *sum = *key;
    return ct_equal(tweak, zero, sizeof zero);
}

bool ec_pubkey_tweak_add(uint8_t key[EC_PUBKEY_SIZE], const uint8_t tweak[32])
{
    secp256k1_pubkey pubkey, sum;
    uint8_t out[65];
    if (parse_key(&pubkey, key, EC_PUBKEY_SIZE) && add_point_of(&sum, &pubkey, tweak)) {
        write_key(out, &sum, true);
        memcpy(key, out, EC_PUBKEY_SIZE);
        return true;
    }
    memset(key, 0, EC_PUBKEY_SIZE);
    return false;
}

/* What secp256k1_ecdh does with the point: here, no hash. */
static int put_point(unsigned char *out, const unsigned char *x, const unsigned char *y, void *ctx)
{
    (void)ctx;
    out[0] = 2 | (y[31] & 1);
    memcpy(out + 1, x, 32);
    return 1;
}

bool ec_ecdh_point(uint8_t out[EC_PUBKEY_SIZE], const uint8_t *key, size_t key_len,
                   const uint8_t secret[32])
{
    secp256k1_pubkey pubkey;
    if (parse_plain_key(&pubkey, key, key_len) &&
        secp256k1_ecdh(context, out, &pubkey, secret, put_point, NULL))
        return true;
    memset(out, 0, EC_PUBKEY_SIZE);
    return false;
}

bool ec_ecdh_x(uint8_t out[32], const uint8_t *key, size_t key_len, const uint8_t secret[32])
{
    uint8_t point[EC_PUBKEY_SIZE];
    const bool ok = ec_ecdh_point(point, key, key_len, secret);
    memcpy(out, point + 1, 32);
    secure_wipe(point, sizeof point);
    return ok;
}

bool ec_ecdh_sha256(uint8_t out[32], const uint8_t key[EC_PUBKEY_SIZE], const uint8_t secret[32])
{
    secp256k1_pubkey pubkey;
    if (parse_key(&pubkey, key, EC_PUBKEY_SIZE) &&
        secp256k1_ecdh(context, out, &pubkey, secret, NULL, NULL))
        return true;
    memset(out, 0, 32);
    return false;
}

size_t ec_sign_der(uint8_t out[72], const uint8_t secret[32], const uint8_t digest[32])
{
    secp256k1_ecdsa_signature s;
    size_t len = 72;
    if (!secp256k1_ecdsa_sign(context, &s, digest, secret, NULL, NULL) ||
        !secp256k1_ecdsa_signature_serialize_der(context, out, &len, &s))
        return 0;
    return len;
}

/* more: NULL, or 32 bytes. */
static bool sign_rs(uint8_t out[EC_SIG_SIZE], const uint8_t secret[32], const uint8_t digest[32],
                    const uint8_t *more)
{
    secp256k1_ecdsa_signature s;
    if (!secp256k1_ecdsa_sign(context, &s, digest, secret, secp256k1_nonce_function_rfc6979, more))
        return false;
    secp256k1_ecdsa_signature_serialize_compact(context, out, &s);
    return true;
}

bool ec_sign_rs(uint8_t out[EC_SIG_SIZE], const uint8_t secret[32], const uint8_t digest[32])
{
    return sign_rs(out, secret, digest, NULL);
}

bool ec_sign_rs_with(uint8_t out[EC_SIG_SIZE], const uint8_t secret[32], const uint8_t digest[32],
                     const uint8_t more[32])
{
    return sign_rs(out, secret, digest, more);
}

size_t ec_rs_to_der(uint8_t out[72], const uint8_t sig[EC_SIG_SIZE])
{
    secp256k1_ecdsa_signature s;
    size_t len = 72;
    if (!secp256k1_ecdsa_signature_parse_compact(context, &s, sig) ||
        !secp256k1_ecdsa_signature_serialize_der(context, out, &len, &s))
        return 0;
    return len;
}

bool ec_rs_from_der(uint8_t out[EC_SIG_SIZE], const uint8_t *der, size_t len)
{
    secp256k1_ecdsa_signature s;
    if (!secp256k1_ecdsa_signature_parse_der(context, &s, der, len))
        return false;
    secp256k1_ecdsa_signature_serialize_compact(context, out, &s);
    return true;
}

bool ec_verify_rs(const uint8_t key[EC_PUBKEY_SIZE], const uint8_t sig[EC_SIG_SIZE],
                  const uint8_t digest[32])
{
    secp256k1_pubkey pubkey;
    secp256k1_ecdsa_signature s;
    return parse_key(&pubkey, key, EC_PUBKEY_SIZE) &&
           secp256k1_ecdsa_signature_parse_compact(context, &s, sig) &&
           secp256k1_ecdsa_verify(context, &s, digest, &pubkey) == 1;
}

#define COMPACT_FIRST 27
#define COMPACT_SHORT_KEY 4

bool ec_sign_compact(uint8_t out[EC_COMPACT_SIZE], const uint8_t secret[32], bool compressed,
                     const uint8_t digest[32])
{
    secp256k1_ecdsa_recoverable_signature s;
    int id;
    if (!secp256k1_ecdsa_sign_recoverable(context, &s, digest, secret, NULL, NULL))
        return false;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(context, out + 1, &id, &s);
    out[0] = (uint8_t)(COMPACT_FIRST + id + (compressed ? COMPACT_SHORT_KEY : 0));
    return true;
}

/* As the reference: of the first byte only three bits are looked at. */
size_t ec_recover_compact(uint8_t key[65], const uint8_t sig[EC_COMPACT_SIZE],
                          const uint8_t digest[32])
{
    secp256k1_ecdsa_recoverable_signature s;
    secp256k1_pubkey pubkey;
    unsigned first = (unsigned)sig[0] - COMPACT_FIRST;
    if (!secp256k1_ecdsa_recoverable_signature_parse_compact(context, &s, sig + 1,
                                                             (int)(first & 3)) ||
        !secp256k1_ecdsa_recover(context, &pubkey, &s, digest))
        return 0;
    return write_key(key, &pubkey, first & COMPACT_SHORT_KEY);
}
