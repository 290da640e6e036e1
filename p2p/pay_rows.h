/*
 * What is on disk of payments by a transaction over direct channels (spec channels 4.2, messages
 * 288 to 292), in the store of direct channels. Integers are big-endian.
 *
 *   q | kind | contact 8 | key 33 of theirs, if contact is 0 | id 16   a row (enum pay_row_kind)
 *   q b | the same as a row of kind i -> its BEEF, until it is settled
 *   q c | txid 32 | index 4 -> contact 8, id 16                        an output that was credited
 *
 * Row: version 1 | state 1 | flags 1 | key of theirs 33 | of ours 33 | satoshis 8 | fee 8 |
 * created 8 | ended 8 | expires 4 | status 2 | request 16 | txid 32 | prefix (u8 length) | memo
 * (u16 length) | wallet (u8 length) | outputs u8 | per output: index 4, suffix (u8 length).
 *
 * Pure functions, any thread; so are those that read from a kv.
 */
#ifndef P2P_PAY_ROWS_H
#define P2P_PAY_ROWS_H

#include "base/buf.h"
#include "base/ids.h"
#include "base/kv.h"
#include "p2p/dchan_wire.h"

enum {
    PAY_ID_SIZE = 16,
    PAY_WALLET_MAX = 64,
    PAY_DEPTH = 6,
    PAY_ROW_KEY_MAX = 2 + 8 + IDENTITY_KEY_SIZE + PAY_ID_SIZE,
    PAY_CREDIT_KEY_SIZE = 2 + 32 + 4,
};

/* Stored, as the states below: never renumbered. */
enum pay_row_kind {
    PAY_REQUESTED_OF_US = 'r',
    PAY_REQUESTED_BY_US = 'o',
    PAY_RECEIVED = 'i',
    PAY_SENT = 't',
};
enum pay_row_state {
    PAY_OPEN = 1,     /* a request that nobody has paid */
    PAY_PAID = 2,
    PAY_EXPIRED = 3,
    PAY_MAKING = 4,   /* a payment: the wallet may have its transaction, or not yet */
    PAY_PENDING = 5,  /* the payee has not answered, or asks for a proof it does not have yet */
    PAY_ACCEPTED = 6,
    PAY_REFUSED = 7,  /* by the payee; its transaction was on its way already */
    PAY_TAKEN_BACK = 8, /* refused, and its coins are free again */
    PAY_SETTLED = 9,  /* received, and PAY_DEPTH blocks deep */
    PAY_LOST = 10,    /* accepted, but a block spends its coins otherwise */
};

struct pay_row_text {
    uint8_t len;
    uint8_t b[DCHAN_DERIVATION_MAX];
};
struct pay_row_output {
    uint32_t index;
    struct pay_row_text suffix;
};

struct pay_row {
    enum pay_row_kind kind;
    enum pay_row_state state;
    uint64_t contact;                /* 0: a stranger */
    uint8_t id[PAY_ID_SIZE];
    uint8_t theirs[IDENTITY_KEY_SIZE], ours[IDENTITY_KEY_SIZE];
    uint64_t satoshis, fee;          /* fee: of PAY_SENT */
    int64_t created, ended;          /* unix seconds; ended 0: it goes on */
    uint32_t expires;                /* unix seconds, of requests */
    uint16_t status;                 /* of the payee's last answer */
    bool has_request;
    uint8_t request[PAY_ID_SIZE];    /* that a payment is for */
    struct txid txid;                /* zeros: none yet; while it is being made that of the payment
                                      * for the same request that was taken back before */
    struct pay_row_text prefix;
    size_t n;
    struct pay_row_output output[DCHAN_OUTPUTS_MAX];
    size_t memo_len;
    uint8_t memo[DCHAN_TEXT_MAX];    /* not sanitised */
    char wallet[PAY_WALLET_MAX + 1];
};

struct pay_key {
    uint8_t b[PAY_ROW_KEY_MAX];
    size_t len;
};
struct pay_key pay_row_key(enum pay_row_kind kind, uint64_t contact,
                           const uint8_t theirs[IDENTITY_KEY_SIZE],
                           const uint8_t id[PAY_ID_SIZE]);
struct pay_key pay_row_key_of(const struct pay_row *r);
struct pay_key pay_beef_key(const struct pay_row *received);
void pay_credit_key(uint8_t out[PAY_CREDIT_KEY_SIZE], const struct outpoint *o);

void pay_row_write(struct buf *b, const struct pay_row *r);
/* False: it is damaged, or of a newer version. */
bool pay_row_read(struct pay_row *r, struct span key, struct span value);

struct pay_row_text pay_text_of(struct span s); /* at most DCHAN_DERIVATION_MAX bytes */
static inline struct span pay_text_span(const struct pay_row_text *t)
{
    return span_of(t->b, t->len);
}

/* "pending" and the like. */
const char *pay_state_name(enum pay_row_state s);
/* A word of p_result's codes: "refused". */
const char *pay_status_name(unsigned status);

enum err pay_row_load(struct kv *kv, const struct pay_key *key, struct pay_row *r, bool *found,
                      struct error *e) MUST_CHECK;
/* All rows by kind, contact and id. fn may stop with an error. ERR_CORRUPT. */
typedef enum err (*pay_row_fn)(void *ctx, const struct pay_row *r, struct error *e);
enum err pay_rows_each(struct kv *kv, pay_row_fn fn, void *ctx, struct error *e) MUST_CHECK;
/* Those of one contact, which is no stranger: nothing else is read. */
enum err pay_rows_of(struct kv *kv, uint64_t contact, pay_row_fn fn, void *ctx,
                     struct error *e) MUST_CHECK;

#endif
