/* A whole Merkle tree by the definition (spec consensus 3.2), and leaves for it, to compare
 * with. */
#ifndef TESTS_BASE_MERKLE_TREE_H
#define TESTS_BASE_MERKLE_TREE_H

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/ids.h"

#define TREE_LEAVES_MAX 130
#define TREE_LEVELS_MAX 9

struct tree {
    size_t n[TREE_LEVELS_MAX]; /* nodes of a row, without the copy at its end */
    struct hash256 row[TREE_LEVELS_MAX][TREE_LEAVES_MAX];
    unsigned depth;
};

/* n leaves that differ from each other and from those of another seed. */
static inline void tree_make(struct tree *t, size_t n, uint32_t seed)
{
    memset(t, 0, sizeof *t);
    t->n[0] = n;
    for (size_t i = 0; i < n; i++) {
        uint32_t source[2] = { seed, (uint32_t)i };
        sha256(t->row[0][i].b, source, sizeof source);
    }
    for (; t->n[t->depth] > 1; t->depth++) {
        size_t width = t->n[t->depth];
        struct hash256 *row = t->row[t->depth];
        t->n[t->depth + 1] = (width + 1) / 2;
        for (size_t i = 0; i < width; i += 2)
            sha256d_pair(t->row[t->depth + 1][i / 2].b, row[i].b,
                         row[i + 1 < width ? i + 1 : i].b);
    }
}

static inline const struct hash256 *tree_root(const struct tree *t) { return &t->row[t->depth][0]; }

/* Repeatable numbers below n (splitmix64). */
static inline size_t tree_random(uint64_t *state, size_t n)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (size_t)((z ^ z >> 31) % n);
}

#endif
