/* Commands about the process itself: help, stop, logging, settings. */
#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/intmath.h"
#include "base/log.h"
#include "rpc/ledger.h"
#include "rpc/describe.h"

static struct rpc_result cmd_help(struct rpc_call *call)
{
    struct buf text;
    const char *name = rpc_text(call, 0, NULL);
    buf_init(&text);
    const struct rpc_command *c = name ? rpc_table_find(call->env->table, name) : NULL;
    if (c)
        rpc_help_text(c, &text);
    else if (name)
        buf_printf(&text, "help: unknown command: %.100s", name);
    else
        rpc_help_list(call->env->table, &text);
    jw_text_n(call->out, (const char *)text.data, text.len);
    buf_clear(&text);
    return rpc_done();
}

static struct rpc_result cmd_getrpcdescription(struct rpc_call *call)
{
    if (!rpc_has(call, 0)) {
        jw_command_table(call->out, call->env->table);
        return rpc_done();
    }
    const struct rpc_command *c = rpc_table_find(call->env->table, rpc_text(call, 0, ""));
    if (!c)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "unknown command %.100s",
                        rpc_text(call, 0, ""));
    jw_array_open(call->out);
    jw_command(call->out, c);
    jw_array_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_stop(struct rpc_call *call)
{
    jw_text(call->out, "Bitcoin server stopping");
    call->env->stop(call->env->node);
    return rpc_done();
}

static struct rpc_result cmd_uptime(struct rpc_call *call)
{
    jw_i64(call->out, clock_now() - call->env->start_time);
    return rpc_done();
}

static struct rpc_result cmd_echo(struct rpc_call *call)
{
    if (call->params)
        jw_value(call->out, call->params);
    else {
        jw_array_open(call->out);
        jw_array_close(call->out);
    }
    return rpc_done();
}

static void put_ledger(struct json_writer *w, const struct ledger *l)
{
    jw_key(w, "ledger");
    jw_object_open(w);
    for (size_t i = 0; i < LEDGER_ROWS; i++)
        jw_put_u64(w, ledger_name(i), l->bytes[i]);
    jw_object_close(w);
    jw_put_u64(w, "total", l->total);
    jw_put_u64(w, "resident", l->resident);
}

/* The reference reports its pool of locked pages; secrets here live in short-lived structs, so the
 * pool is empty and the ledger tells what the process really uses. */
static struct rpc_result cmd_getmemoryinfo(struct rpc_call *call)
{
    static const char *const fields[] = { "used", "free", "total", "locked", "chunks_used",
                                          "chunks_free" };
    struct json_writer *w = call->out;
    struct ledger l;
    ledger_take(call->env, &l);
    jw_object_open(w);
    jw_key(w, "locked");
    jw_object_open(w);
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        jw_put_u64(w, fields[i], 0);
    jw_object_close(w);
    put_ledger(w, &l);
    jw_object_close(w);
    return rpc_done();
}

/* Bits of a list of category names; false: call has failed. */
static bool category_mask(struct rpc_call *call, struct json_object *list, uint32_t *mask)
{
    *mask = 0;
    for (size_t i = 0; list && i < json_object_array_length(list); i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        uint32_t bit;
        const char *name = json_object_get_string(v);
        if (json_object_get_type(v) != json_type_string || !log_category_by_name(name, &bit)) {
            rpc_fail(call, RPC_INVALID_PARAMETER, "unknown logging category %.60s",
                     name ? name : "");
            return false;
        }
        *mask |= bit;
    }
    return true;
}

static struct rpc_result cmd_logging(struct rpc_call *call)
{
    uint32_t include, exclude;
    if (!category_mask(call, call->argv[0], &include) ||
        !category_mask(call, call->argv[1], &exclude))
        return rpc_failed(call);
    log_set_categories((log_categories() | include) & ~exclude);
    uint32_t now = log_categories();
    jw_object_open(call->out);
    for (unsigned bit = 0; log_category_name(bit); bit++)
        jw_put_bool(call->out, log_category_name(bit), now >> bit & 1);
    jw_object_close(call->out);
    return rpc_done();
}

static void put_parameter(void *ctx, const char *name, const char *value)
{
    struct buf text;
    buf_init(&text);
    buf_put_str(&text, name);
    buf_put_u8(&text, '=');
    buf_put_str(&text, value);
    jw_text_n(ctx, (const char *)text.data, text.len);
    buf_clear(&text);
}

static struct rpc_result cmd_dumpparameters(struct rpc_call *call)
{
    jw_array_open(call->out);
    config_each(call->env->config, put_parameter, call->out);
    jw_array_close(call->out);
    return rpc_done();
}

/* Every -zmqpub* that is on: the node does not run without what they ask for. */
static void put_notification(void *ctx, const char *name, const char *value)
{
    struct json_writer *w = ctx;
    if (strncmp(name, "zmqpub", 6) != 0 || !*value || strcmp(value, "0") == 0)
        return;
    jw_object_open(w);
    jw_put_text(w, "notification", name + 3);
    jw_put_text(w, "address", value);
    jw_object_close(w);
}

static struct rpc_result cmd_activezmqnotifications(struct rpc_call *call)
{
    jw_array_open(call->out);
    if (call->env->config)
        config_each(call->env->config, put_notification, call->out);
    jw_array_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_setmocktime(struct rpc_call *call)
{
    int64_t time = rpc_int(call, 0, 0);
    if (!call->env->mock_time_allowed)
        return rpc_fail(call, RPC_MISC_ERROR,
                        "setmocktime for regression testing (-regtest mode) only");
    if (time < 0)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "Timestamp must not be negative");
    clock_set_mock(time);
    jw_null(call->out);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "help",
      .category = "control",
      .where = RPC_ON_HTTP,
      .fn = cmd_help,
      .help = "Lists all commands, or explains one.",
      .result = "\"text\" (string) The help",
      .example = "getblock",
      .params = { { "command", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT, "The command to explain" } } },
    { .name = "getrpcdescription",
      .category = "control",
      .where = RPC_ON_WORKER,
      .fn = cmd_getrpcdescription,
      .help = "Describes all commands, or one, for programs. bsvpeer-cli help --json prints it.",
      .result = "[{name, category, where, hidden, help, result, example, anyparameters, "
                "params:[{name, aliases:[...], type, required, json, help}, ...]}, ...]",
      .example = "getblock",
      .params = { { "command", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "The command to describe (default all, hidden ones too)" } } },
    { .name = "stop",
      .category = "control",
      .where = RPC_ON_HTTP,
      .fn = cmd_stop,
      .help = "Ends the node in good order.",
      .result = "\"text\" (string) That it is stopping",
      .example = "" },
    { .name = "uptime",
      .category = "control",
      .where = RPC_ON_HTTP,
      .fn = cmd_uptime,
      .help = "Tells how long the node has been running.",
      .result = "n (numeric) Seconds",
      .example = "" },
    { .name = "getmemoryinfo",
      .category = "control",
      .where = RPC_ON_WORKER,
      .fn = cmd_getmemoryinfo,
      .help = "Reports the memory in use: what each part counts of its own, their total, and what "
              "the system says is resident.",
      .result = "{locked:{used, free, total, locked, chunks_used, chunks_free}, "
                "ledger:{part:bytes, ...}, total, resident} in bytes",
      .example = "" },
    { .name = "logging",
      .category = "control",
      .where = RPC_ON_HTTP,
      .fn = cmd_logging,
      .help = "Shows which debug categories are logged, after switching some on or off.",
      .result = "{\"category\": true|false, ...}",
      .example = "'[\"net\"]' '[\"addrman\"]'",
      .params = { { "include", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON, "Categories to switch on" },
                  { "exclude", RPC_ARRAY, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Categories to switch off" } } },
    { .name = "activezmqnotifications",
      .category = "control",
      .where = RPC_ON_HTTP,
      .fn = cmd_activezmqnotifications,
      .help = "What is published by ZMQ, and where (-zmqpub* options).",
      .result = "[{notification: \"pubhashblock\", address}, ...]",
      .example = "" },
    { .name = "dumpparameters",
      .category = "control",
      .where = RPC_ON_HTTP,
      .fn = cmd_dumpparameters,
      .help = "Lists the options in force that are not defaults, without secrets.",
      .result = "[\"name=value\", ...]",
      .example = "" },
    { .name = "setmocktime",
      .category = "control",
      .where = RPC_ON_HTTP,
      .flags = RPC_HIDDEN | RPC_TYPES_FIRST,
      .fn = cmd_setmocktime,
      .help = "Sets the node's clock (regtest only); 0 follows the system again.",
      .result = "null",
      .example = "1600000000",
      .params = { { "timestamp", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "Seconds since 1970" } } },
    { .name = "echo",
      .category = "control",
      .where = RPC_ON_HTTP,
      .flags = RPC_HIDDEN | RPC_ANY_PARAMS,
      .fn = cmd_echo,
      .help = "Gives its parameters back.",
      .result = "[...]",
      .example = "a b" },
    { .name = "echojson",
      .category = "control",
      .where = RPC_ON_HTTP,
      .flags = RPC_HIDDEN | RPC_ANY_PARAMS | RPC_ANY_PARAMS_JSON,
      .fn = cmd_echo,
      .help = "Gives its parameters back; the client sends them as JSON.",
      .result = "[...]",
      .example = "'[1,2]' true" },
};
const struct rpc_group rpc_control_commands = { rows, COUNT_OF(rows) };
