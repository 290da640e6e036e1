/*
 * On disk, key 'v' | name; value: u8 version 1, v16 target, u8 everybody, u16 number of contacts,
 * u64 id for each. A change counts when it is on disk: until then the old state serves.
 */
#include "p2p/services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/service_commands.h"
#include "p2p/stream_bridge.h"
#include "p2p/stream_dgrams.h"
#include "p2p/stream_echo.h"

#define KEY_PREFIX 'v'
#define VERSION 1
#define EVERYBODY "*"

struct services {
    struct local_streams *streams;
    struct service **v; /* by name */
    size_t n;
    struct service_commands commands;
};

/* --- one service --- */

static void service_free(struct service *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_texts; i++)
        free(v->texts[i]);
    free(v->texts);
    free(v->allowed);
    free(v);
}

/* file and relay are protocols of ours; echo is what its name says. */
static bool name_is_reserved(const char *name, enum service_target_kind kind)
{
    return strcmp(name, "file") == 0 || strcmp(name, "relay") == 0 ||
           (strcmp(name, "echo") == 0 && kind != TARGET_ECHO);
}

static enum err service_init(struct service *v, const char *name, const char *target,
                             struct error *e)
{
    const enum err rc = service_target_parse(&v->target, target, e);
    if (rc)
        return rc;
    if (!dchan_service_name_ok(span_of(name, strlen(name))))
        return error_set(e, ERR_PARSE, "a service name has 1 to %d of a-z 0-9 . _ -",
                         DCHAN_SERVICE_MAX);
    if (name_is_reserved(name, v->target.kind))
        return error_set(e, ERR_RANGE, "the name \"%s\" is reserved", name);
    memcpy(v->name, name, strlen(name) + 1);
    return OK;
}

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
}

static void unset_service(struct services *s, const char *name)
{
    bool found;
    const size_t i = place_of(s, name, &found);
    if (!found)
        return;
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

/* Streams of services that are not there or not allowed any more. */
static bool is_forbidden(const struct local_stream *stream, const void *ctx)
{
    const struct services *s = ctx;
    if (stream->ours)
        return false;
    const struct service *v = find(s, stream->service);
    return !v || !is_allowed(s, v, stream->peer);
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

static size_t key_of(uint8_t key[1 + DCHAN_SERVICE_MAX], const char *name)
{
    key[0] = KEY_PREFIX;
    memcpy(key + 1, name, strlen(name));
    return 1 + strlen(name);
}

static void put_value(struct buf *b, const struct service *v)
{
    buf_put_u8(b, VERSION);
    buf_put_v16(b, span_of(v->target.text, strlen(v->target.text)));
    buf_put_u8(b, v->everybody);
    buf_put_be16(b, (uint16_t)v->n_allowed);
    for (size_t i = 0; i < v->n_allowed; i++)
        buf_put_be64(b, v->allowed[i]);
}

static void read_allowed(struct service *v, struct reader *r)
{
    v->everybody = read_u8(r) != 0;
    const size_t n = read_be16(r);
    if (n > SERVICE_ALLOW_MAX || r->left < 8 * n) {
        r->failed = true;
        return;
    }
    v->allowed = xcalloc(n + 1, sizeof *v->allowed);
    for (v->n_allowed = 0; v->n_allowed < n; v->n_allowed++)
        v->allowed[v->n_allowed] = read_be64(r);
}

static enum err read_value(struct service *v, struct span key, struct span value, struct error *e)
{
    struct reader r;
    char name[DCHAN_SERVICE_MAX + 1] = { 0 };
    reader_init(&r, value.data, value.len);
    const uint8_t version = read_u8(&r);
    if (version > VERSION)
        return error_set(e, ERR_RANGE, "a service was written by a newer version");
    const struct span target = read_v16(&r, SERVICE_TARGET_MAX);
    read_allowed(v, &r);
    if (!reader_done(&r) || key.len - 1 > DCHAN_SERVICE_MAX)
        return error_set(e, ERR_CORRUPT, "a service does not have its form");
    memcpy(name, key.data + 1, key.len - 1);
    char *text = xstrndup((const char *)target.data, target.len);
    const enum err rc = service_init(v, name, text, e);
    free(text);
    return rc ? error_prefix(e, ERR_CORRUPT, "a stored service") : OK;
}

static enum err load_one(struct services *s, struct span key, struct span value, struct error *e)
{
    struct service *v = xcalloc(1, sizeof *v);
    const enum err rc = read_value(v, key, value, e);
    if (rc || find(s, v->name)) { /* what the options say goes before */
        service_free(v);
        return rc;
    }
    set_service(s, v);
    return OK;
}

static enum err load(struct services *s, struct error *e)
{
    const uint8_t prefix = KEY_PREFIX;
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
    uint8_t key[1 + DCHAN_SERVICE_MAX];
    const size_t len = key_of(key, name);
    *c = (struct change){ .s = s, .service = v, .done = done, .ctx = ctx };
    memcpy(c->name, name, strlen(name) + 1);
    if (v) {
        struct buf value;
        buf_init(&value);
        put_value(&value, v);
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

enum err services_expose(struct services *s, const struct service_wish *w, dchan_store_fn done,
                         void *ctx, struct error *e)
{
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
    commit(s, v->name, v, done, ctx);
    return OK;
}

enum err services_unexpose(struct services *s, const char *name, dchan_store_fn done, void *ctx,
                           struct error *e)
{
    const struct service *v = find(s, name);
    if (!v)
        return error_set(e, ERR_NOTFOUND, "no such service");
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

/* Those that have left meanwhile do not count. */
static bool has_room(struct services *s)
{
    if (s->commands.n >= SERVICE_COMMANDS_MAX)
        service_commands_tick(&s->commands, channels_now(s->streams->channels));
    return s->commands.n < SERVICE_COMMANDS_MAX;
}

static enum err open_target(struct services *s, const struct service *v, struct chan_peer *p,
                            struct stream_ends *ends, struct error *e)
{
    char peer[16 + 2 * IDENTITY_KEY_SIZE + 1], name[32 + sizeof v->name];
    char hex[2 * IDENTITY_KEY_SIZE + 1];
    if (v->target.kind == TARGET_EXEC && !has_room(s))
        return error_set(e, ERR_BUSY, "too many commands run");
    hex_encode(hex, chan_peer_key(p), IDENTITY_KEY_SIZE);
    snprintf(peer, sizeof peer, "BSVPEER_PEER=%s", hex);
    snprintf(name, sizeof name, "BSVPEER_SERVICE=%s", v->name);
    char *const variables[] = { peer, name, NULL };
    const enum err rc = service_target_open(&v->target, variables, ends, e);
    if (!rc && ends->pid)
        service_commands_add(&s->commands, ends->pid);
    return rc;
}

static void serve(struct services *s, const struct service *v, struct chan_peer *p,
                  struct dchan_mux *mux, const struct dchan_s_open *m)
{
    struct stream_ends ends;
    struct error e;
    if (v->target.kind == TARGET_ECHO) {
        stream_echo_accept(s->streams, p, mux, m);
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
            .set = s->streams, .peer = p, .mux = mux, .service = m->service, .fd = ends.in },
            m->sid);
    else
        stream_bridge_accept(&(struct stream_bridge_config){
            .set = s->streams, .peer = p, .mux = mux, .service = m->service, .ends = ends,
            .ended = command_ended, .ctx = s }, m->sid);
}

static bool is_name(struct span a, const char *name)
{
    return a.len == strlen(name) && memcmp(a.data, name, a.len) == 0;
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
    else if (local_streams_full(s->streams))
        dchan_mux_reset(mux, m->sid, DCHAN_RESET_LIMIT);
    else
        serve(s, v, p, mux, m);
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
}

/* --- life --- */

enum err services_new(struct services **out, struct local_streams *streams,
                      const struct net_strings *specs, struct error *e)
{
    struct services *s = xcalloc(1, sizeof *s);
    enum err rc = OK;
    s->streams = streams;
    for (size_t i = 0; i < specs->n && !rc; i++)
        rc = add_spec(s, specs->v[i], e);
    if (!rc)
        rc = load(s, e);
    if (rc) {
        services_free(s);
        return rc;
    }
    channels_add_part(streams->channels, &(struct channel_part){
        .open = on_open, .withdrawn = on_withdrawn, .tick = on_tick, .ctx = s });
    *out = s;
    return OK;
}

void services_free(struct services *s)
{
    if (!s)
        return;
    service_commands_clear(&s->commands);
    for (size_t i = 0; i < s->n; i++)
        service_free(s->v[i]);
    free(s->v);
    free(s);
}
