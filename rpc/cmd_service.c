/* exposeservice, unexposeservice, listservices: what contacts may use of this machine. */
#include <config.h>

#include "rpc/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/kept_forwards.h"
#include "p2p/chan_relay.h"
#include "p2p/services.h"
#include "rpc/channel_call.h"
#include "rpc/params.h"

#define EVERYBODY "*"

/* --- exposeservice, unexposeservice --------------------------------------------------------- */

/* What the channel thread does for a command. */
struct service_work {
    struct channels_request r;
    struct services *services;
    const char *name, *target;
    struct json_object *contacts; /* of allow; NULL: nobody */
    struct bill_price price;
    uint64_t credit;
};

/* The ids of the contacts, heap. False: r is answered. */
static bool find_allowed(struct channels *c, struct service_work *work, struct service_wish *wish,
                         uint64_t *ids)
{
    const size_t n = work->contacts ? json_object_array_length(work->contacts) : 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_object_get_string(json_object_array_get_idx(work->contacts, i));
        if (strcmp(text, EVERYBODY) == 0) {
            wish->everybody = true;
            continue;
        }
        const struct contact *contact = rpc_channel_contact(c, &work->r, text);
        if (!contact)
            return false;
        ids[wish->n_allowed++] = contact->id;
    }
    return true;
}

static void begin_expose(struct channels *c, struct channels_request *r)
{
    struct service_work *work = (struct service_work *)r;
    uint64_t ids[SERVICE_ALLOW_MAX];
    struct service_wish wish = { .name = work->name, .target = work->target, .allowed = ids,
                                 .price = work->price, .credit = work->credit };
    struct error e = { .code = OK };
    if (!find_allowed(c, work, &wish, ids))
        return;
    void *answer = rpc_channel_answer_ctx(c, r);
    const enum err rc = services_expose(work->services, &wish, rpc_channel_answer, answer, &e);
    if (rc)
        rpc_channel_answer(answer, rc, &e);
}

static void begin_unexpose(struct channels *c, struct channels_request *r)
{
    struct service_work *work = (struct service_work *)r;
    struct error e = { .code = OK };
    void *answer = rpc_channel_answer_ctx(c, r);
    const enum err rc =
        services_unexpose(work->services, work->name, rpc_channel_answer, answer, &e);
    if (rc)
        rpc_channel_answer(answer, rc, &e);
}

/* Nobody more than may be allowed, and texts alone. */
static bool check_allow(struct rpc_call *call, struct json_object *allow)
{
    const size_t n = allow ? json_object_array_length(allow) : 0;
    bool good = n <= SERVICE_ALLOW_MAX;
    for (size_t i = 0; i < n && good; i++)
        good = json_object_is_type(json_object_array_get_idx(allow, i), json_type_string);
    if (!good)
        rpc_fail(call, RPC_INVALID_PARAMETER, "allow: at most %d aliases or keys of contacts",
                 SERVICE_ALLOW_MAX);
    return good;
}

static struct rpc_result change(struct rpc_call *call, struct service_work *work,
                                void (*begin)(struct channels *c, struct channels_request *r))
{
    struct channels *c = rpc_channels(call);
    if (!c)
        return rpc_failed(call);
    work->services = call->env->services;
    work->name = rpc_text(call, 0, "");
    if (!rpc_channel_ask(call, c, begin, &work->r))
        return rpc_failed(call);
    jw_null(call->out);
    return rpc_done();
}

/* The credit is one unit, when nothing else is said. */
static bool read_price(struct rpc_call *call, struct service_work *work)
{
    if (!rpc_up_to(call, 3, BILL_PRICE_MAX, &work->price.per_mib) ||
        !rpc_up_to(call, 4, BILL_PRICE_MAX, &work->price.per_minute) ||
        !rpc_up_to(call, 5, BILL_PRICE_MAX, &work->credit))
        return false;
    if (!rpc_has(call, 5))
        work->credit = MIN_OF(work->price.per_mib + work->price.per_minute, BILL_PRICE_MAX);
    return true;
}

static struct rpc_result cmd_exposeservice(struct rpc_call *call)
{
    struct service_work work = { .target = rpc_text(call, 1, ""), .contacts = call->argv[2] };
    return check_allow(call, work.contacts) && read_price(call, &work)
               ? change(call, &work, begin_expose)
               : rpc_failed(call);
}

static struct rpc_result cmd_unexposeservice(struct rpc_call *call)
{
    struct service_work work = { .target = NULL };
    return change(call, &work, begin_unexpose);
}

/* --- listservices --------------------------------------------------------------------------- */

/* Written on the channel thread: all of it is small and bounded. */
struct listing {
    struct json_writer *w;
    struct channels *c;
    const struct services *services;
    const struct forwards *forwards;
    const struct kept_forwards *kept;
    const struct chan_relay *relay; /* NULL: none */
};

static void put_contact(struct listing *l, uint64_t id)
{
    const struct contact *contact = contacts_by_id(channels_contacts(l->c), id);
    if (contact)
        jw_text(l->w, contact->alias);
}

struct sums {
    struct listing *l;
    uint64_t earned, owed;
};

static void put_account(const struct service_account *a, void *ctx)
{
    struct sums *sums = ctx;
    const struct bill *bill = &a->meter.spending.bill;
    struct json_writer *w = sums->l->w;
    jw_object_open(w);
    jw_key(w, "contact");
    put_contact(sums->l, a->contact);
    jw_put_u64(w, "charged", bill->charged);
    jw_put_u64(w, "paid", bill->paid);
    jw_put_u64(w, "owed", bill_owed(bill));
    jw_put_bool(w, "waiting", stream_meter_is_over(&a->meter));
    jw_object_close(w);
    sums->earned += bill->paid;
    sums->owed += bill_owed(bill);
}

static void put_price(struct listing *l, const struct service *v)
{
    struct sums sums = { .l = l };
    const struct stream_payments *pay = services_streams(l->services)->payments;
    const char *trouble = pay ? pay->trouble(pay->ctx) : "payment channels are off";
    if (bill_price_is_zero(&v->price))
        return;
    jw_put_u64(l->w, "price_per_mib", v->price.per_mib);
    jw_put_u64(l->w, "price_per_minute", v->price.per_minute);
    jw_put_u64(l->w, "credit", v->credit);
    jw_key(l->w, "accounts");
    jw_array_open(l->w);
    service_bills_each(services_bills(l->services), v->name, put_account, &sums);
    jw_array_close(l->w);
    jw_put_u64(l->w, "earned", sums.earned);
    jw_put_u64(l->w, "owed", sums.owed);
    if (trouble)
        jw_put_text(l->w, "trouble", trouble);
}

static void put_service(const struct service *v, void *ctx)
{
    struct listing *l = ctx;
    jw_object_open(l->w);
    jw_put_text(l->w, "name", v->name);
    jw_put_text(l->w, "target", v->target.text);
    jw_key(l->w, "allow");
    jw_array_open(l->w);
    if (v->everybody)
        jw_text(l->w, EVERYBODY);
    for (size_t i = 0; i < v->n_allowed; i++)
        put_contact(l, v->allowed[i]);
    for (size_t i = 0; i < v->n_texts; i++)
        jw_text(l->w, v->texts[i]);
    jw_array_close(l->w);
    jw_put_bool(l->w, "option", v->of_option);
    put_price(l, v);
    jw_object_close(l->w);
}

static void put_spending(struct json_writer *w, const struct forward_pay *p)
{
    const struct spending *s = &p->meter.spending;
    if (!s->max)
        return;
    jw_put_u64(w, "price_per_mib", s->bill.price.per_mib);
    jw_put_u64(w, "price_per_minute", s->bill.price.per_minute);
    jw_put_u64(w, "max_satoshis", s->max);
    jw_put_u64(w, "charged", s->bill.charged);
    jw_put_u64(w, "paid", s->bill.paid);
    if (p->trouble[0])
        jw_put_text(w, "trouble", p->trouble);
}

static void put_way(struct listing *l, uint16_t port, bool dgrams, uint64_t contact,
                    const char *service, unsigned priority)
{
    jw_put_u64(l->w, "local_port", port);
    jw_put_text(l->w, "protocol", dgrams ? "udp" : "tcp");
    jw_key(l->w, "contact");
    put_contact(l, contact);
    jw_put_text(l->w, "service", service);
    jw_put_u64(l->w, "priority", priority);
}

static void put_forward(const struct forward *f, void *ctx)
{
    struct listing *l = ctx;
    jw_object_open(l->w);
    put_way(l, f->port, f->dgrams, f->contact, f->service, f->priority);
    jw_put_u64(l->w, "waiting", f->guests.n);
    jw_put_u64(l->w, "lost", f->lost);
    put_spending(l->w, &f->pay);
    jw_object_close(l->w);
}

/* One whose port was busy when the node began. */
static void put_waiting(const struct kept_forward *f, void *ctx)
{
    struct listing *l = ctx;
    jw_object_open(l->w);
    put_way(l, f->port, f->dgrams, f->contact, f->service, f->priority);
    jw_put_text(l->w, "trouble", f->trouble);
    jw_object_close(l->w);
}

static void put_stream(const struct local_stream *s, void *ctx)
{
    struct listing *l = ctx;
    const struct contact *contact = chan_peer_contact(s->peer);
    const uint64_t now = channels_now(l->c);
    jw_object_open(l->w);
    jw_put_text(l->w, "contact", contact ? contact->alias : "");
    jw_put_text(l->w, "service", s->service);
    jw_put_text(l->w, "direction", s->ours ? "out" : "in");
    jw_put_bool(l->w, "open", s->open);
    jw_put_u64(l->w, "sent", s->sent);
    jw_put_u64(l->w, "received", s->received);
    jw_put_u64(l->w, "dropped", s->dropped);
    jw_put_u64(l->w, "seconds", (now - s->since_ms) / 1000);
    jw_put_u64(l->w, "quiet_seconds", (now - s->active_ms) / 1000);
    jw_object_close(l->w);
}

static void put_party(struct listing *l, const char *name, const uint8_t *key)
{
    const struct contact *contact = contacts_by_key(channels_contacts(l->c), key, NULL);
    jw_put_text(l->w, name, contact ? contact->alias : "");
}

static void put_relayed(const struct relayed *s, void *ctx)
{
    struct listing *l = ctx;
    jw_object_open(l->w);
    put_party(l, "from", s->from);
    put_party(l, "to", s->to);
    jw_put_bool(l->w, "open", s->open);
    jw_put_u64(l->w, "bytes", s->bytes);
    jw_put_u64(l->w, "seconds", (channels_now(l->c) - s->since_ms) / 1000);
    jw_object_close(l->w);
}

static void list_all(struct channels *c, void *ctx)
{
    struct listing *l = ctx;
    l->c = c;
    jw_object_open(l->w);
    jw_key(l->w, "services");
    jw_array_open(l->w);
    services_each(l->services, put_service, l);
    jw_array_close(l->w);
    jw_key(l->w, "forwards");
    jw_array_open(l->w);
    forwards_each(l->forwards, put_forward, l);
    kept_forwards_each_waiting(l->kept, put_waiting, l);
    jw_array_close(l->w);
    jw_key(l->w, "streams");
    jw_array_open(l->w);
    local_streams_each(services_streams(l->services), put_stream, l);
    jw_array_close(l->w);
    jw_key(l->w, "relayed");
    jw_array_open(l->w);
    if (l->relay)
        chan_relay_each(l->relay, put_relayed, l);
    jw_array_close(l->w);
    jw_object_close(l->w);
}

/* Into memory of its own: the channel thread must not wait for a client. */
static struct rpc_result cmd_listservices(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    struct json_writer w;
    struct buf text;
    if (!c)
        return rpc_failed(call);
    buf_init(&text);
    jw_init(&w, &text, NULL, NULL);
    struct listing l = { .w = &w, .services = call->env->services,
                         .forwards = call->env->forwards,
                         .kept = call->env->kept_forwards, .relay = call->env->relay };
    const bool ran = channels_call(c, list_all, &l);
    if (ran)
        jw_json(call->out, (const char *)text.data, text.len);
    buf_clear(&text);
    return ran ? rpc_done() : rpc_fail(call, RPC_MISC_ERROR, "the node stops");
}

static const struct rpc_command rows[] = {
    { .name = "exposeservice",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_exposeservice,
      .help = "Lets contacts use a service of this machine over direct channels, also after a "
              "restart. The target is a port of loopback ([::1]:8080, 127.0.0.1:22), datagrams to "
              "one (udp:[::1]:5004), a socket (unix:/path), a command that is run for each stream "
              "(exec:command) or echo:. A service of this name is replaced, and streams of "
              "contacts that are not allowed any more end. With a price a contact must have a "
              "payment channel to us that is open; what its streams carry, both ways, and the time "
              "they are open are charged, and they stop while it owes more than the credit. Who "
              "may call this may thereby run commands and reach sockets as the node's user.",
      .result = "null",
      .example = "web \"[::1]:8080\" '[\"alice\"]' 100",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "1 to 64 of a-z 0-9 . _ -; not file or relay; echo only with echo:" },
                  { "target", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "What serves it" },
                  { "allow", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Aliases or keys of contacts; \"*\": every contact (default: nobody)" },
                  { "price_per_mib", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Satoshis for 1,048,576 bytes (default: 0)" },
                  { "price_per_minute", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Satoshis for a minute of each stream (default: 0)" },
                  { "credit", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Satoshis a contact may owe (default: the sum of the two)" } } },
    { .name = "unexposeservice",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_unexposeservice,
      .help = "Takes a service of exposeservice away. Its streams end.",
      .result = "null",
      .example = "web",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Its name" } } },
    { .name = "listservices",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_listservices,
      .help = "Services that are exposed, forwards to those of contacts, the streams of both, and "
              "what is relayed for contacts.",
      .result = "{services:[{name, target, allow:[alias...], option:whether it is a "
                "-channelservice; of one that has a price also price_per_mib, price_per_minute, "
                "credit, accounts:[{contact, charged, paid, owed, waiting:for a payment}...], "
                "earned, owed, trouble:why none can pay}...], forwards:[{local_port, protocol, "
                "contact, service, priority, waiting:connections, lost:datagrams; trouble:why it "
                "does not listen; of one that pays also price_per_mib, price_per_minute, "
                "max_satoshis, charged, paid, trouble:why it does not pay}...], "
                "streams:[{contact, service, direction, open, sent, received, dropped:datagrams, "
                "seconds, quiet_seconds}...], "
                "relayed:[{from, to, open, bytes, seconds}...]}",
      .example = "" },
};
const struct rpc_group rpc_service_commands = { rows, COUNT_OF(rows) };
