/*
 * Left siblings of a leaf are the subtrees that wait in the tree of all leaves before it. Each
 * right sibling is the root of the next 2^level leaves after it, one level after the other, so that
 * one small tree serves for all of them.
 */
#include "base/merkle_branch.h"

#include "base/bytes.h"
#include "base/hash.h"

unsigned merkle_depth(uint64_t leaves)
{
    return leaves < 2 ? 0 : 64 - (unsigned)__builtin_clzll(leaves - 1);
}

static bool is_right(const struct merkle_branch *b, unsigned level)
{
    return b->index >> level & 1;
}

bool merkle_branch_node(const struct merkle_branch *b, const uint8_t leaf[32], unsigned level,
                        struct hash256 *out)
{
    struct hash256 node;
    memcpy(node.b, leaf, 32);
    for (unsigned k = 0; k < level; k++) {
        const struct merkle_sibling *s = &b->sibling[k];
        if (is_right(b, k) && (s->duplicate || mem_equal_var(s->hash.b, node.b, 32)))
            return false;
        const uint8_t *other = s->duplicate ? node.b : s->hash.b;
        sha256d_pair(node.b, is_right(b, k) ? other : node.b, is_right(b, k) ? node.b : other);
    }
    *out = node;
    return true;
}

bool merkle_branch_root(const struct merkle_branch *b, const uint8_t leaf[32], struct hash256 *root)
{
    if (b->n > MERKLE_DEPTH_MAX || (b->n < 64 && b->index >> b->n))
        return false;
    return merkle_branch_node(b, leaf, b->n, root);
}

bool merkle_branch_fits(const struct merkle_branch *b, uint64_t leaves)
{
    if (b->index >= leaves || b->n != merkle_depth(leaves))
        return false;
    for (unsigned k = 0; k < b->n; k++) {
        uint64_t last = (leaves - 1) >> k; /* of the row */
        bool alone = b->index >> k == last && last % 2 == 0;
        if (b->sibling[k].duplicate && !alone)
            return false;
    }
    return true;
}

/* --- building ------------------------------------------------------------------------------- */

void merkle_branch_init(struct merkle_branch_builder *b)
{
    merkle_init(&b->before);
    merkle_init(&b->after);
    b->level = 0;
    b->leaves = 0;
    b->found = false;
    b->branch.n = 0;
}

/* From level on, the first on which the leaf has its sibling on the right. */
static unsigned next_right_sibling(const struct merkle_branch *b, unsigned level)
{
    while (level < MERKLE_DEPTH_MAX && is_right(b, level))
        level++;
    return level;
}

static void take_left_siblings(struct merkle_branch_builder *b)
{
    struct merkle_branch *branch = &b->branch;
    branch->index = b->before.count;
    for (unsigned k = 0; k < MERKLE_DEPTH_MAX; k++)
        branch->sibling[k] = (struct merkle_sibling){
            .duplicate = !is_right(branch, k),
            .hash = is_right(branch, k) ? b->before.level[k] : (struct hash256){ { 0 } },
        };
    b->level = next_right_sibling(branch, 0);
    b->found = true;
}

/* What was collected is the right sibling on its level, complete or the end of the tree. */
static void take_right_sibling(struct merkle_branch_builder *b)
{
    struct hash256 root = merkle_root(&b->after, NULL);
    for (unsigned k = merkle_depth(b->after.count); k < b->level; k++)
        sha256d_pair(root.b, root.b, root.b);
    b->branch.sibling[b->level] = (struct merkle_sibling){ .hash = root };
    b->level = next_right_sibling(&b->branch, b->level + 1);
    merkle_init(&b->after);
}

void merkle_branch_add(struct merkle_branch_builder *b, const uint8_t leaf[32], bool wanted)
{
    b->leaves++;
    if (!b->found) {
        if (wanted)
            take_left_siblings(b);
        else
            merkle_add(&b->before, leaf);
        return;
    }
    merkle_add(&b->after, leaf);
    if (b->after.count == UINT64_C(1) << b->level)
        take_right_sibling(b);
}

bool merkle_branch_finish(struct merkle_branch_builder *b, const struct merkle_branch **out)
{
    if (!b->found)
        return false;
    if (b->after.count)
        take_right_sibling(b);
    b->branch.n = merkle_depth(b->leaves);
    *out = &b->branch;
    return true;
}
