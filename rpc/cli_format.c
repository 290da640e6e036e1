#include "rpc/cli_format.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "rpc/json_write.h"

static void put_scalar(struct json_object *v, struct buf *out)
{
    struct json_writer w;
    jw_init(&w, out, NULL, NULL);
    jw_value(&w, v);
}

static void put_indent(struct buf *out, unsigned depth)
{
    buf_printf(out, "\n%*s", (int)(2 * depth), "");
}

static void put_indented(struct json_object *v, struct buf *out, unsigned depth)
{
    bool object = json_object_get_type(v) == json_type_object;
    if (!object && json_object_get_type(v) != json_type_array) {
        put_scalar(v, out);
        return;
    }
    const char *separator = "";
    buf_put_u8(out, object ? '{' : '[');
    if (object) {
        json_object_object_foreach(v, key, member) {
            struct json_object *name = json_object_new_string(key);
            buf_put_str(out, separator);
            put_indent(out, depth + 1);
            put_scalar(name, out);
            json_object_put(name);
            buf_put_str(out, ": ");
            put_indented(member, out, depth + 1);
            separator = ",";
        }
    } else {
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            buf_put_str(out, separator);
            put_indent(out, depth + 1);
            put_indented(json_object_array_get_idx(v, i), out, depth + 1);
            separator = ",";
        }
    }
    put_indent(out, depth);
    buf_put_u8(out, object ? '}' : ']');
}

void cli_format_result(struct json_object *result, struct buf *out)
{
    if (!result)
        return;
    if (json_object_get_type(result) == json_type_string)
        buf_put(out, json_object_get_string(result), (size_t)json_object_get_string_len(result));
    else
        put_indented(result, out, 0);
    if (out->len)
        buf_put_u8(out, '\n');
}

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    if (json_object_get_type(o) == json_type_object)
        json_object_object_get_ex(o, name, &v);
    return v;
}

void cli_format_error(struct json_object *error, struct buf *out)
{
    struct json_object *code = member(error, "code"), *message = member(error, "message");
    if (json_object_get_type(code) == json_type_int)
        buf_printf(out, "error code: %d\n", json_object_get_int(code));
    if (json_object_get_type(message) == json_type_string)
        buf_printf(out, "error message:\n%s\n", json_object_get_string(message));
    if (!out->len) {
        buf_put_str(out, "error: ");
        put_scalar(error, out);
        buf_put_u8(out, '\n');
    }
}

int cli_exit_status(struct json_object *error)
{
    int status = abs(json_object_get_int(member(error, "code"))) & 0xff;
    return status ? status : 1;
}

/* --- getinfo -------------------------------------------------------------------------------- */

static long long number(struct json_object *o, const char *name)
{
    return json_object_get_int64(member(o, name));
}

static const char *text(struct json_object *o, const char *name)
{
    struct json_object *v = member(o, name);
    return v ? json_object_get_string(v) : "?";
}

static size_t count_inbound(struct json_object *peers)
{
    size_t n = 0;
    for (size_t i = 0; i < json_object_array_length(peers); i++)
        n += json_object_get_boolean(member(json_object_array_get_idx(peers, i), "inbound"));
    return n;
}

static void put_bar(struct buf *out, double part)
{
    int full = (int)(part * 20);
    buf_put_u8(out, '[');
    for (int i = 0; i < 20; i++)
        buf_put_u8(out, i < full ? '#' : '.');
    buf_put_u8(out, ']');
}

void cli_format_getinfo(struct json_object *chain, struct json_object *net,
                        struct json_object *peers, struct buf *out)
{
    double progress = json_object_get_double(member(chain, "verificationprogress"));
    buf_printf(out, "Chain        %s%s\n", text(chain, "chain"),
               json_object_get_boolean(member(chain, "pruned")) ? " (pruned)" : "");
    buf_printf(out, "Blocks       %lld of %lld headers\n", number(chain, "blocks"),
               number(chain, "headers"));
    buf_put_str(out, "Verified     ");
    put_bar(out, progress);
    buf_printf(out, " %.2f %%\n", progress * 100);
    buf_printf(out, "Best block   %s\n", text(chain, "bestblockhash"));
    buf_printf(out, "Difficulty   %s\n", text(chain, "difficulty"));
    if (json_object_get_type(peers) == json_type_array) {
        size_t all = json_object_array_length(peers), in = count_inbound(peers);
        buf_printf(out, "Peers        %zu (%zu out, %zu in)\n", all, all - in, in);
    }
    buf_printf(out, "Node         %s, protocol %lld\n", text(net, "subversion"),
               number(net, "protocolversion"));
    const char *warnings = text(net, "warnings");
    if (*warnings && strcmp(warnings, "?") != 0)
        buf_printf(out, "Warnings     %s\n", warnings);
}
