/* getblock and getblockheader. Blocks are read in segments and written as they are read. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/block_json.h"
#include "rpc/tx_json.h"

#define RAW_PIECE (1u << 20)
#define SEGMENT_BYTES (1u << 20)

static struct rpc_result not_available(struct rpc_call *call, const struct header_node *node,
                                       const struct error *e)
{
    char hex[HASH_HEX_SIZE];
    if (e->code != ERR_NOTFOUND)
        return rpc_fail_error(call, e);
    return rpc_fail(call, RPC_MISC_ERROR, "Block file %s not available.",
                    hash_to_hex(hex, node->hash.b));
}

static bool is_given_up(const struct rpc_call *call)
{
    return call->out->failed || cancelled(call->env->cancel);
}

/* --- raw ------------------------------------------------------------------------------------ */

static struct rpc_result put_raw(struct rpc_call *call, struct header_node *node)
{
    struct chain *c = call->env->chain;
    struct header_data d;
    struct error e = { .code = ERR_NOTFOUND };
    header_index_get_data(chain_headers(c), node, &d);
    if (!(d.status & HS_HAVE_DATA))
        return not_available(call, node, &e);
    uint8_t *piece = xmalloc((size_t)MIN_OF(d.data.size, (uint64_t)RAW_PIECE));
    enum err rc = OK;
    jw_hex_open(call->out);
    for (uint64_t at = 0; at < d.data.size && !rc && !is_given_up(call);) {
        size_t n = (size_t)MIN_OF(d.data.size - at, (uint64_t)RAW_PIECE);
        rc = blockfiles_read(chain_blockfiles(c), &d.data, at, piece, n, &e);
        if (!rc)
            jw_hex_add(call->out, piece, n);
        at += n;
    }
    jw_hex_close(call->out);
    free(piece);
    return rc ? not_available(call, node, &e) : rpc_done();
}

/* --- transactions of a block ---------------------------------------------------------------- */

enum tx_form { TX_IDS, TX_OBJECTS, TX_COINBASE_OBJECT };

static void put_tx(struct rpc_call *call, const struct tx *tx, enum tx_form form,
                   enum script_era era)
{
    if (form == TX_IDS)
        jw_hash(call->out, tx->id.b);
    else
        jw_tx(call->out, tx, chain_get_params(call->env->chain), era, NULL);
}

static enum err put_txs_from(struct rpc_call *call, struct block_reader *r, enum tx_form form,
                             enum script_era era, struct error *e)
{
    struct block_segment *s;
    for (;;) {
        enum err rc = block_reader_next(r, &s, e);
        if (rc || !s)
            return rc;
        size_t n = form == TX_COINBASE_OBJECT ? MIN_OF(s->n_txs, (size_t)1) : s->n_txs;
        for (size_t i = 0; i < n && !is_given_up(call); i++)
            put_tx(call, &s->txs[i], form, era);
        block_segment_unref(s);
        if (form == TX_COINBASE_OBJECT || is_given_up(call))
            return OK;
    }
}

/* Member tx: an array. */
static enum err put_txs(struct rpc_call *call, struct header_node *node, enum tx_form form,
                        struct error *e)
{
    struct chain *c = call->env->chain;
    struct block_reader *r;
    enum err rc = chain_read_block(c, node, form == TX_COINBASE_OBJECT ? 1 : SEGMENT_BYTES, &r, e);
    if (rc)
        return rc;
    jw_key(call->out, "tx");
    jw_array_open(call->out);
    rc = put_txs_from(call, r, form, block_era(c, node->height), e);
    jw_array_close(call->out);
    block_reader_close(r);
    return rc;
}

static struct rpc_result cmd_getblock(struct rpc_call *call)
{
    static const char *const names[] = { "RAW_BLOCK", "DECODE_HEADER", "DECODE_TRANSACTIONS",
                                         "DECODE_HEADER_AND_COINBASE", NULL };
    static const enum tx_form forms[] = { TX_IDS, TX_IDS, TX_OBJECTS, TX_COINBASE_OBJECT };
    int verbosity;
    struct error e = { 0 };
    if (!rpc_verbosity(call, 1, 1, names, &verbosity))
        return rpc_failed(call);
    struct header_node *node = rpc_block(call, 0);
    if (!node)
        return rpc_failed(call);
    if (verbosity == 0)
        return put_raw(call, node);
    jw_object_open(call->out);
    if (put_txs(call, node, forms[verbosity], &e))
        return not_available(call, node, &e);
    jw_put_header(call->out, call->env->chain, node);
    jw_object_close(call->out);
    return rpc_done();
}

/* --- getblockheader ------------------------------------------------------------------------- */

struct ids {
    struct hash256 *v;
    size_t n;
};

static enum err collect_ids(struct rpc_call *call, struct header_node *node, struct ids *ids,
                            struct error *e)
{
    struct block_reader *r;
    struct block_segment *s;
    enum err rc = chain_read_block(call->env->chain, node, SEGMENT_BYTES, &r, e);
    if (rc)
        return rc;
    ids->n = 0;
    ids->v = try_alloc((size_t)block_reader_tx_count(r), sizeof *ids->v);
    if (!ids->v)
        rc = error_set(e, ERR_NOMEM, "out of memory for the block's ids");
    while (!rc && !(rc = block_reader_next(r, &s, e)) && s) {
        for (size_t i = 0; i < s->n_txs; i++)
            memcpy(ids->v[ids->n++].b, s->txs[i].id.b, 32);
        block_segment_unref(s);
    }
    block_reader_close(r);
    return rc;
}

/* Siblings on the way from the first leaf to the root; ids is used up. */
static void put_coinbase_proof(struct json_writer *w, struct ids *ids)
{
    jw_key(w, "merkleproof");
    jw_array_open(w);
    for (size_t n = ids->n; n > 1; n = (n + 1) / 2) {
        jw_hash(w, ids->v[1].b);
        for (size_t i = 0; i < n; i += 2)
            sha256d_pair(ids->v[i / 2].b, ids->v[i].b, ids->v[MIN_OF(i + 1, n - 1)].b);
    }
    jw_array_close(w);
}

static struct rpc_result put_extended(struct rpc_call *call, struct header_node *node)
{
    struct ids ids = { 0 };
    struct error e = { 0 };
    enum err rc = collect_ids(call, node, &ids, &e);
    jw_object_open(call->out);
    if (!rc)
        rc = put_txs(call, node, TX_COINBASE_OBJECT, &e);
    if (!rc) {
        jw_put_header(call->out, call->env->chain, node);
        put_coinbase_proof(call->out, &ids);
        jw_object_close(call->out);
    }
    free(ids.v);
    return rc ? not_available(call, node, &e) : rpc_done();
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
static bool is_short_header_call(struct json_object *params)
{
    struct json_object *v = NULL;
    if (json_object_get_type(params) == json_type_array)
        v = json_object_array_length(params) > 1 ? json_object_array_get_idx(params, 1) : NULL;
    else if (params && !json_object_object_get_ex(params, "verbosity", &v))
        json_object_object_get_ex(params, "verbose", &v);
    enum json_type type = json_object_get_type(v);
    return type == json_type_null || type == json_type_boolean ||
           (type == json_type_int && json_object_get_int(v) < 2);
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
    { .name = "getblockheader",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_getblockheader,
      .is_short = is_short_header_call,
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
