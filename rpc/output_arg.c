#include "rpc/output_arg.h"

#include <string.h>

#include <json-c/json.h>

#include "base/amount.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/json_read.h"
#include "rpc/keys.h"
#include "rpc/params.h"
#include "script/build.h"
#include "script/opcode.h"

/* 0 <data> behind FALSE RETURN: an output nobody can spend. */
static bool put_data_output(struct rpc_call *call, struct json_object *v, struct buf *out)
{
    static const struct rpc_param param = { "data", RPC_HEX, RPC_REQUIRED, RPC_CLI_TEXT, "" };
    if (rpc_check_param(call, &param, v).end == RPC_FAILED)
        return false;
    size_t digits = (size_t)json_object_get_string_len(v), len = 0;
    struct buf script, data;
    buf_init(&script);
    buf_init(&data);
    bool good = buf_try_reserve(&data, digits / 2 + 1) &&
                buf_try_reserve(&script, digits / 2 + SCRIPT_PUSH_HEAD_MAX + 2) &&
                buf_try_reserve(out, digits / 2 + 64);
    if (good) {
        hex_decode(data.data, digits / 2, json_object_get_string(v), digits, &len);
        script_put_op(&script, OP_0);
        script_put_op(&script, OP_RETURN);
        script_put_data(&script, data.data, len);
        buf_put_le64(out, 0);
        buf_put_var_bytes(out, script.data, script.len);
    } else {
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the data");
    }
    buf_clear(&script);
    buf_clear(&data);
    return good;
}

static bool put_payment(struct rpc_call *call, const char *address, struct json_object *v,
                        struct buf *out)
{
    static const struct rpc_param param = { "amount", RPC_AMOUNT, RPC_REQUIRED, RPC_CLI_TEXT, "" };
    struct buf script;
    int64_t amount;
    if (rpc_check_param(call, &param, v).end == RPC_FAILED)
        return false;
    if (!json_get_amount(v, &amount) || !money_range(amount)) {
        rpc_fail(call, RPC_TYPE_ERROR, "Amount out of range: 0 to 21000000");
        return false;
    }
    buf_init(&script);
    bool good = address_to_script(chain_get_params(call->env->chain), address, &script);
    if (good) {
        buf_put_le64(out, (uint64_t)amount);
        buf_put_var_bytes(out, script.data, script.len);
    } else {
        rpc_fail(call, RPC_NOT_FOUND, "Invalid Bitcoin address: %.100s", address);
    }
    buf_clear(&script);
    return good;
}

static bool put_output(struct rpc_call *call, const char *name, struct json_object *v,
                       struct buf *out)
{
    return strcmp(name, "data") == 0 ? put_data_output(call, v, out)
                                     : put_payment(call, name, v, out);
}

static bool put_members(struct rpc_call *call, struct json_object *o, struct buf *out)
{
    struct json_object_iterator it = json_object_iter_begin(o), end = json_object_iter_end(o);
    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
        if (!put_output(call, json_object_iter_peek_name(&it), json_object_iter_peek_value(&it),
                        out))
            return false;
    return true;
}

/* [{"address": amount}, {"data": hex}, ...]: outputs in order, an address once. */
static bool put_list(struct rpc_call *call, struct json_object *list, struct buf *out)
{
    struct json_object *seen = json_object_new_object();
    size_t n = json_object_array_length(list);
    bool good = true;
    for (size_t i = 0; i < n && good; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (json_object_get_type(o) != json_type_object || json_object_object_length(o) != 1) {
            rpc_fail(call, RPC_INVALID_PARAMETER,
                     "outputs[%zu] must be an object with one member, an address or \"data\"", i);
            good = false;
            break;
        }
        struct json_object_iterator it = json_object_iter_begin(o);
        const char *name = json_object_iter_peek_name(&it);
        bool is_data = strcmp(name, "data") == 0;
        if (!is_data && json_object_object_get_ex(seen, name, NULL)) {
            rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid parameter, duplicated address: %.100s",
                     name);
            good = false;
        }
        if (!is_data)
            json_object_object_add(seen, name, NULL);
        good = good && put_members(call, o, out);
    }
    json_object_put(seen);
    return good;
}

bool rpc_outputs(struct rpc_call *call, struct json_object *v, struct buf *out)
{
    if (json_object_get_type(v) == json_type_array) {
        buf_put_compact(out, json_object_array_length(v));
        return put_list(call, v, out);
    }
    if (json_object_get_type(v) != json_type_object) {
        rpc_fail(call, RPC_MISC_ERROR, "JSON value is not an object or array as expected");
        return false;
    }
    buf_put_compact(out, (uint64_t)json_object_object_length(v));
    return put_members(call, v, out);
}
