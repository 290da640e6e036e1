/*
 * News about transactions from the chain to the loop: what entered the mempool, what was judged,
 * what is in a block now. Written by the chain thread (chain.h handlers) into arrays that the loop
 * takes as a whole, so that a transaction costs no allocation and no wake-up of its own.
 *
 * Bounded by what is under way in the chain: callers of chain_offer_tx bound that.
 */
#ifndef NODE_TX_INBOX_H
#define NODE_TX_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chain/mempool.h"
#include "chain/tx_result.h"

#define TX_NEWS_MISSING_MAX 1000

struct tx_inbox;

struct tx_news {
    enum tx_news_kind { TX_NEWS_ACCEPTED, TX_NEWS_JUDGED, TX_NEWS_CONFIRMED } kind;
    struct tx *tx;             /* a reference */
    uint64_t source;           /* peer id or TX_SOURCE_ */
    /* accepted */
    int64_t fee;               /* satoshis */
    uint64_t sequence;         /* in the mempool */
    /* judged */
    enum tx_outcome outcome;
    int64_t cpu_us;
    size_t verdict;            /* of TX_REJECTED: index in the batch */
    size_t missing, n_missing; /* of TX_MISSING_INPUTS: in the batch; how many there are, of which
                                * at most TX_NEWS_MISSING_MAX are in the batch */
};

struct tx_news_batch {
    struct tx_news *news;
    struct verdict *verdicts;
    struct txid *missing;
    size_t n, cap, n_verdicts, cap_verdicts, n_missing, cap_missing;
};

/* wake: when something waits, and the reader found nothing when it last took; on the thread that
 * brings it, without locks. */
struct tx_inbox *tx_inbox_new(void (*wake)(void *ctx), void *ctx);
void tx_inbox_free(struct tx_inbox *in); /* NULL is fine */

/* --- any thread --- */
/* Wakes nobody: the judged of its batch follow. */
void tx_inbox_put_accepted(struct tx_inbox *in, const struct mempool_entry *entry, uint64_t source);
/* The end of a batch; n may be 0. */
void tx_inbox_put_judged(struct tx_inbox *in, const struct tx_result *results, size_t n);
/* At most some 100,000 of these wait; they only spare downloads. */
void tx_inbox_put_confirmed(struct tx_inbox *in, struct tx *tx);

/* --- loop --- */
/* Everything so far, in order; the batch must be empty and is the caller's. False: nothing. After
 * something the reader comes back by itself: it is not woken again before it finds nothing. */
bool tx_inbox_take(struct tx_inbox *in, struct tx_news_batch *out);
void tx_news_clear(struct tx_news_batch *b); /* gives up the references */

#endif
