/*
 * Looking up outputs for commands, in the mempool if wanted and in the chain, a batch at a time:
 * the chain thread, which owns the coins, is held for a bounded number of them and a bounded number
 * of bytes. Any thread that may wait for the chain.
 */
#ifndef RPC_COIN_QUERY_H
#define RPC_COIN_QUERY_H

#include "chain/chain.h"
#include "chain/coin.h"
#include "rpc/command.h"

#define COIN_BATCH 256
#define COIN_IN_MEMPOOL (-1) /* height of an output that is in no block yet */

enum coin_scope { COINS_OF_CHAIN, COINS_AND_MEMPOOL };

struct coin_query {
    enum coin_scope scope;
    size_t script_bytes;              /* a batch ends when its scripts of the chain have so many */
    const struct outpoint *outpoints; /* of this batch, borrowed */
    size_t n;                         /* how many are left to ask for */
    size_t done;                      /* how many of them were looked at: one at least */
    bool found[COIN_BATCH];           /* there, whether the mempool spends it or not */
    struct coin coins[COIN_BATCH];    /* scripts: see coin_query_script */
    struct tx *parent[COIN_BATCH];    /* of an output in the mempool, a reference */
    struct tx *spender[COIN_BATCH];   /* in the mempool, a reference; NULL: none there */
    size_t script_at[COIN_BATCH];
    struct buf scripts;
    struct chain_tip tip;             /* at which the coins were looked up */
    enum err rc;
    struct error e;
};

struct coin_query *coin_query_new(enum coin_scope scope);
void coin_query_free(struct coin_query *q); /* NULL is fine */
/* Looks at the first of these outputs, q->done of them. False: call has failed. */
bool coin_query_run(struct coin_query *q, struct rpc_call *call, const struct outpoint *outpoints,
                    size_t n);
/* Of a coin that was found: the height of its block, of the next one when it is in none. */
int32_t coin_query_height(const struct coin_query *q, size_t i);
/* Borrowed until the next run. */
struct span coin_query_script(const struct coin_query *q, size_t i);

#endif
