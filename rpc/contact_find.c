#include <config.h>

#include "rpc/contact_find.h"

#include "base/log.h"
#include "chain/chain.h"
#include "p2p/bca_store.h"
#include "p2p/net.h"
#include "p2p/netaddr.h"

#define BATCH 256

/* The proved address of the record is that of the contact. */
static bool take_record(struct bca_store *store, const uint8_t record_key[32], struct contact *c)
{
    struct bca_record r;
    struct buf raw;
    bool found = false;
    buf_init(&raw);
    struct error e;
    const bool read = !bca_store_find_any(store, record_key, &raw, NULL, &found, &e) && found &&
                      bca_record_read(&r, buf_span(&raw)) == BCA_RECORD_GOOD;
    for (size_t i = 0; read && r.n_endpoints && !c->has_key && i < c->n_addresses; i++)
        c->has_key = mem_equal_var(r.endpoints[0].address, c->addresses[i].address,
                                   sizeof c->addresses[i].address);
    if (c->has_key)
        memcpy(c->key, r.key, sizeof c->key);
    buf_clear(&raw);
    return c->has_key;
}

/* By what is in memory: few records have the prefix of an address. */
static bool may_be(struct bca_store *store, const uint8_t record_key[32], const struct contact *c)
{
    struct bca_facts f;
    bool near = false;
    if (!bca_store_look(store, record_key, &f) || !f.size || !f.has_place)
        return false;
    for (size_t i = 0; i < c->n_addresses; i++)
        near |= mem_equal_var(f.prefix, c->addresses[i].address, sizeof f.prefix);
    return near;
}

void rpc_contact_find(struct rpc_call *call, struct contact *c)
{
    struct bca_store *store = call->env->records;
    uint8_t keys[BATCH][32];
    size_t n = BATCH;
    for (size_t from = 0; store && !c->has_key && n == BATCH; from += n) {
        n = bca_store_list(store, keys, from, BATCH);
        for (size_t i = 0; i < n; i++)
            if (may_be(store, keys[i], c) && take_record(store, keys[i], c))
                return;
    }
}

void rpc_contact_ask_there(struct rpc_call *call, const struct contact *c)
{
    struct netaddr a;
    struct error e;
    char text[NETADDR_TEXT_MAX];
    if (!call->env->net || !c->n_addresses)
        return;
    netaddr_from_ipv6(&a, c->addresses[0].address,
                      chain_get_params(call->env->chain)->p2p_port);
    netaddr_print(text, &a, NETADDR_WITH_PORT);
    if (net_addnode_onetry(call->env->net, text, &e))
        log_debug(LOGC_CHANNEL, "direct channels: %s is not asked for its record: %s", text,
                  e.text);
}
