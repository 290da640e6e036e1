/*
 * Transactions of a wallet, as the reference shows them: a send for each output to somebody else,
 * a receive for each that is ours, change left out.
 */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/wallet_call.h"

#define LIST_MAX 100000 /* entries; they are held in memory to be turned round */
#define SKIP_MAX INT32_MAX

/* One transaction; under the wallet's lock. */
struct view {
    struct rpc_call *call;
    struct wallet *w;
    const struct history_tx *t;
    bool watched;        /* of watched scripts too */
    int64_t debit;       /* of ours that it spends */
    int64_t credit;      /* of outputs that are ours, change too */
    int64_t fee;         /* when we pay it */
};

/* --- sums ----------------------------------------------------------------------------------- */

static bool is_ours(const struct view *v, struct span script, bool *watch)
{
    struct owner owner;
    if (!scripts_find(wallet_scripts(v->w), script, &owner))
        return false;
    *watch = owner.kind == OWNER_WATCH;
    return v->watched || !*watch;
}

static enum err sum_debit(struct view *v, struct error *e)
{
    const struct tx *tx = v->t->tx;
    struct history_coin coin;
    bool found, watch;
    for (size_t i = 0; v->t->from_us && i < tx->n_in; i++) {
        const enum err rc = history_get_coin(wallet_history(v->w), &tx->in[i].prevout, &coin,
                                             &found, e);
        if (rc)
            return rc;
        if (found && is_ours(v, coin.script, &watch))
            v->debit += coin.value;
    }
    return OK;
}

static enum err view_init(struct view *v, struct rpc_call *call, struct wallet *w,
                          const struct history_tx *t, bool watched, struct error *e)
{
    bool watch;
    int64_t out = 0;
    *v = (struct view){ .call = call, .w = w, .t = t, .watched = watched };
    for (size_t i = 0; i < t->tx->n_out; i++) {
        out += t->tx->out[i].value;
        if (is_ours(v, t->tx->out[i].script, &watch))
            v->credit += t->tx->out[i].value;
    }
    const enum err rc = sum_debit(v, e);
    v->fee = v->debit > 0 ? v->debit - out : 0;
    return rc;
}

static bool is_change(const struct view *v, struct span script)
{
    struct wallet_key k;
    return wallet_find_key(v->w, script, &k) && k.derived && k.branch == KEYSTORE_CHANGE;
}

/* --- members that all entries of a transaction have ------------------------------------------ */

static void put_note(struct json_writer *out, const char *name, struct span text)
{
    if (!text.len)
        return;
    jw_key(out, name);
    jw_text_n(out, (const char *)text.data, text.len);
}

static void put_block(const struct view *v)
{
    struct json_writer *out = v->call->out;
    const struct header_node *node =
        header_index_find(chain_headers(v->call->env->chain), &v->t->block);
    jw_put_hash(out, "blockhash", v->t->block.b);
    jw_put_u64(out, "blockindex", v->t->position);
    if (node)
        jw_put_u64(out, "blocktime", node->time);
}

static void put_conflicts(struct json_writer *out, const struct history_conflict *c)
{
    jw_key(out, "walletconflicts");
    jw_array_open(out);
    if (c->height != HISTORY_NO_HEIGHT)
        jw_hash(out, c->by.b);
    jw_array_close(out);
}

static void put_common(const struct view *v)
{
    struct json_writer *out = v->call->out;
    const struct history_tx *t = v->t;
    jw_put_i64(out, "confirmations", t->confirmations);
    if (t->coinbase)
        jw_put_bool(out, "generated", true);
    if (t->height != HISTORY_NO_HEIGHT)
        put_block(v);
    else
        jw_put_bool(out, "trusted", t->in_mempool && t->from_us);
    jw_put_hash(out, "txid", t->tx->id.b);
    put_conflicts(out, &t->conflict);
    jw_put_i64(out, "time", t->time);
    jw_put_i64(out, "timereceived", t->time);
    jw_put_text(out, "bip125-replaceable", "no");
    put_note(out, "comment", t->note.comment);
    put_note(out, "to", t->note.to);
}

/* --- entries -------------------------------------------------------------------------------- */

enum entry_members { ENTRY_ALONE /* with those of the transaction */, ENTRY_IN_TX };

static const char *received_as(const struct history_tx *t)
{
    if (!t->coinbase)
        return "receive";
    if (t->confirmations < 1)
        return "orphan";
    return t->confirmations <= COINBASE_MATURITY_BLOCKS ? "immature" : "generate";
}

static void put_entry(const struct view *v, size_t i, const char *category, bool watch,
                      enum entry_members what)
{
    struct json_writer *out = v->call->out;
    const struct tx_out *o = &v->t->tx->out[i];
    const bool sent = strcmp(category, "send") == 0;
    jw_object_open(out);
    if (watch)
        jw_put_bool(out, "involvesWatchonly", true);
    if (sent)
        jw_put_text(out, "account", "");
    else
        jw_put_label(v->call, v->w, "account", o->script);
    jw_put_address(v->call, o->script);
    jw_put_text(out, "category", category);
    jw_put_amount(out, "amount", sent ? -o->value : o->value);
    jw_put_label(v->call, v->w, "label", o->script);
    jw_put_u64(out, "vout", i);
    if (sent)
        jw_put_amount(out, "fee", -v->fee);
    if (what == ENTRY_ALONE)
        put_common(v);
    if (sent)
        jw_put_bool(out, "abandoned", v->t->abandoned);
    jw_object_close(out);
}

typedef void (*entry_fn)(void *ctx, const struct view *v, size_t i, const char *category,
                         bool watch);

/* Sends first, as the reference has it. */
static void each_entry(const struct view *v, entry_fn fn, void *ctx)
{
    const struct tx *tx = v->t->tx;
    bool watch = false;
    for (size_t i = 0; v->debit > 0 && i < tx->n_out; i++)
        if (!is_change(v, tx->out[i].script))
            fn(ctx, v, i, "send", false);
    for (size_t i = 0; i < tx->n_out; i++)
        if (is_ours(v, tx->out[i].script, &watch) &&
            !(v->debit > 0 && is_change(v, tx->out[i].script)))
            fn(ctx, v, i, received_as(v->t), watch);
}

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

static void add_entry(void *ctx, const struct view *v, size_t i, const char *category, bool watch)
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
    put_entry(v, i, category, watch, ENTRY_ALONE);
    l->call->out = out;
}

static bool list_tx(void *ctx, const struct history_tx *t)
{
    struct list *l = ctx;
    struct view v;
    l->rc = view_init(&v, l->call, l->w, t, l->watched, l->e);
    if (l->rc)
        return false;
    each_entry(&v, add_entry, l);
    return l->n < l->count && !rpc_given_up(l->call);
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

static void put_detail(void *ctx, const struct view *v, size_t i, const char *category, bool watch)
{
    (void)ctx;
    put_entry(v, i, category, watch, ENTRY_IN_TX);
}

static bool put_tx(void *ctx, const struct history_tx *t)
{
    struct one *o = ctx;
    struct json_writer *out = o->call->out;
    struct view v;
    o->rc = view_init(&v, o->call, o->w, t, rpc_bool(o->call, 1, false), o->e);
    if (o->rc)
        return false;
    jw_object_open(out);
    jw_put_amount(out, "amount", v.credit - v.debit + v.fee);
    if (v.debit > 0)
        jw_put_amount(out, "fee", -v.fee);
    put_common(&v);
    jw_key(out, "details");
    jw_array_open(out);
    each_entry(&v, put_detail, NULL);
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
    if (!o.w)
        return rpc_failed(call);
    rpc_hash(call, 0, id.b);
    wallet_lock(o.w);
    enum err rc = history_get_tx(wallet_history(o.w), &id, put_tx, &o, &found, &e);
    wallet_unlock(o.w);
    wallet_unref(o.w);
    rc = rc ? rc : o.rc;
    if (rc)
        return rpc_wallet_fail(call, &e);
    return found ? rpc_done()
                 : rpc_fail(call, RPC_NOT_FOUND, "Invalid or non-wallet transaction id");
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
                  { "count", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON, "How many (default 10, at most 100000)" },
                  { "from|skip", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Leave out so many of the latest (default 0)" },
                  { "include_watchonly", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Of watched scripts too (default false)" } } },
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
                  { "include_watchonly", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Count watched scripts as ours (default false)" } } },
};
const struct rpc_group rpc_wallet_txs_commands = { rows, COUNT_OF(rows) };
