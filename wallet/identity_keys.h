/*
 * The secrets of an identity, which follow from the wallet's seed and a number of its own and are
 * never stored. They lie under m/4342593'/coin', which no coin uses:
 *
 *   m/4342593'/coin'        root of the markers (BRC-42 with itself, spec bca 14)
 *   .../number'/0'          the key that is registered
 *   .../number'/1'          as a private key: the seed of the modifiers
 *
 * Numbers come from the key store, so that backups have them. Any thread.
 */
#ifndef WALLET_IDENTITY_KEYS_H
#define WALLET_IDENTITY_KEYS_H

#include <stdint.h>

#include "bca/modifiers.h"
#include "bca/registration.h"
#include "script/template.h"
#include "wallet/wallet.h"

struct identity_secrets {
    uint8_t root[32], key[32], seed[32];
    uint8_t public_key[EC_PUBKEY_SIZE]; /* of key */
};

/* One that no identity had. ERR_RANGE when there is none left. */
enum err identity_take_number(struct wallet *w, uint32_t *number, struct error *e) MUST_CHECK;
/* ERR_AUTH while locked, ERR_NOTFOUND for a wallet without a seed. The caller wipes. */
enum err identity_secrets_get(struct wallet *w, uint32_t number, struct identity_secrets *out,
                              struct error *e) MUST_CHECK;

/* The n modifiers, one after the other; the caller wipes. */
void identity_modifiers(const struct identity_secrets *s, unsigned n,
                        uint8_t out[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX]);
/* The registration of n modifiers (an allowed number) and its marker. */
void identity_scripts(const struct identity_secrets *s, unsigned n,
                      uint8_t registration[BCA_REGISTRATION_SIZE],
                      uint8_t marker[SCRIPT_P2PKH_SIZE]);
/* The P2PKH script of the marker beside a root of modifiers. False: a chance of 2^-128. */
bool identity_marker(uint8_t script[SCRIPT_P2PKH_SIZE], const uint8_t root[32],
                     const uint8_t modifier_root[32]);

#endif
