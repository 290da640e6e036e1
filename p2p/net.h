/*
 * The network as node and rpc see it: start, stop, callbacks for everything above the wire, and
 * the calls behind the network RPCs.
 *
 * Threads: one libevent loop thread owns sockets, peers and timers. Callbacks run on it and must
 * return quickly. Functions say "loop" or "any": "any" may be called from every thread but waits
 * for the loop (on the loop thread itself it runs at once). The base must have been made after
 * evthread_use_pthreads().
 * p2p knows nothing of chains: what a header or a block means is decided behind net_handlers.
 */
#ifndef P2P_NET_H
#define P2P_NET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/err.h"
#include "p2p/dns_seed.h"
#include "p2p/msg.h"
#include "p2p/msg_bca.h"
#include "p2p/msg_compact.h"
#include "p2p/msg_ds.h"
#include "p2p/peer.h"

struct causes;
struct event_base;
struct net;

struct net_strings {
    const char *const *v;
    size_t n;
};

#define NET_NONE UINT_MAX /* no connections of a kind, where 0 means the default */

/* Copied by net_new; a zero in a field with a default (in brackets) means the default. */
struct net_config {
    uint8_t magic[4];        /* on the wire, spec p2p 1.1 */
    uint16_t default_port;
    enum seed_net chain;     /* seeds, and the shorter intervals of regtest */
    uint8_t disk_magic[4];   /* peers.dat, banlist.dat */
    const char *datadir;     /* of the network; NULL: nothing is stored */
    const char *user_agent;  /* must contain BSV (spec p2p 2.4) */
    uint64_t services;

    bool listen;
    uint16_t port;           /* [default_port] */
    struct net_strings bind, whitebind;  /* "addr", "addr:port", "[v6]:port" */
    struct net_strings whitelist;        /* address or network */
    struct net_strings mempool_sync;     /* addresses with which the mempool is compared */
    struct net_strings connect;          /* only these */
    bool connect_none;                   /* -connect=0: no automatic outbound */
    struct net_strings addnode, seednode;
    struct net_strings externalip;
    bool only_ipv4, only_ipv6;           /* -onlynet; both or neither: no limit */
    const char *proxy;                   /* SOCKS5 "host:port", NULL: none */
    bool dns, dnsseed, forcednsseed, fixedseeds, discover;

    unsigned max_connections;            /* [125]; NET_NONE: none, as of the next two */
    unsigned max_outbound;               /* [8], of max_connections */
    unsigned max_addnode;                /* [8] */
    unsigned max_from_addr;              /* 0: no limit */
    int64_t connect_timeout_ms;          /* [5000] */
    int64_t handshake_timeout_s;         /* [60] */
    int64_t inactivity_timeout_s;        /* [1200] */
    int ban_score;                       /* [100] */
    int64_t ban_time_s;                  /* [86400] */
    struct net_strings banned_agents;    /* [abc cash bch] */
    struct net_strings allowed_agents;
    uint32_t max_protocol_payload;       /* [2097152] */
    uint64_t excessive_block_size;       /* 0: unlimited */
    uint64_t max_receive_buffer;         /* per peer, [500,000,000] */
    uint64_t max_send_buffer;            /* per peer, [500,000,000] */
    uint64_t memory_budget;              /* all receive and send queues together, [256 MiB] */
    uint64_t max_upload_target;          /* bytes a day, 0: none */
    bool relay_tx;                       /* relay flag of our version message */
    struct causes *causes;               /* why peers left is noted here; may be NULL; borrowed */
    bool log_addresses;                  /* -logips: addresses of peers may stand in the log */
};

/* What to do with a streamed payload. */
enum stream_choice { STREAM_TAKE, STREAM_SKIP /* read and dropped */ };
/* What to do after a piece. */
enum stream_flow {
    STREAM_MORE,
    STREAM_PAUSE /* until peer_resume_reading */,
    STREAM_STOP /* drop the rest */
};
enum stream_end { STREAM_COMPLETE, STREAM_ABORTED /* peer gone in the middle */ };

struct peer_info;
struct net_status;

/* Filled in by node. NULL members are skipped. Loop thread. Pointers are valid during the call. */
struct net_handlers {
    void *ctx;
    int32_t (*height)(void *ctx);       /* for version */
    bool (*in_initial_sync)(void *ctx); /* no own address is advertised */
    void (*on_ready)(void *ctx, struct peer *p); /* handshake done; not for feelers and one-shots */
    void (*on_close)(void *ctx, struct peer *p); /* for each on_ready; free peer_user here */
    void (*on_headers)(void *ctx, struct peer *p, const struct block_header *headers, size_t n);
    void (*on_inv)(void *ctx, struct peer *p, const struct inv_item *items,
                   size_t n); /* types 1, 2 */
    void (*on_getdata)(void *ctx, struct peer *p, const struct inv_item *items, size_t n);
    void (*on_notfound)(void *ctx, struct peer *p, const struct inv_item *items, size_t n);
    void (*on_getheaders)(void *ctx, struct peer *p, const struct msg_locator *m);
    void (*on_gethdrsen)(void *ctx, struct peer *p, const struct msg_locator *m);
    void (*on_getblocks)(void *ctx, struct peer *p, const struct msg_locator *m);
    /* Of up to MSG_COLLECT_MAX bytes; larger ones are streamed. */
    void (*on_cmpctblock)(void *ctx, struct peer *p, const struct msg_cmpctblock *m);
    void (*on_getblocktxn)(void *ctx, struct peer *p, const struct msg_getblocktxn *m);
    void (*on_blocktxn)(void *ctx, struct peer *p, const struct msg_blocktxn *m);
    /* Up to MSG_COLLECT_MAX bytes, checksum verified; id = SHA256d(raw). */
    void (*on_tx)(void *ctx, struct peer *p, struct span raw, const struct txid *id);
    /* With SERVICE_BLOOM, within the limits of the filter. m NULL: it is taken away. */
    void (*on_filter)(void *ctx, struct peer *p, const struct msg_filterload *m);
    void (*on_filter_add)(void *ctx, struct peer *p, struct span element);
    void (*on_dsdetected)(void *ctx, struct peer *p, const struct msg_dsdetected *m);
    /* Records of identities (spec channels 1.2); malformed ones are judged below. */
    void (*on_sendbca)(void *ctx, struct peer *p, const struct msg_sendbca *m);
    void (*on_bcainv)(void *ctx, struct peer *p, const struct msg_bca_list *m);
    void (*on_getbca)(void *ctx, struct peer *p, const struct msg_getbca *m);
    void (*on_bcarec)(void *ctx, struct peer *p, const struct msg_bcarec *m);
    void (*on_reject)(void *ctx, struct peer *p, const struct msg_reject *m);
    void (*on_fee_filter)(void *ctx, struct peer *p, int64_t satoshi_per_kb);
    /* age_s: only what has been there for longer is asked for; -1: the plain form, all. */
    void (*on_mempool)(void *ctx, struct peer *p, int64_t age_s);
    /* The send queue fell below half of its limit after peer_has_send_room was
     * false, or emptied. */
    void (*on_send_room)(void *ctx, struct peer *p);
    /*
     * block, and tx, cmpctblock, getblocktxn and blocktxn above MSG_COLLECT_MAX: begin, data...,
     * end. The checksum is NOT verified here (it is NULL in extended framing): the receiver hashes
     * on a worker and compares. end is called for each begin that chose STREAM_TAKE, also after
     * STREAM_STOP. At most one stream at a time per peer.
     */
    enum stream_choice (*stream_begin)(void *ctx, struct peer *p, enum msg_id id, uint64_t size,
                                       const uint8_t *checksum);
    enum stream_flow (*stream_data)(void *ctx, struct peer *p, const uint8_t *data, size_t len);
    void (*stream_end)(void *ctx, struct peer *p, enum stream_end how);
    /* Adds node's knowledge (synced heights, blocks in flight, queue of invs) to a snapshot. */
    void (*fill_info)(void *ctx, struct peer *p, struct peer_info *info);
    /* The same of the whole (delays and lengths of announcement queues). */
    void (*fill_status)(void *ctx, struct net_status *status);
    void (*set_propagation)(void *ctx, int64_t ms); /* net_set_propagation */
};

/* Also reads peers.dat, banlist.dat, anchors. Opens no socket. ERR_RANGE names the bad option. */
enum err net_new(struct net **out, const struct net_config *c, const struct net_handlers *h,
                 struct event_base *base, struct error *e) MUST_CHECK;
/* Loop (or before it runs). Fails only when listening was asked for and no address
 * could be bound. */
enum err net_start(struct net *net, struct error *e) MUST_CHECK;
/* Loop (or after it ended), but not from inside a net handler. Closes all peers (on_close is
 * called), stores the address files. */
void net_stop(struct net *net);
void net_free(struct net *net); /* after net_stop; NULL is fine */

/* Runs fn on the loop and waits. Any. False when the network has stopped: fn did not run. */
bool net_call(struct net *net, void (*fn)(struct net *net, void *ctx), void *ctx) MUST_CHECK;
/* The same without waiting; fn frees its ctx. Any. */
bool net_post(struct net *net, void (*fn)(struct net *net, void *ctx), void *ctx) MUST_CHECK;

/* --- loop --- */
struct peer *net_peer_by_id(struct net *net, uint64_t id); /* NULL when gone or closing */
/* Peers whose handshake is done; fn may disconnect any of them. */
void net_each_peer(struct net *net, void (*fn)(struct peer *p, void *ctx), void *ctx);
size_t net_ready_count(const struct net *net);
/* The tip is stale: one outbound slot more until the next block (net_release_extra_outbound);
 * attacks D9. */
void net_request_extra_outbound(struct net *net);
void net_release_extra_outbound(struct net *net);
/* Port of the first listening socket, 0: none (tests bind port 0). */
uint16_t net_listen_port(const struct net *net);
bool net_upload_target_reached(const struct net *net);
uint64_t net_services(const struct net *net); /* what we offer */

/* --- behind the RPCs: any thread --- */
#define NET_NAME_MAX 96 /* = NETADDR_TEXT_MAX */

struct peer_msg_bytes {
    const char *command; /* static */
    uint64_t sent, received;
};

struct peer_info {
    uint64_t id;
    char addr[NET_NAME_MAX], addr_local[NET_NAME_MAX],
        addr_bind[NET_NAME_MAX]; /* local: as the peer sees us, "" unknown */
    uint64_t services;
    bool relay_tx, inbound, addnode, whitelisted, mempool_sync, ready;
    bool pause_send, pause_recv;
    int64_t last_send, last_recv, connected; /* seconds since 1970, 0: never */
    uint64_t send_size, recv_size, send_memory, bytes_sent, bytes_received;
    uint64_t receive_rate; /* bytes a second over the life of the connection */
    int64_t time_offset;
    int64_t ping_us, ping_min_us, ping_wait_us; /* -1: none */
    int32_t version;
    char user_agent[MSG_USER_AGENT_MAX + 1]; /* sanitised */
    int32_t start_height;
    int ban_score;
    struct peer_msg_bytes
        per_msg[MSG_ID_COUNT]; /* rows with both zero are left out by the caller */
    /* from fill_info; -1, 0 when node gave none */
    int32_t synced_headers, synced_blocks;
    uint64_t tx_inv_size;
    int32_t inflight[64];
    size_t n_inflight;
};

struct net_totals {
    uint64_t received, sent;
    uint64_t upload_target, upload_left;       /* bytes of the current cycle */
    int64_t upload_cycle_s, upload_cycle_left_s;
    bool upload_reached;
};

struct net_counts { size_t total, inbound, outbound, addresses; };

struct net_local_addr { char addr[NET_NAME_MAX]; uint16_t port; int score; };

struct net_family_info { const char *name; bool limited, reachable; char proxy[NET_NAME_MAX]; };

struct net_status {
    bool active, listening;
    uint64_t memory; /* bytes: peers, their queues, the address book */
    struct net_counts counts;
    struct net_totals totals;
    int64_t time_offset; /* median of the peers', reported only (attacks C15) */
    uint64_t services;
    bool relay_tx;
    struct net_family_info families[2]; /* ipv4, ipv6 */
    struct net_local_addr local[16];
    size_t n_local;
    /* from fill_status */
    int64_t tx_propagation_ms; /* transactions are held together for so long */
    size_t tx_propagation_queue; /* that many are */
    size_t orphans, orphan_bytes, orphan_max_bytes;
    size_t relay_memory;    /* of all that is kept to relay transactions */
    size_t relay_untouched; /* allocated for more of it */
};

struct net_ban {
    char subnet[NET_NAME_MAX]; /* "addr/len" */
    int64_t until, created;
    char reason[32];
};

struct net_added {
    char node[256];
    bool connected;
    char addr[NET_NAME_MAX];
    bool inbound;
};

/* Arrays are the caller's to free(). ERR_CANCELLED when the network has stopped. */
enum err net_list_peers(struct net *net, struct peer_info **out, size_t *n) MUST_CHECK;
enum err net_get_status(struct net *net, struct net_status *out) MUST_CHECK;
enum err net_list_added(struct net *net, struct net_added **out, size_t *n) MUST_CHECK;
enum err net_list_bans(struct net *net, struct net_ban **out, size_t *n) MUST_CHECK;

/* ERR_EXISTS: already added; ERR_NOTFOUND: was not. onetry connects once, without remembering. */
enum err net_addnode_add(struct net *net, const char *node, struct error *e) MUST_CHECK;
enum err net_addnode_remove(struct net *net, const char *node, struct error *e) MUST_CHECK;
enum err net_addnode_onetry(struct net *net, const char *node, struct error *e) MUST_CHECK;
/* ERR_NOTFOUND: no such connection. */
enum err net_disconnect_addr(struct net *net, const char *addr, struct error *e) MUST_CHECK;
enum err net_disconnect_id(struct net *net, uint64_t id, struct error *e) MUST_CHECK;
/* until: seconds since 1970. ERR_PARSE: not an address; ERR_EXISTS: banned already. */
enum err net_ban_add(struct net *net, const char *subnet, int64_t until,
                     struct error *e) MUST_CHECK;
enum err net_ban_remove(struct net *net, const char *subnet,
                        struct error *e) MUST_CHECK; /* ERR_NOTFOUND */
enum err net_ban_clear(struct net *net) MUST_CHECK;
enum err net_set_active(struct net *net, bool active) MUST_CHECK;
/* Largest block message taken from now on; 0: unlimited. */
enum err net_set_block_limit(struct net *net, uint64_t bytes) MUST_CHECK;
enum err net_ping_all(struct net *net) MUST_CHECK;
/* How long transactions are held together before they are announced. */
enum err net_set_propagation(struct net *net, int64_t ms) MUST_CHECK;

#endif
