/* From clients into the mempool: sendrawtransaction, sendrawtransactions, savemempool. */
#include "rpc/commands.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/nonfinal.h"
#include "rpc/later.h"
#include "rpc/policy_arg.h"
#include "rpc/tx_arg.h"

#define SMALL_HEX 8192

/* --- one ------------------------------------------------------------------------------------ */

static struct rpc_result answer_one(struct rpc_call *call, const struct tx_result *r)
{
    switch (r->outcome) {
    case TX_ACCEPTED:
    case TX_PARKED:
        jw_hash(call->out, r->tx->id.b);
        return rpc_done();
    case TX_KNOWN:
        return rpc_fail(call, RPC_ALREADY_IN_CHAIN, "Transaction already in the mempool");
    case TX_CONFIRMED:
        return rpc_fail(call, RPC_ALREADY_IN_CHAIN, "transaction already in block chain");
    case TX_MISSING_INPUTS:
        return rpc_fail(call, RPC_VERIFY_ERROR, "Missing inputs");
    case TX_REJECTED:
        return rpc_fail(call, RPC_REJECTED, "%d: %s", (int)r->verdict.code, r->verdict.reason);
    case TX_NOT_JUDGED:
        break;
    }
    return rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down or out of memory");
}

static struct rpc_result answer_judged(struct rpc_call *call, void *ctx)
{
    return answer_one(call, ctx);
}

static void on_judged(void *ctx, const struct tx_result *result)
{
    rpc_later_end(ctx, answer_judged, (void *)(uintptr_t)result);
}

static struct rpc_result submit_and_wait(struct rpc_call *call, struct tx_submission *s)
{
    struct error e = { .code = OK };
    struct rpc_result result = chain_submit_txs(call->env->chain, s, 1, &e)
                                   ? rpc_fail_error(call, &e)
                                   : answer_one(call, &s->result);
    tx_submissions_clear(s, 1);
    return result;
}

static struct rpc_result submit(struct rpc_call *call, struct tx_submission *s)
{
    struct rpc_later *later = rpc_later_begin(call);
    if (!later)
        return call->on_http ? rpc_elsewhere() : submit_and_wait(call, s);
    if (chain_submit_tx_later(call->env->chain, s, on_judged, later))
        return rpc_pending();
    rpc_later_drop(later);
    return answer_one(call, &(struct tx_result){ .outcome = TX_NOT_JUDGED });
}

static struct rpc_result cmd_sendrawtransaction(struct rpc_call *call)
{
    struct tx_submission s = { .allow_high_fee = rpc_bool(call, 1, false),
                               .free = rpc_bool(call, 2, false) };
    struct error e = { .code = OK };
    s.tx = tx_from_text(call->argv[0], &e);
    if (!s.tx)
        return rpc_fail_tx(call, &e, "TX decode failed");
    struct rpc_result result = submit(call, &s);
    tx_unref(s.tx);
    return result;
}

/* The HTTP thread reads a small one and goes on. */
static enum rpc_where place_tx_call(struct json_object *params)
{
    struct json_object *hex = NULL;
    if (json_object_get_type(params) == json_type_array)
        hex = json_object_array_length(params) ? json_object_array_get_idx(params, 0) : NULL;
    else if (params)
        json_object_object_get_ex(params, "hexstring", &hex);
    const bool is_small = json_object_get_type(hex) == json_type_string &&
                          json_object_get_string_len(hex) <= SMALL_HEX;
    return is_small ? RPC_ON_HTTP : RPC_ON_WORKER;
}

/* --- many ----------------------------------------------------------------------------------- */

struct many {
    struct tx_submission *v;
    struct tx_policy *policies; /* beside v, used where the entry has a config */
    bool *list_ancestors;
    size_t n;
    struct tx_policy common;    /* of the call's policySettings */
};

static bool flag_of(struct json_object *entry, const char *name)
{
    struct json_object *v = NULL;
    return json_object_object_get_ex(entry, name, &v) && json_object_get_boolean(v);
}

static bool read_hex(struct rpc_call *call, struct json_object *entry, size_t i, struct tx **tx)
{
    struct json_object *hex = NULL;
    struct error e = { .code = OK };
    json_object_object_get_ex(entry, "hex", &hex);
    if (json_object_get_type(hex) != json_type_string) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "inputs[%zu]: hex must be a string", i);
        return false;
    }
    *tx = tx_from_text(hex, &e);
    if (!*tx)
        rpc_fail_tx(call, &e, "TX decode failed (inputs[%zu])", i);
    return *tx;
}

static bool read_entry(struct rpc_call *call, struct many *m, size_t i, bool has_common)
{
    struct json_object *entry = json_object_array_get_idx(call->argv[0], i), *config = NULL;
    struct tx_submission *s = &m->v[i];
    if (json_object_get_type(entry) != json_type_object) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "inputs[%zu] must be an object with hex", i);
        return false;
    }
    s->allow_high_fee = flag_of(entry, "allowhighfees");
    s->free = flag_of(entry, "dontcheckfee");
    m->list_ancestors[i] = flag_of(entry, "listunconfirmedancestors");
    s->policy = has_common ? &m->common : NULL;
    if (json_object_object_get_ex(entry, "config", &config) && config) {
        m->policies[i] = m->common;
        if (json_object_get_type(config) != json_type_object) {
            rpc_fail(call, RPC_INVALID_PARAMETER, "inputs[%zu]: config must be an object", i);
            return false;
        }
        if (!rpc_policy(call, config, &m->policies[i]))
            return false;
        s->policy = &m->policies[i];
    }
    return read_hex(call, entry, i, &s->tx);
}

static bool take_room(struct rpc_call *call, struct many *m, size_t n)
{
    m->v = try_calloc(n, sizeof(*m->v));
    m->policies = try_calloc(n, sizeof(*m->policies));
    m->list_ancestors = try_calloc(n, sizeof(*m->list_ancestors));
    const bool good = m->v && m->policies && m->list_ancestors;
    if (good)
        m->n = n;
    else
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the list of transactions");
    return good;
}

/* False: call has failed. */
static bool read_all(struct rpc_call *call, struct many *m)
{
    const size_t n = json_object_array_length(call->argv[0]);
    m->common = *chain_get_policy(call->env->chain);
    if (n == 0) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid parameter, inputs must not be empty");
        return false;
    }
    if (!take_room(call, m, n))
        return false;
    if (rpc_has(call, 1) && !rpc_policy(call, call->argv[1], &m->common))
        return false;
    for (size_t i = 0; i < m->n; i++)
        if (!read_entry(call, m, i, rpc_has(call, 1)))
            return false;
    return true;
}

static void many_clear(struct many *m)
{
    tx_submissions_clear(m->v, m->n);
    for (size_t i = 0; i < m->n; i++)
        tx_unref(m->v[i].tx);
    free(m->v);
    free(m->policies);
    free(m->list_ancestors);
}

/* --- the answer to many ---------------------------------------------------------------------- */

static bool is_known(const struct tx_result *r)
{
    return r->outcome == TX_KNOWN;
}

static bool is_evicted(const struct tx_result *r)
{
    return r->outcome == TX_REJECTED && r->verdict.code == REJECT_MEMPOOL_FULL;
}

static bool is_invalid(const struct tx_result *r)
{
    return !is_evicted(r) && r->outcome != TX_ACCEPTED && r->outcome != TX_PARKED && !is_known(r);
}

static size_t count_of(const struct many *m, bool (*is)(const struct tx_result *r))
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += is(&m->v[i].result);
    return n;
}

static void put_ids(struct json_writer *w, const char *key, const struct many *m,
                    bool (*is)(const struct tx_result *r))
{
    if (count_of(m, is) == 0)
        return;
    jw_key(w, key);
    jw_array_open(w);
    for (size_t i = 0; i < m->n; i++)
        if (is(&m->v[i].result))
            jw_hash(w, m->v[i].tx->id.b);
    jw_array_close(w);
}

static void put_collision(struct json_writer *w, const struct tx *tx)
{
    jw_key(w, "collidedWith");
    jw_array_open(w);
    jw_object_open(w);
    jw_put_hash(w, "txid", tx->id.b);
    jw_put_u64(w, "size", tx->raw.len);
    jw_put_hex(w, "hex", tx->raw.data, tx->raw.len);
    jw_object_close(w);
    jw_array_close(w);
}

static void put_reason(struct json_writer *w, const struct tx_result *r)
{
    const bool rejected = r->outcome == TX_REJECTED;
    jw_put_i64(w, "reject_code", rejected ? (int)r->verdict.code : REJECT_INVALID);
    jw_put_text(w, "reject_reason",
                rejected                       ? r->verdict.reason
                : r->outcome == TX_CONFIRMED   ? "txn-already-known"
                : r->outcome == TX_NOT_JUDGED  ? "not-judged"
                                               : "missing-inputs");
    if (r->conflict)
        put_collision(w, r->conflict);
}

static void put_invalid(struct json_writer *w, const struct many *m)
{
    if (count_of(m, is_invalid) == 0)
        return;
    jw_key(w, "invalid");
    jw_array_open(w);
    for (size_t i = 0; i < m->n; i++) {
        if (!is_invalid(&m->v[i].result))
            continue;
        jw_object_open(w);
        jw_put_hash(w, "txid", m->v[i].tx->id.b);
        put_reason(w, &m->v[i].result);
        jw_object_close(w);
    }
    jw_array_close(w);
}

/* References, since the pool's lock is not for the time that writing takes. */
struct ancestors {
    struct tx **v;
    size_t n, cap;
};

static enum mempool_visit keep_ancestor(void *ctx, const struct mempool_entry *entry)
{
    struct ancestors *a = ctx;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 32;
        a->v = xrealloc(a->v, a->cap * sizeof(*a->v));
    }
    a->v[a->n++] = tx_ref(entry->tx);
    return MEMPOOL_GO_ON;
}

static void put_ancestor(struct json_writer *w, const struct tx *tx)
{
    jw_object_open(w);
    jw_put_hash(w, "txid", tx->id.b);
    jw_key(w, "vin");
    jw_array_open(w);
    for (size_t i = 0; i < tx->n_in; i++) {
        jw_object_open(w);
        jw_put_hash(w, "txid", tx->in[i].prevout.txid.b);
        jw_put_u64(w, "vout", tx->in[i].prevout.index);
        jw_object_close(w);
    }
    jw_array_close(w);
    jw_object_close(w);
}

/* Of the transaction, which is the first that is visited. */
static void put_ancestors(struct rpc_call *call, const struct txid *id)
{
    struct ancestors a = { .n = 0 };
    mempool_each_ancestor(chain_mempool(call->env->chain), id, keep_ancestor, &a);
    jw_array_open(call->out);
    for (size_t i = 1; i < a.n; i++)
        put_ancestor(call->out, a.v[i]);
    jw_array_close(call->out);
    for (size_t i = 0; i < a.n; i++)
        tx_unref(a.v[i]);
    free(a.v);
}

static bool wants_ancestors(const struct many *m, size_t i)
{
    return m->list_ancestors[i] && m->v[i].result.outcome == TX_ACCEPTED;
}

static void put_unconfirmed(struct rpc_call *call, const struct many *m)
{
    struct json_writer *w = call->out;
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += wants_ancestors(m, i);
    if (n == 0)
        return;
    jw_key(w, "unconfirmed");
    jw_array_open(w);
    for (size_t i = 0; i < m->n; i++) {
        if (!wants_ancestors(m, i))
            continue;
        jw_object_open(w);
        jw_put_hash(w, "txid", m->v[i].tx->id.b);
        jw_key(w, "ancestors");
        put_ancestors(call, &m->v[i].tx->id);
        jw_object_close(w);
    }
    jw_array_close(w);
}

static void put_answer(struct rpc_call *call, const struct many *m)
{
    struct json_writer *w = call->out;
    jw_object_open(w);
    put_ids(w, "known", m, is_known);
    put_ids(w, "evicted", m, is_evicted);
    put_invalid(w, m);
    put_unconfirmed(call, m);
    jw_object_close(w);
}

static struct rpc_result cmd_sendrawtransactions(struct rpc_call *call)
{
    struct many m = { .n = 0 };
    struct error e = { .code = OK };
    struct rpc_result result = rpc_done();
    if (!read_all(call, &m))
        result = rpc_failed(call);
    else if (chain_submit_txs(call->env->chain, m.v, m.n, &e) && e.code == ERR_CANCELLED &&
             call->env->cancel && cancelled(call->env->cancel))
        result = rpc_fail_error(call, &e);
    else
        put_answer(call, &m);
    many_clear(&m);
    return result;
}

static struct rpc_result cmd_savemempool(struct rpc_call *call)
{
    struct error e = { .code = OK };
    if (chain_save_mempool(call->env->chain, &e))
        return rpc_fail_error(call, &e);
    jw_null(call->out);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "sendrawtransaction",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .flags = RPC_TYPES_FIRST,
      .fn = cmd_sendrawtransaction,
      .place = place_tx_call,
      .help = "Puts a transaction into the mempool and sends it to peers. It may be in extended "
              "form (BRC-30).",
      .result = "\"txid\"",
      .example = "0100...",
      .params = { { "hexstring", RPC_TX, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "allowhighfees", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Allow a fee above -maxtxfee (default false)" },
                  { "dontcheckfee", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Ask for no minimum fee (default false)" } } },
    { .name = "sendrawtransactions",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .fn = cmd_sendrawtransactions,
      .help = "The same with many, which may depend on each other in any order. Settings are named "
              "as the options; limitancestorcount, limitcpfpgroupmemberscount and the durations "
              "stay the node's.",
      .result = "{known?:[txid], evicted?:[txid], invalid?:[{txid, reject_code, reject_reason, "
                "collidedWith?:[{txid, size, hex}]}], unconfirmed?:[{txid, ancestors:[{txid, "
                "vin:[{txid, vout}]}]}]}; empty when all were accepted",
      .example = "'[{\"hex\":\"0100...\"}]'",
      .params = { { "inputs", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON,
                    "[{hex, allowhighfees?, dontcheckfee?, listunconfirmedancestors?, config?}]" },
                  { "policy|policySettings", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Policy of this call, for those without a config" } } },
    { .name = "savemempool",
      .category = "blockchain",
      .where = RPC_ON_WORKER,
      .fn = cmd_savemempool,
      .help = "Writes the mempool to mempool.dat, which is read at the next start.",
      .result = "null",
      .example = "" },
};
const struct rpc_group rpc_send_commands = { rows, COUNT_OF(rows) };
