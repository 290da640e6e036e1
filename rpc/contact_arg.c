#include <config.h>

#include "rpc/contact_arg.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/ec.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/channel_call.h"

#define KEY_HEX ((size_t)2 * IDENTITY_KEY_SIZE)
#define FILE_QUOTA (UINT64_C(10) << 30)

/* --- what a contact is given as ------------------------------------------------------------- */

static bool fail(struct rpc_call *call, const struct error *e)
{
    rpc_channel_fail(call, e);
    return false;
}

static bool parse_key(struct rpc_call *call, const char *hex, struct contact *out)
{
    size_t len;
    if (!hex_decode(out->key, sizeof out->key, hex, KEY_HEX, &len) ||
        !ec_pubkey_valid(out->key, sizeof out->key)) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "\"%.66s\" is not the key of an identity", hex);
        return false;
    }
    out->has_key = true;
    return true;
}

static uint16_t default_port(const struct rpc_call *call)
{
    return chain_get_params(call->env->chain)->channel_port;
}

static bool parse_address(struct rpc_call *call, const char *text, struct contact *out)
{
    struct error e = { .code = OK };
    out->n_addresses = 1;
    return !rpc_channel_address(&out->addresses[0], text, default_port(call), &e) ||
           fail(call, &e);
}

/* The one that signed it said so itself; when it is to be reached there is for its store. */
static void take_record(const struct bca_record *r, bool any_address, struct contact *out)
{
    memcpy(out->key, r->key, sizeof out->key);
    out->has_key = true;
    for (size_t i = 0; i < r->n_endpoints && out->n_addresses < CONTACT_ADDRESSES_MAX; i++) {
        struct contact_address *a = &out->addresses[out->n_addresses];
        if (!bca_record_may_dial(r, i, true, any_address))
            continue;
        memcpy(a->address, r->endpoints[i].address, sizeof a->address);
        a->port = r->endpoints[i].port;
        out->n_addresses++;
    }
}

static bool parse_record(struct rpc_call *call, struct span raw, struct contact *out)
{
    const bool regtest = chain_get_params(call->env->chain)->network == NETWORK_REGTEST;
    struct bca_record r;
    enum bca_record_fault fault = bca_record_read(&r, raw);
    if (!fault)
        fault = bca_record_check_times(&r, (uint64_t)clock_now());
    if (!fault && !regtest)
        fault = bca_record_check_endpoints(&r);
    if (!fault)
        fault = bca_record_check_signature(&r);
    if (fault) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "the record is refused: %s",
                 bca_record_fault_name(fault));
        return false;
    }
    take_record(&r, regtest, out);
    return true;
}

static bool parse_record_hex(struct rpc_call *call, const char *hex, struct contact *out)
{
    uint8_t raw[BCA_RECORD_MAX];
    size_t len;
    if (hex_decode(raw, sizeof raw, hex, strlen(hex), &len))
        return parse_record(call, span_of(raw, len), out);
    rpc_fail(call, RPC_INVALID_PARAMETER, "a key (%zu hex digits), key@address, an IPv6 address or "
             "a record in hex is wanted", KEY_HEX);
    return false;
}

bool rpc_contact_parse(struct rpc_call *call, size_t i, struct contact *out)
{
    const char *text = rpc_text(call, i, "");
    *out = (struct contact){ .policy = { .messages = true, .files = true,
                                         .file_quota = FILE_QUOTA } };
    if (strlen(text) == KEY_HEX)
        return parse_key(call, text, out);
    if (strlen(text) > KEY_HEX && text[KEY_HEX] == '@')
        return parse_key(call, text, out) && parse_address(call, text + KEY_HEX + 1, out);
    if (strchr(text, ':'))
        return parse_address(call, text, out);
    return parse_record_hex(call, text, out);
}

/* --- the policy object ---------------------------------------------------------------------- */

static const struct { const char *name; size_t offset; } switches[] = {
#define SWITCH(member) { #member, offsetof(struct contact_policy, member) }
    SWITCH(bare), SWITCH(keep), SWITCH(follow_successor), SWITCH(messages), SWITCH(files),
    SWITCH(accept_files), SWITCH(relay), SWITCH(relay_for_us),
#undef SWITCH
};

static bool *switch_of(struct contact_policy *p, size_t i)
{
    return (bool *)(void *)((char *)p + switches[i].offset);
}

static bool wrong(struct rpc_call *call, const char *name, const char *what)
{
    rpc_fail(call, RPC_INVALID_PARAMETER, "%.40s must be %s", name, what);
    return false;
}

static bool set_text(struct rpc_call *call, const char *name, struct json_object *v, char *out,
                     size_t cap)
{
    if (!json_object_is_type(v, json_type_string) ||
        (size_t)json_object_get_string_len(v) >= cap ||
        strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
        return wrong(call, name, "a text that is not too long");
    memset(out, 0, cap);
    memcpy(out, json_object_get_string(v), strlen(json_object_get_string(v)));
    return true;
}

static bool set_addresses(struct rpc_call *call, struct json_object *v, struct contact *c)
{
    struct error e = { .code = OK };
    const size_t n = json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
    if (!json_object_is_type(v, json_type_array) || n > CONTACT_ADDRESSES_MAX)
        return wrong(call, "addresses", "a list of at most four addresses");
    for (size_t i = 0; i < n; i++) {
        struct json_object *text = json_object_array_get_idx(v, i);
        if (!json_object_is_type(text, json_type_string))
            return wrong(call, "addresses", "a list of texts");
        if (rpc_channel_address(&c->addresses[i], json_object_get_string(text),
                                default_port(call), &e))
            return fail(call, &e);
    }
    c->n_addresses = n;
    return true;
}

static bool set_quota(struct rpc_call *call, struct json_object *v, struct contact *c)
{
    if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
        return wrong(call, "file_quota", "a number of bytes");
    c->policy.file_quota = (uint64_t)json_object_get_int64(v);
    return true;
}

static bool set_one(struct rpc_call *call, const char *name, struct json_object *v,
                    struct contact *c)
{
    if (strcmp(name, "alias") == 0)
        return set_text(call, name, v, c->alias, sizeof c->alias);
    if (strcmp(name, "identity") == 0)
        return set_text(call, name, v, c->identity, sizeof c->identity);
    if (strcmp(name, "addresses") == 0)
        return set_addresses(call, v, c);
    if (strcmp(name, "file_quota") == 0)
        return set_quota(call, v, c);
    for (size_t i = 0; i < COUNT_OF(switches); i++)
        if (strcmp(name, switches[i].name) == 0) {
            *switch_of(&c->policy, i) = json_object_get_boolean(v);
            return json_object_is_type(v, json_type_boolean) ||
                   wrong(call, name, "true or false");
        }
    rpc_fail(call, RPC_INVALID_PARAMETER, "a contact has no setting \"%.40s\"", name);
    return false;
}

bool rpc_contact_policy(struct rpc_call *call, struct json_object *object, struct contact *c)
{
    json_object_object_foreach(object, name, value)
    {
        if (!set_one(call, name, value, c))
            return false;
    }
    return true;
}

/* --- showing -------------------------------------------------------------------------------- */

static void put_policy(struct json_writer *w, const struct contact *c)
{
    struct contact_policy p = c->policy;
    jw_key(w, "policy");
    jw_object_open(w);
    for (size_t i = 0; i < COUNT_OF(switches); i++)
        jw_put_bool(w, switches[i].name, *switch_of(&p, i));
    jw_put_u64(w, "file_quota", p.file_quota);
    jw_object_close(w);
}

static void put_addresses(struct json_writer *w, const struct contact *c)
{
    char text[RPC_CHANNEL_ADDRESS_MAX];
    jw_key(w, "addresses");
    jw_array_open(w);
    for (size_t i = 0; i < c->n_addresses; i++)
        jw_text(w, rpc_channel_address_text(text, &c->addresses[i]));
    jw_array_close(w);
}

static void put_keys(struct json_writer *w, const struct contact *c)
{
    if (c->has_key)
        jw_put_hex(w, "key", c->key, sizeof c->key);
    jw_key(w, "former_keys");
    jw_array_open(w);
    for (size_t i = 0; i < c->n_former; i++)
        jw_hex(w, c->former[i], sizeof c->former[i]);
    jw_array_close(w);
}

void rpc_contact_write(struct rpc_call *call, const struct contact *c)
{
    struct json_writer *w = call->out;
    jw_object_open(w);
    jw_put_text(w, "alias", c->alias);
    put_keys(w, c);
    jw_put_text(w, "identity", c->identity);
    put_policy(w, c);
    put_addresses(w, c);
    jw_put_u64(w, "added", c->added_ms / 1000);
    jw_put_u64(w, "seen", c->seen_ms / 1000);
    jw_object_close(w);
}
