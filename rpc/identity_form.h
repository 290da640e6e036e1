/*
 * Forming an address of an identity of a wallet, with the next modifier, on the block that holds
 * the registration now. Worker threads; takes the wallet's lock where it needs it.
 */
#ifndef RPC_IDENTITY_FORM_H
#define RPC_IDENTITY_FORM_H

#include "chain/bca_view.h"
#include "rpc/identity_call.h"

struct identity_forming {
    struct rpc_call *call;
    struct wallet *w;                /* the caller's reference */
    struct bca_view view;
    struct identity id;
    struct standing standing;
    uint8_t prefix[BCA_PREFIX_SIZE]; /* set by the caller before rpc_identity_form */
    int sec;                         /* the same; -1: as the block's target says */
    struct identity_address made;
};
void rpc_identity_forming_init(struct identity_forming *g, struct rpc_call *call);
void rpc_identity_forming_clear(struct identity_forming *g); /* drops the reference to w */

/*
 * Loads an identity whose registration is ready, with transaction, header and proof as its block
 * has them. False: call has failed.
 */
bool rpc_identity_ready(struct identity_forming *g, const char *name);
/* Then stores what it has of the block, which may be pruned. False: call has failed. */
bool rpc_identity_keep_proof(struct identity_forming *g);
/* Then forms and stores g->made. False: call has failed. */
bool rpc_identity_form(struct identity_forming *g);

#endif
