/* Bodies of the ZMQ messages that are JSON (spec rpc 5). Pure functions, any thread. */
#ifndef NODE_ZMQ_JSON_H
#define NODE_ZMQ_JSON_H

#include "base/buf.h"
#include "chain/mempool.h"
#include "chain/tx_result.h"

/* Longest transaction whose bytes are in a message. */
#define ZMQ_HEX_MAX (32u << 20)

void zmq_json_discarded(struct buf *out, const struct tx *tx, enum mempool_reason reason,
                        const struct tx *conflict, const struct block_hash *block);
void zmq_json_removed(struct buf *out, const struct tx *tx, enum mempool_reason reason);

/* Where an invalid transaction was met: in a block, or on its own. */
struct invalid_origin {
    const struct block_hash *block; /* NULL: on its own */
    uint32_t block_time;
    int32_t block_height;
    uint64_t source;                /* peer id or TX_SOURCE_ */
    const char *address;            /* of the peer; NULL: no peer, or it is gone */
};
/* r->outcome: TX_REJECTED or TX_MISSING_INPUTS. time: seconds since 1970. */
void zmq_json_invalid(struct buf *out, const struct tx_result *r, const struct invalid_origin *o,
                      int64_t time);

#endif
