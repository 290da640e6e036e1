/*
 * Incremental parser of a block that arrives in pieces and is never whole in memory. It follows
 * the structure byte by byte, hashes each transaction as it passes and adds it to the Merkle tree.
 * Memory: this struct alone, whatever the size of the block. One thread at a time.
 */
#ifndef BASE_BLOCK_STREAM_H
#define BASE_BLOCK_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/block.h"
#include "base/err.h"
#include "base/hash.h"

enum block_stream_state {
    BS_HEADER, BS_TX_COUNT, BS_TX_VERSION, BS_IN_COUNT, BS_IN_PREVOUT, BS_IN_SCRIPT_LEN,
    BS_IN_SCRIPT, BS_IN_SEQUENCE, BS_OUT_COUNT, BS_OUT_VALUE, BS_OUT_SCRIPT_LEN, BS_OUT_SCRIPT,
    BS_LOCK_TIME, BS_DONE, BS_FAILED,
};

struct block_stream {
    enum block_stream_state state;
    struct block_header header; /* valid when state > BS_HEADER */
    uint64_t tx_count;          /* claimed; valid when state > BS_TX_COUNT */
    uint64_t txs_done;
    uint64_t inputs_done, outputs_done; /* over all transactions */
    uint64_t bytes;             /* consumed so far */
    uint64_t tx_offset;         /* where the current transaction begins */
    struct merkle merkle;
    struct sha256 tx_hash;
    uint64_t want, ins_left, outs_left; /* of the current field */
    uint8_t field[80];          /* a fixed-size field cut by the end of a piece */
    unsigned field_len;
    /* called after each transaction when not NULL; offset and size are of the
     * whole block's bytes */
    void (*on_tx)(void *ctx, const struct txid *id, uint64_t offset, uint64_t size);
    void *ctx;
};

void block_stream_init(struct block_stream *s);
/* Consumes all of data. ERR_PARSE when the bytes are no block or go on after its end (sticky). */
enum err block_stream_feed(struct block_stream *s, const void *data, size_t len) MUST_CHECK;
static inline bool block_stream_done(const struct block_stream *s) { return s->state == BS_DONE; }

#endif
