/*
 * A segment is cut by parsing: as many transactions as are whole within the bytes at hand. When the
 * first is larger than those, the piece grows, but never past the size that the index records.
 */
#include <config.h>

#include "chain/block_reader.h"

#include <stdlib.h>

#include "base/intmath.h"

enum {
    TXS_FIRST = 64,
    HEAD_MAX = BLOCK_HEADER_SIZE + 9,
};

struct block_bytes *block_bytes_new(uint8_t *data, size_t len)
{
    struct block_bytes *b = xmalloc(sizeof(*b));
    atomic_init(&b->refs, 1);
    b->data = data;
    b->len = len;
    return b;
}

struct block_bytes *block_bytes_ref(struct block_bytes *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void block_bytes_unref(struct block_bytes *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(b->data);
    free(b);
}

void block_segment_ref(struct block_segment *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void block_segment_unref(struct block_segment *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    arena_clear(&s->arena);
    buf_clear(&s->raw);
    block_bytes_unref(s->bytes);
    free(s->txs);
    free(s);
}

/* Bytes that several segments share count for each of them: while one lives, they live. */
size_t block_segment_memory(const struct block_segment *s)
{
    return sizeof(*s) + s->arena.total + s->raw.cap + s->cap_txs * sizeof(*s->txs) +
           (s->bytes ? s->bytes->len : 0);
}

struct block_reader {
    struct blockfiles *bf;
    struct block_pos pos;
    struct block_bytes *bytes; /* or NULL: read from pos */
    size_t target;
    uint64_t most; /* bytes of one transaction */
    uint64_t size; /* of the block */
    struct block_header header;
    uint64_t tx_count, txs_done;
    uint64_t offset; /* of the next transaction */
};

static enum err corrupt(const struct block_reader *r, const char *what, struct error *e)
{
    if (r->bytes)
        return error_set(e, ERR_CORRUPT, "block in memory: %s", what);
    return error_set(e, ERR_CORRUPT, "block at %llu in blk%05u.dat: %s",
                     (unsigned long long)r->pos.offset, r->pos.file, what);
}

static enum err read_head(struct block_reader *r, struct error *e)
{
    uint8_t stored[HEAD_MAX];
    size_t len = (size_t)MIN_OF(r->size, sizeof(stored));
    const uint8_t *head = r->bytes ? r->bytes->data : stored;
    enum err rc = r->bytes ? OK : blockfiles_read(r->bf, &r->pos, 0, stored, len, e);
    if (rc)
        return rc;
    struct reader in;
    reader_init(&in, head, len);
    block_header_read(&in, &r->header);
    r->tx_count = read_compact(&in);
    r->offset = len - in.left;
    if (in.failed || r->tx_count > (r->size - r->offset) / TX_MIN_SIZE)
        return corrupt(r, "the number of transactions does not fit", e);
    return OK;
}

enum err block_reader_open(struct block_reader **out, struct blockfiles *bf,
                           const struct block_pos *pos, struct block_bytes *bytes,
                           size_t target_bytes, struct error *e)
{
    struct block_reader *r = xcalloc(1, sizeof(*r));
    r->bf = bf;
    r->target = MAX_OF(target_bytes, 1);
    r->most = UINT64_MAX;
    if (bytes) {
        r->bytes = block_bytes_ref(bytes);
        r->size = bytes->len;
    } else {
        r->pos = *pos;
        r->size = pos->size;
    }
    enum err rc = read_head(r, e);
    if (rc)
        block_reader_close(r);
    else
        *out = r;
    return rc;
}

void block_reader_set_most(struct block_reader *r, uint64_t tx_bytes)
{
    r->most = MAX_OF(tx_bytes, (uint64_t)r->target);
}

void block_reader_close(struct block_reader *r)
{
    if (!r)
        return;
    block_bytes_unref(r->bytes);
    free(r);
}

const struct block_header *block_reader_header(const struct block_reader *r)
{
    return &r->header;
}

uint64_t block_reader_tx_count(const struct block_reader *r)
{
    return r->tx_count;
}

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NOMEM, "no memory for a piece of a block");
}

static struct tx *next_tx(struct block_segment *s, uint64_t most)
{
    if (s->n_txs == s->cap_txs) {
        size_t cap = (size_t)MIN_OF(MAX_OF(s->cap_txs * 2, TXS_FIRST), most);
        struct tx *p = try_realloc(s->txs, cap, sizeof(*p));
        if (!p)
            return NULL;
        s->txs = p;
        s->cap_txs = cap;
    }
    return &s->txs[s->n_txs];
}

/*
 * Parses whole transactions from data until target bytes are used or all are read. A transaction
 * that is cut by the end of data is left for the next segment; *used says how far it went.
 */
static enum err parse_txs(struct block_reader *r, struct block_segment *s, const uint8_t *data,
                          size_t len, size_t *used, struct error *e)
{
    struct reader in;
    reader_init(&in, data, len);
    uint64_t most = r->tx_count - r->txs_done;
    *used = 0;
    while (s->n_txs < most && *used < r->target) {
        struct tx *tx = next_tx(s, most);
        if (!tx)
            return no_memory(e);
        enum err rc = tx_read(&in, &s->arena, tx);
        if (rc == ERR_NOMEM)
            return no_memory(e);
        if (rc)
            break;
        s->n_txs++;
        *used = len - in.left;
    }
    return OK;
}

static void compute_ids(struct block_segment *s)
{
    for (size_t i = 0; i < s->n_txs; i++)
        tx_compute_id(&s->txs[i]);
}

/* --- segments --- */

static enum err load_piece(struct block_reader *r, struct block_segment *s, size_t len,
                           const uint8_t **data, struct error *e)
{
    if (r->bytes) {
        if (!s->bytes)
            s->bytes = block_bytes_ref(r->bytes);
        *data = r->bytes->data + r->offset;
        return OK;
    }
    *data = NULL;
    buf_clear(&s->raw);
    if (!buf_try_reserve(&s->raw, len))
        return no_memory(e);
    *data = buf_extend(&s->raw, len);
    return blockfiles_read(r->bf, &r->pos, r->offset, s->raw.data, len, e);
}

/* Fills the segment with at least one transaction. */
static enum err fill(struct block_reader *r, struct block_segment *s, size_t *used, struct error *e)
{
    const uint64_t left = r->size - r->offset, most = MIN_OF(left, r->most);
    *used = 0;
    for (uint64_t len = MIN_OF(left, r->bytes ? left : r->target);; len = MIN_OF(len * 2, most)) {
        const uint8_t *data;
        if (len > SIZE_MAX / 2)
            return no_memory(e);
        enum err rc = load_piece(r, s, (size_t)len, &data, e);
        if (rc)
            return rc;
        arena_reset(&s->arena);
        rc = parse_txs(r, s, data, (size_t)len, used, e);
        if (rc || s->n_txs)
            return rc;
        if (len == left)
            return corrupt(r, "a transaction does not parse", e);
        if (len == most)
            return error_set(e, ERR_RANGE, "a transaction of the block has more than %llu bytes",
                             (unsigned long long)most);
    }
}

static struct block_segment *segment_new(const struct block_reader *r)
{
    struct block_segment *s = xcalloc(1, sizeof(*s));
    atomic_init(&s->refs, 1);
    arena_init(&s->arena);
    buf_init(&s->raw);
    s->first = r->txs_done;
    s->offset = r->offset;
    return s;
}

enum err block_segment_parse(struct block_segment **out, struct block_bytes *bytes,
                             struct block_header *header, size_t *extra, struct error *e)
{
    struct block_reader r = { .bytes = bytes, .size = bytes->len, .target = SIZE_MAX,
                              .most = UINT64_MAX };
    enum err rc = read_head(&r, e);
    if (rc)
        return ERR_PARSE;
    struct block_segment *s = segment_new(&r);
    s->bytes = block_bytes_ref(bytes);
    size_t used;
    rc = parse_txs(&r, s, bytes->data + r.offset, bytes->len - (size_t)r.offset, &used, e);
    if (!rc && s->n_txs < r.tx_count)
        rc = error_set(e, ERR_PARSE, "transaction %zu of %llu does not parse", s->n_txs,
                       (unsigned long long)r.tx_count);
    if (rc) {
        block_segment_unref(s);
        return rc;
    }
    compute_ids(s);
    s->last = true;
    *header = r.header;
    *extra = bytes->len - (size_t)r.offset - used;
    *out = s;
    return OK;
}

enum err block_reader_next(struct block_reader *r, struct block_segment **out, struct error *e)
{
    *out = NULL;
    if (r->txs_done == r->tx_count)
        return r->offset == r->size ? OK : corrupt(r, "bytes after the last transaction", e);
    struct block_segment *s = segment_new(r);
    size_t used;
    enum err rc = fill(r, s, &used, e);
    bool last = r->txs_done + s->n_txs == r->tx_count;
    if (!rc && last && r->offset + used != r->size)
        rc = corrupt(r, "bytes after the last transaction", e);
    if (rc) {
        block_segment_unref(s);
        return rc;
    }
    compute_ids(s);
    s->last = last;
    r->txs_done += s->n_txs;
    r->offset += used;
    *out = s;
    return OK;
}
