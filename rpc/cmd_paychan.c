/* openchannel, listpaychannels, getpaychannel, pay, closechannel: payment channels. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/channel_call.h"
#include "rpc/later.h"
#include "rpc/pay_call.h"
#include "rpc/pay_relation.h"
#include "rpc/payment_json.h"
#include "rpc/wallet_call.h"

#define ID_SIZE 32
#define DEFAULT_EXPIRY 1008
#define MAX_EXPIRY 4032
#define MAX_REF 64
#define MAX_MEMO 256

static const struct rpc_pay_service *payments(struct rpc_call *call)
{
    if (!call->env->payments)
        rpc_fail(call, RPC_METHOD_NOT_FOUND, "this node has no payment channels "
                 "(-paychannels=0, -channel=0 or -disablewallet)");
    return call->env->payments;
}

const struct rpc_pay_service *rpc_pay_service(struct rpc_call *call)
{
    return rpc_channels(call) ? payments(call) : NULL;
}

static bool read_amount(struct rpc_call *call, size_t i, uint64_t *out)
{
    const int64_t v = rpc_int(call, i, 0);
    if (v <= 0)
        rpc_fail(call, RPC_INVALID_PARAMETER, "an amount in satoshis above 0 is wanted");
    *out = (uint64_t)v;
    return v > 0;
}

static bool read_text(struct rpc_call *call, size_t i, size_t most, const char **out)
{
    *out = rpc_text(call, i, "");
    if (strlen(*out) <= most)
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "a text of at most %zu bytes is wanted", most);
    return false;
}

/* --- openchannel, pay, closechannel --------------------------------------------------------- */

static struct rpc_result cmd_openchannel(struct rpc_call *call)
{
    const struct rpc_pay_service *s = rpc_pay_service(call);
    const int64_t blocks = rpc_int(call, 2, DEFAULT_EXPIRY);
    struct pay_opening in = { .contact = rpc_text(call, 0, "") };
    struct pay_opened out;
    struct error e = { .code = OK };
    if (!s || !read_amount(call, 1, &in.capacity) || !read_text(call, 3, MAX_MEMO, &in.memo))
        return rpc_failed(call);
    if (blocks < 1 || blocks > MAX_EXPIRY)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "expiry_blocks: 1 to %d", MAX_EXPIRY);
    in.expiry_blocks = (uint32_t)blocks;
    if (s->open(s->ctx, &in, &out, &e))
        return rpc_channel_fail(call, &e);
    jw_object_open(call->out);
    jw_put_hex(call->out, "id", out.id, sizeof out.id);
    jw_put_hash(call->out, "txid", out.funding.txid.b);
    jw_put_u64(call->out, "vout", out.funding.index);
    jw_put_u64(call->out, "expiry", out.expiry);
    jw_object_close(call->out);
    return rpc_done();
}

struct payment_end {
    enum err rc;
    const struct pay_paid *paid;
    const struct error *e;
};

static struct rpc_result answer_paid(struct rpc_call *call, void *ctx)
{
    const struct payment_end *end = ctx;
    if (end->rc)
        return rpc_channel_fail(call, end->e);
    jw_object_open(call->out);
    jw_put_text(call->out, "via", "channel");
    jw_put_hex(call->out, "channel", end->paid->id, sizeof end->paid->id);
    jw_put_u64(call->out, "n", end->paid->n);
    jw_put_u64(call->out, "paid", end->paid->paid);
    jw_put_bool(call->out, "acknowledged", end->paid->acknowledged);
    jw_object_close(call->out);
    return rpc_done();
}

static void on_paid(void *ctx, enum err rc, const struct pay_paid *paid, const struct error *e)
{
    struct payment_end end = { rc, paid, e };
    rpc_later_end(ctx, answer_paid, &end);
}

/* A payment that may be made by a transaction when no channel takes it. */
struct either_way {
    struct rpc_later *later;
    const struct rpc_payment_service *transactions;
    char *contact, *ref;
    uint64_t satoshis;
};

/* That no channel takes it is certain with these errors alone. */
static void on_tried(void *ctx, enum err rc, const struct pay_paid *paid, const struct error *e)
{
    struct either_way *w = ctx;
    if (rc == ERR_NOTFOUND || rc == ERR_RANGE) {
        const struct payment_paying in = { .contact = w->contact, .satoshis = w->satoshis,
                                           .memo = w->ref };
        w->transactions->pay(w->transactions->ctx, &in, rpc_on_transaction, w->later);
    } else {
        on_paid(w->later, rc, paid, e);
    }
    free(w->contact);
    free(w->ref);
    free(w);
}

static void pay_either_way(struct rpc_call *call, const struct pay_paying *in,
                           struct rpc_later *later)
{
    const struct rpc_pay_service *s = call->env->payments;
    struct either_way *w = xcalloc(1, sizeof *w);
    *w = (struct either_way){ later, call->env->transactions, xstrdup(in->contact),
                              xstrdup(in->ref), in->amount };
    s->pay(s->ctx, in, on_tried, w);
}

/* On the HTTP thread, or one of a batch: many are under way at once, none of which has a thread.
 * There is a session, so nothing new of wallets has to be looked for. */
static struct rpc_result cmd_pay(struct rpc_call *call)
{
    const struct rpc_pay_service *s = payments(call);
    struct pay_paying in = { .contact = rpc_text(call, 0, "") };
    uint8_t channel[ID_SIZE];
    if (s && rpc_has(call, 4))
        return rpc_pay_request(call);
    if (!s || !read_amount(call, 1, &in.amount) || !read_text(call, 2, MAX_REF, &in.ref))
        return rpc_failed(call);
    if (rpc_has(call, 3) && !rpc_bytes32(call, 3, "the id of a channel", channel))
        return rpc_failed(call);
    in.channel = rpc_has(call, 3) ? channel : NULL;
    struct rpc_later *later = rpc_later_begin(call);
    if (!later)
        return rpc_fail(call, RPC_OUT_OF_MEMORY, "no memory for the answer");
    if (rpc_bool(call, 5, false) && call->env->transactions)
        pay_either_way(call, &in, later);
    else
        s->pay(s->ctx, &in, on_paid, later);
    return rpc_pending();
}

static const struct pay_channel *find_channel(const struct pay_list *l, const uint8_t id[ID_SIZE])
{
    size_t i = 0;
    while (i < l->n && !(l->v[i].has_id && memcmp(l->v[i].id, id, ID_SIZE) == 0))
        i++;
    return i < l->n ? &l->v[i] : NULL;
}

static enum err close_opposite(const struct rpc_pay_service *s, const uint8_t id[ID_SIZE],
                               struct error *e)
{
    struct pay_list l;
    enum err rc = s->list(s->ctx, &l, e);
    const struct pay_channel *c = rc ? NULL : find_channel(&l, id);
    if (c)
        rc = pay_relation_close(s, &l, c, e);
    free(l.v);
    return rc;
}

static struct rpc_result cmd_closechannel(struct rpc_call *call)
{
    const struct rpc_pay_service *s = rpc_pay_service(call);
    const int64_t rate = rpc_int(call, 1, 0);
    struct pay_closing in = { .fee_per_kb = rate > 0 ? (uint64_t)rate : 0 };
    struct error e = { .code = OK };
    if (!s || !rpc_bytes32(call, 0, "the id of a channel", in.id))
        return rpc_failed(call);
    if (rate < 0 || rate > 1000000)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "fee_rate: satoshis per kB, to 1000000");
    if (s->close(s->ctx, &in, &e) ||
        (rpc_bool(call, 2, false) && close_opposite(s, in.id, &e)))
        return rpc_channel_fail(call, &e);
    jw_null(call->out);
    return rpc_done();
}

/* --- listpaychannels, getpaychannel --------------------------------------------------------- */

static void put_funding(struct json_writer *w, const struct pay_channel *c)
{
    jw_put_text(w, "funding", c->funded);
    if (!c->has_funding)
        return;
    jw_put_hash(w, "txid", c->funding.txid.b);
    jw_put_u64(w, "vout", c->funding.index);
    if (c->funding_height)
        jw_put_u64(w, "height", c->funding_height);
    jw_put_text(w, "spend", c->spend);
    if (c->spend_height)
        jw_put_u64(w, "spend_height", c->spend_height);
    if (c->settled) {
        jw_put_u64(w, "settled_paid", c->settled_paid);
        jw_put_u64(w, "settled_fee", c->settled_fee);
    }
}

static void put_sums(struct json_writer *w, const struct pay_channel *c)
{
    jw_put_u64(w, "capacity", c->capacity);
    jw_put_u64(w, "close_fee", c->close_fee);
    jw_put_u64(w, "n", c->n);
    jw_put_u64(w, "paid", c->paid);
    jw_put_u64(w, "acknowledged", c->acknowledged);
    if (c->open && c->limit != UINT64_MAX)
        jw_put_u64(w, "limit", c->limit);
}

/* With channels the other way, too: what the two owe each other. */
static void put_relation(struct json_writer *w, const struct pay_relation *r)
{
    if (!r->channels_out || !r->channels_in)
        return;
    jw_key(w, "relation");
    jw_object_open(w);
    jw_put_u64(w, "channels_out", r->channels_out);
    jw_put_u64(w, "channels_in", r->channels_in);
    jw_put_u64(w, "paid", r->paid);
    jw_put_u64(w, "received", r->received);
    jw_put_i64(w, "net", (int64_t)(r->received - r->paid));
    jw_object_close(w);
}

static void put_channel(struct json_writer *w, const struct pay_relation *r,
                        const struct pay_channel *c)
{
    jw_object_open(w);
    if (c->has_id)
        jw_put_hex(w, "id", c->id, sizeof c->id);
    if (c->contact[0]) /* else it was removed */
        jw_put_text(w, "contact", c->contact);
    jw_put_hex(w, "key", c->key, sizeof c->key);
    jw_put_text(w, "role", c->payer ? "payer" : "payee");
    jw_put_text(w, "state", c->state);
    jw_put_bool(w, "connected", c->connected);
    jw_put_bool(w, "locked", c->locked);
    put_sums(w, c);
    jw_put_u64(w, "expiry", c->expiry);
    jw_put_u64(w, "close_margin", c->close_margin);
    jw_put_u64(w, "min_depth", c->min_depth);
    put_funding(w, c);
    put_relation(w, r);
    jw_put_i64(w, "created", c->created);
    if (c->memo[0])
        jw_put_text(w, "memo", c->memo);
    if (c->alarm[0])
        jw_put_text(w, "alarm", c->alarm);
    if (c->alarm[0])
        jw_put_text(w, "alarm_level", c->urgent ? "urgent" : "warning");
    jw_object_close(w);
}

static bool get_list(struct rpc_call *call, struct pay_list *l)
{
    const struct rpc_pay_service *s = rpc_pay_service(call);
    struct error e = { .code = OK };
    if (!s)
        return false;
    if (!s->list(s->ctx, l, &e))
        return true;
    rpc_channel_fail(call, &e);
    return false;
}

static struct rpc_result cmd_listpaychannels(struct rpc_call *call)
{
    struct pay_list l;
    if (!get_list(call, &l))
        return rpc_failed(call);
    struct pay_relation *relations = pay_relations_of(&l);
    jw_array_open(call->out);
    for (size_t i = 0; i < l.n; i++)
        put_channel(call->out, &relations[i], &l.v[i]);
    jw_array_close(call->out);
    free(relations);
    free(l.v);
    return rpc_done();
}

static struct rpc_result cmd_getpaychannel(struct rpc_call *call)
{
    uint8_t id[ID_SIZE];
    struct pay_list l;
    if (!rpc_bytes32(call, 0, "the id of a channel", id) || !get_list(call, &l))
        return rpc_failed(call);
    const struct pay_channel *c = find_channel(&l, id);
    struct pay_relation *relations = pay_relations_of(&l);
    if (c)
        put_channel(call->out, &relations[c - l.v], c);
    free(relations);
    free(l.v);
    return c ? rpc_done()
                 : rpc_fail(call, RPC_NOT_FOUND, "no such channel: listpaychannels");
}

#define CHANNEL_ID                                                          \
    {                                                                       \
        "id", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "Of listpaychannels"     \
    }
#define CHANNEL_RESULT                                                                        \
    "{id, contact, key, role, state, connected, locked, capacity, close_fee, n, paid, "      \
    "acknowledged, limit, expiry, close_margin, min_depth, funding, txid, vout, height, "    \
    "spend, spend_height, settled_paid, settled_fee, "                      \
    "relation: {channels_out, channels_in, paid, received, net}, created, memo, alarm, "    \
    "alarm_level}"

static const struct rpc_command rows[] = {
    { .name = "openchannel",
      .category = "channels",
      .where = RPC_ON_WAITER,
      .fn = cmd_openchannel,
      .help = "Opens a payment channel to a contact that is connected: locks the amount, out of "
              "which pay then pays without a transaction for each payment. The wallet of the "
              "identity that talks to the contact funds it. What was not paid comes back when the "
              "channel is closed, or after the expiry without the contact's help. Returns when the "
              "funding transaction is on its way; the contact takes payments when it is in a "
              "block.",
      .result = "{id, txid, vout, expiry}; expiry: the height from which it can be taken back",
      .example = "bob 1000000",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "satoshis", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "What is locked" },
                  { "expiry_blocks", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Blocks from now; default 1008" },
                  { "memo", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "The contact sees it" } } },
    { .name = "pay",
      .category = "channels",
      .where = RPC_ON_HTTP,
      .flags = RPC_OVERLAPS,
      .fn = cmd_pay,
      .help = "Pays a contact over an open payment channel, or, where that is allowed and no "
              "channel has enough left, by a transaction; a request is always paid by one. via of "
              "the answer says which. Returns when the contact has it on disk (acknowledged), or "
              "when the session ends before that, or nothing is answered for 30 seconds (over a "
              "channel: -paychannelwait): such a payment counts, and is sent again when the "
              "contact is there. Many may be under way at once, on connections of their own or as "
              "a batch of JSON-RPC. A transaction that the contact refuses is an error, and its "
              "coins are free again unless the text says otherwise.",
      .result = "{via: \"channel\", channel, n, paid, acknowledged}; n, paid: payments and "
                "satoshis on the channel so far; or {via: \"transaction\", id, txid, satoshis, "
                "fee, state, acknowledged}; state: as in listpayments",
      .example = "bob 1000",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "satoshis", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "The amount" },
                  { "ref", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "What it is for; the contact gets it over a channel" },
                  { "channel", RPC_HEX, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Over this one; default: the first that holds the amount" },
                  { "request", RPC_HEX, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "Id of a request of the contact (listpayments), which is paid; satoshis 0: "
                    "what it asks for" },
                  { "transaction", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "May be paid by a transaction; default false" } } },
    { .name = "closechannel",
      .category = "channels",
      .where = RPC_ON_WAITER,
      .fn = cmd_closechannel,
      .help = "Closes a payment channel. The payee publishes what was paid; a payer asks the payee "
              "to do so, again at each session until it has. Returns when that is on disk.",
      .result = "null",
      .example = "97f552069165c2370d3dc3704372e1b1898f0c8b7895c04bd25b72c3c9270c9a",
      .params = { CHANNEL_ID,
                  { "fee_rate", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Satoshis per kB, of a payer; default: what was agreed at the opening" },
                  { "opposite", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Closes those the other way with the same contact, too: what is left on both "
                    "sides is the net of both; default false" } } },
    { .name = "listpaychannels",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_listpaychannels,
      .help = "Payment channels, both ways. All amounts are satoshis. state of a payer: opening, "
              "accepted, funded, open, closing, closed, expired, refunding, refunded; of a payee: "
              "accepted, seen, open, closing, closed, abandoned (nothing was paid). alarm: what "
              "needs the user; alarm_level: urgent when the channel has to be settled now and is "
              "not, else warning. relation is there when channels go both ways between the same "
              "two: what was paid in those that are not settled yet, net is what we got more. A "
              "channel that is over is forgotten 100 blocks later.",
      .result = "[" CHANNEL_RESULT "]",
      .example = "" },
    { .name = "getpaychannel",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_getpaychannel,
      .help = "One of listpaychannels.",
      .result = CHANNEL_RESULT,
      .example = "97f552069165c2370d3dc3704372e1b1898f0c8b7895c04bd25b72c3c9270c9a",
      .params = { CHANNEL_ID } },
};
const struct rpc_group rpc_paychan_commands = { rows, COUNT_OF(rows) };
