/*
 * The message table: one row per command with its size limit, the states in which it may arrive,
 * and its handler. Whatever is true for all messages (unknown, oversized, too early, malformed) is
 * decided once by the dispatcher in peer.c from the row. Commands: spec p2p 3; limits: 1.5.
 * Constant data and pure functions: any thread.
 */
#ifndef P2P_MSG_H
#define P2P_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "p2p/netaddr.h"

#define MSG_NAME_MAX 12
#define MSG_HEADERS_MAX 2000       /* spec p2p 3: headers */
#define MSG_ADDR_MAX 1000          /* spec p2p 3: addr */
#define MSG_INV_ITEM_SIZE 36
#define MSG_PROTOCOL_VERSION 70016 /* spec p2p 1.7 */
#define MSG_VERSION_MIN 31800
#define MSG_VERSION_NO_BLOOM 70011 /* from here on a peer knows that filters are an offer */
#define MSG_VERSION_SENDHEADERS 70012
#define MSG_VERSION_FEEFILTER 70013
#define MSG_VERSION_SENDCMPCT 70014
#define MSG_VERSION_EXTMSG 70016
/* Smallest value a protoconf may state, and the one before it. */
#define MSG_RECV_PAYLOAD_MIN 1048576

enum msg_id {
    MSG_VERSION, MSG_VERACK, MSG_PROTOCONF, MSG_PING, MSG_PONG, MSG_GETADDR, MSG_ADDR,
    MSG_SENDHEADERS, MSG_FEEFILTER, MSG_SENDCMPCT, MSG_REJECT, MSG_INV, MSG_GETDATA, MSG_NOTFOUND,
    MSG_GETHEADERS, MSG_GETBLOCKS, MSG_HEADERS, MSG_TX, MSG_BLOCK, MSG_MEMPOOL,
    MSG_CMPCTBLOCK, MSG_GETBLOCKTXN, MSG_BLOCKTXN, MSG_GETHDRSEN, MSG_HDRSEN, MSG_SENDHDRSEN,
    MSG_FILTERLOAD, MSG_FILTERADD, MSG_FILTERCLEAR, MSG_MERKLEBLOCK, MSG_DATAREFTX,
    MSG_CREATESTRM, MSG_STREAMACK, MSG_AUTHCH, MSG_AUTHRESP, MSG_DSDETECTED, MSG_REVOKEMID,
    MSG_ALERT, MSG_SENDBCA, MSG_BCAINV, MSG_GETBCA, MSG_BCAREC,
    MSG_UNKNOWN, /* every other command; its row is the last */
    MSG_ID_COUNT
};

/* Service bits, spec p2p 1.8. */
#define SERVICE_NETWORK (UINT64_C(1) << 0)
#define SERVICE_BLOOM (UINT64_C(1) << 2)
#define SERVICE_BITCOIN_CASH (UINT64_C(1) << 5)

/* Reject codes, spec p2p 3.1. */
enum reject_code {
    REJECT_CODE_MALFORMED = 0x01, REJECT_CODE_INVALID = 0x10, REJECT_CODE_OBSOLETE = 0x11,
    REJECT_CODE_DUPLICATE = 0x12, REJECT_CODE_NONSTANDARD = 0x40, REJECT_CODE_DUST = 0x41,
    REJECT_CODE_FEE = 0x42, REJECT_CODE_CHECKPOINT = 0x43, REJECT_CODE_BUSY = 0x44,
    REJECT_CODE_RATE = 0x45, REJECT_CODE_STREAM_SETUP = 0x60, REJECT_CODE_AUTH_SETUP = 0x70,
};

/* Inventory types, spec p2p 1.9. */
enum inv_type {
    INV_TX = 1,
    INV_BLOCK = 2,
    INV_FILTERED_BLOCK = 3,
    INV_CMPCT_BLOCK = 4,
    INV_DATAREF_TX = 5
};

struct inv_item {
    uint32_t type; /* as received: may be none of enum inv_type */
    struct hash256 hash;
};

/* getheaders and getblocks. */
struct msg_locator {
    uint32_t version;
    const uint8_t *hashes; /* n x 32 bytes, borrowed from the message, newest first */
    size_t n;
    struct block_hash stop;
};

#define MSG_USER_AGENT_MAX 256
#define MSG_ASSOCIATION_MAX 129

struct msg_version {
    int32_t version;
    uint64_t services;
    int64_t time;
    struct peer_addr to, from; /* their time is not on the wire */
    uint64_t nonce;
    struct span user_agent;  /* borrowed, not sanitised */
    int32_t start_height;
    bool relay;              /* true when absent */
    struct span association; /* borrowed; length 0: no multistreams */
};

struct msg_protoconf {
    uint64_t n_fields;
    uint32_t max_recv_payload;
    struct span stream_policies; /* empty when only one field was sent */
};

struct msg_reject {
    struct span command; /* <= 12 bytes, not sanitised */
    uint8_t code;
    struct span reason;  /* <= 111 bytes, not sanitised */
    bool has_hash;
    struct hash256 hash;
};

struct msg_filterload {
    struct span bits; /* borrowed; any length */
    uint32_t n_hashes, tweak;
    uint8_t flags;
};

/*
 * Decoders: payload to struct. ERR_PARSE when bytes are missing or a compact size is not minimal
 * (spec p2p 1.6: reject 0x01, no score), ERR_RANGE for a size above its cap (score 1) or the
 * list limit (score in the row). Bytes after the known fields are ignored.
 */
enum err msg_version_read(struct msg_version *m, struct span payload) MUST_CHECK;
enum err msg_protoconf_read(struct msg_protoconf *m, struct span payload) MUST_CHECK;
enum err msg_reject_read(struct msg_reject *m, struct span payload) MUST_CHECK;
enum err msg_locator_read(struct msg_locator *m, struct span payload) MUST_CHECK;
enum err msg_u64_read(uint64_t *v, struct span payload) MUST_CHECK; /* ping, pong, feefilter */
enum err msg_sendcmpct_read(bool *announce, uint64_t *version, struct span payload) MUST_CHECK;
enum err msg_filterload_read(struct msg_filterload *m, struct span payload) MUST_CHECK;
enum err msg_filteradd_read(struct span *element, struct span payload) MUST_CHECK;
/* out holds MSG_HEADERS_MAX / MSG_ADDR_MAX entries. */
enum err msg_headers_read(struct block_header *out, size_t *n, struct span payload) MUST_CHECK;
enum err msg_addr_read(struct peer_addr *out, size_t *n, struct span payload) MUST_CHECK;
/* *out is allocated for exactly what the payload holds (free() it); may be ERR_NOMEM. */
enum err msg_inv_read(struct inv_item **out, size_t *n, struct span payload) MUST_CHECK;

void msg_version_write(struct buf *b, const struct msg_version *m);
void msg_protoconf_write(struct buf *b, uint32_t max_recv_payload, const char *policies);
void msg_reject_write(struct buf *b, const char *command, enum reject_code code, const char *reason,
                      const uint8_t *hash /* 32 bytes or NULL */);
void msg_sendcmpct_write(struct buf *b, bool announce, uint64_t version);
void msg_filterload_write(struct buf *b, const struct msg_filterload *m);
void msg_locator_write(struct buf *b, const struct msg_locator *m);
void msg_headers_write(struct buf *b, const struct block_header *headers, size_t n);
void msg_addr_write(struct buf *b, const struct peer_addr *addrs, size_t n);
void msg_inv_write(struct buf *b, const struct inv_item *items, size_t n);

/* Which limit of spec p2p 1.5 holds for a command. */
enum msg_limit {
    LIMIT_PROTOCOL,
    LIMIT_PROTOCONF,
    LIMIT_TX,
    LIMIT_BLOCK,
    LIMIT_GETBLOCKTXN,
    LIMIT_KINDS
};

/* How the payload is taken. */
enum msg_intake {
    INTAKE_COLLECT,         /* whole payload in memory, then the handler */
    INTAKE_STREAM,          /* always piece by piece through net_handlers.stream_* */
    INTAKE_COLLECT_OR_STREAM, /* collected up to MSG_COLLECT_MAX, streamed above */
    INTAKE_SKIP,            /* read and dropped */
};
#define MSG_COLLECT_MAX (32u << 20)

/* States in which a message may arrive (bits). */
enum { MSG_IN_START = 1, MSG_IN_VERSION = 2 /* before verack */, MSG_IN_READY = 4 };

/* What the dispatcher does after a handler. */
enum msg_result {
    MSG_DONE,
    MSG_MALFORMED, /* reject 0x01 "error parsing message", no score (spec p2p 1.6) */
    MSG_TOO_LARGE, /* a list or size above its cap: the row's score */
};

struct peer;
typedef enum msg_result (*msg_handle_fn)(struct peer *p, struct span payload);

struct msg_row {
    const char *name;
    enum msg_id id;
    uint8_t states;
    enum msg_limit limit;
    enum msg_intake intake;
    uint8_t score_too_large;
    msg_handle_fn handle; /* NULL: accepted and ignored */
};

const struct msg_row *msg_row(enum msg_id id);
/* By the 12 bytes of the header; the MSG_UNKNOWN row when there is none. */
const struct msg_row *msg_find(const uint8_t command[MSG_NAME_MAX]);

struct msg_limits {
    uint64_t block;    /* excessiveblocksize, 0: none */
    uint64_t protocol; /* maxprotocolrecvpayloadlength */
};
uint64_t msg_size_limit(const struct msg_row *row, const struct msg_limits *limits);
/* Elements of 36 bytes that fit into a payload of this size (spec p2p 1.5). */
static inline size_t msg_inv_max(uint64_t payload_limit)
{
    return (size_t)((payload_limit - 8) / MSG_INV_ITEM_SIZE);
}

#endif
