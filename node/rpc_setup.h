/* The RPC server as the options describe it (spec rpc 1.1, 1.4). Main thread. */
#ifndef NODE_RPC_SETUP_H
#define NODE_RPC_SETUP_H

#include "node/feeds.h"
#include "node/settings.h"
#include "rpc/auth.h"
#include "rpc/server.h"

/* Starts a server that answers "warming up"; *server NULL when -server=0. The feeds add their
 * addresses. */
enum err rpc_setup(const struct settings *s, struct rpc_env *env, struct feeds *feeds,
                   struct rpc_auth **auth, struct rpc_server **server, struct error *e) MUST_CHECK;

#endif
