/*
 * The secrets of an identity. Key and marker follow from the wallet's seed and a number of the
 * identity, so that the phrase gives them back; the seed of the modifiers is random: two
 * registrations never have a modifier in common, whatever was restored in between. They lie under
 * m/4342593'/coin', which no coin uses:
 *
 *   m/4342593'/coin'        root of the markers (BRC-42 with itself, spec bca 14)
 *   .../number'/0'          the key that is registered
 *
 * All three are stored with the identity (KEY_RECORD_IDENTITY_KEYS: key 32 | seed 32 | marker 32),
 * which may have come from another wallet. Any thread.
 */
#ifndef WALLET_IDENTITY_KEYS_H
#define WALLET_IDENTITY_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "bca/modifiers.h"
#include "bca/registration.h"
#include "script/template.h"
#include "wallet/wallet.h"

struct identity_secrets {
    uint8_t key[32], seed[32], marker[32];
    uint8_t public_key[EC_PUBKEY_SIZE]; /* of key */
};

/* One that no identity had. ERR_RANGE when there is none left. */
enum err identity_take_number(struct keystore *ks, uint32_t *number, struct error *e) MUST_CHECK;
/*
 * In a store from a backup or of a phrase: leaves out numbers that may have been taken already, so
 * that one key is hardly registered twice.
 */
enum err identity_skip_numbers(struct keystore *ks, struct error *e) MUST_CHECK;
/* Numbers up to *n may have been taken by wallets of the same seed; and: this one was. */
enum err identity_last_number(struct keystore *ks, uint32_t *n, struct error *e) MUST_CHECK;
enum err identity_number_taken(struct keystore *ks, uint32_t number, struct error *e) MUST_CHECK;

/* The keys that follow from the seed of a wallet. ERR_AUTH while locked, ERR_NOTFOUND: no seed. */
struct identity_tree;
enum err identity_tree_open(struct identity_tree **out, struct wallet *w,
                            struct error *e) MUST_CHECK;
void identity_tree_free(struct identity_tree *t); /* wipes; NULL is fine */
/* Key and public key of out; the caller wipes. */
enum err identity_tree_key(struct identity_tree *t, uint32_t number, struct identity_secrets *out,
                           struct error *e) MUST_CHECK;
/* The marker of out, beside a root of modifiers. */
void identity_tree_marker(const struct identity_tree *t, const uint8_t modifier_root[32],
                          struct identity_secrets *out);
/*
 * For a new registration of n modifiers (an allowed number), with a new seed. ERR_AUTH while
 * locked, ERR_NOTFOUND for a wallet without a seed. The caller wipes.
 */
enum err identity_secrets_make(struct wallet *w, uint32_t number, unsigned n,
                               struct identity_secrets *out, struct error *e) MUST_CHECK;
/* What is stored; false when it is no key. The caller wipes. */
enum { IDENTITY_SECRETS_SIZE = 96 };
bool identity_secrets_read(struct identity_secrets *out, const uint8_t in[IDENTITY_SECRETS_SIZE]);
void identity_secrets_write(uint8_t out[IDENTITY_SECRETS_SIZE], const struct identity_secrets *s);

/* The n modifiers, one after the other; the caller wipes. */
void identity_modifiers(const struct identity_secrets *s, unsigned n,
                        uint8_t out[BCA_MODIFIER_SIZE * BCA_MODIFIERS_MAX]);
/* The script of the marker. False: its secret is none. */
bool identity_marker_script(const struct identity_secrets *s, uint8_t marker[SCRIPT_P2PKH_SIZE]);
/* The registration of n modifiers (an allowed number) and its marker. False: the marker's secret is
 * none. */
bool identity_scripts(const struct identity_secrets *s, unsigned n,
                      uint8_t registration[BCA_REGISTRATION_SIZE],
                      uint8_t marker[SCRIPT_P2PKH_SIZE]);
/* The secret of the marker beside a root of modifiers. False: a chance of 2^-128. */
bool identity_marker(uint8_t secret[32], const uint8_t root[32],
                     const uint8_t modifier_root[32]);

#endif
