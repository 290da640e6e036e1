/* What the commands for miners share (spec rpc 2 and 3, BIP 22). Any thread. */
#ifndef RPC_MINING_H
#define RPC_MINING_H

#include "chain/block_template.h"
#include "chain/chain.h"
#include "rpc/command.h"

/* Work makes sense only on the network's tip: else the call has failed, with -9 (no peer where the
 * network asks for one) or -10 (initial download). */
bool rpc_may_mine(struct rpc_call *call);
/* A reference. False: call has failed. */
bool rpc_template(struct rpc_call *call, enum template_need need, struct block_template **out);
/* version of blocks made here: -blockversion, or what is usual. */
int32_t rpc_block_version(const struct rpc_call *call);

/* BIP 22: what is known of a block before it is looked at again; NULL: nothing that matters. */
const char *known_block_answer(struct chain *c, const struct block_hash *hash);
/* What became of it; NULL: it is the tip or below it. */
const char *submission_answer(struct chain *c, const struct block_submission *s);
/* Writes a text, or null. */
void jw_text_or_null(struct json_writer *w, const char *text);
/* Whether the bytes are one whole block; its hash. */
bool block_of_bytes(struct span raw, struct block_hash *hash);

#endif
