/*
 * Numbers about one block (getblockstats) and about the transactions of the chain
 * (getchaintxstats). Fields and roundings are those of vectors/rpc/rpc_getblockstats.json and of
 * spec rpc 2. Amounts are satoshis, rates satoshis per byte, both rounded down. Any thread that may
 * read block files (not the loop).
 */
#ifndef CHAIN_BLOCK_STATS_H
#define CHAIN_BLOCK_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/err.h"
#include "base/ids.h"
#include "chain/block_reader.h"
#include "chain/chain.h"
#include "chain/undo.h"

/* Over the transactions of a block except its coinbase; all 0 when there is none. */
struct spread {
    int64_t min, max, average, median;
};

struct block_stats {
    int32_t height;
    struct block_hash hash;
    uint32_t time, median_time;
    int64_t subsidy;       /* without fees */
    uint64_t txs;          /* coinbase included */
    uint64_t inputs;       /* coinbase left out */
    uint64_t outputs;      /* coinbase included */
    int64_t total_out;     /* coinbase left out, like all below */
    uint64_t total_size;   /* bytes */
    int64_t total_fee;
    struct spread fee, fee_rate, tx_size;
    int64_t utxo_increase; /* outputs - inputs, coinbase included */
    int64_t utxo_size_inc; /* bytes the set of unspent outputs grew by, 41 for the key of each */
};

/* ERR_NOTFOUND: block or undo record is not stored (pruned, or never connected). ERR_CANCELLED. */
enum err block_stats_compute(struct block_stats *out, struct chain *c, struct header_node *node,
                             const struct cancel *cancel, struct error *e) MUST_CHECK;
/* The same from a reader at the start of the block and its undo record (NULL: genesis). */
enum err block_stats_read(struct block_stats *out, const struct chain_params *p,
                          const struct header_node *node, struct block_reader *r,
                          const struct undo_reader *undo, const struct cancel *cancel,
                          struct error *e) MUST_CHECK;

struct tx_stats {
    uint32_t time;              /* of the last block of the window */
    uint64_t tx_count;          /* from genesis up to there */
    int32_t window_blocks;      /* 0: no window, what follows is 0 */
    uint64_t window_txs;
    int64_t window_interval_s;  /* between median times */
    double tx_rate;             /* per second; 0 unless the interval is positive */
};

#define TX_STATS_DEFAULT_WINDOW (-1) /* 30 days of blocks, at most up to the block after genesis */

/* The window ends with node. ERR_RANGE: window is not in 0 .. height - 1. */
enum err tx_stats_compute(struct tx_stats *out, struct header_index *idx, struct header_node *node,
                          int32_t window, struct error *e) MUST_CHECK;

#endif
