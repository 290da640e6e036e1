/*
 * Transactions on the chain thread: what others hand over waits here, is judged in batches whose
 * scripts run on the pool, and enters the mempool or is refused; blocks that come and go are told
 * to the pools. Parts:
 *
 *   txs.c         opening, handing over, turns of work
 *   txs_batch.c   one batch through accept.h
 *   txs_slow.c    those whose scripts took too long for a batch
 *   txs_blocks.c  what blocks do to the pools
 *   mempool_file.c  mempool.dat
 *
 * Two batches are under way at a time: while the scripts of one run, the next is judged. A batch
 * is small in bytes and every script in it is limited, so that a block never waits long. The chain
 * thread only, but for what says "any thread".
 */
#ifndef CHAIN_TXS_H
#define CHAIN_TXS_H

#include <pthread.h>

#include "base/map.h"
#include "base/hash.h"
#include "base/pool.h"
#include "base/queue.h"
#include "chain/accept.h"
#include "chain/chain.h"

struct chain;

/* Somebody who waits until all that was handed over is judged. */
struct tx_waiter {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    size_t left;
};

/* One transaction handed over. */
struct tx_offer {
    struct queue_node node;
    struct tx_offer *next;             /* in lists of this module */
    struct accept_work work;           /* holds the reference to the transaction */
    struct tx_submission *submission;  /* NULL: nobody waits */
    struct tx_waiter *waiter;
    tx_done_fn done;                   /* told of the result; NULL: nobody */
    void *done_ctx;
    bool from_pool;                    /* was in the mempool before a reorganisation: silent */
    bool slow;                         /* has had its turn without the limit of a batch */
};

struct tx_list {
    struct tx_offer *first, **end;
    size_t n;
};
void tx_list_init(struct tx_list *l);
void tx_list_add(struct tx_list *l, struct tx_offer *o);
struct tx_offer *tx_list_take(struct tx_list *l); /* NULL when empty */
void tx_list_put_first(struct tx_list *l, struct tx_list *first); /* all of first, then empty */

struct returned_block {
    struct tx **txs; /* references, without the coinbase */
    size_t n, cap;
};

struct mempool_load; /* mempool_file.c */
struct tx_batch;     /* txs_batch.c */

#define TXS_BATCH_MAX 256
#define TXS_BATCH_BYTES (4u << 20)
#define TXS_BATCH_SPENT (4 * TXS_BATCH_BYTES) /* copies of what is spent: with more it is full */

struct txs {
    struct chain *chain;
    struct tx_policy policy;
    struct mempool *pool;
    struct nonfinal *nonfinal;
    struct sigcache *signatures, *scripts;
    struct accept_env env;
    struct accept_rules rules;
    struct queue *offers;              /* any thread pushes */
    struct tx_batch *batches[2];       /* the two of a turn */
    struct tx_list again;              /* through a batch once more: slow ones that were good, and
                                          what a batch had no room for */
    struct map pending;                /* txid -> tx_offer judged but not entered */
    struct siphash_key pending_key;
    struct tx_result results[TXS_BATCH_MAX]; /* of a batch, while they are told */

    /* txs_slow.c */
    struct tx_list slow;               /* waiting */
    size_t slow_bytes;
    unsigned slow_running;
    struct job_group slow_group;

    /* txs_blocks.c */
    struct tx **staged;                /* of the block being connected, what the pools care about:
                                          references to the pool's own or to copies */
    size_t n_staged, staged_cap;
    bool staging_failed;               /* memory was short for one */
    struct returned_block *returned;   /* of disconnected blocks, lowest first */
    size_t n_returned;
    size_t returned_bytes;
    enum script_era era;               /* of the next block, when last settled */
    bool tip_moved;
    int64_t next_tidy_ms;              /* expiry, final ones of the non-final pool */

    struct mempool_load *load;         /* while mempool.dat is being read */
    bool loaded;
    pthread_mutex_t file_lock;         /* one at a time writes it */
};

/* --- txs.c --- */
void txs_open(struct txs *t, struct chain *c);
void txs_close(struct txs *t);
/* Closes the queue and ends everybody's wait. */
void txs_stop(struct txs *t);
/* A turn: some batches, bounded in time. did: there was something. */
enum err txs_step(struct txs *t, bool *did, struct error *e) MUST_CHECK;
/* Makes the rules of the next block current. */
void txs_refresh_rules(struct txs *t);
struct tx_offer *tx_offer_new(struct tx *tx, uint64_t source); /* takes a reference */
void tx_offer_free(struct tx_offer *o);
/* Tells waiter and handlers, frees. */
void txs_deliver(struct txs *t, struct tx_offer *const *v, size_t n);
/* The node stops: it is not judged. */
void txs_give_up(struct txs *t, struct tx_offer *o);

/* --- txs_batch.c --- */
struct tx_batch *tx_batch_new(struct txs *t);
void tx_batch_free(struct tx_batch *b);
/* Owns the offer from now on. False: the batch is full after this one. */
bool tx_batch_add(struct tx_batch *b, struct tx_offer *o);
size_t tx_batch_count(const struct tx_batch *b);
/* Judges what was added and sends scripts to the pool; the last few run in tx_batch_end. What would
 * take too much memory for the coins it spends goes to rest, in order; never all of it. */
enum err tx_batch_begin(struct tx_batch *b, struct tx_list *rest, struct error *e) MUST_CHECK;
/* Waits for the scripts, lets enter, tells everybody; the batch is empty again. */
void tx_batch_end(struct tx_batch *b);
/* A list through batches, to its end. */
enum err txs_run_list(struct txs *t, struct tx_list *l, struct error *e) MUST_CHECK;
/* Tells who wants to know what a change threw out; clears it. block may be NULL. */
void txs_tell_removed(struct txs *t, struct mempool_removals *r, const struct header_node *block);

/* --- txs_slow.c --- */
/* Its scripts are run on the pool without holding up a batch. Owns the offer. */
void txs_slow_add(struct txs *t, struct tx_offer *o);
enum err txs_slow_step(struct txs *t, bool *did, struct error *e) MUST_CHECK;
void txs_slow_stop(struct txs *t); /* waits for those that run */

/* --- txs_blocks.c --- */
/* Each transaction of a block being connected; its verdict comes later. */
void txs_block_tx(struct txs *t, const struct tx *tx);
void txs_block_forget(struct txs *t); /* the block was not connected */
/* From here on until txs_settle the pools fit no tip. */
void txs_tip_moves(struct txs *t);
void txs_block_connected(struct txs *t, struct header_node *node);
enum err txs_block_disconnected(struct txs *t, struct header_node *node,
                                struct error *e) MUST_CHECK;
void txs_forget_returned(struct txs *t);
/* After the tip has come to rest: what returns from disconnected blocks enters again. */
enum err txs_settle(struct txs *t, struct error *e) MUST_CHECK;
/* The lists of frozen outputs are others: what they forbid leaves the mempool. */
void txs_frozen_changed(struct txs *t);
/* Expiry and the non-final pool, now and then. */
enum err txs_tidy(struct txs *t, struct error *e) MUST_CHECK;

/* --- mempool_file.c --- */
/* Reads a part of mempool.dat and lets it enter; did: there was a part. */
enum err mempool_load_step(struct txs *t, bool *did, struct error *e) MUST_CHECK;
void mempool_load_stop(struct txs *t);
/* Once the thread has ended; before that see chain_save_mempool. */
enum err mempool_save_last(struct txs *t, struct error *e) MUST_CHECK;

#endif
