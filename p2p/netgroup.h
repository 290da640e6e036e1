/*
 * Groups of addresses that one party may well own (spec p2p 7.5, attacks D4).
 *
 * For buckets and outbound diversity: IPv6 /32 (he.net 2001:470::/32: /36), tunnels and IPv4 by the
 * IPv4 /16, everything unroutable in one group. For limits per source: IPv6 /48; for bans: IPv6
 * /64; both IPv4 /32. Pure functions, any thread.
 */
#ifndef P2P_NETGROUP_H
#define P2P_NETGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct netaddr;
struct siphash_key;
struct subnet;

/* Comparable key; unused bytes are zero, so memcmp and hashing of the whole struct work. */
struct netgroup { uint8_t b[9]; }; /* kind, then up to 64 bits of prefix */

enum netgroup_use {
    NETGROUP_DIVERSITY, /* address buckets, one outbound connection per group */
    NETGROUP_LIMIT,     /* connections and work per source */
    NETGROUP_BAN,       /* what one automatic ban covers */
};

struct netgroup netgroup_of(const struct netaddr *a, enum netgroup_use use);
bool netgroup_equal(const struct netgroup *a, const struct netgroup *b);
/* For tables keyed by groups: others choose the addresses (attacks C20). */
uint64_t netgroup_hash(const struct netgroup *g, const struct siphash_key *key);
/* The prefix an automatic ban of this address covers: IPv6 /64, IPv4 /32. */
void netgroup_ban_subnet(struct subnet *out, const struct netaddr *a);

#endif
