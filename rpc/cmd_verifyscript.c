/*
 * verifyscript: scripts of transactions that need not be known, run under the limits of the node's
 * policy. Everything is read and found first, so that a wrong entry fails the call before anything
 * runs. Scripts run on the worker, each limited in CPU time, all together in time.
 */
#include "rpc/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/policy.h"
#include "rpc/coin_query.h"
#include "rpc/params.h"
#include "rpc/tx_arg.h"
#include "script/verify.h"

#define DEFAULT_TIMEOUT_MS 100
#define TIMEOUT_MAX_MS 60000 /* a caller cannot keep a worker for longer */

enum check_result { CHECK_OK, CHECK_ERROR, CHECK_TIMEOUT, CHECK_SKIPPED };

struct check {
    struct tx *tx;
    size_t input;
    struct buf lock;
    int64_t value;
    uint32_t flags;
    bool report_flags;
    enum check_result result;
    char description[120]; /* "": none */
};

struct checks {
    struct check *v;
    size_t n;
    struct chain_tip tip;
    struct coin_query *coins;
};

static void checks_clear(struct checks *c)
{
    for (size_t i = 0; i < c->n; i++) {
        tx_unref(c->v[i].tx);
        buf_clear(&c->v[i].lock);
    }
    free(c->v);
    coin_query_free(c->coins);
}

/* --- one entry ------------------------------------------------------------------------------ */

enum { M_TX, M_N, M_FLAGS, M_REPORT, M_PREV, M_TXO, MEMBERS };
static const struct rpc_member members[MEMBERS] = {
    [M_TX] = { "tx", RPC_TEXT, RPC_REQUIRED },
    [M_N] = { "n", RPC_INT, RPC_REQUIRED },
    [M_FLAGS] = { "flags", RPC_INT, RPC_OPTIONAL },
    [M_REPORT] = { "reportflags", RPC_BOOL, RPC_OPTIONAL },
    [M_PREV] = { "prevblockhash", RPC_HASH, RPC_OPTIONAL },
    [M_TXO] = { "txo", RPC_OBJECT, RPC_OPTIONAL },
};

static bool take_tx(struct rpc_call *call, const char *where, struct json_object *hex,
                    struct json_object *n, struct check *k)
{
    struct error e = { .code = OK };
    int64_t input;
    k->tx = tx_from_text(hex, &e);
    if (!k->tx) {
        rpc_fail_tx(call, &e, "TX decode failed for %s.tx", where);
        return false;
    }
    if (!k->tx->n_in) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s.tx has no inputs", where);
        return false;
    }
    if (!rpc_in_range(call, where, "n", n, 0, (int64_t)k->tx->n_in - 1, &input))
        return false;
    k->input = (size_t)input;
    return true;
}

/* Flags as given, or of a block upon prevblockhash (default the tip). */
static bool take_flags(struct rpc_call *call, const char *where, struct json_object *const *m,
                       const struct checks *c, struct check *k)
{
    const struct chain_params *p = chain_get_params(call->env->chain);
    int64_t flags;
    int32_t height = c->tip.height;
    if (m[M_FLAGS] && m[M_PREV]) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "Both flags and prevblockhash specified in %s",
                 where);
        return false;
    }
    if (m[M_FLAGS]) {
        bool good = rpc_in_range(call, where, "flags", m[M_FLAGS], INT32_MIN, UINT32_MAX, &flags);
        k->flags = (uint32_t)flags;
        return good;
    }
    if (m[M_PREV]) {
        struct block_hash hash;
        const char *hex = json_object_get_string(m[M_PREV]);
        struct header_node *node = hash_from_hex(hash.b, hex)
                                       ? header_index_find(chain_headers(call->env->chain), &hash)
                                       : NULL;
        if (!node) {
            rpc_fail(call, RPC_INVALID_PARAMETER,
                     "Unknown block (%s) specified by %s.prevblockhash", hex, where);
            return false;
        }
        height = node->height;
    }
    k->flags = script_flags_for_block(&p->heights, height + 1);
    return true;
}

/* The height at which the output was made decides some flags. */
static void apply_height(struct rpc_call *call, const struct checks *c, struct check *k,
                         int32_t height)
{
    const struct chain_params *p = chain_get_params(call->env->chain);
    k->flags &= ~(SCRIPT_UTXO_AFTER_GENESIS | SCRIPT_UTXO_AFTER_CHRONICLE);
    k->flags = script_flags_for_coin(&p->heights, k->flags,
                                     height == COIN_IN_MEMPOOL ? c->tip.height + 1 : height);
}

static bool take_txo(struct rpc_call *call, const char *where, struct json_object *txo,
                     bool flags_given, const struct checks *c, struct check *k)
{
    const struct rpc_member txo_members[] = {
        { "lock", RPC_HEX, RPC_REQUIRED },
        { "value", RPC_INT, RPC_REQUIRED },
        { "height", RPC_INT, flags_given ? RPC_OPTIONAL : RPC_REQUIRED },
    };
    struct json_object *m[COUNT_OF(txo_members)];
    char name[60];
    int64_t height;
    snprintf(name, sizeof name, "%.40s.txo", where);
    if (!rpc_members(call, txo, name, txo_members, COUNT_OF(txo_members), m) ||
        !rpc_in_range(call, name, "value", m[1], 0, INT64_MAX, &k->value) ||
        (m[2] && !rpc_in_range(call, name, "height", m[2], COIN_IN_MEMPOOL, INT32_MAX - 1,
                               &height)))
        return false;
    size_t digits = (size_t)json_object_get_string_len(m[0]), len = 0;
    if (!buf_try_reserve(&k->lock, digits / 2 + 1)) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for %s.lock", name);
        return false;
    }
    hex_decode(k->lock.data, digits / 2, json_object_get_string(m[0]), digits, &len);
    k->lock.len = len;
    if (m[2])
        apply_height(call, c, k, (int32_t)height);
    return true;
}

static bool keep_lock(struct rpc_call *call, struct check *k, struct span script)
{
    if (!buf_try_reserve(&k->lock, script.len + 1)) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for a script of %zu bytes", script.len);
        return false;
    }
    buf_put(&k->lock, script.data, script.len);
    return true;
}

/* The output that the input spends, in the mempool or unspent in the chain. */
static bool find_txo(struct rpc_call *call, const char *where, struct checks *c, struct check *k)
{
    const struct outpoint *o = &k->tx->in[k->input].prevout;
    if (!coin_query_run(c->coins, call, o, 1))
        return false;
    if (!c->coins->found[0]) {
        rpc_fail(call, RPC_INVALID_PARAMETER,
                 "Unable to find TXO spent by transaction %s.tx: give it as %s.txo", where, where);
        return false;
    }
    k->value = c->coins->coins[0].value;
    apply_height(call, c, k, c->coins->coins[0].height);
    return keep_lock(call, k, coin_query_script(c->coins, 0));
}

static bool take_check(struct rpc_call *call, struct json_object *v, struct checks *c,
                       struct check *k)
{
    struct json_object *m[MEMBERS];
    char where[40];
    snprintf(where, sizeof where, "scripts[%zu]", (size_t)(k - c->v));
    if (!rpc_members(call, v, where, members, MEMBERS, m) ||
        !take_tx(call, where, m[M_TX], m[M_N], k) || !take_flags(call, where, m, c, k))
        return false;
    k->report_flags = m[M_REPORT] && json_object_get_boolean(m[M_REPORT]);
    return m[M_TXO] ? take_txo(call, where, m[M_TXO], m[M_FLAGS] != NULL, c, k)
                    : find_txo(call, where, c, k);
}

static bool take_checks(struct rpc_call *call, struct checks *c)
{
    size_t n = json_object_array_length(call->argv[0]);
    c->v = try_alloc(n + 1, sizeof *c->v);
    if (!c->v) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the list");
        return false;
    }
    while (c->n < n) {
        struct json_object *v = json_object_array_get_idx(call->argv[0], c->n);
        struct check *k = &c->v[c->n++];
        *k = (struct check){ .tx = NULL };
        if (!take_check(call, v, c, k))
            return false;
    }
    return true;
}

/* --- running -------------------------------------------------------------------------------- */

struct run {
    struct rpc_call *call;
    struct script_limits limits;
    int64_t script_ms;          /* CPU time of one script at most; 0: no limit of its own */
    int64_t total_ms, end_ms;   /* of all */
};

static void end_check(struct check *k, enum check_result result, const char *description)
{
    k->result = result;
    snprintf(k->description, sizeof k->description, "%s", description);
}

static void run_check(const struct run *r, struct check *k, int64_t left_ms)
{
    struct cancel limited;
    char text[100];
    int64_t start = clock_mono_ms();
    int64_t limit_ms = r->script_ms > 0 ? MIN_OF(r->script_ms, left_ms) : left_ms;
    cancel_init_limited(&limited, 1000 * limit_ms, r->call->env->cancel);
    struct script_input in = { .tx = k->tx,
                               .index = k->input,
                               .script_pubkey = buf_span(&k->lock),
                               .amount = k->value,
                               .flags = k->flags,
                               .limits = &r->limits,
                               .cancel = &limited };
    enum script_err err = script_verify(&in);
    if (err == SCRIPT_OK) {
        end_check(k, CHECK_OK, "");
    } else if (script_err_is_verdict(err)) {
        end_check(k, CHECK_ERROR, script_err_message(err));
    } else {
        snprintf(text, sizeof text, "Verification of this script was aborted after %lld ms.%s",
                 (long long)(clock_mono_ms() - start),
                 err == SCRIPT_ERR_NOMEM ? " Memory is short." : "");
        end_check(k, CHECK_TIMEOUT, text);
    }
}

static void run_checks(const struct run *r, struct checks *c, bool stop_on_first)
{
    bool failed = false;
    char text[100];
    snprintf(text, sizeof text, "Total script verification time (%lld ms) exceeded.",
             (long long)r->total_ms);
    for (size_t i = 0; i < c->n; i++) {
        int64_t left = r->end_ms - clock_mono_ms();
        if (failed && stop_on_first)
            end_check(&c->v[i], CHECK_SKIPPED, "Verification of previous script failed.");
        else if (left <= 0 || rpc_client_gone(r->call))
            end_check(&c->v[i], CHECK_SKIPPED, text);
        else
            run_check(r, &c->v[i], left);
        failed |= c->v[i].result != CHECK_OK;
    }
}

static void put_checks(struct json_writer *w, const struct checks *c)
{
    static const char *const names[] = { [CHECK_OK] = "ok", [CHECK_ERROR] = "error",
                                         [CHECK_TIMEOUT] = "timeout",
                                         [CHECK_SKIPPED] = "skipped" };
    jw_array_open(w);
    for (size_t i = 0; i < c->n; i++) {
        const struct check *k = &c->v[i];
        jw_object_open(w);
        jw_put_text(w, "result", names[k->result]);
        if (*k->description)
            jw_put_text(w, "description", k->description);
        if (k->report_flags)
            jw_put_u64(w, "flags", k->flags);
        jw_object_close(w);
    }
    jw_array_close(w);
}

static struct rpc_result cmd_verifyscript(struct rpc_call *call)
{
    struct chain *chain = call->env->chain;
    const struct tx_policy *policy = chain_get_policy(chain);
    struct rpc_result result = rpc_done();
    int64_t timeout = rpc_int(call, 2, DEFAULT_TIMEOUT_MS);
    if (timeout < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Invalid value for totalTimeout: must not be negative");
    timeout = MIN_OF(timeout, (int64_t)TIMEOUT_MAX_MS);
    struct run run = { .call = call,
                       .limits = script_limits_policy(&policy->scripts),
                       .script_ms = policy->standard_time_ms,
                       .total_ms = timeout,
                       .end_ms = clock_mono_ms() + timeout };
    struct checks c = { .coins = coin_query_new(COINS_AND_MEMPOOL) };
    chain_get_tip(chain, &c.tip);
    if (take_checks(call, &c)) {
        run_checks(&run, &c, rpc_bool(call, 1, true));
        put_checks(call->out, &c);
    } else {
        result = rpc_failed(call);
    }
    checks_clear(&c);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "verifyscript",
      .category = "util",
      .where = RPC_ON_WORKER,
      .fn = cmd_verifyscript,
      .help = "Do inputs of transactions satisfy the outputs they spend? Under the node's policy "
              "limits; rules by flags, or by the block that would hold the transaction and the "
              "height of the output.",
      .result = "[{result: ok|error|timeout|skipped, description, flags}, ...] in the order asked",
      .example = "'[{\"tx\":\"0100...\",\"n\":0,\"reportflags\":true}]' true 100",
      .params = { { "scripts", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON,
                    "[{\"tx\":hex,\"n\":input,\"flags\":bits,\"reportflags\":bool,"
                    "\"prevblockhash\":hash (default the tip; not with flags),\"txo\":{"
                    "\"lock\":hex,\"value\":satoshis,\"height\":of its block, -1 mempool} "
                    "(default looked up)}, ...]" },
                  { "stopOnFirstInvalid", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Skip what follows a script that fails (default true)" },
                  { "totalTimeout", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Milliseconds for all of them (default 100, at most 60000); each has "
                    "-maxstdtxvalidationduration" } } },
};
const struct rpc_group rpc_verifyscript_commands = { rows, COUNT_OF(rows) };
