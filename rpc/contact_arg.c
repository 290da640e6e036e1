#include <config.h>

#include "rpc/contact_arg.h"

#include <stdlib.h>

#include <json-c/json.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/ec.h"
#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "p2p/bca_intake.h"
#include "p2p/contact_successor.h"
#include "rpc/channel_call.h"
#include "rpc/contact_find.h"

#define KEY_HEX ((size_t)2 * IDENTITY_KEY_SIZE)

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

uint16_t rpc_contact_default_port(const struct rpc_call *call)
{
    return chain_get_params(call->env->chain)->channel_port;
}

static bool parse_address(struct rpc_call *call, const char *text, struct contact *out)
{
    struct error e = { .code = OK };
    out->n_addresses = 1;
    return !rpc_channel_address(&out->addresses[0], text, rpc_contact_default_port(call), &e) ||
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

/* For its store, as if its identity had sent it over a session: not to be given on. */
static bool offer(struct rpc_call *call, struct span raw)
{
    const struct bca_offer o = { .raw = raw, .way = BCA_BY_USER };
    struct bca_answer a = { .outcome = BCA_TAKEN };
    struct error e = { .code = OK };
    if (!call->env->record_intake)
        return true;
    if (bca_intake_offer(call->env->record_intake, &o, &a, &e))
        return fail(call, &e);
    if (a.outcome != BCA_REFUSED)
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "the record is refused: %s",
             bca_record_fault_name(a.fault));
    return false;
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
    return offer(call, raw);
}

static bool parse_record_hex(struct rpc_call *call, const char *hex, struct contact *out)
{
    uint8_t raw[BCA_RECORD_MAX];
    size_t len;
    if (hex_decode(raw, sizeof raw, hex, strlen(hex), &len) && len)
        return parse_record(call, span_of(raw, len), out);
    rpc_fail(call, RPC_INVALID_PARAMETER, "a key (%zu hex digits), key@address, an IPv6 address or "
             "a record in hex is wanted", KEY_HEX);
    return false;
}

bool rpc_contact_parse(struct rpc_call *call, size_t i, struct contact *out)
{
    const char *text = rpc_text(call, i, "");
    *out = (struct contact){ .policy = { .messages = true, .files = true,
                                         .file_quota = config_size(call->env->config,
                                                                   "channelfilequota") } };
    if (strlen(text) == KEY_HEX)
        return parse_key(call, text, out);
    if (strlen(text) > KEY_HEX && text[KEY_HEX] == '@')
        return parse_key(call, text, out) && parse_address(call, text + KEY_HEX + 1, out);
    if (strchr(text, ':')) {
        if (!parse_address(call, text, out))
            return false;
        rpc_contact_find(call, out);
        return true;
    }
    return parse_record_hex(call, text, out);
}

/* --- the policy object ---------------------------------------------------------------------- */

static const struct { const char *name; size_t offset; } switches[] = {
#define SWITCH(member) { #member, offsetof(struct contact_policy, member) }
    SWITCH(bare), SWITCH(keep), SWITCH(follow_successor), SWITCH(messages), SWITCH(files),
    SWITCH(accept_files), SWITCH(relay), SWITCH(relay_for_us), SWITCH(padding),
#undef SWITCH
};

static bool *switch_of(struct contact_policy *p, size_t i)
{
    return (bool *)(void *)((char *)p + switches[i].offset);
}

static enum err wrong(struct error *e, const char *name, const char *what)
{
    return error_set(e, ERR_RANGE, "%.40s must be %s", name, what);
}

static enum err set_text(const char *name, struct json_object *v, char *out, size_t cap,
                         struct error *e)
{
    if (!json_object_is_type(v, json_type_string) ||
        (size_t)json_object_get_string_len(v) >= cap ||
        strlen(json_object_get_string(v)) != (size_t)json_object_get_string_len(v))
        return wrong(e, name, "a text that is not too long");
    memset(out, 0, cap);
    memcpy(out, json_object_get_string(v), strlen(json_object_get_string(v)));
    return OK;
}

static enum err set_addresses(struct json_object *v, uint16_t default_port, struct contact *c,
                              struct error *e)
{
    const size_t n = json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
    enum err rc = OK;
    if (!json_object_is_type(v, json_type_array) || n > CONTACT_ADDRESSES_MAX)
        return wrong(e, "addresses", "a list of at most four addresses");
    for (size_t i = 0; !rc && i < n; i++) {
        struct json_object *text = json_object_array_get_idx(v, i);
        if (!json_object_is_type(text, json_type_string))
            return wrong(e, "addresses", "a list of texts");
        rc = rpc_channel_address(&c->addresses[i], json_object_get_string(text), default_port, e);
    }
    c->n_addresses = n;
    return rc;
}

static enum err set_quota(struct json_object *v, struct contact *c, struct error *e)
{
    if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
        return wrong(e, "file_quota", "a number of bytes");
    c->policy.file_quota = (uint64_t)json_object_get_int64(v);
    return OK;
}

static enum err set_successor(struct json_object *v, struct contact *c, struct error *e)
{
    uint8_t key[IDENTITY_KEY_SIZE];
    size_t len;
    if (!json_object_is_type(v, json_type_string) ||
        !hex_decode(key, sizeof key, json_object_get_string(v),
                    (size_t)json_object_get_string_len(v), &len) || len != sizeof key)
        return wrong(e, "successor", "a key of successors in contactlist");
    return contact_follow(c, key, e);
}

static enum err set_one(const char *name, struct json_object *v, uint16_t default_port,
                        struct contact *c, struct error *e)
{
    if (strcmp(name, "alias") == 0)
        return set_text(name, v, c->alias, sizeof c->alias, e);
    if (strcmp(name, "identity") == 0)
        return set_text(name, v, c->identity, sizeof c->identity, e);
    if (strcmp(name, "addresses") == 0)
        return set_addresses(v, default_port, c, e);
    if (strcmp(name, "file_quota") == 0)
        return set_quota(v, c, e);
    if (strcmp(name, "successor") == 0)
        return set_successor(v, c, e);
    for (size_t i = 0; i < COUNT_OF(switches); i++)
        if (strcmp(name, switches[i].name) == 0) {
            *switch_of(&c->policy, i) = json_object_get_boolean(v);
            return json_object_is_type(v, json_type_boolean) ? OK
                                                             : wrong(e, name, "true or false");
        }
    return error_set(e, ERR_RANGE, "a contact has no setting \"%.40s\"", name);
}

enum err rpc_contact_set(struct json_object *policy, uint16_t default_port, struct contact *c,
                         struct error *e)
{
    enum err rc = OK;
    json_object_object_foreach(policy, name, value)
    {
        if (!rc)
            rc = set_one(name, value, default_port, c, e);
    }
    return rc;
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

static const char *heir_name(enum contact_heir_state state)
{
    switch (state) {
    case CONTACT_HEIR_PROPOSED:
        return "proposed";
    case CONTACT_HEIR_TAKEN:
        return "taken";
    case CONTACT_HEIR_PAST:
        return "past";
    }
    return "";
}

static void put_heirs(struct json_writer *w, const struct contact *c)
{
    struct contact_heir heir;
    jw_key(w, "successors");
    jw_array_open(w);
    for (size_t i = 0; i < c->n_statements; i++) {
        contact_heir_get(c, i, &heir);
        jw_object_open(w);
        jw_put_hex(w, "of", heir.statement.old_key, IDENTITY_KEY_SIZE);
        jw_put_hex(w, "key", heir.statement.new_key, IDENTITY_KEY_SIZE);
        jw_put_u64(w, "seq", heir.statement.seq);
        jw_put_u64(w, "issued", heir.statement.issued);
        jw_put_text(w, "state", heir_name(heir.state));
        jw_put_bool(w, "contradicted", heir.torn);
        jw_object_close(w);
    }
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
    put_heirs(w, c);
    jw_put_u64(w, "added", c->added_ms / 1000);
    jw_put_u64(w, "seen", c->seen_ms / 1000);
    jw_object_close(w);
}
