/*
 * Download and relay: what the node does with its peers, headers first (spec p2p 8).
 *
 * Everything here runs on the loop thread. The chain speaks through events (events.h), the network
 * through net_handlers; both are filled in by node.c. State of a peer hangs on peer_user().
 */
#ifndef NODE_SYNC_H
#define NODE_SYNC_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "chain/chain.h"
#include "p2p/net.h"

struct sync;
struct presync;
struct rebuild;
struct bloom;
struct bca_gossip;
struct bca_peer;
struct causes;
struct relay;
struct relay_peer;

#define SYNC_INFLIGHT_MAX 16   /* blocks asked from one peer at a time */
#define SYNC_REBUILDS_MAX 2    /* blocks that a peer's compact forms are made into, at a time */
/* A chain this much weaker than ours is stored without proof of more. */
#define SYNC_REORG_HEADERS 144

struct sync_options {
    uint32_t window;              /* blockdownloadwindow: blocks ahead of the tip, 1024 */
    int64_t stall_timeout_ms;     /* blockstallingtimeout, 10 s */
    uint64_t stall_min_speed;     /* bytes a second, blockstallingmindownloadspeed */
    int64_t slow_fetch_ms;        /* blockdownloadslowfetchtimeout, 30 s */
    unsigned max_parallel_fetch;  /* blockdownloadmaxparallelfetch, 3 */
    uint64_t intake_budget;       /* bytes of blocks that are arriving, of all peers together */
    bool compact_blocks;          /* asked for: transactions are relayed, so most are known */
    size_t compact_budget;        /* bytes of blocks being rebuilt, of all peers together */
    struct bca_gossip *gossip;    /* of records of identities; NULL: none */
    struct causes *causes;        /* why things happened; NULL: not recorded */
    unsigned max_blocktxn_percent; /* maxblocktxnpercent: who asks for more gets the block, 99 */
};

/* One compact block of a peer on its way to a block (sync_compact.c). */
struct sync_rebuild {
    struct header_node *node;        /* NULL: free place */
    struct rebuild *rebuild;         /* NULL while the pool looks for its transactions */
    struct block_intake *intake;     /* the block is being handed over */
    bool ready;                      /* complete, but another copy is being stored */
};

/* One peer as download and relay see it. */
struct sync_peer {
    uint64_t id;
    struct peer *peer;
    struct sync *sync;
    struct relay_peer *relay;        /* its transactions (relay_tx.h) */
    struct bca_peer *bca;            /* its records of identities (bca_gossip.h); may be NULL */

    /* Headers. */
    struct header_node *best_known;  /* best header we believe it has */
    struct header_node *last_common; /* last block both have */
    struct block_hash unknown_hash;  /* announced, not connected yet; zero: none */
    struct header_node *best_sent;   /* best header we announced to it */
    struct presync *presync;
    unsigned unconnecting;           /* headers messages in a row that brought us no further */
    int64_t gap_asked;               /* when the headers before them were asked for, monotonic ms */
    bool headers_follow;             /* its last answer was a full one */
    bool headers_asked;              /* the initial getheaders went out */
    int64_t headers_deadline;        /* monotonic ms; 0: not waiting */
    int64_t headers_sent;            /* when the last getheaders went out, monotonic ms */

    /* Blocks. */
    struct header_node *inflight[SYNC_INFLIGHT_MAX];
    unsigned n_inflight;
    int64_t head_since;              /* when the oldest request became the oldest, monotonic ms */
    int64_t stalling_since;          /* the window waits for this peer, 0: no */
    int64_t busy_until;              /* reject 0x44: asked to wait */
    uint64_t speed_bytes;            /* bytes received at the last sample */
    int64_t speed_at;
    uint64_t speed;                  /* bytes a second over the last sample */
    uint64_t tick_bytes;             /* bytes received at the last turn of the timer */
    bool silent;                     /* next to nothing of a block came since */
    bool delivered;                  /* but a block that was asked for did */
    bool intake_full;                /* not read because our own work on its block is behind */

    /* The block that arrives. */
    uint8_t head[BLOCK_HEADER_SIZE];
    size_t head_len;
    enum msg_id stream_id;
    uint64_t stream_size;
    bool has_checksum;
    uint32_t checksum;
    struct block_intake *intake;
    uint64_t intake_fed;
    struct header_node *arriving;
    bool intake_ended;               /* the chain has refused it before the last byte was there */

    struct sync_rebuild rebuilds[SYNC_REBUILDS_MAX];
    const struct header_node *whole_only; /* its compact form of this block was no use */

    /* Serving. */
    struct inv_item *getdata;        /* requests not answered yet */
    size_t getdata_n, getdata_at;
    struct block_hash continue_hash; /* last of 500 invs; asking for it brings the tip */
    struct header_node *form_wanted; /* its compact form is being made for this peer */
    uint32_t *txn_indices;           /* of an open getblocktxn, for the block form_wanted */
    size_t txn_n;
    bool answering;                  /* an answer is being read from disk */
    struct bloom *filter;            /* what an SPV client wants to hear of; NULL: everything */
};

/* relay: gets what concerns transactions. */
struct sync *sync_new(struct chain *chain, struct relay *relay, const struct sync_options *o);
void sync_free(struct sync *s);
/* Once the network exists; starts the timer. */
void sync_start(struct sync *s, struct net *net, struct event_base *base);
void sync_stop(struct sync *s);

/* net_handlers */
int32_t sync_height(void *ctx);
bool sync_in_initial_download(void *ctx);
void sync_on_ready(void *ctx, struct peer *p);
void sync_on_close(void *ctx, struct peer *p);
void sync_on_headers(void *ctx, struct peer *p, const struct block_header *headers, size_t n);
void sync_on_inv(void *ctx, struct peer *p, const struct inv_item *items, size_t n);
void sync_on_cmpctblock(void *ctx, struct peer *p, const struct msg_cmpctblock *m);
void sync_on_blocktxn(void *ctx, struct peer *p, const struct msg_blocktxn *m);
void sync_on_filter(void *ctx, struct peer *p, const struct msg_filterload *m);
void sync_on_filter_add(void *ctx, struct peer *p, struct span element);
/* The peer has no filter, or the transaction matches it; a match may add to the filter. */
bool sync_filter_wants(struct sync_peer *sp, const struct tx *tx);
void sync_on_dsdetected(void *ctx, struct peer *p, const struct msg_dsdetected *m);
void sync_on_notfound(void *ctx, struct peer *p, const struct inv_item *items, size_t n);
void sync_on_tx(void *ctx, struct peer *p, struct span raw, const struct txid *id);
void sync_on_mempool(void *ctx, struct peer *p, int64_t age_s);
void sync_on_send_room(void *ctx, struct peer *p);
void sync_on_reject(void *ctx, struct peer *p, const struct msg_reject *m);
enum stream_choice sync_stream_begin(void *ctx, struct peer *p, enum msg_id id, uint64_t size,
                                     const uint8_t *checksum);
enum stream_flow sync_stream_data(void *ctx, struct peer *p, const uint8_t *data, size_t len);
void sync_stream_end(void *ctx, struct peer *p, enum stream_end how);
void sync_fill_info(void *ctx, struct peer *p, struct peer_info *info);
void sync_fill_status(void *ctx, struct net_status *status);
void sync_set_propagation(void *ctx, int64_t ms);

/* Bytes of blocks that are rebuilt or kept in compact form; any thread, NULL is fine. */
uint64_t sync_compact_memory(struct sync *s);

/* Events of the chain. */
void sync_block_arrived(struct sync *s, struct header_node *node, uint64_t source, bool stored);
void sync_block_judged(struct sync *s, const struct block_hash *hash, const struct verdict *v,
                       uint64_t source);
void sync_tip_changed(struct sync *s, const struct chain_tip *tip, bool initial_download);
void sync_intake_drained(struct sync *s, uint64_t source);

#endif
