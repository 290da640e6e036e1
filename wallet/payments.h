/*
 * Payments between people (BRC-29, wallet/brc29.h). The wallet's identity key is that of BRC-75:
 * its secret is the SHA-256 of the seed.
 *
 * The keys of a payment follow from its prefix and suffixes, which are in no seed and on no chain.
 * So they are on disk, synced, before anybody is told: of a payment that is made before its
 * transaction is recorded, of one that is accepted together with the secrets of its outputs, in one
 * batch of the key store. A backup holds them, the phrase alone does not.
 *
 * Any thread; the wallet's lock is taken.
 */
#ifndef WALLET_PAYMENTS_H
#define WALLET_PAYMENTS_H

#include "base/buf.h"
#include "wallet/brc29.h"
#include "wallet/wallet.h"

#define PAYMENT_OUTPUTS_MAX 64

struct payment_output {
    uint32_t index;      /* in the transaction */
    struct span suffix;
};

/* Spans are borrowed. */
struct payment {
    bool received;       /* else sent */
    uint8_t other[EC_PUBKEY_SIZE]; /* identity key of sender or payee */
    struct span prefix;
    struct txid txid;
    struct payment_output output[PAYMENT_OUTPUTS_MAX];
    size_t n;
};

/* ERR_AUTH while locked. The caller wipes. */
enum err payments_identity_secret(struct wallet *w, uint8_t out[32], struct error *e) MUST_CHECK;
/* A locked wallet knows it when it was asked for before; else ERR_AUTH. */
enum err payments_identity_key(struct wallet *w, uint8_t out[EC_PUBKEY_SIZE],
                               struct error *e) MUST_CHECK;

/*
 * Takes the outputs of tx that p names; p->txid is set from it. What was accepted already is OK
 * once more. ERR_RANGE: an output that is not there, is worth nothing, is named twice or does not
 * pay the derived key; parts that are none. ERR_EXISTS: the sender used the prefix for another
 * payment. ERR_AUTH while locked.
 */
enum err payments_accept(struct wallet *w, struct payment *p, const struct tx *tx,
                         struct error *e) MUST_CHECK;
/* The same of one that was made for another key of ours, that of an identity (spec channels 4.2,
 * p_tx): identity is its secret. */
/* Whether that would be OK; nothing is kept, and the wallet need not be unlocked. */
enum err payments_check_as(struct wallet *w, const uint8_t identity[32], struct payment *p,
                           const struct tx *tx, struct error *e) MUST_CHECK;
enum err payments_accept_as(struct wallet *w, const uint8_t identity[32], struct payment *p,
                            const struct tx *tx, struct error *e) MUST_CHECK;

struct payment_sent {
    struct payment payment; /* borrows from parts */
    struct buf parts;
    struct tx *tx;          /* the caller's reference */
    int64_t fee;
};
/*
 * Makes a transaction with an output for each amount to new keys of the payee; how: all but the
 * recipients, as for wallet_send, whose errors these are. The caller clears *out, after a failure
 * too.
 */
enum err payments_send(struct wallet *w, const uint8_t payee[EC_PUBKEY_SIZE],
                       const int64_t *amounts, size_t n, const struct wallet_send *how,
                       struct payment_sent *out, struct error *e) MUST_CHECK;
/* One output from the holder of identity, as above, at a place that was chosen before, so that the
 * payment can be found again whatever crashes in between. */
enum err payments_send_as(struct wallet *w, const uint8_t identity[32],
                          const uint8_t payee[EC_PUBKEY_SIZE], const struct brc29_place *place,
                          int64_t amount, const struct wallet_send *how, struct payment_sent *out,
                          struct error *e) MUST_CHECK;
void payment_sent_clear(struct payment_sent *s);
/* Whether something was sent to the payee with that prefix: no other payment may have it then. */
enum err payments_prefix_was_sent(struct wallet *w, const uint8_t payee[EC_PUBKEY_SIZE],
                                  struct span prefix, bool *sent, struct error *e) MUST_CHECK;

/* All of them, in no useful order. fn runs under the lock; stops at the first error. */
typedef enum err (*payment_fn)(void *ctx, const struct payment *p, struct error *e);
enum err payments_each(struct wallet *w, payment_fn fn, void *ctx, struct error *e) MUST_CHECK;

#endif
