/*
 * What the chain reports, as ZMQ messages (spec rpc 5). The chain thread puts short notes into a
 * bounded queue and never waits; a thread of its own reads blocks where it must and sends. When the
 * queue is full a note is dropped, and the numbers of its topics go on without it, so that
 * subscribers see the gap.
 *
 * Bodies of blocks are not read into memory: the part of the block file is mapped and handed over.
 *
 * Functions named after a handler of chain.h belong to the chain thread, the others to whoever
 * starts and stops the node.
 */
#ifndef NODE_ZMQ_FEED_H
#define NODE_ZMQ_FEED_H

#include "base/config.h"
#include "chain/chain.h"

#define ZMQ_QUEUE_ITEMS 1000000
#define ZMQ_QUEUE_BYTES (256u << 20)

struct net;
struct zmq_feed;

/* By the options -zmqpub*; *out is NULL when none of them is given. */
enum err zmq_feed_open(struct zmq_feed **out, const struct config *c, struct error *e) MUST_CHECK;
enum err zmq_feed_start(struct zmq_feed *f, struct chain *c, struct error *e) MUST_CHECK;
/* For addresses of peers; must outlive the feed. */
void zmq_feed_set_net(struct zmq_feed *f, struct net *net);
size_t zmq_feed_bytes(struct zmq_feed *f); /* of what is queued; any thread */
/* Sends what is queued, for two seconds at most; ends the thread. NULL is fine. */
void zmq_feed_close(struct zmq_feed *f);

void zmq_feed_block_connected(struct zmq_feed *f, struct header_node *node);
void zmq_feed_block_disconnected(struct zmq_feed *f, struct header_node *node);
void zmq_feed_tip_changed(struct zmq_feed *f, const struct chain_tip *tip, bool initial_download);
void zmq_feed_tx_accepted(struct zmq_feed *f, struct tx *tx);
void zmq_feed_tx_removed(struct zmq_feed *f, const struct mempool_removed *r,
                         const struct header_node *block);
void zmq_feed_block_judged(struct zmq_feed *f, const struct block_hash *hash,
                           const struct verdict *v, uint64_t source);
void zmq_feed_txs_judged(struct zmq_feed *f, const struct tx_result *results, size_t n);

#endif
