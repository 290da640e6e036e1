/* bcaassign, bcarelease: addresses of a wallet on network interfaces (spec bca 6 step 5). */
#include "rpc/commands.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/bca_view.h"
#include "rpc/identity_link.h"
#include "rpc/identity_revoked.h"

/* --- bcaassign ------------------------------------------------------------------------------ */

struct assigning {
    struct rpc_call *call;
    struct wallet *w;
    const char *interface;
    struct identity_address a;
};

/* The interface has the prefix of the address, and the address is on no other. False: call has
 * failed. */
static bool fits(struct assigning *g)
{
    struct bca_view view;
    struct assigned_address at;
    uint8_t prefix[BCA_PREFIX_SIZE], all[16] = { 0 };
    char text[INET6_ADDRSTRLEN];
    bca_view_init(&view, g->call->env->chain);
    if (assigned_find(g->call->env->assigned, g->a.address, &at) &&
        strcmp(at.interface, g->interface) != 0) {
        rpc_fail(g->call, RPC_INVALID_PARAMETER, "the address is on the interface %s: bcarelease "
                 "takes it off", at.interface);
        return false;
    }
    if (!rpc_link_prefix(g->call, view.network, g->interface, g->a.address, prefix))
        return false;
    if (mem_equal_var(prefix, g->a.address, sizeof prefix))
        return true;
    memcpy(all, g->a.address, sizeof prefix);
    rpc_fail(g->call, RPC_INVALID_PARAMETER, "the interface %s does not have the prefix %s/64",
             g->interface, inet_ntop(AF_INET6, all, text, sizeof text));
    return false;
}

static struct rpc_result put_assigned(struct assigning *g)
{
    struct json_writer *w = g->call->out;
    jw_object_open(w);
    jw_put_identity_address(w, g->a.address);
    jw_put_text(w, "interface", g->interface);
    if (!rpc_link_put_collisions(g->call, &g->a))
        return rpc_failed(g->call);
    jw_put_hex(w, "params", g->a.params.data, g->a.params.len);
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result assign(struct rpc_call *call, struct wallet *w)
{
    struct assigning g = { .call = call, .w = w, .interface = rpc_text(call, 1, "") };
    identity_address_init(&g.a);
    assigned_begin(call->env->assigned);
    const bool done = rpc_identity_good_address(call, w, 0, &g.a) && fits(&g) &&
                      rpc_link_assign(call, w, g.interface, &g.a, NULL);
    assigned_end(call->env->assigned);
    const struct rpc_result result = done ? put_assigned(&g) : rpc_failed(call);
    identity_address_clear(&g.a);
    return result;
}

static struct rpc_result cmd_bcaassign(struct rpc_call *call)
{
    return rpc_link_ready(call) ? rpc_with_wallet(call, assign) : rpc_failed(call);
}

/* --- bcarelease ----------------------------------------------------------------------------- */

static struct rpc_result release(struct rpc_call *call, struct wallet *w)
{
    struct assigned_address at;
    uint8_t address[BCA_ADDRESS_SIZE];
    if (!rpc_identity_address(call, 0, address))
        return rpc_failed(call);
    assigned_begin(call->env->assigned);
    bool done = rpc_link_find(call, w, address, &at);
    if (!done)
        rpc_fail(call, RPC_NOT_FOUND, "no address of this wallet that is on an interface");
    else
        done = rpc_link_release(call, &at);
    assigned_end(call->env->assigned);
    if (!done)
        return rpc_failed(call);
    jw_null(call->out);
    return rpc_done();
}

static struct rpc_result cmd_bcarelease(struct rpc_call *call)
{
    return rpc_link_ready(call) ? rpc_with_wallet(call, release) : rpc_failed(call);
}

static const struct rpc_command rows[] = {
    { .name = "bcaassign",
      .category = "identity",
      .where = RPC_ON_WAITER,
      .fn = cmd_bcaassign,
      .help = "Puts an address of this wallet on a network interface that has its prefix, with "
              "duplicate address detection, which takes a second or two. When another host has it "
              "the next address of the same modifier is formed, stored and tried, three in all: "
              "look at the address that comes back. It is there again after a restart, until it is "
              "released. Takes CAP_NET_ADMIN.",
      .result = "{address, interface, collision_count, params}",
      .example = "2001:db8:0:1:463:14a9:f8f8:78 eth0",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The IPv6 address" },
                  { "interface", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Its name, as eth0" } } },
    { .name = "bcarelease",
      .category = "identity",
      .where = RPC_ON_WAITER,
      .fn = cmd_bcarelease,
      .help = "Takes an address off the interface that bcaassign or bcarotate put it on.",
      .result = "null",
      .example = "2001:db8:0:1:463:14a9:f8f8:78",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The IPv6 address" } } },
};
const struct rpc_group rpc_bca_assign_commands = { rows, COUNT_OF(rows) };
