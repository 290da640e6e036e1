/* Limits of blocks that can be changed while the node runs; a restart brings the options back. */
#include "rpc/commands.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "chain/block_template.h"
#include "chain/chain.h"
#include "p2p/net.h"

#define BLOCK_SIZE_MIN 1000000 /* spec rpc 6.1: the largest block accepted is 0 or above this */

static struct rpc_result cmd_getexcessiveblock(struct rpc_call *call)
{
    jw_object_open(call->out);
    jw_put_u64(call->out, "excessiveBlockSize", chain_max_block_size(call->env->chain));
    jw_object_close(call->out);
    return rpc_done();
}

/* A size as number or as text, as the reference takes it. False: call has failed. */
static bool take_size(struct rpc_call *call, size_t i, uint64_t *out)
{
    struct json_object *v = call->argv[i];
    enum json_type type = json_object_get_type(v);
    const char *text = json_object_get_string(v);
    if (type != json_type_int && type != json_type_string) {
        rpc_fail(call, RPC_MISC_ERROR, "JSON value is not an integer or string as expected");
        return false;
    }
    *out = 0;
    for (const char *p = text; *p >= '0' && *p <= '9'; p++)
        if (!mul_u64(*out, 10, out) || !add_u64(*out, (uint64_t)(*p - '0'), out))
            text = "";
    if (*text && !text[strspn(text, "0123456789")] && *out <= INT64_MAX)
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "maxBlockSize must be a number of bytes");
    return false;
}

static struct rpc_result set_excessive(struct rpc_call *call, uint64_t size)
{
    if (chain_set_max_block_size(call->env->chain, size) ||
        (call->env->net && net_set_block_limit(call->env->net, size)))
        return rpc_fail(call, RPC_MISC_ERROR, "the node is shutting down");
    struct buf text;
    buf_init(&text);
    if (size)
        buf_printf(&text, "Excessive Block set to %llu bytes.", (unsigned long long)size);
    else
        buf_put_str(&text, "Excessive Block set to unlimited size.");
    jw_text_n(call->out, (const char *)text.data, text.len);
    buf_clear(&text);
    return rpc_done();
}

static struct rpc_result cmd_setexcessiveblock(struct rpc_call *call)
{
    uint64_t size, made = assembler_max_size(chain_assembler(call->env->chain));
    if (!take_size(call, 0, &size))
        return rpc_failed(call);
    if (size && size <= BLOCK_SIZE_MIN)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Excessive block size must be 0 (unlimited) or larger than %d",
                        BLOCK_SIZE_MIN);
    if (size && size < made)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Excessive block size must not be smaller than that of blocks made here, "
                        "%llu: see setblockmaxsize",
                        (unsigned long long)made);
    return set_excessive(call, size);
}

static struct rpc_result cmd_setblockmaxsize(struct rpc_call *call)
{
    struct chain *c = call->env->chain;
    uint64_t size, accepted = chain_max_block_size(c);
    char text[80];
    if (!take_size(call, 0, &size))
        return rpc_failed(call);
    if (size == 0 || (accepted && size > accepted))
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "Generated block size must be 1 or more and not exceed the largest block "
                        "accepted, %llu (0: unlimited)",
                        (unsigned long long)accepted);
    assembler_set_max_size(chain_assembler(c), size);
    snprintf(text, sizeof text, "Maximal generated block size set to %llu bytes.",
             (unsigned long long)size);
    jw_text(call->out, text);
    return rpc_done();
}

#define SIZE_PARAM(text) { { "maxBlockSize", RPC_ANY, RPC_REQUIRED, RPC_CLI_TEXT, text } }

static const struct rpc_command rows[] = {
    { .name = "getexcessiveblock",
      .category = "network",
      .where = RPC_ON_HTTP,
      .fn = cmd_getexcessiveblock,
      .help = "Size of the largest block accepted; 0: unlimited.",
      .result = "{excessiveBlockSize} in bytes",
      .example = "" },
    { .name = "setexcessiveblock",
      .category = "network",
      .where = RPC_ON_WORKER,
      .fn = cmd_setexcessiveblock,
      .help = "Sets the size of the largest block accepted, until the node stops. Blocks refused "
              "for their size alone are judged again.",
      .result = "\"text\" (string) What it is now",
      .example = "2000000000",
      .params = SIZE_PARAM("Bytes, above 1000000; 0: unlimited") },
    { .name = "setblockmaxsize",
      .category = "network",
      .where = RPC_ON_HTTP,
      .fn = cmd_setblockmaxsize,
      .help = "Sets the size of the largest block made here, until the node stops.",
      .result = "\"text\" (string) What it is now",
      .example = "128000000",
      .params = SIZE_PARAM("Bytes, not above the largest block accepted") },
};
const struct rpc_group rpc_limits_commands = { rows, COUNT_OF(rows) };
