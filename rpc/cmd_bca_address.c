/* bcanew, bcaparams: addresses that a wallet forms of its identities (spec bca 6). */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "rpc/identity_form.h"
#include "rpc/identity_link.h"
#include "rpc/identity_revoked.h"

/* --- bcanew --------------------------------------------------------------------------------- */

static struct rpc_result put_new(struct identity_forming *g)
{
    struct json_writer *w = g->call->out;
    jw_object_open(w);
    jw_put_identity_address(w, g->made.address);
    jw_put_u64(w, "sec", bca_address_sec(g->made.address));
    jw_put_u64(w, "unused", identity_unused(&g->id));
    jw_put_hex(w, "params", g->made.params.data, g->made.params.len);
    jw_object_close(w);
    return rpc_done();
}

/* False: call has failed. */
static bool take_prefix(struct identity_forming *g)
{
    return rpc_has(g->call, 1) ? rpc_identity_prefix(g->call, 1, g->view.network, g->prefix)
                               : rpc_link_default_prefix(g->call, g->view.network, g->prefix);
}

/* False: call has failed. */
static bool take_sec(struct rpc_call *call, int *sec)
{
    const int64_t given = rpc_int(call, 2, -1);
    *sec = (int)given;
    if (!rpc_has(call, 2) || (given >= 0 && given <= BCA_SEC_MAX))
        return true;
    rpc_fail(call, RPC_INVALID_PARAMETER, "sec must be 0 to %d", BCA_SEC_MAX);
    return false;
}

static struct rpc_result cmd_bcanew(struct rpc_call *call)
{
    struct identity_forming g;
    rpc_identity_forming_init(&g, call);
    const char *name = rpc_identity_name(call, 0);
    if (!name || !take_prefix(&g) || !take_sec(call, &g.sec))
        return rpc_failed(call);
    g.w = rpc_wallet(call);
    if (!g.w)
        return rpc_failed(call);
    const bool formed = rpc_identity_ready(&g, name) && rpc_identity_form(&g);
    const struct rpc_result result = formed ? put_new(&g) : rpc_failed(call);
    rpc_identity_forming_clear(&g);
    return result;
}

/* --- bcaparams ------------------------------------------------------------------------------ */

/* False: call has failed. */
static bool is_in_force(struct rpc_call *call, struct wallet *w, const struct identity_address *a)
{
    struct identity id;
    struct standing s;
    identity_init(&id);
    const bool good = rpc_identity_load(call, w, a->name, &id, &s) &&
                      rpc_identity_in_force(call, w, &id, &s);
    identity_clear(&id);
    return good;
}

static struct rpc_result put_params(struct rpc_call *call, struct wallet *w,
                                    const struct identity_address *a, bool found)
{
    if (!found)
        return rpc_fail(call, RPC_NOT_FOUND, "this wallet has not formed this address");
    if (rpc_identity_address_state(call, a) == ADDRESS_VOID)
        return rpc_fail(call, RPC_WALLET_ERROR, "the address is void: its block is not on the "
                        "active chain; form another one with bcanew");
    if (!is_in_force(call, w, a))
        return rpc_failed(call);
    jw_hex(call->out, a->params.data, a->params.len);
    return rpc_done();
}

static struct rpc_result cmd_bcaparams(struct rpc_call *call)
{
    struct error e = { .code = OK };
    struct identity_address a;
    uint8_t address[BCA_ADDRESS_SIZE];
    bool found = false;
    if (!rpc_identity_address(call, 0, address))
        return rpc_failed(call);
    struct wallet *w = rpc_wallet(call);
    if (!w)
        return rpc_failed(call);
    identity_address_init(&a);
    wallet_lock(w);
    const enum err rc = identity_load_address(wallet_keystore(w), address, &a, &found, &e);
    wallet_unlock(w);
    const struct rpc_result result = rc ? rpc_wallet_fail(call, &e) : put_params(call, w, &a, found);
    identity_address_clear(&a);
    wallet_unref(w);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "bcanew",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcanew,
      .help = "Forms an address of an identity whose registration is deep enough, with the next "
              "modifier, which no other address gets. It is stored before it is shown.",
      .result = "{address, sec, unused, params}",
      .example = "alice 2001:db8:0:1::/64",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Of the identity" },
                  { "prefix", RPC_TEXT, RPC_OPTIONAL, RPC_CLI_TEXT,
                    "The /64 it is formed in (default: that of the interface with the default "
                    "route)" },
                  { "sec", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "0 to 7 (default: as the difficulty of the block allows)" } } },
    { .name = "bcaparams",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcaparams,
      .help = "The parameters that go with an address of this wallet, unless it is void or its "
              "identity revoked.",
      .result = "\"hex\"",
      .example = "2001:db8:0:1:463:14a9:f8f8:78",
      .params = { { "address", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "The IPv6 address" } } },
};
const struct rpc_group rpc_bca_address_commands = { rows, COUNT_OF(rows) };
