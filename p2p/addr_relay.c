/* Addresses in and out, our own among them: spec p2p 7.4; attacks C15, C18, D5, D6. */
#include "p2p/net_internal.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define FLUSH_MEAN_MS 30000.0
#define OWN_MEAN_MS 34560000.0
#define RELAY_MAX_ENTRIES 10
#define RELAY_FRESH_S 600
#define RELAY_PEERS 2
#define FUTURE_MAX_S 600
#define TIME_SANE INT64_C(100000000)
#define UNKNOWN_AGE_S (5 * 86400)
#define DAY_S 86400

/* --- what a peer knows already: a cache of hashes, forgetting is harmless --- */

static uint64_t addr_hash(const struct net *net, const struct netaddr *a)
{
    uint8_t key[18];
    memcpy(key, a->ip, 16);
    le16_put(key + 16, a->port);
    return siphash(&net->hash_key, key, sizeof(key));
}

static void mark_known(struct peer *p, const struct netaddr *a)
{
    uint64_t h = addr_hash(p->net, a);
    if (p->addr_known == NULL)
        p->addr_known = xcalloc(ADDR_KNOWN_SLOTS, sizeof(*p->addr_known));
    p->addr_known[h % ADDR_KNOWN_SLOTS] = h;
}

static bool is_known(const struct peer *p, const struct netaddr *a)
{
    uint64_t h = addr_hash(p->net, a);
    return p->addr_known != NULL && p->addr_known[h % ADDR_KNOWN_SLOTS] == h;
}

/* --- out --- */

void peer_queue_addr(struct peer *p, const struct peer_addr *pa)
{
    if (p->state == PEER_CLOSING || is_known(p, &pa->addr))
        return;
    if (p->addr_queue == NULL)
        p->addr_queue = xcalloc(ADDR_QUEUE_MAX, sizeof(*p->addr_queue));
    size_t at =
        p->n_addr_queue < ADDR_QUEUE_MAX ? p->n_addr_queue++ : (size_t)rand_below(ADDR_QUEUE_MAX);
    p->addr_queue[at] = *pa;
}

void peer_flush_addrs(struct peer *p, int64_t now_ms)
{
    if (now_ms >= p->next_own_addr_ms) {
        p->next_own_addr_ms = now_ms + (int64_t)rand_exp(OWN_MEAN_MS);
        peer_advertise_self(p);
    }
    if (now_ms < p->next_addr_ms)
        return;
    p->next_addr_ms = now_ms + (int64_t)rand_exp(FLUSH_MEAN_MS);
    if (p->n_addr_queue == 0)
        return;
    for (size_t i = 0; i < p->n_addr_queue; i++)
        mark_known(p, &p->addr_queue[i].addr);
    struct buf b;
    buf_init(&b);
    msg_addr_write(&b, p->addr_queue, p->n_addr_queue);
    peer_send_buf(p, MSG_ADDR, &b);
    free(p->addr_queue);
    p->addr_queue = NULL;
    p->n_addr_queue = 0;
}

/* --- in --- */

/* Among inbound peers, two that stay the same for a day, so that asking again shows nothing new. */
static void relay_addr(struct net *net, const struct peer *from, const struct peer_addr *pa)
{
    size_t want = (net->networks & netaddr_network(&pa->addr)) ? RELAY_PEERS : 1;
    struct peer *best[RELAY_PEERS] = { NULL };
    uint64_t best_hash[RELAY_PEERS] = { 0 };
    uint64_t base = addr_hash(net, &pa->addr);
    uint64_t day = ((uint64_t)clock_now() + base % DAY_S) / DAY_S;
    for (size_t i = 0; i < net->n_peers; i++) {
        struct peer *p = net->peers[i];
        if (!peer_is_inbound(p) || p->state != PEER_READY || p == from)
            continue;
        uint64_t key[3] = { base, day, p->id };
        uint64_t h = siphash(&net->hash_key, key, sizeof(key));
        size_t at = h > best_hash[0] ? 0 : 1;
        if (at >= want || h <= best_hash[at])
            continue;
        if (at == 0) {
            best[1] = best[0];
            best_hash[1] = best_hash[0];
        }
        best[at] = p;
        best_hash[at] = h;
    }
    for (size_t i = 0; i < want; i++)
        if (best[i] != NULL)
            peer_queue_addr(best[i], pa);
}

static int64_t sane_time(int64_t t, int64_t now)
{
    return t <= TIME_SANE || t > now + FUTURE_MAX_S ? now - UNKNOWN_AGE_S : t;
}

static void take_addr(struct peer *p, struct peer_addr *pa, bool may_relay, int64_t now)
{
    struct net *net = p->net;
    bool own = netaddr_same_ip(&pa->addr, &p->addr);
    if (!(pa->services & SERVICE_NETWORK))
        return;
    /* attacks D5: what was asked for was granted beforehand */
    if (!p->whitelisted && !ratelimit_take(&p->addr_limit, 1, clock_mono_ms()))
        return;
    pa->time = sane_time(pa->time, now);
    mark_known(p, &pa->addr);
    if (!netaddr_is_routable(&pa->addr) || banlist_is_banned(net->bans, &pa->addr, now))
        return;
    if (may_relay && pa->time > now - RELAY_FRESH_S)
        relay_addr(net, p, pa);
    if (net->networks & netaddr_network(&pa->addr))
        (void)addrman_add(net->book, pa, &p->addr, own ? 0 : ADDRMAN_GOSSIP_PENALTY_S, now);
}

enum msg_result on_addr(struct peer *p, struct span payload)
{
    size_t n;
    enum err rc = msg_addr_read(p->net->addr_buf, &n, payload);
    if (rc != OK)
        return rc == ERR_RANGE ? MSG_TOO_LARGE : MSG_MALFORMED;
    bool asked = p->getaddr_sent;
    bool only_own = peer_is_inbound(p) && !asked;
    bool may_relay = !asked && n <= RELAY_MAX_ENTRIES;
    int64_t now = clock_now();
    p->getaddr_sent = false;
    for (size_t i = 0; i < n; i++) {
        struct peer_addr *pa = &p->net->addr_buf[i];
        /* spec p2p 7.4: from an inbound peer unasked, only its own address counts */
        if (!only_own || netaddr_same_ip(&pa->addr, &p->addr))
            take_addr(p, pa, may_relay, now);
    }
    if (p->kind == PEER_ONESHOT && n > 1) /* a single one is the peer's own */
        peer_disconnect(p, "addresses received");
    return MSG_DONE;
}

enum msg_result on_getaddr(struct peer *p, struct span payload)
{
    (void)payload;
    if (!peer_is_inbound(p) || p->getaddr_answered)
        return MSG_DONE;
    p->getaddr_answered = true;
    struct peer_addr *sample = p->net->addr_buf;
    struct netaddr listening = p->local;
    size_t n = addrman_sample(p->net->book, &listening, clock_now(), sample);
    for (size_t i = 0; i < n; i++)
        if (!banlist_is_banned(p->net->bans, &sample[i].addr, clock_now()))
            peer_queue_addr(p, &sample[i]);
    p->next_addr_ms = clock_mono_ms();
    return MSG_DONE;
}

/* --- our own --- */

void local_add(struct net *net, const struct netaddr *a, int score)
{
    if (!netaddr_is_routable(a) || !(net->networks & netaddr_network(a)))
        return;
    for (size_t i = 0; i < net->n_local; i++) {
        if (!netaddr_equal(&net->local[i].addr, a))
            continue;
        if (net->local[i].score < score)
            net->local[i].score = score;
        return;
    }
    if (net->n_local == LOCAL_ADDR_MAX)
        return;
    net->local[net->n_local++] = (struct local_addr){ *a, score };
    char name[NETADDR_TEXT_MAX];
    log_info("own address %s", netaddr_print(name, a, NETADDR_WITH_PORT));
}

void local_discover(struct net *net)
{
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0)
        return;
    for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        struct netaddr a;
        if (i->ifa_addr == NULL || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
            continue;
        if (!netaddr_from_sockaddr(&a, i->ifa_addr))
            continue;
        a.port = net->c.port;
        local_add(net, &a, 1);
    }
    freeifaddrs(list);
}

/* The best of ours in the network the peer is in; what the peer sees may stand in for it. */
static bool own_address_for(struct peer *p, struct netaddr *out)
{
    const struct net *net = p->net;
    enum network family = netaddr_network(&p->addr);
    int best = 0;
    for (size_t i = 0; i < net->n_local; i++) {
        if (netaddr_network(&net->local[i].addr) != family || net->local[i].score <= best)
            continue;
        best = net->local[i].score;
        *out = net->local[i].addr;
    }
    /* spec p2p 7.4: one time in 2, or 8 when the user gave the address */
    bool believe = p->seen_as.port != 0 && rand_below(best >= 4 ? 8 : 2) == 0;
    if (best > 0 && !believe)
        return true;
    if (p->seen_as.port == 0 || !netaddr_is_routable(&p->seen_as))
        return best > 0;
    *out = p->seen_as;
    if (!peer_is_inbound(p) || best > 0)
        out->port = net->c.port;
    return true;
}

void peer_advertise_self(struct peer *p)
{
    struct net *net = p->net;
    if (net->n_listeners == 0 || p->kind == PEER_FEELER)
        return;
    if (net->h.in_initial_sync != NULL && net->h.in_initial_sync(net->h.ctx))
        return;
    struct peer_addr pa = { .services = net->c.services, .time = clock_now() };
    if (own_address_for(p, &pa.addr))
        peer_queue_addr(p, &pa);
}

/* --- clocks of others: reported, never used (attacks C15) --- */

void peer_note_time(struct peer *p, int64_t their_time)
{
    struct net *net = p->net;
    int64_t offset;
    if (__builtin_sub_overflow(their_time, clock_now(), &offset))
        return;
    p->time_offset = offset;
    if (net->n_time_samples == TIME_SAMPLES_MAX)
        return;
    for (size_t i = 0; i < net->n_time_samples; i++)
        if (netaddr_same_ip(&net->time_samples[i].from, &p->addr))
            return;
    net->time_samples[net->n_time_samples].from = p->addr;
    net->time_samples[net->n_time_samples++].offset = offset;
    int64_t median = net_time_offset(net);
    if (net->n_time_samples >= 5 && (median > 4200 || median < -4200))
        LOG_LIMITED(LOG_WARN,
                    "the clocks of %zu peers differ from ours by %lld s: check date and time",
                    net->n_time_samples, (long long)median);
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

int64_t net_time_offset(const struct net *net)
{
    int64_t v[TIME_SAMPLES_MAX];
    size_t n = net->n_time_samples;
    if (n < 5) /* spec p2p 2.6 */
        return 0;
    for (size_t i = 0; i < n; i++)
        v[i] = net->time_samples[i].offset;
    qsort(v, n, sizeof(v[0]), compare_i64);
    return v[n / 2];
}
