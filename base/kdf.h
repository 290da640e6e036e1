/*
 * Keys from passphrases and from other keys (PBKDF2 is in base/hash.h). scrypt is slow on purpose,
 * tens of milliseconds to seconds: not on the loop thread. Any thread.
 */
#ifndef BASE_KDF_H
#define BASE_KDF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct scrypt_params {
    uint64_t n; /* cost: a power of two from 2 on */
    uint32_t r; /* block size in units of 128 bytes */
    uint32_t p; /* how often, one after the other */
};

/*
 * Whether the parameters are ones scrypt (RFC 7914) takes and 128 * n * r * p, the bytes it works
 * over, is at most max_bytes: that bounds its memory and its time. Parameters that come from a file
 * are checked before use. ERR_RANGE.
 */
enum err scrypt_check(const struct scrypt_params *params, uint64_t max_bytes,
                      struct error *e) MUST_CHECK;
/* Checks, then derives out_len bytes. ERR_RANGE, or ERR_NOMEM when the memory is not to be had. */
enum err scrypt_derive(uint8_t *out, size_t out_len, const struct scrypt_params *params,
                       uint64_t max_bytes, struct span passphrase, struct span salt,
                       struct error *e) MUST_CHECK;

/* RFC 5869: extract and expand. False when more than 255 * 32 bytes are asked for. */
bool hkdf_sha256(uint8_t *out, size_t out_len, struct span salt, struct span ikm,
                 struct span info) MUST_CHECK;

#endif
