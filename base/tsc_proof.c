#include "base/tsc_proof.h"

#include "base/hash.h"

#define FLAG_WHOLE_TX 1u
#define FLAG_TARGET_SHIFT 1
#define FLAGS_KNOWN 7u /* bits 3 and 4: tree, several transactions */

enum node_type { NODE_HASH = 0, NODE_COPY = 1 };

static void read_tx(struct reader *r, unsigned flags, struct tsc_proof *p)
{
    p->tx = span_of(NULL, 0);
    if (!(flags & FLAG_WHOLE_TX)) {
        read_copy(r, p->id.b, 32);
        return;
    }
    p->tx = read_var_bytes(r);
    if (p->tx.len)
        sha256d(p->id.b, p->tx.data, p->tx.len);
    else
        r->failed = true;
}

static void read_target(struct reader *r, struct tsc_proof *p)
{
    switch (p->target) {
    case TSC_BLOCK_HASH:
        read_copy(r, p->block.b, 32);
        break;
    case TSC_HEADER:
        block_header_read(r, &p->header);
        break;
    case TSC_MERKLE_ROOT:
        read_copy(r, p->root.b, 32);
        break;
    case TSC_HEIGHT:
        p->height = (uint32_t)read_compact(r);
        break;
    }
}

static void read_nodes(struct reader *r, struct merkle_branch *b)
{
    size_t n = read_count(r, 1);
    r->failed |= n > MERKLE_DEPTH_MAX;
    b->n = r->failed ? 0 : (unsigned)n;
    for (unsigned k = 0; k < b->n && !r->failed; k++) {
        struct merkle_sibling *s = &b->sibling[k];
        uint8_t type = read_u8(r);
        *s = (struct merkle_sibling){ .duplicate = type == NODE_COPY };
        r->failed |= type > NODE_COPY;
        if (type == NODE_HASH)
            read_copy(r, s->hash.b, 32);
    }
}

enum err tsc_proof_read(struct reader *r, struct tsc_proof *p)
{
    unsigned flags = read_u8(r);
    r->failed |= (flags & ~FLAGS_KNOWN) != 0;
    p->target = (enum tsc_target)(flags >> FLAG_TARGET_SHIFT & 3);
    p->branch.index = read_compact(r);
    read_tx(r, flags, p);
    read_target(r, p);
    read_nodes(r, &p->branch);
    return r->failed ? ERR_PARSE : OK;
}

static void write_target(struct buf *b, const struct tsc_proof *p)
{
    switch (p->target) {
    case TSC_BLOCK_HASH:
        buf_put(b, p->block.b, 32);
        break;
    case TSC_HEADER:
        block_header_write(b, &p->header);
        break;
    case TSC_MERKLE_ROOT:
        buf_put(b, p->root.b, 32);
        break;
    case TSC_HEIGHT:
        buf_put_compact(b, p->height);
        break;
    }
}

static void write_node(struct buf *b, const struct tsc_proof *p, unsigned level, enum tsc_copy copy)
{
    const struct merkle_sibling *s = &p->branch.sibling[level];
    struct hash256 hash = s->hash;
    if (s->duplicate &&
        (copy == TSC_COPY_MARKED || !merkle_branch_node(&p->branch, p->id.b, level, &hash))) {
        buf_put_u8(b, NODE_COPY);
        return;
    }
    buf_put_u8(b, NODE_HASH);
    buf_put(b, hash.b, 32);
}

void tsc_proof_write(struct buf *b, const struct tsc_proof *p, enum tsc_copy copy)
{
    unsigned flags = (p->tx.len ? FLAG_WHOLE_TX : 0) | (unsigned)p->target << FLAG_TARGET_SHIFT;
    buf_put_u8(b, (uint8_t)flags);
    buf_put_compact(b, p->branch.index);
    if (p->tx.len)
        buf_put_var_bytes(b, p->tx.data, p->tx.len);
    else
        buf_put(b, p->id.b, 32);
    write_target(b, p);
    buf_put_compact(b, p->branch.n);
    for (unsigned k = 0; k < p->branch.n; k++)
        write_node(b, p, k, copy);
}

bool tsc_proof_root(const struct tsc_proof *p, struct hash256 *root)
{
    return p->tx.len != 64 && merkle_branch_root(&p->branch, p->id.b, root);
}
