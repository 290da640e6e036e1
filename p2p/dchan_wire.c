#include "p2p/dchan_wire.h"

#include "base/intmath.h"
#include "p2p/dchan_wire_internal.h"

#define ROW(number, text, codec, of, how) \
    { .type = number, .name = text, .read = dchan_##codec##_get, .write = dchan_##codec##_put, \
      .feature = of, .rules = how }
#define NO_FEATURE DCHAN_FEATURE_NONE

static const struct dchan_row rows[] = {
    ROW(DCHAN_WARNING, "warning", notice, NO_FEATURE, 0),
    ROW(DCHAN_HELLO, "hello", hello, NO_FEATURE, DCHAN_BEFORE_UP),
    ROW(DCHAN_ERROR, "error", notice, NO_FEATURE, DCHAN_BEFORE_UP),
    ROW(DCHAN_PING, "ping", ping, NO_FEATURE, DCHAN_BEFORE_UP),
    ROW(DCHAN_PONG, "pong", pong, NO_FEATURE, DCHAN_BEFORE_UP),
    ROW(DCHAN_GOAWAY, "goaway", goaway, NO_FEATURE, DCHAN_BEFORE_UP),
    ROW(DCHAN_RV, "rv", rv, NO_FEATURE, 0),
    ROW(DCHAN_REKEY, "rekey", rekey, NO_FEATURE, 0),
    ROW(DCHAN_BYE, "bye", nothing, NO_FEATURE, 0),
    ROW(DCHAN_SUCCESSOR, "successor", successor, NO_FEATURE, 0),
    ROW(DCHAN_BOUND_MSG, "bound", bound, NO_FEATURE, DCHAN_BEFORE_UP),
    ROW(DCHAN_PAD, "pad", pad, NO_FEATURE, DCHAN_RUNS_TO_END),
    ROW(DCHAN_DH_OFFER, "dh_offer", ephemeral, DCHAN_DH_REKEY, 0),
    ROW(DCHAN_DH_ANSWER, "dh_answer", ephemeral, DCHAN_DH_REKEY, 0),
    ROW(DCHAN_DHT_FIND, "dht_find", dht_find, DCHAN_DHT, 0),
    ROW(DCHAN_DHT_FOUND, "dht_found", dht_found, DCHAN_DHT, 0),
    ROW(DCHAN_DHT_PUT, "dht_put", dht_put, NO_FEATURE, 0),
    ROW(DCHAN_DHT_PUT_OK, "dht_put_ok", dht_put_ok, NO_FEATURE, 0),
    ROW(DCHAN_S_OPEN, "s_open", s_open, DCHAN_STREAMS, 0),
    ROW(DCHAN_S_ACCEPT, "s_accept", s_accept, DCHAN_STREAMS, 0),
    ROW(DCHAN_S_DATA, "s_data", s_data, DCHAN_STREAMS, DCHAN_RUNS_TO_END),
    ROW(DCHAN_S_WINDOW, "s_window", s_window, DCHAN_STREAMS, 0),
    ROW(DCHAN_S_FIN, "s_fin", s_fin, DCHAN_STREAMS, 0),
    ROW(DCHAN_S_RESET, "s_reset", s_reset, DCHAN_STREAMS, 0),
    ROW(DCHAN_DGRAM_MSG, "dgram", dgram, DCHAN_DGRAM, DCHAN_RUNS_TO_END),
    { DCHAN_M_SEND, "m_send", dchan_m_send_get, dchan_m_send_put, dchan_m_send_tlv, NULL,
      DCHAN_MESSAGES, 0 },
    ROW(DCHAN_M_ACK, "m_ack", m_ack, DCHAN_MESSAGES, 0),
    ROW(DCHAN_M_NACK, "m_nack", m_nack, DCHAN_MESSAGES, 0),
    ROW(DCHAN_M_READ, "m_read", m_read, DCHAN_MESSAGES, 0),
    { DCHAN_F_OFFER, "f_offer", dchan_f_offer_get, dchan_f_offer_put, dchan_f_offer_tlv, NULL,
      DCHAN_FILES, 0 },
    ROW(DCHAN_F_ACCEPT, "f_accept", f_id, DCHAN_FILES, 0),
    ROW(DCHAN_F_CANCEL, "f_cancel", f_cancel, DCHAN_FILES, 0),
    ROW(DCHAN_F_DONE, "f_done", f_id, DCHAN_FILES, 0),
    ROW(DCHAN_CHAN_OPEN, "chan_open", chan_open, DCHAN_PAYMENTS, 0),
    ROW(DCHAN_CHAN_ACCEPT, "chan_accept", chan_accept, DCHAN_PAYMENTS, 0),
    ROW(DCHAN_CHAN_FUNDED, "chan_funded", chan_funded, DCHAN_PAYMENTS, 0),
    { DCHAN_CHAN_READY, "chan_ready", dchan_chan_ready_get, dchan_chan_ready_put,
      dchan_chan_ready_tlv, NULL, DCHAN_PAYMENTS, 0 },
    ROW(DCHAN_CHAN_PAY, "chan_pay", chan_pay, DCHAN_PAYMENTS, 0),
    ROW(DCHAN_CHAN_ACK, "chan_ack", chan_ack, DCHAN_PAYMENTS, 0),
    ROW(DCHAN_CHAN_CLOSE, "chan_close", chan_close, DCHAN_PAYMENTS, 0),
    ROW(DCHAN_CHAN_CLOSED, "chan_closed", chan_closed, DCHAN_PAYMENTS, 0),
    { DCHAN_CHAN_SYNC, "chan_sync", dchan_chan_sync_get, dchan_chan_sync_put, dchan_chan_sync_tlv,
      NULL, DCHAN_PAYMENTS, 0 },
    ROW(DCHAN_CHAN_FAIL, "chan_fail", chan_fail, DCHAN_PAYMENTS, 0),
    ROW(DCHAN_P_REQUEST, "p_request", p_request, DCHAN_PAYMENTS, 0),
    { DCHAN_P_TX, "p_tx", dchan_p_tx_get, dchan_p_tx_put, dchan_p_tx_tlv, dchan_p_tx_end,
      DCHAN_PAYMENTS, 0 },
    ROW(DCHAN_P_RESULT, "p_result", p_result, DCHAN_PAYMENTS, 0),
};

const struct dchan_row *dchan_rows(size_t *n)
{
    *n = COUNT_OF(rows);
    return rows;
}

const struct dchan_row *dchan_row_find(uint16_t type)
{
    size_t from = 0, to = COUNT_OF(rows);
    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        if (rows[mid].type == type)
            return &rows[mid];
        if (rows[mid].type < type)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

/* What stands behind the last field (4.1). */
static bool read_tlvs(const struct dchan_row *row, struct dchan_msg *m, struct reader *r)
{
    struct tlv_reader stream;
    struct tlv t;
    uint32_t seen = 0;
    tlv_reader_init(&stream, span_of(r->p, r->left));
    while (tlv_next(&stream, &t)) {
        const enum dchan_tlv what = row->tlv ? row->tlv(m, &t) : DCHAN_TLV_UNKNOWN;
        if (what == DCHAN_TLV_BAD)
            return false;
        if (what == DCHAN_TLV_UNKNOWN)
            tlv_skip(&stream, &t);
        else if (t.type < 32)
            seen |= UINT32_C(1) << t.type;
    }
    return !stream.r.failed && (!row->end || row->end(m, seen));
}

enum dchan_read dchan_msg_read(struct dchan_msg *m, struct span raw,
                               const struct dchan_features *ours)
{
    struct reader r;
    reader_init(&r, raw.data, raw.len);
    m->type = read_be16(&r);
    if (r.failed)
        return DCHAN_READ_MALFORMED;
    const struct dchan_row *row = dchan_row_find(m->type);
    if (!row || !dchan_offers(ours, row->feature))
        return m->type % 2 ? DCHAN_READ_IGNORE : DCHAN_READ_UNKNOWN;
    if (!row->read(m, &r) || r.failed || !read_tlvs(row, m, &r))
        return DCHAN_READ_MALFORMED;
    return DCHAN_READ_OK;
}

void dchan_msg_write(struct buf *b, const struct dchan_msg *m)
{
    const struct dchan_row *row = dchan_row_find(m->type);
    BUG_ON(!row);
    buf_put_be16(b, m->type);
    row->write(b, m);
}

bool dchan_msg_may_send(uint16_t type, const struct dchan_features *theirs)
{
    const struct dchan_row *row = dchan_row_find(type);
    return row && dchan_offers(theirs, row->feature);
}
