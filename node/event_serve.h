/*
 * GET /events: the event log for clients with RPC credentials (doc/events.md). Each request has a
 * thread of its own, which waits for its client and for events; a client that is slower than
 * events are deleted, or stops reading, is cut off.
 */
#ifndef NODE_EVENT_SERVE_H
#define NODE_EVENT_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "node/event_log.h"
#include "rpc/http.h"

#define EVENT_CLIENTS_MAX 16

struct event_query {
    bool has_from, follow, has_log;
    uint64_t from;
    uint8_t log_id[EVENT_LOG_ID_SIZE];
};
/* What stands after '?' (NULL: nothing). NULL when it was understood, else what is wrong. */
const char *event_query_parse(struct event_query *q, const char *text);

/* An answer function of struct rpc_route; log: the struct event_log. */
void event_serve(void *log, struct http_request *r, struct buf *scratch);

#endif
