/*
 * What becomes of a transaction that a command made out of a wallet, and how payments between
 * people are handed over. Worker threads.
 */
#ifndef RPC_WALLET_PAY_H
#define RPC_WALLET_PAY_H

#include "rpc/wallet_call.h"

/* Hands it to the mempool; when the node's own rules refuse it, it is given up. False: call has
 * failed. */
bool rpc_wallet_submit(struct rpc_call *call, struct wallet *w, struct tx *tx);
/* From an error of wallet_send: too little there is an error of its own. */
struct rpc_result rpc_wallet_fail_send(struct rpc_call *call, const struct error *e);

/* A payment as createpayment gives and acceptpayment takes it, for the help. */
#define RPC_PAYMENT_HELP                                                                           \
    "{senderIdentityKey, derivationPrefix, tx: Atomic BEEF, outputs: [{outputIndex, "              \
    "derivationSuffix}, ...]}"

#endif
