/* Labels of addresses, under the names that accounts have in the reference. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/address.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "chain/chain.h"
#include "rpc/wallet_call.h"
#include "script/template.h"

/* --- parameters ----------------------------------------------------------------------------- */

static struct span account_of(const struct rpc_call *call, size_t i)
{
    const char *text = rpc_text(call, i, "");
    return span_of(text, strlen(text));
}

/* --- getaccount, setaccount ----------------------------------------------------------------- */

static struct rpc_result get_account(struct rpc_call *call, struct wallet *w)
{
    struct buf script, label;
    struct error e = { .code = OK };
    bool found;
    enum err rc = OK;
    buf_init(&script);
    buf_init(&label);
    const bool good = rpc_wallet_address(call, rpc_text(call, 0, ""), &script);
    if (good)
        rc = keystore_get_label(wallet_keystore(w), buf_span(&script), &label, &found, &e);
    if (good && !rc)
        jw_text_n(call->out, (const char *)label.data, label.len);
    buf_clear(&script);
    buf_clear(&label);
    if (!good)
        return rpc_failed(call);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_getaccount(struct rpc_call *call)
{
    return rpc_with_wallet(call, get_account);
}

static struct rpc_result label_own(struct rpc_call *call, struct wallet *w, struct span script)
{
    struct wallet_key key;
    struct error e = { .code = OK };
    if (!wallet_find_key(w, script, &key))
        return rpc_fail(call, RPC_MISC_ERROR, "setaccount can only be used with own address");
    if (keystore_set_label(wallet_keystore(w), script, account_of(call, 1), &e))
        return rpc_wallet_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result set_account(struct rpc_call *call, struct wallet *w)
{
    struct rpc_result r = { RPC_FAILED };
    struct buf script;
    buf_init(&script);
    if (rpc_wallet_one_account(call, 1) && rpc_wallet_address(call, rpc_text(call, 0, ""), &script))
        r = label_own(call, w, buf_span(&script));
    buf_clear(&script);
    return r;
}

static struct rpc_result cmd_setaccount(struct rpc_call *call)
{
    return rpc_with_wallet(call, set_account);
}

/* --- addresses of a label ------------------------------------------------------------------- */

/* Addresses of the wallet that are no change, with their labels. */
struct walk {
    struct rpc_call *call;
    struct wallet *w;
    struct buf label; /* of the address */
    enum err (*fn)(struct walk *walk, const struct wallet_key *k, struct span script);
    struct wallet_key last; /* that was derived */
    bool any;
    struct sums *sums;
};

static enum err walk_one(void *ctx, const struct wallet_key *k, struct span script,
                         struct error *e)
{
    struct walk *walk = (struct walk *)ctx;
    bool found;
    if (k->derived && k->branch == KEYSTORE_CHANGE)
        return OK;
    buf_reset(&walk->label);
    const enum err rc = keystore_get_label(wallet_keystore(walk->w), script, &walk->label, &found,
                                           e);
    return rc ? rc : walk->fn(walk, k, script);
}

static enum err walk_addresses(struct walk *walk, struct error *e)
{
    buf_init(&walk->label);
    const enum err rc = wallet_each(walk->w, walk_one, walk, e);
    buf_clear(&walk->label);
    return rc;
}

static bool has_account(const struct walk *walk)
{
    const struct span want = account_of(walk->call, 0);
    return walk->label.len == want.len && mem_equal_var(walk->label.data, want.data, want.len);
}

static enum err put_if_account(struct walk *walk, const struct wallet_key *k, struct span script)
{
    char text[ADDRESS_TEXT_MAX];
    (void)k;
    const char *address = rpc_script_address(walk->call, script, text);
    if (address && has_account(walk))
        jw_text(walk->call->out, address);
    return OK;
}

static struct rpc_result list_addresses(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct walk walk = { .call = call, .w = w, .fn = put_if_account };
    struct rpc_held held;
    if (!rpc_wallet_one_account(call, 0))
        return rpc_failed(call);
    rpc_hold(call, &held);
    jw_array_open(call->out);
    enum err rc = walk_addresses(&walk, &e);
    jw_array_close(call->out);
    rc = rpc_release(call, &held, rc, &e);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_getaddressesbyaccount(struct rpc_call *call)
{
    return rpc_with_wallet(call, list_addresses);
}

/* --- getaccountaddress ---------------------------------------------------------------------- */

static enum err keep_last(struct walk *walk, const struct wallet_key *k, struct span script)
{
    (void)script;
    if (k->derived && has_account(walk)) {
        walk->last = *k;
        walk->any = true;
    }
    return OK;
}

struct search {
    struct span script;
    bool found;
};

static bool search_outputs(void *ctx, const struct history_tx *t)
{
    struct search *s = (struct search *)ctx;
    for (size_t i = 0; i < t->tx->n_out && !s->found; i++) {
        const struct span script = t->tx->out[i].script;
        s->found = script.len == s->script.len &&
                   mem_equal_var(script.data, s->script.data, script.len);
    }
    return !s->found;
}

/* The last key with the label unless it was paid already: then the next key of the wallet. */
static enum err current_key(struct walk *walk, struct wallet_key *out, struct error *e)
{
    uint8_t script[SCRIPT_P2PKH_SIZE];
    struct search s = { .script = span_of(script, sizeof script), .found = true };
    enum err rc = walk_addresses(walk, e);
    if (!rc && walk->any) {
        *out = walk->last;
        s.found = false;
        script_make_for_key(script, span_of(out->key, out->key_len));
        rc = history_list(wallet_history(walk->w), 0, search_outputs, &s, e);
    }
    return rc || !s.found ? rc : wallet_new_key(walk->w, KEYSTORE_RECEIVE,
                                                account_of(walk->call, 0), out, e);
}

static struct rpc_result account_address(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct walk walk = { .call = call, .w = w, .fn = keep_last };
    struct wallet_key k;
    if (!rpc_wallet_one_account(call, 0))
        return rpc_failed(call);
    wallet_lock(w);
    const enum err rc = current_key(&walk, &k, &e);
    wallet_unlock(w);
    if (rc)
        return rpc_wallet_fail(call, &e);
    rpc_wallet_write_address(call, &k);
    return rpc_done();
}

static struct rpc_result cmd_getaccountaddress(struct rpc_call *call)
{
    return rpc_with_wallet(call, account_address);
}

/* --- listaccounts --------------------------------------------------------------------------- */

/* What came in to addresses with a label; what went out is taken from the empty one, which is what
 * the reference does with all that was not sent from an account by name. */
struct sums {
    struct wallet *w;
    struct json_object *by_label; /* satoshis */
    struct buf label;
    int64_t min_conf;
    bool watched;
    enum err rc;
    struct error *e;
};

/* The label is text with a NUL. */
static void add_sum(struct sums *s, const char *label, int64_t value)
{
    struct json_object *sum;
    if (json_object_object_get_ex(s->by_label, label, &sum))
        json_object_int_inc(sum, value);
    else
        json_object_object_add(s->by_label, label, json_object_new_int64(value));
}

static enum err add_labelled(struct sums *s, struct span script, int64_t value)
{
    bool found;
    buf_reset(&s->label);
    const enum err rc = keystore_get_label(wallet_keystore(s->w), script, &s->label, &found, s->e);
    if (rc)
        return rc;
    buf_put_u8(&s->label, 0);
    add_sum(s, (const char *)s->label.data, value);
    return OK;
}

static bool counts(const struct sums *s, const struct wallet_key *k)
{
    return k->spendable || s->watched;
}

/* What a transaction spends of ours. */
static enum err sum_spent(const struct sums *s, const struct tx *tx, int64_t *spent)
{
    struct history_coin coin;
    struct wallet_key k;
    bool found;
    *spent = 0;
    for (size_t i = 0; i < tx->n_in; i++) {
        const enum err rc = history_get_coin(wallet_history(s->w), &tx->in[i].prevout, &coin,
                                             &found, s->e);
        if (rc)
            return rc;
        if (found && wallet_find_key(s->w, coin.script, &k) && counts(s, &k))
            *spent += coin.value;
    }
    return OK;
}

static enum err add_tx(struct sums *s, const struct history_tx *t)
{
    int64_t spent = 0;
    struct wallet_key k;
    enum err rc = t->from_us ? sum_spent(s, t->tx, &spent) : OK;
    int64_t sent = spent;
    for (size_t i = 0; !rc && i < t->tx->n_out; i++) {
        const struct tx_out *o = &t->tx->out[i];
        if (!wallet_find_key(s->w, o->script, &k) || !counts(s, &k))
            continue;
        if (spent > 0 && k.derived && k.branch == KEYSTORE_CHANGE)
            sent -= o->value;
        else if (t->confirmations >= s->min_conf)
            rc = add_labelled(s, o->script, o->value);
    }
    if (sent)
        add_sum(s, "", -sent);
    return rc;
}

static bool sum_tx(void *ctx, const struct history_tx *t)
{
    struct sums *s = (struct sums *)ctx;
    if (t->confirmations < 0 || t->abandoned ||
        (t->coinbase && t->confirmations <= COINBASE_MATURITY_BLOCKS))
        return true;
    s->rc = add_tx(s, t);
    return !s->rc;
}

/* Every label there is, with whatever came in. */
static enum err add_nothing(struct walk *walk, const struct wallet_key *k, struct span script)
{
    (void)script;
    if (!counts(walk->sums, k))
        return OK;
    buf_put_u8(&walk->label, 0);
    add_sum(walk->sums, (const char *)walk->label.data, 0);
    return OK;
}

static void put_sums(struct json_writer *out, struct json_object *by_label)
{
    jw_object_open(out);
    json_object_object_foreach(by_label, label, sum)
        jw_put_amount(out, label, json_object_get_int64(sum));
    jw_object_close(out);
}

static struct rpc_result list_accounts(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct sums s = { .w = w, .min_conf = rpc_int(call, 0, 1), .watched = rpc_bool(call, 1, false),
                      .e = &e, .by_label = json_object_new_object() };
    struct walk walk = { .call = call, .w = w, .fn = add_nothing, .sums = &s };
    buf_init(&s.label);
    add_sum(&s, "", 0);
    wallet_lock(w);
    enum err rc = walk_addresses(&walk, &e);
    if (!rc)
        rc = history_list(wallet_history(w), 0, sum_tx, &s, &e);
    wallet_unlock(w);
    rc = rc ? rc : s.rc;
    if (!rc)
        put_sums(call->out, s.by_label);
    buf_clear(&s.label);
    json_object_put(s.by_label);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_listaccounts(struct rpc_call *call)
{
    return rpc_with_wallet(call, list_accounts);
}

#define LABEL_HELP "The label, \"\" for addresses without one"

static const struct rpc_command rows[] = {
    { .name = "getaccount",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getaccount,
      .help = "The label of an address.",
      .result = "\"account\"",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The address" } } },
    { .name = "setaccount",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_setaccount,
      .help = "Labels an address of the wallet.",
      .result = "null",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX \"rent\"",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "An address of the wallet" },
                  { "account|label", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "The label; without it the address loses the one it has" } } },
    { .name = "getaddressesbyaccount",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getaddressesbyaccount,
      .help = "Addresses of the wallet with a label.",
      .result = "[\"address\", ...]",
      .example = "\"rent\"",
      .params = { { "account|label", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, LABEL_HELP } } },
    { .name = "getaccountaddress",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getaccountaddress,
      .help = "An address with a label that nobody has paid to yet.",
      .result = "\"address\"",
      .example = "\"rent\"",
      .params = { { "account|label", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, LABEL_HELP } } },
    { .name = "listaccounts",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listaccounts,
      .help = "Labels, with the amount that came in to the addresses of each. All that was sent is "
              "taken from \"\", which can become negative.",
      .result = "{\"account\": amount, ...}",
      .example = "6",
      .params = { RPC_WALLET_MIN_CONF("Confirmations of what came in (default 1)"),
                  RPC_WALLET_WATCHED("Watched addresses too (default false)") } },
};
const struct rpc_group rpc_wallet_labels_commands = { rows, COUNT_OF(rows) };
