/* What parses as a partial Merkle tree is written back as the same bytes; a tree of few leaves is
 * rebuilt from its own matches and gives the same root. */
#include <stdlib.h>
#include <string.h>

#include "base/partial_merkle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LEAVES_MAX 64

/* Leaves of the proof when it has all of them. */
struct leaves {
    struct hash256 hash[LEAVES_MAX];
    bool matched[LEAVES_MAX];
    size_t n;
};

static void take_leaf(void *ctx, const struct partial_node *node)
{
    struct leaves *l = (struct leaves *)ctx;
    if (node->level || node->kind == PARTIAL_COPY || l->n == LEAVES_MAX)
        return;
    memcpy(l->hash[l->n].b, node->hash, 32);
    l->matched[l->n++] = node->kind == PARTIAL_MATCH;
}

static void check_rebuilt(const struct leaves *l, const struct hash256 *root)
{
    struct partial_merkle_builder b;
    struct partial_merkle again;
    struct hash256 root_again;
    partial_merkle_init(&b);
    for (size_t i = 0; i < l->n; i++)
        if (partial_merkle_add(&b, l->hash[i].b, l->matched[i]))
            abort();
    if (partial_merkle_finish(&b, &again) ||
        !partial_merkle_walk(&again, NULL, NULL, &root_again) ||
        memcmp(root->b, root_again.b, 32) != 0)
        abort();
    partial_merkle_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r;
    struct partial_merkle t;
    struct hash256 root;
    struct leaves l = { .n = 0 };
    struct buf b;
    reader_init(&r, data, size);
    if (partial_merkle_read(&r, &t))
        return 0;
    buf_init(&b);
    partial_merkle_write(&b, &t);
    if (b.len != size - r.left || memcmp(b.data, data, b.len) != 0)
        abort();
    buf_clear(&b);
    if (partial_merkle_walk(&t, take_leaf, &l, &root) && l.n == t.leaves)
        check_rebuilt(&l, &root);
    return 0;
}
