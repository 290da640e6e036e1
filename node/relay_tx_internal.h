/* What the parts of relay share: relay_tx.c (state, timers), relay_tx_in.c (what peers announce and
 * send), relay_tx_results.c (what the chain says), relay_tx_out.c (announcing), relay_tx_own.c (our
 * own transactions), relay_push.c (those that money depends on), relay_tx_serve.c (getdata,
 * mempool, feefilter). Loop thread. */
#ifndef NODE_RELAY_TX_INTERNAL_H
#define NODE_RELAY_TX_INTERNAL_H

#include <stdatomic.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/recent_set.h"
#include "node/orphans.h"
#include "node/relay_push.h"
#include "node/relay_tx.h"
#include "node/trickle.h"
#include "node/tx_kept.h"
#include "node/tx_requests.h"
#include "node/tx_ring.h"
#include "p2p/ratelimit.h"

#define RELAY_TURN_US 4000   /* work in one turn of the loop; then sockets get theirs */
#define FILTER_ROUND_BYTES 65536 /* matched with a peer's bloom filter before others have a turn */
/* Orphans of one peer that are judged again at one time: each may take the time limit of a batch,
 * so that more of them would hold up all others (attacks B1). */
#define ORPHANS_AT_ONCE 4
#define OWN_FIRST_PEERS 2    /* peers that hear of our own transactions first (attacks D12) */

/* An array of inventory that grows. */
struct inv_list {
    struct inv_item *v;
    size_t n, cap;
};

/* Transactions of relay.judging, the first ones first. */
struct tx_line {
    struct tx **v;
    size_t at, end, cap;
    size_t bytes;            /* memory of the transactions */
};

/* A mempool answer on its way. */
struct mempool_answer {
    bool active;
    uint64_t after, until;   /* sequences */
    int64_t max_time;        /* of acceptance, seconds since 1970 */
};

struct relay_peer {
    struct list_link link;
    uint64_t id;
    struct peer *peer;
    struct relay *relay;
    struct recent_set known; /* transactions it has, or was told of */
    int64_t due_ms;          /* of its next round of announcements; 0: nothing to tell */

    /* What it announces and sends. */
    struct tx_announcer *announcer;
    struct orphan_owner *orphans;
    struct inv_list ask;     /* to be asked for when the turn ends */
    size_t judging, judging_bytes; /* with the chain, or waiting for that */
    size_t offered;          /* with the chain */
    struct tx_line waiting;
    int64_t cost_us;         /* CPU time of a transaction: the highest lately */
    bool paused;             /* not read because of these */
    struct txid retried[ORPHANS_AT_ONCE]; /* orphans among them */
    size_t n_retried;
    struct ratelimit refused_us; /* CPU time for what was refused */
    bool costs_too_much;     /* it was more than that */
    struct ratelimit parked; /* non-final ones taken from it (attacks B8) */
    uint64_t stream_size;    /* of a large transaction coming in; 0: none */
    struct sha256 stream_hash;
    struct buf stream;       /* its bytes, unless it is too large to be taken */
    bool stream_kept, stream_has_checksum;
    uint8_t stream_checksum[4];

    /* What it is told. */
    uint64_t place;          /* in the ring */
    struct inv_list first;   /* our own ones that it hears of before others do */
    size_t matched_bytes;    /* of transactions, with its bloom filter, in this round or part */
    bool no_room;            /* waits for relay_on_send_room */
    uint64_t told_sequence;  /* mempool entries up to here may be asked for, if young */
    uint64_t mempool_sequence; /* up to here, whatever their age: it got a mempool answer */
    struct mempool_answer answer;
    int64_t fee_sent;        /* in the last feefilter */
    int64_t fee_next_ms;
    bool fee_while_syncing;  /* that was sent while blocks were fetched */
    int64_t sync_next_ms;    /* the next mempool request to it */
};

/* One of our own transactions that is not known to have spread. */
struct own_tx {
    struct list_link link;
    struct txid id;
    int64_t next_ms;         /* when it is told again */
    int64_t fee_per_kb;
    bool withheld;           /* every peer asked for higher fees when it was to be told */
};

/* Our own transactions that a few peers were told of and the others not yet. */
struct own_held {
    struct tx_ring_entry *v;
    size_t n, cap;
    int64_t release_ms;      /* then all are */
    uint64_t peers[OWN_FIRST_PEERS];
    size_t n_peers;
};

struct relay {
    struct chain *chain;
    struct mempool *mempool;
    struct nonfinal *nonfinal;
    struct net *net;         /* NULL: not started, or stopped */
    struct event *tick, *turn, *round, *look;
    struct relay_options o;
    struct list peers;
    atomic_size_t n_peers;   /* the same number, for other threads */

    /* From the chain. */
    struct tx_inbox *inbox;
    struct tx_news_batch news;
    size_t news_at;          /* the next of them */
    struct header_node *tip;

    /* Incoming. */
    struct tx_requests *requests;
    struct orphans *orphans;
    struct map judging;      /* struct tx by id: with the chain */
    struct siphash_key key;
    size_t judging_bytes, stream_bytes;
    struct recent_set rejected; /* until the next tip */
    struct recent_set confirmed;
    struct recent_set retried;  /* orphans that were judged again at once */
    bool asks;               /* some peer's ask list is not empty */

    /* Outgoing. */
    struct tx_ring *ring;
    uint64_t announced;      /* the furthest place told to anybody */
    struct tx_kept *kept;
    struct trickle trickle;
    int64_t release_ms;      /* of the ring, with propagation_ms */
    struct own_held held;
    struct list own;
    struct map own_map;
    int64_t own_look_ms;     /* when it is looked at next */
    struct inv_item *round_items; /* ROUND_MAX, shared by all rounds */
    struct list pushes;           /* relay_push.c */
    struct map push_ids;
    struct relay_push_handlers push_handlers;
};

static inline struct relay_peer *relay_peer_of_link(struct list_link *link)
{
    return link ? LIST_ITEM(link, struct relay_peer, link) : NULL;
}
static inline int64_t relay_fee_per_kb(int64_t fee, const struct tx *tx)
{
    return fee * 1000 / (int64_t)tx->raw.len;
}
/* for (rp = relay_first_peer(r); rp; rp = relay_next_peer(rp)) */
static inline struct relay_peer *relay_first_peer(const struct relay *r)
{
    return relay_peer_of_link(list_first(&r->peers));
}
static inline struct relay_peer *relay_next_peer(const struct relay_peer *rp)
{
    return relay_peer_of_link(list_next(&rp->relay->peers, &rp->link));
}

/* --- relay_tx.c --- */
struct relay_peer *relay_find_peer(struct relay *r, uint64_t id); /* NULL when gone */
void relay_want_turn(struct relay *r); /* work is left for the next turn of the loop */
void relay_look_again(struct relay *r); /* for news, in a moment */
uint64_t relay_max_tx_size(struct chain *chain); /* maxtxsizepolicy; 0: no limit */
void inv_list_add(struct inv_list *l, enum inv_type type, const struct txid *id);

/* --- relay_tx_in.c --- */
bool relay_knows(const struct relay *r, const struct txid *id);
/* Hands it to the chain, now or when there is a place; the reference is taken over. */
void relay_judge(struct relay *r, struct tx *tx, struct relay_peer *rp);
/* The peer has room for more than what comes from its socket. */
bool relay_may_judge(const struct relay_peer *rp);
/* The chain has judged a peer's, for this CPU time; rp: NULL when the peer has gone. */
void relay_judged(struct relay *r, const struct txid *id, struct relay_peer *rp, int64_t cpu_us);
/* The peer goes; what the chain has not got of it goes too if it is left for its cost. */
void relay_end_waiting(struct relay_peer *rp);
void relay_note_ask(void *ctx, void *relay_peer, const struct txid *id); /* tx_requests asks */
void relay_flush_asks(struct relay *r);
/* CPU time was spent in vain for this peer. */
void relay_charge(struct relay_peer *rp, int64_t us);

/* --- relay_tx_results.c --- */
/* Some of the news, orphans that follow from them; true when there is more. */
bool relay_work_news(struct relay *r);
bool relay_work_orphans(struct relay *r);

/* --- relay_tx_out.c --- */
/* For everybody; fee_per_kb, sequence: as in struct tx_ring_entry. */
void relay_announce(struct relay *r, struct tx *tx, int64_t fee_per_kb, uint64_t sequence);
void relay_announce_entry(struct relay *r, const struct tx_ring_entry *e);
/* Rounds that are due; true when there is more. */
bool relay_work_rounds(struct relay *r);
bool relay_fee_suffices(const struct relay_peer *rp, int64_t fee_per_kb);
/* It matches the bloom filter of an SPV client, or there is none (spec p2p 9). */
bool relay_filter_wants(struct relay_peer *rp, const struct tx *tx);
/* The peer shall hear of this one; false when it knows it or does not want it. */
bool relay_peer_wants(struct relay_peer *rp, const struct tx_ring_entry *e);

/* --- relay_tx_own.c --- */
void own_announce(struct relay *r, struct tx *tx, int64_t fee_per_kb, uint64_t sequence);
/* What is in the mempool, or waits to be final, already; false when it is neither. */
bool own_announce_known(struct relay *r, const struct txid *id);
void own_release_due(struct relay *r, int64_t now);
void own_rebroadcast(struct relay *r, int64_t now);
/* Somebody announces or asks for it. */
void own_note_spread(struct relay *r, const struct txid *id);
/* The first peer has come: what was submitted before goes out soon. */
void own_peer_came(struct relay *r, int64_t now);
bool own_is(const struct relay *r, const struct txid *id);
void own_clear(struct relay *r);

/* --- relay_push.c --- */
void push_peer_came(struct relay *r, struct relay_peer *rp, int64_t now);
void push_tick(struct relay *r, int64_t now);
/* A peer announces or sends it. True: it is one of ours, and known. */
bool push_note_shown(struct relay *r, struct relay_peer *rp, const struct txid *id);
void push_note_reject(struct relay *r, const struct relay_peer *rp, const struct txid *id,
                      uint8_t code);
void push_clear(struct relay *r);
size_t push_bytes(const struct relay *r);

/* --- relay_tx_serve.c --- */
bool relay_work_answers(struct relay *r);
void relay_tick_peer(struct relay_peer *rp, int64_t now);

#endif
