/* What the handshake and the records of direct channels share. Not for others. */
#ifndef P2P_DCHAN_NOISE_H
#define P2P_DCHAN_NOISE_H

#include <string.h>

#include "base/ec.h"
#include "base/rand.h"
#include "p2p/identity_key.h"

#define NOISE_IV_SIZE 12

/* Four zero bytes and the counter, little-endian. */
static inline void noise_iv(uint8_t iv[NOISE_IV_SIZE], uint64_t nonce)
{
    memset(iv, 0, 4);
    le64_put(iv + 4, nonce);
}

/* A fresh key; the caller wipes the secret. False: the random generator fails. */
static inline bool noise_draw_key(uint8_t secret[32], uint8_t key[IDENTITY_KEY_SIZE])
{
    do
        if (rand_secret(secret, 32, NULL))
            return false;
    while (!ec_pubkey_of(key, secret)); /* once in 2^128 */
    return true;
}

#endif
