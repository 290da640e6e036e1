#include "node/compact_form.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rand.h"
#include "node/block_walk.h"

/* What is collected while the block is read. */
struct making {
    struct compact_form *form;
    struct siphash_key key;
    struct buf short_ids, coinbase;
    size_t n;
};

static enum err note_tx(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct making *m = ctx;
    if (m->n == m->form->n_txs)
        return error_set(e, ERR_CORRUPT, "more transactions than the index says");
    if (m->n == 0)
        buf_put(&m->coinbase, tx->raw.data, tx->raw.len);
    else
        short_id_put(buf_extend(&m->short_ids, SHORT_ID_SIZE), short_id_of(&m->key, &tx->id));
    m->form->offsets[m->n++] = offset;
    m->form->offsets[m->n] = offset + tx->raw.len;
    return OK;
}

static enum err make_room(struct making *m, uint32_t n_txs, struct error *e)
{
    if (n_txs == 0 || n_txs > COMPACT_FORM_TXS_MAX)
        return error_set(e, ERR_RANGE, "%u transactions are no matter for a compact block",
                         (unsigned)n_txs);
    m->form->n_txs = n_txs;
    m->form->offsets = try_alloc((size_t)n_txs + 1, sizeof(*m->form->offsets));
    if (!m->form->offsets || !buf_try_reserve(&m->short_ids, (size_t)n_txs * SHORT_ID_SIZE))
        return error_set(e, ERR_NOMEM, "no memory for a compact block");
    return OK;
}

static enum err read_block(struct making *m, struct chain *c, struct error *e)
{
    const struct header_node *node = m->form->node;
    struct header_data data;
    struct msg_cmpctblock msg = { .nonce = rand_u64(), .n_prefilled = 1 };
    header_index_get_data(chain_headers(c), node, &data);
    header_of_node(&msg.header, node);
    m->key = short_id_key(&msg.header, msg.nonce);
    enum err rc = make_room(m, data.tx_count, e);
    if (!rc)
        rc = block_walk(c, node, note_tx, m, e);
    if (!rc && m->n != m->form->n_txs)
        rc = error_set(e, ERR_CORRUPT, "fewer transactions than the index says");
    if (rc)
        return rc;
    const struct msg_prefilled first = { 0, buf_span(&m->coinbase) };
    msg.short_ids = buf_span(&m->short_ids);
    msg.n_short_ids = m->n - 1;
    msg_cmpctblock_write(&m->form->message, &msg, &first);
    return OK;
}

enum err compact_form_make(struct compact_form **out, struct chain *c, struct header_node *node,
                           struct error *e)
{
    struct making m = { .form = xcalloc(1, sizeof(*m.form)) };
    atomic_init(&m.form->refs, 1);
    m.form->node = node;
    const enum err rc = read_block(&m, c, e);
    buf_clear(&m.short_ids);
    buf_clear(&m.coinbase);
    if (rc)
        compact_form_unref(m.form);
    else
        *out = m.form;
    return rc;
}

struct compact_form *compact_form_ref(struct compact_form *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

void compact_form_unref(struct compact_form *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    buf_clear(&f->message);
    free(f->offsets);
    free(f);
}

/* --- single transactions --- */

static uint64_t bytes_of(const struct compact_form *f, const uint32_t *indices, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += f->offsets[indices[i] + 1] - f->offsets[indices[i]];
    return sum;
}

/* Transactions that follow each other are read at once. */
static enum err read_runs(const struct compact_form *f, struct chain *c, const uint32_t *indices,
                          size_t n, struct buf *out, struct error *e)
{
    struct header_data data;
    enum err rc = OK;
    header_index_get_data(chain_headers(c), f->node, &data);
    if (!(data.status & HS_HAVE_DATA))
        return error_set(e, ERR_NOTFOUND, "block at height %d was pruned", f->node->height);
    for (size_t i = 0, end; !rc && i < n; i = end) {
        for (end = i + 1; end < n && indices[end] == indices[end - 1] + 1;)
            end++;
        const uint64_t from = f->offsets[indices[i]];
        const size_t len = (size_t)(f->offsets[indices[end - 1] + 1] - from);
        rc = blockfiles_read(chain_blockfiles(c), &data.data, from, buf_extend(out, len), len, e);
    }
    return rc;
}

enum err compact_form_answer(const struct compact_form *f, struct chain *c,
                             const uint32_t *indices, size_t n, size_t limit, struct buf *out,
                             struct error *e)
{
    const uint64_t bytes = bytes_of(f, indices, n);
    if (bytes > limit)
        return error_set(e, ERR_RANGE, "%llu bytes of transactions", (unsigned long long)bytes);
    if (!buf_try_reserve(out, (size_t)bytes + sizeof(f->node->hash) + 9))
        return error_set(e, ERR_NOMEM, "no memory for %llu bytes of transactions",
                         (unsigned long long)bytes);
    msg_blocktxn_begin(out, &f->node->hash, n);
    return read_runs(f, c, indices, n, out, e);
}
