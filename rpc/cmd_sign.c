/*
 * signrawtransaction, with keys the caller gives or those of a wallet (sign_keys.h). Outputs that
 * are spent are looked up in the mempool and the chain, or given too; the transaction may come in
 * several versions, of which the signatures are brought together.
 */
#include "rpc/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/amount.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/policy.h"
#include "rpc/coin_query.h"
#include "rpc/json_read.h"
#include "rpc/params.h"
#include "rpc/sign_keys.h"
#include "rpc/tx_arg.h"
#include "script/sign.h"
#include "script/template.h"

#define VERSIONS_MAX 100
#define VERIFY_CPU_US INT64_C(10000000) /* for the scripts of all inputs */

/* An output that is spent. */
struct spent {
    bool known;
    int64_t value;
    int32_t height;
    struct span script;
};

struct work {
    struct rpc_call *call;
    const struct chain_params *params;
    int32_t next_height;
    struct arena arena;
    struct buf raw;          /* all versions */
    struct tx *versions;     /* in the arena; the first one counts */
    size_t n_versions;
    struct spent *spent;     /* one an input */
    struct signer signer;
    struct sign_keys keys;
    struct span *redeem;
    size_t n_redeem;
    struct buf *unlocks;     /* one an input: what is made */
};

static void *take_memory(struct work *w, size_t n, size_t size)
{
    void *p = arena_alloc(&w->arena, n, size);
    if (p)
        memset(p, 0, n * size);
    else
        rpc_fail(w->call, RPC_OUT_OF_MEMORY, "out of memory for the transaction");
    return p;
}

static bool keep_bytes(struct work *w, struct span bytes, struct span *out)
{
    uint8_t *p = take_memory(w, bytes.len + 1, 1);
    if (p && bytes.len)
        memcpy(p, bytes.data, bytes.len);
    *out = span_of(p, bytes.len);
    return p != NULL;
}

/* --- the transaction ------------------------------------------------------------------------ */

static bool same_inputs(const struct tx *a, const struct tx *b)
{
    if (a->n_in != b->n_in)
        return false;
    for (size_t i = 0; i < a->n_in; i++)
        if (!outpoint_equal(&a->in[i].prevout, &b->in[i].prevout))
            return false;
    return true;
}

/* One after the other to the end of the bytes. False: call has failed. */
static bool take_versions(struct work *w)
{
    struct reader r;
    if (!rpc_tx(w->call, 0, &w->raw))
        return false;
    if (!w->raw.len) {
        rpc_fail(w->call, RPC_DESERIALIZATION_ERROR, "Missing transaction");
        return false;
    }
    w->versions = take_memory(w, VERSIONS_MAX, sizeof *w->versions);
    if (!w->versions)
        return false;
    for (reader_init(&r, w->raw.data, w->raw.len); r.left; w->n_versions++) {
        struct tx *tx = &w->versions[w->n_versions];
        struct error e = { .code = OK };
        if (w->n_versions == VERSIONS_MAX)
            e.code = ERR_PARSE;
        else if (!(e.code = tx_read(&r, &w->arena, tx)) && !same_inputs(tx, &w->versions[0]))
            e.code = ERR_PARSE;
        if (e.code) {
            rpc_fail_tx(w->call, &e,
                        "TX decode failed: hexstring must hold one transaction, or up to %d "
                        "versions of one", VERSIONS_MAX);
            return false;
        }
    }
    tx_compute_id(&w->versions[0]);
    return true;
}

/* --- outputs that are spent ----------------------------------------------------------------- */

static bool look_up(struct work *w, struct coin_query *q)
{
    const struct tx *tx = &w->versions[0];
    struct outpoint *all = take_memory(w, tx->n_in + 1, sizeof *all);
    if (!all)
        return false;
    for (size_t i = 0; i < tx->n_in; i++)
        all[i] = tx->in[i].prevout;
    for (size_t at = 0; at < tx->n_in; at += q->done) {
        if (!coin_query_run(q, w->call, all + at, tx->n_in - at))
            return false;
        for (size_t i = 0; i < q->done; i++) {
            struct spent *s = &w->spent[at + i];
            if (!q->found[i])
                continue;
            *s = (struct spent){ .known = true,
                                 .value = q->coins[i].value,
                                 .height = coin_query_height(q, i) };
            if (!keep_bytes(w, coin_query_script(q, i), &s->script))
                return false;
        }
    }
    return true;
}

static bool find_spent(struct work *w)
{
    w->spent = take_memory(w, w->versions[0].n_in + 1, sizeof *w->spent);
    struct coin_query *q = coin_query_new(COINS_AND_MEMPOOL);
    bool good = w->spent && look_up(w, q);
    coin_query_free(q);
    return good;
}

static bool keep_hex(struct work *w, struct json_object *v, struct span *out)
{
    size_t digits = (size_t)json_object_get_string_len(v), len = 0;
    uint8_t *p = take_memory(w, digits / 2 + 1, 1);
    if (p)
        hex_decode(p, digits / 2, json_object_get_string(v), digits, &len);
    *out = span_of(p, len);
    return p != NULL;
}

/* An output as the caller tells it; one that is known must have the same script. */
static bool take_prevtx(struct work *w, struct json_object *v, size_t k)
{
    static const struct rpc_member members[] = { { "txid", RPC_HASH, RPC_REQUIRED },
                                                 { "vout", RPC_INT, RPC_REQUIRED },
                                                 { "scriptPubKey", RPC_HEX, RPC_REQUIRED },
                                                 { "amount", RPC_AMOUNT, RPC_REQUIRED },
                                                 { "redeemScript", RPC_HEX, RPC_OPTIONAL } };
    struct json_object *m[COUNT_OF(members)];
    struct outpoint o;
    struct span script;
    char where[32];
    int64_t index, amount;
    snprintf(where, sizeof where, "prevtxs[%zu]", k);
    if (!rpc_some_members(w->call, v, where, members, COUNT_OF(members), m) ||
        !rpc_in_range(w->call, where, "vout", m[1], 0, UINT32_MAX, &index) ||
        !keep_hex(w, m[2], &script) || (m[4] && !keep_hex(w, m[4], &w->redeem[w->n_redeem++])))
        return false;
    if (!json_get_amount(m[3], &amount) || !money_range(amount)) {
        rpc_fail(w->call, RPC_TYPE_ERROR, "Amount out of range: %s.amount", where);
        return false;
    }
    o.index = (uint32_t)index;
    if (!hash_from_hex(o.txid.b, json_object_get_string(m[0])))
        return false;
    for (size_t i = 0; i < w->versions[0].n_in; i++) {
        struct spent *s = &w->spent[i];
        if (!outpoint_equal(&w->versions[0].in[i].prevout, &o))
            continue;
        if (s->known && (s->script.len != script.len ||
                         !mem_equal_var(s->script.data, script.data, script.len))) {
            rpc_fail(w->call, RPC_DESERIALIZATION_ERROR,
                     "Previous output scriptPubKey mismatch: %s has another in the chain", where);
            return false;
        }
        /* A script hash means something in outputs of before Genesis alone. */
        int32_t height = s->known ? s->height : script_is_p2sh(script) ? 0 : w->next_height;
        *s = (struct spent){ .known = true, .value = amount, .height = height, .script = script };
    }
    return true;
}

static bool take_prevtxs(struct work *w)
{
    struct json_object *list = w->call->argv[1];
    size_t n = list ? json_object_array_length(list) : 0;
    w->redeem = take_memory(w, n + 1, sizeof *w->redeem);
    if (!w->redeem)
        return false;
    for (size_t k = 0; k < n && !rpc_given_up(w->call); k++)
        if (!take_prevtx(w, json_object_array_get_idx(list, k), k))
            return false;
    return true;
}

/* --- keys and hash type --------------------------------------------------------------------- */

static bool take_given_keys(struct work *w)
{
    struct json_object *list = w->call->argv[2];
    return !list || sign_keys_given(w->call, list, &w->arena, &w->keys);
}

/* Those of a wallet, now that it is known what is spent. */
static bool take_own_keys(struct work *w)
{
    const size_t n_in = w->versions[0].n_in;
    if (w->call->argv[2])
        return true;
    struct span *scripts = take_memory(w, n_in + w->n_redeem + 1, sizeof *scripts);
    size_t n = 0;
    if (!scripts)
        return false;
    for (size_t i = 0; i < n_in; i++)
        if (w->spent[i].known)
            scripts[n++] = w->spent[i].script;
    for (size_t i = 0; i < w->n_redeem; i++)
        scripts[n++] = w->redeem[i];
    return sign_keys_own(w->call, scripts, n, &w->arena, &w->keys);
}

static const struct { const char *name; uint32_t bits; } hash_type_words[] = {
    { "ALL", SIGHASH_ALL }, { "NONE", SIGHASH_NONE }, { "SINGLE", SIGHASH_SINGLE },
    { "FORKID", SIGHASH_FORKID }, { "CHRONICLE", SIGHASH_CHRONICLE },
    { "ANYONECANPAY", SIGHASH_ANYONECANPAY },
};
#define BASE_TYPES 3 /* the first ones: exactly one of them, and it comes first */

/* Words joined by '|'; 0 when the text is no such thing. */
static uint32_t parse_hash_type(const char *text)
{
    uint32_t type = 0;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, "|"), k = 0;
        while (k < COUNT_OF(hash_type_words) && (strlen(hash_type_words[k].name) != len ||
                                                 strncmp(hash_type_words[k].name, p, len) != 0))
            k++;
        bool first = p == text;
        if (k == COUNT_OF(hash_type_words) || (k < BASE_TYPES) != first ||
            (!first && type & hash_type_words[k].bits))
            return 0;
        type |= hash_type_words[k].bits;
        p += len;
        if (!*p)
            return type;
    }
}

static bool take_hash_type(struct work *w)
{
    w->signer.hash_type = parse_hash_type(rpc_text(w->call, 3, "ALL|FORKID"));
    if (!w->signer.hash_type)
        rpc_fail(w->call, RPC_INVALID_PARAMETER,
                 "Invalid sighash param: ALL, NONE or SINGLE, then |FORKID, and if wanted "
                 "|CHRONICLE and |ANYONECANPAY");
    else if (!(w->signer.hash_type & SIGHASH_FORKID))
        rpc_fail(w->call, RPC_INVALID_PARAMETER, "Signature must use SIGHASH_FORKID");
    else if (w->signer.hash_type & SIGHASH_CHRONICLE &&
             w->next_height < w->params->heights.chronicle)
        rpc_fail(w->call, RPC_INVALID_PARAMETER,
                 "SIGHASH_CHRONICLE is valid from block %d on, the next one is %d",
                 w->params->heights.chronicle, w->next_height);
    else
        return true;
    return false;
}

/* --- signing and checking ------------------------------------------------------------------- */

static struct script_input input_of(const struct work *w, const struct tx *tx, size_t i,
                                    struct sighash_cache *sighash)
{
    uint32_t flags = script_flags_for_policy(&w->params->heights, w->next_height);
    return (struct script_input){
        .tx = tx,
        .index = i,
        .script_pubkey = w->spent[i].script,
        .amount = w->spent[i].value,
        .flags = script_flags_for_coin(&w->params->heights, flags, w->spent[i].height),
        .sighash = sighash,
    };
}

static bool sign_all(struct work *w)
{
    const struct tx *tx = &w->versions[0];
    struct sighash_cache sighash;
    struct span *earlier = take_memory(w, w->n_versions, sizeof *earlier);
    w->unlocks = take_memory(w, tx->n_in + 1, sizeof *w->unlocks);
    if (!earlier || !w->unlocks)
        return false;
    w->signer.keys = w->keys.v;
    w->signer.n_keys = w->keys.n;
    w->signer.redeem = w->redeem;
    w->signer.n_redeem = w->n_redeem;
    w->signer.earlier = earlier;
    w->signer.n_earlier = w->n_versions;
    sighash_cache_init(&sighash, tx);
    for (size_t i = 0; i < tx->n_in && !rpc_client_gone(w->call); i++) {
        for (size_t k = 0; k < w->n_versions; k++)
            earlier[k] = w->versions[k].in[i].script;
        struct script_input in = input_of(w, tx, i, &sighash);
        in.cancel = w->call->env->cancel;
        buf_init(&w->unlocks[i]);
        if (w->spent[i].known)
            script_sign(&w->signer, &in, &w->unlocks[i]);
        else
            buf_put(&w->unlocks[i], earlier[0].data, earlier[0].len);
    }
    sighash_cache_clear(&sighash);
    return true;
}

static void put_error(struct json_writer *w, const struct tx_in *in, const char *text)
{
    jw_object_open(w);
    jw_put_hash(w, "txid", in->prevout.txid.b);
    jw_put_u64(w, "vout", in->prevout.index);
    jw_put_hex(w, "scriptSig", in->script.data, in->script.len);
    jw_put_u64(w, "sequence", in->sequence);
    jw_put_text(w, "error", text);
    jw_object_close(w);
}

static const char *check_input(const struct work *w, const struct tx *tx, size_t i,
                               struct sighash_cache *sighash, const struct cancel *limited)
{
    const struct script_limits limits =
        script_limits_policy(&chain_get_policy(w->call->env->chain)->scripts);
    if (!w->spent[i].known)
        return "Input not found or already spent";
    struct script_input in = input_of(w, tx, i, sighash);
    in.limits = &limits;
    in.cancel = limited;
    enum script_err err = script_verify(&in);
    if (err == SCRIPT_OK)
        return NULL;
    if (script_err_is_verdict(err))
        return script_err_message(err);
    return err == SCRIPT_ERR_NOMEM ? "Not checked: out of memory for the script"
                                   : "Not checked: the script takes too long";
}

/* Members complete and, when there are any, errors. */
static void put_verdict(const struct work *w, const struct tx *tx)
{
    struct json_writer *out = w->call->out;
    struct sighash_cache sighash;
    struct cancel limited;
    struct buf errors;
    struct json_writer list;
    bool complete = true;
    cancel_init_limited(&limited, VERIFY_CPU_US, w->call->env->cancel);
    sighash_cache_init(&sighash, tx);
    buf_init(&errors);
    jw_init(&list, &errors, NULL, NULL);
    jw_array_open(&list);
    for (size_t i = 0; i < tx->n_in; i++) {
        const char *error = check_input(w, tx, i, &sighash, &limited);
        if (error)
            put_error(&list, &tx->in[i], error);
        complete &= !error;
    }
    jw_array_close(&list);
    jw_put_bool(out, "complete", complete);
    if (!complete) {
        jw_key(out, "errors");
        jw_json(out, (const char *)errors.data, errors.len);
    }
    buf_clear(&errors);
    sighash_cache_clear(&sighash);
}

static bool put_signed(struct work *w)
{
    struct tx made = w->versions[0];
    struct buf raw;
    struct error e;
    buf_init(&raw);
    for (size_t i = 0; i < made.n_in; i++)
        made.in[i].script = buf_span(&w->unlocks[i]);
    tx_write(&raw, &made);
    struct tx *tx = tx_new(raw.data, raw.len, &e);
    if (tx) {
        jw_object_open(w->call->out);
        jw_put_hex(w->call->out, "hex", raw.data, raw.len);
        put_verdict(w, tx);
        jw_object_close(w->call->out);
    } else {
        rpc_fail_error(w->call, &e);
    }
    bool good = tx != NULL;
    tx_unref(tx);
    buf_clear(&raw);
    return good;
}

static void work_clear(struct work *w)
{
    sign_keys_wipe(&w->keys);
    for (size_t i = 0; w->unlocks && i < w->versions[0].n_in; i++)
        buf_clear(&w->unlocks[i]);
    buf_clear(&w->raw);
    arena_clear(&w->arena);
}

static struct rpc_result cmd_signrawtransaction(struct rpc_call *call)
{
    struct chain_tip tip;
    struct work w = { .call = call, .params = chain_get_params(call->env->chain) };
    chain_get_tip(call->env->chain, &tip);
    w.next_height = tip.height + 1;
    arena_init(&w.arena);
    buf_init(&w.raw);
    bool good = take_hash_type(&w) && take_versions(&w) && take_given_keys(&w) && find_spent(&w) &&
                take_prevtxs(&w) && take_own_keys(&w) && sign_all(&w) && put_signed(&w);
    work_clear(&w);
    return good ? rpc_done() : rpc_failed(call);
}

static const struct rpc_command rows[] = {
    { .name = "signrawtransaction",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET | RPC_TYPES_FIRST,
      .fn = cmd_signrawtransaction,
      .help = "Signs inputs of a transaction with keys that are given, or those of the wallet. "
              "Versions of it signed by others may follow each other; their signatures are brought "
              "together.",
      .result = "{hex, complete, errors:[{txid, vout, scriptSig, sequence, error}, ...]}",
      .example = "\"hex\" '[]' '[\"privkey\"]'",
      .params = { { "hexstring", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT,
                    "The transaction, or several versions of it one after the other" },
                  { "prevtxs", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Outputs it spends that the node does not know: [{\"txid\",\"vout\","
                    "\"scriptPubKey\",\"amount\",\"redeemScript\"}, ...]" },
                  { "privkeys", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Keys (WIF) that alone sign; not given: those of the wallet" },
                  { "sighashtype", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "ALL|FORKID (default), NONE|FORKID or SINGLE|FORKID, then |CHRONICLE and "
                    "|ANYONECANPAY as wanted" } } },
};
const struct rpc_group rpc_sign_commands = { rows, COUNT_OF(rows) };
