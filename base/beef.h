/*
 * BEEF: a transaction with its ancestors back to those that a Merkle proof shows to be in a block
 * (BRC-62, V2 of BRC-96, atomic form of BRC-95; spec consensus 6, brc-notes 7).
 *
 *   atomic form: 01010101 | id of the subject 32, then one of:
 *   V1: 0100beef | compact count | BUMPs | compact count | per transaction: bytes, then 00, or
 *       01 and the compact number of its BUMP
 *   V2: 0200beef | the same, but each transaction begins with 00, or 01 and the number of its BUMP;
 *       02 is followed by an id alone: a transaction the receiver is said to have
 *
 * Parents stand before children that have no proof. Reading looks at the format, beef_check at the
 * structure; whether the roots are those of blocks, and what scripts and amounts say, is for the
 * caller to find out. One thread at a time.
 */
#ifndef BASE_BEEF_H
#define BASE_BEEF_H

#include "base/bump.h"
#include "base/tx.h"

/* Our limits of what is read. */
#define BEEF_BYTES_MAX ((size_t)2 << 20)
#define BEEF_TXS_MAX 1000
#define BEEF_BUMPS_MAX 256

enum beef_version { BEEF_V1, BEEF_V2 };
enum beef_form { BEEF_PLAIN, BEEF_PROVED, BEEF_ID_ALONE };

struct beef_tx {
    enum beef_form form;
    struct tx tx;   /* raw is borrowed; of BEEF_ID_ALONE only the id counts */
    size_t bump;    /* of BEEF_PROVED: number of its proof */
};

struct beef {
    enum beef_version version;
    bool atomic;
    struct txid subject;   /* of the atomic form */
    struct bump *bump;     /* owned */
    size_t n_bumps;
    struct beef_tx *tx;
    size_t n_txs;
    struct arena arena;    /* arrays of the transactions */
};

void beef_init(struct beef *b, enum beef_version version);
void beef_clear(struct beef *b);

/* Into a struct that needs no clearing before, and none after a failure. Borrows r's memory.
 * ERR_PARSE, ERR_RANGE (above a limit), ERR_NOMEM. */
enum err beef_read(struct reader *r, struct beef *b, struct error *e) MUST_CHECK;
/* V1 has no transaction that is an id alone. */
void beef_write(struct buf *out, const struct beef *b);

/* For who makes one. The proof moves into b; its number is returned. */
size_t beef_add_bump(struct beef *b, struct bump *bump);
/* raw is borrowed and must be exactly one transaction. ERR_PARSE, ERR_NOMEM. */
enum err beef_add_tx(struct beef *b, struct span raw, struct error *e) MUST_CHECK;
enum err beef_add_proved(struct beef *b, struct span raw, size_t bump, struct error *e) MUST_CHECK;

/* The atomic form's subject if it is there, else the last transaction; NULL when there is none. */
const struct beef_tx *beef_subject(const struct beef *b);

/*
 * Structure: there is a subject; no transaction is there twice; what has no proof spends outputs of
 * what stands before it and no others; what has one is in it, and is not of 64 bytes (attacks A4);
 * proofs of one height lead to one root in one depth; in the atomic form there is nothing but the
 * subject and its ancestors. ERR_PARSE with the reason, ERR_NOMEM.
 */
enum err beef_check(const struct beef *b, struct error *e) MUST_CHECK;

#endif
