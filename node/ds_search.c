#include "node/ds_search.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rand.h"
#include "node/block_walk.h"
#include "node/ds_report.h"

#define SPENDS_FIRST 1024

/* An input of the branch that was left. Hashes are keyed; the report is checked in the end. */
struct spend {
    uint64_t out, tx; /* of the output, and of the transaction that spends it */
    const struct header_node *node;
    uint32_t index;   /* of the transaction in its block */
};

struct search {
    struct chain *chain;
    struct siphash_key key;
    struct spend *spends;
    size_t n, cap;
    const struct header_node *node; /* being read */
    uint32_t index;                 /* of the transaction in it */
    bool found;
    struct spend left, taken;       /* the conflict */
};

/* --- the spends of the branch that was left --- */

static uint64_t key_of(const struct search *s, const struct outpoint *o)
{
    return siphash_36(&s->key, o->txid.b, o->index);
}

static enum err make_room(struct search *s, struct error *e)
{
    if (s->n < s->cap)
        return OK;
    const size_t cap = s->cap ? 2 * s->cap : SPENDS_FIRST;
    struct spend *p = try_realloc(s->spends, cap, sizeof(*p));
    if (!p)
        return error_set(e, ERR_NOMEM, "no memory for %zu spends", cap);
    s->spends = p;
    s->cap = cap;
    return OK;
}

static enum err collect(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct search *s = ctx;
    const uint64_t id = siphash_32(&s->key, tx->id.b);
    (void)offset;
    for (size_t i = 0; i < tx->n_in && !tx_is_coinbase(tx); i++) {
        const enum err rc = make_room(s, e);
        if (rc)
            return rc;
        s->spends[s->n++] =
            (struct spend){ key_of(s, &tx->in[i].prevout), id, s->node, s->index };
    }
    s->index++;
    return OK;
}

static int compare_spends(const void *a, const void *b)
{
    const uint64_t x = ((const struct spend *)a)->out, y = ((const struct spend *)b)->out;
    return (x > y) - (x < y);
}

/* --- the other one against them --- */

static enum err compare(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct search *s = ctx;
    const uint64_t id = siphash_32(&s->key, tx->id.b);
    (void)offset;
    (void)e;
    for (size_t i = 0; i < tx->n_in && !s->found; i++) {
        const struct spend own = { key_of(s, &tx->in[i].prevout), id, s->node, s->index };
        const struct spend *other =
            bsearch(&own, s->spends, s->n, sizeof(own), compare_spends);
        if (!other || other->tx == id || tx_is_coinbase(tx))
            continue;
        s->found = true;
        s->left = *other;
        s->taken = own;
    }
    s->index++;
    return OK;
}

/* The blocks from the tip down to the fork. */
static enum err read_branch(struct search *s, const struct header_node *tip,
                            const struct header_node *fork, block_walk_fn fn, struct error *e)
{
    enum err rc = OK;
    for (const struct header_node *node = tip; !rc && !s->found && node != fork;
         node = node->prev) {
        s->node = node;
        s->index = 0;
        rc = block_walk(s->chain, node, fn, s, e);
    }
    return rc;
}

/* --- the report --- */

struct proving {
    uint32_t wanted, at;
    struct merkle_branch_builder proof;
    struct buf tx;
};

static enum err prove(void *ctx, const struct tx *tx, uint64_t offset, struct error *e)
{
    struct proving *p = ctx;
    (void)offset;
    (void)e;
    if (p->at == p->wanted)
        buf_put(&p->tx, tx->raw.data, tx->raw.len);
    merkle_branch_add(&p->proof, tx->id.b, p->at++ == p->wanted);
    return OK;
}

static void write_block(struct buf *out, const struct spend *s, const struct header_node *fork,
                        const struct tsc_proof *proof)
{
    const size_t n = (size_t)(s->node->height - fork->height);
    struct block_header *headers = xmalloc(n * sizeof(*headers));
    const struct header_node *node = s->node;
    for (size_t i = 0; i < n; i++, node = node->prev)
        header_of_node(&headers[i], node);
    msg_ds_block_write(out, headers, n, proof);
    free(headers);
}

static enum err put_block(struct search *s, const struct spend *spend,
                          const struct header_node *fork, struct buf *out, struct error *e)
{
    const struct merkle_branch *branch;
    struct proving p = { .wanted = spend->index };
    merkle_branch_init(&p.proof);
    enum err rc = block_walk(s->chain, spend->node, prove, &p, e);
    if (!rc && !merkle_branch_finish(&p.proof, &branch))
        rc = error_set(e, ERR_CORRUPT, "the block has changed");
    if (!rc) {
        struct tsc_proof proof = { .tx = buf_span(&p.tx), .target = TSC_MERKLE_ROOT,
                                   .root = spend->node->merkle_root, .branch = *branch };
        sha256d(proof.id.b, p.tx.data, p.tx.len);
        write_block(out, spend, fork, &proof);
    }
    buf_clear(&p.tx);
    return rc;
}

/* --- */

static bool branch_fits(struct chain *c, const struct header_node *tip,
                        const struct header_node *fork, uint64_t most)
{
    uint64_t bytes = 0;
    for (const struct header_node *node = tip; node != fork; node = node->prev) {
        struct header_data data;
        header_index_get_data(chain_headers(c), node, &data);
        bytes += data.data.size;
    }
    return bytes <= most && tip->height - fork->height <= DS_FORK_MAX;
}

static enum err search(struct search *s, struct header_node *left, struct header_node *taken,
                       const struct header_node *fork, struct buf *out, struct error *e)
{
    enum err rc = read_branch(s, left, fork, collect, e);
    if (s->n)
        qsort(s->spends, s->n, sizeof(*s->spends), compare_spends);
    if (!rc && s->n)
        rc = read_branch(s, taken, fork, compare, e);
    if (rc || !s->found)
        return rc;
    msg_dsdetected_begin(out, 2);
    rc = put_block(s, &s->left, fork, out, e);
    return rc ? rc : put_block(s, &s->taken, fork, out, e);
}

enum err ds_search(struct chain *c, struct header_node *left, struct header_node *taken,
                   struct buf *out, struct error *e)
{
    struct search s = { .chain = c, .key = { rand_u64(), rand_u64() } };
    const struct header_node *fork = header_last_common(left, taken);
    if (!branch_fits(c, left, fork, DS_SEARCH_LEFT_MAX) ||
        !branch_fits(c, taken, fork, DS_SEARCH_TAKEN_MAX))
        return error_set(e, ERR_RANGE, "branches too large to be compared");
    const size_t before = out->len;
    const enum err rc = search(&s, left, taken, fork, out, e);
    if (rc)
        out->len = before;
    free(s.spends);
    return rc;
}
