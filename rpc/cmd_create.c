/* createrawtransaction: an unsigned transaction from its parts. */
#include "rpc/commands.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/tx.h"
#include "chain/chain.h"
#include "rpc/output_arg.h"
#include "rpc/params.h"

#define VERSION 1

/* --- inputs --------------------------------------------------------------------------------- */

static bool put_input(struct rpc_call *call, struct json_object *v, size_t i, bool has_lock_time,
                      struct buf *out)
{
    static const struct rpc_member members[] = { { "txid", RPC_HASH, RPC_REQUIRED },
                                                 { "vout", RPC_INT, RPC_REQUIRED },
                                                 { "sequence", RPC_INT, RPC_OPTIONAL } };
    struct json_object *m[COUNT_OF(members)];
    char where[32];
    struct outpoint o;
    int64_t index, sequence = has_lock_time ? TX_SEQUENCE_FINAL - 1 : TX_SEQUENCE_FINAL;
    snprintf(where, sizeof where, "inputs[%zu]", i);
    if (!rpc_some_members(call, v, where, members, COUNT_OF(members), m) ||
        !rpc_in_range(call, where, "vout", m[1], 0, UINT32_MAX, &index) ||
        (m[2] && !rpc_in_range(call, where, "sequence", m[2], 0, UINT32_MAX, &sequence)))
        return false;
    if (!hash_from_hex(o.txid.b, json_object_get_string(m[0])))
        return false;
    buf_put(out, o.txid.b, 32);
    buf_put_le32(out, (uint32_t)index);
    buf_put_compact(out, 0);
    buf_put_le32(out, (uint32_t)sequence);
    return true;
}

static bool put_inputs(struct rpc_call *call, bool has_lock_time, struct buf *out)
{
    size_t n = json_object_array_length(call->argv[0]);
    buf_put_compact(out, n);
    for (size_t i = 0; i < n; i++)
        if (!put_input(call, json_object_array_get_idx(call->argv[0], i), i, has_lock_time, out))
            return false;
    return true;
}

static struct rpc_result cmd_createrawtransaction(struct rpc_call *call)
{
    int64_t lock_time = rpc_int(call, 2, 0);
    struct buf out;
    if (lock_time < 0 || lock_time > UINT32_MAX)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Invalid parameter, locktime out of range: 0 to 4294967295");
    buf_init(&out);
    buf_put_le32(&out, VERSION);
    bool good = put_inputs(call, lock_time != 0, &out) && rpc_outputs(call, call->argv[1], &out);
    buf_put_le32(&out, (uint32_t)lock_time);
    if (good)
        jw_hex(call->out, out.data, out.len);
    buf_clear(&out);
    return good ? rpc_done() : rpc_failed(call);
}

static const struct rpc_command rows[] = {
    { .name = "createrawtransaction",
      .category = "rawtransactions",
      .where = RPC_ON_WORKER,
      .flags = RPC_TYPES_FIRST,
      .fn = cmd_createrawtransaction,
      .help = "Makes an unsigned transaction from what it spends and what it pays.",
      .result = "\"hex\" (string) The transaction",
      .example = "'[{\"txid\":\"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b\","
                 "\"vout\":0}]' '{\"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa\":0.01}'",
      .params = { { "inputs", RPC_ARRAY, RPC_REQUIRED, RPC_CLI_JSON,
                    "[{\"txid\",\"vout\",\"sequence\"}, ...]; the sequence is final unless given, "
                    "one less with a lock time" },
                  { "outputs", RPC_ANY, RPC_REQUIRED, RPC_CLI_JSON,
                    "{\"address\":amount, ..., \"data\":\"hex\"}, or a list of such with one "
                    "member each" },
                  { "locktime", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Height or time before which it is not final (default 0)" } } },
};
const struct rpc_group rpc_create_commands = { rows, COUNT_OF(rows) };
