#include "rpc/identity_proof.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/identity_form.h"

/* The identities of a wallet of whose block nothing is stored. */
struct lacking {
    struct wallet *w;
    char (*names)[IDENTITY_NAME_MAX + 1];
    size_t n, cap;
};

struct place {
    bool mined;
    struct block_hash block;
};

static bool take_place(void *ctx, const struct history_tx *t)
{
    *(struct place *)ctx = (struct place){
        .mined = t->height != HISTORY_NO_HEIGHT && t->confirmations > 0, .block = t->block };
    return true;
}

static enum err has_proof(struct wallet *w, const struct identity *id, bool *has, struct error *e)
{
    struct place at = { .mined = false };
    struct bca_work stored;
    bool found;
    bca_work_read(id->header, &stored);
    const enum err rc = history_get_tx(wallet_history(w), &id->txid, take_place, &at, &found, e);
    *has = !at.mined || (id->mined && block_hash_equal(&stored.hash, &at.block));
    return rc;
}

static enum err see_identity(void *ctx, const struct identity *id, struct error *e)
{
    struct lacking *g = ctx;
    bool has = true;
    if (id->use != IDENTITY_OPEN || !id->sent)
        return OK;
    const enum err rc = has_proof(g->w, id, &has, e);
    if (rc || has)
        return rc;
    if (g->n == g->cap) {
        const size_t cap = 2 * g->cap + 8;
        void *more = try_realloc(g->names, cap, sizeof *g->names);
        if (!more)
            return error_set(e, ERR_NOMEM, "no memory for the names of identities");
        g->names = more;
        g->cap = cap;
    }
    memcpy(g->names[g->n++], id->name, sizeof id->name);
    return OK;
}

/* One that is not deep enough yet fails without a word. */
static void keep_proof(struct rpc_env *env, struct wallet *w, const char *name)
{
    struct json_writer out;
    struct buf nothing;
    struct rpc_call call = { .env = env, .out = &out };
    struct identity_forming g;
    buf_init(&call.message);
    buf_init(&nothing);
    jw_init(&out, &nothing, NULL, NULL);
    rpc_identity_forming_init(&g, &call);
    g.w = wallet_ref(w);
    if (rpc_identity_ready(&g, name) && rpc_identity_keep_proof(&g))
        log_info("identities: the proof of the registration of %s is kept", name);
    rpc_identity_forming_clear(&g);
    buf_clear(&call.message);
    buf_clear(&nothing);
}

static void look_into(struct rpc_env *env, struct wallet *w)
{
    struct lacking g = { .w = w };
    struct error e = { .code = OK };
    wallet_lock(w);
    const enum err rc = identity_each(wallet_keystore(w), see_identity, &g, &e);
    wallet_unlock(w);
    if (rc)
        log_warn("wallet \"%s\": %s", wallet_name(w), e.text);
    for (size_t i = 0; i < g.n; i++)
        keep_proof(env, w, g.names[i]);
    free(g.names);
}

void identity_keep_proofs(struct rpc_env *env)
{
    struct wallet **all;
    if (!env->wallets || !env->wallets->pruned)
        return;
    const size_t n = wallets_all(env->wallets->wallets, &all);
    for (size_t i = 0; i < n; i++) {
        look_into(env, all[i]);
        wallet_unref(all[i]);
    }
    free(all);
}
