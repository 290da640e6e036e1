/* What a wallet has: balances and unspent outputs. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/wallet_call.h"

/* --- balances ------------------------------------------------------------------------------- */

static struct rpc_result read_balance(struct rpc_call *call, int32_t min_conf,
                                      struct history_balance *b)
{
    struct wallet *w = rpc_wallet(call);
    struct error e = { .code = OK };
    if (!w)
        return rpc_failed(call);
    wallet_lock(w);
    const enum err rc = history_balance(wallet_history(w), min_conf, b, &e);
    wallet_unlock(w);
    wallet_unref(w);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_getbalance(struct rpc_call *call)
{
    struct history_balance b;
    int32_t min_conf;
    if (!rpc_wallet_all_accounts(call, 0) || !rpc_wallet_min_conf(call, 1, 0, &min_conf))
        return rpc_failed(call);
    const struct rpc_result r = read_balance(call, min_conf, &b);
    if (r.end == RPC_DONE)
        jw_amount(call->out,
                  b.spendable.trusted + (rpc_bool(call, 2, false) ? b.watched.trusted : 0));
    return r;
}

static struct rpc_result cmd_getunconfirmedbalance(struct rpc_call *call)
{
    struct history_balance b;
    const struct rpc_result r = read_balance(call, 0, &b);
    if (r.end == RPC_DONE)
        jw_amount(call->out, b.spendable.pending);
    return r;
}

/* --- listunspent ---------------------------------------------------------------------------- */

struct listing {
    struct rpc_call *call;
    struct wallet *w;
};

static bool put_coin(void *ctx, const struct history_coin *c)
{
    const struct listing *l = ctx;
    struct json_writer *out = l->call->out;
    jw_object_open(out);
    jw_put_hash(out, "txid", c->at.txid.b);
    jw_put_u64(out, "vout", c->at.index);
    jw_put_address(l->call, c->script);
    jw_put_label(l->call, l->w, "account", c->script);
    jw_put_hex(out, "scriptPubKey", c->script.data, c->script.len);
    jw_put_amount(out, "amount", c->value);
    jw_put_i64(out, "confirmations", c->confirmations);
    const bool spendable = c->owned && c->owner.kind == OWNER_SPENDABLE;
    jw_put_bool(out, "spendable", spendable);
    jw_put_bool(out, "solvable", spendable);
    jw_put_bool(out, "safe", c->trusted);
    jw_object_close(out);
    return !out->failed;
}

static bool take_address(struct rpc_call *call, struct json_object *v, struct scripts *only)
{
    const char *text = json_object_get_string(v);
    struct owner owner;
    struct buf script;
    bool good = false;
    buf_init(&script);
    if (json_object_get_type(v) != json_type_string) {
        rpc_fail(call, RPC_TYPE_ERROR, "addresses must be strings");
    } else if (rpc_wallet_address(call, text, &script)) {
        const struct span s = span_of(script.data, script.len);
        if (scripts_find(only, s, &owner))
            rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid parameter, duplicated address: %.100s",
                     text);
        else if (!scripts_add(only, s, (struct owner){ .kind = OWNER_WATCH }))
            rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the addresses");
        else
            good = true;
    }
    buf_clear(&script);
    return good;
}

/* *only: of the addresses that were named, NULL: none were. False: call has failed. */
static bool take_addresses(struct rpc_call *call, struct scripts **only)
{
    *only = NULL;
    if (!rpc_has(call, 2) || !json_object_array_length(call->argv[2]))
        return true;
    *only = scripts_new();
    for (size_t i = 0; i < json_object_array_length(call->argv[2]); i++)
        if (!take_address(call, json_object_array_get_idx(call->argv[2], i), *only))
            return false;
    return true;
}

static bool take_conf(struct rpc_call *call, size_t i, int32_t def, int32_t *out)
{
    const int64_t v = rpc_int(call, i, def);
    if (v < 0 || v > INT32_MAX) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid number of confirmations");
        return false;
    }
    *out = (int32_t)v;
    return true;
}

static struct rpc_result list(struct rpc_call *call, const struct history_filter *filter)
{
    struct listing l = { call, rpc_wallet(call) };
    struct error e = { .code = OK };
    struct rpc_held held;
    if (!l.w)
        return rpc_failed(call);
    rpc_hold(call, &held);
    jw_array_open(call->out);
    wallet_lock(l.w);
    enum err rc = history_unspent(wallet_history(l.w), filter, put_coin, &l, &e);
    wallet_unlock(l.w);
    jw_array_close(call->out);
    rc = rpc_release(call, &held, rc, &e);
    wallet_unref(l.w);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_listunspent(struct rpc_call *call)
{
    struct history_filter f = { .untrusted = rpc_bool(call, 3, true), .watched = true };
    struct scripts *only = NULL;
    const bool good = take_conf(call, 0, 1, &f.min_conf) &&
                      take_conf(call, 1, RPC_WALLET_ENDLESS_CONF, &f.max_conf) &&
                      take_addresses(call, &only);
    f.only = only;
    const struct rpc_result r = good ? list(call, &f) : rpc_failed(call);
    scripts_free(only);
    return r;
}

static const struct rpc_command rows[] = {
    { .name = "getbalance",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getbalance,
      .help = "What the wallet can spend: confirmed coins, and unconfirmed change of its own.",
      .result = "n.nnnnnnnn",
      .example = "",
      .params = { { "account", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "\"*\" or \"\"" },
                  RPC_WALLET_MIN_CONF("Confirmations at least (default 0)"),
                  RPC_WALLET_WATCHED("Watched coins too (default false)") } },
    { .name = "getunconfirmedbalance",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getunconfirmedbalance,
      .help = "What others have sent that waits in the mempool.",
      .result = "n.nnnnnnnn",
      .example = "" },
    { .name = "listunspent",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_TYPES_FIRST,
      .fn = cmd_listunspent,
      .help = "Coins that a transaction could spend.",
      .result = "[{txid, vout, address?, account, scriptPubKey, amount, confirmations, spendable, "
                "solvable, safe}]",
      .example = "6 9999999 '[\"address\"]'",
      .params = { RPC_WALLET_MIN_CONF("Confirmations at least (default 1)"),
                  { "maxconf", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "and at most (default 9999999)" },
                  { "addresses", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON, "Of these alone" },
                  { "include_unsafe", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Unconfirmed ones from others too (default true)" } } },
};
const struct rpc_group rpc_wallet_coins_commands = { rows, COUNT_OF(rows) };
