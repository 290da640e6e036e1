/*
 * First addresses: DNS seeds and the compiled-in list (spec p2p 1.1, 7.1, consensus 1.6; D8).
 *
 * Seeds give addresses only. Each seed's answer is capped, so that one seed cannot fill the
 * book, and each address gets an age of 3 to 7 days so that fresh gossip wins over it. The fixed
 * list is for an address book that is still empty 60 s after the start. Loop thread only.
 */
#ifndef P2P_DNS_SEED_H
#define P2P_DNS_SEED_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "p2p/netaddr.h"

struct dns_seeder;
struct resolver;

enum seed_net { SEEDS_MAIN, SEEDS_TEST, SEEDS_STN, SEEDS_REGTEST };

#define DNS_SEED_MAX_PER_HOST 64
#define DNS_SEED_WAIT_S 11         /* start delay when the book has entries (spec p2p 7.1) */
#define FIXED_SEEDS_WAIT_S 60

/* Hosts of a network; *n may be 0. */
const char *const *dns_seed_hosts(enum seed_net net, size_t *n);

/* source: a made-up address per seed, so that each seed fills its own buckets. */
struct dns_seed_events {
    void (*found)(void *ctx, const char *host, const struct peer_addr *addrs, size_t n,
                  const struct netaddr *source);
    void (*done)(void *ctx, size_t hosts_answered, size_t addresses); /* all hosts are through */
    void *ctx;
};

struct dns_seed_options {
    const char *const *hosts;
    size_t n_hosts;
    uint16_t port;      /* the network's port, given to every result */
    uint64_t services;  /* what a seed's results are taken to offer: NODE_NETWORK */
    unsigned networks;  /* mask of enum network (-onlynet) */
    int64_t now;        /* seconds since 1970 */
};

/* Asks all hosts. NULL: there is nobody to ask, no event comes. The resolver must outlive it. */
struct dns_seeder *dns_seeder_start(struct resolver *r, const struct dns_seed_options *o,
                                    const struct dns_seed_events *ev);
/* Also in `done`, not in `found`; no event comes after. */
void dns_seeder_free(struct dns_seeder *s);

/* Makes one seed's answer fit for the address book: filter, draw, ages. Returns how many. */
size_t dns_seed_digest(const struct dns_seed_options *o, const struct netaddr *in, size_t n,
                       struct peer_addr out[DNS_SEED_MAX_PER_HOST]);
/* The made-up source of a seed's results: a group of its own for each host. */
void dns_seed_source(const char *host, struct netaddr *out);

/* Fixed list: number, and the i-th with an age of 7 to 14 days. */
size_t fixed_seeds_count(enum seed_net net);
void fixed_seed_get(enum seed_net net, size_t i, int64_t now, struct peer_addr *out);

#endif
