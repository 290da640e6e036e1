/*
 * acceptpayment: a payment between people (BRC-29) is verified, its keys are stored, and only then
 * is its transaction anybody's: it goes to the mempool, or into the wallet by its proof.
 */
#include "rpc/commands.h"

#include <json-c/json.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/json_read.h"
#include "rpc/params.h"
#include "rpc/payment_accept.h"
#include "rpc/wallet_pay.h"

/* --- what is given -------------------------------------------------------------------------- */

static bool take_output(struct rpc_call *call, struct json_object *v, struct payment *p)
{
    enum { INDEX, SUFFIX, MEMBERS };
    static const struct rpc_member members[MEMBERS] = {
        [INDEX] = { "outputIndex", RPC_INT, RPC_REQUIRED },
        [SUFFIX] = { "derivationSuffix", RPC_TEXT, RPC_REQUIRED },
    };
    struct json_object *m[MEMBERS];
    struct payment_output *o = &p->output[p->n];
    int64_t index;
    if (p->n == PAYMENT_OUTPUTS_MAX) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "A payment has at most %d outputs",
                 PAYMENT_OUTPUTS_MAX);
        return false;
    }
    if (!rpc_members(call, v, "outputs", members, MEMBERS, m) ||
        !rpc_in_range(call, "outputs", "outputIndex", m[INDEX], 0, UINT32_MAX, &index))
        return false;
    *o = (struct payment_output){ .index = (uint32_t)index, .suffix = json_get_span(m[SUFFIX]) };
    p->n++;
    return true;
}

static bool take_hex(struct rpc_call *call, struct json_object *v, struct buf *out)
{
    const struct span hex = json_get_span(v);
    size_t len;
    if (!buf_try_reserve(out, hex.len / 2 + 1)) {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the BEEF");
        return false;
    }
    if (hex_decode(out->data, hex.len / 2, (const char *)hex.data, hex.len, &len)) {
        out->len = len;
        return true;
    }
    rpc_fail(call, RPC_INVALID_PARAMETER, "tx must be hexadecimal string");
    return false;
}

static bool take_offer(struct rpc_call *call, struct payment_offer *o)
{
    enum { SENDER, PREFIX, TX, OUTPUTS, MEMBERS };
    static const struct rpc_member members[MEMBERS] = {
        [SENDER] = { "senderIdentityKey", RPC_TEXT, RPC_REQUIRED },
        [PREFIX] = { "derivationPrefix", RPC_TEXT, RPC_REQUIRED },
        [TX] = { "tx", RPC_TEXT, RPC_REQUIRED },
        [OUTPUTS] = { "outputs", RPC_ARRAY, RPC_REQUIRED },
    };
    struct json_object *m[MEMBERS];
    if (!rpc_members(call, call->argv[0], "", members, MEMBERS, m) ||
        !rpc_wallet_pubkey(call, "senderIdentityKey: no public key", json_get_span(m[SENDER]),
                           o->payment.other) ||
        !take_hex(call, m[TX], &o->raw))
        return false;
    o->payment.prefix = json_get_span(m[PREFIX]);
    const size_t n = json_object_array_length(m[OUTPUTS]);
    for (size_t i = 0; i < n; i++)
        if (!take_output(call, json_object_array_get_idx(m[OUTPUTS], i), &o->payment))
            return false;
    return true;
}

/* --- what is done with it ------------------------------------------------------------------- */

static struct rpc_result fail_accept(struct rpc_call *call, const struct error *e)
{
    if (e->code == ERR_RANGE)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Not a payment to this wallet: %s", e->text);
    return rpc_wallet_fail(call, e);
}

static void put_accepted(struct json_writer *w, const struct payment *p, const struct tx *tx)
{
    int64_t sum = 0;
    for (size_t i = 0; i < p->n; i++)
        sum += tx->out[p->output[i].index].value;
    jw_object_open(w);
    jw_put_hash(w, "txid", tx->id.b);
    jw_put_amount(w, "amount", sum);
    jw_object_close(w);
}

static struct rpc_result accept_offer(struct rpc_call *call, struct wallet *w,
                                      struct payment_offer *o)
{
    struct error e = { .code = OK };
    if (!take_offer(call, o))
        return rpc_failed(call);
    if (keystore_state(wallet_keystore(w), NULL) == KEYSTORE_LOCKED) /* before the work */
        return rpc_wallet_fail(call, &(struct error){ .code = ERR_AUTH });
    if (!payment_judge(call, o, NULL))
        return rpc_failed(call);
    if (payments_accept(w, &o->payment, &o->subject->tx, &e))
        return fail_accept(call, &e);
    if (!payment_enter(call, w, o))
        return rpc_failed(call);
    put_accepted(call->out, &o->payment, &o->subject->tx);
    return rpc_done();
}

static struct rpc_result accept_payment(struct rpc_call *call, struct wallet *w)
{
    struct payment_offer *o = payment_offer_new();
    const struct rpc_result r = accept_offer(call, w, o);
    payment_offer_free(o);
    return r;
}

static struct rpc_result cmd_acceptpayment(struct rpc_call *call)
{
    return rpc_with_wallet(call, accept_payment);
}

static const struct rpc_command rows[] = {
    { .name = "acceptpayment",
      .category = "wallet",
      .where = RPC_ON_WAITER,
      .fn = cmd_acceptpayment,
      .help = "Takes a payment to this wallet's identity key (BRC-29). The BEEF is verified as "
              "verifybeef does, each output must pay the key that follows from prefix and suffix. "
              "Keys and how they were derived are stored before the transaction goes to the "
              "mempool; they are not in the phrase, so make a backup. The same payment may be "
              "accepted again.",
      .result = "{txid, amount}",
      .example = "'{\"senderIdentityKey\":\"02...\",\"derivationPrefix\":\"...\",\"tx\":\"...\","
                 "\"outputs\":[{\"outputIndex\":0,\"derivationSuffix\":\"...\"}]}'",
      .params = { { "payment", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON, RPC_PAYMENT_HELP } } },
};
const struct rpc_group rpc_wallet_accept_commands = { rows, COUNT_OF(rows) };
