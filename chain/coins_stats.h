/*
 * Sums over all unspent outputs, for gettxoutsetinfo (spec rpc 2). A pass over the whole coins
 * database: flush and take the iterator inside chain_call, run this on another thread.
 */
#ifndef CHAIN_COINS_STATS_H
#define CHAIN_COINS_STATS_H

#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/ids.h"
#include "chain/coins.h"

struct coins_totals {
    uint64_t transactions;          /* ids with an unspent output */
    uint64_t outputs;
    uint64_t bogosize;              /* sum of 50 + script length */
    int64_t amount;                 /* satoshis */
    struct hash256 hash_serialized; /* over everything, spec rpc 2; internal order */
};

/*
 * best: the block the coins stand at (first in the hash). Reads to the end of it. ERR_CORRUPT,
 * ERR_IO, ERR_NOMEM (all outputs of one transaction are held at a time), ERR_CANCELLED.
 */
enum err coins_totals_compute(struct coins_totals *out, struct coins_iter *it,
                              const struct block_hash *best, const struct cancel *cancel,
                              struct error *e) MUST_CHECK;

#endif
