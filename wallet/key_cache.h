/*
 * Public keys of a branch that were derived once, as rows beside the coins, so that a wallet with
 * many keys opens soon. A cache: what is missing or damaged is derived again, and no address is
 * given out from it. A row is bound to the key above its keys, whose chain code it does not tell.
 *
 *   k, start of a hash of the key above, u32 number (big-endian): KEY_CACHE_RUN keys that follow
 *   one another, and a hash of all
 */
#ifndef WALLET_KEY_CACHE_H
#define WALLET_KEY_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ec.h"
#include "base/err.h"

struct hdkey;
struct kv;

enum { KEY_CACHE_RUN = 256, KEY_CACHE_BYTES = KEY_CACHE_RUN * EC_PUBKEY_SIZE };

/* Children number * KEY_CACHE_RUN and on of a public key. found is false for a row that is missing
 * or damaged. */
enum err key_cache_load(struct kv *kv, const struct hdkey *above, uint32_t number,
                        uint8_t keys[KEY_CACHE_BYTES], bool *found, struct error *e) MUST_CHECK;
/* Not synced: who loses it has lost nothing. */
enum err key_cache_store(struct kv *kv, const struct hdkey *above, uint32_t number,
                         const uint8_t keys[KEY_CACHE_BYTES], struct error *e) MUST_CHECK;

#endif
