#include "node/event_record.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/ids.h"
#include "base/intmath.h"
#include "base/reader.h"

static const struct event_row rows[] = {
    { LOGGED_START, "start", { { "hash", FIELD_HASH }, { "height", FIELD_NUMBER } },
      TOLD_NOWHERE },
    { LOGGED_BLOCK_CONNECTED, "block_connected",
      { { "hash", FIELD_HASH }, { "previous", FIELD_OPTIONAL_HASH }, { "height", FIELD_NUMBER },
        { "txs", FIELD_NUMBER }, { "size", FIELD_NUMBER }, { "blocktime", FIELD_NUMBER } },
      TOLD_NOWHERE },
    { LOGGED_BLOCK_DISCONNECTED, "block_disconnected",
      { { "hash", FIELD_HASH }, { "previous", FIELD_OPTIONAL_HASH }, { "height", FIELD_NUMBER } },
      TOLD_NOWHERE },
    { LOGGED_TX_ACCEPTED, "tx_accepted",
      { { "txid", FIELD_HASH }, { "size", FIELD_NUMBER }, { "fee", FIELD_AMOUNT } },
      TOLD_NOWHERE },
    { LOGGED_TX_REMOVED, "tx_removed",
      { { "txid", FIELD_HASH }, { "reason", FIELD_TEXT }, { "conflict", FIELD_OPTIONAL_HASH },
        { "block", FIELD_OPTIONAL_HASH } },
      TOLD_NOWHERE },
    { LOGGED_MESSAGE_RECEIVED, "message_received",
      { { "entry", FIELD_NUMBER }, { "message", FIELD_NUMBER }, { "id", FIELD_ID },
        { "key", FIELD_KEY } },
      TOLD_MESSAGES },
    { LOGGED_MESSAGE_DELIVERED, "message_delivered",
      { { "entry", FIELD_NUMBER }, { "message", FIELD_NUMBER }, { "id", FIELD_ID },
        { "key", FIELD_KEY } },
      TOLD_MESSAGES },
    { LOGGED_MESSAGE_FAILED, "message_failed",
      { { "entry", FIELD_NUMBER }, { "message", FIELD_NUMBER }, { "id", FIELD_ID },
        { "key", FIELD_KEY }, { "reason", FIELD_TEXT } },
      TOLD_MESSAGES },
    { LOGGED_FILE_OFFERED, "file_offered",
      { { "entry", FIELD_NUMBER }, { "file", FIELD_FILE }, { "key", FIELD_KEY },
        { "size", FIELD_NUMBER }, { "name", FIELD_TEXT } },
      TOLD_FILES },
    { LOGGED_FILE_RECEIVED, "file_received",
      { { "entry", FIELD_NUMBER }, { "file", FIELD_FILE }, { "key", FIELD_KEY },
        { "size", FIELD_NUMBER }, { "name", FIELD_TEXT } },
      TOLD_FILES },
    { LOGGED_SESSION_UP, "session_up",
      { { "key", FIELD_KEY }, { "identity", FIELD_TEXT }, { "address", FIELD_TEXT } },
      TOLD_NOWHERE },
    { LOGGED_CONTACT_SUCCESSOR, "contact_successor",
      { { "key", FIELD_KEY }, { "successor", FIELD_KEY }, { "state", FIELD_TEXT } },
      TOLD_NOWHERE },
    { LOGGED_PAYCHAN_OPENED, "channel_opened",
      { { "channel", FIELD_FILE }, { "key", FIELD_KEY }, { "role", FIELD_TEXT },
        { "satoshis", FIELD_NUMBER } },
      TOLD_NOWHERE },
    { LOGGED_PAYMENT_UNNUMBERED, "payment_received",
      { { "channel", FIELD_FILE }, { "key", FIELD_KEY }, { "satoshis", FIELD_NUMBER },
        { "paid", FIELD_NUMBER }, { "n", FIELD_NUMBER } },
      TOLD_NOWHERE },
    { LOGGED_PAYMENT_RECEIVED, "payment_received",
      { { "entry", FIELD_NUMBER }, { "channel", FIELD_FILE }, { "key", FIELD_KEY },
        { "satoshis", FIELD_NUMBER }, { "paid", FIELD_NUMBER }, { "n", FIELD_NUMBER },
        { "ref", FIELD_TEXT } },
      TOLD_PAYCHANS },
    { LOGGED_PAYCHAN_CLOSING, "channel_closing",
      { { "channel", FIELD_FILE }, { "key", FIELD_KEY }, { "role", FIELD_TEXT },
        { "paid", FIELD_NUMBER } },
      TOLD_NOWHERE },
    { LOGGED_PAYCHAN_CLOSED, "channel_closed",
      { { "channel", FIELD_FILE }, { "key", FIELD_KEY }, { "role", FIELD_TEXT },
        { "paid", FIELD_NUMBER } },
      TOLD_NOWHERE },
    { LOGGED_PAYCHAN_ALARM, "channel_alarm",
      { { "channel", FIELD_FILE }, { "key", FIELD_KEY }, { "text", FIELD_TEXT } },
      TOLD_NOWHERE },
    { LOGGED_PAYTX_REQUESTED, "payment_requested",
      { { "id", FIELD_ID }, { "key", FIELD_KEY }, { "satoshis", FIELD_NUMBER },
        { "memo", FIELD_TEXT } },
      TOLD_NOWHERE },
    { LOGGED_PAYTX_RECEIVED, "payment_received",
      { { "id", FIELD_ID }, { "key", FIELD_KEY }, { "satoshis", FIELD_NUMBER },
        { "txid", FIELD_HASH } },
      TOLD_NOWHERE },
    { LOGGED_PAYTX_SENT, "payment_sent",
      { { "id", FIELD_ID }, { "key", FIELD_KEY }, { "satoshis", FIELD_NUMBER },
        { "txid", FIELD_HASH } },
      TOLD_NOWHERE },
    { LOGGED_PAYTX_FAILED, "payment_failed",
      { { "id", FIELD_ID }, { "key", FIELD_KEY }, { "satoshis", FIELD_NUMBER },
        { "reason", FIELD_TEXT } },
      TOLD_NOWHERE },
    { LOGGED_SESSION_DOWN, "session_down",
      { { "key", FIELD_KEY }, { "identity", FIELD_TEXT }, { "reason", FIELD_TEXT } },
      TOLD_NOWHERE },
};

const struct event_row *event_row_find(unsigned type)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if ((unsigned)rows[i].type == type)
            return &rows[i];
    return NULL;
}

/* --- on disk -------------------------------------------------------------------------------- */

static uint32_t checksum(const void *data, size_t len)
{
    static const struct siphash_key key = { 0, 0 };
    return (uint32_t)siphash(&key, data, len);
}

static void write_value(struct buf *b, enum event_field_kind kind, const union event_value *v)
{
    size_t len;
    switch (kind) {
    case FIELD_NONE:
        return;
    case FIELD_HASH:
    case FIELD_OPTIONAL_HASH:
        buf_put(b, v->hash, sizeof v->hash);
        return;
    case FIELD_NUMBER:
    case FIELD_AMOUNT:
        buf_put_le64(b, (uint64_t)v->number);
        return;
    case FIELD_TEXT:
        len = strnlen(v->text, EVENT_TEXT_MAX - 1);
        buf_put_u8(b, (uint8_t)len);
        buf_put(b, v->text, len);
        return;
    case FIELD_KEY:
        buf_put(b, v->key, sizeof v->key);
        return;
    case FIELD_ID:
        buf_put(b, v->id, sizeof v->id);
        return;
    case FIELD_FILE:
        buf_put(b, v->file, sizeof v->file);
        return;
    }
}

void event_record_write(struct buf *b, const struct event_record *r)
{
    const struct event_row *row = event_row_find(r->type);
    BUG_ON(!row);
    size_t start = b->len;
    buf_put_le64(b, 0); /* frame, filled below */
    buf_put_u8(b, (uint8_t)r->type);
    buf_put_le64(b, r->number);
    buf_put_le64(b, (uint64_t)r->time_ms);
    for (size_t i = 0; row->fields[i].kind != FIELD_NONE; i++)
        write_value(b, row->fields[i].kind, &r->v[i]);
    size_t len = b->len - start - EVENT_FRAME_SIZE;
    le32_put(b->data + start, (uint32_t)len);
    le32_put(b->data + start + 4, checksum(b->data + start + EVENT_FRAME_SIZE, len));
}

static void read_text(struct reader *r, char out[EVENT_TEXT_MAX])
{
    size_t len = read_u8(r);
    const uint8_t *text = len < EVENT_TEXT_MAX ? read_bytes(r, len) : NULL;
    r->failed |= len >= EVENT_TEXT_MAX || (text && memchr(text, 0, len));
    if (!r->failed && len)
        memcpy(out, text, len);
    out[r->failed ? 0 : len] = 0;
}

static void read_value(struct reader *r, enum event_field_kind kind, union event_value *v)
{
    switch (kind) {
    case FIELD_NONE:
        return;
    case FIELD_HASH:
    case FIELD_OPTIONAL_HASH:
        read_copy(r, v->hash, sizeof v->hash);
        return;
    case FIELD_NUMBER:
    case FIELD_AMOUNT:
        v->number = (int64_t)read_le64(r);
        return;
    case FIELD_TEXT:
        read_text(r, v->text);
        return;
    case FIELD_KEY:
        read_copy(r, v->key, sizeof v->key);
        return;
    case FIELD_ID:
        read_copy(r, v->id, sizeof v->id);
        return;
    case FIELD_FILE:
        read_copy(r, v->file, sizeof v->file);
        return;
    }
}

static bool read_content(struct reader *in, struct event_record *r)
{
    const struct event_row *row = event_row_find(read_u8(in));
    if (!row)
        return false;
    memset(r, 0, sizeof *r);
    r->type = row->type;
    r->number = read_le64(in);
    r->time_ms = (int64_t)read_le64(in);
    for (size_t i = 0; row->fields[i].kind != FIELD_NONE; i++)
        read_value(in, row->fields[i].kind, &r->v[i]);
    return reader_done(in);
}

enum event_read event_record_read(const void *data, size_t len, struct event_record *r,
                                  size_t *used)
{
    const uint8_t *p = data;
    struct reader in;
    if (len < EVENT_FRAME_SIZE)
        return EVENT_INCOMPLETE;
    size_t size = le32_get(p);
    if (size == 0 || size > EVENT_RECORD_MAX - EVENT_FRAME_SIZE)
        return EVENT_DAMAGED;
    if (len - EVENT_FRAME_SIZE < size)
        return EVENT_INCOMPLETE;
    if (checksum(p + EVENT_FRAME_SIZE, size) != le32_get(p + 4))
        return EVENT_DAMAGED;
    reader_init(&in, p + EVENT_FRAME_SIZE, size);
    if (!read_content(&in, r))
        return EVENT_DAMAGED;
    *used = EVENT_FRAME_SIZE + size;
    return EVENT_READ;
}

/* --- JSON ----------------------------------------------------------------------------------- */

/* Seconds with three decimals, without a detour over floating point. */
static void put_time(struct json_writer *w, int64_t ms)
{
    char text[40];
    uint64_t magnitude = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    int n = snprintf(text, sizeof text, "%s%llu.%03llu", ms < 0 ? "-" : "",
                     (unsigned long long)(magnitude / 1000),
                     (unsigned long long)(magnitude % 1000));
    jw_key(w, "time");
    jw_json(w, text, (size_t)n);
}

static void put_field(struct json_writer *w, const struct event_field *f,
                      const union event_value *v)
{
    switch (f->kind) {
    case FIELD_NONE:
        return;
    case FIELD_OPTIONAL_HASH:
        if (hash_is_zero(v->hash))
            return;
        jw_put_hash(w, f->name, v->hash);
        return;
    case FIELD_HASH:
        jw_put_hash(w, f->name, v->hash);
        return;
    case FIELD_NUMBER:
        jw_put_i64(w, f->name, v->number);
        return;
    case FIELD_AMOUNT:
        jw_put_amount(w, f->name, v->number);
        return;
    case FIELD_TEXT:
        jw_put_text(w, f->name, v->text);
        return;
    case FIELD_KEY:
        jw_put_hex(w, f->name, v->key, sizeof v->key);
        return;
    case FIELD_ID:
        jw_put_hex(w, f->name, v->id, sizeof v->id);
        return;
    case FIELD_FILE:
        jw_put_hex(w, f->name, v->file, sizeof v->file);
        return;
    }
}

void event_record_json(struct json_writer *w, const struct event_record *r)
{
    const struct event_row *row = event_row_find(r->type);
    BUG_ON(!row);
    jw_object_open(w);
    jw_put_u64(w, "number", r->number);
    put_time(w, r->time_ms);
    jw_put_text(w, "type", row->name);
    for (size_t i = 0; row->fields[i].kind != FIELD_NONE; i++)
        put_field(w, &row->fields[i], &r->v[i]);
    jw_object_close(w);
}
