#include "rpc/wallet_tx_json.h"

#include <string.h>

#include "chain/chain.h"
#include "rpc/wallet_call.h"

/* --- sums ----------------------------------------------------------------------------------- */

static bool is_ours(const struct wallet_view *v, struct span script, bool *watch)
{
    struct owner owner;
    if (!scripts_find(wallet_scripts(v->w), script, &owner))
        return false;
    *watch = owner.kind == OWNER_WATCH;
    return v->watched || !*watch;
}

static enum err sum_debit(struct wallet_view *v, struct error *e)
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

enum err wallet_view_init(struct wallet_view *v, struct rpc_call *call, struct wallet *w,
                          const struct history_tx *t, bool watched, struct error *e)
{
    bool watch;
    int64_t out = 0;
    *v = (struct wallet_view){ .call = call, .w = w, .t = t, .watched = watched };
    for (size_t i = 0; i < t->tx->n_out; i++) {
        out += t->tx->out[i].value;
        if (is_ours(v, t->tx->out[i].script, &watch))
            v->credit += t->tx->out[i].value;
    }
    const enum err rc = sum_debit(v, e);
    v->fee = v->debit > 0 ? v->debit - out : 0;
    return rc;
}

/* --- members that all entries of a transaction have ------------------------------------------ */

static void put_note(struct json_writer *out, const char *name, struct span text)
{
    if (!text.len)
        return;
    jw_key(out, name);
    jw_text_n(out, (const char *)text.data, text.len);
}

static void put_block(const struct wallet_view *v)
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

void jw_put_wallet_tx(const struct wallet_view *v)
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

static const char *received_as(const struct history_tx *t)
{
    if (!t->coinbase)
        return "receive";
    if (t->confirmations < 1)
        return "orphan";
    return t->confirmations <= COINBASE_MATURITY_BLOCKS ? "immature" : "generate";
}

void jw_wallet_entry(const struct wallet_view *v, size_t i, const char *category, bool watch,
                     enum wallet_entry_members what)
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
        jw_put_wallet_tx(v);
    if (sent)
        jw_put_bool(out, "abandoned", v->t->abandoned);
    jw_object_close(out);
}

void wallet_view_each(const struct wallet_view *v, wallet_entry_fn fn, void *ctx)
{
    const struct tx *tx = v->t->tx;
    bool watch = false;
    for (size_t i = 0; v->debit > 0 && i < tx->n_out; i++)
        if (!wallet_is_change(v->w, tx->out[i].script))
            fn(ctx, v, i, "send", false);
    for (size_t i = 0; i < tx->n_out; i++)
        if (is_ours(v, tx->out[i].script, &watch) &&
            !(v->debit > 0 && wallet_is_change(v->w, tx->out[i].script)))
            fn(ctx, v, i, received_as(v->t), watch);
}
