/*
 * OpenSSL's low-level functions, deprecated in 3.0, are used on purpose: they work on a struct of
 * the caller. An EVP call fetches the algorithm and allocates a context each time, which costs
 * several times the hashing of a block header. The block functions behind both are the same.
 *
 * Inputs whose size is fixed (headers, pairs of nodes, digests) skip the buffering: their padded
 * blocks are laid out by hand and go to the compression function directly.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/hash.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/ripemd.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/bytes.h"

_Static_assert(sizeof(struct sha256) == sizeof(SHA256_CTX), "struct sha256 holds a SHA256_CTX");
_Static_assert(_Alignof(struct sha256) == _Alignof(SHA256_CTX), "and is aligned like one");

#define SHA256_BLOCK 64
#define SHA512_BLOCK 128

static SHA256_CTX *inner(struct sha256 *ctx)
{
    return (SHA256_CTX *)(void *)ctx;
}

void sha256_init(struct sha256 *ctx)
{
    SHA256_Init(inner(ctx));
}

void sha256_update(struct sha256 *ctx, const void *data, size_t len)
{
    SHA256_Update(inner(ctx), data, len);
}

void sha256_final(struct sha256 *ctx, uint8_t out[32])
{
    SHA256_Final(out, inner(ctx));
}

/* Writes the padding of a message of total bytes behind the used bytes of its last block. */
static void pad_block(uint8_t block[SHA256_BLOCK], size_t used, uint32_t total)
{
    block[used] = 0x80;
    memset(block + used + 1, 0, SHA256_BLOCK - 4 - (used + 1));
    be32_put(block + SHA256_BLOCK - 4, total * 8);
}

static void put_state(uint8_t out[32], const SHA256_CTX *c)
{
    for (int i = 0; i < 8; i++)
        be32_put(out + 4 * i, c->h[i]);
}

/* Hash of exactly 32 bytes: one block. out may be digest. */
static void sha256_of_digest(uint8_t out[32], const uint8_t digest[32])
{
    uint8_t block[SHA256_BLOCK];
    memcpy(block, digest, 32);
    pad_block(block, 32, 32);
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Transform(&c, block);
    put_state(out, &c);
}

/* SHA256d of 64 to 119 bytes: one whole block and one with the padding. */
static void sha256d_two_blocks(uint8_t out[32], const uint8_t *data, size_t len)
{
    uint8_t tail[SHA256_BLOCK], digest[32];
    memcpy(tail, data + SHA256_BLOCK, len - SHA256_BLOCK);
    pad_block(tail, len - SHA256_BLOCK, (uint32_t)len);
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Transform(&c, data);
    SHA256_Transform(&c, tail);
    put_state(digest, &c);
    sha256_of_digest(out, digest);
}

void sha256d_final(struct sha256 *ctx, uint8_t out[32])
{
    uint8_t digest[32];
    sha256_final(ctx, digest);
    sha256_of_digest(out, digest);
}

void sha256(uint8_t out[32], const void *data, size_t len)
{
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, data, len);
    SHA256_Final(out, &c);
}

void sha256_init_tagged(struct sha256 *ctx, const char *tag)
{
    uint8_t digest[32];
    sha256(digest, tag, strlen(tag));
    sha256_init(ctx);
    sha256_update(ctx, digest, sizeof digest);
    sha256_update(ctx, digest, sizeof digest);
}

void sha256_tagged(uint8_t out[32], const char *tag, const void *data, size_t len)
{
    struct sha256 ctx;
    sha256_init_tagged(&ctx, tag);
    sha256_update(&ctx, data, len);
    sha256_final(&ctx, out);
}

void sha256d(uint8_t out[32], const void *data, size_t len)
{
    if (len >= SHA256_BLOCK && len < 2 * SHA256_BLOCK - 8) {
        sha256d_two_blocks(out, (const uint8_t *)data, len);
        return;
    }
    uint8_t digest[32];
    sha256(digest, data, len);
    sha256_of_digest(out, digest);
}

void sha256d_pair(uint8_t out[32], const uint8_t left[32], const uint8_t right[32])
{
    uint8_t both[64];
    memcpy(both, left, 32);
    memcpy(both + 32, right, 32);
    sha256d_two_blocks(out, both, sizeof both);
}

void sha1(uint8_t out[20], const void *data, size_t len)
{
    SHA_CTX c;
    SHA1_Init(&c);
    SHA1_Update(&c, data, len);
    SHA1_Final(out, &c);
}

void ripemd160(uint8_t out[20], const void *data, size_t len)
{
    RIPEMD160_CTX c;
    RIPEMD160_Init(&c);
    RIPEMD160_Update(&c, data, len);
    RIPEMD160_Final(out, &c);
}

void hash160(uint8_t out[20], const void *data, size_t len)
{
    uint8_t digest[32];
    sha256(digest, data, len);
    ripemd160(out, digest, sizeof digest);
}

void sha512(uint8_t out[64], const void *data, size_t len)
{
    SHA512_CTX c;
    SHA512_Init(&c);
    SHA512_Update(&c, data, len);
    SHA512_Final(out, &c);
}

/* The digest of two pieces in a row, which may hold keys. */
typedef void (*hash_two_fn)(uint8_t *out, const void *a, size_t a_len, const void *b, size_t b_len);

static void sha256_two(uint8_t *out, const void *a, size_t a_len, const void *b, size_t b_len)
{
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, a, a_len);
    SHA256_Update(&c, b, b_len);
    SHA256_Final(out, &c);
    secure_wipe(&c, sizeof c);
}

static void sha512_two(uint8_t *out, const void *a, size_t a_len, const void *b, size_t b_len)
{
    SHA512_CTX c;
    SHA512_Init(&c);
    SHA512_Update(&c, a, a_len);
    SHA512_Update(&c, b, b_len);
    SHA512_Final(out, &c);
    secure_wipe(&c, sizeof c);
}

struct hmac_hash {
    hash_two_fn hash;
    size_t block, size; /* bytes of a block and of the digest */
};

/* RFC 2104. A key longer than a block is replaced by its digest. */
static void hmac(const struct hmac_hash *h, uint8_t *out, struct span key, struct span data)
{
    uint8_t ipad[SHA512_BLOCK] = { 0 }, opad[SHA512_BLOCK], digest[64];
    if (key.len > h->block)
        h->hash(ipad, key.data, key.len, NULL, 0);
    else if (key.len)
        memcpy(ipad, key.data, key.len);
    for (size_t i = 0; i < h->block; i++) {
        opad[i] = ipad[i] ^ 0x5c;
        ipad[i] ^= 0x36;
    }
    h->hash(digest, ipad, h->block, data.data, data.len);
    h->hash(out, opad, h->block, digest, h->size);
    secure_wipe(ipad, sizeof ipad);
    secure_wipe(opad, sizeof opad);
    secure_wipe(digest, sizeof digest);
}

void hmac_sha256(uint8_t out[32], const void *key, size_t key_len, const void *data, size_t len)
{
    static const struct hmac_hash h = { sha256_two, SHA256_BLOCK, 32 };
    hmac(&h, out, span_of(key, key_len), span_of(data, len));
}

void hmac_sha512(uint8_t out[64], const void *key, size_t key_len, const void *data, size_t len)
{
    static const struct hmac_hash h = { sha512_two, SHA512_BLOCK, 64 };
    hmac(&h, out, span_of(key, key_len), span_of(data, len));
}

bool pbkdf2_hmac_sha512(void *out, size_t out_len, struct span password, struct span salt,
                        uint32_t rounds)
{
    static const char none[1] = "";
    if (password.len > INT_MAX || salt.len > INT_MAX || out_len > INT_MAX || rounds > INT_MAX)
        return false;
    const char *text = password.len ? (const char *)password.data : none;
    return PKCS5_PBKDF2_HMAC(text, (int)password.len, salt.data, (int)salt.len, (int)rounds,
                             EVP_sha512(), (int)out_len, out) == 1;
}
