#include "p2p/msg_bca.h"

#include "base/reader.h"
#include "p2p/bca_record.h"

enum err msg_sendbca_read(struct msg_sendbca *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    m->version = read_le32(&r);
    m->flags = read_le32(&r);
    return r.failed ? ERR_PARSE : OK;
}

void msg_sendbca_write(struct buf *b, uint32_t flags)
{
    buf_put_le32(b, MSG_BCA_VERSION);
    buf_put_le32(b, flags);
}

void msg_bca_item_get(const struct msg_bca_list *list, size_t i, struct msg_bca_item *out)
{
    const uint8_t *p = list->items + i * MSG_BCA_ITEM_SIZE;
    BUG_ON(i >= list->n);
    memcpy(out->record_key, p, sizeof out->record_key);
    out->seq = le64_get(p + sizeof out->record_key);
}

/* A count of at most max and as many pieces of one size; the count is judged before the bytes. */
static enum err read_pieces(struct reader *r, size_t max, size_t size, size_t *n,
                            const uint8_t **pieces)
{
    const uint64_t count = read_compact(r);
    *n = 0;
    if (count > max)
        return ERR_RANGE;
    *pieces = read_bytes(r, (size_t)count * size);
    if (r->failed)
        return ERR_PARSE;
    *n = (size_t)count;
    return OK;
}

static enum err read_list(struct msg_bca_list *list, struct reader *r, size_t max)
{
    const enum err rc = read_pieces(r, max, MSG_BCA_ITEM_SIZE, &list->n, &list->items);
    return rc == OK && !reader_done(r) ? ERR_PARSE : rc;
}

static void write_list(struct buf *b, const struct msg_bca_item *items, size_t n)
{
    buf_put_compact(b, n);
    for (size_t i = 0; i < n; i++) {
        buf_put(b, items[i].record_key, sizeof items[i].record_key);
        buf_put_le64(b, items[i].seq);
    }
}

enum err msg_bcainv_read(struct msg_bca_list *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    return read_list(m, &r, MSG_BCAINV_MAX);
}

void msg_bcainv_write(struct buf *b, const struct msg_bca_item *items, size_t n)
{
    write_list(b, items, n);
}

enum err msg_getbca_read(struct msg_getbca *m, struct span payload)
{
    struct reader r;
    reader_init(&r, payload.data, payload.len);
    *m = (struct msg_getbca){ .kind = read_u8(&r) };
    if (r.failed)
        return ERR_PARSE;
    if (m->kind == MSG_GETBCA_LIST)
        return read_list(&m->list, &r, MSG_GETBCA_MAX);
    if (m->kind != MSG_GETBCA_SAMPLE)
        return OK;
    m->sample = read_le16(&r);
    if (!reader_done(&r))
        return ERR_PARSE;
    return m->sample > MSG_GETBCA_SAMPLE_MAX ? ERR_RANGE : OK;
}

void msg_getbca_list_write(struct buf *b, const struct msg_bca_item *items, size_t n)
{
    buf_put_u8(b, MSG_GETBCA_LIST);
    write_list(b, items, n);
}

void msg_getbca_sample_write(struct buf *b, uint16_t max)
{
    buf_put_u8(b, MSG_GETBCA_SAMPLE);
    buf_put_le16(b, max);
}

static enum err read_records(struct msg_bcarec *m, struct reader *r)
{
    const uint64_t n = read_compact(r);
    if (n > MSG_BCAREC_MAX)
        return ERR_RANGE;
    for (m->n = 0; m->n < n; m->n++) {
        m->records[m->n] = read_var_bytes(r);
        if (m->records[m->n].len > BCA_RECORD_MAX)
            return ERR_RANGE;
    }
    return r->failed ? ERR_PARSE : OK;
}

enum err msg_bcarec_read(struct msg_bcarec *m, struct span payload)
{
    struct reader r;
    *m = (struct msg_bcarec){ .n = 0 };
    if (payload.len > MSG_BCAREC_PAYLOAD_MAX)
        return ERR_RANGE;
    reader_init(&r, payload.data, payload.len);
    enum err rc = read_records(m, &r);
    if (rc == OK)
        rc = read_pieces(&r, MSG_BCAREC_MISSING_MAX, 32, &m->n_missing, &m->missing);
    return rc == OK && !reader_done(&r) ? ERR_PARSE : rc;
}

void msg_bcarec_write(struct buf *b, const struct msg_bcarec *m)
{
    buf_put_compact(b, m->n);
    for (size_t i = 0; i < m->n; i++)
        buf_put_var_bytes(b, m->records[i].data, m->records[i].len);
    buf_put_compact(b, m->n_missing);
    buf_put(b, m->missing, 32 * m->n_missing);
}
