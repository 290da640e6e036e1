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

/*
 * With its bytes. in_block: look there alone; NULL: anywhere on the active chain. ERR_RANGE: it has
 * more than `most` bytes, or it is not in the index and one before it in its block has; neither is
 * read (but for the first MiB).
 */
enum err tx_lookup(struct rpc_call *call, struct header_node *in_block, const struct txid *id,
                   uint64_t most, struct tx_found *f, struct error *e) MUST_CHECK;
/* By the index, when that takes one look and one read of at most so many bytes. False: it has to be
 * looked for otherwise, or something failed. */
bool tx_lookup_quick(struct rpc_call *call, const struct txid *id, uint64_t most,
                     struct tx_found *f);
/* Its block alone, which is not read: *node is NULL when it is not known where. */
enum err tx_lookup_block(struct rpc_call *call, const struct txid *id, struct header_node **node,
                         struct error *e) MUST_CHECK;
/* The block of the first of the ids that is found in one. NULL: call has failed. */
struct header_node *tx_lookup_first(struct rpc_call *call, const struct txid *ids, size_t n);
/* The same unless parameter i names a block. */
struct header_node *tx_lookup_param(struct rpc_call *call, size_t i, const struct txid *ids,
                                    size_t n);
/* nodes[i]: the block of the unspent output i, NULL when it is not one. All at one moment. */
enum err tx_lookup_outputs(struct rpc_call *call, const struct outpoint *outputs, size_t n,
                           struct header_node **nodes, struct error *e) MUST_CHECK;

/* -5, with what -txindex could do about it. */
struct rpc_result tx_lookup_none(struct rpc_call *call);

#endif
