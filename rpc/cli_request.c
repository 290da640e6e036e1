#include "rpc/cli_request.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/json_read.h"

/* Does the client send parameter `at` as JSON? Unknown methods and positions: as text. */
static bool is_json_param(const struct rpc_command *c, size_t at)
{
    if (!c)
        return false;
    if (c->flags & RPC_ANY_PARAMS)
        return c->flags & RPC_ANY_PARAMS_JSON;
    return at < rpc_param_count(c) && c->params[at].cli == RPC_CLI_JSON;
}

static enum err put_value(struct json_writer *w, const char *text, bool json, struct error *e)
{
    if (!json) {
        jw_text(w, text);
        return OK;
    }
    if (json_check(text, strlen(text), NULL))
        return error_set(e, ERR_PARSE, "Error parsing JSON:%.200s", text);
    jw_json(w, text, strlen(text));
    return OK;
}

static enum err put_named(struct json_writer *w, const struct rpc_command *c, const char *arg,
                          struct error *e)
{
    const char *eq = strchr(arg, '=');
    if (!eq)
        return error_set(e, ERR_PARSE,
                         "No '=' in named argument '%.100s', this needs to be present "
                         "for every argument (even if it is empty)",
                         arg);
    char *name = xstrndup(arg, (size_t)(eq - arg));
    jw_key(w, name);
    enum err rc = put_value(w, eq + 1, c && is_json_param(c, rpc_param_find(c, name)), e);
    free(name);
    return rc;
}

/* "help --json [command]" asks for the description that programs read. */
static bool is_json_help(const char *method, const char *const *args, size_t n)
{
    return n > 0 && strcmp(method, "help") == 0 && strcmp(args[0], "--json") == 0;
}

/* "bca verify ..." is bcaverify. */
static enum err build_bca_request(const struct rpc_table *t, const char *const *args, size_t n,
                                  enum cli_params how, struct buf *out, struct error *e)
{
    if (!n)
        return error_set(e, ERR_PARSE, "bca needs to know what to do, as in: bca verify");
    char *method = xasprintf("bca%s", args[0]);
    enum err rc = cli_build_request(t, method, args + 1, n - 1, how, out, e);
    free(method);
    return rc;
}

enum err cli_build_request(const struct rpc_table *t, const char *method, const char *const *args,
                           size_t n, enum cli_params how, struct buf *out, struct error *e)
{
    if (is_json_help(method, args, n))
        return cli_build_request(t, "getrpcdescription", args + 1, n - 1, how, out, e);
    if (strcmp(method, "bca") == 0)
        return build_bca_request(t, args, n, how, out, e);
    const struct rpc_command *c = rpc_table_find(t, method);
    struct json_writer w;
    enum err rc = OK;
    jw_init(&w, out, NULL, NULL);
    jw_object_open(&w);
    jw_put_text(&w, "method", method);
    jw_key(&w, "params");
    if (how == CLI_NAMED)
        jw_object_open(&w);
    else
        jw_array_open(&w);
    for (size_t i = 0; i < n && !rc; i++)
        rc = how == CLI_NAMED ? put_named(&w, c, args[i], e)
                              : put_value(&w, args[i], is_json_param(c, i), e);
    if (how == CLI_NAMED)
        jw_object_close(&w);
    else
        jw_array_close(&w);
    jw_put_i64(&w, "id", 1);
    jw_object_close(&w);
    return rc;
}
