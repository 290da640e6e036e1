/*
 * What the files of the network share: struct net, struct peer and the calls between
 * peer_*.c, conn_*.c and net*.c. Loop thread only. Not for other folders.
 */
#ifndef P2P_NET_INTERNAL_H
#define P2P_NET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <event2/event.h>

#include "base/hash.h"
#include "base/queue.h"
#include "p2p/anchors.h"
#include "p2p/addrman.h"
#include "p2p/banlist.h"
#include "p2p/frame.h"
#include "p2p/net.h"
#include "p2p/netaddr.h"
#include "p2p/netgroup.h"
#include "p2p/ratelimit.h"
#include "p2p/resolve.h"
#include "p2p/socks5.h"

#define READ_CHUNK (256u << 10)       /* one read of a socket; fits the second level cache */
#define SEND_SOFT_LIMIT (1u << 20)    /* queued memory at which a peer's requests wait (C8) */
#define SEND_FILES_MAX 8 /* file parts queued for a peer: each holds a descriptor (C8) */
#define PING_INTERVAL_MS 120000       /* spec p2p 2.5 */
#define ADDR_KNOWN_SLOTS 4096
#define ADDR_QUEUE_MAX 1000           /* spec p2p 3: getaddr */

/* Reasons for not handling a peer's bytes; reading goes on when none is left. */
enum {
    PAUSE_NODE = 1,   /* peer_pause_reading, STREAM_PAUSE */
    PAUSE_SEND = 2,   /* it does not read our answers */
};

struct send_item {
    struct send_item *next;
    uint8_t *data;       /* heap: header and, unless in a file, payload */
    size_t len, off;
    int fd;              /* -1: none */
    uint64_t file_off, file_left;
    uint64_t file_ready; /* up to here the file is in the page cache, see file_warm.c */
};

struct send_queue {
    struct send_item *head, *tail;
    uint64_t memory;     /* bytes of data not sent */
    uint64_t file_bytes; /* bytes of file parts not sent */
    unsigned files;      /* items with an open file */
};

struct peer {
    struct net *net;
    uint64_t id;
    enum peer_kind kind;
    enum peer_state state;
    bool whitelisted;
    bool mempool_sync;
    bool announced;          /* on_ready was called */
    bool from_book;          /* address came from the address manager */
    bool manual_connect;     /* entry of -connect */
    bool extra;              /* holds the stale-tip slot */
    char name[NETADDR_TEXT_MAX];
    char *dest;              /* as written in addnode or connect; NULL: none */
    struct netaddr addr;     /* zero IP while only a name behind a proxy is known */
    struct netaddr local;    /* our end of the socket */
    struct netaddr seen_as;  /* how the peer sees us; port 0: unknown */
    struct netgroup group;

    int fd;
    bool tcp_up;             /* connected to the peer or the proxy */
    struct event *read_ev, *write_ev;
    bool reading, writing;   /* events added */
    struct socks5 *socks;    /* while the proxy is spoken to */
    unsigned paused;
    struct frame frame;
    const struct msg_row *row; /* message being received */
    bool streaming;          /* node has the payload's stream */
    struct buf backlog;      /* read, not parsed because of a pause */
    size_t backlog_off;
    size_t charged;          /* of net->receive_memory */
    struct send_queue out;
    bool warming;            /* a reader thread fetches the next piece of out.head */
    bool room_wanted;        /* node was told there is no room */

    /* work list of net_kick */
    struct peer *next_work;
    bool in_work;

    /* handshake */
    uint64_t nonce;
    bool got_version, sent_version;
    int32_t their_version, version;
    uint64_t services, expected_services;
    char user_agent[MSG_USER_AGENT_MAX + 1];
    int32_t start_height;
    bool relay;
    int64_t time_offset;

    /* protocol */
    bool got_protoconf, sendheaders, sendhdrsen, compact_high, getaddr_answered, getaddr_sent;
    uint64_t compact_version;
    uint32_t max_recv_payload;
    int64_t fee_filter;
    int score;
    int csum_errors;
    int64_t csum_last_ms;
    uint64_t ping_nonce;     /* 0: none under way */
    int64_t ping_sent_us, ping_us, ping_min_us; /* -1: none */
    bool ping_queued;

    /* times on the monotonic clock, milliseconds */
    int64_t started_ms, last_send_ms, last_recv_ms, next_ping_ms;
    int64_t message_start_ms, drip_ms, ping_deadline_ms;
    uint64_t message_start_bytes;
    int64_t last_block_ms, last_tx_ms;
    int64_t connected_s, last_send_s, last_recv_s; /* wall clock, for RPC */
    uint64_t bytes_sent, bytes_received;
    uint64_t msg_sent[MSG_ID_COUNT], msg_received[MSG_ID_COUNT];

    /* addresses */
    struct ratelimit addr_limit;
    uint64_t *addr_known;    /* ADDR_KNOWN_SLOTS hashes, allocated at first use */
    struct peer_addr *addr_queue;
    size_t n_addr_queue;
    int64_t next_addr_ms, next_own_addr_ms;

    void *user;
};

struct listener {
    struct net *net;
    struct netaddr addr;
    int fd;
    struct event *ev;
    bool whitelisted;
};

/* A name being resolved for a dial. */
struct lookup;

struct added_node {
    char *name;
    int64_t next_try_ms;
};

/* One of -connect: retried with growing pauses. */
struct connect_target {
    char *name;
    int64_t next_try_ms, pause_ms;
};

struct local_addr { struct netaddr addr; int score; };
#define LOCAL_ADDR_MAX 16
#define TIME_SAMPLES_MAX 200

struct upload { int64_t cycle_start_s; uint64_t sent; };

struct net {
    struct net_config c;     /* deep copy */
    struct net_handlers h;
    struct event_base *base;
    struct event *tick_ev, *dial_ev, *work_ev, *call_ev;
    struct queue *calls;
    pthread_t loop_thread;
    atomic_bool loop_known;
    bool active;             /* setnetworkactive */
    bool stopped;
    struct msg_limits limits;

    struct peer **peers;
    size_t n_peers, cap_peers;
    uint64_t next_id;
    struct peer *work;       /* peers that net_kick put here */
    uint8_t *read_buf;       /* READ_CHUNK bytes, shared by all peers */
    struct block_header *header_buf; /* MSG_HEADERS_MAX */
    struct peer_addr *addr_buf;      /* MSG_ADDR_MAX */
    uint64_t receive_memory, send_memory, send_files;
    uint64_t bytes_sent, bytes_received;
    struct upload upload;

    struct listener *listeners;
    size_t n_listeners;
    struct subnet *whitelist, *mempool_sync;
    size_t n_whitelist, n_mempool_sync;
    struct netaddr proxy;
    bool has_proxy;
    struct resolver *resolver;
    struct lookup *lookups;  /* under way */
    struct dns_seeder *seeder;
    struct pool *files;      /* one thread that writes peers.dat and banlist.dat */
    struct pool *readers;    /* read blocks into the page cache */
    struct addrman *book;
    struct banlist *bans;
    unsigned networks;       /* mask of enum network */

    struct added_node *added;
    size_t n_added;
    struct connect_target *connect;
    size_t n_connect;
    struct netaddr anchors[ANCHORS_MAX];
    size_t n_anchors;
    int64_t started_ms, next_feeler_ms, next_store_ms, next_collision_ms;
    bool seeded_dns, seeded_fixed;
    unsigned extra_outbound;
    struct siphash_key hash_key;

    struct local_addr local[LOCAL_ADDR_MAX];
    size_t n_local;
    struct { struct netaddr from; int64_t offset; } time_samples[TIME_SAMPLES_MAX];
    size_t n_time_samples;
};

/* --- peer.c --- */
struct peer *peer_new(struct net *net, enum peer_kind kind, int fd, const struct netaddr *addr);
void peer_free(struct peer *p); /* closes; calls on_close when it was announced */
/* The connection is up: reading starts, a connector sends its version. */
void peer_connected(struct peer *p);
void peer_become_ready(struct peer *p);
/* Ban and disconnect whatever the score (spec p2p 1.6). */
void peer_ban_now(struct peer *p, const char *reason);
/* Timeouts, pings, address queue; once a second. */
void peer_tick(struct peer *p, int64_t now_ms);
void peer_send_ping(struct peer *p);
void peer_fill_info(struct peer *p, struct peer_info *info);

/* --- peer_recv.c --- */
void peer_on_readable(evutil_socket_t fd, short what, void *arg);
/* Cuts messages out of bytes and handles them. */
void peer_take_bytes(struct peer *p, const uint8_t *data, size_t len);
/* Handles what was read before a pause, then reads on. */
void peer_continue(struct peer *p);
void peer_set_pause(struct peer *p, unsigned reason);
void peer_clear_pause(struct peer *p, unsigned reason);

/* --- peer_send.c --- */
void peer_on_writable(evutil_socket_t fd, short what, void *arg);
void peer_flush(struct peer *p);
void peer_send_clear(struct peer *p);
/* Bytes as they are, before or beside messages (proxy). */
void peer_send_raw(struct peer *p, const void *data, size_t len);

/* --- file_warm.c --- */
/* Sees to it that one to two pieces from file_off on will be in the page
 * cache; moves file_ready. */
void file_warm_ahead(struct peer *p, struct send_item *it, size_t piece);

/* --- peer_handshake.c --- */
void peer_send_version(struct peer *p);

/* --- addr_relay.c --- */
void peer_flush_addrs(struct peer *p, int64_t now_ms);
void peer_queue_addr(struct peer *p, const struct peer_addr *pa);
void peer_advertise_self(struct peer *p);
void local_add(struct net *net, const struct netaddr *a, int score);
void local_discover(struct net *net);
void peer_note_time(struct peer *p, int64_t their_time);
int64_t net_time_offset(const struct net *net);

/* --- conn_listen.c --- */
enum err listen_start(struct net *net, struct error *e) MUST_CHECK;
void listen_stop(struct net *net);

/* --- conn_dial.c --- */
struct dial {
    enum peer_kind kind;
    const char *dest;        /* for addnode and connect entries, else NULL */
    bool from_book, extra, manual_connect;
    uint64_t expected_services;
};
/* NULL when it could not even start. */
struct peer *dial_addr(struct net *net, const struct netaddr *a, const struct dial *d);
/* Behind a proxy: the proxy resolves the name. */
struct peer *dial_name(struct net *net, const char *host, uint16_t port, const struct dial *d);
/* The socket of a dial became writable: connected, or refused. */
void dial_finish(struct peer *p);
void peer_on_proxy_bytes(struct peer *p, const uint8_t *data, size_t len);

/* --- conn_outbound.c --- */
void outbound_tick(struct net *net, int64_t now_ms);
void outbound_start(struct net *net);
void outbound_stop(struct net *net);
/* A text that was asked for (addnode, connect, seednode): resolves if needed, then dials. */
void outbound_dial_text(struct net *net, const char *text, const struct dial *d);
struct peer *net_peer_by_dest(struct net *net, const char *dest);
bool net_is_local_addr(const struct net *net, const struct netaddr *a);

/* --- net_config.c --- */
/* Deep copy with the defaults filled in. */
void net_config_copy(struct net_config *c, const struct net_config *from);
void net_config_clear(struct net_config *c);
/* Reads the addresses in the configuration; ERR_RANGE names the option that is wrong. */
enum err net_config_parse(struct net *net, struct error *e) MUST_CHECK;

/* --- net.c --- */
void net_add_peer(struct net *net, struct peer *p);
/* Puts the peer on the list that is worked off before the loop polls again. */
void net_kick(struct peer *p);
size_t net_count_kind(const struct net *net, enum peer_kind kind);
bool net_is_whitelisted(const struct net *net, const struct netaddr *a);
bool net_is_mempool_sync(const struct net *net, const struct netaddr *a);
void net_count_sent(struct net *net, size_t n);
/* Peers inside a ban leave, but for whitelisted and manual ones. */
void net_disconnect_banned(struct net *net);
/* Has the ban list written if it changed, in the background. */
void net_store_bans(struct net *net);

/* --- message handlers, named in the table of msg.c --- */
enum msg_result on_version(struct peer *p, struct span payload);
enum msg_result on_verack(struct peer *p, struct span payload);
enum msg_result on_protoconf(struct peer *p, struct span payload);
enum msg_result on_ping(struct peer *p, struct span payload);
enum msg_result on_pong(struct peer *p, struct span payload);
enum msg_result on_getaddr(struct peer *p, struct span payload);
enum msg_result on_addr(struct peer *p, struct span payload);
enum msg_result on_sendheaders(struct peer *p, struct span payload);
enum msg_result on_sendhdrsen(struct peer *p, struct span payload);
enum msg_result on_feefilter(struct peer *p, struct span payload);
enum msg_result on_sendcmpct(struct peer *p, struct span payload);
enum msg_result on_cmpctblock(struct peer *p, struct span payload);
enum msg_result on_getblocktxn(struct peer *p, struct span payload);
enum msg_result on_blocktxn(struct peer *p, struct span payload);
enum msg_result on_reject(struct peer *p, struct span payload);
enum msg_result on_inv(struct peer *p, struct span payload);
enum msg_result on_getdata(struct peer *p, struct span payload);
enum msg_result on_notfound(struct peer *p, struct span payload);
enum msg_result on_getheaders(struct peer *p, struct span payload);
enum msg_result on_gethdrsen(struct peer *p, struct span payload);
enum msg_result on_getblocks(struct peer *p, struct span payload);
enum msg_result on_headers(struct peer *p, struct span payload);
enum msg_result on_tx(struct peer *p, struct span payload);
enum msg_result on_mempool(struct peer *p, struct span payload);
enum msg_result on_filterload(struct peer *p, struct span payload);
enum msg_result on_filteradd(struct peer *p, struct span payload);
enum msg_result on_filterclear(struct peer *p, struct span payload);
enum msg_result on_dsdetected(struct peer *p, struct span payload);
/* peer_bca.c */
enum msg_result on_sendbca(struct peer *p, struct span payload);
enum msg_result on_bcainv(struct peer *p, struct span payload);
enum msg_result on_getbca(struct peer *p, struct span payload);
enum msg_result on_bcarec(struct peer *p, struct span payload);
enum msg_result on_createstrm(struct peer *p, struct span payload);

#endif
