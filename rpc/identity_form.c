#include "rpc/identity_form.h"

#include <inttypes.h>

#include "base/amount.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/merkle_branch.h"
#include "chain/chain.h"
#include "rpc/identity_revoked.h"
#include "rpc/tx_proof.h"

void rpc_identity_forming_init(struct identity_forming *g, struct rpc_call *call)
{
    *g = (struct identity_forming){ .call = call, .sec = -1 };
    bca_view_init(&g->view, call->env->chain);
    identity_init(&g->id);
    identity_address_init(&g->made);
}

void rpc_identity_forming_clear(struct identity_forming *g)
{
    identity_address_clear(&g->made);
    identity_clear(&g->id);
    wallet_unref(g->w);
}

/* False: call has failed. */
static bool load_ready(struct identity_forming *g, const char *name)
{
    struct error e;
    if (!rpc_identity_load(g->call, g->w, name, &g->id, &g->standing) ||
        !rpc_identity_in_force(g->call, g->w, &g->id, &g->standing))
        return false;
    if (!identity_may_form(&g->id, &e))
        rpc_fail(g->call, RPC_WALLET_ERROR, "%s", e.text);
    else if (g->standing.state != STANDS_READY)
        rpc_fail(g->call, RPC_WALLET_ERROR,
                 "the registration of %s is %s: it has %u confirmations and needs %u", name,
                 rpc_identity_state_name(g->standing.state), (unsigned)g->standing.confirmations,
                 g->view.rules->min_conf);
    else
        return true;
    return false;
}

static enum err keep_tx(void *ctx, const struct tx *tx, struct error *e)
{
    struct buf *raw = ctx;
    if (tx->raw.len > IDENTITY_TX_MAX)
        return error_set(e, ERR_CORRUPT, "the registration has %zu bytes", tx->raw.len);
    buf_reset(raw);
    buf_put(raw, tx->raw.data, tx->raw.len);
    return OK;
}

/* Transaction, header and way to the root as the block has them. False: call has failed. */
static bool take_proof(struct identity_forming *g)
{
    struct error e = { .code = OK };
    struct merkle_branch branch;
    struct block_header h;
    struct identity *id = &g->id;
    const struct header_node *node = g->standing.node;
    bool found = false;
    enum err rc = tx_proof_branch(g->call, node, &id->txid, keep_tx, &id->tx, &branch, &found, &e);
    if (!rc && (!found || branch.n > BCA_TX_DEPTH_MAX))
        rc = error_set(&e, ERR_NOTFOUND, "the registration is not in its block");
    if (rc) {
        rpc_fail_error(g->call, &e);
        return false;
    }
    header_of_node(&h, node);
    block_header_put(id->header, &h);
    id->tx_index = (uint32_t)branch.index;
    id->tx_depth = (uint8_t)branch.n;
    bca_tx_siblings(&branch, id->txid.b, id->tx_siblings);
    id->mined = true;
    return true;
}

static bool has_proof(const struct identity_forming *g)
{
    struct bca_work work;
    bca_work_read(g->id.header, &work);
    return g->id.mined && block_hash_equal(&work.hash, &g->standing.node->hash);
}

bool rpc_identity_ready(struct identity_forming *g, const char *name)
{
    return load_ready(g, name) && (has_proof(g) || take_proof(g));
}

/* Another call may have used modifiers since the identity was loaded: what is on disk counts. */
static enum err refresh_locked(struct identity_forming *g, struct error *e)
{
    struct identity now;
    bool found;
    identity_init(&now);
    enum err rc = identity_load(wallet_keystore(g->w), g->id.name, &now, &found, e);
    if (!rc && (!found || !mem_equal_var(now.public_key, g->id.public_key, sizeof now.public_key)))
        rc = error_set(e, ERR_BUSY, "the identity was changed meanwhile");
    identity_clear(&now);
    if (rc)
        return rc;
    g->id.n_used = now.n_used;
    g->id.use = now.use;
    g->id.moves = now.moves;
    return OK;
}

static enum err form_locked(struct identity_forming *g, struct error *e)
{
    const struct identity_form form = { .network = g->view.network, .prefix = g->prefix,
                                        .sec = g->sec };
    struct identity_secrets secrets;
    enum err rc = refresh_locked(g, e);
    if (!rc)
        rc = identity_get_secrets(wallet_keystore(g->w), &g->id, &secrets, e);
    if (!rc)
        rc = identity_new_address(wallet_keystore(g->w), &g->id, &secrets, &form, &g->made, e);
    secure_wipe(&secrets, sizeof secrets);
    return rc;
}

bool rpc_identity_keep_proof(struct identity_forming *g)
{
    struct error e = { .code = OK };
    wallet_lock(g->w);
    enum err rc = refresh_locked(g, &e);
    if (!rc && g->id.use == IDENTITY_OPEN)
        rc = identity_store(wallet_keystore(g->w), &g->id, &e);
    wallet_unlock(g->w);
    if (rc)
        rpc_wallet_fail(g->call, &e);
    return rc == OK;
}

static enum err count_unused(void *ctx, const struct identity *id, struct error *e)
{
    (void)e;
    *(unsigned *)ctx += id->sent && identity_unused(id);
    return OK;
}

/* What the usual registration costs in satoshis: one input, marker and change. */
static int64_t registration_cost(struct rpc_call *call)
{
    enum { SIZE = 307, MARKER = 1 };
    return MARKER + (rpc_wallet_send(call).fee_per_kb * SIZE + 999) / 1000;
}

/* The wallet is locked. */
static void fail_used_up(struct identity_forming *g, const struct error *why)
{
    struct error e = { .code = OK };
    const int64_t cost = registration_cost(g->call);
    unsigned left = 0;
    if (identity_each(wallet_keystore(g->w), count_unused, &left, &e)) {
        rpc_wallet_fail(g->call, &e);
        return;
    }
    rpc_fail(g->call, RPC_WALLET_ERROR, "%s. Of the registrations of this wallet %u have unused "
             "modifiers; one more costs about %" PRId64 ".%08" PRId64 " BSV (bcaregister)",
             why->text, left, cost / COIN, cost % COIN);
}

bool rpc_identity_form(struct identity_forming *g)
{
    struct error e = { .code = OK };
    wallet_lock(g->w);
    const enum err rc = form_locked(g, &e);
    if (rc == ERR_NOTFOUND)
        fail_used_up(g, &e);
    else if (rc)
        rpc_wallet_fail(g->call, &e);
    wallet_unlock(g->w);
    if (!rc && identity_unused(&g->id) <= RPC_IDENTITY_FEW)
        log_warn("identity %s: %u unused modifiers are left: register another one, with coins that "
                 "are not its change", g->id.name, identity_unused(&g->id));
    return rc == OK;
}
