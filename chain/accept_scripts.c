/*
 * Scripts of a transaction that wants into the mempool. They run once, under the policy's flags and
 * limits: these only take away from what consensus allows, so what passes needs no second run for
 * the block. What fails runs again under the mandatory flags, which decide whether a peer is to
 * blame (spec consensus 4.3).
 */
#include "chain/accept.h"

#include "base/clock.h"
#include "base/intmath.h"

struct sigcache_key accept_script_key(const struct sigcache *c, const struct txid *id,
                                      uint32_t input, uint32_t flags, bool policy)
{
    uint8_t place[9];
    le32_put(place, input);
    le32_put(place + 4, flags);
    place[8] = policy;
    return sigcache_key_of(c, id->b, span_of(place, sizeof(place)), span_of(place, 0));
}

struct script_run {
    const struct accept_env *env;
    const struct accept_rules *rules;
    struct accept_work *work;
    struct sighash_cache *sighash;
    const struct cancel *cancel;
    const struct script_limits *limits; /* of policy */
    uint32_t flags;                     /* of policy */
};

static enum script_err run_input(const struct script_run *run, uint32_t input, uint32_t flags,
                                 const struct script_limits *limits)
{
    const struct coin *coin = &run->work->coins[input];
    const struct script_input in = {
        .tx = run->work->tx,
        .index = input,
        .script_pubkey = coin->script,
        .amount = coin->value,
        .flags = script_flags_for_coin(&run->env->params->heights, flags, coin->height),
        .limits = limits,
        .sighash = run->sighash,
        .sigcache = run->env->sigcache,
        .cancel = run->cancel,
    };
    return script_verify(&in);
}

static bool is_remembered(const struct script_run *run, uint32_t input)
{
    const struct accept_work *w = run->work;
    const uint32_t flags = script_flags_for_coin(&run->env->params->heights,
                                                 run->rules->policy_flags, w->coins[input].height);
    const struct sigcache_key k =
        accept_script_key(run->env->scripts, &w->tx->id, input, flags, true);
    return !w->policy && sigcache_contains(run->env->scripts, &k);
}

static void remember(const struct script_run *run, uint32_t input)
{
    const struct accept_work *w = run->work;
    const struct script_heights *h = &run->env->params->heights;
    struct sigcache *cache = run->env->scripts;
    const int32_t height = w->coins[input].height;
    struct sigcache_key k =
        accept_script_key(cache, &w->tx->id, input,
                          script_flags_for_coin(h, run->rules->block_flags, height), false);
    sigcache_add(cache, &k);
    if (w->policy)
        return;
    k = accept_script_key(cache, &w->tx->id, input,
                          script_flags_for_coin(h, run->rules->policy_flags, height), true);
    sigcache_add(cache, &k);
}

/* What a failure under the policy's flags means. */
static enum accept_scripts_end judge_failure(const struct script_run *run, uint32_t input,
                                             enum script_err *err)
{
    const struct accept_rules *r = run->rules;
    const enum script_err mandatory =
        run_input(run, input, r->mandatory_flags, run->env->consensus_limits);
    if (mandatory == SCRIPT_OK)
        return SCRIPTS_UNUSUAL;
    if (!script_err_is_verdict(mandatory)) {
        *err = mandatory;
        return SCRIPTS_UNDECIDED;
    }
    *err = mandatory;
    if (!r->grace_line ||
        run_input(run, input, r->grace_flags, run->env->consensus_limits) != SCRIPT_OK)
        return SCRIPTS_BAD;
    run->work->other_era = r->grace_line;
    return SCRIPTS_OTHER_ERA;
}

static enum accept_scripts_end run_all(const struct script_run *run, enum script_err *err)
{
    for (size_t i = 0; i < run->work->tx->n_in; i++) {
        const uint32_t input = (uint32_t)i;
        if (is_remembered(run, input))
            continue;
        *err = run_input(run, input, run->flags, run->limits);
        if (*err == SCRIPT_OK) {
            remember(run, input);
            continue;
        }
        return script_err_is_verdict(*err) ? judge_failure(run, input, err) : SCRIPTS_UNDECIDED;
    }
    return SCRIPTS_GOOD;
}

/* The CPU clock costs a system call. Where little time is allowed the clock on the wall will do,
 * cut at what is allowed: a busy machine does not make a transaction dear. */
static int64_t clock_for(const struct accept_work *w)
{
    return w->time_limit_us < CANCEL_EXACT_US ? clock_mono_us() : clock_thread_cpu_us();
}

static int64_t cost_since(const struct accept_work *w, int64_t start)
{
    const int64_t took = clock_for(w) - start;
    return w->time_limit_us ? MIN_OF(took, w->time_limit_us) : took;
}

void accept_scripts(const struct accept_env *env, const struct accept_rules *r,
                    struct accept_work *w, const struct cancel *cancel)
{
    if (w->judged || (w->scripts == SCRIPTS_GOOD && w->scripts_flags == r->policy_flags))
        return;
    w->scripts_flags = r->policy_flags;
    if (w->confiscation) { /* its scripts are not looked at, spec consensus 7.3 */
        w->scripts = SCRIPTS_GOOD;
        return;
    }
    const struct script_limits own =
        w->policy ? script_limits_policy(&w->policy->scripts) : r->policy_limits;
    const uint32_t skipped = w->policy ? w->policy->skip_script_flags : 0;
    struct cancel limited;
    struct sighash_cache sighash;
    if (w->time_limit_us)
        cancel_init_limited(&limited, w->time_limit_us, cancel);
    sighash_cache_init(&sighash, w->tx);
    const struct script_run run = { .env = env,
                                    .rules = r,
                                    .work = w,
                                    .sighash = &sighash,
                                    .cancel = w->time_limit_us ? &limited : cancel,
                                    .limits = &own,
                                    .flags = r->policy_flags & ~skipped };
    const int64_t start = clock_for(w);
    w->scripts = run_all(&run, &w->script_err);
    w->result.cpu_us = cost_since(w, start);
    if (w->scripts == SCRIPTS_UNDECIDED && w->script_err == SCRIPT_ERR_CANCELLED &&
        w->time_limit_us && !cancelled(cancel))
        w->scripts = SCRIPTS_TOO_LONG;
    sighash_cache_clear(&sighash);
}
