/*
 * A node that prunes keeps what addresses are formed of (spec bca 4 step 5), since nobody may have
 * formed one by the time that the block of the registration goes.
 */
#ifndef RPC_IDENTITY_PROOF_H
#define RPC_IDENTITY_PROOF_H

#include "rpc/command.h"

/* Stores transaction, header and proof of each registration that is deep enough, once; what fails
 * is left to the next call. For a thread that may wait for the chain and for wallets. */
void identity_keep_proofs(struct rpc_env *env);

#endif
