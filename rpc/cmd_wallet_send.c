/* Sending out of a wallet: to one address, to many, all there is; the fee rate. */
#include "rpc/commands.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/amount.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/reader.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/output_arg.h"
#include "rpc/wallet_pay.h"
#include "script/template.h"
#include "wallet/select.h"

#define COMMENT_MAX 1024 /* each entry of listtransactions shows it */

static bool take_comment(struct rpc_call *call, size_t i, struct span *out)
{
    const char *text = rpc_text(call, i, "");
    *out = span_of(text, strlen(text));
    if (out->len > COMMENT_MAX)
        rpc_fail(call, RPC_INVALID_PARAMETER, "A comment has at most %d bytes", COMMENT_MAX);
    return out->len <= COMMENT_MAX;
}

/* --- to one address ------------------------------------------------------------------------- */

static bool pays_script_hash(struct rpc_call *call, struct span script)
{
    if (!script_is_p2sh(script))
        return false;
    rpc_fail(call, RPC_NOT_FOUND, "Invalid Bitcoin address: of a script, which no output may "
                                  "pay to since Genesis");
    return true;
}

static bool take_address(struct rpc_call *call, struct buf *script)
{
    return rpc_wallet_address(call, rpc_text(call, 0, ""), script) &&
           !pays_script_hash(call, buf_span(script));
}

static bool take_amount(struct rpc_call *call, int64_t *value)
{
    if (json_get_amount(call->argv[1], value) && *value > 0 && money_range(*value))
        return true;
    rpc_fail(call, RPC_TYPE_ERROR, "Invalid amount for send");
    return false;
}

static struct rpc_result send(struct rpc_call *call, struct wallet *w, const struct wallet_send *s)
{
    struct error e = { .code = OK };
    struct tx *tx;
    int64_t fee;
    if (wallet_send(w, s, &tx, &fee, &e))
        return rpc_wallet_fail_send(call, &e);
    const bool taken = rpc_wallet_submit(call, w, tx);
    if (taken)
        jw_hash(call->out, tx->id.b);
    tx_unref(tx);
    return taken ? rpc_done() : rpc_failed(call);
}

/* to: but its script, of the address that is parameter 0. The comments are parameters too. */
static struct rpc_result send_to_address(struct rpc_call *call, struct wallet_recipient *to,
                                         size_t comment)
{
    struct wallet *w = rpc_wallet(call);
    struct buf script;
    if (!w)
        return rpc_failed(call);
    struct wallet_send s = rpc_wallet_send(call);
    buf_init(&script);
    s.to = to;
    s.n = 1;
    const bool good = take_comment(call, comment, &s.note.comment) &&
                      take_comment(call, comment + 1, &s.note.to) && take_address(call, &script);
    to->script = buf_span(&script);
    const struct rpc_result r = good ? send(call, w, &s) : rpc_failed(call);
    buf_clear(&script);
    wallet_unref(w);
    return r;
}

static struct rpc_result cmd_sendtoaddress(struct rpc_call *call)
{
    struct wallet_recipient to = { .subtract_fee = rpc_bool(call, 4, false) };
    return take_amount(call, &to.value) ? send_to_address(call, &to, 2) : rpc_failed(call);
}

static struct rpc_result cmd_sendalltoaddress(struct rpc_call *call)
{
    struct wallet_recipient to = { .value = -1 };
    return send_to_address(call, &to, 1);
}

/* --- to many -------------------------------------------------------------------------------- */

struct many {
    struct buf raw;    /* the outputs as a transaction has them */
    struct wallet_recipient *to;
    size_t n;
};

/* Of the outputs that were written: the same rules as for one address. */
static bool read_many(struct rpc_call *call, struct many *m)
{
    struct reader r;
    reader_init(&r, m->raw.data, m->raw.len);
    m->n = read_count(&r, 9);
    m->to = try_alloc(m->n + 1, sizeof *m->to);
    if (!m->to) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the recipients");
        return false;
    }
    for (size_t i = 0; i < m->n; i++) {
        struct wallet_recipient *to = &m->to[i];
        struct tx_out out;
        tx_out_read(&r, &out);
        *to = (struct wallet_recipient){ .script = out.script, .value = out.value };
        if (pays_script_hash(call, to->script))
            return false;
        if (to->value == 0 && !script_is_unspendable(to->script, SCRIPT_ERA_GENESIS)) {
            rpc_fail(call, RPC_TYPE_ERROR, "Invalid amount for send");
            return false;
        }
    }
    return true;
}

static bool pays_fee(struct rpc_call *call, struct many *m, struct json_object *v)
{
    struct wallet_recipient *found = NULL;
    const char *text = json_object_get_string(v);
    struct buf script;
    buf_init(&script);
    bool good = rpc_wallet_address(call, text, &script);
    for (size_t i = 0; good && !found && i < m->n; i++)
        if (m->to[i].script.len == script.len &&
            mem_equal_var(m->to[i].script.data, script.data, script.len))
            found = &m->to[i];
    buf_clear(&script);
    if (good && (!found || found->subtract_fee)) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid parameter, %s address: %.100s",
                 found ? "duplicated" : "amounts do not name the", text);
        good = false;
    }
    if (good)
        found->subtract_fee = true;
    return good;
}

static bool take_fee_payers(struct rpc_call *call, struct many *m)
{
    const size_t n = rpc_has(call, 4) ? json_object_array_length(call->argv[4]) : 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(call->argv[4], i);
        if (json_object_get_type(v) != json_type_string) {
            rpc_fail(call, RPC_TYPE_ERROR, "subtractfeefrom must hold addresses");
            return false;
        }
        if (!pays_fee(call, m, v))
            return false;
    }
    return true;
}

static bool take_many(struct rpc_call *call, struct many *m)
{
    return rpc_outputs(call, call->argv[1], &m->raw) && read_many(call, m) &&
           take_fee_payers(call, m);
}

static struct rpc_result send_many(struct rpc_call *call, struct wallet *w, int32_t min_conf)
{
    struct many m = { .to = NULL };
    struct rpc_result r;
    buf_init(&m.raw);
    if (take_many(call, &m)) {
        struct wallet_send s = rpc_wallet_send(call);
        s.to = m.to;
        s.n = m.n;
        s.min_conf = min_conf > 1 ? min_conf : 0; /* own change counts as what it was made from */
        r = take_comment(call, 3, &s.note.comment) ? send(call, w, &s) : rpc_failed(call);
    } else {
        r = rpc_failed(call);
    }
    free(m.to);
    buf_clear(&m.raw);
    return r;
}

static struct rpc_result cmd_sendmany(struct rpc_call *call)
{
    int32_t min_conf;
    if (!rpc_wallet_all_accounts(call, 0) || !rpc_wallet_min_conf(call, 2, 1, &min_conf))
        return rpc_failed(call);
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    const struct rpc_result r = send_many(call, w, min_conf);
    wallet_unref(w);
    return r;
}

/* --- settxfee ------------------------------------------------------------------------------- */

static struct rpc_result cmd_settxfee(struct rpc_call *call)
{
    int64_t rate;
    if (!rpc_wallet_service(call))
        return rpc_failed(call);
    if (!json_get_amount(call->argv[0], &rate) || rate < 0 || rate > (int64_t)FEE_RATE_MAX)
        return rpc_fail(call, RPC_TYPE_ERROR, "Amount out of range: 0 to 1 a kilobyte");
    atomic_store(&call->env->wallets->fee_per_kb, rate);
    jw_bool(call->out, true);
    return rpc_done();
}

/* --- resendwallettransactions --------------------------------------------------------------- */

static struct rpc_result cmd_resendwallettransactions(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    struct error e = { .code = OK };
    struct buf ids;
    if (!w)
        return rpc_failed(call);
    const struct rpc_wallet_service *s = call->env->wallets;
    buf_init(&ids);
    const enum err rc = s->resend(s->ctx, w, &ids, &e);
    jw_array_open(call->out);
    for (size_t i = 0; i < ids.len; i += sizeof(struct txid))
        jw_hash(call->out, ids.data + i);
    jw_array_close(call->out);
    buf_clear(&ids);
    wallet_unref(w);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

#define COMMENT                                                                                  \
    { "comment", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "What for; kept in the wallet alone" }

static const struct rpc_command rows[] = {
    { .name = "sendtoaddress",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_sendtoaddress,
      .help = "Sends an amount. The transaction is stored before it leaves; when the node's own "
              "rules refuse it, it is given up.",
      .result = "\"txid\"",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX 0.1",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "To whom" },
                  { "amount", RPC_AMOUNT, RPC_REQUIRED, RPC_CLI_JSON, "How much, in BSV" },
                  COMMENT,
                  { "comment_to", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "Whose address; the same" },
                  { "subtractfeefromamount", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Who receives pays the fee (default false)" } } },
    { .name = "sendalltoaddress",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_sendalltoaddress,
      .help = "Sends all the wallet can spend, less the fee; coins that are locked or immature "
              "stay.",
      .result = "\"txid\"",
      .example = "1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "To whom" },
                  COMMENT,
                  { "comment_to", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Whose address; the same" } } },
    { .name = "sendmany",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_sendmany,
      .help = "Sends to many at once, and data with it. Otherwise as sendtoaddress.",
      .result = "\"txid\"",
      .example = "\"\" '{\"1D1ZrZNe3JUo7ZycKEYQQiQAWd9y54F4XX\":0.01,\"data\":\"6869\"}'",
      .params = { { "fromaccount", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "\"\" or \"*\"" },
                  { "amounts", RPC_ANY, RPC_REQUIRED, RPC_CLI_JSON,
                    "{\"address\":amount, ..., \"data\":\"hex\"}, or a list of such with one "
                    "member each" },
                  RPC_WALLET_MIN_CONF("Confirmations of the coins at least (default 1); own "
                                      "change counts unless it is more than 1"),
                  COMMENT,
                  { "subtractfeefrom", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "[\"address\", ...] of those that pay the fee, in equal parts" } } },
    { .name = "settxfee",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_settxfee,
      .help = "Fee rate of transactions of all wallets until the node stops, instead of -paytxfee. "
              "Less than the mempool asks is never paid.",
      .result = "true",
      .example = "0.00001",
      .params = { { "amount", RPC_AMOUNT, RPC_REQUIRED, RPC_CLI_JSON,
                    "A kilobyte; 0: what the mempool asks" } } },
    { .name = "resendwallettransactions",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_resendwallettransactions,
      .help = "Tells peers that do not know them of the wallet's unconfirmed transactions now. The "
              "node does it by itself, at the start and then at random times.",
      .result = "[\"txid\", ...] Those that the node holds, or has taken now",
      .example = "" },
};
const struct rpc_group rpc_wallet_send_commands = { rows, COUNT_OF(rows) };
