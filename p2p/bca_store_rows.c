/* Rows of the store of records, as the head of bca_store.h has them. */
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/bca_store_internal.h"

enum {
    ROW_KEY_SIZE = BCA_ROW_KEY_SIZE,
    RECORD_AT = 9,    /* in a row of a record: behind flags and time */
    SEQ_ROW_SIZE = 45,

    FLAG_RELAY = 1,
    FLAG_REACHED = 2,
    FLAG_EQUIVOCAL = 4,
};

static const uint8_t *row_key(uint8_t out[ROW_KEY_SIZE], uint8_t kind, const uint8_t record_key[32])
{
    out[0] = kind;
    memcpy(out + 1, record_key, 32);
    return out;
}

static uint8_t flags_of(const struct bca_facts *f)
{
    return (uint8_t)((f->relay ? FLAG_RELAY : 0) | (f->reached ? FLAG_REACHED : 0) |
                     (f->equivocal ? FLAG_EQUIVOCAL : 0));
}

static void take_flags(struct bca_facts *f, uint8_t flags)
{
    f->relay = flags & FLAG_RELAY;
    f->reached = flags & FLAG_REACHED;
    f->equivocal = flags & FLAG_EQUIVOCAL;
}

void bca_row_put_record(struct kv_batch *b, const struct bca_facts *f, struct span raw)
{
    uint8_t key[ROW_KEY_SIZE];
    struct buf row;
    buf_init(&row);
    buf_put_u8(&row, flags_of(f));
    buf_put_le64(&row, (uint64_t)f->accepted);
    buf_put(&row, raw.data, raw.len);
    kv_batch_put(b, row_key(key, BCA_ROW_RECORD, f->record_key), sizeof key, row.data, row.len);
    kv_batch_delete(b, row_key(key, BCA_ROW_SEQ, f->record_key), sizeof key);
    buf_clear(&row);
}

void bca_row_put_seq(struct kv_batch *b, const struct bca_facts *f)
{
    uint8_t key[ROW_KEY_SIZE], row[SEQ_ROW_SIZE];
    row[0] = flags_of(f);
    le64_put(row + 1, f->seq);
    le32_put(row + 9, f->issued);
    memcpy(row + 13, f->digest, 32);
    kv_batch_put(b, row_key(key, BCA_ROW_SEQ, f->record_key), sizeof key, row, sizeof row);
    kv_batch_delete(b, row_key(key, BCA_ROW_RECORD, f->record_key), sizeof key);
}

void bca_row_delete(struct kv_batch *b, const uint8_t record_key[32])
{
    uint8_t key[ROW_KEY_SIZE];
    kv_batch_delete(b, row_key(key, BCA_ROW_RECORD, record_key), sizeof key);
    kv_batch_delete(b, row_key(key, BCA_ROW_SEQ, record_key), sizeof key);
}

enum err bca_row_read(struct bca_store *s, uint8_t kind, const uint8_t record_key[32],
                      struct buf *row, struct error *e)
{
    uint8_t key[ROW_KEY_SIZE];
    bool found = false;
    const enum err rc = kv_get(s->kv, row_key(key, kind, record_key), sizeof key, row, &found, e);
    if (!found)
        buf_reset(row);
    return rc;
}

enum err bca_row_read_record(struct bca_store *s, const uint8_t record_key[32], struct buf *out,
                             bool *found, struct error *e)
{
    uint8_t key[ROW_KEY_SIZE];
    struct buf row;
    buf_init(&row);
    const enum err rc = kv_get(s->kv, row_key(key, BCA_ROW_RECORD, record_key), sizeof key, &row,
                               found, e);
    if (!rc && *found && row.len > RECORD_AT)
        buf_put(out, row.data + RECORD_AT, row.len - RECORD_AT);
    buf_clear(&row);
    return rc;
}

bool bca_row_load_record(struct bca_store *s, const uint8_t record_key[32], struct span row)
{
    struct bca_record r;
    struct bca_facts f;
    if (row.len < RECORD_AT)
        return false;
    const struct span raw = span_of(row.data + RECORD_AT, row.len - RECORD_AT);
    if (bca_record_read(&r, raw) != BCA_RECORD_GOOD)
        return false;
    bca_facts_of(&f, &r, raw);
    if (!mem_equal_var(f.record_key, record_key, 32))
        return false;
    take_flags(&f, row.data[0]);
    f.accepted = (int64_t)le64_get(row.data + 1);
    bca_index_put(s->index, &f, false);
    return true;
}

bool bca_row_load_seq(struct bca_store *s, const uint8_t record_key[32], struct span row)
{
    struct bca_facts f = { .size = 0 };
    if (row.len != SEQ_ROW_SIZE)
        return false;
    memcpy(f.record_key, record_key, 32);
    take_flags(&f, row.data[0]);
    f.seq = le64_get(row.data + 1);
    f.issued = le32_get(row.data + 9);
    memcpy(f.digest, row.data + 13, 32);
    bca_index_put(s->index, &f, false);
    return true;
}
