/*
 * dsdetected: two or more blocks of competing branches, each with the proof of a transaction that
 * spends what one of another block spends too (spec p2p 3, consensus 6).
 *
 *   version 2 (1) | compact number of blocks, 2 at least | for each block:
 *     compact number of headers, 1 at least | headers, 80 each: the block's, then down to the one
 *     after the common ancestor | proof with flags 05 (base/tsc_proof.h)
 *
 * The decoder checks the format and lends out the rest. Pure functions, any thread.
 */
#ifndef P2P_MSG_DS_H
#define P2P_MSG_DS_H

#include "base/tsc_proof.h"

#define MSG_DS_VERSION 1

struct msg_dsdetected {
    struct span payload; /* the whole, borrowed */
    struct span blocks;  /* n of them in a row, borrowed; msg_ds_block_next */
    size_t n;
};

struct msg_ds_block {
    struct span whole;   /* its bytes */
    struct span headers; /* n x 80 bytes, borrowed */
    size_t n;
    struct tsc_proof proof; /* of a whole transaction, with the Merkle root as target */
};

/* ERR_PARSE also for another version, fewer blocks or another kind of proof. */
enum err msg_dsdetected_read(struct msg_dsdetected *m, struct span payload) MUST_CHECK;
/* Once for each of the n of a message that was read. */
void msg_ds_block_next(struct reader *r, struct msg_ds_block *b);

void msg_dsdetected_begin(struct buf *b, size_t n);
void msg_ds_block_write(struct buf *b, const struct block_header *headers, size_t n,
                        const struct tsc_proof *proof);

#endif
