/*
 * What messages are on disk, in the store of direct channels. Integers are big-endian, so that keys
 * order as their numbers.
 *
 *   o | key 33 | created 8 | id 16  one of ours that is not delivered: contact 8, number 8, ttl 4,
 *                                   bytes 4
 *   i h | number 8                  head of a message, ours and theirs (message_head)
 *   i b | number 8                  its body
 *   i e | number 8                  what the event log is told (message_entry)
 *   i x | name | id 16              number 8 of one of ours
 *   i r | number 8                  waits in the request box: prefix 6
 *   i m | name | id 16              an m_read that is still to be sent: time 8
 *   i k | name                      of a contact: bytes 8 that nobody has read
 *   s | name | i | id 16            an id that was taken: time 8 until when it is kept
 *   s | name | t | time 8 | id 16   the same in the order of that time
 *   s | name | n                    count 4 of ids, about
 *   n                               last number 8, bytes 8 of heads and bodies
 *   n | name                        message_order
 *
 * Numbers rise over all that happens to messages and are never used again. A name is who talks to
 * us: 'c' | number 8 of the contact, or 'k' | key 33 | key of ours 33, so that a contact keeps its
 * messages when its key changes, and identities of ours know nothing of each other's strangers.
 *
 * Pure functions, any thread; the reading ones take a kv and may run on any thread too.
 */
#ifndef P2P_MESSAGE_ROWS_H
#define P2P_MESSAGE_ROWS_H

#include "base/buf.h"
#include "base/kv.h"
#include "p2p/dchan_wire.h"

enum {
    MESSAGE_ID_SIZE = 16,
    MESSAGES_IN_FLIGHT = 64, /* of a peer, not acknowledged */
    MESSAGE_NAME_MAX = 1 + 2 * IDENTITY_KEY_SIZE,
    MESSAGE_KEY_MAX = 2 + MESSAGE_NAME_MAX + 8 + MESSAGE_ID_SIZE,
    MESSAGE_GAPS_MAX = MESSAGES_IN_FLIGHT, /* a peer that keeps to it makes no more */
    MESSAGE_ENTRIES_KEPT = 16384, /* that the event log was told of */
};

struct message_name {
    uint8_t b[MESSAGE_NAME_MAX];
    size_t len;
};
void message_name_contact(struct message_name *n, uint64_t contact);
void message_name_stranger(struct message_name *n, const uint8_t key[IDENTITY_KEY_SIZE],
                           const uint8_t ours[IDENTITY_KEY_SIZE]);

/* --- keys --- */

struct message_key {
    uint8_t b[MESSAGE_KEY_MAX];
    size_t len;
};
enum message_table { TABLE_HEAD = 'h', TABLE_BODY = 'b', TABLE_ENTRY = 'e', TABLE_BOX = 'r' };
struct message_key message_key_number(enum message_table table, uint64_t number);
/* False: the key is of another table. */
bool message_key_has_number(struct span key, enum message_table table, uint64_t *number);
enum message_index { INDEX_OURS = 'x', INDEX_READ = 'm' };
struct message_key message_key_index(enum message_index index, const struct message_name *n,
                                     const uint8_t id[MESSAGE_ID_SIZE]);
struct message_key message_key_outbox(const uint8_t key[IDENTITY_KEY_SIZE], uint64_t created_ms,
                                      const uint8_t id[MESSAGE_ID_SIZE]);
struct message_key message_key_seen(const struct message_name *n,
                                    const uint8_t id[MESSAGE_ID_SIZE]);
struct message_key message_key_seen_time(const struct message_name *n, uint64_t until_ms,
                                         const uint8_t id[MESSAGE_ID_SIZE]);
struct message_key message_key_seen_count(const struct message_name *n);
struct message_key message_key_unread(const struct message_name *n);
struct message_key message_key_order(const struct message_name *n);
struct message_key message_key_last(void);

/* --- values --- */

/* Stored, never renumbered. SENT is said of a queued one that is in flight, never stored. */
enum message_state {
    MESSAGE_STATE_UNREAD = 1,
    MESSAGE_STATE_READ = 2,
    MESSAGE_STATE_QUEUED = 3,
    MESSAGE_STATE_SENT = 4,
    MESSAGE_STATE_DELIVERED = 5,
    MESSAGE_STATE_SEEN = 6, /* delivered, and its reader says so */
    MESSAGE_STATE_REFUSED = 7,
    MESSAGE_STATE_EXPIRED = 8,
    MESSAGE_STATE_CANCELLED = 9, /* the contact was removed */
};
/* As people and programs see it: "queued". */
const char *message_state_name(enum message_state s);

struct message_head {
    uint64_t number;             /* of the key */
    bool ours;
    enum message_state state;
    uint64_t contact;            /* 0: a stranger */
    uint8_t key[IDENTITY_KEY_SIZE], our_key[IDENTITY_KEY_SIZE];
    uint8_t id[MESSAGE_ID_SIZE];
    uint64_t created_ms, stored_ms, ended_ms, read_ms;
    uint32_t ttl;
    bool has_seq, has_reply_to, has_thread;
    bool late;                   /* it filled a gap of the order */
    bool reset;                  /* its seq was used before: the sender lost its history */
    uint64_t seq;
    uint64_t missing;            /* so many before it had not come when it did */
    uint16_t code;               /* of the m_nack that ended it */
    uint8_t reply_to[MESSAGE_ID_SIZE], thread[MESSAGE_ID_SIZE];
    uint8_t content_type_len;
    uint8_t content_type[DCHAN_CONTENT_TYPE_MAX];
    uint32_t body_len;
};
void message_head_write(struct buf *b, const struct message_head *h);
bool message_head_read(struct message_head *h, uint64_t number, struct span value);
void message_head_name(const struct message_head *h, struct message_name *n);

/* Of the order of what two send each other. Ranges: seqs that did not come, lowest first. */
struct message_order {
    uint64_t sent; /* last seq of ours */
    uint64_t seen; /* highest of theirs */
    size_t n_gaps;
    struct message_gap { uint64_t first, last; } gaps[MESSAGE_GAPS_MAX];
};
void message_order_write(struct buf *b, const struct message_order *o);
bool message_order_read(struct message_order *o, struct span value);
/*
 * One with this seq came. missing, late and reset as in the head. When there are too many gaps the
 * lowest one is forgotten.
 */
void message_order_take(struct message_order *o, uint64_t seq, struct message_head *h);
/* It could not be kept: as if it had not come. */
void message_order_untake(struct message_order *o, uint64_t seq);

struct message_outbox {
    uint8_t key[IDENTITY_KEY_SIZE], id[MESSAGE_ID_SIZE];
    uint64_t created_ms, contact, number;
    uint32_t ttl, bytes;
};
void message_outbox_write(struct buf *b, const struct message_outbox *o);
bool message_outbox_read(struct message_outbox *o, struct span key, struct span value);

struct message_entry {
    uint8_t kind; /* message_news_kind */
    uint64_t number;
    uint8_t id[MESSAGE_ID_SIZE], key[IDENTITY_KEY_SIZE];
    enum message_state state; /* that a message of ours ended with */
};
void message_entry_write(struct buf *b, const struct message_entry *x);
bool message_entry_read(struct message_entry *x, struct span value);

/* --- reading --- */

/* ERR_NOTFOUND; ERR_CORRUPT. */
enum err message_head_load(struct kv *kv, uint64_t number, struct message_head *h,
                           struct error *e) MUST_CHECK;
/* ERR_NOTFOUND: none is there. */
enum err message_body_load(struct kv *kv, uint64_t number, struct buf *out,
                           struct error *e) MUST_CHECK;
/* Zeros when there is none. */
enum err message_last_load(struct kv *kv, uint64_t *number, uint64_t *bytes,
                           struct error *e) MUST_CHECK;
enum err message_order_load(struct kv *kv, const struct message_name *n, struct message_order *o,
                            struct error *e) MUST_CHECK;

#endif
