/*
 * Policy settings that a caller of sendrawtransactions gives for one call or one transaction, by
 * the names of the options. Any thread.
 */
#ifndef RPC_POLICY_ARG_H
#define RPC_POLICY_ARG_H

#include "chain/policy.h"
#include "rpc/command.h"

struct json_object;

/* Changes what the object names. False: call has failed (-8) with the setting and what it may
 * be. */
bool rpc_policy(struct rpc_call *call, struct json_object *settings, struct tx_policy *p);

#endif
