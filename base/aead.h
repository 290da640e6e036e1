/*
 * Authenticated encryption with 32-byte keys. Sealing gives the ciphertext, as long as the plain
 * text, and a tag behind it. Whoever seals twice under one key with the same IV loses both
 * secrecy and authenticity: the caller draws or counts IVs. Pure functions, any thread.
 */
#ifndef BASE_AEAD_H
#define BASE_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define AEAD_KEY_SIZE 32
#define AEAD_TAG_SIZE 16

enum aead_kind {
    AEAD_AES_256_GCM,       /* NIST SP 800-38D; IV of 1 to 128 bytes */
    AEAD_CHACHA20_POLY1305, /* RFC 8439; IV of 12 bytes */
};

/*
 * Writes plain.len + AEAD_TAG_SIZE bytes to out. False, with nothing of use in out, when the IV has
 * a length the kind does not take.
 */
bool aead_seal(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
               struct span aad, struct span plain, uint8_t *out) MUST_CHECK;
/*
 * Writes sealed.len - AEAD_TAG_SIZE bytes to out. False, with zeros in out, when the tag is not
 * that of these bytes, IV, AAD and key, or the lengths cannot be right.
 * In both functions out may be the input itself but not another part of it.
 */
bool aead_open(enum aead_kind kind, const uint8_t key[AEAD_KEY_SIZE], struct span iv,
               struct span aad, struct span sealed, uint8_t *out) MUST_CHECK;

/*
 * One key used many times: the context is made once, and sealing or opening allocates nothing. For
 * one direction; not for two threads at once. Lengths below 2^31, no additional data; out is the
 * input or does not touch it.
 */
struct aead_ctx;
enum aead_use { AEAD_SEAL, AEAD_OPEN };

struct aead_ctx *aead_ctx_new(enum aead_use use); /* ChaCha20-Poly1305 */
void aead_ctx_free(struct aead_ctx *c); /* wipes the key; NULL is fine */
/* Before anything else, and whenever the key changes; the old one is overwritten. */
void aead_ctx_set_key(struct aead_ctx *c, const uint8_t key[AEAD_KEY_SIZE]);
/* Writes plain.len + AEAD_TAG_SIZE bytes. */
bool aead_ctx_seal(struct aead_ctx *c, const uint8_t iv[12], struct span plain,
                   uint8_t *out) MUST_CHECK;
/* As aead_open. */
bool aead_ctx_open(struct aead_ctx *c, const uint8_t iv[12], struct span sealed,
                   uint8_t *out) MUST_CHECK;

#endif
