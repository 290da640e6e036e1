#include "rpc/coin_query.h"

#include <stdlib.h>

#include "base/mem.h"
#include "chain/frozen.h"

#define BATCH_SCRIPT_BYTES (1u << 20)

struct coin_query *coin_query_new(enum coin_scope scope)
{
    struct coin_query *q = xcalloc(1, sizeof(struct coin_query));
    q->scope = scope;
    q->script_bytes = BATCH_SCRIPT_BYTES;
    return q;
}

static void forget_mempool(struct coin_query *q)
{
    for (size_t i = 0; i < COIN_BATCH; i++) {
        tx_unref(q->parent[i]);
        tx_unref(q->spender[i]);
        q->parent[i] = q->spender[i] = NULL;
    }
}

void coin_query_free(struct coin_query *q)
{
    if (!q)
        return;
    forget_mempool(q);
    buf_clear(&q->scripts);
    free(q);
}

/* Before the chain is asked: what is mined in between is found there. */
static void look_into_mempool(struct coin_query *q, struct mempool *pool)
{
    for (size_t i = 0; i < q->n && i < COIN_BATCH; i++) {
        const struct outpoint *o = &q->outpoints[i];
        q->spender[i] = mempool_get_spender(pool, o);
        q->parent[i] = mempool_get_output(pool, o);
        q->found[i] = q->parent[i] != NULL;
        if (q->found[i])
            q->coins[i] = (struct coin){ .value = q->parent[i]->out[o->index].value,
                                         .height = COIN_IN_MEMPOOL,
                                         .confiscated = confiscation_is(q->parent[i]) };
    }
}

static enum err query_one(struct coin_query *q, struct coins *coins)
{
    struct coin *coin = &q->coins[q->done];
    if (q->parent[q->done])
        return OK;
    enum err rc = coins_get(coins, &q->outpoints[q->done], coin, &q->found[q->done], &q->e);
    if (rc || !q->found[q->done])
        return rc;
    if (!buf_try_reserve(&q->scripts, coin->script.len))
        return error_set(&q->e, ERR_NOMEM, "out of memory for a script of %zu bytes",
                         coin->script.len);
    q->script_at[q->done] = q->scripts.len;
    buf_put(&q->scripts, coin->script.data, coin->script.len);
    return OK;
}

static void query_batch(struct chain *c, void *ctx)
{
    struct coin_query *q = ctx;
    chain_get_tip(c, &q->tip);
    while (q->done < q->n && q->done < COIN_BATCH && q->scripts.len < q->script_bytes &&
           !q->rc) {
        q->rc = query_one(q, chain_coins(c));
        q->done++;
    }
}

bool coin_query_run(struct coin_query *q, struct rpc_call *call, const struct outpoint *outpoints,
                    size_t n)
{
    q->outpoints = outpoints;
    q->n = n;
    q->done = 0;
    q->rc = OK;
    buf_reset(&q->scripts);
    forget_mempool(q);
    if (q->scope == COINS_AND_MEMPOOL)
        look_into_mempool(q, chain_mempool(call->env->chain));
    if (chain_call(call->env->chain, query_batch, q))
        rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down");
    else if (q->rc)
        rpc_fail_error(call, &q->e);
    else
        return true;
    return false;
}

int32_t coin_query_height(const struct coin_query *q, size_t i)
{
    const int32_t height = q->coins[i].height;
    return height == COIN_IN_MEMPOOL ? q->tip.height + 1 : height;
}

struct span coin_query_script(const struct coin_query *q, size_t i)
{
    if (q->parent[i])
        return q->parent[i]->out[q->outpoints[i].index].script;
    return span_of(q->scripts.data + q->script_at[i], q->coins[i].script.len);
}
