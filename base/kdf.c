#include "base/kdf.h"

#include <inttypes.h>
#include <openssl/evp.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/intmath.h"

enum {
    SCRYPT_UNIT = 128,            /* bytes of a block for r = 1 */
    SCRYPT_RP_MAX = (1 << 30) - 1, /* RFC 7914, 6 */
    HKDF_HASH = 32,
    HKDF_OUT_MAX = 255 * HKDF_HASH,
};

/* Bytes scrypt works over, saturating. */
static uint64_t scrypt_bytes(const struct scrypt_params *s)
{
    uint64_t bytes;
    if (!mul_u64(s->n, (uint64_t)s->r * s->p, &bytes) || !mul_u64(bytes, SCRYPT_UNIT, &bytes))
        return UINT64_MAX;
    return bytes;
}

enum err scrypt_check(const struct scrypt_params *s, uint64_t max_bytes, struct error *e)
{
    if (s->n < 2 || (s->n & (s->n - 1)) != 0)
        return error_set(e, ERR_RANGE, "scrypt: N = %" PRIu64 " is no power of two", s->n);
    if (s->r == 0 || s->p == 0 || (uint64_t)s->r * s->p > SCRYPT_RP_MAX)
        return error_set(e, ERR_RANGE, "scrypt: r = %" PRIu32 ", p = %" PRIu32 " is out of range",
                         s->r, s->p);
    /* N below 2^(128 r / 8), of interest for r = 1 to 3 */
    if (s->r < 4 && s->n >> (16 * s->r) != 0)
        return error_set(e, ERR_RANGE, "scrypt: N = %" PRIu64 " is too large for r = %" PRIu32,
                         s->n, s->r);
    if (scrypt_bytes(s) > max_bytes)
        return error_set(e, ERR_RANGE,
                         "scrypt: N = %" PRIu64 ", r = %" PRIu32 ", p = %" PRIu32
                         " work over more than %" PRIu64 " bytes", s->n, s->r, s->p, max_bytes);
    return OK;
}

enum err scrypt_derive(uint8_t *out, size_t out_len, const struct scrypt_params *s,
                       uint64_t max_bytes, struct span passphrase, struct span salt,
                       struct error *e)
{
    enum err rc = scrypt_check(s, max_bytes, e);
    if (rc)
        return rc;
    /* What OpenSSL takes beside the table of N blocks is less than three times what was checked. */
    uint64_t room;
    if (!mul_u64(scrypt_bytes(s), 4, &room) || room > SIZE_MAX)
        room = SIZE_MAX;
    if (EVP_PBE_scrypt((const char *)passphrase.data, passphrase.len, salt.data, salt.len, s->n,
                       s->r, s->p, room, out, out_len) != 1)
        return error_set(e, ERR_NOMEM, "no memory for scrypt with N = %" PRIu64, s->n);
    return OK;
}

/* The blocks T(i) = HMAC(prk, T(i-1) | info | i) in a row. */
static void hkdf_expand(uint8_t *out, size_t out_len, const uint8_t prk[HKDF_HASH],
                        struct span info)
{
    struct buf in;
    uint8_t t[HKDF_HASH];
    buf_init(&in);
    buf_reserve(&in, sizeof t + info.len + 1);
    for (size_t at = 0, i = 1; at < out_len; at += sizeof t, i++) {
        buf_reset(&in);
        buf_put(&in, t, i == 1 ? 0 : sizeof t);
        buf_put(&in, info.data, info.len);
        buf_put_u8(&in, (uint8_t)i);
        hmac_sha256(t, prk, HKDF_HASH, in.data, in.len);
        memcpy(out + at, t, MIN_OF(sizeof t, out_len - at));
    }
    secure_wipe(t, sizeof t);
    buf_wipe(&in);
}

bool hkdf_sha256(uint8_t *out, size_t out_len, struct span salt, struct span ikm, struct span info)
{
    if (out_len > HKDF_OUT_MAX)
        return false;
    uint8_t prk[HKDF_HASH];
    hmac_sha256(prk, salt.data, salt.len, ikm.data, ikm.len);
    hkdf_expand(out, out_len, prk, info);
    secure_wipe(prk, sizeof prk);
    return true;
}
