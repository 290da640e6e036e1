/* forwardservice, unforward, pipeservice: services of contacts on this machine. */
#include <config.h>

#include "rpc/commands.h"

#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "p2p/kept_forwards.h"
#include "rpc/channel_call.h"
#include "rpc/params.h"

/* What the channel thread does for a command. */
struct forward_work {
    struct channels_request r;
    struct forwards *forwards;
    struct kept_forwards *kept;
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

/* Answered when it is on disk. */
static void begin_keep(struct channels *c, struct channels_request *r)
{
    struct forward_work *work = (struct forward_work *)r;
    struct error e = { .code = OK };
    work->wish.contact = rpc_channel_contact(c, r, work->contact);
    if (!work->wish.contact)
        return;
    void *answer = rpc_channel_answer_ctx(c, r);
    const enum err rc = kept_forwards_add(work->kept, &work->wish, rpc_channel_answer, answer,
                                          &work->port, &e);
    if (rc)
        rpc_channel_answer(answer, rc, &e);
}

static void begin_remove(struct channels *c, struct channels_request *r)
{
    const struct forward_work *work = (struct forward_work *)r;
    struct error e = { .code = OK };
    void *answer = rpc_channel_answer_ctx(c, r);
    const enum err rc = kept_forwards_remove(work->kept, work->wish.port, rpc_channel_answer,
                                             answer, &e);
    if (rc)
        rpc_channel_answer(answer, rc, &e);
}

/* False: call has failed. */
static bool run(struct rpc_call *call, struct forward_work *work,
                void (*begin)(struct channels *c, struct channels_request *r))
{
    struct channels *c = rpc_channels(call);
    work->forwards = call->env->forwards;
    work->kept = call->env->kept_forwards;
    return c && rpc_channel_ask(call, c, begin, &work->r);
}

/* Those of pipeservice are the last ones. */
enum { PROTOCOL, PRIORITY, BUDGET, MAX_SATOSHIS = BUDGET, PER_MIB, PER_MINUTE, AHEAD, OPTIONS };
static const struct rpc_member options[OPTIONS] = {
    [PROTOCOL] = { "protocol", RPC_TEXT, RPC_OPTIONAL },
    [PRIORITY] = { "priority", RPC_INT, RPC_OPTIONAL },
    [MAX_SATOSHIS] = { "max_satoshis", RPC_INT, RPC_OPTIONAL },
    [PER_MIB] = { "price_per_mib", RPC_INT, RPC_OPTIONAL },
    [PER_MINUTE] = { "price_per_minute", RPC_INT, RPC_OPTIONAL },
    [AHEAD] = { "ahead", RPC_INT, RPC_OPTIONAL },
};

static bool read_port(struct rpc_call *call, size_t i, int64_t low, uint16_t *port)
{
    int64_t value = 0;
    if (!rpc_in_range(call, "", "local_port", call->argv[i], low, UINT16_MAX, &value))
        return false;
    *port = (uint16_t)value;
    return true;
}

static bool read_satoshis(struct rpc_call *call, struct json_object *const given[OPTIONS],
                          unsigned which, uint64_t *out)
{
    int64_t value = 0;
    if (given[which] && !rpc_in_range(call, "", options[which].name, given[which], 0,
                                      (int64_t)BILL_PRICE_MAX, &value))
        return false;
    *out = (uint64_t)value;
    return true;
}

static bool read_budget(struct rpc_call *call, struct json_object *const given[OPTIONS],
                        struct forward_budget *b)
{
    if (!read_satoshis(call, given, MAX_SATOSHIS, &b->max) ||
        !read_satoshis(call, given, PER_MIB, &b->price.per_mib) ||
        !read_satoshis(call, given, PER_MINUTE, &b->price.per_minute) ||
        !read_satoshis(call, given, AHEAD, &b->ahead))
        return false;
    if (!given[AHEAD])
        b->ahead = MIN_OF(b->price.per_mib + b->price.per_minute, BILL_PRICE_MAX);
    return true;
}

static bool read_options(struct rpc_call *call, struct forward_wish *wish)
{
    struct json_object *given[OPTIONS] = { NULL };
    if (rpc_has(call, 3) && !rpc_members(call, call->argv[3], "", options, OPTIONS, given))
        return false;
    if (!read_budget(call, given, &wish->budget))
        return false;
    const char *protocol = given[PROTOCOL] ? json_object_get_string(given[PROTOCOL]) : "tcp";
    wish->dgrams = strcmp(protocol, "udp") == 0;
    if (!wish->dgrams && strcmp(protocol, "tcp") != 0) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "protocol: tcp or udp");
        return false;
    }
    int64_t priority = wish->dgrams ? FORWARD_DGRAM_PRIORITY : FORWARD_PRIORITY;
    if (given[PRIORITY] &&
        !rpc_in_range(call, "", "priority", given[PRIORITY], 0, DCHAN_PRIORITY_MAX, &priority))
        return false;
    wish->priority = (uint8_t)priority;
    return true;
}

static struct rpc_result cmd_forwardservice(struct rpc_call *call)
{
    struct forward_work work = { .contact = rpc_text(call, 0, "") };
    work.wish.service = rpc_text(call, 1, "");
    if ((rpc_has(call, 2) && !read_port(call, 2, 0, &work.wish.port)) ||
        !read_options(call, &work.wish) ||
        !run(call, &work, work.wish.budget.max ? begin_add : begin_keep))
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
    struct json_object *given[OPTIONS] = { NULL };
    if ((rpc_has(call, 2) && !rpc_members(call, call->argv[2], "", options + BUDGET,
                                          OPTIONS - BUDGET, given + BUDGET)) ||
        !read_budget(call, given, &work.wish.budget) || !run(call, &work, begin_add))
        return rpc_failed(call);
    jw_object_open(call->out);
    jw_put_u64(call->out, "port", work.port);
    jw_put_hex(call->out, "token", work.token, sizeof work.token);
    jw_object_close(call->out);
    secure_wipe(work.token, sizeof work.token);
    return rpc_done();
}

#define BUDGET_HELP                                                                           \
    "; max_satoshis:the most that is paid (default: 0, nothing is), price_per_mib, "          \
    "price_per_minute:satoshis, ahead:satoshis paid at a time when nothing more comes although " \
    "all is paid (default: the sum of both prices; 0: never)"

static const struct rpc_command rows[] = {
    { .name = "forwardservice",
      .category = "channels",
      .where = RPC_ON_WORKER,
      .fn = cmd_forwardservice,
      .help = "Makes a service of a contact reachable on a port of loopback, until unforward, "
              "also after a restart of the node. Each connection is a stream; the contact is "
              "dialled when need be. Every user of this machine can connect to the port. With "
              "max_satoshis and a price the node pays for what the streams carry, as it comes, "
              "over its payment channel to the contact; such a forward ends with the node.",
      .result = "{local_port}",
      .example = "alice web 8081",
      .params = { { "contact", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Alias or key" },
                  { "service", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "As the contact named it" },
                  { "local_port", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "0: any that is free (default)" },
                  { "options", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "{protocol:\"tcp\" or \"udp\", priority:0 (first) to 7; default: 4, with udp "
                    "0" BUDGET_HELP "}" } } },
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
                    "As the contact named it" },
                  { "options", RPC_OBJECT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "Those of forwardservice about payment" BUDGET_HELP } } },
};
const struct rpc_group rpc_forward_commands = { rows, COUNT_OF(rows) };
