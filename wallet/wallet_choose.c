/* Which coins pay: recipients and coins are looked over, then select.h chooses. */
#include <config.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/buf.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "script/template.h"
#include "wallet/wallet_send_internal.h"

/* Own change that is not yet in a block is touched last. */
enum { TIER_CONFIRMED, TIER_UNCONFIRMED };

enum err sending_no_memory(struct error *e)
{
    return error_set(e, ERR_NOMEM, "no memory to make a transaction");
}

/* --- recipients --- */

bool sending_carries_data(const struct wallet_recipient *r)
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

enum err sending_list_recipients(struct sending *g, struct error *e)
{
    const struct wallet_send *s = g->s;
    if (!s->n)
        return error_set(e, ERR_RANGE, "there is no recipient");
    g->to = (struct select_recipient *)try_alloc(s->n, sizeof *g->to);
    if (!g->to)
        return sending_no_memory(e);
    for (size_t i = 0; i < s->n; i++) {
        enum err rc = check_recipient(s, i, e);
        if (rc)
            return rc;
        if (!sending_carries_data(&s->to[i]))
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

bool sending_is_named(const struct sending *g, const struct outpoint *at)
{
    return g->named &&
           bsearch(at, g->named, g->s->n_coins, sizeof *g->named, outpoint_order) != NULL;
}

static bool see_coin(void *ctx, const struct history_coin *c)
{
    struct sending *g = (struct sending *)ctx;
    if (sending_is_named(g, &c->at))
        return true;
    g->nomem = !add_coin(g, c, use_of(c));
    return !g->nomem;
}

enum err sending_list_coins(struct sending *g, struct error *e)
{
    const struct history_filter filter = { .min_conf = g->s->min_conf, .max_conf = INT32_MAX,
                                           .locked = true, .immature = true };
    enum err rc = history_unspent(g->w->history, &filter, see_coin, g, e);
    return !rc && g->nomem ? sending_no_memory(e) : rc;
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
    return add_coin(g, &c, SELECT_MUST) ? OK : sending_no_memory(e);
}

enum err sending_list_named_coins(struct sending *g, struct error *e)
{
    enum err rc = OK;
    for (size_t i = 0; !rc && i < g->s->n_coins; i++)
        rc = add_named_coin(g, &g->s->coins[i], e);
    return rc;
}

enum err sending_sort_named(struct sending *g, struct error *e)
{
    const size_t n = g->s->n_coins;
    if (!n)
        return OK;
    g->named = (struct outpoint *)try_alloc(n, sizeof *g->named);
    if (!g->named)
        return sending_no_memory(e);
    memcpy(g->named, g->s->coins, n * sizeof *g->named);
    qsort(g->named, n, sizeof *g->named, outpoint_order);
    for (size_t i = 1; i < n; i++)
        if (outpoint_equal(&g->named[i - 1], &g->named[i]))
            return error_set(e, ERR_RANGE, "a coin is spent twice");
    return OK;
}

enum err sending_add_extra(struct sending *g, struct error *e)
{
    const struct wallet_extra *x = g->s->extra;
    if (!x)
        return OK;
    if (!has_room(g))
        return sending_no_memory(e);
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
    return sending_no_memory(e);
}

enum err sending_choose(struct sending *g, struct error *e)
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
        .must_alone = s->coins != NULL && !g->funds && !s->and_more,
        .max_size = s->max_size,
    };
    for (size_t i = 0; i < s->n; i++)
        r.outputs_size += txbuild_output_size(s->to[i].script.len);
    select_coins(&r, &g->chosen);
    if (s->too_large)
        *s->too_large = g->chosen.status == SELECT_TOO_LARGE;
    return explain(g, e);
}
