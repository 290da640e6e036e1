#include <config.h>

#include "wallet/txbuild.h"

#include <stdlib.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "script/build.h"
#include "script/opcode.h"
#include "script/template.h"
#include "wallet/select.h"

#define SIGNATURE_SIZE 72 /* low S, with the hash type */
#define SEQUENCE_LOCK_TIME (TX_SEQUENCE_FINAL - 1)

size_t txbuild_input_size(struct span script, bool compressed)
{
    struct script_match match;
    size_t unlock = 1 + SIGNATURE_SIZE;
    script_classify(script, SCRIPT_ERA_GENESIS, &match);
    if (match.type == SCRIPT_TYPE_PUBKEYHASH)
        unlock += 1 + (compressed ? 33u : 65u);
    else if (match.type != SCRIPT_TYPE_PUBKEY)
        return 0;
    return 36 + compact_size_len(unlock) + unlock + 4;
}

size_t txbuild_output_size(size_t script_len)
{
    return 8 + compact_size_len(script_len) + script_len;
}

void txbuild_put_data(struct buf *script, const struct span *pushes, size_t n)
{
    script_put_op(script, OP_0);
    script_put_op(script, OP_RETURN);
    for (size_t i = 0; i < n; i++)
        script_put_data(script, pushes[i].data, pushes[i].len);
}

/* --- the request ----------------------------------------------------------------------------- */

static int by_outpoint(const void *a, const void *b)
{
    const struct outpoint *x = &(*(const struct txbuild_input *const *)a)->at;
    const struct outpoint *y = &(*(const struct txbuild_input *const *)b)->at;
    const int order = memcmp(x->txid.b, y->txid.b, 32);
    return order ? order : x->index < y->index ? -1 : x->index > y->index;
}

static enum err check_inputs(const struct txbuild *b, struct error *e)
{
    if (!b->n_in)
        return error_set(e, ERR_RANGE, "a transaction needs an input");
    const struct txbuild_input **sorted =
        (const struct txbuild_input **)try_alloc(b->n_in, sizeof(void *));
    if (!sorted)
        return error_set(e, ERR_NOMEM, "no memory for %zu inputs", b->n_in);
    for (size_t i = 0; i < b->n_in; i++)
        sorted[i] = &b->in[i];
    qsort(sorted, b->n_in, sizeof(void *), by_outpoint);
    bool repeated = false;
    for (size_t i = 1; i < b->n_in; i++)
        repeated = repeated || outpoint_equal(&sorted[i]->at, &sorted[i - 1]->at);
    free(sorted);
    return repeated ? error_set(e, ERR_RANGE, "a coin is spent twice") : OK;
}

/* False beyond all money. */
static bool add_money(int64_t *sum, int64_t value)
{
    return money_range(value) && money_range(*sum += value);
}

static enum err count_fee(const struct txbuild *b, int64_t *fee, struct error *e)
{
    int64_t in = 0, out = 0;
    bool ok = add_money(&out, b->change.value);
    for (size_t i = 0; ok && i < b->n_in; i++)
        ok = add_money(&in, b->in[i].value);
    for (size_t i = 0; ok && i < b->n_out; i++)
        ok = add_money(&out, b->out[i].value);
    *fee = in - out;
    if (!ok)
        return error_set(e, ERR_RANGE, "amounts beyond all money");
    if (*fee < 0)
        return error_set(e, ERR_RANGE, "the outputs are worth more than the inputs");
    return OK;
}

static enum err check_fee(const struct txbuild_rules *rules, int64_t fee, size_t size,
                          struct error *e)
{
    if (rules->fee_sat_per_kb > FEE_RATE_MAX || size > UINT32_MAX)
        return error_set(e, ERR_RANGE, "fee rate or size beyond limits");
    const int64_t least = select_fee(rules->fee_sat_per_kb, size);
    if (fee < least)
        return error_set(e, ERR_RANGE, "a fee of %lld satoshis, %lld are needed", (long long)fee,
                         (long long)least);
    if (fee > rules->max_fee)
        return error_set(e, ERR_RANGE, "a fee of %lld satoshis, above the limit of %lld",
                         (long long)fee, (long long)rules->max_fee);
    return OK;
}

/* --- writing --------------------------------------------------------------------------------- */

static void put_output(struct tx *t, const struct txbuild_output *o)
{
    t->out[t->n_out++] = (struct tx_out){ o->value, o->script };
}

/* A transaction whose arrays are its own and whose scripts are borrowed. */
static bool fields_init(struct tx *t, const struct txbuild *b, size_t change_index)
{
    const uint32_t sequence = b->lock_time ? SEQUENCE_LOCK_TIME : TX_SEQUENCE_FINAL;
    *t = (struct tx){ .version = 1, .lock_time = b->lock_time };
    t->in = (struct tx_in *)try_calloc(b->n_in, sizeof *t->in);
    t->out = (struct tx_out *)try_calloc(b->n_out + 1, sizeof *t->out);
    if (!t->in || !t->out)
        return false;
    for (; t->n_in < b->n_in; t->n_in++)
        t->in[t->n_in] = (struct tx_in){ .prevout = b->in[t->n_in].at, .sequence = sequence };
    for (size_t i = 0; i <= b->n_out; i++) {
        if (i == change_index && b->change.value)
            put_output(t, &b->change);
        if (i < b->n_out)
            put_output(t, &b->out[i]);
    }
    return true;
}

static void fields_clear(struct tx *t)
{
    free(t->in);
    free(t->out);
}

static struct script_input input_of(const struct txbuild *b, const struct txbuild_rules *rules,
                                    const struct tx *tx, size_t i)
{
    const uint32_t flags = script_flags_for_policy(rules->heights, rules->next_height);
    return (struct script_input){
        .tx = tx,
        .index = i,
        .script_pubkey = b->in[i].script,
        .amount = b->in[i].value,
        .flags = script_flags_for_coin(rules->heights, flags, b->in[i].height),
    };
}

/* Appends the unlocking scripts one after another; ends has where each one stops. */
static enum err sign_inputs(const struct txbuild *b, const struct txbuild_rules *rules,
                            const struct tx *bare, struct buf *scripts, size_t *ends,
                            struct error *e)
{
    struct sighash_cache cache;
    enum err rc = OK;
    sighash_cache_init(&cache, bare);
    for (size_t i = 0; !rc && i < b->n_in; i++) {
        const struct signer signer = { .keys = b->in[i].key,
                                       .n_keys = b->in[i].key != NULL,
                                       .hash_type = SIGHASH_ALL | SIGHASH_FORKID };
        struct script_input in = input_of(b, rules, bare, i);
        in.sighash = &cache;
        if (!script_sign(&signer, &in, scripts))
            rc = error_set(e, ERR_NOTFOUND, "the key of input %zu does not unlock it", i);
        ends[i] = scripts->len;
    }
    sighash_cache_clear(&cache);
    return rc;
}

static void set_scripts(struct tx *t, const struct buf *scripts, const size_t *ends)
{
    for (size_t i = 0, start = 0; i < t->n_in; start = ends[i++])
        t->in[i].script = span_of(scripts->data + start, ends[i] - start);
}

static enum err write_tx(const struct tx *t, struct tx **out, struct error *e)
{
    struct buf raw = { 0 };
    tx_write(&raw, t);
    *out = tx_new(raw.data, raw.len, e);
    buf_clear(&raw);
    return *out ? OK : e ? e->code : ERR_NOMEM;
}

static enum err verify_inputs(const struct txbuild *b, const struct txbuild_rules *rules,
                              const struct tx *tx, struct error *e)
{
    const struct script_policy policy = script_policy_default();
    const struct script_limits limits = script_limits_policy(&policy);
    struct sighash_cache cache;
    enum script_err err = SCRIPT_OK;
    sighash_cache_init(&cache, tx);
    for (size_t i = 0; err == SCRIPT_OK && i < b->n_in; i++) {
        struct script_input in = input_of(b, rules, tx, i);
        in.limits = &limits;
        in.sighash = &cache;
        err = script_verify(&in);
    }
    sighash_cache_clear(&cache);
    if (err == SCRIPT_OK)
        return OK;
    return script_err_is_verdict(err)
               ? error_set(e, ERR_CORRUPT, "the transaction made does not pass its own check: %s",
                           script_err_name(err))
               : error_set(e, ERR_NOMEM, "no memory to check a transaction");
}

static enum err make(const struct txbuild *b, const struct txbuild_rules *rules, struct tx *t,
                     size_t *ends, struct tx **out, struct error *e)
{
    struct buf scripts = { 0 };
    struct tx *bare = NULL; /* digests are made from bytes */
    enum err rc = write_tx(t, &bare, e);
    if (!rc)
        rc = sign_inputs(b, rules, bare, &scripts, ends, e);
    if (!rc) {
        set_scripts(t, &scripts, ends);
        rc = write_tx(t, out, e);
    }
    tx_unref(bare);
    buf_clear(&scripts);
    return rc;
}

static enum err check(const struct txbuild *b, const struct txbuild_rules *rules, int64_t fee,
                      const struct tx *tx, struct error *e)
{
    const enum err rc = check_fee(rules, fee, tx->raw.len, e);
    return rc ? rc : verify_inputs(b, rules, tx, e);
}

enum err txbuild_make(const struct txbuild *b, const struct txbuild_rules *rules, struct tx **out,
                      size_t *change_index, struct error *e)
{
    int64_t fee;
    struct tx t, *made = NULL;
    enum err rc = check_inputs(b, e);
    if (!rc)
        rc = count_fee(b, &fee, e);
    if (rc)
        return rc;
    *change_index = b->change.value && !b->change_last ? (size_t)rand_below(b->n_out + 1)
                                                       : b->n_out;
    size_t *ends = (size_t *)try_alloc(b->n_in, sizeof *ends);
    if (!fields_init(&t, b, *change_index) || !ends)
        rc = error_set(e, ERR_NOMEM, "no memory for a transaction of %zu inputs", b->n_in);
    if (!rc)
        rc = make(b, rules, &t, ends, &made, e);
    if (!rc)
        rc = check(b, rules, fee, made, e);
    fields_clear(&t);
    free(ends);
    if (rc)
        tx_unref(made);
    else
        *out = made;
    return rc;
}
