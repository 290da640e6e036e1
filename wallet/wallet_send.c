/*
 * Sending: coins are looked over and chosen (wallet_choose.c), signed and checked (txbuild.h), and
 * the result is recorded before anybody is told. All of it under the wallet's lock, so that two who
 * send at once never choose the same coin.
 */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/secret.h"
#include "script/template.h"
#include "wallet/wallet_send_internal.h"

static void sending_clear(struct sending *g)
{
    free(g->candidates);
    free(g->coins);
    free(g->to);
    free(g->named);
    free(g->in);
    free(g->out);
    secret_free(g->keys);
    buf_clear(&g->scripts);
    select_result_clear(&g->chosen);
}

/* --- the transaction --- */

static enum err set_key(struct sending *g, struct wallet_secrets *secrets, size_t i,
                        struct span script, struct error *e)
{
    struct wallet_key known;
    struct private_key key;
    if (!wallet_find_key_locked(g->w, script, &known))
        return error_set(e, ERR_RANGE, "a coin is no longer the wallet's");
    enum err rc = wallet_secrets_get(secrets, &known, key.secret, e);
    if (!rc) {
        key.compressed = known.key_len == EC_PUBKEY_SIZE;
        signing_key_init(&g->keys[i], &key);
    }
    private_key_wipe(&key);
    return rc;
}

static void set_extra(struct sending *g, size_t i)
{
    const struct wallet_extra *x = g->s->extra;
    struct private_key key = { .compressed = true };
    memcpy(key.secret, x->secret, sizeof key.secret);
    signing_key_init(&g->keys[i], &key);
    private_key_wipe(&key);
    g->in[i] = (struct txbuild_input){ .at = x->at, .value = x->value, .key = &g->keys[i],
                                       .height = x->height,
                                       .script = span_of(NULL, x->script.len) };
    buf_put(&g->scripts, x->script.data, x->script.len);
}

static enum err set_input(struct sending *g, struct wallet_secrets *secrets, size_t i,
                          struct error *e)
{
    const struct candidate *c = &g->candidates[g->chosen.chosen[i]];
    if (c->extra) {
        set_extra(g, i);
        return OK;
    }
    const int32_t next = g->s->height + 1;
    struct history_coin coin;
    bool found;
    enum err rc = history_get_coin(g->w->history, &c->at, &coin, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_CORRUPT, "a coin of the wallet is gone");
    if (!rc)
        rc = set_key(g, secrets, i, coin.script, e);
    if (rc)
        return rc;
    g->in[i] = (struct txbuild_input){
        .at = c->at, .value = coin.value, .key = &g->keys[i],
        .height = c->height == HISTORY_NO_HEIGHT ? next : c->height,
        .script = span_of(NULL, coin.script.len) };
    buf_put(&g->scripts, coin.script.data, coin.script.len);
    return OK;
}

static enum err set_inputs(struct sending *g, struct error *e)
{
    struct wallet_secrets *secrets = NULL;
    const size_t n = g->chosen.n_chosen;
    g->in = (struct txbuild_input *)try_alloc(MAX_OF(n, (size_t)1), sizeof *g->in);
    if (!g->in)
        return sending_no_memory(e);
    g->keys = (struct signing_key *)secret_alloc(MAX_OF(n, (size_t)1) * sizeof *g->keys);
    enum err rc = wallet_secrets_open(&secrets, g->w, e);
    for (size_t i = 0; !rc && i < n; i++)
        rc = set_input(g, secrets, i, e);
    wallet_secrets_free(secrets);
    size_t at = 0; /* the buffer grows no more: the scripts stay where they are */
    for (size_t i = 0; !rc && i < n; i++) {
        g->in[i].script.data = g->scripts.data + at;
        at += g->in[i].script.len;
    }
    return rc;
}

static enum err set_outputs(struct sending *g, struct error *e)
{
    const struct wallet_send *s = g->s;
    size_t to = 0;
    g->out = (struct txbuild_output *)try_alloc(s->n, sizeof *g->out);
    if (!g->out)
        return sending_no_memory(e);
    for (size_t i = 0; i < s->n; i++) {
        const int64_t value = sending_carries_data(&s->to[i]) ? 0 : g->chosen.amounts[to++];
        g->out[i] = (struct txbuild_output){ value, s->to[i].script };
    }
    return OK;
}

static enum err set_change(struct sending *g, struct txbuild_output *change, struct error *e)
{
    struct wallet_key key;
    *change = (struct txbuild_output){ .value = g->chosen.change };
    change->script = g->s->change;
    if (!change->value || change->script.len)
        return OK;
    enum err rc = wallet_new_key(g->w, KEYSTORE_CHANGE, span_of(NULL, 0), &key, e);
    if (rc)
        return rc;
    script_make_for_key(g->change_script, span_of(key.key, key.key_len));
    change->script = span_of(g->change_script, SCRIPT_P2PKH_SIZE);
    return OK;
}

static enum err build(struct sending *g, struct tx **out, struct error *e)
{
    const struct wallet_send *s = g->s;
    const struct txbuild_rules rules = { .heights = s->heights, .next_height = s->height + 1,
                                         .fee_sat_per_kb = (uint64_t)s->fee_per_kb,
                                         .max_fee = s->max_fee };
    struct txbuild b = { .n_in = g->chosen.n_chosen, .n_out = s->n,
                         .change_last = s->change_last };
    size_t change_index;
    enum err rc = set_inputs(g, e);
    if (!rc)
        rc = set_outputs(g, e);
    if (!rc)
        rc = set_change(g, &b.change, e);
    b.in = g->in;
    b.out = g->out;
    return rc ? rc : txbuild_make(&b, &rules, out, &change_index, e);
}

static enum err refuse_locked(struct wallet *w, struct error *e)
{
    return keystore_state(w->ks, NULL) == KEYSTORE_LOCKED
               ? error_set(e, ERR_AUTH, "the wallet is locked: its passphrase is needed")
               : OK;
}

/* Before a key for change is taken. */
static enum err check_fee(const struct sending *g, struct error *e)
{
    if (g->chosen.fee <= g->s->max_fee)
        return OK;
    return error_set(e, ERR_RANGE, "a fee of %" PRId64 " satoshis, above the limit of %" PRId64,
                     g->chosen.fee, g->s->max_fee);
}

static enum err send_locked(struct sending *g, struct tx **out, struct error *e)
{
    struct tx *tx = NULL;
    enum err rc = refuse_locked(g->w, e);
    if (!rc)
        rc = sending_list_recipients(g, e);
    if (!rc && g->s->and_more)
        rc = sending_sort_named(g, e);
    if (!rc && g->s->coins)
        rc = sending_list_named_coins(g, e);
    if (!rc && (!g->s->coins || g->s->and_more))
        rc = sending_list_coins(g, e);
    if (!rc)
        rc = sending_add_extra(g, e);
    if (!rc)
        rc = sending_choose(g, e);
    if (!rc)
        rc = check_fee(g, e);
    if (!rc)
        rc = build(g, &tx, e);
    if (!rc && g->s->keep)
        rc = g->s->keep(g->s->keep_ctx, tx, e);
    if (!rc)
        rc = history_record(g->w->history, tx, &g->s->note, g->w->p.now(), e);
    if (rc) {
        tx_unref(tx);
        return rc;
    }
    *out = tx;
    return OK;
}

enum err wallet_send(struct wallet *w, const struct wallet_send *s, struct tx **out, int64_t *fee,
                     struct error *e)
{
    struct sending g = { .w = w, .s = s };
    if (s->fee_per_kb < 0 || s->height < 0)
        return error_set(e, ERR_RANGE, "a fee rate or height below zero");
    wallet_lock(w);
    enum err rc = send_locked(&g, out, e);
    wallet_unlock(w);
    if (!rc)
        *fee = g.chosen.fee;
    sending_clear(&g);
    return rc;
}

/* --- funding: the same without a transaction of ours --- */

static enum err keep_funding(struct sending *g, struct wallet_funding *out, struct error *e)
{
    const struct select_result *r = &g->chosen;
    struct txbuild_output change;
    size_t to = 0;
    out->added = (struct outpoint *)try_alloc(MAX_OF(r->n_chosen, (size_t)1), sizeof *out->added);
    out->amounts = (int64_t *)try_alloc(g->s->n, sizeof *out->amounts);
    if (!out->added || !out->amounts)
        return sending_no_memory(e);
    for (size_t i = 0; i < g->s->n; i++)
        out->amounts[i] = sending_carries_data(&g->s->to[i]) ? 0 : r->amounts[to++];
    for (size_t i = 0; i < r->n_chosen; i++) {
        const struct outpoint *at = &g->candidates[r->chosen[i]].at;
        if (!sending_is_named(g, at))
            out->added[out->n_added++] = *at;
    }
    enum err rc = set_change(g, &change, e);
    out->fee = r->fee;
    out->change = r->change;
    buf_put(&out->change_script, change.script.data, change.script.len);
    return rc;
}

static enum err fund_locked(struct sending *g, struct wallet_funding *out, struct error *e)
{
    enum err rc = sending_list_recipients(g, e);
    if (!rc)
        rc = sending_sort_named(g, e);
    if (!rc)
        rc = sending_list_named_coins(g, e);
    if (!rc)
        rc = sending_list_coins(g, e);
    if (!rc)
        rc = sending_choose(g, e);
    if (!rc)
        rc = check_fee(g, e);
    return rc ? rc : keep_funding(g, out, e);
}

static void lock_chosen(struct sending *g)
{
    for (size_t i = 0; i < g->chosen.n_chosen; i++)
        history_lock_coin(g->w->history, &g->candidates[g->chosen.chosen[i]].at, true);
}

enum err wallet_fund(struct wallet *w, const struct wallet_send *s, enum wallet_fund_lock lock,
                     struct wallet_funding *out, struct error *e)
{
    struct sending g = { .w = w, .s = s, .funds = true };
    *out = (struct wallet_funding){ .added = NULL };
    wallet_lock(w);
    enum err rc = fund_locked(&g, out, e);
    if (!rc && lock == WALLET_FUND_LOCK)
        lock_chosen(&g);
    wallet_unlock(w);
    sending_clear(&g);
    if (rc)
        wallet_funding_clear(out);
    return rc;
}

void wallet_funding_clear(struct wallet_funding *f)
{
    free(f->added);
    free(f->amounts);
    buf_clear(&f->change_script);
}
