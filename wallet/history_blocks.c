/* Blocks that come, go, and are told once more. */
#include <config.h>

#include "wallet/history.h"

#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "wallet/history_internal.h"

/* --- coins of a transaction ------------------------------------------------------------------ */

/* An output of ours that has no coin yet. known: it may be among the spent ones. */
static enum err add_coin(struct history *h, const struct tx *tx, size_t i,
                         struct pending *creator, const struct record *r, bool known,
                         struct error *e)
{
    const struct outpoint at = { tx->id, (uint32_t)i };
    struct coin_data data = { .height = r->height };
    struct history_conflict spender;
    bool spent = false;
    if (known) {
        enum err rc = row_load_spent(h, &at, &data, &spender, &spent, e);
        if (rc || spent)
            return rc;
    }
    data = (struct coin_data){ tx->out[i].value, r->height, r->coinbase, tx->out[i].script };
    enum err rc = coin_add(h, &at, &data, creator, e);
    if (!rc)
        row_put_coin(h, spot_find(h, &at)->coin);
    return rc;
}

static void move_coin(struct history *h, struct coin_item *c, struct pending *creator,
                      int32_t height)
{
    c->creator = creator;
    if (c->data.height == height)
        return;
    c->data.height = height;
    row_put_coin(h, c);
}

enum err history_place_coins(struct history *h, const struct tx *tx, struct pending *creator,
                             const struct record *r, bool known, struct error *e)
{
    struct outpoint at = { .txid = tx->id };
    struct owner owner;
    enum err rc = OK;
    for (size_t i = 0; !rc && i < tx->n_out; i++) {
        at.index = (uint32_t)i;
        const struct spot *s = spot_find(h, &at);
        if (s && s->coin)
            move_coin(h, s->coin, creator, r->height);
        else if (scripts_find(h->scripts, tx->out[i].script, &owner))
            rc = add_coin(h, tx, i, creator, r, known, e);
    }
    return rc;
}

/* --- a block more ---------------------------------------------------------------------------- */

/* A confirmed transaction spends this. True: it was a coin of ours. */
static bool spend(struct history *h, const struct outpoint *at,
                  const struct history_conflict *spender)
{
    struct spot *s = spot_find(h, at);
    if (!s)
        return false;
    const bool ours = s->coin != NULL, claimed = s->claims != NULL;
    if (ours) {
        row_delete_coin(h, at);
        row_put_spent(h, s->coin, spender);
        coin_drop(h, s->coin); /* the spot stays only when it is claimed */
    }
    if (claimed) {
        spot_set_spender(h, s, spender);
        row_put_spender(h, s);
    }
    return ours;
}

static bool spend_inputs(struct history *h, const struct tx *tx, int32_t height)
{
    const struct history_conflict spender = { tx->id, height };
    bool ours = false;
    for (size_t i = 0; i < tx->n_in; i++)
        if (spend(h, &tx->in[i].prevout, &spender))
            ours = true;
    return ours;
}

static void put_confirmed(struct history *h, const struct history_block *b,
                          const struct history_block_tx *t, struct record *r, bool known)
{
    if (known && r->height != HISTORY_NO_HEIGHT)
        row_delete_place(h, r->height, r->position);
    if (!known) {
        r->coinbase = tx_is_coinbase(t->tx);
        r->time = b->time;
        r->order = h->m.next_order++;
        row_put_order(h, r->order, &t->tx->id);
    }
    r->height = b->height;
    r->block = b->hash;
    r->position = t->position;
    r->abandoned = false;
    r->told.height = HISTORY_NO_HEIGHT;
    record_put(h, &t->tx->id, r);
    row_put_place(h, b->height, t->position, &t->tx->id);
}

enum bytes { BYTES_NEW, BYTES_KEPT };

static enum err confirm(struct history *h, const struct history_block *b,
                        const struct history_block_tx *t, enum bytes bytes, struct error *e)
{
    struct record r;
    struct buf value = { 0 };
    bool known;
    const bool pays = history_pays_us(h, t->tx);
    struct pending *p = pending_find(h, &t->tx->id);
    enum err rc = OK;
    if (p) {
        row_delete_pending(h, &p->id);
        pending_unclaim(h, p);
    }
    const bool from_us = spend_inputs(h, t->tx, b->height);
    if (p || pays || from_us) {
        rc = record_load(h, &t->tx->id, &value, &r, &known, e);
        if (!rc && !known && bytes == BYTES_NEW)
            rc = raw_put(h, t->tx, e);
        if (!rc) {
            r.from_us = r.from_us || from_us;
            put_confirmed(h, b, t, &r, known);
            rc = history_place_coins(h, t->tx, NULL, &r, known, e);
        }
    }
    buf_clear(&value);
    return rc;
}

/* Forgotten meanwhile, by whoever removed it: then it is wanted again. */
static enum err confirm_kept(struct history *h, const struct history_block *b,
                             const struct history_block_tx *t, struct error *e)
{
    struct raw_tx kept;
    bool found;
    enum err rc = raw_find(h, &t->kept, &kept, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_BUSY, "bytes of a transaction are wanted once more");
    if (!rc) {
        const struct history_block_tx read = { .tx = &kept.tx, .position = t->position };
        rc = confirm(h, b, &read, BYTES_KEPT, e);
    }
    raw_clear(&kept);
    return rc;
}

enum err history_confirm(struct history *h, const struct history_block *b,
                         const struct history_block_tx *t, struct error *e)
{
    return t->tx ? confirm(h, b, t, BYTES_NEW, e) : confirm_kept(h, b, t, e);
}

static bool is_rescan(const struct history *h, const struct history_block *b)
{
    const struct memory *m = &h->m;
    return m->at.best.known && b->height == m->at.scan_next && b->height <= m->at.best.height &&
           (b->height < m->at.best.height || block_hash_equal(&b->hash, &m->at.best.hash));
}

static bool is_next(const struct history *h, const struct history_block *b)
{
    const struct mark *best = &h->m.at.best;
    return !best->known ||
           (b->height == best->height + 1 && block_hash_equal(&b->prev, &best->hash));
}

static void set_scan(struct history *h, int32_t next, int32_t last)
{
    h->m.at.scan_next = next;
    h->m.at.scan_last = next == HISTORY_NO_HEIGHT ? HISTORY_TO_BEST : last;
    row_put_scan(h);
}

static void move_scan(struct history *h, int32_t next)
{
    const struct marks *at = &h->m.at;
    set_scan(h, next <= MIN_OF(at->scan_last, at->best.height) ? next : HISTORY_NO_HEIGHT,
             at->scan_last);
}

static void set_gap(struct history *h, int32_t from, int32_t to)
{
    const bool none = from == HISTORY_NO_HEIGHT || from > to;
    h->m.at.gap_from = none ? HISTORY_NO_HEIGHT : from;
    h->m.at.gap_to = none ? 0 : to;
    row_put_gap(h);
}

/* A rescan of these blocks is certain to come, or to be broken off. One in the midst of the gap
 * leaves it as it is: less would be said than is true. */
static void cut_gap(struct history *h, int32_t from, int32_t last)
{
    const struct marks *at = &h->m.at;
    if (at->gap_from == HISTORY_NO_HEIGHT || last < at->gap_from || from > at->gap_to)
        return;
    if (from <= at->gap_from && last >= at->gap_to)
        set_gap(h, HISTORY_NO_HEIGHT, 0);
    else if (from <= at->gap_from)
        set_gap(h, last + 1, at->gap_to);
    else if (last >= at->gap_to)
        set_gap(h, at->gap_from, from - 1);
}

static void move_best(struct history *h, const struct block_hash *hash, int32_t height)
{
    h->m.at.best = (struct mark){ true, *hash, height };
    row_put_best(h);
    if (h->m.at.scan_next > height)
        move_scan(h, h->m.at.scan_next);
    if (h->m.at.gap_from != HISTORY_NO_HEIGHT && h->m.at.gap_to > height)
        set_gap(h, h->m.at.gap_from, height); /* those above come anew */
}

bool history_wants(const struct history *h, const struct history_block *b)
{
    return b->height >= 0 && (is_rescan(h, b) || is_next(h, b));
}

static enum err begin_block(struct history *h, const struct history_block *b, struct error *e)
{
    enum err rc = history_refresh(h, e);
    if (!rc && !history_wants(h, b))
        rc = error_set(e, ERR_RANGE, "block %d does not follow what the wallet knows",
                       (int)b->height);
    return rc;
}

static enum err apply(struct history *h, const struct history_block *b, struct error *e)
{
    enum err rc = OK;
    const bool rescan = is_rescan(h, b);
    for (size_t i = 0; !rc && i < b->n; i++)
        rc = history_confirm(h, b, &b->txs[i], e);
    if (rescan)
        move_scan(h, b->height + 1);
    else
        move_best(h, &b->hash, b->height);
    return rc;
}

enum err history_apply_block(struct history *h, const struct history_block *b, struct error *e)
{
    enum err rc = begin_block(h, b, e);
    return rc ? rc : history_finish(h, apply(h, b, e), e);
}

enum err history_apply_block_later(struct history *h, const struct history_block *b,
                                   struct error *e)
{
    enum err rc = begin_block(h, b, e);
    return rc ? rc : history_finish_later(h, apply(h, b, e), e);
}

/* --- a block less ---------------------------------------------------------------------------- */

struct id_list {
    struct txid *ids;
    size_t n, cap;
};

static enum err list_id(struct history *h, void *ctx, const struct txid *id, struct error *e)
{
    struct id_list *list = (struct id_list *)ctx;
    (void)h;
    (void)e;
    if (list->n == list->cap) {
        list->cap = MAX_OF(2 * list->cap, 16);
        list->ids = (struct txid *)xrealloc(list->ids, list->cap * sizeof *list->ids);
    }
    list->ids[list->n++] = *id;
    return OK;
}

/* The coin that an undone transaction spent, if it was ours. */
static enum err restore_coin(struct history *h, const struct outpoint *at, const struct txid *id,
                             struct error *e)
{
    struct coin_data data;
    struct history_conflict spender;
    bool found;
    enum err rc = row_load_spent(h, at, &data, &spender, &found, e);
    if (rc || !found || !txid_equal(&spender.by, id))
        return rc;
    rc = coin_add(h, at, &data, pending_find(h, &at->txid), e);
    if (rc)
        return rc;
    row_delete_spent(h, at);
    row_put_coin(h, spot_find(h, at)->coin);
    return OK;
}

static enum err unconfirm_tx(struct history *h, const struct tx *tx, struct record *r,
                             struct error *e)
{
    struct pending *p;
    row_delete_place(h, r->height, r->position);
    r->height = HISTORY_NO_HEIGHT;
    r->abandoned = r->coinbase;
    record_put(h, &tx->id, r);
    row_put_pending(h, &tx->id);
    enum err rc = pending_add(h, tx, &p, e);
    for (size_t i = 0; !rc && i < tx->n_in; i++)
        rc = restore_coin(h, &tx->in[i].prevout, &tx->id, e);
    if (rc)
        return rc;
    p->abandoned = r->abandoned;
    p->from_us = r->from_us;
    return history_place_coins(h, tx, p, r, true, e);
}

enum err history_unconfirm(struct history *h, const struct txid *id, struct error *e)
{
    struct record r;
    struct buf value = { 0 };
    struct raw_tx t = { .raw = { 0 } };
    bool found;
    enum err rc = record_load(h, id, &value, &r, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_CORRUPT, "wallet history: a transaction is missing");
    if (!rc)
        rc = raw_load(h, id, &t, e);
    if (!rc)
        rc = unconfirm_tx(h, &t.tx, &r, e);
    raw_clear(&t);
    buf_clear(&value);
    return rc;
}

/* Conflicts with transactions of the undone block are over. */
static enum err end_conflicts(struct history *h, int32_t height, struct error *e)
{
    const struct history_conflict none = { .height = HISTORY_NO_HEIGHT };
    enum err rc = OK;
    size_t pos = 0;
    for (struct pending *p; !rc && (p = (struct pending *)map_next(&h->m.pendings, &pos));) {
        for (size_t i = 0; i < p->n_claims; i++) {
            struct spot *s = p->claims[i].spot;
            if (!s->spender || s->spender->height != height)
                continue;
            row_delete_spender(h, &s->at);
            spot_clear_spender(h, s);
        }
        if (p->told.height == height)
            rc = pending_set_told(h, p, &none, e);
    }
    return rc;
}

static enum err unconfirm_block(struct history *h, int32_t height, struct error *e)
{
    struct id_list list = { .ids = NULL };
    enum err rc = end_conflicts(h, height, e);
    if (!rc)
        rc = rows_each_place(h, height, height, list_id, &list, e);
    for (size_t i = list.n; !rc && i-- > 0;)
        rc = history_unconfirm(h, &list.ids[i], e);
    free(list.ids);
    return rc;
}

enum err history_undo_block(struct history *h, const struct block_hash *hash,
                            const struct block_hash *prev, struct error *e)
{
    enum err rc = history_sync(h, e);
    if (rc)
        return rc;
    const int32_t height = h->m.at.best.height;
    if (!h->m.at.best.known || !block_hash_equal(hash, &h->m.at.best.hash) || height == 0)
        return error_set(e, ERR_RANGE, "not the block that the wallet stands at");
    rc = unconfirm_block(h, height, e);
    move_best(h, prev, height - 1);
    return history_finish(h, rc, e);
}

enum err history_begin_rescan(struct history *h, int32_t height, int32_t last, struct error *e)
{
    enum err rc = history_refresh(h, e);
    if (rc)
        return rc;
    if (height < 0 || last < height)
        return error_set(e, ERR_RANGE, "no blocks %d to %d to rescan", (int)height, (int)last);
    const struct marks *at = &h->m.at;
    if (at->best.known && height > at->best.height)
        return OK;
    if (at->scan_next != HISTORY_NO_HEIGHT) {
        height = MIN_OF(height, at->scan_next);
        last = MAX_OF(last, at->scan_last);
    }
    if (height == at->scan_next && last == at->scan_last)
        return OK;
    set_scan(h, height, last);
    cut_gap(h, height, last);
    return history_finish(h, OK, e);
}

enum err history_break_rescan(struct history *h, int32_t height, struct error *e)
{
    enum err rc = history_refresh(h, e);
    const struct marks *at = &h->m.at;
    if (rc || !at->best.known || at->scan_next != height)
        return rc;
    const int32_t last = MIN_OF(at->scan_last, at->best.height);
    const bool had = at->gap_from != HISTORY_NO_HEIGHT;
    set_gap(h, had ? MIN_OF(at->gap_from, height) : height, had ? MAX_OF(at->gap_to, last) : last);
    set_scan(h, HISTORY_NO_HEIGHT, HISTORY_TO_BEST);
    rc = history_finish(h, OK, e);
    h->broken += !rc;
    return rc;
}
