/*
 * bcarevoke: ends an identity of a wallet by spending the marker beside its registration (spec bca
 * 14). The transaction says nothing else; what it means follows from what it spends.
 */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "base/mem.h"
#include "chain/chain.h"
#include "rpc/coin_query.h"
#include "rpc/identity_revoked.h"
#include "rpc/wallet_pay.h"
#include "script/opcode.h"

struct revoking {
    struct rpc_call *call;
    struct wallet *w;
    struct identity id;
    struct standing standing;
    struct outpoint marker;
    int64_t value;  /* of the marker; its script is that of id */
    int32_t height; /* of its block */
    struct tx *tx;
};

static bool refuse(struct revoking *g, const char *why)
{
    rpc_fail(g->call, RPC_WALLET_ERROR, "the registration of %s %s", g->id.name, why);
    return false;
}

/* The marker as it lies in the chain. False: call has failed. */
static bool find_coin(struct revoking *g)
{
    struct coin_query *q = coin_query_new(COINS_OF_CHAIN);
    bool found = false, ours = false;
    const bool asked = coin_query_run(q, g->call, &g->marker, 1);
    if (asked && q->found[0]) {
        const struct span script = coin_query_script(q, 0);
        found = true;
        g->value = q->coins[0].value;
        g->height = q->coins[0].height;
        ours = script.len == sizeof g->id.marker &&
               mem_equal_var(script.data, g->id.marker, sizeof g->id.marker);
    }
    coin_query_free(q);
    if (!asked)
        return false;
    if (!found)
        return refuse(g, "is in no block yet");
    return ours || refuse(g, "has a marker of another wallet");
}

/* False: call has failed. */
static bool find_marker(struct revoking *g)
{
    if (!rpc_identity_marker(&g->id, &g->marker))
        return refuse(g, g->id.sent ? "has no marker: it cannot be revoked" : "was not sent");
    return rpc_identity_in_force(g->call, g->w, &g->id, &g->standing) && find_coin(g);
}

static enum err send_with(struct revoking *g, const uint8_t secret[32], struct error *e)
{
    static const uint8_t nothing[] = { OP_0, OP_RETURN };
    const struct wallet_recipient to = { .script = { nothing, sizeof nothing } };
    const struct wallet_extra extra = {
        .at = g->marker, .value = g->value, .height = g->height,
        .script = span_of(g->id.marker, sizeof g->id.marker), .secret = secret };
    struct wallet_send s = rpc_wallet_send(g->call);
    int64_t fee;
    s.to = &to;
    s.n = 1;
    s.extra = &extra;
    return wallet_send(g->w, &s, &g->tx, &fee, e);
}

/* Another call may have made one since. */
static enum err refuse_second(struct revoking *g, struct error *e)
{
    struct txid by;
    bool found;
    char hex[HASH_HEX_SIZE];
    const enum err rc = rpc_identity_revoking(g->w, &g->marker, &by, &found, e);
    if (rc || !found)
        return rc;
    return error_set(e, ERR_BUSY, "the identity %s is being revoked by %s", g->id.name,
                     hash_to_hex(hex, by.b));
}

/* Until the transaction is stored. False: call has failed. */
static bool make(struct revoking *g)
{
    struct error e = { .code = OK };
    struct identity_secrets secrets;
    bool sending = false;
    wallet_lock(g->w);
    enum err rc = refuse_second(g, &e);
    if (!rc)
        rc = identity_get_secrets(wallet_keystore(g->w), &g->id, &secrets, &e);
    if (!rc) {
        sending = true;
        rc = send_with(g, secrets.marker, &e);
    }
    secure_wipe(&secrets, sizeof secrets);
    wallet_unlock(g->w);
    if (rc && sending)
        rpc_wallet_fail_send(g->call, &e);
    else if (rc)
        rpc_wallet_fail(g->call, &e);
    return rc == OK;
}

static struct rpc_result revoke(struct revoking *g, const char *name)
{
    struct json_writer *w = g->call->out;
    if (!rpc_identity_load(g->call, g->w, name, &g->id, &g->standing) || !find_marker(g) ||
        !make(g) || !rpc_wallet_submit(g->call, g->w, g->tx))
        return rpc_failed(g->call);
    jw_object_open(w);
    jw_put_hash(w, "txid", g->tx->id.b);
    jw_put_text(w, "state", rpc_identity_revocation_name(REVOCATION_PENDING));
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result cmd_bcarevoke(struct rpc_call *call)
{
    struct revoking g = { .call = call };
    const char *name = rpc_identity_name(call, 0);
    if (!name)
        return rpc_failed(call);
    g.w = rpc_wallet(call);
    if (!g.w)
        return rpc_failed(call);
    identity_init(&g.id);
    const struct rpc_result result = revoke(&g, name);
    tx_unref(g.tx);
    identity_clear(&g.id);
    wallet_unref(g.w);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "bcarevoke",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcarevoke,
      .help = "Ends an identity of the wallet: spends the marker beside its registration, in a "
              "transaction that a coin of the wallet pays for. Once a block holds it, every node "
              "says of its addresses that they are revoked, for good. Until then the identity is "
              "\"revoking\", and no more addresses are formed of it.",
      .result = "{txid, state}",
      .example = "alice",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Of the identity" } } },
};
const struct rpc_group rpc_bca_revoke_commands = { rows, COUNT_OF(rows) };
