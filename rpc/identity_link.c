#include "rpc/identity_link.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "chain/chain.h"
#include "p2p/netif.h"
#include "rpc/identity_revoked.h"

/* --- prefixes ------------------------------------------------------------------------------- */

static bool is_assigned(void *ctx, const uint8_t address[BCA_ADDRESS_SIZE])
{
    struct assigned_address at;
    return ctx && assigned_find(ctx, address, &at);
}

enum err link_prefix(struct assigned *list, enum bca_network network, uint32_t index,
                     const uint8_t *preferred, uint8_t prefix[BCA_PREFIX_SIZE], struct error *e)
{
    const struct netif_own own = { is_assigned, list };
    const enum netif_scope scope = network == BCA_NET_MAIN ? NETIF_GLOBAL : NETIF_ANY;
    enum err rc = netif_prefix(index, scope, &own, preferred, prefix, e);
    if (!rc && !bca_prefix_allowed(prefix))
        rc = error_set(e, ERR_NOTFOUND, "no address is formed in the prefix of the interface");
    return rc;
}

bool rpc_link_default_prefix(struct rpc_call *call, enum bca_network network,
                             uint8_t prefix[BCA_PREFIX_SIZE])
{
    struct error e = { .code = OK };
    char name[IF_NAMESIZE];
    uint32_t index = 0;
    enum err rc = netif_of_default_route(&index, name, &e);
    if (!rc)
        rc = link_prefix(call->env->assigned, network, index, NULL, prefix, &e);
    if (rc)
        rpc_fail(call, RPC_INVALID_PARAMETER, "give a prefix: %s", e.text);
    return rc == OK;
}

bool rpc_link_prefix(struct rpc_call *call, enum bca_network network, const char *interface,
                     const uint8_t preferred[BCA_PREFIX_SIZE], uint8_t prefix[BCA_PREFIX_SIZE])
{
    struct error e = { .code = OK };
    uint32_t index = 0;
    enum err rc = netif_index(interface, &index, &e);
    if (!rc)
        rc = link_prefix(call->env->assigned, network, index, preferred, prefix, &e);
    if (rc)
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s", e.text);
    return rc == OK;
}

bool rpc_link_possible(struct rpc_call *call, const char *interface)
{
    struct error e = { .code = OK };
    uint32_t index = 0;
    enum err rc = netif_index(interface, &index, &e);
    if (!rc)
        rc = netif_permitted(index, &e);
    if (!rc)
        rc = assigned_room(call->env->assigned, &e);
    if (rc)
        rpc_fail(call, RPC_WALLET_ERROR, "%s", e.text);
    return rc == OK;
}

/* --- leaving -------------------------------------------------------------------------------- */

enum err link_release(struct assigned *list, const struct assigned_address *at, struct error *e)
{
    uint32_t index;
    enum err rc = netif_index(at->interface, &index, NULL);
    rc = rc ? OK : netif_release(index, at->address, e); /* an interface that is gone has none */
    return rc ? rc : assigned_remove(list, at->address, e);
}

enum err link_retire(struct assigned *list, const struct assigned_address *at, struct error *e)
{
    struct assigned_address now = *at;
    uint32_t index = 0;
    bool there = false;
    if (netif_index(at->interface, &index, NULL))
        return link_release(list, at, e);
    enum err rc = netif_has(index, at->address, &there, NULL, e);
    if (rc || !there)
        return rc ? rc : link_release(list, at, e);
    now.retired = clock_now();
    rc = assigned_put(list, NULL, &now, e);
    return rc ? rc : netif_deprecate(index, at->address, LINK_RETIRED_S, e);
}

enum err link_finish(struct assigned *list, const struct assigned_address *at, struct error *e)
{
    static const uint8_t none[BCA_ADDRESS_SIZE];
    struct assigned_address now = *at, old;
    if (mem_equal_var(at->replaces, none, sizeof none))
        return OK;
    enum err rc = OK;
    if (assigned_find(list, at->replaces, &old) && !old.retired)
        rc = link_retire(list, &old, e);
    memset(now.replaces, 0, sizeof now.replaces);
    return rc ? rc : assigned_put(list, NULL, &now, e);
}

/* --- what the chain says -------------------------------------------------------------------- */

static bool is_revoked(struct rpc_call *call, struct wallet *w, const char *name)
{
    struct identity_revocation r = { .state = REVOCATION_NONE };
    struct identity id;
    struct standing s;
    struct outpoint marker;
    identity_init(&id);
    const bool asked = rpc_identity_load(call, w, name, &id, &s) &&
                       rpc_identity_marker(&id, &marker) &&
                       rpc_identity_revocation(call, w, &s, &marker, &r);
    identity_clear(&id);
    return asked && r.state == REVOCATION_DONE;
}

static bool is_void(struct rpc_call *call, struct wallet *w, const uint8_t *address)
{
    struct identity_address a;
    bool found = false;
    identity_address_init(&a);
    wallet_lock(w);
    const enum err rc = identity_load_address(wallet_keystore(w), address, &a, &found, NULL);
    wallet_unlock(w);
    const bool out = !rc && found && rpc_identity_address_state(call, &a) == ADDRESS_VOID;
    identity_address_clear(&a);
    return out;
}

enum link_fate link_fate(struct rpc_env *env, const struct assigned_address *at)
{
    struct rpc_call call = { .env = env, .wallet = at->owner };
    enum link_fate fate = LINK_STAYS;
    buf_init(&call.message);
    struct wallet *w = rpc_wallet(&call);
    if (w && is_revoked(&call, w, at->name))
        fate = LINK_REVOKED;
    else if (w && !chain_is_importing(env->chain) && is_void(&call, w, at->address))
        fate = LINK_VOID;
    wallet_unref(w);
    buf_clear(&call.message);
    return fate;
}

/* --- assigning ------------------------------------------------------------------------------ */

bool rpc_link_ready(struct rpc_call *call)
{
    if (!call->env->assigned)
        rpc_fail(call, RPC_METHOD_NOT_FOUND, "Method not found (wallets are disabled)");
    return call->env->assigned != NULL;
}

bool rpc_link_find(struct rpc_call *call, struct wallet *w,
                   const uint8_t address[BCA_ADDRESS_SIZE], struct assigned_address *out)
{
    return call->env->assigned && assigned_find(call->env->assigned, address, out) &&
           strcmp(out->owner, wallet_name(w)) == 0;
}

static void fail(struct rpc_call *call, const struct error *e)
{
    if (e->code == ERR_NOMEM || e->code == ERR_CORRUPT)
        rpc_fail_error(call, e);
    else
        rpc_fail(call, RPC_WALLET_ERROR, "%s", e->text);
}

struct linking {
    struct rpc_call *call;
    struct wallet *w;
    struct identity_address *a;
    struct assigned_address at;
    uint32_t index;
};

static const char *print(const uint8_t *address, char text[INET6_ADDRSTRLEN])
{
    return inet_ntop(AF_INET6, address, text, INET6_ADDRSTRLEN);
}

/* The next address of the modifier, on disk in the wallet and in place of the old one in the list
 * before it is tried: a crash goes on with it, or with the old one and finds it in use again. */
static enum err take_next(struct linking *k, struct error *e)
{
    char text[INET6_ADDRSTRLEN];
    struct identity_address next;
    uint8_t old[BCA_ADDRESS_SIZE];
    identity_address_init(&next);
    log_warn("the address %s is in use by another host on %s", print(k->a->address, text),
             k->at.interface);
    enum err rc = identity_collided(k->a, &next, e);
    if (!rc) {
        wallet_lock(k->w);
        rc = identity_store_address(wallet_keystore(k->w), &next, e);
        wallet_unlock(k->w);
    }
    if (!rc) {
        memcpy(old, k->at.address, sizeof old);
        memcpy(k->at.address, next.address, sizeof old);
        k->at.trying = true;
        rc = assigned_put(k->call->env->assigned, old, &k->at, e);
    }
    if (!rc) {
        const struct identity_address was = *k->a;
        *k->a = next;
        next = was;
    }
    identity_address_clear(&next);
    return rc;
}

static enum err assign(struct linking *k, struct error *e)
{
    enum netif_result result = NETIF_DUPLICATE;
    enum err rc = assigned_put(k->call->env->assigned, NULL, &k->at, e);
    while (!rc && result == NETIF_DUPLICATE) {
        rc = netif_assign(k->index, k->a->address, k->call->env->cancel, &result, e);
        if (!rc && result == NETIF_DUPLICATE)
            rc = take_next(k, e);
    }
    return rc;
}

/* What was to be there and is not. */
static void forget(struct linking *k, const struct assigned_address *before)
{
    struct assigned *list = k->call->env->assigned;
    struct error e = { .code = OK };
    if (before ? assigned_put(list, k->a->address, before, &e)
               : assigned_remove(list, k->a->address, &e))
        log_warn("addresses on interfaces: %s", e.text);
}

/* For those who follow the prefix of an interface. */
static void count_moves(struct assigned_address *at, const struct assigned_address *old)
{
    const int64_t now = clock_now();
    at->moves = old->moves;
    at->moved = old->moved;
    if (mem_equal_var(at->address, old->address, BCA_PREFIX_SIZE))
        return;
    at->moves = now - old->moved >= LINK_QUIET_S ? 1 : old->moves + 1;
    at->moved = now;
}

bool rpc_link_assign(struct rpc_call *call, struct wallet *w, const char *interface,
                     struct identity_address *a, const struct assigned_address *replaces)
{
    struct error e = { .code = OK };
    struct linking k = { .call = call, .w = w, .a = a, .at = { .since = clock_now() } };
    struct assigned_address before;
    const bool was_there = assigned_find(call->env->assigned, a->address, &before);
    enum err rc = netif_index(interface, &k.index, &e);
    if (rc) {
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s", e.text);
        return false;
    }
    if (was_there && !before.retired) { /* put back */
        k.at.since = before.since;
        memcpy(k.at.replaces, before.replaces, sizeof k.at.replaces);
        memcpy(k.at.spare, before.spare, sizeof k.at.spare);
        k.at.moves = before.moves;
        k.at.moved = before.moved;
    }
    k.at.trying = !was_there || before.retired;
    memcpy(k.at.address, a->address, sizeof k.at.address);
    if (replaces) {
        memcpy(k.at.replaces, replaces->address, sizeof k.at.replaces);
        count_moves(&k.at, replaces);
    }
    memcpy(k.at.interface, interface, strlen(interface) + 1);
    memcpy(k.at.owner, wallet_name(w), strlen(wallet_name(w)) + 1);
    memcpy(k.at.name, a->name, strlen(a->name) + 1);
    rc = assign(&k, &e);
    if (rc) {
        forget(&k, was_there ? &before : NULL);
        fail(call, &e);
        return false;
    }
    assigned_settle(call->env->assigned, k.at.address);
    k.at.trying = false;
    if (link_finish(call->env->assigned, &k.at, &e))
        log_warn("identities: %s", e.text); /* the thread that keeps addresses tries again */
    return true;
}

bool rpc_link_release(struct rpc_call *call, const struct assigned_address *at)
{
    struct error e = { .code = OK };
    const enum err rc = link_release(call->env->assigned, at, &e);
    if (rc)
        fail(call, &e);
    return rc == OK;
}

bool rpc_link_put_collisions(struct rpc_call *call, const struct identity_address *a)
{
    struct error e = { .code = OK };
    unsigned count = 0;
    if (identity_address_collisions(a, &count, &e)) {
        rpc_fail_error(call, &e);
        return false;
    }
    jw_put_u64(call->out, "collision_count", count);
    return true;
}
