#include "rpc/identity_revoked.h"

#include "bca/registration.h"
#include "chain/bca_view.h"

#define MARKER_OF_OURS 1 /* bcaregister puts it behind the registration, which comes first */

const char *rpc_identity_revocation_name(enum revocation_state state)
{
    static const char *const names[] = { NULL, "revoking", "revoked" };
    return names[state];
}

bool rpc_identity_marker(const struct identity *id, struct outpoint *marker)
{
    struct bca_registration r;
    *marker = (struct outpoint){ id->txid, MARKER_OF_OURS };
    if (!id->mined)
        return id->sent;
    if (bca_registration_find(buf_span(&id->tx), &r) != BCA_REGISTRATION_FOUND || !r.marker)
        return false;
    marker->index = r.output + 1;
    return true;
}

/* A transaction that spends an output. */
struct spend_search {
    const struct outpoint *at;
    struct txid by;
    bool found;
};

static bool see_unconfirmed(void *ctx, const struct history_tx *t)
{
    struct spend_search *s = ctx;
    if (t->abandoned || t->confirmations < 0)
        return true;
    for (size_t i = 0; i < t->tx->n_in && !s->found; i++)
        s->found = outpoint_equal(&t->tx->in[i].prevout, s->at);
    s->by = t->tx->id;
    return !s->found;
}

enum err rpc_identity_revoking(struct wallet *w, const struct outpoint *marker, struct txid *by,
                               bool *found, struct error *e)
{
    struct spend_search s = { .at = marker };
    const enum err rc = history_list_unconfirmed(wallet_history(w), see_unconfirmed, &s, e);
    *found = s.found;
    *by = s.by;
    return rc;
}

/* What the wallet has made and the mempool does not hold, after a crash or a full mempool. */
static bool look_into_wallet(struct rpc_call *call, struct wallet *w, const struct outpoint *marker,
                             struct identity_revocation *out)
{
    struct error e = { .code = OK };
    wallet_lock(w);
    const enum err rc = rpc_identity_revoking(w, marker, &out->by, &out->known, &e);
    wallet_unlock(w);
    if (rc)
        rpc_wallet_fail(call, &e);
    else if (out->known)
        out->state = REVOCATION_PENDING;
    return rc == OK;
}

bool rpc_identity_revocation(struct rpc_call *call, struct wallet *w, const struct standing *s,
                             const struct outpoint *marker, struct identity_revocation *out)
{
    struct bca_view view;
    *out = (struct identity_revocation){ .state = REVOCATION_NONE };
    if (!s->node || !marker)
        return true;
    bca_view_init(&view, call->env->chain);
    view.block = s->node;
    const bool spent = bca_view_marker(&view, marker) == BCA_MARKER_SPENT;
    if (view.rc) {
        rpc_fail_error(call, &view.e);
        return false;
    }
    if (!spent && !view.revoked.pending)
        return look_into_wallet(call, w, marker, out);
    out->state = spent ? REVOCATION_DONE : REVOCATION_PENDING;
    out->known = view.revoked.pending || view.revoked.block;
    out->by = view.revoked.txid;
    return true;
}

bool rpc_identity_in_force(struct rpc_call *call, struct wallet *w, const struct identity *id,
                           const struct standing *s)
{
    struct identity_revocation r;
    struct outpoint marker;
    const bool marked = rpc_identity_marker(id, &marker);
    char hex[HASH_HEX_SIZE] = "a transaction that is not known";
    if (!rpc_identity_revocation(call, w, s, marked ? &marker : NULL, &r))
        return false;
    if (r.state == REVOCATION_NONE)
        return true;
    if (r.known)
        hash_to_hex(hex, r.by.b);
    rpc_fail(call, RPC_WALLET_ERROR, "the identity %s is %s by %s", id->name,
             r.state == REVOCATION_DONE ? "revoked" : "being revoked", hex);
    return false;
}

static bool load_address(struct rpc_call *call, struct wallet *w,
                         const uint8_t address[BCA_ADDRESS_SIZE], struct identity_address *out)
{
    struct error e = { .code = OK };
    bool found = false;
    wallet_lock(w);
    const enum err rc = identity_load_address(wallet_keystore(w), address, out, &found, &e);
    wallet_unlock(w);
    if (rc)
        rpc_wallet_fail(call, &e);
    else if (!found)
        rpc_fail(call, RPC_NOT_FOUND, "this wallet has not formed this address");
    return !rc && found;
}

bool rpc_identity_good_address(struct rpc_call *call, struct wallet *w, size_t i,
                               struct identity_address *out)
{
    uint8_t address[BCA_ADDRESS_SIZE];
    struct identity id;
    struct standing s;
    if (!rpc_identity_address(call, i, address) || !load_address(call, w, address, out))
        return false;
    if (rpc_identity_address_state(call, out) == ADDRESS_VOID) {
        rpc_fail(call, RPC_WALLET_ERROR, "the address is void: its block is not on the active "
                 "chain; form another one with bcanew");
        return false;
    }
    identity_init(&id);
    const bool good = rpc_identity_load(call, w, out->name, &id, &s) &&
                      rpc_identity_in_force(call, w, &id, &s);
    identity_clear(&id);
    return good;
}
