/*
 * The keys that sign in signrawtransaction: those the caller gives, or those of a wallet that
 * unlock what is spent. They lie in an arena of the caller, who wipes them. Worker threads.
 */
#ifndef RPC_SIGN_KEYS_H
#define RPC_SIGN_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct arena;
struct json_object;
struct rpc_call;
struct signing_key;

struct sign_keys {
    struct signing_key *v;
    size_t n;
};

/* From texts (WIF). False: call has failed. */
bool sign_keys_given(struct rpc_call *call, struct json_object *list, struct arena *a,
                     struct sign_keys *out);
/* Of the call's wallet, each once: those of scripts of one key, and of multisig ones. What the
 * wallet has no key of adds none. False: call has failed. */
bool sign_keys_own(struct rpc_call *call, const struct span *scripts, size_t n, struct arena *a,
                   struct sign_keys *out);
/* Also of what a failed call has left. */
void sign_keys_wipe(struct sign_keys *k);

#endif
