/* peerconnect, peerdisconnect, peerlist: sessions of direct channels. */
#include <config.h>

#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/channel_call.h"
#include "rpc/contact_find.h"

#define LOOK_NS 20000000 /* between two looks at a session that is being made */
#define TIMEOUT_S 30
#define TIMEOUT_MAX_S 3600

struct seen_peer {
    struct chan_peer_info info;
    char alias[CONTACT_ALIAS_MAX + 1]; /* "" for a stranger */
};

static void see_peer(struct chan_peer *p, struct seen_peer *out)
{
    const struct contact *contact = chan_peer_contact(p);
    *out = (struct seen_peer){ .alias = "" };
    chan_peer_get_info(p, &out->info);
    if (contact)
        memcpy(out->alias, contact->alias, sizeof out->alias);
}

/* --- showing -------------------------------------------------------------------------------- */

static const char *state_name(enum chan_peer_state state)
{
    switch (state) {
    case CHAN_PEER_IDLE:
        return "idle";
    case CHAN_PEER_LOOKING:
        return "looking";
    case CHAN_PEER_DIALLING:
        return "dialling";
    case CHAN_PEER_HANDSHAKE:
        return "handshake";
    case CHAN_PEER_UP:
        return "up";
    case CHAN_PEER_GOING:
        return "going";
    }
    return "";
}

static const char *binding_name(enum dchan_binding binding)
{
    switch (binding) {
    case DCHAN_BARE:
        return "bare";
    case DCHAN_UNBOUND:
        return "unbound";
    case DCHAN_BOUND:
        return "bound";
    }
    return "";
}

static void put_session(struct json_writer *w, const struct chan_peer_info *i)
{
    jw_put_bool(w, "inbound", i->inbound);
    jw_put_text(w, "address", i->address);
    jw_put_bool(w, "bound", i->binding == DCHAN_BOUND && !i->translated);
    jw_put_text(w, "proof", binding_name(i->binding));
    if (i->has_anchor)
        jw_put_hash(w, "block", i->anchor);
    jw_put_bool(w, "translated", i->translated);
    jw_put_bool(w, "provisional", i->provisional);
    jw_put_text(w, "agent", i->agent);
    jw_put_u64(w, "version", i->version);
    jw_put_u64(w, "connected", i->up_unix_ms / 1000);
    jw_put_u64(w, "streams", i->streams);
    jw_put_u64(w, "bytes_sent", i->stats.bytes_sent);
    jw_put_u64(w, "bytes_received", i->stats.bytes_received);
    if (i->stats.pongs)
        jw_put_u64(w, "round_trip_ms", i->stats.rtt_ms);
    jw_put_u64(w, "rekeys", (uint64_t)i->stats.rotations_sent + i->stats.rotations_received);
    jw_put_u64(w, "key_agreements", i->stats.agreements);
}

static void put_peer(struct json_writer *w, const struct seen_peer *p)
{
    const struct chan_peer_info *i = &p->info;
    char text[sizeof i->last_error];
    jw_object_open(w);
    if (p->alias[0])
        jw_put_text(w, "contact", p->alias);
    jw_put_hex(w, "key", i->key, sizeof i->key);
    jw_put_text(w, "identity", i->identity);
    jw_put_text(w, "state", state_name(i->state));
    if (i->state == CHAN_PEER_UP || i->state == CHAN_PEER_GOING)
        put_session(w, i);
    if (i->last_error[0]) {
        log_sanitize(text, sizeof text, i->last_error, strlen(i->last_error));
        jw_put_text(w, "last_error", text);
    }
    if (i->next_dial_ms)
        jw_put_u64(w, "next_dial_s", (i->next_dial_ms + 999) / 1000);
    jw_object_close(w);
}

/* --- peerlist ------------------------------------------------------------------------------- */

struct listing {
    struct seen_peer *list;
    size_t n, cap;
    bool all;
};

static void take_peer(struct chan_peer *p, void *ctx)
{
    struct listing *g = ctx;
    struct seen_peer seen;
    see_peer(p, &seen);
    if (seen.info.state == CHAN_PEER_IDLE && !g->all)
        return;
    if (g->n == g->cap) {
        g->cap = 2 * g->cap + 16;
        g->list = xrealloc(g->list, g->cap * sizeof(*g->list));
    }
    g->list[g->n++] = seen;
}

static void take_all(struct channels *c, void *ctx) { channels_each_peer(c, take_peer, ctx); }

static struct rpc_result cmd_peerlist(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    struct listing g = { .all = rpc_bool(call, 0, false) };
    if (!c)
        return rpc_failed(call);
    if (!channels_call(c, take_all, &g))
        g.n = 0;
    jw_array_open(call->out);
    for (size_t i = 0; i < g.n; i++)
        put_peer(call->out, &g.list[i]);
    jw_array_close(call->out);
    free(g.list);
    return rpc_done();
}

/* --- peerconnect ---------------------------------------------------------------------------- */

struct peer_work {
    struct channels_request r;
    const char *name;
    struct seen_peer seen;
};

/* NULL: r is answered. */
static struct chan_peer *find_peer(struct channels *c, struct channels_request *r)
{
    const struct peer_work *work = (const struct peer_work *)r;
    struct error e;
    struct contact *contact = rpc_channel_contact(c, r, work->name);
    struct chan_peer *p = contact ? channels_peer_of(c, contact) : NULL;
    if (!contact || p)
        return p;
    if (!contact->has_key)
        error_set(&e, ERR_NOTFOUND, "the key of \"%s\" is not known yet", contact->alias);
    else if (contact->identity[0])
        error_set(&e, ERR_NOTFOUND, "there is no identity \"%s\" now, which is chosen for \"%s\": "
                  "its wallet is not loaded, or locked", contact->identity, contact->alias);
    else
        error_set(&e, ERR_NOTFOUND, "there is no identity to talk with: bcaregister makes one; "
                  "an encrypted wallet must have been unlocked");
    channels_answer(c, r, e.code, &e);
    return NULL;
}

static void begin_dial(struct channels *c, struct channels_request *r)
{
    struct chan_peer *p = find_peer(c, r);
    if (!p)
        return;
    chan_peer_dial(p, true);
    see_peer(p, &((struct peer_work *)r)->seen);
    channels_answer(c, r, OK, NULL);
}

static void begin_look(struct channels *c, struct channels_request *r)
{
    struct chan_peer *p = find_peer(c, r);
    if (!p)
        return;
    p = channels_peer_tried(c, chan_peer_contact(p));
    see_peer(p, &((struct peer_work *)r)->seen);
    channels_answer(c, r, OK, NULL);
}

/* --- a contact without a key --- */

struct key_work {
    struct channels_request r;
    const char *name;
    struct contact contact; /* a copy */
};

static void begin_copy(struct channels *c, struct channels_request *r)
{
    struct key_work *work = (struct key_work *)r;
    const struct contact *contact = rpc_channel_contact(c, r, work->name);
    if (!contact)
        return;
    work->contact = *contact;
    channels_answer(c, r, OK, NULL);
}

/* What was found of it; another change may have been faster. */
static void begin_give_key(struct channels *c, struct channels_request *r)
{
    const struct key_work *work = (const struct key_work *)r;
    const struct contact *now = contacts_by_id(channels_contacts(c), work->contact.id);
    struct error e = { .code = OK };
    if (!now || now->has_key) {
        channels_answer(c, r, OK, NULL);
        return;
    }
    struct contact next = *now;
    next.has_key = true;
    memcpy(next.key, work->contact.key, sizeof next.key);
    if (contacts_change(channels_contacts(c), &next, NULL, NULL, &e)) {
        channels_answer(c, r, e.code, &e);
        return;
    }
    channels_contact_changed(c, next.key);
    channels_answer(c, r, OK, NULL);
}

/* Until a record has told whose address it is. False: call has failed. */
static bool await_key(struct rpc_call *call, struct channels *c, const char *name, int64_t end)
{
    struct key_work *work = xcalloc(1, sizeof(*work));
    struct contact *contact = &work->contact;
    work->name = name;
    bool good = rpc_channel_ask(call, c, begin_copy, &work->r);
    const bool had_key = contact->has_key;
    if (good && !had_key)
        rpc_contact_find(call, contact);
    if (good && !had_key && contact->has_key)
        good = rpc_channel_ask(call, c, begin_give_key, &work->r);
    else if (good && !had_key)
        rpc_contact_ask_there(call, contact);
    while (good && !contact->has_key && clock_mono_ms() < end && !rpc_given_up(call)) {
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
        good = rpc_channel_ask(call, c, begin_copy, &work->r);
    }
    if (good && !contact->has_key)
        rpc_fail(call, RPC_NOT_CONNECTED, "no session with \"%s\": nobody has announced a record "
                 "of its address, so that its key is not known", contact->alias);
    good = good && contact->has_key;
    free(work);
    return good;
}

/* --- waiting for it --- */

/* A round over all addresses is over and the next one waits. */
static bool has_failed(const struct chan_peer_info *i)
{
    return i->state == CHAN_PEER_IDLE && (i->next_dial_ms || i->last_error[0]);
}

static struct rpc_result await_session(struct rpc_call *call, struct channels *c,
                                       struct peer_work *work)
{
    const struct chan_peer_info *i = &work->seen.info;
    const int64_t end = clock_mono_ms() + 1000 * rpc_int(call, 1, TIMEOUT_S);
    bool good = await_key(call, c, work->name, end) &&
                rpc_channel_ask(call, c, begin_dial, &work->r);
    while (good && i->state != CHAN_PEER_UP && !has_failed(i) && clock_mono_ms() < end &&
           !rpc_given_up(call)) {
        nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
        good = rpc_channel_ask(call, c, begin_look, &work->r);
    }
    if (!good)
        return rpc_failed(call);
    if (i->state != CHAN_PEER_UP)
        return rpc_fail(call, RPC_NOT_CONNECTED, "no session with \"%s\": %s", work->seen.alias,
                        i->last_error[0] ? i->last_error : "no answer in time");
    put_peer(call->out, &work->seen);
    return rpc_done();
}

static struct rpc_result cmd_peerconnect(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    const int64_t timeout = rpc_int(call, 1, TIMEOUT_S);
    if (!c)
        return rpc_failed(call);
    if (timeout < 1 || timeout > TIMEOUT_MAX_S)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "timeout must be 1 to %d seconds",
                        TIMEOUT_MAX_S);
    struct peer_work *work = xcalloc(1, sizeof(*work));
    work->name = rpc_text(call, 0, "");
    const struct rpc_result result = await_session(call, c, work);
    free(work);
    return result;
}

/* --- peerdisconnect ------------------------------------------------------------------------- */

static void begin_disconnect(struct channels *c, struct channels_request *r)
{
    struct peer_work *work = (struct peer_work *)r;
    uint8_t key[IDENTITY_KEY_SIZE];
    struct error e;
    size_t len;
    struct contact *contact = contacts_find(channels_contacts(c), work->name);
    struct chan_peer *p = NULL;
    if (contact)
        p = channels_peer_of(c, contact);
    else if (strlen(work->name) == 2 * sizeof key &&
             hex_decode(key, sizeof key, work->name, 2 * sizeof key, &len))
        p = channels_find(c, key);
    if (!p) {
        error_set(&e, ERR_NOTFOUND, "no peer \"%.80s\": an alias or a key of peerlist is wanted",
                  work->name);
        channels_answer(c, r, e.code, &e);
        return;
    }
    chan_peer_disconnect(p);
    channels_answer(c, r, OK, NULL);
}

static struct rpc_result cmd_peerdisconnect(struct rpc_call *call)
{
    struct channels *c = rpc_channels(call);
    struct peer_work work = { .name = rpc_text(call, 0, "") };
    if (!c || !rpc_channel_ask(call, c, begin_disconnect, &work.r))
        return rpc_failed(call);
    jw_null(call->out);
    return rpc_done();
}

#define PEER_RESULT \
    "{contact:alias (not of strangers), key, identity:\"of ours\", state:\"idle\", \"looking\", " \
    "\"dialling\", \"handshake\", \"up\" or \"going\"; of a session: inbound, address, " \
    "bound (its proved address is the one it talks from), " \
    "proof:\"bound\", \"unbound\" or \"bare\", " \
    "block (that its address is registered in: see -channelblock), " \
    "translated, provisional, agent, version, connected, streams, bytes_sent, bytes_received, " \
    "round_trip_ms (once it was measured), rekeys, key_agreements; last_error, next_dial_s}"

static const struct rpc_command rows[] = {
    { .name = "peerconnect",
      .category = "channels",
      .where = RPC_ON_WAITER,
      .fn = cmd_peerconnect,
      .help = "Opens a session with a contact and waits until it is up, or all its addresses were "
              "tried in vain. When there is one already that is the result.",
      .result = PEER_RESULT,
      .example = "alice",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "timeout", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Seconds to wait (default 30)" } } },
    { .name = "peerdisconnect",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_peerdisconnect,
      .help = "Ends the session with a contact or a stranger, and does not dial it until "
              "peerconnect or something to be sent asks for it.",
      .result = "null",
      .example = "alice",
      .params = { { "peer", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" } } },
    { .name = "peerlist",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_peerlist,
      .help = "The sessions of direct channels, and those that are being made.",
      .result = "[" PEER_RESULT "...]",
      .example = "",
      .params = { { "all", RPC_BOOL, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Also contacts without one" } } },
};
const struct rpc_group rpc_peer_commands = { rows, COUNT_OF(rows) };
