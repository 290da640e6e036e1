/*
 * Every header we accepted, as a tree with cumulative work, and the active chain by height.
 *
 * Nodes are never freed or moved while the index lives, so a pointer obtained once stays good.
 * hash, header fields, height, work, prev and skip never change after insertion and may be read
 * without a lock. status and the block positions change: they are atomic or guarded by the index
 * lock as said below. The lock is a reader-writer lock inside; functions take it themselves unless
 * their name ends in _locked.
 *
 * Writers: the thread that accepts headers (loop), and the chain thread (status, positions, tip).
 */
#ifndef CHAIN_HEADER_INDEX_H
#define CHAIN_HEADER_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/u256.h"
#include "chain/params.h"
#include "chain/verdict.h"

/* Where a block or undo record lies. offset is of the payload, past magic and length. */
struct block_pos {
    uint32_t file;   /* NNNNN of blkNNNNN.dat / revNNNNN.dat */
    uint64_t offset;
    uint64_t size;   /* of the payload; 0: not there */
};

/* Bits of header_node.status; stored on disk, never renumbered. */
enum header_status {
    HS_HEADER_VALID = 1u << 0,  /* always set: proof of work, bits, time, version */
    HS_HAVE_DATA = 1u << 1,     /* block stored at data */
    HS_HAVE_UNDO = 1u << 2,     /* undo record stored at undo */
    HS_TX_CHECKED = 1u << 3,    /* Merkle root and context-free checks passed; tx_count known */
    HS_SCRIPTS_OK = 1u << 4,    /* connected once with everything checked (or below assume-valid) */
    HS_FAILED = 1u << 5,        /* breaks a rule */
    HS_FAILED_PARENT = 1u << 6, /* an ancestor does */
    HS_FAILED_MASK = HS_FAILED | HS_FAILED_PARENT,
    HS_FAILED_LIMIT = 1u << 7,  /* with HS_FAILED: only a configurable limit was exceeded
                                   (product.md: re-judged when the limit was raised) */
    HS_HELD = 1u << 8,          /* spends an output that was frozen by consensus (hold.c) */
};

struct header_node {
    struct block_hash hash;
    struct header_node *prev, *skip;
    struct u256 work;            /* cumulative, this block included */
    int32_t height;
    int32_t version;
    struct hash256 merkle_root;
    uint32_t time, bits, nonce;
    uint32_t max_time;           /* largest time of this and all ancestors */
    _Atomic uint32_t status;
    /* Guarded by the index lock: */
    uint32_t tx_count;           /* 0 until HS_TX_CHECKED */
    uint32_t wire_checksum;      /* first 4 bytes of SHA256d of the block, LE; 0 unknown */
    uint32_t candidate_slot;     /* place in the list of linked leaves + 1; 0: not in it */
    uint64_t chain_tx_count;     /* transactions up to here; 0 until all ancestors have data */
    struct block_pos data, undo;
    uint64_t sequence;           /* order in which data became complete; ties go to the lower */
    bool dirty;                  /* to be written by the next index flush */
    struct header_node *first_child, *next_sibling;
};

struct header_index;

struct header_index *header_index_new(const struct chain_params *params);
void header_index_free(struct header_index *idx);
const struct chain_params *header_index_params(const struct header_index *idx);
/* On after header_index_new; before other threads use the index. */
void header_index_use_checkpoints(struct header_index *idx, bool on);

/* Any thread. NULL when unknown. */
struct header_node *header_index_find(struct header_index *idx, const struct block_hash *hash);
size_t header_index_count(struct header_index *idx);
/* *untouched: of these, room for headers to come that was not written yet. */
size_t header_index_memory_bytes(struct header_index *idx, size_t *untouched);
/* Header with the most work that has not failed. */
struct header_node *header_index_best(struct header_index *idx);
struct header_node *header_index_genesis(struct header_index *idx);

/*
 * Checks and inserts contiguous headers (each follows the one before; the first follows a known
 * one). Stops at the first that breaks a rule: *v tells how and *accepted how many before it are
 * in. now: seconds, judges time-too-new. *last is the node of the last accepted or already known
 * header. ERR_NOTFOUND: parent of the first is unknown (verdict "prev-blk-not-found", score 10).
 * hashes: of the headers when the caller has them, or NULL.
 */
enum err header_index_accept(struct header_index *idx, const struct block_header *headers,
                             const struct block_hash *hashes, size_t n, int64_t now,
                             size_t *accepted, struct header_node **last,
                             struct verdict *v) MUST_CHECK;
/* Fills hashes; false (and the rest not filled) when a header does not follow the one before. */
bool headers_hash(struct block_hash *hashes, const struct block_header *headers, size_t n);

/* Pure walks, any thread, no lock. */
struct header_node *header_ancestor(struct header_node *node, int32_t height);
struct header_node *header_last_common(struct header_node *a, struct header_node *b);
/* The first block of the chain of tip that, or whose ancestor, is not older than this; NULL:
 * none. */
struct header_node *header_first_since(struct header_node *tip, int64_t time);
/* Seconds by which the time of a block may be off, for whoever looks for a moment in the chain. */
#define HEADER_TIME_MARGIN 7200
uint32_t header_median_time(const struct header_node *node); /* spec consensus 2.2 item 2 */
void header_of_node(struct block_header *out, const struct header_node *node);
struct u256 header_block_work(const struct header_node *node); /* of this block alone */

/* The active chain. Any thread reads; chain thread sets. */
struct header_node *header_index_tip(struct header_index *idx); /* NULL before genesis connects */
/* NULL past the tip. */
struct header_node *header_index_at(struct header_index *idx, int32_t height);
bool header_index_is_active(struct header_index *idx, const struct header_node *node);
/* Any fork, any depth. */
void header_index_set_tip(struct header_index *idx, struct header_node *tip);

/* Chain thread: data complete. Sets position, counts, checksum, bits, sequence and marks dirty. */
void header_index_set_data(struct header_index *idx, struct header_node *node,
                           const struct block_pos *pos, uint32_t tx_count, uint32_t wire_checksum);
void header_index_set_undo(struct header_index *idx, struct header_node *node,
                           const struct block_pos *pos);
void header_index_set_status(struct header_index *idx, struct header_node *node, uint32_t set,
                             uint32_t clear);
/* Marks node failed and all its descendants HS_FAILED_PARENT; extra: HS_FAILED_LIMIT or 0. */
void header_index_fail(struct header_index *idx, struct header_node *node, uint32_t extra);
/* Clears failure of node, its ancestors and descendants (reconsiderblock). */
void header_index_reconsider(struct header_index *idx, struct header_node *node);
/* Copies the lock-guarded fields. Any thread. */
struct header_data {
    struct block_pos data, undo;
    uint32_t tx_count, wire_checksum, status;
    uint64_t chain_tx_count;
};
void header_index_get_data(struct header_index *idx, const struct header_node *node,
                           struct header_data *out);

/*
 * Best candidate for the tip: most work among nodes that have not failed and whose data and that
 * of all ancestors back to the active chain is stored; ties: already active, then lower sequence.
 * Chain thread. Never NULL once genesis is in.
 */
struct header_node *header_index_best_candidate(struct header_index *idx);
/* preciousblock: the node wins ties from now on. */
void header_index_prefer(struct header_index *idx, struct header_node *node);

/*
 * Every leaf of the tree (getchaintips). Any thread; fn runs under the read lock and must not call
 * what takes it again: with a writer waiting in between that would be for ever.
 */
void header_index_each_leaf(struct header_index *idx,
                            void (*fn)(void *ctx, struct header_node *node), void *ctx);
/* Every node, parents before children; fn as above. */
void header_index_each(struct header_index *idx, void (*fn)(void *ctx, struct header_node *node),
                       void *ctx);

/* Load from disk (index_db): nodes by rising height. Checks that the parent is known. */
struct header_node *header_index_load(struct header_index *idx, const struct block_header *h,
                                      const struct block_hash *hash, const struct header_data *data,
                                      struct error *e);
/* After loading: chain_tx_count, candidates, best header. */
void header_index_loaded(struct header_index *idx);
/*
 * Hands every dirty node to fn and clears the flag; takes the write lock once per 1,000 nodes. A
 * new node comes after its parent (or the parent came in an earlier call), so what is written of
 * them in this order can be loaded wherever a crash cuts it off. What changes meanwhile waits for
 * the next call.
 */
void header_index_take_dirty(struct header_index *idx,
                             void (*fn)(void *ctx, const struct header_node *node), void *ctx);

#endif
