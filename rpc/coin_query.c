#include "rpc/coin_query.h"

#include <stdlib.h>

#include "base/mem.h"

#define BATCH_SCRIPT_BYTES (1u << 20) /* a batch ends when its scripts have so many */

struct coin_query *coin_query_new(void) { return xcalloc(1, sizeof(struct coin_query)); }

void coin_query_free(struct coin_query *q)
{
    if (!q)
        return;
    buf_clear(&q->scripts);
    free(q);
}

static enum err query_one(struct coin_query *q, struct coins *coins)
{
    struct coin *coin = &q->coins[q->done];
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
    while (q->done < q->n && q->done < COIN_BATCH && q->scripts.len < BATCH_SCRIPT_BYTES &&
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
    if (chain_call(call->env->chain, query_batch, q))
        rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down");
    else if (q->rc)
        rpc_fail_error(call, &q->e);
    else
        return true;
    return false;
}

struct span coin_query_script(const struct coin_query *q, size_t i)
{
    return span_of(q->scripts.data + q->script_at[i], q->coins[i].script.len);
}
