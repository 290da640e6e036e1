/* The operator's white list of confiscation transactions (spec consensus 7.3). */
#include "rpc/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/frozen.h"
#include "rpc/params.h"
#include "rpc/tx_arg.h"

struct order {
    struct tx *tx; /* NULL: the hex is none */
    int32_t enforce_height;
    enum frozen_answer answer;
};

struct orders {
    struct order *v;
    size_t n;
};

static void orders_clear(struct orders *o)
{
    for (size_t i = 0; i < o->n; i++)
        tx_unref(o->v[i].tx);
    free(o->v);
}

static bool take_order(struct rpc_call *call, struct json_object *v, const char *where,
                       struct order *order)
{
    static const struct rpc_member outer = { "confiscationTx", RPC_OBJECT, RPC_REQUIRED };
    static const struct rpc_member members[] = { { "enforceAtHeight", RPC_INT, RPC_REQUIRED },
                                                 { "hex", RPC_TEXT, RPC_REQUIRED } };
    struct json_object *inner, *m[COUNT_OF(members)];
    char name[64];
    struct error e = { .code = OK };
    int64_t height;
    snprintf(name, sizeof name, "%.40s.confiscationTx", where);
    if (!rpc_members(call, v, where, &outer, 1, &inner) ||
        !rpc_members(call, inner, name, members, COUNT_OF(members), m) ||
        !rpc_in_range(call, name, "enforceAtHeight", m[0], 0, INT32_MAX, &height))
        return false;
    order->enforce_height = (int32_t)height;
    order->tx = tx_from_text(m[1], &e);
    if (e.code == ERR_NOMEM)
        rpc_fail_error(call, &e);
    return e.code != ERR_NOMEM;
}

static bool take_orders(struct rpc_call *call, struct orders *o)
{
    static const struct rpc_member member = { "confiscationTxs", RPC_ARRAY, RPC_REQUIRED };
    struct json_object *list;
    char name[48];
    *o = (struct orders){ .n = 0 };
    if (!rpc_members(call, call->argv[0], "", &member, 1, &list))
        return false;
    size_t n = json_object_array_length(list);
    o->v = try_alloc(n + 1, sizeof *o->v);
    if (!o->v) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the list");
        return false;
    }
    while (o->n < n) {
        snprintf(name, sizeof name, "confiscationTxs[%zu]", o->n);
        struct json_object *v = json_object_array_get_idx(list, o->n);
        struct order *order = &o->v[o->n++];
        *order = (struct order){ .tx = NULL };
        if (!take_order(call, v, name, order))
            return false;
    }
    return true;
}

static bool whitelist_orders(struct frozen *f, void *ctx)
{
    struct orders *o = ctx;
    bool changed = false;
    for (size_t i = 0; i < o->n; i++) {
        if (!o->v[i].tx)
            continue;
        o->v[i].answer = frozen_whitelist(f, o->v[i].tx, o->v[i].enforce_height);
        changed |= frozen_is_change(o->v[i].answer);
    }
    return changed;
}

static const char *order_refusal(const struct order *order)
{
    if (!order->tx)
        return "invalid transaction hex string";
    if (order->answer == FROZEN_BAD_ORDER)
        return "confiscation transaction is not valid";
    return order->answer == FROZEN_NOT_CONSENSUS ? "confiscated TXO is not consensus frozen" : NULL;
}

static void put_refused_orders(struct json_writer *w, const struct orders *o)
{
    static const uint8_t none[32];
    jw_object_open(w);
    jw_key(w, "notProcessed");
    jw_array_open(w);
    for (size_t i = 0; i < o->n; i++) {
        const char *why = order_refusal(&o->v[i]);
        if (!why)
            continue;
        jw_object_open(w);
        jw_key(w, "confiscationTx");
        jw_object_open(w);
        jw_put_hash(w, "txId", o->v[i].tx ? o->v[i].tx->id.b : none);
        jw_object_close(w);
        jw_put_text(w, "reason", why);
        jw_object_close(w);
    }
    jw_array_close(w);
    jw_object_close(w);
}

static struct rpc_result cmd_addtoconfiscationtxidwhitelist(struct rpc_call *call)
{
    struct orders orders;
    struct error e = { 0 };
    struct rpc_result result = rpc_done();
    if (!take_orders(call, &orders))
        result = rpc_failed(call);
    else if (chain_change_frozen(call->env->chain, whitelist_orders, &orders, &e))
        result = rpc_fail_error(call, &e);
    else
        put_refused_orders(call->out, &orders);
    orders_clear(&orders);
    return result;
}

/* --- clearing and showing ------------------------------------------------------------------- */

static bool clear_orders(struct frozen *f, void *ctx)
{
    struct frozen_counts *gone = ctx;
    *gone = frozen_clear_orders(f);
    return gone->orders > 0;
}

static struct rpc_result cmd_clearconfiscationwhitelist(struct rpc_call *call)
{
    struct frozen_counts gone;
    struct error e = { 0 };
    if (chain_change_frozen(call->env->chain, clear_orders, &gone, &e))
        return rpc_fail_error(call, &e);
    jw_object_open(call->out);
    jw_put_u64(call->out, "numFrozenBackToConsensus", gone.consensus);
    jw_put_u64(call->out, "numUnwhitelistedTxs", gone.orders);
    jw_object_close(call->out);
    return rpc_done();
}

static void put_order(struct json_writer *w, const struct confiscation_order *order, bool verbose)
{
    jw_object_open(w);
    jw_key(w, "confiscationTx");
    jw_object_open(w);
    jw_put_hash(w, "txId", order->id.b);
    jw_put_i64(w, "enforceAtHeight", order->enforce_height);
    if (verbose) {
        jw_key(w, "inputs");
        jw_array_open(w);
        for (size_t i = 0; i < order->n_outputs; i++) {
            jw_object_open(w);
            jw_put_txout(w, &order->outputs[i]);
            jw_object_close(w);
        }
        jw_array_close(w);
    }
    jw_object_close(w);
    jw_object_close(w);
}

static struct rpc_result cmd_queryconfiscationtxidwhitelist(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct frozen *f = rpc_copy_frozen(call);
    size_t n;
    if (!f)
        return rpc_failed(call);
    const struct confiscation_order **all = frozen_orders(f, &n);
    jw_object_open(w);
    jw_key(w, "confiscationTxs");
    jw_array_open(w);
    for (size_t i = 0; i < n && !rpc_client_gone(call); i++)
        put_order(w, all[i], rpc_bool(call, 0, false));
    jw_array_close(w);
    jw_object_close(w);
    free(all);
    frozen_free(f);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "addToConfiscationTxidWhitelist",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_addtoconfiscationtxidwhitelist,
      .help = "Allows confiscation transactions from a height on; what they spend must be frozen "
              "by consensus at that height and may from then on be spent by them alone.",
      .result = "{notProcessed:[{confiscationTx:{txId}, reason}, ...]}",
      .example = "'{\"confiscationTxs\":[{\"confiscationTx\":{\"enforceAtHeight\":900000,\"hex\":"
                 "\"0100...\"}}]}'",
      .params = { { "txs", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON,
                    "{\"confiscationTxs\":[{\"confiscationTx\":{\"enforceAtHeight\",\"hex\"}}, "
                    "...]}" } } },
    { .name = "clearConfiscationWhitelist",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_clearconfiscationwhitelist,
      .help = "Forgets all confiscation transactions; their inputs are frozen by consensus again.",
      .result = "{numFrozenBackToConsensus, numUnwhitelistedTxs}",
      .example = "" },
    { .name = "queryConfiscationTxidWhitelist",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_queryconfiscationtxidwhitelist,
      .help = "All confiscation transactions that are allowed.",
      .result = "{confiscationTxs:[{confiscationTx:{txId, enforceAtHeight, inputs:[{txOut:{txId, "
                "vout}}, ...] (verbose)}}, ...]}",
      .example = "true",
      .params = { { "verbose", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Show what they spend (default false)" } } },
};
const struct rpc_group rpc_confiscation_commands = { rows, COUNT_OF(rows) };
