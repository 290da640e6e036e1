#include "rpc/policy_arg.h"

#include <stddef.h>
#include <string.h>

#include <json-c/json.h>

#include "base/intmath.h"
#include "script/flags.h"

enum setting_type {
    SETTING_BOOL, SETTING_I32, SETTING_U32, SETTING_I64, SETTING_U64, SETTING_KEPT
};

/* Field of struct tx_policy; SETTING_KEPT: known, but the node's own value counts. */
static const struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
} settings[] = {
    { "maxtxsizepolicy", SETTING_U64, offsetof(struct tx_policy, max_tx_size) },
    { "datacarriersize", SETTING_U64, offsetof(struct tx_policy, data_carrier_size) },
    { "maxscriptsizepolicy", SETTING_U64, offsetof(struct tx_policy, scripts.script_size) },
    { "maxscriptnumlengthpolicy", SETTING_U64, offsetof(struct tx_policy, scripts.num_bytes) },
    { "maxstackmemoryusagepolicy", SETTING_U64, offsetof(struct tx_policy, scripts.stack_memory) },
    { "limitancestorcount", SETTING_KEPT, 0 },
    { "limitcpfpgroupmemberscount", SETTING_KEPT, 0 },
    { "acceptnonstdoutputs", SETTING_BOOL, offsetof(struct tx_policy, accept_nonstandard_outputs) },
    { "datacarrier", SETTING_BOOL, offsetof(struct tx_policy, data_carrier) },
    { "maxstdtxvalidationduration", SETTING_KEPT, 0 },
    { "maxnonstdtxvalidationduration", SETTING_KEPT, 0 },
    { "minconsolidationfactor", SETTING_U32, offsetof(struct tx_policy, consolidation_factor) },
    { "maxconsolidationinputscriptsize", SETTING_U32,
      offsetof(struct tx_policy, consolidation_max_script) },
    { "minconfconsolidationinput", SETTING_I32,
      offsetof(struct tx_policy, consolidation_min_conf) },
    { "minconsolidationinputmaturity", SETTING_I32,
      offsetof(struct tx_policy, consolidation_min_conf) },
    { "acceptnonstdconsolidationinput", SETTING_BOOL,
      offsetof(struct tx_policy, consolidation_nonstandard) },
};

static const struct { const char *name; uint32_t flag; } skippable[] = {
    { "DERSIG", SCRIPT_DERSIG },
    { "MINIMALDATA", SCRIPT_MINIMALDATA },
    { "NULLDUMMY", SCRIPT_NULLDUMMY },
    { "DISCOURAGE_UPGRADABLE_NOPS", SCRIPT_DISCOURAGE_UPGRADABLE_NOPS },
    { "CLEANSTACK", SCRIPT_CLEANSTACK },
};

static const struct setting *find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

static bool set_number(const struct setting *s, int64_t v, struct tx_policy *p)
{
    void *field = (char *)p + s->offset;
    if (v < 0 || (s->type == SETTING_U32 && v > UINT32_MAX) ||
        (s->type == SETTING_I32 && v > INT32_MAX))
        return false;
    if (s->type == SETTING_U32)
        *(uint32_t *)field = (uint32_t)v;
    else if (s->type == SETTING_I32)
        *(int32_t *)field = (int32_t)v;
    else
        *(int64_t *)field = v; /* SETTING_U64 has the same bytes */
    return true;
}

static bool set_one(struct rpc_call *call, const char *name, struct json_object *v,
                    struct tx_policy *p)
{
    const struct setting *s = find(name);
    if (!s) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "%.60s is not a valid policy setting.", name);
        return false;
    }
    const enum json_type want = s->type == SETTING_BOOL ? json_type_boolean : json_type_int;
    if (s->type == SETTING_BOOL && json_object_get_type(v) == want)
        *(bool *)(void *)((char *)p + s->offset) = json_object_get_boolean(v);
    else if (json_object_get_type(v) != want ||
             (s->type != SETTING_KEPT && !set_number(s, json_object_get_int64(v), p))) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s must be %s", name,
                 s->type == SETTING_BOOL ? "true or false" : "a number that is not negative");
        return false;
    }
    return true;
}

static bool skip_flags(struct rpc_call *call, struct json_object *names, struct tx_policy *p)
{
    const bool is_array = json_object_get_type(names) == json_type_array;
    for (size_t i = 0; is_array && i < json_object_array_length(names); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));
        size_t at = 0;
        while (at < COUNT_OF(skippable) && (!name || strcmp(skippable[at].name, name) != 0))
            at++;
        if (at == COUNT_OF(skippable)) {
            rpc_fail(call, RPC_INVALID_PARAMETER,
                     "Provided flag (%.60s) is unknown: DERSIG, MINIMALDATA, NULLDUMMY, "
                     "DISCOURAGE_UPGRADABLE_NOPS or CLEANSTACK",
                     name ? name : "null");
            return false;
        }
        p->skip_script_flags |= skippable[at].flag;
    }
    if (!is_array)
        rpc_fail(call, RPC_INVALID_PARAMETER, "skipscriptflags must be an array of names");
    return is_array;
}

bool rpc_policy(struct rpc_call *call, struct json_object *object, struct tx_policy *p)
{
    json_object_object_foreach(object, name, value)
    {
        const bool good = strcmp(name, "skipscriptflags") == 0 ? skip_flags(call, value, p)
                                                               : set_one(call, name, value, p);
        if (!good)
            return false;
    }
    return true;
}
