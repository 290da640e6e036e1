/*
 * bcaregister: an identity of a wallet and the transaction that registers it (spec bca 4, 14).
 */
#include "rpc/commands.h"

#include "base/intmath.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/identity_call.h"
#include "rpc/json_read.h"
#include "rpc/wallet_pay.h"

#define MARKER_VALUE 1

struct registering {
    struct rpc_call *call;
    struct wallet *w;
    const char *name;
    unsigned n_modifiers;
    struct identity id;
    bool known; /* by an earlier try */
    struct standing standing;
    struct wallet_send send;
    bool too_large;
    struct tx *gathered, *tx; /* gathered: NULL when it was not needed */
};

/* What came from elsewhere keeps its name: its registration may still be found in a block. So does
 * what has addresses, which the old block makes valid again when it comes back: with a second
 * registration there would be two markers, and one to revoke them. */
static bool is_taken(const struct registering *g)
{
    const bool failed = g->standing.state == STANDS_UNSENT || g->standing.state == STANDS_LOST;
    return g->known && (g->id.use != IDENTITY_OPEN || g->id.n_used > 0 || !failed);
}

/* Of an earlier try the keys are used again: no address was formed of them. */
static enum err make_identity(struct registering *g, struct error *e)
{
    if (!g->known)
        return identity_create(g->w, g->name, g->n_modifiers, &g->id, e);
    g->id.sent = g->id.mined = false;
    return identity_store(wallet_keystore(g->w), &g->id, e);
}

/* A name of which nothing went out is free again. After a failed write one cannot know that: it
 * stays, and the next try finds out (find_sent). */
static void forget(struct registering *g, enum err why)
{
    struct error e = { .code = OK };
    const bool nothing_made = why == ERR_RANGE || why == ERR_NOTFOUND || why == ERR_AUTH;
    if (!g->known && nothing_made && identity_remove(wallet_keystore(g->w), &g->id, &e))
        log_warn("wallet \"%s\": %s", wallet_name(g->w), e.text);
}

/* The payment, or with no coins that fit the gathering that comes before it. */
static enum err pay(struct registering *g, struct error *e)
{
    const struct wallet_recipient to[] = {
        { .script = span_of(g->id.registration, sizeof g->id.registration) },
        { .script = span_of(g->id.marker, sizeof g->id.marker), .value = MARKER_VALUE },
    };
    int64_t fee;
    g->send.to = to;
    g->send.n = COUNT_OF(to);
    g->send.change_last = true; /* the marker is the output after the registration */
    g->send.max_size = IDENTITY_TX_MAX;
    g->send.too_large = &g->too_large;
    enum err rc = wallet_send(g->w, &g->send, &g->tx, &fee, e);
    if (rc && g->too_large && !g->gathered)
        return wallet_gather(g->w, &g->send, &g->gathered, e);
    return rc;
}

static enum err send_registration(struct registering *g, struct error *e)
{
    enum err rc = pay(g, e);
    if (rc) {
        forget(g, rc);
        return rc;
    }
    if (!g->tx)
        return OK;
    g->id.sent = true;
    g->id.txid = g->tx->id;
    return identity_store(wallet_keystore(g->w), &g->id, e);
}

/* False: call has failed. */
static bool may_register(struct registering *g)
{
    if (is_taken(g))
        rpc_fail(g->call, RPC_INVALID_PARAMETER, "there is an identity %s already: choose "
                 "another name", g->name);
    else if (g->known && rpc_has(g->call, 1) && g->n_modifiers != g->id.n_modifiers)
        rpc_fail(g->call, RPC_INVALID_PARAMETER, "%s is made anew with the %u modifiers that it "
                 "has", g->name, g->id.n_modifiers);
    else
        return true;
    return false;
}

/* Until the transaction is stored, or that of the gathering. The wallet is locked by the caller;
 * false: call has failed. */
static bool register_identity(struct registering *g)
{
    struct error e = { .code = OK };
    enum err rc = identity_load(wallet_keystore(g->w), g->name, &g->id, &g->known, &e);
    if (!rc && g->known)
        rc = rpc_identity_standing(g->call, g->w, &g->id, &g->standing, &e);
    if (!rc && !may_register(g))
        return false;
    if (!rc)
        rc = make_identity(g, &e);
    if (rc) {
        rpc_wallet_fail(g->call, &e);
        return false;
    }
    if (!send_registration(g, &e))
        return true;
    rpc_wallet_fail_send(g->call, &e);
    return false;
}

/* False: call has failed. */
static bool take_registration(struct registering *g)
{
    struct rpc_call *call = g->call;
    const int64_t n = rpc_int(call, 1, BCA_MODIFIERS_MAX);
    g->send = rpc_wallet_send(call);
    if (n < 1 || n > BCA_MODIFIERS_MAX || !bca_modifier_count_allowed((size_t)n))
        rpc_fail(call, RPC_INVALID_PARAMETER, "modifiers must be 1, 2, 4, 8, 16 or 32");
    else if (rpc_has(call, 2) && (!json_get_amount(call->argv[2], &g->send.fee_per_kb) ||
                                  g->send.fee_per_kb < 0))
        rpc_fail(call, RPC_TYPE_ERROR, "Invalid amount for fee_rate");
    else
        g->n_modifiers = (unsigned)n;
    return g->n_modifiers != 0;
}

/* False: call has failed. */
static bool register_locked(struct registering *g)
{
    wallet_lock(g->w);
    const bool made = register_identity(g);
    wallet_unlock(g->w);
    return made;
}

/* The wallet spends what was gathered when it hears of it from the mempool. False: call has
 * failed. */
static bool submit_gathered(struct registering *g)
{
    const struct rpc_wallet_service *s = rpc_wallet_service(g->call);
    if (!rpc_wallet_submit(g->call, g->w, g->gathered))
        return false;
    s->settle(s->ctx);
    return true;
}

static struct rpc_result register_and_submit(struct registering *g)
{
    struct json_writer *w = g->call->out;
    bool made = register_locked(g);
    if (made && !g->tx)
        made = submit_gathered(g) && register_locked(g);
    if (!made || !rpc_wallet_submit(g->call, g->w, g->tx))
        return rpc_failed(g->call);
    jw_object_open(w);
    jw_put_hash(w, "txid", g->tx->id.b);
    if (g->gathered)
        jw_put_hash(w, "gathered", g->gathered->id.b);
    jw_put_text(w, "state", rpc_identity_state_name(STANDS_PENDING));
    jw_object_close(w);
    return rpc_done();
}

static struct rpc_result cmd_bcaregister(struct rpc_call *call)
{
    struct registering g = { .call = call, .name = rpc_identity_name(call, 0) };
    if (!g.name)
        return rpc_failed(call);
    g.w = rpc_wallet(call);
    if (!g.w)
        return rpc_failed(call);
    identity_init(&g.id);
    const struct rpc_result result =
        take_registration(&g) ? register_and_submit(&g) : rpc_failed(call);
    tx_unref(g.gathered);
    tx_unref(g.tx);
    identity_clear(&g.id);
    wallet_unref(g.w);
    return result;
}

static const struct rpc_command rows[] = {
    { .name = "bcaregister",
      .category = "identity",
      .where = RPC_ON_WORKER,
      .fn = cmd_bcaregister,
      .help = "Registers an identity: a key of its own and modifiers for as many addresses, in a "
              "transaction of at most 800 bytes whose marker output revokes it when it is spent. "
              "Coins that are too small to fit are gathered in a transaction before it. "
              "A registration that was refused or lost is made anew under the same name, unless "
              "addresses were formed of it.",
      .result = "{txid, gathered (txid, when coins were), state}",
      .example = "alice",
      .params = { { "name", RPC_TEXT, RPC_REQUIRED, RPC_CLI_TEXT, "Its name in this wallet" },
                  { "modifiers", RPC_INT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "1, 2, 4, 8, 16 or 32 (the default)" },
                  { "fee_rate", RPC_AMOUNT, RPC_OPTIONAL, RPC_CLI_JSON,
                    "BSV for 1000 bytes, in place of the usual fee" } } },
};
const struct rpc_group rpc_bca_register_commands = { rows, COUNT_OF(rows) };
