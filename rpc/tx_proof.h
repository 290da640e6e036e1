/*
 * Proofs that transactions are in a stored block, each made in one pass over it, whatever its size.
 * Worker threads.
 */
#ifndef RPC_TX_PROOF_H
#define RPC_TX_PROOF_H

#include "base/merkle_branch.h"
#include "base/partial_merkle.h"
#include "base/tx.h"
#include "rpc/command.h"

struct header_node;

/* Told of each wanted transaction as it passes, in block order; tx lives for the call. */
typedef enum err (*tx_proof_fn)(void *ctx, const struct tx *tx, struct error *e);

/* One transaction. *found: it is there, and *branch is its way to the root. fn may be NULL. */
enum err tx_proof_branch(struct rpc_call *call, const struct header_node *node,
                         const struct txid *id, tx_proof_fn fn, void *ctx,
                         struct merkle_branch *branch, bool *found, struct error *e) MUST_CHECK;

struct tx_proof_partial {
    struct partial_merkle_builder builder;
    struct partial_merkle tree; /* borrows of builder */
    size_t n_found;
};
/* Several, ids in the order of tx_proof_sort. The caller clears *p, after a failure too. */
enum err tx_proof_partial(struct rpc_call *call, const struct header_node *node,
                          const struct txid *ids, size_t n, tx_proof_fn fn, void *ctx,
                          struct tx_proof_partial *p, struct error *e) MUST_CHECK;
void tx_proof_partial_clear(struct tx_proof_partial *p);

void tx_proof_sort(struct txid *ids, size_t n);

#endif
