/*
 * Compact blocks, version 1: cmpctblock, getblocktxn, blocktxn, and short ids (spec p2p 3; BIP152).
 * The decoders check the format and lend out what can be long, so that a message costs no memory
 * beyond its own; what the lists mean for a block is node's business. Pure functions, any thread.
 */
#ifndef P2P_MSG_COMPACT_H
#define P2P_MSG_COMPACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/reader.h"

#define MSG_COMPACT_VERSION 1
#define SHORT_ID_SIZE 6

/* Key of a compact block's short ids: the first 16 bytes of SHA256(header, nonce). */
struct siphash_key short_id_key(const struct block_header *header, uint64_t nonce);
uint64_t short_id_of(const struct siphash_key *key, const struct txid *id); /* 48 bits */
uint64_t short_id_get(const uint8_t p[SHORT_ID_SIZE]);
void short_id_put(uint8_t p[SHORT_ID_SIZE], uint64_t id);

struct msg_cmpctblock {
    struct block_header header;
    uint64_t nonce;
    struct span short_ids;   /* n_short_ids x SHORT_ID_SIZE, borrowed */
    size_t n_short_ids;
    struct span prefilled;   /* n_prefilled x (index, transaction), borrowed; msg_prefilled_next */
    size_t n_prefilled;
};

struct msg_getblocktxn {
    struct block_hash hash;
    struct span indices;     /* n coded indices, borrowed; msg_index_next */
    size_t n;
};

struct msg_blocktxn {
    struct block_hash hash;
    struct span txs;         /* n transactions in a row, borrowed; tx_read_raw */
    size_t n;
};

/* As the decoders of msg.h; indices that do not fit into 32 bits are ERR_PARSE, as for the
 * reference. */
enum err msg_cmpctblock_read(struct msg_cmpctblock *m, struct span payload) MUST_CHECK;
enum err msg_getblocktxn_read(struct msg_getblocktxn *m, struct span payload) MUST_CHECK;
enum err msg_blocktxn_read(struct msg_blocktxn *m, struct span payload) MUST_CHECK;

/* Walks a list of rising indices, each coded as the distance from the one before plus one. */
struct msg_indices {
    struct reader r;
    uint64_t next; /* smallest index that may follow */
};
void msg_indices_init(struct msg_indices *at, struct span list);
/* Once for each of the n of the message; a failure stays in at->r.failed. */
uint32_t msg_index_next(struct msg_indices *at);
uint32_t msg_prefilled_next(struct msg_indices *at, struct span *tx);

struct msg_prefilled {
    uint32_t index;
    struct span tx;
};
/* Indices rise. */
void msg_cmpctblock_write(struct buf *b, const struct msg_cmpctblock *m,
                          const struct msg_prefilled *prefilled);
void msg_getblocktxn_write(struct buf *b, const struct block_hash *hash, const uint32_t *indices,
                           size_t n);
/* Hash and count; the transactions follow as they are. */
void msg_blocktxn_begin(struct buf *b, const struct block_hash *hash, size_t n);

#endif
