#include "base/tx.h"
#include "base/tx_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/intmath.h"

void tx_in_read(struct reader *r, struct tx_in *in)
{
    read_copy(r, in->prevout.txid.b, 32);
    in->prevout.index = read_le32(r);
    in->script = read_var_bytes(r);
    in->sequence = read_le32(r);
}

void tx_out_read(struct reader *r, struct tx_out *out)
{
    out->value = (int64_t)read_le64(r);
    out->script = read_var_bytes(r);
}

enum err tx_outs_read(struct reader *r, struct arena *a, struct tx *tx)
{
    tx->n_out = read_count(r, TX_OUT_MIN_SIZE);
    tx->out = (struct tx_out *)arena_alloc(a, tx->n_out, sizeof *tx->out);
    if (!tx->out)
        return ERR_NOMEM;
    for (size_t i = 0; i < tx->n_out && !r->failed; i++)
        tx_out_read(r, &tx->out[i]);
    tx->lock_time = read_le32(r);
    return r->failed ? ERR_PARSE : OK;
}

enum err tx_read(struct reader *r, struct arena *a, struct tx *tx)
{
    const uint8_t *start = r->p;
    *tx = (struct tx){ .version = (int32_t)read_le32(r) };
    tx->n_in = read_count(r, TX_IN_MIN_SIZE);
    tx->in = (struct tx_in *)arena_alloc(a, tx->n_in, sizeof *tx->in);
    if (!tx->in)
        return ERR_NOMEM;
    for (size_t i = 0; i < tx->n_in && !r->failed; i++)
        tx_in_read(r, &tx->in[i]);
    enum err rc = tx_outs_read(r, a, tx);
    if (!rc)
        tx->raw = span_of(start, (size_t)(r->p - start));
    return rc;
}

void tx_compute_id(struct tx *tx)
{
    sha256d(tx->id.b, tx->raw.data, tx->raw.len);
}

void tx_in_write(struct buf *b, const struct tx_in *in)
{
    buf_put(b, in->prevout.txid.b, 32);
    buf_put_le32(b, in->prevout.index);
    buf_put_var_bytes(b, in->script.data, in->script.len);
    buf_put_le32(b, in->sequence);
}

void tx_out_write(struct buf *b, const struct tx_out *out)
{
    buf_put_le64(b, (uint64_t)out->value);
    buf_put_var_bytes(b, out->script.data, out->script.len);
}

void tx_outs_write(struct buf *b, const struct tx *tx)
{
    buf_put_compact(b, tx->n_out);
    for (size_t i = 0; i < tx->n_out; i++)
        tx_out_write(b, &tx->out[i]);
    buf_put_le32(b, tx->lock_time);
}

void tx_write(struct buf *b, const struct tx *tx)
{
    buf_put_le32(b, (uint32_t)tx->version);
    buf_put_compact(b, tx->n_in);
    for (size_t i = 0; i < tx->n_in; i++)
        tx_in_write(b, &tx->in[i]);
    tx_outs_write(b, tx);
}

size_t tx_size(const struct tx *tx)
{
    size_t size = 4 + compact_size_len(tx->n_in) + compact_size_len(tx->n_out) + 4;
    for (size_t i = 0; i < tx->n_in; i++)
        size += 36 + compact_size_len(tx->in[i].script.len) + tx->in[i].script.len + 4;
    for (size_t i = 0; i < tx->n_out; i++)
        size += 8 + compact_size_len(tx->out[i].script.len) + tx->out[i].script.len;
    return size;
}

bool tx_is_coinbase(const struct tx *tx)
{
    return tx->n_in == 1 && outpoint_is_null(&tx->in[0].prevout);
}

/* tx first: the pointer handed out is the pointer to free. */
struct shared_tx {
    struct tx tx;
    atomic_size_t refs;
    _Alignas(16) uint8_t memory[]; /* inputs, outputs, raw bytes */
};

static struct shared_tx *shared_of(struct tx *tx)
{
    return (struct shared_tx *)(void *)tx;
}

/* Follows a transaction without keeping any of it; counts its inputs and outputs. */
static void skip_tx(struct reader *r, size_t *n_in, size_t *n_out)
{
    struct tx_in in;
    struct tx_out out;
    read_le32(r);
    *n_in = read_count(r, TX_IN_MIN_SIZE);
    for (size_t i = 0; i < *n_in && !r->failed; i++)
        tx_in_read(r, &in);
    *n_out = read_count(r, TX_OUT_MIN_SIZE);
    for (size_t i = 0; i < *n_out && !r->failed; i++)
        tx_out_read(r, &out);
    read_le32(r);
}

struct span tx_read_raw(struct reader *r)
{
    const uint8_t *start = r->p;
    size_t n_in, n_out;
    skip_tx(r, &n_in, &n_out);
    return r->failed ? span_of(NULL, 0) : span_of(start, (size_t)(r->p - start));
}

static size_t align16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static size_t arrays_size(size_t n_in, size_t n_out)
{
    return MAX_OF(align16(n_in * sizeof(struct tx_in)), 16) +
           MAX_OF(align16(n_out * sizeof(struct tx_out)), 16);
}

size_t tx_memory(const struct tx *tx)
{
    return mem_cost(sizeof(struct shared_tx) + arrays_size(tx->n_in, tx->n_out) + tx->raw.len);
}

struct tx *tx_new(const void *raw, size_t len, struct error *e)
{
    /* Counted first, so that the whole takes one allocation of just the size needed. */
    struct reader r;
    reader_init(&r, raw, len);
    size_t n_in, n_out;
    skip_tx(&r, &n_in, &n_out);
    const size_t arrays = arrays_size(n_in, n_out);
    size_t total;
    struct shared_tx *s = NULL;
    if (add_size(sizeof *s + arrays, len, &total))
        s = (struct shared_tx *)try_alloc(total, 1);
    if (!s) {
        error_set(e, ERR_NOMEM, "no memory for a transaction of %zu bytes", len);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    uint8_t *copy = s->memory + arrays;
    if (len)
        memcpy(copy, raw, len);
    reader_init(&r, copy, len);
    /* An arena over our own memory: it has room for both arrays and never grows. */
    struct arena a = { .next = s->memory, .end = copy };
    enum err rc = tx_read(&r, &a, &s->tx);
    if (rc || !reader_done(&r)) {
        error_set(e, rc ? rc : ERR_PARSE, "%zu bytes are not exactly one transaction", len);
        free(s);
        return NULL;
    }
    tx_compute_id(&s->tx);
    return &s->tx;
}

struct tx *tx_ref(struct tx *tx)
{
    atomic_fetch_add_explicit(&shared_of(tx)->refs, 1, memory_order_relaxed);
    return tx;
}

void tx_unref(struct tx *tx)
{
    if (!tx)
        return;
    /* Release what this thread did with it, acquire what all others did, then free. */
    if (atomic_fetch_sub_explicit(&shared_of(tx)->refs, 1, memory_order_acq_rel) == 1)
        free(shared_of(tx));
}
