/* Codecs of streams, messages and files. */
#include "p2p/dchan_wire_internal.h"

enum { TLV_PRICE = 32769 }; /* f_offer */
enum { TLV_REPLY_TO = 1, TLV_THREAD = 3, TLV_SEQ = 5 }; /* m_send */

static struct span read_rest(struct reader *r)
{
    const size_t n = r->left;
    return span_of(read_bytes(r, n), n);
}

/* --- streams --- */

/* meta is the TLV stream behind the fields, which the table goes through. */
bool dchan_s_open_get(struct dchan_msg *m, struct reader *r)
{
    m->s_open.sid = read_be32(r);
    m->s_open.service = read_v8(r, UINT8_MAX);
    m->s_open.priority = read_u8(r);
    m->s_open.window = read_be32(r);
    m->s_open.meta = span_of(r->p, r->left);
    return m->s_open.sid != 0 && m->s_open.priority <= DCHAN_PRIORITY_MAX &&
           m->s_open.meta.len <= DCHAN_META_MAX;
}

void dchan_s_open_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->s_open.sid);
    buf_put_v8(b, m->s_open.service);
    buf_put_u8(b, m->s_open.priority);
    buf_put_be32(b, m->s_open.window);
    buf_put(b, m->s_open.meta.data, m->s_open.meta.len);
}

bool dchan_s_accept_get(struct dchan_msg *m, struct reader *r)
{
    m->stream.sid = read_be32(r);
    m->stream.value = read_be32(r);
    return true;
}

void dchan_s_accept_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->stream.sid);
    buf_put_be32(b, m->stream.value);
}

bool dchan_s_data_get(struct dchan_msg *m, struct reader *r)
{
    m->s_data.sid = read_be32(r);
    m->s_data.data = read_rest(r);
    return m->s_data.data.len >= 1 && m->s_data.data.len <= DCHAN_DATA_MAX;
}

void dchan_s_data_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->s_data.sid);
    buf_put(b, m->s_data.data.data, m->s_data.data.len);
}

/* An increment that is too large is an overflow of the stream's window, which only resets it. */
bool dchan_s_window_get(struct dchan_msg *m, struct reader *r)
{
    dchan_s_accept_get(m, r);
    return m->stream.value != 0;
}

void dchan_s_window_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_s_accept_put(b, m);
}

bool dchan_s_fin_get(struct dchan_msg *m, struct reader *r)
{
    m->stream = (struct dchan_stream){ .sid = read_be32(r) };
    return true;
}

void dchan_s_fin_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->stream.sid);
}

bool dchan_s_reset_get(struct dchan_msg *m, struct reader *r)
{
    m->s_reset.sid = read_be32(r);
    m->s_reset.code = read_be16(r);
    return true;
}

void dchan_s_reset_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->s_reset.sid);
    buf_put_be16(b, m->s_reset.code);
}

bool dchan_dgram_get(struct dchan_msg *m, struct reader *r)
{
    m->dgram.sid = read_be32(r);
    m->dgram.seq = read_be16(r);
    m->dgram.data = read_rest(r);
    return m->dgram.data.len <= DCHAN_DGRAM_MAX;
}

void dchan_dgram_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->dgram.sid);
    buf_put_be16(b, m->dgram.seq);
    buf_put(b, m->dgram.data.data, m->dgram.data.len);
}

/* --- messages --- */

bool dchan_m_send_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_m_send *s = &m->m_send;
    *s = (struct dchan_m_send){ .ttl = 0 };
    read_copy(r, s->id, sizeof s->id);
    s->created_ms = read_be64(r);
    s->ttl = read_be32(r);
    s->content_type = read_v8(r, DCHAN_CONTENT_TYPE_MAX);
    s->body = read_v16(r, DCHAN_BODY_MAX);
    return true;
}

static enum dchan_tlv taken(bool ok)
{
    return ok ? DCHAN_TLV_TAKEN : DCHAN_TLV_BAD;
}

enum dchan_tlv dchan_m_send_tlv(struct dchan_msg *m, const struct tlv *t)
{
    struct dchan_m_send *s = &m->m_send;
    if (t->type == TLV_REPLY_TO)
        return taken(s->has_reply_to = tlv_copy(t, s->reply_to, sizeof s->reply_to));
    if (t->type == TLV_THREAD)
        return taken(s->has_thread = tlv_copy(t, s->thread, sizeof s->thread));
    if (t->type == TLV_SEQ)
        return taken(s->has_seq = tlv_u64(t, &s->seq));
    return DCHAN_TLV_UNKNOWN;
}

void dchan_m_send_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_m_send *s = &m->m_send;
    buf_put(b, s->id, sizeof s->id);
    buf_put_be64(b, s->created_ms);
    buf_put_be32(b, s->ttl);
    buf_put_v8(b, s->content_type);
    buf_put_v16(b, s->body);
    if (s->has_reply_to)
        buf_put_tlv(b, TLV_REPLY_TO, span_of(s->reply_to, sizeof s->reply_to));
    if (s->has_thread)
        buf_put_tlv(b, TLV_THREAD, span_of(s->thread, sizeof s->thread));
    if (s->has_seq)
        buf_put_tlv_u64(b, TLV_SEQ, s->seq);
}

bool dchan_m_ack_get(struct dchan_msg *m, struct reader *r)
{
    m->m_receipt = (struct dchan_m_receipt){ .code = 0 };
    read_copy(r, m->m_receipt.id, sizeof m->m_receipt.id);
    return true;
}

void dchan_m_ack_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->m_receipt.id, sizeof m->m_receipt.id);
}

bool dchan_m_nack_get(struct dchan_msg *m, struct reader *r)
{
    dchan_m_ack_get(m, r);
    m->m_receipt.code = read_be16(r);
    return true;
}

void dchan_m_nack_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_m_ack_put(b, m);
    buf_put_be16(b, m->m_receipt.code);
}

bool dchan_m_read_get(struct dchan_msg *m, struct reader *r)
{
    dchan_m_ack_get(m, r);
    m->m_receipt.time_ms = read_be64(r);
    return true;
}

void dchan_m_read_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_m_ack_put(b, m);
    buf_put_be64(b, m->m_receipt.time_ms);
}

/* --- files --- */

bool dchan_f_offer_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_f_offer *f = &m->f_offer;
    read_copy(r, f->file_id, sizeof f->file_id);
    f->size = read_be64(r);
    f->chunk_log2 = read_u8(r);
    f->name = read_v8(r, DCHAN_NAME_MAX);
    f->content_type = read_v8(r, UINT8_MAX);
    f->note = read_v16(r, DCHAN_NOTE_MAX);
    f->price = 0;
    return true;
}

enum dchan_tlv dchan_f_offer_tlv(struct dchan_msg *m, const struct tlv *t)
{
    return t->type == TLV_PRICE ? taken(tlv_u64(t, &m->f_offer.price)) : DCHAN_TLV_UNKNOWN;
}

void dchan_f_offer_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_f_offer *f = &m->f_offer;
    buf_put(b, f->file_id, sizeof f->file_id);
    buf_put_be64(b, f->size);
    buf_put_u8(b, f->chunk_log2);
    buf_put_v8(b, f->name);
    buf_put_v8(b, f->content_type);
    buf_put_v16(b, f->note);
    if (f->price)
        buf_put_tlv_u64(b, TLV_PRICE, f->price);
}

bool dchan_f_id_get(struct dchan_msg *m, struct reader *r)
{
    m->f_id = (struct dchan_f_id){ .code = 0 };
    read_copy(r, m->f_id.file_id, sizeof m->f_id.file_id);
    return true;
}

void dchan_f_id_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->f_id.file_id, sizeof m->f_id.file_id);
}

bool dchan_f_cancel_get(struct dchan_msg *m, struct reader *r)
{
    dchan_f_id_get(m, r);
    m->f_id.code = read_be16(r);
    return true;
}

void dchan_f_cancel_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_f_id_put(b, m);
    buf_put_be16(b, m->f_id.code);
}
