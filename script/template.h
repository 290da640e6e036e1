/*
 * What a locking script is (spec consensus 3.3, 5.1): the standard output types, and the few
 * shapes consensus itself looks at. Pure functions, any thread.
 */
#ifndef SCRIPT_TEMPLATE_H
#define SCRIPT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "script/flags.h"

/* OP_16 keys: what the template can express with small numbers. */
#define SCRIPT_MULTISIG_KEYS_MAX 16

enum script_type {
    SCRIPT_TYPE_NONSTANDARD,
    SCRIPT_TYPE_PUBKEY,
    SCRIPT_TYPE_PUBKEYHASH,
    SCRIPT_TYPE_SCRIPTHASH, /* outputs of before Genesis only */
    SCRIPT_TYPE_MULTISIG,
    SCRIPT_TYPE_NULL_DATA,
};

/* What script_classify found; spans borrow the script. */
struct script_match {
    enum script_type type;
    unsigned required; /* signatures needed: m of a multisig, 1 for a key or hash, else 0 */
    unsigned n_keys;   /* multisig: n; key: 1 */
    struct span data[SCRIPT_MULTISIG_KEYS_MAX]; /* keys, or [0] = 20-byte hash */
};

/* era is that of the block that creates (or will create) the output. */
void script_classify(struct span script, enum script_era era, struct script_match *m);
/* "pubkey", "pubkeyhash", "scripthash", "multisig", "nulldata", "nonstandard" as in RPC. */
const char *script_type_name(enum script_type type);

/* Exactly a9 14 <20> 87. */
bool script_is_p2sh(struct span script);
/* All opcodes are pushes (OP_RESERVED counts as one); false on a truncated push. */
bool script_is_push_only(struct span script);
/* Such outputs are not stored (spec 3.3): era is that of the block that creates the output. */
bool script_is_unspendable(struct span script, enum script_era era);

/* 76 a9 14 <hash> 88 ac and a9 14 <hash> 87. */
#define SCRIPT_P2PKH_SIZE 25
#define SCRIPT_P2SH_SIZE 23
void script_make_p2pkh(uint8_t out[SCRIPT_P2PKH_SIZE], const uint8_t hash[20]);
/* P2PKH of a public key */
void script_make_for_key(uint8_t out[SCRIPT_P2PKH_SIZE], struct span key);
void script_make_p2sh(uint8_t out[SCRIPT_P2SH_SIZE], const uint8_t hash[20]);

#endif
