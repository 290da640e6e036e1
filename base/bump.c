/*
 * A record is judged as a whole, from below: each row is made of what the record has there and of
 * what was computed from the row below, in pairs. That finds at once all that can be wrong with it
 * and takes n log n steps, where climbing from each transaction takes a search at each level.
 */
#include "base/bump.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/intmath.h"
#include "base/mem.h"
#include "base/merkle_branch.h"
#include "base/partial_merkle.h"

#define LEAF_SIZE 34 /* offset, flags, hash: the shortest with a hash */

enum leaf_flag { LEAF_DUPLICATE = 1, LEAF_TXID = 2 };

void bump_init(struct bump *b)
{
    b->height = 0;
    b->n_levels = 0;
}

void bump_clear(struct bump *b)
{
    for (unsigned k = 0; k < b->n_levels; k++)
        free(b->level[k].leaf);
    bump_init(b);
}

/* --- record --------------------------------------------------------------------------------- */

static void read_leaf(struct reader *r, unsigned level, struct bump_leaf *leaf)
{
    *leaf = (struct bump_leaf){ .offset = read_compact(r) };
    uint8_t flags = read_u8(r);
    leaf->duplicate = flags == LEAF_DUPLICATE;
    leaf->is_txid = flags == LEAF_TXID;
    if (flags > LEAF_TXID || (leaf->is_txid && level))
        r->failed = true;
    if (!leaf->duplicate)
        read_copy(r, leaf->hash.b, 32);
}

static enum err read_level(struct reader *r, unsigned level, struct bump_level *l)
{
    size_t n = read_count(r, 2);
    /* Only the last leaf of a row can be a copy, so the others take LEAF_SIZE. */
    if (r->failed || n > r->left / LEAF_SIZE + 1)
        return ERR_PARSE;
    l->leaf = (struct bump_leaf *)try_alloc(MAX_OF(n, (size_t)1), sizeof *l->leaf);
    if (!l->leaf)
        return ERR_NOMEM;
    l->n = n;
    for (size_t i = 0; i < n && !r->failed; i++)
        read_leaf(r, level, &l->leaf[i]);
    return r->failed ? ERR_PARSE : OK;
}

enum err bump_read(struct reader *r, struct bump *b, struct error *e)
{
    bump_init(b);
    b->height = (uint32_t)read_compact(r);
    unsigned n_levels = read_u8(r);
    enum err rc = r->failed || n_levels == 0 || n_levels > BUMP_LEVELS_MAX ? ERR_PARSE : OK;
    for (unsigned k = 0; k < n_levels && !rc; k++) {
        b->level[b->n_levels++] = (struct bump_level){ .n = 0 };
        rc = read_level(r, k, &b->level[k]);
    }
    if (!rc)
        return OK;
    bump_clear(b);
    return error_set(e, rc, rc == ERR_NOMEM ? "out of memory for a BUMP" : "malformed BUMP");
}

void bump_write(struct buf *out, const struct bump *b)
{
    buf_put_compact(out, b->height);
    buf_put_u8(out, (uint8_t)b->n_levels);
    for (unsigned k = 0; k < b->n_levels; k++) {
        buf_put_compact(out, b->level[k].n);
        for (size_t i = 0; i < b->level[k].n; i++) {
            const struct bump_leaf *leaf = &b->level[k].leaf[i];
            buf_put_compact(out, leaf->offset);
            buf_put_u8(out, leaf->duplicate ? LEAF_DUPLICATE : leaf->is_txid ? LEAF_TXID : 0);
            if (!leaf->duplicate)
                buf_put(out, leaf->hash.b, 32);
        }
    }
}

bool bump_find(const struct bump *b, const struct txid *id, uint64_t *offset)
{
    const struct bump_level *lowest = &b->level[0];
    for (size_t i = 0; b->n_levels && i < lowest->n; i++)
        if (!lowest->leaf[i].duplicate && mem_equal_var(lowest->leaf[i].hash.b, id->b, 32)) {
            *offset = lowest->leaf[i].offset;
            return true;
        }
    return false;
}

/* --- root ----------------------------------------------------------------------------------- */

/* A node of the row being folded: of the record, computed, or both. */
struct node {
    uint64_t offset;
    bool given, computed, duplicate;
    struct hash256 hash;
};

struct row {
    struct node *node;
    size_t n;
};

static int by_offset(const void *a, const void *b)
{
    const struct node *x = (const struct node *)a, *y = (const struct node *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Puts the leaves of the record behind the computed nodes, for which the row has room, and sorts.
 */
static void add_given(struct row *row, const struct bump_level *l)
{
    for (size_t i = 0; i < l->n; i++)
        row->node[row->n++] = (struct node){ .offset = l->leaf[i].offset,
                                             .given = true,
                                             .duplicate = l->leaf[i].duplicate,
                                             .hash = l->leaf[i].hash };
    if (row->n)
        qsort(row->node, row->n, sizeof *row->node, by_offset);
}

/* A node that is given and computed becomes one; two given ones of an offset are a mistake. */
static const char *join_equal(struct row *row)
{
    size_t n = 0;
    for (size_t i = 0; i < row->n; i++) {
        const struct node *next = &row->node[i];
        struct node *last = n ? &row->node[n - 1] : NULL;
        if (!last || last->offset != next->offset) {
            row->node[n++] = *next;
            continue;
        }
        if (last->given && next->given)
            return "an offset is there twice";
        if (last->duplicate || next->duplicate || !mem_equal_var(last->hash.b, next->hash.b, 32))
            return "hashes lead to different roots";
        last->given = last->computed = true;
    }
    row->n = n;
    return NULL;
}

/* Why nodes i and i + 1 of the row are no pair; NULL when they are one. */
static const char *pair_fault(const struct row *row, unsigned level, size_t i)
{
    const struct node *left = &row->node[i], *right = left + 1;
    if (left->offset % 2 || i + 1 == row->n || right->offset != left->offset + 1)
        return "a hash is missing";
    if (level && !left->computed && !right->computed)
        return "a hash is not needed";
    if (left->duplicate || (right->duplicate && i + 2 < row->n))
        return "a copy stands inside a row";
    if (!right->duplicate && mem_equal_var(left->hash.b, right->hash.b, 32))
        return "neighbours are equal"; /* CVE-2012-2459 */
    return NULL;
}

/* The row above, half as long. In place: a pair lies behind the parent it gives. */
static const char *fold(struct row *row, unsigned level)
{
    for (size_t i = 0; i < row->n; i += 2) {
        const char *fault = pair_fault(row, level, i);
        if (fault)
            return fault;
        const struct node *left = &row->node[i], *right = left + 1;
        struct node parent = { .offset = left->offset / 2, .computed = true };
        sha256d_pair(parent.hash.b, left->hash.b, right->duplicate ? left->hash.b : right->hash.b);
        row->node[i / 2] = parent;
    }
    row->n /= 2;
    return NULL;
}

/* Marks leaves of the record that the row shows to be computed as well; n of them remain. */
static void drop_computed(struct bump_level *l, const struct row *row)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct node key = { .offset = l->leaf[i].offset };
        const struct node *node =
            (const struct node *)bsearch(&key, row->node, row->n, sizeof key, by_offset);
        if (!node || !node->computed)
            l->leaf[n++] = l->leaf[i];
    }
    l->n = n;
}

static size_t leaves_of(const struct bump *b)
{
    size_t n = 0;
    for (unsigned k = 0; k < b->n_levels; k++)
        n += b->level[k].n;
    return n;
}

/* The last row has to be the root. */
static const char *take_root(const struct row *row, struct hash256 *root)
{
    if (row->n != 1 || row->node[0].offset || row->node[0].duplicate)
        return "there is no single root";
    *root = row->node[0].hash;
    return NULL;
}

/* Adds what the record has on the level; trim: NULL, or b itself, to take out what was computed. */
static const char *complete_row(const struct bump *b, struct bump *trim, struct row *row,
                                unsigned level)
{
    if (level >= b->n_levels)
        return NULL;
    add_given(row, &b->level[level]);
    const char *fault = join_equal(row);
    if (!fault && trim)
        drop_computed(&trim->level[level], row);
    return fault;
}

static const char *fold_all(const struct bump *b, struct bump *trim, struct row *row,
                            struct bump_top *top)
{
    bool one_tx = b->n_levels == 1 && b->level[0].n == 1;
    unsigned level = 0;
    const char *fault = complete_row(b, trim, row, 0);
    while (!fault && !one_tx && (level < b->n_levels || row->n > 1)) {
        fault = fold(row, level++);
        if (!fault)
            fault = complete_row(b, trim, row, level);
    }
    top->depth = level;
    return fault ? fault : take_root(row, &top->root);
}

static enum err climb(const struct bump *b, struct bump *trim, struct bump_top *top,
                      struct error *e)
{
    /* A row has no more nodes than the record has leaves up to it. */
    struct row row = { (struct node *)try_alloc(leaves_of(b) + 1, sizeof *row.node), 0 };
    if (!row.node)
        return error_set(e, ERR_NOMEM, "out of memory for a BUMP");
    const char *fault = b->n_levels ? fold_all(b, trim, &row, top) : "it has no levels";
    free(row.node);
    return fault ? error_set(e, ERR_PARSE, "BUMP: %s", fault) : OK;
}

enum err bump_climb(const struct bump *b, struct bump_top *top, struct error *e)
{
    return climb(b, NULL, top, e);
}

/* --- made of a partial tree ----------------------------------------------------------------- */

struct collector {
    struct bump *b;
    size_t cap[BUMP_LEVELS_MAX];
    bool matched, nomem;
};

static void add_leaf(void *ctx, const struct partial_node *node)
{
    struct collector *c = (struct collector *)ctx;
    if (c->nomem || node->level >= c->b->n_levels)
        return;
    struct bump_level *l = &c->b->level[node->level];
    size_t *cap = &c->cap[node->level];
    if (l->n == *cap) {
        size_t more = *cap ? 2 * *cap : 2;
        struct bump_leaf *p = (struct bump_leaf *)try_realloc(l->leaf, more, sizeof *p);
        c->nomem = !p;
        if (!p)
            return;
        l->leaf = p;
        *cap = more;
    }
    struct bump_leaf *leaf = &l->leaf[l->n++];
    *leaf = (struct bump_leaf){ .offset = node->index,
                                .duplicate = node->kind == PARTIAL_COPY,
                                .is_txid = node->kind == PARTIAL_MATCH };
    c->matched |= leaf->is_txid;
    if (!leaf->duplicate)
        memcpy(leaf->hash.b, node->hash, 32);
}

enum err bump_from_partial(struct bump *b, uint32_t height, const struct partial_merkle *t,
                           struct error *e)
{
    struct collector c = { .b = b };
    struct hash256 root;
    bump_init(b);
    b->height = height;
    b->n_levels = MAX_OF(merkle_depth(t->leaves), 1u);
    memset(b->level, 0, sizeof b->level);
    bool good = partial_merkle_walk(t, add_leaf, &c, &root);
    if (good && !c.nomem && c.matched)
        return OK;
    bump_clear(b);
    return c.nomem ? error_set(e, ERR_NOMEM, "out of memory for a BUMP")
                   : error_set(e, ERR_PARSE, "no partial Merkle tree with a match");
}

/* --- merging -------------------------------------------------------------------------------- */

static int leaf_by_offset(const void *a, const void *b)
{
    const struct bump_leaf *x = (const struct bump_leaf *)a, *y = (const struct bump_leaf *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Leaves of both, each offset once. Both lead to one root, so what they say of an offset agrees. */
static enum err unite_levels(struct bump_level *out, const struct bump_level *a,
                             const struct bump_level *b)
{
    struct bump_leaf *all = (struct bump_leaf *)try_alloc(a->n + b->n + 1, sizeof *all);
    size_t n = 0, total = a->n + b->n;
    if (!all)
        return ERR_NOMEM;
    if (a->n)
        memcpy(all, a->leaf, a->n * sizeof *all);
    if (b->n)
        memcpy(all + a->n, b->leaf, b->n * sizeof *all);
    if (total)
        qsort(all, total, sizeof *all, leaf_by_offset);
    for (size_t i = 0; i < total; i++) {
        if (n && all[n - 1].offset == all[i].offset)
            all[n - 1].is_txid |= all[i].is_txid;
        else
            all[n++] = all[i];
    }
    *out = (struct bump_level){ all, n };
    return OK;
}

static enum err unite(struct bump *out, const struct bump *a, const struct bump *b, struct error *e)
{
    enum err rc = OK;
    bump_init(out);
    out->height = a->height;
    for (unsigned k = 0; k < a->n_levels && !rc; k++) {
        rc = unite_levels(&out->level[k], &a->level[k], &b->level[k]);
        out->n_levels += !rc;
    }
    if (rc)
        bump_clear(out);
    return rc ? error_set(e, rc, "out of memory for a BUMP") : OK;
}

enum err bump_merge(struct bump *b, const struct bump *other, struct error *e)
{
    struct bump_top top, other_top;
    struct bump all;
    enum err rc = bump_climb(b, &top, e);
    if (!rc)
        rc = bump_climb(other, &other_top, e);
    if (rc)
        return rc;
    if (b->height != other->height || b->n_levels != other->n_levels ||
        top.depth != other_top.depth || !mem_equal_var(top.root.b, other_top.root.b, 32))
        return error_set(e, ERR_RANGE, "BUMPs of different blocks");
    rc = unite(&all, b, other, e);
    if (!rc)
        rc = climb(&all, &all, &top, e);
    if (rc) {
        bump_clear(&all);
        return rc;
    }
    bump_clear(b);
    *b = all;
    return OK;
}
