/*
 * getutxos: which of at most 15 outputs are unspent, and what they are (spec rpc 4). The binary
 * form is i32 height, hash of the tip, a bitmap as variable bytes (first output: lowest bit), and
 * the outputs found: u32 0, i32 height, value and script.
 */
#include "rpc/rest_internal.h"

#include <stdlib.h>

#include "rpc/block_json.h"
#include "rpc/coin_query.h"
#include "rpc/tx_json.h"

#define MEMPOOL_HEIGHT 0x7fffffff /* the height of what is in no block yet */

struct utxos {
    struct coin_query *coins; /* NULL before they were looked up */
    size_t n;
};

static bool is_unspent(const struct utxos *u, size_t i)
{
    return u->coins->found[i] && !u->coins->spender[i];
}

static int32_t shown_height(const struct utxos *u, size_t i)
{
    int32_t height = u->coins->coins[i].height;
    return height == COIN_IN_MEMPOOL ? MEMPOOL_HEIGHT : height;
}

/* False: refused. */
static bool look_up(struct rest *r, struct utxos *u)
{
    struct rpc_call call = { .env = r->env };
    buf_init(&call.message);
    u->n = r->q.n_outpoints;
    u->coins = coin_query_new(r->q.check_mempool ? COINS_AND_MEMPOOL : COINS_OF_CHAIN);
    u->coins->script_bytes = SIZE_MAX; /* they are few, and go out in one answer */
    bool good = coin_query_run(u->coins, &call, r->q.outpoints, u->n);
    if (!good)
        rest_fail(r, 500, "%.*s", (int)call.message.len, (const char *)call.message.data);
    buf_clear(&call.message);
    return good;
}

#define OUTPUT_HEAD_MAX 25 /* bytes before the script */

static void answer_bytes(struct rest *r, const struct utxos *u)
{
    uint8_t bitmap[(REST_OUTPOINTS_MAX + 7) / 8] = { 0 };
    size_t n_found = 0, scripts = 0;
    struct buf out;
    buf_init(&out);
    for (size_t i = 0; i < u->n; i++) {
        bitmap[i / 8] |= (uint8_t)(is_unspent(u, i) << i % 8);
        n_found += is_unspent(u, i);
        scripts += is_unspent(u, i) ? coin_query_script(u->coins, i).len : 0;
    }
    if (!buf_try_reserve(&out, 64 + REST_OUTPOINTS_MAX * OUTPUT_HEAD_MAX + scripts)) {
        rest_fail(r, 500, "out of memory for the scripts of these outputs");
        return;
    }
    buf_put_le32(&out, (uint32_t)u->coins->tip.height);
    buf_put(&out, u->coins->tip.hash.b, 32);
    buf_put_var_bytes(&out, bitmap, (u->n + 7) / 8);
    buf_put_compact(&out, n_found);
    for (size_t i = 0; i < u->n; i++) {
        if (!is_unspent(u, i))
            continue;
        struct span script = coin_query_script(u->coins, i);
        buf_put_le32(&out, 0);
        buf_put_le32(&out, (uint32_t)shown_height(u, i));
        buf_put_le64(&out, (uint64_t)u->coins->coins[i].value);
        buf_put_var_bytes(&out, script.data, script.len);
    }
    rest_reply_bytes(r, out.data, out.len);
    buf_clear(&out);
}

static void put_output(struct rest *r, struct json_writer *w, const struct utxos *u, size_t i)
{
    struct chain *c = r->env->chain;
    jw_object_open(w);
    jw_put_i64(w, "height", shown_height(u, i));
    jw_put_amount(w, "value", u->coins->coins[i].value);
    jw_key(w, "scriptPubKey");
    jw_object_open(w);
    jw_put_script(w, coin_query_script(u->coins, i), chain_get_params(c),
                  block_era(c, coin_query_height(u->coins, i)), JW_SCRIPT_WITH_HEX);
    jw_object_close(w);
    jw_object_close(w);
}

static void answer_json(struct rest *r, const struct utxos *u)
{
    char bitmap[REST_OUTPOINTS_MAX + 1] = "";
    struct http_json j;
    http_json_init(&j, r->http, r->scratch);
    for (size_t i = 0; i < u->n; i++)
        bitmap[i] = is_unspent(u, i) ? '1' : '0';
    jw_object_open(&j.w);
    jw_put_i64(&j.w, "chainHeight", u->coins->tip.height);
    jw_put_hash(&j.w, "chaintipHash", u->coins->tip.hash.b);
    jw_put_text(&j.w, "bitmap", bitmap);
    jw_key(&j.w, "utxos");
    jw_array_open(&j.w);
    for (size_t i = 0; i < u->n; i++)
        if (is_unspent(u, i))
            put_output(r, &j.w, u, i);
    jw_array_close(&j.w);
    jw_object_close(&j.w);
    http_json_end(&j, 200);
}

/* From the address, or from the body when there is one. False: refused. */
static bool take_outpoints(struct rest *r)
{
    struct span body = http_request_body(r->http);
    int status = body.len ? rest_body_parse(&r->q, body) : 0;
    if (status)
        rest_fail(r, status, "%s", r->q.error);
    else if (!r->q.n_outpoints)
        rest_fail(r, status = 400, "Error: empty request");
    return status == 0;
}

void rest_answer_utxos(struct rest *r)
{
    struct utxos u = { .n = 0 };
    const bool found = take_outpoints(r) && look_up(r, &u);
    if (found && r->q.format == REST_JSON)
        answer_json(r, &u);
    else if (found)
        answer_bytes(r, &u);
    coin_query_free(u.coins);
}
