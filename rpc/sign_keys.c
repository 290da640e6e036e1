#include "rpc/sign_keys.h"

#include <json-c/json.h>

#include "base/mem.h"
#include "rpc/keys.h"
#include "rpc/wallet_call.h"
#include "script/sign.h"
#include "script/template.h"

#define KEYS_MAX 10000

static bool take_memory(struct rpc_call *call, struct arena *a, size_t n, struct sign_keys *out)
{
    out->v = arena_alloc(a, n + 1, sizeof *out->v);
    out->n = 0;
    if (!out->v)
        rpc_fail(call, RPC_OUT_OF_MEMORY, "out of memory for the keys");
    return out->v != NULL;
}

static void add(struct sign_keys *k, struct private_key *key)
{
    signing_key_init(&k->v[k->n++], key);
    private_key_wipe(key);
}

void sign_keys_wipe(struct sign_keys *k)
{
    for (size_t i = 0; i < k->n; i++)
        private_key_wipe(&k->v[i].key);
}

bool sign_keys_given(struct rpc_call *call, struct json_object *list, struct arena *a,
                     struct sign_keys *out)
{
    const size_t n = json_object_array_length(list);
    if (n > KEYS_MAX) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "privkeys has more than %d keys", KEYS_MAX);
        return false;
    }
    if (!take_memory(call, a, n, out))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        struct private_key key;
        if (json_object_get_type(v) != json_type_string) {
            rpc_fail(call, RPC_MISC_ERROR,
                     "JSON value is not a string as expected: privkeys[%zu]", i);
            return false;
        }
        if (!rpc_private_key(call, json_object_get_string(v), &key))
            return false;
        add(out, &key);
    }
    return true;
}

/* --- of a wallet ---------------------------------------------------------------------------- */

struct own_keys {
    struct rpc_call *call;
    struct wallet *wallet;
    struct scripts *seen;
    struct sign_keys *out;
};

/* P2PKH of the key, or any script that is of one key. Not ours, or watched: nothing happens. */
static bool add_own_key(struct own_keys *o, struct span script)
{
    struct wallet_key known;
    struct owner ignored;
    struct private_key key;
    struct error e = { .code = OK };
    if (scripts_find(o->seen, script, &ignored) ||
        !wallet_find_key(o->wallet, script, &known) || !known.spendable)
        return true;
    if (o->out->n == KEYS_MAX) {
        rpc_fail(o->call, RPC_INVALID_PARAMETER, "more than %d keys would sign", KEYS_MAX);
        return false;
    }
    enum err rc = scripts_add(o->seen, script, (struct owner){ .kind = OWNER_SPENDABLE })
                      ? wallet_get_secret(o->wallet, &known, key.secret, &e)
                      : error_set(&e, ERR_NOMEM, "out of memory for the keys");
    if (rc) {
        rpc_wallet_fail(o->call, &e);
        return false;
    }
    key.compressed = known.key_len == EC_PUBKEY_SIZE;
    add(o->out, &key);
    return true;
}

static bool add_own_keys(struct own_keys *o, struct span script)
{
    struct script_match m;
    uint8_t one[SCRIPT_P2PKH_SIZE];
    bool good = true;
    script_classify(script, SCRIPT_ERA_ORIGINAL, &m);
    if (m.type != SCRIPT_TYPE_MULTISIG)
        return add_own_key(o, script);
    for (unsigned i = 0; i < m.n_keys && good; i++) {
        script_make_for_key(one, m.data[i]);
        good = add_own_key(o, span_of(one, sizeof one));
    }
    return good;
}

bool sign_keys_own(struct rpc_call *call, const struct span *scripts, size_t n, struct arena *a,
                   struct sign_keys *out)
{
    struct own_keys o = { .call = call, .out = out };
    if (!call->env->wallets) {
        rpc_fail(call, RPC_WALLET_NOT_FOUND,
                 "There are no wallets: give the keys that shall sign as privkeys");
        return false;
    }
    o.wallet = take_memory(call, a, KEYS_MAX, out) ? rpc_wallet(call) : NULL;
    if (!o.wallet)
        return false;
    bool good = true;
    o.seen = scripts_new();
    for (size_t i = 0; i < n && good; i++)
        good = add_own_keys(&o, scripts[i]);
    scripts_free(o.seen);
    wallet_unref(o.wallet);
    return good;
}
