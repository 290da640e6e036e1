/*
 * Writes compact JSON as it is produced: into a buffer, and from there in pieces to a sink when
 * one is given, so that an answer of gigabytes needs 64 KiB. Commas are the writer's business.
 * Number formats are those of spec rpc 1.3. After a sink has failed everything is dropped and
 * `failed` tells. One thread at a time.
 */
#ifndef RPC_JSON_WRITE_H
#define RPC_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define JW_FLUSH_BYTES 65536u
#define JW_DEPTH 1024

struct json_object;

/* Takes the bytes; an error (the client left) ends the writing. */
typedef enum err (*jw_sink_fn)(void *ctx, const void *data, size_t len);

struct json_writer {
    struct buf *out;    /* borrowed */
    jw_sink_fn sink;  /* NULL: everything stays in out */
    void *sink_ctx;
    uint64_t flushed;   /* bytes the sink has taken */
    enum err failed;    /* first error of the sink */
    unsigned depth;
    bool need_comma;    /* a value has been written at this level */
};

void jw_init(struct json_writer *w, struct buf *out, jw_sink_fn sink, void *sink_ctx);
/* Hands what is buffered to the sink. */
void jw_flush(struct json_writer *w);

/* A place to return to while nothing has been flushed since. */
struct jw_mark { uint64_t position; unsigned depth; bool need_comma; };
struct jw_mark jw_mark(const struct json_writer *w);
/* False when part of what follows the mark has left already. */
bool jw_rewind(struct json_writer *w, const struct jw_mark *m);

void jw_object_open(struct json_writer *w);
void jw_object_close(struct json_writer *w);
void jw_array_open(struct json_writer *w);
void jw_array_close(struct json_writer *w);
void jw_key(struct json_writer *w, const char *name);

void jw_null(struct json_writer *w);
void jw_bool(struct json_writer *w, bool v);
void jw_i64(struct json_writer *w, int64_t v);
void jw_u64(struct json_writer *w, uint64_t v);
/* 16 significant digits, as the reference prints; not a number and infinity give 0. */
void jw_double(struct json_writer *w, double v);
/* Coins with exactly eight decimals, and with trailing zeros cut down to two decimals. */
void jw_amount(struct json_writer *w, int64_t satoshis);
void jw_amount_trimmed(struct json_writer *w, int64_t satoshis);
/* Control characters are escaped, invalid UTF-8 becomes U+FFFD. */
void jw_text(struct json_writer *w, const char *text);
void jw_text_n(struct json_writer *w, const char *text, size_t len);
/* Text of our own: printable ASCII without quotes and backslashes. */
void jw_plain(struct json_writer *w, const char *text, size_t len);
void jw_hex(struct json_writer *w, const void *data, size_t len);
void jw_hash(struct json_writer *w, const uint8_t hash[32]); /* display order */
void jw_hex_u32(struct json_writer *w, uint32_t v);          /* eight digits */
void jw_hex_u64(struct json_writer *w, uint64_t v);          /* sixteen digits */
/* A value parsed elsewhere, numbers with their source text. NULL is null. */
void jw_value(struct json_writer *w, struct json_object *v);

/* Text that is one JSON value already (json_check has seen it). */
void jw_json(struct json_writer *w, const char *json, size_t len);

/* A hex string that comes in pieces. */
void jw_hex_open(struct json_writer *w);
void jw_hex_add(struct json_writer *w, const void *data, size_t len);
void jw_hex_close(struct json_writer *w);

/* Key and value in one call. */
void jw_put_bool(struct json_writer *w, const char *key, bool v);
void jw_put_i64(struct json_writer *w, const char *key, int64_t v);
void jw_put_u64(struct json_writer *w, const char *key, uint64_t v);
void jw_put_double(struct json_writer *w, const char *key, double v);
void jw_put_amount(struct json_writer *w, const char *key, int64_t satoshis);
void jw_put_text(struct json_writer *w, const char *key, const char *v); /* v not NULL */
void jw_put_hash(struct json_writer *w, const char *key, const uint8_t hash[32]);
void jw_put_hex(struct json_writer *w, const char *key, const void *data, size_t len);
void jw_put_hex_u32(struct json_writer *w, const char *key, uint32_t v);

#endif
