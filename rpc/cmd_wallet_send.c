/* Sending out of a wallet. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/amount.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/log.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/wallet_call.h"
#include "script/template.h"

/* --- what is wanted ------------------------------------------------------------------------- */

/* -paytxfee, but never below what the mempool takes. */
static int64_t fee_rate(const struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    const int64_t asked = MAX_OF(chain_get_policy(c)->mining_fee_per_kb,
                                 mempool_min_fee_per_kb(chain_mempool(c), clock_now()));
    return MAX_OF(asked, call->env->wallets->fee_per_kb);
}

static struct span text_span(const char *text) { return span_of(text, strlen(text)); }

/* By the rules of the next block. */
static struct wallet_send send_of(struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    struct chain_tip tip;
    chain_get_tip(c, &tip);
    return (struct wallet_send){
        .fee_per_kb = fee_rate(call),
        .max_fee = chain_get_policy(c)->max_fee,
        .height = tip.height,
        .heights = &chain_get_params(c)->heights,
    };
}

/* --- what becomes of it --------------------------------------------------------------------- */

/* It will never be in a block by us: its coins can be spent again. */
static void give_up(struct wallet *w, const struct tx *tx)
{
    struct error e = { .code = OK };
    wallet_lock(w);
    const enum err rc = history_abandon(wallet_history(w), &tx->id, &e);
    wallet_unlock(w);
    if (rc)
        log_warn("wallet \"%s\": a refused transaction was not abandoned: %s", wallet_name(w),
                 e.text);
}

static struct rpc_result answer(struct rpc_call *call, struct wallet *w, const struct tx *tx,
                                const struct tx_result *r)
{
    const char *reason = "";
    switch (r->outcome) {
    case TX_ACCEPTED:
    case TX_PARKED:
    case TX_KNOWN:
    case TX_CONFIRMED:
        jw_hash(call->out, tx->id.b);
        return rpc_done();
    case TX_NOT_JUDGED: /* it is stored, and handed over again at the next start */
        return rpc_fail(call, RPC_MISC_ERROR,
                        "the node is shutting down or out of memory; the transaction is kept");
    case TX_MISSING_INPUTS:
        reason = "Missing inputs";
        break;
    case TX_REJECTED:
        reason = r->verdict.reason;
        break;
    }
    give_up(w, tx);
    return rpc_fail(call, RPC_WALLET_ERROR,
                    "Error: The transaction was rejected! Reason given: %s", reason);
}

static struct rpc_result submit(struct rpc_call *call, struct wallet *w, struct tx *tx)
{
    struct tx_submission s = { .tx = tx, .allow_high_fee = true /* max_fee was asked for */ };
    struct error e = { .code = OK };
    const enum err rc = chain_submit_txs(call->env->chain, &s, 1, &e);
    const struct rpc_result r = rc ? rpc_wallet_fail(call, &e) : answer(call, w, tx, &s.result);
    tx_submissions_clear(&s, 1);
    return r;
}

/* --- sendtoaddress -------------------------------------------------------------------------- */

static bool take_recipient(struct rpc_call *call, struct buf *script, struct wallet_recipient *to)
{
    if (!rpc_wallet_address(call, rpc_text(call, 0, ""), script))
        return false;
    if (script->len != SCRIPT_P2PKH_SIZE) {
        rpc_fail(call, RPC_NOT_FOUND, "Invalid Bitcoin address: of a script, which no output may "
                                      "pay to since Genesis");
        return false;
    }
    *to = (struct wallet_recipient){ .script = span_of(script->data, script->len),
                                     .subtract_fee = rpc_bool(call, 4, false) };
    if (json_get_amount(call->argv[1], &to->value) && to->value > 0 && money_range(to->value))
        return true;
    rpc_fail(call, RPC_TYPE_ERROR, "Invalid amount for send");
    return false;
}

/* Too little there is an error of its own. */
static struct rpc_result fail_send(struct rpc_call *call, const struct error *e)
{
    return e->code == ERR_NOTFOUND ? rpc_fail(call, RPC_INSUFFICIENT_FUNDS, "%s", e->text)
                                   : rpc_wallet_fail(call, e);
}

static struct rpc_result send_to(struct rpc_call *call, struct wallet *w,
                                 const struct wallet_recipient *to)
{
    struct wallet_send s = send_of(call);
    struct error e = { .code = OK };
    struct tx *tx;
    int64_t fee;
    s.to = to;
    s.n = 1;
    s.note.comment = text_span(rpc_text(call, 2, ""));
    s.note.to = text_span(rpc_text(call, 3, ""));
    if (wallet_send(w, &s, &tx, &fee, &e))
        return fail_send(call, &e);
    const struct rpc_result r = submit(call, w, tx);
    tx_unref(tx);
    return r;
}

static struct rpc_result cmd_sendtoaddress(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    struct wallet_recipient to;
    struct rpc_result r;
    struct buf script;
    if (!w)
        return rpc_failed(call);
    buf_init(&script);
    if (take_recipient(call, &script, &to))
        r = send_to(call, w, &to);
    else
        r = rpc_failed(call);
    buf_clear(&script);
    wallet_unref(w);
    return r;
}

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
                  { "comment", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "What for; kept in the wallet alone" },
                  { "comment_to", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "Whose address; the same" },
                  { "subtractfeefromamount", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Who receives pays the fee (default false)" } } },
};
const struct rpc_group rpc_wallet_send_commands = { rows, COUNT_OF(rows) };
