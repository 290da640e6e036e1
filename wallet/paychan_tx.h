/*
 * Transactions of a payment channel of type 1 (spec channels 8.3, 8.4): the locking script of its
 * one output, the close C that both sign, the refund R that the payer alone can spend it by from
 * its expiry on. Both sides make the same bytes, so that of a close only the payer's signature has
 * to travel.
 *
 * Everything is version 1 and signed with ALL|FORKID. Amounts are satoshis. Transactions are known
 * by the outpoint they spend and their outputs, never by their id. Pure functions, any thread;
 * ec_init must have been called.
 */
#ifndef WALLET_PAYCHAN_TX_H
#define WALLET_PAYCHAN_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/ec.h"
#include "base/tx.h"

enum {
    PAYCHAN_PKH_SIZE = 20,
    PAYCHAN_CLOSE_SIZE_MAX = 266,  /* bytes */
    PAYCHAN_REFUND_SIZE_MAX = 576, /* with an expiry of three bytes */
    PAYCHAN_EXPIRY_MAX = 499999999,
};

/* What both sides agreed on. */
struct paychan_terms {
    uint8_t payer_key[EC_PUBKEY_SIZE], payee_key[EC_PUBKEY_SIZE]; /* A and B of the lock */
    uint8_t payer_pkh[PAYCHAN_PKH_SIZE], payee_pkh[PAYCHAN_PKH_SIZE];
    uint32_t expiry; /* T: the payer can take all back in block T + 1 */
    uint64_t capacity, close_fee;
};

/* Appends the locking script. */
void paychan_put_lock(struct buf *out, const struct paychan_terms *t);
/* Exactly this output. */
bool paychan_is_funding(const struct tx_out *out, const struct paychan_terms *t);

/* A close that pays so much: fee is close_fee of the terms, or another both agree on. */
struct paychan_close {
    uint64_t paid, fee;
};
/* paid + fee <= capacity, by checked addition, and an output is left: no block takes a transaction
 * that has none. */
bool paychan_close_fits(const struct paychan_terms *t, const struct paychan_close *c);

/* The next three: a close that fits. */
void paychan_close_digest(uint8_t digest[32], const struct paychan_terms *t,
                          const struct outpoint *at, const struct paychan_close *c);
bool paychan_close_sign(uint8_t sig[EC_SIG_SIZE], const struct paychan_terms *t,
                        const struct outpoint *at, const struct paychan_close *c,
                        const uint8_t secret[32]);
/* Signature of the payer. False also for a high S. */
bool paychan_close_verify(const uint8_t payer_sig[EC_SIG_SIZE], const struct paychan_terms *t,
                          const struct outpoint *at, const struct paychan_close *c);
/*
 * Appends the transaction as the payee makes it, in which nothing is missing. more: 32 bytes for
 * another signature of the payee's and so another id, or NULL. False: a signature or the secret is
 * none.
 */
bool paychan_put_close(struct buf *out, const struct paychan_terms *t, const struct outpoint *at,
                       const struct paychan_close *c, const uint8_t payer_sig[EC_SIG_SIZE],
                       const uint8_t payee_secret[32], const uint8_t *more);
/* Whether tx is a close of the channel, by its input and its outputs; and what it pays. */
bool paychan_read_close(const struct tx *tx, const struct paychan_terms *t,
                        const struct outpoint *at, struct paychan_close *c);
/* The payer's signature in one. False: it has none that is well formed. */
bool paychan_read_close_sig(const struct tx *tx, uint8_t payer_sig[EC_SIG_SIZE]);

/*
 * Appends the refund with a fee a little above (a few satoshis, until the digest has the form that
 * the lock asks for). lock_time: at least the expiry. False: the fee leaves nothing, or lock_time
 * is out of range.
 */
bool paychan_put_refund(struct buf *out, const struct paychan_terms *t, const struct outpoint *at,
                        uint64_t fee, uint32_t lock_time, const uint8_t payer_secret[32]);

#endif
