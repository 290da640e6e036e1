/* Parents and children in the mempool: links that are made and cut at once, walks along them. */
#include "chain/mempool_internal.h"

#include <stdlib.h>

#include "base/mem.h"

void pool_list_push(struct pool_list *l, struct pool_entry *e)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 32;
        l->v = (struct pool_entry **)xrealloc(l->v, l->cap * sizeof(*l->v));
    }
    l->v[l->n++] = e;
}

static int by_sequence(const void *a, const void *b)
{
    const uint64_t x = (*(struct pool_entry *const *)a)->pub.sequence;
    const uint64_t y = (*(struct pool_entry *const *)b)->pub.sequence;
    return x < y ? -1 : x > y;
}

void pool_list_sort(struct pool_list *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof(*l->v), by_sequence);
}

/* What the arrays of so many children take. */
static size_t children_cost(uint32_t cap)
{
    if (!cap)
        return 0;
    return mem_cost(cap * sizeof(struct mempool_entry *)) + mem_cost(cap * sizeof(uint32_t));
}

static void charge(struct mempool *mp, struct pool_entry *e, size_t more)
{
    e->pub.memory += more;
    mp->memory += more;
    if (!e->pub.primary)
        mp->secondary_memory += more;
}

static bool reserve_child(struct mempool *mp, struct pool_entry *e)
{
    if (e->pub.n_children < e->cap_children)
        return true;
    const uint32_t cap = e->cap_children ? 2 * e->cap_children : 2;
    void *children = try_realloc(e->pub.children, cap, sizeof(*e->pub.children));
    if (!children)
        return false;
    e->pub.children = (struct mempool_entry **)children;
    void *pos = try_realloc(e->child_pos, cap, sizeof(*e->child_pos));
    if (!pos)
        return false;
    e->child_pos = (uint32_t *)pos;
    charge(mp, e, children_cost(cap) - children_cost(e->cap_children));
    e->cap_children = cap;
    return true;
}

bool pool_reserve_children(struct mempool *mp, const struct pool_list *parents)
{
    for (size_t i = 0; i < parents->n; i++)
        if (!reserve_child(mp, parents->v[i]))
            return false;
    return true;
}

void pool_link(struct mempool *mp, struct pool_entry *parent, struct pool_entry *child)
{
    const uint32_t up = child->pub.n_parents++, down = parent->pub.n_children++;
    child->pub.parents[up] = &parent->pub;
    child->parent_pos[up] = down;
    parent->pub.children[down] = &child->pub;
    parent->child_pos[down] = up;
    if (heap_has(&mp->worst, parent))
        heap_remove(&mp->worst, parent);
}

/* The last child of the parent takes the place of child number i. */
static void drop_child(struct pool_entry *parent, uint32_t i)
{
    const uint32_t last = --parent->pub.n_children;
    if (i == last)
        return;
    parent->pub.children[i] = parent->pub.children[last];
    parent->child_pos[i] = parent->child_pos[last];
    pool_entry_of(parent->pub.children[i])->parent_pos[parent->child_pos[i]] = i;
}

static void drop_parent(struct pool_entry *child, uint32_t i)
{
    const uint32_t last = --child->pub.n_parents;
    if (i == last)
        return;
    child->pub.parents[i] = child->pub.parents[last];
    child->parent_pos[i] = child->parent_pos[last];
    pool_entry_of(child->pub.parents[i])->child_pos[child->parent_pos[i]] = i;
}

void pool_unlink(struct mempool *mp, struct pool_entry *child, uint32_t i)
{
    struct pool_entry *parent = pool_entry_of(child->pub.parents[i]);
    drop_child(parent, child->parent_pos[i]);
    drop_parent(child, i);
    if (parent->pub.n_children == 0)
        heap_push(&mp->worst, parent);
}

void pool_collect_tree(struct mempool *mp, struct pool_entry *e, struct pool_list *out)
{
    const uint64_t epoch = ++mp->epoch;
    out->n = 0;
    pool_list_push(out, e);
    e->mark = epoch;
    for (size_t done = 0; done < out->n; done++) {
        const struct mempool_entry *at = &out->v[done]->pub;
        for (uint32_t i = 0; i < at->n_children; i++) {
            struct pool_entry *child = pool_entry_of(at->children[i]);
            if (child->mark == epoch)
                continue;
            child->mark = epoch;
            pool_list_push(out, child);
        }
    }
    pool_list_sort(out);
}
