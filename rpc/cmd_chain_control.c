/* Commands that change or check the chain by the operator's will, or wait for it to move. */
#include "rpc/commands.h"

#include <time.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/block_json.h"

/* How soon a waiting command notices that the node stops or the client left. */
#define WAIT_SLICE_MS 250
#define TXS_SLICE_MS 5
#define HEIGHT_OR_TIME 1000000000 /* pruneblockchain: from here on the number is a time */

/* --- judging -------------------------------------------------------------------------------- */

typedef enum err (*chain_fn)(struct chain *c, struct header_node *node, struct error *e);

static struct rpc_result on_block(struct rpc_call *call, chain_fn fn)
{
    struct error e = { 0 };
    struct header_node *node = rpc_block(call, 0);
    if (!node)
        return rpc_failed(call);
    if (fn(call->env->chain, node, &e))
        return rpc_fail_error(call, &e);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_invalidateblock(struct rpc_call *call)
{
    return on_block(call, chain_invalidate);
}
static struct rpc_result cmd_reconsiderblock(struct rpc_call *call)
{
    return on_block(call, chain_reconsider);
}
static struct rpc_result cmd_preciousblock(struct rpc_call *call)
{
    return on_block(call, chain_precious);
}

static struct rpc_result cmd_verifychain(struct rpc_call *call)
{
    int64_t level = rpc_int(call, 0, 3), n = rpc_int(call, 1, 6);
    bool good;
    struct error e = { 0 };
    if (level < 0 || level > 4)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "checklevel must be 0 to 4");
    if (n < 0 || n > INT32_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "nblocks must not be negative");
    if (chain_verify(call->env->chain, (unsigned)level, (int32_t)n, &good, &e))
        return rpc_fail_error(call, &e);
    jw_bool(call->out, good);
    return rpc_done();
}

/* --- pruning -------------------------------------------------------------------------------- */

/* -1: none. */
static int32_t height_of_time(struct chain *c, int64_t time)
{
    const struct header_node *node =
        header_first_since(header_index_tip(chain_headers(c)), time - HEADER_TIME_MARGIN);
    return node ? node->height : -1;
}

static struct rpc_result cmd_pruneblockchain(struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    int64_t height = rpc_int(call, 0, 0);
    struct chain_tip tip;
    struct error e = { 0 };
    int32_t last;
    if (config_int(call->env->config, "prune") == 0)
        return rpc_fail(call, RPC_MISC_ERROR,
                        "Cannot prune blocks because node is not in prune mode.");
    if (height < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Negative block height.");
    if (height > HEIGHT_OR_TIME) {
        height = height_of_time(c, height);
        if (height < 0)
            return rpc_fail(call, RPC_INVALID_PARAMETER,
                            "Could not find block with at least the specified timestamp.");
    }
    chain_get_tip(c, &tip);
    if (tip.height < chain_get_params(c)->prune_after_height)
        return rpc_fail(call, RPC_MISC_ERROR, "Blockchain is too short for pruning.");
    if (height > tip.height)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Blockchain is shorter than the attempted prune height.");
    if (chain_prune(c, (int32_t)height, &last, &e))
        return rpc_fail_error(call, &e);
    jw_i64(call->out, last);
    return rpc_done();
}

/* --- waiting -------------------------------------------------------------------------------- */

/* In slices, so that the end of the node is noticed. */
static struct rpc_result wait_tip(struct rpc_call *call, int32_t height,
                                  const struct block_hash *not_hash, int64_t timeout_ms)
{
    const int64_t end = clock_mono_ms() + MIN_OF(timeout_ms, INT64_MAX / 2);
    struct chain_tip tip;
    if (timeout_ms < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Negative timeout");
    for (;;) {
        int64_t left = timeout_ms ? end - clock_mono_ms() : WAIT_SLICE_MS;
        if (chain_wait_tip(call->env->chain, height, not_hash, MIN_OF(left, (int64_t)WAIT_SLICE_MS),
                           &tip) ||
            (timeout_ms && left <= WAIT_SLICE_MS) || rpc_wait_is_vain(call))
            break;
    }
    chain_get_tip(call->env->chain, &tip);
    jw_object_open(call->out);
    jw_put_hash(call->out, "hash", tip.hash.b);
    jw_put_i64(call->out, "height", tip.height);
    jw_object_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_waitforblockheight(struct rpc_call *call)
{
    int64_t height = rpc_int(call, 0, 0);
    if (height > INT32_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Block height out of range");
    return wait_tip(call, (int32_t)MAX_OF(height, (int64_t)0), NULL, rpc_int(call, 1, 0));
}

static struct rpc_result cmd_waitfornewblock(struct rpc_call *call)
{
    struct chain_tip tip;
    chain_get_tip(call->env->chain, &tip);
    return wait_tip(call, 0, &tip.hash, rpc_int(call, 0, 0));
}

static void count_txs(struct chain *c, void *ctx) { *(size_t *)ctx = chain_txs_under_way(c); }

/* Tests of the reference call it between sending and looking. */
static struct rpc_result cmd_waitforptvcompletion(struct rpc_call *call)
{
    size_t left = 1;
    while (left && !rpc_wait_is_vain(call)) {
        if (chain_call(call->env->chain, count_txs, &left))
            return rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down");
        if (left)
            nanosleep(&(struct timespec){ .tv_nsec = TXS_SLICE_MS * 1000000 }, NULL);
    }
    jw_null(call->out);
    return rpc_done();
}

#define BLOCK_PARAM { { "blockhash", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Hash of the block" } }
#define EXAMPLE_HASH "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"

static const struct rpc_command rows[] = {
    { .name = "verifychain",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifychain,
      .help = "Checks the last blocks of the active chain again.",
      .result = "true|false",
      .example = "3 6",
      .params = { { "checklevel", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "How thorough, 0 to 4 (default 3)" },
                  { "nblocks", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "How many, 0 for all (default 6)" } } },
    { .name = "preciousblock",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_preciousblock,
      .help = "Lets a block win over others of the same work, as if it had come first.",
      .result = "null",
      .example = EXAMPLE_HASH,
      .params = BLOCK_PARAM },
    { .name = "pruneblockchain",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_pruneblockchain,
      .help = "Deletes stored blocks up to a height (needs -prune).",
      .result = "n (numeric) Height of the last block deleted",
      .example = "1000",
      .params = { { "height", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON,
                    "The height, or from 1000000000 on a time" } } },
    { .name = "invalidateblock",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .flags = RPC_HIDDEN,
      .fn = cmd_invalidateblock,
      .help = "Marks a block invalid, as if it broke a rule. Not one below what was pruned: the "
              "chain cannot go back that far.",
      .result = "null",
      .example = EXAMPLE_HASH,
      .params = BLOCK_PARAM },
    { .name = "reconsiderblock",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .flags = RPC_HIDDEN,
      .fn = cmd_reconsiderblock,
      .help = "Takes back that a block and what builds on it are invalid.",
      .result = "null",
      .example = EXAMPLE_HASH,
      .params = BLOCK_PARAM },
    { .name = "waitforblockheight",
      .category = "blockchain",
      .where = RPC_ON_WAITER,
      .flags = RPC_HIDDEN,
      .fn = cmd_waitforblockheight,
      .help = "Waits until the active chain has a height.",
      .result = "{hash, height} of the tip",
      .example = "100 1000",
      .params = { { "height", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "The height" },
                  { "timeout", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Milliseconds, 0 for ever (default)" } } },
    { .name = "waitfornewblock",
      .category = "blockchain",
      .where = RPC_ON_WAITER,
      .flags = RPC_HIDDEN,
      .fn = cmd_waitfornewblock,
      .help = "Waits until the tip changes.",
      .result = "{hash, height} of the tip",
      .example = "1000",
      .params = { { "timeout", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Milliseconds, 0 for ever (default)" } } },
    { .name = "waitforptvcompletion",
      .category = "blockchain",
      .where = RPC_ON_WAITER,
      .flags = RPC_HIDDEN,
      .fn = cmd_waitforptvcompletion,
      .help = "Waits until every transaction that was handed over is judged.",
      .result = "null",
      .example = "" },
};
const struct rpc_group rpc_chain_control_commands = { rows, COUNT_OF(rows) };
