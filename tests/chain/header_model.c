#include <config.h>

#include "tests/chain/header_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chain/header_index.h"
#include "chain/pow.h"

#define NODES_MAX 300
#define NOW INT64_C(4000000000)

/* Abort rather than a test macro: fuzz targets link no test library. */
#define EXPECT(cond)                                                                       \
    ((cond) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond), abort()))

struct model_node {
    struct header_node *node;
    int parent;               /* index; -1: genesis */
    struct block_header header;
    bool failed;              /* itself, not through an ancestor */
    bool has_data;
    uint32_t txs;
    uint64_t sequence;        /* of arrival; lower wins */
    uint64_t preferred;       /* 0: not; higher wins */
    bool dirty;               /* changed since the last flush */
    bool written;             /* in some flush */
};

struct header_model {
    struct header_index *idx;
    struct model_node nodes[NODES_MAX];
    int n, tip;               /* tip -1: none */
    uint64_t sequence, preferred;
    uint32_t salt;
};

/* --- naive answers --- */

static bool is_failed(const struct header_model *m, int i)
{
    for (; i >= 0; i = m->nodes[i].parent)
        if (m->nodes[i].failed)
            return true;
    return false;
}

static bool is_active(const struct header_model *m, int i)
{
    for (int at = m->tip; at >= 0; at = m->nodes[at].parent)
        if (at == i)
            return true;
    return false;
}

static uint64_t tx_count(const struct header_model *m, int i)
{
    uint64_t sum = 0;
    for (; i >= 0; i = m->nodes[i].parent) {
        if (m->nodes[i].txs == 0)
            return 0;
        sum += m->nodes[i].txs;
    }
    return sum;
}

static bool may_be_tip(const struct header_model *m, int i)
{
    if (is_failed(m, i) || tx_count(m, i) == 0)
        return false;
    for (; i >= 0 && !is_active(m, i); i = m->nodes[i].parent)
        if (!m->nodes[i].has_data)
            return false;
    return true;
}

static bool wins(const struct header_model *m, int a, int b)
{
    const struct model_node *x = &m->nodes[a], *y = &m->nodes[b];
    if (x->node->height != y->node->height)
        return x->node->height > y->node->height; /* all headers have the same work */
    if (x->preferred != y->preferred)
        return x->preferred > y->preferred;
    if (is_active(m, a) != is_active(m, b))
        return is_active(m, a);
    return x->sequence < y->sequence;
}

static int best_tip(const struct header_model *m)
{
    int best = -1;
    for (int i = 0; i < m->n; i++)
        if (may_be_tip(m, i) && (best < 0 || wins(m, i, best)))
            best = i;
    return best;
}

static int best_header(const struct header_model *m)
{
    int best = 0;
    for (int i = 0; i < m->n; i++)
        if (!is_failed(m, i) && m->nodes[i].node->height > m->nodes[best].node->height)
            best = i;
    return best;
}

static int ancestor(const struct header_model *m, int i, int32_t height)
{
    while (i >= 0 && m->nodes[i].node->height > height)
        i = m->nodes[i].parent;
    return i;
}

static int compare_times(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t median_time(const struct header_model *m, int i)
{
    uint32_t times[11];
    size_t n = 0;
    for (; i >= 0 && n < 11; i = m->nodes[i].parent)
        times[n++] = m->nodes[i].header.time;
    qsort(times, n, sizeof(*times), compare_times);
    return times[n / 2];
}

/* --- steps --- */

static struct block_hash hash_of_header(const struct block_header *h)
{
    struct block_hash hash;
    block_header_hash(&hash, h);
    return hash;
}

static struct block_header mine_on(struct header_model *m, const struct block_hash *prev,
                                   uint32_t time)
{
    const struct chain_params *p = header_index_params(m->idx);
    struct block_header h = {
        .version = 4, .prev = *prev, .time = time, .bits = p->pow_limit_bits
    };
    memcpy(h.merkle_root.b, &m->salt, sizeof(m->salt));
    m->salt++;
    for (;; h.nonce++) {
        const struct block_hash hash = hash_of_header(&h);
        if (pow_hash_ok(p, &hash, h.bits))
            return h;
    }
}

static void mark_failed_changed(struct header_model *m, int root)
{
    for (int i = 0; i < m->n; i++)
        for (int at = i; at >= 0; at = m->nodes[at].parent)
            if (at == root)
                m->nodes[i].dirty = true;
}

static void step_add(struct header_model *m, int parent, uint8_t seconds)
{
    const struct block_hash prev = m->nodes[parent].node->hash;
    const struct block_header h = mine_on(m, &prev, median_time(m, parent) + 1 + seconds);
    struct verdict v;
    struct header_node *last;
    size_t accepted;
    if (m->n == NODES_MAX)
        return;
    EXPECT(header_index_accept(m->idx, &h, NULL, 1, NOW, &accepted, &last, &v) == OK);
    if (is_failed(m, parent)) {
        EXPECT(accepted == 0 && strcmp(v.reason, "bad-prevblk") == 0 && v.ban_score == 100);
        return;
    }
    EXPECT(accepted == 1 && verdict_ok(&v) && last->prev == m->nodes[parent].node);
    m->nodes[m->n++] =
        (struct model_node){ .node = last, .parent = parent, .header = h, .dirty = true };
}

static void step_add_again(struct header_model *m, int i)
{
    struct verdict v;
    struct header_node *last;
    size_t accepted;
    EXPECT(header_index_accept(m->idx, &m->nodes[i].header, NULL, 1, NOW, &accepted, &last, &v) ==
           OK);
    if (is_failed(m, i))
        EXPECT(accepted == 0 && v.code == REJECT_DUPLICATE);
    else
        EXPECT(accepted == 1 && verdict_ok(&v) && last == m->nodes[i].node);
}

static void step_orphan(struct header_model *m, uint8_t salt)
{
    struct block_hash nowhere = { { salt, 0x77 } };
    const struct block_header h = mine_on(m, &nowhere, 2000000000);
    struct verdict v;
    struct header_node *last;
    size_t accepted;
    EXPECT(header_index_accept(m->idx, &h, NULL, 1, NOW, &accepted, &last, &v) == ERR_NOTFOUND);
    EXPECT(accepted == 0 && !last && v.ban_score == 10 &&
           strcmp(v.reason, "prev-blk-not-found") == 0);
}

static void step_data(struct header_model *m, int i, uint8_t txs)
{
    struct model_node *n = &m->nodes[i];
    const struct block_pos pos = { .file = 1, .offset = (uint64_t)i, .size = 100 };
    if (n->has_data)
        return;
    if (n->txs == 0)
        n->txs = (uint32_t)txs + 1;
    n->has_data = true;
    n->sequence = ++m->sequence;
    n->preferred = 0;
    n->dirty = true;
    header_index_set_data(m->idx, n->node, &pos, n->txs, 0);
}

/* As pruning does it. */
static void step_lose_data(struct header_model *m, int i)
{
    if (!m->nodes[i].has_data || i == m->tip)
        return;
    m->nodes[i].has_data = false;
    m->nodes[i].dirty = true;
    header_index_set_status(m->idx, m->nodes[i].node, 0, HS_HAVE_DATA);
}

static void step_fail(struct header_model *m, int i)
{
    if (i == 0)
        return;
    m->nodes[i].failed = true;
    mark_failed_changed(m, i);
    header_index_fail(m->idx, m->nodes[i].node, 0);
}

static void step_reconsider(struct header_model *m, int i)
{
    for (int at = i; at >= 0; at = m->nodes[at].parent)
        m->nodes[at].failed = false;
    for (int j = 0; j < m->n; j++)
        if (ancestor(m, j, m->nodes[i].node->height) == i)
            m->nodes[j].failed = false;
    header_index_reconsider(m->idx, m->nodes[i].node);
}

static void step_prefer(struct header_model *m, int i)
{
    m->nodes[i].preferred = ++m->preferred;
    header_index_prefer(m->idx, m->nodes[i].node);
}

static void step_choose_tip(struct header_model *m)
{
    const int best = best_tip(m);
    if (best >= 0) {
        m->tip = best;
        header_index_set_tip(m->idx, m->nodes[best].node);
    }
}

/* Any block as the tip, as while blocks are disconnected one by one. */
static void step_force_tip(struct header_model *m, int i)
{
    if (tx_count(m, i) == 0)
        return;
    m->tip = i;
    header_index_set_tip(m->idx, m->nodes[i].node);
}

static void see_flushed(void *ctx, const struct header_node *node)
{
    struct header_model *m = ctx;
    for (int i = 0; i < m->n; i++)
        if (m->nodes[i].node == node) {
            const int parent = m->nodes[i].parent;
            EXPECT(parent <= 0 || m->nodes[parent].written); /* genesis is always there */
            m->nodes[i].dirty = false;
            m->nodes[i].written = true;
        }
}

static void step_flush(struct header_model *m)
{
    header_index_take_dirty(m->idx, see_flushed, m);
    for (int i = 0; i < m->n; i++)
        EXPECT(!m->nodes[i].dirty); /* what changed was handed out */
}

void header_model_step(struct header_model *m, const uint8_t step[MODEL_STEP_BYTES])
{
    const int i = step[1] % m->n;
    /* More growth than anything else; new headers mostly on recent ones. */
    switch (step[0] % 16) {
    case 0: step_add_again(m, i); break;
    case 1: step_orphan(m, step[2]); break;
    case 2: step_fail(m, i); break;
    case 3: step_reconsider(m, i); break;
    case 4: step_prefer(m, i); break;
    case 5: step_choose_tip(m); break;
    case 6: step_force_tip(m, i); break;
    case 7: step_lose_data(m, i); break;
    case 8: step_flush(m); break;
    case 9: step_add(m, i, step[2]); break;
    case 10: step_add(m, m->n - 1, step[2]); break;
    case 11: step_add(m, m->n - 1 - step[1] % (m->n < 4 ? m->n : 4), step[2]); break;
    default: step_data(m, i, step[3]); break;
    }
}

/* --- comparison --- */

struct leaf_count {
    const struct header_model *m;
    size_t n;
};

static void count_leaf(void *ctx, struct header_node *node)
{
    struct leaf_count *count = ctx;
    for (int i = 0; i < count->m->n; i++)
        EXPECT(count->m->nodes[i].parent < 0 ||
               count->m->nodes[count->m->nodes[i].parent].node != node);
    count->n++;
}

static void compare_leaves(const struct header_model *m)
{
    struct leaf_count count = { m, 0 };
    size_t n = 0;
    for (int i = 0; i < m->n; i++) {
        bool leaf = true;
        for (int j = 0; j < m->n && leaf; j++)
            leaf = m->nodes[j].parent != i;
        n += leaf;
    }
    header_index_each_leaf(m->idx, count_leaf, &count);
    EXPECT(count.n == n);
}

static void compare_walks(const struct header_model *m, int i, int j)
{
    struct header_node *a = m->nodes[i].node, *b = m->nodes[j].node;
    for (int32_t height = 0; height <= a->height; height += 1 + a->height / 7)
        EXPECT(header_ancestor(a, height) == m->nodes[ancestor(m, i, height)].node);
    EXPECT(!header_ancestor(a, a->height + 1));
    int x = ancestor(m, i, b->height), y = ancestor(m, j, a->height);
    while (x != y) {
        x = m->nodes[x].parent;
        y = m->nodes[y].parent;
    }
    EXPECT(header_last_common(a, b) == m->nodes[x].node);
}

static void compare_first_since(const struct header_model *m, int i, int64_t time)
{
    int first = -1;
    for (int k = i; k >= 0; k = m->nodes[k].parent)
        if ((int64_t)m->nodes[k].header.time >= time)
            first = k;
    EXPECT(header_first_since(m->nodes[i].node, time) == (first < 0 ? NULL : m->nodes[first].node));
}

static void compare_node(const struct header_model *m, int i)
{
    const struct model_node *n = &m->nodes[i];
    struct header_data data;
    struct block_header h;
    const struct block_hash hash = hash_of_header(&n->header);
    header_index_get_data(m->idx, n->node, &data);
    EXPECT(header_index_find(m->idx, &hash) == n->node);
    EXPECT(data.chain_tx_count == tx_count(m, i));
    EXPECT(data.tx_count == n->txs);
    EXPECT(!!(data.status & HS_FAILED_MASK) == is_failed(m, i));
    EXPECT(!!(data.status & HS_FAILED) == n->failed);
    EXPECT(!!(data.status & HS_HAVE_DATA) == n->has_data);
    EXPECT((data.data.size > 0) == n->has_data);
    EXPECT(header_index_is_active(m->idx, n->node) == is_active(m, i));
    EXPECT(header_median_time(n->node) == median_time(m, i));
    header_of_node(&h, n->node);
    EXPECT(memcmp(&h.prev, &n->header.prev, 32) == 0 && h.nonce == n->header.nonce &&
           h.time == n->header.time);
    compare_walks(m, i, (i * 7 + 3) % m->n);
    for (int64_t late = 0; late < 2; late++)
        compare_first_since(m, i, m->nodes[(i * 5 + 1) % m->n].header.time + late);
}

void header_model_compare(struct header_model *m)
{
    const int best = best_tip(m);
    struct header_node *tip = header_index_tip(m->idx);
    EXPECT(header_index_count(m->idx) == (size_t)m->n);
    EXPECT(header_index_best(m->idx) == m->nodes[best_header(m)].node);
    EXPECT(header_index_best_candidate(m->idx) == (best < 0 ? NULL : m->nodes[best].node));
    EXPECT(tip == (m->tip < 0 ? NULL : m->nodes[m->tip].node));
    for (int at = m->tip; at >= 0; at = m->nodes[at].parent)
        EXPECT(header_index_at(m->idx, m->nodes[at].node->height) == m->nodes[at].node);
    EXPECT(!header_index_at(m->idx, tip ? tip->height + 1 : 0));
    for (int i = 0; i < m->n; i++)
        compare_node(m, i);
    compare_leaves(m);
}

size_t header_model_size(const struct header_model *m)
{
    return (size_t)m->n;
}

struct header_model *header_model_new(void)
{
    struct header_model *m = xcalloc(1, sizeof(*m));
    const struct chain_params *p = params_get(NETWORK_REGTEST);
    m->idx = header_index_new(p);
    m->nodes[0] = (struct model_node){ .node = header_index_genesis(m->idx),
                                       .parent = -1,
                                       .header = p->genesis };
    m->n = 1;
    m->tip = -1;
    return m;
}

void header_model_free(struct header_model *m)
{
    header_index_free(m->idx);
    free(m);
}
