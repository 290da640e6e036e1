/* Commands that look at the header index: where the chain stands. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/block_json.h"

static struct chain_tip tip_of(struct rpc_call *call)
{
    struct chain_tip tip;
    chain_get_tip(call->env->chain, &tip);
    return tip;
}

static struct rpc_result cmd_getblockcount(struct rpc_call *call)
{
    jw_i64(call->out, tip_of(call).height);
    return rpc_done();
}

static struct rpc_result cmd_getbestblockhash(struct rpc_call *call)
{
    struct chain_tip tip = tip_of(call);
    jw_hash(call->out, tip.hash.b);
    return rpc_done();
}

static struct rpc_result cmd_getdifficulty(struct rpc_call *call)
{
    struct chain_tip tip = tip_of(call);
    jw_double(call->out, tip.node ? block_difficulty(tip.node->bits) : 1.0);
    return rpc_done();
}

static struct rpc_result cmd_getblockhash(struct rpc_call *call)
{
    struct header_node *node = rpc_block_at(call, 0);
    if (!node)
        return rpc_failed(call);
    jw_hash(call->out, node->hash.b);
    return rpc_done();
}

/* --- getblockchaininfo ---------------------------------------------------------------------- */

static void put_softforks(struct json_writer *w, const struct chain_params *p, int32_t height)
{
    const struct { const char *id; int version; int32_t from; } forks[] = {
        { "bip34", 2, p->bip34_height }, { "bip66", 3, p->heights.bip66 },
        { "bip65", 4, p->heights.bip65 }, { "csv", 5, p->heights.csv },
    };
    jw_key(w, "softforks");
    jw_array_open(w);
    for (size_t i = 0; i < COUNT_OF(forks); i++) {
        jw_object_open(w);
        jw_put_text(w, "id", forks[i].id);
        jw_put_i64(w, "version", forks[i].version);
        jw_key(w, "reject");
        jw_object_open(w);
        jw_put_bool(w, "status", height >= forks[i].from);
        jw_object_close(w);
        jw_object_close(w);
    }
    jw_array_close(w);
}

/* Lowest block from which everything up to the tip is stored. */
static int32_t prune_height(const struct header_node *node)
{
    while (node->prev && node->prev->status & HS_HAVE_DATA)
        node = node->prev;
    return node->height;
}

static struct rpc_result cmd_getblockchaininfo(struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    struct json_writer *w = call->out;
    const struct chain_params *p = chain_get_params(c);
    struct chain_tip tip = tip_of(call);
    struct header_node *best = header_index_best(chain_headers(c));
    struct chain_progress progress;
    char work[65];
    bool pruned = call->env->config && config_int(call->env->config, "prune") != 0;
    if (!tip.node)
        return rpc_fail(call, RPC_IN_WARMUP, "Loading block index...");
    chain_get_progress(c, &progress);
    jw_object_open(w);
    jw_put_text(w, "chain", p->name);
    jw_put_i64(w, "blocks", tip.height);
    jw_put_i64(w, "headers", best ? best->height : -1);
    jw_put_hash(w, "bestblockhash", tip.hash.b);
    jw_put_double(w, "difficulty", block_difficulty(tip.node->bits));
    jw_put_u64(w, "mediantime", tip.median_time);
    jw_put_double(w, "verificationprogress", progress.verification);
    jw_put_text(w, "chainwork", u256_to_hex(work, &tip.node->work));
    jw_put_bool(w, "pruned", pruned);
    put_softforks(w, p, tip.height);
    if (pruned)
        jw_put_i64(w, "pruneheight", prune_height(tip.node));
    jw_object_close(w);
    return rpc_done();
}

/* --- getchaintips --------------------------------------------------------------------------- */

struct leaves {
    struct header_node **nodes;
    size_t n;
};

static void add_leaf(void *ctx, struct header_node *node)
{
    struct leaves *l = ctx;
    l->nodes = xrealloc(l->nodes, (l->n + 1) * sizeof *l->nodes);
    l->nodes[l->n++] = node;
}

static int by_falling_height(const void *a, const void *b)
{
    const struct header_node *x = *(struct header_node *const *)a,
                             *y = *(struct header_node *const *)b;
    if (x->height != y->height)
        return x->height > y->height ? -1 : 1;
    return memcmp(x->hash.b, y->hash.b, 32);
}

static const char *tip_status(struct chain *c, struct header_node *node, bool active)
{
    struct header_data d;
    header_index_get_data(chain_headers(c), node, &d);
    if (active)
        return "active";
    if (d.status & HS_FAILED_MASK)
        return "invalid";
    if (!d.chain_tx_count)
        return "headers-only";
    return d.status & HS_SCRIPTS_OK ? "valid-fork" : "valid-headers";
}

static struct rpc_result cmd_getchaintips(struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    struct json_writer *w = call->out;
    struct header_node *tip = header_index_tip(chain_headers(c));
    struct leaves l = { 0 };
    header_index_each_leaf(chain_headers(c), add_leaf, &l);
    bool tip_is_leaf = false;
    for (size_t i = 0; i < l.n; i++)
        tip_is_leaf |= l.nodes[i] == tip;
    if (!tip_is_leaf && tip) /* headers ahead of the blocks: the tip is reported all the same */
        add_leaf(&l, tip);
    qsort(l.nodes, l.n, sizeof *l.nodes, by_falling_height);
    jw_array_open(w);
    for (size_t i = 0; i < l.n; i++) {
        struct header_node *fork = tip ? header_last_common(l.nodes[i], tip) : NULL;
        jw_object_open(w);
        jw_put_i64(w, "height", l.nodes[i]->height);
        jw_put_hash(w, "hash", l.nodes[i]->hash.b);
        jw_put_i64(w, "branchlen", l.nodes[i]->height - (fork ? fork->height : 0));
        jw_put_text(w, "status", tip_status(c, l.nodes[i], l.nodes[i] == tip));
        jw_object_close(w);
    }
    jw_array_close(w);
    free(l.nodes);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "getblockcount",
      .category = "blockchain",
      .where = RPC_ON_HTTP,
      .fn = cmd_getblockcount,
      .help = "Height of the tip of the active chain.",
      .result = "n (numeric) The height",
      .example = "" },
    { .name = "getbestblockhash",
      .category = "blockchain",
      .where = RPC_ON_HTTP,
      .fn = cmd_getbestblockhash,
      .help = "Hash of the tip of the active chain.",
      .result = "\"hash\" (string)",
      .example = "" },
    { .name = "getdifficulty",
      .category = "blockchain",
      .where = RPC_ON_HTTP,
      .fn = cmd_getdifficulty,
      .help = "Proof-of-work difficulty of the tip, as a multiple of the lowest.",
      .result = "n (numeric)",
      .example = "" },
    { .name = "getblockhash",
      .category = "blockchain",
      .where = RPC_ON_HTTP,
      .fn = cmd_getblockhash,
      .help = "Hash of the block of the active chain at a height.",
      .result = "\"hash\" (string)",
      .example = "1000",
      .params = { { "height", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "The height" } } },
    { .name = "getblockchaininfo",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblockchaininfo,
      .help = "State of the chain.",
      .result =
          "{chain, blocks, headers, bestblockhash, difficulty, mediantime, verificationprogress, "
          "chainwork, "
          "pruned, softforks:[{id, version, reject:{status}}], pruneheight (pruned nodes only)}",
      .example = "" },
    { .name = "getchaintips",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getchaintips,
      .help = "All tips of the tree of blocks, the active one included.",
      .result = "[{height, hash, branchlen, status: "
                "active|valid-fork|valid-headers|headers-only|invalid}, ...]",
      .example = "" },
};
const struct rpc_group rpc_chain_commands = { rows, COUNT_OF(rows) };
