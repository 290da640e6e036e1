/*
 * secp256k1. One shared context, created and randomized by ec_init, then read-only. Any thread.
 */
#ifndef BASE_EC_H
#define BASE_EC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void ec_init(void);

#define EC_PUBKEY_SIZE 33 /* a public key in its short form */
#define EC_PUBKEY_MAX 65  /* and in its long one */

/*
 * Verifies as Bitcoin always did (spec consensus 4.7): signature in lax DER without the hash type
 * byte, S normalised first, key of 33 or 65 bytes incl. hybrid. False for anything unparsable.
 */
bool ec_verify_lax(const uint8_t *key, size_t key_len, const uint8_t *sig, size_t sig_len,
                   const uint8_t digest[32]);
/*
 * True when the lax-DER signature's S is at most half the order (unparsable: false). R or S that is
 * too large makes this true: such a signature counts as zeros, here as in the reference.
 */
bool ec_sig_is_low_s(const uint8_t *sig, size_t sig_len);
/* Verifies a signature in strict DER that ends where its length says; S may be high or low. */
bool ec_verify_der(const uint8_t *key, size_t key_len, const uint8_t *sig, size_t sig_len,
                   const uint8_t digest[32]);
bool ec_pubkey_valid(const uint8_t *key, size_t key_len);
/*
 * Writes a key of 33 or 65 bytes in the form asked for; returns its length, 0 when it is no key or
 * in the hybrid form. out may be key.
 */
size_t ec_pubkey_convert(uint8_t out[65], const uint8_t *key, size_t key_len, bool compressed);

bool ec_seckey_valid(const uint8_t secret[32]);
/* 33 bytes when compressed, else 65; returns the length, 0 for an invalid secret. */
size_t ec_pubkey_create(uint8_t out[65], const uint8_t secret[32], bool compressed);
/* The same in the short form; false with zeros in out for an invalid secret. */
bool ec_pubkey_of(uint8_t out[EC_PUBKEY_SIZE], const uint8_t secret[32]);
/* Deterministic (RFC 6979) low-S DER signature; returns its length (at most 72), 0 on failure. */
size_t ec_sign_der(uint8_t out[72], const uint8_t secret[32], const uint8_t digest[32]);

/*
 * Adds a number to a secret, or the number's point to a public key; the bits of the number show in
 * the time no more than those of the secret. False, with *secret or *key all zeros, when the tweak
 * is not below the order, the input is no key, or the sum is none.
 */
bool ec_seckey_tweak_add(uint8_t secret[32], const uint8_t tweak[32]);
bool ec_pubkey_tweak_add(uint8_t key[EC_PUBKEY_SIZE], const uint8_t tweak[32]);

/*
 * Key agreement: the product of a key (33 or 65 bytes, not hybrid) and a secret, whose bits do not
 * show in the time, as a compressed point or its x coordinate alone. Nothing is hashed. False with
 * zeros in out for a key or secret that is none. The caller wipes out.
 */
bool ec_ecdh_point(uint8_t out[EC_PUBKEY_SIZE], const uint8_t *key, size_t key_len,
                   const uint8_t secret[32]);
bool ec_ecdh_x(uint8_t out[32], const uint8_t *key, size_t key_len, const uint8_t secret[32]);
/* The same of a key in the short form, as SHA-256 of the compressed point (BOLT 8). */
bool ec_ecdh_sha256(uint8_t out[32], const uint8_t key[EC_PUBKEY_SIZE], const uint8_t secret[32]);

/*
 * Signatures as R and S alone, 32 bytes each, made as ec_sign_der makes them. Only the short form
 * of a key and the low S verify.
 */
#define EC_SIG_SIZE 64
bool ec_sign_rs(uint8_t out[EC_SIG_SIZE], const uint8_t secret[32], const uint8_t digest[32]);
bool ec_verify_rs(const uint8_t key[EC_PUBKEY_SIZE], const uint8_t sig[EC_SIG_SIZE],
                  const uint8_t digest[32]);
/* As ec_sign_rs, with 32 more bytes for the nonce: another signature of the same digest. */
bool ec_sign_rs_with(uint8_t out[EC_SIG_SIZE], const uint8_t secret[32], const uint8_t digest[32],
                     const uint8_t more[32]);
/* The same signature in DER (its length, 0 when R or S is too large) and back (strict DER). */
size_t ec_rs_to_der(uint8_t out[72], const uint8_t sig[EC_SIG_SIZE]);
bool ec_rs_from_der(uint8_t out[EC_SIG_SIZE], const uint8_t *der, size_t len);

/*
 * Signatures from which the key follows: 27 + number of the candidate (+ 4: its short form), R, S.
 * Made as ec_sign_der makes them. Recovery gives the key's bytes (33 or 65) and its length, 0 when
 * no key can have made the signature.
 */
#define EC_COMPACT_SIZE 65
bool ec_sign_compact(uint8_t out[EC_COMPACT_SIZE], const uint8_t secret[32], bool compressed,
                     const uint8_t digest[32]);
size_t ec_recover_compact(uint8_t key[65], const uint8_t sig[EC_COMPACT_SIZE],
                          const uint8_t digest[32]);

#endif
