#include "rpc/identity_link.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "p2p/netif.h"

/* --- prefixes ------------------------------------------------------------------------------- */

static bool is_assigned(void *ctx, const uint8_t address[BCA_ADDRESS_SIZE])
{
    struct assigned_address at;
    return ctx && assigned_find(ctx, address, &at);
}

static enum err prefix_of(struct rpc_call *call, enum bca_network network, uint32_t index,
                          const uint8_t *preferred, uint8_t *prefix, struct error *e)
{
    const struct netif_own own = { is_assigned, call->env->assigned };
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
        rc = prefix_of(call, network, index, NULL, prefix, &e);
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
        rc = prefix_of(call, network, index, preferred, prefix, &e);
    if (rc)
        rpc_fail(call, RPC_INVALID_PARAMETER, "%s", e.text);
    return rc == OK;
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
    enum err rc = assigned_remove(list, k->a->address, &e);
    if (!rc && before)
        rc = assigned_put(list, NULL, before, &e);
    if (rc)
        log_warn("addresses on interfaces: %s", e.text);
}

bool rpc_link_assign(struct rpc_call *call, struct wallet *w, const char *interface,
                     struct identity_address *a)
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
    if (was_there && !before.retired)
        k.at.since = before.since; /* put back: its age counts on */
    memcpy(k.at.address, a->address, sizeof k.at.address);
    memcpy(k.at.interface, interface, strlen(interface) + 1);
    memcpy(k.at.owner, wallet_name(w), strlen(wallet_name(w)) + 1);
    memcpy(k.at.name, a->name, strlen(a->name) + 1);
    rc = assign(&k, &e);
    if (!rc)
        return true;
    forget(&k, was_there ? &before : NULL);
    fail(call, &e);
    return false;
}

bool rpc_link_release(struct rpc_call *call, const struct assigned_address *at)
{
    struct error e = { .code = OK };
    uint32_t index;
    enum err rc = netif_index(at->interface, &index, &e);
    rc = rc ? OK : netif_release(index, at->address, &e); /* an interface that is gone has none */
    if (!rc)
        rc = assigned_remove(call->env->assigned, at->address, &e);
    if (rc)
        fail(call, &e);
    return rc == OK;
}

bool rpc_link_retire(struct rpc_call *call, const struct assigned_address *at)
{
    struct error e = { .code = OK };
    struct assigned_address now = *at;
    uint32_t index = 0;
    bool there = false;
    enum err rc = netif_index(at->interface, &index, &e);
    if (!rc)
        rc = netif_has(index, at->address, &there, NULL, &e);
    if (rc || !there)
        return rpc_link_release(call, at);
    now.retired = clock_now();
    rc = assigned_put(call->env->assigned, NULL, &now, &e);
    if (!rc)
        rc = netif_deprecate(index, at->address, LINK_RETIRED_S, &e);
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
