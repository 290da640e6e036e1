#include "wallet/brc2.h"

#include <string.h>

#include "base/aead.h"
#include "base/hash.h"
#include "base/rand.h"
#include "wallet/brc42.h"

#define IV_SIZE (BRC2_OVERHEAD - AEAD_TAG_SIZE)

static enum err make_key(uint8_t key[32], const uint8_t own[32], const struct brc42_party *party,
                         struct span invoice, struct error *e)
{
    if (brc42_symmetric_key(key, own, party, invoice))
        return OK;
    return error_set(e, ERR_RANGE, "one of the two keys is no key");
}

/* Room for len bytes at the end of out, which the caller fills. */
static enum err make_room(struct buf *out, size_t len, struct error *e)
{
    if (buf_try_reserve(out, len))
        return OK;
    return error_set(e, ERR_NOMEM, "no memory for a message of %zu bytes", len);
}

enum err brc2_encrypt(struct buf *out, const uint8_t own[32], const struct brc42_party *party,
                      struct span invoice, struct span plain, struct error *e)
{
    uint8_t key[32], fresh[IV_SIZE];
    if (plain.len == 0)
        return error_set(e, ERR_RANGE, "there is nothing to encrypt");
    if (plain.len > SIZE_MAX - BRC2_OVERHEAD)
        return error_set(e, ERR_NOMEM, "no memory for a message of %zu bytes", plain.len);
    enum err rc = make_room(out, plain.len + BRC2_OVERHEAD, e);
    if (!rc)
        rc = make_key(key, own, party, invoice, e);
    if (!rc)
        rc = rand_secret(fresh, sizeof fresh, e);
    if (!rc) {
        uint8_t *iv = buf_extend(out, plain.len + BRC2_OVERHEAD);
        memcpy(iv, fresh, IV_SIZE);
        BUG_ON(!aead_seal(AEAD_AES_256_GCM, key, span_of(iv, IV_SIZE), span_of(NULL, 0), plain,
                          iv + IV_SIZE));
    }
    secure_wipe(key, sizeof key);
    return rc;
}

enum err brc2_decrypt(struct buf *out, const uint8_t own[32], const struct brc42_party *party,
                      struct span invoice, struct span sealed, struct error *e)
{
    uint8_t key[32];
    if (sealed.len < BRC2_OVERHEAD)
        return error_set(e, ERR_AUTH, "the message is cut off");
    const size_t len = sealed.len - BRC2_OVERHEAD;
    enum err rc = make_room(out, len + 1, e); /* never without memory to point at */
    if (!rc)
        rc = make_key(key, own, party, invoice, e);
    if (!rc && !aead_open(AEAD_AES_256_GCM, key, span_of(sealed.data, IV_SIZE), span_of(NULL, 0),
                          span_of(sealed.data + IV_SIZE, sealed.len - IV_SIZE),
                          out->data + out->len))
        rc = error_set(e, ERR_AUTH, "the message was changed, or is not of these two keys");
    if (!rc)
        out->len += len;
    secure_wipe(key, sizeof key);
    return rc;
}

size_t brc3_sign(uint8_t out[72], const uint8_t own[32], const struct brc42_party *party,
                 struct span invoice, struct span data)
{
    uint8_t secret[32], digest[32];
    sha256(digest, data.data, data.len);
    const bool ok = brc42_own_secret(secret, own, party, invoice);
    const size_t len = ok ? ec_sign_der(out, secret, digest) : 0;
    secure_wipe(secret, sizeof secret);
    return len;
}

bool brc3_verify(const uint8_t own[32], const struct brc42_party *party, struct span invoice,
                 struct span data, struct span sig)
{
    uint8_t key[EC_PUBKEY_SIZE], digest[32];
    sha256(digest, data.data, data.len);
    return brc42_their_key(key, own, party, invoice) &&
           ec_verify_der(key, sizeof key, sig.data, sig.len, digest);
}
