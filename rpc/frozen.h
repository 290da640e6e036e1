/* What the commands about frozen outputs and about confiscations share. */
#ifndef RPC_FROZEN_H
#define RPC_FROZEN_H

#include "chain/frozen.h"
#include "rpc/command.h"

/* Member txOut: {txId, vout}, into an open object. */
void jw_put_txout(struct json_writer *w, const struct outpoint *o);
/* The lists as they are now, for the caller to free. NULL: call has failed. */
struct frozen *rpc_copy_frozen(struct rpc_call *call);

#endif
