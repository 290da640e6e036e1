/* forwardservice, unforward, pipeservice: services of contacts on this machine. */
#include <config.h>

#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/forwards.h"
#include "rpc/channel_call.h"
#include "rpc/params.h"

/* What the channel thread does for a command. */
struct forward_work {
    struct channels_request r;
    struct forwards *forwards;
    const char *contact;
    struct forward_wish wish;
    uint16_t port;
    uint8_t token[FORWARD_TOKEN_SIZE];
};

static void begin_add(struct channels *c, struct channels_request *r)
{
    struct forward_work *work = (struct forward_work *)r;
    struct error e = { .code = OK };
    const struct forward *f;
    work->wish.contact = rpc_channel_contact(c, r, work->contact);
    if (!work->wish.contact)
        return;
    const enum err rc = forwards_add(work->forwards, &work->wish, &f, &e);
    if (!rc) {
        work->port = f->port;
        memcpy(work->token, f->token, sizeof work->token);
    }
    channels_answer(c, r, rc, &e);
}

static void begin_remove(struct channels *c, struct channels_request *r)
{
    const struct forward_work *work = (struct forward_work *)r;
    struct error e = { .code = OK };
    const enum err rc = forwards_remove(work->forwards, work->wish.port, &e);
    channels_answer(c, r, rc, &e);
}

/* False: call has failed. */
static bool run(struct rpc_call *call, struct forward_work *work,
                void (*begin)(struct channels *c, struct channels_request *r))
{
    struct channels *c = rpc_channels(call);
    work->forwards = call->env->forwards;
    return c && rpc_channel_ask(call, c, begin, &work->r);
}

static const struct rpc_member options[] = {
    { "protocol", RPC_TEXT, RPC_OPTIONAL },
    { "priority", RPC_INT, RPC_OPTIONAL },
};

static bool read_port(struct rpc_call *call, size_t i, int64_t low, uint16_t *port)
{
    int64_t value = 0;
    if (!rpc_in_range(call, "", "local_port", call->argv[i], low, UINT16_MAX, &value))
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool read_options(struct rpc_call *call, struct forward_wish *wish)
{
    struct json_object *given[COUNT_OF(options)] = { NULL };
    if (rpc_has(call, 3) &&
        !rpc_members(call, call->argv[3], "", options, COUNT_OF(options), given))
        return false;
    const char *protocol = given[0] ? json_object_get_string(given[0]) : "tcp";
    wish->dgrams = strcmp(protocol, "udp") == 0;
    if (!wish->dgrams && strcmp(protocol, "tcp") != 0) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "protocol: tcp or udp");
        return false;
    }
    int64_t priority = wish->dgrams ? FORWARD_DGRAM_PRIORITY : FORWARD_PRIORITY;
    if (given[1] &&
        !rpc_in_range(call, "", "priority", given[1], 0, DCHAN_PRIORITY_MAX, &priority))
        return false;
    wish->priority = (uint8_t)priority;
    return true;
}

static struct rpc_result cmd_forwardservice(struct rpc_call *call)
{
    struct forward_work work = { .contact = rpc_text(call, 0, "") };
    work.wish.service = rpc_text(call, 1, "");
    if ((rpc_has(call, 2) && !read_port(call, 2, 0, &work.wish.port)) ||
        !read_options(call, &work.wish) || !run(call, &work, begin_add))
        return rpc_failed(call);
    jw_object_open(call->out);
    jw_put_u64(call->out, "local_port", work.port);
    jw_object_close(call->out);
    return rpc_done();
}

static struct rpc_result cmd_unforward(struct rpc_call *call)
{
    struct forward_work work = { .contact = NULL };
    if (!read_port(call, 0, 1, &work.wish.port) || !run(call, &work, begin_remove))
        return rpc_failed(call);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_pipeservice(struct rpc_call *call)
{
    struct forward_work work = { .contact = rpc_text(call, 0, "") };
    work.wish = (struct forward_wish){ .service = rpc_text(call, 1, ""), .pipe = true,
                                       .priority = FORWARD_PIPE_PRIORITY };
    if (!run(call, &work, begin_add))
        return rpc_failed(call);
    jw_object_open(call->out);
    jw_put_u64(call->out, "port", work.port);
    jw_put_hex(call->out, "token", work.token, sizeof work.token);
    jw_object_close(call->out);
    secure_wipe(work.token, sizeof work.token);
    return rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "forwardservice",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_forwardservice,
      .help = "Makes a service of a contact reachable on a port of loopback, until unforward or "
              "the end of the node. Each connection is a stream; the contact is dialled when need "
              "be. Every user of this machine can connect to the port.",
      .result = "{local_port}",
      .example = "alice web 8081",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "service", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "As the contact named it" },
                  { "local_port", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "0: any that is free (default)" },
                  { "options", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "{protocol:\"tcp\" or \"udp\", priority:0 (first) to 7; default: 4, with udp "
                    "0}" } } },
    { .name = "unforward",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_unforward,
      .help = "Takes a forward away. Its streams end.",
      .result = "null",
      .example = "8081",
      .params = { { "local_port", RPC_INT, RPC_REQUIRED, RPC_CLI_JSON, "Of the forward" } } },
    { .name = "pipeservice",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .flags = RPC_SECRET,
      .fn = cmd_pipeservice,
      .help = "For bsvpeer-cli pipe: a port of loopback for the one connection, within 30 seconds, "
              "that begins with the token and a line feed. It is answered by \"ok\" or \"error: "
              "...\" and a line feed, and then has the bytes of the stream; what breaks off is a "
              "reset.",
      .result = "{port, token}",
      .example = "alice shell",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "service", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT,
                    "As the contact named it" } } },
};
const struct rpc_group rpc_forward_commands = { rows, COUNT_OF(rows) };
