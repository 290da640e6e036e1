/* Codecs of payment channels and of payments. */
#include "p2p/dchan_wire_internal.h"

enum {
    TLV_LIMIT = 1,   /* chan_ready */
    TLV_COPY = 1,    /* chan_sync */
    TLV_FILE_ID = 2, /* p_tx */
};

static enum dchan_tlv taken(bool ok) { return ok ? DCHAN_TLV_TAKEN : DCHAN_TLV_BAD; }

/* --- payment channels --- */

bool dchan_chan_open_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_chan_open *c = &m->chan_open;
    read_copy(r, c->nonce, sizeof c->nonce);
    c->type = read_be16(r);
    c->capacity = read_be64(r);
    c->expiry = read_be32(r);
    c->close_fee = read_be32(r);
    read_copy(r, c->key, sizeof c->key);
    read_copy(r, c->pkh, sizeof c->pkh);
    c->memo = read_v16(r, DCHAN_TEXT_MAX);
    return true;
}

void dchan_chan_open_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_chan_open *c = &m->chan_open;
    buf_put(b, c->nonce, sizeof c->nonce);
    buf_put_be16(b, c->type);
    buf_put_be64(b, c->capacity);
    buf_put_be32(b, c->expiry);
    buf_put_be32(b, c->close_fee);
    buf_put(b, c->key, sizeof c->key);
    buf_put(b, c->pkh, sizeof c->pkh);
    buf_put_v16(b, c->memo);
}

bool dchan_chan_accept_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_chan_accept *c = &m->chan_accept;
    read_copy(r, c->id, sizeof c->id);
    read_copy(r, c->nonce, sizeof c->nonce);
    read_copy(r, c->key, sizeof c->key);
    read_copy(r, c->pkh, sizeof c->pkh);
    c->min_depth = read_u8(r);
    c->close_margin = read_be16(r);
    return true;
}

void dchan_chan_accept_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_chan_accept *c = &m->chan_accept;
    buf_put(b, c->id, sizeof c->id);
    buf_put(b, c->nonce, sizeof c->nonce);
    buf_put(b, c->key, sizeof c->key);
    buf_put(b, c->pkh, sizeof c->pkh);
    buf_put_u8(b, c->min_depth);
    buf_put_be16(b, c->close_margin);
}

bool dchan_chan_funded_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_chan_funded *c = &m->chan_funded;
    read_copy(r, c->id, sizeof c->id);
    read_copy(r, c->txid, sizeof c->txid);
    c->vout = read_be32(r);
    c->beef = read_v16(r, DCHAN_BODY_MAX);
    return true;
}

void dchan_chan_funded_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_chan_funded *c = &m->chan_funded;
    buf_put(b, c->id, sizeof c->id);
    buf_put(b, c->txid, sizeof c->txid);
    buf_put_be32(b, c->vout);
    buf_put_v16(b, c->beef);
}

bool dchan_chan_ready_get(struct dchan_msg *m, struct reader *r)
{
    m->chan_ready = (struct dchan_chan_ready){ .has_limit = false };
    read_copy(r, m->chan_ready.id, sizeof m->chan_ready.id);
    m->chan_ready.height = read_be32(r);
    return true;
}

enum dchan_tlv dchan_chan_ready_tlv(struct dchan_msg *m, const struct tlv *t)
{
    if (t->type != TLV_LIMIT)
        return DCHAN_TLV_UNKNOWN;
    m->chan_ready.has_limit = true;
    return taken(tlv_u64(t, &m->chan_ready.limit));
}

void dchan_chan_ready_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->chan_ready.id, sizeof m->chan_ready.id);
    buf_put_be32(b, m->chan_ready.height);
    if (m->chan_ready.has_limit)
        buf_put_tlv_u64(b, TLV_LIMIT, m->chan_ready.limit);
}

bool dchan_chan_pay_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_chan_pay *c = &m->chan_pay;
    dchan_chan_ack_get(m, r);
    read_copy(r, c->sig, sizeof c->sig);
    c->ref = read_v8(r, DCHAN_PAY_REF_MAX);
    return true;
}

void dchan_chan_pay_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_chan_ack_put(b, m);
    buf_put(b, m->chan_pay.sig, sizeof m->chan_pay.sig);
    buf_put_v8(b, m->chan_pay.ref);
}

bool dchan_chan_ack_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_chan_pay *c = &m->chan_pay;
    *c = (struct dchan_chan_pay){ .n = 0 };
    read_copy(r, c->id, sizeof c->id);
    c->n = read_be64(r);
    c->paid = read_be64(r);
    return true;
}

void dchan_chan_ack_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->chan_pay.id, sizeof m->chan_pay.id);
    buf_put_be64(b, m->chan_pay.n);
    buf_put_be64(b, m->chan_pay.paid);
}

bool dchan_chan_close_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_chan_pay *c = &m->chan_pay;
    *c = (struct dchan_chan_pay){ .n = 0 };
    read_copy(r, c->id, sizeof c->id);
    c->paid = read_be64(r);
    c->close_fee = read_be32(r);
    read_copy(r, c->sig, sizeof c->sig);
    return true;
}

void dchan_chan_close_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->chan_pay.id, sizeof m->chan_pay.id);
    buf_put_be64(b, m->chan_pay.paid);
    buf_put_be32(b, m->chan_pay.close_fee);
    buf_put(b, m->chan_pay.sig, sizeof m->chan_pay.sig);
}

bool dchan_chan_closed_get(struct dchan_msg *m, struct reader *r)
{
    read_copy(r, m->chan_closed.id, sizeof m->chan_closed.id);
    m->chan_closed.tx = read_v16(r, DCHAN_CLOSED_TX_MAX);
    return true;
}

void dchan_chan_closed_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->chan_closed.id, sizeof m->chan_closed.id);
    buf_put_v16(b, m->chan_closed.tx);
}

bool dchan_chan_sync_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_chan_sync *c = &m->chan_sync;
    c->has_copy = false;
    read_copy(r, c->id, sizeof c->id);
    c->role = read_u8(r);
    c->state = read_u8(r);
    c->n = read_be64(r);
    c->paid = read_be64(r);
    c->close_fee = read_be32(r);
    read_copy(r, c->sig, sizeof c->sig);
    c->tip = read_be32(r);
    return true;
}

enum dchan_tlv dchan_chan_sync_tlv(struct dchan_msg *m, const struct tlv *t)
{
    if (t->type != TLV_COPY)
        return DCHAN_TLV_UNKNOWN;
    m->chan_sync.has_copy = true;
    return taken(tlv_copy(t, m->chan_sync.copy, sizeof m->chan_sync.copy));
}

void dchan_chan_sync_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_chan_sync *c = &m->chan_sync;
    buf_put(b, c->id, sizeof c->id);
    buf_put_u8(b, c->role);
    buf_put_u8(b, c->state);
    buf_put_be64(b, c->n);
    buf_put_be64(b, c->paid);
    buf_put_be32(b, c->close_fee);
    buf_put(b, c->sig, sizeof c->sig);
    buf_put_be32(b, c->tip);
    if (c->has_copy)
        buf_put_tlv(b, TLV_COPY, span_of(c->copy, sizeof c->copy));
}

bool dchan_chan_fail_get(struct dchan_msg *m, struct reader *r)
{
    read_copy(r, m->chan_fail.id, sizeof m->chan_fail.id);
    m->chan_fail.code = read_be16(r);
    m->chan_fail.text = read_v16(r, DCHAN_TEXT_MAX);
    return true;
}

void dchan_chan_fail_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->chan_fail.id, sizeof m->chan_fail.id);
    buf_put_be16(b, m->chan_fail.code);
    buf_put_v16(b, m->chan_fail.text);
}

/* --- payments --- */

static bool is_base64_digit(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           c == '+' || c == '/' || c == '=';
}

/* A prefix or suffix, which becomes part of an invoice number: no blank may get into it. */
static struct span read_derivation(struct reader *r, bool *ok)
{
    const struct span s = read_v8(r, DCHAN_DERIVATION_MAX);
    for (size_t i = 0; i < s.len; i++)
        *ok = *ok && is_base64_digit(s.data[i]);
    return s;
}

bool dchan_p_request_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_p_request *p = &m->p_request;
    bool ok = true;
    read_copy(r, p->id, sizeof p->id);
    p->satoshis = read_be64(r);
    p->expires = read_be32(r);
    p->prefix = read_derivation(r, &ok);
    p->memo = read_v16(r, DCHAN_TEXT_MAX);
    return ok;
}

void dchan_p_request_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_p_request *p = &m->p_request;
    buf_put(b, p->id, sizeof p->id);
    buf_put_be64(b, p->satoshis);
    buf_put_be32(b, p->expires);
    buf_put_v8(b, p->prefix);
    buf_put_v16(b, p->memo);
}

bool dchan_p_tx_get(struct dchan_msg *m, struct reader *r)
{
    struct dchan_p_tx *p = &m->p_tx;
    bool ok = true;
    read_copy(r, p->id, sizeof p->id);
    p->prefix = read_derivation(r, &ok);
    p->n = read_u8(r);
    if (p->n > DCHAN_OUTPUTS_MAX)
        return false;
    for (size_t i = 0; i < p->n; i++) {
        p->outputs[i].vout = read_be32(r);
        p->outputs[i].suffix = read_derivation(r, &ok);
    }
    p->beef = read_v16(r, DCHAN_BODY_MAX);
    return ok;
}

enum dchan_tlv dchan_p_tx_tlv(struct dchan_msg *m, const struct tlv *t)
{
    if (t->type != TLV_FILE_ID)
        return DCHAN_TLV_UNKNOWN;
    return taken(tlv_copy(t, m->p_tx.file_id, sizeof m->p_tx.file_id));
}

/* The transaction is here or in a file, never in both. */
bool dchan_p_tx_end(const struct dchan_msg *m, uint32_t tlvs)
{
    return (m->p_tx.beef.len == 0) == (tlvs >> TLV_FILE_ID & 1);
}

void dchan_p_tx_put(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_p_tx *p = &m->p_tx;
    buf_put(b, p->id, sizeof p->id);
    buf_put_v8(b, p->prefix);
    buf_put_u8(b, (uint8_t)p->n);
    for (size_t i = 0; i < p->n; i++) {
        buf_put_be32(b, p->outputs[i].vout);
        buf_put_v8(b, p->outputs[i].suffix);
    }
    buf_put_v16(b, p->beef);
    if (p->beef.len == 0)
        buf_put_tlv(b, TLV_FILE_ID, span_of(p->file_id, sizeof p->file_id));
}

bool dchan_p_result_get(struct dchan_msg *m, struct reader *r)
{
    read_copy(r, m->p_result.id, sizeof m->p_result.id);
    m->p_result.status = read_be16(r);
    read_copy(r, m->p_result.txid, sizeof m->p_result.txid);
    return true;
}

void dchan_p_result_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->p_result.id, sizeof m->p_result.id);
    buf_put_be16(b, m->p_result.status);
    buf_put(b, m->p_result.txid, sizeof m->p_result.txid);
}
