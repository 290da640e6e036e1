/*
 * Which transactions of a block history_apply_block needs to see: those that pay us, that spend
 * what is ours or what an unconfirmed transaction of ours spends, or that spend an output of one of
 * these in the same block. The others need not be kept. One pick serves for one block after
 * another. Threads: as of the history.
 */
#ifndef WALLET_PICK_H
#define WALLET_PICK_H

#include <stdbool.h>

#include "base/err.h"
#include "base/tx.h"

struct history;
struct pick;

struct pick *pick_new(struct history *h); /* borrowed as long as the pick lives */
void pick_free(struct pick *p);           /* NULL is fine */

/* Before the first transaction of each block. */
enum err pick_begin(struct pick *p, struct error *e) MUST_CHECK;
/* In the order of the block; the transaction has its id. */
bool pick_tx(struct pick *p, const struct tx *tx);
/* The same for whoever has looked at its outputs already. */
bool pick_tx_seen(struct pick *p, const struct tx *tx, bool pays_us);
/* False: the history was read anew since pick_begin, and may have had other coins before. */
bool pick_holds(const struct pick *p);

#endif
