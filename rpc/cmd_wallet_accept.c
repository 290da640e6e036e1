/*
 * acceptpayment: a payment between people (BRC-29) is verified, its keys are stored, and only then
 * is its transaction anybody's: it goes to the mempool, or into the wallet by its proof.
 */
#include "rpc/commands.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/coin_query.h"
#include "rpc/json_read.h"
#include "rpc/params.h"
#include "rpc/spv_call.h"
#include "rpc/tx_lookup.h"
#include "rpc/wallet_pay.h"
#include "wallet/payments.h"

/* --- what is given -------------------------------------------------------------------------- */

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

/* --- what becomes of it --------------------------------------------------------------------- */

static struct outpoint outpoint_of(const struct payment *p, size_t i)
{
    return (struct outpoint){ .txid = p->txid, .index = p->output[i].index };
}

/* *has: the wallet has seen all outputs in a block, and what became of them since: there is nothing
 * left to do. False: call has failed. */
static bool look_into_wallet(struct rpc_call *call, struct wallet *w, const struct payment *p,
                             bool *has)
{
    struct error e = { .code = OK };
    struct history_coin coin;
    enum err rc = OK;
    *has = true;
    wallet_lock(w);
    for (size_t i = 0; i < p->n && *has; i++) {
        const struct outpoint o = outpoint_of(p, i);
        rc = history_get_coin(wallet_history(w), &o, &coin, has, &e);
        *has = !rc && *has && coin.height != HISTORY_NO_HEIGHT;
    }
    wallet_unlock(w);
    if (rc)
        rpc_wallet_fail(call, &e);
    return !rc;
}

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

/* *unspent: no block has spent any of the outputs, which are one batch. False: call has failed. */
static bool look_for_spends(struct rpc_call *call, const struct payment *p, bool *unspent)
{
    struct outpoint out[PAYMENT_OUTPUTS_MAX];
    struct coin_query *q = coin_query_new(COINS_OF_CHAIN);
    for (size_t i = 0; i < p->n; i++)
        out[i] = outpoint_of(p, i);
    const bool good = coin_query_run(q, call, out, p->n);
    *unspent = good && q->done == p->n;
    for (size_t i = 0; i < p->n; i++)
        *unspent = *unspent && q->found[i];
    coin_query_free(q);
    return good;
}

/* By its proof alone. */
static bool import_proved(struct rpc_call *call, struct wallet *w, const struct rpc_beef *b,
                          const struct beef_tx *subject)
{
    const struct header_node *node = b->proof[subject->bump].node;
    struct error e = { .code = OK };
    uint64_t offset = 0;
    const bool there = bump_find(&b->beef.bump[subject->bump], &subject->tx.id, &offset);
    if (!there || offset > UINT32_MAX)
        return fail_kept(call, "its place in the block is out of range");
    if (!rpc_wallet_import_tx(call, w, &subject->tx, node, (uint32_t)offset, &e))
        return true;
    rpc_wallet_fail(call, &e);
    return false;
}

/* Blocks after its own are looked through when something of it was spent: by this wallet as it was
 * before a backup or the phrase was restored. */
static bool enter_proved(struct rpc_call *call, struct wallet *w, const struct offer *o,
                         const struct beef_tx *subject)
{
    const int32_t height = o->beef.proof[subject->bump].node->height;
    bool unspent;
    if (is_to_come(w, height))
        return true;
    if (!look_for_spends(call, &o->payment, &unspent))
        return false;
    return unspent ? import_proved(call, w, &o->beef, subject)
                   : rpc_wallet_rescan(call, w, height, HISTORY_TO_BEST).end == RPC_DONE;
}

/* What spends it in the mempool meant nothing to the wallet when it came there. */
static bool enter_spenders(struct rpc_call *call, struct wallet *w, const struct payment *p)
{
    struct error e = { .code = OK };
    enum err rc = OK;
    for (size_t i = 0; i < p->n && !rc; i++) {
        const struct outpoint o = outpoint_of(p, i);
        struct tx *tx = mempool_get_spender(chain_mempool(call->env->chain), &o);
        if (tx)
            rc = wallet_mempool_add(w, tx, &e);
        tx_unref(tx);
    }
    if (rc)
        rpc_wallet_fail(call, &e);
    return !rc;
}

static bool enter(struct rpc_call *call, struct wallet *w, const struct offer *o,
                  const struct beef_tx *subject)
{
    return (subject->form == BEEF_PROVED ? enter_proved(call, w, o, subject)
                                         : submit_all(call, w, &o->beef.beef, subject)) &&
           enter_spenders(call, w, &o->payment);
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
    bool has;
    if (!take_offer(call, o))
        return rpc_failed(call);
    if (keystore_state(wallet_keystore(w), NULL) == KEYSTORE_LOCKED) /* before the work */
        return rpc_wallet_fail(call, &(struct error){ .code = ERR_AUTH });
    const struct beef_tx *subject = judged_subject(call, o);
    if (!subject)
        return rpc_failed(call);
    if (payments_accept(w, &o->payment, &subject->tx, &e))
        return fail_accept(call, &e);
    if (!look_into_wallet(call, w, &o->payment, &has) ||
        (!has && !enter(call, w, o, subject)))
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
