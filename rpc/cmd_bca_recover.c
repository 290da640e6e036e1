/* bcarecover: identities of which the phrase of the wallet is left. */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "rpc/identity_call.h"
#include "wallet/identity_recover.h"

static enum err put_name(void *ctx, const struct identity *id, struct error *e)
{
    (void)e;
    jw_text(ctx, id->name);
    return OK;
}

static struct rpc_result recover(struct rpc_call *call, struct wallet *w)
{
    struct error e = { .code = OK };
    struct rpc_held held;
    rpc_hold(call, &held);
    jw_array_open(call->out);
    wallet_lock(w);
    enum err rc = identity_recover(w, put_name, call->out, &e);
    wallet_unlock(w);
    jw_array_close(call->out);
    rc = rpc_release(call, &held, rc, &e);
    return rc ? rpc_wallet_fail(call, &e) : rpc_done();
}

static struct rpc_result cmd_bcarecover(struct rpc_call *call)
{
    return rpc_with_wallet(call, recover);
}

static const struct rpc_command rows[] = {
    { .name = "bcarecover",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcarecover,
      .help = "Brings back identities whose wallet was made of its phrase again, once a rescan has "
              "found its transactions: as recovered-1 and so on. Their modifiers are unknown, so "
              "no addresses are formed of them; they can be revoked.",
      .result = "[\"name\"...]",
      .example = "" },
};
const struct rpc_group rpc_bca_recover_commands = { rows, COUNT_OF(rows) };
