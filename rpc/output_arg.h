/*
 * Outputs as clients give them: {"address": amount, ..., "data": "hex"}, or a list of such with one
 * member each, in which an address may be there once. Any thread.
 */
#ifndef RPC_OUTPUT_ARG_H
#define RPC_OUTPUT_ARG_H

#include "base/buf.h"
#include "rpc/command.h"

struct json_object;

/* Appends their number and the outputs, as a transaction has them. False: call has failed. */
bool rpc_outputs(struct rpc_call *call, struct json_object *v, struct buf *out);

#endif
