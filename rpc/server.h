/*
 * The RPC server: HTTP in front, the command table behind, worker threads between.
 *
 * The HTTP thread checks address, path, method and credentials, then parses small requests and
 * runs commands marked RPC_ON_HTTP at once, and RPC_TRY_ON_HTTP while that is quick. Everything
 * else goes to a bounded queue of workers (spec rpc 1.1), commands that wait for events to threads
 * of their own.
 * The functions below belong to the thread that starts and stops the node, except set_status.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rpc/auth.h"
#include "rpc/command.h"

struct http_request;
struct rpc_server;

struct rpc_server_options {
    unsigned threads;        /* 0: 4 */
    unsigned queue_depth;    /* 0: 16 */
    int64_t idle_timeout_s;  /* 0: 30 */
    uint64_t max_block_size; /* of the node; 0 unlimited. Bodies: 32 MiB and twice this */
    const char *spool_dir;   /* for large bodies; borrowed */
    const char *cors_domain; /* NULL: none; borrowed */
    bool rest;               /* answer /rest/ too */
};

/* Borrows env (and sets env->table and env->cancel) and auth until rpc_server_free. */
enum err rpc_server_new(struct rpc_server **out, const struct rpc_server_options *o,
                        struct rpc_env *env, const struct rpc_auth *auth,
                        struct error *e) MUST_CHECK;
/*
 * An interface beside JSON-RPC: an address with threads of its own, so that neither waits for the
 * other. Answered 503 while the node is starting, and when all threads are busy and the queue is
 * full.
 */
struct rpc_route {
    const char *path;           /* "/rest/": all that begins with it; "/events": this alone */
    enum rpc_route_access { ROUTE_OPEN, ROUTE_WITH_CREDENTIALS } access;
    bool allow_post;            /* besides GET */
    unsigned threads, queue_depth; /* 0 threads: as many as RPC has, and its queue */
    /* Gives the one reply; on a thread of the route, scratch is a buffer of this thread. */
    void (*answer)(void *ctx, struct http_request *r, struct buf *scratch);
    void *ctx;
};
/* Before start; path is borrowed. At most RPC_ROUTES_MAX. */
#define RPC_ROUTES_MAX 4
void rpc_server_add_route(struct rpc_server *s, const struct rpc_route *route);

/* "addr", "addr:port", "[v6]:port"; before start. */
enum err rpc_server_listen(struct rpc_server *s, const char *address, uint16_t default_port,
                           struct error *e) MUST_CHECK;
uint16_t rpc_server_port(const struct rpc_server *s, size_t n); /* of the n-th listener */
/* Every call is answered "warming up" until the status is set to NULL. */
enum err rpc_server_start(struct rpc_server *s, struct error *e) MUST_CHECK;
/* Start-up phase as clients see it, NULL: ready. Any thread. */
void rpc_server_set_status(struct rpc_server *s, const char *text);
/* Cancels what runs, answers what can be answered, ends all threads. NULL is fine. */
void rpc_server_stop(struct rpc_server *s);
void rpc_server_free(struct rpc_server *s); /* after stop; NULL is fine */

#endif
