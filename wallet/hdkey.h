/*
 * The tree of keys that grows from one seed (BIP32; spec brc-notes 12). A private key derives all
 * its children, a public one the public keys of those that are not hardened.
 *
 * Whoever has a public key of the tree with its chain code and the secret of one child that is not
 * hardened has the secret of the key: an xpub is as private as the wallet's history, and no such
 * child secret is handed out beside it. What fails leaves zeros in its result. The caller wipes.
 * Pure functions, any thread.
 */
#ifndef WALLET_HDKEY_H
#define WALLET_HDKEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/ec.h"
#include "base/err.h"

struct hdpath;

struct hdkey {
    bool is_private;
    uint8_t depth;     /* steps from the master key, which has 0 */
    uint8_t parent[4]; /* fingerprint of the key above; zeros for the master key */
    uint32_t index;    /* the last step */
    uint8_t chain_code[32];
    uint8_t secret[32]; /* zeros when not private */
    uint8_t key[EC_PUBKEY_SIZE];
};

/* Texts begin with xprv or xpub; on all test networks with tprv or tpub. */
enum hdkey_network { HDKEY_MAIN, HDKEY_TEST };

#define HDKEY_TEXT_MAX 112 /* with the NUL */

/* From a seed of 16 to 64 bytes, else ERR_RANGE. */
enum err hdkey_master(struct hdkey *k, struct span seed, struct error *e) MUST_CHECK;
/*
 * One step down; child may be parent. ERR_AUTH: hardened, from a public key. ERR_RANGE: below depth
 * 255, or this index has no key (chance 2^-127; one takes the next).
 */
enum err hdkey_child(struct hdkey *child, const struct hdkey *parent, uint32_t index,
                     struct error *e) MUST_CHECK;
enum err hdkey_derive(struct hdkey *k, const struct hdkey *from, const struct hdpath *path,
                      struct error *e) MUST_CHECK;
/* Removes the secret. */
void hdkey_make_public(struct hdkey *k);
void hdkey_fingerprint(uint8_t out[4], const struct hdkey *k);
void hdkey_wipe(struct hdkey *k);

/* NUL-terminated; returns out. */
char *hdkey_encode(char out[HDKEY_TEXT_MAX], enum hdkey_network network, const struct hdkey *k);
/* ERR_PARSE with the reason, also for a key of the other network. */
enum err hdkey_decode(struct hdkey *k, enum hdkey_network network, const char *text,
                      struct error *e) MUST_CHECK;

#endif
