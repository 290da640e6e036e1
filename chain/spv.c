/*
 * Structure first (base/beef.h), then proofs, then each transaction that is not in a block: alone,
 * with its coins, its locks. Scripts, which cost most, run last and only when nothing else fails.
 */
#include "chain/spv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/merkle_branch.h"
#include "chain/check.h"
#include "chain/frozen.h"

void spv_judge(struct spv_judgement *j, enum spv_end end, const char *rule, const char *fmt, ...)
{
    va_list args;
    if (end <= j->end)
        return;
    j->end = end;
    snprintf(j->rule, sizeof j->rule, "%s", rule);
    va_start(args, fmt);
    vsnprintf(j->reason, sizeof j->reason, fmt, args);
    va_end(args);
}

/* --- one proof ------------------------------------------------------------------------------ */

static void judge_depth(const struct spv_env *env, const struct spv_proof *proof,
                        struct spv_judgement *j)
{
    const int32_t height = proof->node->height;
    struct header_data d;
    header_index_get_data(env->headers, proof->node, &d);
    if (!d.tx_count)
        spv_judge(j, SPV_UNDETERMINED, "block-unknown",
                  "the number of transactions of block %d is not known", height);
    else if (merkle_depth(d.tx_count) != proof->top.depth)
        spv_judge(j, SPV_INVALID, "merkle-depth",
                  "the tree of block %d has %u levels, that of the proof %u", height,
                  merkle_depth(d.tx_count), proof->top.depth);
}

/* proof->top is set. */
static void judge_root(const struct spv_env *env, const struct bump *b, struct spv_proof *proof,
                       struct spv_judgement *j)
{
    char got[HASH_HEX_SIZE], want[HASH_HEX_SIZE];
    if (b->height > (uint32_t)env->tip->height) {
        spv_judge(j, SPV_UNDETERMINED, "block-unknown", "block %u is above our tip, which is %d",
                  b->height, env->tip->height);
        return;
    }
    proof->node = header_ancestor(env->tip, (int32_t)b->height);
    if (!mem_equal_var(proof->node->merkle_root.b, proof->top.root.b, 32))
        spv_judge(j, SPV_INVALID, "merkle-root", "the proof leads to %s, block %u has %s",
                  hash_to_hex(got, proof->top.root.b), b->height,
                  hash_to_hex(want, proof->node->merkle_root.b));
    else
        judge_depth(env, proof, j);
}

static enum err judge_proof(const struct spv_env *env, const struct bump *b,
                            struct spv_proof *proof, struct spv_judgement *j, struct error *e)
{
    struct error why = { .code = OK };
    *proof = (struct spv_proof){ .node = NULL };
    const enum err rc = bump_climb(b, &proof->top, &why);
    if (rc == ERR_PARSE)
        spv_judge(j, SPV_INVALID, "structure", "%s", why.text);
    proof->leads = !rc;
    if (!rc)
        judge_root(env, b, proof, j);
    return rc && rc != ERR_PARSE ? error_set(e, rc, "%s", why.text) : OK;
}

/* The outputs of a coinbase are worth nothing to anybody until they can be spent. */
static void judge_maturity(const struct spv_env *env, uint32_t height, uint64_t offset,
                           struct spv_judgement *j)
{
    const int64_t age = (int64_t)env->tip->height + 1 - height;
    if (offset == 0 && age > 0 && age < COINBASE_MATURITY) /* above the tip nobody knows */
        spv_judge(j, SPV_INVALID, "coinbase-maturity",
                  "a coinbase of block %u cannot be spent before block %u", height,
                  height + COINBASE_MATURITY);
}

static void judge_marked(const struct spv_env *env, const struct bump *b, struct spv_judgement *j)
{
    bool any = false;
    for (size_t i = 0; i < b->level[0].n; i++) {
        const struct bump_leaf *leaf = &b->level[0].leaf[i];
        if (leaf->is_txid)
            judge_maturity(env, b->height, leaf->offset, j);
        any |= leaf->is_txid;
    }
    if (!any)
        spv_judge(j, SPV_INVALID, "no-txid", "the proof marks no transaction: name it");
}

enum err spv_judge_bump(const struct spv_env *env, const struct bump *b, const struct txid *id,
                        struct spv_proof *proof, struct spv_judgement *j, struct error *e)
{
    uint64_t offset;
    const enum err rc = judge_proof(env, b, proof, j, e);
    if (rc)
        return rc;
    if (!id)
        judge_marked(env, b, j);
    else if (bump_find(b, id, &offset))
        judge_maturity(env, b->height, offset, j);
    else
        spv_judge(j, SPV_INVALID, "txid-missing", "the transaction is not in the proof");
    return OK;
}

/* --- transactions by their ids -------------------------------------------------------------- */

/* What stands behind an id of the record. */
struct parent {
    const struct beef_tx *of;
    const struct tx *tx; /* NULL: an id alone, and we do not hold it, or there was no room */
    struct tx *held;     /* a reference, of an id alone */
    int32_t height;      /* of its block; of the next one when it is in none */
    bool above;          /* its block is above the tip, and its age is not known */
};

struct work {
    const struct spv_env *env;
    const struct beef *beef;
    struct block_rules rules; /* of the next block */
    struct parent *parent;    /* by id, one for each transaction */
    struct spv_judgement *j;
    struct cancel cpu;
    size_t held_bytes;        /* so far */
};

static int by_id(const void *a, const void *b)
{
    const struct parent *x = (const struct parent *)a, *y = (const struct parent *)b;
    return memcmp(x->of->tx.id.b, y->of->tx.id.b, 32);
}

static const struct parent *find_parent(const struct work *w, const struct txid *id)
{
    const struct beef_tx wanted = { .tx.id = *id };
    const struct parent key = { .of = &wanted };
    return (const struct parent *)bsearch(&key, w->parent, w->beef->n_txs, sizeof key, by_id);
}

static bool given_up(const struct spv_env *env)
{
    return cancelled(env->cancel) || (env->given_up && env->given_up(env->ctx));
}

static enum err stopped(struct error *e)
{
    return error_set(e, ERR_CANCELLED, "nobody waits for the answer any more");
}

/* 32 bytes of a record stand for as many as a transaction can have. */
static bool has_room(struct work *w, const struct tx *held)
{
    const bool fits = held->raw.len <= w->env->held_bytes - w->held_bytes;
    w->held_bytes += fits ? held->raw.len : 0;
    return fits;
}

static enum err take_held(struct work *w, struct parent *p, struct error *e)
{
    char hex[HASH_HEX_SIZE];
    struct error why = { .code = OK };
    const struct spv_env *env = w->env;
    if (given_up(env))
        return stopped(e);
    const enum err rc = env->held(env->ctx, &p->of->tx.id, env->held_bytes - w->held_bytes,
                                  &p->held, &p->height, &why);
    if (rc && rc != ERR_RANGE)
        return error_set(e, rc, "%s", why.text);
    if (!rc && !p->held) {
        spv_judge(w->j, SPV_UNDETERMINED, "txid-only", "we do not hold transaction %s",
                  hash_to_hex(hex, p->of->tx.id.b));
    } else if (!rc && has_room(w, p->held)) {
        p->tx = p->held;
    } else {
        spv_judge(w->j, SPV_UNDETERMINED, "txid-only",
                  "transactions that stand there as ids have more than %zu bytes, with what must "
                  "be read to find them", env->held_bytes);
        tx_unref(p->held);
        p->held = NULL;
    }
    return OK;
}

static void place_proved(const struct work *w, struct parent *p)
{
    const uint32_t height = w->beef->bump[p->of->bump].height;
    p->above = height >= (uint32_t)w->rules.height;
    if (!p->above)
        p->height = (int32_t)height;
}

static enum err take_parents(struct work *w, struct error *e)
{
    const struct beef *b = w->beef;
    enum err rc = OK;
    w->parent = (struct parent *)try_alloc(b->n_txs, sizeof *w->parent);
    if (!w->parent)
        return error_set(e, ERR_NOMEM, "out of memory for a BEEF");
    for (size_t i = 0; i < b->n_txs; i++)
        w->parent[i] = (struct parent){ .of = &b->tx[i], .height = w->rules.height };
    for (size_t i = 0; i < b->n_txs && !rc; i++) {
        struct parent *p = &w->parent[i];
        if (p->of->form == BEEF_ID_ALONE)
            rc = take_held(w, p, e);
        else
            p->tx = &p->of->tx;
        if (p->of->form == BEEF_PROVED)
            place_proved(w, p);
    }
    qsort(w->parent, b->n_txs, sizeof *w->parent, by_id);
    return rc;
}

static void clear_parents(struct work *w)
{
    for (size_t i = 0; w->parent && i < w->beef->n_txs; i++)
        tx_unref(w->parent[i].held);
    free(w->parent);
}

/* --- no output is spent twice --------------------------------------------------------------- */

static int by_outpoint(const void *a, const void *b)
{
    const struct outpoint *x = *(const struct outpoint *const *)a,
                          *y = *(const struct outpoint *const *)b;
    const int by_txid = memcmp(x->txid.b, y->txid.b, 32);
    return by_txid ? by_txid : (x->index > y->index) - (x->index < y->index);
}

static bool spends(const struct parent *p)
{
    return p->tx && !tx_is_coinbase(p->tx);
}

static enum err judge_double_spends(struct work *w, struct error *e)
{
    size_t n = 0, all = 0;
    for (size_t i = 0; i < w->beef->n_txs; i++)
        all += spends(&w->parent[i]) ? w->parent[i].tx->n_in : 0;
    const struct outpoint **out = try_alloc(all + 1, sizeof *out);
    if (!out)
        return error_set(e, ERR_NOMEM, "out of memory for a BEEF");
    for (size_t i = 0; i < w->beef->n_txs; i++)
        for (size_t k = 0; spends(&w->parent[i]) && k < w->parent[i].tx->n_in; k++)
            out[n++] = &w->parent[i].tx->in[k].prevout;
    qsort(out, n, sizeof *out, by_outpoint);
    for (size_t i = 1; i < n; i++)
        if (by_outpoint(&out[i - 1], &out[i]) == 0)
            spv_judge(w->j, SPV_INVALID, "double-spend", "an output is spent twice");
    free(out);
    return OK;
}

/* --- what is not in a block ----------------------------------------------------------------- */

static void judge_verdict(struct work *w, const struct tx *tx, const struct verdict *v)
{
    char hex[HASH_HEX_SIZE];
    spv_judge(w->j, SPV_INVALID, v->reason, "transaction %s: %s", hash_to_hex(hex, tx->id.b),
              v->reason);
}

static void judge_lock(struct work *w, const struct tx *tx, const char *rule)
{
    char hex[HASH_HEX_SIZE];
    spv_judge(w->j, SPV_INVALID, rule, "transaction %s is not final for block %d",
              hash_to_hex(hex, tx->id.b), w->rules.height);
}

/* False: its parent is not known, which has been judged. The structure was checked but for parents
 * that are held. */
static bool find_coin(struct work *w, const struct outpoint *o, struct coin *coin, bool *above)
{
    const struct parent *p = find_parent(w, &o->txid);
    if (!p || !p->tx)
        return false;
    if (o->index >= p->tx->n_out) {
        spv_judge(w->j, SPV_INVALID, "structure",
                  "an input spends an output that its parent does not have");
        return false;
    }
    *coin = (struct coin){ .value = p->tx->out[o->index].value,
                           .height = p->height,
                           .coinbase = !p->above && tx_is_coinbase(p->tx),
                           .confiscated = !p->above && confiscation_is(p->tx),
                           .script = p->tx->out[o->index].script };
    *above |= p->above;
    return true;
}

/* Maturity, amounts, relative locks; heights: room for one of each input. */
static void judge_coins(struct work *w, const struct tx *tx, int32_t *heights)
{
    struct verdict v = { .code = REJECT_NONE };
    struct coin coin;
    int64_t sum = 0, fee;
    bool above = false;
    for (size_t i = 0; i < tx->n_in; i++) {
        if (!find_coin(w, &tx->in[i].prevout, &coin, &above))
            return;
        if (!check_input_coin(&w->rules, &coin, &sum, &v)) {
            judge_verdict(w, tx, &v);
            return;
        }
        heights[i] = coin.height;
    }
    if (!check_fee(sum, tx, &fee, &v))
        judge_verdict(w, tx, &v);
    else if (w->rules.enforce_relative_lock && !above &&
             !relative_locks_ok(tx, heights, w->env->tip))
        judge_lock(w, tx, "sequence-lock");
}

static enum err judge_tx(struct work *w, const struct tx *tx, struct error *e)
{
    struct verdict v = { .code = REJECT_NONE };
    int32_t *heights = try_alloc(tx->n_in + 1, sizeof *heights);
    if (!heights)
        return error_set(e, ERR_NOMEM, "out of memory for a BEEF");
    if (!check_regular_tx(&w->rules, tx, &v))
        judge_verdict(w, tx, &v);
    else if (!tx_is_final(tx, w->rules.height, w->rules.lock_time_cutoff))
        judge_lock(w, tx, "non-final");
    else
        judge_coins(w, tx, heights);
    free(heights);
    return OK;
}

/* A proof stands for all of this but the age of a coinbase. */
static void judge_proved(struct work *w, const struct beef_tx *t)
{
    const struct bump *bump = &w->beef->bump[t->bump];
    uint64_t offset;
    if (bump_find(bump, &t->tx.id, &offset))
        judge_maturity(w->env, bump->height, offset, w->j);
}

static enum err judge_txs(struct work *w, struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; i < w->beef->n_txs && !rc; i++) {
        const struct beef_tx *t = &w->beef->tx[i];
        if (given_up(w->env))
            rc = stopped(e);
        else if (t->form == BEEF_PLAIN)
            rc = judge_tx(w, &t->tx, e);
        else if (t->form == BEEF_PROVED)
            judge_proved(w, t);
    }
    return rc;
}

/* --- scripts -------------------------------------------------------------------------------- */

/* How one script ended, unless it is good. */
static enum err judge_script(struct work *w, const struct tx *tx, size_t input,
                             enum script_err err, struct error *e)
{
    char hex[HASH_HEX_SIZE];
    hash_to_hex(hex, tx->id.b);
    if (script_err_is_verdict(err)) {
        spv_judge(w->j, SPV_INVALID, "script", "transaction %s, input %zu: %s", hex, input,
                  script_err_message(err));
        return OK;
    }
    if (err == SCRIPT_ERR_NOMEM)
        return error_set(e, ERR_NOMEM, "out of memory for a script");
    if (given_up(w->env))
        return stopped(e);
    spv_judge(w->j, SPV_UNDETERMINED, "script-time",
              "the scripts take longer than %lld ms; transaction %s, input %zu",
              (long long)(w->env->scripts_cpu_us / 1000), hex, input);
    return OK;
}

static enum err run_scripts(struct work *w, const struct tx *tx, struct error *e)
{
    const struct script_heights *h = &w->env->params->heights;
    struct sighash_cache sighash;
    struct coin coin;
    bool above = false; /* then nothing would be run */
    enum err rc = OK;
    sighash_cache_init(&sighash, tx);
    for (size_t i = 0; i < tx->n_in && !rc && w->j->end == SPV_VALID; i++) {
        if (given_up(w->env)) {
            rc = stopped(e);
            break;
        }
        if (!find_coin(w, &tx->in[i].prevout, &coin, &above))
            break;
        const struct script_input in = { .tx = tx,
                                         .index = i,
                                         .script_pubkey = coin.script,
                                         .amount = coin.value,
                                         .flags = script_flags_for_coin(h, w->rules.flags,
                                                                        coin.height),
                                         .limits = w->env->limits,
                                         .sighash = &sighash,
                                         .cancel = &w->cpu };
        const enum script_err err = script_verify(&in);
        if (err != SCRIPT_OK)
            rc = judge_script(w, tx, i, err, e);
    }
    sighash_cache_clear(&sighash);
    return rc;
}

static enum err judge_scripts(struct work *w, struct error *e)
{
    enum err rc = OK;
    cancel_init_limited(&w->cpu, w->env->scripts_cpu_us, w->env->cancel);
    for (size_t i = 0; i < w->beef->n_txs && !rc && w->j->end == SPV_VALID; i++)
        if (w->beef->tx[i].form == BEEF_PLAIN)
            rc = run_scripts(w, &w->beef->tx[i].tx, e);
    return rc;
}

/* --- all of it ------------------------------------------------------------------------------ */

static enum err judge_structure(const struct beef *b, struct spv_judgement *j, struct error *e)
{
    struct error why = { .code = OK };
    const enum err rc = beef_check(b, &why);
    if (rc == ERR_PARSE)
        spv_judge(j, SPV_INVALID, "structure", "%s", why.text);
    return rc && rc != ERR_PARSE ? error_set(e, rc, "%s", why.text) : OK;
}

static enum err judge_contents(struct work *w, struct error *e)
{
    enum err rc = take_parents(w, e);
    if (!rc)
        rc = judge_double_spends(w, e);
    if (!rc)
        rc = judge_txs(w, e);
    return rc ? rc : judge_scripts(w, e);
}

enum err spv_judge_beef(const struct spv_env *env, const struct beef *b, struct spv_proof *proofs,
                        struct spv_judgement *j, struct error *e)
{
    struct work w = { .env = env, .beef = b, .j = j };
    enum err rc = judge_structure(b, j, e);
    for (size_t i = 0; i < b->n_bumps && !rc; i++)
        rc = judge_proof(env, &b->bump[i], &proofs[i], j, e);
    if (rc || j->end == SPV_INVALID)
        return rc;
    block_rules_init(&w.rules, env->params, env->tip, (uint32_t)env->now);
    rc = judge_contents(&w, e);
    clear_parents(&w);
    return rc;
}
