/* Calls commands through the table without HTTP, for tests of the command files. */
#ifndef TESTS_RPC_CALL_H
#define TESTS_RPC_CALL_H

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/cancel.h"
#include "base/config.h"
#include "rpc/dispatch.h"
#include "rpc/json_read.h"
#include "tests/test.h"

struct caller {
    struct rpc_env env;
    struct rpc_table *table;
    struct config *config;
    struct cancel cancel;
    struct buf request, out;
    struct json_object *reply;
    int code; /* 0: good */
};

/* The options that commands look at. */
static const struct option_row caller_options[] = {
    { .name = "prune", .type = OPTION_INT, .def = "0" },
    { .name = "txindex", .type = OPTION_BOOL, .def = "0" },
    { .name = "proxy", .type = OPTION_STRING },
    { .name = "excessiveblocksize", .type = OPTION_SIZE, .def = "10GB" },
    { .name = "blockmaxsize", .type = OPTION_SIZE, .def = "128MB" },
    { .name = "maxstackmemoryusagepolicy", .type = OPTION_SIZE, .def = "100MB" },
    { .name = "maxstackmemoryusageconsensus", .type = OPTION_SIZE, .def = "200MB" },
    { .name = "dbcache", .type = OPTION_SIZE, .def = "64MB" },
    { .name = "memory", .type = OPTION_SIZE, .def = "1GB" },
    { .name = "par", .type = OPTION_INT, .def = "2" },
    { .name = "minminingtxfee", .type = OPTION_AMOUNT, .def = "0.000001" },
    { .name = "maxtxsizepolicy", .type = OPTION_SIZE, .def = "10MB" },
    { .name = "datacarriersize", .type = OPTION_SIZE, .def = "4294967295" },
    { .name = "maxscriptsizepolicy", .type = OPTION_SIZE, .def = "500kB" },
    { .name = "maxscriptnumlengthpolicy", .type = OPTION_SIZE, .def = "10kB" },
    { .name = "maxmempoolsizedisk", .type = OPTION_SIZE, .def = "0" },
    { .name = "maxmempoolnonfinal", .type = OPTION_SIZE, .def = "50MiB" },
    { .name = "maxconsolidationinputscriptsize", .type = OPTION_SIZE, .def = "150" },
    { .name = "maxopsperscriptpolicy", .type = OPTION_INT, .def = "1" },
    { .name = "maxpubkeyspermultisigpolicy", .type = OPTION_INT, .def = "1" },
    { .name = "maxtxsigopscountspolicy", .type = OPTION_INT, .def = "1" },
    { .name = "limitancestorcount", .type = OPTION_INT, .def = "10000" },
    { .name = "limitcpfpgroupmemberscount", .type = OPTION_INT, .def = "25" },
    { .name = "mempoolmaxpercentcpfp", .type = OPTION_INT, .def = "10" },
    { .name = "mempoolexpiry", .type = OPTION_INT, .def = "336" },
    { .name = "maxstdtxvalidationduration", .type = OPTION_INT, .def = "3" },
    { .name = "maxnonstdtxvalidationduration", .type = OPTION_INT, .def = "1000" },
    { .name = "maxtxchainvalidationbudget", .type = OPTION_INT, .def = "50" },
    { .name = "minconsolidationfactor", .type = OPTION_INT, .def = "20" },
    { .name = "minconfconsolidationinput", .type = OPTION_INT, .def = "6" },
    { .name = "acceptnonstdoutputs", .type = OPTION_BOOL, .def = "1" },
    { .name = "datacarrier", .type = OPTION_BOOL, .def = "1" },
    { .name = "permitbaremultisig", .type = OPTION_BOOL, .def = "1" },
    { .name = "acceptnonstdconsolidationinput", .type = OPTION_BOOL, .def = "0" },
    { .name = "persistmempool", .type = OPTION_BOOL, .def = "1" },
    { .name = "maxtxfee", .type = OPTION_AMOUNT, .def = "0.1" },
    { .name = "miningaddress", .type = OPTION_STRING },
    { .name = "blockversion", .type = OPTION_INT },
    { .name = "bantime", .type = OPTION_INT, .def = "86400" },
};

static inline void caller_init(struct caller *c)
{
    *c = (struct caller){ .code = 0 };
    c->table = rpc_table_new();
    c->config =
        config_new(caller_options, sizeof caller_options / sizeof *caller_options, NULL, NULL);
    cancel_init(&c->cancel);
    c->env = (struct rpc_env){ .table = c->table, .config = c->config, .cancel = &c->cancel,
                               .user_agent = "/BSVPeer:test/" };
    buf_init(&c->request);
    buf_init(&c->out);
}

static inline void caller_clear(struct caller *c)
{
    json_object_put(c->reply);
    rpc_table_free(c->table);
    config_free(c->config);
    buf_clear(&c->request);
    buf_clear(&c->out);
}

/* Runs method with params (JSON text) into run; the whole reply as text, valid until the next
 * call. */
static inline const char *run_text(struct caller *c, struct rpc_run *run, const char *method,
                                   const char *params)
{
    struct json_object *request;
    struct json_writer w;
    buf_reset(&c->request);
    buf_printf(&c->request, "{\"method\":\"%s\",\"params\":%s}", method, params);
    assert_int_equal(json_read((const char *)c->request.data, c->request.len, &request, NULL), OK);
    buf_reset(&c->out);
    jw_init(&w, &c->out, NULL, NULL);
    run->env = &c->env;
    run->out = &w;
    c->code = rpc_run(run, request);
    assert_false(run->broken);
    json_object_put(request);
    buf_put_u8(&c->out, 0);
    return (const char *)c->out.data;
}

static inline const char *call_text(struct caller *c, const char *method, const char *params)
{
    struct rpc_run run = { .on_http = false };
    const char *text = run_text(c, &run, method, params);
    assert_false(run.elsewhere);
    return text;
}

/* Whether the HTTP thread answers it, when it tries; if not, nothing has been written. */
static inline bool http_thread_answers(struct caller *c, const char *method, const char *params)
{
    struct rpc_run run = { .on_http = true };
    const char *text = run_text(c, &run, method, params);
    assert_true(!run.elsewhere == (*text != 0));
    return !run.elsewhere && c->code == 0;
}

/* The result of a call that must succeed; borrowed until the next call. */
static inline struct json_object *call(struct caller *c, const char *method, const char *params)
{
    const char *text = call_text(c, method, params);
    if (c->code)
        fail_msg("%s %s: %s", method, params, text);
    json_object_put(c->reply);
    c->reply = NULL;
    assert_int_equal(json_read(text, strlen(text), &c->reply, NULL), OK);
    return json_object_object_get(c->reply, "result");
}

/* A call that must fail with this code and a message that holds `part`. */
static inline void call_fails(struct caller *c, const char *method, const char *params, int code,
                              const char *part)
{
    const char *text = call_text(c, method, params);
    if (c->code != code || !strstr(text, part))
        fail_msg("%s %s: %s", method, params, text);
}

static inline struct json_object *field(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    if (!json_object_object_get_ex(o, name, &v))
        fail_msg("no member %s in %s", name, json_object_to_json_string(o));
    return v;
}

static inline int64_t number(struct json_object *o, const char *name)
{
    return json_object_get_int64(field(o, name));
}

static inline const char *text(struct json_object *o, const char *name)
{
    return json_object_get_string(field(o, name));
}

static inline bool truth(struct json_object *o, const char *name)
{
    return json_object_get_boolean(field(o, name));
}

/* The names of an object's members, in order, separated by spaces. */
static inline void assert_members(struct json_object *o, const char *names)
{
    struct buf b;
    buf_init(&b);
    json_object_object_foreach(o, key, value) {
        (void)value;
        buf_printf(&b, "%s%s", b.len ? " " : "", key);
    }
    buf_put_u8(&b, 0);
    assert_string_equal((const char *)b.data, names);
    buf_clear(&b);
}

#endif
