/*
 * Makes small regtest chains in memory: blocks with proof of work, transactions that spend
 * anyone-can-spend outputs (OP_TRUE) or are signed (P2PKH), and runs them through a real chain in a
 * directory of its own.
 */
#ifndef TESTS_CHAIN_CHAIN_BUILDER_H
#define TESTS_CHAIN_CHAIN_BUILDER_H

#include <pthread.h>
#include <semaphore.h>

#include "chain/chain.h"
#include "tests/test.h"

/* --- transactions --- */

struct in_spec {
    struct outpoint prevout;
    int64_t value;           /* of the spent output, for the signature */
    struct span script_sig;
    bool sign;               /* script_sig is made: the output pays to builder_p2pkh */
    uint32_t sequence_gap;   /* sequence is ffffffff minus this */
};
struct out_spec {
    int64_t value;
    struct span script;
};
struct tx_spec {
    int32_t version; /* 0: 1 */
    uint32_t lock_time;
    const struct in_spec *in;
    size_t n_in;
    const struct out_spec *out;
    size_t n_out;
};

struct built_tx {
    struct buf raw;
    struct txid id;
};
void builder_tx(const struct tx_spec *spec, struct built_tx *out);
void built_tx_clear(struct built_tx *tx);
/* One input that anyone can spend, one output of the same kind. */
void builder_move(const struct outpoint *from, int64_t value, struct built_tx *out);
/* Registers an identity; output 1 is its marker. The change is output 2. */
void builder_register(const struct outpoint *from, int64_t value, struct built_tx *out);
/* Spends that marker. */
void builder_revoke(const struct txid *registration, struct built_tx *out);

struct span builder_true(void);  /* OP_TRUE */
struct span builder_p2pkh(void); /* pays to the key that in_spec.sign signs with */

/* --- blocks --- */

struct built_block {
    struct buf raw;
    struct block_header header;
    struct block_hash hash;
    int32_t height;
    struct outpoint coinbase; /* output 0 */
    int64_t reward;           /* its value */
};

struct block_spec {
    const struct built_block *prev;
    const struct built_tx *txs; /* after the coinbase */
    size_t n_txs;
    int64_t fees;               /* added to the reward */
    int64_t extra_reward;       /* the same, for blocks that pay too much or too little */
    struct span script_sig;     /* of the coinbase; empty: height and a counter */
    struct span script;         /* of its output; empty: OP_TRUE */
    uint32_t time;              /* 0: 600 s after prev */
    int32_t version;            /* 0: 0x20000000 */
};

void builder_genesis(const struct chain_params *p, struct built_block *out);
void builder_block(const struct chain_params *p, const struct block_spec *spec,
                   struct built_block *out);
void built_block_clear(struct built_block *b);

/* --- a chain --- */

struct test_chain {
    char *dir;
    struct chain *chain;
    struct chain_options options;
    struct built_block *blocks; /* [0] genesis; what test_chain_grow made */
    int32_t height;             /* of the last of them */
    /* Handlers count. */
    _Atomic int connected, disconnected, judged, fatal;
    _Atomic int accepted, offered_accepted, offered_other; /* transactions */
    _Atomic int batches_judged;  /* of transactions */
    _Atomic int removed[MEMPOOL_REASONS];
    struct verdict last_judged;  /* by the handler */
    struct verdict last_verdict; /* of test_chain_submit */
    struct error last_error;
};

/* Limits of the pools and policy as the daemon has them. */
void test_pool_options(struct chain_options *o);
/* Regtest with all script rules of Genesis from genesis_height on. */
struct chain_params test_params(int32_t genesis_height);
void test_chain_open(struct test_chain *t, const struct chain_params *p, unsigned workers);
/* Options may be changed before. */
void test_chain_reopen(struct test_chain *t);
/* The same without chain_start. */
void test_chain_reopen_idle(struct test_chain *t);
void test_chain_close(struct test_chain *t); /* removes the directory */
/* Submits; the reason of refusal, or "" when the block is good. The text lives in t. */
const char *test_chain_submit(struct test_chain *t, const struct built_block *b);
/* Submits every record of a file (magic, length, block); each must be good or known. Returns how
 * many. */
size_t test_chain_submit_records(struct test_chain *t, const struct buf *file);
/* n blocks with a coinbase alone on top of the last one made so. */
void test_chain_grow(struct test_chain *t, int32_t n);
/* The next block has these transactions and must be taken. */
void test_chain_add(struct test_chain *t, const struct built_tx *txs, size_t n);
struct header_node *test_chain_node(struct test_chain *t, const struct built_block *b);
int32_t test_chain_tip_height(struct test_chain *t);
/* Hash over all coins. */
struct hash256 test_chain_coins(struct test_chain *t);
bool test_chain_has_coin(struct test_chain *t, const struct outpoint *o, struct coin *coin);
/* Closed, the chain thread waits in a command: what comes meanwhile is taken up at once and in its
 * order when the gate opens. */
struct test_gate {
    struct chain *chain;
    pthread_t thread;
    sem_t inside, open;
};
void test_gate_close(struct test_gate *g, struct chain *c);
/* Waits until that many commands stand behind it. */
void test_gate_wait(struct test_gate *g, size_t commands);
void test_gate_open(struct test_gate *g);
/* Makes the block after the last grown one with these transactions and submits it; not kept. */
const char *test_chain_try(struct test_chain *t, const struct built_tx *txs, size_t n,
                           int64_t fees);

#endif
