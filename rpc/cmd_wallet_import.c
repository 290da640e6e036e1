/* Addresses, scripts and public keys that are watched, and many imports in one call. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/keys.h"
#include "rpc/params.h"
#include "rpc/wallet_call.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/template.h"

/* --- what all imports share ----------------------------------------------------------------- */

/* What is watched already gets the label. False: call has failed. */
static bool answer_import(struct rpc_call *call, struct wallet *w, enum err rc, struct span script,
                          struct span label, struct error *e)
{
    if (rc == ERR_EXISTS)
        rc = label.len ? keystore_set_label(wallet_keystore(w), script, label, e) : OK;
    if (rc)
        rpc_wallet_fail(call, e);
    return !rc;
}

/* False: call has failed. */
static bool is_not_ours(struct rpc_call *call, struct wallet *w, struct span script)
{
    struct wallet_key key;
    if (!wallet_find_key(w, script, &key) || !key.spendable)
        return true;
    rpc_fail(call, RPC_WALLET_ERROR,
             "The wallet already contains the private key for this address or script");
    return false;
}

static bool watch_script(struct rpc_call *call, struct wallet *w, struct span script,
                         struct span label, int32_t from)
{
    struct error e = { .code = OK };
    return is_not_ours(call, w, script) &&
           answer_import(call, w, wallet_import_script(w, script, label, from, &e), script, label,
                         &e);
}

static bool watch_key(struct rpc_call *call, struct wallet *w, struct span key, struct span label,
                      int32_t from)
{
    struct error e = { .code = OK };
    uint8_t script[SCRIPT_P2PKH_SIZE];
    script_make_for_key(script, key);
    const struct span s = span_of(script, sizeof script);
    return is_not_ours(call, w, s) &&
           answer_import(call, w, wallet_import_pubkey(w, key, label, from, &e), s, label, &e);
}

/* Hex of a public key; false: call has failed. */
static bool public_key(struct rpc_call *call, struct span hex, uint8_t out[EC_PUBKEY_MAX],
                       size_t *len)
{
    if (!hex_decode(out, EC_PUBKEY_MAX, (const char *)hex.data, hex.len, len))
        rpc_fail(call, RPC_NOT_FOUND, "Pubkey must be a hex string of 33 or 65 bytes");
    else if (!ec_pubkey_valid(out, *len))
        rpc_fail(call, RPC_NOT_FOUND, "Pubkey is not a valid public key");
    else
        return true;
    return false;
}

/* Appends; false when it is no hex. */
static bool put_hex(struct buf *out, struct span hex)
{
    size_t len = 0;
    if (!hex.len || !buf_try_reserve(out, hex.len / 2 + 1) ||
        !hex_decode(out->data + out->len, hex.len / 2, (const char *)hex.data, hex.len, &len))
        return false;
    out->len += len;
    return true;
}

/* --- importaddress, importpubkey ------------------------------------------------------------ */

static bool is_xpub(const char *text)
{
    return strncmp(text, "xpub", 4) == 0 || strncmp(text, "tpub", 4) == 0;
}

static bool watch_xpub(struct rpc_call *call, struct wallet *w, int32_t from)
{
    struct error e = { .code = OK };
    if (*rpc_text(call, 1, "")) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "an extended public key has no label");
        return false;
    }
    const enum err rc = wallet_import_xpub(w, rpc_text(call, 0, ""), from, &e);
    if (rc == ERR_PARSE) {
        rpc_fail(call, RPC_NOT_FOUND, "Invalid extended public key: %s", e.text);
        return false;
    }
    return answer_import(call, w, rc, span_of(NULL, 0), span_of(NULL, 0), &e);
}

/* The script itself and, when p2sh is set, the address that stands for it. */
static bool watch_hex(struct rpc_call *call, struct wallet *w, struct span script, int32_t from)
{
    uint8_t hash[20], p2sh[SCRIPT_P2SH_SIZE];
    const struct span label = json_get_span(call->argv[1]);
    if (!watch_script(call, w, script, label, from))
        return false;
    if (!rpc_bool(call, 3, false))
        return true;
    hash160(hash, script.data, script.len);
    script_make_p2sh(p2sh, hash);
    return watch_script(call, w, span_of(p2sh, sizeof p2sh), label, from);
}

static bool watch_text(struct rpc_call *call, struct wallet *w, int32_t from)
{
    const char *text = rpc_text(call, 0, "");
    bool good = false;
    struct buf script;
    if (is_xpub(text))
        return watch_xpub(call, w, from);
    buf_init(&script);
    if (address_to_script(chain_get_params(call->env->chain), text, &script)) {
        if (rpc_bool(call, 3, false))
            rpc_fail(call, RPC_NOT_FOUND,
                     "Cannot use the p2sh flag with an address - use a script instead");
        else
            good = watch_script(call, w, buf_span(&script), json_get_span(call->argv[1]), from);
    } else if (put_hex(&script, json_get_span(call->argv[0]))) {
        good = watch_hex(call, w, buf_span(&script), from);
    } else {
        rpc_fail(call, RPC_NOT_FOUND, "Invalid Bitcoin address or script");
    }
    buf_clear(&script);
    return good;
}

static struct rpc_result import_address(struct rpc_call *call, struct wallet *w)
{
    const bool rescan = rpc_bool(call, 2, true);
    if (!rpc_wallet_may_rescan(call, rescan) || !watch_text(call, w, rescan ? 0 : WALLET_NO_SCAN))
        return rpc_failed(call);
    return rpc_wallet_imported(call, w, rescan);
}

static struct rpc_result cmd_importaddress(struct rpc_call *call)
{
    return rpc_with_wallet(call, import_address);
}

static struct rpc_result import_pubkey(struct rpc_call *call, struct wallet *w)
{
    const bool rescan = rpc_bool(call, 2, true);
    uint8_t key[EC_PUBKEY_MAX];
    size_t len;
    if (!rpc_wallet_may_rescan(call, rescan) ||
        !public_key(call, json_get_span(call->argv[0]), key, &len) ||
        !watch_key(call, w, span_of(key, len), json_get_span(call->argv[1]),
                   rescan ? 0 : WALLET_NO_SCAN))
        return rpc_failed(call);
    return rpc_wallet_imported(call, w, rescan);
}

static struct rpc_result cmd_importpubkey(struct rpc_call *call)
{
    return rpc_with_wallet(call, import_pubkey);
}

/* --- importmulti ---------------------------------------------------------------------------- */

enum { R_SCRIPT, R_TIMESTAMP, R_REDEEM, R_PUBKEYS, R_KEYS, R_INTERNAL, R_WATCHONLY, R_LABEL,
       R_COUNT };
static const struct rpc_member request_members[R_COUNT] = {
    [R_SCRIPT] = { "scriptPubKey", RPC_ANY, RPC_REQUIRED },
    [R_TIMESTAMP] = { "timestamp", RPC_ANY, RPC_OPTIONAL }, /* looked at before */
    [R_REDEEM] = { "redeemscript", RPC_TEXT, RPC_OPTIONAL },
    [R_PUBKEYS] = { "pubkeys", RPC_ARRAY, RPC_OPTIONAL },
    [R_KEYS] = { "keys", RPC_ARRAY, RPC_OPTIONAL },
    [R_INTERNAL] = { "internal", RPC_BOOL, RPC_OPTIONAL },
    [R_WATCHONLY] = { "watchonly", RPC_BOOL, RPC_OPTIONAL },
    [R_LABEL] = { "label", RPC_TEXT, RPC_OPTIONAL },
};

struct request {
    struct json_object *m[R_COUNT];
    struct span script, label;
    int32_t from; /* of the rescan, or WALLET_NO_SCAN */
};

static bool is_set(struct json_object *v)
{
    return v && json_object_get_boolean(v);
}

static size_t length_of(struct json_object *array)
{
    return array ? json_object_array_length(array) : 0;
}

/* False: call has failed. */
static bool request_script(struct rpc_call *call, struct json_object *const m[R_COUNT],
                           struct buf *script)
{
    static const struct rpc_member members[] = { { "address", RPC_TEXT, RPC_REQUIRED } };
    struct json_object *address;
    if (json_object_get_type(m[R_SCRIPT]) != json_type_string)
        return rpc_members(call, m[R_SCRIPT], "scriptPubKey", members, 1, &address) &&
               rpc_wallet_address(call, json_object_get_string(address), script);
    if (!put_hex(script, json_get_span(m[R_SCRIPT])))
        rpc_fail(call, RPC_NOT_FOUND, "Invalid scriptPubKey");
    else if (!is_set(m[R_INTERNAL]))
        rpc_fail(call, RPC_INVALID_PARAMETER, "Internal must be set for hex scriptPubKey");
    else
        return true;
    return false;
}

/* False: call has failed. */
static bool is_consistent(struct rpc_call *call, struct json_object *const m[R_COUNT])
{
    if (is_set(m[R_WATCHONLY]) && length_of(m[R_KEYS]))
        rpc_fail(call, RPC_INVALID_PARAMETER,
                 "Incompatibility found between watchonly and keys");
    else if (is_set(m[R_INTERNAL]) && m[R_LABEL])
        rpc_fail(call, RPC_INVALID_PARAMETER, "Incompatibility found between internal and label");
    else
        return true;
    return false;
}

static bool pays_key(struct span script, struct span key)
{
    uint8_t hashed[SCRIPT_P2PKH_SIZE];
    struct buf plain;
    script_make_for_key(hashed, key);
    buf_init(&plain);
    script_put_data(&plain, key.data, key.len);
    script_put_op(&plain, OP_CHECKSIG);
    const bool pays =
        (script.len == sizeof hashed && mem_equal_var(script.data, hashed, sizeof hashed)) ||
        (script.len == plain.len && mem_equal_var(script.data, plain.data, plain.len));
    buf_clear(&plain);
    return pays;
}

/* Of a key that is given without a redeemscript. False: call has failed. */
static bool belongs(struct rpc_call *call, const struct request *r, struct span key)
{
    if (r->m[R_REDEEM] || pays_key(r->script, key))
        return true;
    rpc_fail(call, RPC_NOT_FOUND, "Consistency check failed: the key is not that of the script");
    return false;
}

static bool import_secret(struct rpc_call *call, struct wallet *w, const struct request *r,
                          const struct private_key *k)
{
    struct error e = { .code = OK };
    uint8_t key[EC_PUBKEY_MAX], script[SCRIPT_P2PKH_SIZE];
    const size_t len = ec_pubkey_create(key, k->secret, k->compressed);
    if (!belongs(call, r, span_of(key, len)))
        return false;
    script_make_for_key(script, span_of(key, len));
    const enum err rc = wallet_import_secret(w, k->secret, k->compressed, r->label,
                                             r->from, &e);
    return answer_import(call, w, rc, span_of(script, sizeof script), r->label, &e);
}

static bool import_secrets(struct rpc_call *call, struct wallet *w, const struct request *r)
{
    bool good = true;
    for (size_t i = 0; good && i < length_of(r->m[R_KEYS]); i++) {
        struct json_object *text = json_object_array_get_idx(r->m[R_KEYS], i);
        struct private_key k;
        good = rpc_private_key(call, text ? json_object_get_string(text) : "", &k);
        if (good)
            good = import_secret(call, w, r, &k);
        private_key_wipe(&k);
    }
    return good;
}

static bool import_pubkeys(struct rpc_call *call, struct wallet *w, const struct request *r)
{
    uint8_t key[EC_PUBKEY_MAX];
    size_t len;
    bool good = true;
    for (size_t i = 0; good && i < length_of(r->m[R_PUBKEYS]); i++) {
        struct json_object *text = json_object_array_get_idx(r->m[R_PUBKEYS], i);
        good = public_key(call, json_get_span(text), key, &len) &&
               belongs(call, r, span_of(key, len)) &&
               watch_key(call, w, span_of(key, len), r->label, r->from);
    }
    return good;
}

/* False: call has failed. */
static bool is_redeemed(struct rpc_call *call, const struct request *r)
{
    struct buf redeem;
    uint8_t hash[20], p2sh[SCRIPT_P2SH_SIZE];
    buf_init(&redeem);
    bool good = put_hex(&redeem, json_get_span(r->m[R_REDEEM]));
    if (good) {
        hash160(hash, redeem.data, redeem.len);
        script_make_p2sh(p2sh, hash);
        good = r->script.len == sizeof p2sh && mem_equal_var(r->script.data, p2sh, sizeof p2sh);
    }
    buf_clear(&redeem);
    if (!good)
        rpc_fail(call, RPC_NOT_FOUND, "Invalid redeem script: it is not that of the address");
    return good;
}

static bool import_script(struct rpc_call *call, struct wallet *w, const struct request *r)
{
    const bool by_key = length_of(r->m[R_KEYS]) || length_of(r->m[R_PUBKEYS]);
    if (r->m[R_REDEEM] && !is_redeemed(call, r))
        return false;
    if ((r->m[R_REDEEM] || !by_key) && !watch_script(call, w, r->script, r->label, r->from))
        return false;
    return length_of(r->m[R_KEYS]) ? import_secrets(call, w, r)
                                   : import_pubkeys(call, w, r);
}

static bool import_request(struct rpc_call *call, struct wallet *w, struct json_object *o,
                           int32_t from)
{
    struct request r = { .from = from };
    struct buf script;
    bool good;
    if (!rpc_members(call, o, "requests", request_members, R_COUNT, r.m) ||
        !is_consistent(call, r.m))
        return false;
    buf_init(&script);
    good = request_script(call, r.m, &script);
    r.script = buf_span(&script);
    r.label = json_get_span(r.m[R_LABEL]);
    good = good && import_script(call, w, &r);
    buf_clear(&script);
    return good;
}

static void put_outcome(struct rpc_call *call, bool good)
{
    jw_object_open(call->out);
    jw_put_bool(call->out, "success", good);
    if (!good) {
        jw_key(call->out, "error");
        jw_object_open(call->out);
        jw_put_i64(call->out, "code", call->code);
        jw_key(call->out, "message");
        jw_text_n(call->out, (const char *)call->message.data, call->message.len);
        jw_object_close(call->out);
        buf_reset(&call->message);
    }
    jw_object_close(call->out);
}

/* --- from when on --- */

/* False: call has failed. */
static bool take_timestamp(struct rpc_call *call, struct wallet *w, struct json_object *o,
                           int64_t *lowest)
{
    struct json_object *v = NULL;
    int64_t at;
    if (json_object_get_type(o) != json_type_object ||
        !json_object_object_get_ex(o, "timestamp", &v) || !v) {
        rpc_fail(call, RPC_TYPE_ERROR, "Missing required timestamp field for key");
        return false;
    }
    if (json_object_get_type(v) == json_type_int) {
        at = json_object_get_int64(v);
    } else if (strcmp(json_object_get_string(v), "now") == 0) {
        at = wallet_params(w)->now();
    } else {
        rpc_fail(call, RPC_TYPE_ERROR, "Expected number or \"now\" timestamp value for key");
        return false;
    }
    *lowest = MIN_OF(*lowest, at);
    return true;
}

/* The first block that may be from then or later. */
static int32_t height_at(struct chain *c, int64_t time)
{
    struct header_node *tip = header_index_tip(chain_headers(c));
    const struct header_node *node =
        header_first_since(tip, MAX_OF(time, 0) - HEADER_TIME_MARGIN);
    return node ? node->height : tip ? tip->height : 0;
}

/* False: call has failed. */
static bool wants_rescan(struct rpc_call *call, bool *rescan)
{
    static const struct rpc_member members[] = { { "rescan", RPC_BOOL, RPC_OPTIONAL } };
    struct json_object *v = NULL;
    if (rpc_has(call, 1) && !rpc_members(call, call->argv[1], "options", members, 1, &v))
        return false;
    *rescan = !v || json_object_get_boolean(v);
    return rpc_wallet_may_rescan(call, *rescan);
}

static struct rpc_result import_multi(struct rpc_call *call, struct wallet *w)
{
    const size_t n = json_object_array_length(call->argv[0]);
    int64_t lowest = INT64_MAX;
    struct error e = { .code = OK };
    struct rpc_held held;
    bool rescan;
    if (!wants_rescan(call, &rescan))
        return rpc_failed(call);
    for (size_t i = 0; i < n; i++)
        if (!take_timestamp(call, w, json_object_array_get_idx(call->argv[0], i), &lowest))
            return rpc_failed(call);
    const int32_t from = rescan ? height_at(call->env->chain, lowest) : WALLET_NO_SCAN;
    /* Nothing of the answer leaves before the rescan is through: it may fail. */
    rpc_hold(call, &held);
    jw_array_open(call->out);
    for (size_t i = 0; i < n; i++)
        put_outcome(call, import_request(call, w, json_object_array_get_idx(call->argv[0], i),
                                         from));
    jw_array_close(call->out);
    const struct rpc_result r = rescan ? rpc_wallet_await_rescan(call, w, from) : rpc_done();
    const bool done = r.end == RPC_DONE;
    const enum err rc = rpc_release(call, &held, done ? OK : ERR_CANCELLED, &e);
    return done && rc ? rpc_wallet_fail(call, &e) : r;
}

static struct rpc_result cmd_importmulti(struct rpc_call *call)
{
    return rpc_with_wallet(call, import_multi);
}

#define RESCAN_HELP "Look for its coins in the blocks (default true)"

static const struct rpc_command rows[] = {
    { .name = "importaddress",
      .category = "wallet",
      .where = RPC_ON_WAITER,
      .fn = cmd_importaddress,
      .help = "Watches an address or script, or all addresses below an extended public key: their "
              "coins are shown and not spent. The rescan goes through all blocks.",
      .result = "null",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX \"of Alice\" false",
      .params = { { "address|script", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Address, script in hex, or xpub" },
                  { "label", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "Label of the address" },
                  { "rescan", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON, RESCAN_HELP },
                  { "p2sh", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Of a script, watch its address too (default false)" } } },
    { .name = "importpubkey",
      .category = "wallet",
      .where = RPC_ON_WAITER,
      .fn = cmd_importpubkey,
      .help = "Watches what pays a public key or its address.",
      .result = "null",
      .example = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798 \"G\" false",
      .params = { { "pubkey", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The key in hex" },
                  { "label", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "Label of its address" },
                  { "rescan", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON, RESCAN_HELP } } },
    { .name = "importmulti",
      .category = "wallet",
      .where = RPC_ON_WAITER,
      .flags = RPC_SECRET | RPC_TYPES_FIRST,
      .fn = cmd_importmulti,
      .help = "Adds keys, and watches addresses and scripts, with one rescan from the earliest "
              "timestamp on. What cannot be added is told with its place, the rest is.",
      .result = "[{success, error: {code, message}?}, ...]",
      .example = "'[{\"scriptPubKey\":{\"address\":\"1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX\"},"
                 "\"timestamp\":\"now\"}]'",
      .params = { { "requests", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON,
                    "[{scriptPubKey: \"hex\"|{address}, timestamp: seconds|\"now\", redeemscript?, "
                    "pubkeys?, keys?, internal?, watchonly?, label?}, ...]" },
                  { "options", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON, "{rescan=true}" } } },
};
const struct rpc_group rpc_wallet_import_commands = { rows, COUNT_OF(rows) };
