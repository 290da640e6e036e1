#include "rpc/tx_arg.h"

#include <stdarg.h>
#include <stdio.h>

#include <json-c/json.h>

#include "base/tx_extended.h"

/* raw holds an extended transaction and gets the plain one. */
static enum err make_plain(struct buf *raw, struct error *e)
{
    struct tx_extended x;
    struct reader r;
    struct arena a;
    struct buf plain;
    buf_init(&plain);
    arena_init(&a);
    reader_init(&r, raw->data, raw->len);
    enum err rc = tx_extended_read(&r, &a, &x);
    if (!rc && !reader_done(&r))
        rc = ERR_PARSE;
    if (!rc && !buf_try_reserve(&plain, x.tx.raw.len))
        rc = ERR_NOMEM;
    if (rc) {
        error_set(e, rc,
                  rc == ERR_NOMEM ? "out of memory for the transaction"
                                  : "not a transaction in extended form");
    } else {
        buf_put(&plain, x.tx.raw.data, x.tx.raw.len);
        buf_clear(raw);
        *raw = plain;
    }
    arena_clear(&a);
    return rc;
}

enum err tx_from_hex(struct buf *plain, const char *hex, size_t digits, struct error *e)
{
    struct buf raw;
    buf_init(&raw);
    enum err rc = OK;
    if (!buf_try_reserve(&raw, digits / 2))
        rc = error_set(e, ERR_NOMEM, "out of memory for the transaction");
    else if (!hex_decode(raw.data, digits / 2, hex, digits, &raw.len))
        rc = error_set(e, ERR_PARSE, "not hexadecimal");
    else if (tx_extended_detect(buf_span(&raw)))
        rc = make_plain(&raw, e);
    if (!rc && !buf_try_reserve(plain, raw.len))
        rc = error_set(e, ERR_NOMEM, "out of memory for the transaction");
    if (!rc)
        buf_put(plain, raw.data, raw.len);
    buf_clear(&raw);
    return rc;
}

struct tx *tx_from_text(struct json_object *hex, struct error *e)
{
    struct buf raw;
    struct tx *tx = NULL;
    buf_init(&raw);
    if (!tx_from_hex(&raw, json_object_get_string(hex), (size_t)json_object_get_string_len(hex),
                     e))
        tx = tx_new(raw.data, raw.len, e);
    buf_clear(&raw);
    return tx;
}

struct rpc_result rpc_fail_tx(struct rpc_call *call, const struct error *e, const char *fmt, ...)
{
    char text[200];
    va_list args;
    if (e->code == ERR_NOMEM)
        return rpc_fail_error(call, e);
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return rpc_fail(call, RPC_DESERIALIZATION_ERROR, "%s", text);
}

bool rpc_tx(struct rpc_call *call, size_t i, struct buf *plain)
{
    struct json_object *v = call->argv[i];
    struct error e = { .code = OK };
    if (!tx_from_hex(plain, json_object_get_string(v), (size_t)json_object_get_string_len(v), &e))
        return true;
    rpc_fail_tx(call, &e, "TX decode failed");
    return false;
}
