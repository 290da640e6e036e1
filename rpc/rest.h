/*
 * The REST addresses: blocks, headers, transactions and unspent outputs by GET, without
 * credentials (spec rpc 4). JSON answers are what the RPC methods give. Runs on worker threads;
 * whatever the size of a block, an answer takes a piece of bounded size at a time.
 */
#ifndef RPC_REST_H
#define RPC_REST_H

#include "rpc/command.h"
#include "rpc/http.h"

/* An answer function of struct rpc_route; env: the struct rpc_env. */
void rest_answer(void *env, struct http_request *r, struct buf *scratch);

#endif
