/* What the wallet must not spend, and what it need not wait for any more. */
#include "rpc/commands.h"

#include <stdio.h>

#include <json-c/json.h>

#include "base/ids.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/params.h"
#include "rpc/wallet_call.h"

/* --- lockunspent ---------------------------------------------------------------------------- */

static bool take_outpoint(struct rpc_call *call, struct json_object *v, size_t i,
                          struct outpoint *out)
{
    static const struct rpc_member members[] = { { "txid", RPC_HASH, RPC_REQUIRED },
                                                 { "vout", RPC_INT, RPC_REQUIRED } };
    struct json_object *m[COUNT_OF(members)];
    char where[40];
    int64_t index;
    snprintf(where, sizeof where, "transactions[%zu]", i);
    if (!rpc_some_members(call, v, where, members, COUNT_OF(members), m) ||
        !rpc_in_range(call, where, "vout", m[1], 0, UINT32_MAX, &index))
        return false;
    out->index = (uint32_t)index;
    return hash_from_hex(out->txid.b, json_object_get_string(m[0]));
}

/* All of them are coins of the wallet that nothing spends; otherwise call has failed. */
static bool check_coin(struct rpc_call *call, struct wallet *w, const struct outpoint *at)
{
    struct error e = { .code = OK };
    struct history_coin c;
    bool found;
    char hex[HASH_HEX_SIZE];
    if (history_get_coin(wallet_history(w), at, &c, &found, &e)) {
        rpc_wallet_fail(call, &e);
        return false;
    }
    if (found && !c.spent)
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid parameter, %s: %s:%u",
             found ? "expected unspent output" : "unknown output of the wallet",
             hash_to_hex(hex, at->txid.b), at->index);
    return false;
}

/* All or none. */
static bool set_locks(struct rpc_call *call, struct wallet *w, const struct outpoint *at, size_t n,
                      bool locked)
{
    for (size_t i = 0; i < n; i++)
        if (!check_coin(call, w, &at[i]))
            return false;
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good &= history_lock_coin(wallet_history(w), &at[i], locked);
    return good;
}

static bool lock_listed(struct rpc_call *call, struct wallet *w, bool locked)
{
    const size_t n = json_object_array_length(call->argv[1]);
    struct arena arena;
    arena_init(&arena);
    struct outpoint *at = arena_alloc(&arena, n + 1, sizeof *at);
    bool good = at != NULL;
    if (!good)
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the outputs");
    for (size_t i = 0; i < n && good; i++)
        good = take_outpoint(call, json_object_array_get_idx(call->argv[1], i), i, &at[i]);
    if (good) {
        wallet_lock(w);
        good = set_locks(call, w, at, n, locked);
        wallet_unlock(w);
    }
    arena_clear(&arena);
    return good;
}

static bool unlock_all(struct wallet *w)
{
    wallet_lock(w);
    history_unlock_all(wallet_history(w));
    wallet_unlock(w);
    return true;
}

static struct rpc_result cmd_lockunspent(struct rpc_call *call)
{
    const bool unlock = rpc_bool(call, 0, false), listed = rpc_has(call, 1);
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    const bool good = listed   ? lock_listed(call, w, !unlock)
                      : unlock ? unlock_all(w)
                               : true; /* none is named that could be locked */
    wallet_unref(w);
    if (!good)
        return rpc_failed(call);
    jw_bool(call->out, true);
    return rpc_done();
}

/* --- listlockunspent ------------------------------------------------------------------------ */

static bool put_locked(void *ctx, const struct history_coin *c)
{
    struct rpc_call *call = ctx;
    if (c->locked) {
        jw_object_open(call->out);
        jw_put_hash(call->out, "txid", c->at.txid.b);
        jw_put_u64(call->out, "vout", c->at.index);
        jw_object_close(call->out);
    }
    return !call->out->failed;
}

static struct rpc_result cmd_listlockunspent(struct rpc_call *call)
{
    const struct history_filter all = { .min_conf = INT32_MIN, .max_conf = INT32_MAX,
                                        .untrusted = true, .watched = true, .locked = true,
                                        .immature = true };
    struct wallet *w = rpc_wallet(call);
    struct error e = { .code = OK };
    struct rpc_held held;
    if (!w)
        return rpc_failed(call);
    rpc_hold(call, &held);
    jw_array_open(call->out);
    wallet_lock(w);
    enum err rc = history_unspent(wallet_history(w), &all, put_locked, call, &e);
    wallet_unlock(w);
    jw_array_close(call->out);
    rc = rpc_release(call, &held, rc, &e);
    wallet_unref(w);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

/* --- abandontransaction --------------------------------------------------------------------- */

static struct rpc_result cmd_abandontransaction(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    struct error e = { .code = OK };
    struct txid id;
    if (!w)
        return rpc_failed(call);
    rpc_hash(call, 0, id.b);
    wallet_lock(w);
    const enum err rc = history_abandon(wallet_history(w), &id, &e);
    wallet_unlock(w);
    wallet_unref(w);
    if (rc == ERR_NOTFOUND)
        return rpc_fail(call, RPC_NOT_FOUND, "Invalid or non-wallet transaction id");
    if (rc == ERR_RANGE)
        return rpc_fail(call, RPC_NOT_FOUND, "Transaction not eligible for abandonment");
    if (rc)
        return rpc_wallet_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "lockunspent",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .flags = RPC_TYPES_FIRST,
      .fn = cmd_lockunspent,
      .help = "Keeps coins from being chosen, or lets them be chosen again: all or none of those "
              "that are named. Locks are gone when the wallet is loaded the next time.",
      .result = "true",
      .example = "false '[{\"txid\":\"...\",\"vout\":0}]'",
      .params = { { "unlock", RPC_BOOL, RPC_REQUIRED, RPC_CLI_JSON,
                    "true: they may be chosen again" },
                  { "transactions", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "[{\"txid\",\"vout\"}, ...]; not given, unlock is of all" } } },
    { .name = "listlockunspent",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listlockunspent,
      .help = "Coins that are locked.",
      .result = "[{txid, vout}]",
      .example = "" },
    { .name = "abandontransaction",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_abandontransaction,
      .help = "Gives up a transaction that is neither confirmed nor in the mempool, and what "
              "spends from it: its coins can be spent again.",
      .result = "null",
      .example = "\"txid\"",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Its id" } } },
};
const struct rpc_group rpc_wallet_locks_commands = { rows, COUNT_OF(rows) };
