/*
 * The key of an identity as the network layer may use it (spec channels 0): the secret stays with
 * its owner, who does the agreement of the handshake and signatures over tagged digests, and
 * nothing else. The owner fills the struct in; on which threads the functions may run he says.
 */
#ifndef P2P_IDENTITY_KEY_H
#define P2P_IDENTITY_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define IDENTITY_KEY_SIZE 33
#define IDENTITY_SIG_SIZE 64 /* R and S, the low one */
/* Every tag that may be signed begins so. */
#define IDENTITY_TAG_PREFIX "bcapeer/"

struct identity_key {
    uint8_t pub[IDENTITY_KEY_SIZE];
    /*
     * SHA-256 of the compressed product of the secret and their key. False when that is no key or
     * the secret is not to be had. The caller wipes out.
     */
    bool (*noise_dh)(void *ctx, uint8_t out[32], const uint8_t their_key[IDENTITY_KEY_SIZE]);
    /* Over the tagged digest of text, which it makes itself. False as above, or for another tag. */
    bool (*sign)(void *ctx, uint8_t sig[IDENTITY_SIG_SIZE], const char *tag, struct span text);
    void *ctx;
};

#endif
