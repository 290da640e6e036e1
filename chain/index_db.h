/*
 * The index database (`index/`): header nodes, block file infos, flags, and the optional
 * transaction index. Small, and every write that names data on disk is synced.
 *
 *   'b' height(be32) hash(32) -> 80-byte header, varint status, tx_count, checksum(le32),
 *                                data file, offset, size, undo file, offset, size (varints)
 *   'f' file(be32)            -> blockfile_info fields (varints)
 *   'F' name                  -> flag value (1 byte)
 *   't' txid(32)              -> block hash(32), varint offset, varint size; after a crash the
 *                                block may be unknown
 *   'T'                       -> hash(32) of the last block in the transaction index
 *   'm' txid(32) index(be32) block(32) -> txid(32): what spends this marker in this block, which
 *                                may be unknown after a crash, or invalid
 *   'V'                       -> format version (le32); an unknown one is refused with advice
 *
 * Chain thread, except index_db_find_tx and index_db_each_spend (any thread).
 */
#ifndef CHAIN_INDEX_DB_H
#define CHAIN_INDEX_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/kv.h"
#include "chain/blockfile.h"
#include "chain/header_index.h"

struct index_db;

/* Owns kv from now on. */
enum err index_db_open(struct index_db **out, struct kv *kv, struct error *e) MUST_CHECK;
void index_db_close(struct index_db *db); /* NULL is fine */

/* Fills the index (which holds genesis only) and hands out the file infos (heap array). */
enum err index_db_load(struct index_db *db, struct header_index *idx, struct blockfile_info **infos,
                       size_t *n_infos, struct error *e) MUST_CHECK;
/* Writes all dirty nodes and infos, the last batch synced. */
enum err index_db_flush(struct index_db *db, struct header_index *idx, struct blockfiles *bf,
                        struct error *e) MUST_CHECK;

enum err index_db_get_flag(struct index_db *db, const char *name, bool *value,
                           struct error *e) MUST_CHECK;
enum err index_db_set_flag(struct index_db *db, const char *name, bool value,
                           struct error *e) MUST_CHECK;

/* The block whose transactions are the last in the index. */
enum err index_db_get_tx_tip(struct index_db *db, struct block_hash *tip, bool *found,
                             struct error *e) MUST_CHECK;

/* Transaction index: where a confirmed transaction lies. Its tip is written no further than the
 * coins' durable tip; entries may be ahead of both. */
struct tx_location {
    struct block_hash block;
    uint64_t offset; /* in the block's bytes */
    uint64_t size;
};
enum err index_db_find_tx(struct index_db *db, const struct txid *id, struct tx_location *loc,
                          bool *found, struct error *e) MUST_CHECK;
/* The blocks, on whatever branch, that spend a marker (spec bca 14). False ends the walk. */
typedef bool (*marker_spend_fn)(void *ctx, const struct block_hash *block,
                                const struct txid *spender);
enum err index_db_each_spend(struct index_db *db, const struct outpoint *marker,
                             marker_spend_fn fn, void *ctx, struct error *e) MUST_CHECK;

/* Entries of the two that are written together. */
struct index_batch;
struct index_batch *index_batch_new(struct index_db *db);
void index_batch_free(struct index_batch *b);
void index_batch_put_tx(struct index_batch *b, const struct txid *id,
                        const struct tx_location *loc);
void index_batch_set_tx_tip(struct index_batch *b, const struct block_hash *tip);
void index_batch_put_spend(struct index_batch *b, const struct outpoint *marker,
                           const struct block_hash *block, const struct txid *spender);
size_t index_batch_bytes(const struct index_batch *b);
enum err index_batch_write(struct index_batch *b, enum kv_sync sync, struct error *e) MUST_CHECK;

size_t index_db_memory(struct index_db *db); /* of the database, approximate; any thread */

#endif
