#include "wallet/paychan_record.h"

#include "base/reader.h"

enum { FLAG_AGREED = 1, FLAG_FROZEN = 2, FLAG_UNSIGNED = 4, FLAG_REGAINED = 8, FLAGS_ALL = 15 };

static void put_terms(struct buf *out, const struct paychan_terms *t)
{
    buf_put(out, t->payer_key, EC_PUBKEY_SIZE);
    buf_put(out, t->payee_key, EC_PUBKEY_SIZE);
    buf_put(out, t->payer_pkh, PAYCHAN_PKH_SIZE);
    buf_put(out, t->payee_pkh, PAYCHAN_PKH_SIZE);
    buf_put_le32(out, t->expiry);
    buf_put_le64(out, t->capacity);
    buf_put_le64(out, t->close_fee);
}

static void get_terms(struct reader *r, struct paychan_terms *t)
{
    read_copy(r, t->payer_key, EC_PUBKEY_SIZE);
    read_copy(r, t->payee_key, EC_PUBKEY_SIZE);
    read_copy(r, t->payer_pkh, PAYCHAN_PKH_SIZE);
    read_copy(r, t->payee_pkh, PAYCHAN_PKH_SIZE);
    t->expiry = read_le32(r);
    t->capacity = read_le64(r);
    t->close_fee = read_le64(r);
}

static void put_close(struct buf *out, const struct paychan_close *c)
{
    buf_put_le64(out, c->paid);
    buf_put_le64(out, c->fee);
}

static void get_close(struct reader *r, struct paychan_close *c)
{
    c->paid = read_le64(r);
    c->fee = read_le64(r);
}

static void put_funding(struct buf *out, const struct paychan *c)
{
    buf_put(out, c->funding.txid.b, sizeof c->funding.txid.b);
    buf_put_le32(out, c->funding.index);
    buf_put_u8(out, (uint8_t)c->funded);
    buf_put_le32(out, c->funding_height);
    buf_put_le64(out, c->refund_fee);
}

static void get_funding(struct reader *r, struct paychan *c)
{
    read_copy(r, c->funding.txid.b, sizeof c->funding.txid.b);
    c->funding.index = read_le32(r);
    c->funded = read_u8(r);
    c->funding_height = read_le32(r);
    c->refund_fee = read_le64(r);
}

static void put_inputs(struct buf *out, const struct paychan *c)
{
    buf_put_u8(out, c->n_inputs);
    for (size_t i = 0; i < c->n_inputs; i++) {
        buf_put(out, c->inputs[i].txid.b, sizeof c->inputs[i].txid.b);
        buf_put_le32(out, c->inputs[i].index);
    }
}

static void get_inputs(struct reader *r, struct paychan *c)
{
    c->n_inputs = read_u8(r);
    r->failed |= c->n_inputs > PAYCHAN_INPUTS_MAX;
    for (size_t i = 0; !r->failed && i < c->n_inputs; i++) {
        read_copy(r, c->inputs[i].txid.b, sizeof c->inputs[i].txid.b);
        c->inputs[i].index = read_le32(r);
    }
}

static uint8_t flags_of(const struct paychan *c)
{
    return (uint8_t)((c->has_agreed ? FLAG_AGREED : 0) | (c->frozen ? FLAG_FROZEN : 0) |
                     (c->unsigned_yet ? FLAG_UNSIGNED : 0) |
                     (c->regained ? FLAG_REGAINED : 0));
}

void paychan_put_numbers(struct buf *out, const struct paychan *c)
{
    buf_put_le64(out, c->n);
    buf_put_le64(out, c->paid);
    buf_put(out, c->sig, sizeof c->sig);
}

static void get_numbers(struct reader *r, struct paychan *c)
{
    c->n = read_le64(r);
    c->paid = read_le64(r);
    read_copy(r, c->sig, sizeof c->sig);
}

void paychan_put_whole(struct buf *out, const struct paychan *c)
{
    buf_put_u8(out, PAYCHAN_RECORD_VERSION);
    buf_put_u8(out, (uint8_t)c->role);
    buf_put_u8(out, c->state);
    buf_put(out, c->id, sizeof c->id);
    buf_put(out, c->nonce_a, sizeof c->nonce_a);
    buf_put(out, c->nonce_b, sizeof c->nonce_b);
    put_terms(out, &c->terms);
    buf_put_u8(out, c->min_depth);
    buf_put_le16(out, c->close_margin);
    buf_put_le64(out, c->since);
    put_funding(out, c);
    paychan_put_numbers(out, c);
    buf_put_u8(out, flags_of(c));
    put_close(out, &c->agreed);
    buf_put(out, c->agreed_sig, sizeof c->agreed_sig);
    buf_put_u8(out, (uint8_t)c->spend);
    buf_put_le32(out, c->spend_height);
    put_close(out, &c->settled);
    buf_put_le32(out, c->signatures);
    put_inputs(out, c);
}

static bool is_plausible(const struct paychan *c, uint8_t flags)
{
    const unsigned last = c->role == PAYCHAN_PAYER ? P_REFUNDED : R_ABANDONED;
    return (c->role == PAYCHAN_PAYER || c->role == PAYCHAN_PAYEE) && c->state >= 1 &&
           c->state <= last && c->funded <= PAYCHAN_REPLACED && c->spend <= PAYCHAN_SPENT_OTHER &&
           flags <= FLAGS_ALL && c->terms.close_fee <= c->terms.capacity &&
           c->paid <= c->terms.capacity;
}

enum err paychan_get_whole(struct paychan *c, struct span in, struct error *e)
{
    struct reader r;
    reader_init(&r, in.data, in.len);
    *c = (struct paychan){ .n = 0 };
    const uint8_t version = read_u8(&r);
    if (!r.failed && version > PAYCHAN_RECORD_VERSION)
        return error_set(e, ERR_RANGE, "a payment channel was stored by a newer version");
    c->role = read_u8(&r);
    c->state = read_u8(&r);
    read_copy(&r, c->id, sizeof c->id);
    read_copy(&r, c->nonce_a, sizeof c->nonce_a);
    read_copy(&r, c->nonce_b, sizeof c->nonce_b);
    get_terms(&r, &c->terms);
    c->min_depth = read_u8(&r);
    c->close_margin = read_le16(&r);
    c->since = read_le64(&r);
    get_funding(&r, c);
    get_numbers(&r, c);
    const uint8_t flags = read_u8(&r);
    get_close(&r, &c->agreed);
    read_copy(&r, c->agreed_sig, sizeof c->agreed_sig);
    c->spend = read_u8(&r);
    c->spend_height = read_le32(&r);
    get_close(&r, &c->settled);
    c->signatures = read_le32(&r);
    if (version > 1)
        get_inputs(&r, c);
    c->has_agreed = flags & FLAG_AGREED;
    c->frozen = flags & FLAG_FROZEN;
    c->unsigned_yet = flags & FLAG_UNSIGNED;
    c->regained = flags & FLAG_REGAINED;
    if (version < 1 || !reader_done(&r) || !is_plausible(c, flags))
        return error_set(e, ERR_CORRUPT, "the record of a payment channel is damaged");
    return OK;
}

enum err paychan_get_numbers(struct paychan *c, struct span in, struct error *e)
{
    struct reader r;
    struct paychan next = *c;
    reader_init(&r, in.data, in.len);
    get_numbers(&r, &next);
    const bool older = next.n <= c->n && next.paid <= c->paid;
    if (!reader_done(&r) || (!older && (next.n < c->n || next.paid < c->paid)) ||
        next.paid > c->terms.capacity)
        return error_set(e, ERR_CORRUPT, "the numbers of a payment channel are damaged");
    next.regained = false;
    if (!older)
        *c = next;
    return OK;
}
