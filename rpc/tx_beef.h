/*
 * A transaction with what proves it (BRC-62): its ancestors in the mempool, and those in blocks on
 * which they stand, each block's with one Merkle proof. Worker threads.
 *
 * Mempool and chain are looked at one after the other; when a block comes in between, all begins
 * anew.
 */
#ifndef RPC_TX_BEEF_H
#define RPC_TX_BEEF_H

#include "base/beef.h"
#include "rpc/command.h"

#define TX_BEEF_BYTES_MAX ((size_t)64 << 20) /* of all its transactions together */

struct tx_beef {
    struct beef beef;
    struct tx **unconfirmed; /* references, which beef borrows from; the subject last */
    size_t n_unconfirmed;
    size_t bytes;            /* of transactions so far */
};

/*
 * *found false: the transaction is not in the mempool, and not known to be in a block. ERR_RANGE:
 * more ancestors than BEEF_TXS_MAX, or more bytes. ERR_CANCELLED. The structure is not checked. The
 * caller clears *b, after a failure too.
 */
enum err tx_beef_make(struct rpc_call *call, const struct txid *id, enum beef_version version,
                      struct tx_beef *b, bool *found, struct error *e) MUST_CHECK;
/* The same of a transaction that the mempool may not have, as it has not been sent yet: its parents
 * must be there. */
enum err tx_beef_make_unsent(struct rpc_call *call, struct tx *tx, enum beef_version version,
                             struct tx_beef *b, bool *found, struct error *e) MUST_CHECK;
void tx_beef_clear(struct tx_beef *b);

#endif
