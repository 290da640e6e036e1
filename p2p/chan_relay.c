#include "p2p/chan_relay.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/dchan_codec.h"
#include "p2p/chan_relay_internal.h"

#define DAY_MS UINT64_C(86400000)

/* --- s_open --- */

const uint8_t *chan_relay_asked_key(struct span meta)
{
    struct tlv_reader t;
    struct tlv tlv;
    const uint8_t *key = NULL;
    tlv_reader_init(&t, meta);
    while (tlv_next(&t, &tlv))
        if (tlv.type == CHAN_RELAY_TLV_KEY && tlv.value.len == IDENTITY_KEY_SIZE)
            key = tlv.value.data;
    return key;
}

enum err chan_relay_open(struct dchan_mux *mux, const uint8_t *key, uint8_t priority,
                         const struct dchan_stream_ops *ops, void *ctx, uint64_t now_ms,
                         uint32_t *sid)
{
    struct buf meta;
    buf_init(&meta);
    buf_put_tlv(&meta, CHAN_RELAY_TLV_KEY, span_of(key, IDENTITY_KEY_SIZE));
    const enum err rc = dchan_mux_open(
        mux, &(struct dchan_open){ chan_relay_service(), priority, buf_span(&meta) }, ops, ctx,
        now_ms, sid);
    buf_clear(&meta);
    return rc;
}

/* --- what contacts use of us --- */

static struct chan_relay_user *user_get(struct chan_relay *r, uint64_t contact)
{
    const uint64_t now = channels_now(r->channels);
    for (struct list_link *l = list_first(&r->users); l; l = list_next(&r->users, l)) {
        struct chan_relay_user *u = LIST_ITEM(l, struct chan_relay_user, link);
        if (u->contact == contact)
            return u;
    }
    struct chan_relay_user *u = xcalloc(1, sizeof *u);
    u->contact = contact;
    u->day_ms = now;
    ratelimit_init(&u->opens, 1000000 / CHAN_RELAY_OPENS_REFILL_MS, CHAN_RELAY_OPENS_BURST,
                   CHAN_RELAY_OPENS_BURST, (int64_t)now);
    list_append(&r->users, &u->link);
    return u;
}

bool chan_relay_user_take(struct chan_relay *r, uint64_t contact, uint64_t bytes)
{
    struct chan_relay_user *u = user_get(r, contact);
    u->bytes += bytes;
    return u->bytes <= r->limits.bytes_per_day;
}

/* A day after its first byte all is forgotten. */
static void forget_users(struct chan_relay *r, uint64_t now_ms)
{
    for (struct list_link *l = list_first(&r->users), *next; l; l = next) {
        struct chan_relay_user *u = LIST_ITEM(l, struct chan_relay_user, link);
        next = list_next(&r->users, l);
        if (now_ms - u->day_ms < DAY_MS)
            continue;
        list_remove(&r->users, l);
        free(u);
    }
}

/* --- who may --- */

struct search {
    const uint8_t *key;
    const struct channel_identity *identity;
    struct chan_peer *found;
};

/* Under one identity, so that nobody learns which of ours belong together. */
static void match(struct chan_peer *p, void *ctx)
{
    struct search *s = ctx;
    if (mem_equal_var(chan_peer_key(p), s->key, IDENTITY_KEY_SIZE) && chan_peer_contact(p) &&
        mem_equal_var(chan_peer_identity(p)->key.pub, s->identity->key.pub, IDENTITY_KEY_SIZE) &&
        chan_peer_has(p, DCHAN_RELAY) && chan_peer_mux(p))
        s->found = p;
}

static struct chan_peer *find_target(struct chan_relay *r, struct chan_peer *from,
                                     const uint8_t *key)
{
    struct search s = { .key = key, .identity = chan_peer_identity(from) };
    channels_each_peer(r->channels, match, &s);
    return s.found == from ? NULL : s.found;
}

static void relay_for(struct chan_relay *r, struct chan_peer *from, struct dchan_mux *mux,
                      const struct dchan_s_open *m, const uint8_t *key)
{
    const struct contact *contact = chan_peer_contact(from);
    struct chan_peer *to = contact->policy.relay ? find_target(r, from, key) : NULL;
    if (!to) {
        dchan_mux_reset(mux, m->sid, DCHAN_RESET_SERVICE);
        return;
    }
    struct chan_relay_user *u = user_get(r, contact->id);
    if (r->splices.n >= r->limits.streams ||
        chan_relay_splice_count(r, contact->id) >= r->limits.streams_per_contact ||
        u->bytes >= r->limits.bytes_per_day ||
        !ratelimit_take(&u->opens, 1, (int64_t)channels_now(r->channels))) {
        dchan_mux_reset(mux, m->sid, DCHAN_RESET_LIMIT);
        return;
    }
    chan_relay_splice_begin(r, from, mux, m, to, key);
}

static bool on_open(void *part, struct chan_peer *p, struct dchan_mux *mux,
                    const struct dchan_s_open *m)
{
    struct chan_relay *r = part;
    const struct span name = chan_relay_service();
    if (m->service.len != name.len || memcmp(m->service.data, name.data, name.len) != 0)
        return false;
    const uint8_t *key = chan_relay_asked_key(m->meta);
    if (!key || !chan_peer_contact(p))
        dchan_mux_reset(mux, m->sid, DCHAN_RESET_SERVICE);
    else if (mem_equal_var(key, chan_peer_identity(p)->key.pub, IDENTITY_KEY_SIZE))
        chan_relay_carry_accept(r, p, mux, m->sid);
    else
        relay_for(r, p, mux, m, key);
    return true;
}

static void on_withdrawn(void *part, struct chan_peer *p, struct dchan_mux *mux, uint32_t sid)
{
    (void)p;
    chan_relay_splice_withdrawn(part, mux, sid);
}

/* --- asking --- */

struct relays {
    const struct chan_relay_attempt *attempt;
    struct chan_peer *found;
};

static bool was_tried(const struct chan_relay_attempt *a, const uint8_t *key)
{
    for (size_t i = 0; i < a->n_tried; i++)
        if (mem_equal_var(a->tried[i], key, IDENTITY_KEY_SIZE))
            return true;
    return false;
}

/* One that may be asked and is talked to under the identity that the contact knows us by. */
static void take_relay(struct chan_peer *p, void *ctx)
{
    struct relays *s = ctx;
    const struct chan_peer *target = s->attempt->target;
    const struct contact *contact = chan_peer_contact(p);
    if (!s->found && p != target && contact && contact->policy.relay_for_us &&
        chan_peer_has(p, DCHAN_RELAY) && chan_peer_mux(p) &&
        mem_equal_var(chan_peer_identity(p)->key.pub, chan_peer_identity(target)->key.pub,
                      IDENTITY_KEY_SIZE) &&
        !was_tried(s->attempt, chan_peer_key(p)))
        s->found = p;
}

/* False: there is no other one. */
static bool try_next(struct chan_relay *r, struct chan_relay_attempt *a)
{
    while (a->n_tried < CHAN_RELAY_TRIES) {
        struct relays s = { .attempt = a };
        channels_each_peer(r->channels, take_relay, &s);
        if (!s.found)
            return false;
        memcpy(a->tried[a->n_tried++], chan_peer_key(s.found), IDENTITY_KEY_SIZE);
        if (chan_relay_carry_begin(r, s.found, a))
            return true;
    }
    return false;
}

static void drop_attempt(struct chan_relay *r, struct chan_peer *p)
{
    void **slot = chan_peer_slot(p, r);
    struct chan_relay_attempt *a = *slot;
    if (!a)
        return;
    if (a->active)
        chan_relay_carry_forget(a->active);
    free(a);
    *slot = NULL;
    chan_peer_detour_failed(p);
}

static bool on_detour(void *part, struct chan_peer *p)
{
    void **slot = chan_peer_slot(p, part);
    if (*slot)
        return true;
    struct chan_relay_attempt *a = xcalloc(1, sizeof *a);
    a->target = p;
    *slot = a;
    if (try_next(part, a))
        return true;
    drop_attempt(part, p);
    return false;
}

bool chan_relay_attempt_wanted(const struct chan_relay_attempt *a)
{
    return chan_peer_contact(a->target) && !chan_peer_is_quiet(a->target);
}

void chan_relay_attempt_failed(struct chan_relay *r, struct chan_relay_attempt *a)
{
    if (!chan_relay_attempt_wanted(a) || !try_next(r, a))
        drop_attempt(r, a->target);
}

/* It was to be dialled, could not be, and waits. */
static void dial_again(struct chan_peer *p, void *ctx)
{
    struct chan_peer_info info;
    (void)ctx;
    if (chan_peer_is_up(p) || !chan_peer_contact(p))
        return;
    chan_peer_get_info(p, &info);
    if (info.next_dial_ms && info.state < CHAN_PEER_DIALLING)
        chan_peer_dial(p, true);
}

/* One through which others can be reached is there. */
static void on_up(void *part, struct chan_peer *p)
{
    struct chan_relay *r = part;
    const struct contact *contact = chan_peer_contact(p);
    drop_attempt(r, p);
    if (contact && contact->policy.relay_for_us)
        channels_each_peer(r->channels, dial_again, NULL);
}

static void on_tick(void *part, uint64_t now_ms)
{
    forget_users(part, now_ms);
    chan_relay_carry_tick(part, now_ms);
}

struct gone { struct chan_relay *relay; const uint8_t *key; };

static void drop_of_key(struct chan_peer *p, void *ctx)
{
    const struct gone *gone = ctx;
    if (!gone->key || mem_equal_var(chan_peer_key(p), gone->key, IDENTITY_KEY_SIZE))
        drop_attempt(gone->relay, p);
}

static void on_contact_gone(void *part, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct chan_relay *r = part;
    channels_each_peer(r->channels, drop_of_key, &(struct gone){ r, key });
    chan_relay_splice_gone(r, key);
}

/* --- life --- */

struct chan_relay *chan_relay_new(struct channels *channels,
                                  const struct chan_relay_limits *limits)
{
    struct chan_relay *r = xcalloc(1, sizeof *r);
    r->channels = channels;
    r->limits = (struct chan_relay_limits){
        .streams = limits->streams ? limits->streams : CHAN_RELAY_STREAMS,
        .streams_per_contact = limits->streams_per_contact ? limits->streams_per_contact
                                                           : CHAN_RELAY_STREAMS_PER_CONTACT,
        .bytes_per_day = limits->bytes_per_day ? limits->bytes_per_day : CHAN_RELAY_BYTES_PER_DAY,
    };
    list_init(&r->users);
    list_init(&r->splices);
    list_init(&r->carried);
    channels_add_part(channels, &(struct channel_part){
        .features = { .offered = 1u << DCHAN_STREAMS | 1u << DCHAN_RELAY }, .open = on_open,
        .withdrawn = on_withdrawn, .up = on_up, .tick = on_tick,
        .contact_gone = on_contact_gone, .detour = on_detour, .ctx = r });
    return r;
}

void chan_relay_free(struct chan_relay *r)
{
    if (!r)
        return;
    channels_each_peer(r->channels, drop_of_key, &(struct gone){ r, NULL });
    chan_relay_splice_clear(r);
    chan_relay_carry_clear(r);
    for (struct list_link *l; (l = list_first(&r->users));) {
        list_remove(&r->users, l);
        free(LIST_ITEM(l, struct chan_relay_user, link));
    }
    free(r);
}
