#include "p2p/dns_seed.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "p2p/fixed_seeds.h"
#include "p2p/resolve.h"

#define DAY_S INT64_C(86400)

/* spec p2p 1.1 */
static const char *const main_hosts[] = {
    "seed.bitcoinsv.io", "seed.satoshisvision.network", "seed.bitcoinseed.directory",
};
static const char *const test_hosts[] = {
    "testnet-seed.bitcoinsv.io", "testnet-seed.bitcoincloud.net",
    "testnet-seed.bitcoinseed.directory",
};
static const char *const stn_hosts[] = {
    "stn-seed.bitcoinsv.io", "stn-seed.bitcoinseed.directory",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    const char *const *hosts;
    size_t n_hosts;
    const struct fixed_seed *fixed;
    size_t n_fixed;
} seed_nets[] = {
    [SEEDS_MAIN] = { main_hosts, COUNT(main_hosts), fixed_seeds_main, FIXED_SEEDS_MAIN },
    [SEEDS_TEST] = { test_hosts, COUNT(test_hosts), fixed_seeds_test, FIXED_SEEDS_TEST },
    [SEEDS_STN] = { stn_hosts, COUNT(stn_hosts), NULL, 0 },
    [SEEDS_REGTEST] = { NULL, 0, NULL, 0 },
};

const char *const *dns_seed_hosts(enum seed_net net, size_t *n)
{
    *n = seed_nets[net].n_hosts;
    return seed_nets[net].hosts;
}

size_t fixed_seeds_count(enum seed_net net)
{
    return seed_nets[net].n_fixed;
}

static int64_t aged(int64_t now, int64_t min_days, int64_t max_days)
{
    return now - min_days * DAY_S - (int64_t)rand_below((uint64_t)((max_days - min_days) * DAY_S));
}

void fixed_seed_get(enum seed_net net, size_t i, int64_t now, struct peer_addr *out)
{
    const struct fixed_seed *s = &seed_nets[net].fixed[i];
    uint8_t ip[4];
    be32_put(ip, s->ipv4);
    netaddr_from_ipv4(&out->addr, ip, s->port);
    out->services = 1; /* NODE_NETWORK */
    out->time = aged(now, 7, 14);
}

size_t dns_seed_digest(const struct dns_seed_options *o, const struct netaddr *in, size_t n,
                       struct peer_addr out[DNS_SEED_MAX_PER_HOST])
{
    size_t kept = 0, seen = 0;
    for (size_t i = 0; i < n; i++) {
        struct peer_addr pa = { .addr = in[i], .services = o->services };
        if (!(netaddr_network(&in[i]) & o->networks))
            continue;
        pa.addr.port = o->port;
        pa.time = aged(o->now, 3, 7);
        /* reservoir: of a longer answer each address has the same chance (D8) */
        size_t at = kept < DNS_SEED_MAX_PER_HOST ? kept++ : rand_below(seen + 1);
        if (at < DNS_SEED_MAX_PER_HOST)
            out[at] = pa;
        seen++;
    }
    return kept;
}

void dns_seed_source(const char *host, struct netaddr *out)
{
    /* Any global /32 of its own: all unroutable addresses would be one group. */
    uint8_t digest[32], ip[16] = { 0x2a };
    sha256(digest, host, strlen(host));
    memcpy(ip + 1, digest, 15);
    netaddr_from_ipv6(out, ip, 0);
}

struct dns_seeder {
    struct resolver *resolver;
    struct dns_seed_options options;
    struct dns_seed_events events;
    size_t waiting, answered, addresses;
};

static void on_resolved(void *ctx, const char *host, const struct netaddr *addrs, size_t n,
                        const struct error *e)
{
    struct dns_seeder *s = ctx;
    struct peer_addr out[DNS_SEED_MAX_PER_HOST];
    struct netaddr source;
    size_t kept = dns_seed_digest(&s->options, addrs, n, out);
    if (e)
        log_debug(LOGC_NET, "DNS seed %s: %s", host, e->text);
    else
        log_debug(LOGC_NET, "DNS seed %s: %zu addresses, %zu used", host, n, kept);
    s->waiting--;
    s->answered += !e;
    s->addresses += kept;
    if (kept) {
        dns_seed_source(host, &source);
        s->events.found(s->events.ctx, host, out, kept, &source);
    }
    if (s->waiting == 0 && s->events.done)
        s->events.done(s->events.ctx, s->answered, s->addresses); /* may free s */
}

struct dns_seeder *dns_seeder_start(struct resolver *r, const struct dns_seed_options *o,
                                    const struct dns_seed_events *ev)
{
    struct dns_seeder *s = xcalloc(1, sizeof *s);
    struct error e;
    *s = (struct dns_seeder){ .resolver = r, .options = *o, .events = *ev };
    for (size_t i = 0; i < o->n_hosts; i++) {
        if (resolver_lookup(r, o->hosts[i], o->port, on_resolved, s, &e) == OK)
            s->waiting++;
        else
            log_debug(LOGC_NET, "DNS seed %s: %s", o->hosts[i], e.text);
    }
    if (s->waiting)
        return s;
    free(s);
    return NULL;
}

void dns_seeder_free(struct dns_seeder *s)
{
    if (!s)
        return;
    resolver_cancel(s->resolver, s);
    free(s);
}
