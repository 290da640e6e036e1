#include "p2p/dchan_file_id.h"

#include <string.h>

#include "base/intmath.h"

static const char tag[] = "bcapeer/file";

enum { LEAF_PREFIX = 0, INNER_PREFIX = 1 };

unsigned dchan_chunk_log2(uint64_t size)
{
    unsigned log2 = DCHAN_CHUNK_LOG2_MIN;
    if (size > DCHAN_FILE_MAX)
        return 0;
    while (size > (uint64_t)DCHAN_CHUNKS_MAX << log2)
        log2++;
    return log2;
}

uint32_t dchan_chunk_count(uint64_t size)
{
    const unsigned log2 = dchan_chunk_log2(size);
    if (size == 0)
        return 1;
    return (uint32_t)((size - 1) >> log2) + 1;
}

uint32_t dchan_chunk_size(uint64_t size, uint32_t index)
{
    const unsigned log2 = dchan_chunk_log2(size);
    const uint64_t start = (uint64_t)index << log2;
    return start < size ? (uint32_t)MIN_OF(size - start, UINT64_C(1) << log2) : 0;
}

static void begin_leaf(struct sha256 *ctx)
{
    const uint8_t prefix = LEAF_PREFIX;
    sha256_init(ctx);
    sha256_update(ctx, &prefix, 1);
}

void dchan_leaf_hash(uint8_t out[32], struct span chunk)
{
    struct sha256 ctx;
    begin_leaf(&ctx);
    if (chunk.len)
        sha256_update(&ctx, chunk.data, chunk.len);
    sha256_final(&ctx, out);
}

void dchan_file_id(uint8_t out[32], uint64_t size, const uint8_t root[32])
{
    uint8_t text[8 + 1 + 32];
    be64_put(text, size);
    text[8] = (uint8_t)dchan_chunk_log2(size);
    memcpy(text + 9, root, 32);
    sha256_tagged(out, tag, text, sizeof text);
}

/* out may be one of them. */
static void join(uint8_t out[32], const uint8_t left[32], const uint8_t right[32])
{
    uint8_t text[1 + 64];
    text[0] = INNER_PREFIX;
    memcpy(text + 1, left, 32);
    memcpy(text + 33, right, 32);
    sha256(out, text, sizeof text);
}

void dchan_tree_init(struct dchan_tree *t)
{
    t->n = 0;
}

void dchan_tree_add(struct dchan_tree *t, const uint8_t leaf[32])
{
    uint8_t node[32];
    unsigned level = 0;
    BUG_ON(t->n >= DCHAN_CHUNKS_MAX);
    memcpy(node, leaf, 32);
    for (; t->n >> level & 1; level++)
        join(node, t->nodes[level], node);
    memcpy(t->nodes[level], node, 32);
    t->n++;
}

/* Split at the largest power of two: the full trees, from the smallest one on. */
void dchan_tree_root(const struct dchan_tree *t, uint8_t root[32])
{
    bool first = true;
    BUG_ON(t->n == 0);
    for (unsigned level = 0; level <= DCHAN_TREE_DEPTH_MAX; level++) {
        if (!(t->n >> level & 1))
            continue;
        if (first)
            memcpy(root, t->nodes[level], 32);
        else
            join(root, t->nodes[level], root);
        first = false;
    }
}

bool dchan_leaves_match(const uint8_t file_id[32], uint64_t size, const uint8_t *leaves, size_t n)
{
    struct dchan_tree t;
    uint8_t root[32], again[32];
    if (size > DCHAN_FILE_MAX || n != dchan_chunk_count(size))
        return false;
    dchan_tree_init(&t);
    for (size_t i = 0; i < n; i++)
        dchan_tree_add(&t, leaves + 32 * i);
    dchan_tree_root(&t, root);
    dchan_file_id(again, size, root);
    return mem_equal_var(again, file_id, 32);
}

enum err dchan_file_hash_init(struct dchan_file_hash *h, uint64_t size, dchan_leaf_fn on_leaf,
                              void *ctx)
{
    const unsigned log2 = dchan_chunk_log2(size);
    if (!log2)
        return ERR_RANGE;
    *h = (struct dchan_file_hash){ .size = size, .chunk_log2 = log2, .on_leaf = on_leaf,
                                   .ctx = ctx };
    dchan_tree_init(&h->tree);
    begin_leaf(&h->chunk);
    return OK;
}

static void end_leaf(struct dchan_file_hash *h)
{
    uint8_t leaf[32];
    sha256_final(&h->chunk, leaf);
    if (h->on_leaf)
        h->on_leaf(h->ctx, h->tree.n, leaf);
    dchan_tree_add(&h->tree, leaf);
    begin_leaf(&h->chunk);
}

enum err dchan_file_hash_update(struct dchan_file_hash *h, const void *data, size_t len)
{
    const uint8_t *p = (const uint8_t *)data;
    const uint64_t chunk = UINT64_C(1) << h->chunk_log2;
    if (len > h->size - h->fed)
        return ERR_RANGE;
    while (len) {
        const size_t n = (size_t)MIN_OF(chunk - h->fed % chunk, (uint64_t)len);
        sha256_update(&h->chunk, p, n);
        h->fed += n;
        p += n;
        len -= n;
        if (h->fed % chunk == 0)
            end_leaf(h);
    }
    return OK;
}

enum err dchan_file_hash_final(struct dchan_file_hash *h, uint8_t root[32], uint8_t file_id[32])
{
    uint8_t top[32];
    if (h->fed != h->size)
        return ERR_RANGE;
    if (h->tree.n < dchan_chunk_count(h->size))
        end_leaf(h); /* the last one is short, or the file empty */
    dchan_tree_root(&h->tree, top);
    dchan_file_id(file_id, h->size, top);
    if (root)
        memcpy(root, top, 32);
    return OK;
}
