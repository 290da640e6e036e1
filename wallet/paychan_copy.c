#include "wallet/paychan_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TYPE 1

const struct state_file_kind paychan_saved_kind = { "pchn", 1 };

void paychan_put_copy(struct buf *out, const struct paychan *c)
{
    const struct paychan_terms *t = &c->terms;
    buf_put_be16(out, TYPE);
    buf_put(out, t->payer_key, sizeof t->payer_key);
    buf_put(out, t->payee_key, sizeof t->payee_key);
    buf_put_be32(out, t->expiry);
    buf_put_be64(out, t->capacity);
    buf_put(out, c->funding.txid.b, sizeof c->funding.txid.b);
    buf_put_be32(out, c->funding.index);
    buf_put_be32(out, (uint32_t)t->close_fee);
    buf_put(out, t->payer_pkh, sizeof t->payer_pkh);
    buf_put(out, t->payee_pkh, sizeof t->payee_pkh);
    buf_put(out, c->nonce_a, sizeof c->nonce_a);
    buf_put(out, c->nonce_b, sizeof c->nonce_b);
}

static bool is_possible(const struct paychan_terms *t)
{
    return t->capacity <= INT64_MAX && t->close_fee <= t->capacity && t->expiry > 0 &&
           t->expiry <= PAYCHAN_EXPIRY_MAX && ec_pubkey_valid(t->payer_key, EC_PUBKEY_SIZE) &&
           ec_pubkey_valid(t->payee_key, EC_PUBKEY_SIZE) &&
           memcmp(t->payer_key, t->payee_key, EC_PUBKEY_SIZE) != 0;
}

enum err paychan_get_copy(struct paychan *c, struct span in, struct error *e)
{
    struct paychan_terms *t = &c->terms;
    struct reader r;
    reader_init(&r, in.data, in.len);
    const uint16_t type = read_be16(&r);
    read_copy(&r, t->payer_key, sizeof t->payer_key);
    read_copy(&r, t->payee_key, sizeof t->payee_key);
    t->expiry = read_be32(&r);
    t->capacity = read_be64(&r);
    read_copy(&r, c->funding.txid.b, sizeof c->funding.txid.b);
    c->funding.index = read_be32(&r);
    t->close_fee = read_be32(&r);
    read_copy(&r, t->payer_pkh, sizeof t->payer_pkh);
    read_copy(&r, t->payee_pkh, sizeof t->payee_pkh);
    read_copy(&r, c->nonce_a, sizeof c->nonce_a);
    read_copy(&r, c->nonce_b, sizeof c->nonce_b);
    if (!reader_done(&r) || type != TYPE || !is_possible(t))
        return error_set(e, ERR_PARSE, "this is no copy of a channel");
    return OK;
}

bool paychan_saved_fits(const struct paychan_saved *s, const struct paychan *c)
{
    const bool payer = s->role == PAYCHAN_PAYER;
    uint8_t id[PAYCHAN_ID_SIZE];
    paychan_make_id(id, payer ? s->ours : s->theirs, payer ? s->theirs : s->ours, c->nonce_a,
                    c->nonce_b);
    return memcmp(id, s->id, sizeof id) == 0;
}

void paychan_put_saved(struct buf *out, const struct paychan_saved *s)
{
    buf_put(out, s->id, sizeof s->id);
    buf_put_u8(out, (uint8_t)s->role);
    buf_put(out, s->ours, sizeof s->ours);
    buf_put(out, s->theirs, sizeof s->theirs);
    buf_put(out, s->copy, sizeof s->copy);
}

static void get_one(struct reader *r, struct paychan_saved *s)
{
    read_copy(r, s->id, sizeof s->id);
    s->role = read_u8(r);
    read_copy(r, s->ours, sizeof s->ours);
    read_copy(r, s->theirs, sizeof s->theirs);
    read_copy(r, s->copy, sizeof s->copy);
    r->failed |= s->role != PAYCHAN_PAYER && s->role != PAYCHAN_PAYEE;
}

enum err paychan_get_saved(struct reader *r, struct paychan_saved **v, size_t *n, struct error *e)
{
    const uint32_t count = read_le32(r);
    *v = NULL;
    *n = 0;
    if (r->failed || count > PAYCHAN_SAVED_MAX || r->left != (size_t)count * PAYCHAN_SAVED_SIZE)
        return error_set(e, ERR_CORRUPT, "its length does not fit the number of channels");
    *v = xcalloc((size_t)count + 1, sizeof **v);
    for (*n = 0; *n < count; ++*n)
        get_one(r, &(*v)[*n]);
    if (reader_done(r))
        return OK;
    free(*v);
    *v = NULL;
    *n = 0;
    return error_set(e, ERR_CORRUPT, "a channel of it has no role");
}
