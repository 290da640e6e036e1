/*
 * Keys for a pair of people (BRC-42; spec brc-notes 1). Both know the point that one's secret and
 * the other's public key make; its HMAC over an invoice number is added to a key. Each so derives
 * the secret of their own child key and the public key of the other's, without any message.
 *
 * Whoever knows the HMAC (the other side; for BRC42_ANYONE the world) and the secret of a child has
 * the secret of its parent: child secrets are never handed out. Pure functions, any thread.
 */
#ifndef WALLET_BRC42_H
#define WALLET_BRC42_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/ec.h"

enum brc42_who {
    BRC42_SELF,   /* the holder of the secret */
    BRC42_ANYONE, /* the key everybody has: the secret is 1 */
    BRC42_OTHER,
};

struct brc42_party {
    enum brc42_who who;
    uint8_t key[EC_PUBKEY_SIZE]; /* of BRC42_OTHER */
};

/* The secret of ANYONE. */
extern const uint8_t brc42_anyone_secret[32];

struct brc42_party brc42_other(const uint8_t key[EC_PUBKEY_SIZE]);

/*
 * own: the secret of the holder; invoice: its bytes as they are (wallet/brc43.h makes them). False
 * with zeros in the result when a key is none; that a sum is none has a chance of 2^-128.
 */
bool brc42_own_secret(uint8_t child[32], const uint8_t own[32], const struct brc42_party *party,
                      struct span invoice);
bool brc42_own_key(uint8_t child[EC_PUBKEY_SIZE], const uint8_t own[32],
                   const struct brc42_party *party, struct span invoice);
bool brc42_their_key(uint8_t child[EC_PUBKEY_SIZE], const uint8_t own[32],
                     const struct brc42_party *party, struct span invoice);
/* What both sides can make of their two child keys: the x coordinate of the product (BRC-2). */
bool brc42_symmetric_key(uint8_t out[32], const uint8_t own[32], const struct brc42_party *party,
                         struct span invoice);

#endif
