#include "node/block_walk.h"

#define SEGMENT_BYTES (1u << 20)

static enum err walk_segment(const struct block_segment *s, block_walk_fn fn, void *ctx,
                             struct error *e)
{
    uint64_t offset = s->offset;
    for (size_t i = 0; i < s->n_txs; i++) {
        const enum err rc = fn(ctx, &s->txs[i], offset, e);
        if (rc)
            return rc;
        offset += s->txs[i].raw.len;
    }
    return OK;
}

enum err block_walk(struct chain *c, const struct header_node *node, block_walk_fn fn, void *ctx,
                    struct error *e)
{
    struct block_reader *r;
    struct block_segment *s;
    enum err rc = chain_read_block(c, node, SEGMENT_BYTES, &r, e);
    if (rc)
        return rc;
    while (!(rc = block_reader_next(r, &s, e)) && s) {
        rc = walk_segment(s, fn, ctx, e);
        block_segment_unref(s);
        if (rc)
            break;
    }
    block_reader_close(r);
    return rc;
}
