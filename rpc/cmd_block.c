/* getblock and getblockheader. Blocks are read in segments and written as they are read. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/merkle_branch.h"
#include "chain/chain.h"
#include "rpc/block_json.h"
#include "rpc/block_scan.h"
#include "rpc/tx_json.h"

#define RAW_PIECE (1u << 20)
#define LARGE_BLOCK (4u << 20) /* takes milliseconds to read */

/* --- raw ------------------------------------------------------------------------------------ */

static struct rpc_result put_raw(struct rpc_call *call, struct header_node *node)
{
    struct chain *c = call->env->chain;
    struct header_data d;
    struct error e = { .code = ERR_NOTFOUND };
    header_index_get_data(chain_headers(c), node, &d);
    if (!(d.status & HS_HAVE_DATA))
        return rpc_fail_block(call, node, &e);
    uint8_t *piece = xmalloc((size_t)MIN_OF(d.data.size, (uint64_t)RAW_PIECE));
    enum err rc = OK;
    jw_hex_open(call->out);
    for (uint64_t at = 0; at < d.data.size && !rc && !rpc_given_up(call);) {
        size_t n = (size_t)MIN_OF(d.data.size - at, (uint64_t)RAW_PIECE);
        rc = blockfiles_read(chain_blockfiles(c), &d.data, at, piece, n, &e);
        if (!rc)
            jw_hex_add(call->out, piece, n);
        at += n;
    }
    jw_hex_close(call->out);
    free(piece);
    return rc ? rpc_fail_block(call, node, &e) : rpc_done();
}

/* --- transactions of a block ---------------------------------------------------------------- */

enum tx_form { TX_IDS, TX_OBJECTS, TX_COINBASE_OBJECT };

struct tx_writer {
    struct rpc_call *call;
    enum tx_form form;
    enum script_era era;
};

static enum scan_next put_tx(void *ctx, struct block_segment *segment, const struct tx *tx)
{
    struct tx_writer *w = ctx;
    struct json_writer *out = w->call->out;
    (void)segment;
    if (w->form == TX_IDS)
        jw_hash(out, tx->id.b);
    else
        jw_tx(out, tx, chain_get_params(w->call->env->chain), w->era, NULL);
    return SCAN_ON;
}

static enum scan_next put_nothing(void *ctx, struct block_segment *segment, const struct tx *tx)
{
    (void)ctx;
    (void)segment;
    (void)tx;
    return SCAN_ON;
}

static bool is_large(struct rpc_call *call, const struct header_node *node)
{
    struct header_data d;
    header_index_get_data(chain_headers(call->env->chain), node, &d);
    return d.data.size >= LARGE_BLOCK;
}

/* The answer begins before such a block has been read, with what is written already. What fails
 * from then on can only cut it, so a look at the coinbase comes first. */
static enum err begin_large(struct rpc_call *call, struct header_node *node, struct error *e)
{
    enum err rc = block_scan(call, node, SCAN_COINBASE, put_nothing, NULL, e);
    if (!rc)
        jw_flush(call->out);
    return rc;
}

/* Member tx: an array. */
static enum err put_txs(struct rpc_call *call, struct header_node *node, enum tx_form form,
                        struct error *e)
{
    struct tx_writer w = { call, form, block_era(call->env->chain, node->height) };
    jw_key(call->out, "tx");
    jw_array_open(call->out);
    const bool whole = form != TX_COINBASE_OBJECT;
    enum err rc = whole && is_large(call, node) ? begin_large(call, node, e) : OK;
    if (!rc)
        rc = block_scan(call, node, whole ? SCAN_WHOLE_BLOCK : SCAN_COINBASE, put_tx, &w, e);
    jw_array_close(call->out);
    return rc;
}

/* A block as parameter 1 wants it. */
static struct rpc_result show_block(struct rpc_call *call,
                                    struct header_node *(*find)(struct rpc_call *call, size_t i))
{
    static const char *const names[] = { "RAW_BLOCK", "DECODE_HEADER", "DECODE_TRANSACTIONS",
                                         "DECODE_HEADER_AND_COINBASE", NULL };
    static const enum tx_form forms[] = { TX_IDS, TX_IDS, TX_OBJECTS, TX_COINBASE_OBJECT };
    int verbosity;
    struct error e = { 0 };
    if (!rpc_verbosity(call, 1, 1, names, &verbosity))
        return rpc_failed(call);
    struct header_node *node = find(call, 0);
    if (!node)
        return rpc_failed(call);
    if (verbosity == 0)
        return put_raw(call, node);
    jw_object_open(call->out);
    if (put_txs(call, node, forms[verbosity], &e))
        return rpc_fail_block(call, node, &e);
    jw_put_header(call->out, call->env->chain, node);
    jw_object_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_getblock(struct rpc_call *call) { return show_block(call, rpc_block); }

static struct rpc_result cmd_getblockbyheight(struct rpc_call *call)
{
    return show_block(call, rpc_block_at);
}

/* --- getblockheader ------------------------------------------------------------------------- */

static enum scan_next add_leaf(void *ctx, struct block_segment *segment, const struct tx *tx)
{
    struct merkle_branch_builder *b = ctx;
    (void)segment;
    merkle_branch_add(b, tx->id.b, b->leaves == 0);
    return SCAN_ON;
}

/* The way of the coinbase to the root. */
static void put_coinbase_proof(struct json_writer *w, const struct merkle_branch *branch)
{
    jw_key(w, "merkleproof");
    jw_array_open(w);
    for (unsigned k = 0; k < branch->n; k++)
        jw_hash(w, branch->sibling[k].hash.b);
    jw_array_close(w);
}

static struct rpc_result put_extended(struct rpc_call *call, struct header_node *node)
{
    struct merkle_branch_builder proof;
    const struct merkle_branch *branch;
    struct error e = { 0 };
    merkle_branch_init(&proof);
    jw_object_open(call->out);
    enum err rc = put_txs(call, node, TX_COINBASE_OBJECT, &e);
    if (!rc && is_large(call, node))
        jw_flush(call->out);
    if (!rc)
        rc = block_scan(call, node, SCAN_WHOLE_BLOCK, add_leaf, &proof, &e);
    if (rc)
        return rpc_fail_block(call, node, &e);
    jw_put_header(call->out, call->env->chain, node);
    if (merkle_branch_finish(&proof, &branch))
        put_coinbase_proof(call->out, branch);
    jw_object_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_getblockheader(struct rpc_call *call)
{
    static const char *const names[] = { "RAW_HEADER", "DECODE_HEADER", "DECODE_HEADER_EXTENDED",
                                         NULL };
    int verbosity;
    if (!rpc_verbosity(call, 1, 1, names, &verbosity))
        return rpc_failed(call);
    struct header_node *node = rpc_block(call, 0);
    if (!node)
        return rpc_failed(call);
    if (verbosity == 2)
        return put_extended(call, node);
    if (verbosity == 0) {
        struct block_header h;
        uint8_t raw[BLOCK_HEADER_SIZE];
        header_of_node(&h, node);
        block_header_put(raw, &h);
        jw_hex(call->out, raw, sizeof raw);
        return rpc_done();
    }
    jw_object_open(call->out);
    jw_put_header(call->out, call->env->chain, node);
    jw_object_close(call->out);
    return rpc_done();
}

/* Everything but the extended form comes from memory. */
static enum rpc_where place_header_call(struct json_object *params)
{
    struct json_object *v = NULL;
    if (json_object_get_type(params) == json_type_array)
        v = json_object_array_length(params) > 1 ? json_object_array_get_idx(params, 1) : NULL;
    else if (params && !json_object_object_get_ex(params, "verbosity", &v))
        json_object_object_get_ex(params, "verbose", &v);
    enum json_type type = json_object_get_type(v);
    const bool is_short = type == json_type_null || type == json_type_boolean ||
                          (type == json_type_int && json_object_get_int(v) < 2);
    return is_short ? RPC_ON_HTTP : RPC_ON_WORKER;
}

#define HEADER_FIELDS                                                                              \
    "hash, confirmations, size, height, version, versionHex, merkleroot, num_tx, time, "           \
    "mediantime, nonce, bits, "                                                                    \
    "difficulty, chainwork, previousblockhash, nextblockhash, status:{...}"

static const struct rpc_command rows[] = {
    { .name = "getblock",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblock,
      .help =
          "A block. Verbosity 0 (RAW_BLOCK): hex; 1 (DECODE_HEADER): header and transaction ids; 2 "
          "(DECODE_TRANSACTIONS): transactions as objects; 3 (DECODE_HEADER_AND_COINBASE): the "
          "coinbase alone.",
      .result = "\"hex\" or {tx:[...], " HEADER_FIELDS "}",
      .example = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f 2",
      .params = { { "blockhash", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Hash of the block" },
                  { "verbosity|verbose", RPC_ANY, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "How much to show (default 1)" } } },
    { .name = "getblockbyheight",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblockbyheight,
      .help = "The block of the active chain at a height, as getblock shows it.",
      .result = "\"hex\" or {tx:[...], " HEADER_FIELDS "}",
      .example = "1000 2",
      .params = { { "height|blockhash", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON,
                    "The height (the reference calls it blockhash when named)" },
                  { "verbosity|verbose", RPC_ANY, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "How much to show (default 1)" } } },
    { .name = "getblockheader",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblockheader,
      .place = place_header_call,
      .help = "The header of a block. Verbosity 0: hex; 1: an object; 2 (DECODE_HEADER_EXTENDED): "
              "with the coinbase "
              "and its Merkle proof.",
      .result = "\"hex\" or {" HEADER_FIELDS "}",
      .example = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
      .params = { { "blockhash", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Hash of the block" },
                  { "verbosity|verbose", RPC_ANY, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "How much to show (default 1)" } } },
};
const struct rpc_group rpc_block_commands = { rows, COUNT_OF(rows) };
