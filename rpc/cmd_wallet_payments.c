/*
 * Payments between people (BRC-29): made for the identity key of a payee, and those that were made
 * and accepted (cmd_wallet_accept.c). What is handed over is
 *
 *   {senderIdentityKey, derivationPrefix, tx: Atomic BEEF in hex,
 *    outputs: [{outputIndex, derivationSuffix}, ...]}
 */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/amount.h"
#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/payment_json.h"
#include "rpc/tx_beef.h"
#include "rpc/wallet_pay.h"
#include "wallet/payments.h"

/* --- getidentitykey ------------------------------------------------------------------------- */

static struct rpc_result identity_key(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    uint8_t key[EC_PUBKEY_SIZE];
    if (payments_identity_key(w, key, &e))
        return rpc_wallet_fail(call, &e);
    jw_hex(call->out, key, sizeof key);
    return rpc_done();
}

static struct rpc_result cmd_getidentitykey(struct rpc_call *call)
{
    return rpc_with_wallet(call, identity_key);
}

/* --- createpayment -------------------------------------------------------------------------- */

struct amounts {
    int64_t v[PAYMENT_OUTPUTS_MAX];
    size_t n;
};

static bool add_amount(struct rpc_call *call, struct amounts *a, struct json_object *v)
{
    int64_t value;
    if (a->n == PAYMENT_OUTPUTS_MAX)
        rpc_fail(call, RPC_INVALID_PARAMETER, "A payment has at most %d outputs",
                 PAYMENT_OUTPUTS_MAX);
    else if (!json_get_amount(v, &value) || value <= 0 || !money_range(value))
        rpc_fail(call, RPC_TYPE_ERROR, "Invalid amount for send");
    else {
        a->v[a->n++] = value;
        return true;
    }
    return false;
}

static bool take_amounts(struct rpc_call *call, struct amounts *a)
{
    struct json_object *v = call->argv[1];
    if (!json_object_is_type(v, json_type_array))
        return add_amount(call, a, v);
    const size_t n = json_object_array_length(v);
    for (size_t i = 0; i < n; i++)
        if (!add_amount(call, a, json_object_array_get_idx(v, i)))
            return false;
    if (!n)
        rpc_fail(call, RPC_INVALID_PARAMETER, "A payment has an amount at least");
    return n > 0;
}

static void put_outputs(struct json_writer *w, const struct payment *p)
{
    jw_key(w, "outputs");
    jw_array_open(w);
    for (size_t i = 0; i < p->n; i++) {
        const struct span suffix = p->output[i].suffix;
        jw_object_open(w);
        jw_put_u64(w, "outputIndex", p->output[i].index);
        jw_key(w, "derivationSuffix");
        jw_text_n(w, (const char *)suffix.data, suffix.len);
        jw_object_close(w);
    }
    jw_array_close(w);
}

static void put_prefix(struct json_writer *w, const struct payment *p)
{
    jw_key(w, "derivationPrefix");
    jw_text_n(w, (const char *)p->prefix.data, p->prefix.len);
}

static void put_payment(struct json_writer *w, const struct payment_sent *s,
                        const uint8_t sender[EC_PUBKEY_SIZE], struct span beef)
{
    jw_object_open(w);
    jw_put_hash(w, "txid", s->tx->id.b);
    jw_put_amount(w, "fee", s->fee);
    jw_key(w, "payment");
    jw_object_open(w);
    jw_put_hex(w, "senderIdentityKey", sender, EC_PUBKEY_SIZE);
    put_prefix(w, &s->payment);
    jw_put_hex(w, "tx", beef.data, beef.len);
    put_outputs(w, &s->payment);
    jw_object_close(w);
    jw_object_close(w);
}

/* Appends the Atomic BEEF of the transaction; nobody takes one above the limit. */
static enum err make_beef(struct rpc_call *call, const struct txid *id, struct buf *out,
                          struct error *e)
{
    struct tx_beef b;
    bool found;
    enum err rc = tx_beef_make(call, id, BEEF_V1, &b, &found, e);
    if (!rc && !found)
        rc = error_set(e, ERR_NOTFOUND, "it is in neither the mempool nor a known block");
    if (!rc) {
        b.beef.atomic = true;
        b.beef.subject = *id;
        beef_write(out, &b.beef);
    }
    if (!rc && out->len > BEEF_BYTES_MAX)
        rc = error_set(e, ERR_RANGE, "it has more than %zu bytes until it is in a block",
                       BEEF_BYTES_MAX);
    tx_beef_clear(&b);
    return rc;
}

/* The transaction is on its way already: a failure tells how the rest is had. */
static struct rpc_result answer_payment(struct rpc_call *call, const struct payment_sent *s,
                                        const uint8_t sender[EC_PUBKEY_SIZE])
{
    struct error e = { .code = OK };
    struct buf beef;
    char id[HASH_HEX_SIZE];
    buf_init(&beef);
    const enum err rc = make_beef(call, &s->tx->id, &beef, &e);
    if (!rc)
        put_payment(call->out, s, sender, buf_span(&beef));
    buf_clear(&beef);
    return rc ? rpc_fail(call, RPC_WALLET_ERROR,
                         "The payment was sent as %s, but there is no BEEF of it now: %s. "
                         "listpayments and getbeef have what the payee needs.",
                         hash_to_hex(id, s->tx->id.b), e.text)
              : rpc_done();
}

static struct rpc_result create_payment(struct rpc_call *call, struct wallet *w)
{
    const struct wallet_send how = rpc_wallet_send(call);
    struct amounts amounts = { .n = 0 };
    struct error e = { .code = OK };
    uint8_t payee[EC_PUBKEY_SIZE], sender[EC_PUBKEY_SIZE];
    struct payment_sent s;
    struct rpc_result r;
    if (!rpc_wallet_pubkey(call, "payee: no public key", json_get_span(call->argv[0]), payee) ||
        !take_amounts(call, &amounts))
        return rpc_failed(call);
    if (payments_identity_key(w, sender, &e))
        return rpc_wallet_fail(call, &e);
    if (payments_send(w, payee, amounts.v, amounts.n, &how, &s, &e))
        r = rpc_wallet_fail_send(call, &e);
    else
        r = rpc_wallet_submit(call, w, s.tx) ? answer_payment(call, &s, sender)
                                             : rpc_failed(call);
    payment_sent_clear(&s);
    return r;
}

static struct rpc_result cmd_createpayment(struct rpc_call *call)
{
    return rpc_with_wallet(call, create_payment);
}

/* --- listpayments --------------------------------------------------------------------------- */

static enum err put_listed(void *ctx, const struct payment *p, struct error *e)
{
    struct json_writer *w = ((struct rpc_call *)ctx)->out;
    (void)e;
    jw_object_open(w);
    jw_put_text(w, "category", p->received ? "receive" : "send");
    jw_put_hex(w, p->received ? "senderIdentityKey" : "payeeIdentityKey", p->other,
               sizeof p->other);
    put_prefix(w, p);
    jw_put_hash(w, "txid", p->txid.b);
    put_outputs(w, p);
    jw_object_close(w);
    return OK;
}

static struct rpc_result list_payments(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct rpc_held held;
    rpc_hold(call, &held);
    jw_array_open(call->out);
    enum err rc = payments_each(w, put_listed, call, &e);
    if (!rc)
        rc = rpc_put_transactions(call, &e);
    jw_array_close(call->out);
    rc = rpc_release(call, &held, rc, &e);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_listpayments(struct rpc_call *call)
{
    return rpc_with_wallet(call, list_payments);
}

#define SAMPLE_KEY "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
static const struct rpc_command rows[] = {
    { .name = "getidentitykey",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_getidentitykey,
      .help = "The public key that others pay with createpayment (BRC-29): of the secret that "
              "BRC-75 makes of the wallet's phrase, so it stays the same for good. A locked wallet "
              "knows it when it was asked before.",
      .result = "\"hex\"",
      .example = "" },
    { .name = "createpayment",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_createpayment,
      .help = "Pays the holder of an identity key (BRC-29). Each output goes to a new key that "
              "none but the payee can find, and the payee only with the answer: hand over the "
              "member payment, which acceptpayment takes.",
      .result = "{txid, fee, payment: " RPC_PAYMENT_HELP "}",
      .example = SAMPLE_KEY " 0.1",
      .params = { { "payee", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Identity key of the payee in hex" },
                  { "amount|amounts", RPC_ANY, RPC_REQUIRED, RPC_CLI_JSON,
                    "An amount, or a list of at most 64 with an output each" } } },
    { .name = "listpayments",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listpayments,
      .help = "Payments of the wallet that were made and accepted (BRC-29), with all that is "
              "needed to derive their keys again; then requests and payments over direct channels "
              "(requestpayment, pay) of all wallets, their amounts in satoshis. One of these that "
              "was accepted is in both parts. state: of a request open, paid or expired, of a "
              "payment making, pending (until the payee has answered), accepted, refused (its "
              "transaction was on its way already) or taken back; of one that came accepted, "
              "settled (6 blocks deep) or lost (a double spend is in the chain).",
      .result = "[{category: \"send\"|\"receive\", payeeIdentityKey|senderIdentityKey, "
                "derivationPrefix, txid, outputs: [{outputIndex, derivationSuffix}, ...]}, ..., "
                "{category: \"request\"|\"payment\", direction: \"in\"|\"out\", id, contact, key, "
                "state, satoshis, created, ended, expires, memo, txid, request, fee, answer, "
                "derivationPrefix, outputs}, ...]",
      .example = "" },
};
const struct rpc_group rpc_wallet_payments_commands = { rows, COUNT_OF(rows) };
