/*
 * Payments by a transaction between the two sides of a direct channel, and requests for them (spec
 * channels 4.2, messages 288 to 292): each payment is a BRC-29 payment between the identity keys of
 * the session in which it is made, handed over as an Atomic BEEF. It belongs to the contact: after
 * a change of key (2.7) it is handed over, and answered, in the session of the successor, and is
 * looked for at the keys of before as well.
 *
 * What is asked for and paid is a row on disk (p2p/pay_rows.h), synced before it is sent or
 * answered:
 *
 *   paying      row (making) -> transaction in the wallet -> row (pending) -> p_tx, in each session
 *               until the answer. Accepted: the transaction goes to our mempool, too; refused: the
 *               wallet takes it back unless it was on its way already. Who pays the request again
 *               spends the same coins, as the payee still has the first transaction.
 *   being paid  BEEF verified on a thread of its own, transaction taken by our own mempool, keys
 *               into the wallet, then one write: row, each output as credited, the request as paid.
 *               Only then p_result says 0. Whoever died before takes the same payment again. The
 *               BEEF stays until the transaction is deep in the chain, so that it can be brought
 *               into the mempool again.
 *
 * Payments of who is no contact are looked at only when they name an open request of ours.
 *
 * Memory: rows of requests that are open and payments that are under way; whose rows there are on
 * disk, a key of each contact; of what arrives at most PAYTX_CHECKS_MAX messages. Channel thread,
 * but for what says otherwise. It reads from the disk single rows that have ended, by their keys:
 * for ids that are new the filter of the store answers.
 */
#ifndef NODE_PAYTX_H
#define NODE_PAYTX_H

#include "node/feeds.h"
#include "p2p/channels.h"
#include "p2p/ratelimit.h"
#include "rpc/command.h"
#include "rpc/payment_call.h"

struct paytx;

enum {
    PAYTX_CHECKS_MAX = 32,      /* payments that wait to be looked at, of all peers */
    PAYTX_CHECKS_OF_ONE = 4,
    PAYTX_RESEND_MS = 60000,    /* an unanswered payment in the same session */
    PAYTX_AGAIN_MS = 1000,      /* one whose proof is missing, from then on ever later */
    PAYTX_WAIT_MS = 30000,      /* that a command waits for the answer */
    PAYTX_EXPIRY_MAX_S = 30 * 86400, /* so long a request is kept */
};

/* One option for each. */
struct paytx_limits {
    unsigned requests;          /* of one contact that are open */
    unsigned requests_per_hour; /* of one contact */
    unsigned failures_per_hour; /* of one contact, or of all strangers: payments in vain */
    unsigned messages_per_s;    /* of the same, five times as many at once; others are ignored */
};

/* Before the channels start: reads what is open. dir: for BEEFs that are sent as files; env and
 * feeds outlive it. */
enum err paytx_new(struct paytx **out, struct channels *c, const char *dir,
                   const struct paytx_limits *limits, const struct rpc_env *env,
                   struct feeds *feeds, struct error *e) MUST_CHECK;
/* When the channels have stopped: commands get the answer that it is not known yet. NULL is fine,
 * here and below. */
void paytx_cancel(struct paytx *pt);
/* When the chain has stopped, too: ends the thread. */
void paytx_stop(struct paytx *pt);
void paytx_free(struct paytx *pt); /* after the store of the channels */

uint64_t paytx_memory(const struct paytx *pt); /* bytes; channel thread */
/* What commands are given; borrowed. */
const struct rpc_payment_service *paytx_service(struct paytx *pt);

#endif
