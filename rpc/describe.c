#include "rpc/describe.h"

#include <string.h>

static void put_aliases(struct json_writer *w, const char *name)
{
    jw_key(w, "aliases");
    jw_array_open(w);
    for (name += strcspn(name, "|"); *name; name += strcspn(name, "|")) {
        name++;
        jw_text_n(w, name, strcspn(name, "|"));
    }
    jw_array_close(w);
}

static void put_param(struct json_writer *w, const struct rpc_param *p)
{
    jw_object_open(w);
    jw_key(w, "name");
    jw_text_n(w, p->name, strcspn(p->name, "|"));
    put_aliases(w, p->name);
    jw_put_text(w, "type", rpc_type_name(p->type));
    jw_put_bool(w, "required", p->need == RPC_REQUIRED);
    jw_put_bool(w, "json", p->cli == RPC_CLI_JSON);
    jw_put_text(w, "help", p->help);
    jw_object_close(w);
}

static const char *where_name(enum rpc_where where)
{
    static const char *const names[] = {
        [RPC_ON_HTTP] = "http", [RPC_ON_WORKER] = "worker",
        [RPC_TRY_ON_HTTP] = "worker", [RPC_ON_WAITER] = "waiter",
    };
    return names[where];
}

void jw_command(struct json_writer *w, const struct rpc_command *c)
{
    jw_object_open(w);
    jw_put_text(w, "name", c->name);
    jw_put_text(w, "category", c->category);
    jw_put_text(w, "where", where_name(c->where));
    jw_put_bool(w, "hidden", c->flags & RPC_HIDDEN);
    jw_put_text(w, "help", c->help);
    jw_put_text(w, "result", c->result);
    jw_put_text(w, "example", c->example);
    jw_put_bool(w, "anyparameters", c->flags & RPC_ANY_PARAMS);
    jw_key(w, "params");
    jw_array_open(w);
    for (size_t i = 0; i < rpc_param_count(c); i++)
        put_param(w, &c->params[i]);
    jw_array_close(w);
    jw_object_close(w);
}

void jw_command_table(struct json_writer *w, const struct rpc_table *t)
{
    jw_array_open(w);
    for (size_t i = 0; i < rpc_table_count(t); i++)
        jw_command(w, rpc_table_at(t, i));
    jw_array_close(w);
}
