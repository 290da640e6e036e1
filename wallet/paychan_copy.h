/*
 * What identifies a payment channel, without its secrets and without what was paid (spec channels
 * 8.8): with it and the phrase of a wallet a side that has lost its database finds its keys again.
 *
 * The copy, big-endian, 224 bytes: type 2 | payer key 33 | payee key 33 | expiry 4 | capacity 8 |
 * funding txid 32 | index 4 | close fee 4 | payer pkh 20 | payee pkh 20 | nonce_a 32 | nonce_b 32
 *
 * A saved channel, as the export file has it (base/state_file.h, "pchn" version 1; count u32
 * little-endian, then so many): id 32 | role 1 | identity of ours 33 | of theirs 33 | copy 224
 *
 * Nothing in it is to be believed: who takes one derives the keys anew and looks at the output.
 * Pure functions, any thread; ec_init must have been called.
 */
#ifndef WALLET_PAYCHAN_COPY_H
#define WALLET_PAYCHAN_COPY_H

#include "base/reader.h"
#include "base/state_file.h"
#include "wallet/paychan.h"

enum {
    PAYCHAN_COPY_SIZE = 224,
    PAYCHAN_SAVED_SIZE = PAYCHAN_ID_SIZE + 1 + 2 * EC_PUBKEY_SIZE + PAYCHAN_COPY_SIZE,
    PAYCHAN_SAVED_MAX = 100000, /* channels in a file */
};

/* Of a funded channel. */
void paychan_put_copy(struct buf *out, const struct paychan *c);
/* Terms, funding and nonces of a channel that is otherwise empty. ERR_PARSE: amounts, expiry or
 * keys that no channel has, or another type. */
enum err paychan_get_copy(struct paychan *c, struct span in, struct error *e) MUST_CHECK;

struct paychan_saved {
    uint8_t id[PAYCHAN_ID_SIZE];
    enum paychan_role role;
    uint8_t ours[EC_PUBKEY_SIZE], theirs[EC_PUBKEY_SIZE]; /* identities, at the opening */
    uint8_t copy[PAYCHAN_COPY_SIZE];
};

extern const struct state_file_kind paychan_saved_kind;

/* Whether the id is that of these identities and the nonces of c. */
bool paychan_saved_fits(const struct paychan_saved *s, const struct paychan *c);
void paychan_put_saved(struct buf *out, const struct paychan_saved *s);
/* *v: the caller's array (free). ERR_CORRUPT. */
enum err paychan_get_saved(struct reader *r, struct paychan_saved **v, size_t *n,
                           struct error *e) MUST_CHECK;

#endif
