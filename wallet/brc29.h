/*
 * Payments to a person rather than to an address (BRC-29; spec brc-notes 10). Sender and payee
 * know each other's identity key; each payment has a prefix, each of its outputs a suffix, and from
 * these both derive the key that an output pays (wallet/brc42.h). Who loses prefix or suffix loses
 * the output. Pure functions, any thread, but for brc29_new_part, which is random.
 */
#ifndef WALLET_BRC29_H
#define WALLET_BRC29_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/ec.h"
#include "base/err.h"

struct buf;

/* Printable ASCII without a blank, which stands between prefix and suffix: no two pairs are one. */
#define BRC29_PART_MAX 128
bool brc29_part_valid(struct span part);
/* Appends a new one: Base64 of 16 random bytes. Errors of rand_secret. */
enum err brc29_new_part(struct buf *out, struct error *e) MUST_CHECK;

struct brc29_place {
    struct span prefix, suffix;
};

/* The key that the sender pays. ERR_RANGE: parts or keys are none. */
enum err brc29_key_of_payee(uint8_t key[EC_PUBKEY_SIZE], const uint8_t sender_secret[32],
                            const uint8_t payee[EC_PUBKEY_SIZE], const struct brc29_place *place,
                            struct error *e) MUST_CHECK;
/* The same key's secret, as the payee has it. The caller wipes; zeros after a failure. */
enum err brc29_secret(uint8_t secret[32], const uint8_t payee_secret[32],
                      const uint8_t sender[EC_PUBKEY_SIZE], const struct brc29_place *place,
                      struct error *e) MUST_CHECK;

#endif
