/* requestpayment, and payments by a transaction over direct channels as other commands show and
 * make them (rpc/payment_call.h). */
#include <config.h>

#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/channel_call.h"
#include "rpc/later.h"
#include "rpc/payment_json.h"

#define DEFAULT_SECONDS (7 * 86400)
#define MAX_SECONDS (30 * 86400)
#define REQUEST_AT 4 /* parameter of pay */

static struct rpc_result no_service(struct rpc_call *call)
{
    return rpc_fail(call, RPC_METHOD_NOT_FOUND,
                    "this node takes no payments over direct channels (-paychannels=0)");
}

/* --- requestpayment ------------------------------------------------------------------------- */

static bool take_asking(struct rpc_call *call, struct payment_asking *in)
{
    const int64_t satoshis = rpc_int(call, 1, 0), seconds = rpc_int(call, 3, DEFAULT_SECONDS);
    *in = (struct payment_asking){ .contact = rpc_text(call, 0, ""),
                                   .satoshis = (uint64_t)satoshis,
                                   .memo = rpc_text(call, 2, "") };
    if (satoshis <= 0 || satoshis > MAX_MONEY)
        rpc_fail(call, RPC_INVALID_PARAMETER, "an amount in satoshis above 0 is wanted");
    else if (strlen(in->memo) > DCHAN_TEXT_MAX)
        rpc_fail(call, RPC_INVALID_PARAMETER, "memo: a text of at most %d bytes is wanted",
                 DCHAN_TEXT_MAX);
    else if (seconds < 1 || seconds > MAX_SECONDS)
        rpc_fail(call, RPC_INVALID_PARAMETER, "expiry: 1 to %d seconds", MAX_SECONDS);
    else {
        in->seconds = (uint32_t)seconds;
        return true;
    }
    return false;
}

static struct rpc_result cmd_requestpayment(struct rpc_call *call)
{
    struct payment_asking in;
    struct error e = { .code = OK };
    struct pay_row row;
    if (!rpc_channels(call))
        return rpc_failed(call);
    const struct rpc_payment_service *s = call->env->transactions;
    if (!s)
        return no_service(call);
    if (!take_asking(call, &in))
        return rpc_failed(call);
    if (s->request(s->ctx, &in, &row, &e))
        return rpc_channel_fail(call, &e);
    jw_object_open(call->out);
    jw_put_hex(call->out, "id", row.id, sizeof row.id);
    jw_put_u64(call->out, "satoshis", row.satoshis);
    jw_put_u64(call->out, "expires", row.expires);
    jw_object_close(call->out);
    return rpc_done();
}

/* --- pay ------------------------------------------------------------------------------------ */

struct payment_end {
    enum err rc;
    const struct pay_row *row;
    const struct error *e;
};

static struct rpc_result answer_paid(struct rpc_call *call, void *ctx)
{
    const struct payment_end *end = ctx;
    const struct pay_row *row = end->row;
    if (end->rc)
        return rpc_channel_fail(call, end->e);
    jw_object_open(call->out);
    jw_put_text(call->out, "via", "transaction");
    jw_put_hex(call->out, "id", row->id, sizeof row->id);
    jw_put_hash(call->out, "txid", row->txid.b);
    jw_put_u64(call->out, "satoshis", row->satoshis);
    jw_put_u64(call->out, "fee", row->fee);
    jw_put_text(call->out, "state", pay_state_name(row->state));
    jw_put_bool(call->out, "acknowledged", row->state == PAY_ACCEPTED);
    jw_object_close(call->out);
    return rpc_done();
}

void rpc_on_transaction(void *later, enum err rc, const struct pay_row *row, const struct error *e)
{
    struct payment_end end = { rc, row, e };
    rpc_later_end(later, answer_paid, &end);
}

/* A request names its amount: 0 stands for that. */
static bool take_request(struct rpc_call *call, struct payment_paying *in)
{
    const int64_t amount = rpc_int(call, 1, 0);
    struct buf id;
    *in = (struct payment_paying){ .contact = rpc_text(call, 0, ""),
                                   .memo = rpc_text(call, 2, ""), .has_request = true,
                                   .satoshis = (uint64_t)amount };
    buf_init(&id);
    rpc_hex(call, REQUEST_AT, &id);
    const bool good = id.len == sizeof in->request && amount >= 0;
    if (good)
        memcpy(in->request, id.data, sizeof in->request);
    else
        rpc_fail(call, RPC_INVALID_PARAMETER, "request: an id of %zu bytes in hex is wanted, and "
                 "satoshis not below 0", sizeof in->request);
    buf_clear(&id);
    return good;
}

struct rpc_result rpc_pay_request(struct rpc_call *call)
{
    const struct rpc_payment_service *s = call->env->transactions;
    struct payment_paying in;
    if (!s)
        return no_service(call);
    if (!take_request(call, &in))
        return rpc_failed(call);
    struct rpc_later *later = rpc_later_begin(call);
    if (!later)
        return rpc_fail(call, RPC_OUT_OF_MEMORY, "no memory for the answer");
    s->pay(s->ctx, &in, rpc_on_transaction, later);
    return rpc_pending();
}

/* --- listpayments --------------------------------------------------------------------------- */

static void put_part(struct json_writer *w, const char *key, const struct pay_row_text *t)
{
    jw_key(w, key);
    jw_text_n(w, (const char *)t->b, t->len);
}

static bool is_request(const struct pay_row *r)
{
    return r->kind == PAY_REQUESTED_OF_US || r->kind == PAY_REQUESTED_BY_US;
}

static void put_derivation(struct json_writer *w, const struct pay_row *r)
{
    put_part(w, "derivationPrefix", &r->prefix);
    jw_key(w, "outputs");
    jw_array_open(w);
    for (size_t i = 0; i < r->n; i++) {
        jw_object_open(w);
        jw_put_u64(w, "outputIndex", r->output[i].index);
        put_part(w, "derivationSuffix", &r->output[i].suffix);
        jw_object_close(w);
    }
    jw_array_close(w);
}

static void put_payment(struct json_writer *w, const struct pay_row *r)
{
    if (r->has_request)
        jw_put_hex(w, "request", r->request, sizeof r->request);
    if (r->kind == PAY_SENT && r->fee)
        jw_put_u64(w, "fee", r->fee);
    if (r->status)
        jw_put_text(w, "answer", pay_status_name(r->status));
    put_derivation(w, r);
}

static void put_row(struct json_writer *w, const struct pay_row *r, const char *contact)
{
    static const uint8_t none[32];
    char memo[DCHAN_TEXT_MAX + 1];
    const bool out = r->kind == PAY_REQUESTED_BY_US || r->kind == PAY_SENT;
    jw_object_open(w);
    jw_put_text(w, "category", is_request(r) ? "request" : "payment");
    jw_put_text(w, "direction", out ? "out" : "in");
    jw_put_hex(w, "id", r->id, sizeof r->id);
    if (*contact)
        jw_put_text(w, "contact", contact);
    jw_put_hex(w, "key", r->theirs, sizeof r->theirs);
    jw_put_text(w, "state", pay_state_name(r->state));
    jw_put_u64(w, "satoshis", r->satoshis);
    jw_put_i64(w, "created", r->created);
    if (r->ended)
        jw_put_i64(w, "ended", r->ended);
    if (is_request(r))
        jw_put_u64(w, "expires", r->expires);
    if (r->memo_len) {
        log_sanitize(memo, sizeof memo, r->memo, r->memo_len);
        jw_put_text(w, "memo", memo);
    }
    if (r->state != PAY_MAKING && !mem_equal_var(r->txid.b, none, sizeof none))
        jw_put_hash(w, "txid", r->txid.b);
    if (!is_request(r))
        put_payment(w, r);
    jw_object_close(w);
}

struct naming {
    uint64_t contact;
    char alias[CONTACT_ALIAS_MAX + 1];
};

static void find_name(struct channels *c, void *ctx)
{
    struct naming *n = ctx;
    const struct contact *contact = contacts_by_id(channels_contacts(c), n->contact);
    memcpy(n->alias, contact ? contact->alias : "", contact ? sizeof n->alias : 1);
}

struct listing {
    struct rpc_call *call;
    struct naming name; /* of the last row: those of one contact follow each other */
};

static enum err put_listed(void *ctx, const struct pay_row *r, struct error *e)
{
    struct listing *l = ctx;
    if (r->contact != l->name.contact) {
        l->name = (struct naming){ .contact = r->contact };
        if (r->contact && !channels_call(l->call->env->channels, find_name, &l->name))
            return error_set(e, ERR_CANCELLED, "direct channels have stopped");
    }
    put_row(l->call->out, r, l->name.alias);
    return rpc_given_up(l->call) ? error_set(e, ERR_CANCELLED, "nobody waits for the answer")
                                 : OK;
}

enum err rpc_put_transactions(struct rpc_call *call, struct error *e)
{
    struct listing l = { .call = call };
    return call->env->channels
               ? pay_rows_each(dchan_store_kv(channels_store(call->env->channels)), put_listed,
                               &l, e)
               : OK;
}

static const struct rpc_command rows[] = {
    { .name = "requestpayment",
      .category = "channels",
      .where = RPC_ON_WAITER,
      .fn = cmd_requestpayment,
      .help = "Asks a contact for a payment by a transaction. The request is sent when the contact "
              "is connected, again in each session until it is paid or has expired. What becomes "
              "of it: listpayments, and the event payment_received.",
      .result = "{id, satoshis, expires}",
      .example = "alice 5000 \"for the coffee\"",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "satoshis", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "The amount" },
                  { "memo", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "The contact sees it" },
                  { "expiry", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Seconds it is good for; default 604800, at most 2592000" } } },
};
const struct rpc_group rpc_payment_commands = { rows, COUNT_OF(rows) };
