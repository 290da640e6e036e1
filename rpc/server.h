/*
 * The RPC server: HTTP in front, the command table behind, worker threads between.
 *
 * The HTTP thread checks address, path, method and credentials, then parses small requests and
 * runs commands marked RPC_ON_HTTP at once. Everything else goes to a bounded queue of workers
 * (spec rpc 1.1), commands that wait for events to short-lived threads of their own.
 * The functions below belong to the thread that starts and stops the node, except set_status.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rpc/auth.h"
#include "rpc/command.h"

struct rpc_server;

struct rpc_server_options {
    unsigned threads;        /* 0: 4 */
    unsigned queue_depth;    /* 0: 16 */
    int64_t idle_timeout_s;  /* 0: 30 */
    uint64_t max_block_size; /* of the node; 0 unlimited. Bodies: 32 MiB and twice this */
    const char *spool_dir;   /* for large bodies; borrowed */
    const char *cors_domain; /* NULL: none; borrowed */
};

/* Borrows env (and sets env->table and env->cancel) and auth until rpc_server_free. */
enum err rpc_server_new(struct rpc_server **out, const struct rpc_server_options *o,
                        struct rpc_env *env, const struct rpc_auth *auth,
                        struct error *e) MUST_CHECK;
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
