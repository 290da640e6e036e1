/* What can be published by ZMQ (spec rpc 5): a row for each option. */
#ifndef NODE_ZMQ_TOPICS_H
#define NODE_ZMQ_TOPICS_H

#include <stdbool.h>

#include "base/config.h"

enum zmq_topic {
    ZMQ_HASHBLOCK, ZMQ_RAWBLOCK, ZMQ_HASHTX, ZMQ_RAWTX,
    ZMQ_HASHBLOCK2, ZMQ_RAWBLOCK2, ZMQ_HASHTX2, ZMQ_RAWTX2,
    ZMQ_INVALIDTX, ZMQ_DISCARDED, ZMQ_REMOVED_BY_BLOCK,
    ZMQ_TOPICS,
};

#define ZMQ_BIT(topic) (1u << (topic))

const char *zmq_topic_name(enum zmq_topic topic);
const char *zmq_topic_option(enum zmq_topic topic);

/* Addresses by topic, borrowed from the config; NULL: not published. */
struct zmq_addresses { const char *of[ZMQ_TOPICS]; };

/* *wanted: at least one. Checks that -zmqpubinvalidtx and -invalidtxsink=ZMQ come together. */
enum err zmq_addresses_read(struct zmq_addresses *a, bool *wanted, const struct config *c,
                            struct error *e) MUST_CHECK;

#endif
