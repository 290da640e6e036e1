/*
 * Messages signed with the key of an address, as bitcoind does it since 2011 ("Bitcoin Signed
 * Message"). A signature is 65 bytes from which the public key follows. Any thread.
 */
#ifndef BASE_SIGNED_MESSAGE_H
#define BASE_SIGNED_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ec.h"
#include "base/wif.h"

/* SHA256d of the prefix and the message, each behind its compact size. */
void signed_message_digest(uint8_t out[32], const void *message, size_t len);
bool signed_message_sign(uint8_t out[EC_COMPACT_SIZE], const struct private_key *k,
                         const void *message, size_t len);
/* hash160 of the key that made the signature; false when no key can have made it. */
bool signed_message_recover(uint8_t key_hash[20], const uint8_t sig[EC_COMPACT_SIZE],
                            const void *message, size_t len);

#endif
