/*
 * Shared by the parts of gen_chain: gen_chain.c (options, blocks, chains), gen_tx.c (coins, keys,
 * signed transactions) and gen_spends.c (transactions that wait for a block). Whatever fails ends
 * the program.
 */
#ifndef CONTRIB_GEN_H
#define CONTRIB_GEN_H

#include <stdio.h>

#include "base/block.h"
#include "base/buf.h"
#include "base/ids.h"
#include "base/tx.h"

struct gen_key {
    uint8_t secret[32], pub[33];
    uint8_t script[25]; /* P2PKH */
};

struct coin {
    struct txid txid;
    uint32_t index;
    int64_t value;
    const struct gen_key *owner; /* borrowed */
};

struct coins {
    struct coin *list;
    size_t n, cap, used;
};

/* Whom outputs pay: the i-th first[i * step]; step 0: all of them the same. */
struct payees {
    const struct gen_key *first;
    size_t step;
};
static inline const struct gen_key *payee(struct payees p, size_t i)
{
    return p.first + i * p.step;
}

struct gen {
    FILE *out, *signatures; /* signatures: NULL when nobody wants them */
    uint64_t seed, random;
    struct gen_key key;     /* of all coins but those that the spends spend */
    struct block_hash tip;
    int32_t height;
    uint32_t time;
    struct merkle merkle;   /* of the block being written */
    off_t start;            /* of its record */
    struct coins rewards, coins;
    unsigned threads;
};

#define GEN_THREADS_MAX 64
#define GEN_FAN_OUT_MAX 19000 /* outputs: below 20,000 signature operations and 1,000,000 bytes */

_Noreturn void die(const char *text);
void put(FILE *f, const void *data, size_t len);
FILE *open_for_writing(const char *path);

/* --- gen_chain.c --- */
/* A block of n_txs transactions besides its coinbase; all of them must be put before block_end. */
void block_begin(struct gen *g, uint64_t n_txs);
void block_put_tx(struct gen *g, const struct buf *raw, const struct txid *id);
void block_end(struct gen *g);
/* Blocks that split coinbases into n coins for these payees. */
void add_fan_outs(struct gen *g, size_t n, struct payees to);

/* --- gen_tx.c --- */
void gen_key_make(struct gen_key *k, uint64_t seed, uint64_t number);
void coins_add(struct coins *c, const struct coin *coin);
const struct coin *coins_next(struct coins *c);
/*
 * A signed transaction over n coins with these outputs, written to *raw; its id. A record for each
 * signature is added to *records. Any thread.
 */
struct txid make_tx(const struct coin *coins, size_t n, struct tx_out *outs, size_t n_outs,
                    struct buf *raw, struct buf *records);
/* Writes the records to the file of signatures, if there is one, and empties the buffer. */
void save_records(struct gen *g, struct buf *records);
/* Runs fn(ctx, i) for all i below n, on all cores. */
void in_parallel(const struct gen *g, size_t n, void (*fn)(void *ctx, size_t i), void *ctx);

/* --- gen_spends.c --- */
struct spends;
/* n transactions with one input each, in chains of chain_length (1: independent), each input with a
 * key of its own. Adds the blocks that fund them. */
struct spends *spends_new(struct gen *g, size_t n, size_t chain_length);
/* As `tx` messages of regtest, parents first. */
void spends_write_messages(const struct spends *s, const char *path);
/* As the block after the tip, which stays the tip, in a record like those of the chain. */
void spends_write_block(const struct spends *s, const struct gen *g, const char *path);
void spends_free(struct spends *s);

#endif
