/*
 * Transactions. A struct tx is a parsed view: its arrays live in an arena (or behind the same
 * allocation, tx_new), its scripts point into the raw bytes. Immutable once complete, so any number
 * of threads may read it while whoever owns raw bytes and arena keeps them.
 *
 * Format: spec consensus 6. Amounts are satoshis.
 */
#ifndef BASE_TX_H
#define BASE_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/reader.h"

#define TX_MIN_SIZE 10     /* version, two empty counts, lock time */
#define TX_IN_MIN_SIZE 41
#define TX_OUT_MIN_SIZE 9
#define TX_SEQUENCE_FINAL UINT32_C(0xffffffff)

struct tx_in {
    struct outpoint prevout;
    uint32_t sequence;
    struct span script; /* scriptSig */
};

struct tx_out {
    int64_t value;
    struct span script; /* scriptPubKey */
};

struct tx {
    struct txid id;
    struct span raw; /* whole serialisation */
    int32_t version;
    uint32_t lock_time;
    size_t n_in, n_out;
    struct tx_in *in;
    struct tx_out *out;
};

/*
 * Reads one transaction from r; arrays come from a; raw and scripts borrow r's memory. Does not
 * compute the id (tx_compute_id does). ERR_PARSE on a bad format, ERR_NOMEM.
 */
enum err tx_read(struct reader *r, struct arena *a, struct tx *tx) MUST_CHECK;
/* The bytes of one transaction, whose structure is followed but not kept; borrowed. After a failure
 * empty. */
struct span tx_read_raw(struct reader *r);
/* One input, one output, for those who keep no arrays of them; scripts borrow r's memory. */
void tx_in_read(struct reader *r, struct tx_in *in);
void tx_out_read(struct reader *r, struct tx_out *out);
void tx_compute_id(struct tx *tx);
void tx_write(struct buf *b, const struct tx *tx); /* from the fields, not from raw */
size_t tx_size(const struct tx *tx);               /* of the same */
bool tx_is_coinbase(const struct tx *tx);

/* Shared heap transaction with its own copy of the bytes, which must be exactly one transaction. */
struct tx *tx_new(const void *raw, size_t len, struct error *e);
struct tx *tx_ref(struct tx *tx);
void tx_unref(struct tx *tx);
size_t tx_memory(const struct tx *tx); /* bytes that tx_new took for it */

#endif
