/* version, verack, protoconf: spec p2p 2. */
#include "p2p/net_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define ASSOCIATION_SIZE 17 /* type byte 0 and a 16-byte id */

void peer_send_version(struct peer *p)
{
    const struct net *net = p->net;
    struct msg_version m = {
        .version = MSG_PROTOCOL_VERSION,
        .services = net->c.services,
        .time = clock_now(),
        .from = { .services = net->c.services },
        .nonce = p->nonce,
        .user_agent = span_of(net->c.user_agent, strlen(net->c.user_agent)),
        .start_height = net->h.height != NULL ? net->h.height(net->h.ctx) : 0,
        .relay = net->c.relay_tx,
    };
    /* spec p2p 2.1: its address if it can be routed and no proxy is in between, else zero */
    if (!net->has_proxy && netaddr_is_routable(&p->addr)) {
        m.to.services = p->services;
        m.to.addr = p->addr;
    }
    struct buf b;
    buf_init(&b);
    msg_version_write(&b, &m);
    p->sent_version = true;
    peer_send_buf(p, MSG_VERSION, &b);
}

static void send_protoconf(struct peer *p)
{
    struct buf b;
    buf_init(&b);
    msg_protoconf_write(&b, p->net->c.max_protocol_payload, "Default");
    peer_send_buf(p, MSG_PROTOCONF, &b);
}

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text != '\0'; text++) {
        size_t i = 0;
        while (i < n && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == n && n > 0)
            return true;
    }
    return false;
}

static bool contains_any(const char *text, const struct net_strings *parts)
{
    for (size_t i = 0; i < parts->n; i++)
        if (contains(text, parts->v[i]))
            return true;
    return false;
}

/* spec p2p 2.4: the allowed list wins over the banned one */
static bool agent_is_banned(const struct peer *p)
{
    const struct net_config *c = &p->net->c;
    return contains_any(p->user_agent, &c->banned_agents) &&
           !contains_any(p->user_agent, &c->allowed_agents);
}

/* spec p2p 2.3: it carries the nonce of a connection that we are just opening */
static bool is_self(const struct peer *p, uint64_t nonce)
{
    if (!peer_is_inbound(p))
        return false;
    for (size_t i = 0; i < p->net->n_peers; i++) {
        const struct peer *q = p->net->peers[i];
        if (!peer_is_inbound(q) && q->sent_version && !q->announced && q->nonce == nonce)
            return true;
    }
    return false;
}

static void refuse(struct peer *p, enum reject_code code, const char *reason)
{
    peer_send_reject(p, MSG_VERSION, code, reason, NULL);
    peer_flush(p); /* it shall see why */
    peer_disconnect(p, reason);
}

static bool association_is_valid(struct span id)
{
    return id.len == 0 || (id.len == ASSOCIATION_SIZE && id.data[0] == 0);
}

/* True when the connection may go on. */
static bool version_is_welcome(struct peer *p, const struct msg_version *m)
{
    if (is_self(p, m->nonce)) {
        peer_disconnect(p, "connected to self");
        return false;
    }
    if (!peer_is_inbound(p) && (m->services & p->expected_services) != p->expected_services) {
        char reason[64];
        snprintf(reason, sizeof(reason), "Expected to offer services %08llx",
                 (unsigned long long)p->expected_services);
        addrman_set_services(p->net->book, &p->addr, m->services);
        peer_send_reject(p, MSG_VERSION, REJECT_CODE_NONSTANDARD, reason, NULL);
        peer_flush(p);
        peer_disconnect(p, "does not offer the expected services");
        return false;
    }
    if (m->version < MSG_VERSION_MIN) {
        refuse(p, REJECT_CODE_OBSOLETE, "Version must be 31800 or greater");
        return false;
    }
    if (!association_is_valid(m->association)) {
        refuse(p, REJECT_CODE_STREAM_SETUP, "Badly formatted association ID");
        return false;
    }
    if (agent_is_banned(p)) {
        peer_misbehave(p, p->net->c.ban_score, "user agent is banned");
        return p->state != PEER_CLOSING;
    }
    return true;
}

static void remember_version(struct peer *p, const struct msg_version *m)
{
    p->got_version = true;
    p->their_version = m->version;
    p->version = m->version < MSG_PROTOCOL_VERSION ? m->version : MSG_PROTOCOL_VERSION;
    p->services = m->services;
    p->start_height = m->start_height;
    p->relay = m->relay;
    log_sanitize(p->user_agent, sizeof(p->user_agent), m->user_agent.data, m->user_agent.len);
    if (netaddr_is_routable(&m->to.addr) && m->to.addr.port != 0)
        p->seen_as = m->to.addr;
}

static void answer_version(struct peer *p)
{
    if (peer_is_inbound(p))
        peer_send_version(p);
    peer_send(p, MSG_VERACK, NULL, 0);
    send_protoconf(p);
    if (peer_is_inbound(p))
        return;
    peer_send(p, MSG_GETADDR, NULL, 0);
    p->getaddr_sent = true;
    ratelimit_grant(&p->addr_limit, MSG_ADDR_MAX);
    peer_advertise_self(p);
}

enum msg_result on_version(struct peer *p, struct span payload)
{
    if (p->got_version) {
        peer_send_reject(p, MSG_VERSION, REJECT_CODE_DUPLICATE, "Duplicate version message", NULL);
        peer_misbehave(p, 1, "second version message");
        return MSG_DONE;
    }
    struct msg_version m;
    if (msg_version_read(&m, payload) != OK) {
        refuse(p, REJECT_CODE_STREAM_SETUP, "error parsing message");
        return MSG_DONE;
    }
    remember_version(p, &m);
    if (!version_is_welcome(p, &m))
        return MSG_DONE;
    peer_note_time(p, m.time);
    if (!peer_is_inbound(p) && p->addr.port != 0) {
        addrman_good(p->net->book, &p->addr, clock_now());
        addrman_set_services(p->net->book, &p->addr, m.services);
    }
    if (p->kind == PEER_FEELER) {
        peer_disconnect(p, "feeler: it answers");
        return MSG_DONE;
    }
    p->state = PEER_WAIT_VERACK;
    answer_version(p);
    return MSG_DONE;
}

enum msg_result on_verack(struct peer *p, struct span payload)
{
    (void)payload;
    if (p->state == PEER_WAIT_VERACK)
        peer_become_ready(p);
    return MSG_DONE;
}

/* spec p2p 3: once per connection, at least one field, at least 1 MiB */
enum msg_result on_protoconf(struct peer *p, struct span payload)
{
    struct msg_protoconf m;
    if (p->got_protoconf)
        peer_disconnect(p, "second protoconf");
    else if (msg_protoconf_read(&m, payload) != OK || m.n_fields == 0)
        peer_disconnect(p, "broken protoconf");
    else if (m.max_recv_payload < MSG_RECV_PAYLOAD_MIN)
        peer_disconnect(p, "protoconf with too small a limit");
    else
        p->max_recv_payload = m.max_recv_payload;
    p->got_protoconf = true;
    return MSG_DONE;
}

/* spec p2p 4: we offer no associations, so nobody can have an id to attach a stream to */
enum msg_result on_createstrm(struct peer *p, struct span payload)
{
    (void)payload;
    bool late = p->got_version;
    enum msg_id id = p->row->id;
    peer_send_reject(p, id, late ? REJECT_CODE_NONSTANDARD : REJECT_CODE_STREAM_SETUP,
                     "no such association", NULL);
    peer_flush(p);
    peer_disconnect(p, "stream set-up is not supported");
    return MSG_DONE;
}
