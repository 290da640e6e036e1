/*
 * The rows of the store. Integers in keys are big-endian, so that they sort; elsewhere
 * little-endian. Ids are in wire order.
 *
 *   V                       u32 format version
 *   B                       best block: hash, i32 height
 *   R                       i32 height that a rescan needs next
 *   E                       i32 height of the last block it needs; none: the best
 *   G                       i32, i32: first and last height that a rescan left out (history_gap)
 *   t id                    record of a transaction (record_put)
 *   r id                    its bytes; of a large one u64: how many (history_raw.c)
 *   p id, u32 number        a piece of these
 *   u id                    empty: it is unconfirmed
 *   o ~u64 order            id; the newest comes first
 *   h u32 height, u32 place id: what a block has of ours
 *   c outpoint              coin of ours that no confirmed transaction spends
 *   s outpoint              coin of ours that one spends: the same, id and i32 height of it
 *   k ...                   not of the history: wallet/key_cache.h
 *   x outpoint              id and i32 height of a confirmed transaction that spends what an
 *                           unconfirmed one of ours claims
 *
 * Bytes of transactions have rows of their own, so that a confirmation does not write them again.
 */
#include <config.h>

#include "base/reader.h"
#include "wallet/history_internal.h"

enum { RECORD_COINBASE = 1, RECORD_FROM_US = 2, RECORD_ABANDONED = 4, RECORD_TOLD = 8 };

enum err rows_corrupt(struct error *e, const char *what)
{
    return error_set(e, ERR_CORRUPT, "wallet history: %s is damaged", what);
}

static void id_key(uint8_t key[ID_KEY_SIZE], char kind, const struct txid *id)
{
    key[0] = (uint8_t)kind;
    memcpy(key + 1, id->b, 32);
}

static void outpoint_key(uint8_t key[OUTPOINT_KEY_SIZE], char kind, const struct outpoint *at)
{
    id_key(key, kind, &at->txid);
    be32_put(key + ID_KEY_SIZE, at->index);
}

static void delete_outpoint(struct history *h, char kind, const struct outpoint *at)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    outpoint_key(key, kind, at);
    row_delete(h, key, sizeof key);
}

static void put_conflict(struct buf *b, const struct history_conflict *c)
{
    buf_put(b, c->by.b, 32);
    buf_put_le32(b, (uint32_t)c->height);
}

void row_read_conflict(struct reader *r, struct history_conflict *c)
{
    read_copy(r, c->by.b, 32);
    c->height = (int32_t)read_le32(r);
}

/* --- transactions ---------------------------------------------------------------------------- */

static void put_note(struct buf *b, const struct history_note *n)
{
    buf_put_var_bytes(b, n->comment.data, n->comment.len);
    buf_put_var_bytes(b, n->to.data, n->to.len);
    buf_put_var_bytes(b, n->label.data, n->label.len);
}

void record_put(struct history *h, const struct txid *id, const struct record *r)
{
    uint8_t key[ID_KEY_SIZE];
    struct buf b = { 0 };
    const bool told = r->told.height != HISTORY_NO_HEIGHT;
    id_key(key, 't', id);
    buf_put_u8(&b, (uint8_t)((r->coinbase ? RECORD_COINBASE : 0) |
                             (r->from_us ? RECORD_FROM_US : 0) |
                             (r->abandoned ? RECORD_ABANDONED : 0) | (told ? RECORD_TOLD : 0)));
    buf_put_le32(&b, (uint32_t)r->height);
    buf_put(&b, r->block.b, 32);
    buf_put_le32(&b, r->position);
    buf_put_le64(&b, (uint64_t)r->time);
    buf_put_le64(&b, r->order);
    if (told)
        put_conflict(&b, &r->told);
    put_note(&b, &r->note);
    row_put(h, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

static bool read_record(struct span value, struct record *out)
{
    struct reader r;
    reader_init(&r, value.data, value.len);
    const uint8_t flags = read_u8(&r);
    out->coinbase = flags & RECORD_COINBASE;
    out->from_us = flags & RECORD_FROM_US;
    out->abandoned = flags & RECORD_ABANDONED;
    out->height = (int32_t)read_le32(&r);
    read_copy(&r, out->block.b, 32);
    out->position = read_le32(&r);
    out->time = (int64_t)read_le64(&r);
    out->order = read_le64(&r);
    out->told.height = HISTORY_NO_HEIGHT;
    if (flags & RECORD_TOLD)
        row_read_conflict(&r, &out->told);
    out->note.comment = read_var_bytes(&r);
    out->note.to = read_var_bytes(&r);
    out->note.label = read_var_bytes(&r);
    return reader_done(&r);
}

static enum err get_by_id(struct history *h, char kind, const struct txid *id, struct buf *value,
                          bool *found, struct error *e)
{
    uint8_t key[ID_KEY_SIZE];
    id_key(key, kind, id);
    buf_reset(value);
    return row_get(h, key, sizeof key, value, found, e);
}

enum err record_load(struct history *h, const struct txid *id, struct buf *value, struct record *r,
                     bool *found, struct error *e)
{
    *r = (struct record){ .height = HISTORY_NO_HEIGHT, .told.height = HISTORY_NO_HEIGHT };
    enum err rc = get_by_id(h, 't', id, value, found, e);
    if (!rc && *found && !read_record(buf_span(value), r))
        return rows_corrupt(e, "the record of a transaction");
    return rc;
}

static void order_key(uint8_t key[ORDER_KEY_SIZE], uint64_t order)
{
    key[0] = 'o';
    be64_put(key + 1, ~order);
}

void row_put_order(struct history *h, uint64_t order, const struct txid *id)
{
    uint8_t key[ORDER_KEY_SIZE];
    order_key(key, order);
    row_put(h, key, sizeof key, id->b, 32);
}

enum err record_delete(struct history *h, const struct txid *id, uint64_t order, struct error *e)
{
    uint8_t key[ID_KEY_SIZE], place[ORDER_KEY_SIZE];
    for (const char *kind = "tu"; *kind; kind++) {
        id_key(key, *kind, id);
        row_delete(h, key, sizeof key);
    }
    order_key(place, order);
    row_delete(h, place, sizeof place);
    return raw_delete(h, id, e);
}

void row_put_pending(struct history *h, const struct txid *id)
{
    uint8_t key[ID_KEY_SIZE];
    id_key(key, 'u', id);
    row_put(h, key, sizeof key, "", 0);
}

void row_delete_pending(struct history *h, const struct txid *id)
{
    uint8_t key[ID_KEY_SIZE];
    id_key(key, 'u', id);
    row_delete(h, key, sizeof key);
}

void row_place_key(uint8_t key[PLACE_KEY_SIZE], int32_t height, uint32_t position)
{
    key[0] = 'h';
    be32_put(key + 1, (uint32_t)height);
    be32_put(key + 5, position);
}

void row_put_place(struct history *h, int32_t height, uint32_t position, const struct txid *id)
{
    uint8_t key[PLACE_KEY_SIZE];
    row_place_key(key, height, position);
    row_put(h, key, sizeof key, id->b, 32);
}

void row_delete_place(struct history *h, int32_t height, uint32_t position)
{
    uint8_t key[PLACE_KEY_SIZE];
    row_place_key(key, height, position);
    row_delete(h, key, sizeof key);
}

/* --- coins ----------------------------------------------------------------------------------- */

static void put_coin(struct buf *b, const struct coin_data *c)
{
    buf_put_le64(b, (uint64_t)c->value);
    buf_put_le32(b, (uint32_t)c->height);
    buf_put_u8(b, c->coinbase);
    buf_put_var_bytes(b, c->script.data, c->script.len);
}

void row_read_coin(struct reader *r, struct coin_data *c)
{
    c->value = (int64_t)read_le64(r);
    c->height = (int32_t)read_le32(r);
    c->coinbase = read_u8(r);
    c->script = read_var_bytes(r);
}

static void put_coin_row(struct history *h, char kind, const struct coin_item *c,
                         const struct history_conflict *spender)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    struct buf b = { 0 };
    outpoint_key(key, kind, &c->at);
    put_coin(&b, &c->data);
    if (spender)
        put_conflict(&b, spender);
    row_put(h, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

void row_put_coin(struct history *h, const struct coin_item *c)
{
    put_coin_row(h, 'c', c, NULL);
}

void row_delete_coin(struct history *h, const struct outpoint *at)
{
    delete_outpoint(h, 'c', at);
}

void row_put_spent(struct history *h, const struct coin_item *c,
                   const struct history_conflict *spender)
{
    put_coin_row(h, 's', c, spender);
}

void row_delete_spent(struct history *h, const struct outpoint *at)
{
    delete_outpoint(h, 's', at);
}

enum err row_load_spent(struct history *h, const struct outpoint *at, struct coin_data *data,
                        struct history_conflict *spender, bool *found, struct error *e)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    outpoint_key(key, 's', at);
    buf_reset(&h->value);
    enum err rc = row_get(h, key, sizeof key, &h->value, found, e);
    if (rc || !*found)
        return rc;
    struct reader r;
    reader_init(&r, h->value.data, h->value.len);
    row_read_coin(&r, data);
    row_read_conflict(&r, spender);
    return reader_done(&r) ? OK : rows_corrupt(e, "a spent coin");
}

void row_put_spender(struct history *h, const struct spot *s)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    struct buf b = { 0 };
    outpoint_key(key, 'x', &s->at);
    put_conflict(&b, s->spender);
    row_put(h, key, sizeof key, b.data, b.len);
    buf_clear(&b);
}

void row_delete_spender(struct history *h, const struct outpoint *at)
{
    delete_outpoint(h, 'x', at);
}

/* --- marks ----------------------------------------------------------------------------------- */

void row_put_best(struct history *h)
{
    uint8_t value[36];
    memcpy(value, h->m.at.best.hash.b, 32);
    le32_put(value + 32, (uint32_t)h->m.at.best.height);
    row_put(h, "B", 1, value, sizeof value);
}

static void put_height(struct history *h, const char *key, int32_t height, int32_t none)
{
    uint8_t value[4];
    le32_put(value, (uint32_t)height);
    if (height == none)
        row_delete(h, key, 1);
    else
        row_put(h, key, 1, value, sizeof value);
}

void row_put_scan(struct history *h)
{
    put_height(h, "R", h->m.at.scan_next, HISTORY_NO_HEIGHT);
    put_height(h, "E", h->m.at.scan_last, HISTORY_TO_BEST);
}

void row_put_gap(struct history *h)
{
    const struct marks *at = &h->m.at;
    uint8_t value[8];
    le32_put(value, (uint32_t)at->gap_from);
    le32_put(value + 4, (uint32_t)at->gap_to);
    if (at->gap_from == HISTORY_NO_HEIGHT)
        row_delete(h, "G", 1);
    else
        row_put(h, "G", 1, value, sizeof value);
}
