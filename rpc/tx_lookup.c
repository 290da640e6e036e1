#include "rpc/tx_lookup.h"

#include "base/config.h"
#include "chain/chain.h"
#include "chain/index_db.h"
#include "rpc/block_json.h"
#include "rpc/block_scan.h"

#define OUTPUTS_TRIED 1000 /* of a transaction, to find its block by an unspent one */

/* --- in one block --------------------------------------------------------------------------- */

struct search {
    const struct txid *id;
    uint64_t most; /* bytes of it */
    struct buf *raw;
    bool found, nomem, too_large;
};

static enum err fail_size(uint64_t most, struct error *e)
{
    return error_set(e, ERR_RANGE, "the transaction has more than %llu bytes",
                     (unsigned long long)most);
}

static enum scan_next take_if_wanted(void *ctx, struct block_segment *segment, const struct tx *tx)
{
    struct search *s = ctx;
    (void)segment;
    if (!txid_equal(&tx->id, s->id))
        return SCAN_ON;
    s->too_large = tx->raw.len > s->most;
    if (s->too_large)
        return SCAN_ENOUGH;
    s->found = buf_try_reserve(s->raw, tx->raw.len);
    s->nomem = !s->found;
    if (s->found)
        buf_put(s->raw, tx->raw.data, tx->raw.len);
    return SCAN_ENOUGH;
}

static enum err find_in_block(struct rpc_call *call, struct header_node *node,
                              const struct txid *id, uint64_t most, struct tx_found *f,
                              struct error *e)
{
    struct search s = { .id = id, .most = most, .raw = &f->raw };
    enum err rc = block_scan_bounded(call, node, most, take_if_wanted, &s, e);
    if (!rc && s.too_large)
        rc = fail_size(most, e);
    if (!rc && s.nomem)
        rc = error_set(e, ERR_NOMEM, "out of memory for the transaction");
    f->node = !rc && s.found ? node : NULL;
    return rc;
}

/* --- by the index --------------------------------------------------------------------------- */

static enum err ask_index(struct chain *c, const struct txid *id, struct tx_location *loc,
                          struct header_node **node, struct error *e)
{
    bool found;
    enum err rc = index_db_find_tx(chain_index_db(c), id, loc, &found, e);
    *node = !rc && found ? header_index_find(chain_headers(c), &loc->block) : NULL;
    return rc;
}

static enum err read_located(struct chain *c, const struct tx_location *loc,
                             struct header_node *node, uint64_t most, struct tx_found *f,
                             struct error *e)
{
    struct header_data d;
    if (loc->size > most)
        return fail_size(most, e);
    header_index_get_data(chain_headers(c), node, &d);
    if (!(d.status & HS_HAVE_DATA))
        return error_set(e, ERR_NOTFOUND, "the block of this transaction has been pruned");
    if (!buf_try_reserve(&f->raw, (size_t)loc->size))
        return error_set(e, ERR_NOMEM, "out of memory for the transaction");
    enum err rc = blockfiles_read(chain_blockfiles(c), &d.data, loc->offset,
                                  buf_extend(&f->raw, (size_t)loc->size), (size_t)loc->size, e);
    f->node = rc ? NULL : node;
    return rc;
}

static bool has_index(const struct rpc_call *call)
{
    return call->env->config && config_bool(call->env->config, "txindex");
}

/* --- by an unspent output ------------------------------------------------------------------- */

struct output_query {
    const struct outpoint *outputs;
    size_t n;
    struct header_node **nodes;
    struct txid id; /* without outputs: any of the first of this transaction */
    enum err rc;
    struct error e;
};

static struct header_node *node_of_coin(struct chain *c, struct output_query *q,
                                        const struct outpoint *o)
{
    struct coin coin;
    bool found = false;
    q->rc = coins_get(chain_coins(c), o, &coin, &found, &q->e);
    return !q->rc && found ? header_index_at(chain_headers(c), coin.height) : NULL;
}

static void query_listed(struct chain *c, void *ctx)
{
    struct output_query *q = ctx;
    for (size_t i = 0; i < q->n && !q->rc; i++)
        q->nodes[i] = node_of_coin(c, q, &q->outputs[i]);
}

static void query_any(struct chain *c, void *ctx)
{
    struct output_query *q = ctx;
    *q->nodes = NULL;
    for (uint32_t i = 0; i < OUTPUTS_TRIED && !*q->nodes && !q->rc; i++)
        *q->nodes = node_of_coin(c, q, &(struct outpoint){ q->id, i });
}

static enum err ask_coins(struct chain *c, void (*fn)(struct chain *c, void *ctx),
                          struct output_query *q, struct error *e)
{
    enum err rc = chain_call(c, fn, q);
    if (rc)
        return error_set(e, rc, "the node is shutting down");
    if (q->rc && e)
        *e = q->e;
    return q->rc;
}

static enum err ask_outputs(struct chain *c, const struct txid *id, struct header_node **node,
                            struct error *e)
{
    struct output_query q = { .nodes = node, .id = *id };
    return ask_coins(c, query_any, &q, e);
}

enum err tx_lookup_outputs(struct rpc_call *call, const struct outpoint *outputs, size_t n,
                           struct header_node **nodes, struct error *e)
{
    struct output_query q = { .outputs = outputs, .n = n, .nodes = nodes };
    return ask_coins(call->env->chain, query_listed, &q, e);
}

/* --- all of them ---------------------------------------------------------------------------- */

enum err tx_lookup(struct rpc_call *call, struct header_node *in_block, const struct txid *id,
                   uint64_t most, struct tx_found *f, struct error *e)
{
    struct chain *c = call->env->chain;
    struct tx_location loc;
    struct header_node *node = NULL;
    f->node = NULL;
    if (in_block)
        return find_in_block(call, in_block, id, most, f, e);
    enum err rc = has_index(call) ? ask_index(c, id, &loc, &node, e) : OK;
    if (rc || node)
        return rc ? rc : read_located(c, &loc, node, most, f, e);
    rc = ask_outputs(c, id, &node, e);
    return rc || !node ? rc : find_in_block(call, node, id, most, f, e);
}

bool tx_lookup_quick(struct rpc_call *call, const struct txid *id, uint64_t most,
                     struct tx_found *f)
{
    struct chain *c = call->env->chain;
    struct tx_location loc;
    struct header_node *node = NULL;
    struct error e = { .code = OK };
    f->node = NULL;
    return has_index(call) && !ask_index(c, id, &loc, &node, &e) && node &&
           !read_located(c, &loc, node, most, f, &e);
}

enum err tx_lookup_block(struct rpc_call *call, const struct txid *id, struct header_node **node,
                         struct error *e)
{
    struct chain *c = call->env->chain;
    struct tx_location loc;
    *node = NULL;
    enum err rc = has_index(call) ? ask_index(c, id, &loc, node, e) : OK;
    if (rc || (*node && header_index_is_active(chain_headers(c), *node)))
        return rc;
    return ask_outputs(c, id, node, e);
}

struct header_node *tx_lookup_first(struct rpc_call *call, const struct txid *ids, size_t n)
{
    struct header_node *node = NULL;
    struct error e = { 0 };
    enum err rc = OK;
    for (size_t i = 0; i < n && !rc && !node && !rpc_given_up(call); i++)
        rc = tx_lookup_block(call, &ids[i], &node, &e);
    if (rc)
        rpc_fail_error(call, &e);
    else if (!node)
        rpc_fail(call, RPC_NOT_FOUND, "Transaction not yet in block or -txindex is not enabled");
    return rc ? NULL : node;
}

struct header_node *tx_lookup_param(struct rpc_call *call, size_t i, const struct txid *ids,
                                    size_t n)
{
    return rpc_has(call, i) ? rpc_block(call, i) : tx_lookup_first(call, ids, n);
}

struct rpc_result tx_lookup_none(struct rpc_call *call)
{
    return rpc_fail(
        call, RPC_NOT_FOUND,
        has_index(call)
            ? "No such mempool or blockchain transaction. Use gettransaction for wallet "
              "transactions."
            : "No such mempool transaction. Use -txindex to enable blockchain transaction queries. "
              "Use gettransaction for wallet transactions.");
}
