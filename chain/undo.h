/*
 * Undo record of a block: the coins its inputs spent, in the order of the inputs (coinbase left
 * out). Content: varint count, then per coin: varint length, coin bytes (coin.h). The frame with
 * the checksum SHA256d(block hash, content) belongs to blockfile.h.
 */
#ifndef CHAIN_UNDO_H
#define CHAIN_UNDO_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "chain/coin.h"

struct undo_writer {
    struct buf coins;
    uint64_t count;
};
void undo_writer_init(struct undo_writer *w);
void undo_writer_clear(struct undo_writer *w);
enum err undo_writer_add(struct undo_writer *w, const struct coin *c, struct error *e) MUST_CHECK;
/* The finished content; the writer is empty after. */
void undo_writer_finish(struct undo_writer *w, struct buf *content);

/* Reads the coins back to front or by index: positions are found in one pass over the content. */
struct undo_reader {
    struct buf content;
    uint64_t *offsets; /* of each coin's bytes; count + 1 of them */
    uint64_t count;
};
/* Takes the content. ERR_CORRUPT. */
enum err undo_reader_init(struct undo_reader *r, struct buf *content, struct error *e) MUST_CHECK;
void undo_reader_clear(struct undo_reader *r);
enum err undo_reader_get(const struct undo_reader *r, uint64_t i, struct coin *c,
                         struct error *e) MUST_CHECK;

#endif
