/*
 * Events of the replayable log: a table of types, their form on disk and as a line of JSON. A new
 * type is a row of the table and the function that fills its values.
 *
 * On disk: u32 length of the rest without the checksum, u32 checksum (SipHash-2-4 with an all-zero
 * key, its low half), then u8 type, u64 number, u64 time and the values in the order of the row.
 * All little-endian. Pure functions, any thread.
 */
#ifndef NODE_EVENT_RECORD_H
#define NODE_EVENT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "rpc/json_write.h"

/* Stored, never renumbered; the rows are in event_record.c. */
enum logged_event {
    LOGGED_START = 1,       /* what was told before counts no more: the chain stands here, the
                               mempool is empty (what is in it follows) */
    LOGGED_BLOCK_CONNECTED = 2,
    LOGGED_BLOCK_DISCONNECTED = 3,
    LOGGED_TX_ACCEPTED = 4,
    LOGGED_TX_REMOVED = 5,
    LOGGED_MESSAGE_RECEIVED = 6,
    LOGGED_MESSAGE_DELIVERED = 7, /* one of ours is on the disk of who it is for */
    LOGGED_MESSAGE_FAILED = 8,    /* one of ours never will be */
    LOGGED_FILE_OFFERED = 9,      /* and waits for the user */
    LOGGED_FILE_RECEIVED = 10,
    LOGGED_SESSION_UP = 16,       /* of a direct channel with a contact */
    LOGGED_SESSION_DOWN = 17,
    LOGGED_PAYCHAN_OPENED = 19,   /* a payment channel takes payments from now on */
    LOGGED_PAYMENT_UNNUMBERED = 20, /* over one; of earlier versions */
    LOGGED_PAYCHAN_CLOSING = 21,
    LOGGED_PAYCHAN_CLOSED = 22,
    LOGGED_PAYCHAN_ALARM = 23,
    LOGGED_PAYMENT_RECEIVED = 24, /* over a payment channel, and on disk */
    LOGGED_PAYTX_REQUESTED = 32,  /* a contact asks for a payment */
    LOGGED_PAYTX_RECEIVED = 33,   /* by a transaction over a direct channel */
    LOGGED_PAYTX_SENT = 34,
    LOGGED_PAYTX_FAILED = 35,
    LOGGED_CONTACT_SUCCESSOR = 18, /* a contact has announced another key, or moved to it */
};

/* Who numbers what is told (told_numbers.h); such a number is the first value. Stored, never
 * renumbered. */
enum told_source { TOLD_NOWHERE, TOLD_MESSAGES, TOLD_FILES, TOLD_PAYCHANS, TOLD_SOURCES };

#define EVENT_FIELDS_MAX 7
#define EVENT_TEXT_MAX 64
#define EVENT_RECORD_MAX 512 /* bytes on disk */
#define EVENT_FRAME_SIZE 8   /* length and checksum */

enum event_field_kind {
    FIELD_NONE,          /* past the last */
    FIELD_HASH,
    FIELD_OPTIONAL_HASH, /* all zero: absent, left out in JSON */
    FIELD_NUMBER,
    FIELD_AMOUNT,        /* satoshis; coins in JSON */
    FIELD_TEXT,
    FIELD_KEY, /* public, 33 bytes */
    FIELD_ID,  /* 16 bytes */
    FIELD_FILE, /* 32 bytes in their order */
};

struct event_field {
    const char *name;
    enum event_field_kind kind;
};

struct event_row {
    enum logged_event type;
    const char *name;
    struct event_field fields[EVENT_FIELDS_MAX + 1];
    enum told_source source;
};

/* NULL: no such type. */
const struct event_row *event_row_find(unsigned type);

union event_value {
    uint8_t hash[32], key[33], id[16], file[32];
    int64_t number;
    char text[EVENT_TEXT_MAX];
};

/* Values of the fields in order. Number and time are the log's to set. */
struct event_record {
    enum logged_event type;
    uint64_t number;
    int64_t time_ms; /* since 1970 */
    union event_value v[EVENT_FIELDS_MAX];
};

/* Positions of the values. */
enum { START_HASH, START_HEIGHT };
enum { BLOCK_HASH, BLOCK_PREVIOUS, BLOCK_HEIGHT, BLOCK_TXS, BLOCK_SIZE, BLOCK_TIME };
enum { TX_ID, TX_SIZE, TX_FEE };
enum { REMOVED_ID, REMOVED_REASON, REMOVED_CONFLICT, REMOVED_BLOCK };
enum { PAYCHAN_EVENT_ID, PAYCHAN_EVENT_KEY, PAYCHAN_EVENT_ROLE, PAYCHAN_EVENT_SUM };
enum {
    RECEIVED_ENTRY, RECEIVED_ID, RECEIVED_KEY, RECEIVED_SATOSHIS, RECEIVED_SUM, RECEIVED_N,
    RECEIVED_REF,
};
enum { ALARM_ID, ALARM_KEY, ALARM_TEXT };
enum { PAYTX_EVENT_ID, PAYTX_EVENT_KEY, PAYTX_EVENT_SATOSHIS, PAYTX_EVENT_LAST };
enum { HEIR_OF, HEIR_KEY, HEIR_STATE };
enum { SESSION_KEY, SESSION_IDENTITY, SESSION_ADDRESS, SESSION_REASON = SESSION_ADDRESS };
enum { FILE_ENTRY, FILE_ID, FILE_KEY, FILE_SIZE, FILE_NAME };
enum { MESSAGE_ENTRY, MESSAGE_NUMBER, MESSAGE_ID, MESSAGE_KEY, MESSAGE_REASON };

void event_record_write(struct buf *b, const struct event_record *r);

enum event_read { EVENT_READ, EVENT_INCOMPLETE, EVENT_DAMAGED };
/* The record at data; *used: its length. INCOMPLETE: longer than len, if it is one at all. */
enum event_read event_record_read(const void *data, size_t len, struct event_record *r,
                                  size_t *used);

/* One object: number, time, type, then the fields of the type. */
void event_record_json(struct json_writer *w, const struct event_record *r);

#endif
