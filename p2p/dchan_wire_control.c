/* Codecs of the messages that concern the session itself and of the table of records. */
#include "base/ec.h"
#include "p2p/dchan_wire_internal.h"

bool dchan_notice_get(struct dchan_msg *m, struct reader *r)
{
    m->notice.code = read_be16(r);
    m->notice.text = read_v16(r, DCHAN_TEXT_MAX);
    return true;
}

void dchan_notice_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be16(b, m->notice.code);
    buf_put_v16(b, m->notice.text);
}

bool dchan_hello_get(struct dchan_msg *m, struct reader *r)
{
    return dchan_hello_read(&m->hello, r);
}

void dchan_hello_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_hello_write(b, &m->hello);
}

bool dchan_ping_get(struct dchan_msg *m, struct reader *r)
{
    m->ping.reply_len = read_be16(r);
    m->ping.pad = read_v16(r, UINT16_MAX);
    return true;
}

void dchan_ping_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be16(b, m->ping.reply_len);
    buf_put_v16(b, m->ping.pad);
}

bool dchan_pong_get(struct dchan_msg *m, struct reader *r)
{
    m->ping = (struct dchan_ping){ 0, read_v16(r, UINT16_MAX) };
    return true;
}

void dchan_pong_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_v16(b, m->ping.pad);
}

bool dchan_goaway_get(struct dchan_msg *m, struct reader *r)
{
    m->goaway.reason = read_be16(r);
    m->goaway.last_stream = read_be32(r);
    return true;
}

void dchan_goaway_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be16(b, m->goaway.reason);
    buf_put_be32(b, m->goaway.last_stream);
}

bool dchan_rv_get(struct dchan_msg *m, struct reader *r)
{
    read_copy(r, m->rv.key, sizeof m->rv.key);
    read_copy(r, m->rv.address, sizeof m->rv.address);
    m->rv.port = read_be16(r);
    m->rv.time_ms = read_be64(r);
    return ec_pubkey_valid(m->rv.key, sizeof m->rv.key);
}

void dchan_rv_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->rv.key, sizeof m->rv.key);
    buf_put(b, m->rv.address, sizeof m->rv.address);
    buf_put_be16(b, m->rv.port);
    buf_put_be64(b, m->rv.time_ms);
}

bool dchan_rekey_get(struct dchan_msg *m, struct reader *r)
{
    m->rekey_kind = read_u8(r);
    return m->rekey_kind == DCHAN_REKEY_HASH || m->rekey_kind == DCHAN_REKEY_DH;
}

void dchan_rekey_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_u8(b, m->rekey_kind);
}

/* bye has no fields. */
bool dchan_nothing_get(struct dchan_msg *m, struct reader *r)
{
    (void)m;
    (void)r;
    return true;
}

void dchan_nothing_put(struct buf *b, const struct dchan_msg *m)
{
    (void)b;
    (void)m;
}

bool dchan_successor_get(struct dchan_msg *m, struct reader *r)
{
    dchan_successor_read(r, &m->successor);
    return true;
}

void dchan_successor_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_successor_write(b, &m->successor);
}

bool dchan_bound_get(struct dchan_msg *m, struct reader *r)
{
    dchan_bound_read(r, &m->bound);
    return true;
}

void dchan_bound_put(struct buf *b, const struct dchan_msg *m)
{
    dchan_bound_write(b, &m->bound);
}

bool dchan_pad_get(struct dchan_msg *m, struct reader *r)
{
    const size_t n = r->left;
    m->pad = span_of(read_bytes(r, n), n);
    return true;
}

void dchan_pad_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->pad.data, m->pad.len);
}

bool dchan_ephemeral_get(struct dchan_msg *m, struct reader *r)
{
    read_copy(r, m->ephemeral, sizeof m->ephemeral);
    return ec_pubkey_valid(m->ephemeral, sizeof m->ephemeral);
}

void dchan_ephemeral_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put(b, m->ephemeral, sizeof m->ephemeral);
}

bool dchan_dht_find_get(struct dchan_msg *m, struct reader *r)
{
    m->dht_find.req = read_be32(r);
    m->dht_find.kind = read_u8(r);
    read_copy(r, m->dht_find.target, sizeof m->dht_find.target);
    return m->dht_find.kind <= 1;
}

void dchan_dht_find_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->dht_find.req);
    buf_put_u8(b, m->dht_find.kind);
    buf_put(b, m->dht_find.target, sizeof m->dht_find.target);
}

bool dchan_dht_found_get(struct dchan_msg *m, struct reader *r)
{
    m->dht_found.req = read_be32(r);
    m->dht_found.n = read_u8(r);
    if (m->dht_found.n > DCHAN_DHT_RECORDS_MAX)
        return false;
    for (size_t i = 0; i < m->dht_found.n; i++)
        m->dht_found.records[i] = read_v16(r, DCHAN_RECORD_MAX);
    return true;
}

void dchan_dht_found_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->dht_found.req);
    buf_put_u8(b, (uint8_t)m->dht_found.n);
    for (size_t i = 0; i < m->dht_found.n; i++)
        buf_put_v16(b, m->dht_found.records[i]);
}

bool dchan_dht_put_get(struct dchan_msg *m, struct reader *r)
{
    m->dht_put.req = read_be32(r);
    m->dht_put.kind = read_u8(r);
    m->dht_put.record = read_v16(r, DCHAN_RECORD_MAX);
    return m->dht_put.kind <= 1;
}

void dchan_dht_put_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->dht_put.req);
    buf_put_u8(b, m->dht_put.kind);
    buf_put_v16(b, m->dht_put.record);
}

bool dchan_dht_put_ok_get(struct dchan_msg *m, struct reader *r)
{
    m->dht_put_ok.req = read_be32(r);
    m->dht_put_ok.status = read_u8(r);
    return true;
}

void dchan_dht_put_ok_put(struct buf *b, const struct dchan_msg *m)
{
    buf_put_be32(b, m->dht_put_ok.req);
    buf_put_u8(b, m->dht_put_ok.status);
}
