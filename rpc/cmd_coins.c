/* Commands that look at the unspent outputs. Single coins are read on the chain thread; the pass
 * over all of them runs here, over a snapshot of the database. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/coins_stats.h"
#include "rpc/block_json.h"
#include "rpc/coin_query.h"
#include "rpc/tx_json.h"
#include "script/template.h"

#define SNAPSHOT_TRIES 10

/* --- gettxout ------------------------------------------------------------------------------- */

static enum script_era coin_era(struct rpc_call *call, const struct coin_query *q, size_t i)
{
    return block_era(call->env->chain, coin_query_height(q, i));
}

static int32_t confirmations(const struct coin_query *q, size_t i)
{
    return q->tip.height - coin_query_height(q, i) + 1;
}

static enum coin_scope take_scope(const struct rpc_call *call)
{
    return rpc_bool(call, 2, true) ? COINS_AND_MEMPOOL : COINS_OF_CHAIN;
}

static void put_coin(struct rpc_call *call, const struct coin_query *q)
{
    struct json_writer *w = call->out;
    const struct chain_params *p = chain_get_params(call->env->chain);
    const struct coin *coin = &q->coins[0];
    jw_object_open(w);
    jw_put_hash(w, "bestblock", q->tip.hash.b);
    jw_put_i64(w, "confirmations", confirmations(q, 0));
    jw_put_amount(w, "value", coin->value);
    jw_key(w, "scriptPubKey");
    jw_object_open(w);
    jw_put_script(w, coin_query_script(q, 0), p, coin_era(call, q, 0), JW_SCRIPT_WITH_HEX);
    jw_object_close(w);
    jw_put_bool(w, "coinbase", coin->coinbase);
    jw_put_bool(w, "confiscation", coin->confiscated);
    jw_object_close(w);
}

static struct rpc_result cmd_gettxout(struct rpc_call *call)
{
    struct outpoint outpoint;
    int64_t index = rpc_int(call, 1, 0);
    rpc_hash(call, 0, outpoint.txid.b);
    if (index < 0 || index > UINT32_MAX) {
        jw_null(call->out);
        return rpc_done();
    }
    outpoint.index = (uint32_t)index;
    struct coin_query *q = coin_query_new(take_scope(call));
    bool good = coin_query_run(q, call, &outpoint, 1);
    if (good && q->found[0] && !q->spender[0])
        put_coin(call, q);
    else if (good)
        jw_null(call->out);
    coin_query_free(q);
    return good ? rpc_done() : rpc_failed(call);
}

/* --- gettxouts ------------------------------------------------------------------------------ */

enum txout_field {
    FIELD_SCRIPT = 1, FIELD_SCRIPT_LEN = 2, FIELD_VALUE = 4, FIELD_STANDARD = 8,
    FIELD_CONFIRMATIONS = 16, FIELD_ALL = 31
};

static const struct { const char *name; enum txout_field bit; } txout_fields[] = {
    { "scriptPubKey", FIELD_SCRIPT }, { "scriptPubKeyLen", FIELD_SCRIPT_LEN },
    { "value", FIELD_VALUE }, { "isStandard", FIELD_STANDARD },
    { "confirmations", FIELD_CONFIRMATIONS },
};

/* Bits of a list of names, or of "*" alone. 0: call has failed. */
static unsigned take_fields(struct rpc_call *call, struct json_object *list)
{
    unsigned bits = 0;
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        const char *name = json_object_get_string(v);
        unsigned bit = 0;
        if (json_object_get_type(v) == json_type_string)
            for (size_t k = 0; k < COUNT_OF(txout_fields); k++)
                if (strcmp(name, txout_fields[k].name) == 0)
                    bit = txout_fields[k].bit;
        if (name && strcmp(name, "*") == 0 && n == 1)
            bit = FIELD_ALL;
        if (!bit) {
            rpc_fail(call, RPC_INVALID_PARAMS,
                     "Wrong return field: %.60s (fields are scriptPubKey, scriptPubKeyLen, value, "
                     "isStandard, confirmations, or * alone)",
                     name ? name : "null");
            return 0;
        }
        bits |= bit;
    }
    if (!bits)
        rpc_fail(call, RPC_INVALID_PARAMS, "No return fields set");
    return bits;
}

/* {"txid", "n"} and nothing else. */
static bool take_outpoint(struct json_object *v, struct outpoint *out)
{
    struct json_object *txid, *n;
    if (json_object_get_type(v) != json_type_object || json_object_object_length(v) != 2 ||
        !json_object_object_get_ex(v, "txid", &txid) || !json_object_object_get_ex(v, "n", &n) ||
        json_object_get_type(txid) != json_type_string || json_object_get_type(n) != json_type_int)
        return false;
    int64_t index = json_object_get_int64(n);
    out->index = (uint32_t)index;
    return index >= 0 && index <= UINT32_MAX &&
           hash_from_hex(out->txid.b, json_object_get_string(txid));
}

/* NULL: call has failed. */
static struct outpoint *take_outpoints(struct rpc_call *call, struct json_object *list)
{
    size_t n = json_object_array_length(list);
    struct outpoint *out = try_alloc(n + 1, sizeof *out);
    if (!out)
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the list of outputs");
    for (size_t i = 0; out && i < n; i++)
        if (!take_outpoint(json_object_array_get_idx(list, i), &out[i])) {
            rpc_fail(call, RPC_INVALID_PARAMS, "Wrong format. Exactly \"txid\" (64 hex digits) and "
                                               "\"n\" (0 to 4294967295) are required fields.");
            free(out);
            out = NULL;
        }
    return out;
}

/* Spec consensus 5.1: a known kind of script, bare multisig with at most three keys. */
static bool is_standard_output(struct span script, enum script_era era)
{
    struct script_match m;
    script_classify(script, era, &m);
    return m.type != SCRIPT_TYPE_NONSTANDARD &&
           (m.type != SCRIPT_TYPE_MULTISIG || (m.n_keys <= 3 && m.required >= 1));
}

static void put_spent(struct json_writer *w, const struct tx *spender)
{
    jw_object_open(w);
    jw_put_text(w, "error", "spent");
    jw_key(w, "collidedWith");
    jw_object_open(w);
    jw_put_hash(w, "txid", spender->id.b);
    jw_put_u64(w, "size", spender->raw.len);
    jw_put_hex(w, "hex", spender->raw.data, spender->raw.len);
    jw_object_close(w);
    jw_object_close(w);
}

static void put_missing(struct json_writer *w)
{
    jw_object_open(w);
    jw_put_text(w, "error", "missing");
    jw_object_close(w);
}

static void put_txout(struct rpc_call *call, const struct coin_query *q, size_t i, unsigned fields)
{
    struct json_writer *w = call->out;
    struct span script = coin_query_script(q, i);
    jw_object_open(w);
    if (fields & FIELD_SCRIPT)
        jw_put_hex(w, "scriptPubKey", script.data, script.len);
    if (fields & FIELD_SCRIPT_LEN)
        jw_put_u64(w, "scriptPubKeyLen", script.len);
    if (fields & FIELD_VALUE)
        jw_put_amount(w, "value", q->coins[i].value);
    if (fields & FIELD_STANDARD)
        jw_put_bool(w, "isStandard", is_standard_output(script, coin_era(call, q, i)));
    if (fields & FIELD_CONFIRMATIONS)
        jw_put_i64(w, "confirmations", confirmations(q, i));
    jw_object_close(w);
}

/* The outputs in batches; false: call has failed. */
static bool put_txouts(struct rpc_call *call, const struct outpoint *outpoints, size_t n,
                       unsigned fields)
{
    struct coin_query *q = coin_query_new(take_scope(call));
    bool good = true;
    for (size_t at = 0; good && at < n && !rpc_client_gone(call); at += q->done) {
        good = coin_query_run(q, call, outpoints + at, n - at);
        for (size_t i = 0; good && i < q->done; i++) {
            if (q->spender[i])
                put_spent(call->out, q->spender[i]);
            else if (q->found[i])
                put_txout(call, q, i, fields);
            else
                put_missing(call->out);
        }
    }
    coin_query_free(q);
    return good;
}

static struct rpc_result cmd_gettxouts(struct rpc_call *call)
{
    unsigned fields = take_fields(call, call->argv[1]);
    struct outpoint *outpoints = fields ? take_outpoints(call, call->argv[0]) : NULL;
    if (!outpoints)
        return rpc_failed(call);
    jw_object_open(call->out);
    jw_key(call->out, "txouts");
    jw_array_open(call->out);
    bool good = put_txouts(call, outpoints, json_object_array_length(call->argv[0]), fields);
    jw_array_close(call->out);
    jw_object_close(call->out);
    free(outpoints);
    return good ? rpc_done() : rpc_failed(call);
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
    { .name = "gettxouts",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_gettxouts,
      .help = "Many outputs in one call, with the fields asked for.",
      .result = "{txouts:[{scriptPubKey, scriptPubKeyLen, value, isStandard, confirmations} or "
                "{error: missing} or {error: spent, collidedWith:{txid, size, hex}} (by a "
                "transaction of the mempool), ...]}",
      .example = "'[{\"txid\":\"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b\","
                 "\"n\":0}]' '[\"*\"]'",
      .params = { { "txids_vouts", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON,
                    "The outputs: [{\"txid\":\"id\",\"n\":number}, ...]" },
                  { "return_fields", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON,
                    "Names of fields, or [\"*\"] for all" },
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
