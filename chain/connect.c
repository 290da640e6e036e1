/*
 * One serial pass over the transactions of a block. Script checks run beside it on the pool and
 * are joined at the end; everything else is decided here, in the order of the reference: missing
 * inputs of a transaction before its locks, its sigops, and its values.
 */
#include <config.h>

#include "chain/connect.h"

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "bca/registration.h"
#include "chain/accept.h"
#include "chain/check.h"
#include "script/sigops.h"
#include "script/template.h"

struct connecting {
    const struct connect_env *env;
    const struct connect_request *q;
    const struct block_rules *rules;
    struct connect_result *out;
    struct undo_writer undo;
    struct connect_extent done;
    struct verify_run run;
    struct verify_batch *batch; /* of the present segment, NULL when scripts are skipped */
    bool bip30;
    uint64_t sigops;
    uint64_t block_size;
    int64_t coinbase_out;
    int32_t *coin_heights;      /* of the present transaction, when BIP68 looks at them */
    size_t coin_heights_cap;
};

/* State of the inputs of one transaction. */
struct tx_inputs {
    struct verdict verdict; /* first rule broken by a coin that is there */
    int64_t sum;
    uint64_t p2sh_sigops;
    bool sigops_ok;
    bool confiscation;
};

static void name_tx(struct verdict *v, const struct tx *tx, uint64_t index)
{
    char hex[HASH_HEX_SIZE];
    v->tx = index + 1;
    if (!v->detail[0])
        verdict_detail(v, "transaction %s", hash_to_hex(hex, tx->id.b));
}

static enum err outputs_are_new(struct connecting *k, const struct tx *tx, bool *fresh,
                                struct error *e)
{
    struct outpoint o = { .txid = tx->id };
    enum err rc = OK;
    *fresh = true;
    for (size_t i = 0; i < tx->n_out && *fresh && !rc; i++) {
        struct coin coin;
        bool found = false;
        o.index = (uint32_t)i;
        rc = coins_get(k->env->coins, &o, &coin, &found, e);
        *fresh = !found;
    }
    return rc;
}

/*
 * BIP30 asks for coins that are there before the block (spec consensus 3.3 item 2): all outputs of
 * a segment are looked up before its transactions spend anything, or a block could spend the old
 * coin first and make it anew. As in the reference the rule comes before all others with coins.
 */
static enum err check_bip30(struct connecting *k, const struct block_segment *seg, uint64_t *bad_tx,
                            struct error *e)
{
    for (size_t i = 0; i < seg->n_txs; i++) {
        bool fresh;
        enum err rc = outputs_are_new(k, &seg->txs[i], &fresh, e);
        if (rc)
            return rc;
        if (fresh)
            continue;
        *bad_tx = 0; /* no script counts, not even those of transactions before */
        verdict_set(&k->out->verdict, REJECT_INVALID, 100, "bad-txns-BIP30");
        name_tx(&k->out->verdict, &seg->txs[i], seg->first + i);
        return OK;
    }
    return OK;
}

static bool judge_coin(struct connecting *k, const struct tx *tx, size_t i, const struct coin *coin,
                       struct tx_inputs *in)
{
    struct verdict *v = &in->verdict;
    if (!in->confiscation && k->env->frozen &&
        frozen_in_block(k->env->frozen, &tx->in[i].prevout, k->rules->height))
        return verdict_set(v, REJECT_SOFT_FREEZE, 0, "bad-txns-inputs-frozen");
    return check_input_coin(k->rules, coin, &in->sum, v);
}

static void count_p2sh(const struct connecting *k, const struct tx_in *txin,
                       const struct coin *coin, struct tx_inputs *in)
{
    uint64_t n = 0;
    enum script_era era = script_era_of(&k->env->params->heights, coin->height);
    if (!sigops_count_p2sh(txin->script, coin->script, era, &n))
        in->sigops_ok = false;
    in->p2sh_sigops += n;
}

/* Found valid under these flags when it entered the mempool. */
static bool is_known_valid(const struct connecting *k, const struct tx *tx, size_t i,
                           uint32_t flags)
{
    if (!k->env->scripts)
        return false;
    const struct sigcache_key key =
        accept_script_key(k->env->scripts, &tx->id, (uint32_t)i, flags, false);
    return sigcache_contains(k->env->scripts, &key);
}

static enum err queue_script(struct connecting *k, const struct tx *tx, size_t i,
                             const struct coin *coin, struct error *e)
{
    uint32_t flags = script_flags_for_coin(&k->env->params->heights, k->rules->flags, coin->height);
    if (is_known_valid(k, tx, i, flags))
        return OK;
    if (verify_batch_input(k->batch, (uint32_t)i, coin, flags))
        return error_set(e, ERR_NOMEM, "out of memory while queueing script checks");
    return OK;
}

/* Spends input i. missing: no such coin. */
static enum err spend_input(struct connecting *k, const struct tx *tx, size_t i,
                            struct tx_inputs *in, bool *missing, struct error *e)
{
    struct coin coin;
    bool found;
    enum err rc = coins_spend(k->env->coins, &tx->in[i].prevout, &coin, &found, e);
    *missing = !rc && !found;
    if (rc || !found)
        return rc;
    rc = undo_writer_add(&k->undo, &coin, e);
    if (rc) {
        k->out->torn = true; /* this spend is in no record */
        return rc;
    }
    k->done.inputs++;
    if (coin.marker && k->q->on_marker_spent)
        rc = k->q->on_marker_spent(k->q->ctx, &tx->in[i].prevout, &tx->id, e);
    if (rc)
        return rc;
    if (verdict_ok(&in->verdict))
        judge_coin(k, tx, i, &coin, in);
    if (k->rules->enforce_relative_lock)
        k->coin_heights[i] = coin.height;
    if (!k->rules->genesis && k->rules->p2sh)
        count_p2sh(k, &tx->in[i], &coin, in);
    if (!k->batch || in->confiscation)
        return OK;
    return queue_script(k, tx, i, &coin, e);
}

static bool missing_input(struct verdict *v, const struct tx *tx, size_t i)
{
    char hex[HASH_HEX_SIZE];
    verdict_set(v, REJECT_INVALID, 100, "bad-txns-inputs-missingorspent");
    verdict_detail(v, "%s:%u", hash_to_hex(hex, tx->in[i].prevout.txid.b), tx->in[i].prevout.index);
    return false;
}

static bool tx_sigops_ok(struct connecting *k, const struct tx *tx, const struct tx_inputs *in)
{
    if (k->rules->genesis)
        return true;
    uint64_t n = sigops_count_tx(tx) + in->p2sh_sigops;
    if (!in->sigops_ok || n > TX_SIGOPS_MAX)
        return verdict_set(&k->out->verdict, REJECT_INVALID, 100, "bad-txn-sigops");
    k->sigops += n;
    return check_block_sigops(k->rules, k->sigops, k->block_size, &k->out->verdict);
}

/* Spec consensus 7.3, -enableassumewhitelistedblockdepth. */
static bool is_assumed_whitelisted(const struct connecting *k)
{
    struct header_node *node = k->q->node, *best = header_index_best(k->env->index);
    return k->env->assume_whitelisted && header_ancestor(best, node->height) == node &&
           best->height - node->height >= k->env->assume_whitelisted_depth;
}

static bool confiscation_ok(const struct connecting *k, const struct tx *tx, struct verdict *v)
{
    if (!k->env->frozen || is_assumed_whitelisted(k))
        return confiscation_check_shape(tx, v);
    return confiscation_check(k->env->frozen, tx, k->rules->height, v);
}

/* What is left to judge once all coins of the transaction are known. */
static bool judge_tx(struct connecting *k, const struct tx *tx, struct tx_inputs *in)
{
    struct verdict *v = &k->out->verdict;
    if (k->rules->enforce_relative_lock &&
        !relative_locks_ok(tx, k->coin_heights, k->q->node->prev))
        return verdict_set(v, REJECT_INVALID, 100, "bad-txns-nonfinal");
    if (!tx_sigops_ok(k, tx, in))
        return false;
    if (!verdict_ok(&in->verdict)) {
        *v = in->verdict;
        return false;
    }
    int64_t fee;
    if (!check_fee(in->sum, tx, &fee, v))
        return false;
    if (!add_i64(k->out->fees, fee, &k->out->fees) || !money_range(k->out->fees))
        return verdict_set(v, REJECT_INVALID, 100, "bad-txns-accumulated-fee-outofrange");
    return !in->confiscation || confiscation_ok(k, tx, v);
}

static enum err prepare_inputs(struct connecting *k, const struct tx *tx, uint64_t index,
                               struct error *e)
{
    if (k->rules->enforce_relative_lock && tx->n_in > k->coin_heights_cap) {
        int32_t *more = try_realloc(k->coin_heights, tx->n_in, sizeof(*more));
        if (!more)
            return error_set(e, ERR_NOMEM, "out of memory for %zu inputs", tx->n_in);
        k->coin_heights = more;
        k->coin_heights_cap = tx->n_in;
    }
    if (k->batch && verify_batch_tx(k->batch, tx, index))
        return error_set(e, ERR_NOMEM, "out of memory while queueing script checks");
    return OK;
}

static enum err spend_inputs(struct connecting *k, const struct tx *tx, uint64_t index,
                             struct error *e)
{
    struct tx_inputs in = { .sigops_ok = true, .confiscation = confiscation_is(tx) };
    enum err rc = prepare_inputs(k, tx, index, e);
    for (size_t i = 0; i < tx->n_in && !rc; i++) {
        bool missing;
        rc = spend_input(k, tx, i, &in, &missing, e);
        if (!rc && missing) {
            missing_input(&k->out->verdict, tx, i);
            return OK;
        }
    }
    if (!rc)
        judge_tx(k, tx, &in);
    return rc;
}

static int64_t sum_outputs(const struct tx *tx)
{
    int64_t sum = 0; /* ranges were checked before: no overflow */
    for (size_t i = 0; i < tx->n_out; i++)
        sum += tx->out[i].value;
    return sum;
}

enum err connect_add_outputs(const struct connect_env *env, const struct tx *tx, int32_t height,
                             enum coins_add_mode mode, uint64_t *added, struct error *e)
{
    enum script_era era = script_era_of(&env->params->heights, height);
    struct coin coin = { .height = height, .coinbase = tx_is_coinbase(tx),
                         .confiscated = confiscation_is(tx) && !tx_is_coinbase(tx) };
    struct outpoint o = { .txid = tx->id };
    uint32_t marker;
    const bool marked = bca_marker_find(tx, &marker);
    for (size_t i = 0; i < tx->n_out; i++) {
        if (script_is_unspendable(tx->out[i].script, era))
            continue;
        coin.marker = marked && i == marker;
        coin.value = tx->out[i].value;
        coin.script = tx->out[i].script;
        o.index = (uint32_t)i;
        enum err rc = coins_add(env->coins, &o, &coin, mode, e);
        if (rc)
            return rc;
        ++*added;
    }
    return OK;
}

static enum err connect_tx(struct connecting *k, const struct tx *tx, uint64_t index,
                           struct error *e)
{
    const bool coinbase = index == 0;
    struct verdict *v = &k->out->verdict;
    enum err rc = OK;
    if (coinbase) {
        k->coinbase_out = sum_outputs(tx);
        if (!tx_sigops_ok(k, tx, &(struct tx_inputs){ .sigops_ok = true }))
            return OK;
    } else {
        rc = spend_inputs(k, tx, index, e);
        if (rc || !verdict_ok(v))
            return rc;
    }
    k->done.txs = index + 1; /* a part of the outputs may be in when adding fails */
    return connect_add_outputs(k->env, tx, k->rules->height,
                               coinbase ? COINS_ADD_OVERWRITE : COINS_ADD_NEW, &k->out->outputs, e);
}

/* *bad_tx: index of the transaction whose failure ended the pass. */
static enum err connect_segment(struct connecting *k, struct checked_segment *c, uint64_t *bad_tx,
                                struct error *e)
{
    struct block_segment *seg = c->segment;
    uint64_t offset = seg->offset;
    *bad_tx = c->bad_tx;
    if (!verdict_ok(&c->verdict)) {
        k->out->verdict = c->verdict;
        k->out->limit_exceeded = c->limit_exceeded;
        return OK;
    }
    int64_t start = clock_mono_us();
    enum err rc = coins_prefetch(k->env->coins, c->spends, c->n_spends, k->env->pool, e);
    k->out->read_us += clock_mono_us() - start;
    if (!rc && k->bip30)
        rc = check_bip30(k, seg, bad_tx, e);
    if (!rc && verdict_ok(&k->out->verdict) && k->q->scripts == CONNECT_CHECK_SCRIPTS)
        k->batch = verify_batch_begin(&k->run, seg);
    for (size_t i = 0; i < seg->n_txs && !rc && verdict_ok(&k->out->verdict); i++) {
        const struct tx *tx = &seg->txs[i];
        *bad_tx = seg->first + i;
        if (k->q->on_tx)
            k->q->on_tx(k->q->ctx, tx, offset);
        offset += tx->raw.len;
        rc = connect_tx(k, tx, seg->first + i, e);
        if (!rc && !verdict_ok(&k->out->verdict))
            name_tx(&k->out->verdict, tx, seg->first + i);
        if (cancelled(k->env->cancel) && !rc)
            rc = error_set(e, ERR_CANCELLED, "connecting a block was cancelled");
    }
    if (k->batch)
        verify_batch_end(k->batch);
    k->batch = NULL;
    return rc;
}

static enum err serial_pass(struct connecting *k, struct error *e)
{
    uint64_t bad_tx = 0;
    enum err rc = OK;
    for (;;) {
        struct checked_segment *c;
        int64_t start = clock_mono_us();
        rc = block_source_next(k->q->source, &c, e);
        k->out->read_us += clock_mono_us() - start;
        if (rc || !c)
            break;
        rc = connect_segment(k, c, &bad_tx, e);
        if (rc || !verdict_ok(&k->out->verdict))
            break;
    }
    if (!rc && !verdict_ok(&k->out->verdict))
        verify_run_limit(&k->run, bad_tx);
    return rc;
}

static void judge_coinbase_value(struct connecting *k)
{
    int64_t allowed = params_subsidy(k->env->params, k->rules->height) + k->out->fees;
    if (k->coinbase_out <= allowed)
        return;
    verdict_set(&k->out->verdict, REJECT_INVALID, 100, "bad-cb-amount");
    k->out->verdict.tx = 1;
    verdict_detail(&k->out->verdict, "coinbase pays %lld of %lld allowed",
                   (long long)k->coinbase_out, (long long)allowed);
}

/* A bad script comes before what the serial pass found: it lies in an earlier transaction. */
static void judge_scripts(struct connecting *k, const struct verify_failure *f)
{
    struct verdict *v = &k->out->verdict;
    *v = (struct verdict){ 0 };
    verdict_set(v, REJECT_INVALID, 100, "blk-bad-inputs");
    v->tx = f->tx + 1;
    verdict_detail(v, "transaction %llu input %u: %s", (unsigned long long)f->tx, f->input,
                   script_err_message(f->err));
    k->out->limit_exceeded =
        f->err == SCRIPT_ERR_STACK_SIZE && f->new_coin && k->env->max_stack_memory > 0;
}

static enum err take_back(struct connecting *k, struct error *e)
{
    struct buf content = { 0 };
    struct undo_reader undo;
    undo_writer_finish(&k->undo, &content);
    enum err rc = undo_reader_init(&undo, &content, e);
    if (rc) {
        buf_clear(&content);
        return rc;
    }
    rc = connect_take_back(k->env, k->q->node, k->q->received, &undo, &k->done, e);
    undo_reader_clear(&undo);
    return rc;
}

/* Joins the scripts, settles the verdict. */
static enum err finish(struct connecting *k, enum err rc, struct error *e)
{
    bool failed = false;
    struct verify_failure failure;
    enum err joined = verify_run_join(&k->run, &failed, &failure, rc ? NULL : e);
    if (rc || joined)
        return rc ? rc : joined;
    if (failed)
        judge_scripts(k, &failure);
    else if (verdict_ok(&k->out->verdict))
        judge_coinbase_value(k);
    return OK;
}

enum err connect_block(const struct connect_env *env, const struct connect_request *q,
                       struct connect_result *out, struct error *e)
{
    memset(out, 0, sizeof(*out));
    struct header_data data;
    header_index_get_data(env->index, q->node, &data);
    struct connecting k = { .env = env,
                            .q = q,
                            .out = out,
                            .rules = block_source_rules(q->source),
                            .bip30 = bip30_enforced(env->params, q->node),
                            .block_size = data.data.size };
    struct verify_options vo = { .pool = env->pool,
                                 .limits = env->limits,
                                 .sigcache = env->sigcache,
                                 .cancel = env->cancel,
                                 .memory_bytes = env->check_memory_bytes };
    undo_writer_init(&k.undo);
    verify_run_init(&k.run, &vo);
    enum err rc = serial_pass(&k, e);
    rc = finish(&k, rc, e);
    out->txs = k.done.txs;
    out->inputs = k.done.inputs;
    if (!rc && verdict_ok(&out->verdict)) {
        undo_writer_finish(&k.undo, &out->undo);
    } else {
        struct error second;
        enum err back = take_back(&k, &second);
        if (back) {
            rc = error_set(e, back, "taking back a block failed: %s", second.text);
            out->torn = true;
        }
    }
    undo_writer_clear(&k.undo);
    free(k.coin_heights);
    return rc;
}
