/*
 * Checking values a caller sent: parameters against their row, members of objects against a list
 * (spec rpc 1.3). Messages say what was expected, and of members where.
 */
#ifndef RPC_PARAMS_H
#define RPC_PARAMS_H

#include "rpc/command.h"

/* v: NULL when null or not given. A wrong type is -1; -3 for an amount and with RPC_TYPES_FIRST. */
struct rpc_result rpc_check_param(struct rpc_call *call, const struct rpc_param *p,
                                  struct json_object *v);

struct rpc_member {
    const char *name;
    enum rpc_type type;
    enum rpc_need need;
};

/*
 * The members of an object: out[i] is that of members[i], NULL when it is absent or null. where
 * names the object in messages ("scripts[0]"), "" for the parameter itself. A missing member is
 * -8, an unknown one and one of a wrong type -3, no object at all -1. False: call has failed.
 */
bool rpc_members(struct rpc_call *call, struct json_object *o, const char *where,
                 const struct rpc_member *members, size_t n, struct json_object **out);

/* The same of an object that may have more, which is passed over: where the reference does, clients
 * hand over all they have of an output as listunspent shows it. */
bool rpc_some_members(struct rpc_call *call, struct json_object *o, const char *where,
                      const struct rpc_member *members, size_t n, struct json_object **out);

/* An integer in [low, high]; else -8 with name and range. False: call has failed. */
bool rpc_in_range(struct rpc_call *call, const char *where, const char *name, struct json_object *v,
                  int64_t low, int64_t high, int64_t *out);

/* Parameter i, an integer in [0, high], 0 when it is not given. False: call has failed. */
bool rpc_up_to(struct rpc_call *call, size_t i, uint64_t high, uint64_t *out);

#endif
