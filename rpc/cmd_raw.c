/* Transactions and scripts: decode them, find them in the chain. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/address.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "chain/nonfinal.h"
#include "rpc/block_json.h"
#include "rpc/tx_arg.h"
#include "rpc/tx_json.h"
#include "rpc/tx_lookup.h"
#include "rpc/wallet_call.h"
#include "script/template.h"

#define QUICK_BYTES 16384 /* of a transaction that the HTTP thread may show */

/* --- decoding ------------------------------------------------------------------------------- */

static enum script_era next_era(struct chain *c)
{
    struct chain_tip tip;
    chain_get_tip(c, &tip);
    return block_era(c, tip.height + 1);
}

/* Writes one transaction given as bytes. ERR_PARSE: they are none. */
static enum err put_tx_bytes(struct rpc_call *call, struct span raw, enum script_era era,
                             const struct tx_json_block *block, struct error *e)
{
    struct reader r;
    struct arena a;
    struct tx tx;
    arena_init(&a);
    reader_init(&r, raw.data, raw.len);
    enum err rc = tx_read(&r, &a, &tx);
    if (!rc && !reader_done(&r))
        rc = ERR_PARSE;
    if (!rc) {
        tx_compute_id(&tx);
        jw_tx(call->out, &tx, chain_get_params(call->env->chain), era, block);
    }
    arena_clear(&a);
    return rc ? error_set(e, rc, "no transaction, or no memory for it") : OK;
}

static struct rpc_result cmd_decoderawtransaction(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct buf raw;
    buf_init(&raw);
    struct rpc_result result = rpc_done();
    if (!rpc_tx(call, 0, &raw))
        result = rpc_failed(call);
    else if (put_tx_bytes(call, buf_span(&raw), next_era(call->env->chain), NULL, &e))
        result = rpc_fail_tx(call, &e, "TX decode failed");
    buf_clear(&raw);
    return result;
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

static struct rpc_result put_found(struct rpc_call *call, const struct tx_found *f, bool verbose)
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
    struct error e = { .code = OK };
    enum err rc =
        put_tx_bytes(call, buf_span(&f->raw), block_era(c, f->node->height), &block, &e);
    if (rc == ERR_PARSE)
        return rpc_fail(call, RPC_DATABASE_ERROR, "The stored transaction does not parse");
    return rc ? rpc_fail_error(call, &e) : rpc_done();
}

static struct rpc_result not_found(struct rpc_call *call, const struct header_node *in_block)
{
    if (in_block)
        return rpc_fail(call, RPC_NOT_FOUND, "No such transaction found in the provided block. "
                                             "Use gettransaction for wallet transactions.");
    return tx_lookup_none(call);
}

/* A reference; NULL: in neither pool. */
static struct tx *unconfirmed(struct chain *c, const struct txid *id)
{
    struct tx *tx = mempool_get_tx(chain_mempool(c), id);
    return tx ? tx : nonfinal_get_tx(chain_nonfinal(c), id);
}

static struct rpc_result put_unconfirmed(struct rpc_call *call, const struct tx *tx, bool verbose)
{
    struct chain *c = call->env->chain;
    if (verbose)
        jw_tx(call->out, tx, chain_get_params(c), next_era(c), &(struct tx_json_block){ 0 });
    else
        jw_hex(call->out, tx->raw.data, tx->raw.len);
    return rpc_done();
}

static struct rpc_result put_quickly(struct rpc_call *call, const struct txid *id, bool verbose)
{
    struct tx_found f = { .node = NULL };
    buf_init(&f.raw);
    struct rpc_result result = tx_lookup_quick(call, id, QUICK_BYTES, &f)
                                   ? put_found(call, &f, verbose)
                                   : rpc_elsewhere();
    buf_clear(&f.raw);
    return result;
}

static struct rpc_result put_confirmed(struct rpc_call *call, struct header_node *in_block,
                                       const struct txid *id, bool verbose)
{
    struct tx_found f = { .node = NULL };
    struct error e = { 0 };
    buf_init(&f.raw);
    enum err rc = tx_lookup(call, in_block, id, UINT64_MAX, &f, &e);
    struct rpc_result result = rc ? rpc_fail_error(call, &e)
                               : f.node ? put_found(call, &f, verbose) : not_found(call, in_block);
    buf_clear(&f.raw);
    return result;
}

static struct rpc_result cmd_getrawtransaction(struct rpc_call *call)
{
    struct txid id;
    struct header_node *in_block = NULL;
    bool verbose;
    rpc_hash(call, 0, id.b);
    if (!take_verbose(call, &verbose))
        return rpc_failed(call);
    if (rpc_has(call, 2) && !(in_block = rpc_block(call, 2)))
        return rpc_failed(call);
    struct tx *tx = in_block ? NULL : unconfirmed(call->env->chain, &id);
    struct rpc_result result;
    if (tx)
        result = call->on_http && tx->raw.len > QUICK_BYTES ? rpc_elsewhere()
                                                            : put_unconfirmed(call, tx, verbose);
    else if (call->on_http)
        result = in_block ? rpc_elsewhere() : put_quickly(call, &id, verbose);
    else
        result = put_confirmed(call, in_block, &id, verbose);
    tx_unref(tx);
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
        jw_put_ownership(call, span_of(script, to_script ? SCRIPT_P2SH_SIZE : SCRIPT_P2PKH_SIZE));
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
      .where = RPC_TRY_ON_HTTP,
      .fn = cmd_getrawtransaction,
      .help = "A transaction that is unconfirmed, or of the chain: with -txindex any, in a named "
              "block, or one that has an unspent output.",
      .result = "\"hex\" or " TX_FIELDS,
      .example = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b true",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "verbose", RPC_ANY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "An object rather than hex (default false)" },
                  { "blockhash", RPC_HASH, RPC_OPTIONAL, RPC_CLI_TEXT, "The block to look in" } } },
    { .name = "decoderawtransaction",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .flags = RPC_TYPES_FIRST,
      .fn = cmd_decoderawtransaction,
      .help = "Shows a serialised transaction, in plain or extended form (BRC-30), as an object.",
      .result = TX_FIELDS,
      .example = "0100...",
      .params = { { "hexstring", RPC_TX, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" } } },
    { .name = "decodescript",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .flags = RPC_TYPES_FIRST,
      .fn = cmd_decodescript,
      .help = "Shows what a script says and pays to.",
      .result = "{asm, reqSigs, type, addresses, p2sh}",
      .example = "76a914...88ac",
      .params = { { "hexstring", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "The script" } } },
    { .name = "validateaddress",
      .category = "util",
      .where = RPC_ON_WORKER,
      .fn = cmd_validateaddress,
      .help = "Tells whether a text is an address of this network, its script, and what the loaded "
              "wallet knows of it.",
      .result = "{isvalid, address, scriptPubKey, ismine, iswatchonly, isscript, pubkey?, "
                "iscompressed?, hdkeypath?, account?}",
      .example = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The text" } } },
};
const struct rpc_group rpc_raw_commands = { rows, COUNT_OF(rows) };
