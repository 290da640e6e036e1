/* What is being mined, here and by the network: getmininginfo, getnetworkhashps. */
#include "rpc/commands.h"

#include "base/clock.h"
#include "base/intmath.h"
#include "rpc/block_json.h"
#include "rpc/mining.h"

#define DEFAULT_WINDOW 120
#define RETARGET_BLOCKS 2016 /* a window of 0 or less reaches back to the last multiple */

/* Hashes a second over the last blocks up to a node. */
static double hashes_per_s(struct header_node *end, int64_t window)
{
    if (!end || end->height == 0)
        return 0;
    if (window <= 0)
        window = end->height % RETARGET_BLOCKS + 1;
    struct header_node *begin = end;
    uint32_t low = end->time, high = end->time;
    for (int64_t left = MIN_OF(window, (int64_t)end->height); left > 0; left--) {
        begin = begin->prev;
        low = MIN_OF(low, begin->time);
        high = MAX_OF(high, begin->time);
    }
    if (low == high)
        return 0;
    const struct u256 work = u256_sub(&end->work, &begin->work);
    return u256_to_double(&work) / (double)(high - low);
}

static struct rpc_result cmd_getnetworkhashps(struct rpc_call *call)
{
    struct header_index *idx = chain_headers(call->env->chain);
    struct header_node *end = header_index_tip(idx);
    const int64_t height = rpc_int(call, 1, -1);
    if (end && height >= 0 && height < end->height)
        end = header_index_at(idx, (int32_t)height);
    jw_double(call->out, hashes_per_s(end, rpc_int(call, 0, DEFAULT_WINDOW)));
    return rpc_done();
}

/* Size and transactions of the last candidate made, 0 when there was none. */
static void put_last_template(struct json_writer *w, struct chain *c)
{
    struct block_template *t = assembler_last(chain_assembler(c));
    const struct block_parts parts = { .rest = t };
    jw_put_u64(w, "currentblocksize", t ? block_parts_size(&parts) : 0);
    jw_put_u64(w, "currentblocktx", t ? t->totals.count : 0);
    block_template_unref(t);
}

static struct rpc_result cmd_getmininginfo(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct chain *c = call->env->chain;
    struct header_node *tip = header_index_tip(chain_headers(c));
    struct mempool_stats pool;
    mempool_get_stats(chain_mempool(c), clock_now(), &pool);
    jw_object_open(w);
    jw_put_i64(w, "blocks", tip ? tip->height : 0);
    put_last_template(w, c);
    jw_put_double(w, "difficulty", tip ? block_difficulty(tip->bits) : 1.0);
    jw_put_text(w, "errors", "");
    jw_put_double(w, "networkhashps", hashes_per_s(tip, DEFAULT_WINDOW));
    jw_put_u64(w, "pooledtx", pool.count);
    jw_put_text(w, "chain", chain_get_params(c)->name);
    jw_object_close(w);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "getmininginfo",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmininginfo,
      .help = "State of mining in one object.",
      .result = "{blocks, currentblocksize, currentblocktx, difficulty, errors, networkhashps, "
                "pooledtx, chain}",
      .example = "" },
    { .name = "getnetworkhashps",
      .category = "mining",
      .where = RPC_ON_WORKER,
      .fn = cmd_getnetworkhashps,
      .help = "Hashes a second of the whole network, judged by the times of its blocks.",
      .result = "n (numeric)",
      .example = "120 -1",
      .params = { { "nblocks", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Over so many blocks (default 120); 0 or less: since the last multiple of "
                    "2016" },
                  { "height", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Up to this height; -1: the tip (default)" } } },
};
const struct rpc_group rpc_mining_info_commands = { rows, COUNT_OF(rows) };
