/*
 * A block on its way into connect: its segments are read, parsed and checked against the rules
 * that need no coins on pool threads, one segment ahead of the consumer. Several sources may be
 * open at a time, so that the next blocks are ready when the present one is connected.
 *
 * One consumer thread per source.
 */
#ifndef CHAIN_BLOCK_SOURCE_H
#define CHAIN_BLOCK_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ids.h"
#include "base/pool.h"
#include "chain/block_reader.h"
#include "chain/check.h"
#include "chain/verdict.h"

struct block_source_options {
    struct blockfiles *files;
    struct pool *pool;
    const struct chain_params *params;
    size_t segment_bytes;
    uint64_t max_block_size; /* 0: no limit */
    int32_t coinbase_maturity;
};

struct checked_segment {
    struct block_segment *segment; /* owned by the source until the next call */
    struct verdict verdict;        /* first transaction that breaks a rule, or fine */
    uint64_t bad_tx;               /* its index in the block, when it does */
    bool limit_exceeded;           /* the rule is the operator's block size limit */
    struct outpoint *spends;       /* inputs whose outputs the segment does not make itself */
    size_t n_spends;
};

struct block_source;

/*
 * node's data must be stored at pos; received is the whole parsed block when it is still in memory
 * (a reference is taken), else NULL. Starts reading at once.
 */
struct block_source *block_source_open(const struct block_source_options *o,
                                       const struct header_node *node, const struct block_pos *pos,
                                       struct block_segment *received);
void block_source_close(struct block_source *s); /* waits for a running job; NULL is fine */
const struct block_rules *block_source_rules(const struct block_source *s);
const struct header_node *block_source_node(const struct block_source *s);
/*
 * Next segment, or NULL after the last one. ERR_CORRUPT: stored bytes that are not this block
 * (format, header or Merkle root), which says nothing about the block itself.
 */
enum err block_source_next(struct block_source *s, struct checked_segment **out,
                           struct error *e) MUST_CHECK;

#endif
