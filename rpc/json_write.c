/*
 * Text goes straight into the buffer; after each value the buffer is handed on when it has grown
 * past JW_FLUSH_BYTES. Long hex strings are cut into pieces so that they keep to that bound too.
 */
#include "rpc/json_write.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/ids.h"
#include "base/utf8.h"

#define SATOSHIS_PER_COIN UINT64_C(100000000)

void jw_init(struct json_writer *w, struct buf *out, jw_sink_fn sink, void *sink_ctx)
{
    *w = (struct json_writer){ .out = out, .sink = sink, .sink_ctx = sink_ctx };
}

void jw_flush(struct json_writer *w)
{
    if (!w->sink || !w->out->len)
        return;
    if (!w->failed)
        w->failed = w->sink(w->sink_ctx, w->out->data, w->out->len);
    w->flushed += w->out->len;
    buf_reset(w->out);
}

static void flush_if_full(struct json_writer *w)
{
    if (w->out->len >= JW_FLUSH_BYTES)
        jw_flush(w);
}

struct jw_mark jw_mark(const struct json_writer *w)
{
    return (struct jw_mark){ w->flushed + w->out->len, w->depth, w->need_comma };
}

bool jw_rewind(struct json_writer *w, const struct jw_mark *m)
{
    if (m->position < w->flushed)
        return false;
    buf_truncate(w->out, (size_t)(m->position - w->flushed));
    w->depth = m->depth;
    w->need_comma = m->need_comma;
    return true;
}

static void value_begin(struct json_writer *w)
{
    if (w->need_comma)
        buf_put_u8(w->out, ',');
    w->need_comma = true;
}

static void open_with(struct json_writer *w, char bracket)
{
    value_begin(w);
    buf_put_u8(w->out, (uint8_t)bracket);
    BUG_ON(++w->depth > JW_DEPTH);
    w->need_comma = false;
}

static void close_with(struct json_writer *w, char bracket)
{
    BUG_ON(w->depth == 0);
    w->depth--;
    buf_put_u8(w->out, (uint8_t)bracket);
    w->need_comma = true;
    flush_if_full(w);
}

void jw_object_open(struct json_writer *w) { open_with(w, '{'); }
void jw_object_close(struct json_writer *w) { close_with(w, '}'); }
void jw_array_open(struct json_writer *w) { open_with(w, '['); }
void jw_array_close(struct json_writer *w) { close_with(w, ']'); }

static void put_escaped(struct buf *out, uint8_t c)
{
    static const char short_form[] = "btn?fr"; /* 8 to 13; 11 has none */
    if (c == '"' || c == '\\')
        buf_printf(out, "\\%c", c);
    else if (c >= 8 && c <= 13 && c != 11)
        buf_printf(out, "\\%c", short_form[c - 8]);
    else
        buf_printf(out, "\\u%04x", c);
}

static bool is_plain(uint8_t c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_plain(*p))
        p++;
    return p;
}

/* Text that needs no escape. */
static void put_quoted_plain(struct buf *out, const void *text, size_t len)
{
    uint8_t *p = buf_extend(out, len + 2);
    p[0] = '"';
    if (len) /* an empty text may come without an address */
        memcpy(p + 1, text, len);
    p[len + 1] = '"';
}

static void put_quoted(struct buf *out, const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + len;
    if (skip_plain(p, end) == end) {
        put_quoted_plain(out, p, len);
        return;
    }
    buf_put_u8(out, '"');
    while (p < end) {
        const uint8_t *run = p;
        p = skip_plain(p, end);
        buf_put(out, run, (size_t)(p - run));
        if (p == end)
            break;
        if (*p < 0x80) {
            put_escaped(out, *p++);
            continue;
        }
        size_t n = utf8_sequence(p, (size_t)(end - p));
        if (n)
            buf_put(out, p, n);
        else
            buf_put_str(out, "\xef\xbf\xbd");
        p += n ? n : 1;
    }
    buf_put_u8(out, '"');
}

void jw_key(struct json_writer *w, const char *name)
{
    value_begin(w);
    put_quoted(w->out, name, strlen(name));
    buf_put_u8(w->out, ':');
    w->need_comma = false;
}

void jw_text_n(struct json_writer *w, const char *text, size_t len)
{
    value_begin(w);
    put_quoted(w->out, text, len);
    flush_if_full(w);
}

void jw_text(struct json_writer *w, const char *text) { jw_text_n(w, text, strlen(text)); }

void jw_plain(struct json_writer *w, const char *text, size_t len)
{
    value_begin(w);
    put_quoted_plain(w->out, text, len);
    flush_if_full(w);
}

static void put_plain(struct json_writer *w, const char *text)
{
    value_begin(w);
    buf_put_str(w->out, text);
    flush_if_full(w);
}

void jw_null(struct json_writer *w) { put_plain(w, "null"); }
void jw_bool(struct json_writer *w, bool v) { put_plain(w, v ? "true" : "false"); }

/* Decimal digits of v before `end`; returns where they begin. */
static char *digits_before(char *end, uint64_t v)
{
    do
        *--end = (char)('0' + v % 10);
    while (v /= 10);
    return end;
}

void jw_u64(struct json_writer *w, uint64_t v)
{
    char text[24], *end = text + sizeof text - 1;
    *end = 0;
    put_plain(w, digits_before(end, v));
}

void jw_i64(struct json_writer *w, int64_t v)
{
    char text[24], *end = text + sizeof text - 1;
    *end = 0;
    char *p = digits_before(end, v < 0 ? -(uint64_t)v : (uint64_t)v);
    if (v < 0)
        *--p = '-';
    put_plain(w, p);
}

void jw_double(struct json_writer *w, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.16g", isfinite(v) ? v : 0.0);
    put_plain(w, text);
}

/* One digit more than the eight decimals makes their leading zeros; the point takes its place. */
static void put_amount(struct json_writer *w, int64_t satoshis, size_t least_decimals)
{
    char text[32], *end = text + sizeof text - 1, *point = end - 9;
    uint64_t v = satoshis < 0 ? -(uint64_t)satoshis : (uint64_t)satoshis;
    digits_before(end, SATOSHIS_PER_COIN + v % SATOSHIS_PER_COIN);
    *point = '.';
    char *start = digits_before(point, v / SATOSHIS_PER_COIN);
    if (satoshis < 0)
        *--start = '-';
    while (end > point + 1 + least_decimals && end[-1] == '0')
        end--;
    *end = 0;
    put_plain(w, start);
}

void jw_amount(struct json_writer *w, int64_t satoshis) { put_amount(w, satoshis, 8); }
void jw_amount_trimmed(struct json_writer *w, int64_t satoshis) { put_amount(w, satoshis, 2); }

void jw_hex_open(struct json_writer *w)
{
    value_begin(w);
    buf_put_u8(w->out, '"');
}

void jw_hex_add(struct json_writer *w, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len) {
        size_t n = len < JW_FLUSH_BYTES / 2 ? len : JW_FLUSH_BYTES / 2;
        buf_put_hex(w->out, p, n);
        p += n;
        len -= n;
        flush_if_full(w);
    }
}

void jw_hex_close(struct json_writer *w)
{
    buf_put_u8(w->out, '"');
    flush_if_full(w);
}

void jw_hex(struct json_writer *w, const void *data, size_t len)
{
    jw_hex_open(w);
    jw_hex_add(w, data, len);
    jw_hex_close(w);
}

void jw_hash(struct json_writer *w, const uint8_t hash[32])
{
    char hex[HASH_HEX_SIZE];
    jw_plain(w, hash_to_hex(hex, hash), HASH_HEX_SIZE - 1);
}

void jw_hex_u32(struct json_writer *w, uint32_t v)
{
    uint8_t bytes[4];
    be32_put(bytes, v);
    jw_hex(w, bytes, sizeof bytes);
}

void jw_hex_u64(struct json_writer *w, uint64_t v)
{
    uint8_t bytes[8];
    be64_put(bytes, v);
    jw_hex(w, bytes, sizeof bytes);
}

void jw_json(struct json_writer *w, const char *json, size_t len)
{
    value_begin(w);
    buf_put(w->out, json, len);
    flush_if_full(w);
}

static void put_members(struct json_writer *w, struct json_object *v)
{
    jw_object_open(w);
    struct json_object_iterator it = json_object_iter_begin(v), end = json_object_iter_end(v);
    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
        jw_key(w, json_object_iter_peek_name(&it));
        jw_value(w, json_object_iter_peek_value(&it));
    }
    jw_object_close(w);
}

void jw_value(struct json_writer *w, struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_null:
        jw_null(w);
        break;
    case json_type_boolean:
        jw_bool(w, json_object_get_boolean(v));
        break;
    case json_type_double:
    case json_type_int:
        put_plain(w, json_object_get_string(v));
        break;
    case json_type_string:
        jw_text_n(w, json_object_get_string(v), (size_t)json_object_get_string_len(v));
        break;
    case json_type_array:
        jw_array_open(w);
        for (size_t i = 0; i < json_object_array_length(v); i++)
            jw_value(w, json_object_array_get_idx(v, i));
        jw_array_close(w);
        break;
    case json_type_object:
        put_members(w, v);
        break;
    }
}

void jw_put_bool(struct json_writer *w, const char *key, bool v)
{
    jw_key(w, key);
    jw_bool(w, v);
}

void jw_put_i64(struct json_writer *w, const char *key, int64_t v)
{
    jw_key(w, key);
    jw_i64(w, v);
}

void jw_put_u64(struct json_writer *w, const char *key, uint64_t v)
{
    jw_key(w, key);
    jw_u64(w, v);
}

void jw_put_double(struct json_writer *w, const char *key, double v)
{
    jw_key(w, key);
    jw_double(w, v);
}

void jw_put_amount(struct json_writer *w, const char *key, int64_t satoshis)
{
    jw_key(w, key);
    jw_amount(w, satoshis);
}

void jw_put_text(struct json_writer *w, const char *key, const char *v)
{
    jw_key(w, key);
    jw_text(w, v);
}

void jw_put_hash(struct json_writer *w, const char *key, const uint8_t hash[32])
{
    jw_key(w, key);
    jw_hash(w, hash);
}

void jw_put_hex(struct json_writer *w, const char *key, const void *data, size_t len)
{
    jw_key(w, key);
    jw_hex(w, data, len);
}

void jw_put_hex_u32(struct json_writer *w, const char *key, uint32_t v)
{
    jw_key(w, key);
    jw_hex_u32(w, v);
}
