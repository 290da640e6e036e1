/*
 * The output that commits to a key and to a tree of modifiers (spec bca 4), and the output beside
 * it whose spend revokes it (spec bca 14). Pure functions, any thread.
 *
 *   00 OP_FALSE | 6a OP_RETURN | 04 "BCA" 01 | 40 | H(public key) 32 | modifier root 32
 */
#ifndef BCA_REGISTRATION_H
#define BCA_REGISTRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define BCA_REGISTRATION_SIZE 72
#define BCA_TX_MAX 65535
#define BCA_PUBLIC_KEY_SIZE 33

void bca_registration_put(uint8_t out[BCA_REGISTRATION_SIZE],
                          const uint8_t public_key[BCA_PUBLIC_KEY_SIZE],
                          const uint8_t modifier_root[32]);

/* What a transaction registers; pointers borrow its bytes. */
struct bca_registration {
    uint32_t output;              /* of the registration */
    const uint8_t *key_hash;      /* 32 bytes */
    const uint8_t *modifier_root; /* 32 bytes */
    const uint8_t *marker;        /* the 20 bytes of the P2PKH after it, NULL: cannot be revoked */
};

enum bca_registration_found {
    BCA_TX_MALFORMED,      /* not exactly one transaction with inputs and outputs */
    BCA_REGISTRATION_NONE, /* no output with the tag, several, or one of another form */
    BCA_REGISTRATION_FOUND,
};

/* *out is filled when one was found. */
enum bca_registration_found bca_registration_find(struct span tx, struct bca_registration *out);

struct tx;
/* Whether one registers and can be revoked; *output: of the marker. For whoever goes through all
 * transactions of a block: costs next to nothing where nothing is registered. */
bool bca_marker_find(const struct tx *tx, uint32_t *output);

#endif
