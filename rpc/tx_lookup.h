/*
 * Where a confirmed transaction lies: in a block the caller names, where the transaction index says
 * (-txindex), or in the block of an output of it that is still unspent. Worker threads: block
 * files are read, and the chain thread is waited for.
 */
#ifndef RPC_TX_LOOKUP_H
#define RPC_TX_LOOKUP_H

#include "base/buf.h"
#include "base/ids.h"
#include "rpc/command.h"

struct header_node;

struct tx_found {
    struct header_node *node; /* its block; NULL: not found */
    struct buf raw;           /* the caller prepares and clears it */
};

/* With its bytes. in_block: look there alone; NULL: anywhere on the active chain. */
enum err tx_lookup(struct rpc_call *call, struct header_node *in_block, const struct txid *id,
                   struct tx_found *f, struct error *e) MUST_CHECK;
/*
 * Its block alone, which is not read: *node is NULL when it is not known where. output: one that
 * may be unspent and is tried first.
 */
enum err tx_lookup_block(struct rpc_call *call, const struct txid *id, uint32_t output,
                         struct header_node **node, struct error *e) MUST_CHECK;
bool tx_lookup_has_index(const struct rpc_call *call);

#endif
