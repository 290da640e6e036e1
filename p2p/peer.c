/* A peer's life: creation, becoming ready, timeouts, judging, the end. */
#include "p2p/net_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/causes.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define ONESHOT_MS 60000
#define PROXY_PATIENCE 4          /* times the connect timeout: it connects for us */
#define DRIP_MS 1000             /* see peer_tick */
#define SLOW_MESSAGE_MS 120000   /* attacks C7: after this long a payload must have come at */
#define SLOW_MESSAGE_RATE 4096   /* this many bytes a second on average */
#define OWN_ADDR_MEAN_MS 34560000.0 /* spec p2p 7.4 */

static void set_name(struct peer *p)
{
    netaddr_print(p->name, &p->addr, NETADDR_WITH_PORT);
}

struct peer *peer_new(struct net *net, enum peer_kind kind, int fd, const struct netaddr *addr)
{
    struct peer *p = xcalloc(1, sizeof(*p));
    p->net = net;
    p->id = ++net->next_id;
    p->kind = kind;
    p->state = PEER_CONNECTING;
    p->fd = fd;
    p->addr = *addr;
    p->group = netgroup_of(addr, NETGROUP_DIVERSITY);
    p->mempool_sync = net_is_mempool_sync(net, addr);
    p->nonce = rand_u64();
    p->max_recv_payload = MSG_RECV_PAYLOAD_MIN;
    p->ping_us = p->ping_min_us = -1;
    p->relay = true;
    p->started_ms = clock_mono_ms();
    p->connected_s = clock_now();
    set_name(p);
    frame_init(&p->frame, net->c.magic);
    buf_init(&p->backlog);
    ratelimit_init(&p->addr_limit, RATELIMIT_ADDR_MILLI_PER_S, RATELIMIT_ADDR_BURST, 1,
                   p->started_ms);
    p->read_ev = event_new(net->base, fd, EV_READ | EV_PERSIST, peer_on_readable, p);
    p->write_ev = event_new(net->base, fd, EV_WRITE | EV_PERSIST, peer_on_writable, p);
    net_add_peer(net, p);
    return p;
}

static void tell_node_closed(struct peer *p)
{
    const struct net_handlers *h = &p->net->h;
    if (p->streaming && h->stream_end != NULL)
        h->stream_end(h->ctx, p, STREAM_ABORTED);
    p->streaming = false;
    if (p->announced && h->on_close != NULL)
        h->on_close(h->ctx, p);
}

void peer_free(struct peer *p)
{
    tell_node_closed(p);
    if (!peer_is_inbound(p) && p->announced && p->addr.port != 0)
        addrman_connected(p->net->book, &p->addr, clock_now());
    p->net->receive_memory -= p->charged;
    peer_send_clear(p);
    if (p->read_ev != NULL)
        event_free(p->read_ev);
    if (p->write_ev != NULL)
        event_free(p->write_ev);
    if (p->fd >= 0)
        close(p->fd);
    if (p->socks != NULL)
        socks5_clear(p->socks);
    free(p->socks);
    frame_clear(&p->frame);
    buf_clear(&p->backlog);
    free(p->addr_known);
    free(p->addr_queue);
    free(p->dest);
    free(p);
}

void peer_connected(struct peer *p)
{
    int64_t now = clock_mono_ms();
    p->state = PEER_WAIT_VERSION;
    p->started_ms = p->last_recv_ms = p->last_send_ms = now;
    p->connected_s = clock_now();
    if (!peer_is_inbound(p))
        peer_send_version(p);
    net_kick(p); /* starts reading */
}

void peer_become_ready(struct peer *p)
{
    const struct net_handlers *h = &p->net->h;
    int64_t now = clock_mono_ms();
    p->state = PEER_READY;
    p->next_ping_ms = now + PING_INTERVAL_MS;
    p->ping_deadline_ms = now + p->net->c.inactivity_timeout_s * 1000;
    p->next_addr_ms = now + (int64_t)rand_exp(30000.0);
    p->next_own_addr_ms = now + (int64_t)rand_exp(OWN_ADDR_MEAN_MS);
    if (p->version >= MSG_VERSION_SENDHEADERS)
        peer_send(p, MSG_SENDHEADERS, NULL, 0);
    if (p->version >= MSG_VERSION_SENDCMPCT)
        peer_send_sendcmpct(p, false);
    peer_send_ping(p);
    if (p->kind == PEER_ONESHOT || p->state != PEER_READY)
        return;
    log_debug(LOGC_NET, "peer %llu %s: version %d, agent %s, height %d", (unsigned long long)p->id,
              peer_log_name(p), (int)p->their_version, p->user_agent, (int)p->start_height);
    p->announced = true;
    if (h->on_ready != NULL)
        h->on_ready(h->ctx, p);
}

void peer_send_ping(struct peer *p)
{
    do
        p->ping_nonce = rand_u64();
    while (p->ping_nonce == 0);
    uint8_t payload[8];
    le64_put(payload, p->ping_nonce);
    p->ping_sent_us = clock_mono_us();
    int64_t now = clock_mono_ms();
    p->next_ping_ms = now + PING_INTERVAL_MS;
    p->ping_deadline_ms = now + p->net->c.inactivity_timeout_s * 1000;
    p->ping_queued = false;
    peer_send(p, MSG_PING, payload, sizeof(payload));
}

/* --- judging --- */

void peer_disconnect(struct peer *p, const char *reason)
{
    if (p->state == PEER_CLOSING)
        return;
    log_debug(LOGC_NET, "peer %llu %s: disconnected: %s", (unsigned long long)p->id,
              peer_log_name(p), reason);
    causes_note_peer(p->net->c.causes, p->id, p->name, "disconnected: %s", reason);
    p->state = PEER_CLOSING;
    net_kick(p);
}

/* Behind a proxy a peer may be known by its name alone: a ban would hit the neighbours of "::". */
static bool address_is_known(const struct peer *p)
{
    static const uint8_t none[sizeof(p->addr.ip)];
    return memcmp(p->addr.ip, none, sizeof(none)) != 0;
}

static void ban_addr(struct peer *p)
{
    if (!address_is_known(p))
        return;
    banlist_ban_peer(p->net->bans, &p->addr, p->net->c.ban_time_s, clock_now());
    net_disconnect_banned(p->net);
}

void peer_ban_now(struct peer *p, const char *reason)
{
    LOG_LIMITED(LOG_INFO, "peer %llu %s banned: %s", (unsigned long long)p->id, peer_log_name(p),
                reason);
    causes_note_peer(p->net->c.causes, p->id, p->name, "banned: %s", reason);
    peer_disconnect(p, reason);
    if (!address_is_known(p))
        return;
    /* spec p2p 1.6: these two bans hit local addresses as well */
    banlist_ban_at_once(p->net->bans, &p->addr, p->net->c.ban_time_s, clock_now());
    if (!netaddr_is_local(&p->addr))
        net_disconnect_banned(p->net);
}

void peer_misbehave(struct peer *p, int score, const char *reason)
{
    if (score <= 0 || p->state == PEER_CLOSING)
        return;
    p->score = score > INT32_MAX - p->score ? INT32_MAX : p->score + score;
    log_debug(LOGC_NET, "peer %llu %s: score %d (+%d): %s", (unsigned long long)p->id,
              peer_log_name(p), p->score, score, reason);
    causes_note_peer(p->net->c.causes, p->id, p->name, "score %d of %d (+%d): %s", p->score,
                     p->net->c.ban_score, score, reason);
    if (p->score < p->net->c.ban_score || p->whitelisted || p->kind == PEER_MANUAL)
        return;
    p->room_wanted = false;
    peer_flush(p); /* it shall see the reject that says why */
    peer_disconnect(p, reason);
    LOG_LIMITED(LOG_INFO, "peer %llu %s misbehaved: %s", (unsigned long long)p->id,
                peer_log_name(p), reason);
    ban_addr(p);
}

void peer_note_block(struct peer *p)
{
    p->last_block_ms = clock_mono_ms();
}

void peer_note_tx(struct peer *p)
{
    p->last_tx_ms = clock_mono_ms();
}

/* --- timeouts --- */

static void tick_handshake(struct peer *p, int64_t now)
{
    const struct net_config *c = &p->net->c;
    int64_t connect_ms = c->connect_timeout_ms * (p->socks != NULL ? PROXY_PATIENCE : 1);
    if (p->state == PEER_CONNECTING && now - p->started_ms > connect_ms)
        peer_disconnect(p, "connecting took too long");
    else if (now - p->started_ms > c->handshake_timeout_s * 1000)
        peer_disconnect(p, "handshake took too long");
}

/* attacks C7: a large payload that trickles in holds memory and a slot */
static bool message_is_slow(const struct peer *p, int64_t now)
{
    int64_t took = now - p->message_start_ms;
    if (!frame_in_payload(&p->frame) || took < SLOW_MESSAGE_MS)
        return false;
    uint64_t got = p->frame.received - p->message_start_bytes;
    return got < (uint64_t)took / 1000 * SLOW_MESSAGE_RATE;
}

static void tick_silence(struct peer *p, int64_t now)
{
    int64_t limit = p->net->c.inactivity_timeout_s * 1000;
    if (now - p->last_send_ms > limit)
        peer_disconnect(p, "nothing could be sent for too long");
    else if (p->paused & PAUSE_NODE)
        return;
    else if (now - p->last_recv_ms > limit)
        peer_disconnect(p, "silent for too long");
    else if (p->ping_nonce != 0 && now > p->ping_deadline_ms)
        peer_disconnect(p, "ping not answered");
    else if (p->paused == 0 && message_is_slow(p, now))
        peer_disconnect(p, "message came too slowly");
}

/*
 * Two nodes that have each filled the other's buffers would wait for each other for ever: one read
 * a second goes on being handled, which is slow enough to be no attack (C8).
 */
static void tick_drip(struct peer *p, int64_t now)
{
    if (!(p->paused & PAUSE_SEND) || now - p->drip_ms < DRIP_MS)
        return;
    p->drip_ms = now;
    if (p->out.memory < 2 * SEND_SOFT_LIMIT)
        peer_clear_pause(p, PAUSE_SEND);
}

void peer_tick(struct peer *p, int64_t now)
{
    if (p->state == PEER_CLOSING)
        return;
    if (p->state != PEER_READY) {
        tick_handshake(p, now);
        return;
    }
    if (p->kind == PEER_ONESHOT && now - p->started_ms > ONESHOT_MS) {
        peer_disconnect(p, "addresses did not come");
        return;
    }
    tick_silence(p, now);
    tick_drip(p, now);
    if (p->ping_nonce == 0 && (p->ping_queued || now >= p->next_ping_ms))
        peer_send_ping(p);
    peer_flush_addrs(p, now);
}

/* --- what is known of it --- */

uint64_t peer_id(const struct peer *p) { return p->id; }
enum peer_kind peer_kind(const struct peer *p) { return p->kind; }
enum peer_state peer_state(const struct peer *p) { return p->state; }
bool peer_is_inbound(const struct peer *p) { return p->kind == PEER_INBOUND; }
bool peer_is_whitelisted(const struct peer *p) { return p->whitelisted; }
bool peer_is_mempool_sync(const struct peer *p) { return p->mempool_sync; }
bool peer_serves_blocks(const struct peer *p) { return (p->services & SERVICE_NETWORK) != 0; }
const char *peer_name(const struct peer *p) { return p->name; }

const char *peer_log_name(const struct peer *p) { return p->net->c.log_addresses ? p->name : "-"; }
uint64_t peer_services(const struct peer *p) { return p->services; }
int32_t peer_version(const struct peer *p) { return p->version; }
int32_t peer_start_height(const struct peer *p) { return p->start_height; }
bool peer_wants_headers(const struct peer *p) { return p->sendheaders; }
bool peer_wants_enriched(const struct peer *p)
{
    return p->sendhdrsen && !p->sendheaders && p->compact_version == 0;
}
uint32_t peer_payload_limit(const struct peer *p) { return p->max_recv_payload; }
bool peer_takes_compact(const struct peer *p) { return p->compact_version == MSG_COMPACT_VERSION; }
bool peer_wants_compact(const struct peer *p) { return p->compact_high && peer_takes_compact(p); }
struct netgroup peer_group(const struct peer *p) { return p->group; }
bool peer_relays_tx(const struct peer *p) { return p->relay; }
int64_t peer_fee_filter(const struct peer *p) { return p->fee_filter; }
uint64_t peer_bytes_received(const struct peer *p) { return p->bytes_received; }
uint64_t peer_receiving(const struct peer *p, enum msg_id id)
{
    return frame_in_payload(&p->frame) && p->row->id == id ? p->frame.received : 0;
}
void *peer_user(const struct peer *p) { return p->user; }
void peer_set_user(struct peer *p, void *user) { p->user = user; }

bool peer_is_preferred(const struct peer *p)
{
    bool passing = p->kind == PEER_ONESHOT || p->kind == PEER_FEELER;
    return (!peer_is_inbound(p) || p->whitelisted) && !passing && peer_serves_blocks(p);
}

static void fill_times(const struct peer *p, struct peer_info *info)
{
    info->last_send = p->last_send_s;
    info->last_recv = p->last_recv_s;
    info->connected = p->connected_s;
    info->time_offset = p->time_offset;
    info->ping_us = p->ping_us;
    info->ping_min_us = p->ping_min_us;
    info->ping_wait_us = p->ping_nonce != 0 ? clock_mono_us() - p->ping_sent_us : -1;
    int64_t age_ms = clock_mono_ms() - p->started_ms;
    info->receive_rate = age_ms > 0 ? p->bytes_received * 1000 / (uint64_t)age_ms : 0;
}

static void fill_traffic(const struct peer *p, struct peer_info *info)
{
    info->pause_send = (p->paused & PAUSE_SEND) != 0;
    info->pause_recv = p->paused != 0;
    info->send_size = peer_send_queue_total(p);
    info->send_memory = p->out.memory;
    info->recv_size = p->charged;
    info->bytes_sent = p->bytes_sent;
    info->bytes_received = p->bytes_received;
    for (size_t i = 0; i < MSG_ID_COUNT; i++)
        info->per_msg[i] = (struct peer_msg_bytes){ msg_row((enum msg_id)i)->name, p->msg_sent[i],
                                                    p->msg_received[i] };
}

void peer_fill_info(struct peer *p, struct peer_info *info)
{
    memset(info, 0, sizeof(*info));
    info->id = p->id;
    snprintf(info->addr, sizeof(info->addr), "%s", p->dest != NULL ? p->dest : p->name);
    if (p->seen_as.port != 0)
        netaddr_print(info->addr_local, &p->seen_as, NETADDR_WITH_PORT);
    netaddr_print(info->addr_bind, &p->local, NETADDR_WITH_PORT);
    info->services = p->services;
    info->relay_tx = p->relay;
    info->inbound = peer_is_inbound(p);
    info->addnode = p->kind == PEER_MANUAL;
    info->whitelisted = p->whitelisted;
    info->mempool_sync = p->mempool_sync;
    info->ready = p->state == PEER_READY;
    info->version = p->their_version;
    memcpy(info->user_agent, p->user_agent, sizeof(info->user_agent));
    info->start_height = p->start_height;
    info->ban_score = p->score;
    info->synced_headers = info->synced_blocks = -1;
    fill_times(p, info);
    fill_traffic(p, info);
    if (p->announced && p->net->h.fill_info != NULL)
        p->net->h.fill_info(p->net->h.ctx, p, info);
}
