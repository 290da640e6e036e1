/* bcalist: the identities of a wallet and their addresses. */
#include "rpc/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "rpc/identity_link.h"
#include "rpc/identity_revoked.h"

/* What is listed of an identity once the chain was asked, which takes the wallet's lock off. */
struct listed {
    struct identity id; /* without the transaction */
    struct standing standing;
    bool marked;
    struct outpoint marker;
    struct identity_revocation revocation;
};

struct listing {
    struct rpc_call *call;
    struct wallet *w;
    struct listed *all;
    size_t n, cap;
};

static enum err collect(void *ctx, const struct identity *id, struct error *e)
{
    struct listing *g = ctx;
    if (g->n == g->cap) {
        const size_t cap = 2 * g->cap + 8;
        struct listed *more = try_realloc(g->all, cap, sizeof *more);
        if (!more)
            return error_set(e, ERR_NOMEM, "no memory to list identities");
        g->all = more;
        g->cap = cap;
    }
    struct listed *l = &g->all[g->n++];
    *l = (struct listed){ .id = *id }; /* the transaction stays the caller's */
    const enum err rc = rpc_identity_standing(g->call, g->w, &l->id, &l->standing, e);
    l->marked = rpc_identity_marker(&l->id, &l->marker);
    buf_init(&l->id.tx);
    return rc;
}

/* False: call has failed. */
static bool ask_chain(struct listing *g)
{
    struct error e = { .code = OK };
    wallet_lock(g->w);
    const enum err rc = identity_each(wallet_keystore(g->w), collect, g, &e);
    wallet_unlock(g->w);
    if (rc) {
        rpc_wallet_fail(g->call, &e);
        return false;
    }
    for (size_t i = 0; i < g->n; i++) {
        struct listed *l = &g->all[i];
        if (!rpc_identity_revocation(g->call, g->w, &l->standing, l->marked ? &l->marker : NULL,
                                     &l->revocation))
            return false;
    }
    return true;
}

static void put_identity(struct json_writer *w, const struct listed *l)
{
    const struct identity *id = &l->id;
    const char *revoked = rpc_identity_revocation_name(l->revocation.state);
    jw_object_open(w);
    jw_put_text(w, "name", id->name);
    jw_put_text(w, "state", revoked ? revoked : rpc_identity_state_name(l->standing.state));
    jw_put_u64(w, "confirmations", l->standing.confirmations);
    if (id->sent)
        jw_put_hash(w, "txid", id->txid.b);
    if (l->revocation.known)
        jw_put_hash(w, "revoked_by", l->revocation.by.b);
    jw_put_hex(w, "public_key", id->public_key, sizeof id->public_key);
    jw_put_u64(w, "modifiers", id->n_modifiers);
    jw_put_u64(w, "unused", identity_unused(id));
    if (id->use == IDENTITY_OPEN && id->n_used && identity_unused(id) <= RPC_IDENTITY_FEW)
        jw_put_text(w, "warning", "few modifiers are left: register another identity");
    jw_object_close(w);
}

/* An address ends with its identity. */
static const char *address_state(const struct listing *g, const struct identity_address *a)
{
    const enum address_state state = rpc_identity_address_state(g->call, a);
    const char *revoked = NULL;
    for (size_t i = 0; i < g->n && state != ADDRESS_VOID; i++)
        if (strcmp(g->all[i].id.name, a->name) == 0)
            revoked = rpc_identity_revocation_name(g->all[i].revocation.state);
    return revoked ? revoked : rpc_identity_address_state_name(state);
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
    jw_put_text(w, "state", address_state(g, a));
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
    for (size_t i = 0; i < g->n; i++)
        put_identity(w, &g->all[i]);
    jw_array_close(w);
    jw_key(w, "addresses");
    jw_array_open(w);
    const enum err rc = identity_each_address(wallet_keystore(g->w), put_formed, g, e);
    jw_array_close(w);
    jw_object_close(w);
    return rc;
}

static struct rpc_result put_all(struct listing *g)
{
    struct error e = { .code = OK };
    struct rpc_held held;
    rpc_hold(g->call, &held);
    wallet_lock(g->w);
    enum err rc = put_list(g, &e);
    wallet_unlock(g->w);
    rc = rpc_release(g->call, &held, rc, &e);
    return rc ? rpc_wallet_fail(g->call, &e) : rpc_done();
}

static struct rpc_result cmd_bcalist(struct rpc_call *call)
{
    struct listing g = { .call = call, .w = rpc_wallet(call) };
    if (!g.w)
        return rpc_failed(call);
    const struct rpc_result result = ask_chain(&g) ? put_all(&g) : rpc_failed(call);
    free(g.all);
    wallet_unref(g.w);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "bcalist",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcalist,
      .help = "The identities of the wallet and the addresses it has formed. An address is void "
              "when its block is no longer on the active chain. An identity that was restored from "
              "a backup keeps its addresses and forms no more. One whose marker is spent is "
              "revoked, with all its addresses; until a block holds what spends it, revoking.",
      .result = "{identities:[{name, state:\"unsent\", \"pending\", \"confirming\", \"ready\", "
                "\"lost\", \"restored\", \"moving\", \"moved\", \"revoking\" or \"revoked\", "
                "confirmations, txid (when sent), revoked_by (when it is known), public_key, "
                "modifiers, unused, warning (when few are left)}...], "
                "addresses:[{address, name, state:\"ready\", \"confirming\", \"void\", "
                "\"revoking\" or \"revoked\", modifier_index, collision_count, interface and "
                "retired (when on an interface)}...]}",
      .example = "" },
};
const struct rpc_group rpc_bca_list_commands = { rows, COUNT_OF(rows) };
