/*
 * Answers that are given later, by another thread than the one that ran the handler: a handler on
 * the HTTP thread that would have to wait hands its work over, returns rpc_pending(), and whoever
 * has the result writes the answer. That spares a worker, and two switches of threads for each
 * call.
 *
 * Calls of a batch can if their row has RPC_OVERLAPS: the answers are put together in the order of
 * the calls. Others, and those of other interfaces, cannot: for them rpc_later_begin gives NULL,
 * and the handler does its work before it returns, or leaves it to a worker when it is on the HTTP
 * thread (memory for the answer was short).
 */
#ifndef RPC_LATER_H
#define RPC_LATER_H

#include <pthread.h>
#include <stddef.h>

#include "rpc/command.h"

struct http_request;
struct rpc_later;

/* All answers that a server still owes. */
struct rpc_laters {
    struct rpc_env *env;
    pthread_mutex_t lock;
    pthread_cond_t none_left;
    size_t n;
};
void rpc_laters_init(struct rpc_laters *l, struct rpc_env *env);
void rpc_laters_wait(struct rpc_laters *l); /* until none is owed */
void rpc_laters_clear(struct rpc_laters *l);

/* NULL: the answer must be there when the handler returns. */
struct rpc_later *rpc_later_begin(struct rpc_call *call);
/* The handler answers itself after all. */
void rpc_later_drop(struct rpc_later *l);

/* Writes the answer as a handler does, to the call it is given, which has no parameters. */
typedef struct rpc_result (*rpc_later_fn)(struct rpc_call *call, void *ctx);
/* Any thread; l is gone after it. */
void rpc_later_end(struct rpc_later *l, rpc_later_fn fn, void *ctx);

/*
 * What a worker runs one after the other, and writes in that order. One thread begins, writes and
 * waits; answers come from any.
 */
#define RPC_BATCH_WAITING_MAX 16384 /* answers; more calls begin when these are there */

struct rpc_batch {
    struct rpc_laters *owner;
    pthread_mutex_t lock; /* for the next two, and for what of the list is done */
    pthread_cond_t came;
    const struct rpc_later *awaited;
    struct rpc_later *first, *last; /* not written yet */
    size_t n;
};
void rpc_batch_init(struct rpc_batch *b, struct rpc_laters *owner);
void rpc_batch_add(struct rpc_batch *b, struct span answer); /* that is there, behind the others */
/* Waits for all answers that are not written yet, and writes them. */
void rpc_batch_write(struct rpc_batch *b, struct json_writer *w);
void rpc_batch_clear(struct rpc_batch *b); /* when all are written */

#endif
