#include "node/enriched.h"

#include "base/log.h"
#include "base/tsc_proof.h"
#include "node/block_walk.h"

struct collected {
    struct merkle_branch_builder proof;
    struct buf coinbase;
    uint64_t n;
};

static enum err note_tx(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct collected *got = ctx;
    (void)offset;
    if (got->n == 0 && tx->raw.len > ENRICHED_COINBASE_MAX)
        return error_set(e, ERR_RANGE, "coinbase of %zu bytes", tx->raw.len);
    if (got->n == 0)
        buf_put(&got->coinbase, tx->raw.data, tx->raw.len);
    merkle_branch_add(&got->proof, tx->id.b, got->n++ == 0);
    return OK;
}

static void put_coinbase(struct buf *out, const struct header_node *node, struct collected *got)
{
    const struct merkle_branch *branch;
    if (!merkle_branch_finish(&got->proof, &branch)) {
        buf_put_u8(out, 0);
        return;
    }
    struct tsc_proof proof = { .target = TSC_BLOCK_HASH, .block = node->hash, .branch = *branch };
    sha256d(proof.id.b, got->coinbase.data, got->coinbase.len);
    buf_put_u8(out, 1);
    buf_put(out, got->coinbase.data, got->coinbase.len);
    tsc_proof_write(out, &proof, TSC_COPY_AS_HASH);
}

bool enriched_put(struct buf *out, struct chain *c, const struct header_node *node, bool last)
{
    struct collected got = { .n = 0 };
    struct block_header header;
    struct error e;
    merkle_branch_init(&got.proof);
    const enum err rc = block_walk(c, node, note_tx, &got, &e);
    header_of_node(&header, node);
    block_header_write(out, &header);
    buf_put_compact(out, rc ? 0 : got.n);
    buf_put_u8(out, last);
    if (rc)
        buf_put_u8(out, 0);
    else
        put_coinbase(out, node, &got);
    buf_put_u8(out, 0); /* miner info */
    if (rc && rc != ERR_NOTFOUND)
        log_debug(LOGC_NET, "header at height %d without its coinbase: %s", node->height, e.text);
    buf_clear(&got.coinbase);
    return !rc;
}
