/* The operator's lists of frozen outputs (spec consensus 7.3). */
#include "rpc/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "chain/frozen.h"
#include "rpc/frozen.h"
#include "rpc/params.h"

#define INTERVALS_MAX 1000 /* of one output */

/* --- outputs as parameters ------------------------------------------------------------------ */

enum fund_action { ADD_POLICY, ADD_CONSENSUS, REMOVE_POLICY };

struct fund {
    struct outpoint outpoint;
    struct height_interval *intervals;
    size_t n_intervals;
    bool policy_expires;
    enum frozen_answer answer;
};

struct funds {
    enum fund_action action;
    struct fund *v;
    size_t n;
};

static void funds_clear(struct funds *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i].intervals);
    free(f->v);
}

static bool take_outpoint(struct rpc_call *call, struct json_object *v, const char *where,
                          struct outpoint *out)
{
    static const struct rpc_member members[] = { { "txId", RPC_HASH, RPC_REQUIRED },
                                                 { "vout", RPC_INT, RPC_REQUIRED } };
    struct json_object *m[COUNT_OF(members)];
    int64_t index;
    if (!rpc_members(call, v, where, members, COUNT_OF(members), m) ||
        !rpc_in_range(call, where, "vout", m[1], 0, UINT32_MAX, &index))
        return false;
    out->index = (uint32_t)index;
    return hash_from_hex(out->txid.b, json_object_get_string(m[0]));
}

static bool take_interval(struct rpc_call *call, struct json_object *v, const char *where,
                          struct height_interval *out)
{
    static const struct rpc_member members[] = { { "start", RPC_INT, RPC_REQUIRED },
                                                 { "stop", RPC_INT, RPC_OPTIONAL } };
    struct json_object *m[COUNT_OF(members)];
    int64_t start, stop = INT32_MAX;
    if (!rpc_members(call, v, where, members, COUNT_OF(members), m) ||
        !rpc_in_range(call, where, "start", m[0], INT32_MIN, INT32_MAX, &start) ||
        (m[1] && !rpc_in_range(call, where, "stop", m[1], INT32_MIN, INT32_MAX, &stop)))
        return false;
    *out = (struct height_interval){ (int32_t)start, (int32_t)stop };
    return true;
}

static bool take_intervals(struct rpc_call *call, struct json_object *list, const char *where,
                           struct fund *fund)
{
    size_t n = json_object_array_length(list);
    char name[80];
    if (n > INTERVALS_MAX) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s.enforceAtHeight has more than %d intervals",
                 where, INTERVALS_MAX);
        return false;
    }
    fund->intervals = xcalloc(n + 1, sizeof *fund->intervals);
    fund->n_intervals = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%.40s.enforceAtHeight[%zu]", where, i);
        if (!take_interval(call, json_object_array_get_idx(list, i), name, &fund->intervals[i]))
            return false;
    }
    return true;
}

static bool take_fund(struct rpc_call *call, struct json_object *v, const char *where,
                      enum fund_action action, struct fund *fund)
{
    static const struct rpc_member members[] = { { "txOut", RPC_OBJECT, RPC_REQUIRED },
                                                 { "enforceAtHeight", RPC_ARRAY, RPC_OPTIONAL },
                                                 { "policyExpiresWithConsensus", RPC_BOOL,
                                                   RPC_OPTIONAL } };
    struct json_object *m[COUNT_OF(members)];
    char name[64];
    if (!rpc_members(call, v, where, members, COUNT_OF(members), m))
        return false;
    for (size_t i = 1; i < COUNT_OF(members); i++)
        if (!m[i] != (action != ADD_CONSENSUS)) {
            rpc_fail(call, RPC_INVALID_PARAMETER, "%s %s.%s (it belongs to the consensus list)",
                     m[i] ? "Misused" : "Missing", where, members[i].name);
            return false;
        }
    snprintf(name, sizeof name, "%.40s.txOut", where);
    fund->policy_expires = m[2] && json_object_get_boolean(m[2]);
    return take_outpoint(call, m[0], name, &fund->outpoint) &&
           (!m[1] || take_intervals(call, m[1], where, fund));
}

/* {"funds": [...]}; false: call has failed, *f holds what is to be cleared. */
static bool take_funds(struct rpc_call *call, enum fund_action action, struct funds *f)
{
    static const struct rpc_member member = { "funds", RPC_ARRAY, RPC_REQUIRED };
    struct json_object *list;
    char name[40];
    *f = (struct funds){ .action = action };
    if (!rpc_members(call, call->argv[0], "", &member, 1, &list))
        return false;
    size_t n = json_object_array_length(list);
    f->v = try_alloc(n + 1, sizeof *f->v);
    if (!f->v) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the list");
        return false;
    }
    while (f->n < n) {
        snprintf(name, sizeof name, "funds[%zu]", f->n);
        struct json_object *v = json_object_array_get_idx(list, f->n);
        struct fund *fund = &f->v[f->n++];
        *fund = (struct fund){ .intervals = NULL };
        if (!take_fund(call, v, name, action, fund))
            return false;
    }
    return true;
}

/* --- changing ------------------------------------------------------------------------------- */

static enum frozen_answer change_fund(struct frozen *f, enum fund_action action,
                                      const struct fund *fund)
{
    switch (action) {
    case ADD_POLICY:
        return frozen_add_policy(f, &fund->outpoint);
    case ADD_CONSENSUS:
        return frozen_add_consensus(f, &fund->outpoint, fund->intervals, fund->n_intervals,
                                    fund->policy_expires);
    case REMOVE_POLICY:
        return frozen_remove_policy(f, &fund->outpoint);
    }
    return FROZEN_NOT_FOUND;
}

static bool change_funds(struct frozen *f, void *ctx)
{
    struct funds *funds = ctx;
    bool changed = false;
    for (size_t i = 0; i < funds->n; i++) {
        funds->v[i].answer = change_fund(f, funds->action, &funds->v[i]);
        changed |= frozen_is_change(funds->v[i].answer);
    }
    return changed;
}

/* Why an output was left as it is; NULL: it was not. */
static const char *refusal(enum fund_action action, enum frozen_answer answer)
{
    if (frozen_is_change(answer))
        return NULL;
    if (action == REMOVE_POLICY)
        return answer == FROZEN_NOT_FOUND ? "not found" : "in consensus";
    if (answer == FROZEN_WAS_SO)
        return action == ADD_POLICY ? "already in policy" : "already in consensus";
    return "already in consensus";
}

void jw_put_txout(struct json_writer *w, const struct outpoint *o)
{
    jw_key(w, "txOut");
    jw_object_open(w);
    jw_put_hash(w, "txId", o->txid.b);
    jw_put_u64(w, "vout", o->index);
    jw_object_close(w);
}

static void put_refused(struct json_writer *w, const struct funds *f)
{
    jw_object_open(w);
    jw_key(w, "notProcessed");
    jw_array_open(w);
    for (size_t i = 0; i < f->n; i++) {
        const char *why = refusal(f->action, f->v[i].answer);
        if (!why)
            continue;
        jw_object_open(w);
        jw_put_txout(w, &f->v[i].outpoint);
        jw_put_text(w, "reason", why);
        jw_object_close(w);
    }
    jw_array_close(w);
    jw_object_close(w);
}

static struct rpc_result run_funds(struct rpc_call *call, enum fund_action action)
{
    struct funds funds;
    struct error e = { 0 };
    struct rpc_result result = rpc_done();
    if (!take_funds(call, action, &funds))
        result = rpc_failed(call);
    else if (chain_change_frozen(call->env->chain, change_funds, &funds, &e))
        result = rpc_fail_error(call, &e);
    else
        put_refused(call->out, &funds);
    funds_clear(&funds);
    return result;
}

static struct rpc_result cmd_addtopolicyblacklist(struct rpc_call *call)
{
    return run_funds(call, ADD_POLICY);
}

static struct rpc_result cmd_addtoconsensusblacklist(struct rpc_call *call)
{
    return run_funds(call, ADD_CONSENSUS);
}

static struct rpc_result cmd_removefrompolicyblacklist(struct rpc_call *call)
{
    return run_funds(call, REMOVE_POLICY);
}

/* --- clearing ------------------------------------------------------------------------------- */

struct clearing {
    bool all, keep_policy;
    int64_t expired_height; /* without all */
    struct frozen_counts gone;
};

static bool clear_lists(struct frozen *f, void *ctx)
{
    struct clearing *c = ctx;
    struct frozen_counts before = frozen_count(f);
    if (c->all)
        c->gone = frozen_clear(f, c->keep_policy ? FROZEN_KEEP_POLICY : FROZEN_KEEP_NOTHING);
    else
        c->gone.consensus = frozen_expire(f, c->expired_height);
    struct frozen_counts after = frozen_count(f);
    return memcmp(&before, &after, sizeof before) != 0;
}

static bool take_clearing(struct rpc_call *call, struct clearing *c)
{
    static const struct rpc_member members[] = {
        { "removeAllEntries", RPC_BOOL, RPC_REQUIRED },
        { "keepExistingPolicyEntries", RPC_BOOL, RPC_OPTIONAL },
        { "expirationHeightDelta", RPC_INT, RPC_OPTIONAL },
    };
    struct json_object *m[COUNT_OF(members)];
    struct chain_tip tip;
    int64_t delta = 0;
    *c = (struct clearing){ .all = false };
    if (!rpc_members(call, call->argv[0], "", members, COUNT_OF(members), m))
        return false;
    c->all = json_object_get_boolean(m[0]);
    c->keep_policy = m[1] && json_object_get_boolean(m[1]);
    if (c->all ? m[2] != NULL : !m[2] || m[1]) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s (removeAllEntries goes with "
                 "keepExistingPolicyEntries when true, with expirationHeightDelta when false)",
                 c->all ? "Misused expirationHeightDelta"
                 : m[2] ? "Misused keepExistingPolicyEntries" : "Missing expirationHeightDelta");
        return false;
    }
    if (m[2] && !rpc_in_range(call, "", "expirationHeightDelta", m[2], 0, INT32_MAX, &delta))
        return false;
    chain_get_tip(call->env->chain, &tip);
    c->expired_height = tip.height - delta;
    return true;
}

static struct rpc_result cmd_clearblacklists(struct rpc_call *call)
{
    struct clearing c;
    struct error e = { 0 };
    if (!take_clearing(call, &c))
        return rpc_failed(call);
    if (chain_change_frozen(call->env->chain, clear_lists, &c, &e))
        return rpc_fail_error(call, &e);
    jw_object_open(call->out);
    jw_put_u64(call->out, "numRemovedEntries",
               c.gone.policy + c.gone.consensus + c.gone.confiscation + c.gone.orders);
    jw_object_close(call->out);
    return rpc_done();
}

struct frozen *rpc_copy_frozen(struct rpc_call *call)
{
    struct frozen *f = chain_copy_frozen(call->env->chain);
    if (!f)
        rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down");
    return f;
}

/* --- showing -------------------------------------------------------------------------------- */

static void put_intervals(struct json_writer *w, const struct frozen_output *entry)
{
    jw_key(w, "enforceAtHeight");
    jw_array_open(w);
    for (size_t i = 0; i < entry->n_intervals; i++) {
        jw_object_open(w);
        jw_put_i64(w, "start", entry->intervals[i].start);
        jw_put_i64(w, "stop", entry->intervals[i].stop);
        jw_object_close(w);
    }
    jw_array_close(w);
    jw_put_bool(w, "policyExpiresWithConsensus", entry->policy_expires);
}

static void put_fund(struct json_writer *w, const struct frozen_output *entry)
{
    static const char *const names[] = { "policy", "consensus", "confiscation" };
    jw_object_open(w);
    jw_put_txout(w, &entry->outpoint);
    if (entry->list != FROZEN_POLICY)
        put_intervals(w, entry);
    jw_key(w, "blacklist");
    jw_array_open(w);
    for (int i = 0; i < (int)entry->list; i++) /* each list includes the ones before it */
        jw_text(w, names[i]);
    jw_array_close(w);
    jw_object_close(w);
}

static struct rpc_result cmd_queryblacklist(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct frozen *f = rpc_copy_frozen(call);
    size_t n;
    if (!f)
        return rpc_failed(call);
    const struct frozen_output **all = frozen_outputs(f, &n);
    jw_object_open(w);
    jw_key(w, "funds");
    jw_array_open(w);
    for (size_t i = 0; i < n && !rpc_client_gone(call); i++)
        put_fund(w, all[i]);
    jw_array_close(w);
    jw_object_close(w);
    free(all);
    frozen_free(f);
    return rpc_done();
}

static struct rpc_result cmd_getfrozeninfo(struct rpc_call *call)
{
    struct json_writer *w = call->out;
    struct frozen *f = rpc_copy_frozen(call);
    uint8_t hash[32];
    if (!f)
        return rpc_failed(call);
    struct frozen_counts n = frozen_count(f);
    frozen_hash(f, hash);
    jw_object_open(w);
    jw_put_u64(w, "version", frozen_version(f));
    jw_put_hash(w, "hash", hash);
    jw_put_u64(w, "policy", n.policy);
    jw_put_u64(w, "consensus", n.consensus);
    jw_put_u64(w, "confiscation", n.confiscation);
    jw_put_u64(w, "whitelisted", n.orders);
    jw_object_close(w);
    frozen_free(f);
    return rpc_done();
}

#define EXAMPLE_TXOUT                                                                              \
    "{\"txOut\":{\"txId\":\"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b\","   \
    "\"vout\":0}"
#define FUNDS(text) { { "funds", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON, text } }
#define FUNDS_RESULT "{notProcessed:[{txOut:{txId, vout}, reason}, ...]}"

static const struct rpc_command rows[] = {
    { .name = "addToPolicyBlacklist",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_addtopolicyblacklist,
      .help = "Freezes outputs for the mempool: transactions that spend them are refused, blocks "
              "are not.",
      .result = FUNDS_RESULT,
      .example = "'{\"funds\":[" EXAMPLE_TXOUT "}]}'",
      .params = FUNDS("{\"funds\":[{\"txOut\":{\"txId\",\"vout\"}}, ...]}") },
    { .name = "addToConsensusBlacklist",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_addtoconsensusblacklist,
      .help = "Freezes outputs for blocks in intervals of heights [start, stop), and for the "
              "mempool; of outputs already there the intervals change.",
      .result = FUNDS_RESULT,
      .example = "'{\"funds\":[" EXAMPLE_TXOUT ",\"enforceAtHeight\":[{\"start\":900000,\"stop\":"
                 "910000}],\"policyExpiresWithConsensus\":false}]}'",
      .params = FUNDS("{\"funds\":[{\"txOut\":{\"txId\",\"vout\"},\"enforceAtHeight\":[{\"start\","
                      "\"stop\"}, ...],\"policyExpiresWithConsensus\"}, ...]}; without stop for "
                      "ever") },
    { .name = "removeFromPolicyBlacklist",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_removefrompolicyblacklist,
      .help = "Takes outputs off the policy list.",
      .result = FUNDS_RESULT,
      .example = "'{\"funds\":[" EXAMPLE_TXOUT "}]}'",
      .params = FUNDS("{\"funds\":[{\"txOut\":{\"txId\",\"vout\"}}, ...]}") },
    { .name = "queryBlacklist",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_queryblacklist,
      .help = "All frozen outputs.",
      .result = "{funds:[{txOut:{txId, vout}, enforceAtHeight:[{start, stop}, ...], "
                "policyExpiresWithConsensus, blacklist:[\"policy\", \"consensus\", "
                "\"confiscation\"]}, ...]}",
      .example = "" },
    { .name = "clearBlacklists",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_clearblacklists,
      .help = "Empties the lists, or takes off consensus entries whose last interval ended at "
              "least expirationHeightDelta blocks below the tip (those whose policy does not "
              "expire stay on the policy list).",
      .result = "{numRemovedEntries}",
      .example = "'{\"removeAllEntries\":true,\"keepExistingPolicyEntries\":false}'",
      .params = { { "removeAllEntries|options", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON,
                    "{\"removeAllEntries\":bool,\"keepExistingPolicyEntries\":bool (with true),"
                    "\"expirationHeightDelta\":n (with false)}" } } },
    { .name = "getfrozeninfo",
      .category = "frozentxo",
      .where = RPC_ON_WORKER,
      .fn = cmd_getfrozeninfo,
      .help = "How long the lists are, how often they changed, and a hash by which two nodes can "
              "tell whether theirs are equal.",
      .result = "{version, hash, policy, consensus, confiscation, whitelisted}",
      .example = "" },
};
const struct rpc_group rpc_frozen_commands = { rows, COUNT_OF(rows) };
