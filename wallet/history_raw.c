/*
 * Bytes of transactions. Whoever pays the wallet chooses how large they are, up to gigabytes: large
 * ones go to the store in pieces, at once, as what waits would be held twice and as a database
 * takes no such value (LevelDB counts its bytes with 32 bits and holds it several times). The row
 * with their length comes last, so where it is all pieces are.
 *
 * Without its record a transaction is not there. Bytes that a crash or an undone operation leaves
 * are found again when the block is told again; those of a block that never is stay.
 */
#include <config.h>

#include "base/intmath.h"
#include "wallet/history_internal.h"

#define PIECE_BYTES ((size_t)1 << 20)

enum { LENGTH_SIZE = 8 };
_Static_assert(LENGTH_SIZE < TX_MIN_SIZE, "a length is not taken for a transaction");

static void raw_key(uint8_t key[ID_KEY_SIZE], const struct txid *id)
{
    key[0] = 'r';
    memcpy(key + 1, id->b, 32);
}

static void piece_key(uint8_t key[OUTPOINT_KEY_SIZE], const struct txid *id, uint64_t number)
{
    key[0] = 'p';
    memcpy(key + 1, id->b, 32);
    be32_put(key + ID_KEY_SIZE, (uint32_t)number);
}

static uint64_t pieces_of(uint64_t len)
{
    return len / PIECE_BYTES + (len % PIECE_BYTES != 0);
}

/* --- writing --------------------------------------------------------------------------------- */

static enum err put_pieces(struct history *h, const struct tx *tx, struct error *e)
{
    uint8_t key[OUTPOINT_KEY_SIZE], head[ID_KEY_SIZE], length[LENGTH_SIZE];
    enum err rc = OK;
    for (size_t at = 0; !rc && at < tx->raw.len; at += PIECE_BYTES) {
        const size_t n = MIN_OF(PIECE_BYTES, tx->raw.len - at);
        piece_key(key, &tx->id, at / PIECE_BYTES);
        rc = row_put_ahead(h, span_of(key, sizeof key), span_of(tx->raw.data + at, n), e);
    }
    if (rc)
        return rc;
    raw_key(head, &tx->id);
    le64_put(length, tx->raw.len);
    return row_put_ahead(h, span_of(head, sizeof head), span_of(length, sizeof length), e);
}

enum err raw_put(struct history *h, const struct tx *tx, struct error *e)
{
    uint8_t key[ID_KEY_SIZE];
    if (tx->raw.len > PIECE_BYTES)
        return put_pieces(h, tx, e);
    raw_key(key, &tx->id);
    return row_put_bytes(h, span_of(key, sizeof key), tx->raw, e);
}

/* Bytes, or their length. */
static enum err get_head(struct history *h, const struct txid *id, struct buf *head, bool *found,
                         struct error *e)
{
    uint8_t key[ID_KEY_SIZE];
    raw_key(key, id);
    return row_get(h, key, sizeof key, head, found, e);
}

static enum err keep(struct history *h, const struct tx *tx, struct error *e)
{
    uint8_t key[ID_KEY_SIZE];
    struct buf head = { 0 };
    bool found;
    enum err rc = get_head(h, &tx->id, &head, &found, e);
    buf_clear(&head);
    if (rc || found)
        return rc;
    if (tx->raw.len > PIECE_BYTES)
        return put_pieces(h, tx, e);
    raw_key(key, &tx->id);
    return row_put_ahead(h, span_of(key, sizeof key), tx->raw, e);
}

enum err history_keep_bytes(struct history *h, const struct tx *tx, struct error *e)
{
    enum err rc = history_refresh(h, e);
    if (rc)
        return rc;
    rc = keep(h, tx, e);
    return rc ? history_finish(h, rc, e) : OK; /* bytes of blocks before may be lost with these */
}

enum err raw_delete(struct history *h, const struct txid *id, struct error *e)
{
    uint8_t key[OUTPOINT_KEY_SIZE], head_key[ID_KEY_SIZE];
    struct buf head = { 0 };
    bool found;
    enum err rc = rows_write_ahead(h, e);
    if (!rc)
        rc = get_head(h, id, &head, &found, e);
    const uint64_t n = !rc && head.len == LENGTH_SIZE ? pieces_of(le64_get(head.data)) : 0;
    buf_clear(&head);
    for (uint64_t i = 0; i < n; i++) {
        piece_key(key, id, i);
        row_delete(h, key, sizeof key);
    }
    raw_key(head_key, id);
    row_delete(h, head_key, sizeof head_key);
    return rc;
}

/* --- reading --------------------------------------------------------------------------------- */

static enum err load_pieces(struct history *h, const struct txid *id, uint64_t len,
                            struct buf *raw, struct error *e)
{
    uint8_t key[OUTPOINT_KEY_SIZE];
    struct buf piece = { 0 };
    enum err rc = OK;
    if (len > SIZE_MAX || !buf_try_reserve(raw, (size_t)len))
        return error_set(e, ERR_NOMEM, "no memory for a transaction of %llu bytes",
                         (unsigned long long)len);
    for (uint64_t i = 0; !rc && i < pieces_of(len); i++) {
        bool found;
        piece_key(key, id, i);
        buf_reset(&piece);
        rc = row_get(h, key, sizeof key, &piece, &found, e);
        if (!rc && (!found || piece.len != MIN_OF((uint64_t)PIECE_BYTES, len - raw->len)))
            rc = rows_corrupt(e, "a large transaction");
        if (!rc)
            buf_put(raw, piece.data, piece.len);
    }
    buf_clear(&piece);
    return rc;
}

static enum err parse(struct raw_tx *t, const struct txid *id, struct error *e)
{
    struct reader r;
    reader_init(&r, t->raw.data, t->raw.len);
    enum err rc = tx_read(&r, &t->arrays, &t->tx);
    if (rc == ERR_NOMEM)
        return error_set(e, ERR_NOMEM, "no memory for a transaction of %zu bytes", t->raw.len);
    if (!rc)
        tx_compute_id(&t->tx);
    return !rc && reader_done(&r) && txid_equal(&t->tx.id, id) ? OK
                                                               : rows_corrupt(e, "a transaction");
}

enum err raw_find(struct history *h, const struct txid *id, struct raw_tx *out, bool *found,
                  struct error *e)
{
    *out = (struct raw_tx){ .raw = { 0 } };
    enum err rc = rows_write_ahead(h, e);
    if (!rc)
        rc = get_head(h, id, &out->raw, found, e);
    if (rc || !*found)
        return rc;
    if (out->raw.len == LENGTH_SIZE) {
        const uint64_t len = le64_get(out->raw.data);
        buf_reset(&out->raw);
        rc = load_pieces(h, id, len, &out->raw, e);
    }
    return rc ? rc : parse(out, id, e);
}

enum err raw_load(struct history *h, const struct txid *id, struct raw_tx *out, struct error *e)
{
    bool found;
    enum err rc = raw_find(h, id, out, &found, e);
    return rc || found ? rc : rows_corrupt(e, "the list of transactions");
}

void raw_clear(struct raw_tx *t)
{
    arena_clear(&t->arrays);
    buf_clear(&t->raw);
}
