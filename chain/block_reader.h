/*
 * Reads a stored (or received) block in segments of whole transactions, so that a block of any size
 * is connected in bounded memory: a segment holds about target_bytes of raw transactions, or one
 * transaction when that is larger.
 *
 * A segment is reference-counted: script jobs keep it while the chain goes on. One thread at a
 * time per reader; a finished segment may be read by any thread.
 */
#ifndef CHAIN_BLOCK_READER_H
#define CHAIN_BLOCK_READER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/block.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/tx.h"
#include "chain/blockfile.h"

/* Raw bytes of a whole block in memory, shared between intake, connect and serving. */
struct block_bytes {
    atomic_size_t refs;
    uint8_t *data;
    size_t len;
};
struct block_bytes *block_bytes_new(uint8_t *data, size_t len); /* takes the memory (malloc) */
struct block_bytes *block_bytes_ref(struct block_bytes *b);
void block_bytes_unref(struct block_bytes *b); /* NULL is fine */

struct block_segment {
    atomic_size_t refs;
    struct tx *txs;       /* ids computed */
    size_t n_txs;
    uint64_t first;       /* index of txs[0] in the block */
    uint64_t offset;      /* of txs[0] from the start of the block */
    bool last;            /* nothing follows */
    size_t cap_txs;
    struct arena arena;
    struct buf raw;       /* owned bytes, or empty when bytes is set */
    struct block_bytes *bytes;
};
void block_segment_ref(struct block_segment *s);
void block_segment_unref(struct block_segment *s); /* NULL is fine */
size_t block_segment_memory(const struct block_segment *s);

/*
 * A whole block in memory as one segment, ids computed on this thread. *extra: bytes after the last
 * transaction. ERR_PARSE when it is no block, ERR_NOMEM. A block of no transactions gives *out with
 * none.
 */
enum err block_segment_parse(struct block_segment **out, struct block_bytes *bytes,
                             struct block_header *header, size_t *extra,
                             struct error *e) MUST_CHECK;

struct block_reader;
/* From disk at pos, or from bytes when not NULL (pos unused). */
enum err block_reader_open(struct block_reader **out, struct blockfiles *bf,
                           const struct block_pos *pos, struct block_bytes *bytes,
                           size_t target_bytes, struct error *e) MUST_CHECK;
/* From disk, a transaction of more bytes than this and than the target is then ERR_RANGE: no more
 * of it is read. */
void block_reader_set_most(struct block_reader *r, uint64_t tx_bytes);
void block_reader_close(struct block_reader *r); /* NULL is fine; segments live on */
const struct block_header *block_reader_header(const struct block_reader *r);
uint64_t block_reader_tx_count(const struct block_reader *r);
/*
 * Next segment, caller unrefs; *out NULL after the last. Stored bytes that do not parse:
 * ERR_CORRUPT. After an error the reader stays where it was. May run as a pool job.
 */
enum err block_reader_next(struct block_reader *r, struct block_segment **out,
                           struct error *e) MUST_CHECK;

#endif
