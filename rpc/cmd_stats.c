/* getblockstats and getchaintxstats: numbers over blocks. */
#include "rpc/commands.h"

#include <stddef.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "chain/block_stats.h"
#include "rpc/block_json.h"

enum stat_kind { STAT_AMOUNT, STAT_I64, STAT_U64, STAT_U32, STAT_I32, STAT_HASH };

#define AT(field) offsetof(struct block_stats, field)

/* In the order in which they are shown. */
static const struct stat {
    const char *name;
    enum stat_kind kind;
    size_t at;
} stats[] = {
    { "avgfee", STAT_AMOUNT, AT(fee.average) },
    { "avgfeerate", STAT_AMOUNT, AT(fee_rate.average) },
    { "avgtxsize", STAT_I64, AT(tx_size.average) },
    { "blockhash", STAT_HASH, AT(hash) },
    { "height", STAT_I32, AT(height) },
    { "ins", STAT_U64, AT(inputs) },
    { "maxfee", STAT_AMOUNT, AT(fee.max) },
    { "maxfeerate", STAT_AMOUNT, AT(fee_rate.max) },
    { "maxtxsize", STAT_I64, AT(tx_size.max) },
    { "medianfee", STAT_AMOUNT, AT(fee.median) },
    { "medianfeerate", STAT_AMOUNT, AT(fee_rate.median) },
    { "mediantime", STAT_U32, AT(median_time) },
    { "mediantxsize", STAT_I64, AT(tx_size.median) },
    { "minfee", STAT_AMOUNT, AT(fee.min) },
    { "minfeerate", STAT_AMOUNT, AT(fee_rate.min) },
    { "mintxsize", STAT_I64, AT(tx_size.min) },
    { "outs", STAT_U64, AT(outputs) },
    { "subsidy", STAT_AMOUNT, AT(subsidy) },
    { "time", STAT_U32, AT(time) },
    { "total_out", STAT_AMOUNT, AT(total_out) },
    { "total_size", STAT_U64, AT(total_size) },
    { "totalfee", STAT_AMOUNT, AT(total_fee) },
    { "txs", STAT_U64, AT(txs) },
    { "utxo_increase", STAT_I64, AT(utxo_increase) },
    { "utxo_size_inc", STAT_I64, AT(utxo_size_inc) },
};

static void put_stat(struct json_writer *w, const struct stat *s, const struct block_stats *b)
{
    const void *field = (const char *)b + s->at;
    jw_key(w, s->name);
    switch (s->kind) {
    case STAT_AMOUNT:
        jw_amount(w, *(const int64_t *)field);
        break;
    case STAT_I64:
        jw_i64(w, *(const int64_t *)field);
        break;
    case STAT_U64:
        jw_u64(w, *(const uint64_t *)field);
        break;
    case STAT_U32:
        jw_u64(w, *(const uint32_t *)field);
        break;
    case STAT_I32:
        jw_i64(w, *(const int32_t *)field);
        break;
    case STAT_HASH:
        jw_hash(w, ((const struct block_hash *)field)->b);
        break;
    }
}

/* Marks the statistics named in list (NULL or empty: all). False: call has failed. */
static bool choose_stats(struct rpc_call *call, struct json_object *list,
                         bool chosen[COUNT_OF(stats)])
{
    size_t n = list ? json_object_array_length(list) : 0;
    for (size_t k = 0; k < COUNT_OF(stats); k++)
        chosen[k] = n == 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *name =
            json_object_get_type(v) == json_type_string ? json_object_get_string(v) : "";
        bool known = false;
        for (size_t k = 0; k < COUNT_OF(stats); k++)
            if (strcmp(stats[k].name, name) == 0)
                known = chosen[k] = true;
        if (!known) {
            rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid selected statistic %.40s", name);
            return false;
        }
    }
    return true;
}

static struct rpc_result show_stats(struct rpc_call *call,
                                    struct header_node *(*find)(struct rpc_call *call, size_t i))
{
    bool chosen[COUNT_OF(stats)];
    struct block_stats b;
    struct error e = { 0 };
    if (!choose_stats(call, call->argv[1], chosen))
        return rpc_failed(call);
    struct header_node *node = find(call, 0);
    if (!node)
        return rpc_failed(call);
    enum err rc = block_stats_compute(&b, call->env->chain, node, call->env->cancel, &e);
    if (rc == ERR_NOTFOUND)
        return rpc_fail(call, RPC_MISC_ERROR,
                        "Block or undo data not available (pruned or never connected)");
    if (rc)
        return rpc_fail_error(call, &e);
    jw_object_open(call->out);
    for (size_t k = 0; k < COUNT_OF(stats); k++)
        if (chosen[k])
            put_stat(call->out, &stats[k], &b);
    jw_object_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_getblockstats(struct rpc_call *call)
{
    return show_stats(call, rpc_block);
}

static struct rpc_result cmd_getblockstatsbyheight(struct rpc_call *call)
{
    return show_stats(call, rpc_block_at);
}

static struct rpc_result put_tx_stats(struct rpc_call *call, const struct tx_stats *t)
{
    struct json_writer *w = call->out;
    jw_object_open(w);
    jw_put_u64(w, "time", t->time);
    jw_put_u64(w, "txcount", t->tx_count);
    jw_put_i64(w, "window_block_count", t->window_blocks);
    if (t->window_blocks > 0) {
        jw_put_u64(w, "window_tx_count", t->window_txs);
        jw_put_i64(w, "window_interval", t->window_interval_s);
        if (t->window_interval_s > 0)
            jw_put_double(w, "txrate", t->tx_rate);
    }
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result cmd_getchaintxstats(struct rpc_call *call)
{
    struct header_index *idx = chain_headers(call->env->chain);
    int64_t window = rpc_int(call, 0, TX_STATS_DEFAULT_WINDOW);
    struct header_node *node = rpc_has(call, 1) ? rpc_block(call, 1) : header_index_tip(idx);
    struct tx_stats t;
    struct error e = { 0 };
    if (!node)
        return rpc_has(call, 1) ? rpc_failed(call)
                                : rpc_fail(call, RPC_IN_WARMUP, "Loading block index...");
    if (!header_index_is_active(idx, node))
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Block is not in main chain");
    bool bad = rpc_has(call, 0) && (window < 0 || window > INT32_MAX);
    if (bad || tx_stats_compute(&t, idx, node, (int32_t)window, &e))
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Invalid block count: should be between 0 and the block's height - 1");
    return put_tx_stats(call, &t);
}

#define STATS_PARAM                                                                                \
    { "stats", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON, "Names of the numbers to show (default all)" }
#define STATS_RESULT "{avgfee, avgfeerate, ..., utxo_size_inc}"

static const struct rpc_command rows[] = {
    { .name = "getblockstats",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblockstats,
      .help = "Numbers about one block: fees, sizes, counts. Fee rates are per byte.",
      .result = STATS_RESULT,
      .example = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f "
                 "'[\"txs\",\"totalfee\"]'",
      .params = { { "blockhash", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Hash of the block" },
                  STATS_PARAM } },
    { .name = "getblockstatsbyheight",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblockstatsbyheight,
      .help = "The numbers of getblockstats for the block of the active chain at a height.",
      .result = STATS_RESULT,
      .example = "1000 '[\"txs\",\"totalfee\"]'",
      .params = { { "height", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "The height" }, STATS_PARAM } },
    { .name = "getchaintxstats",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getchaintxstats,
      .help = "How many transactions the chain holds, and how fast they came.",
      .result = "{time, txcount, window_block_count, window_tx_count, window_interval, txrate}",
      .example = "2016",
      .params = { { "nblocks", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Size of the window (default one month)" },
                  { "blockhash", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Block that ends the window (default the tip)" } } },
};
const struct rpc_group rpc_stats_commands = { rows, COUNT_OF(rows) };
