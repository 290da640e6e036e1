#include "rpc/rest_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "rpc/block_json.h"
#include "rpc/tx_lookup.h"

#define SEND_PIECE ((size_t)256 << 10)

const char rest_type_bin[] = "application/octet-stream", rest_type_hex[] = "text/plain";

void rest_fail(struct rest *r, int status, const char *fmt, ...)
{
    char text[REST_ERROR_MAX + 128];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text - 2, fmt, args);
    va_end(args);
    size_t len = MIN_OF((size_t)MAX_OF(n, 0), sizeof text - 3);
    memcpy(text + len, "\r\n", 2);
    http_reply(r->http, status, rest_type_hex, text, len + 2);
}

static struct span in_hex(struct rest *r, const void *data, size_t len)
{
    buf_reset(r->scratch);
    hex_encode((char *)buf_extend(r->scratch, 2 * len + 1), data, len);
    return span_of(r->scratch->data, 2 * len);
}

enum err rest_send(struct rest *r, const void *data, size_t len)
{
    const uint8_t *p = data;
    enum err rc = OK;
    for (size_t at = 0, n; at < len && !rc; at += n) {
        n = MIN_OF(len - at, SEND_PIECE);
        const struct span s =
            r->q.format == REST_BIN ? span_of(p + at, n) : in_hex(r, p + at, n);
        rc = http_reply_write(r->http, s.data, s.len);
    }
    return rc;
}

void rest_finish(struct rest *r, enum err rc)
{
    if (rc)
        http_reply_abort(r->http);
    else
        http_reply_finish(r->http);
}

/* What is not small goes out in pieces: memory for the whole is not for the client to choose. */
static void reply_in_pieces(struct rest *r, const void *data, size_t len)
{
    const bool hex = r->q.format != REST_BIN;
    http_reply_start_sized(r->http, 200, hex ? rest_type_hex : rest_type_bin, NULL,
                           hex ? 2 * (uint64_t)len + 1 : len);
    enum err rc = rest_send(r, data, len);
    if (!rc && hex)
        rc = http_reply_write(r->http, "\n", 1);
    rest_finish(r, rc);
}

void rest_reply_bytes(struct rest *r, const void *data, size_t len)
{
    if (len > SEND_PIECE) {
        reply_in_pieces(r, data, len);
        return;
    }
    if (r->q.format == REST_BIN) {
        http_reply(r->http, 200, rest_type_bin, data, len);
        return;
    }
    struct span text = in_hex(r, data, len);
    r->scratch->data[text.len] = '\n';
    http_reply(r->http, 200, rest_type_hex, text.data, text.len + 1);
}

/* --- JSON by RPC methods -------------------------------------------------------------------- */

static bool client_gone(void *ctx) { return http_request_gone(ctx); }

/* The result of a method, alone. Takes params (NULL: none). */
static void answer_method(struct rest *r, const char *method, struct json_object *params)
{
    struct http_json j;
    struct buf message;
    http_json_init(&j, r->http, r->scratch);
    struct rpc_run run = {
        .env = r->env, .out = &j.w, .client_gone = client_gone, .client = r->http
    };
    buf_init(&message);
    enum rpc_code code = rpc_invoke(&run, method, params, &message);
    if (!code)
        http_json_end(&j, 200);
    else if (http_json_take_back(&j))
        rest_fail(r, code == RPC_NOT_FOUND || code == RPC_METHOD_NOT_FOUND ? 404 : 500, "%.*s",
                  (int)MIN_OF(message.len, (size_t)REST_ERROR_MAX), (const char *)message.data);
    buf_clear(&message);
    json_object_put(params);
}

/* ["<hash>", number] */
static struct json_object *hash_and_number(const uint8_t hash[32], int number)
{
    char hex[HASH_HEX_SIZE];
    struct json_object *params = json_object_new_array();
    json_object_array_add(params, json_object_new_string(hash_to_hex(hex, hash)));
    json_object_array_add(params, json_object_new_int(number));
    return params;
}

/* --- blocks --------------------------------------------------------------------------------- */

/* Known, with its body at hand; NULL: refused. */
static struct header_node *find_stored_block(struct rest *r)
{
    struct block_hash hash;
    char hex[HASH_HEX_SIZE];
    memcpy(hash.b, r->q.hash, sizeof hash.b);
    hash_to_hex(hex, hash.b);
    struct header_node *node = header_index_find(chain_headers(r->env->chain), &hash);
    if (!node) {
        rest_fail(r, 404, "%s not found", hex);
        return NULL;
    }
    if (!(atomic_load(&node->status) & HS_HAVE_DATA)) {
        rest_fail(r, 404, "%s not available (pruned data, or not downloaded yet)", hex);
        return NULL;
    }
    return node;
}

static void answer_block(struct rest *r)
{
    enum { IDS = 1, TRANSACTIONS = 2 };
    struct header_node *node = find_stored_block(r);
    if (!node)
        return;
    if (r->q.format != REST_JSON)
        rest_send_block(r, node);
    else
        answer_method(r, "getblock", hash_and_number(r->q.hash, r->q.subject == REST_BLOCK
                                                                    ? TRANSACTIONS : IDS));
}

/* --- transactions --------------------------------------------------------------------------- */

static void answer_confirmed_tx(struct rest *r, const struct txid *id)
{
    struct json_writer nothing;
    struct rpc_call call = { .env = r->env, .out = &nothing, .client_gone = client_gone,
                             .client = r->http };
    struct tx_found f = { .node = NULL };
    struct error e = { 0 };
    char hex[HASH_HEX_SIZE];
    jw_init(&nothing, r->scratch, NULL, NULL); /* a call has one; look-ups write nothing */
    buf_init(&f.raw);
    enum err rc = tx_lookup(&call, NULL, id, UINT64_MAX, &f, &e);
    if (!rc && f.node)
        rest_reply_bytes(r, f.raw.data, f.raw.len);
    else if (!rc || rc == ERR_NOTFOUND)
        rest_fail(r, 404, "%s not found", hash_to_hex(hex, id->b));
    else
        rest_fail(r, 500, "%s", e.text);
    buf_clear(&f.raw);
}

static void answer_tx_bytes(struct rest *r)
{
    struct txid id;
    memcpy(id.b, r->q.hash, sizeof id.b);
    struct tx *tx = mempool_get_tx(chain_mempool(r->env->chain), &id);
    if (tx)
        rest_reply_bytes(r, tx->raw.data, tx->raw.len);
    else
        answer_confirmed_tx(r, &id);
    tx_unref(tx);
}

static void answer_tx(struct rest *r)
{
    if (r->q.format == REST_JSON)
        answer_method(r, "getrawtransaction", hash_and_number(r->q.hash, 1));
    else
        answer_tx_bytes(r);
}

static void answer_mempool_contents(struct rest *r)
{
    struct json_object *params = json_object_new_array();
    json_object_array_add(params, json_object_new_boolean(true));
    answer_method(r, "getrawmempool", params);
}

/* --- headers -------------------------------------------------------------------------------- */

/* The next of the active chain, at most q.count in all; *left counts down. */
static struct header_node *next_header(struct rest *r, struct header_node *node, unsigned *left)
{
    struct header_index *index = chain_headers(r->env->chain);
    if (node) {
        node = header_index_at(index, node->height + 1);
    } else {
        struct block_hash hash;
        memcpy(hash.b, r->q.hash, sizeof hash.b);
        node = header_index_find(index, &hash);
        if (node && !header_index_is_active(index, node))
            node = NULL;
    }
    return *left && (*left)-- ? node : NULL;
}

static void answer_headers_bytes(struct rest *r)
{
    uint8_t raw[BLOCK_HEADER_SIZE];
    unsigned left = r->q.count;
    struct buf all;
    buf_init(&all);
    for (struct header_node *node = next_header(r, NULL, &left); node;
         node = next_header(r, node, &left)) {
        struct block_header h;
        header_of_node(&h, node);
        block_header_put(raw, &h);
        buf_put(&all, raw, sizeof raw);
    }
    rest_reply_bytes(r, all.data, all.len);
    buf_clear(&all);
}

static void answer_headers_json(struct rest *r)
{
    struct http_json j;
    unsigned left = r->q.count;
    http_json_init(&j, r->http, r->scratch);
    jw_array_open(&j.w);
    for (struct header_node *node = next_header(r, NULL, &left); node && !j.w.failed;
         node = next_header(r, node, &left)) {
        jw_object_open(&j.w);
        jw_put_header(&j.w, r->env->chain, node);
        jw_object_close(&j.w);
    }
    jw_array_close(&j.w);
    http_json_end(&j, 200);
}

/* getblockheader with verbosity 2 for each: reads the blocks. */
static void answer_headers_extended(struct rest *r)
{
    struct http_json j;
    struct buf message;
    unsigned left = r->q.count;
    enum rpc_code code = 0;
    buf_init(&message);
    http_json_init(&j, r->http, r->scratch);
    struct rpc_run run = {
        .env = r->env, .out = &j.w, .client_gone = client_gone, .client = r->http
    };
    jw_array_open(&j.w);
    for (struct header_node *node = next_header(r, NULL, &left);
         node && !code && !j.w.failed && !cancelled(r->env->cancel);
         node = next_header(r, node, &left)) {
        struct json_object *params = hash_and_number(node->hash.b, 2);
        code = rpc_invoke(&run, "getblockheader", params, &message);
        json_object_put(params);
    }
    jw_array_close(&j.w);
    if (!code)
        http_json_end(&j, 200);
    else if (http_json_take_back(&j))
        rest_fail(r, 404, "%.*s", (int)MIN_OF(message.len, (size_t)REST_ERROR_MAX),
                  (const char *)message.data);
    buf_clear(&message);
}

static void answer_headers(struct rest *r)
{
    if (r->q.format != REST_JSON)
        answer_headers_bytes(r);
    else if (r->q.subject == REST_HEADERS)
        answer_headers_json(r);
    else
        answer_headers_extended(r);
}

/* --- */

static void answer_query(struct rest *r)
{
    switch (r->q.subject) {
    case REST_BLOCK:
    case REST_BLOCK_IDS:
        answer_block(r);
        return;
    case REST_HEADERS:
    case REST_HEADERS_EXTENDED:
        answer_headers(r);
        return;
    case REST_CHAININFO:
        answer_method(r, "getblockchaininfo", NULL);
        return;
    case REST_MEMPOOL_INFO:
        answer_method(r, "getmempoolinfo", NULL);
        return;
    case REST_MEMPOOL_CONTENTS:
        answer_mempool_contents(r);
        return;
    case REST_TX:
        answer_tx(r);
        return;
    case REST_UTXOS:
        rest_answer_utxos(r);
        return;
    }
}

static bool is_post(const struct http_request *http)
{
    return strcmp(http_request_method(http), "POST") == 0;
}

void rest_answer(void *env, struct http_request *http, struct buf *scratch)
{
    struct rest r = { .env = env, .http = http, .scratch = scratch };
    int status = rest_path_parse(&r.q, http_request_path(http));
    if (!status && is_post(http) && r.q.subject != REST_UTXOS)
        rest_fail(&r, 405, "This address handles only GET requests");
    else if (!status)
        answer_query(&r);
    else if (r.q.error[0])
        rest_fail(&r, status, "%s", r.q.error);
    else
        http_reply(http, status, NULL, NULL, 0);
}
