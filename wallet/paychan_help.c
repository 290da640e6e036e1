#include "wallet/paychan_help.h"

#include <string.h>

void paychan_put_help(struct buf *out, const struct paychan_help *h)
{
    buf_put(out, h->id, sizeof h->id);
    buf_put_u8(out, (uint8_t)h->role);
    buf_put(out, h->copy, sizeof h->copy);
    buf_put_be64(out, h->n);
    buf_put_be64(out, h->paid);
    buf_put_be32(out, (uint32_t)h->close_fee);
    buf_put(out, h->sig, sizeof h->sig);
    buf_put_be16(out, (uint16_t)h->tx.len);
    buf_put(out, h->tx.data, h->tx.len);
}

enum err paychan_get_help(struct paychan_help *h, struct span in, struct error *e)
{
    struct reader r;
    reader_init(&r, in.data, in.len);
    *h = (struct paychan_help){ .n = 0 };
    read_copy(&r, h->id, sizeof h->id);
    h->role = read_u8(&r);
    read_copy(&r, h->copy, sizeof h->copy);
    h->n = read_be64(&r);
    h->paid = read_be64(&r);
    h->close_fee = read_be32(&r);
    read_copy(&r, h->sig, sizeof h->sig);
    const size_t len = read_be16(&r);
    h->tx = span_of(read_bytes(&r, len), len);
    if (!reader_done(&r) || len > PAYCHAN_HELP_TX_MAX ||
        (h->role != PAYCHAN_PAYER && h->role != PAYCHAN_PAYEE) ||
        (h->role == PAYCHAN_PAYER && len))
        return error_set(e, ERR_PARSE, "this is no state of a channel");
    return OK;
}

bool paychan_help_asks(const struct paychan_help *h) { return h->n == 0 && h->tx.len == 0; }

static bool is_close_of(const struct paychan_help *h, const struct paychan *c, const struct tx *tx)
{
    struct paychan_close close;
    return paychan_read_close(tx, &c->terms, &c->funding, &close) && close.paid == h->paid &&
           close.fee == h->close_fee &&
           paychan_close_verify(h->sig, &c->terms, &c->funding, &close);
}

enum err paychan_check_help(const struct paychan_help *h, struct paychan *c, struct tx **tx,
                            struct error *e)
{
    *tx = NULL;
    const enum err rc = paychan_get_copy(c, span_of(h->copy, sizeof h->copy), e);
    if (rc)
        return rc;
    c->role = h->role;
    if (h->role == PAYCHAN_PAYER)
        return OK;
    *tx = tx_new(h->tx.data, h->tx.len, NULL);
    if (*tx && is_close_of(h, c, *tx))
        return OK;
    tx_unref(*tx);
    *tx = NULL;
    return error_set(e, ERR_PARSE, "the close is not that of the state, or the payer did not sign "
                     "it");
}
