#include "rpc/spv_call.h"

#include "base/clock.h"
#include "chain/chain.h"
#include "rpc/tx_lookup.h"

#define SCRIPTS_CPU_US 10000000 /* of one BEEF */
#define HELD_BYTES ((size_t)64 << 20)
#define HELD_MS 30000           /* until the last look for an id alone begins */

#define PEER_CPU_US 1000000
#define PEER_BYTES ((size_t)4 << 20)
#define PEER_MS 1000

static const char *const end_names[] = { [SPV_VALID] = "valid",
                                         [SPV_UNDETERMINED] = "undetermined",
                                         [SPV_INVALID] = "invalid" };

/* --- transactions that are named by an id alone ----------------------------------------------- */

struct holder {
    struct rpc_call *call;
    struct header_node *tip;
    int64_t end_ms;
};

static bool given_up(void *ctx)
{
    const struct holder *h = ctx;
    return rpc_given_up(h->call);
}

/* In a block of the chain that ends with the tip; 32 bytes of a record must not make us read more
 * than there is room for. */
static enum err find_confirmed(const struct holder *h, const struct txid *id, size_t most,
                               struct tx **tx, int32_t *height, struct error *e)
{
    struct tx_found f = { .node = NULL };
    buf_init(&f.raw);
    enum err rc = tx_lookup(h->call, NULL, id, most, &f, e);
    if (!rc && f.node && header_ancestor(h->tip, f.node->height) == f.node) {
        *tx = tx_new(f.raw.data, f.raw.len, e);
        *height = f.node->height;
        rc = *tx ? OK : ERR_NOMEM;
    }
    buf_clear(&f.raw);
    return rc == ERR_NOTFOUND ? OK : rc; /* pruned */
}

static enum err find_held(void *ctx, const struct txid *id, size_t most, struct tx **tx,
                          int32_t *height, struct error *e)
{
    const struct holder *h = ctx;
    *height = h->tip->height + 1;
    *tx = mempool_get_tx(chain_mempool(h->call->env->chain), id);
    if (*tx)
        return OK;
    if (clock_mono_ms() > h->end_ms)
        return error_set(e, ERR_TIMEOUT,
                         "transactions that are named by their ids take too long to find");
    return find_confirmed(h, id, most, tx, height, e);
}

/* --- judging ---------------------------------------------------------------------------------- */

struct rpc_spv_bounds rpc_spv_bounds_of_peer(struct rpc_call *call)
{
    const struct tx_policy *p = chain_get_policy(call->env->chain);
    return (struct rpc_spv_bounds){ .limits = script_limits_policy(&p->scripts),
                                    .scripts_cpu_us = PEER_CPU_US,
                                    .held_bytes = PEER_BYTES,
                                    .held_ms = PEER_MS };
}

/* b NULL: for a command. */
static struct spv_env make_env(struct rpc_call *call, const struct rpc_spv_bounds *b,
                               struct holder *h)
{
    struct chain *c = call->env->chain;
    *h = (struct holder){ call, header_index_tip(chain_headers(c)),
                          clock_mono_ms() + (b ? b->held_ms : HELD_MS) };
    return (struct spv_env){ .params = chain_get_params(c),
                             .headers = chain_headers(c),
                             .tip = h->tip,
                             .now = clock_now(),
                             .limits = b ? &b->limits : chain_consensus_limits(c),
                             .scripts_cpu_us = b ? b->scripts_cpu_us : SCRIPTS_CPU_US,
                             .held_bytes = b ? b->held_bytes : HELD_BYTES,
                             .cancel = call->env->cancel,
                             .given_up = given_up,
                             .held = find_held,
                             .ctx = h };
}

/* What reading said; trouble of our own stays an error. */
static enum err judge_format(enum err rc, const struct reader *r, const struct error *why,
                             struct spv_judgement *j, struct error *e)
{
    if (rc == ERR_PARSE)
        spv_judge(j, SPV_INVALID, "format", "%s", why->text);
    else if (rc == ERR_RANGE)
        spv_judge(j, SPV_INVALID, "limits", "%s", why->text);
    else if (rc)
        return error_set(e, rc, "%s", why->text);
    else if (!reader_done(r))
        spv_judge(j, SPV_INVALID, "format", "%zu bytes follow the record", r->left);
    return OK;
}

enum err rpc_judge_bump(struct rpc_call *call, struct span raw, const struct txid *id,
                        struct rpc_bump *out, struct error *e)
{
    struct error why = { .code = OK };
    struct holder h;
    struct reader r;
    const struct spv_env env = make_env(call, NULL, &h);
    *out = (struct rpc_bump){ .tip = h.tip };
    reader_init(&r, raw.data, raw.len);
    enum err rc = raw.len > BEEF_BYTES_MAX ? error_set(&why, ERR_RANGE, "BUMP above the limits")
                                           : bump_read(&r, &out->bump, &why);
    out->read = !rc;
    rc = judge_format(rc, &r, &why, &out->j, e);
    return rc || out->j.end != SPV_VALID
               ? rc
               : spv_judge_bump(&env, &out->bump, id, &out->proof, &out->j, e);
}

void rpc_bump_clear(struct rpc_bump *b)
{
    if (b->read)
        bump_clear(&b->bump);
    b->read = false;
}

enum err rpc_judge_beef(struct rpc_call *call, struct span raw, struct rpc_beef *out,
                        struct error *e)
{
    return rpc_judge_beef_within(call, raw, NULL, out, e);
}

enum err rpc_judge_beef_within(struct rpc_call *call, struct span raw,
                               const struct rpc_spv_bounds *b, struct rpc_beef *out,
                               struct error *e)
{
    struct error why = { .code = OK };
    struct holder h;
    struct reader r;
    const struct spv_env env = make_env(call, b, &h);
    *out = (struct rpc_beef){ .tip = h.tip };
    reader_init(&r, raw.data, raw.len);
    enum err rc = beef_read(&r, &out->beef, &why);
    out->read = !rc;
    rc = judge_format(rc, &r, &why, &out->j, e);
    return rc || out->j.end != SPV_VALID
               ? rc
               : spv_judge_beef(&env, &out->beef, out->proof, &out->j, e);
}

void rpc_beef_clear(struct rpc_beef *b)
{
    if (b->read)
        beef_clear(&b->beef);
    b->read = false;
}

bool rpc_judge_partial(struct rpc_call *call, struct span raw, struct rpc_partial *out)
{
    struct header_index *index = chain_headers(call->env->chain);
    struct header_data d;
    struct block_header h;
    struct block_hash hash;
    struct hash256 root;
    struct reader r;
    *out = (struct rpc_partial){ .node = NULL };
    reader_init(&r, raw.data, raw.len);
    block_header_read(&r, &h);
    if (partial_merkle_read(&r, &out->tree) || !reader_done(&r)) {
        rpc_fail(call, RPC_MISC_ERROR, "The proof is no header with a partial Merkle tree");
        return false;
    }
    if (!partial_merkle_walk(&out->tree, NULL, NULL, &root) ||
        !mem_equal_var(root.b, h.merkle_root.b, 32))
        return true;
    block_header_hash(&hash, &h);
    out->node = header_index_find(index, &hash);
    if (!out->node || !header_index_is_active(index, out->node)) {
        rpc_fail(call, RPC_NOT_FOUND, "Block not found in chain");
        return false;
    }
    header_index_get_data(index, out->node, &d);
    out->holds = d.tx_count == out->tree.leaves;
    return true;
}

/* --- members ---------------------------------------------------------------------------------- */

void jw_put_judgement(struct json_writer *w, const struct spv_judgement *j)
{
    jw_put_text(w, "result", end_names[j->end]);
    if (j->end == SPV_VALID)
        return;
    jw_put_text(w, "rule", j->rule);
    jw_put_text(w, "reason", j->reason);
}

void jw_put_proof(struct json_writer *w, const struct bump *b, const struct spv_proof *p,
                  const struct header_node *tip)
{
    jw_put_u64(w, "height", b->height);
    if (p->node) {
        jw_put_hash(w, "blockhash", p->node->hash.b);
        jw_put_i64(w, "confirmations", (int64_t)tip->height - p->node->height + 1);
    }
    if (p->leads)
        jw_put_hash(w, "merkleroot", p->top.root.b);
    jw_key(w, "txids");
    jw_array_open(w);
    for (size_t i = 0; i < b->level[0].n; i++)
        if (b->level[0].leaf[i].is_txid)
            jw_hash(w, b->level[0].leaf[i].hash.b);
    jw_array_close(w);
}
