/*
 * Goes through the transactions of a stored block, which may have gigabytes, for commands that look
 * at all of them. Ends early when the client has left or the node stops. Worker threads.
 */
#ifndef RPC_BLOCK_SCAN_H
#define RPC_BLOCK_SCAN_H

#include "chain/block_reader.h"
#include "rpc/command.h"

struct header_node;

enum scan_next { SCAN_ON, SCAN_ENOUGH };
/* tx is one of segment's; whoever wants to keep it takes a reference to the segment. */
typedef enum scan_next (*block_scan_fn)(void *ctx, struct block_segment *segment,
                                        const struct tx *tx);

enum scan_part { SCAN_WHOLE_BLOCK, SCAN_COINBASE };
/* In block order. ERR_NOTFOUND: the block is not stored. ERR_CANCELLED: nobody waits any more. */
enum err block_scan(struct rpc_call *call, const struct header_node *node, enum scan_part part,
                    block_scan_fn fn, void *ctx, struct error *e) MUST_CHECK;
/* The whole block in not much more memory than one transaction of so many bytes takes. ERR_RANGE:
 * it has a larger one, what follows was not read. */
enum err block_scan_bounded(struct rpc_call *call, const struct header_node *node, uint64_t most,
                            block_scan_fn fn, void *ctx, struct error *e) MUST_CHECK;

#endif
