/*
 * The table of peers, and which of a peer's sessions counts (spec channels 2.5, 2.6). At any time a
 * peer has at most one session that was greeted and is not up: a second one is decided on at once,
 * by the rule for two that are up, as neither can answer a ping. So both sides keep the same one
 * when both dial at a time.
 */
#include "p2p/channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"
#include "p2p/dchan_duplicate.h"

/* --- the table --- */

struct peer_id { uint8_t ours[IDENTITY_KEY_SIZE], theirs[IDENTITY_KEY_SIZE]; };

static struct peer_id peer_id_of(const uint8_t *ours, const uint8_t *theirs)
{
    struct peer_id id;
    memcpy(id.ours, ours, sizeof id.ours);
    memcpy(id.theirs, theirs, sizeof id.theirs);
    return id;
}

static bool has_id(const void *item, const void *key)
{
    const struct chan_peer *p = item;
    const struct peer_id *id = key;
    return mem_equal_var(p->identity->key.pub, id->ours, sizeof id->ours) &&
           mem_equal_var(p->key, id->theirs, sizeof id->theirs);
}

struct chan_peer *peer_find(struct channels *c, const uint8_t *our_key, const uint8_t *their_key)
{
    const struct peer_id id = peer_id_of(our_key, their_key);
    return map_find(&c->peer_map, siphash(&c->hash_key, &id, sizeof id), has_id, &id);
}

struct chan_peer *peer_get(struct channels *c, struct channel_identity *id,
                           const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct chan_peer *p = peer_find(c, id->key.pub, key);
    if (p)
        return p;
    const struct peer_id name = peer_id_of(id->key.pub, key);
    p = xcalloc(1, sizeof *p);
    p->c = c;
    memcpy(p->key, key, sizeof p->key);
    p->identity = channel_identity_ref(id);
    list_init(&p->conns);
    list_append(&c->peers, &p->link);
    map_put(&c->peer_map, siphash(&c->hash_key, &name, sizeof name), p);
    return p;
}

void chan_peer_free(struct chan_peer *p)
{
    struct channels *c = p->c;
    const struct peer_id id = peer_id_of(p->identity->key.pub, p->key);
    map_remove(&c->peer_map, siphash(&c->hash_key, &id, sizeof id), has_id, &id);
    list_remove(&c->peers, &p->link);
    channel_identity_unref(p->identity);
    free(p);
}

void peer_check_idle(struct chan_peer *p)
{
    if (p->in_idle || p->conns.n)
        return;
    p->in_idle = true;
    p->next_idle = p->c->idle;
    p->c->idle = p;
    event_active(p->c->work_ev, 0, 0);
}

static bool is_held(struct chan_peer *p)
{
    for (size_t i = 0; i < p->c->n_parts; i++)
        if (p->slots[i])
            return true;
    return p->conns.n || (!p->c->stopping && chan_peer_contact(p));
}

void peer_work_all(struct channels *c)
{
    struct chan_peer *list = c->idle;
    c->idle = NULL;
    while (list) {
        struct chan_peer *p = list;
        list = p->next_idle;
        p->in_idle = false;
        if (!is_held(p))
            chan_peer_free(p);
    }
}

void peer_add_conn(struct chan_peer *p, struct chan_conn *conn)
{
    conn->peer = p;
    list_append(&p->conns, &conn->peer_link);
}

struct contact *peer_contact(struct channels *c, const struct channel_identity *id,
                             const uint8_t key[IDENTITY_KEY_SIZE], bool *former)
{
    *former = false;
    struct contact *contact = contacts_by_key(c->contacts, key, former);
    if (!contact || !heirs_serve(c, contact, id->key.pub)) {
        *former = false; /* under this identity it is a stranger */
        return NULL;
    }
    return *former ? NULL : contact;
}

/* --- two sessions --- */

struct chan_conn *peer_greeted_conn(const struct chan_peer *p, const struct chan_conn *but)
{
    for (struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l)) {
        struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, peer_link);
        if (conn != but && conn->state == CONN_GREETED && !conn->going)
            return conn;
    }
    return NULL;
}

/* The newest, if it takes new things. */
static struct chan_conn *live_one(const struct chan_peer *p)
{
    return p->newest && !p->newest->going ? p->newest : NULL;
}

static struct dchan_two two_of(const struct chan_peer *p, const struct chan_conn *live,
                               const struct chan_conn *fresh, enum dchan_live state)
{
    return (struct dchan_two){
        .our_key = p->identity->key.pub, .their_key = p->key, .live_role = live->role,
        .fresh_role = fresh->role, .renews = fresh->renews, .live = state
    };
}

/* Of two that are both not up. Of two from one side the later one: the first is given up there. */
static bool stays_before(const struct chan_peer *p, const struct chan_conn *first,
                         const struct chan_conn *second)
{
    struct dchan_two two = two_of(p, first, second, DCHAN_LIVE_ANSWERED);
    two.renews = false;
    return first->role != second->role && dchan_duplicate_settle(&two) == DCHAN_SETTLED_LIVE;
}

static bool names_newest(const struct chan_peer *p, const struct dchan_hello *hello)
{
    const struct chan_conn *live = live_one(p);
    return live && hello->has_renews &&
           mem_equal_var(hello->renews, dchan_session_peer(live->session)->session_id,
                         sizeof hello->renews);
}

/* False: it has so much unread that it ended by being asked. */
static bool ask_newest(struct chan_peer *p, struct chan_conn *fresh)
{
    const uint64_t now = channels_now(p->c);
    struct chan_conn *asked = p->newest;
    if (!p->fresh) {
        p->asked_ms = now;
        p->asked_pongs = dchan_session_stats(asked->session).pongs;
    }
    p->fresh = NULL; /* nothing is settled while it is asked */
    dchan_session_ping(asked->session, now);
    conn_kick(asked);
    if (!live_one(p))
        return false;
    p->fresh = fresh;
    return true;
}

bool peer_greeted(struct chan_peer *p, struct chan_conn *conn, const struct dchan_hello *hello)
{
    struct chan_conn *other = peer_greeted_conn(p, conn);
    if (conn->role == DCHAN_RESPONDER)
        conn->renews = names_newest(p, hello);
    if (other && stays_before(p, other, conn)) {
        conn_goaway(conn, DCHAN_DUPLICATE);
        return false;
    }
    const bool waits = live_one(p) && !conn->renews && ask_newest(p, conn);
    if (!waits)
        p->fresh = NULL;
    if (other)
        conn_goaway(other, DCHAN_DUPLICATE);
    return !waits;
}

static enum dchan_live newest_answers(const struct chan_peer *p)
{
    if (dchan_session_stats(p->newest->session).pongs > p->asked_pongs)
        return DCHAN_LIVE_ANSWERED;
    const uint64_t wait = p->c->config.limits.duplicate_ms;
    return channels_now(p->c) - p->asked_ms >= wait ? DCHAN_LIVE_SILENT : DCHAN_LIVE_ASKED;
}

static void let_in(struct chan_peer *p, bool silent)
{
    struct chan_conn *fresh = p->fresh;
    p->fresh = NULL;
    p->silent = silent;
    dchan_session_settled(fresh->session, channels_now(p->c));
    conn_kick(fresh);
}

void peer_settle(struct chan_peer *p)
{
    if (!p->fresh)
        return;
    if (!live_one(p)) {
        let_in(p, false);
        return;
    }
    const enum dchan_live state = newest_answers(p);
    const struct dchan_two two = two_of(p, p->newest, p->fresh, state);
    switch (dchan_duplicate_settle(&two)) {
    case DCHAN_SETTLED_NOT_YET:
        break;
    case DCHAN_SETTLED_LIVE: {
        struct chan_conn *fresh = p->fresh;
        p->fresh = NULL;
        conn_goaway(fresh, DCHAN_DUPLICATE);
        break;
    }
    case DCHAN_SETTLED_RENEWAL:
    case DCHAN_SETTLED_FRESH:
        let_in(p, state == DCHAN_LIVE_SILENT);
        break;
    }
}

/* --- up and down --- */

static void tell_up(struct chan_peer *p)
{
    struct channels *c = p->c;
    const bool first = !p->announced;
    if (first)
        p->up_ms = channels_now(c);
    p->announced = true;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].up)
            c->parts[i].up(c->parts[i].ctx, p);
    if (first && c->ops.session)
        c->ops.session(c->ops.ctx, p, NULL);
}

static void tell_down(struct chan_peer *p, const struct dchan_closing *closing)
{
    struct channels *c = p->c;
    p->announced = false;
    p->score = 0;
    if (c->ops.session)
        c->ops.session(c->ops.ctx, p, closing);
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].down)
            c->parts[i].down(c->parts[i].ctx, p, closing);
}

static void retire(struct chan_peer *p, struct chan_conn *old, bool renewed)
{
    if (p->silent)
        conn_abort(old, DCHAN_NO_ERROR);
    else if (!old->going)
        conn_goaway(old, renewed ? DCHAN_RENEW : DCHAN_DUPLICATE);
    p->silent = false;
}

static uint64_t windows_of(const struct chan_conn *conn)
{
    return conn->mux ? dchan_mux_stats(conn->mux)->windows : 0;
}

/*
 * Each session keeps its place and windows, which grow, until its streams have ended. A peer that
 * renews again and again shall not have those of all: of its old ones the newest stay, as far as
 * they are few and their windows are not above those of two (attacks E12).
 */
static void cut_oldest(struct chan_peer *p)
{
    const struct channels_limits *limits = &p->c->config.limits;
    const uint64_t most = 2 * (chan_peer_contact(p) ? limits->windows_each
                                                    : limits->windows_each_stranger);
    uint64_t windows = 0;
    size_t n = 0;
    for (struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, peer_link);
        if (!peer_is_old(p, conn))
            continue;
        windows += windows_of(conn);
        n++;
    }
    for (struct list_link *l = list_first(&p->conns), *next; l; l = next) {
        struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, peer_link);
        next = list_next(&p->conns, l);
        if (n <= limits->sessions_old && windows <= most)
            return;
        if (!peer_is_old(p, conn))
            continue;
        windows -= windows_of(conn);
        n--;
        conn_abort(conn, DCHAN_NO_ERROR);
    }
}

/* NULL: nowhere that could be dialled. */
static const struct contact_address *reached_at(const struct chan_conn *conn,
                                                struct contact_address *out)
{
    if (conn->has_endpoint)
        return &conn->endpoint;
    if (conn->pipe || conn->role == DCHAN_RESPONDER)
        return NULL;
    memcpy(out->address, conn->remote.ip, sizeof out->address);
    out->port = conn->remote.port;
    return out;
}

static void note_seen(struct chan_peer *p, const struct chan_conn *conn)
{
    struct channels *c = p->c;
    struct contact *contact = chan_peer_contact(p);
    struct contact_address where;
    if (!contact)
        return;
    const uint64_t now = channels_unix_ms();
    contacts_seen(c->contacts, contact, reached_at(conn, &where), now);
    if (!conn->pipe)
        gate_note_contact(c, conn->remote.ip, now);
}

void peer_up(struct chan_peer *p, struct chan_conn *conn)
{
    struct chan_conn *old = p->newest;
    p->newest = conn;
    p->wanted = p->renew = p->looking = p->detour = false;
    p->last_error[0] = '\0';
    if (p->dial == conn)
        p->dial = NULL;
    dial_stop(p);
    if (old)
        retire(p, old, conn->renews);
    cut_oldest(p);
    note_seen(p, conn);
    tell_up(p);
}

/* One that we dialled may be greeted there before we hear of it. */
static bool other_one(const struct chan_peer *p, const struct chan_conn *but)
{
    for (struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l)) {
        const struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, peer_link);
        if (conn != but && conn->state != CONN_CLOSED)
            return true;
    }
    return false;
}

void peer_going(struct chan_peer *p, struct chan_conn *conn, enum dchan_goaway_reason reason)
{
    if (reason == DCHAN_DUPLICATE && !conn->was_up && !other_one(p, conn)) {
        /* spec channels 0: it has a session with our key of which we know nothing */
        LOG_LIMITED(LOG_WARN, "a peer has another session with identity %s: a second copy of it "
                    "runs, or its key is stolen", p->identity->name);
    }
    peer_settle(p);
    conn_kick(conn);
}

static struct chan_conn *last_up(const struct chan_peer *p)
{
    struct chan_conn *found = NULL;
    for (struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l)) {
        struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, peer_link);
        if (conn->state == CONN_UP)
            found = conn;
    }
    return found;
}

/* What the code of an error says (spec channels 4.2). */
static const char *code_note(const struct dchan_closing *closing)
{
    static const char *const notes[] = {
        [DCHAN_ERROR_IDENTITY] = " (identity)",
        [DCHAN_ERROR_UNKNOWN_TYPE] = " (unknown message)",
        [DCHAN_ERROR_MALFORMED] = " (malformed message)",
        [DCHAN_ERROR_LIMIT] = " (limit)",
        [DCHAN_ERROR_INTERNAL] = " (internal)",
        [DCHAN_ERROR_VERSION] = " (version)",
        [DCHAN_ERROR_FEATURE] = " (feature)",
    };
    const bool is_error =
        closing->why == DCHAN_CLOSED_BY_US || closing->why == DCHAN_CLOSED_BY_THEM;
    const char *note = is_error && closing->code < COUNT_OF(notes) ? notes[closing->code] : NULL;
    return note ? note : "";
}

static void note_error(struct chan_peer *p, const struct chan_conn *conn,
                       const struct dchan_closing *closing)
{
    char text[64];
    log_sanitize(text, sizeof text, closing->text.data, closing->text.len);
    if (closing->code)
        snprintf(p->last_error, sizeof p->last_error, "%s %u%s%s%s",
                 chan_closed_name(closing->why), closing->code, code_note(closing),
                 *text ? ": " : "", text);
    else
        snprintf(p->last_error, sizeof p->last_error, "%s%s%s", chan_closed_name(closing->why),
                 conn->their_reason ? ": " : "", conn->their_reason ? conn->their_reason : "");
}

void peer_closed(struct chan_peer *p, struct chan_conn *conn, const struct dchan_closing *closing)
{
    if (p->fresh == conn)
        p->fresh = NULL;
    if (p->newest == conn)
        p->newest = last_up(p);
    if (closing->why != DCHAN_CLOSED_CLEAN && !p->newest)
        note_error(p, conn, closing);
    if (closing->why == DCHAN_CLOSED_BY_THEM && closing->code == DCHAN_ERROR_IDENTITY)
        heirs_refused(p);
    dial_ended(p, conn);
    peer_settle(p);
    if (!p->announced || p->newest || peer_greeted_conn(p, NULL))
        return;
    dial_lost(p, channels_now(p->c) - p->up_ms >= CHANNELS_STEADY_MS);
    tell_down(p, closing);
}

/* --- time, identities, contacts --- */

static bool keeps(struct chan_peer *p)
{
    const struct contact *contact = p->quiet || p->orphan ? NULL : chan_peer_contact(p);
    return contact && (p->c->config.dial_contacts || contact->policy.keep);
}

/* Our address was replaced while the session was being made, or while one of theirs was. */
bool peer_has_left(const struct chan_peer *p, const struct chan_conn *live)
{
    const struct channel_identity *now = p->identity, *then = live->identity;
    return now->has_address && (!then->has_address ||
                                !mem_equal_var(now->address, then->address, sizeof now->address));
}

void chan_peer_tick(struct chan_peer *p, uint64_t now_ms)
{
    const struct chan_conn *live = live_one(p);
    peer_settle(p);
    cut_oldest(p);
    if (live && (dchan_session_renewal_due(live->session, now_ms) || (live->pipe && keeps(p))))
        p->renew = true; /* one that somebody carries is better had directly */
    if (live && peer_has_left(p, live))
        p->renew = true;
    if (!live && !p->wanted && keeps(p))
        p->wanted = true;
    dial_tick(p, now_ms);
    peer_check_idle(p);
}

void peer_end_all(struct chan_peer *p, enum dchan_goaway_reason reason)
{
    for (struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l))
        conn_goaway(LIST_ITEM(l, struct chan_conn, peer_link), reason);
}

static void renew_now(struct chan_peer *p)
{
    p->renew = true;
    p->next_dial_ms = 0;
    dial_tick(p, channels_now(p->c));
}

static void take_identity(struct chan_peer *p, struct channel_identity *id)
{
    const bool moved = id->has_address &&
                       (!p->identity->has_address ||
                        !mem_equal_var(id->address, p->identity->address, sizeof id->address));
    channel_identity_unref(p->identity);
    p->identity = channel_identity_ref(id);
    p->orphan = false;
    if (moved && live_one(p))
        renew_now(p);
}

/* It is a contact under another identity of ours: under this one it is dialled no more. */
static void stop_dialling(struct chan_peer *p)
{
    p->wanted = p->renew = false;
    if (p->dial)
        conn_goaway(p->dial, DCHAN_SHUTDOWN);
    peer_check_idle(p);
}

/* Another identity may be the default, or have the name that was chosen: who is a contact under
 * that one must not learn that both are of one host. */
static void leave_if_no_contact(struct chan_peer *p)
{
    if (chan_peer_contact(p))
        return;
    if (!p->newest) {
        stop_dialling(p);
    } else if (p->newest->contact) {
        p->wanted = p->renew = false;
        peer_end_all(p, DCHAN_SHUTDOWN);
    }
}

/* Those whose peer is not known yet; the others follow their peer. */
static void end_handshakes(struct channels *c)
{
    for (struct list_link *l = list_first(&c->conns); l; l = list_next(&c->conns, l)) {
        struct chan_conn *conn = LIST_ITEM(l, struct chan_conn, link);
        if (!conn->peer && !channels_identity_of(c, conn->identity->key.pub))
            conn_abort(conn, DCHAN_NO_ERROR);
    }
}

void peers_take_identities(struct channels *c)
{
    end_handshakes(c);
    for (struct list_link *l = list_first(&c->peers); l; l = list_next(&c->peers, l)) {
        struct chan_peer *p = LIST_ITEM(l, struct chan_peer, link);
        struct channel_identity *id = channels_identity_of(c, p->identity->key.pub);
        if (id) {
            take_identity(p, id);
            leave_if_no_contact(p);
        } else {
            p->orphan = true;
            p->wanted = p->renew = false;
            peer_end_all(p, DCHAN_SHUTDOWN);
            peer_check_idle(p);
        }
    }
}

static void contact_gone(struct channels *c, const uint8_t *key)
{
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].contact_gone)
            c->parts[i].contact_gone(c->parts[i].ctx, key);
}

/* Its address is to be proved from now on. */
static bool is_too_bare(const struct chan_peer *p, const struct contact *contact)
{
    return p->newest && !p->c->config.regtest && !contact->policy.bare &&
           dchan_session_peer(p->newest->session)->binding == DCHAN_BARE;
}

static void follow_contact(struct chan_peer *p, bool removed, bool former)
{
    const struct contact *is = chan_peer_contact(p);
    const bool was = p->newest && p->newest->contact;
    if (removed || former || (was && !is) || (is && is_too_bare(p, is))) {
        p->wanted = p->renew = false;
        peer_end_all(p, former ? DCHAN_RENEW : DCHAN_SHUTDOWN);
        peer_check_idle(p);
    } else if (is && !was && p->newest) {
        /* streams and windows of a session are a stranger's or a contact's for its whole life */
        renew_now(p);
    } else if (!is) {
        stop_dialling(p);
    }
    for (struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l))
        conn_set_padding(LIST_ITEM(l, struct chan_conn, peer_link));
}

void channels_contact_changed(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE])
{
    bool former = false;
    struct contact *contact = contacts_by_key(c->contacts, key, &former);
    if (c->ops.contact)
        c->ops.contact(c->ops.ctx, key, contact && !former);
    if (!contact)
        contact_gone(c, key);
    for (struct list_link *l = list_first(&c->peers); l; l = list_next(&c->peers, l)) {
        struct chan_peer *p = LIST_ITEM(l, struct chan_peer, link);
        if (mem_equal_var(p->key, key, IDENTITY_KEY_SIZE))
            follow_contact(p, !contact, former);
    }
    if (contact && !former)
        (void)channels_peer_of(c, contact);
}
