#include "rpc/tx_proof.h"

#include <stdlib.h>
#include <string.h>

#include "chain/header_index.h"
#include "rpc/block_scan.h"

/* A pass over a block; one of branch and partial is set. */
struct pass {
    const struct txid *ids;
    size_t n;
    tx_proof_fn fn;
    void *ctx;
    struct merkle_branch_builder *branch;
    struct tx_proof_partial *partial;
    enum err rc;
    struct error *e;
};

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct txid));
}

void tx_proof_sort(struct txid *ids, size_t n)
{
    if (n)
        qsort(ids, n, sizeof *ids, compare_ids);
}

static enum scan_next add_tx(void *ctx, struct block_segment *segment, const struct tx *tx)
{
    struct pass *p = ctx;
    bool wanted = bsearch(&tx->id, p->ids, p->n, sizeof *p->ids, compare_ids) != NULL;
    (void)segment;
    if (p->branch)
        merkle_branch_add(p->branch, tx->id.b, wanted);
    else
        p->rc = partial_merkle_add(&p->partial->builder, tx->id.b, wanted);
    if (p->rc)
        error_set(p->e, p->rc, "no memory or no format for a proof of so many transactions");
    else if (wanted && p->fn)
        p->rc = p->fn(p->ctx, tx, p->e);
    if (wanted && p->partial)
        p->partial->n_found++;
    return p->rc ? SCAN_ENOUGH : SCAN_ON;
}

static enum err run_pass(struct rpc_call *call, const struct header_node *node, struct pass *p)
{
    enum err rc = block_scan(call, node, SCAN_WHOLE_BLOCK, add_tx, p, p->e);
    return rc ? rc : p->rc;
}

enum err tx_proof_branch(struct rpc_call *call, const struct header_node *node,
                         const struct txid *id, tx_proof_fn fn, void *ctx,
                         struct merkle_branch *branch, bool *found, struct error *e)
{
    struct merkle_branch_builder builder;
    const struct merkle_branch *built;
    struct pass p = { .ids = id, .n = 1, .fn = fn, .ctx = ctx, .branch = &builder, .e = e };
    merkle_branch_init(&builder);
    enum err rc = run_pass(call, node, &p);
    *found = !rc && merkle_branch_finish(&builder, &built);
    if (*found)
        *branch = *built;
    return rc;
}

enum err tx_proof_partial(struct rpc_call *call, const struct header_node *node,
                          const struct txid *ids, size_t n, tx_proof_fn fn, void *ctx,
                          struct tx_proof_partial *partial, struct error *e)
{
    struct pass p = { .ids = ids, .n = n, .fn = fn, .ctx = ctx, .partial = partial, .e = e };
    partial->n_found = 0;
    partial_merkle_init(&partial->builder);
    enum err rc = run_pass(call, node, &p);
    if (rc)
        return rc;
    if (!partial->builder.leaves)
        return error_set(e, ERR_CORRUPT, "the stored block has no transactions");
    rc = partial_merkle_finish(&partial->builder, &partial->tree);
    return rc ? error_set(e, rc, "out of memory for a proof") : OK;
}

void tx_proof_partial_clear(struct tx_proof_partial *p)
{
    partial_merkle_clear(&p->builder);
}
