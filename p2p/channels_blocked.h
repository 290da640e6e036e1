/*
 * Strangers that get no session (attacks H1): by the key of an identity, or by the block that an
 * address is registered in, since a registration costs next to nothing and whoever needs many
 * identities makes them together. Contacts are never blocked. Channel thread.
 */
#ifndef P2P_CHANNELS_BLOCKED_H
#define P2P_CHANNELS_BLOCKED_H

#include "p2p/identity_key.h"
#include "p2p/net.h"

struct channels_blocked {
    uint8_t (*keys)[IDENTITY_KEY_SIZE];
    uint8_t (*anchors)[32]; /* hashes of headers, wire order */
    size_t n_keys, n_anchors;
};

/* Hex digits: 66 of a key, 64 of a block's hash as people see it. ERR_RANGE: neither. */
enum err channels_blocked_read(struct channels_blocked *b, const struct net_strings *texts,
                               struct error *e) MUST_CHECK;
void channels_blocked_clear(struct channels_blocked *b);

bool channels_blocked_key(const struct channels_blocked *b, const uint8_t key[IDENTITY_KEY_SIZE]);
bool channels_blocked_anchor(const struct channels_blocked *b, const uint8_t anchor[32]);
/* Of the parameters of an address. False: they are none. */
bool channels_anchor_of(struct span params, uint8_t out[32]);

#endif
