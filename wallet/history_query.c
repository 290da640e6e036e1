#include <config.h>

#include "base/intmath.h"
#include "wallet/history_internal.h"

/* --- confirmations --------------------------------------------------------------------------- */

static int32_t blocks_since(const struct history *h, int32_t height)
{
    return h->m.at.best.height - height + 1;
}

static int32_t pending_confirmations(const struct history *h, const struct pending *p)
{
    if (p->conflict.height == HISTORY_NO_HEIGHT)
        return 0;
    /* The mempool may tell of a block that is applied only next. */
    return -MAX_OF(blocks_since(h, p->conflict.height), 1);
}

static int32_t coin_confirmations(const struct history *h, const struct coin_item *c)
{
    return c->creator ? pending_confirmations(h, c->creator) : blocks_since(h, c->data.height);
}

static bool is_immature(const struct history *h, const struct coin_data *c)
{
    return c->coinbase && c->height != HISTORY_NO_HEIGHT &&
           blocks_since(h, c->height) <= COINBASE_MATURITY_BLOCKS;
}

/* Confirmed or in the mempool: it is there, as far as anybody can know. */
static bool exists(const struct coin_item *c)
{
    return !c->creator || (c->creator->in_mempool && pending_may_confirm(c->creator));
}

static bool is_trusted(const struct history *h, const struct coin_item *c)
{
    return c->creator ? pending_is_trusted(c->creator) : !is_immature(h, &c->data);
}

/* --- coins ----------------------------------------------------------------------------------- */

static void add_to_balance(const struct history *h, const struct coin_item *c, int32_t min_conf,
                           struct history_sums *sums)
{
    if (is_immature(h, &c->data))
        sums->immature += c->data.value;
    else if (!is_trusted(h, c))
        sums->pending += c->data.value;
    else if (coin_confirmations(h, c) >= min_conf)
        sums->trusted += c->data.value;
}

enum err history_balance(struct history *h, int32_t min_conf, struct history_balance *out,
                         struct error *e)
{
    enum err rc = history_sync(h, e);
    *out = (struct history_balance){ .spendable.trusted = 0 };
    for (size_t i = 0; !rc && i < h->m.n_coins; i++) {
        const struct coin_item *c = h->m.coins[i];
        if (c->owned && exists(c) && !coin_spender(c))
            add_to_balance(h, c, min_conf,
                           c->owner.kind == OWNER_WATCH ? &out->watched : &out->spendable);
    }
    return rc;
}

static struct history_coin coin_view(const struct history *h, const struct coin_item *c)
{
    const struct txid *spender = coin_spender(c);
    struct history_coin view = {
        .at = c->at,
        .value = c->data.value,
        .script = c->data.script,
        .height = c->data.height,
        .confirmations = coin_confirmations(h, c),
        .coinbase = c->data.coinbase,
        .immature = is_immature(h, &c->data),
        .locked = c->locked,
        .trusted = is_trusted(h, c),
        .owned = c->owned,
        .owner = c->owner,
        .spent = spender != NULL,
    };
    if (spender)
        view.spent_by = *spender;
    return view;
}

static bool passes(const struct history_filter *f, const struct history_coin *c)
{
    struct owner ignored;
    return c->confirmations >= f->min_conf && c->confirmations <= f->max_conf &&
           (f->immature || !c->immature) && (f->locked || !c->locked) &&
           (f->untrusted || c->trusted || c->immature) &&
           (f->watched || c->owner.kind != OWNER_WATCH) &&
           (!f->only || scripts_find(f->only, c->script, &ignored));
}

enum err history_unspent(struct history *h, const struct history_filter *filter,
                         history_coin_fn fn, void *ctx, struct error *e)
{
    enum err rc = history_sync(h, e);
    bool more = true;
    for (size_t i = 0; !rc && more && i < h->m.n_coins; i++) {
        const struct coin_item *c = h->m.coins[i];
        if (!c->owned || !exists(c) || coin_spender(c))
            continue;
        const struct history_coin view = coin_view(h, c);
        if (passes(filter, &view))
            more = fn(ctx, &view);
    }
    return rc;
}

static enum err get_spent(struct history *h, const struct outpoint *at, struct history_coin *out,
                          bool *found, struct error *e)
{
    struct coin_data data;
    struct history_conflict spender;
    enum err rc = row_load_spent(h, at, &data, &spender, found, e);
    if (rc || !*found)
        return rc;
    *out = (struct history_coin){
        .at = *at,
        .value = data.value,
        .script = data.script,
        .height = data.height,
        .confirmations = blocks_since(h, data.height),
        .coinbase = data.coinbase,
        .spent = true,
        .spent_by = spender.by,
    };
    out->trusted = true;
    out->owned = scripts_find(h->scripts, data.script, &out->owner);
    return OK;
}

enum err history_get_coin(struct history *h, const struct outpoint *at, struct history_coin *out,
                          bool *found, struct error *e)
{
    enum err rc = history_sync(h, e);
    if (rc)
        return rc;
    const struct spot *s = spot_find(h, at);
    if (!s || !s->coin)
        return get_spent(h, at, out, found, e);
    *out = coin_view(h, s->coin);
    *found = true;
    return OK;
}

bool history_lock_coin(struct history *h, const struct outpoint *at, bool locked)
{
    struct spot *s = spot_find(h, at);
    if (!s || !s->coin)
        return false;
    s->coin->locked = locked;
    return true;
}

void history_unlock_all(struct history *h)
{
    for (size_t i = 0; i < h->m.n_coins; i++)
        h->m.coins[i]->locked = false;
}

/* --- transactions ---------------------------------------------------------------------------- */

static void fill_view(const struct history *h, const struct record *r, const struct tx *tx,
                      struct history_tx *t)
{
    const struct pending *p = pending_find(h, &tx->id);
    *t = (struct history_tx){
        .tx = tx,
        .height = r->height,
        .block = r->block,
        .position = r->position,
        .confirmations = p ? pending_confirmations(h, p) : blocks_since(h, r->height),
        .conflict.height = HISTORY_NO_HEIGHT,
        .time = r->time,
        .order = r->order,
        .coinbase = r->coinbase,
        .from_us = r->from_us,
        .abandoned = r->abandoned,
        .note = r->note,
    };
    if (p) {
        t->conflict = p->conflict;
        t->abandoned = t->abandoned || p->orphaned;
        t->in_mempool = p->in_mempool;
    }
}

struct tx_call {
    history_tx_fn fn;
    void *ctx;
    bool listed; /* another row names it */
    bool found;
};

/* What a list has and no record says is damage, not an empty place. */
static enum err check_listed(const struct tx_call *call, const struct txid *id, struct error *e)
{
    char hex[HASH_HEX_SIZE];
    if (call->found || !call->listed)
        return OK;
    return error_set(e, ERR_CORRUPT, "wallet history: the record of transaction %s is missing",
                     hash_to_hex(hex, id->b));
}

/* ERR_CANCELLED: the caller has seen enough. */
static enum err call_with_tx(struct history *h, void *ctx, const struct txid *id, struct error *e)
{
    struct tx_call *call = (struct tx_call *)ctx;
    struct record r;
    struct buf value = { 0 };
    struct raw_tx raw = { .raw = { 0 } };
    enum err rc = record_load(h, id, &value, &r, &call->found, e);
    if (!rc)
        rc = check_listed(call, id, e);
    if (!rc && call->found)
        rc = raw_load(h, id, &raw, e);
    if (!rc && call->found) {
        struct history_tx t;
        fill_view(h, &r, &raw.tx, &t);
        if (!call->fn(call->ctx, &t))
            rc = ERR_CANCELLED;
    }
    raw_clear(&raw);
    buf_clear(&value);
    return rc;
}

enum err history_get_tx(struct history *h, const struct txid *id, history_tx_fn fn, void *ctx,
                        bool *found, struct error *e)
{
    struct tx_call call = { fn, ctx, false, false };
    enum err rc = history_sync(h, e);
    if (!rc)
        rc = call_with_tx(h, &call, id, e);
    *found = call.found;
    return rc == ERR_CANCELLED ? OK : rc;
}

enum err history_list(struct history *h, uint64_t skip, history_tx_fn fn, void *ctx,
                      struct error *e)
{
    struct tx_call call = { fn, ctx, true, false };
    enum err rc = history_sync(h, e);
    return rc ? rc : rows_each_order(h, skip, call_with_tx, &call, e);
}

static enum err each_pending(struct history *h, struct tx_call *call, struct error *e)
{
    enum err rc = OK;
    size_t pos = 0;
    for (struct pending *p; !rc && (p = (struct pending *)map_next(&h->m.pendings, &pos));)
        rc = call_with_tx(h, call, &p->id, e);
    return rc;
}

enum err history_list_unconfirmed(struct history *h, history_tx_fn fn, void *ctx, struct error *e)
{
    struct tx_call call = { fn, ctx, true, false };
    enum err rc = history_sync(h, e);
    if (!rc)
        rc = each_pending(h, &call, e);
    return rc == ERR_CANCELLED ? OK : rc;
}

/* Whether the walk over the blocks was ended, so that the unconfirmed are not begun. */
struct since_call {
    struct tx_call call;
    bool ended;
};

static enum err call_since(struct history *h, void *ctx, const struct txid *id, struct error *e)
{
    struct since_call *since = (struct since_call *)ctx;
    enum err rc = call_with_tx(h, &since->call, id, e);
    since->ended = rc == ERR_CANCELLED;
    return rc;
}

enum err history_list_since(struct history *h, int32_t height, history_tx_fn fn, void *ctx,
                            struct error *e)
{
    struct since_call since = { { fn, ctx, true, false }, false };
    enum err rc = history_sync(h, e);
    if (!rc)
        rc = rows_each_place(h, MAX_OF(height, -1) + 1, INT32_MAX, call_since, &since, e);
    if (!rc && !since.ended)
        rc = each_pending(h, &since.call, e);
    return rc == ERR_CANCELLED ? OK : rc;
}
