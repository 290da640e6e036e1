#include "node/zmq_topics.h"

#include <strings.h>

#include "base/intmath.h"

static const struct { const char *option, *name; } rows[ZMQ_TOPICS] = {
    [ZMQ_HASHBLOCK] = { "zmqpubhashblock", "hashblock" },
    [ZMQ_RAWBLOCK] = { "zmqpubrawblock", "rawblock" },
    [ZMQ_HASHTX] = { "zmqpubhashtx", "hashtx" },
    [ZMQ_RAWTX] = { "zmqpubrawtx", "rawtx" },
    [ZMQ_HASHBLOCK2] = { "zmqpubhashblock2", "hashblock2" },
    [ZMQ_RAWBLOCK2] = { "zmqpubrawblock2", "rawblock2" },
    [ZMQ_HASHTX2] = { "zmqpubhashtx2", "hashtx2" },
    [ZMQ_RAWTX2] = { "zmqpubrawtx2", "rawtx2" },
    [ZMQ_INVALIDTX] = { "zmqpubinvalidtx", "invalidtx" },
    [ZMQ_DISCARDED] = { "zmqpubdiscardedfrommempool", "discardedfrommempool" },
    [ZMQ_REMOVED_BY_BLOCK] = { "zmqpubremovedfrommempoolblock", "removedfrommempoolblock" },
};

const char *zmq_topic_name(enum zmq_topic topic) { return rows[topic].name; }
const char *zmq_topic_option(enum zmq_topic topic) { return rows[topic].option; }

static bool has_zmq_sink(const struct config *c)
{
    const char *const *sinks;
    const size_t n = config_list(c, "invalidtxsink", &sinks);
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(sinks[i], "ZMQ") == 0)
            return true;
    return false;
}

enum err zmq_addresses_read(struct zmq_addresses *a, bool *wanted, const struct config *c,
                            struct error *e)
{
    *wanted = false;
    for (size_t i = 0; i < ZMQ_TOPICS; i++) {
        const char *address = config_string(c, rows[i].option);
        /* -nozmqpubX, as -zmqpubX=0, means no */
        a->of[i] = address && *address && strcasecmp(address, "0") != 0 ? address : NULL;
        *wanted |= a->of[i] != NULL;
    }
    if (a->of[ZMQ_INVALIDTX] && !has_zmq_sink(c))
        return error_set(e, ERR_RANGE, "-zmqpubinvalidtx needs -invalidtxsink=ZMQ");
    if (!a->of[ZMQ_INVALIDTX] && has_zmq_sink(c))
        return error_set(e, ERR_RANGE, "-invalidtxsink=ZMQ needs -zmqpubinvalidtx=<address>");
    return OK;
}
