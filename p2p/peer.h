/*
 * One connection that speaks the peer-to-peer protocol (spec p2p 2, 3, 6).
 *
 * Owned by struct net; loop thread only, all of it. A pointer is valid from on_ready until
 * on_close returns; anything that outlives the current callback keeps peer_id() and asks
 * net_peer_by_id() again. peer_disconnect only marks: the peer is closed after the current
 * callback, so a handler may go on using it.
 */
#ifndef P2P_PEER_H
#define P2P_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/buf.h"
#include "p2p/msg.h"
#include "p2p/netgroup.h"

struct net;
struct peer;

enum peer_kind {
    PEER_INBOUND,
    PEER_OUTBOUND, /* chosen by us from the address manager, or of -connect */
    PEER_MANUAL,   /* -addnode, addnode add and onetry */
    PEER_FEELER,   /* checks that an address answers */
    PEER_ONESHOT,  /* -seednode: asked for addresses once */
};

enum peer_state {
    PEER_CONNECTING,   /* TCP or proxy */
    PEER_WAIT_VERSION, /* nothing but version may arrive */
    PEER_WAIT_VERACK,
    PEER_READY,
    PEER_CLOSING,
};

/* --- what we know of it --- */
uint64_t peer_id(const struct peer *p); /* from 1, never used twice */
enum peer_kind peer_kind(const struct peer *p);
enum peer_state peer_state(const struct peer *p);
bool peer_is_inbound(const struct peer *p);
bool peer_is_whitelisted(const struct peer *p);
bool peer_is_mempool_sync(const struct peer *p); /* its address is in net_config.mempool_sync */
/* (outbound or whitelisted), not one-shot or feeler, has NODE_NETWORK (spec p2p 8). */
bool peer_is_preferred(const struct peer *p);
bool peer_serves_blocks(const struct peer *p); /* NODE_NETWORK */
struct netgroup peer_group(const struct peer *p); /* NETGROUP_DIVERSITY of its address */
const char *peer_name(const struct peer *p);   /* "[::1]:8333", for RPC */
const char *peer_log_name(const struct peer *p); /* the same with -logips, else "-" */
uint64_t peer_services(const struct peer *p);
int32_t peer_version(const struct peer *p);      /* min(ours, theirs) */
int32_t peer_start_height(const struct peer *p); /* its claim in version */
bool peer_wants_headers(const struct peer *p);   /* sent sendheaders */
/* Sent sendhdrsen and nothing that goes before it (spec p2p 3: sendheaders and sendcmpct do). */
bool peer_wants_enriched(const struct peer *p);
bool peer_takes_compact(const struct peer *p);   /* sent sendcmpct of version 1 */
bool peer_wants_compact(const struct peer *p);   /* announces it: new blocks come so */
bool peer_relays_tx(const struct peer *p);       /* relay flag of its version */
int64_t peer_fee_filter(const struct peer *p);   /* satoshi per kB, 0: none */
uint64_t peer_bytes_received(const struct peer *p);
/* Payload bytes that have come of a message of this kind which is not whole yet; 0: none. */
uint64_t peer_receiving(const struct peer *p, enum msg_id id);

/* A pointer of node's own, for its download and relay state; NULL at first. */
void *peer_user(const struct peer *p);
void peer_set_user(struct peer *p, void *user);

/* --- judging --- */
/* Adds to the ban score; at -banscore the peer is disconnected and, unless local, whitelisted or
 * manual, its address banned (spec p2p 6). */
void peer_misbehave(struct peer *p, int score, const char *reason);
void peer_disconnect(struct peer *p, const char *reason);
/* It delivered a block or a transaction that was new and good: protects from eviction. */
void peer_note_block(struct peer *p);
void peer_note_tx(struct peer *p);

/* --- sending; nothing is sent to a peer that is closing --- */
void peer_send(struct peer *p, enum msg_id id, const void *payload, size_t len);
/* The payload's memory moves to the send queue; b is empty afterwards. */
void peer_send_buf(struct peer *p, enum msg_id id, struct buf *b);
/*
 * A payload that lies in a file (a block in its block file): sent piece by piece from the page
 * cache as the socket drains, never held in memory. fd is ours from here on (give a dup).
 * checksum: first 4 bytes of SHA256d of the payload; not used above 0xffffffff bytes, where the
 * extended header is sent (spec p2p 1.3), or nothing if the peer's version is below 70016.
 */
void peer_send_file(struct peer *p, enum msg_id id, int fd, uint64_t offset, uint64_t len,
                    const uint8_t checksum[4]);
/* hashes: n x 32 bytes, newest first; stop may be NULL. */
void peer_send_getheaders(struct peer *p, const uint8_t *hashes, size_t n,
                          const struct block_hash *stop);
void peer_send_headers(struct peer *p, const struct block_header *headers, size_t n);
/* announce: new blocks shall come as cmpctblock at once (spec p2p 3: sendcmpct). */
void peer_send_sendcmpct(struct peer *p, bool announce);
/* inv, getdata, notfound; as many messages as the peer's limit needs (spec p2p 1.5). */
void peer_send_inv(struct peer *p, enum msg_id id, const struct inv_item *items, size_t n);
void peer_send_reject(struct peer *p, enum msg_id about, enum reject_code code, const char *reason,
                      const uint8_t *hash /* 32 bytes for block and tx, else NULL */);

/* Payload of a message of common kinds that the peer takes (protoconf, spec p2p 3). */
uint32_t peer_payload_limit(const struct peer *p);
/* Bytes queued and not yet given to the system, file bytes included. */
uint64_t peer_send_queue_total(const struct peer *p);
/* False: stop producing answers, on_send_room will tell when to go on. */
bool peer_has_send_room(struct peer *p);

/* --- back-pressure: no further message of the peer is handled until resumed --- */
void peer_pause_reading(struct peer *p);
void peer_resume_reading(struct peer *p);

#endif
