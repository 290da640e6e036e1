/* fundrawtransaction: coins of the wallet, and change, for a transaction that was made by hand. */
#include "rpc/commands.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/rand.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/keys.h"
#include "rpc/params.h"
#include "rpc/tx_arg.h"
#include "rpc/wallet_call.h"
#include "wallet/select.h"

struct fund {
    struct rpc_call *call;
    struct tx *tx;               /* as it was given */
    struct wallet_recipient *to; /* one an output */
    struct outpoint *coins;      /* one an input */
    struct wallet_send s;
    struct buf change;           /* script of changeAddress; empty: not given */
    int64_t position;            /* of change; -1: at random */
    enum wallet_fund_lock lock;
    struct wallet_funding got;
};

/* --- what is given -------------------------------------------------------------------------- */

static bool take_tx(struct fund *f)
{
    struct error e = { .code = OK };
    struct buf raw;
    buf_init(&raw);
    const bool good = rpc_tx(f->call, 0, &raw);
    f->tx = good ? tx_new(raw.data, raw.len, &e) : NULL;
    buf_clear(&raw);
    if (good && !f->tx)
        rpc_fail_tx(f->call, &e, "TX decode failed");
    return f->tx != NULL;
}

static bool take_parts(struct fund *f)
{
    const struct tx *tx = f->tx;
    f->to = try_alloc(tx->n_out + 1, sizeof *f->to);
    f->coins = try_alloc(tx->n_in + 1, sizeof *f->coins);
    if (!f->to || !f->coins) {
        rpc_fail(f->call, RPC_OUT_OF_MEMORY, "out of memory for the transaction");
        return false;
    }
    if (!tx->n_out) {
        rpc_fail(f->call, RPC_INVALID_PARAMETER, "TX must have at least one output");
        return false;
    }
    for (size_t i = 0; i < tx->n_out; i++) {
        if (!money_range(tx->out[i].value)) {
            rpc_fail(f->call, RPC_INVALID_PARAMETER, "an output has no possible amount");
            return false;
        }
        f->to[i] = (struct wallet_recipient){ .script = tx->out[i].script,
                                              .value = tx->out[i].value };
    }
    for (size_t i = 0; i < tx->n_in; i++)
        f->coins[i] = tx->in[i].prevout;
    f->s.to = f->to;
    f->s.n = tx->n_out;
    f->s.coins = f->coins;
    f->s.n_coins = tx->n_in;
    return true;
}

static bool take_change(struct fund *f, struct json_object *address, struct json_object *position)
{
    if (address && !address_to_script(chain_get_params(f->call->env->chain),
                                      json_object_get_string(address), &f->change)) {
        rpc_fail(f->call, RPC_NOT_FOUND, "changeAddress must be a valid bitcoin address");
        return false;
    }
    f->s.change = buf_span(&f->change);
    if (!position)
        return true;
    f->position = json_object_get_int64(position);
    if (f->position >= 0 && f->position <= (int64_t)f->tx->n_out)
        return true;
    rpc_fail(f->call, RPC_INVALID_PARAMETER, "changePosition out of bounds");
    return false;
}

static bool take_rate(struct fund *f, struct json_object *v)
{
    if (!v || (json_get_amount(v, &f->s.fee_per_kb) && f->s.fee_per_kb >= 0 &&
               f->s.fee_per_kb <= (int64_t)FEE_RATE_MAX))
        return true;
    rpc_fail(f->call, RPC_TYPE_ERROR, "Amount out of range: feeRate");
    return false;
}

static bool take_fee_payer(struct fund *f, struct json_object *v)
{
    const int64_t at = json_object_get_int64(v);
    const char *why = NULL;
    if (json_object_get_type(v) != json_type_int)
        why = "no position";
    else if (at < 0)
        why = "negative position";
    else if (at >= (int64_t)f->tx->n_out)
        why = "position too large";
    else if (f->to[at].subtract_fee)
        why = "duplicated position";
    else
        f->to[at].subtract_fee = true;
    if (why)
        rpc_fail(f->call, RPC_INVALID_PARAMETER, "Invalid parameter, %s in subtractFeeFromOutputs",
                 why);
    return !why;
}

static bool take_fee_payers(struct fund *f, struct json_object *list)
{
    const size_t n = list ? json_object_array_length(list) : 0;
    for (size_t i = 0; i < n; i++)
        if (!take_fee_payer(f, json_object_array_get_idx(list, i)))
            return false;
    return true;
}

static bool take_options(struct fund *f)
{
    static const struct rpc_member members[] = {
        { "changeAddress", RPC_TEXT, RPC_OPTIONAL },
        { "changePosition", RPC_INT, RPC_OPTIONAL },
        { "includeWatching", RPC_BOOL, RPC_OPTIONAL },
        { "lockUnspents", RPC_BOOL, RPC_OPTIONAL },
        { "reserveChangeKey", RPC_BOOL, RPC_OPTIONAL },
        { "feeRate", RPC_AMOUNT, RPC_OPTIONAL },
        { "subtractFeeFromOutputs", RPC_ARRAY, RPC_OPTIONAL },
    };
    struct json_object *m[COUNT_OF(members)];
    if (!rpc_has(f->call, 1))
        return true;
    if (!rpc_members(f->call, f->call->argv[1], "", members, COUNT_OF(members), m))
        return false;
    if (m[2] && json_object_get_boolean(m[2])) {
        rpc_fail(f->call, RPC_INVALID_PARAMETER, "includeWatching: watched coins are not chosen");
        return false;
    }
    if (m[3] && json_object_get_boolean(m[3]))
        f->lock = WALLET_FUND_LOCK;
    return take_change(f, m[0], m[1]) && take_rate(f, m[5]) && take_fee_payers(f, m[6]);
}

/* --- what comes back ------------------------------------------------------------------------ */

static void put_inputs(const struct fund *f, struct tx_in *in)
{
    const struct tx *tx = f->tx;
    const uint32_t sequence = tx->lock_time ? TX_SEQUENCE_FINAL - 1 : TX_SEQUENCE_FINAL;
    for (size_t i = 0; i < tx->n_in; i++)
        in[i] = tx->in[i];
    for (size_t i = 0; i < f->got.n_added; i++)
        in[tx->n_in + i] = (struct tx_in){ .prevout = f->got.added[i], .sequence = sequence };
}

/* Returns where the change is; -1: there is none. */
static int64_t put_outputs(const struct fund *f, struct tx_out *out)
{
    const size_t n = f->tx->n_out;
    const size_t at = !f->got.change       ? n
                      : f->position >= 0 ? (size_t)f->position
                                         : (size_t)rand_below(n + 1);
    for (size_t i = 0; i < n; i++)
        out[i + (i >= at)] = (struct tx_out){ f->got.amounts[i], f->tx->out[i].script };
    if (!f->got.change)
        return -1;
    out[at] = (struct tx_out){ f->got.change, buf_span(&f->got.change_script) };
    return (int64_t)at;
}

static struct rpc_result answer(struct fund *f)
{
    struct tx made = *f->tx;
    struct json_writer *w = f->call->out;
    struct buf raw;
    made.n_in += f->got.n_added;
    made.n_out += f->got.change > 0;
    made.in = try_alloc(made.n_in + 1, sizeof *made.in);
    made.out = try_alloc(made.n_out + 1, sizeof *made.out);
    struct rpc_result r = rpc_done();
    buf_init(&raw);
    if (made.in && made.out) {
        put_inputs(f, made.in);
        const int64_t position = put_outputs(f, made.out);
        tx_write(&raw, &made);
        jw_object_open(w);
        jw_put_hex(w, "hex", raw.data, raw.len);
        jw_put_i64(w, "changepos", position);
        jw_put_amount(w, "fee", f->got.fee);
        jw_object_close(w);
    } else {
        r = rpc_fail(f->call, RPC_OUT_OF_MEMORY, "out of memory for the transaction");
    }
    buf_clear(&raw);
    free(made.in);
    free(made.out);
    return r;
}

static struct rpc_result fund(struct fund *f, struct wallet *w)
{
    struct error e = { .code = OK };
    const enum err rc = wallet_fund(w, &f->s, f->lock, &f->got, &e);
    if (rc == ERR_NOTFOUND)
        return rpc_fail(f->call, RPC_WALLET_ERROR, "%s", e.text);
    if (rc)
        return rpc_wallet_fail(f->call, &e);
    const struct rpc_result r = answer(f);
    wallet_funding_clear(&f->got);
    return r;
}

static struct rpc_result cmd_fundrawtransaction(struct rpc_call *call)
{
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    struct fund f = { .call = call, .s = rpc_wallet_send(call), .position = -1,
                      .lock = WALLET_FUND_FREE };
    buf_init(&f.change);
    const bool good = take_tx(&f) && take_parts(&f) && take_options(&f);
    const struct rpc_result r = good ? fund(&f, w) : rpc_failed(call);
    free(f.to);
    free(f.coins);
    buf_clear(&f.change);
    tx_unref(f.tx);
    wallet_unref(w);
    return r;
}

static const struct rpc_command rows[] = {
    { .name = "fundrawtransaction",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .flags = RPC_TYPES_FIRST,
      .fn = cmd_fundrawtransaction,
      .help = "Adds coins of the wallet to a transaction, and change, so that it pays its outputs "
              "and the fee. Inputs there are already stay, unsigned as they are.",
      .result = "{hex, changepos (-1: no change), fee}",
      .example = "\"hex\" '{\"changePosition\":0}'",
      .params = { { "hexstring", RPC_TX, RPC_REQUIRED, RPC_CLI_TEXT, "The transaction" },
                  { "options", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "{changeAddress, changePosition, lockUnspents, feeRate (a kilobyte), "
                    "subtractFeeFromOutputs: [positions of outputs]}" } } },
};
const struct rpc_group rpc_wallet_fund_commands = { rows, COUNT_OF(rows) };
