/*
 * JSON-RPC without HTTP: takes a parsed request, checks it against the table, runs the handler and
 * writes the reply object (spec rpc 1.3). Any thread; the writer belongs to the caller.
 */
#ifndef RPC_DISPATCH_H
#define RPC_DISPATCH_H

#include "rpc/command.h"
#include "rpc/json_write.h"

/* HTTP status of a reply with this error code (spec rpc 1.2); 0 gives 200. */
int rpc_http_status(enum rpc_code code);

/* {"result":null,"error":{"code":..,"message":..},"id":..}; id NULL: null. */
void rpc_write_error(struct json_writer *w, enum rpc_code code, const char *message, size_t len,
                     struct json_object *id);

/*
 * One request. Returns the error code, 0 on success. warmup: text of the start-up phase, NULL when
 * the node is ready. When the handler failed after part of the result had left through the
 * writer's sink, broken is set: the reply cannot be saved, the connection must be cut.
 */
struct rpc_run {
    struct rpc_env *env;
    const char *warmup;
    struct json_writer *out;
    bool (*client_gone)(void *ctx); /* may be NULL, as the next */
    bool (*client_ended)(void *ctx);
    void *client;
    const char *wallet;        /* named by the address; NULL: none was */
    bool broken;
    struct rpc_laters *laters; /* handlers may answer later, to client, which is the HTTP request */
    struct rpc_batch *batch;   /* those with RPC_OVERLAPS into this; NULL: it is none of a batch */
    bool pending;              /* this one does: nothing has been written */
    bool on_http;              /* a handler may decline */
    bool elsewhere;            /* this one did: nothing has been written, run it on a worker */
};
enum rpc_code rpc_run(struct rpc_run *run, struct json_object *request);

/*
 * The two halves of a reply object around the result that a handler writes; rpc_reply_end takes
 * what was written back and writes the error when the handler failed, or sets broken.
 */
struct jw_mark rpc_reply_begin(struct rpc_call *call);
enum rpc_code rpc_reply_end(struct rpc_call *call, struct rpc_result r,
                            const struct jw_mark *start, struct json_object *id, bool *broken);

/*
 * One method for another interface: writes the result alone. params: array, object or NULL. On
 * failure the code is returned and the message appended; what was written is taken back, or broken
 * is set.
 */
enum rpc_code rpc_invoke(struct rpc_run *run, const char *method, struct json_object *params,
                         struct buf *message);

/* Where a request or a batch wants to run; what is no request is refused at once. */
enum rpc_where rpc_place(const struct rpc_env *env, struct json_object *request);
/* The row of its method has RPC_OVERLAPS. */
bool rpc_overlaps(const struct rpc_env *env, struct json_object *request);
/* Gives the caller's reference back, which must be the last one; what methods with RPC_SECRET were
 * told is wiped. */
void rpc_request_free(const struct rpc_env *env, struct json_object *request);

#endif
