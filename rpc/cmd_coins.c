/* Commands that look at the unspent outputs. Single coins are read on the chain thread; the pass
 * over all of them runs here, over a snapshot of the database. */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "chain/chain.h"
#include "chain/coins_stats.h"
#include "rpc/block_json.h"
#include "rpc/tx_json.h"

#define SNAPSHOT_TRIES 10

/* --- gettxout ------------------------------------------------------------------------------- */

struct coin_query {
    struct outpoint outpoint;
    struct coin coin; /* script in `script` */
    struct buf script;
    struct chain_tip tip;
    bool found;
    enum err rc;
    struct error e;
};

static void query_coin(struct chain *c, void *ctx)
{
    struct coin_query *q = ctx;
    q->rc = coins_get(chain_coins(c), &q->outpoint, &q->coin, &q->found, &q->e);
    if (q->rc || !q->found)
        return;
    buf_put(&q->script, q->coin.script.data, q->coin.script.len);
    chain_get_tip(c, &q->tip);
}

static void put_coin(struct rpc_call *call, const struct coin_query *q)
{
    struct json_writer *w = call->out;
    const struct chain_params *p = chain_get_params(call->env->chain);
    jw_object_open(w);
    jw_put_hash(w, "bestblock", q->tip.hash.b);
    jw_put_i64(w, "confirmations", q->tip.height - q->coin.height + 1);
    jw_put_amount(w, "value", q->coin.value);
    jw_key(w, "scriptPubKey");
    jw_object_open(w);
    jw_put_script(w, buf_span(&q->script), p, block_era(call->env->chain, q->coin.height),
                  JW_SCRIPT_WITH_HEX);
    jw_object_close(w);
    jw_put_bool(w, "coinbase", q->coin.coinbase);
    jw_put_bool(w, "confiscation", q->coin.confiscated);
    jw_object_close(w);
}

static struct rpc_result cmd_gettxout(struct rpc_call *call)
{
    struct coin_query q = { .rc = OK };
    int64_t index = rpc_int(call, 1, 0);
    rpc_hash(call, 0, q.outpoint.txid.b);
    if (index < 0 || index > UINT32_MAX) {
        jw_null(call->out);
        return rpc_done();
    }
    q.outpoint.index = (uint32_t)index;
    buf_init(&q.script);
    struct rpc_result result = rpc_done();
    if (chain_call(call->env->chain, query_coin, &q))
        result = rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down");
    else if (q.rc)
        result = rpc_fail_error(call, &q.e);
    else if (q.found)
        put_coin(call, &q);
    else
        jw_null(call->out);
    buf_clear(&q.script);
    return result;
}

/* --- gettxoutsetinfo ------------------------------------------------------------------------ */

struct snapshot {
    struct coins_iter *it; /* NULL: coins changed since the flush, try again */
    struct chain_tip tip;
    uint64_t disk_bytes;
};

static void take_snapshot(struct chain *c, void *ctx)
{
    struct snapshot *s = ctx;
    struct coins_stats stats;
    coins_get_stats(chain_coins(c), &stats);
    chain_get_tip(c, &s->tip);
    if (stats.dirty)
        return;
    s->it = coins_iter_new(chain_coins(c));
    s->disk_bytes = coins_disk_bytes(chain_coins(c));
}

static enum err make_snapshot(struct chain *c, struct snapshot *s, struct error *e)
{
    for (int i = 0; i < SNAPSHOT_TRIES && !s->it; i++) {
        enum err rc = chain_flush(c, e);
        if (!rc)
            rc = chain_call(c, take_snapshot, s);
        if (rc)
            return rc;
    }
    return s->it ? OK
                 : error_set(e, ERR_BUSY,
                             "blocks arrive too fast for a look at all outputs, try again");
}

static struct rpc_result cmd_gettxoutsetinfo(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct snapshot s = { 0 };
    struct coins_totals t;
    struct error e = { 0 };
    enum err rc = make_snapshot(call->env->chain, &s, &e);
    if (!rc)
        rc = coins_totals_compute(&t, s.it, &s.tip.hash, call->env->cancel, &e);
    coins_iter_free(s.it);
    if (rc)
        return rpc_fail_error(call, &e);
    jw_object_open(w);
    jw_put_i64(w, "height", s.tip.height);
    jw_put_hash(w, "bestblock", s.tip.hash.b);
    jw_put_u64(w, "transactions", t.transactions);
    jw_put_u64(w, "txouts", t.outputs);
    jw_put_u64(w, "bogosize", t.bogosize);
    jw_put_hash(w, "hash_serialized", t.hash_serialized.b);
    jw_put_u64(w, "disk_size", s.disk_bytes);
    jw_put_amount(w, "total_amount", t.amount);
    jw_object_close(w);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "gettxout",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_gettxout,
      .help = "An unspent output, or null when it is spent or unknown.",
      .result = "null or {bestblock, confirmations, value, scriptPubKey:{asm, hex, reqSigs, type, "
                "addresses}, coinbase, "
                "confiscation}",
      .example = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b 0",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "n", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "Number of the output" },
                  { "include_mempool", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Count unconfirmed transactions too (default true)" } } },
    { .name = "gettxoutsetinfo",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_gettxoutsetinfo,
      .help = "Sums over all unspent outputs, with a hash of them. Reads the whole database.",
      .result = "{height, bestblock, transactions, txouts, bogosize, hash_serialized, disk_size, "
                "total_amount}",
      .example = "" },
};
const struct rpc_group rpc_coins_commands = { rows, COUNT_OF(rows) };
