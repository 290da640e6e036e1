/* bcalist: the identities of a wallet and their addresses. */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "rpc/identity_link.h"

struct listing {
    struct rpc_call *call;
    struct wallet *w;
};

static enum err put_identity(void *ctx, const struct identity *id, struct error *e)
{
    struct listing *g = ctx;
    struct json_writer *w = g->call->out;
    struct standing s;
    struct identity now = *id; /* the transaction stays the caller's */
    enum err rc = rpc_identity_standing(g->call, g->w, &now, &s, e);
    if (rc)
        return rc;
    jw_object_open(w);
    jw_put_text(w, "name", id->name);
    jw_put_text(w, "state", rpc_identity_state_name(s.state));
    jw_put_u64(w, "confirmations", s.confirmations);
    if (now.sent)
        jw_put_hash(w, "txid", now.txid.b);
    jw_put_hex(w, "public_key", id->public_key, sizeof id->public_key);
    jw_put_u64(w, "modifiers", id->n_modifiers);
    jw_put_u64(w, "unused", identity_unused(id));
    jw_object_close(w);
    return OK;
}

static enum err put_formed(void *ctx, const struct identity_address *a, struct error *e)
{
    struct listing *g = ctx;
    struct json_writer *w = g->call->out;
    struct assigned_address at;
    unsigned collisions;
    const enum err rc = identity_address_collisions(a, &collisions, e);
    if (rc)
        return rc;
    jw_object_open(w);
    jw_put_identity_address(w, a->address);
    jw_put_text(w, "name", a->name);
    jw_put_text(w, "state",
                rpc_identity_address_state_name(rpc_identity_address_state(g->call, a)));
    jw_put_u64(w, "modifier_index", a->modifier);
    jw_put_u64(w, "collision_count", collisions);
    if (rpc_link_find(g->call, g->w, a->address, &at)) {
        jw_put_text(w, "interface", at.interface);
        jw_put_bool(w, "retired", at.retired != 0);
    }
    jw_object_close(w);
    return OK;
}

static enum err put_list(struct listing *g, struct error *e)
{
    struct json_writer *w = g->call->out;
    jw_object_open(w);
    jw_key(w, "identities");
    jw_array_open(w);
    enum err rc = identity_each(wallet_keystore(g->w), put_identity, g, e);
    jw_array_close(w);
    jw_key(w, "addresses");
    jw_array_open(w);
    if (!rc)
        rc = identity_each_address(wallet_keystore(g->w), put_formed, g, e);
    jw_array_close(w);
    jw_object_close(w);
    return rc;
}

static struct rpc_result cmd_bcalist(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct listing g = { call, rpc_wallet(call) };
    struct rpc_held held;
    if (!g.w)
        return rpc_failed(call);
    rpc_hold(call, &held);
    wallet_lock(g.w);
    enum err rc = put_list(&g, &e);
    wallet_unlock(g.w);
    rc = rpc_release(call, &held, rc, &e);
    wallet_unref(g.w);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static const struct rpc_command rows[] = {
    { .name = "bcalist",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcalist,
      .help = "The identities of the wallet and the addresses it has formed. An address is void "
              "when its block is no longer on the active chain. An identity that was restored from a "
              "backup keeps its addresses and forms no more.",
      .result = "{identities:[{name, state:\"unsent\", \"pending\", \"confirming\", \"ready\", "
                "\"lost\" or \"restored\", confirmations, txid (when sent), public_key, modifiers, unused}...], "
                "addresses:[{address, name, state:\"ready\", \"confirming\" or \"void\", "
                "modifier_index, collision_count, interface and retired (when on an interface)}"
                "...]}",
      .example = "" },
};
const struct rpc_group rpc_bca_list_commands = { rows, COUNT_OF(rows) };
