/*
 * A block on its way in. The network (or -loadblock, or submitblock) feeds bytes as they come; the
 * intake checks structure, Merkle root and the wire checksum, stores the block, and reports once.
 *
 * Below BLOCKFILE_STREAM_MIN the bytes are collected (growing with what arrived, never with the
 * claimed size) and one pool job does the work; above, pool jobs hash and write piece after piece
 * in order, so memory per intake stays under INTAKE_QUEUE_MAX, and the feeder works out the
 * checksum.
 *
 * Verdicts (all about the bytes, not the header): "checksum" with score 0; with score 100 "error
 * parsing message" (malformed or cut short), "bad-blk-length" (no transactions, or bytes after the
 * last one), "bad-txnmrklroot", "bad-txns-duplicate", "bad-blk-header" (not the announced header).
 *
 * intake_feed and intake_abort: one thread (the loop). done and drained are called on a pool
 * thread, or inside intake_feed when the pool has no workers.
 */
#ifndef CHAIN_INTAKE_H
#define CHAIN_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "chain/block_reader.h"
#include "chain/blockfile.h"
#include "chain/header_index.h"
#include "chain/verdict.h"

/* Bytes fed but not yet worked off: then stop reading the peer. */
#define INTAKE_QUEUE_MAX (8u << 20)

struct intake_result {
    struct header_node *node;
    uint64_t source;              /* who sent it: peer id, 0 for ourselves */
    enum err err;                 /* not OK: could not be stored (disk), error says why */
    struct error error;
    struct verdict verdict;       /* else: what is wrong with the bytes; always `corruption` */
    struct block_pos pos;         /* stored here when both are fine */
    uint32_t tx_count, wire_checksum;
    struct block_segment
        *segment; /* the parsed block when it was collected in memory, else NULL; receiver unrefs */
};

struct intake_options {
    struct blockfiles *files;
    struct pool *pool;
    void (*done)(void *ctx, struct intake_result *result); /* owns result->segment */
    void (*drained)(void *ctx,
                    uint64_t source); /* queue was full and fell below half: read on; may be NULL */
    void *ctx;
    uint64_t stream_min; /* 0: BLOCKFILE_STREAM_MIN; tests set it lower */
};

struct block_intake;

/*
 * size: claimed payload size, at most what the configuration allows (the caller checks).
 * checksum: expected first 4 bytes of SHA256d (little-endian u32), or NULL (extended framing).
 */
struct block_intake *intake_new(const struct intake_options *o, struct header_node *node,
                                uint64_t size, const uint32_t *checksum, uint64_t source);
/*
 * Copies; len at most what is missing. Returns the bytes queued and not yet worked off: from
 * INTAKE_QUEUE_MAX on, stop until drained is called (a len of 0 asks again). With the last byte the
 * intake belongs to the pool and the pointer is dead. done may come before that (bytes that are no
 * block, full disk); then the rest is ignored, and the owner feeds on or aborts.
 */
size_t intake_feed(struct block_intake *in, const void *data, size_t len);
/* Forgets an intake whose last byte was not fed; neither done nor drained is called after this
 * returns. */
void intake_abort(struct block_intake *in);
/* Bytes held by all intakes of this process (ledger). */
size_t intake_memory_bytes(void);

#endif
