/*
 * Which inbound peer leaves when all slots are taken (spec p2p 7.2, attacks D7).
 *
 * Several properties that an attacker cannot have all at once protect a few peers each; of the
 * rest, the most crowded group gives up its youngest. Pure function, any thread: equal input and
 * key give an equal answer.
 */
#ifndef P2P_EVICTION_H
#define P2P_EVICTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/netaddr.h"

struct siphash_key;

struct eviction_candidate {
    uint64_t peer_id;
    struct netaddr addr;
    int64_t connected_ms;    /* when, on any one clock */
    int64_t min_ping_us;     /* -1: none measured */
    int64_t last_tx_ms;      /* last transaction new to us; 0: none */
    int64_t last_block_ms;   /* last block new to us; 0: none */
    bool whitelisted;        /* never evicted */
    bool authenticated;      /* proved a BCA identity: 4 longest-connected of them are protected */
};

/* Peers protected by each property. */
#define EVICTION_KEEP_GROUPS 4
#define EVICTION_KEEP_PING 8
#define EVICTION_KEEP_TX 4
#define EVICTION_KEEP_BLOCK 4
#define EVICTION_KEEP_AUTHENTICATED 4

/* False: nobody may be evicted, refuse the new connection. key: random, one per process. */
bool eviction_select(const struct eviction_candidate *c, size_t n, const struct siphash_key *key,
                     uint64_t *peer_id);

#endif
