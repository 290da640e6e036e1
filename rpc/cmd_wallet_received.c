/*
 * What addresses of a wallet, or those with a label together, have received: all that was ever paid
 * to them by others or ourselves, whether it is spent or not; coinbases and change do not count.
 */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/json_read.h"
#include "rpc/wallet_call.h"
#include "script/template.h"

/* Of one address. */
struct tally {
    uint8_t script[SCRIPT_P2PKH_SIZE]; /* P2PKH, or P2SH which is shorter */
    size_t len;
    bool watch;
    int64_t amount;
    int32_t confirmations; /* of the latest payment */
    struct txid *ids;
    size_t n_ids, cap;
};

struct received {
    struct wallet *w;
    int32_t min_conf;
    bool watched, change;   /* of these too */
    struct scripts *places; /* the id of the owner is the place in v */
    struct tally *v;
    size_t n, cap;
    bool nomem;
};

/* The script by which an address is known: a key has that of its hash. False: it has no address. */
static bool address_script(struct span script, uint8_t out[SCRIPT_P2PKH_SIZE], size_t *len)
{
    struct script_match m;
    *len = SCRIPT_P2PKH_SIZE;
    script_classify(script, SCRIPT_ERA_ORIGINAL, &m);
    if (m.type == SCRIPT_TYPE_PUBKEYHASH) {
        script_make_p2pkh(out, m.data[0].data);
    } else if (m.type == SCRIPT_TYPE_PUBKEY) {
        script_make_for_key(out, m.data[0]);
    } else if (m.type == SCRIPT_TYPE_SCRIPTHASH) {
        script_make_p2sh(out, m.data[0].data);
        *len = SCRIPT_P2SH_SIZE;
    } else {
        return false;
    }
    return true;
}

/* NULL: no address, or memory is short. */
static struct tally *find_tally(struct received *r, struct span paid, bool watch)
{
    struct tally t = { .watch = watch };
    struct owner place;
    if (!address_script(paid, t.script, &t.len))
        return NULL;
    const struct span script = span_of(t.script, t.len);
    if (scripts_find(r->places, script, &place))
        return &r->v[place.id];
    place = (struct owner){ .id = (uint32_t)r->n, .kind = OWNER_WATCH };
    if (!scripts_add(r->places, script, place)) {
        r->nomem = true;
        return NULL;
    }
    if (r->n == r->cap) {
        r->cap = MAX_OF(2 * r->cap, (size_t)16);
        r->v = xrealloc(r->v, r->cap * sizeof *r->v);
    }
    r->v[r->n] = t;
    return &r->v[r->n++];
}

static void add_payment(struct tally *t, const struct history_tx *tx, int64_t value)
{
    t->amount += value;
    t->confirmations = t->n_ids ? MIN_OF(t->confirmations, tx->confirmations) : tx->confirmations;
    if (t->n_ids && txid_equal(&t->ids[t->n_ids - 1], &tx->tx->id))
        return;
    if (t->n_ids == t->cap) {
        t->cap = MAX_OF(2 * t->cap, (size_t)4);
        t->ids = xrealloc(t->ids, t->cap * sizeof *t->ids);
    }
    t->ids[t->n_ids++] = tx->tx->id;
}

static bool see_tx(void *ctx, const struct history_tx *t)
{
    struct received *r = ctx;
    if (t->coinbase || t->abandoned || t->confirmations < r->min_conf)
        return true;
    for (size_t i = 0; i < t->tx->n_out; i++) {
        const struct tx_out *o = &t->tx->out[i];
        struct owner owner;
        if (!scripts_find(wallet_scripts(r->w), o->script, &owner) ||
            (!r->change && wallet_is_change(r->w, o->script)))
            continue;
        const bool watch = owner.kind == OWNER_WATCH;
        struct tally *tally = watch && !r->watched ? NULL : find_tally(r, o->script, watch);
        if (tally)
            add_payment(tally, t, o->value);
    }
    return true;
}

static void see_address(void *ctx, struct span script, bool watch)
{
    struct received *r = ctx;
    if (!watch || r->watched)
        find_tally(r, script, watch);
}

static void received_init(struct received *r, struct wallet *w, int32_t min_conf, bool watched)
{
    *r = (struct received){ .w = w, .min_conf = min_conf, .watched = watched,
                            .places = scripts_new() };
}

/* All payments. The caller has locked the wallet. */
static enum err see_all(struct received *r, struct error *e)
{
    const enum err rc = history_list(wallet_history(r->w), 0, see_tx, r, e);
    return !rc && r->nomem ? error_set(e, ERR_NOMEM, "no memory for the addresses") : rc;
}

static void received_clear(struct received *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].ids);
    free(r->v);
    scripts_free(r->places);
}

/* --- getreceivedbyaddress ------------------------------------------------------------------- */

static struct rpc_result received_by(struct rpc_call *call, struct wallet *w, int32_t min_conf,
                                     struct span script)
{
    struct error e = { .code = OK };
    struct received r;
    struct owner owner, place;
    int64_t sum = 0;
    received_init(&r, w, min_conf, true);
    r.change = true;
    wallet_lock(w);
    const bool ours = scripts_find(wallet_scripts(w), script, &owner);
    const enum err rc = ours ? see_all(&r, &e) : OK;
    wallet_unlock(w);
    if (scripts_find(r.places, script, &place))
        sum = r.v[place.id].amount;
    received_clear(&r);
    if (!ours)
        return rpc_fail(call, RPC_WALLET_ERROR, "Address not found in wallet");
    if (rc)
        return rpc_wallet_fail(call, &e);
    jw_amount(call->out, sum);
    return rpc_done();
}

static struct rpc_result cmd_getreceivedbyaddress(struct rpc_call *call)
{
    int32_t min_conf;
    struct buf script;
    if (!rpc_wallet_min_conf(call, 1, 1, &min_conf))
        return rpc_failed(call);
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    buf_init(&script);
    const struct rpc_result r = rpc_wallet_address(call, rpc_text(call, 0, ""), &script)
                                    ? received_by(call, w, min_conf, buf_span(&script))
                                    : rpc_failed(call);
    buf_clear(&script);
    wallet_unref(w);
    return r;
}

/* --- listreceivedbyaddress ------------------------------------------------------------------ */

static void put_tally(struct rpc_call *call, struct wallet *w, const struct tally *t)
{
    struct json_writer *out = call->out;
    const struct span script = span_of(t->script, t->len);
    jw_object_open(out);
    if (t->watch)
        jw_put_bool(out, "involvesWatchonly", true);
    jw_put_address(call, script);
    jw_put_label(call, w, "account", script);
    jw_put_amount(out, "amount", t->amount);
    jw_put_i64(out, "confirmations", t->confirmations);
    jw_put_label(call, w, "label", script);
    jw_key(out, "txids");
    jw_array_open(out);
    for (size_t i = t->n_ids; i > 0; i--) /* they were found newest first */
        jw_hash(out, t->ids[i - 1].b);
    jw_array_close(out);
    jw_object_close(out);
}

static enum err list_tallies(struct rpc_call *call, struct received *r, struct error *e)
{
    (void)e;
    jw_array_open(call->out);
    for (size_t i = 0; i < r->n; i++)
        put_tally(call, r->w, &r->v[i]);
    jw_array_close(call->out);
    return OK;
}

/* One value, under the lock of the wallet. */
typedef enum err (*list_fn)(struct rpc_call *call, struct received *r, struct error *e);

static struct rpc_result list_received(struct rpc_call *call, struct wallet *w, int32_t min_conf,
                                       list_fn list)
{
    struct error e = { .code = OK };
    struct received r;
    struct rpc_held held;
    received_init(&r, w, min_conf, rpc_bool(call, 2, false));
    rpc_hold(call, &held);
    wallet_lock(w);
    if (rpc_bool(call, 1, false))
        wallet_each_address(w, see_address, &r);
    enum err rc = see_all(&r, &e);
    if (!rc)
        rc = list(call, &r, &e);
    wallet_unlock(w);
    rc = rpc_release(call, &held, rc, &e);
    received_clear(&r);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result list_with(struct rpc_call *call, list_fn list)
{
    int32_t min_conf;
    struct wallet *w = rpc_wallet_min_conf(call, 0, 1, &min_conf) ? rpc_wallet(call) : NULL;
    if (!w)
        return rpc_failed(call);
    const struct rpc_result r = list_received(call, w, min_conf, list);
    wallet_unref(w);
    return r;
}

static struct rpc_result cmd_listreceivedbyaddress(struct rpc_call *call)
{
    return list_with(call, list_tallies);
}

/* --- addresses with a label together --------------------------------------------------------- */

struct labelled {
    struct buf label;
    const struct tally *t;
};

static int by_label(const void *a, const void *b)
{
    const struct labelled *x = a, *y = b;
    const size_t n = MIN_OF(x->label.len, y->label.len);
    const int order = n ? memcmp(x->label.data, y->label.data, n) : 0;
    return order ? order : (x->label.len > y->label.len) - (x->label.len < y->label.len);
}

/* All tallies in the order of their labels, one of each place in v. */
static enum err label_all(const struct received *r, struct labelled *v, struct error *e)
{
    enum err rc = OK;
    bool found;
    for (size_t i = 0; i < r->n; i++) {
        v[i].t = &r->v[i];
        buf_init(&v[i].label);
    }
    for (size_t i = 0; i < r->n && !rc; i++)
        rc = keystore_get_label(wallet_keystore(r->w), span_of(v[i].t->script, v[i].t->len),
                                &v[i].label, &found, e);
    qsort(v, r->n, sizeof *v, by_label);
    return rc;
}

/* Of those at the beginning that have the label of the first, whose number is returned. */
static size_t add_up(const struct labelled *v, size_t n, struct tally *sum)
{
    size_t i = 0;
    *sum = (struct tally){ .amount = 0 };
    for (; i < n && by_label(&v[0], &v[i]) == 0; i++) {
        const struct tally *t = v[i].t;
        sum->amount += t->amount;
        sum->watch |= t->watch;
        if (t->n_ids)
            sum->confirmations = sum->n_ids ? MIN_OF(sum->confirmations, t->confirmations)
                                            : t->confirmations;
        sum->n_ids += t->n_ids;
    }
    return i;
}

/* fn with each label that there is, and what came in. */
static enum err each_label(struct received *r,
                           void (*fn)(void *ctx, struct span label, const struct tally *sum),
                           void *ctx, struct error *e)
{
    struct labelled *v = try_alloc(r->n + 1, sizeof *v);
    if (!v)
        return error_set(e, ERR_NOMEM, "no memory for the labels");
    const enum err rc = label_all(r, v, e);
    struct tally sum;
    for (size_t at = 0, n; !rc && at < r->n; at += n) {
        n = add_up(v + at, r->n - at, &sum);
        fn(ctx, buf_span(&v[at].label), &sum);
    }
    for (size_t i = 0; i < r->n; i++)
        buf_clear(&v[i].label);
    free(v);
    return rc;
}

struct one_label {
    struct span label;
    int64_t amount;
};

static void pick_label(void *ctx, struct span label, const struct tally *sum)
{
    struct one_label *one = ctx;
    if (label.len == one->label.len && mem_equal_var(label.data, one->label.data, label.len))
        one->amount = sum->amount;
}

static struct rpc_result received_by_account(struct rpc_call *call, struct wallet *w)
{
    struct one_label one = { .label = json_get_span(call->argv[0]) };
    struct error e = { .code = OK };
    struct received r;
    int32_t min_conf;
    if (!rpc_wallet_one_account(call, 0) || !rpc_wallet_min_conf(call, 1, 1, &min_conf))
        return rpc_failed(call);
    received_init(&r, w, min_conf, true);
    wallet_lock(w);
    enum err rc = see_all(&r, &e);
    if (!rc)
        rc = each_label(&r, pick_label, &one, &e);
    wallet_unlock(w);
    received_clear(&r);
    if (rc)
        return rpc_wallet_fail(call, &e);
    jw_amount(call->out, one.amount);
    return rpc_done();
}

static struct rpc_result cmd_getreceivedbyaccount(struct rpc_call *call)
{
    return rpc_with_wallet(call, received_by_account);
}

static void put_label(void *ctx, struct span label, const struct tally *sum)
{
    struct json_writer *out = ctx;
    jw_object_open(out);
    if (sum->watch)
        jw_put_bool(out, "involvesWatchonly", true);
    jw_key(out, "account");
    jw_text_n(out, (const char *)label.data, label.len);
    jw_put_amount(out, "amount", sum->amount);
    jw_put_i64(out, "confirmations", sum->confirmations);
    jw_key(out, "label");
    jw_text_n(out, (const char *)label.data, label.len);
    jw_object_close(out);
}

static enum err list_labels(struct rpc_call *call, struct received *r, struct error *e)
{
    jw_array_open(call->out);
    const enum err rc = each_label(r, put_label, call->out, e);
    jw_array_close(call->out);
    return rc;
}

static struct rpc_result cmd_listreceivedbyaccount(struct rpc_call *call)
{
    return list_with(call, list_labels);
}

#define MIN_CONF RPC_WALLET_MIN_CONF("Confirmations at least (default 1)")
#define LIST_PARAMS                                                                              \
    { MIN_CONF,                                                                                  \
      { "include_empty", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,                                   \
        "Those that have received nothing too (default false)" },                                \
      RPC_WALLET_WATCHED("Of watched scripts too (default false)") }

static const struct rpc_command rows[] = {
    { .name = "getreceivedbyaddress",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getreceivedbyaddress,
      .help = "What was ever paid to an address of the wallet, but for coinbases.",
      .result = "n.nnnnnnnn",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX 6",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The address" },
                  MIN_CONF } },
    { .name = "listreceivedbyaddress",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listreceivedbyaddress,
      .help = "The same for all addresses that others were given, with the transactions.",
      .result = "[{involvesWatchonly?, address, account, amount, confirmations, label, txids}]",
      .example = "6 true",
      .params = LIST_PARAMS },
    { .name = "getreceivedbyaccount",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getreceivedbyaccount,
      .help = "What was ever paid to the addresses with a label, but for coinbases and change.",
      .result = "n.nnnnnnnn",
      .example = "\"rent\" 6",
      .params = { { "account|label", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "The label, \"\" for addresses without one" },
                  MIN_CONF } },
    { .name = "listreceivedbyaccount",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listreceivedbyaccount,
      .help = "The same for all labels of addresses that others were given, in their order.",
      .result = "[{involvesWatchonly?, account, amount, confirmations, label}]",
      .example = "6 true",
      .params = LIST_PARAMS },
};
const struct rpc_group rpc_wallet_received_commands = { rows, COUNT_OF(rows) };
