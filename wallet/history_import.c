/* Single transactions brought in with a proof, and taken out, apart from blocks and the mempool. */
#include <config.h>

#include "wallet/history_internal.h"

enum err history_import(struct history *h, const struct history_block *b, struct error *e)
{
    enum err rc = history_sync(h, e);
    if (rc)
        return rc;
    const struct mark *best = &h->m.at.best;
    if (!best->known || b->height > best->height)
        return error_set(e, ERR_BUSY, "the wallet has not come to block %d yet", (int)b->height);
    for (size_t i = 0; !rc && i < b->n; i++)
        rc = history_confirm(h, b, &b->txs[i], e);
    return history_finish(h, rc, e);
}

/* What somebody unconfirmed claims too is free of this spender. */
static void free_claims(struct history *h, const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        struct spot *s = spot_find(h, &tx->in[i].prevout);
        if (!s || !s->spender || !txid_equal(&s->spender->by, &tx->id))
            continue;
        row_delete_spender(h, &s->at);
        spot_clear_spender(h, s);
    }
}

/* Outputs that confirmed transactions spent. */
static void drop_spent(struct history *h, const struct tx *tx)
{
    struct outpoint at = { .txid = tx->id };
    for (size_t i = 0; i < tx->n_out; i++) {
        at.index = (uint32_t)i;
        row_delete_spent(h, &at);
    }
}

static enum err remove_tx(struct history *h, const struct tx *tx, struct error *e)
{
    struct pending *p = pending_find(h, &tx->id);
    enum err rc = OK;
    if (!p) {
        free_claims(h, tx);
        rc = history_unconfirm(h, &tx->id, e);
        p = rc ? NULL : pending_find(h, &tx->id);
    }
    if (p) {
        drop_spent(h, tx);
        rc = pending_forget(h, p, e);
    }
    return rc;
}

enum err history_remove(struct history *h, const struct txid *id, struct error *e)
{
    struct record r;
    struct buf value = { 0 };
    struct raw_tx t = { .raw = { 0 } };
    bool found = false;
    enum err rc = history_sync(h, e);
    if (!rc)
        rc = record_load(h, id, &value, &r, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_NOTFOUND, "the wallet has no such transaction");
    if (!rc)
        rc = raw_load(h, id, &t, e);
    if (!rc)
        rc = history_finish(h, remove_tx(h, &t.tx, e), e);
    raw_clear(&t);
    buf_clear(&value);
    return rc;
}
