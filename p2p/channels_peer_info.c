/* What parts and methods ask of a peer. */
#include "p2p/channels.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "p2p/channels_internal.h"

/* A contact before strangers, who has a session before who has none. */
static unsigned rank_of(struct chan_peer *p)
{
    return (chan_peer_contact(p) ? 2u : 0) + (p->newest ? 1u : 0);
}

struct chan_peer *channels_find(struct channels *c, const uint8_t key[IDENTITY_KEY_SIZE])
{
    struct chan_peer *found = NULL;
    for (struct list_link *l = list_first(&c->peers); l; l = list_next(&c->peers, l)) {
        struct chan_peer *p = LIST_ITEM(l, struct chan_peer, link);
        if (!mem_equal_var(p->key, key, IDENTITY_KEY_SIZE))
            continue;
        if (!found || rank_of(p) > rank_of(found))
            found = p;
    }
    return found;
}

struct chan_peer *channels_peer_of(struct channels *c, struct contact *contact)
{
    struct channel_identity *id = channels_identity_for(c, contact);
    return id && contact->has_key ? peer_get(c, id, contact->key) : NULL;
}

void channels_each_peer(struct channels *c, void (*fn)(struct chan_peer *p, void *ctx), void *ctx)
{
    for (struct list_link *l = list_first(&c->peers); l; l = list_next(&c->peers, l))
        fn(LIST_ITEM(l, struct chan_peer, link), ctx);
}

struct channels *chan_peer_channels(struct chan_peer *p)
{
    return p->c;
}

const uint8_t *chan_peer_key(const struct chan_peer *p)
{
    return p->key;
}

const struct channel_identity *chan_peer_identity(const struct chan_peer *p)
{
    return p->identity;
}

struct contact *chan_peer_contact(struct chan_peer *p)
{
    bool former;
    return peer_contact(p->c, p->identity, p->key, &former);
}

void **chan_peer_slot(struct chan_peer *p, const void *part_ctx)
{
    for (size_t i = 0; i < p->c->n_parts; i++)
        if (p->c->parts[i].ctx == part_ctx)
            return &p->slots[i];
    BUG_ON(true);
}

bool chan_peer_is_up(const struct chan_peer *p)
{
    return p->newest != NULL;
}

enum err chan_peer_send(struct chan_peer *p, const struct dchan_msg *m)
{
    struct chan_conn *conn = p->newest; /* which it is no more when this closes it */
    if (!conn)
        return ERR_NOTFOUND;
    const enum err rc = dchan_session_send(conn->session, m, channels_now(p->c));
    conn_kick(conn);
    return rc;
}

bool chan_peer_is_slow(const struct chan_peer *p)
{
    return !p->newest || dchan_session_slow(p->newest->session);
}

bool chan_peer_has_older(const struct chan_peer *p)
{
    for (const struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l))
        if (peer_is_old(p, LIST_ITEM(l, struct chan_conn, peer_link)))
            return true;
    return false;
}

bool chan_peer_hears_old(const struct chan_peer *p) { return p->hears_old; }

struct dchan_mux *chan_peer_mux(struct chan_peer *p)
{
    return p->newest ? dchan_session_mux(p->newest->session) : NULL;
}

bool chan_peer_has(const struct chan_peer *p, unsigned feature)
{
    return p->newest && dchan_offers(&p->c->features, (enum dchan_feature)feature) &&
           dchan_offers(&dchan_session_peer(p->newest->session)->features,
                        (enum dchan_feature)feature);
}

void chan_peer_kick(struct chan_peer *p)
{
    for (struct list_link *l = list_first(&p->conns); l; l = list_next(&p->conns, l))
        conn_kick(LIST_ITEM(l, struct chan_conn, peer_link));
}

void chan_peer_score(struct chan_peer *p, unsigned score, const char *why)
{
    p->score += score;
    log_debug(LOGC_CHANNEL, "direct channel: %s, score %u", why, p->score);
    if (p->score < CHANNELS_SCORE_MAX || !p->newest)
        return;
    p->score = 0;
    conn_abort(p->newest, DCHAN_ERROR_LIMIT);
}

bool chan_peer_is_quiet(const struct chan_peer *p) { return p->quiet; }

void chan_peer_disconnect(struct chan_peer *p)
{
    p->wanted = p->renew = false;
    p->quiet = true;
    peer_end_all(p, DCHAN_SHUTDOWN);
}

static enum chan_peer_state state_of(const struct chan_peer *p)
{
    if (p->newest)
        return p->newest->going ? CHAN_PEER_GOING : CHAN_PEER_UP;
    if (peer_greeted_conn(p, NULL))
        return CHAN_PEER_HANDSHAKE;
    if (p->dial)
        return p->dial->state == CONN_CONNECTING ? CHAN_PEER_DIALLING : CHAN_PEER_HANDSHAKE;
    if (p->detour)
        return CHAN_PEER_DIALLING;
    return p->looking && p->wanted ? CHAN_PEER_LOOKING : CHAN_PEER_IDLE;
}

static void session_info(const struct chan_conn *conn, struct chan_peer_info *out)
{
    const struct dchan_peer *known = dchan_session_peer(conn->session);
    char text[NETADDR_TEXT_MAX];
    out->inbound = conn->role == DCHAN_RESPONDER;
    out->translated = known->translated;
    out->provisional = known->provisional;
    out->binding = known->binding;
    out->has_anchor = conn->has_anchor;
    memcpy(out->anchor, conn->anchor, sizeof out->anchor);
    out->version = known->version;
    out->streams = conn->mux ? dchan_mux_stats(conn->mux)->streams : 0;
    out->stats = dchan_session_stats(conn->session);
    out->up_unix_ms = channels_unix_ms() - (channels_now(conn->c) - out->stats.up_ms);
    memcpy(out->agent, conn->agent, sizeof out->agent);
    if (!conn->pipe)
        snprintf(out->address, sizeof out->address, "%s",
                 netaddr_print(text, &conn->remote, NETADDR_WITH_PORT));
}

void chan_peer_get_info(struct chan_peer *p, struct chan_peer_info *out)
{
    const uint64_t now = channels_now(p->c);
    *out = (struct chan_peer_info){ .state = state_of(p), .contact = chan_peer_contact(p) };
    memcpy(out->key, p->key, sizeof out->key);
    memcpy(out->identity, p->identity->name, sizeof out->identity);
    memcpy(out->last_error, p->last_error, sizeof out->last_error);
    if (p->newest)
        session_info(p->newest, out);
    if (p->wanted && !p->dial && p->next_dial_ms > now)
        out->next_dial_ms = p->next_dial_ms - now;
}

struct dchan_session *peer_session(const struct chan_peer *p)
{
    return p->newest ? p->newest->session : NULL;
}
