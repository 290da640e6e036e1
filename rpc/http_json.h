/*
 * A reply that is written as JSON: what fits into the writer's buffer is sent as a whole, with
 * whatever status its end has; what does not, as a stream with status 200. One thread.
 */
#ifndef RPC_HTTP_JSON_H
#define RPC_HTTP_JSON_H

#include "rpc/http.h"
#include "rpc/json_write.h"

extern const char http_type_json[]; /* "application/json" exactly; ElectrumX compares it */

struct http_json {
    struct json_writer w; /* to write with */
    struct http_request *http;
    bool started;
};

/* out is scratch, emptied here and borrowed to the end. */
void http_json_init(struct http_json *j, struct http_request *http, struct buf *out);
/* Adds a line end and completes the reply. */
void http_json_end(struct http_json *j, int status);
/* The last of all: the writer's buffer is emptied, and secret no longer (buf.h). */
void http_json_forget(struct http_json *j);
/* The reply is worth nothing: cuts a stream; what was not sent yet is for the caller to replace,
 * then true. */
bool http_json_take_back(struct http_json *j);

#endif
