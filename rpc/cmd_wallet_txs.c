/* Transactions of a wallet: the latest, and one of them. */
#include "rpc/commands.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/wallet_call.h"
#include "rpc/wallet_tx_json.h"

#define LIST_MAX 100000 /* entries; they are held in memory to be turned round */
#define SKIP_MAX INT32_MAX

/* --- listtransactions ----------------------------------------------------------------------- */

/* Entries as text, newest first, because the last ones are written first. */
struct list {
    struct rpc_call *call;
    struct wallet *w;
    struct buf *v;
    size_t n, cap, count;
    size_t skip; /* still to be left out */
    bool watched;
    enum err rc;
    struct error *e;
};

static void add_entry(void *ctx, const struct wallet_view *v, size_t i, const char *category,
                      bool watch)
{
    struct list *l = ctx;
    struct json_writer text, *out = l->call->out;
    if (l->skip || l->n == l->count) {
        l->skip -= l->skip > 0;
        return;
    }
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->v = xrealloc(l->v, l->cap * sizeof *l->v);
    }
    struct buf *b = &l->v[l->n++];
    buf_init(b);
    jw_init(&text, b, NULL, NULL);
    l->call->out = &text;
    jw_wallet_entry(v, i, category, watch, ENTRY_ALONE);
    l->call->out = out;
}

static bool list_tx(void *ctx, const struct history_tx *t)
{
    struct list *l = ctx;
    struct wallet_view v;
    l->rc = wallet_view_init(&v, l->call, l->w, t, l->watched, l->e);
    if (l->rc)
        return false;
    wallet_view_each(&v, add_entry, l);
    if (rpc_given_up(l->call)) /* a part is not told as the whole */
        l->rc = error_set(l->e, ERR_CANCELLED, "nobody waits for the answer any more");
    return !l->rc && l->n < l->count;
}

static void write_list(const struct list *l)
{
    jw_array_open(l->call->out);
    for (size_t i = l->n; i > 0; i--)
        jw_json(l->call->out, (const char *)l->v[i - 1].data, l->v[i - 1].len);
    jw_array_close(l->call->out);
}

static struct rpc_result list(struct rpc_call *call, struct wallet *w, size_t count, size_t skip)
{
    struct error e = { .code = OK };
    struct list l = { .call = call, .w = w, .skip = skip, .count = count, .e = &e,
                      .watched = rpc_bool(call, 3, false) };
    wallet_lock(w);
    enum err rc = count ? history_list(wallet_history(w), 0, list_tx, &l, &e) : OK;
    wallet_unlock(w);
    rc = rc ? rc : l.rc;
    if (!rc)
        write_list(&l);
    for (size_t i = 0; i < l.n; i++)
        buf_clear(&l.v[i]);
    free(l.v);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_listtransactions(struct rpc_call *call)
{
    const int64_t count = rpc_int(call, 1, 10), skip = rpc_int(call, 2, 0);
    if (!rpc_wallet_all_accounts(call, 0))
        return rpc_failed(call);
    if (count < 0 || count > LIST_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Negative count, or above %d", LIST_MAX);
    if (skip < 0 || skip > SKIP_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Negative from, or above %d", SKIP_MAX);
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    const struct rpc_result r = list(call, w, (size_t)count, (size_t)skip);
    wallet_unref(w);
    return r;
}

/* --- gettransaction ------------------------------------------------------------------------- */

struct one {
    struct rpc_call *call;
    struct wallet *w;
    enum err rc;
    struct error *e;
};

static void put_detail(void *ctx, const struct wallet_view *v, size_t i, const char *category,
                       bool watch)
{
    (void)ctx;
    jw_wallet_entry(v, i, category, watch, ENTRY_IN_TX);
}

static bool put_tx(void *ctx, const struct history_tx *t)
{
    struct one *o = ctx;
    struct json_writer *out = o->call->out;
    struct wallet_view v;
    o->rc = wallet_view_init(&v, o->call, o->w, t, rpc_bool(o->call, 1, false), o->e);
    if (o->rc)
        return false;
    jw_object_open(out);
    jw_put_amount(out, "amount", v.credit - v.debit + v.fee);
    if (v.debit > 0)
        jw_put_amount(out, "fee", -v.fee);
    jw_put_wallet_tx(&v);
    jw_key(out, "details");
    jw_array_open(out);
    wallet_view_each(&v, put_detail, NULL);
    jw_array_close(out);
    jw_put_hex(out, "hex", t->tx->raw.data, t->tx->raw.len);
    jw_object_close(out);
    return false;
}

static struct rpc_result cmd_gettransaction(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct one o = { .call = call, .w = rpc_wallet(call), .e = &e };
    struct txid id;
    bool found = false;
    struct rpc_held held;
    if (!o.w)
        return rpc_failed(call);
    rpc_hash(call, 0, id.b);
    rpc_hold(call, &held);
    wallet_lock(o.w);
    enum err rc = history_get_tx(wallet_history(o.w), &id, put_tx, &o, &found, &e);
    wallet_unlock(o.w);
    wallet_unref(o.w);
    rc = rpc_release(call, &held, rc ? rc : o.rc ? o.rc : found ? OK : ERR_NOTFOUND, &e);
    if (rc == ERR_NOTFOUND)
        return rpc_fail(call, RPC_NOT_FOUND, "Invalid or non-wallet transaction id");
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "listtransactions",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listtransactions,
      .help = "The latest transactions of the wallet, oldest first.",
      .result = "[{involvesWatchonly?, account, address?, category: "
                "send|receive|generate|immature|orphan, amount, label, vout, fee?, confirmations, "
                "generated?, blockhash?, blockindex?, blocktime?, trusted?, txid, walletconflicts, "
                "time, timereceived, bip125-replaceable, comment?, to?, abandoned?}]",
      .example = "\"*\" 20",
      .params = { { "account", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "\"*\" or \"\"" },
                  { "count", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "How many (default 10, at most 100000)" },
                  { "from|skip", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Leave out so many of the latest (default 0)" },
                  RPC_WALLET_WATCHED("Of watched scripts too (default false)") } },
    { .name = "gettransaction",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_gettransaction,
      .help = "A transaction of the wallet.",
      .result = "{amount, fee?, confirmations, generated?, blockhash?, blockindex?, blocktime?, "
                "trusted?, txid, walletconflicts, time, timereceived, bip125-replaceable, "
                "comment?, to?, details: [{...}], hex}",
      .example = "\"txid\"",
      .params = { { "txid", RPC_HASH, RPC_REQUIRED, RPC_CLI_TEXT, "Its id" },
                  RPC_WALLET_WATCHED("Count watched scripts as ours (default false)") } },
};
const struct rpc_group rpc_wallet_txs_commands = { rows, COUNT_OF(rows) };
