#include "bca/params.h"

#include <string.h>

#include "base/block.h"
#include "base/merkle_branch.h"
#include "base/reader.h"
#include "bca/address.h"
#include "bca/modifiers.h"
#include "bca/registration.h"

/* The depth of a proof and its siblings; a depth above the limit is a failure. */
static const uint8_t *read_siblings(struct reader *r, unsigned depth_max, uint8_t *depth)
{
    *depth = read_u8(r);
    if (*depth > depth_max)
        return NULL;
    return read_bytes(r, (size_t)32 * *depth);
}

static enum err bad(struct error *e, const char *what)
{
    return error_set(e, ERR_PARSE, "BCA parameters: %s", what);
}

enum err bca_params_read(struct span raw, struct bca_params *p, struct error *e)
{
    struct reader r;
    reader_init(&r, raw.data, raw.len);
    if (read_u8(&r) != BCA_PARAMS_VERSION)
        return bad(e, "the version is not 1");
    p->modifier = read_bytes(&r, BCA_MODIFIER_SIZE);
    p->public_key = read_bytes(&r, BCA_PUBLIC_KEY_SIZE);
    p->transaction = read_var_bytes(&r);
    if (r.failed || p->transaction.len > BCA_TX_MAX)
        return bad(e, "the length of the transaction is not minimal, too large, or cut off");
    p->header = read_bytes(&r, BLOCK_HEADER_SIZE);
    p->subnet_prefix = read_bytes(&r, BCA_PREFIX_SIZE);
    p->collision_count = read_u8(&r);
    p->tx_index = read_le32(&r);
    p->tx_siblings = read_siblings(&r, BCA_TX_DEPTH_MAX, &p->tx_depth);
    if (p->tx_depth > BCA_TX_DEPTH_MAX)
        return bad(e, "the proof of the transaction has more than 28 levels");
    p->modifier_index = read_u8(&r);
    p->modifier_siblings = read_siblings(&r, BCA_MODIFIER_DEPTH_MAX, &p->modifier_depth);
    if (p->modifier_depth > BCA_MODIFIER_DEPTH_MAX)
        return bad(e, "the proof of the modifier has more than 5 levels");
    if (r.failed)
        return bad(e, "bytes are missing");
    return r.left ? bad(e, "bytes are left over") : OK;
}

void bca_params_write(struct buf *out, const struct bca_params *p)
{
    buf_put_u8(out, BCA_PARAMS_VERSION);
    buf_put(out, p->modifier, BCA_MODIFIER_SIZE);
    buf_put(out, p->public_key, BCA_PUBLIC_KEY_SIZE);
    buf_put_var_bytes(out, p->transaction.data, p->transaction.len);
    buf_put(out, p->header, BLOCK_HEADER_SIZE);
    buf_put(out, p->subnet_prefix, BCA_PREFIX_SIZE);
    buf_put_u8(out, p->collision_count);
    buf_put_le32(out, p->tx_index);
    buf_put_u8(out, p->tx_depth);
    buf_put(out, p->tx_siblings, (size_t)32 * p->tx_depth);
    buf_put_u8(out, p->modifier_index);
    buf_put_u8(out, p->modifier_depth);
    buf_put(out, p->modifier_siblings, (size_t)32 * p->modifier_depth);
}

void bca_tx_siblings(const struct merkle_branch *branch, const uint8_t leaf[32], uint8_t *out)
{
    for (unsigned k = 0; k < branch->n; k++) {
        struct hash256 node = branch->sibling[k].hash;
        if (branch->sibling[k].duplicate)
            merkle_branch_node(branch, leaf, k, &node);
        memcpy(out + 32 * k, node.b, 32);
    }
}
