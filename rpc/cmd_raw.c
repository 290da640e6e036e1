/* Transactions and scripts: decode them, find them in the chain. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/address.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "chain/index_db.h"
#include "rpc/block_json.h"
#include "rpc/tx_json.h"
#include "script/template.h"

#define SEGMENT_BYTES (1u << 20)
#define OUTPUTS_TRIED 1000 /* of a transaction, to find its block by an unspent one */

/* --- decoding ------------------------------------------------------------------------------- */

static enum script_era next_era(struct chain *c)
{
    struct chain_tip tip;
    chain_get_tip(c, &tip);
    return block_era(c, tip.height + 1);
}

/* Writes one transaction given as bytes; false when they are none. */
static bool put_tx_bytes(struct rpc_call *call, struct span raw, enum script_era era,
                         const struct tx_json_block *block)
{
    struct reader r;
    struct arena a;
    struct tx tx;
    arena_init(&a);
    reader_init(&r, raw.data, raw.len);
    bool good = tx_read(&r, &a, &tx) == OK && reader_done(&r);
    if (good) {
        tx_compute_id(&tx);
        jw_tx(call->out, &tx, chain_get_params(call->env->chain), era, block);
    }
    arena_clear(&a);
    return good;
}

static struct rpc_result cmd_decoderawtransaction(struct rpc_call *call)
{
    struct buf raw;
    buf_init(&raw);
    rpc_hex(call, 0, &raw);
    bool good = put_tx_bytes(call, buf_span(&raw), next_era(call->env->chain), NULL);
    buf_clear(&raw);
    return good ? rpc_done() : rpc_fail(call, RPC_DESERIALIZATION_ERROR, "TX decode failed");
}

/* Judged as an output of before Genesis, as the reference does, so that script hashes show. */
static struct rpc_result cmd_decodescript(struct rpc_call *call)
{
    const struct chain_params *p = chain_get_params(call->env->chain);
    struct script_match m;
    struct buf raw;
    uint8_t hash[20];
    char text[ADDRESS_TEXT_MAX];
    buf_init(&raw);
    rpc_hex(call, 0, &raw);
    jw_object_open(call->out);
    jw_put_script(call->out, buf_span(&raw), p, SCRIPT_ERA_ORIGINAL, JW_SCRIPT_WITHOUT_HEX);
    script_classify(buf_span(&raw), SCRIPT_ERA_ORIGINAL, &m);
    if (m.type != SCRIPT_TYPE_SCRIPTHASH) {
        hash160(hash, raw.data, raw.len);
        jw_put_text(call->out, "p2sh", address_encode(text, p->script_address_version, hash));
    }
    jw_object_close(call->out);
    buf_clear(&raw);
    return rpc_done();
}

/* --- getrawtransaction ---------------------------------------------------------------------- */

struct found_tx {
    struct header_node *node; /* its block; NULL: not found */
    struct buf raw;
};

static enum err find_in_block(struct chain *c, struct header_node *node, const struct txid *id,
                              struct found_tx *f, struct error *e)
{
    struct block_reader *r;
    struct block_segment *s;
    enum err rc = chain_read_block(c, node, SEGMENT_BYTES, &r, e);
    if (rc)
        return rc;
    while (!f->node && !(rc = block_reader_next(r, &s, e)) && s) {
        for (size_t i = 0; i < s->n_txs && !f->node; i++)
            if (txid_equal(&s->txs[i].id, id)) {
                buf_put(&f->raw, s->txs[i].raw.data, s->txs[i].raw.len);
                f->node = node;
            }
        block_segment_unref(s);
    }
    block_reader_close(r);
    return rc;
}

static enum err find_by_index(struct chain *c, const struct txid *id, struct found_tx *f,
                              struct error *e)
{
    struct tx_location loc;
    struct header_data d;
    bool found;
    enum err rc = index_db_find_tx(chain_index_db(c), id, &loc, &found, e);
    struct header_node *node =
        !rc && found ? header_index_find(chain_headers(c), &loc.block) : NULL;
    if (rc || !node)
        return rc;
    header_index_get_data(chain_headers(c), node, &d);
    if (!(d.status & HS_HAVE_DATA))
        return error_set(e, ERR_NOTFOUND, "the block of this transaction has been pruned");
    if (!buf_try_reserve(&f->raw, (size_t)loc.size))
        return error_set(e, ERR_NOMEM, "out of memory for the transaction");
    rc = blockfiles_read(chain_blockfiles(c), &d.data, loc.offset,
                         buf_extend(&f->raw, (size_t)loc.size), (size_t)loc.size, e);
    f->node = rc ? NULL : node;
    return rc;
}

struct output_query {
    struct txid id;
    int32_t height; /* of the block, -1: no unspent output */
    enum err rc;
    struct error e;
};

static void query_outputs(struct chain *c, void *ctx)
{
    struct output_query *q = ctx;
    for (uint32_t i = 0; i < OUTPUTS_TRIED && q->height < 0 && !q->rc; i++) {
        const struct outpoint o = { q->id, i };
        struct coin coin;
        bool found = false;
        q->rc = coins_get(chain_coins(c), &o, &coin, &found, &q->e);
        if (!q->rc && found)
            q->height = coin.height;
    }
}

static enum err find_by_output(struct chain *c, const struct txid *id, struct found_tx *f,
                               struct error *e)
{
    struct output_query q = { .id = *id, .height = -1 };
    enum err rc = chain_call(c, query_outputs, &q);
    if (rc)
        return error_set(e, rc, "the node is shutting down");
    if (q.rc) {
        if (e)
            *e = q.e;
        return q.rc;
    }
    struct header_node *node = q.height < 0 ? NULL : header_index_at(chain_headers(c), q.height);
    return node ? find_in_block(c, node, id, f, e) : OK;
}

static bool has_tx_index(const struct rpc_call *call)
{
    return call->env->config && config_bool(call->env->config, "txindex");
}

static enum err find_tx(struct rpc_call *call, struct header_node *in_block, const struct txid *id,
                        struct found_tx *f, struct error *e)
{
    struct chain *c = call->env->chain;
    if (in_block)
        return find_in_block(c, in_block, id, f, e);
    enum err rc = has_tx_index(call) ? find_by_index(c, id, f, e) : OK;
    return rc || f->node ? rc : find_by_output(c, id, f, e);
}

/* verbose: boolean or number. False: call has failed. */
static bool take_verbose(struct rpc_call *call, bool *verbose)
{
    struct json_object *v = call->argv[1];
    enum json_type type = json_object_get_type(v);
    *verbose =
        type == json_type_int ? json_object_get_int64(v) != 0 : v && json_object_get_boolean(v);
    if (!v || type == json_type_int || type == json_type_boolean)
        return true;
    rpc_fail(call, RPC_TYPE_ERROR, "Invalid type provided. Verbose parameter must be a boolean.");
    return false;
}

static struct rpc_result put_found(struct rpc_call *call, const struct found_tx *f, bool verbose)
{
    struct chain *c = call->env->chain;
    if (!verbose) {
        jw_hex(call->out, f->raw.data, f->raw.len);
        return rpc_done();
    }
    int32_t confirmations = block_confirmations(c, f->node);
    const struct tx_json_block block = { .hash = &f->node->hash,
                                         .confirmations = MAX_OF(confirmations, 0),
                                         .height = f->node->height,
                                         .time = f->node->time };
    if (!put_tx_bytes(call, buf_span(&f->raw), block_era(c, f->node->height), &block))
        return rpc_fail(call, RPC_DATABASE_ERROR, "The stored transaction does not parse");
    return rpc_done();
}

static struct rpc_result not_found(struct rpc_call *call, const struct header_node *in_block)
{
    if (in_block)
        return rpc_fail(call, RPC_NOT_FOUND, "No such transaction found in the provided block. "
                                             "Use gettransaction for wallet transactions.");
    return rpc_fail(
        call, RPC_NOT_FOUND,
        has_tx_index(call)
            ? "No such mempool or blockchain transaction. Use gettransaction for wallet "
              "transactions."
            : "No such mempool transaction. Use -txindex to enable blockchain transaction queries. "
              "Use gettransaction for wallet transactions.");
}

static struct rpc_result cmd_getrawtransaction(struct rpc_call *call)
{
    struct txid id;
    struct found_tx f = { .node = NULL };
    struct header_node *in_block = NULL;
    struct error e = { 0 };
    bool verbose;
    rpc_hash(call, 0, id.b);
    if (!take_verbose(call, &verbose))
        return rpc_failed(call);
    if (rpc_has(call, 2) && !(in_block = rpc_block(call, 2)))
        return rpc_failed(call);
    buf_init(&f.raw);
    enum err rc = find_tx(call, in_block, &id, &f, &e);
    struct rpc_result result = rc ? rpc_fail_error(call, &e)
                               : f.node ? put_found(call, &f, verbose) : not_found(call, in_block);
    buf_clear(&f.raw);
    return result;
}

/* --- validateaddress ------------------------------------------------------------------------ */

static struct rpc_result cmd_validateaddress(struct rpc_call *call)
{
    const struct chain_params *p = chain_get_params(call->env->chain);
    struct json_writer *w = call->out;
    const char *text = rpc_text(call, 0, "");
    uint8_t version, hash[20], script[SCRIPT_P2PKH_SIZE];
    bool valid = address_decode(text, &version, hash) &&
                 (version == p->address_version || version == p->script_address_version);
    jw_object_open(w);
    jw_put_bool(w, "isvalid", valid);
    if (valid) {
        bool to_script = version == p->script_address_version;
        if (to_script)
            script_make_p2sh(script, hash);
        else
            script_make_p2pkh(script, hash);
        jw_put_text(w, "address", text);
        jw_put_hex(w, "scriptPubKey", script, to_script ? SCRIPT_P2SH_SIZE : SCRIPT_P2PKH_SIZE);
        jw_put_bool(w, "ismine", false); /* this node has no wallet */
        jw_put_bool(w, "iswatchonly", false);
        jw_put_bool(w, "isscript", to_script);
    }
    jw_object_close(w);
    return rpc_done();
}

#define TX_FIELDS                                                                                  \
    "{txid, hash, version, size, locktime, vin:[...], vout:[...], blockhash, confirmations, "      \
    "time, "                                                                                       \
    "blocktime, blockheight, hex}"

static const struct rpc_command rows[] = {
    { .name = "getrawtransaction",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .fn = cmd_getrawtransaction,
      .help = "A transaction of the chain: with -txindex any, in a named block, or one that has an "
              "unspent output.",
      .result = "\"hex\" or " TX_FIELDS,
      .example = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b true",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "verbose", RPC_ANY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "An object rather than hex (default false)" },
                  { "blockhash", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT, "The block to look in" } } },
    { .name = "decoderawtransaction",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .fn = cmd_decoderawtransaction,
      .help = "Shows a serialised transaction as an object.",
      .result = TX_FIELDS,
      .example = "0100...",
      .params = { { "hexstring", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" } } },
    { .name = "decodescript",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .fn = cmd_decodescript,
      .help = "Shows what a script says and pays to.",
      .result = "{asm, reqSigs, type, addresses, p2sh}",
      .example = "76a914...88ac",
      .params = { { "hexstring", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The script" } } },
    { .name = "validateaddress",
      .category = "util",
      .where = RPC_ON_HTTP,
      .fn = cmd_validateaddress,
      .help = "Tells whether a text is an address of this network, and its script.",
      .result = "{isvalid, address, scriptPubKey, ismine, iswatchonly, isscript}",
      .example = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The text" } } },
};
const struct rpc_group rpc_raw_commands = { rows, COUNT_OF(rows) };
