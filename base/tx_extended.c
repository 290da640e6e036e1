#include "base/tx_extended.h"

#include "base/tx_internal.h"

/* A plain transaction would have no inputs, no outputs, and end with it. */
static const uint8_t marker[6] = { 0, 0, 0, 0, 0, 0xef };

bool tx_extended_detect(struct span raw)
{
    return raw.len > TX_MIN_SIZE && mem_equal_var(raw.data + 4, marker, sizeof marker);
}

static enum err read_inputs(struct reader *r, struct arena *a, struct tx_extended *x)
{
    struct tx *tx = &x->tx;
    tx->n_in = read_count(r, TX_IN_MIN_SIZE + TX_OUT_MIN_SIZE);
    tx->in = (struct tx_in *)arena_alloc(a, tx->n_in, sizeof *tx->in);
    x->spent = (struct tx_out *)arena_alloc(a, tx->n_in, sizeof *x->spent);
    if (!tx->in || !x->spent)
        return ERR_NOMEM;
    for (size_t i = 0; i < tx->n_in && !r->failed; i++) {
        tx_in_read(r, &tx->in[i]);
        tx_out_read(r, &x->spent[i]);
    }
    return r->failed ? ERR_PARSE : OK;
}

static enum err make_raw(struct arena *a, struct tx *tx)
{
    size_t size = tx_size(tx);
    /* A writer over memory of the arena: just the room needed, so that it never grows. */
    struct buf plain = { .data = (uint8_t *)arena_alloc(a, size, 1), .cap = size };
    if (!plain.data)
        return ERR_NOMEM;
    tx_write(&plain, tx);
    tx->raw = buf_span(&plain);
    return OK;
}

enum err tx_extended_read(struct reader *r, struct arena *a, struct tx_extended *x)
{
    uint8_t found[sizeof marker];
    *x = (struct tx_extended){ .tx.version = (int32_t)read_le32(r) };
    read_copy(r, found, sizeof found);
    if (r->failed || !mem_equal_var(found, marker, sizeof marker))
        return ERR_PARSE;
    enum err rc = read_inputs(r, a, x);
    if (!rc)
        rc = tx_outs_read(r, a, &x->tx);
    return rc ? rc : make_raw(a, &x->tx);
}

void tx_extended_write(struct buf *b, const struct tx *tx, const struct tx_out *spent)
{
    buf_put_le32(b, (uint32_t)tx->version);
    buf_put(b, marker, sizeof marker);
    buf_put_compact(b, tx->n_in);
    for (size_t i = 0; i < tx->n_in; i++) {
        tx_in_write(b, &tx->in[i]);
        tx_out_write(b, &spent[i]);
    }
    tx_outs_write(b, tx);
}
