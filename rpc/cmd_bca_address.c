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

static struct rpc_result put_params(struct rpc_call *call, struct wallet *w)
{
    struct identity_address a;
    identity_address_init(&a);
    const bool good = rpc_identity_good_address(call, w, 0, &a);
    if (good)
        jw_hex(call->out, a.params.data, a.params.len);
    identity_address_clear(&a);
    return good ? rpc_done() : rpc_failed(call);
}

static struct rpc_result cmd_bcaparams(struct rpc_call *call)
{
    return rpc_with_wallet(call, put_params);
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
