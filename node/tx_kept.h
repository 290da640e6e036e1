/*
 * Transactions that were announced lately, for peers that ask for them, whether they are still in
 * the mempool or not: the relay map of spec p2p 9. Bounded by time and by bytes, oldest first.
 * Loop thread.
 */
#ifndef NODE_TX_KEPT_H
#define NODE_TX_KEPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/tx.h"

#define TX_KEPT_MS 900000 /* spec p2p 9: 15 min */

struct tx_kept;

struct tx_kept *tx_kept_new(size_t max_bytes);
void tx_kept_free(struct tx_kept *k); /* NULL is fine */
/* Keeps a reference; place: in the list of announcements, 0: announced already. One that is kept
 * stays with its place. */
void tx_kept_add(struct tx_kept *k, struct tx *tx, uint64_t place, int64_t now_ms);
/* Borrowed until the next change; NULL when it is not there, or its place is `before` or later. */
struct tx *tx_kept_find(const struct tx_kept *k, const struct txid *id, uint64_t before);
void tx_kept_expire(struct tx_kept *k, int64_t now_ms);
/* The mempool has given it up. */
void tx_kept_note_left(struct tx_kept *k, const struct txid *id);
size_t tx_kept_bytes(const struct tx_kept *k); /* held against max_bytes */
/* Memory that is not the mempool's too. */
size_t tx_kept_own_bytes(const struct tx_kept *k);

#endif
