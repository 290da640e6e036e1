/* Addresses and private keys as parameters of commands. */
#ifndef RPC_KEYS_H
#define RPC_KEYS_H

#include "base/wif.h"
#include "rpc/command.h"

struct chain_params;

/* Appends the locking script of an address; false when it is none of this network. */
bool address_to_script(const struct chain_params *p, const char *text, struct buf *script);
/* Whose key an address of this network stands for. False: call has failed with -3. */
bool rpc_key_address(struct rpc_call *call, const char *text, uint8_t hash[20]);
/* A key in this network's text form. False: call has failed with -5. The caller wipes it. */
bool rpc_private_key(struct rpc_call *call, const char *text, struct private_key *k);

#endif
