/* What happens to unconfirmed transactions without any block. */
#include <config.h>

#include "wallet/history_internal.h"

static bool spends_ours(const struct history *h, const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct spot *s = spot_find(h, &tx->in[i].prevout);
        if (s && s->coin)
            return true;
    }
    return false;
}

/* Coins of ours that a confirmed transaction spends already: the mempool was behind. */
static enum err find_spenders(struct history *h, const struct pending *p, struct error *e)
{
    struct coin_data data;
    struct history_conflict spender;
    enum err rc = OK;
    for (size_t i = 0; !rc && i < p->n_claims; i++) {
        struct spot *s = p->claims[i].spot;
        bool found = false;
        if (!s->coin && !s->spender)
            rc = row_load_spent(h, &s->at, &data, &spender, &found, e);
        if (rc || !found)
            continue;
        spot_set_spender(h, s, &spender);
        row_put_spender(h, s);
    }
    return rc;
}

static enum err add_new(struct history *h, const struct tx *tx, const struct history_note *note,
                        int64_t now, struct error *e)
{
    struct pending *p;
    struct record r = { .height = HISTORY_NO_HEIGHT,
                        .time = now,
                        .order = h->m.next_order++,
                        .from_us = spends_ours(h, tx),
                        .told.height = HISTORY_NO_HEIGHT };
    if (note)
        r.note = *note;
    enum err rc = raw_put(h, tx, e);
    row_put_order(h, r.order, &tx->id);
    record_put(h, &tx->id, &r);
    row_put_pending(h, &tx->id);
    if (!rc)
        rc = pending_add(h, tx, &p, e);
    if (!rc) {
        p->from_us = r.from_us;
        rc = find_spenders(h, p, e);
    }
    return rc ? rc : history_place_coins(h, tx, p, &r, false, e);
}

/* What is known of it anew; false: nothing. */
static bool renew(const struct history *h, struct record *r, const struct tx *tx)
{
    const bool from_us = r->from_us || spends_ours(h, tx);
    if (!r->abandoned && r->told.height == HISTORY_NO_HEIGHT && from_us == r->from_us)
        return false;
    r->abandoned = false;
    r->told.height = HISTORY_NO_HEIGHT;
    r->from_us = from_us;
    return true;
}

/* One that was given up or excluded is back; scripts that were added since may own what it spends
 * and outputs. */
static enum err add_again(struct history *h, struct pending *p, const struct tx *tx,
                          struct error *e)
{
    struct record r;
    struct buf value = { 0 };
    bool found;
    enum err rc = record_load(h, &p->id, &value, &r, &found, e);
    if (!rc && renew(h, &r, tx)) {
        p->abandoned = false;
        p->told.height = HISTORY_NO_HEIGHT;
        p->from_us = r.from_us;
        record_put(h, &p->id, &r);
        conflict_queue(h, p);
    }
    if (!rc)
        rc = history_place_coins(h, tx, p, &r, false, e);
    buf_clear(&value);
    return rc;
}

static enum err add(struct history *h, const struct tx *tx, const struct history_note *note,
                    int64_t now, struct error *e)
{
    struct pending *p = pending_find(h, &tx->id);
    struct record r;
    struct buf value = { 0 };
    bool known = true;
    enum err rc = OK;
    if (p)
        return add_again(h, p, tx, e);
    if (spends_ours(h, tx) || history_pays_us(h, tx))
        rc = record_load(h, &tx->id, &value, &r, &known, e);
    if (!rc && !known) /* a known one is confirmed */
        rc = add_new(h, tx, note, now, e);
    buf_clear(&value);
    return rc;
}

enum err history_record(struct history *h, const struct tx *tx, const struct history_note *note,
                        int64_t now, struct error *e)
{
    enum err rc = history_sync(h, e);
    return rc ? rc : history_finish(h, add(h, tx, note, now, e), e);
}

enum err history_mempool_add(struct history *h, const struct tx *tx, int64_t now, struct error *e)
{
    enum err rc = history_record(h, tx, NULL, now, e);
    struct pending *p = rc ? NULL : pending_find(h, &tx->id);
    if (p)
        p->in_mempool = true;
    return rc;
}

enum err pending_set_told(struct history *h, struct pending *p,
                          const struct history_conflict *told, struct error *e)
{
    struct record r;
    struct buf value = { 0 };
    bool found;
    enum err rc = record_load(h, &p->id, &value, &r, &found, e);
    if (!rc) {
        p->told = r.told = *told;
        record_put(h, &p->id, &r);
        conflict_queue(h, p);
    }
    buf_clear(&value);
    return rc;
}

/* A row of a conflict is there as long as somebody claims the same. */
static bool is_only_claim(const struct claim *c)
{
    return c->spot->claims == c && !c->next;
}

void pending_unclaim(struct history *h, struct pending *p)
{
    for (size_t i = 0; i < p->n_claims; i++) {
        struct spot *s = p->claims[i].spot;
        if (!s->spender || !is_only_claim(&p->claims[i]))
            continue;
        row_delete_spender(h, &s->at);
        spot_clear_spender(h, s);
    }
    pending_drop(h, p);
}

static bool has_children(const struct history *h, const struct pending *p)
{
    struct outpoint at = { .txid = p->id };
    for (size_t i = 0; i < p->n_out; i++) {
        at.index = (uint32_t)i;
        const struct spot *s = spot_find(h, &at);
        if (s && s->claims)
            return true;
    }
    return false;
}

static void drop_coins(struct history *h, const struct pending *p)
{
    struct outpoint at = { .txid = p->id };
    for (size_t i = 0; i < p->n_out; i++) {
        at.index = (uint32_t)i;
        const struct spot *s = spot_find(h, &at);
        if (!s || !s->coin)
            continue;
        row_delete_coin(h, &at);
        coin_drop(h, s->coin);
    }
}

enum err pending_forget(struct history *h, struct pending *p, struct error *e)
{
    struct record r;
    struct buf value = { 0 };
    bool found;
    enum err rc = record_load(h, &p->id, &value, &r, &found, e);
    if (!rc)
        rc = record_delete(h, &p->id, r.order, e);
    if (!rc) {
        drop_coins(h, p);
        pending_unclaim(h, p);
    }
    buf_clear(&value);
    return rc;
}

enum err history_mempool_remove(struct history *h, const struct txid *id,
                                const struct history_conflict *conflict, struct error *e)
{
    enum err rc = history_sync(h, e);
    struct pending *p = rc ? NULL : pending_find(h, id);
    if (!p)
        return rc;
    const bool gone =
        !p->from_us && h->m.pendings.n > h->strangers_kept && !has_children(h, p);
    if (gone)
        rc = pending_forget(h, p, e);
    else if (conflict)
        rc = pending_set_told(h, p, conflict, e);
    rc = history_finish(h, rc, e);
    if (!rc && !gone)
        p->in_mempool = false;
    return rc;
}

static enum err set_abandoned(struct history *h, struct pending *p, struct error *e)
{
    struct record r;
    struct buf value = { 0 };
    bool found;
    enum err rc = record_load(h, &p->id, &value, &r, &found, e);
    if (!rc) {
        r.abandoned = p->abandoned = true;
        record_put(h, &p->id, &r);
    }
    buf_clear(&value);
    return rc;
}

static void abandon_next(struct history *h, struct pending *p)
{
    if (!p->abandoned && !p->in_mempool)
        conflict_queue(h, p);
}

/* The queue of conflicts serves for the walk: it is empty between operations, and whoever leaves
 * coins behind excludes nobody. */
static enum err abandon_from(struct history *h, struct pending *p, struct error *e)
{
    enum err rc = OK;
    conflict_queue(h, p);
    while (!rc && h->m.n_queue) {
        p = h->m.queue[--h->m.n_queue];
        p->queued = false;
        rc = set_abandoned(h, p, e);
        pending_each_child(h, &p->id, p->n_out, abandon_next);
    }
    return rc;
}

enum err history_abandon(struct history *h, const struct txid *id, struct error *e)
{
    enum err rc = history_sync(h, e);
    if (rc)
        return rc;
    struct pending *p = pending_find(h, id);
    struct record r;
    bool known = false;
    if (!p) {
        rc = record_load(h, id, &h->value, &r, &known, e);
        if (!rc && !known)
            rc = error_set(e, ERR_NOTFOUND, "the wallet has no such transaction");
    }
    if (rc)
        return rc;
    if (!p || p->in_mempool || !pending_may_confirm(p))
        return error_set(e, ERR_RANGE, "the transaction cannot be abandoned");
    return history_finish(h, abandon_from(h, p, e), e);
}
