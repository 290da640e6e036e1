/*
 * What becomes of a transaction that was handed to the chain, as its handlers and callers see it
 * (spec consensus 5.2). Plain data.
 */
#ifndef CHAIN_TX_RESULT_H
#define CHAIN_TX_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/tx.h"
#include "chain/verdict.h"

/* Sources of transactions that are no peers (peer ids count up from 1). */
#define TX_SOURCE_RPC UINT64_MAX
#define TX_SOURCE_FILE (UINT64_MAX - 1)     /* mempool.dat */
#define TX_SOURCE_REORG (UINT64_MAX - 2)    /* out of a disconnected block */
#define TX_SOURCE_FINALISED (UINT64_MAX - 3) /* out of the non-final pool */

enum tx_outcome {
    TX_NOT_JUDGED,     /* the node stops, or memory is short: nobody is to blame */
    TX_ACCEPTED,       /* in the mempool now */
    TX_PARKED,         /* not final yet: in the non-final pool */
    TX_KNOWN,          /* was in one of the two already */
    TX_CONFIRMED,      /* is in a block: an output of it is unspent there */
    TX_MISSING_INPUTS, /* a parent is not known, or the output was spent in a block */
    TX_REJECTED,       /* see verdict */
};

struct tx_result {
    struct tx *tx;               /* borrowed: who keeps it takes a reference */
    uint64_t source;             /* peer id or TX_SOURCE_ */
    enum tx_outcome outcome;
    struct verdict verdict;      /* of TX_REJECTED */
    bool validation_timeout;     /* rejected for the time its scripts took */
    bool double_spend;           /* refused because another spends the same output */
    struct tx *conflict;         /* that other, borrowed; or NULL */
    const struct txid *missing;  /* of TX_MISSING_INPUTS: parents, no repetition; borrowed */
    size_t n_missing;
    int64_t fee;                 /* of TX_ACCEPTED, satoshis */
    int64_t cpu_us;              /* what its scripts cost */
};

#endif
