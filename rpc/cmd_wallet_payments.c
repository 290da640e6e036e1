/*
 * Payments between people (BRC-29): made for the identity key of a payee, accepted with the keys
 * that follow from ours. What is handed over is
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
#include "rpc/params.h"
#include "rpc/spv_call.h"
#include "rpc/tx_beef.h"
#include "rpc/tx_lookup.h"
#include "rpc/wallet_pay.h"
#include "wallet/payments.h"

static struct span text_of(struct json_object *v)
{
    return span_of(json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

/* False: call has failed. */
static bool take_key(struct rpc_call *call, const char *what, struct json_object *v,
                     uint8_t out[EC_PUBKEY_SIZE])
{
    const struct span hex = text_of(v);
    size_t len;
    if (hex_decode(out, EC_PUBKEY_SIZE, (const char *)hex.data, hex.len, &len) &&
        len == EC_PUBKEY_SIZE && ec_pubkey_valid(out, len))
        return true;
    rpc_fail(call, RPC_NOT_FOUND, "%s: no public key: %.100s (33 bytes in hex)", what, hex.data);
    return false;
}

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
    if (!take_key(call, "payee", call->argv[0], payee) || !take_amounts(call, &amounts))
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

/* --- acceptpayment: what is given ------------------------------------------------------------- */

struct offer {
    struct payment payment; /* borrows from the parameters */
    struct buf raw;
    struct rpc_beef beef;
};

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
    *o = (struct payment_output){ .index = (uint32_t)index, .suffix = text_of(m[SUFFIX]) };
    p->n++;
    return true;
}

static bool take_hex(struct rpc_call *call, struct json_object *v, struct buf *out)
{
    const struct span hex = text_of(v);
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

static bool take_offer(struct rpc_call *call, struct offer *o)
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
        !take_key(call, "senderIdentityKey", m[SENDER], o->payment.other) ||
        !take_hex(call, m[TX], &o->raw))
        return false;
    o->payment.prefix = text_of(m[PREFIX]);
    const size_t n = json_object_array_length(m[OUTPUTS]);
    for (size_t i = 0; i < n; i++)
        if (!take_output(call, json_object_array_get_idx(m[OUTPUTS], i), &o->payment))
            return false;
    return true;
}

/* NULL: call has failed. */
static const struct beef_tx *judged_subject(struct rpc_call *call, struct offer *o)
{
    struct error e = { .code = OK };
    const struct spv_judgement *j = &o->beef.j;
    if (rpc_judge_beef(call, buf_span(&o->raw), &o->beef, &e)) {
        rpc_fail_error(call, &e);
        return NULL;
    }
    if (j->end != SPV_VALID) {
        rpc_fail(call, RPC_VERIFY_ERROR, "The BEEF %s (%s): %s",
                 j->end == SPV_INVALID ? "is invalid" : "cannot be verified here", j->rule,
                 j->reason);
        return NULL;
    }
    const struct beef_tx *subject = beef_subject(&o->beef.beef);
    if (subject->form != BEEF_ID_ALONE)
        return subject;
    rpc_fail(call, RPC_VERIFY_ERROR, "The BEEF has no more than the id of the transaction");
    return NULL;
}

/* --- acceptpayment: what becomes of it -------------------------------------------------------- */

static bool fail_kept(struct rpc_call *call, const char *why)
{
    rpc_fail(call, RPC_REJECTED,
             "The transaction was rejected (%s). Its keys are kept: the payment can be accepted "
             "again.", why);
    return false;
}

/* It is in the mempool: the follower may have seen it before the key was there. */
static bool enter_waiting(struct rpc_call *call, struct wallet *w, const struct tx *tx)
{
    struct error e = { .code = OK };
    if (!wallet_mempool_add(w, tx, &e))
        return true;
    rpc_wallet_fail(call, &e);
    return false;
}

/* The wallet has not come to the block yet, and finds the transaction when it does. */
static bool is_to_come(struct wallet *w, int32_t height)
{
    struct block_hash hash;
    int32_t best;
    return !wallet_best(w, &hash, &best, NULL) || best < height;
}

/* Mined since the sender made the BEEF. */
static bool enter_mined(struct rpc_call *call, struct wallet *w, const struct txid *id)
{
    struct error e = { .code = OK };
    struct header_node *node;
    const enum err rc = tx_lookup_block(call, id, &node, &e);
    if (rc)
        rpc_fail_error(call, &e);
    else if (!node)
        return fail_kept(call, "it is in a block that is not known");
    return !rc && (is_to_come(w, node->height) ||
                   rpc_wallet_rescan(call, w, node->height, HISTORY_TO_BEST).end == RPC_DONE);
}

static bool enter_result(struct rpc_call *call, struct wallet *w, const struct tx_submission *s,
                         size_t n)
{
    const struct tx_result *last = &s[n - 1].result;
    for (size_t i = 0; i < n; i++)
        if (s[i].result.outcome == TX_REJECTED)
            return fail_kept(call, s[i].result.verdict.reason);
    switch (last->outcome) {
    case TX_ACCEPTED:
    case TX_KNOWN:
        return enter_waiting(call, w, s[n - 1].tx);
    case TX_CONFIRMED:
        return enter_mined(call, w, &s[n - 1].tx->id);
    case TX_NOT_JUDGED:
        return fail_kept(call, "the node is shutting down or out of memory");
    case TX_PARKED:
        return fail_kept(call, "it is not final");
    case TX_MISSING_INPUTS:
    case TX_REJECTED:
        break;
    }
    return fail_kept(call, "an output it spends is not there or was spent");
}

/* What is in no block goes to the mempool, the subject last. */
static bool submit_all(struct rpc_call *call, struct wallet *w, const struct beef *b,
                       const struct beef_tx *subject)
{
    struct error e = { .code = OK };
    struct tx_submission *s = xcalloc(b->n_txs, sizeof *s);
    size_t n = 0;
    enum err rc = OK;
    for (size_t i = 0; i < b->n_txs && !rc && &b->tx[i] <= subject; i++) {
        if (b->tx[i].form != BEEF_PLAIN)
            continue;
        struct tx *tx = tx_new(b->tx[i].tx.raw.data, b->tx[i].tx.raw.len, &e);
        rc = tx ? OK : e.code;
        if (tx)
            s[n++] = (struct tx_submission){ .tx = tx, .allow_high_fee = true };
    }
    if (!rc)
        rc = chain_submit_txs(call->env->chain, s, n, &e);
    if (rc)
        rpc_fail_error(call, &e);
    const bool good = !rc && enter_result(call, w, s, n);
    if (!rc)
        tx_submissions_clear(s, n);
    for (size_t i = 0; i < n; i++)
        tx_unref(s[i].tx);
    free(s);
    return good;
}

/* By its proof; later blocks are not looked through. */
static bool enter_proved(struct rpc_call *call, struct wallet *w, const struct rpc_beef *b,
                         const struct beef_tx *subject)
{
    const struct header_node *node = b->proof[subject->bump].node;
    const struct wallet_block block = { .hash = node->hash, .height = node->height,
                                        .time = node->time };
    struct error e = { .code = OK };
    uint64_t offset = 0;
    const bool there = bump_find(&b->beef.bump[subject->bump], &subject->tx.id, &offset);
    if (!there || offset > UINT32_MAX)
        return fail_kept(call, "its place in the block is out of range");
    const enum err rc = wallet_import_tx(w, &subject->tx, &block, (uint32_t)offset, &e);
    if (!rc || (rc == ERR_BUSY && is_to_come(w, node->height)))
        return true;
    rpc_wallet_fail(call, &e);
    return false;
}

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

static struct rpc_result accept_offer(struct rpc_call *call, struct wallet *w, struct offer *o)
{
    struct error e = { .code = OK };
    if (!take_offer(call, o))
        return rpc_failed(call);
    if (keystore_state(wallet_keystore(w), NULL) == KEYSTORE_LOCKED) /* before the work */
        return rpc_wallet_fail(call, &(struct error){ .code = ERR_AUTH });
    const struct beef_tx *subject = judged_subject(call, o);
    if (!subject)
        return rpc_failed(call);
    if (payments_accept(w, &o->payment, &subject->tx, &e))
        return fail_accept(call, &e);
    if (!(subject->form == BEEF_PROVED ? enter_proved(call, w, &o->beef, subject)
                                       : submit_all(call, w, &o->beef.beef, subject)))
        return rpc_failed(call);
    put_accepted(call->out, &o->payment, &subject->tx);
    return rpc_done();
}

static struct rpc_result accept_payment(struct rpc_call *call, struct wallet *w)
{
    struct offer *o = xcalloc(1, sizeof *o);
    buf_init(&o->raw);
    const struct rpc_result r = accept_offer(call, w, o);
    rpc_beef_clear(&o->beef);
    buf_clear(&o->raw);
    free(o);
    return r;
}

static struct rpc_result cmd_acceptpayment(struct rpc_call *call)
{
    return rpc_with_wallet(call, accept_payment);
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
    jw_array_close(call->out);
    rc = rpc_release(call, &held, rc, &e);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_listpayments(struct rpc_call *call)
{
    return rpc_with_wallet(call, list_payments);
}

#define SAMPLE_KEY "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
#define PAYMENT_HELP                                                                               \
    "{senderIdentityKey, derivationPrefix, tx: Atomic BEEF, outputs: [{outputIndex, "              \
    "derivationSuffix}, ...]}"

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
      .result = "{txid, fee, payment: " PAYMENT_HELP "}",
      .example = SAMPLE_KEY " 0.1",
      .params = { { "payee", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "Identity key of the payee in hex" },
                  { "amount|amounts", RPC_ANY, RPC_REQUIRED, RPC_CLI_JSON,
                    "An amount, or a list of at most 64 with an output each" } } },
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
      .params = { { "payment", RPC_OBJECT, RPC_REQUIRED, RPC_CLI_JSON, PAYMENT_HELP } } },
    { .name = "listpayments",
      .category = "wallet",
      .where = RPC_ON_WORKER,
      .fn = cmd_listpayments,
      .help = "Payments that were made and accepted (BRC-29), with all that is needed to derive "
              "their keys again.",
      .result = "[{category: \"send\"|\"receive\", payeeIdentityKey|senderIdentityKey, "
                "derivationPrefix, txid, outputs: [{outputIndex, derivationSuffix}, ...]}, ...]",
      .example = "" },
};
const struct rpc_group rpc_wallet_payments_commands = { rows, COUNT_OF(rows) };
