/*
 * An operation changes the memory as it goes and gathers the rows; history_finish writes them.
 * Blocks that are told one after another may share a write. Reading the memory anew after a failure
 * is slow and rare, and there is nothing to get wrong in it: opening does the same.
 */
#include <config.h>

#include "wallet/history.h"

#include <stdlib.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "wallet/history_internal.h"

#define LATER_BYTES ((size_t)1 << 20) /* of rows that wait */

/* --- opening, writing ------------------------------------------------------------------------ */

enum err history_open(struct history **out, struct kv *kv, const struct scripts *scripts,
                      struct error *e)
{
    struct history *h = (struct history *)xcalloc(1, sizeof *h);
    h->kv = kv;
    h->scripts = scripts;
    rand_bytes(&h->key, sizeof h->key);
    h->strangers_kept = HISTORY_STRANGERS_KEPT;
    memory_init(&h->m);
    enum err rc = rows_load(h, e);
    if (rc) {
        history_close(h);
        return rc;
    }
    *out = h;
    return OK;
}

void history_close(struct history *h)
{
    if (!h)
        return;
    memory_clear(&h->m);
    rows_forget(h);
    kv_close(h->kv);
    buf_clear(&h->value);
    free(h);
}

enum err history_refresh(struct history *h, struct error *e)
{
    if (!h->stale)
        return OK;
    struct memory old = h->m;
    memory_init(&h->m);
    enum err rc = rows_load(h, e);
    if (rc) {
        memory_clear(&h->m);
        h->m = old;
        return rc;
    }
    memory_carry(h, &old);
    memory_clear(&old);
    h->stale = false;
    return OK;
}

static enum err undo_all(struct history *h, enum err rc)
{
    struct error again;
    h->failed++;
    rows_forget(h);
    h->stale = true;
    enum err ignored = history_refresh(h, &again); /* else the next call tries once more */
    (void)ignored;
    return rc;
}

static enum err settle(struct history *h, enum err rc, struct error *e)
{
    conflicts_settle(h);
    return !rc && h->rows.no_memory ? error_set(e, ERR_NOMEM, "no memory for a transaction") : rc;
}

enum err history_finish(struct history *h, enum err rc, struct error *e)
{
    rc = settle(h, rc, e);
    if (!rc)
        rc = rows_write(h, e);
    if (rc)
        return undo_all(h, rc);
    h->stored = h->m.at;
    memory_forget_gone(&h->m);
    return OK;
}

enum err history_finish_later(struct history *h, enum err rc, struct error *e)
{
    rc = settle(h, rc, e);
    if (rc)
        return undo_all(h, rc);
    return h->rows.bytes < LATER_BYTES ? OK : history_finish(h, OK, e);
}

enum err history_sync(struct history *h, struct error *e)
{
    enum err rc = history_refresh(h, e);
    return rc || !h->rows.map.n ? rc : history_finish(h, OK, e);
}

void history_before_write(struct history *h, history_before_fn fn, void *ctx)
{
    h->before_write = fn;
    h->before_ctx = ctx;
}

static const struct marks *marks_of(const struct history *h)
{
    return h->stale ? &h->stored : &h->m.at;
}

bool history_best(const struct history *h, struct block_hash *hash, int32_t *height)
{
    const struct mark *best = &marks_of(h)->best;
    *hash = best->hash;
    *height = best->height;
    return best->known;
}

int32_t history_scan_next(const struct history *h)
{
    const struct marks *m = marks_of(h);
    return m->best.known ? m->scan_next : HISTORY_NO_HEIGHT;
}

int32_t history_scan_last(const struct history *h)
{
    const struct marks *m = marks_of(h);
    return MIN_OF(m->scan_last, m->best.height);
}

bool history_gap(const struct history *h, int32_t *from, int32_t *to)
{
    const struct marks *m = marks_of(h);
    *from = m->gap_from;
    *to = m->gap_to;
    return m->gap_from != HISTORY_NO_HEIGHT;
}

uint64_t history_broken(const struct history *h) { return h->broken; }

size_t history_bytes(const struct history *h)
{
    const struct memory *m = &h->m;
    return sizeof *h + m->bytes + map_bytes(&m->spots) + map_bytes(&m->pendings) +
           map_bytes(&h->rows.map) + h->rows.bytes +
           (h->rows.ahead ? kv_batch_bytes(h->rows.ahead) : 0) +
           (m->coins_cap + m->queue_cap) * sizeof(void *);
}

enum err history_owners_changed(struct history *h, struct error *e)
{
    enum err rc = history_refresh(h, e);
    for (size_t i = 0; !rc && i < h->m.n_coins; i++)
        coin_find_owner(h, h->m.coins[i]);
    return rc;
}
