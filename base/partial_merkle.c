/*
 * The builder keeps the parts that are complete, like the digits of a binary counter, each with the
 * flags and hashes of its own proof; they lie one after the other in two buffers. Two neighbours of
 * a level become one part: with a match below, the flag 1 is put before theirs, else one hash takes
 * the place of both. What is left in the buffers at the end is the proof.
 */
#include "base/partial_merkle.h"

#include "base/hash.h"
#include "base/intmath.h"
#include "base/merkle_branch.h"

/* --- format --------------------------------------------------------------------------------- */

enum err partial_merkle_read(struct reader *r, struct partial_merkle *t)
{
    t->leaves = read_le32(r);
    size_t n = read_count(r, 32);
    t->hashes = span_of(read_bytes(r, n * 32), n * 32);
    t->flags = read_var_bytes(r);
    return r->failed ? ERR_PARSE : OK;
}

void partial_merkle_write(struct buf *b, const struct partial_merkle *t)
{
    buf_put_le32(b, t->leaves);
    buf_put_compact(b, t->hashes.len / 32);
    buf_put(b, t->hashes.data, t->hashes.len);
    buf_put_var_bytes(b, t->flags.data, t->flags.len);
}

/* --- walking -------------------------------------------------------------------------------- */

struct walk {
    const struct partial_merkle *t;
    size_t flag, hash; /* next of each */
    bool failed;
    partial_merkle_fn fn;
    void *ctx;
};

static bool take_flag(struct walk *w)
{
    if (w->flag / 8 >= w->t->flags.len) {
        w->failed = true;
        return false;
    }
    bool set = w->t->flags.data[w->flag / 8] >> w->flag % 8 & 1;
    w->flag++;
    return set;
}

static void visit(struct walk *w, enum partial_kind kind, unsigned level, uint64_t index,
                  const uint8_t *hash)
{
    if (w->fn)
        w->fn(w->ctx, &(struct partial_node){ kind, level, index, hash });
}

static struct hash256 take_hash(struct walk *w, enum partial_kind kind, unsigned level,
                                uint64_t index)
{
    struct hash256 node = { { 0 } };
    if (w->t->hashes.len - w->hash < 32) {
        w->failed = true;
        return node;
    }
    const uint8_t *hash = w->t->hashes.data + w->hash;
    memcpy(node.b, hash, 32);
    w->hash += 32;
    visit(w, kind, level, index, hash);
    return node;
}

/* Calls itself once for each level, of which there are 33 at most. */
static struct hash256 walk_node(struct walk *w, unsigned level, uint64_t index)
{
    bool flag = take_flag(w);
    if (w->failed)
        return (struct hash256){ { 0 } };
    if (!level || !flag)
        return take_hash(w, flag ? PARTIAL_MATCH : PARTIAL_HASH, level, index);
    uint64_t width = ((uint64_t)w->t->leaves - 1) / (UINT64_C(1) << (level - 1)) + 1;
    struct hash256 left = walk_node(w, level - 1, 2 * index), right = left;
    if (2 * index + 1 == width) {
        visit(w, PARTIAL_COPY, level - 1, 2 * index + 1, left.b);
    } else {
        right = walk_node(w, level - 1, 2 * index + 1);
        w->failed |= mem_equal_var(left.b, right.b, 32);
    }
    sha256d_pair(left.b, left.b, right.b);
    return left;
}

static bool rest_is_padding(const struct walk *w)
{
    const struct span *flags = &w->t->flags;
    if (flags->len != (w->flag + 7) / 8)
        return false;
    return w->flag % 8 == 0 || flags->data[flags->len - 1] >> w->flag % 8 == 0;
}

bool partial_merkle_walk(const struct partial_merkle *t, partial_merkle_fn fn, void *ctx,
                         struct hash256 *root)
{
    struct walk w = { .t = t, .fn = fn, .ctx = ctx };
    if (!t->leaves)
        return false;
    *root = walk_node(&w, merkle_depth(t->leaves), 0);
    return !w.failed && w.hash == t->hashes.len && rest_is_padding(&w);
}

/* --- building ------------------------------------------------------------------------------- */

void partial_merkle_init(struct partial_merkle_builder *b)
{
    b->n_parts = 0;
    b->leaves = 0;
    buf_init(&b->flags);
    buf_init(&b->hashes);
}

void partial_merkle_clear(struct partial_merkle_builder *b)
{
    buf_clear(&b->flags);
    buf_clear(&b->hashes);
    partial_merkle_init(b);
}

static bool reserve(struct partial_merkle_builder *b)
{
    return buf_try_reserve(&b->flags, 1) && buf_try_reserve(&b->hashes, 32);
}

static void insert_flag(struct buf *flags, size_t at)
{
    buf_extend(flags, 1);
    memmove(flags->data + at + 1, flags->data + at, flags->len - 1 - at);
    flags->data[at] = 1;
}

/* The part and what follows it (nothing: its own copy) are one part of the next level. */
static enum err grow_part(struct partial_merkle_builder *b, struct partial_part *p,
                          const struct partial_part *right)
{
    if (!reserve(b))
        return ERR_NOMEM;
    sha256d_pair(p->root.b, p->root.b, right ? right->root.b : p->root.b);
    p->matched |= right && right->matched;
    p->level++;
    if (p->matched) {
        insert_flag(&b->flags, p->flag);
        return OK;
    }
    b->flags.len = p->flag;
    b->hashes.len = p->hash;
    buf_put_u8(&b->flags, 0);
    buf_put(&b->hashes, p->root.b, 32);
    return OK;
}

/* Joins parts at the right end as long as two have the same level. */
static enum err join_parts(struct partial_merkle_builder *b)
{
    enum err rc = OK;
    while (!rc && b->n_parts > 1) {
        struct partial_part *left = &b->part[b->n_parts - 2], *right = left + 1;
        if (left->level != right->level)
            return OK;
        b->n_parts--;
        rc = grow_part(b, left, right);
    }
    return rc;
}

enum err partial_merkle_add(struct partial_merkle_builder *b, const uint8_t leaf[32], bool matched)
{
    if (b->leaves == UINT32_MAX)
        return ERR_RANGE;
    if (!reserve(b))
        return ERR_NOMEM;
    struct partial_part *p = &b->part[b->n_parts++];
    *p = (struct partial_part){ .matched = matched, .flag = b->flags.len, .hash = b->hashes.len };
    memcpy(p->root.b, leaf, 32);
    buf_put_u8(&b->flags, matched);
    buf_put(&b->hashes, leaf, 32);
    b->leaves++;
    return join_parts(b);
}

static void pack_flags(struct buf *flags)
{
    for (size_t i = 0; i < flags->len; i++) {
        uint8_t flag = flags->data[i];
        if (i % 8 == 0)
            flags->data[i / 8] = 0;
        flags->data[i / 8] |= (uint8_t)(flag << i % 8);
    }
    flags->len = (flags->len + 7) / 8;
}

enum err partial_merkle_finish(struct partial_merkle_builder *b, struct partial_merkle *out)
{
    enum err rc = OK;
    BUG_ON(!b->n_parts);
    while (!rc && b->n_parts > 1) {
        rc = grow_part(b, &b->part[b->n_parts - 1], NULL);
        if (!rc)
            rc = join_parts(b);
    }
    if (rc)
        return rc;
    pack_flags(&b->flags);
    *out = (struct partial_merkle){ b->leaves, buf_span(&b->hashes), buf_span(&b->flags) };
    return OK;
}
