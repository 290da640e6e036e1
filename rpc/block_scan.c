#include "rpc/block_scan.h"

#include "chain/chain.h"

#define SEGMENT_BYTES (1u << 20)

static enum scan_next scan_segment(struct block_segment *s, enum scan_part part, block_scan_fn fn,
                                   void *ctx)
{
    for (size_t i = 0; i < s->n_txs; i++)
        if (fn(ctx, s, &s->txs[i]) == SCAN_ENOUGH || part == SCAN_COINBASE)
            return SCAN_ENOUGH;
    return SCAN_ON;
}

static enum err next_segment(struct rpc_call *call, struct block_reader *r,
                             struct block_segment **s, struct error *e)
{
    if (rpc_given_up(call))
        return error_set(e, ERR_CANCELLED, "nobody waits for the answer any more");
    return block_reader_next(r, s, e);
}

static enum err scan(struct rpc_call *call, const struct header_node *node, enum scan_part part,
                     uint64_t most, block_scan_fn fn, void *ctx, struct error *e)
{
    size_t bytes = part == SCAN_COINBASE ? 1 : SEGMENT_BYTES; /* a segment has whole transactions */
    struct block_reader *r;
    struct block_segment *s;
    enum scan_next next = SCAN_ON;
    enum err rc = chain_read_block(call->env->chain, node, bytes, &r, e);
    if (rc)
        return rc;
    block_reader_set_most(r, most);
    while (next == SCAN_ON && !(rc = next_segment(call, r, &s, e)) && s) {
        next = scan_segment(s, part, fn, ctx);
        block_segment_unref(s);
    }
    block_reader_close(r);
    return rc;
}

enum err block_scan(struct rpc_call *call, const struct header_node *node, enum scan_part part,
                    block_scan_fn fn, void *ctx, struct error *e)
{
    return scan(call, node, part, UINT64_MAX, fn, ctx, e);
}

enum err block_scan_bounded(struct rpc_call *call, const struct header_node *node, uint64_t most,
                            block_scan_fn fn, void *ctx, struct error *e)
{
    return scan(call, node, SCAN_WHOLE_BLOCK, most, fn, ctx, e);
}
