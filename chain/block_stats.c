#include "chain/block_stats.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/intmath.h"
#include "base/mem.h"

#define UTXO_KEY_BYTES 41 /* what the reference counts beside an output: 32 + 4 + 4 + 1 */
#define SEGMENT_BYTES (4u << 20)
#define MONTH_BLOCKS (30 * 24 * 6)

/* One number of every transaction, for the median. */
struct numbers {
    int64_t *v;
    size_t n, cap;
};

static enum err numbers_add(struct numbers *list, int64_t value, struct error *e)
{
    if (list->n == list->cap) {
        const size_t cap = list->cap ? 2 * list->cap : 64;
        int64_t *v = try_realloc(list->v, cap, sizeof(*v));
        if (!v)
            return error_set(e, ERR_NOMEM, "no memory for the numbers of %zu transactions", cap);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = value;
    return OK;
}

static int compare_numbers(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Everything but the average, which the reference does not take from the same numbers. */
static void spread_of(struct spread *s, struct numbers *list)
{
    if (list->n == 0)
        return;
    qsort(list->v, list->n, sizeof(*list->v), compare_numbers);
    const size_t half = list->n / 2;
    s->min = list->v[0];
    s->max = list->v[list->n - 1];
    s->median = list->n % 2 ? list->v[half] : (list->v[half - 1] + list->v[half]) / 2;
}

struct pass {
    struct block_stats *out;
    const struct undo_reader *undo;
    uint64_t next_coin; /* in the undo record */
    struct numbers fees, rates, sizes;
};

static int64_t bytes_in_utxo_set(size_t script_len)
{
    return (int64_t)(8 + compact_size_len(script_len) + script_len + UTXO_KEY_BYTES);
}

static int64_t add_outputs(struct pass *p, const struct tx *tx)
{
    int64_t value = 0; /* consensus bounded the sum */
    for (size_t i = 0; i < tx->n_out; i++) {
        value += tx->out[i].value;
        p->out->utxo_size_inc += bytes_in_utxo_set(tx->out[i].script.len);
    }
    p->out->outputs += tx->n_out;
    return value;
}

static enum err take_inputs(struct pass *p, const struct tx *tx, int64_t *value, struct error *e)
{
    *value = 0;
    for (size_t i = 0; i < tx->n_in; i++) {
        struct coin coin;
        if (!p->undo || p->next_coin >= p->undo->count)
            return error_set(e, ERR_CORRUPT,
                             "undo record has fewer coins than its block has inputs");
        const enum err rc = undo_reader_get(p->undo, p->next_coin++, &coin, e);
        if (rc)
            return rc;
        if (!add_i64(*value, coin.value, value))
            return error_set(e, ERR_CORRUPT, "undo record: amounts are out of range");
        p->out->utxo_size_inc -= bytes_in_utxo_set(coin.script.len);
    }
    p->out->inputs += tx->n_in;
    return OK;
}

static enum err add_tx(struct pass *p, const struct tx *tx, struct error *e)
{
    int64_t value_in;
    const int64_t value_out = add_outputs(p, tx), size = (int64_t)tx->raw.len;
    p->out->txs++;
    if (p->out->txs == 1)
        return OK; /* the coinbase counts for nothing else */
    enum err rc = take_inputs(p, tx, &value_in, e);
    if (rc)
        return rc;
    const int64_t fee = value_in - value_out;
    p->out->total_out += value_out;
    p->out->total_size += tx->raw.len;
    p->out->total_fee += fee;
    if ((rc = numbers_add(&p->fees, fee, e)) || (rc = numbers_add(&p->rates, fee / size, e)))
        return rc;
    return numbers_add(&p->sizes, size, e);
}

static void finish(struct pass *p)
{
    struct block_stats *s = p->out;
    spread_of(&s->fee, &p->fees);
    spread_of(&s->fee_rate, &p->rates);
    spread_of(&s->tx_size, &p->sizes);
    s->utxo_increase = (int64_t)(s->outputs - s->inputs);
    if (s->txs > 1) {
        const int64_t n = (int64_t)s->txs - 1;
        s->fee.average = s->total_fee / n;
        s->tx_size.average = (int64_t)s->total_size / n;
        s->fee_rate.average = s->total_fee / (int64_t)s->total_size;
    }
}

static enum err read_all(struct pass *p, struct block_reader *r, const struct cancel *cancel,
                         struct error *e)
{
    for (;;) {
        struct block_segment *segment;
        if (cancelled(cancel))
            return error_set(e, ERR_CANCELLED, "stopped");
        enum err rc = block_reader_next(r, &segment, e);
        if (rc || !segment)
            return rc;
        for (size_t i = 0; i < segment->n_txs && !rc; i++)
            rc = add_tx(p, &segment->txs[i], e);
        block_segment_unref(segment);
        if (rc)
            return rc;
    }
}

enum err block_stats_read(struct block_stats *out, const struct chain_params *p,
                          const struct header_node *node, struct block_reader *r,
                          const struct undo_reader *undo, const struct cancel *cancel,
                          struct error *e)
{
    struct pass pass = { .out = out, .undo = undo };
    *out = (struct block_stats){
        .height = node->height,
        .hash = node->hash,
        .time = node->time,
        .median_time = header_median_time(node),
        .subsidy = params_subsidy(p, node->height),
    };
    const enum err rc = read_all(&pass, r, cancel, e);
    if (!rc)
        finish(&pass);
    free(pass.fees.v);
    free(pass.rates.v);
    free(pass.sizes.v);
    return rc;
}

/* Genesis has no undo record, and none is needed. */
static enum err read_undo(struct undo_reader *undo, struct chain *c, const struct header_node *node,
                          struct error *e)
{
    struct header_data data;
    struct buf content;
    header_index_get_data(chain_headers(c), node, &data);
    if (data.undo.size == 0)
        return error_set(e, ERR_NOTFOUND, "Undo data not available");
    buf_init(&content);
    enum err rc = blockfiles_read_undo(chain_blockfiles(c), &data.undo, &node->hash, &content, e);
    if (!rc)
        rc = undo_reader_init(undo, &content, e);
    buf_clear(&content);
    return rc;
}

enum err block_stats_compute(struct block_stats *out, struct chain *c, struct header_node *node,
                             const struct cancel *cancel, struct error *e)
{
    struct undo_reader undo = { .count = 0 };
    struct block_reader *reader;
    const bool has_undo = node->height > 0;
    enum err rc = chain_read_block(c, node, SEGMENT_BYTES, &reader, e);
    if (rc)
        return rc;
    if (has_undo)
        rc = read_undo(&undo, c, node, e);
    if (!rc) {
        rc = block_stats_read(out, chain_get_params(c), node, reader, has_undo ? &undo : NULL,
                              cancel, e);
        undo_reader_clear(&undo);
    }
    block_reader_close(reader);
    return rc;
}

enum err tx_stats_compute(struct tx_stats *out, struct header_index *idx, struct header_node *node,
                          int32_t window, struct error *e)
{
    const int32_t last = MAX_OF(node->height - 1, 0);
    if (window == TX_STATS_DEFAULT_WINDOW)
        window = MIN_OF(MONTH_BLOCKS, last);
    if (window < 0 || window > last)
        return error_set(e, ERR_RANGE,
                         "Invalid block count: should be between 0 and the block's height - 1");
    struct header_data now, then;
    struct header_node *first = header_ancestor(node, node->height - window);
    header_index_get_data(idx, node, &now);
    header_index_get_data(idx, first, &then);
    *out = (struct tx_stats){ .time = node->time,
                              .tx_count = now.chain_tx_count,
                              .window_blocks = window };
    if (window == 0)
        return OK;
    out->window_txs = now.chain_tx_count - then.chain_tx_count;
    out->window_interval_s = (int64_t)header_median_time(node) - (int64_t)header_median_time(first);
    if (out->window_interval_s > 0)
        out->tx_rate = (double)out->window_txs / (double)out->window_interval_s;
    return OK;
}
