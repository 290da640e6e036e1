#include "rpc/params.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "rpc/json_read.h"

#define NAME_MAX_SHOWN 120

static bool type_matches(enum rpc_type want, enum json_type have)
{
    switch (want) {
    case RPC_ANY:
        return true;
    case RPC_TEXT:
    case RPC_MESSAGE:
    case RPC_HASH:
    case RPC_HEX:
    case RPC_TX:
    case RPC_BLOCK:
        return have == json_type_string;
    case RPC_INT:
        return have == json_type_int;
    case RPC_NUMBER:
        return have == json_type_int || have == json_type_double;
    case RPC_AMOUNT:
        return have == json_type_int || have == json_type_double || have == json_type_string;
    case RPC_BOOL:
        return have == json_type_boolean;
    case RPC_OBJECT:
        return have == json_type_object;
    case RPC_ARRAY:
        return have == json_type_array;
    }
    return false;
}

static const char *wanted_word(enum rpc_type type)
{
    static const char *const words[] = {
        [RPC_ANY] = "value", [RPC_TEXT] = "string", [RPC_MESSAGE] = "string",
        [RPC_INT] = "integer", [RPC_NUMBER] = "number", [RPC_BOOL] = "boolean",
        [RPC_AMOUNT] = "number or string", [RPC_HASH] = "string", [RPC_HEX] = "string",
        [RPC_TX] = "string", [RPC_BLOCK] = "string", [RPC_OBJECT] = "object", [RPC_ARRAY] = "array",
    };
    return words[type];
}

static struct rpc_result fail_type(struct rpc_call *call, enum rpc_type want)
{
    if (want == RPC_AMOUNT)
        return rpc_fail(call, RPC_TYPE_ERROR, "Amount is not a number or string");
    const char *article = want == RPC_INT || want == RPC_OBJECT || want == RPC_ARRAY ? "an" : "a";
    return rpc_fail(call, RPC_MISC_ERROR, "JSON value is not %s %s as expected", article,
                    wanted_word(want));
}

static bool all_hex(const char *text, size_t len)
{
    return len && strspn(text, "0123456789abcdefABCDEF") == len;
}

/* Spec rpc 1.3: hashes are 64 hex digits; the messages name the parameter. */
static struct rpc_result check_hex(struct rpc_call *call, const char *name, enum rpc_type type,
                                   struct json_object *v)
{
    const char *text = json_object_get_string(v);
    size_t len = (size_t)json_object_get_string_len(v);
    bool good = type == RPC_HASH ? all_hex(text, len)
                                 : len % 2 == 0 && (!len || all_hex(text, len));
    if (!good && (type == RPC_TX || type == RPC_BLOCK))
        return rpc_fail(call, RPC_DESERIALIZATION_ERROR, "%s decode failed",
                        type == RPC_TX ? "TX" : "Block");
    if (!good)
        return rpc_fail(call, RPC_INVALID_PARAMETER,
                        "%s must be hexadecimal string (not '%.100s')", name, text);
    if (type == RPC_HASH && len != 64)
        return rpc_fail(call, RPC_INVALID_PARAMETER, "%s must be of length 64 (not %zu)", name,
                        len);
    return rpc_done();
}

/* What the type asks for beyond being the right kind of JSON. */
static struct rpc_result check_content(struct rpc_call *call, const char *name, enum rpc_type type,
                                       struct json_object *v)
{
    int64_t amount;
    if (type == RPC_INT && json_object_get_uint64(v) > INT64_MAX)
        return rpc_fail(call, RPC_MISC_ERROR, "JSON integer out of range");
    if (type == RPC_AMOUNT && !json_get_amount(v, &amount))
        return rpc_fail(call, RPC_TYPE_ERROR, "Invalid amount");
    if (type == RPC_HASH || type == RPC_HEX || type == RPC_TX || type == RPC_BLOCK)
        return check_hex(call, name, type, v);
    if (type == RPC_TEXT &&
        strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
        return rpc_fail(call, RPC_INVALID_PARAMETER, "%s must not have a zero character", name);
    return rpc_done();
}

static const char *kind_word(struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_null:
        return "null";
    case json_type_boolean:
        return "bool";
    case json_type_int:
        return "integer";
    case json_type_double:
        return "number";
    case json_type_string:
        return "string";
    case json_type_object:
        return "object";
    case json_type_array:
        return "array";
    }
    return "unknown";
}

/* Of a parameter, NULL: null. */
static struct rpc_result fail_param(struct rpc_call *call, enum rpc_type want,
                                    struct json_object *v)
{
    if (!(call->command->flags & RPC_TYPES_FIRST) || want == RPC_AMOUNT)
        return fail_type(call, want);
    return rpc_fail(call, RPC_TYPE_ERROR, "Expected type %s, got %s", wanted_word(want),
                    kind_word(v));
}

struct rpc_result rpc_check_param(struct rpc_call *call, const struct rpc_param *p,
                                  struct json_object *v)
{
    char name[NAME_MAX_SHOWN];
    if (!v)
        return p->need == RPC_REQUIRED && p->type != RPC_ANY ? fail_param(call, p->type, v)
                                                             : rpc_done();
    if (!type_matches(p->type, json_object_get_type(v))) {
        if (p->type == RPC_INT && json_object_get_type(v) == json_type_double)
            return rpc_fail(call, RPC_MISC_ERROR, "JSON integer out of range");
        return fail_param(call, p->type, v);
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(p->name, "|"), p->name);
    return check_content(call, name, p->type, v);
}

/* --- members of objects --------------------------------------------------------------------- */

static void member_name(char out[NAME_MAX_SHOWN], const char *where, const char *name)
{
    snprintf(out, NAME_MAX_SHOWN, "%.70s%s%.40s", where, *where ? "." : "", name);
}

static bool names_known(struct rpc_call *call, struct json_object *o, const char *where,
                        const struct rpc_member *members, size_t n)
{
    struct json_object_iterator it = json_object_iter_begin(o), end = json_object_iter_end(o);
    char name[NAME_MAX_SHOWN];
    for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known |= strcmp(json_object_iter_peek_name(&it), members[i].name) == 0;
        if (known)
            continue;
        member_name(name, where, json_object_iter_peek_name(&it));
        rpc_fail(call, RPC_TYPE_ERROR, "Unexpected key %s", name);
        return false;
    }
    return true;
}

static bool member_good(struct rpc_call *call, const char *where, const struct rpc_member *m,
                        struct json_object *v)
{
    char name[NAME_MAX_SHOWN];
    member_name(name, where, m->name);
    if (!v && m->need == RPC_REQUIRED)
        rpc_fail(call, RPC_INVALID_PARAMETER, "Missing %s", name);
    else if (v && !type_matches(m->type, json_object_get_type(v)))
        rpc_fail(call, RPC_TYPE_ERROR, "Expected type %s for %s, got %s", wanted_word(m->type),
                 name, kind_word(v));
    else if (!v || check_content(call, name, m->type, v).end == RPC_DONE)
        return true;
    return false;
}

bool rpc_some_members(struct rpc_call *call, struct json_object *o, const char *where,
                      const struct rpc_member *members, size_t n, struct json_object **out)
{
    if (json_object_get_type(o) != json_type_object) {
        fail_type(call, RPC_OBJECT);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = NULL;
        json_object_object_get_ex(o, members[i].name, &out[i]);
        if (!member_good(call, where, &members[i], out[i]))
            return false;
    }
    return true;
}

bool rpc_members(struct rpc_call *call, struct json_object *o, const char *where,
                 const struct rpc_member *members, size_t n, struct json_object **out)
{
    if (json_object_get_type(o) == json_type_object && !names_known(call, o, where, members, n))
        return false;
    return rpc_some_members(call, o, where, members, n, out);
}

bool rpc_in_range(struct rpc_call *call, const char *where, const char *name, struct json_object *v,
                  int64_t low, int64_t high, int64_t *out)
{
    char full[NAME_MAX_SHOWN];
    *out = json_object_get_int64(v);
    if (*out >= low && *out <= high)
        return true;
    member_name(full, where, name);
    rpc_fail(call, RPC_INVALID_PARAMETER, "Invalid value for %s: must be %lld to %lld", full,
             (long long)low, (long long)high);
    return false;
}

bool rpc_up_to(struct rpc_call *call, size_t i, uint64_t high, uint64_t *out)
{
    int64_t value = 0;
    if (rpc_has(call, i) && !rpc_in_range(call, "", call->command->params[i].name, call->argv[i], 0,
                                          (int64_t)high, &value))
        return false;
    *out = (uint64_t)value;
    return true;
}
