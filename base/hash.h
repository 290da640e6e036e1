/*
 * Digests. The streaming SHA-256 lives in the caller's struct: no allocation, no fetch, so that it
 * can run for every header and transaction. Any thread (a struct belongs to one at a time).
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct sha256 { uint32_t state[28]; };

void sha256_init(struct sha256 *ctx);
void sha256_update(struct sha256 *ctx, const void *data, size_t len);
void sha256_final(struct sha256 *ctx, uint8_t out[32]);
/* Finishes and hashes the digest once more: SHA256(SHA256(data)). */
void sha256d_final(struct sha256 *ctx, uint8_t out[32]);

/* Begins SHA256(SHA256(tag) | SHA256(tag) | what follows): digests of one use are none of
 * another. */
void sha256_init_tagged(struct sha256 *ctx, const char *tag);

void sha256(uint8_t out[32], const void *data, size_t len);
void sha256_tagged(uint8_t out[32], const char *tag, const void *data, size_t len);
void sha256d(uint8_t out[32], const void *data, size_t len);
/* SHA256d of two 32-byte nodes, the step of a Merkle tree. out may be one of them. */
void sha256d_pair(uint8_t out[32], const uint8_t left[32], const uint8_t right[32]);
void sha1(uint8_t out[20], const void *data, size_t len);
void ripemd160(uint8_t out[20], const void *data, size_t len);
void hash160(uint8_t out[20], const void *data, size_t len);
void sha512(uint8_t out[64], const void *data, size_t len);
void hmac_sha256(uint8_t out[32], const void *key, size_t key_len, const void *data, size_t len);
void hmac_sha512(uint8_t out[64], const void *key, size_t key_len, const void *data, size_t len);
/*
 * Key stretching (RFC 8018). False when memory is short or OpenSSL refuses; out is then undefined.
 * It takes its time: rounds times two digests for each 64 bytes.
 */
bool pbkdf2_hmac_sha512(void *out, size_t out_len, struct span password, struct span salt,
                        uint32_t rounds) __attribute__((warn_unused_result));

/* Keyed hash for tables whose keys others choose (SipHash-2-4). */
struct siphash_key { uint64_t k0, k1; };
uint64_t siphash(const struct siphash_key *key, const void *data, size_t len);
/* The same of exactly 32 bytes and of 32 bytes followed by a little-endian u32, faster. */
uint64_t siphash_32(const struct siphash_key *key, const uint8_t data[32]);
uint64_t siphash_36(const struct siphash_key *key, const uint8_t data[32], uint32_t extra);

#endif
