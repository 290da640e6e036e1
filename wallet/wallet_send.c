/*
 * Sending: coins are looked over, chosen (select.h), signed and checked (txbuild.h), and the result
 * is recorded before anybody is told. All of it under the wallet's lock, so that two who send at
 * once never choose the same coin.
 */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/secret.h"
#include "script/template.h"
#include "wallet/select.h"
#include "wallet/txbuild.h"
#include "wallet/wallet_internal.h"

/* Own change that is not yet in a block is touched last. */
enum { TIER_CONFIRMED, TIER_UNCONFIRMED };

/* What select.h does not need to know of a coin. */
struct candidate {
    struct outpoint at;
    int32_t height;
    bool extra; /* that of the request, which the history does not know */
};

struct sending {
    struct wallet *w;
    const struct wallet_send *s;
    struct candidate *candidates;
    struct select_coin *coins;
    size_t n, cap;
    bool nomem;
    struct outpoint *named;      /* sorted, when others are added to them */
    bool funds;                  /* the named coins must be spent, and others may */
    struct select_recipient *to; /* the recipients but those that carry data */
    size_t n_to;
    struct select_result chosen;
    struct buf scripts;          /* of the chosen coins */
    struct txbuild_input *in;
    struct txbuild_output *out;
    struct signing_key *keys;    /* secret memory */
    uint8_t change_script[SCRIPT_P2PKH_SIZE];
};

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

static enum err no_memory(struct error *e)
{
    return error_set(e, ERR_NOMEM, "no memory to make a transaction");
}

/* --- recipients --- */

static bool carries_data(const struct wallet_recipient *r)
{
    return r->value == 0 && script_is_unspendable(r->script, SCRIPT_ERA_GENESIS);
}

static enum err check_recipient(const struct wallet_send *s, size_t i, struct error *e)
{
    const struct wallet_recipient *r = &s->to[i];
    if (r->value == -1 && s->n != 1)
        return error_set(e, ERR_RANGE, "all there is can be sent to one recipient alone");
    if (r->value != -1 && !money_range(r->value))
        return error_set(e, ERR_RANGE, "recipient %zu gets no possible amount", i + 1);
    if (!r->script.len)
        return error_set(e, ERR_RANGE, "recipient %zu has no script", i + 1);
    return OK;
}

static enum err list_recipients(struct sending *g, struct error *e)
{
    const struct wallet_send *s = g->s;
    if (!s->n)
        return error_set(e, ERR_RANGE, "there is no recipient");
    g->to = (struct select_recipient *)try_alloc(s->n, sizeof *g->to);
    if (!g->to)
        return no_memory(e);
    for (size_t i = 0; i < s->n; i++) {
        enum err rc = check_recipient(s, i, e);
        if (rc)
            return rc;
        if (!carries_data(&s->to[i]))
            g->to[g->n_to++] = (struct select_recipient){ MAX_OF(s->to[i].value, INT64_C(0)),
                                                          s->to[i].subtract_fee };
    }
    return OK;
}

/* --- coins --- */

static bool has_room(struct sending *g)
{
    if (g->n < g->cap)
        return true;
    const size_t cap = MAX_OF(2 * g->cap, (size_t)64);
    void *candidates = try_realloc(g->candidates, cap, sizeof *g->candidates);
    if (candidates)
        g->candidates = (struct candidate *)candidates;
    void *coins = candidates ? try_realloc(g->coins, cap, sizeof *g->coins) : NULL;
    if (!coins)
        return false;
    g->coins = (struct select_coin *)coins;
    g->cap = cap;
    return true;
}

static size_t input_size(const struct sending *g, const struct history_coin *c)
{
    const struct wallet_entry *entry = &g->w->entries[c->owner.id];
    return txbuild_input_size(c->script, entry->key_len == EC_PUBKEY_SIZE);
}

static enum select_use use_of(const struct history_coin *c)
{
    return c->immature ? SELECT_IMMATURE : c->locked ? SELECT_LOCKED : SELECT_MAY;
}

/* False when memory is short. A script that nobody here can sign for is passed over. */
static bool add_coin(struct sending *g, const struct history_coin *c, enum select_use use)
{
    const size_t size = input_size(g, c);
    if (!size)
        return true;
    if (!has_room(g))
        return false;
    const bool confirmed = c->height != HISTORY_NO_HEIGHT;
    g->candidates[g->n] = (struct candidate){ .at = c->at, .height = c->height };
    g->coins[g->n++] = (struct select_coin){
        .value = c->value, .input_size = (uint32_t)size, .use = use,
        .tier = confirmed ? TIER_CONFIRMED : TIER_UNCONFIRMED };
    return true;
}

static bool is_named(const struct sending *g, const struct outpoint *at)
{
    return g->named &&
           bsearch(at, g->named, g->s->n_coins, sizeof *g->named, outpoint_order) != NULL;
}

static bool see_coin(void *ctx, const struct history_coin *c)
{
    struct sending *g = (struct sending *)ctx;
    if (is_named(g, &c->at))
        return true;
    g->nomem = !add_coin(g, c, use_of(c));
    return !g->nomem;
}

static enum err list_coins(struct sending *g, struct error *e)
{
    const struct history_filter filter = { .min_conf = g->s->min_conf, .max_conf = INT32_MAX,
                                           .locked = true, .immature = true };
    enum err rc = history_unspent(g->w->history, &filter, see_coin, g, e);
    return !rc && g->nomem ? no_memory(e) : rc;
}

static const char *why_not(const struct sending *g, const struct history_coin *c, bool found)
{
    if (!found || !c->owned)
        return "is none of the wallet's";
    if (c->spent)
        return "is spent";
    if (c->owner.kind != OWNER_SPENDABLE || !input_size(g, c))
        return "is watched only";
    if (c->immature)
        return "is of a coinbase and immature";
    if (!c->trusted)
        return "is not confirmed";
    return c->confirmations < g->s->min_conf ? "has too few confirmations" : NULL;
}

static enum err add_named_coin(struct sending *g, const struct outpoint *at, struct error *e)
{
    struct history_coin c = { .value = 0 };
    bool found;
    char hex[HASH_HEX_SIZE];
    enum err rc = history_get_coin(g->w->history, at, &c, &found, e);
    if (rc)
        return rc;
    const char *why = why_not(g, &c, found);
    if (why)
        return error_set(e, ERR_RANGE, "the coin %s:%" PRIu32 " %s",
                         hash_to_hex(hex, at->txid.b), at->index, why);
    return add_coin(g, &c, SELECT_MUST) ? OK : no_memory(e);
}

static enum err list_named_coins(struct sending *g, struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; !rc && i < g->s->n_coins; i++)
        rc = add_named_coin(g, &g->s->coins[i], e);
    return rc;
}

static enum err sort_named(struct sending *g, struct error *e)
{
    const size_t n = g->s->n_coins;
    if (!n)
        return OK;
    g->named = (struct outpoint *)try_alloc(n, sizeof *g->named);
    if (!g->named)
        return no_memory(e);
    memcpy(g->named, g->s->coins, n * sizeof *g->named);
    qsort(g->named, n, sizeof *g->named, outpoint_order);
    for (size_t i = 1; i < n; i++)
        if (outpoint_equal(&g->named[i - 1], &g->named[i]))
            return error_set(e, ERR_RANGE, "a coin is spent twice");
    return OK;
}

static enum err add_extra(struct sending *g, struct error *e)
{
    const struct wallet_extra *x = g->s->extra;
    if (!x)
        return OK;
    if (!has_room(g))
        return no_memory(e);
    g->candidates[g->n] = (struct candidate){ .at = x->at, .height = x->height, .extra = true };
    g->coins[g->n++] = (struct select_coin){
        .value = x->value, .input_size = (uint32_t)txbuild_input_size(x->script, true),
        .use = SELECT_MUST, .tier = TIER_CONFIRMED };
    return OK;
}

/* --- choosing --- */

static void put_amount(struct buf *out, int64_t value)
{
    buf_printf(out, "%" PRId64 ".%08" PRId64, value / COIN, value % COIN);
}

/* "insufficient funds: 0.5 more are needed (0.1 are immature, 0.2 locked)" */
static enum err insufficient(const struct select_result *r, struct error *e)
{
    struct buf text = { 0 };
    put_amount(&text, r->missing);
    buf_printf(&text, " more are needed");
    if (r->immature) {
        buf_printf(&text, ", ");
        put_amount(&text, r->immature);
        buf_printf(&text, " are immature");
    }
    if (r->locked) {
        buf_printf(&text, ", ");
        put_amount(&text, r->locked);
        buf_printf(&text, " are locked");
    }
    error_set(e, ERR_NOTFOUND, "insufficient funds: %.*s", (int)text.len, (const char *)text.data);
    buf_clear(&text);
    return ERR_NOTFOUND;
}

static enum err explain(const struct sending *g, struct error *e)
{
    const struct select_result *r = &g->chosen;
    switch (r->status) {
    case SELECT_OK:
        return OK;
    case SELECT_INSUFFICIENT:
        return insufficient(r, e);
    case SELECT_DUST:
        return error_set(e, ERR_RANGE, "a recipient would get less than %d satoshi, which is dust",
                         DUST_SATOSHIS);
    case SELECT_TOO_LARGE:
        return error_set(e, ERR_RANGE,
                         "the transaction would have more than %zu bytes: bring coins together "
                         "first, by sending them to yourself", g->s->max_size);
    case SELECT_REFUSED:
        return error_set(e, ERR_RANGE, "amounts or a fee rate beyond all limits");
    case SELECT_NOMEM:
        break;
    }
    return no_memory(e);
}

static enum err choose(struct sending *g, struct error *e)
{
    const struct wallet_send *s = g->s;
    script_make_p2pkh(g->change_script, (const uint8_t[20]){ 0 });
    const struct span own = span_of(g->change_script, SCRIPT_P2PKH_SIZE);
    const struct span change = s->change.len ? s->change : own;
    struct select_request r = {
        .coins = g->coins, .n_coins = g->n, .to = g->to, .n_to = g->n_to, .n_outputs = s->n,
        .change_size = (uint32_t)txbuild_output_size(change.len),
        .change_input_size = (uint32_t)txbuild_input_size(own, true),
        .fee_sat_per_kb = (uint64_t)s->fee_per_kb,
        .max_to = s->to[0].value == -1 ? 0 : SELECT_NOBODY,
        .must_alone = s->coins != NULL && !g->funds,
        .max_size = s->max_size,
    };
    for (size_t i = 0; i < s->n; i++)
        r.outputs_size += txbuild_output_size(s->to[i].script.len);
    select_coins(&r, &g->chosen);
    if (s->too_large)
        *s->too_large = g->chosen.status == SELECT_TOO_LARGE;
    return explain(g, e);
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
        return no_memory(e);
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
        return no_memory(e);
    for (size_t i = 0; i < s->n; i++) {
        const int64_t value = carries_data(&s->to[i]) ? 0 : g->chosen.amounts[to++];
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
        rc = list_recipients(g, e);
    if (!rc)
        rc = g->s->coins ? list_named_coins(g, e) : list_coins(g, e);
    if (!rc)
        rc = add_extra(g, e);
    if (!rc)
        rc = choose(g, e);
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
        return no_memory(e);
    for (size_t i = 0; i < g->s->n; i++)
        out->amounts[i] = carries_data(&g->s->to[i]) ? 0 : r->amounts[to++];
    for (size_t i = 0; i < r->n_chosen; i++) {
        const struct outpoint *at = &g->candidates[r->chosen[i]].at;
        if (!is_named(g, at))
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
    enum err rc = list_recipients(g, e);
    if (!rc)
        rc = sort_named(g, e);
    if (!rc)
        rc = list_named_coins(g, e);
    if (!rc)
        rc = list_coins(g, e);
    if (!rc)
        rc = choose(g, e);
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
