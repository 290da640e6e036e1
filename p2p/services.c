/* A change counts when it is on disk: until then the old state serves. */
#include "p2p/services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/service_commands.h"
#include "p2p/services_internal.h"
#include "p2p/stream_bridge.h"
#include "p2p/stream_dgrams.h"
#include "p2p/stream_echo.h"

#define EVERYBODY "*"

struct services {
    struct local_streams *streams;
    struct service **v; /* by name */
    size_t n;
    struct service_commands commands;
    struct service_bills bills;
};

/* --- one service --- */

static bool is_allowed(const struct services *s, const struct service *v, struct chan_peer *p)
{
    const struct contact *contact = chan_peer_contact(p);
    struct contacts *contacts = channels_contacts(s->streams->channels);
    if (!contact)
        return false;
    bool allowed = v->everybody;
    for (size_t i = 0; i < v->n_allowed && !allowed; i++)
        allowed = v->allowed[i] == contact->id;
    for (size_t i = 0; i < v->n_texts && !allowed; i++)
        allowed = contacts_find(contacts, v->texts[i]) == contact;
    return allowed;
}

/* --- the set --- */

static size_t place_of(const struct services *s, const char *name, bool *found)
{
    size_t i = 0;
    int order = -1;
    while (i < s->n && (order = strcmp(s->v[i]->name, name)) < 0)
        i++;
    *found = i < s->n && order == 0;
    return i;
}

static struct service *find(const struct services *s, const char *name)
{
    bool found;
    const size_t i = place_of(s, name, &found);
    return found ? s->v[i] : NULL;
}

static void set_service(struct services *s, struct service *v)
{
    bool found;
    const size_t i = place_of(s, v->name, &found);
    if (found) {
        service_free(s->v[i]);
    } else {
        s->v = xrealloc(s->v, (s->n + 1) * sizeof(struct service *));
        memmove(s->v + i + 1, s->v + i, (s->n++ - i) * sizeof(struct service *));
    }
    s->v[i] = v;
    service_bills_set_price(&s->bills, v->name, &v->price, v->credit);
}

static void unset_service(struct services *s, const char *name)
{
    bool found;
    const size_t i = place_of(s, name, &found);
    if (!found)
        return;
    service_bills_set_price(&s->bills, name, &(struct bill_price){ 0, 0 }, 0);
    service_free(s->v[i]);
    memmove(s->v + i, s->v + i + 1, (--s->n - i) * sizeof(struct service *));
}

void services_each(const struct services *s, void (*fn)(const struct service *service, void *ctx),
                   void *ctx)
{
    for (size_t i = 0; i < s->n; i++)
        fn(s->v[i], ctx);
}

const struct local_streams *services_streams(const struct services *s)
{
    return s->streams;
}

/* Streams of services that are not there or not allowed any more, or that cost something now and
 * did not when they were opened: nothing counts what they carry. */
static bool is_forbidden(const struct local_stream *stream, const void *ctx)
{
    const struct services *s = ctx;
    if (stream->ours)
        return false;
    const struct service *v = find(s, stream->service);
    return !v || !is_allowed(s, v, stream->peer) ||
           (!stream->meter && !bill_price_is_zero(&v->price));
}

static void end_forbidden(struct services *s)
{
    local_streams_end(s->streams, DCHAN_RESET_CANCELLED, is_forbidden, s);
}

/* --- options --- */

/* The text up to the next comma, which *text is moved behind; NULL at the end. */
static char *next_field(const char **text)
{
    if (!*text)
        return NULL;
    const char *comma = strchr(*text, ',');
    char *field = comma ? xstrndup(*text, (size_t)(comma - *text)) : xstrdup(*text);
    *text = comma ? comma + 1 : NULL;
    return field;
}

static void add_text(struct service *v, char *text)
{
    if (strcmp(text, EVERYBODY) == 0) {
        v->everybody = true;
        free(text);
        return;
    }
    v->texts = xrealloc(v->texts, (v->n_texts + 1) * sizeof(char *));
    v->texts[v->n_texts++] = text;
}

static enum err parse_spec(struct service *v, const char *text, struct error *e)
{
    char *name = next_field(&text), *target = next_field(&text), *contact;
    enum err rc = target ? service_init(v, name, target, e)
                         : error_set(e, ERR_PARSE, "it is name,target[,contact...]");
    v->of_option = true;
    while ((contact = next_field(&text)))
        add_text(v, contact);
    if (!rc && v->n_texts > SERVICE_ALLOW_MAX)
        rc = error_set(e, ERR_RANGE, "too many contacts");
    free(name);
    free(target);
    return rc;
}

static enum err add_spec(struct services *s, const char *text, struct error *e)
{
    struct service *v = xcalloc(1, sizeof *v);
    enum err rc = parse_spec(v, text, e);
    if (!rc && find(s, v->name))
        rc = error_set(e, ERR_EXISTS, "the name is there twice");
    if (!rc && s->n >= SERVICES_MAX)
        rc = error_set(e, ERR_RANGE, "there are more than %d", SERVICES_MAX);
    if (rc) {
        service_free(v);
        return error_prefix(e, rc, "-channelservice=%.100s", text);
    }
    set_service(s, v);
    return OK;
}

/* --- disk --- */

static enum err load_one(struct services *s, struct span key, struct span value, struct error *e)
{
    struct service *v = xcalloc(1, sizeof *v);
    const enum err rc = service_read(v, key, value, e);
    if (rc || find(s, v->name)) { /* what the options say goes before */
        service_free(v);
        return rc;
    }
    set_service(s, v);
    return OK;
}

static enum err load(struct services *s, struct error *e)
{
    const uint8_t prefix = SERVICE_KEY_PREFIX;
    struct kv_iter *it = kv_iter_new(dchan_store_kv(channels_store(s->streams->channels)));
    enum err rc = OK;
    for (kv_iter_seek(it, &prefix, 1); !rc && kv_iter_valid(it); kv_iter_next(it)) {
        const struct span key = kv_iter_key(it);
        if (key.data[0] != prefix)
            break;
        rc = load_one(s, key, kv_iter_value(it), e);
    }
    if (!rc)
        rc = kv_iter_error(it, e);
    kv_iter_free(it);
    return rc;
}

/* --- changes --- */

struct change {
    struct services *s;
    struct service *service; /* NULL: it goes */
    char name[DCHAN_SERVICE_MAX + 1];
    dchan_store_fn done;
    void *ctx;
};

static void changed(void *ctx, enum err rc, const struct error *e)
{
    struct change *c = ctx;
    if (rc) {
        service_free(c->service);
    } else {
        if (c->service)
            set_service(c->s, c->service);
        else
            unset_service(c->s, c->name);
        end_forbidden(c->s);
    }
    c->done(c->ctx, rc, e);
    free(c);
}

static void commit(struct services *s, const char *name, struct service *v, dchan_store_fn done,
                   void *ctx)
{
    struct dchan_store *store = channels_store(s->streams->channels);
    struct dchan_write *w = dchan_write_new(store);
    struct change *c = xcalloc(1, sizeof *c);
    uint8_t key[SERVICE_KEY_MAX];
    const size_t len = service_key(key, name);
    *c = (struct change){ .s = s, .service = v, .done = done, .ctx = ctx };
    memcpy(c->name, name, strlen(name) + 1);
    if (v) {
        struct buf value;
        buf_init(&value);
        service_put(&value, v);
        dchan_write_put(w, key, len, value.data, value.len);
        buf_clear(&value);
    } else {
        dchan_write_delete(w, key, len);
    }
    dchan_store_commit(store, w, changed, c);
}

static enum err check_room(const struct services *s, const struct service *v, struct error *e)
{
    const struct service *old = find(s, v->name);
    if (old && old->of_option)
        return error_set(e, ERR_EXISTS, "\"%s\" is a -channelservice", v->name);
    if (!old && s->n >= SERVICES_MAX)
        return error_set(e, ERR_RANGE, "there are %d services already", SERVICES_MAX);
    return OK;
}

static enum err check_price(const struct services *s, const struct service_wish *w,
                            struct error *e)
{
    const bool free = bill_price_is_zero(&w->price);
    if (w->price.per_mib > BILL_PRICE_MAX || w->price.per_minute > BILL_PRICE_MAX ||
        w->credit > BILL_PRICE_MAX)
        return error_set(e, ERR_RANGE, "prices and credit are at most %llu satoshis",
                         (unsigned long long)BILL_PRICE_MAX);
    if (free && w->credit)
        return error_set(e, ERR_RANGE, "credit without a price");
    if (!free && !s->streams->payments)
        return error_set(e, ERR_RANGE, "a price takes payment channels, which are off "
                         "(-paychannels=0)");
    return OK;
}

enum err services_expose(struct services *s, const struct service_wish *w, dchan_store_fn done,
                         void *ctx, struct error *e)
{
    const enum err priced = check_price(s, w, e);
    if (priced)
        return priced;
    if (w->n_allowed > SERVICE_ALLOW_MAX)
        return error_set(e, ERR_RANGE, "at most %d contacts", SERVICE_ALLOW_MAX);
    struct service *v = xcalloc(1, sizeof *v);
    enum err rc = service_init(v, w->name, w->target, e);
    if (!rc)
        rc = check_room(s, v, e);
    if (rc) {
        service_free(v);
        return rc;
    }
    v->everybody = w->everybody;
    v->n_allowed = w->n_allowed;
    v->allowed = xcalloc(w->n_allowed + 1, sizeof *v->allowed);
    for (size_t i = 0; i < w->n_allowed; i++)
        v->allowed[i] = w->allowed[i];
    v->price = w->price;
    v->credit = w->credit;
    commit(s, v->name, v, done, ctx);
    return OK;
}

enum err services_unexpose(struct services *s, const char *name, dchan_store_fn done, void *ctx,
                           struct error *e)
{
    const struct service *v = find(s, name);
    if (!v)
        return error_set(e, ERR_NOTFOUND, "no service \"%.64s\" is exposed: see listservices",
                         name);
    if (v->of_option)
        return error_set(e, ERR_EXISTS, "\"%s\" is a -channelservice", v->name);
    commit(s, v->name, NULL, done, ctx);
    return OK;
}

/* --- streams --- */

static void command_ended(void *ctx, const struct stream_ends *ends, unsigned code, bool was_open)
{
    struct services *s = ctx;
    (void)was_open;
    if (ends->pid)
        service_commands_release(&s->commands, ends->pid, code != 0,
                                 channels_now(s->streams->channels));
}

/* Of what there is one contact has half, so that others find a place, whatever it does. */
static size_t half_of(size_t max) { return (max + 1) / 2; }

static bool may_run(const struct services *s, uint64_t contact)
{
    return s->commands.n < SERVICE_COMMANDS_MAX &&
           service_commands_of(&s->commands, contact) < half_of(SERVICE_COMMANDS_MAX);
}

/* Those that have left meanwhile do not count. */
static bool has_room(struct services *s, struct chan_peer *p)
{
    const uint64_t contact = chan_peer_contact(p)->id;
    if (!may_run(s, contact))
        service_commands_tick(&s->commands, channels_now(s->streams->channels));
    return may_run(s, contact);
}

static enum err open_target(struct services *s, const struct service *v, struct chan_peer *p,
                            struct stream_ends *ends, struct error *e)
{
    char peer[16 + 2 * IDENTITY_KEY_SIZE + 1], name[32 + sizeof v->name];
    char hex[2 * IDENTITY_KEY_SIZE + 1];
    if (v->target.kind == TARGET_EXEC && !has_room(s, p))
        return error_set(e, ERR_BUSY, "too many commands run");
    hex_encode(hex, chan_peer_key(p), IDENTITY_KEY_SIZE);
    snprintf(peer, sizeof peer, "BSVPEER_PEER=%s", hex);
    snprintf(name, sizeof name, "BSVPEER_SERVICE=%s", v->name);
    char *const variables[] = { peer, name, NULL };
    const enum err rc = service_target_open(&v->target, variables, ends, e);
    if (!rc && ends->pid)
        service_commands_add(&s->commands, ends->pid, chan_peer_contact(p)->id);
    return rc;
}

static void serve(struct services *s, const struct service *v, struct chan_peer *p,
                  struct dchan_mux *mux, const struct dchan_s_open *m, struct stream_meter *meter)
{
    struct stream_ends ends;
    struct error e;
    if (v->target.kind == TARGET_ECHO) {
        stream_echo_accept(s->streams, p, mux, m, meter);
        return;
    }
    const enum err rc = open_target(s, v, p, &ends, &e);
    if (rc) {
        log_debug(LOGC_CHANNEL, "service %s: %s", v->name, e.text);
        dchan_mux_reset(mux, m->sid, rc == ERR_BUSY ? DCHAN_RESET_LIMIT : DCHAN_RESET_LOCAL);
        return;
    }
    if (v->target.kind == TARGET_UDP)
        stream_dgrams_accept(&(struct stream_dgrams_config){
            .set = s->streams, .peer = p, .mux = mux, .service = m->service, .fd = ends.in,
            .meter = meter }, m->sid);
    else
        stream_bridge_accept(&(struct stream_bridge_config){
            .set = s->streams, .peer = p, .mux = mux, .service = m->service, .ends = ends,
            .meter = meter, .ended = command_ended, .ctx = s }, m->sid);
}

static bool is_name(struct span a, const char *name)
{
    return a.len == strlen(name) && memcmp(a.data, name, a.len) == 0;
}

/* 0: it may go on, its bytes are charged to *meter (NULL: it is free). A contact that cannot pay is
 * told so at once; one whose channel is used up or closed later waits where its credit ends. */
static unsigned judge_payment(struct services *s, const struct service *v, struct chan_peer *p,
                              struct stream_meter **meter)
{
    const struct stream_payments *pay = s->streams->payments;
    const uint64_t contact = chan_peer_contact(p)->id;
    *meter = NULL;
    if (bill_price_is_zero(&v->price))
        return 0;
    if (!pay)
        return DCHAN_RESET_REFUSED;
    if (pay->trouble(pay->ctx))
        return DCHAN_RESET_LOCAL;
    struct service_account *a =
        service_bills_get(&s->bills, v->name, contact, &v->price, v->credit);
    const struct bill *bill = &a->meter.spending.bill;
    if (!pay->has_channel(pay->ctx, contact) && bill->paid <= bill->charged)
        return DCHAN_RESET_REFUSED;
    *meter = &a->meter;
    return 0;
}

static void serve_if_paid(struct services *s, const struct service *v, struct chan_peer *p,
                          struct dchan_mux *mux, const struct dchan_s_open *m)
{
    struct stream_meter *meter;
    const unsigned refused = judge_payment(s, v, p, &meter);
    if (refused)
        dchan_mux_reset(mux, m->sid, (enum dchan_reset)refused);
    else
        serve(s, v, p, mux, m, meter);
}

static bool on_open(void *part, struct chan_peer *p, struct dchan_mux *mux,
                    const struct dchan_s_open *m)
{
    struct services *s = part;
    char name[DCHAN_SERVICE_MAX + 1] = { 0 };
    if (is_name(m->service, "file") || is_name(m->service, "relay"))
        return false;
    memcpy(name, m->service.data, MIN_OF(m->service.len, sizeof name - 1));
    const struct service *v = find(s, name);
    if (!v || !is_allowed(s, v, p)) /* spec 7.2: alike */
        dchan_mux_reset(mux, m->sid, DCHAN_RESET_SERVICE);
    else if (local_streams_full(s->streams) ||
             local_streams_of(s->streams, p) >= half_of(s->streams->max))
        dchan_mux_reset(mux, m->sid, DCHAN_RESET_LIMIT);
    else
        serve_if_paid(s, v, p, mux, m);
    return true;
}

static void on_withdrawn(void *part, struct chan_peer *p, struct dchan_mux *mux, uint32_t sid)
{
    struct services *s = part;
    (void)p;
    local_streams_withdrawn(s->streams, mux, sid);
}

static void on_tick(void *part, uint64_t now_ms)
{
    struct services *s = part;
    service_commands_tick(&s->commands, now_ms);
    service_bills_tick(&s->bills, now_ms);
}

static void on_down(void *part, struct chan_peer *p, const struct dchan_closing *closing)
{
    struct services *s = part;
    (void)p;
    (void)closing;
    service_bills_write(&s->bills);
}

static void on_contact_gone(void *part, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct services *s = part;
    (void)key;
    service_bills_forget(&s->bills);
}

/* --- payments --- */

bool services_paid(struct services *s, uint64_t contact, struct span service, uint64_t amount)
{
    char name[DCHAN_SERVICE_MAX + 1] = { 0 };
    if (!dchan_service_name_ok(service))
        return false;
    memcpy(name, service.data, service.len);
    const struct service *v = find(s, name);
    if (!v || bill_price_is_zero(&v->price))
        return false;
    service_bills_paid(&s->bills,
                       service_bills_get(&s->bills, name, contact, &v->price, v->credit), amount);
    return true;
}

uint64_t services_settle(struct services *s, uint64_t contact, uint64_t amount)
{
    return service_bills_settle(&s->bills, contact, amount);
}

static bool costs_money(const struct local_stream *stream, const void *ctx)
{
    (void)ctx;
    return !stream->ours && stream->meter;
}

void services_payments_failed(struct services *s)
{
    local_streams_end(s->streams, DCHAN_RESET_LOCAL, costs_money, NULL);
}

const struct service_bills *services_bills(const struct services *s)
{
    return &s->bills;
}

/* --- life --- */

enum err services_new(struct services **out, struct local_streams *streams,
                      const struct net_strings *specs, struct error *e)
{
    struct services *s = xcalloc(1, sizeof *s);
    s->streams = streams;
    enum err rc = service_bills_init(&s->bills, streams, e);
    for (size_t i = 0; i < specs->n && !rc; i++)
        rc = add_spec(s, specs->v[i], e);
    if (!rc)
        rc = load(s, e);
    if (rc) {
        services_free(s);
        return rc;
    }
    channels_add_part(streams->channels, &(struct channel_part){
        .open = on_open, .withdrawn = on_withdrawn, .tick = on_tick, .down = on_down,
        .contact_gone = on_contact_gone, .ctx = s });
    *out = s;
    return OK;
}

void services_free(struct services *s)
{
    if (!s)
        return;
    service_commands_clear(&s->commands);
    service_bills_clear(&s->bills);
    for (size_t i = 0; i < s->n; i++)
        service_free(s->v[i]);
    free(s->v);
    free(s);
}
