/*
 * Block headers as the RPC shows them, and small lookups that several commands share (spec rpc 2:
 * getblock, getblockheader). Any thread.
 */
#ifndef RPC_BLOCK_JSON_H
#define RPC_BLOCK_JSON_H

#include "chain/chain.h"
#include "rpc/command.h"

double block_difficulty(uint32_t bits);

/* Members hash ... status of a header, into an open object. */
void jw_put_header(struct json_writer *w, struct chain *c, struct header_node *node);

/* Blocks on top of it plus one; -1 when it is not on the active chain. */
int32_t block_confirmations(struct chain *c, struct header_node *node);
enum script_era block_era(struct chain *c, int32_t height);

/* The node named by parameter i; NULL: call has failed with -5 "Block not found". */
struct header_node *rpc_block(struct rpc_call *call, size_t i);
/* Reading the block failed; ERR_NOTFOUND is -1 "Block file <hash> not available.". */
struct rpc_result rpc_fail_block(struct rpc_call *call, const struct header_node *node,
                                 const struct error *e);

/* The block of the active chain at the height in parameter i; NULL: call has failed with -8. */
struct header_node *rpc_block_at(struct rpc_call *call, size_t i);

/*
 * A verbosity parameter: number, boolean, digits, "true", "false" or one of `names`
 * (NULL-terminated, by value). False: call has failed.
 */
bool rpc_verbosity(struct rpc_call *call, size_t i, int def, const char *const *names, int *out);

#endif
