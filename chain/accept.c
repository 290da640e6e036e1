#include "chain/accept.h"

#include <stdio.h>
#include <string.h>

#include "base/intmath.h"

#define GRACE_BLOCKS 72        /* spec consensus 1.1, each side of an activation */
#define MISSING_MAX 100        /* parents named to the caller */
#define OUTPUTS_LOOKED_AT 2    /* of a peer's transaction, to see whether it is confirmed */
#define OUTPUTS_LOOKED_AT_RPC 1000

/* --- rules of the next block ---------------------------------------------------------------- */

static bool line_is_near(int32_t height, int32_t activation)
{
    return height > activation - GRACE_BLOCKS && height < activation + GRACE_BLOCKS;
}

/* A peer is to blame for what fails under these: the mandatory ones and the era itself. */
static uint32_t blame_flags(const struct script_heights *h, int32_t height)
{
    return script_flags_mandatory(h, height) |
           (script_flags_for_block(h, height) & (SCRIPT_GENESIS | SCRIPT_SIGPUSHONLY));
}

/* The flags of the other side when the next block is near a line. */
static void set_grace(struct accept_rules *r, const struct script_heights *h, int32_t height)
{
    const struct {
        int32_t height;
        const char *name;
    } lines[] = { { h->chronicle, "chronicle" }, { h->genesis, "genesis" } };
    for (size_t i = 0; i < COUNT_OF(lines) && !r->grace_line; i++) {
        const int32_t line = lines[i].height;
        if (!line_is_near(height, line))
            continue;
        r->grace_flags = blame_flags(h, height < line ? line : line - 1);
        r->grace_line = lines[i].name;
    }
}

void accept_rules_init(struct accept_rules *r, const struct accept_env *env,
                       struct header_node *tip, int64_t now)
{
    const struct script_heights *h = &env->params->heights;
    const int32_t height = tip->height + 1;
    *r = (struct accept_rules){ .tip = tip, .now = now };
    block_rules_init(&r->next, env->params, tip, (uint32_t)now);
    r->median_time = header_median_time(tip);
    r->policy_flags = script_flags_for_policy(h, height);
    r->mandatory_flags = blame_flags(h, height);
    r->block_flags = r->next.flags;
    set_grace(r, h, height);
    r->policy_limits = script_limits_policy(&env->policy->scripts);
}

/* --- ends ----------------------------------------------------------------------------------- */

static void end(struct accept_work *w, enum tx_outcome outcome)
{
    w->judged = true;
    w->result.outcome = outcome;
}

void accept_reject(struct accept_work *w, const struct verdict *v)
{
    w->result.verdict = *v;
    end(w, TX_REJECTED);
}

static void reject(struct accept_work *w, enum verdict_code code, const char *reason)
{
    struct verdict v = { 0 };
    verdict_set(&v, code, 0, reason);
    accept_reject(w, &v);
}

static void reject_conflict(struct accept_work *w, struct tx *with)
{
    w->result.double_spend = true;
    w->result.conflict = with ? tx_ref(with) : NULL;
    reject(w, REJECT_CONFLICT, "txn-mempool-conflict");
}

void accept_work_clear(struct accept_work *w)
{
    tx_unref(w->result.conflict);
    w->result.conflict = NULL;
}

void accept_work_again(struct accept_work *w)
{
    accept_work_clear(w);
    w->result = (struct tx_result){ .cpu_us = w->result.cpu_us };
    w->judged = w->pending_parents = false;
    w->coins = NULL;
    w->replaces = NULL;
}

static const struct tx_policy *policy_of(const struct accept_env *env, const struct accept_work *w)
{
    return w->policy ? w->policy : env->policy;
}

/* --- the transaction alone ------------------------------------------------------------------ */

static bool is_known(const struct accept_env *env, const struct tx *tx)
{
    return mempool_find(env->pool, &tx->id) || nonfinal_contains(env->nonfinal, &tx->id);
}

void accept_precheck(const struct accept_env *env, const struct accept_rules *r,
                     struct accept_work *w)
{
    const struct tx_policy *p = policy_of(env, w);
    struct verdict v = { 0 };
    bool only_output = false;
    w->result.tx = w->tx;
    w->result.source = w->source;
    w->final = tx_is_final(w->tx, r->next.height, r->next.lock_time_cutoff);
    if (is_known(env, w->tx))
        end(w, TX_KNOWN);
    else if (!check_regular_tx(&r->next, w->tx, &v))
        accept_reject(w, &v);
    else if (!policy_check_standard(p, &r->next, w->tx, &only_output, &v) &&
             policy_standard_matters(p, &r->next, only_output))
        accept_reject(w, &v);
    else if (!w->final && (!r->next.genesis || w->source == TX_SOURCE_REORG))
        reject(w, REJECT_NONSTANDARD, "non-final");
}

/* --- conflicts ------------------------------------------------------------------------------ */

static struct tx *mempool_conflict(const struct accept_env *env, const struct tx *tx)
{
    for (size_t i = 0; i < tx->n_in; i++) {
        const struct mempool_entry *spender = mempool_spender(env->pool, &tx->in[i].prevout);
        if (spender)
            return spender->tx;
    }
    return NULL;
}

/* The non-final pool first: an update of a held one is no conflict (spec 5.4). */
static void judge_conflicts(const struct accept_env *env, struct accept_work *w)
{
    struct verdict v = { 0 };
    struct tx *held = NULL;
    struct tx *conflict = mempool_conflict(env, w->tx);
    if (conflict) {
        reject_conflict(w, conflict);
        return;
    }
    switch (nonfinal_relate(env->nonfinal, w->tx, w->final, &held, &v)) {
    case NONFINAL_UNRELATED:
        break;
    case NONFINAL_UPDATE:
        w->replaces = held;
        break;
    case NONFINAL_FINALISES:
        w->replaces = held;
        w->final = true;
        break;
    case NONFINAL_REFUSED:
        w->result.double_spend = v.code == REJECT_CONFLICT;
        w->result.conflict = held && w->result.double_spend ? tx_ref(held) : NULL;
        accept_reject(w, &v);
        break;
    }
}

/* --- coins ---------------------------------------------------------------------------------- */

static bool copy_script(struct accept_work *w, struct coin *coin)
{
    uint8_t *copy = arena_alloc(w->arena, coin->script.len + 1, 1);
    if (!copy)
        return false;
    if (coin->script.len)
        memcpy(copy, coin->script.data, coin->script.len);
    coin->script.data = copy;
    return true;
}

/* Output of a transaction that is in no block yet; its script lives as long as that one. */
static bool unconfirmed_coin(const struct accept_rules *r, const struct tx *parent,
                             const struct outpoint *o, struct coin *coin)
{
    if (o->index >= parent->n_out)
        return false;
    *coin = (struct coin){ .value = parent->out[o->index].value,
                           .height = r->next.height,
                           .confiscated = confiscation_is(parent),
                           .script = parent->out[o->index].script };
    return true;
}

struct coin_search {
    const struct accept_env *env;
    const struct accept_rules *rules;
    accept_pending_fn pending;
    void *ctx;
};

static enum err find_coin(const struct coin_search *s, struct accept_work *w, size_t i, bool *found,
                          struct error *e)
{
    const struct outpoint *o = &w->tx->in[i].prevout;
    struct coin *coin = &w->coins[i];
    const struct mempool_entry *entry = mempool_find(s->env->pool, &o->txid);
    const struct tx *parent = entry ? entry->tx : s->pending ? s->pending(s->ctx, &o->txid) : NULL;
    if (parent) {
        w->pending_parents |= !entry;
        *found = unconfirmed_coin(s->rules, parent, o, coin);
    } else {
        const enum err rc = coins_get(s->env->coins, o, coin, found, e);
        if (rc)
            return rc;
    }
    return OK;
}

/* A few bytes can spend scripts of any length, and others ask for as many copies of them. */
static bool spends_too_much(const struct accept_env *env, const struct accept_work *w,
                            size_t script_len, uint64_t *spent)
{
    *spent += script_len;
    return *spent > policy_of(env, w)->max_spent_scripts;
}

static void note_missing(struct accept_work *w, struct txid *missing, const struct txid *parent)
{
    size_t n = w->result.n_missing;
    for (size_t i = 0; i < n; i++)
        if (txid_equal(&missing[i], parent))
            return;
    if (n < MISSING_MAX)
        missing[w->result.n_missing++] = *parent;
}

/* A transaction whose outputs are there has been mined; seen only when inputs are missing. */
static enum err look_for_outputs(const struct accept_env *env, struct accept_work *w,
                                 struct error *e)
{
    const size_t most = w->source == TX_SOURCE_RPC ? OUTPUTS_LOOKED_AT_RPC : OUTPUTS_LOOKED_AT;
    bool found = false;
    enum err rc = OK;
    struct outpoint o = { .txid = w->tx->id };
    for (size_t i = 0; i < MIN_OF(w->tx->n_out, most) && !rc && !found; i++) {
        struct coin coin;
        o.index = (uint32_t)i;
        rc = coins_get(env->coins, &o, &coin, &found, e);
    }
    if (!rc)
        end(w, found ? TX_CONFIRMED : TX_MISSING_INPUTS);
    return rc;
}

static enum err find_coins(const struct coin_search *s, struct accept_work *w, struct error *e)
{
    const size_t n = w->tx->n_in;
    struct txid *missing = NULL;
    uint64_t spent = 0; /* bytes of scripts */
    w->coins = arena_alloc(w->arena, n, sizeof(*w->coins));
    if (!w->coins)
        return error_set(e, ERR_NOMEM, "out of memory for %zu coins", n);
    for (size_t i = 0; i < n; i++) {
        bool found = false;
        const enum err rc = find_coin(s, w, i, &found, e);
        if (rc)
            return rc;
        if (found && spends_too_much(s->env, w, w->coins[i].script.len, &spent)) {
            reject(w, REJECT_INVALID, "bad-txns-inputs-too-large");
            return OK;
        }
        if (found && !copy_script(w, &w->coins[i]))
            return error_set(e, ERR_NOMEM, "out of memory for spent scripts");
        if (found)
            continue;
        if (!missing)
            missing = arena_alloc(w->arena, MIN_OF(n, MISSING_MAX), sizeof(*missing));
        if (!missing)
            return error_set(e, ERR_NOMEM, "out of memory for missing parents");
        note_missing(w, missing, &w->tx->in[i].prevout.txid);
    }
    w->result.missing = missing;
    return missing ? look_for_outputs(s->env, w, e) : OK;
}

/* --- what the coins say --------------------------------------------------------------------- */

static bool judge_values(const struct accept_rules *r, struct accept_work *w, struct verdict *v)
{
    int64_t sum = 0;
    for (size_t i = 0; i < w->tx->n_in; i++)
        if (!check_input_coin(&r->next, &w->coins[i], &sum, v))
            return false;
    return check_fee(sum, w->tx, &w->fee, v);
}

static enum err judge_relative_locks(const struct accept_rules *r, struct accept_work *w,
                                     struct error *e)
{
    if (!r->next.enforce_relative_lock)
        return OK;
    int32_t *heights = arena_alloc(w->arena, w->tx->n_in, sizeof(*heights));
    if (!heights)
        return error_set(e, ERR_NOMEM, "out of memory for heights of %zu inputs", w->tx->n_in);
    for (size_t i = 0; i < w->tx->n_in; i++)
        heights[i] = w->coins[i].height;
    if (!relative_locks_ok(w->tx, heights, r->tip))
        reject(w, REJECT_NONSTANDARD, "non-BIP68-final");
    return OK;
}

static bool judge_frozen(const struct accept_env *env, const struct accept_rules *r,
                         struct accept_work *w, struct verdict *v)
{
    w->confiscation = confiscation_is(w->tx);
    return frozen_check_tx(env->frozen, w->tx, r->next.height, v);
}

static bool judge_fee(const struct accept_env *env, const struct accept_rules *r,
                      struct accept_work *w, struct verdict *v)
{
    const struct tx_policy *p = policy_of(env, w);
    if (w->source == TX_SOURCE_RPC && !w->allow_high_fee && w->fee > p->max_fee)
        return verdict_set(v, REJECT_HIGH_FEE, 0, "absurdly-high-fee");
    w->pays = policy_is_consolidation(p, &r->next, w->tx, w->coins);
    if (w->pays || w->free)
        return true;
    int64_t paid = w->fee;
    const int64_t floor =
        fee_of_rate(mempool_min_fee_per_kb(env->pool, r->now), w->tx->raw.len);
    if (!add_i64(paid, mempool_fee_delta(env->pool, &w->tx->id), &paid) || paid >= floor)
        return true;
    return verdict_set(v, REJECT_FEE, 0, "mempool min fee not met");
}

static bool judge_policy(const struct accept_env *env, const struct accept_rules *r,
                         struct accept_work *w, struct verdict *v)
{
    const struct tx_policy *p = policy_of(env, w);
    if (!policy_inputs_standard(&r->next, w->tx, w->coins) &&
        policy_standard_matters(p, &r->next, true))
        return verdict_set(v, REJECT_NONSTANDARD, 0, "bad-txns-nonstandard-inputs");
    return policy_check_sigops(p, &r->next, w->tx, w->coins, v) && judge_fee(env, r, w, v);
}

/* Later parents are not in the pool yet: then accept_enter looks. */
static bool judge_chain(const struct accept_env *env, struct accept_work *w, struct verdict *v)
{
    return !w->final || w->pending_parents ||
           mempool_check_chain(env->pool, w->tx, v);
}

enum err accept_judge(const struct accept_env *env, const struct accept_rules *r,
                      struct accept_work *w, accept_pending_fn pending, void *ctx, struct error *e)
{
    const struct coin_search search = { env, r, pending, ctx };
    struct verdict v = { 0 };
    if (!w->judged)
        judge_conflicts(env, w);
    if (w->judged)
        return OK;
    enum err rc = find_coins(&search, w, e);
    if (rc || w->judged)
        return rc;
    if (!judge_values(r, w, &v)) {
        accept_reject(w, &v);
        return OK;
    }
    rc = judge_relative_locks(r, w, e);
    if (rc || w->judged)
        return rc;
    if (!judge_policy(env, r, w, &v) || !judge_chain(env, w, &v) || !judge_frozen(env, r, w, &v))
        accept_reject(w, &v);
    return OK;
}

/* --- entering ------------------------------------------------------------------------------- */

static void judge_scripts(struct accept_work *w)
{
    struct verdict v = { 0 };
    const char *message = script_err_message(w->script_err);
    char reason[sizeof(v.reason)];
    switch (w->scripts) {
    case SCRIPTS_GOOD:
        return;
    case SCRIPTS_PENDING:
    case SCRIPTS_UNDECIDED:
        end(w, TX_NOT_JUDGED);
        return;
    case SCRIPTS_TOO_LONG:
        w->result.validation_timeout = true;
        reject(w, REJECT_NONSTANDARD, "too-long-validation-time");
        return;
    case SCRIPTS_UNUSUAL:
        if (w->script_err == SCRIPT_ERR_SCRIPTNUM_OVERFLOW) {
            verdict_set(&v, REJECT_NONSTANDARD, 10,
                        "max-script-num-length-policy-limit-violated");
            break;
        }
        snprintf(reason, sizeof(reason), "non-mandatory-script-verify-flag (%s)", message);
        verdict_set(&v, REJECT_NONSTANDARD, 0, reason);
        break;
    case SCRIPTS_OTHER_ERA:
        snprintf(reason, sizeof(reason), "%s-script-verify-flag-failed (%s)", w->other_era,
                 message);
        verdict_set(&v, REJECT_NONSTANDARD, 0, reason);
        break;
    case SCRIPTS_BAD:
        snprintf(reason, sizeof(reason), "mandatory-script-verify-flag-failed (%s)", message);
        verdict_set(&v, REJECT_INVALID, 100, reason);
        break;
    }
    accept_reject(w, &v);
}

/* Parents may have failed, or been evicted, since accept_judge found them. */
static bool parents_are_there(const struct accept_env *env, const struct accept_rules *r,
                              struct accept_work *w)
{
    const struct tx *tx = w->tx;
    struct txid *missing = NULL;
    for (size_t i = 0; i < tx->n_in; i++) {
        const bool unconfirmed = w->coins[i].height == r->next.height;
        if (!unconfirmed || mempool_find(env->pool, &tx->in[i].prevout.txid))
            continue;
        if (!missing)
            missing = arena_alloc(w->arena, MIN_OF(tx->n_in, MISSING_MAX), sizeof(*missing));
        if (!missing) {
            end(w, TX_NOT_JUDGED);
            return false;
        }
        note_missing(w, missing, &tx->in[i].prevout.txid);
    }
    w->result.missing = missing;
    if (missing)
        end(w, TX_MISSING_INPUTS);
    return !missing;
}

static void park(const struct accept_env *env, const struct accept_rules *r, struct accept_work *w)
{
    struct verdict v = { 0 };
    const int64_t time = w->time ? w->time : r->now;
    if (nonfinal_add(env->nonfinal, w->tx, w->replaces ? &w->replaces->id : NULL, time, &v))
        end(w, TX_PARKED);
    else if (verdict_ok(&v))
        end(w, TX_NOT_JUDGED); /* no memory */
    else
        accept_reject(w, &v);
}

static bool spends_coinbase(const struct accept_work *w)
{
    for (size_t i = 0; i < w->tx->n_in; i++)
        if (w->coins[i].coinbase || w->coins[i].confiscated)
            return true;
    return false;
}

/* What a block of before Genesis counts of it; later blocks do not. */
static uint32_t block_sigops(const struct accept_rules *r, const struct accept_work *w)
{
    uint64_t n = 0;
    if (!r->next.genesis && !policy_count_sigops(&r->next, w->tx, w->coins, &n))
        return UINT32_MAX;
    return (uint32_t)MIN_OF(n, UINT32_MAX);
}

static void insert(const struct accept_env *env, const struct accept_rules *r,
                   struct accept_work *w)
{
    const struct mempool_candidate c = { .tx = w->tx,
                                         .fee = w->fee,
                                         .time = w->time ? w->time : r->now,
                                         .height = w->time ? w->height : r->tip->height,
                                         .sigops = block_sigops(r, w),
                                         .spends_coinbase = spends_coinbase(w),
                                         .counts_as_paying = w->pays };
    if (w->replaces)
        nonfinal_remove(env->nonfinal, &w->replaces->id);
    w->result.fee = w->fee;
    end(w, mempool_add(env->pool, &c) ? TX_ACCEPTED : TX_NOT_JUDGED);
}

void accept_enter(const struct accept_env *env, const struct accept_rules *r,
                  struct accept_work *w)
{
    struct verdict v = { 0 };
    if (w->judged)
        return;
    judge_scripts(w);
    if (w->judged || !parents_are_there(env, r, w))
        return;
    w->replaces = NULL; /* asked again: an update of the same batch may have come first */
    if (is_known(env, w->tx))
        end(w, TX_KNOWN);
    else
        judge_conflicts(env, w);
    if (w->judged)
        return;
    if (!w->final)
        park(env, r, w);
    else if (mempool_check_chain(env->pool, w->tx, &v))
        insert(env, r, w);
    else
        accept_reject(w, &v);
}
