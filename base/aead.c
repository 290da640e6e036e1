#include "base/aead.h"

#include <openssl/evp.h>

#include "base/intmath.h"
#include "base/mem.h"

enum {
    GCM_IV_MAX = 128,    /* OpenSSL takes no longer ones */
    CHACHA_IV_SIZE = 12,
    PIECE_MAX = 1 << 30, /* OpenSSL counts in int */
};

static bool iv_fits(enum aead_kind kind, size_t len)
{
    if (kind == AEAD_CHACHA20_POLY1305)
        return len == CHACHA_IV_SIZE;
    return len >= 1 && len <= GCM_IV_MAX;
}

static bool start(EVP_CIPHER_CTX *ctx, enum aead_kind kind, const uint8_t *key, struct span iv,
                  bool seal)
{
    const EVP_CIPHER *cipher =
        kind == AEAD_AES_256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    return EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, seal, NULL) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv.len, NULL) == 1 &&
           EVP_CipherInit_ex2(ctx, NULL, key, iv.data, seal, NULL) == 1;
}

/* All of in, which is additional data when out is NULL. */
static bool feed(EVP_CIPHER_CTX *ctx, struct span in, uint8_t *out)
{
    for (size_t at = 0; at < in.len;) {
        const int n = (int)MIN_OF(in.len - at, (size_t)PIECE_MAX);
        int written;
        if (EVP_CipherUpdate(ctx, out ? out + at : NULL, &written, in.data + at, n) != 1)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Neither mode has bytes left to write at the end; OpenSSL wants a place for them all the same. */
static bool finish(EVP_CIPHER_CTX *ctx)
{
    uint8_t rest[EVP_MAX_BLOCK_LENGTH];
    int written;
    return EVP_CipherFinal_ex(ctx, rest, &written) == 1;
}

bool aead_seal(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
               struct span aad, struct span plain, uint8_t *out)
{
    if (!iv_fits(kind, iv.len))
        return false;
    EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)xcheck(EVP_CIPHER_CTX_new());
    const bool ok =
        start(ctx, kind, key, iv, true) && feed(ctx, aad, NULL) && feed(ctx, plain, out) &&
        finish(ctx) &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + plain.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool aead_open(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
               struct span aad, struct span sealed, uint8_t *out)
{
    if (sealed.len < AEAD_TAG_SIZE)
        return false;
    const struct span text = span_of(sealed.data, sealed.len - AEAD_TAG_SIZE);
    uint8_t tag[AEAD_TAG_SIZE];
    memcpy(tag, sealed.data + text.len, sizeof tag);
    EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)xcheck(EVP_CIPHER_CTX_new());
    const bool ok = iv_fits(kind, iv.len) && start(ctx, kind, key, iv, false) &&
                    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
                    feed(ctx, aad, NULL) && feed(ctx, text, out) && finish(ctx);
    EVP_CIPHER_CTX_free(ctx);
    if (!ok)
        secure_wipe(out, text.len);
    return ok;
}

/* OpenSSL's context is the whole of it. */
static EVP_CIPHER_CTX *inner(struct aead_ctx *c)
{
    return (EVP_CIPHER_CTX *)(void *)c;
}

struct aead_ctx *aead_ctx_new(enum aead_use use)
{
    EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)xcheck(EVP_CIPHER_CTX_new());
    BUG_ON(EVP_CipherInit_ex2(ctx, EVP_chacha20_poly1305(), NULL, NULL, use == AEAD_SEAL, NULL) !=
           1);
    return (struct aead_ctx *)(void *)ctx;
}

void aead_ctx_free(struct aead_ctx *c)
{
    EVP_CIPHER_CTX_free(inner(c));
}

void aead_ctx_set_key(struct aead_ctx *c, const uint8_t key[AEAD_KEY_SIZE])
{
    BUG_ON(EVP_CipherInit_ex2(inner(c), NULL, key, NULL, -1, NULL) != 1);
}

bool aead_ctx_seal(struct aead_ctx *c, const uint8_t iv[12], struct span plain, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = inner(c);
    return EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) == 1 && feed(ctx, plain, out) &&
           finish(ctx) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, out + plain.len) == 1;
}

bool aead_ctx_open(struct aead_ctx *c, const uint8_t iv[12], struct span sealed, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = inner(c);
    uint8_t tag[AEAD_TAG_SIZE];
    if (sealed.len < sizeof tag)
        return false;
    const struct span text = span_of(sealed.data, sealed.len - sizeof tag);
    memcpy(tag, sealed.data + text.len, sizeof tag);
    const bool ok = EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) == 1 &&
                    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1 &&
                    feed(ctx, text, out) && finish(ctx);
    if (!ok)
        secure_wipe(out, text.len);
    return ok;
}
