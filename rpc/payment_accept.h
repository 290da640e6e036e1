/*
 * A payment between people (BRC-29) that was handed to us: verified, and brought into the wallet
 * that it is for. Between the two its keys are stored (wallet/payments.h), so that they are there
 * before the wallet meets its transaction. Worker threads, or a thread of the node's (call->out
 * NULL); these wait for chain and wallet.
 */
#ifndef RPC_PAYMENT_ACCEPT_H
#define RPC_PAYMENT_ACCEPT_H

#include "rpc/spv_call.h"
#include "rpc/wallet_call.h"
#include "wallet/payments.h"

struct payment_offer {
    struct payment payment;        /* what it borrows from is the caller's */
    struct buf raw;                /* BEEF */
    struct rpc_beef beef;          /* judged, once payment_judge was called */
    const struct beef_tx *subject; /* when that was good */
};

struct payment_offer *payment_offer_new(void);
void payment_offer_free(struct payment_offer *o);

/* Verifies the BEEF; b: within what, NULL as for a command. False: call has failed, and
 * o->beef.j.end says whether by what the BEEF says (SPV_VALID: by trouble of our own, or as there
 * is only an id). */
bool payment_judge(struct rpc_call *call, struct payment_offer *o,
                   const struct rpc_spv_bounds *b) MUST_CHECK;
/* Hands what is in no block to the mempool. False: call has failed. */
bool payment_submit(struct rpc_call *call, const struct payment_offer *o) MUST_CHECK;
/* The same, and into the wallet, which has its keys. False: call has failed. */
bool payment_enter(struct rpc_call *call, struct wallet *w,
                   const struct payment_offer *o) MUST_CHECK;

#endif
