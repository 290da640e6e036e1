/*
 * Whether a transaction is of interest to an SPV client by its bloom filter (BIP37, spec p2p 3).
 * The filter belongs to the caller.
 */
#ifndef NODE_TX_FILTER_H
#define NODE_TX_FILTER_H

#include "base/bloom.h"
#include "base/tx.h"

/*
 * The id, data pushed by an output script, a spent output, or data pushed by an input script is in
 * the filter. Outputs that match are added when the filter asks for that, so that their spending
 * matches later.
 */
bool tx_filter_match(struct bloom *b, const struct tx *tx);

#endif
