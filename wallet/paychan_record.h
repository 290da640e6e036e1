/*
 * A payment channel as it is stored (paychan.h says when): the whole, and the short form that each
 * payment writes. Little-endian:
 *
 *   whole:   version 1 (of 1 and 2) | role 1 | state 1 | id 32 | nonce_a 32 | nonce_b 32 |
 *            payer key 33 | payee key 33 | payer pkh 20 | payee pkh 20 | expiry 4 | capacity 8 |
 *            close fee 8 | min depth 1 | close margin 2 | since 8 | funding txid 32 | index 4 |
 *            funded 1 | funding height 4 | refund fee 8 | numbers | flags 1 | agreed paid 8 |
 *            agreed fee 8 | agreed sig 64 | spend 1 | spend height 4 | settled paid 8 |
 *            settled fee 8 | signatures 4 | from version 2 on: inputs 1, so many times txid 32 |
 *            index 4
 *   numbers: n 8 | paid 8 | sig 64
 *
 * Pure functions, any thread.
 */
#ifndef WALLET_PAYCHAN_RECORD_H
#define WALLET_PAYCHAN_RECORD_H

#include "wallet/paychan.h"

#define PAYCHAN_RECORD_VERSION 2
#define PAYCHAN_NUMBERS_SIZE 80

void paychan_put_whole(struct buf *out, const struct paychan *c);
void paychan_put_numbers(struct buf *out, const struct paychan *c);
/* What is not stored is zero. ERR_RANGE: a newer version; ERR_CORRUPT. */
enum err paychan_get_whole(struct paychan *c, struct span in, struct error *e) MUST_CHECK;
/* Into a channel that was stored before; its other fields stay, and all do when it is further
 * already: a journal is replayed over what was stored of it. ERR_CORRUPT. */
enum err paychan_get_numbers(struct paychan *c, struct span in, struct error *e) MUST_CHECK;

#endif
