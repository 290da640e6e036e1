/* What sessions ask of the node: who may talk, under which rules, and who takes what is said. */
#include "p2p/channels.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "p2p/channels_internal.h"

static bool is_own_key(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE])
{
    const struct chan_conn *conn = ctx;
    return channels_is_own_key(conn->c, key);
}

static bool rules(void *ctx, const uint8_t key[IDENTITY_KEY_SIZE], struct dchan_policy *policy,
                  const struct bca_policy **proof)
{
    struct chan_conn *conn = ctx;
    const struct channels_config *config = &conn->c->config;
    bool former;
    const struct contact *contact = peer_contact(conn->c, conn->identity, key, &former);
    *proof = conn->c->ops.proof;
    conn->contact = contact != NULL;
    if (former) /* spec channels 2.7: what the old key says counts no more */
        return false;
    if (!contact && channels_is_followed(conn->c, conn->identity->key.pub))
        return false; /* nor does our old key serve others than contacts that have not moved */
    *policy = (struct dchan_policy){
        .contact = conn->contact,
        .bare = config->regtest || (contact && contact->policy.bare),
        .strangers_unbound = config->strangers_unbound,
        .any_unbound = conn->role == DCHAN_INITIATOR && (config->regtest || conn->pipe),
    };
    return conn->contact || conn->role == DCHAN_INITIATOR ||
           (config->strangers && !channels_blocked_key(&conn->c->blocked, key));
}

static void note_hello(struct chan_conn *conn, const struct dchan_hello *hello)
{
    const struct dchan_peer *known = dchan_session_peer(conn->session);
    log_sanitize(conn->agent, sizeof conn->agent, hello->agent.data, hello->agent.len);
    conn->has_anchor = hello->has_bca && channels_anchor_of(hello->params, conn->anchor);
    conn->has_endpoint = hello->has_bca && hello->port && !known->provisional;
    memcpy(conn->endpoint.address, hello->address, sizeof conn->endpoint.address);
    conn->endpoint.port = hello->port;
}

static bool is_blocked(const struct chan_conn *conn)
{
    return !conn->contact && conn->role == DCHAN_RESPONDER && conn->has_anchor &&
           channels_blocked_anchor(&conn->c->blocked, conn->anchor);
}

static bool greeted(void *ctx, const struct dchan_hello *hello)
{
    struct chan_conn *conn = ctx;
    struct channels *c = conn->c;
    note_hello(conn, hello);
    if (is_blocked(conn)) {
        conn_abort(conn, DCHAN_ERROR_IDENTITY);
        return false;
    }
    conn->state = CONN_GREETED;
    if (!conn->peer) {
        if (!gate_has_room(c, conn)) {
            conn_goaway(conn, DCHAN_BUSY);
            return true;
        }
        peer_add_conn(peer_get(c, conn->identity, dchan_session_peer(conn->session)->key), conn);
    }
    return peer_greeted(conn->peer, conn, hello);
}

void conn_set_padding(struct chan_conn *conn)
{
    const struct contact *contact = conn->peer ? chan_peer_contact(conn->peer) : NULL;
    if (conn->session)
        dchan_session_set_padded(conn->session, conn->c->config.padded ||
                                                (contact && contact->policy.padding));
}

static void up(void *ctx)
{
    struct chan_conn *conn = ctx;
    conn->state = CONN_UP;
    conn->was_up = true;
    conn->mux = dchan_session_mux(conn->session);
    conn_set_padding(conn);
    peer_up(conn->peer, conn);
    conn_kick(conn);
}

static const char *reason_name(enum dchan_goaway_reason reason)
{
    switch (reason) {
    case DCHAN_SHUTDOWN: return "it ends";
    case DCHAN_DUPLICATE: return "it has another session";
    case DCHAN_RENEW: return "it has a newer session";
    case DCHAN_BUSY: return "it is busy";
    }
    return "no known reason"; /* as received */
}

static void going(void *ctx, enum dchan_goaway_reason reason)
{
    struct chan_conn *conn = ctx;
    conn->going = true;
    conn->their_reason = reason_name(reason);
    if (conn->peer)
        peer_going(conn->peer, conn, reason);
}

static void open_stream(void *ctx, const struct dchan_s_open *m)
{
    struct chan_conn *conn = ctx;
    struct channels *c = conn->c;
    const uint32_t sid = m->sid;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].open && c->parts[i].open(c->parts[i].ctx, conn->peer, conn->mux, m))
            return;
    dchan_mux_reset(conn->mux, sid, DCHAN_RESET_SERVICE);
}

static void withdrawn(void *ctx, uint32_t sid)
{
    struct chan_conn *conn = ctx;
    struct channels *c = conn->c;
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].withdrawn)
            c->parts[i].withdrawn(c->parts[i].ctx, conn->peer, conn->mux, sid);
}

static void closed(void *ctx, const struct dchan_closing *closing)
{
    struct chan_conn *conn = ctx;
    char text[64];
    conn->state = CONN_CLOSED;
    conn->said_why = closing->why == DCHAN_CLOSED_BY_US || closing->why == DCHAN_CLOSED_GOAWAY;
    log_sanitize(text, sizeof text, closing->text.data, closing->text.len);
    log_debug(LOGC_CHANNEL, "direct channel %s: %s %u %s", conn->was_up ? "ended" : "failed",
              chan_closed_name(closing->why), closing->code, text);
    if (conn->peer)
        peer_closed(conn->peer, conn, closing);
    conn_kick(conn);
}

const struct dchan_session_ops channels_session_ops = {
    .is_own_key = is_own_key, .rules = rules, .greeted = greeted, .up = up, .going = going,
    .open = open_stream, .withdrawn = withdrawn, .closed = closed,
};

const char *chan_closed_name(enum dchan_closed why)
{
    switch (why) {
    case DCHAN_CLOSED_CLEAN: return "closed";
    case DCHAN_CLOSED_HANDSHAKE: return "handshake failed";
    case DCHAN_CLOSED_OWN_KEY: return "own key";
    case DCHAN_CLOSED_TIMEOUT: return "timeout";
    case DCHAN_CLOSED_DEAD: return "no sign of life";
    case DCHAN_CLOSED_TAMPERED: return "bytes were changed";
    case DCHAN_CLOSED_EARLY: return "message out of order";
    case DCHAN_CLOSED_AFTER_BYE: return "message after the end";
    case DCHAN_CLOSED_BY_US: return "error sent";
    case DCHAN_CLOSED_BY_THEM: return "error received";
    case DCHAN_CLOSED_GOAWAY: return "peer went away";
    case DCHAN_CLOSED_TRUNCATED: return "connection lost";
    case DCHAN_CLOSED_LOCAL: return "ended";
    }
    return "unknown";
}

/* --- messages --- */

/* The session hands a message to the first range that has its type, which is the right one: the
 * ranges of the parts are those of the session. */
static void take(void *ctx, const struct dchan_msg *m)
{
    struct chan_conn *conn = ctx;
    const struct channels *c = conn->c;
    for (size_t i = 0; i < c->n_parts; i++)
        for (size_t j = 0; j < c->parts[i].n_handlers; j++) {
            const struct dchan_handler *h = &c->parts[i].handlers[j];
            if (m->type >= h->first && m->type <= h->last) {
                conn->peer->hears_old = conn->peer->newest && peer_is_old(conn->peer, conn);
                h->take(conn->peer, m);
                return;
            }
        }
}

static void add_handlers(struct channels *c, const struct channel_part *part)
{
    c->handlers =
        xrealloc(c->handlers, (c->n_handlers + part->n_handlers) * sizeof *c->handlers);
    for (size_t i = 0; i < part->n_handlers; i++)
        c->handlers[c->n_handlers++] = (struct dchan_handler){
            part->handlers[i].first, part->handlers[i].last, take };
    c->session_ops.handlers = c->handlers;
    c->session_ops.n_handlers = c->n_handlers;
}

void channels_add_part(struct channels *c, const struct channel_part *part)
{
    BUG_ON(c->n_parts == CHANNELS_PARTS_MAX || atomic_load(&c->stage) != CHANNELS_NEW);
    c->parts[c->n_parts++] = *part;
    c->features.offered |= part->features.offered;
    if (part->n_handlers)
        add_handlers(c, part);
}

void *channels_part(const struct channels *c, const struct dchan_handler *handlers)
{
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].handlers == handlers)
            return c->parts[i].ctx;
    return NULL;
}
