/*
 * Address book of possible peers: who may be dialled next (spec p2p 7.3, attacks D1 D5 D6 C18).
 *
 * Addresses heard of are in the "new" table (1024 buckets of 64), those we connected to in "tried"
 * (256 of 64). Buckets are chosen by a secret key, the group of the address and, for new, the
 * group of its source, so that one source or one group reaches only few buckets. A tried entry
 * is not pushed out before a feeler has tested it. A target is drawn by group rather than by
 * address, as addresses inside a group are cheap. There is one entry per IP. Memory is bounded by
 * the tables (about 10 MB). Loop thread only; times are seconds since 1970.
 */
#ifndef P2P_ADDRMAN_H
#define P2P_ADDRMAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "p2p/netaddr.h"

struct addrman;
struct buf;

#define ADDRMAN_NEW_BUCKETS 1024
#define ADDRMAN_TRIED_BUCKETS 256
#define ADDRMAN_BUCKET_SIZE 64
#define ADDRMAN_MAX_ENTRIES ((ADDRMAN_NEW_BUCKETS + ADDRMAN_TRIED_BUCKETS) * ADDRMAN_BUCKET_SIZE)
/* Most addresses in one answer to getaddr (one addr message). */
#define ADDRMAN_SAMPLE_MAX 1000
/* Time between two dials of one address, and the least that a query may ask for (D6). */
#define ADDRMAN_DIAL_INTERVAL_S 600
#define ADDRMAN_DIAL_INTERVAL_MIN_S 60
/* Penalty taken from the time of gossiped addresses; 0 for what a peer says of itself. */
#define ADDRMAN_GOSSIP_PENALTY_S 7200

size_t addrman_memory(const struct addrman *am); /* bytes */
/* secret: 32 bytes, or NULL for random ones. */
struct addrman *addrman_new(const uint8_t *secret);
void addrman_free(struct addrman *am);

/* -onlynet: mask of enum network. Others are neither stored, nor selected, nor told. */
void addrman_set_networks(struct addrman *am, unsigned mask);

/*
 * Stores what source told us; false when it was refused, known already or lost the draw for a
 * further bucket. The caller has applied its token bucket (D5) and the rules of spec p2p 7.4.
 */
bool addrman_add(struct addrman *am, const struct peer_addr *pa, const struct netaddr *source,
                 int64_t penalty_s, int64_t now);

enum addrman_count { ADDRMAN_COUNT_FAILURE, ADDRMAN_KEEP_COUNT };
/* A dial starts. Count failures only while enough other groups are connected (spec p2p 7.1). */
void addrman_attempt(struct addrman *am, const struct netaddr *a, enum addrman_count count,
                     int64_t now);
/* A handshake succeeded: goes to tried, or waits until the entry in its place was tested. */
void addrman_good(struct addrman *am, const struct netaddr *a, int64_t now);
/* A connection is or was up: refreshes the time, at most every 20 minutes. */
void addrman_connected(struct addrman *am, const struct netaddr *a, int64_t now);
void addrman_set_services(struct addrman *am, const struct netaddr *a, uint64_t services);

struct addrman_choice {
    struct peer_addr pa;
    int64_t last_try, last_success; /* 0: never */
    bool tried;                     /* which table it came from */
};

enum addrman_table { ADDRMAN_ANY, ADDRMAN_NEW };

struct addrman_query {
    enum addrman_table table;
    uint64_t services;  /* all of these bits are required */
    int64_t interval_s; /* not tried for so long; 0: ADDRMAN_DIAL_INTERVAL_S */
    uint16_t prefer_port; /* other ports only when no address with this one qualifies; 0: any */
    /* Caller's filter (own address, group connected already ...); NULL: none. */
    bool (*accept)(void *ctx, const struct addrman_choice *c);
    void *ctx;
};

/*
 * A random address to dial; false when none qualifies. An address that was dialled within the
 * interval is never returned, so the caller must call addrman_attempt when it dials.
 */
bool addrman_select(struct addrman *am, const struct addrman_query *q, int64_t now,
                    struct addrman_choice *out);
/*
 * What the next feeler shall dial: a tried entry in whose place another one waits (D1), else one
 * from new that satisfies q. Resolves collisions whose test is over first.
 */
bool addrman_select_feeler(struct addrman *am, const struct addrman_query *q, int64_t now,
                           struct addrman_choice *out);
/* Decides waiting collisions; call once a minute or so. */
void addrman_resolve_collisions(struct addrman *am, int64_t now);

/*
 * Answer to getaddr: 23 % of what we know, at most ADDRMAN_SAMPLE_MAX, without bad entries. The
 * answer is drawn once per listening address and stays for about a day (C18), whoever asks.
 * out holds ADDRMAN_SAMPLE_MAX. Returns how many.
 */
size_t addrman_sample(struct addrman *am, const struct netaddr *listening, int64_t now,
                      struct peer_addr *out);

struct addrman_stats {
    size_t n_new, n_tried, n_collisions;
    size_t n_ipv4, n_ipv6;
    uint64_t offered, stored; /* calls of addrman_add, and those that made or spread an entry */
};
void addrman_get_stats(const struct addrman *am, struct addrman_stats *s);
static inline size_t addrman_total(const struct addrman_stats *s) { return s->n_new + s->n_tried; }

/*
 * File (peers.dat). Load: a missing file leaves the book empty; a file of another version, another
 * network or with damage is renamed to PATH.bad with a warning and the book starts empty. Both OK.
 * magic: the network's disk magic.
 */
enum err addrman_load(struct addrman *am, const char *path, const uint8_t magic[4], int64_t now,
                      struct error *e) MUST_CHECK;
enum err addrman_store(const struct addrman *am, const char *path, const uint8_t magic[4],
                       struct error *e) MUST_CHECK;
/* The content without its checksum: state_file_commit writes it, on another thread if need be. */
void addrman_encode(const struct addrman *am, const uint8_t magic[4], struct buf *out);
/* Replaces the book's content (with checksum); on ERR_CORRUPT of the entries it is empty after. */
enum err addrman_decode(struct addrman *am, const void *data, size_t len, const uint8_t magic[4],
                        int64_t now, struct error *e) MUST_CHECK;

#endif
