/*
 * Binds two addresses and their parameters to an ECDH handshake (spec bca 10), for programs whose
 * handshake has no key schedule of its own. The keys show that the other side holds its key once a
 * first message under them decrypts, not before. Any thread; ec_init must have been called.
 */
#ifndef BCA_BINDING_H
#define BCA_BINDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* What both sides know of one side. */
struct bca_bound {
    const uint8_t *ephemeral; /* 33 bytes */
    const uint8_t *address;   /* 16 bytes, NULL: a side without BCA */
    struct span params;       /* empty without BCA */
};

void bca_bind(uint8_t out[32], const struct bca_bound *initiator,
              const struct bca_bound *responder);

enum bca_role { BCA_INITIATOR, BCA_RESPONDER };

/* Secrets of this side and public keys of the other; NULL for the static key of a side without BCA.
 */
struct bca_exchange {
    enum bca_role role;
    const uint8_t *ephemeral_secret, *static_secret;       /* 32 bytes */
    const uint8_t *their_ephemeral_key, *their_static_key; /* 33 bytes */
};

struct bca_session_keys {
    uint8_t to_responder[32], to_initiator[32]; /* the owner wipes them */
};

/* False, with zeros in out, when a secret or a key is none. */
bool bca_session_keys_make(struct bca_session_keys *out, const uint8_t bind[32],
                           const struct bca_exchange *x);

#endif
