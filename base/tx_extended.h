/*
 * Transactions that bring along the outputs they spend: the Extended Format of BRC-30 (spec
 * consensus 6, where the value has eight bytes, not the four of BRC-30's table). The id is that of
 * the plain form. What is said about the spent outputs is a claim of the sender. Pure functions,
 * any thread.
 *
 *   version 4 | 00 00 00 00 00 ef | compact count | inputs | compact count | outputs | lock time 4
 *   an input is followed by the spent output: value 8 | compact length | script
 */
#ifndef BASE_TX_EXTENDED_H
#define BASE_TX_EXTENDED_H

#include <stdbool.h>

#include "base/tx.h"

struct tx_extended {
    struct tx tx;         /* raw: the plain form, in the arena; id as tx_read leaves it */
    struct tx_out *spent; /* one for each input */
};

/* By the marker, which no whole plain transaction of more than 10 bytes has. */
bool tx_extended_detect(struct span raw);
/* As tx_read: scripts borrow r's memory, the rest comes from a. ERR_PARSE, ERR_NOMEM. */
enum err tx_extended_read(struct reader *r, struct arena *a, struct tx_extended *x) MUST_CHECK;
/* spent: one for each input. */
void tx_extended_write(struct buf *b, const struct tx *tx, const struct tx_out *spent);

#endif
