#include "base/block.h"

#include "base/hash.h"

void block_header_read(struct reader *r, struct block_header *h)
{
    h->version = (int32_t)read_le32(r);
    read_copy(r, h->prev.b, 32);
    read_copy(r, h->merkle_root.b, 32);
    h->time = read_le32(r);
    h->bits = read_le32(r);
    h->nonce = read_le32(r);
}

void block_header_put(uint8_t out[BLOCK_HEADER_SIZE], const struct block_header *h)
{
    le32_put(out, (uint32_t)h->version);
    memcpy(out + 4, h->prev.b, 32);
    memcpy(out + 36, h->merkle_root.b, 32);
    le32_put(out + 68, h->time);
    le32_put(out + 72, h->bits);
    le32_put(out + 76, h->nonce);
}

void block_header_write(struct buf *b, const struct block_header *h)
{
    block_header_put(buf_extend(b, BLOCK_HEADER_SIZE), h);
}

void block_header_hash(struct block_hash *out, const struct block_header *h)
{
    uint8_t bytes[BLOCK_HEADER_SIZE];
    block_header_put(bytes, h);
    sha256d(out->b, bytes, sizeof bytes);
}

/*
 * level[k] is the root of a complete subtree of 2^k leaves that waits for its right sibling; it is
 * in use when bit k of count is set, like the digits of a binary counter.
 */
void merkle_init(struct merkle *m)
{
    m->count = 0;
    m->mutated = false;
}

/* Combines node with the subtrees that wait at level k and above; returns the level it ends on. */
static unsigned carry_up(const struct merkle *m, uint64_t count, unsigned k, struct hash256 *node,
                         bool *mutated)
{
    for (; count >> k & 1; k++) {
        /* Spec consensus 3.2: equal siblings of a genuine pair let two lists have the same root. */
        if (mem_equal_var(m->level[k].b, node->b, 32))
            *mutated = true;
        sha256d_pair(node->b, m->level[k].b, node->b);
    }
    return k;
}

void merkle_add(struct merkle *m, const uint8_t leaf[32])
{
    struct hash256 node;
    memcpy(node.b, leaf, 32);
    unsigned k = carry_up(m, m->count, 0, &node, &m->mutated);
    m->level[k] = node;
    m->count++;
}

struct hash256 merkle_root(const struct merkle *m, bool *mutated)
{
    bool equal = m->mutated;
    struct hash256 node = { { 0 } };
    if (m->count) {
        unsigned k = (unsigned)__builtin_ctzll(m->count);
        uint64_t count = m->count;
        node = m->level[k];
        /* The last subtree is paired with itself until it fits one that waits. */
        while (count != UINT64_C(1) << k) {
            sha256d_pair(node.b, node.b, node.b);
            count += UINT64_C(1) << k;
            k = carry_up(m, m->count, k + 1, &node, &equal);
        }
    }
    if (mutated)
        *mutated = equal;
    return node;
}
